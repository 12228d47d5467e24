"""Grids: every point once, also those of an older study; and when a grid is complete."""

from __future__ import annotations

import pytest
from study_lab import Lab

from rlvit.cli.tune_show import conclude, state_of
from rlvit.registry import studies
from rlvit.tune.samplers import grid_size, point
from rlvit.tune.space import Range

GRID = {"sampler": {"name": "grid"}, "fixed": ("steps=3",)}


def test_points_are_the_same_however_they_were_computed() -> None:
    assert point({"b": 3 * 0.1, "a": 1}) == point({"a": 1, "b": 0.3})
    assert point({"a": "1", "b": 0.3}) != point({"a": "2", "b": 0.3})
    space = {"a": Range("a", choices=(1, 2, 3)), "b": Range("b", low=0.0, high=0.3, step=0.1)}
    assert grid_size(space) == 12


def test_a_changed_grid_does_not_compute_what_it_was_given(lab: Lab) -> None:
    _, first = lab.study(trials=9, space=("rate=0.1,0.2", "mode=mean,sum"), **GRID)
    assert len(first) == 4
    name, trials = lab.study(trials=9, space=("rate=0.1,0.2,0.4", "mode=mean,sum"), **GRID)
    own = [trial for trial in trials if not trial.source]
    assert (len(trials), len(own)) == (6, 2)
    assert {trial.params["rate"] for trial in own} == {0.4}
    assert len({point(trial.params) for trial in trials}) == 6
    record = studies.find_study(lab.store.engine, name)
    assert state_of(record, trials) == "complete"


def test_a_complete_grid_says_so(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    name, trials = lab.study(trials=20, space=("rate=0.1,0.2",), **GRID)
    conclude(lab.home, studies.find_study(lab.store.engine, name), trials)
    told = capsys.readouterr().out
    assert f"{name}: 2 completed, the grid is complete\n" in told
    assert "go on" not in told


def test_own_trials_are_counted_and_taken_ones_named(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    space = ("rate=0.01..0.5:log",)
    lab.study(trials=3, space=space, fixed=("steps=3",))
    wider = ("rate=0.001..0.5:log",)
    name, trials = lab.study(trials=2, space=wider, fixed=("steps=3",))
    assert len(trials) == 5
    record = studies.find_study(lab.store.engine, name)
    conclude(lab.home, record, trials)
    told = capsys.readouterr().out
    assert f"{name}: 2 completed, 3 taken from older studies, 2 wanted\n" in told
    assert "go on" not in told
