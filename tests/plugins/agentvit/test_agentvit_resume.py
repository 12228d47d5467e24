"""Holds a stopped, killed and resumed AgentViT run bit-equal to one that was never stopped."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest

KILLED, STOPPED = -signal.SIGKILL, 130
# Where each attempt ends, how, and from where the next one goes on. An epoch has 6 iterations.
# Checkpoints are due at every fourth one and after an epoch; one more is written where Ctrl-C is
# heard. Signs of progress come once at the beginning and after each iteration.
STOPS: dict[str, list[tuple[tuple[str, str, int, str], int, str]]] = {
    "faithful": [
        (("after", "train", 8, "SIGKILL"), KILLED, "going on from train 8"),  # in epoch 2
        (("shown", "train", 4, "SIGINT"), STOPPED, "going on from train 11"),
        (("shown", "evaluate", 1, "SIGKILL"), KILLED, "going on from train 18"),
    ],
    "bernoulli": [
        (("shown", "train", 6, "SIGKILL"), KILLED, "going on from train 4"),  # in epoch 1
        (("after", "train", 8, "SIGKILL"), KILLED, "going on from train 8"),
    ],
}


@pytest.fixture(scope="module")
def stopped(tiny_agent: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """For each credit the home of a run that was stopped, and how its attempts ended."""
    options = {"faithful": tiny_agent.FAITHFUL, "bernoulli": tiny_agent.BERNOULLI}
    homes = {credit: tmp_path_factory.mktemp(f"{credit}-stopped") for credit in STOPS}
    plan: list[tuple[str, str, dict[str, Any]]] = []
    for credit, stops in STOPS.items():
        for number, (stop, _, _) in enumerate(stops):
            given = {"stop": stop} if number else {**options[credit], "stop": stop}
            plan.append((str(homes[credit]), "resume" if number else "start", given))
    ended = iter(tiny_agent.attempts(plan))
    return {
        credit: (homes[credit], [next(ended) for _ in stops]) for credit, stops in STOPS.items()
    }


@pytest.mark.parametrize("credit", STOPS)
def test_a_run_stopped_in_mid_epoch_ends_like_an_unbroken_one(
    tiny_agent: Any, stopped: dict[str, Any], request: pytest.FixtureRequest, credit: str
) -> None:
    home, ended = stopped[credit]
    assert ended == [code for _, code, _ in STOPS[credit]]
    stops, outcome = STOPS[credit], tiny_agent.resume(home)
    assert outcome.state == "completed", outcome.error
    log = (home / "runs" / outcome.id / "log.txt").read_text()
    wheres = [f"{number}: {where}" for number, (_, _, where) in enumerate(stops, start=2)]
    assert re.findall(r"attempt (\d+: (?:going|there) .*)", log) == wheres
    whole = request.getfixturevalue(f"{credit}_run")
    found = tiny_agent.outcome_of(home, outcome.id)
    for kind in whole.story:
        assert found[kind] == whole.story[kind], kind


@pytest.mark.parametrize("credit", STOPS)
def test_what_is_compared_would_show_a_difference(
    tiny_agent: Any, request: pytest.FixtureRequest, credit: str
) -> None:
    whole = request.getfixturevalue(f"{credit}_run")
    story = whole.story
    assert {"data", "model", "predictions-18"} <= set(story["artifacts"])
    steps = sorted({row["step"] for row in story["rows"]})
    assert steps == list(range(1, 19))
    rewards = [row["agent/reward"] for row in story["rows"] if "agent/reward" in row]
    assert len(set(rewards)) >= 6
    assert {"kept", "score", "loss_term", "train_loss"} <= story["history"].keys()


def test_another_seed_ends_elsewhere(tiny_agent: Any, bernoulli_run: Any, tmp_path: Path) -> None:
    outcome = tiny_agent.start(tmp_path, **tiny_agent.BERNOULLI, seed=1)
    other = tiny_agent.outcome_of(tmp_path, outcome.id)
    assert other["artifacts"]["model"] != bernoulli_run.story["artifacts"]["model"]
    assert other["history"]["kept"] != bernoulli_run.story["history"]["kept"]
