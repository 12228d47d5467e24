"""Hopeless trials end early, by their steps; several objectives have a rule of their own."""

from __future__ import annotations

import pytest
from study_lab import Lab

from rlvit.contracts import LoggedRow
from rlvit.errors import UsageProblem
from rlvit.registry import queries, studies
from rlvit.runs.context import StopFlag
from rlvit.tune.images import worse_by
from rlvit.tune.objectives import dominates, pareto
from rlvit.tune.pruning import (
    DominatedRule,
    Watcher,
    dominated_share,
    every_tenth,
    value_at,
)

WAYS = ("max", "min")  # accuracy, cost


def test_domination_is_nowhere_worse_and_somewhere_better() -> None:
    assert dominates((80, 1.0), (70, 1.0), WAYS)
    assert dominates((80, 0.9), (80, 1.0), WAYS)
    assert not dominates((80, 1.0), (80, 1.0), WAYS)
    assert not dominates((90, 2.0), (80, 1.0), WAYS)
    points = [(80, 1.0), (90, 2.0), (70, 1.5), (90, 2.5), (80, 1.0)]
    assert pareto(points, WAYS) == [0, 1, 4]


def test_the_share_that_dominates() -> None:
    others = [(80, 1.0), (60, 0.5), (90, 3.0), (75, 1.2), (71, 1.9)]
    # (70, 2.0): worse than the first and the last two; cheaper than the third, better than the 2nd.
    assert dominated_share((70, 2.0), others, WAYS, startup=5) == pytest.approx(3 / 5)
    assert dominated_share((70, 2.0), others, WAYS, startup=6) == 0.0
    assert dominated_share((70, 2.0), [], WAYS, startup=0) == 0.0


def test_values_are_those_logged_last_before_a_step() -> None:
    curve = [(10, 1.0), (20, 2.0), (30, None)]
    assert [value_at(curve, step) for step in (5, 10, 19, 20, 30, 31)] == [
        *(None, 1.0, 1.0, 2.0, None, None)
    ]
    assert value_at([], 0) is None


def test_the_rule_looks_at_the_latest_vector() -> None:
    better = {"a": [(1, 50.0), (9, 90.0)], "c": [(1, 1.0), (9, 1.0)]}
    short = {"a": [(1, 90.0)], "c": [(1, 0.1)]}  # ended before step 2: not compared
    rule = DominatedRule(("a", "c"), WAYS, lambda: [better, better, short], startup=2, start=2)
    assert not rule.hopeless(row(1, a=10.0, c=2.0))  # too early
    assert not rule.hopeless(row(2, a=60.0))  # better than 50 at step 1
    assert not rule.hopeless(row(3, other=1.0))
    assert rule.hopeless(row(4, c=2.0, a=49.0))
    few = DominatedRule(("a", "c"), WAYS, lambda: [better, short], startup=2)
    assert not few.hopeless(row(4, a=1.0, c=9.0))


def row(step: int, **values: float) -> LoggedRow:
    return LoggedRow(step, step, 0.0, values)


def test_reports_grow_rarer() -> None:
    kept = [index for index in range(3000) if every_tenth(index)]
    assert kept[:100] == list(range(100))
    assert kept[100:103] == [100, 110, 120]
    assert kept[-1] == 2900
    assert len(kept) == 100 + 90 + 20


RATES = "rate=0.9,0.8,0.7,0.6,0.5,0.4,0.3,0.2,0.1"
PRUNED = {
    "space": (RATES,),
    "fixed": ("steps=12",),
    "objectives": ("toy/weight:max",),
    "sampler": {"name": "grid"},
    "trials": 9,
}


def test_a_hopeless_run_ends_as_pruned_and_stays_so(lab: Lab) -> None:
    median = {"name": "median", "startup": 2, "start": 3, "on": ["toy/weight"]}
    name, trials = lab.study(pruner=median, **PRUNED)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert 0 < len(pruned) < 9
    assert {trial.state for trial in trials} == {"completed", "pruned"}
    for trial in pruned:
        (run_id,) = trial.runs.values()
        assert trial.reason.startswith(f"pruned by study {name} at step ")
        run = queries.find_run(lab.store.engine, run_id)
        last = queries.transitions(lab.store.engine, run_id)[-1]
        # A run of a few milliseconds may be over before its rows are looked at.
        assert (run.state, last.reason) in [
            ("interrupted", f"pruned by study {name}"),
            ("completed", ""),
        ]
    assert lab.worker(name).work() == "done"  # never resumed by itself
    assert lab.trials(name) == trials


def test_pruning_is_the_same_twice(make_lab: object) -> None:
    assert callable(make_lab)
    median = {"name": "median", "startup": 2, "start": 3, "on": ["toy/weight"]}
    both = [make_lab(one).study(pruner=median, **PRUNED)[1] for one in ("one", "two")]
    told = [[(t.state, t.params, t.values, t.reason) for t in trials] for trials in both]
    assert told[0] == told[1]


def test_several_objectives_are_pruned_by_domination(lab: Lab) -> None:
    aims = {**PRUNED, "objectives": ("toy/weight:max", "toy/noise:max")}
    with pytest.raises(UsageProblem, match="take --pruner dominated"):
        lab.prepare(pruner={"name": "median", "on": ["toy/weight"]}, **aims)
    rule = {"name": "dominated", "startup": 1, "start": 2, "on": ["toy/weight", "toy/noise"]}
    name, trials = lab.study(pruner=rule, **aims)
    states = [trial.state for trial in trials]
    assert states[0] == "completed"
    assert 0 < states.count("pruned") < 9
    first = trials[0].values or {}
    late = [t for t in trials if t.state == "completed"]
    assert max((t.values or {})["toy/weight"] for t in late) >= first["toy/weight"]
    assert studies.find_study(lab.store.engine, name).pruner["on"] == ["toy/weight", "toy/noise"]


def test_pruners_are_refused_where_they_cannot_decide(lab: Lab) -> None:
    with pytest.raises(UsageProblem, match="names no metric of its training"):
        lab.prepare(pruner={"name": "median"})
    with pytest.raises(UsageProblem, match="seeds-per-trial 5"):
        lab.prepare(pruner={"name": "wilcoxon"}, seeds_per_trial=4)
    with pytest.raises(UsageProblem, match="needs --prune-from"):
        lab.prepare(pruner={"name": "hyperband", "on": ["toy/weight"]})
    with pytest.raises(UsageProblem, match="Did you mean 'toy/weight'"):
        lab.prepare(pruner={"name": "asha", "on": ["toy/weigh"]})
    assert studies.list_studies(lab.store.engine) == []


def test_wilcoxon_gives_a_trial_up_before_its_last_seeds(lab: Lab) -> None:
    settings = {"space": ("steps=3,9",), "sampler": {"name": "grid"}, "fixed": ("rate=0.1",)}
    name, trials = lab.study(
        pruner={"name": "wilcoxon"}, objectives=("toy/weight:max",), seeds_per_trial=8, trials=2,
        **settings,
    )  # fmt: skip
    runs = [len(trial.runs) for trial in trials]
    frozen = lab.open(name).optuna.trials
    assert [len(t.intermediate_values) for t in frozen] == runs
    assert runs[0] == 8
    assert (trials[1].state == "pruned") == (runs[1] < 8)


def test_a_study_that_is_to_stop_now_stops_its_run(lab: Lab) -> None:
    name, (trial,) = lab.study(trials=1)
    watcher, stop = Watcher(lab.open(name), trial.number, None, lab.said.append), StopFlag()
    watcher([row(1, a=1.0)], stop)
    assert not stop
    lab.store.change_study(name, stop="now")
    watcher([], stop)
    assert stop
    assert watcher.asked_to_stop


def test_a_watcher_that_fails_leaves_the_run_alone(lab: Lab) -> None:
    name, (trial,) = lab.study(trials=1)

    class Broken:
        def hopeless(self, row: LoggedRow) -> bool:
            raise ValueError("broken")

    watcher, stop = Watcher(lab.open(name), trial.number, Broken(), lab.said.append), StopFlag()
    watcher([row(1, a=1.0)], stop)
    watcher([row(2, a=1.0)], stop)
    assert not stop
    assert lab.said[-1] == "trial 0 is no longer watched: broken"


def test_paired_items_are_worse_by_a_signed_rank_test() -> None:
    # All of 5 differences are losses: p = 1 / 2^5; of 3: p = 1 / 2^3.
    assert worse_by([1, 2, 3, 4, 5], [2, 4, 6, 8, 10], "max") == pytest.approx(1 / 32)
    assert worse_by([1, 2, 3, 4, 5], [2, 4, 6, 8, 10], "min") == 1.0
    assert worse_by([1, 2, 3], [2, 4, 6], "max") == pytest.approx(1 / 8)
    # Gains -4, -3, -2, +1 have ranks 4, 3, 2 and 1: the sum of the gains' ranks is 1, and of the 16
    # signs two have so small a one.
    assert worse_by([0, 0, 0, 1], [4, 3, 2, 0], "max") == pytest.approx(2 / 16)
    # A mean that is no worse is never given up, nor is what does not differ or cannot be compared.
    assert worse_by([1, 1, 1, 1, 1, 9], [2, 2, 2, 2, 2, 2], "max") == 1.0
    assert worse_by([1, 1, 1], [1, 1, 1], "max") == 1.0
    assert worse_by([1, float("nan"), 1], [2, 2, 2], "max") == 1.0


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"pruner": {"name": "median", "over": "images"}}, "belongs to --pruner wilcoxon"),
        ({"pruner": {"name": "none", "over": "images"}}, "belongs to --pruner wilcoxon"),
        ({"pruner": {"name": "wilcoxon", "over": "images"}}, "item by item, not toy/score"),
    ],
)
def test_what_cannot_be_compared_item_by_item_is_refused(
    lab: Lab, changed: dict[str, object], says: str
) -> None:
    with pytest.raises(UsageProblem, match=says):
        lab.prepare(seeds_per_trial=2, **changed)
