"""Every sampler draws the same again, and after a stop what it would have drawn without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from rlvit.errors import UsageProblem
from rlvit.home import Home
from rlvit.tune.samplers import SAMPLERS, check_sampler, make_pruner, make_sampler, trial_seed
from rlvit.tune.space import Range
from rlvit.tune.storage import choose, open_storage

NUMBERS = {
    "a": Range("a", low=1e-4, high=1e-1, log=True),
    "b": Range("b", whole=True, low=1, high=9),
    "c": Range("c", low=0.0, high=1.0, step=0.25),
}
GRID = {
    "b": Range("b", whole=True, low=1, high=4),
    "c": Range("c", low=0.0, high=1.0, step=0.25),
}
CHOICES = {**NUMBERS, "d": Range("d", choices=("x", "y"))}
SETTINGS = {"startup": 4, "population": 4}


def space_for(sampler: str) -> dict[str, Range]:
    return GRID if sampler == "grid" else NUMBERS if sampler == "cmaes" else CHOICES


def draw(home: Home, name: str, count: int, seed: int = 3, aims: int = 1) -> list[dict[str, Any]]:
    """Open the study as a new process would, and let it have `count` trials in all."""
    space = space_for(name)
    storage = open_storage(home, choose(home, None))
    study = optuna.create_study(
        storage=storage,
        study_name="s",
        sampler=make_sampler({"name": name, **SETTINGS}, seed, space),
        directions=["maximize"] * aims,
        load_if_exists=True,
    )
    distributions = {field: one.distribution for field, one in space.items()}
    for _ in range(count - len(study.trials)):
        trial = study.ask(fixed_distributions=distributions)
        value = trial.params["c"] - 0.1 * trial.params["b"] - trial.params.get("a", 0.0)
        study.tell(trial.number, [value, -(value**2)][:aims])
    found = [dict(trial.params) for trial in study.trials]
    storage.remove_session()
    storage.engine.dispose()
    return found


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_stop_changes_nothing(name: str, tmp_path: Path) -> None:
    count = 8 if name == "gp" else 12  # after four at random; its model is slow
    at_once = draw(Home.locate(tmp_path / "once"), name, count)
    again = Home.locate(tmp_path / "again")
    assert draw(again, name, count // 2) == at_once[: count // 2]
    assert draw(again, name, count) == at_once
    assert len({str(params) for params in at_once}) > count // 2
    assert all(space_for(name)[f].holds(v) for params in at_once for f, v in params.items())


@pytest.mark.parametrize("name", ["tpe", "nsga2", "random"])
def test_the_same_holds_for_two_objectives(name: str, tmp_path: Path) -> None:
    at_once = draw(Home.locate(tmp_path / "once"), name, 9, aims=2)
    again = Home.locate(tmp_path / "again")
    draw(again, name, 5, aims=2)
    assert draw(again, name, 9, aims=2) == at_once


def test_another_seed_draws_other_values(tmp_path: Path) -> None:
    one = draw(Home.locate(tmp_path / "one"), "tpe", 3, seed=1)
    assert draw(Home.locate(tmp_path / "two"), "tpe", 3, seed=2) != one
    seeds = {trial_seed(seed, number) for seed in range(20) for number in range(50)}
    assert len(seeds) == 1000
    assert max(seeds) < 2**32


def test_a_grid_is_tried_as_a_whole(tmp_path: Path) -> None:
    drawn = draw(Home.locate(tmp_path), "grid", 20)
    expected = {(b, c) for b in range(1, 5) for c in (0.0, 0.25, 0.5, 0.75, 1.0)}
    assert {(params["b"], params["c"]) for params in drawn} == expected


def test_what_a_sampler_cannot_do_is_refused() -> None:
    with pytest.raises(UsageProblem, match=r"grid needs values that can be counted.*a=1e-05"):
        check_sampler("grid", {"a": Range("a", low=1e-5, high=1.0, log=True)}, {"m": "max"})
    with pytest.raises(UsageProblem, match="cmaes has one objective"):
        check_sampler("cmaes", NUMBERS, {"m": "max", "n": "min"})
    with pytest.raises(UsageProblem, match="choices alone"):
        check_sampler("cmaes", {"d": CHOICES["d"]}, {"m": "max"})
    check_sampler("cmaes", CHOICES, {"m": "max"})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("none", optuna.pruners.NopPruner),
        ("median", optuna.pruners.MedianPruner),
        ("asha", optuna.pruners.SuccessiveHalvingPruner),
        ("hyperband", optuna.pruners.HyperbandPruner),
        ("wilcoxon", optuna.pruners.WilcoxonPruner),
        ("dominated", optuna.pruners.NopPruner),
    ],
)
def test_pruners_have_names(name: str, kind: type) -> None:
    assert type(make_pruner({"name": name, "start": 5})) is kind
