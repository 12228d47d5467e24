"""The folder of a report: written by one process at a time, and left whole by whatever stops it."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from rlvit.errors import UsageProblem

PATIENCE = 5.0  # seconds until a report that another process is writing is left to it


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Keep other processes from writing a report into `out`; what killed ones left is removed.

    Raises:
        UsageProblem: another process is at it, or nothing can be written there.
    """
    with _writable(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass  # a lock would be waited for in vain where no file can be made
        lock = FileLock(out.parent / f".{out.name}.lock")
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            raise UsageProblem(
                f"another process is writing the report {out}; try again when it is done."
            ) from None
    try:
        for leftover in _leftovers(out):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


@contextmanager
def beside(out: Path) -> Iterator[Path]:
    """Make a temporary folder beside `out`, from which files can be moved there at once."""
    with _writable(out):
        folder = tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the end; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, lambda number, _: heard.append(number)) for n in numbers}
    try:
        yield
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
        for number in heard:
            signal.raise_signal(number)


def _leftovers(out: Path) -> list[Path]:
    """Return the temporary folders that killed processes left beside `out`."""
    name = re.compile(re.escape(f".{out.name}-") + r"[a-z0-9_]{8}")  # as `beside` calls them
    return [path for path in out.parent.iterdir() if name.fullmatch(path.name) and path.is_dir()]


@contextmanager
def _writable(out: Path) -> Iterator[None]:
    """Say which folder cannot be written, as the user called it; raises UsageProblem."""
    try:
        yield
    except OSError as problem:
        raise UsageProblem(f"{out} cannot be written: {problem.strerror or problem}.") from None
