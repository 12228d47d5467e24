"""Trained agents of another run, frozen: a selector for any method on a ViT of the same width."""

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
from rlvit.nn.compute import VitShape
from rlvit.nn.selection import FixedRule, keep_largest
from rlvit_rl4dvit.agents import Actor

FACTS, WEIGHTS = "agents.json", "agents.safetensors"


class FrozenAgents(FixedRule):
    """Ranks living patches by the log-odds with which a trained actor keeps them.

    At a rate below 1 it keeps that share of each image, the likeliest first, so that it costs
    what control arms cost; at rate 1 those above the threshold that its run ended with.
    """

    def __init__(self, backbone: TokenBackbone, actor: Actor, threshold: float) -> None:
        super().__init__(backbone)
        device = next(backbone.module.parameters()).device
        self.actor = actor.to(device).eval().requires_grad_(False)
        self.threshold = threshold  # log-odds

    @torch.no_grad()
    def select(self, view: SelectorView) -> Selection:
        """Choose patches by `view.data["tokens"]` [T, D] and `view.data["cls"]` [B, D]."""
        image, position = view.alive.nonzero().unbind(1)  # [T] each
        tokens, cls = view.data["tokens"], view.data["cls"]
        with torch.autocast(tokens.device.type, enabled=False):
            logit = self.actor(tokens, cls, position, image)  # [T]
        if view.rate < 1:
            return keep_largest(view, logit)
        keep = torch.zeros_like(view.alive)
        keep[image, position] = logit > self.threshold
        return Selection(keep)

    def macs(self, view: SelectorView) -> Tensor:
        """Return the actor's multiply-adds for each image [B]."""
        alive = view.alive.sum(1).double()
        return alive * self.actor.macs_per_token + self.actor.macs_per_image


def facts_of(actor: Actor) -> dict[str, Any]:
    """Return what `load` must know of an actor beside its weights, plain JSON."""
    return {
        "width": actor.of_token.in_features,
        "patches": actor.of_position.num_embeddings,
        "sees_cls": actor.of_cls is not None,
        "normalise_tokens": actor.normalise_tokens,
    }


def check(folder: Path, shape: VitShape) -> None:
    """Refuse a backbone whose tokens are not those of the agents' own; raises UsageProblem."""
    facts = _facts(folder)
    if facts["width"] != shape.dim:
        raise UsageProblem(f"it was made for tokens of width {facts['width']}, not {shape.dim}.")
    if facts["patches"] != shape.patches:
        raise UsageProblem(f"it was made for {facts['patches']} patches, not {shape.patches}.")
    if not shape.prefix:
        raise UsageProblem("it looks at the class token, and there is none.")


def load(folder: Path, backbone: TokenBackbone) -> FrozenAgents:
    """Return the agents in a folder; raises UsageProblem as `check` does."""
    check(folder, backbone.shape)
    facts, weights = _facts(folder), load_file(folder / WEIGHTS)
    actor = Actor(
        facts["width"],
        facts["patches"],
        agent_specific=facts["sees_cls"],
        normalise_tokens=facts["normalise_tokens"],
        generator=torch.Generator(),
    )
    threshold = float(weights.pop("threshold"))
    actor.load_state_dict(weights)
    return FrozenAgents(backbone, actor, threshold)


def _facts(folder: Path) -> Mapping[str, Any]:
    """Read what is known of the agents; raises UsageProblem."""
    path = folder / FACTS
    if not path.is_file():
        raise UsageProblem(f"it has no {FACTS}: an older version made it; train it again.")
    found: Mapping[str, Any] = json.loads(path.read_text())
    return found
