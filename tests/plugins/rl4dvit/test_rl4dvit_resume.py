"""Holds a stopped and resumed RL4DViT run bit-equal to one that was never stopped."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest

KILLED, STOPPED = -signal.SIGKILL, 130
# Where each attempt ends, how, and from where the next one goes on. Checkpoints are due at every
# second step; one more is written where Ctrl-C is heard.
NONE = "there is no checkpoint yet; starting from the beginning"
STOPS: list[tuple[tuple[str, str, int, str], int, str]] = [
    (("after", "backbone", 3, "SIGKILL"), KILLED, "going on from backbone 2"),
    (("shown", "backbone", 2, "SIGINT"), STOPPED, "going on from backbone 3"),
    (("shown", "evaluate", 1, "SIGKILL"), KILLED, "going on from backbone 6"),  # all patches
    (("after", "rollouts", 3, "SIGKILL"), KILLED, "going on from rollouts 2"),
    (("shown", "rollouts", 2, "SIGINT"), STOPPED, "going on from rollouts 3"),
    (("shown", "calibrate", 4, "SIGKILL"), KILLED, "going on from rollouts 5"),
    (("shown", "calibrate", 2, "SIGINT"), STOPPED, "going on from rollouts 5"),
    (("shown", "evaluate", 1, "SIGKILL"), KILLED, "going on from rollouts 5"),  # before tuning
    (("shown", "evaluate", 1, "SIGINT"), STOPPED, "going on from rollouts 5"),
    (("after", "finetune", 1, "SIGKILL"), KILLED, "going on from finetune 0"),
    (("shown", "finetune", 2, "SIGINT"), STOPPED, "going on from finetune 1"),
    (("shown", "evaluate", 2, "SIGKILL"), KILLED, "going on from finetune 3"),  # the last
    (("shown", "evaluate", 1, "SIGINT"), STOPPED, "going on from finetune 3"),
    (("built", "model", 0, "SIGINT"), STOPPED, "going on from finetune 3"),  # heard by the figures
    (("built", "figures", 0, "SIGKILL"), KILLED, "going on from finetune 3"),
]


def log_of(home: Path, run_id: str) -> list[str]:
    """Where each attempt but the first began, by the run's log."""
    log = (home / "runs" / run_id / "log.txt").read_text()
    return re.findall(r"attempt (\d+: (?:going|there) .*)", log)


def finish(tiny: Any, home: Path) -> Any:
    """Resume the newest run to its end."""
    outcome = tiny.resume(home)
    assert outcome.state == "completed", outcome.error
    return outcome


def test_a_run_stopped_in_every_stage_ends_like_an_unbroken_one(
    tiny_vit: Any, whole_run: Any, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    actions = ["start"] + ["resume"] * (len(STOPS) - 1)
    plan = [(action, {"stop": stop}) for action, (stop, _, _) in zip(actions, STOPS, strict=True)]
    assert tiny_vit.attempts(home, plan) == [code for _, code, _ in STOPS]
    outcome = finish(tiny_vit, home)
    wheres = [f"{number}: {where}" for number, (_, _, where) in enumerate(STOPS, start=2)]
    assert log_of(home, outcome.id) == wheres
    assert tiny_vit.outcome_of(home, outcome.id) == whole_run.story
    (run,) = tiny_vit.runs_of(home)
    assert (run.state, run.attempt) == ("completed", len(STOPS) + 1)


def test_what_is_compared_would_show_a_difference(whole_run: Any) -> None:
    story = whole_run.story
    kept = {"backbone", "data", "dense", "figures", "model", "predictions-5", "predictions-8"}
    assert set(story["artifacts"]) == kept
    assert [row["step"] for row in story["rows"]] == [*range(1, 7), *range(1, 6), 6, 7, 8]
    moved = [row["rl/alpha"] for row in story["rows"] if "rl/alpha" in row]
    assert len(set(moved)) == 5


@pytest.mark.parametrize("selector", ["random"])
def test_a_control_arm_is_resumed_within_its_fine_tuning(
    tiny_vit: Any, whole_run: Any, tmp_path: Path, selector: str
) -> None:
    options: dict[str, Any] = {
        "selector": selector,
        "weights": str(whole_run.folder / "artifacts" / "backbone" / "backbone.safetensors"),
        "figures": False,
    }
    unbroken = tiny_vit.start(tmp_path / "unbroken", **options)
    assert unbroken.state == "completed", unbroken.error
    home = tmp_path / "home"
    ended = tiny_vit.attempts(
        home,
        [
            ("start", {**options, "stop": ("shown", "evaluate", 3, "SIGKILL")}),
            ("resume", {"stop": ("after", "finetune", 2, "SIGKILL")}),
        ],
    )
    assert ended == [KILLED, KILLED]
    outcome = finish(tiny_vit, home)
    assert log_of(home, outcome.id) == [f"2: {NONE}", "3: going on from finetune 2"]
    expected = tiny_vit.outcome_of(tmp_path / "unbroken", unbroken.id)
    assert tiny_vit.outcome_of(home, outcome.id) == expected


def stopping_at(tiny: Any, wanted: str) -> Any:
    """A display that breaks a run off at the first sign of progress of a stage."""

    def heard(stage: str) -> None:
        if stage == wanted:
            raise KeyboardInterrupt

    return tiny.Rehearsal(heard)


def test_a_run_without_fine_tuning_is_resumed_from_its_agents(
    tiny_vit: Any, whole_run: Any, tmp_path: Path
) -> None:
    weights = whole_run.folder / "artifacts" / "backbone" / "backbone.safetensors"
    options: dict[str, Any] = {"finetune_epochs": 0, "weights": str(weights), "figures": False}
    unbroken = tiny_vit.start(tmp_path / "unbroken", **options)
    home = tmp_path / "home"
    stopped = tiny_vit.start(home, stopping_at(tiny_vit, "calibrate"), **options)
    assert stopped.state == "interrupted"
    outcome = finish(tiny_vit, home)
    assert log_of(home, outcome.id) == ["2: going on from rollouts 5"]
    expected = tiny_vit.outcome_of(tmp_path / "unbroken", unbroken.id)
    assert tiny_vit.outcome_of(home, outcome.id) == expected


def test_a_run_on_images_that_need_no_folder_is_resumed_without_one(
    tiny_vit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # which has no folder `data`
    monkeypatch.delenv("RLVIT_DATA", raising=False)
    home = tmp_path / "home"
    options = {"selector": "uniform", "finetune_epochs": 0, "figures": False, "data_root": None}
    stopped = tiny_vit.start(home, stopping_at(tiny_vit, "evaluate"), **options)
    assert stopped.state == "interrupted"
    finish(tiny_vit, home)
