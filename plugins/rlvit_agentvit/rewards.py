"""What the agent is paid: a term for the classifier's loss, and one for the number of patches."""

from __future__ import annotations

from torch import Tensor


def loss_ratio(first: Tensor, now: Tensor) -> Tensor:
    """Return L_first / L_t (nb 24): 1 where training began, and without bound as the loss falls.

    Args:
        first: the loss when it was first recorded, above 0.
        now: the loss to pay for, above 0; any shape that broadcasts with `first`.
    """
    return first / now


def log_likelihood(first: Tensor, now: Tensor) -> Tensor:
    """Return -L / L_first: -1 where training began, 0 at best.

    rlvit's own, for a loss an image: where the ratio explodes as an image's loss nears 0, this one
    is the log-likelihood of its label up to a factor.

    Args:
        first: the loss when it was first recorded, above 0.
        now: the loss to pay for; any shape that broadcasts with `first`.
    """
    return -now / first


def patch_term(kept: Tensor, patches: int, desired: int) -> Tensor:
    """Return -|zeros - ideal| / ideal, with zeros the patches dropped (nb 24).

    It is 0 where exactly the desired number is kept, and -1 where all are.

    Args:
        kept: how many patches an image keeps, any shape.
        patches: N, of an image.
        desired: how many it should keep; the readme's `n_patch_desired`. 30 of 64 in nb 36.

    Raises:
        ValueError: unless 1 <= desired < patches.
    """
    if not 1 <= desired < patches:
        raise ValueError(f"desired is {desired}, but must be in 1..{patches - 1}")
    ideal = patches - desired
    zeros = patches - kept
    return -(zeros - ideal).abs() / ideal


def reward(loss_term: Tensor, patch_term: Tensor, alpha: float) -> Tensor:
    """Return alpha * loss_term + (1 - alpha) * patch_term, with the readme's `alpha`.

    The weights 1 and 20 of nb 36 are alpha = 1/21, but for a factor of 21: its reward is that many
    times as large.

    Args:
        loss_term: `loss_ratio` or `log_likelihood`, any shape.
        patch_term: what `patch_term` returned, of a shape that broadcasts with it.
        alpha: 0 to 1.
    """
    return alpha * loss_term + (1 - alpha) * patch_term
