"""Credit: what the notebook's target cannot tell, and a policy gradient against enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rlvit_agentvit.credit import (
    batch_baseline,
    leave_one_out,
    policy_gradient,
    td_loss,
    td_target,
)
from rlvit_agentvit.network import QNetwork

MASKS = torch.tensor(list(itertools.product([False, True], repeat=3)))  # [8, 3], all of them
LOGIT = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64)
REWARD = torch.tensor([0.5, -1.0, 2.0, 0.1, 3.0, -0.7, 1.1, 0.9], dtype=torch.float64)  # of a mask


def probabilities(logit: Tensor) -> Tensor:
    """Of each of the 8 masks, from log-odds [1, 3]: [8]."""
    keep = logit.sigmoid()
    return torch.where(MASKS, keep, 1 - keep).prod(1)


def true_gradient() -> Tensor:
    """Of the expected reward, by differentiating it: [1, 3]."""
    logit = LOGIT.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((probabilities(logit) * REWARD).sum(), logit)
    return gradient


def estimate(masks: Tensor, advantage: Tensor) -> Tensor:
    """The estimator's ascent direction from rows [R, 3], summed over rows: [1, 3]."""
    logit = LOGIT.clone().requires_grad_()
    loss = policy_gradient(logit.expand(len(masks), 3), masks, advantage, 0.0).loss
    (gradient,) = torch.autograd.grad(-loss * len(masks) * 3, logit)
    return gradient


def test_td_target_by_hand() -> None:
    next_q = torch.tensor([[1.0, 2.0], [0.0, -4.0]])
    got = td_target(torch.tensor([10.0, -1.0]), next_q, 0.5)
    assert got.tolist() == [[10.5, 11.0], [-1.0, -3.0]]


def test_td_target_carries_no_credit_for_single_patches() -> None:
    """Outputs of a row differ by gamma times next_q and by nothing else, whatever was kept."""
    draws = torch.Generator().manual_seed(0)
    reward, next_q = torch.randn(6, generator=draws), torch.randn(6, 9, generator=draws)
    target = td_target(reward, next_q, 0.95)
    without = target - 0.95 * next_q  # [6, 9], the same number in a row
    torch.testing.assert_close(without, reward[:, None].expand(6, 9))
    same = td_target(reward, next_q[:, :1].expand(6, 9), 0.95)
    assert torch.equal(same, same[:, :1].expand(6, 9))


def test_learning_from_the_td_target_makes_all_patches_alike() -> None:
    """Only patch 0 earns anything, yet all three values come to be the mean reward."""
    draws = torch.Generator().manual_seed(0)
    q = torch.tensor([[3.0, 0.0, -2.0]], requires_grad=True)
    optimiser = torch.optim.SGD([q], lr=0.3)
    for _ in range(100):
        keep = torch.rand(64, 3, generator=draws) < 0.5
        target = td_target(keep[:, 0].float(), q.detach().expand(64, 3), 0.0)
        optimiser.zero_grad()
        td_loss(q.expand(64, 3), target).backward()
        optimiser.step()
    assert (q.max() - q.min()).item() < 0.01
    assert q.mean().item() == pytest.approx(0.5, abs=0.1)


def test_td_loss_by_hand() -> None:
    q = torch.tensor([[0.5, 3.0], [0.0, -1.0]], requires_grad=True)
    loss = td_loss(q, torch.zeros(2, 2))
    # .5^2 / 2, 3 - 1/2, 0, 1/2
    assert loss.item() == pytest.approx((0.125 + 2.5 + 0.0 + 0.5) / 4)
    loss.backward()
    assert q.grad is not None
    assert (4 * q.grad).tolist() == [[0.5, 1.0], [0.0, -1.0]]  # linear beyond an error of 1


def test_leave_one_out_by_hand() -> None:
    got = leave_one_out(torch.tensor([[1.0, 2.0, 6.0], [5.0, 5.0, 5.0]]))
    assert got.tolist() == [[-3.0, -1.5, 4.5], [0.0, 0.0, 0.0]]


def test_leave_one_out_of_two_is_their_difference() -> None:
    assert leave_one_out(torch.tensor([[3.0, 1.0]])).tolist() == [[2.0, -2.0]]


def test_leave_one_out_does_not_see_other_images() -> None:
    reward = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    easier = reward + torch.tensor([[100.0], [0.0], [-7.0], [3.0]])
    torch.testing.assert_close(leave_one_out(easier), leave_one_out(reward), atol=1e-4, rtol=1e-4)


def test_leave_one_out_needs_two_samples() -> None:
    with pytest.raises(ValueError, match="at least 2 samples"):
        leave_one_out(torch.zeros(8, 1))


def test_batch_baseline_by_hand() -> None:
    got = batch_baseline(torch.tensor([[1.0, 2.0], [6.0, 3.0]]))
    # the others' means: 11/3, 10/3, 2, 3
    torch.testing.assert_close(got, torch.tensor([[1 - 11 / 3, 2 - 10 / 3], [4.0, 0.0]]))


def test_batch_baseline_takes_one_sample_of_an_image_but_not_one_reward() -> None:
    assert batch_baseline(torch.tensor([[3.0], [1.0]])).tolist() == [[2.0], [-2.0]]
    with pytest.raises(ValueError, match="at least 2 rewards"):
        batch_baseline(torch.zeros(1, 1))


def test_policy_gradient_by_hand() -> None:
    """Log-odds ln 3: kept with probability 3/4."""
    logit = torch.tensor([[math.log(3.0), 0.0], [0.0, -math.log(3.0)]], requires_grad=True)
    keep = torch.tensor([[True, False], [True, True]])
    got = policy_gradient(logit, keep, torch.tensor([2.0, -1.0]), 0.1)
    log_half, log_quarter = math.log(0.5), math.log(0.25)
    rows = math.log(0.75) + log_half, log_half + log_quarter
    entropy = (-(0.75 * math.log(0.75) + 0.25 * log_quarter) - log_half) / 2
    assert got.log_prob.item() == pytest.approx(sum(rows) / 4)
    assert got.entropy.item() == pytest.approx(entropy)
    expected = -(2 * rows[0] - rows[1]) / 2 / 2 - 0.1 * entropy
    assert got.loss.item() == pytest.approx(expected)
    assert got.loss.requires_grad
    assert not got.entropy.requires_grad
    assert not got.log_prob.requires_grad


def test_gradient_of_a_decision_by_hand() -> None:
    """d log p / d logit is a - p, times the advantage, over rows and patches."""
    draws = torch.Generator().manual_seed(0)
    logit = torch.randn(5, 4, generator=draws).requires_grad_()
    keep, advantage = torch.rand(5, 4, generator=draws) < 0.5, torch.randn(5, generator=draws)
    (gradient,) = torch.autograd.grad(policy_gradient(logit, keep, advantage, 0.0).loss, logit)
    expected = -advantage[:, None] * (keep.float() - logit.detach().sigmoid()) / (5 * 4)
    torch.testing.assert_close(gradient, expected)


def test_the_entropy_term_pulls_towards_an_even_chance() -> None:
    logit = torch.tensor([[2.0, -2.0, 0.0]], requires_grad=True)
    keep = torch.tensor([[True, False, True]])
    policy_gradient(logit, keep, torch.zeros(1), 0.5).loss.backward()
    assert logit.grad is not None
    probability = 1 / (1 + math.exp(-2.0))
    pull = 0.5 * 2.0 * probability * (1 - probability) / 3  # dH/dx = -x p (1 - p)
    assert logit.grad.tolist() == [pytest.approx([pull, -pull, 0.0])]


def test_the_expected_estimate_is_the_gradient_of_the_expected_reward() -> None:
    chance = probabilities(LOGIT)
    expected = sum(
        chance[i] * estimate(MASKS[i : i + 1], REWARD[i : i + 1]) for i in range(len(MASKS))
    )
    assert chance.sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(expected, true_gradient())


@pytest.mark.parametrize(
    ("baseline", "shape"),
    [(leave_one_out, (1, 2)), (batch_baseline, (1, 2)), (batch_baseline, (2, 1))],
)
def test_baselines_leave_the_gradient_unbiased(
    baseline: Callable[[Tensor], Tensor], shape: tuple[int, int]
) -> None:
    """Enumerates all 64 pairs of masks; a pair estimates the gradient twice."""
    chance, expected = probabilities(LOGIT), torch.zeros_like(LOGIT)
    for pair in itertools.product(range(len(MASKS)), repeat=2):
        advantage = baseline(REWARD[list(pair)].view(shape)).flatten()
        expected += chance[list(pair)].prod() * estimate(MASKS[list(pair)], advantage) / 2
    torch.testing.assert_close(expected, true_gradient())


def test_leaving_one_out_lowers_the_variance() -> None:
    """With a large constant in the reward, the plain estimate is mostly noise."""
    draws = torch.Generator().manual_seed(0)
    plain, compared = [], []
    for _ in range(200):
        drawn = torch.multinomial(probabilities(LOGIT), 4, replacement=True, generator=draws)
        reward = REWARD[drawn] + 10
        plain.append(estimate(MASKS[drawn], reward))
        compared.append(estimate(MASKS[drawn], leave_one_out(reward[None])[0]))
    assert torch.stack(compared).var(0).sum() < 0.2 * torch.stack(plain).var(0).sum()


def test_the_best_mask_of_each_image_is_learnt() -> None:
    """A bandit: two images, paid by how many of 6 decisions are those of the image's own mask."""
    draws = torch.Generator().manual_seed(0)
    best = torch.tensor([[1, 0, 0, 1, 1, 0], [0, 0, 1, 1, 0, 1]], dtype=torch.bool)
    state = 1e-3 * torch.randn(2, 6, generator=draws)
    network = QNetwork(6, normalise=True, generator=draws)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(60):
        logit = network(state).repeat_interleave(8, 0)  # [2 * 8, 6]
        keep = torch.rand(16, 6, generator=draws) < logit.sigmoid()
        reward = (keep == best.repeat_interleave(8, 0)).float().sum(1).view(2, 8)
        advantage = leave_one_out(reward).flatten()
        optimiser.zero_grad()
        policy_gradient(logit, keep, advantage, 0.0).loss.backward()
        optimiser.step()
    assert torch.equal(network(state) > 0, best)
    assert torch.where(best, 1, -1).mul(network(state)).sigmoid().min() > 0.8
