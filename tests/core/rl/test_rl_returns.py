"""n-step returns across the ends of episodes and lives."""

import pytest
import torch

from rlvit.rl.returns import n_step_returns


def test_by_hand() -> None:
    rewards = torch.tensor([[1.0, 2.0, 3.0]]).repeat(4, 1)
    dones = torch.tensor(
        [[False, False, False], [True, False, False], [False, True, False], [False, False, True]]
    )
    returns, bootstrap = n_step_returns(rewards, dones, 0.5)
    assert returns.tolist() == [2.75, 1.0, 2.0, 2.75]
    assert bootstrap.tolist() == [0.125, 0.0, 0.0, 0.0]


def test_a_second_end_within_the_window_changes_nothing() -> None:
    rewards = torch.tensor([[1.0, -1.0, 1.0, 1.0, 1.0]])
    lives = torch.tensor([[False, True, False, True, False]])  # two lives lost in five steps
    returns, bootstrap = n_step_returns(rewards, lives, 0.5)
    assert returns.tolist() == [0.5]
    assert bootstrap.tolist() == [0.0]


def test_one_step() -> None:
    returns, bootstrap = n_step_returns(
        torch.tensor([[1.0], [1.0]]), torch.tensor([[False], [True]]), 0.99
    )
    assert returns.tolist() == [1.0, 1.0]
    assert bootstrap.tolist() == pytest.approx([0.99, 0.0])


def test_equals_a_float64_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards = torch.randint(-1, 2, (64, 20), generator=generator).float()
    dones = torch.rand(64, 20, generator=generator) < 0.04
    returns, bootstrap = n_step_returns(rewards, dones, 0.99)
    assert returns.dtype == bootstrap.dtype == torch.float32
    for row in range(64):
        expected, discount = 0.0, 1.0
        for reward, done in zip(rewards[row].tolist(), dones[row].tolist(), strict=True):
            expected += discount * reward
            discount *= 0.99
            if done:
                discount = 0.0
                break
        assert returns[row].item() == pytest.approx(expected, abs=1e-5)
        assert bootstrap[row].item() == pytest.approx(discount, abs=1e-6)
