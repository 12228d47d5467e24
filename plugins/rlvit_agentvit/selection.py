"""From the scores of an image's patches to the patches that are kept."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Rule = Literal["mean-threshold", "topk"]


def choose(scores: Tensor, rule: Rule, count: int) -> Tensor:
    """Return which patches are kept: finite scores [B, N] to bool [B, N].

    "mean-threshold" keeps every patch whose score is at least the mean of its row (nb 9,
    `set_patches`). How many that are is up to the skew of the scores: about half if they are
    symmetric, all if they are equal. "topk" keeps exactly `count`, those with the largest scores;
    of equal scores the first in raster order. Nothing waits for the device.

    Args:
        scores: one for each patch [B, N].
        rule: which of the two.
        count: patches that "topk" keeps of each row; "mean-threshold" has no use for it.

    Raises:
        ValueError: the rule is another, or "topk" is to keep a number outside 1..N.
    """
    if rule == "mean-threshold":
        # The mean of equal scores may come out above them all; none would be kept then.
        threshold = torch.minimum(scores.mean(1, keepdim=True), scores.amax(1, keepdim=True))
        return scores >= threshold
    if rule != "topk":
        raise ValueError(f"rule is {rule!r}, but must be 'mean-threshold' or 'topk'")
    return _largest(scores, count)


def _largest(scores: Tensor, count: int) -> Tensor:
    """Mark the `count` largest of each row: [B, N] to bool [B, N]."""
    patches = scores.shape[1]
    if not 1 <= count <= patches:
        raise ValueError(f"count is {count}, but must be in 1..{patches}")
    # A stable sort keeps equal scores in raster order; torch.topk promises no order.
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :count]  # [B, count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, best, True)


def batch_scores(scores: Tensor) -> Tensor:
    """Return the mean over a batch, from which one mask for all its images comes (nb 24).

    Args:
        scores: of each image's patches [B, N].

    Returns:
        [1, N]. What an image keeps thus depends on the images it is in a batch with.
    """
    return scores.mean(0, keepdim=True)
