"""Holds a stopped, killed and resumed glimpse run bit-equal to one that was never stopped."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest

KILLED, STOPPED = -signal.SIGKILL, 130
# Where each attempt ends, how, and from where the next one goes on. Checkpoints are due after every
# second rollout and after the last; one more is written where Ctrl-C is heard. Signs of progress
# come once at the beginning and after each rollout.
STOPS: dict[str, list[tuple[tuple[str, str, int, str], int, str]]] = {
    "multi-categorical": [
        (("after", "learn", 2, "SIGKILL"), KILLED, "going on from learn 2"),
        (("shown", "learn", 2, "SIGINT"), STOPPED, "going on from learn 3"),
        (("after", "learn", 5, "SIGKILL"), KILLED, "going on from learn 4"),  # none was due
        (("shown", "evaluate", 1, "SIGKILL"), KILLED, "going on from learn 6"),
    ],
    "hybrid-vit": [
        (("shown", "learn", 4, "SIGKILL"), KILLED, "going on from learn 2"),
        (("shown", "learn", 2, "SIGINT"), STOPPED, "going on from learn 3"),
        (("after", "learn", 6, "SIGKILL"), KILLED, "going on from learn 6"),
    ],
}


@pytest.fixture(scope="module")
def stopped(tiny_glimpse: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """For each variant the home of a run that was stopped, and how its attempts ended."""
    homes = {variant: tmp_path_factory.mktemp(f"{variant}-stopped") for variant in STOPS}
    plan: list[tuple[str, str, dict[str, Any]]] = []
    for variant, stops in STOPS.items():
        for number, (stop, _, _) in enumerate(stops):
            given = {"stop": stop} if number else {**tiny_glimpse.OPTIONS[variant], "stop": stop}
            plan.append((str(homes[variant]), "resume" if number else "start", given))
    ended = iter(tiny_glimpse.attempts(plan))
    return {
        variant: (homes[variant], [next(ended) for _ in stops]) for variant, stops in STOPS.items()
    }


@pytest.mark.parametrize("variant", STOPS)
def test_a_run_stopped_while_it_learns_ends_like_an_unbroken_one(
    tiny_glimpse: Any, stopped: dict[str, Any], whole_run: Any, variant: str
) -> None:
    home, ended = stopped[variant]
    assert ended == [code for _, code, _ in STOPS[variant]]
    stops, outcome = STOPS[variant], tiny_glimpse.resume(home)
    assert outcome.state == "completed", outcome.error
    log = (home / "runs" / outcome.id / "log.txt").read_text()
    wheres = [f"{number}: {where}" for number, (_, _, where) in enumerate(stops, start=2)]
    assert re.findall(r"attempt (\d+: (?:going|there) .*)", log) == wheres
    found, whole = tiny_glimpse.tiny.outcome_of(home, outcome.id), whole_run(variant).story
    for kind in whole:
        assert found[kind] == whole[kind], kind


def test_faults_that_remember_or_draw_go_on_bit_for_bit(tiny_glimpse: Any, tmp_path: Any) -> None:
    """Dropout draws in playing and learning; first views are as large as the last ones before."""
    given = {"variant": "hybrid-vit", "dropout": 0.1, "fault_start": True, "max_steps": 4}
    homes = [tmp_path / name for name in ("stopped", "whole", "without")]
    stop = ("after", "learn", 4, "SIGKILL")
    assert tiny_glimpse.attempts([(str(homes[0]), "start", {**given, "stop": stop})]) == [KILLED]
    ended = [
        tiny_glimpse.resume(homes[0]),
        tiny_glimpse.start(homes[1], **given),
        tiny_glimpse.start(homes[2], **{**given, "dropout": 0.0}),
    ]
    assert [outcome.state for outcome in ended] == ["completed"] * 3
    found, whole, without = (
        tiny_glimpse.tiny.outcome_of(home, outcome.id)
        for home, outcome in zip(homes, ended, strict=True)
    )
    for kind in whole:
        assert found[kind] == whole[kind], kind
    assert without["artifacts"]["model"] != whole["artifacts"]["model"]


@pytest.mark.parametrize("variant", STOPS)
def test_what_is_compared_would_show_a_difference(whole_run: Any, variant: str) -> None:
    story = whole_run(variant).story
    assert {"data", "model"} <= set(story["artifacts"])
    assert any(name.startswith("predictions") for name in story["artifacts"])
    rewards = [row["play/return"] for row in story["rows"] if "play/return" in row]
    assert len(rewards) >= 6
    losses = {row["ppo/value_loss"] for row in story["rows"] if "ppo/value_loss" in row}
    assert len(losses) == len(rewards)
    assert any("val/accuracy" in row for row in story["rows"])


def test_another_seed_ends_elsewhere(tiny_glimpse: Any, whole_run: Any, tmp_path: Any) -> None:
    outcome = tiny_glimpse.start(tmp_path, seed=1)
    other = tiny_glimpse.tiny.outcome_of(tmp_path, outcome.id)
    story = whole_run("multi-categorical").story
    assert other["artifacts"]["model"] != story["artifacts"]["model"]
    assert other["rows"] != story["rows"]


def test_a_checkpoint_of_an_earlier_version_says_so(tiny_glimpse: Any, tmp_path: Any) -> None:
    from rlvit_glimpse.experiment import Agent

    stop = ("after", "learn", 2, "SIGKILL")
    assert tiny_glimpse.attempts([(str(tmp_path), "start", {"stop": stop})]) == [KILLED]
    restore = Agent.restore

    def old(self: Agent, state: Any) -> None:
        restore(self, {name: value for name, value in state.items() if name != "sides"})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agent, "restore", old)
        outcome = tiny_glimpse.resume(tmp_path)
    assert outcome.state == "failed"
    (line,) = [one for one in str(outcome.error).splitlines() if "checkpoint" in one]
    assert "the checkpoint has no sides: an earlier version wrote it; start the run anew." in line
