"""What reaches a run from outside, and what it tells others: signals and plugins' run events."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rlvit.catalog import Catalog
from rlvit.errors import RlvitError
from rlvit.runs.context import StopFlag


def tell_strictly(catalog: Catalog, hook: str, **arguments: Any) -> None:
    """Call a run event; a plugin may stop the run by raising."""
    for name, call in _callers(catalog, hook):
        try:
            call(**arguments)
        except Exception as problem:
            raise RlvitError(f"plugin {name!r} stopped the run: {problem}") from problem


def tell(catalog: Catalog, hook: str, say: Callable[[str], None], **arguments: Any) -> None:
    """Call a run event; a plugin that fails is named and the run goes on."""
    for name, call in _callers(catalog, hook):
        try:
            call(**arguments)
        except Exception as problem:
            say(f"plugin {name!r} failed in {hook}: {problem}")


def _callers(catalog: Catalog, hook: str) -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield each working plugin's name and its side of a hook."""
    for info in catalog.plugins.active:
        if info.name not in catalog.problems:
            yield info.name, catalog.plugins.caller(info.name, hook)


@contextlib.contextmanager
def hear_signals(
    stop: StopFlag, say: Callable[[str], None], answer: str = "stopping with a checkpoint"
) -> Iterator[None]:
    """Take the first Ctrl-C or SIGTERM as a request, said with `answer`; the second stops at once.

    Raises:
        KeyboardInterrupt: at the second.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, _: object) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.set()
        say(f"{signal.Signals(number).name}: {answer}; once more stops at once")

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
