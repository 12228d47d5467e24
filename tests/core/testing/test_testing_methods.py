"""A method that breaks one rule fails that rule and no other."""

from __future__ import annotations

import math
import re
import unittest
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from bad_parts import broken_rules, call_home, with_part
from drawing_method import METRIC, drawing_method

from rlvit.catalog import Catalog, build_catalog
from rlvit.config import RunOf, setting
from rlvit.manager import create_plugin_manager
from rlvit.specs import Experiment, MethodSpec, StageCost
from rlvit.testing import MethodSuite
from rlvit.testing.methods import within_a_minute
from rlvit.testing.suite import checked
from rlvit.testing.surroundings import plan_experiment

Train = Callable[[Any, Any], None]


class Seen:
    """A run's context in which some verbs are another's."""

    def __init__(self, context: Any, **verbs: Any) -> None:
        self.__dict__.update(verbs)
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def undeclared(train: Train) -> Train:
    def bad(context: Any, config: Any) -> None:
        context.log(0, {"nobody/knows": 1.0})
        train(context, config)

    return bad


def inexact(train: Train) -> Train:
    def bad(context: Any, config: Any) -> None:
        def restored(stage: str) -> Any:
            saved = context.restored(stage)
            return saved and {**saved, "weights": saved["weights"] + 1e-6}

        train(Seen(context, restored=restored), config)

    return bad


def never_saving(train: Train) -> Train:
    def bad(context: Any, config: Any) -> None:
        train(Seen(context, checkpoint=lambda *given, **more: None), config)

    return bad


def failing(train: Train) -> Train:
    def bad(context: Any, config: Any) -> None:
        raise ValueError("no luck")

    return bad


def calling_home(train: Train) -> Train:
    def bad(context: Any, config: Any) -> None:
        call_home()
        train(context, config)

    return bad


def test_a_good_one_breaks_none(toy: Catalog) -> None:
    assert broken_rules(MethodSuite, toy, toy.method("toy")) == {}


@pytest.mark.parametrize(
    ("rule", "bad", "reason"),
    [
        ("short run completes", failing, "ValueError: no luck"),
        ("metrics are declared", undeclared, "no plugin declares nobody/knows"),
        ("resume is exact", inexact, "it logged toy/weight"),
        ("resume is exact", never_saving, "it writes no checkpoint"),
        ("no network", calling_home, "it asked for rlvit.invalid"),
    ],
)
def test_a_bad_loop_breaks_its_rule_alone(
    toy: Catalog, rule: str, bad: Callable[[Train], Train], reason: str
) -> None:
    spec = toy.method("toy")
    broken = broken_rules(MethodSuite, toy, replace(spec, train=bad(spec.train)))
    assert list(broken) == [rule], broken
    assert reason in broken[rule]


DRAWS = "resume is exact with a selector that draws"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("once", "at step 5 it logged drawing/loss"),
        ("memory", "at step 5 it logged drawing/loss"),
        ("unfitted", "SelectorSpec.fit was not called: rlvit.nn.selection.make_selector"),
        ("mute", "view.generator is None"),
        ("", ""),
    ],
)
def test_a_loop_that_forgets_what_a_selector_needs_breaks_the_rule_for_it(
    fault: str, reason: str
) -> None:
    """Each keeps all other rules, for its own selector neither draws nor remembers."""
    catalog = with_part(build_catalog(create_plugin_manager()), "metric", METRIC)
    broken = broken_rules(MethodSuite, catalog, drawing_method(fault))
    assert list(broken) == [DRAWS] * bool(fault), broken
    assert reason in broken.get(DRAWS, "")


def elsewhere(spec: MethodSpec) -> MethodSpec:
    presets = [replace(p, protocol="nowhere") if p.name == "paper" else p for p in spec.presets]
    return replace(spec, presets=tuple(presets))


def priceless(spec: MethodSpec) -> MethodSpec:
    return replace(spec, estimate=lambda *given: [StageCost("learn", "-", math.nan, 0.0)])


def unplannable(spec: MethodSpec) -> MethodSpec:
    good = Experiment("half", "Table 1", "paper", {"rate": 0.5})
    bad = Experiment("too far", "Table 2", "paper", {"rate": 2.0})
    return replace(spec, experiments=(good, bad))


@pytest.mark.parametrize(
    ("rule", "bad", "reason"),
    [
        ("experiments", unplannable, "--preset paper --rate 2.0 --puzzle PUZZLE: --rate 2.0: "),
        ("presets", elsewhere, "preset paper: no puzzle has 'nowhere'"),
        ("estimate", priceless, "learn: nan"),
    ],
)
def test_a_bad_description_breaks_its_rule_alone(
    toy: Catalog, rule: str, bad: Callable[[MethodSpec], MethodSpec], reason: str
) -> None:
    broken = broken_rules(MethodSuite, toy, bad(toy.method("toy")))
    assert list(broken) == [rule], broken
    assert reason in broken[rule]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"preset": "papre"}, "unknown preset 'papre'. Did you mean 'paper'?"),
        ({"protocol": "nowhere"}, "unknown protocol 'nowhere'"),
        ({"values": {"rat": 0.1}}, "unknown option 'rat'. Did you mean 'rate'?"),
        ({"values": {"bound": 0.01}}, "--bound is smaller than --rate"),
        ({"slots": {"selector": "toy-needy"}}, "'toy-needy' needs reconstruction"),
        ({"slots": {"actor": "toy-pick"}}, "unknown slot of toy 'actor'"),
        ({"task": "Gamma"}, "unknown puzzle 'Gamma'"),
        ({}, None),
        ({"task": "Beta", "protocol": "brief"}, None),
        ({"preset": "", "note": "it is not here"}, None),
    ],
)
def test_an_experiment_has_to_be_one_that_can_run(
    toy: Catalog, given: dict[str, Any], reason: str | None
) -> None:
    one = Experiment(**{"name": "this", "reproduces": "Table 1", "preset": "paper", **given})
    spec = replace(toy.method("toy"), experiments=(one,))
    suite = checked(MethodSuite, "toy", with_part(toy, "method", spec), None)
    if reason is None:
        suite().test_experiments()
        return
    with pytest.raises(AssertionError, match=re.escape(reason)):
        suite().test_experiments()


def test_what_names_a_run_is_left_out_of_the_plan(toy: Catalog) -> None:
    from rlvit_toy.plugin import ToyConfig

    class Config(ToyConfig):
        start_from: str | None = setting(
            None, help="A run.", unit="-", source="-", group="-", run=RunOf("weights", ("toy",))
        )
        share: float = setting(
            0.5, help="Of it.", unit="-", source="-", group="-", only_with="start_from"
        )

    values = {"start_from": "RUN", "share": 0.25, "rate": 0.5}
    one = Experiment("begun by another", "Table 1", "paper", values)
    spec = replace(toy.method("toy"), config=Config, experiments=(one,))
    plan = plan_experiment(with_part(toy, "method", spec), spec, one, None)
    assert (plan.config.start_from, plan.config.rate) == (None, 0.5)
    assert "--start-from RUN --share 0.25 --rate 0.5" in one.command(spec)


def test_a_method_that_lists_no_experiment_breaks_no_rule(toy: Catalog) -> None:
    with pytest.raises(unittest.SkipTest, match="it lists none"):
        checked(MethodSuite, "toy", toy, None)().test_experiments()


def test_more_than_a_minute_is_too_long() -> None:
    within_a_minute(60.0)
    with pytest.raises(AssertionError, match=r"takes 61 s: give MethodSpec\.smallest"):
        within_a_minute(61.0)
