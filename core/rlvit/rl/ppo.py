"""The losses of proximal policy optimisation, shared by methods and tested once.

Source: Schulman et al. 2017, "Proximal Policy Optimization Algorithms". Nothing here waits for a
device: what is worth logging comes back as tensors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class PolicyLoss(NamedTuple):
    """The loss of a policy with what says how far it has moved; scalars."""

    loss: Tensor
    approx_kl: Tensor  # nats, of the old policy from the new one; no gradient
    clip_fraction: Tensor  # share of actions whose ratio lies outside the clip; no gradient


def clipped_policy_loss(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    clip: float,
    mask: Tensor | None = None,
) -> PolicyLoss:
    """Return -mean min(r A, clip(r, 1 - clip, 1 + clip) A), r = exp(log_prob - old_log_prob).

    Source: Schulman et al. 2017, eq. 7. The divergence is estimated by mean(r - 1 - log r), which
    is never negative (Schulman 2020, "Approximating KL Divergence").

    Args:
        log_prob: of the actions taken, under the policy in training, any shape.
        old_log_prob: the same under the policy that took them.
        advantage: of those actions; neither it nor `old_log_prob` should carry a gradient.
        clip: how far the ratio may leave 1.
        mask: which actions count, bool; None: all.
    """
    log_ratio = log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    loss = -masked_mean(torch.minimum(ratio * advantage, clipped * advantage), mask)
    with torch.no_grad():
        outside = ((ratio - 1).abs() > clip).to(ratio.dtype)
        divergence = masked_mean(ratio - 1 - log_ratio, mask)
    return PolicyLoss(loss, divergence, masked_mean(outside, mask))


def clipped_value_loss(
    value: Tensor,
    old_value: Tensor,
    target: Tensor,
    clip: float | None = None,
    huber: float | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return mean max[(V - R)^2, (clip(V, V_old +- clip) - R)^2], a scalar.

    Source: the value clipping of Yu et al. 2022, "The Surprising Effectiveness of PPO in
    Cooperative Multi-Agent Games". There is no factor 1/2.

    Args:
        value: V in training, any shape.
        old_value: V when the data were gathered.
        target: R, the return; neither it nor `old_value` should carry a gradient.
        clip: how far V may move from V_old before it stops to gain; None: no clipping.
        huber: error beyond which the square becomes linear, e^2 -> huber (2 |e| - huber), so that
            value and slope agree there; None: the square everywhere.
        mask: which values count, bool; None: all.
    """
    loss = _penalty(value - target, huber)
    if clip is not None:
        near = old_value + (value - old_value).clamp(-clip, clip)
        loss = torch.maximum(loss, _penalty(near - target, huber))
    return masked_mean(loss, mask)


def _penalty(error: Tensor, huber: float | None) -> Tensor:
    """Return the square, or twice Huber's loss, of an error of any shape."""
    if huber is None:
        return error.square()
    return 2 * functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=huber)


def masked_mean(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean of what the bool mask keeps, 0 if it keeps nothing; other values may be NaN.

    Args:
        x: any shape.
        mask: the same shape; None: everything counts.
    """
    if mask is None:
        return x.mean()
    return torch.where(mask, x, 0.0).sum() / mask.sum().clamp_min(1)


def bernoulli_log_prob(logit: Tensor, action: Tensor) -> Tensor:
    """Return log p(action) in nats, p(1) = sigmoid(logit): [...] and bool [...] give [...]."""
    return functional.logsigmoid(torch.where(action, logit, -logit))


def bernoulli_entropy(logit: Tensor) -> Tensor:
    """Return the entropy in nats, p(1) = sigmoid(logit), exact in both tails: [...] to [...]."""
    one, zero = functional.logsigmoid(logit), functional.logsigmoid(-logit)
    return -(logit.sigmoid() * one + (-logit).sigmoid() * zero)


def categorical_log_prob(logits: Tensor, action: Tensor) -> Tensor:
    """Return log p(action) in nats: finite logits [..., A] and int64 [...] give [...]."""
    return logits.log_softmax(-1).gather(-1, action[..., None])[..., 0]


def categorical_entropy(logits: Tensor) -> Tensor:
    """Return the entropy in nats of finite logits: [..., A] to [...]."""
    log_probabilities = logits.log_softmax(-1)
    return -(log_probabilities.exp() * log_probabilities).sum(-1)
