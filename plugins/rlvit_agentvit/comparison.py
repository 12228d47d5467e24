"""The trained network under other masks with as many patches, on the images that it is measured on.

The notebook compares all patches, its agent's and random ones (nb 57-71), but not at the same
number. These masks are fixed rules; `--selector` trains a network with another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from rlvit.contracts import Measurement, RunContext, Selection, SelectorView
from rlvit.nn.compute import received_macs
from rlvit.nn.pruning import PrunedVit
from rlvit.specs import Need
from rlvit_agentvit.selection import choose
from rlvit_agentvit.selector import PatchAgent

Score = Callable[[SelectorView], Tensor]  # [B, N]
SCOPES: tuple[Literal["batch", "image"], ...] = ("batch", "image")


def random_scores(view: SelectorView) -> Tensor:
    """Return random numbers."""
    device = view.alive.device
    return torch.rand(view.alive.shape, generator=view.generator, device=device)


def uniform_scores(count: int) -> Score:
    """Return a rule whose best `count` patches are evenly spaced along the rows, one after another.

    Of N patches they are those at floor((j + 1/2) N / count): columns where count divides N.
    """

    def scores(view: SelectorView) -> Tensor:
        batch, patches = view.alive.shape
        places = torch.arange(count, device=view.alive.device)
        chosen = ((2 * places + 1) * patches) // (2 * count)
        row = torch.zeros(patches, device=view.alive.device)
        row[chosen] = 1.0
        return row.expand(batch, patches)

    return scores


def received_scores(view: SelectorView) -> Tensor:
    """Return how much attention each patch receives in the first block."""
    return view.data["received"].view(view.alive.shape)


class FixedRule:
    """Keeps the `count` patches of each image that a rule scores highest; learns nothing."""

    def __init__(self, score: Score, count: int, cost: int = 0) -> None:
        self.score, self.count, self.cost = score, count, cost

    def select(self, view: SelectorView) -> Selection:
        """Choose patches."""
        return Selection(choose(self.score(view), "topk", self.count))

    def macs(self, view: SelectorView) -> Tensor:
        """Return the multiply-adds of the look [B]."""
        return torch.full((len(view.alive),), self.cost, device=view.alive.device)

    def prepare(self, images: Any) -> Mapping[str, float]:
        """Do nothing."""
        return {}

    def report(self) -> Mapping[str, float]:
        """Return no metrics."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return nothing to save."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing; there is no state."""


def rules(vit: PrunedVit, kept: float) -> dict[str, PrunedVit]:
    """Return the network under each fixed rule, with `kept` patches an image, rounded.

    Where that is all of them there is nothing to choose, and so no rule.
    """
    shape = vit.backbone.shape
    count = min(max(1, round(kept)), shape.patches)
    if count == shape.patches:
        return {}
    look = int(received_macs(shape, shape.prefix + shape.patches))
    seen: frozenset[Need] = frozenset({"received"})
    return {
        "random": _under(vit, FixedRule(random_scores, count)),
        "uniform": _under(vit, FixedRule(uniform_scores(count), count)),
        "received": _under(vit, FixedRule(received_scores, count, look), seen),
    }


def compare(
    context: RunContext,
    vit: PrunedVit,
    dense: PrunedVit,
    others: Mapping[str, PrunedVit],
    step: int,
) -> None:
    """Measure and record the network with all patches, under its agent's masks and the others'.

    Args:
        context: of the run.
        vit: the trained network with the run's selector.
        dense: the same network with all patches.
        others: what `rules` returned.
        step: iterations behind it.
    """
    _measure(context, "all", dense, step)
    agent = vit.selector
    if isinstance(agent, PatchAgent):
        own = agent.scope
        for scope in SCOPES:
            agent.scope = scope
            _measure(context, f"agent_{scope}", vit, step)
        agent.scope = own
    for name, other in others.items():
        _measure(context, name, other, step)


def _under(vit: PrunedVit, rule: FixedRule, needs: frozenset[Need] = frozenset()) -> PrunedVit:
    """Return the same network with a rule that decides before its first block."""
    return PrunedVit(vit.backbone, rule, needs, (0,), targets=vit.targets, bf16=vit.bf16)


def _measure(context: RunContext, name: str, vit: PrunedVit, step: int) -> None:
    vit.generator = torch.Generator(context.device).manual_seed(context.seed)
    context.say(f"the trained network with the masks {name!r}:")
    table = context.examine(vit).table
    right = 100.0 * table["correct"]
    found = [Measurement.of(f"masks/{name}", right)]
    if table["kept"].shape[1]:
        kept = table["kept"][:, -1]
        found.append(Measurement(f"masks/{name}_kept", float(kept.mean()), len(kept)))
    context.record(step, found)
