"""PPO's losses: numbers by hand, where the gradient stops, and agreement with torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical

from rlvit.rl.ppo import (
    bernoulli_entropy,
    bernoulli_log_prob,
    categorical_entropy,
    categorical_log_prob,
    clipped_policy_loss,
    clipped_value_loss,
    masked_mean,
)


def test_policy_loss_by_hand() -> None:
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1])
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0, 2.0])
    got = clipped_policy_loss(ratio.log(), torch.zeros(5), advantage, 0.2)
    # min(rA, clip(r)A): 1.2, -1.5, 0.5, -0.8, 2.2
    assert got.loss.item() == pytest.approx(-(1.2 - 1.5 + 0.5 - 0.8 + 2.2) / 5)
    assert got.clip_fraction.item() == pytest.approx(0.8)
    expected = sum(r - 1 - math.log(r) for r in ratio.tolist()) / 5
    assert got.approx_kl.item() == pytest.approx(expected, abs=1e-6)


def test_policy_gradient_stops_where_the_clip_bites() -> None:
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5])
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    log_prob = ratio.log().requires_grad_()
    clipped_policy_loss(log_prob, torch.zeros(4), advantage, 0.2).loss.backward()
    assert log_prob.grad is not None
    # d(-r A)/d log r = -r A, where moving further would still be an improvement; mean of four
    assert log_prob.grad.tolist() == pytest.approx([0.0, 1.5 / 4, -0.5 / 4, 0.0])


def test_first_update_is_the_policy_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    logit = torch.randn(50, generator=generator).requires_grad_()
    action = torch.rand(50, generator=generator) < 0.5
    advantage = torch.randn(50, generator=generator)
    log_prob = bernoulli_log_prob(logit, action)
    got = clipped_policy_loss(log_prob, log_prob.detach(), advantage, 0.2)
    assert got.loss.item() == pytest.approx(-advantage.mean().item(), abs=1e-7)
    assert got.approx_kl.item() == got.clip_fraction.item() == 0.0
    (gradient,) = torch.autograd.grad(got.loss, logit)
    expected = -advantage * (action.float() - logit.detach().sigmoid()) / 50
    torch.testing.assert_close(gradient, expected)


def test_masked_policy_loss_ignores_what_does_not_count() -> None:
    log_prob = torch.tensor([math.log(1.1), 50.0, float("nan")], requires_grad=True)
    mask = torch.tensor([True, False, False])
    got = clipped_policy_loss(log_prob, torch.zeros(3), torch.tensor([2.0, -1.0, 1.0]), 0.2, mask)
    assert got.loss.item() == pytest.approx(-2.2)
    assert got.clip_fraction.item() == 0.0


def test_value_loss_by_hand() -> None:
    value, old = torch.tensor([1.0, 1.0, 0.1]), torch.tensor([0.0, 0.0, 0.0])
    target = torch.tensor([2.0, 0.0, 0.0])
    # plain: 1, 1, .01; clipped to .2: 3.24, .04, .01
    assert clipped_value_loss(value, old, target).item() == pytest.approx(2.01 / 3)
    assert clipped_value_loss(value, old, target, clip=0.2).item() == pytest.approx(4.25 / 3)
    mask = torch.tensor([True, False, False])
    assert clipped_value_loss(value, old, target, clip=0.2, mask=mask).item() == pytest.approx(3.24)


def test_value_gradient_stops_where_the_clip_bites() -> None:
    value = torch.tensor([1.0, 1.0], requires_grad=True)
    target = torch.tensor([2.0, 0.0])
    clipped_value_loss(value, torch.zeros(2), target, clip=0.2).backward()
    assert value.grad is not None
    assert value.grad.tolist() == pytest.approx([0.0, 2 * 1.0 / 2])


def test_huber_joins_the_square_smoothly() -> None:
    value = torch.tensor([0.5, 10.0, 30.0])
    zero = torch.zeros(1)
    losses = [clipped_value_loss(v, zero[0], zero[0], huber=10.0).item() for v in value]
    assert losses == pytest.approx([0.25, 100.0, 10.0 * (60.0 - 10.0)])


def test_masked_mean() -> None:
    x = torch.tensor([1.0, float("nan"), 3.0])
    assert masked_mean(x, torch.tensor([True, False, True])).item() == 2.0
    assert masked_mean(x, torch.zeros(3, dtype=torch.bool)).item() == 0.0
    assert masked_mean(torch.tensor([1.0, 3.0])).item() == 2.0


def test_bernoulli_agrees_with_torch() -> None:
    logit = torch.linspace(-8, 8, 33, dtype=torch.float64)
    reference = Bernoulli(logits=logit)
    for action in (torch.zeros(33, dtype=torch.bool), torch.ones(33, dtype=torch.bool)):
        torch.testing.assert_close(
            bernoulli_log_prob(logit, action), reference.log_prob(action.double())
        )
    torch.testing.assert_close(bernoulli_entropy(logit), reference.entropy())
    assert bernoulli_entropy(torch.tensor(0.0)).item() == pytest.approx(math.log(2))


def test_bernoulli_is_finite_in_the_tails() -> None:
    logit = torch.tensor([-200.0, -30.0, 30.0, 200.0], requires_grad=True)
    entropy = bernoulli_entropy(logit)
    tail = 31 * math.exp(-30)  # -p log p - (1 - p) log(1 - p) = 30 p + p + O(p^2)
    assert entropy.detach().tolist() == pytest.approx([0.0, tail, tail, 0.0], rel=1e-5, abs=1e-30)
    (entropy.sum() + bernoulli_log_prob(logit, logit > 0).sum()).backward()
    assert logit.grad is not None
    assert logit.grad.isfinite().all()


def test_categorical_agrees_with_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, 5, dtype=torch.float64, generator=generator)
    action = torch.randint(0, 5, (7, 3), generator=generator)
    reference = Categorical(logits=logits)
    torch.testing.assert_close(categorical_log_prob(logits, action), reference.log_prob(action))
    torch.testing.assert_close(categorical_entropy(logits), reference.entropy())


def test_a_bernoulli_is_a_categorical_of_two() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 2, dtype=torch.float64, generator=generator)
    difference = logits[:, 1] - logits[:, 0]
    torch.testing.assert_close(bernoulli_entropy(difference), categorical_entropy(logits))
    keep = torch.ones(20, dtype=torch.bool)
    torch.testing.assert_close(
        bernoulli_log_prob(difference, keep), categorical_log_prob(logits, keep.long())
    )


@pytest.mark.parametrize("clip", [None, 0.2])
def test_value_loss_passes_a_numerical_gradient_check(clip: float | None) -> None:
    generator = torch.Generator().manual_seed(3)
    value, old, target = (
        torch.randn(6, dtype=torch.float64, generator=generator) for _ in range(3)
    )
    value.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: clipped_value_loss(v, old, target, clip, 1.0), value)


def test_policy_loss_passes_a_numerical_gradient_check() -> None:
    generator = torch.Generator().manual_seed(4)
    log_prob, advantage = (
        torch.randn(8, dtype=torch.float64, generator=generator) for _ in range(2)
    )
    old = log_prob + 0.3 * torch.randn(8, dtype=torch.float64, generator=generator)
    log_prob.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: clipped_policy_loss(x, old, advantage, 0.2).loss, log_prob
    )
