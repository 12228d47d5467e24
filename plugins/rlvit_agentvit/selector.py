"""The selector that AgentViT trains: it scores the patches from the first layer's attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from rlvit.contracts import Selection, SelectorView, TokenBackbone
from rlvit.errors import UsageProblem
from rlvit.nn.compute import attended_macs
from rlvit.rl.ppo import bernoulli_log_prob
from rlvit_agentvit.config import AgentvitConfig
from rlvit_agentvit.network import QNetwork
from rlvit_agentvit.selection import batch_scores, choose

# greedy: by its scores; random: by random scores (epsilon); draw: each patch by chance, as
# log-odds say, which only the policy gradient learns from.
Mode = Literal["greedy", "random", "draw"]


class PatchAgent:
    """Scores each patch of an image from its state [N], and keeps patches by the run's rule.

    The state is the output of attention in the block that comes next, averaged over features
    (nb 24). In `state` and `scores` it remembers what it saw last, for learning and for figures.
    """

    def __init__(self, backbone: TokenBackbone, config: AgentvitConfig) -> None:
        self._backbone, self._config = backbone, config
        patches = backbone.shape.patches
        self.count = config.n_patch_desired or patches
        self.rule, self.scope = config.select, config.mask_scope
        self.mode: Mode = "greedy"
        self.looks = False  # see the state although a random mask does not need it
        self.network: QNetwork | None = None
        self.state_seen: Tensor | None = None  # [B, N]
        self.scores: Tensor | None = None  # [B, N], None after a random mask

    def create(self, generator: torch.Generator) -> QNetwork:
        """Draw the network's first weights, put it on the backbone's device, and return it."""
        patches, normalise = self._backbone.shape.patches, self._config.normalise_state
        network = QNetwork(patches, normalise=normalise, generator=generator)
        self.network = network.to(next(self._backbone.module.parameters()).device)
        return self.network

    def prepare(self, images: Any) -> Mapping[str, float]:
        """Do nothing: this agent learns while the network trains."""
        return {}

    def select(self, view: SelectorView) -> Selection:
        """Choose patches of images of which none is dropped yet.

        Raises:
            ValueError: there are no weights yet, or patches were dropped before.
        """
        if self.network is None:
            raise ValueError("the agent has no weights yet: create or restore them first")
        self.state_seen = self.scores = None
        if not bool(view.alive.all()):
            raise ValueError("patches were dropped before: this agent decides on whole images")
        if self.mode != "random" or self.looks:
            self.state_seen = view.data["attended"].float().view(view.alive.shape)  # [B, N]
        if self.mode == "random":
            return Selection(self._random(view))
        assert self.state_seen is not None
        with torch.no_grad(), torch.autocast(view.alive.device.type, enabled=False):
            self.scores = self.network(self.state_seen)  # [B, N]
        if self.mode == "draw":
            odds = self.scores
            chance = torch.rand(odds.shape, generator=view.generator, device=odds.device)
            keep = _never_empty(chance < odds.sigmoid(), odds)
            return Selection(keep, log_prob=bernoulli_log_prob(odds, keep).flatten())
        scores = batch_scores(self.scores) if self.scope == "batch" else self.scores
        keep = choose(scores, self.rule, self.count)  # [1 or B, N]
        return Selection(keep.expand(view.alive.shape))

    def _random(self, view: SelectorView) -> Tensor:
        """Return masks [B, N] by the run's rule from uniform scores (nb 24)."""
        batch, patches = view.alive.shape
        rows = 1 if self.scope == "batch" else batch
        scores = torch.rand(rows, patches, generator=view.generator, device=view.alive.device)
        return choose(scores, self.rule, self.count).expand(batch, patches)

    def macs(self, view: SelectorView) -> Tensor:
        """Return the multiply-adds of the last decision for each image [B]: look and network."""
        shape, cost = self._backbone.shape, 0
        if self.state_seen is not None:
            cost += attended_macs(shape, self._backbone.heads, shape.prefix + shape.patches)
        if self.scores is not None:
            assert self.network is not None
            cost += self.network.macs
        return torch.full((len(view.alive),), cost, dtype=torch.int64, device=view.alive.device)

    def report(self) -> Mapping[str, float]:
        """Return no metrics; the run logs what it learnt."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return the weights."""
        assert self.network is not None
        return {"network": self.network.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state."""
        network = self.network or self.create(torch.Generator())
        network.load_state_dict(state["network"])


def _never_empty(keep: Tensor, scores: Tensor) -> Tensor:
    """Keep the best-scored patch of an image [B, N] that would keep none."""
    best = torch.zeros_like(keep).scatter_(1, scores.argmax(1, keepdim=True), True)
    return torch.where(keep.any(1, keepdim=True), keep, best)


def make(backbone: TokenBackbone, config: Any) -> PatchAgent:
    """Return the agent of a run.

    Raises:
        UsageProblem: the run's method does not train it.
    """
    if not isinstance(config, AgentvitConfig):
        raise UsageProblem("--selector patch-agent: only the method agentvit trains it.")
    return PatchAgent(backbone, config)
