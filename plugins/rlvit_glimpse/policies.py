"""From a network's outputs to what an agent of each variant may do, and back to the game."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from rlvit.rl.ppo import categorical_entropy
from rlvit_glimpse.actions import (
    ANSWER,
    SWITCHES,
    Hybrid,
    HybridAction,
    MultiCategorical,
    WithEpsilon,
)
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.networks import Heads

TEMPERATURE = 0.3  # of hybrid-vit's class (vit_rl.py)
CERTAIN = 30.0  # log-odds whose log-probability is 0 in single precision


class Policy(Protocol):
    """A distribution over actions of G games, or of [T, G] of them."""

    def sample(self, generator: torch.Generator) -> Any:
        """Draw actions."""

    def greedy(self) -> Any:
        """Return the actions that nothing is left to chance in."""

    def log_prob(self, action: Any) -> Tensor:
        """Return nats [...]."""

    def entropies(self) -> dict[str, Tensor]:
        """Return nats [...] of each head."""


@dataclass(frozen=True)
class LastClass:
    """Switches count while a game goes on, the class when it is read: where an answer is given.

    That is the last step, or whenever the head for it says so, whose choice then counts as well.
    What changes nothing has no share in the log-probability (rlvit's own; the files count all).

    Attributes:
        base: all heads.
        last: bool [...] or one for all: the action answers in any case.
        epsilon: chance that the whole action is uniform instead; of what counts, too.
    """

    base: MultiCategorical
    last: Tensor
    epsilon: float = 0.0

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw every head, or all of them uniformly: int64 [..., K]."""
        return WithEpsilon(self.base, self.epsilon).sample(generator)

    def greedy(self) -> Tensor:
        """Return each head's likelier value: int64 [..., K]."""
        return self.base.greedy()

    def log_prob(self, action: Tensor) -> Tensor:
        """Return the class's log-prob where it is the answer, else the switches' [...]."""
        switches, answering, answer = self.base.parts(action)
        answered, choices = self.last, 0.0
        if self.base.forced is not None:
            answered, choices = action[..., -1] != 0, (~self.last) * math.log(2)
            counts = answering + torch.where(answered, answer, switches)
        else:
            counts = torch.where(answered, answer, switches)
        if not self.epsilon:
            return counts
        equal = torch.where(answered, math.log(self.base.classes), len(SWITCHES) * math.log(2))
        uniform = math.log(self.epsilon) - equal - choices
        return torch.logaddexp(counts + math.log1p(-self.epsilon), uniform)

    def entropies(self) -> dict[str, Tensor]:
        """Return nats [...] of each head, as much of it as counts: 0 where it does not.

        With answers at any time that is the chance of an answer for the class, and the rest for the
        switches, taken as constants: nobody answers for the sake of a head's entropy. Their sum is
        the entropy of what counts.
        """
        found = self.base.entropies()
        if self.base.forced is None:
            return {
                name: torch.where(self.last if name == "class" else ~self.last, value, 0.0)
                for name, value in found.items()
            }
        chance = self.base.chance_of_answer().detach()
        shares = dict.fromkeys(SWITCHES, 1 - chance) | {"class": chance}
        return {name: value * shares.get(name, 1.0) for name, value in found.items()}


@dataclass(frozen=True)
class RamPolicy:
    """A place from a normal distribution of fixed deviation; the class is the likeliest.

    Source: Mnih et al. 2014, section 3. Places [..., 3] are centre y and x from 0 to 1, drawn
    without bounds, and a third number that means nothing.
    """

    mean: Tensor  # [..., 2], from -1 to 1
    class_logits: Tensor  # [..., C]
    std: float
    last: Tensor | None = None  # bool, broadcasts with [...]: nobody will look at this place

    def sample(self, generator: torch.Generator) -> HybridAction:
        """Draw a place."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device)
        return self._action(self.mean.detach() + self.std * noise)

    def greedy(self) -> HybridAction:
        """Return the mean place."""
        return self._action(self.mean.detach())

    def _action(self, spot: Tensor) -> HybridAction:
        place = torch.cat([(spot + 1) / 2, torch.zeros_like(spot[..., :1])], -1)
        answer = self.class_logits.argmax(-1)
        return HybridAction(torch.zeros_like(answer, dtype=torch.bool), answer, place)

    def log_prob(self, action: HybridAction) -> Tensor:
        """Return the log-density of the place, where the frame spans 2: nats [...].

        It is 0 for the last place, which changes nothing.
        """
        distance = (2 * action.place[..., :2] - 1 - self.mean) / self.std
        scale = math.log(self.std) + math.log(2 * math.pi) / 2
        density = (-distance.square() / 2 - scale).sum(-1)
        return density if self.last is None else torch.where(self.last, 0.0, density)

    def entropies(self) -> dict[str, Tensor]:
        """Return the class's; the place's never changes."""
        return {"class": categorical_entropy(self.class_logits)}


def make_policy(config: GlimpseConfig, heads: Heads, last: Tensor, *, explores: bool) -> Policy:
    """Return what the agent does, given its network's heads.

    Args:
        config: of the run.
        heads: of [...] games.
        last: bool, broadcasts with [...]: this action is the game's last.
        explores: whether epsilon applies.
    """
    if config.variant == "ram":
        return RamPolicy(heads.policy, heads.classes, config.place_std, last)
    if config.variant == "hybrid-vit":
        kind = config.place or "deterministic"
        decision = heads.extra["decision"]
        if config.at_limit == "answer":  # nothing is left to decide, nor to learn about it
            decision = torch.where(last, CERTAIN, decision)
        return Hybrid(
            decision,
            heads.classes,
            heads.extra["place"],
            heads.extra.get("spread"),
            kind,
            TEMPERATURE,
            class_always=config.class_counts == "always",
        )
    forced = last if config.answer == "any-time" else None
    base = MultiCategorical(heads.policy, heads.classes.shape[-1], forced)
    epsilon = (config.epsilon or 0.0) if explores else 0.0
    if config.class_counts == "when-read":
        return LastClass(base, last, epsilon)
    return WithEpsilon(base, epsilon) if epsilon else base


def entropy_weights(config: GlimpseConfig) -> dict[str, float]:
    """Return the weight of each head's entropy, by its name."""
    move, zoom = config.entropy_move or 0.0, config.entropy_zoom or 0.0
    moves = dict.fromkeys(SWITCHES[:4], move)
    zooms = dict.fromkeys(SWITCHES[4:], 0.0 if config.foveation else zoom)  # rings do not zoom
    hybrid = {"place": move, "decision": zoom}
    return {**moves, **zooms, **hybrid, ANSWER: zoom, "class": config.entropy_class or 0.0}


def stacked(actions: list[Any]) -> Any:
    """Return actions of T steps, each [G, ...], as one [T, G, ...]."""
    if isinstance(actions[0], Tensor):
        return torch.stack(actions)
    columns = {
        one.name: torch.stack([getattr(action, one.name) for action in actions])
        for one in fields(actions[0])
    }
    return replace(actions[0], **columns)


def of_games(action: Any, games: Tensor) -> Any:
    """Return the actions [T, G, ...] of some games."""
    if isinstance(action, Tensor):
        return action[:, games]
    return replace(
        action, **{one.name: getattr(action, one.name)[:, games] for one in fields(action)}
    )
