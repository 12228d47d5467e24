"""The locks of runs and shared artifacts, taken without waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from rlvit.home import Home


@contextmanager
def holding(home: Home, name: str) -> Iterator[bool]:
    """Hold `run-ID`, or the `KIND-KEY` of an artifact; False if another process has it.

    The system lets it go however this process ends.
    """
    home.locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.locks / f"{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
