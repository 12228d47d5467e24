"""What an agent is paid at each decision (section 3.2).

Every function takes which images were classified correctly, bool [B], and which patches were alive
after each decision, bool [L, B, N], and returns float32 [L, B, N]. The class token is no agent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def gated_reward(correct: Tensor, alive: Tensor, alpha: float, beta: float, bonus: float) -> Tensor:
    """Pay the alive -alpha + beta * 1[correct] * R / n, and the dead nothing.

    Paid at decision l are those alive after it: the agents that just chose to stay. Under it the
    number of survivors settles where a further one would earn nothing, n = beta R p / alpha with p
    the share of correct images, so that a larger alpha / beta keeps fewer tokens. The caption of
    Figure 3 says the opposite of that, and of section 4.4.

    Args:
        correct: images classified correctly, bool [B].
        alive: patches alive after each decision, bool [L, B, N].
        alpha: price of staying.
        beta: weight of the shared bonus.
        bonus: R, divided among the n survivors of that decision and image.
    """
    return torch.where(alive, _share(correct, alive, beta, bonus) - alpha, 0.0)


def ungated_reward(
    correct: Tensor, alive: Tensor, alpha: float, beta: float, bonus: float
) -> Tensor:
    """Pay everyone beta * 1[correct] * R / n, and charge only the alive alpha: the paper's letter.

    Leaving is then free and makes the others' share larger, also one's own: nobody stays, whatever
    alpha is. Arguments as in `gated_reward`; with no survivor n counts as 1.
    """
    return _share(correct, alive, beta, bonus) - alpha * alive.float()


def keep_ratio_reward(alive: Tensor, targets: Sequence[float]) -> Tensor:
    """Charge the alive e^d if an image keeps too many patches, else the dead e^-d.

    Here d is the share of patches alive after a decision minus its target. RL4EViT, which followed
    RL4DViT, adds this to the gated reward, with targets 0.7, 0.49 and 0.343. An agent is charged as
    dead once, at its last decision, since it takes no further part.

    Args:
        alive: patches alive after each decision, bool [L, B, N].
        targets: share of all N patches to keep after each decision, L numbers.

    Raises:
        ValueError: unless there is a target for every decision.
    """
    if len(targets) != len(alive):
        raise ValueError(f"{len(alive)} decisions need as many targets, got {len(targets)}")
    wanted = torch.tensor(targets, dtype=torch.float32, device=alive.device)
    excess = alive.float().mean(-1) - wanted[:, None]  # [L, B]
    too_many = (excess > 0)[..., None]  # [L, B, 1]
    charge = -excess.abs().exp()[..., None]  # both cases are -e^|d|
    return torch.where(alive == too_many, charge, 0.0)


def team_reward(
    outcome: Tensor, alive: Tensor, alpha: float, beta: float, bonus: float, samples: int
) -> Tensor:
    """Charge each alive agent alpha, and pay each at its last decision how its sample compared.

    An image is decided on several times; what an agent is paid is beta R times the difference of
    its sample's outcome from the mean of all samples of that image. Unlike the gated reward it also
    tells an agent that left whether leaving was right. No paper has it.

    Args:
        outcome: what each sample is worth [B], image by image, `samples` of each.
        alive: patches alive after each decision, bool [L, B, N].
        alpha: price of staying at one decision.
        beta: weight of the outcome.
        bonus: R.
        samples: of each image.
    """
    each = outcome.float().view(-1, samples)
    compared = beta * bonus * (each - each.mean(1, keepdim=True)).view(-1)  # [B]
    acting = torch.cat([torch.ones_like(alive[:1]), alive[:-1]])
    leaves = acting & ~alive
    leaves[-1] = acting[-1]  # the last decision ends every episode
    return torch.where(leaves, compared[:, None], 0.0) - alpha * alive.float()


def _share(correct: Tensor, alive: Tensor, beta: float, bonus: float) -> Tensor:
    """Return each survivor's share of an image's bonus, with n at least 1: [L, B, 1]."""
    survivors = alive.sum(-1, keepdim=True).clamp_min(1)  # [L, B, 1]
    return beta * bonus * correct[:, None].float() / survivors


def fixed_point(accuracy: float, alpha: float, beta: float, bonus: float) -> float:
    """Return the number of survivors at which the gated reward pays nothing: beta R p / alpha.

    It may exceed the number of patches; all are kept then.
    """
    return math.inf if alpha == 0 else beta * bonus * accuracy / alpha
