"""A game of 196 agents with one decision, where the number of survivors is known beforehand.

Everything but the images is real: the rollout, the reward, MAPPO's update.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rlvit_rl4dvit.agents import decide
from rlvit_rl4dvit.mappo import Decision, MappoSettings, make_optimiser, pack, update
from rlvit_rl4dvit.rewards import fixed_point, gated_reward, ungated_reward
from rlvit_rl4dvit.target import TargetKeep

AGENTS = 196
IMAGES = 64
BONUS = 24.0
# Small steps: a clipped ratio favours the majority's sign, which moves the settling point if one
# update may go far beyond the clip.
SETTINGS = MappoSettings(epochs=2, minibatch=32)
STEP = 0.02
Accuracy = Callable[[Tensor], Tensor]  # survivors [B] to the probability of being correct [B]


class Table(nn.Module):
    """An agent is one number for each kind of image: its log-odds of keeping, or its value."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.zeros(2, AGENTS))

    def forward(self, tokens: Tensor, cls: Tensor, position: Tensor, image: Tensor) -> Tensor:
        """Look up [T]; tokens [T, 1] hold the kind of their image, 0 or 1."""
        return self.entries[tokens[:, 0].long(), position]


class Game:
    """Plays and learns; images differ in their kind only."""

    def __init__(
        self, accuracy: Accuracy, *, ungated: bool = False, kind: Tensor | None = None
    ) -> None:
        self.accuracy = accuracy
        self.pay = ungated_reward if ungated else gated_reward
        self.random = torch.Generator().manual_seed(0)
        kind = torch.zeros(IMAGES) if kind is None else kind.float()  # [B]
        self.tokens = kind.repeat_interleave(AGENTS)[:, None]  # [T, 1]
        self.actor, self.critic = Table(), Table()
        step = 5 * STEP if ungated else STEP  # there is no point to settle at, only a way to go
        self.actor_optimiser = make_optimiser(self.actor.parameters(), step, 1e-5)
        self.critic_optimiser = make_optimiser(self.critic.parameters(), step, 1e-5)

    def play(self, alpha: float) -> tuple[Tensor, Tensor]:
        """Play one rollout, learn from it, return survivors and correctness [B]."""
        acting = torch.ones(IMAGES, AGENTS, dtype=torch.bool)
        cls = torch.zeros(IMAGES, 1)
        image, position = acting.nonzero().unbind(1)
        with torch.no_grad():
            logit = self.actor(self.tokens, cls, position, image)
        alive = decide(logit, self.random).view_as(acting)
        survivors = alive.sum(1)
        drawn = torch.rand(IMAGES, generator=self.random)
        correct = drawn < self.accuracy(survivors.float())
        rollout = pack([Decision(self.tokens, cls, acting, alive)])
        rewards = self.pay(correct, rollout.alive, alpha, 1.0, BONUS)
        update(
            self.actor,
            self.critic,
            self.actor_optimiser,
            self.critic_optimiser,
            rollout,
            rewards,
            SETTINGS,
            self.random,
        )
        return survivors.float(), correct

    def settle(self, alpha: float, rollouts: int = 90, last: int = 30) -> float:
        """Return the mean number of survivors in the last rollouts."""
        counts = [self.play(alpha)[0] for _ in range(rollouts)]
        return torch.cat(counts[-last:]).mean().item()


def always(probability: float) -> Accuracy:
    """An accuracy that does not depend on what is kept."""
    return lambda survivors: torch.full_like(survivors, probability)


def saturating(survivors: Tensor) -> Tensor:
    """Rises with the number of patches to DeiT-B's accuracy, most of it by 60 patches."""
    return 0.82 * (1 - torch.exp(-survivors / 25))


@pytest.mark.parametrize(
    ("probability", "alpha", "expected"),
    [(1.0, 0.15, 160.0), (1.0, 0.3, 80.0), (0.819, 0.15, 131.0), (0.7375, 0.3, 59.0)],
)
def test_survivors_settle_at_the_fixed_point(
    probability: float, alpha: float, expected: float
) -> None:
    assert fixed_point(probability, alpha, 1.0, BONUS) == pytest.approx(expected, rel=1e-3)
    assert Game(always(probability)).settle(alpha) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("alpha", "expected"), [(0.15, 131.0), (0.2, 96.5), (0.3, 59.0)])
def test_an_accuracy_that_saturates_gives_the_numbers_of_the_specification(
    alpha: float, expected: float
) -> None:
    assert Game(saturating).settle(alpha) == pytest.approx(expected, rel=0.05)


def test_a_low_price_keeps_nearly_all() -> None:
    assert Game(always(1.0)).settle(0.031) > 0.97 * AGENTS


@pytest.mark.parametrize("alpha", [0.031, 0.15, 0.3])
def test_the_ungated_reward_collapses_at_every_price(alpha: float) -> None:
    assert Game(always(1.0), ungated=True).settle(alpha) < 0.02 * AGENTS


def test_a_target_is_met_though_the_accuracy_is_not_known_beforehand() -> None:
    game = Game(saturating)
    control = TargetKeep(80.0, 1.0, BONUS, accuracy=1.0)
    kept = []
    for _ in range(120):
        survivors, correct = game.play(control.alpha)
        kept.append(survivors.mean().item())
        control.observe(correct.float().mean().item(), kept[-1])
    assert sum(kept[-30:]) / 30 == pytest.approx(80.0, rel=0.05)
    expected = BONUS * saturating(torch.tensor(80.0)).item() / 80.0
    assert control.alpha == pytest.approx(expected, rel=0.1)


def test_images_that_are_often_misread_keep_fewer_patches() -> None:
    # The published motivation has it the other way round: hard images should keep more.
    hard = torch.arange(IMAGES) % 2 == 1
    game = Game(lambda survivors: torch.where(hard, 0.45, 0.9), kind=hard)
    counts = torch.stack([game.play(0.15)[0] for _ in range(120)][-40:]).mean(0)  # [B]
    easy_point, hard_point = (fixed_point(p, 0.15, 1.0, BONUS) for p in (0.9, 0.45))
    assert counts[~hard].mean().item() == pytest.approx(easy_point, rel=0.08)
    assert counts[hard].mean().item() == pytest.approx(hard_point, rel=0.08)


def test_a_free_stay_has_no_fixed_point() -> None:
    assert math.isinf(fixed_point(0.8, 0.0, 1.0, BONUS))
