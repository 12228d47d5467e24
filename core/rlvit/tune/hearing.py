"""Hears Ctrl-C and SIGTERM for the whole life of a worker: also before, between and after runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from rlvit.runs.context import StopFlag
from rlvit.runs.together import STOPS


class Hearing:
    """Takes the first signal as a request to stop; the second stops at once.

    While it is entered the signals raise nothing, so that none can be swallowed where Python cannot
    raise, as in the callback of a weak reference.
    """

    def __init__(
        self, say: Callable[[str], None], told: Callable[[], bool] = lambda: False
    ) -> None:
        """Hear signals, and what `told` says: whether another process asks for the same."""
        self._say, self._told = say, told
        self._signalled = False
        self._flag = StopFlag()
        self._before: dict[int, Any] = {}

    @property
    def heard(self) -> bool:
        """Whether this worker is to stop."""
        return self._signalled or self._told()

    def flag(self) -> StopFlag:
        """Return the flag of the next run, set if a signal came before."""
        self._flag = StopFlag()
        if self.heard:
            self._flag.set()
        return self._flag

    def __enter__(self) -> Hearing:
        """Begin to hear; signals that were held back until now are heard first."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in STOPS}
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the signals to whoever heard them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
        self._flag.set()
        self._say(f"{signal.Signals(number).name}: stopping; once more stops at once")
