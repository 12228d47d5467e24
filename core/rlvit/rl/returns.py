"""Multi-step returns, where an off-by-one at an episode's end would silently bias every target."""

import torch
from torch import Tensor


def n_step_returns(rewards: Tensor, dones: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Return the truncated n-step return and the discount of its bootstrap value.

    Source: Sutton 1988 as in Hessel et al. 2018, eq. 2: R = sum_{k<n} gamma^k r_{t+k}. The sum
    stops after the first done; the reward of the step that ended the episode counts.

    Args:
        rewards: r_t ... r_{t+n-1} [B, n].
        dones: whether the episode ended after that step, bool [B, n].
        gamma: discount of one step.

    Returns:
        Returns [B], and gamma^n, or 0 where a done occurred within the n steps [B].
    """
    steps = rewards.shape[1]
    ended = dones.cumsum(1)  # [B, n] how many dones up to and including step k
    counts = (ended - dones.long()) == 0  # no done before step k
    exponents = torch.arange(steps, dtype=torch.float64, device=rewards.device)
    discounts = torch.pow(gamma, exponents).to(rewards.dtype)  # [n]
    returns = (torch.where(counts, rewards, 0.0) * discounts).sum(1)
    bootstrap = (ended[:, -1] == 0).to(rewards.dtype) * gamma**steps
    return returns, bootstrap
