"""From a wanted cost to patches, rates and a threshold: what comes out costs what was asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlvit.contracts import ImageShape
from rlvit.errors import RlvitError
from rlvit.nn.compute import block_macs, dense_macs, vit_macs
from rlvit.nn.pruning import PrunedVit
from rlvit_controls.selectors import ClassAttention, Uniform
from rlvit_rl4dvit.budget import (
    BISECTIONS,
    LARGEST_LOGIT,
    calibrate,
    control_rates,
    equivalent_patches,
    wanted_patches,
)
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.selector import TokenAgents
from rlvit_timm.models import make

BLOCKS = (3, 6, 9)
NEEDS = frozenset({"tokens", "cls"})


@pytest.fixture(scope="module")
def backbone() -> Any:
    """A random ViT of 12 blocks on 64 patches."""
    return make("vit_pico_grid8", torch.Generator().manual_seed(0), ImageShape(8, 10), None)


def config_of(**values: Any) -> Rl4dvitConfig:
    return Rl4dvitConfig(**values)


def with_agents(backbone: Any, config: Rl4dvitConfig, *, drawn: bool = True) -> PrunedVit:
    """The backbone with agents, which may have no weights yet."""
    agents = TokenAgents(backbone, config)
    if drawn:
        agents.create(torch.Generator().manual_seed(0))
    return PrunedVit(backbone, agents, NEEDS, config.blocks(), targets=torch.arange(10))


def with_control(backbone: Any, control: Any, blocks: tuple[int, ...] = BLOCKS) -> PrunedVit:
    needs = frozenset({"attention"}) if control is ClassAttention else frozenset()
    return PrunedVit(backbone, control(backbone), needs, blocks, targets=torch.arange(10))


def constant(backbone: Any, kept: float, blocks: tuple[int, ...] = BLOCKS) -> float:
    """The ledger's cost where as many patches are kept after every decision."""
    count = torch.full((1, len(blocks)), kept, dtype=torch.float64)
    return float(vit_macs(backbone.shape, count, blocks))


def of_actor(backbone: Any, kept: float, decisions: int = 3) -> float:
    """Multiply-adds of a token's actor: 64 -> 64 -> 256 -> 64 -> 2, for all patches, then `kept`"""
    each = 64 * 64 + 64 * 256 + 256 * 64 + 64 * 2
    return each * (64 + (decisions - 1) * kept)


def test_a_share_of_the_patches_is_what_keeping_it_costs_agents_included(backbone: Any) -> None:
    config = config_of(target_keep=0.6)
    kept = wanted_patches(with_agents(backbone, config), config)
    spent = constant(backbone, kept) + of_actor(backbone, kept)
    assert spent == pytest.approx(constant(backbone, 0.6 * 64))
    assert kept < 0.6 * 64


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("kept", [0.0, 1.0, 20.25, 40.0, 63.9, 64.0])
def test_a_cost_is_turned_into_patches_that_cost_it(
    backbone: Any, kept: float, drawn: bool
) -> None:
    macs = constant(backbone, kept) + of_actor(backbone, kept)
    config = config_of(target_gmacs=macs / 1e9 * (1 + (kept == 0) * 1e-12 - (kept == 64) * 1e-12))
    vit = with_agents(backbone, config, drawn=drawn)  # a budget is made before the weights are
    assert wanted_patches(vit, config) == pytest.approx(kept, abs=1e-6)
    assert equivalent_patches(vit, torch.full((5,), macs)) == pytest.approx(kept, abs=1e-4)


def test_the_agents_class_token_is_part_of_their_cost(backbone: Any) -> None:
    kept = 20.0
    shared = 3 * 64 * 64  # one product of the class token a decision
    macs = constant(backbone, kept) + of_actor(backbone, kept) + shared
    config = config_of(target_gmacs=macs / 1e9, actor_state="agent_specific")
    assert wanted_patches(with_agents(backbone, config), config) == pytest.approx(kept)


def test_patches_for_one_decision_and_for_a_mean_over_images(backbone: Any) -> None:
    config = config_of(decision_blocks="5")
    vit = with_agents(backbone, config)
    costs = [constant(backbone, k, (5,)) + of_actor(backbone, k, 1) for k in (10.0, 30.0)]
    found = equivalent_patches(vit, torch.tensor(costs, dtype=torch.float64))
    middle = sum(costs) / 2
    assert constant(backbone, found, (5,)) + of_actor(backbone, found, 1) == pytest.approx(middle)
    assert 20 < found < 21  # attention's pairs make it a little more than the mean


def test_equivalent_patches_inverts_the_cost_of_a_real_pass(backbone: Any) -> None:
    config = config_of()
    vit = with_agents(backbone, config)
    agents = vit.selector
    assert isinstance(agents, TokenAgents)
    images = torch.randint(256, (4, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    agents.threshold = -100.0
    everything = vit.walk(images.to(torch.uint8))
    assert bool(everything.alive.all())
    assert equivalent_patches(vit, everything.macs) == pytest.approx(64)
    agents.threshold = 100.0
    nothing = vit.walk(images.to(torch.uint8))
    assert not bool(nothing.alive.any())
    assert equivalent_patches(vit, nothing.macs) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("control", [Uniform, ClassAttention])
@pytest.mark.parametrize("share", [0.35, 0.5, 0.8, 0.999])
def test_a_control_arms_rate_meets_the_cost_with_its_own_looks(
    backbone: Any, control: Any, share: float
) -> None:
    shape = backbone.shape
    macs = share * dense_macs(shape)
    vit = with_control(backbone, control)
    rates = control_rates(vit, config_of(target_gmacs=macs / 1e9))
    assert len(set(rates)) == 1
    assert len(rates) == 3
    kept = [64 * rates[0] ** decision for decision in (1, 2, 3)]
    spent = constant(backbone, 0.0) + sum(
        3 * (block_macs(shape, 1 + k) - block_macs(shape, 1.0)) for k in kept
    )
    if control is ClassAttention:  # one query of 64 against each living key
        spent += 64 * (64 + kept[0] + kept[1])
    assert spent == pytest.approx(macs, rel=1e-9)


def test_a_share_of_the_patches_costs_a_control_arm_the_same(backbone: Any) -> None:
    (rate, *others) = control_rates(with_control(backbone, Uniform), config_of(target_keep=0.5))
    assert others == [rate, rate]
    kept = torch.tensor([[64 * rate, 64 * rate**2, 64 * rate**3]], dtype=torch.float64)
    assert float(vit_macs(backbone.shape, kept, BLOCKS)) == pytest.approx(constant(backbone, 32.0))
    assert control_rates(with_control(backbone, Uniform), config_of(target_keep=1.0)) == (
        pytest.approx((1.0,) * 3)
    )
    vit = with_control(backbone, Uniform, (5,))
    assert control_rates(vit, config_of(target_keep=0.3)) == pytest.approx((0.3,))


def test_without_a_target_a_control_arm_has_the_rate_it_is_given(backbone: Any) -> None:
    rates = control_rates(with_control(backbone, Uniform), config_of(keep_rate=0.65))
    assert rates == (0.65,) * 3


@pytest.mark.parametrize("gmacs", [1e-6, 1.0])
def test_a_cost_out_of_reach_is_refused_with_the_range(backbone: Any, gmacs: float) -> None:
    config = config_of(target_gmacs=gmacs)
    least = constant(backbone, 0.0) / 1e9
    with pytest.raises(RlvitError, match=rf"^the target of {gmacs:.3g} GMACs: .* {least:.3g} and "):
        control_rates(with_control(backbone, Uniform), config)
    least += of_actor(backbone, 0.0) / 1e9
    with pytest.raises(RlvitError, match=rf"^the target of {gmacs:.3g} GMACs: .* {least:.3g} and "):
        wanted_patches(with_agents(backbone, config), config)


class Context:
    """What calibration asks of a run: random images, and whether to stop."""

    def __init__(self, count: int) -> None:
        random = np.random.default_rng(5)
        self.images = torch.from_numpy(random.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8))
        self.device = torch.device("cpu")
        self.labels = np.zeros(count, dtype=np.int64)
        self.checks = 0
        self.said: list[str] = []
        self.seen: list[int] = []

    def data(self) -> Any:
        return SimpleNamespace(split=lambda name: self if name == "train" else None)

    def batches(self, order: Any, size: int) -> Any:
        assert size == 8
        for chosen in order:
            self.seen += chosen.tolist()
            yield self.images[torch.from_numpy(chosen)]

    def generator(self, name: str) -> np.random.Generator:
        return np.random.default_rng(len(name))

    def stage(self, name: str, total: int, unit: str) -> Any:
        return SimpleNamespace(update=lambda done, **shown: None)

    def say(self, text: str) -> None:
        self.said.append(text)

    def check_stop(self) -> None:
        self.checks += 1


@pytest.fixture(scope="module")
def opinionated(backbone: Any) -> PrunedVit:
    """Agents whose log-odds spread over the range of thresholds."""
    vit = with_agents(backbone, config_of(normalise_tokens=True))
    agents = vit.selector
    assert isinstance(agents, TokenAgents)
    assert agents.actor is not None
    with torch.no_grad():
        agents.actor.head.weight *= 300
    return vit


def logits_of(vit: PrunedVit, images: Tensor) -> Tensor:
    """Log-odds of all patches before the first decision."""
    agents = vit.selector
    assert isinstance(agents, TokenAgents)
    agents.explore, agents.decisions = True, []
    vit.generator = torch.Generator().manual_seed(0)
    vit.walk(images)
    agents.explore = False
    seen = agents.decisions[0]
    assert agents.actor is not None
    image, position = seen.acting.nonzero().unbind(1)
    with torch.no_grad():
        return agents.actor(seen.tokens, seen.cls, position, image)


@pytest.mark.parametrize("target", [0.2, 0.5, 0.8])
def test_calibration_meets_the_target_on_training_images(
    opinionated: PrunedVit, target: float
) -> None:
    context: Any = Context(40)
    assert float(logits_of(opinionated, context.images).std()) > 0.3
    agents = opinionated.selector
    assert isinstance(agents, TokenAgents)
    calibrate(context, config_of(target_keep=target, decide="calibrated"), opinionated)
    assert sorted(context.seen) == list(range(40))
    assert 1 <= context.checks <= BISECTIONS
    (said,) = context.said  # nothing about a target out of reach
    assert said.startswith("patches stay above probability 0.")
    assert abs(agents.threshold) < LARGEST_LOGIT
    kept = equivalent_patches(opinionated, opinionated.walk(context.images).macs)
    wanted = wanted_patches(opinionated, config_of(target_keep=target))
    assert kept == pytest.approx(wanted, rel=0.005)


def test_agents_that_differ_by_little_are_told_apart(backbone: Any) -> None:
    vit = with_agents(backbone, config_of(normalise_tokens=True))  # as they are first drawn
    context: Any = Context(40)
    assert float(logits_of(vit, context.images).std()) < 0.01
    calibrate(context, config_of(target_keep=0.5, decide="calibrated"), vit)
    kept = equivalent_patches(vit, vit.walk(context.images).macs)
    assert kept == pytest.approx(wanted_patches(vit, config_of(target_keep=0.5)), rel=0.05)


def test_calibration_looks_at_no_more_images_than_it_needs(opinionated: PrunedVit) -> None:
    context: Any = Context(150)
    config = config_of(target_gmacs=0.03, decide="calibrated")
    calibrate(context, config, opinionated)
    assert len(set(context.seen)) == len(context.seen) == 128
    macs = opinionated.walk(context.images[context.seen]).macs.mean()
    assert float(macs) == pytest.approx(0.03e9, rel=0.01)


def test_a_target_that_no_threshold_meets_is_told(backbone: Any) -> None:
    vit = with_agents(backbone, config_of(init_keep=0.9999))  # log-odds of 9
    context: Any = Context(8)
    calibrate(context, config_of(target_keep=0.5, decide="calibrated"), vit)
    agents = vit.selector
    assert isinstance(agents, TokenAgents)
    assert abs(agents.threshold) <= LARGEST_LOGIT
    wanted = wanted_patches(vit, config_of(target_keep=0.5))
    said = f"no threshold keeps {wanted:.1f} patches: the nearest that was tried keeps 64.0"
    assert context.said[1:] == [said]
