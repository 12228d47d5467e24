"""What a study may ask for: metrics that its runs make, options that are heeded, real ends."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import pytest
from study_lab import Lab, wanted

from rlvit.catalog import Catalog, Entry
from rlvit.config import MethodConfig, Search, setting
from rlvit.errors import UsageProblem
from rlvit.registry import studies
from rlvit.runs.plan import make_plan
from rlvit.specs import EvaluatorSpec, MetricDef
from rlvit.tune import objectives, queue, terms
from rlvit.tune.space import idle, make_space
from rlvit.tune.study import describe, go_on


def with_more_metrics(catalog: Catalog) -> Catalog:
    """Add a metric of another evaluator of the same plugin, and one of another plugin."""
    entries = {kind: dict(found) for kind, found in catalog.entries.items()}
    toy = entries["metric"]["toy/score"].owner
    other = dataclasses.replace(toy, name="other")
    for name, owner in (("exam/goals", toy), ("other/loss", other)):
        entries["metric"][name] = Entry(MetricDef(name, "-", "max", "m"), owner)
    exam = entries["evaluator"]["toy-exam"].spec
    measures = ("toy/score", "toy/length")
    entries["evaluator"]["toy-exam"] = Entry(dataclasses.replace(exam, measures=measures), toy)
    goals = EvaluatorSpec("goals", "counts goals", exam.measure, measures=("exam/goals",))
    entries["evaluator"]["goals"] = Entry(goals, toy)
    return dataclasses.replace(catalog, entries=entries)


def test_objectives_are_what_runs_of_the_study_make(lab: Lab) -> None:
    catalog = with_more_metrics(lab.catalog)
    plan = make_plan(catalog, wanted().base)
    known = objectives.producible(catalog, plan)
    assert set(known) == {"toy/weight", "toy/noise", "toy/speed", "toy/score", "toy/length"}
    for name in ("exam/goals", "other/loss"):
        with pytest.raises(UsageProblem, match=f"{name}: runs of toy on Alpha do not make this"):
            describe(catalog, lab.home, wanted(objectives=(name,)))
        with pytest.raises(UsageProblem, match=f"{name}: runs of toy on Alpha do not make this"):
            describe(catalog, lab.home, wanted(pruner={"name": "median", "on": [name]}))
    with pytest.raises(UsageProblem, match="toy/score: it is measured at the end of a run"):
        describe(catalog, lab.home, wanted(pruner={"name": "median", "on": ["toy/score"]}))
    described, _ = describe(catalog, lab.home, wanted(pruner={"name": "asha", "on": ["weight"]}))
    assert described.pruner["on"] == ["toy/weight"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"sampler": {"name": "random", "startup": 5}}, "--startup-trials: the sampler random"),
        ({"sampler": {"name": "tpe", "population": 5}}, "--population: the sampler tpe has none"),
        ({"pruner": {"name": "none", "on": ["toy/weight"]}}, "--prune-on does nothing with"),
        ({"pruner": {"name": "none", "startup": 0}}, "--prune-startup does nothing with"),
        ({"pruner": {"name": "wilcoxon", "start": 3}}, "--prune-from does nothing with"),
        ({"pruner": {"name": "asha", "startup": 3}}, "it is for median, dominated"),
        ({"space": ("selector=toy-pick,toy-needy",)}, "selector is a part, and studies search"),
        ({"space": ("rate=0.1..0.2:0.5",)}, "the step 0.5 is longer than the range"),
    ],
)
def test_what_would_be_ignored_is_refused(lab: Lab, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageProblem, match=says):
        lab.prepare(**asked)
    assert studies.list_studies(lab.store.engine) == []


def test_an_end_that_can_never_be_is_refused(lab: Lab) -> None:
    with pytest.raises(UsageProblem, match=r"bound 0\.05 cannot be: --bound is smaller"):
        lab.prepare(space=("bound=0.05..0.5",), fixed=("rate=0.1",))
    assert lab.prepare(space=("bound=0.05..0.5", "rate=0.01..0.1"), fixed=("steps=3",)).space


def test_a_study_has_no_fewer_trials_than_it_has(lab: Lab) -> None:
    name, _ = lab.study(trials=2, space=("rate=0.1,0.2",), fixed=("steps=3",))
    with pytest.raises(UsageProblem, match=r"--trials 1: study .* has 2 trials of its own already"):
        go_on(lab.store, name, 1)
    go_on(lab.store, name, 2)


KNOWN = {"help": "h", "unit": "-", "source": "s", "group": "g"}


class Config(MethodConfig):
    """Settings that matter beside others only."""

    lr: float = setting(1e-3, search=Search(1e-4, 1e-2, only_if=("selector=learnt",)), **KNOWN)
    mode: Literal["plain", "fast", "best"] = setting("plain", **KNOWN)
    flip: bool = setting(False, **KNOWN)
    heat: float = setting(
        1.0, search=Search(0.5, 2.0, only_if=("mode=fast,best", "flip=true")), **KNOWN
    )


def known(**changed: object) -> dict[str, object]:
    return {"lr": 1e-3, "mode": "plain", "flip": False, "heat": 1.0, "selector": "x", **changed}


def test_what_cannot_matter_is_not_searched() -> None:
    both = {"selector": "learnt", "mode": "best", "flip": True}
    assert list(make_space(Config, [], {}, known=known(**both))) == ["heat", "lr"]
    assert list(make_space(Config, [], {}, known=known(selector="learnt"))) == ["lr"]
    assert list(make_space(Config, [], {}, known=known(**{**both, "flip": False}))) == ["lr"]
    searched = make_space(Config, ["mode=plain,fast"], {}, known=known(flip=True))
    assert list(searched) == ["heat", "mode"]  # with one of the modes it matters
    with pytest.raises(UsageProblem, match="heat: it matters with mode=fast,best only"):
        make_space(Config, ["heat=1..2"], {}, known=known())
    with pytest.raises(UsageProblem, match="nothing to search"):
        make_space(Config, [], {}, known=known())


def test_conditions_name_settings() -> None:
    lone = make_space(Config, [], {})
    with pytest.raises(UsageProblem, match="'selector=learnt' names no setting"):
        idle(Config, lone, {"mode": "best", "flip": True})
    with pytest.raises(ValueError, match="expected NAME=VALUE"):
        Search(1.0, 2.0, only_if=("mode",))


def test_values_can_be_asked_for(lab: Lab) -> None:
    name = lab.prepare(trials=2, fixed=("steps=3",), space=("rate=0.01..0.5", "mode=mean,sum")).name
    opened = lab.open(name)
    asked = queue.parse_queued(lab.catalog, opened.record, ("rate=0.25,mode=sum", "eta=0.3"))
    assert asked == [{"rate": 0.25, "mode": "sum"}, {"rate": 0.3}]
    assert queue.enqueue(opened, [*asked, asked[0]]) == 2
    assert queue.enqueue(opened, asked) == 0
    assert lab.worker(name).work() == "done"
    trials = lab.trials(name)
    assert trials[0].params == {"rate": 0.25, "mode": "sum"}
    assert trials[1].params["rate"] == 0.3
    for text, says in (
        ("rate=0.9", "rate is searched in 0.01..0.5"),
        ("steps=3", "unknown searched setting 'steps'"),
        ("rate", "--enqueue rate: expected NAME=VALUE"),
    ):
        with pytest.raises(UsageProblem, match=says):
            queue.parse_queued(lab.catalog, opened.record, (text,))


def test_tuning_on_evaluated_images_is_said(lab: Lab) -> None:
    plan = make_plan(lab.catalog, wanted().base)
    assert terms.chosen_on_the_test(plan, {"toy/score": "max"}) == ""  # no images
    images = dataclasses.replace(
        plan,
        task=dataclasses.replace(plan.task, kind="dataset"),
        evaluator=dataclasses.replace(plan.evaluator, measures=("toy/score",)),
        protocol=dataclasses.replace(plan.protocol, settings={"split": "test"}),
        method=dataclasses.replace(plan.method, progress={"toy/score": "val/toy"}),
    )
    said = terms.chosen_on_the_test(images, {"toy/score": "max"})
    assert said.startswith("note: tuned on toy/score of its test images")
    assert said.endswith("--objective val/toy leaves these images alone.")
    assert terms.chosen_on_the_test(images, {"toy/weight": "max"}) == ""
