"""Advantages across terminations, truncations and deaths of single agents."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rlvit.rl.gae import gae, normalise

REWARDS = torch.tensor([1.0, 2.0, 3.0])
VALUES = torch.tensor([0.5, 1.0, 2.0])
NEXT = torch.tensor([1.0, 2.0, 4.0])
NEVER = torch.tensor([False, False, False])
LAST = torch.tensor([False, False, True])


def test_by_hand_with_a_termination() -> None:
    # deltas: 1 + .5 - .5 = 1;  2 + .5 * 2 - 1 = 2;  3 + 0 - 2 = 1;  gamma lam = .25
    assert gae(REWARDS, VALUES, NEXT, LAST, LAST, 0.5, 0.5).tolist() == [1.5625, 2.25, 1.0]


def test_a_truncation_keeps_the_value_of_the_last_state() -> None:
    # The last delta is 3 + .5 * 4 - 2 = 3.
    assert gae(REWARDS, VALUES, NEXT, NEVER, LAST, 0.5, 0.5).tolist() == [1.6875, 2.75, 3.0]


def test_an_unfinished_rollout_equals_a_truncated_one() -> None:
    torch.testing.assert_close(
        gae(REWARDS, VALUES, NEXT, NEVER, NEVER, 0.5, 0.5),
        gae(REWARDS, VALUES, NEXT, NEVER, LAST, 0.5, 0.5),
    )


@pytest.mark.parametrize("terminated", [True, False])
def test_nothing_flows_across_the_end_of_an_episode(terminated: bool) -> None:
    ended = torch.tensor([False, True, False])
    over = ended & torch.tensor(terminated)
    calm = gae(REWARDS, VALUES, NEXT, over, ended, 0.5, 0.5)
    wild = gae(torch.tensor([1.0, 2.0, 1e6]), VALUES, NEXT, over, ended, 0.5, 0.5)
    assert calm[:2].tolist() == wild[:2].tolist() == ([1.25, 1.0] if terminated else [1.5, 2.0])


def test_lambda_zero_is_the_one_step_error() -> None:
    assert gae(REWARDS, VALUES, NEXT, LAST, LAST, 0.5, 0.0).tolist() == [1.0, 2.0, 1.0]


def test_lambda_one_is_the_return_minus_the_value() -> None:
    following = torch.tensor([1.0, 2.0, 0.0])  # V(s_{t+1}) must be that of the next step here
    got = gae(REWARDS, VALUES, following, LAST, LAST, 0.5, 1.0)
    assert got.tolist() == [1 + 1 + 0.75 - 0.5, 2 + 1.5 - 1, 3 - 2]


def test_agents_that_die_at_different_steps() -> None:
    alive = torch.tensor([[True, True], [True, False], [True, False]])  # [T, 2]: acting
    over = torch.tensor([[False, True], [False, True], [True, True]])
    rewards, values, following = (x[:, None].repeat(1, 2) for x in (REWARDS, VALUES, NEXT))
    rewards[1:, 1] = 1e6  # of steps that the second agent never took
    got = gae(rewards, values, following, over, over, 0.5, 0.5, alive)
    assert got[:, 0].tolist() == [1.5625, 2.25, 1.0]
    assert got[:, 1].tolist() == [0.5, 0.0, 0.0]


def test_equals_the_definition_as_a_sum() -> None:
    generator = torch.Generator().manual_seed(0)

    def draw() -> Tensor:
        return torch.randn(64, 5, dtype=torch.float64, generator=generator)

    rewards, values, following = draw(), draw(), draw()
    ended = torch.rand(64, 5, generator=generator) < 0.1
    terminated = ended & (torch.rand(64, 5, generator=generator) < 0.5)
    got = gae(rewards, values, following, terminated, ended, 0.97, 0.95)
    for column in range(5):
        for start in range(64):
            expected, weight = 0.0, 1.0
            for step in range(start, 64):
                at = (step, column)
                bootstrap = 0.0 if terminated[at] else 0.97 * following[at].item()
                expected += weight * (rewards[at].item() + bootstrap - values[at].item())
                weight *= 0.97 * 0.95
                if ended[at]:
                    break
            assert got[start, column].item() == pytest.approx(expected, abs=1e-12)


def test_normalise_by_hand() -> None:
    got = normalise(torch.tensor([1.0, 3.0]))
    assert got.tolist() == pytest.approx([-1.0, 1.0], abs=2e-5)


def test_normalise_counts_the_masked_in_only() -> None:
    advantages = torch.tensor([1.0, 1e6, 3.0])
    got = normalise(advantages, torch.tensor([True, False, True]))
    assert got.tolist() == pytest.approx([-1.0, 0.0, 1.0], abs=2e-5)


def test_normalise_survives_equal_advantages_and_an_empty_mask() -> None:
    assert normalise(torch.full((4,), 7.0)).tolist() == [0.0] * 4
    assert normalise(torch.ones(2), torch.zeros(2, dtype=torch.bool)).tolist() == [0.0, 0.0]
