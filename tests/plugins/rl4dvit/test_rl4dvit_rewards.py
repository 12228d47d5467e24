"""Rewards by hand: two decisions, two images, three patches."""

from __future__ import annotations

import math

import pytest
import torch

from rlvit_rl4dvit.rewards import gated_reward, keep_ratio_reward, ungated_reward

CORRECT = torch.tensor([True, False])
ALIVE = torch.tensor(
    [[[True, True, False], [True, False, False]], [[True, False, False], [False, False, False]]]
)  # [L, B, N]


def test_gated_by_hand() -> None:
    got = gated_reward(CORRECT, ALIVE, alpha=0.5, beta=2.0, bonus=3.0)
    assert got.tolist() == [
        [[2.5, 2.5, 0.0], [-0.5, 0.0, 0.0]],  # 2 * 3 / 2 - .5; the wrong image pays nothing
        [[5.5, 0.0, 0.0], [0.0, 0.0, 0.0]],  # an image without survivors is legal
    ]


def test_ungated_by_hand() -> None:
    got = ungated_reward(CORRECT, ALIVE, alpha=0.5, beta=2.0, bonus=3.0)
    assert got.tolist() == [
        [[2.5, 2.5, 3.0], [-0.5, 0.0, 0.0]],
        [[5.5, 6.0, 6.0], [0.0, 0.0, 0.0]],
    ]


def test_a_correct_image_without_survivors_divides_by_one() -> None:
    nobody = torch.zeros(1, 1, 3, dtype=torch.bool)
    correct = torch.tensor([True])
    assert gated_reward(correct, nobody, 0.5, 1.0, 24.0).tolist() == [[[0.0] * 3]]
    assert ungated_reward(correct, nobody, 0.5, 1.0, 24.0).tolist() == [[[24.0] * 3]]


def test_all_rewards_of_an_image_sum_to_the_bonus_less_the_prices() -> None:
    generator = torch.Generator().manual_seed(0)
    alive = torch.rand(3, 8, 196, generator=generator) < 0.4
    correct = torch.rand(8, generator=generator) < 0.7
    got = gated_reward(correct, alive, 0.1, 1.0, 24.0).sum(-1)  # [L, B]
    expected = 24.0 * correct.float() - 0.1 * alive.sum(-1)
    torch.testing.assert_close(got, expected)


def test_keep_ratio_by_hand() -> None:
    got = keep_ratio_reward(ALIVE, (0.5, 0.5))
    over, under = 2 / 3 - 0.5, 1 / 3 - 0.5
    many, few, none = -math.exp(over), -math.exp(-under), -math.exp(0.5)
    expected = torch.tensor(
        [[[many, many, 0.0], [0.0, few, few]], [[0.0, few, few], [none, none, none]]]
    )
    torch.testing.assert_close(got, expected)


def test_keep_ratio_at_the_target_charges_the_dead() -> None:
    alive = torch.tensor([[[True, False]]])
    assert keep_ratio_reward(alive, (0.5,)).tolist() == [[[0.0, -1.0]]]


def test_keep_ratio_needs_a_target_for_every_decision() -> None:
    with pytest.raises(ValueError, match="2 decisions"):
        keep_ratio_reward(ALIVE, (0.7, 0.49, 0.343))
