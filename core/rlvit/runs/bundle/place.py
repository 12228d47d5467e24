"""What an import does to a home as a place: it makes folders, and is stopped between runs alone."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from rlvit.home import Home
from rlvit.runs.bundle.staging import LOCK


@contextlib.contextmanager
def made_or_as_before(home: Home) -> Iterator[None]:
    """Make the folders of a home; where what follows fails, those that stayed empty go again."""
    wanted = [home.root / "reports", home.locks, home.shared, home.runs, home.root]
    new = [folder for folder in wanted if not folder.exists()]
    home.create()
    try:
        yield
    except BaseException:
        if home.locks in new:  # filelock's own file, which nobody else knows of in a new home
            (home.locks / LOCK).unlink(missing_ok=True)
        for folder in new:
            with contextlib.suppress(OSError):  # another process put something there
                folder.rmdir()
        raise


@contextlib.contextmanager
def without_interruption() -> Iterator[None]:
    """Put Ctrl-C off until what is inside is done; then it is raised."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread
        return
    pressed: list[int] = []

    def later(number: int, frame: FrameType | None) -> None:
        pressed.append(number)

    before = signal.signal(signal.SIGINT, later)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
