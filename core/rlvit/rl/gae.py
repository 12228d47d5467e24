"""Generalised advantage estimation, where a wrong cut at an episode's end biases every update."""

from __future__ import annotations

import torch
from torch import Tensor

STD_FLOOR = 1e-5  # added to the standard deviation, so that equal advantages become zeros


def gae(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    ended: Tensor,
    gamma: float,
    lam: float,
    alive: Tensor | None = None,
) -> Tensor:
    """Return the advantage of every step: A_t = sum_k (gamma lam)^k delta_{t+k}.

    Source: Schulman et al. 2016, "High-Dimensional Continuous Control Using Generalized Advantage
    Estimation", eq. 16, with delta_t = r_t + gamma V(s_{t+1}) - V(s_t). Nothing follows a
    termination, so its delta has no V(s_{t+1}). A truncation (a time limit) stops the sum too, but
    keeps V of the state that was truncated. lam = 0 gives the one-step temporal difference.

    Args:
        rewards: r_t [T, ...], time first.
        values: V(s_t) [T, ...].
        next_values: V of the state that step t led to [T, ...]; where an episode was truncated,
            of its true last state, not of the state after the reset.
        terminated: whether the episode came to its own end at step t, bool [T, ...].
        ended: whether step t is the last of its episode, terminated or truncated, bool [T, ...].
        gamma: discount of one step.
        lam: decay of the estimator, 0 to 1.
        alive: steps that were really taken, bool [T, ...]; the others get advantage 0.

    Returns:
        Advantages [T, ...]; added to `values` they are the targets of the value function.
    """
    deltas = rewards + gamma * torch.where(terminated, 0.0, next_values) - values  # [T, ...]
    deltas = deltas if alive is None else torch.where(alive, deltas, 0.0)
    carried = torch.where(ended, 0.0, torch.full_like(deltas, gamma * lam))
    advantages = torch.empty_like(deltas)
    following = torch.zeros_like(deltas[0])
    for step in reversed(range(len(deltas))):
        following = deltas[step] + carried[step] * following
        advantages[step] = following
    return advantages if alive is None else torch.where(alive, advantages, 0.0)


def normalise(advantages: Tensor, mask: Tensor | None = None) -> Tensor:
    """Shift to mean 0 and scale to standard deviation 1 (of the population, not the sample).

    Source: common practice of PPO, as in Yu et al. 2022, "The Surprising Effectiveness of PPO in
    Cooperative Multi-Agent Games", whose floor of 1e-5 it takes.

    Args:
        advantages: any shape.
        mask: what counts, bool of the same shape; everything else becomes 0.
    """
    counts = torch.ones_like(advantages) if mask is None else mask.to(advantages.dtype)
    total = counts.sum().clamp_min(1.0)
    centred = (advantages - (advantages * counts).sum() / total) * counts
    std = (centred.square().sum() / total).sqrt()
    return centred / (std + STD_FLOOR)
