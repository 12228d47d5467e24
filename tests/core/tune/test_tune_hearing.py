"""Workers hear Ctrl-C and SIGTERM at any moment, and no signal is swallowed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from study_lab import Lab
from study_program import STUDY, trials_of
from toy_program import Program, until

from rlvit.registry import queries
from rlvit.runs.context import StopFlag
from rlvit.runs.display import Silent
from rlvit.tune.hearing import Hearing
from rlvit.tune.worker import Worker

FAST = {"space": ("rate=0.01..0.5:log",), "fixed": ("steps=3",)}


class Thing:
    """Something that goes away."""


def test_a_signal_where_python_cannot_raise_is_heard() -> None:
    said: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with Hearing(said.append) as hearing:
        flag, thing = hearing.flag(), Thing()
        reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
        del thing
        assert reference() is None
        assert hearing.heard
        assert flag  # of the run under way
        assert hearing.flag()  # and of the next
        assert said == ["SIGINT: stopping; once more stops at once"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before


HELD_BACK = """
import os, signal
from rlvit.runs.together import STOPS
from rlvit.tune.hearing import Hearing

signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
os.kill(os.getpid(), signal.SIGTERM)
with Hearing(print) as hearing:
    assert hearing.heard
"""


def test_signals_that_were_held_back_are_heard() -> None:
    # In a process with one thread: another one would take the signal.
    done = subprocess.run(
        [sys.executable, "-c", HELD_BACK], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "SIGTERM: stopping; once more stops at once\n"


def test_another_process_may_tell() -> None:
    told = [False]
    hearing = Hearing(lambda text: None, lambda: told[0])
    assert not hearing.heard
    assert not hearing.flag()
    told[0] = True
    assert hearing.heard
    assert hearing.flag()


def test_a_worker_that_was_told_before_begins_nothing(lab: Lab) -> None:
    name = lab.prepare(**FAST).name
    worker = Worker(
        lab.open(name), lab.said.append, Silent, hearing=Hearing(lab.said.append, lambda: True)
    )
    assert worker.work() == "interrupted"
    assert lab.trials(name) == []


def test_a_signal_before_a_run_begins_stops_it_with_a_checkpoint(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = lab.prepare(**FAST).name
    with Hearing(lab.said.append) as hearing:
        worker = Worker(lab.open(name), lab.said.append, Silent, hearing=hearing)
        flag = hearing.flag

        def signalled() -> StopFlag:
            found = flag()
            os.kill(os.getpid(), signal.SIGINT)
            return found

        monkeypatch.setattr(hearing, "flag", signalled)
        assert worker.work() == "interrupted"
    (trial,) = lab.trials(name)
    assert (trial.state, trial.reason) == ("interrupted", "stopped as asked")
    run = queries.find_run(lab.store.engine, trial.runs[0])
    assert run.state == "interrupted"
    assert list((lab.home.runs / run.id / "checkpoint").iterdir())
    assert lab.worker(name).work() == "done"


def test_a_signal_while_workers_are_set_up_ends_them_all(program: Program, tmp_path: Path) -> None:
    command = program.start(*STUDY, "--trials", "400", "--workers", "2")
    until(lambda: (program.home / "runs" / "studies").is_dir(), "the study")
    command.send(signal.SIGINT)  # the workers import what they need
    done = command.wait()
    assert done.code == 130, done.err
    assert {trial.state for trial in trials_of(program.home)} <= {"interrupted", "completed"}
