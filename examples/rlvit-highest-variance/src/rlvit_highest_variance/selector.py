"""The selector: flat patches say little, so keep those whose pixels vary most."""

from __future__ import annotations

from torch import Tensor

from rlvit.contracts import Selection, SelectorView
from rlvit.nn.selection import FixedRule, keep_largest, patches_of


class HighestVariance(FixedRule):
    """Keeps the share of an image's patches that the run asks for, those of highest variance."""

    def select(self, view: SelectorView) -> Selection:
        """Score every patch by its local variance and keep the best; of equals the first."""
        return keep_largest(view, local_variance(view.data["images"], view.grid))


def local_variance(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the variance of the pixels of each patch, mean over channels.

    Args:
        images: uint8 [B, C, H, W].
        grid: rows and columns of patches.

    Returns:
        float32 [B, N], in grey levels squared.
    """
    patches = patches_of(images.float(), grid)  # [B, N, C, P, P]
    return patches.var((-1, -2), correction=0).mean(-1)
