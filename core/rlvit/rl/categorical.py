"""Value distributions on a fixed set of atoms (C51), so that every method projects alike.

Source: Bellemare, Dabney, Munos 2017, "A Distributional Perspective on Reinforcement Learning".
"""

import torch
from torch import Tensor
from torch.nn import functional


def support(
    v_min: float, v_max: float, atoms: int, device: torch.device | str | None = None
) -> Tensor:
    """Return the atoms z_0 = v_min, ..., z_{Z-1} = v_max, evenly spaced, float32 [Z].

    Raises:
        ValueError: if there are fewer than two atoms or v_min is not below v_max.
    """
    if atoms < 2 or not v_min < v_max:
        raise ValueError(f"need atoms >= 2 and v_min < v_max, got {atoms}, {v_min}, {v_max}")
    return torch.linspace(v_min, v_max, atoms, device=device)


def project(
    rewards: Tensor, discounts: Tensor, next_probabilities: Tensor, support: Tensor
) -> Tensor:
    """Project the distribution of r + discount * Z' onto the support (Bellemare 2017, Alg. 1).

    Each target atom shares its mass linearly between its two neighbours in the support; targets
    outside the support go to its ends. A target equal to an atom gives all its mass to that atom,
    and mass is conserved. There is no scatter: float atomics would make the sum depend on the
    order of a GPU's threads, and the dense kernel is small ([32, 51, 51] is 0.3 MB).

    Args:
        rewards: n-step returns [B].
        discounts: gamma^n, zero where the episode ended within the n steps [B].
        next_probabilities: distribution at the bootstrap state [B, Z].
        support: strictly increasing atoms [Z].

    Returns:
        Probabilities on the support [B, Z].
    """
    targets = rewards[:, None] + discounts[:, None] * support  # [B, Z]
    # How far each target has come through each gap between atoms: 1 below it, 0 above it.
    passed = (targets[..., None] - support[:-1]) / support.diff()  # [B, Z, Z-1]
    passed = passed.clamp(0, 1)
    kernel = functional.pad(passed, (1, 0), value=1.0) - functional.pad(passed, (0, 1))
    return (next_probabilities[..., None] * kernel).sum(1)  # [B, Z, Z] -> [B, Z]


def expected_value(probabilities: Tensor, support: Tensor) -> Tensor:
    """Return the mean of each distribution: [..., Z] and [Z] give [...]."""
    return (probabilities * support).sum(-1)


def cross_entropy(target: Tensor, log_probabilities: Tensor) -> Tensor:
    """Return -sum_i target_i log p_i in nats, with 0 log 0 = 0: [B, Z] and [B, Z] give [B].

    The loss of Bellemare 2017, Alg. 1. An atom without target mass has no gradient.
    """
    return -(target * _where_target(target, log_probabilities)).sum(-1)


def kl_divergence(target: Tensor, log_probabilities: Tensor) -> Tensor:
    """Return KL(target || p) in nats, never negative, 0 log 0 = 0: [B, Z] and [B, Z] give [B].

    The priority of Hessel et al. 2018, "Rainbow", section "The integrated agent".
    """
    own: Tensor = torch.special.xlogy(target, target)
    cross = target * _where_target(target, log_probabilities)
    return (own - cross).sum(-1).clamp_min(0.0)


def _where_target(target: Tensor, log_probabilities: Tensor) -> Tensor:
    """Replace log p by 0 where the target has no mass, so that 0 * -inf never arises."""
    return torch.where(target > 0, log_probabilities, 0.0)
