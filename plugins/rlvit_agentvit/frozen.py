"""A trained agent of another run, frozen: a selector for any method on as many patches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from rlvit.contracts import Selection, SelectorView, TokenBackbone
from rlvit.errors import UsageProblem
from rlvit.nn.compute import VitShape, attended_macs
from rlvit.nn.selection import FixedRule, keep_largest
from rlvit_agentvit.network import QNetwork
from rlvit_agentvit.selection import batch_scores, choose
from rlvit_agentvit.selector import PatchAgent

FACTS, WEIGHTS = "agent.json", "agent.safetensors"
DROPPED = 0.0  # the state of a patch that is no longer there: no attention output


class FrozenAgent(FixedRule):
    """Ranks patches by a trained network's scores of the state that AgentViT shows it.

    At a rate below 1 it keeps that share of each image, the best-scored first, so that it costs
    what control arms cost; at rate 1 what its run's own rule keeps. A patch that was dropped
    before a later decision shows as 0: in its own run the agent decides once, on whole images.
    """

    def __init__(
        self, backbone: TokenBackbone, network: QNetwork, facts: Mapping[str, Any]
    ) -> None:
        super().__init__(backbone)
        device = next(backbone.module.parameters()).device
        self.network = network.to(device).eval().requires_grad_(False)
        self.rule, self.scope, self.count = facts["rule"], facts["scope"], facts["count"]

    @torch.no_grad()
    def select(self, view: SelectorView) -> Selection:
        """Choose patches by `view.data["attended"]` [T]."""
        seen = view.data["attended"].float()
        state = seen.new_full(view.alive.shape, DROPPED).masked_scatter(view.alive, seen)  # [B, N]
        with torch.autocast(state.device.type, enabled=False):
            scores = self.network(state)  # [B, N]
        if view.rate < 1:
            return keep_largest(view, scores)
        if self.scope == "batch":
            scores = batch_scores(scores)
        kept = choose(scores, self.rule, self.count).expand(view.alive.shape)
        return Selection(kept & view.alive)

    def macs(self, view: SelectorView) -> Tensor:
        """Return the multiply-adds for each image [B] int64: look and network."""
        shape = self.backbone.shape
        tokens = view.alive.sum(1) + shape.prefix
        return attended_macs(shape, self.backbone.heads, tokens) + int(self.network.macs)


def facts_of(agent: PatchAgent) -> dict[str, Any]:
    """Return what `load` must know of an agent beside its weights, plain JSON."""
    assert agent.network is not None  # it was trained
    return {
        "patches": agent.network.patches,
        "normalise": agent.network.normalise,
        "rule": agent.rule,
        "scope": agent.scope,
        "count": agent.count,
    }


def check(folder: Path, shape: VitShape) -> None:
    """Refuse a backbone that cuts images into another number of patches; raises UsageProblem."""
    patches = _facts(folder)["patches"]
    if patches != shape.patches:
        raise UsageProblem(f"it was made for {patches} patches, not {shape.patches}.")


def load(folder: Path, backbone: TokenBackbone) -> FrozenAgent:
    """Return the agent in a folder; raises UsageProblem as `check` does."""
    check(folder, backbone.shape)
    facts = _facts(folder)
    network = QNetwork(facts["patches"], normalise=facts["normalise"], generator=torch.Generator())
    network.load_state_dict(load_file(folder / WEIGHTS))
    return FrozenAgent(backbone, network, facts)


def _facts(folder: Path) -> Mapping[str, Any]:
    """Read what is known of the agent; raises UsageProblem."""
    path = folder / FACTS
    if not path.is_file():
        raise UsageProblem(f"it has no {FACTS}: an older version made it; train it again.")
    found: Mapping[str, Any] = json.loads(path.read_text())
    return found
