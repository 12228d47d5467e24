"""Holds a stopped and resumed SPIRL run bit-equal to one that was never stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rlvit.catalog import Catalog


def log_of(home: Path, run_id: str) -> str:
    """The run's log."""
    return (home / "runs" / run_id / "log.txt").read_text()


def stopped_from_outside(
    tiny: Any, home: Path, number: int, step: int, **options: Any
) -> subprocess.Popen[str]:
    """A new run that gets a signal at some moment between a step of its learning and step 35."""
    progress = home.with_name("progress.txt")
    process = subprocess.Popen(
        tiny.command(home, "start", progress, hold=35, **options),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    tiny.wait_for(process, progress, "learn", step)
    process.send_signal(number)
    progress.with_name("progress.txt.go").touch()
    process.communicate()
    return process


def test_a_run_killed_in_every_stage_ends_like_an_unbroken_one(
    tiny: Any, unbroken: Any, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    ended = tiny.attempts(
        home,
        [
            ("start", {"stop": ["after", "pretrain", 1, "SIGKILL"]}),  # no checkpoint yet
            ("resume", {"stop": ["after", "pretrain", 7, "SIGKILL"]}),  # within an epoch
            ("resume", {"stop": ["after", "learn", 4, "SIGKILL"]}),  # random actions
            ("resume", {"stop": ["after", "learn", 17, "SIGKILL"]}),  # learning
            ("resume", {"stop": ["after", "learn", 27, "SIGKILL"]}),  # just after a checkpoint
            ("resume", {"stop": ["within", "learn", 36, "SIGKILL"]}),
            ("resume", {"stop": ["after", "evaluate", 40, "SIGINT"]}),
            ("resume", {"stop_in_game": 1}),
        ],
    )
    assert ended == [-signal.SIGKILL] * 6 + [130, -signal.SIGKILL]
    outcome = tiny.resume(home)
    assert outcome.state == "completed", outcome.error

    log = log_of(home, outcome.id)
    starts = [line.split("attempt ", 1)[1] for line in log.splitlines() if "attempt " in line]
    assert starts == [
        "2: there is no checkpoint yet; starting from the beginning",
        "3: going on from pretrain 6",
        "4: going on from pretrain 8",
        "5: going on from learn 9",
        "6: going on from learn 27",
        "7: going on from learn 27",
        "8: going on from evaluate 40",
        "9: going on from evaluate 40",
    ]
    assert tiny.outcome_of(home, outcome.id) == unbroken.story
    assert unbroken.story["results"][0][2] > 0  # else its points would show little
    (run,) = tiny.runs_of(home)
    assert (run.state, run.attempt) == ("completed", 9)


def test_a_run_killed_at_any_moment_ends_like_an_unbroken_one(
    tiny: Any, unbroken: Any, home: Path
) -> None:
    # A checkpoint each step: the kill most likely falls into the writing of one.
    process = stopped_from_outside(tiny, home, signal.SIGKILL, 15, checkpoint_every=1)
    assert process.returncode == -signal.SIGKILL
    outcome = tiny.resume(home)
    story = tiny.outcome_of(home, outcome.id)
    # Its autoencoder was there already, so it did not log its training; the rest is the same.
    for part in ("results", "episodes", "agent", "mae.safetensors", "agent.safetensors"):
        assert story[part] == unbroken.story[part], part
    trained = [row for row in unbroken.story["rows"] if "pretrain/loss" not in row]
    assert story["rows"] == trained


def test_ctrl_c_between_checkpoints_is_resumed_at_that_very_step(
    tiny: Any, unbroken: Any, tmp_path: Path
) -> None:
    home, damaged = tmp_path / "home", tmp_path / "damaged"
    process = stopped_from_outside(tiny, home, signal.SIGINT, 25, checkpoint_every=1000)
    assert process.returncode == 130
    (run,) = tiny.runs_of(home)
    assert run.state == "interrupted"
    newest = max((home / "runs" / run.id / "checkpoint").glob("*.pt"))
    shutil.copytree(home, damaged)
    lived = torch.load(newest, weights_only=True)["replay"]
    assert lived["dones"].any()  # else the test would show little
    assert lived["rewards"].any()

    outcome = tiny.resume(home)
    assert outcome.state == "completed"
    log = log_of(home, run.id)
    assert "SIGINT: stopping with a checkpoint" in log
    step = int(log.partition("going on from learn ")[2].partition("\n")[0])
    assert 25 <= step <= 36
    assert tiny.outcome_of(home, run.id) == unbroken.story

    # The same stop with its newest checkpoint cut short: the one before is of the pre-training.
    os.truncate(damaged / "runs" / run.id / "checkpoint" / newest.name, 1000)
    display = tiny.Rehearsal()
    assert tiny.resume(damaged, display).state == "completed"
    assert any(text.startswith(f"checkpoint {newest.name} is damaged") for text in display.said), (
        display.said
    )
    assert "attempt 2: going on from pretrain 8" in display.said
    assert tiny.outcome_of(damaged, run.id) == unbroken.story


def evaluated_on_the_way(tiny: Any) -> Catalog:
    """The catalogue, with an evaluation after every 11 steps under the protocol `tiny`."""
    catalog: Catalog = tiny.make_catalog()
    tasks: Any = catalog.entries["task"]
    entry = tasks[tiny.GAME]
    protocol = entry.spec.protocol("tiny")
    settings = {**protocol.settings, "evaluate_every": 11}
    others = tuple(other for other in entry.spec.protocols if other.name != "tiny")
    often = replace(entry.spec, protocols=(*others, replace(protocol, settings=settings)))
    tasks[tiny.GAME] = replace(entry, spec=often)
    return catalog


def stopping_in_evaluation(number: int) -> Callable[[str, int], None]:
    """Ctrl-C in the midst of the games of an evaluation, for `Rehearsal`."""
    begun, before = 0, ""

    def heard(stage: str, done: int) -> None:
        nonlocal begun, before
        begun, before = begun + (stage == "evaluate" != before), stage
        if (stage, begun, done) == ("evaluate", number, 0):
            os.kill(os.getpid(), signal.SIGINT)

    return heard


@pytest.mark.parametrize("selector", ["mae-salient", "random"])
def test_ctrl_c_within_an_evaluation_on_the_way_loses_no_step(
    tiny: Any, home: Path, selector: str
) -> None:
    """What the evaluation has looked at, counted and drawn is done again as it would have been."""
    catalog, slots = evaluated_on_the_way(tiny), {"slots": {"selector": selector}}
    other = shutil.copytree(home, home.with_name("other"))
    whole = tiny.start(home, catalog=catalog, **slots)
    assert whole.state == "completed", whole.error
    story = tiny.outcome_of(home, whole.id)
    medians = {step: value for name, step, value, *_ in story["results"] if "median" in name}
    assert sorted(medians) == [11, 22, 33, 40]

    def stopping(number: int) -> Any:
        return tiny.Rehearsal(stopping_in_evaluation(number))

    stopped = tiny.start(other, stopping(1), catalog, **slots)  # after 11 steps
    states = [stopped.state, tiny.resume(other, stopping(3), catalog).state]  # 11 again, 22, 33
    states += [tiny.resume(other, stopping(1), catalog).state]  # 33 again
    assert states == ["interrupted"] * 3
    assert tiny.resume(other, catalog=catalog).state == "completed"
    log = log_of(other, stopped.id)
    assert log.count("SIGINT: stopping with a checkpoint") == 3
    starts = [line.partition("going on from ")[2] for line in log.splitlines() if "going" in line]
    assert starts == ["learn 11", "learn 33", "learn 33"]
    assert tiny.outcome_of(other, stopped.id) == story


def test_a_completed_run_keeps_no_checkpoint_and_is_not_resumed(tiny: Any, unbroken: Any) -> None:
    folder = unbroken.home / "runs" / unbroken.id
    assert list((folder / "checkpoint").iterdir()) == []
    with pytest.raises(Exception, match="is completed: there is nothing to resume"):
        tiny.resume(unbroken.home)
