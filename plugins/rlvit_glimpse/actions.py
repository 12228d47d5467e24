"""What a policy's outputs mean: distributions over moves, zooms and answers, with exact log-probs.

Each is a small frozen dataclass of tensors with any leading shape [...]. Actions carry no gradient;
log-probs and entropies, in nats, do. Generators must be on the outputs' device, for which nothing
here waits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from rlvit.rl.ppo import (
    bernoulli_entropy,
    bernoulli_log_prob,
    categorical_entropy,
    categorical_log_prob,
)

# The two-way heads in the order of their logits and of the action's columns; 1 means "do it".
SWITCHES = ("up", "down", "left", "right", "zoom_in", "zoom_out")
ANSWER = "answer"  # a seventh where games may be answered at any time, behind the class's column
CLASS_COLUMN = len(SWITCHES)
PlaceKind = Literal["deterministic", "beta", "tanh-normal"]

# Places stay this far from 0 and 1, where densities are infinite or 0. Single precision still
# resolves 1 - EDGE to 6 %; what is drawn beyond is taken as the edge itself, by old and new policy
# alike, so that their ratio stays finite.
EDGE = 1e-6
# Bounds of the tanh-normal's log standard deviation before the tanh. Below, the rounding of a place
# would matter to its density. Near a deviation of 0.9 places are almost uniform; far above, they
# gather at the edges.
LOG_STD_RANGE = (-5.0, 0.5)
# Nodes of the sum that stands for the tanh-normal's entropy integral, over +-6 standard deviations:
# within 1e-5 nats.
ENTROPY_NODES, ENTROPY_REACH = 33, 6.0


@dataclass(frozen=True)
class MultiCategorical:
    """Six independent two-way heads, then one over the classes (multi-categorical file).

    An action is int64 [..., K]: 0 or 1 for each of `SWITCHES`, then the class, K = 7. With answers
    at any time K = 8: 1 in the last column, of a head of its own, gives the class as the answer.

    Raises:
        ValueError: there are not 2 (K - 1) + C logits.
    """

    logits: Tensor  # [..., 2 (K - 1) + C]: (no, yes) of each switch in turn, then of the classes
    classes: int
    # Where answers may come at any time: bool, broadcasts with [...]: the answer is given whatever
    # its head says, which then has no share in anything. None: there is no such head.
    forced: Tensor | None = None

    def __post_init__(self) -> None:
        expected = 2 * len(self._names()) + self.classes
        if self.logits.shape[-1] != expected:
            raise ValueError(f"{expected} logits expected, not {self.logits.shape[-1]}")

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw every head by itself: int64 [..., K]."""
        switches = _draw_bernoulli(self._log_odds(), generator)
        return self._columns(switches, _draw_categorical(self._answers(), generator))

    def log_prob(self, action: Tensor) -> Tensor:
        """Return the sum of the heads' log-probs in nats: int64 [..., K] to [...]."""
        switches, answering, answer = self.parts(action)
        return switches + answer if self.forced is None else switches + answering + answer

    def parts(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log-probs of `SWITCHES`, of whether to answer, and of the class [...]."""
        pressed = torch.cat([action[..., :CLASS_COLUMN], action[..., CLASS_COLUMN + 1 :]], -1)
        heads = bernoulli_log_prob(self._log_odds(), pressed != 0)  # [..., 6 or 7]
        answer = categorical_log_prob(self._answers(), action[..., CLASS_COLUMN])
        answering = torch.zeros_like(answer)
        if self.forced is not None:
            answering = torch.where(self.forced, 0.0, heads[..., -1])
        return heads[..., : len(SWITCHES)].sum(-1), answering, answer

    def uniform(self) -> Tensor:
        """Return the log-prob of any action if all are equally likely, nats, [] or as `forced`."""
        rest = self.logits.new_full((), -math.log(2 ** len(SWITCHES) * self.classes))
        if self.forced is None:
            return rest
        return rest - math.log(2) * (~self.forced).to(rest.dtype)

    def entropies(self) -> dict[str, Tensor]:
        """Return the entropy of each of `SWITCHES`, of "class" and any "answer", nats [...]."""
        names, heads = self._names(), bernoulli_entropy(self._log_odds()).unbind(-1)
        found = dict(zip(names, heads, strict=True)) | {
            "class": categorical_entropy(self._answers())
        }
        if self.forced is not None:
            found[ANSWER] = torch.where(self.forced, 0.0, found[ANSWER])
        return found

    def chance_of_answer(self) -> Tensor:
        """Return the probability [...] that an answer is given, where it may be at any time."""
        assert self.forced is not None
        return torch.where(self.forced, 1.0, self._log_odds()[..., -1].sigmoid())

    def greedy(self) -> Tensor:
        """Return each head's likelier value (of equal ones the first): int64 [..., K]."""
        return self._columns(self._log_odds() > 0, self._answers().argmax(-1))

    def _names(self) -> tuple[str, ...]:
        """Return the names of the two-way heads."""
        return SWITCHES if self.forced is None else (*SWITCHES, ANSWER)

    def _log_odds(self) -> Tensor:
        """Return log p(1) / p(0) of every head [..., 6 or 7]: softmax over two is its sigmoid."""
        end = 2 * len(self._names())
        return self.logits[..., 1:end:2] - self.logits[..., :end:2]

    def _answers(self) -> Tensor:
        """Return the class logits [..., C]."""
        return self.logits[..., 2 * len(self._names()) :]

    def _columns(self, heads: Tensor, answer: Tensor) -> Tensor:
        """Return int64 [..., K] of bool [..., K - 1] and int64 [...]."""
        switches = heads[..., : len(SWITCHES)]
        columns = [switches.long(), answer[..., None]]
        if self.forced is not None:
            columns.append((heads[..., -1] | self.forced)[..., None].long())
        return torch.cat(columns, -1)


@dataclass(frozen=True)
class WithEpsilon:
    """A policy whose whole action is uniform with probability epsilon, at least 0 and below 1.

    The greedy-map file replaces the action inside the environment, behind the policy's back; here
    the mixture is the behaviour itself, so its log-probs are those of the actions taken. With
    epsilon 0 it is the base, number for number.

    Raises:
        ValueError: epsilon lies outside.
    """

    base: MultiCategorical
    epsilon: float

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < 1:
            raise ValueError(f"epsilon must be at least 0 and below 1, not {self.epsilon}")

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw from the mixture: int64 [..., K]."""
        action = self.base.sample(generator)
        if self.epsilon == 0:
            return action
        uniform = replace(self.base, logits=torch.zeros_like(self.base.logits)).sample(generator)
        coin = torch.rand(action.shape[:-1], generator=generator, device=action.device)
        return torch.where((coin < self.epsilon)[..., None], uniform, action)

    def log_prob(self, action: Tensor) -> Tensor:
        """Return log((1 - e) pi(a) + e u), u = 2^-6 / C, in nats: int64 [..., K] to [...].

        Where the answer is a choice, too, u = 2^-7 / C.
        """
        log_prob = self.base.log_prob(action)
        if self.epsilon == 0:
            return log_prob
        uniform = (math.log(self.epsilon) + self.base.uniform()).to(log_prob.dtype)
        return torch.logaddexp(log_prob + math.log1p(-self.epsilon), uniform)

    def entropies(self) -> dict[str, Tensor]:
        """Return the base's entropies, nats [...]: the mixture's heads are not independent."""
        return self.base.entropies()

    def greedy(self) -> Tensor:
        """Return the base's greedy action: int64 [..., K]."""
        return self.base.greedy()


@dataclass(frozen=True)
class HybridAction:
    """Answer now, or look elsewhere: only one of `answer` and `place` has a meaning."""

    decision: Tensor  # bool [...]: whether the answer is given
    answer: Tensor  # int64 [...]: a class
    place: Tensor  # [..., 3] in 0..1: move y, move x, zoom


@dataclass(frozen=True)
class Hybrid:
    """A decision, a class and a place to look at next (vit_rl.py).

    An action's log-prob is the decision's, with the class's where it is taken and the place's where
    it is not: what changes nothing has no share. `class_always` adds the class's in any case, as
    vit_rl.py does.

    Attributes:
        decision_logit: [...], log-odds of answering.
        class_logits: [..., C], before the temperature.
        place: raw [..., 3]; what it means depends on the kind.
        place_std: raw [..., 3]: tanh-normal: log standard deviation; beta: the second
            concentration, `place` being the first; deterministic: None.
        kind: deterministic: of vit_rl.py, which gives the place no log-prob and thus no gradient.
        temperature: divides the class logits, 0.3 in vit_rl.py.

    Raises:
        ValueError: the kind is unknown, or `place_std` is missing or one too many.
    """

    decision_logit: Tensor
    class_logits: Tensor
    place: Tensor
    place_std: Tensor | None
    kind: PlaceKind
    temperature: float = 0.3
    class_always: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("deterministic", "beta", "tanh-normal"):
            raise ValueError(
                f"no place distribution {self.kind!r}: deterministic, beta, tanh-normal"
            )
        if (self.place_std is None) != (self.kind == "deterministic"):
            raise ValueError(f"kind {self.kind!r} does not go with place_std {self.place_std}")

    def sample(self, generator: torch.Generator) -> HybridAction:
        """Draw all three, whether the decision leaves them a meaning or not."""
        decision = _draw_bernoulli(self.decision_logit, generator)
        answer = _draw_categorical(self._answers(), generator)
        return HybridAction(decision, answer, self._places().sample(generator))

    def log_prob(self, action: HybridAction) -> Tensor:
        """Return the log-prob in nats, that of the place a log-density: [...]."""
        decision = bernoulli_log_prob(self.decision_logit, action.decision)
        answer = categorical_log_prob(self._answers(), action.answer)
        place = self._places().log_prob(action.place)
        otherwise = place + answer if self.class_always else place
        return decision + torch.where(action.decision, answer, otherwise)

    def entropies(self) -> dict[str, Tensor]:
        """Return the entropy of "decision", "class" and "place", nats [...], each head by itself.

        The place's is differential, so it can be negative; a deterministic one's is given as 0.
        """
        return {
            "decision": bernoulli_entropy(self.decision_logit),
            "class": categorical_entropy(self._answers()),
            "place": self._places().entropy(),
        }

    def greedy(self) -> HybridAction:
        """Return the likelier decision, the likeliest class, and the place in the middle."""
        decision, answer = self.decision_logit > 0, self._answers().argmax(-1)
        return HybridAction(decision, answer, self._places().greedy())

    def _answers(self) -> Tensor:
        """Return the class logits [..., C] at the temperature."""
        return self.class_logits / self.temperature

    def _places(self) -> FixedPlace | BetaPlace | TanhNormalPlace:
        """Return the distribution of the place."""
        if self.place_std is None:
            return FixedPlace(self.place)
        if self.kind == "beta":
            first, second = functional.softplus(self.place), functional.softplus(self.place_std)
            return BetaPlace(1 + first, 1 + second)
        return TanhNormalPlace(self.place, self.place_std.clamp(*LOG_STD_RANGE))


@dataclass(frozen=True)
class FixedPlace:
    """The place of vit_rl.py, (sign(x) |tanh x|^0.8 + 1) / 2 of the raw x [..., 3]: no chance."""

    raw: Tensor

    def greedy(self) -> Tensor:
        """Return the place [..., 3]."""
        squashed = self.raw.detach().tanh()
        return (squashed.sign() * squashed.abs().pow(0.8) + 1) / 2

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return the place [..., 3]; nothing is drawn."""
        return self.greedy()

    def log_prob(self, place: Tensor) -> Tensor:
        """Return 0 [...]."""
        return self.entropy()

    def entropy(self) -> Tensor:
        """Return 0 [...]."""
        return torch.zeros_like(self.raw[..., 0])


@dataclass(frozen=True)
class BetaPlace:
    """Independent beta distributions on 0..1, concentrations above 1 [..., 3]: one hump each.

    Source: Chou et al. 2017, "Improving Stochastic Policy Gradients in Continuous Control with Deep
    Reinforcement Learning using the Beta Distribution".
    """

    alpha: Tensor
    beta: Tensor

    def greedy(self) -> Tensor:
        """Return the means [..., 3]: unlike the mode they exist for the flat distribution too."""
        return (self.alpha / (self.alpha + self.beta)).detach().clamp(EDGE, 1 - EDGE)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw a place [..., 3] as a share of two gamma variables."""
        # torch's public gamma takes no generator.
        pair = torch.stack([self.alpha, self.beta]).detach()
        drawn = torch._standard_gamma(pair, generator=generator)  # [2, ..., 3]
        return (drawn[0] / drawn.sum(0)).clamp(EDGE, 1 - EDGE)

    def log_prob(self, place: Tensor) -> Tensor:
        """Return the log-density, nats: [..., 3] to [...]."""
        place = place.clamp(EDGE, 1 - EDGE)
        powers = (self.alpha - 1) * place.log() + (self.beta - 1) * (-place).log1p()
        return (powers - self._log_beta()).sum(-1)

    def entropy(self) -> Tensor:
        """Return the differential entropy, nats [...]."""
        total = self.alpha + self.beta
        digammas = (self.alpha - 1) * self.alpha.digamma() + (self.beta - 1) * self.beta.digamma()
        return (self._log_beta() - digammas + (total - 2) * total.digamma()).sum(-1)

    def _log_beta(self) -> Tensor:
        """Return log B(alpha, beta) [..., 3]."""
        return self.alpha.lgamma() + self.beta.lgamma() - (self.alpha + self.beta).lgamma()


@dataclass(frozen=True)
class TanhNormalPlace:
    """Independent (tanh u + 1) / 2 = sigmoid(2 u), u normal: its mean and log deviation [..., 3].

    Source: Haarnoja et al. 2018, "Soft Actor-Critic", appendix C, moved from -1..1 to 0..1.
    """

    mean: Tensor
    log_std: Tensor

    def greedy(self) -> Tensor:
        """Return the medians [..., 3]."""
        return (2 * self.mean.detach()).sigmoid().clamp(EDGE, 1 - EDGE)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw a place [..., 3]."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device)
        raw = self.mean.detach() + self.log_std.detach().exp() * noise
        return (2 * raw).sigmoid().clamp(EDGE, 1 - EDGE)

    def log_prob(self, place: Tensor) -> Tensor:
        """Return the log-density, nats: [..., 3] to [...]."""
        place = place.clamp(EDGE, 1 - EDGE)
        raw = (place.log() - (-place).log1p()) / 2
        distance = (raw - self.mean) * (-self.log_std).exp()
        normal = -distance.square() / 2 - self.log_std - math.log(2 * math.pi) / 2
        return (normal - _log_slope(raw)).sum(-1)

    def entropy(self) -> Tensor:
        """Return the differential entropy, nats [...]: the normal's plus the mean log slope."""
        nodes = torch.linspace(
            -ENTROPY_REACH, ENTROPY_REACH, ENTROPY_NODES, device=self.mean.device
        )
        weights = (-nodes.square() / 2).softmax(0)
        raw = self.mean[..., None] + self.log_std.exp()[..., None] * nodes  # [..., 3, nodes]
        normal = self.log_std + math.log(2 * math.pi * math.e) / 2
        return (normal + (_log_slope(raw) * weights).sum(-1)).sum(-1)


def _log_slope(raw: Tensor) -> Tensor:
    """Return log d sigmoid(2 u) / du of any shape: log 2 sigmoid(2 u) sigmoid(-2 u)."""
    return math.log(2) - 2 * raw - 2 * functional.softplus(-2 * raw)


@torch.no_grad()
def _draw_bernoulli(log_odds: Tensor, generator: torch.Generator) -> Tensor:
    """Draw bool [...] from log-odds [...]."""
    chance = torch.rand(log_odds.shape, generator=generator, device=log_odds.device)
    return chance < log_odds.sigmoid()


@torch.no_grad()
def _draw_categorical(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw int64 [...] from logits [..., A] by the Gumbel maximum; multinomial would wait."""
    waiting = torch.empty(logits.shape, device=logits.device).exponential_(generator=generator)
    return (logits - waiting.log()).argmax(-1)
