"""A real study of AgentViT on digits: two objectives, a pruner, a trial again bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlvit.home import Home
from rlvit.registry import queries, studies
from rlvit.registry.studies import StudyStore
from rlvit.runs import execute
from rlvit.runs.plan import Request
from rlvit.tune import fresh
from rlvit.tune.study import Wanted, open_study, prepare
from rlvit.tune.worker import Worker


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StudyStore]:
    """The registry of a home."""
    found = StudyStore(Home.locate(tmp_path).registry_url)
    yield found
    found.close()


def test_a_study_of_accuracy_and_cost(tiny_agent: Any, tmp_path: Path, store: StudyStore) -> None:
    home, catalog = Home.locate(tmp_path), tiny_agent.tiny.make_catalog()
    base = Request(
        plugin="agentvit",
        task="digits",
        preset="quick",
        protocol="tiny",
        values=tiny_agent.VALUES | {"epochs": 2, "patch_size": 2, "compare_masks": False},
        device="cpu",
        threads=1,
        data_root=str(tmp_path),
    )
    wanted = Wanted(
        base=base,
        space=("n_patch_desired=4..14",),
        objectives=("top1", "gmacs"),
        pruner={"name": "dominated", "startup": 1, "on": ["val/top1_masked", "val/kept"]},
        trials=3,
    )
    said: list[str] = []
    record = prepare(catalog, home, store, wanted, said.append)
    assert record.objectives == {"eval/top1": "max", "eval/gmacs": "min"}
    assert {"lr", "agent_lr", "alpha", "n_patch_desired"} <= set(record.space)
    opened = open_study(catalog, home, store, record.name)
    assert Worker(opened, said.append, tiny_agent.tiny.Rehearsal).work() == "done"
    trials = studies.list_trials(store.engine, record.name)
    assert len(trials) == 3
    assert trials[0].state == "completed"
    assert {trial.state for trial in trials} <= {"completed", "pruned"}
    for trial in trials:
        run = queries.find_run(store.engine, trial.runs[0])
        assert run.config["n_patch_desired"] == trial.params["n_patch_desired"]
    (plan,) = fresh.replayed(catalog, store, f"{record.name}:0")
    again = execute.start(catalog, home, plan, tiny_agent.tiny.Rehearsal())
    stories = [tiny_agent.outcome_of(tmp_path, run) for run in (trials[0].runs[0], again.id)]
    assert stories[0] == stories[1]


def test_a_trial_that_is_worse_image_by_image_gets_no_further_seed(
    tiny_agent: Any, tmp_path: Path, store: StudyStore
) -> None:
    home, catalog = Home.locate(tmp_path), tiny_agent.tiny.make_catalog()
    base = Request(
        plugin="agentvit",
        task="digits",
        preset="quick",
        protocol="tiny",
        values=tiny_agent.VALUES | {"epochs": 2, "patch_size": 2, "compare_masks": False},
        device="cpu",
        threads=1,
        data_root=str(tmp_path),
    )
    wanted = Wanted(
        base=base,
        space=("lr=0.0000001,0.003",),
        only=True,
        objectives=("eval/nll",),
        sampler={"name": "grid"},
        pruner={"name": "wilcoxon", "over": "images"},
        seeds_per_trial=2,
        trials=2,
    )
    said: list[str] = []
    record = prepare(catalog, home, store, wanted, said.append)
    assert record.pruner == {"name": "wilcoxon", "over": "images", "column": "nll"}
    opened = open_study(catalog, home, store, record.name)
    assert Worker(opened, said.append, tiny_agent.tiny.Rehearsal).work() == "done"
    first, second = studies.list_trials(store.engine, record.name)
    assert first.params == {"lr": 0.003}, "the order of the grid changed: take another seed"
    assert (first.state, len(first.runs)) == ("completed", 2)
    assert (second.state, len(second.runs)) == ("pruned", 1)
    assert second.reason.startswith("worse than trial 0, image by image (p = ")
    assert second.reason.endswith(", after 1 of 2 seeds)")
    assert not any("not compared" in line for line in said)
