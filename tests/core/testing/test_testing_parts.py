"""A backbone, reward, evaluator, task or section that breaks one rule fails that rule alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from bad_parts import broken_rules, call_home, with_part

from rlvit.catalog import Catalog, build_catalog
from rlvit.contracts import Measurement, Transition
from rlvit.errors import RlvitError
from rlvit.manager import create_plugin_manager
from rlvit.nn.transformer import Block
from rlvit.sections import ReportSection, SectionContent
from rlvit.specs import BackboneSpec, EvaluatorSpec, Protocol, RewardSpec, TaskSpec
from rlvit.testing import (
    BackboneSuite,
    EvaluatorSuite,
    RewardSuite,
    SectionSuite,
    TaskSuite,
    findings,
)
from rlvit.testing.suite import checked

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog(create_plugin_manager())


def only(broken: dict[str, str], rule: str, reason: str) -> None:
    assert list(broken) == [rule], broken
    assert reason in broken[rule]


# Backbones: the small one that is installed, spoilt.


def wide_head(good: Make) -> Make:
    def make(*given: Any) -> Any:
        made = good(*given)
        model = made.module
        model.head = torch.nn.Linear(made.shape.dim, made.shape.classes + 1)
        return made

    return make


class Shifted(Block):
    """Adds more than its parts say."""

    def forward(self, x: Any, key_mask: Any = None) -> Any:
        return super().forward(x, key_mask) + 0.1 * x.roll(1, -1)


def shifted_blocks(good: Make) -> Make:
    def make(*given: Any) -> Any:
        made = good(*given)
        for block in made.module.blocks:
            block.__class__ = Shifted
        return made

    return make


def one_seed(good: Make) -> Make:
    return lambda generator, *given: good(torch.Generator().manual_seed(0), *given)


def telling(good: Make) -> Make:
    def make(*given: Any) -> Any:
        call_home()
        return good(*given)

    return make


@pytest.mark.parametrize(
    ("rule", "bad", "reason"),
    [
        ("shapes", wide_head, "logits [3, 11], expected [3, 10]"),
        ("forward equals walk", shifted_blocks, "the logits differ by"),
        ("determinism under a seed", one_seed, "another seed gave the same weights"),
        ("no network", telling, "it asked for rlvit.invalid"),
    ],
)
def test_backbones(catalog: Catalog, rule: str, bad: Callable[[Make], Make], reason: str) -> None:
    good: BackboneSpec = catalog.entry("backbone", "simple-vit-small").spec
    if bad is wide_head:  # which another draw of torch's would make otherwise each time
        torch.manual_seed(0)
    broken = broken_rules(BackboneSuite, catalog, replace(good, make=bad(good.make)))
    broken.pop("determinism under a seed" if bad is wide_head else "", None)
    only(broken, rule, reason)


def test_a_backbone_of_another_shape_than_it_says(catalog: Catalog) -> None:
    good: BackboneSpec = catalog.entry("backbone", "simple-vit-small").spec
    assert good.shape is not None
    said = replace(good, shape=lambda shape: replace(good.shape(shape), hidden=5))
    broken = broken_rules(BackboneSuite, catalog, said)
    only(broken, "agrees with its shape", "the specification says VitShape(")


def test_a_backbone_of_patches_whose_pads_are_not_zero(catalog: Catalog) -> None:
    def embed(images: Any, order: Any) -> Any:
        return torch.ones(*order.shape, 4)

    spec = BackboneSpec(
        "mae-96", "-", "-", frozenset(), lambda generator: SimpleNamespace(embed_selected=embed)
    )
    whole = checked(BackboneSuite, "mae-96", catalog, None)
    fine = {one.rule for one in findings(whole) if one.state == "ok"}
    assert fine == {"embeds selected patches"}
    spoilt = checked(BackboneSuite, "mae-96", with_part(catalog, "backbone", spec), None)
    found = {one.rule: one.why for one in findings(spoilt) if one.state == "failed"}
    only(found, "embeds selected patches", "a pad's row is not zero")


# Rewards.

DRAWS = itertools.count()


def drawn(score: float) -> float:
    return float(next(DRAWS))


def calling(score: float) -> float:
    call_home()
    return score


@pytest.mark.parametrize(
    ("rule", "shape", "reason"),
    [
        (
            "finite",
            lambda score: math.inf if score > 1e5 else score,
            "a score of 1e+06 becomes inf",
        ),
        ("determinism", drawn, "later"),
        ("no network", calling, "it asked for rlvit.invalid"),
    ],
)
def test_rewards(catalog: Catalog, rule: str, shape: Any, reason: str) -> None:
    only(broken_rules(RewardSuite, catalog, RewardSpec("tried", "-", "-", shape)), rule, reason)


# Evaluators.


def of_nobody(examination: Any) -> Any:
    return [Measurement("eval/top1", 50.0, 0)]


def undeclared(examination: Any) -> Any:
    return [Measurement("nobody/knows", 50.0, 10)]


def unseeded(examination: Any) -> Any:
    return [Measurement("eval/top1", float(torch.rand(())), 10)]


def ragged(examination: Any) -> Any:
    examination.table({"name": np.arange(3), "correct": np.arange(2)})
    return [Measurement("eval/top1", 50.0, 10)]


def telling_all(examination: Any) -> Any:
    call_home()
    return [Measurement("eval/top1", 50.0, 10)]


@pytest.mark.parametrize(
    ("rule", "measure", "reason"),
    [
        ("measurements", of_nobody, "eval/top1 is of 0 samples"),
        ("metrics are declared", undeclared, "no plugin declares the metric 'nobody/knows'"),
        ("determinism under a seed", unseeded, "again"),
        ("table", ragged, "columns differ in length"),
        ("no network", telling_all, "it asked for rlvit.invalid"),
    ],
)
def test_evaluators(catalog: Catalog, rule: str, measure: Any, reason: str) -> None:
    spec = EvaluatorSpec("tried", "-", measure)
    only(broken_rules(EvaluatorSuite, catalog, spec), rule, reason)


# Tasks: a game of coins, and the digits, spoilt.


class Coins:
    """Guess the next coin; the whole state is the random stream."""

    action_count = 2
    dtype = np.uint8

    def __init__(self, settings: Any, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def reset(self, full: bool = False) -> Any:
        return np.zeros((1, 2, 2), dtype=self.dtype)

    def step(self, action: int) -> Transition:
        coin = int(self.random.integers(2))
        frame = np.full((1, 2, 2), coin, dtype=self.dtype)
        return Transition(frame, float(action == coin), False, False, False, False)

    def state(self) -> Any:
        return {"random": self.random.bit_generator.state}

    def restore(self, state: Any) -> None:
        self.random.bit_generator.state = state["random"]


class Floats(Coins):
    """Shows frames of floats."""

    dtype = np.float32


class Unseeded(Coins):
    """Draws from where the last one stopped, but saves its own."""

    numbers = itertools.count()

    def __init__(self, settings: Any, seed: int) -> None:
        super().__init__(settings, seed + next(self.numbers))


class Unsaved(Coins):
    """Saves nothing."""

    def restore(self, state: Any) -> None:
        pass


class Calling(Coins):
    """Tells somebody of every step."""

    def step(self, action: int) -> Transition:
        call_home()
        return super().step(action)


PROTOCOL = Protocol("full", "-", "-", {})
GAME = TaskSpec("tried", "coin", "-", "-", (PROTOCOL,), "full-games", {}, make=Coins)


@pytest.mark.parametrize(
    ("rule", "change", "reason"),
    [
        ("protocols", {"evaluator": "nobody"}, "no plugin offers its evaluator 'nobody'"),
        ("protocols", {"protocols": (PROTOCOL, PROTOCOL)}, "two protocols have one name"),
        ("game", {"make": Floats}, "a frame is float32 (1, 2, 2)"),
        ("determinism under a seed", {"make": Unseeded}, "the same actions differ"),
        ("resume is exact", {"make": Unsaved}, "a restored game goes on otherwise"),
        ("no network", {"make": Calling}, "it asked for rlvit.invalid"),
    ],
)
def test_games(catalog: Catalog, rule: str, change: dict[str, Any], reason: str) -> None:
    assert broken_rules(TaskSuite, catalog, GAME) == {}
    only(broken_rules(TaskSuite, catalog, replace(GAME, **change)), rule, reason)


def too_few_classes(good: Make) -> Make:
    def load(*given: Any) -> Any:
        return replace(good(*given), classes=("one", "two"))

    return load


def other_each_time(good: Make) -> Make:
    return lambda *given: replace(good(*given), sha256=f"{next(DRAWS):064d}")


def wordy(good: Make) -> Make:
    def load(settings: Any, request: Any) -> Any:
        if request.root.name.startswith("rlvit-check-"):
            raise RlvitError("there is nothing here:\nno file at all, that is")
        return good(settings, request)

    return load


@pytest.mark.parametrize(
    ("rule", "bad", "reason"),
    [
        ("images", too_few_classes, "labels of 'train' are 0 to 9: 2 classes"),
        ("images again", other_each_time, "sha256 is another"),
        ("missing data is said", wordy, "it says 'there is nothing here:"),
        ("no network", telling, "it asked for rlvit.invalid"),
    ],
)
def test_datasets(catalog: Catalog, rule: str, bad: Callable[[Make], Make], reason: str) -> None:
    good: TaskSpec = catalog.entry("task", "digits").spec
    only(broken_rules(TaskSuite, catalog, replace(good, load=bad(good.load))), rule, reason)


# Sections.


def no_content(request: Any) -> Any:
    return SimpleNamespace(paragraphs=(), tables=())


def new_each_time(request: Any) -> SectionContent:
    return SectionContent([str(next(DRAWS))])


@pytest.mark.parametrize(
    ("rule", "build", "reason"),
    [
        ("accepts no runs", no_content, "which is no SectionContent"),
        ("determinism", new_each_time, "the same request gave other content"),
    ],
)
def test_sections(catalog: Catalog, rule: str, build: Any, reason: str) -> None:
    broken = broken_rules(SectionSuite, catalog, ReportSection("tried", "Tried", "-", build))
    only(broken, rule, reason)
