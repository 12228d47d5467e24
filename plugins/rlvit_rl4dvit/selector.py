"""The selector that RL4DViT trains: every living patch decides whether it stays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rlvit.contracts import Selection, SelectorView, TokenBackbone
from rlvit.rl.ppo import bernoulli_log_prob
from rlvit_rl4dvit.agents import Actor, decide
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.mappo import Decision


class TokenAgents:
    """One actor, shared by all patches and all decisions (section 3.1).

    It decides greedily, or by a threshold on the log-odds that was calibrated. While `explore` is
    set it draws its actions and remembers what it saw, for learning.
    """

    def __init__(self, backbone: TokenBackbone, config: Rl4dvitConfig) -> None:
        self._backbone, self._config = backbone, config
        self.actor: Actor | None = None
        self.threshold = 0.0  # log-odds of keeping above which a patch stays
        self.draws = config.decide == "sample"
        self.explore = False
        self.decisions: list[Decision] = []  # of the walk that explored last

    def create(self, generator: torch.Generator) -> Actor:
        """Draw the actor's first weights, put it on the backbone's device, and return it."""
        self.actor = self._drawn(generator).to(next(self._backbone.module.parameters()).device)
        return self.actor

    def _drawn(self, generator: torch.Generator) -> Actor:
        shape, config = self._backbone.shape, self._config
        return Actor(
            shape.dim,
            shape.patches,
            agent_specific=config.actor_state == "agent_specific",
            normalise_tokens=config.normalise_tokens,
            init_keep=config.init_keep,
            generator=generator,
        )

    def expected_macs(self, asked: float, decisions: int) -> float:
        """Return the multiply-adds for an image of which `asked` patches are asked in all.

        It is known before there are weights: a budget is made first.
        """
        actor = self.actor or self._drawn(torch.Generator())
        return asked * actor.macs_per_token + decisions * actor.macs_per_image

    def prepare(self, images: Any) -> Mapping[str, float]:
        """Do nothing: these agents learn by rollouts."""
        return {}

    def select(self, view: SelectorView) -> Selection:
        """Let each of the T living patches decide, from its token and place.

        Raises:
            ValueError: there are no weights yet.
        """
        if self.actor is None:
            raise ValueError("the agents have no weights yet: create or restore them first")
        image, position = view.alive.nonzero().unbind(1)  # [T] each
        tokens, cls = view.data["tokens"], view.data["cls"]
        with torch.autocast(tokens.device.type, enabled=False):
            logit = self.actor(tokens, cls, position, image)  # [T]
        if self.explore or self.draws:
            stays = decide(logit, view.generator)
        else:
            stays = decide(logit - self.threshold, None)
        keep = torch.zeros_like(view.alive)
        keep[image, position] = stays
        if self.explore:
            self.decisions.append(Decision(tokens, cls, view.alive, keep))
        return Selection(keep, log_prob=bernoulli_log_prob(logit, stays))

    def macs(self, view: SelectorView) -> Tensor:
        """Return the actor's multiply-adds for each image [B]."""
        assert self.actor is not None  # select comes first
        alive = view.alive.sum(1).double()
        return alive * self.actor.macs_per_token + self.actor.macs_per_image

    def report(self) -> Mapping[str, float]:
        """Return the probability above which a patch stays."""
        return {"rl/threshold": 1 / (1 + math.exp(-self.threshold))}

    def state(self) -> dict[str, Any]:
        """Return weights and threshold."""
        assert self.actor is not None
        return {"actor": self.actor.state_dict(), "threshold": self.threshold}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state."""
        actor = self.actor or self.create(torch.Generator())
        actor.load_state_dict(state["actor"])
        self.threshold = float(state["threshold"])
