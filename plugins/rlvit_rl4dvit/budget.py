"""From a wanted cost to what steers it: patches for agents, rates for control arms, a threshold."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rlvit.contracts import RunContext
from rlvit.errors import RlvitError
from rlvit.nn.compute import vit_macs
from rlvit.nn.pruning import PrunedVit
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.images import training_split
from rlvit_rl4dvit.selector import TokenAgents

CALIBRATION_IMAGES = 128  # training images, as they are, in batches of 64
BISECTIONS = 16  # at most: agents that learnt little differ little in their log-odds
CLOSE = 0.005  # of the wanted patches: near enough to stop
LARGEST_LOGIT = 4.0  # log-odds of keeping: 98 %
SETTLING = 4  # rounds of finding rates and what a selector takes at them: it changes little
MISSED = 0.02  # of the wanted patches: a target out of reach, which is told


def wanted_patches(vit: PrunedVit, config: Rl4dvitConfig) -> float:
    """Return the mean number of living patches after a decision that meets the target.

    Agents tend to drop at their first decision what they drop at all (Fig. 2), so a cost is turned
    into one number of patches for all decisions. What the agents themselves cost is part of it.

    Raises:
        RlvitError: no number of patches costs so little or so much.
    """
    return _patches_for(vit, target_macs(vit, config))


def target_macs(vit: PrunedVit, config: Rl4dvitConfig) -> float:
    """Return the multiply-adds of an image that are aimed at, the same for every selector.

    A share of patches stands for the cost of keeping it after every decision, whoever decides.
    """
    if config.target_gmacs is not None:
        return 1e9 * config.target_gmacs
    assert config.target_keep is not None
    shape, count = vit.backbone.shape, len(vit.decision_blocks)
    kept = torch.full((1, count), config.target_keep * shape.patches, dtype=torch.float64)
    return float(vit_macs(shape, kept, vit.decision_blocks))


def equivalent_patches(vit: PrunedVit, macs: Tensor) -> float:
    """Return the number of patches, the same after every decision, that costs as much [B]."""
    shape = vit.backbone.shape
    least, most = _cost(vit, 0.0), _cost(vit, shape.patches)
    return _patches_for(vit, min(max(float(macs.mean()), least), most))


def _patches_for(vit: PrunedVit, macs: float) -> float:
    """Invert the cost of keeping the same patches after every decision; raises RlvitError.

    That cost is a quadratic: tokens are transformed one by one and attend in pairs.
    """
    patches = float(vit.backbone.shape.patches)
    least, middle, most = (_cost(vit, kept) for kept in (0.0, patches / 2, patches))
    _refuse_unreachable(macs, least, most)
    pairs = 2 * (least + most - 2 * middle)  # of (kept / patches)^2
    single = most - least - pairs
    return (
        patches * 2 * (macs - least) / (single + math.sqrt(single**2 + 4 * pairs * (macs - least)))
    )


def _cost(vit: PrunedVit, kept: float) -> float:
    """Return the multiply-adds of an image that keeps `kept` patches after every decision."""
    count, shape = len(vit.decision_blocks), vit.backbone.shape
    macs = vit_macs(shape, torch.full((1, count), kept, dtype=torch.float64), vit.decision_blocks)
    agents = vit.selector
    own = 0.0
    if isinstance(agents, TokenAgents):
        own = agents.expected_macs(shape.patches + (count - 1) * kept, count)
    return float(macs) + own


def control_rates(vit: PrunedVit, config: Rl4dvitConfig, own: float = 0.0) -> tuple[float, ...]:
    """Return the share that a control arm keeps at each decision: rho, then rho of the rest (4.2).

    Args:
        vit: the network with the arm's selector.
        config: of the run.
        own: multiply-adds that the selector itself takes for an image, as part of the target. That
            of looking at the class token's attention in a layer that has run is known already.

    Raises:
        RlvitError: the target cannot be reached.
    """
    count, shape = len(vit.decision_blocks), vit.backbone.shape
    if not config.has_target:
        return (config.keep_rate,) * count
    macs = target_macs(vit, config)
    known = _looks_back(vit)

    def cost(rho: float) -> float:
        kept = [shape.patches * rho**decision for decision in range(1, count + 1)]
        total = vit_macs(shape, torch.tensor([kept], dtype=torch.float64), vit.decision_blocks)
        seen = [shape.patches, *kept[:-1]]
        return float(total) + own + (shape.dim * sum(seen) if known else 0.0)

    _refuse_unreachable(macs, cost(0.0), cost(1.0))
    return (_bisected(lambda rho: cost(rho) - macs, 0.0, 1.0),) * count


def _looks_back(vit: PrunedVit) -> bool:
    """Whether the selector's cost is that of a query against keys that are there anyway."""
    return "attention" in vit.needs and vit.decision_blocks[0] > 0


@torch.inference_mode()
def settled_rates(
    vit: PrunedVit, config: Rl4dvitConfig, say: Callable[[str], None]
) -> tuple[float, ...]:
    """Return the rates at which network and selector together meet the target.

    What the selector takes is measured on a black image, and the rates are found again with it. If
    it takes more than the target leaves, the network alone meets the target, which is said.

    Raises:
        RlvitError: the target cannot be reached whatever the selector takes.
    """
    rates = control_rates(vit, config)
    if not config.has_target or _looks_back(vit):
        return rates
    alone, own = rates, 0.0
    for _ in range(SETTLING):
        own = _own_macs(vit, rates)
        if own == 0:
            return rates
        try:
            rates = control_rates(vit, config, own)
        except RlvitError:
            say(
                f"the selector itself takes {own / 1e9:.3g} GMACs an image, more than the target "
                "leaves: the network alone meets the target."
            )
            return alone
    return rates


def _own_macs(vit: PrunedVit, rates: tuple[float, ...]) -> float:
    """Return the multiply-adds of the selector for one image, at rates; nothing is drawn."""
    before, vit.rates = vit.rates, rates
    state = None if vit.generator is None else vit.generator.get_state()
    device = next(vit.backbone.module.parameters()).device
    black = torch.zeros(1, 3, vit.image_size, vit.image_size, dtype=torch.uint8, device=device)
    walk = vit.walk(black)
    vit.rates = before
    if vit.generator is not None and state is not None:
        vit.generator.set_state(state)
    network = vit_macs(vit.backbone.shape, walk.alive.sum(2).T, vit.decision_blocks)
    return float(walk.macs - network)


def _refuse_unreachable(macs: float, least: float, most: float) -> None:
    """Raise RlvitError unless a cost lies between the least and the most."""
    if not least <= macs <= most:
        raise RlvitError(
            f"the target of {macs / 1e9:.3g} GMACs: with these decision blocks an image costs "
            f"between {least / 1e9:.3g} and {most / 1e9:.3g}, the selector included."
        )


def _bisected(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function crosses zero between two points."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


@torch.inference_mode()
def calibrate(context: RunContext, config: Rl4dvitConfig, vit: PrunedVit) -> None:
    """Set the threshold above which a patch stays so that training images meet the target.

    Without it the likelier action can cost far more or less than drawn actions did in training.
    """
    agents = vit.selector
    assert isinstance(agents, TokenAgents)
    split = training_split(context, config)
    count = min(CALIBRATION_IMAGES, len(split.labels))
    chosen = context.generator("calibrate").permutation(len(split.labels))[:count]
    batches = [b for b in np.array_split(chosen, -(-count // 64)) if len(b)]
    images = [b.to(context.device) for b in split.batches(batches, vit.image_size)]
    wanted = wanted_patches(vit, config)
    progress = context.stage("calibrate", BISECTIONS, "thresholds")
    low, high = -LARGEST_LOGIT, LARGEST_LOGIT
    nearest, found, best = math.inf, 0.0, 0.0
    for trial in range(BISECTIONS):
        context.check_stop()
        agents.threshold = (low + high) / 2
        kept = equivalent_patches(vit, torch.cat([vit.walk(batch).macs for batch in images]))
        progress.update(trial + 1, kept=kept)
        if abs(kept - wanted) < nearest:
            nearest, found, best = abs(kept - wanted), kept, agents.threshold
        if nearest <= CLOSE * wanted:
            break
        low, high = (agents.threshold, high) if kept > wanted else (low, agents.threshold)
    agents.threshold = best
    likely = 1 / (1 + math.exp(-best))
    context.say(f"patches stay above probability {likely:.3f}: {found:.1f} of a training image do")
    if nearest > MISSED * wanted:
        context.say(
            f"no threshold keeps {wanted:.1f} patches: the nearest that was tried keeps {found:.1f}"
        )
