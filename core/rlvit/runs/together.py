"""Several runs at once, each in a process of its own, with what they show passed on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from rlvit.contracts import StageProgress
from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.runs.plan import Request

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from rlvit.runs.execute import RunOutcome

SHOW_SECONDS = 0.1  # between two signs of progress
STOPS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Job:
    """A run to be made."""

    home: Home
    request: Request  # without a trained selector, which no other process could be handed
    selector_from: str | None = None  # the run that it is taken from instead


@dataclass(frozen=True)
class Begun:
    """A run began a stage."""

    name: str
    total: int
    unit: str


@dataclass(frozen=True)
class Reached:
    """How far a run's stage is."""

    done: int
    shown: dict[str, float]


@dataclass(frozen=True)
class Said:
    """A run said something."""

    text: str


@dataclass(frozen=True)
class Ended:
    """How a run ended; without an outcome it was refused or its process was killed."""

    outcome: RunOutcome | None
    error: str | None = None
    code: int = 0  # exit code


Message = Begun | Reached | Said | Ended
Hear = Callable[[int, Message], None]  # the number of the job, and what is new of it


def share(threads: int, processes: int) -> int:
    """Return the threads of each of several processes: two on one core slow each other."""
    return max(1, threads // processes)


def carry_out(jobs: Sequence[Job], at_once: int, hear: Hear) -> None:
    """Carry out runs, `at_once` of them at a time; each ends with one message `Ended`.

    Ctrl-C and SIGTERM reach all that run, each of which stops with a checkpoint; those that had not
    begun are not begun, and end without an outcome.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(enumerate(jobs))[::-1]
    working: dict[Connection, tuple[int, BaseProcess]] = {}
    stopping: list[int] = []

    def begin() -> None:
        number, job = waiting.pop()
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=enter, args=(job, theirs))
        start_deaf(process)
        theirs.close()  # ours is then at its end when the process is
        working[ours] = (number, process)

    def processes() -> list[BaseProcess]:
        return [process for _, process in working.values()]

    with passing_on(processes, stopping.append):
        while working or (waiting and not stopping):
            while waiting and len(working) < at_once and not stopping:
                begin()
            for pipe in wait(list(working), timeout=0.5):
                assert isinstance(pipe, Connection)
                number, process = working[pipe]
                message = _received(pipe, process)
                hear(number, message)
                if isinstance(message, Ended):
                    process.join()
                    pipe.close()
                    del working[pipe]
    for number, _ in reversed(waiting):
        hear(number, Ended(None, "not begun: stopped before", 130))


def start_deaf(process: BaseProcess) -> None:
    """Start a process from which Ctrl-C and SIGTERM are held back until it can hear them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _received(pipe: Connection, process: BaseProcess) -> Message:
    """Return the next message of a process, or its end, if it died without a word."""
    try:
        message = pipe.recv()
    except (EOFError, OSError):
        process.join()
        code = process.exitcode or 0
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Ended(None, f"its process ended by {cause}", 1)
    assert isinstance(message, Begun | Reached | Said | Ended)
    return message


@contextmanager
def passing_on(
    processes: Callable[[], Sequence[Any]], heard: Callable[[int], None] = lambda number: None
) -> Iterator[None]:
    """Pass Ctrl-C and SIGTERM on to processes, which are in process groups of their own."""

    def pass_on(number: int, _: object) -> None:
        heard(number)
        for process in processes():
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, number)

    before = {number: signal.signal(number, pass_on) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def enter(job: Job, pipe: Connection) -> None:
    """Carry out one run: the main function of its process."""
    os.setpgid(0, 0)  # a terminal's Ctrl-C reaches the command alone, which passes it on once
    display = Piped(pipe)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        ended = _run(job, display)
    except RlvitError as problem:
        ended = Ended(None, str(problem), problem.exit_code)
    except KeyboardInterrupt:
        ended = Ended(None, "stopped before it began", 130)
    display.send(ended)
    sys.exit(ended.code)


def _run(job: Job, display: Piped) -> Ended:
    from rlvit.catalog import build_catalog
    from rlvit.manager import create_plugin_manager
    from rlvit.runs import execute
    from rlvit.runs.plan import make_plan
    from rlvit.runs.trained import open_trained

    catalog, request = build_catalog(create_plugin_manager()), job.request
    if job.selector_from is not None:
        taken = open_trained(catalog, job.home, job.selector_from)
        request = replace(request, trained=taken)
    outcome = execute.start(catalog, job.home, make_plan(catalog, request), display)
    codes = {"completed": 0, "failed": 1}
    return Ended(outcome, outcome.error, codes.get(outcome.state, 130))


class Piped:
    """The display of a run in another process: passes everything on."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe: Connection | None = pipe
        self._sending = threading.Lock()  # the recorder's thread has something to say as well

    def send(self, message: Message) -> None:
        """Pass a message on; where nobody listens any more the run goes on unseen."""
        with self._sending:
            if self._pipe is not None:
                try:
                    self._pipe.send(message)
                except OSError:
                    self._pipe = None

    def stage(self, name: str, total: int, unit: str) -> StageProgress:
        """Begin a stage."""
        self.send(Begun(name, total, unit))
        return _PipedStage(self, total)

    def say(self, text: str) -> None:
        """Pass a message on."""
        self.send(Said(text))

    def close(self) -> None:
        """The end of the run closes the pipe."""


class _PipedStage:
    def __init__(self, display: Piped, total: int) -> None:
        self._display, self._total, self._at = display, total, 0.0

    def update(self, done: int, **shown: float) -> None:
        now = time.monotonic()
        if now - self._at >= SHOW_SECONDS or done >= self._total:
            self._at = now
            self._display.send(Reached(done, shown))
