"""Holds a stopped and resumed SPIRL run bit-equal to one that was never stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch


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


def test_a_completed_run_keeps_no_checkpoint_and_is_not_resumed(tiny: Any, unbroken: Any) -> None:
    folder = unbroken.home / "runs" / unbroken.id
    assert list((folder / "checkpoint").iterdir()) == []
    with pytest.raises(Exception, match="is completed: there is nothing to resume"):
        tiny.resume(unbroken.home)
