"""Selections that learn nothing: the control arms at equal compute.

All but `All` keep exactly `kept_counts` patches of every image, so that arms with the same rate
cost the same, image by image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlvit.contracts import Selection, SelectorView
from rlvit.nn.compute import class_attention_macs, received_macs
from rlvit.nn.selection import FixedRule, keep_largest, kept_counts, patches_of


class All(FixedRule):
    """Keeps every patch that is alive, whatever the rate."""

    def select(self, view: SelectorView) -> Selection:
        """Keep all."""
        return Selection(view.alive.clone())


class Random(FixedRule):
    """Keeps round(rate * alive) patches of each image, uniformly at random.

    The random baseline of RL4DViT (section 4) keeps each patch with probability rate. Here the
    count is exact, so that the compute is equal image by image and not only on average.
    """

    def select(self, view: SelectorView) -> Selection:
        """Draw patches from the view's generator.

        Raises:
            ValueError: the view has no generator.
        """
        if view.generator is None:
            raise ValueError("a random selection needs a generator in its view")
        scores = torch.rand(
            view.alive.shape, generator=view.generator, device=view.alive.device
        )  # [B, N]
        return keep_largest(view, scores)


class Uniform(FixedRule):
    """Keeps round(rate * alive) patches of each image, evenly spaced in raster order.

    Of n alive patches the k kept are those at the centres of k equal stretches, at positions
    floor((j + 1/2) n/k). The spacing is along the rows, one after another: it is not even in both
    directions of the image.
    """

    def select(self, view: SelectorView) -> Selection:
        """Choose patches by their position among the alive."""
        alive = view.alive.long()
        position = alive.cumsum(1) - alive  # [B, N] of each patch among the alive
        total = alive.sum(1, keepdim=True).clamp(min=1)  # [B, 1]
        count = kept_counts(view)[:, None]  # [B, 1]

        def before(position: Tensor) -> Tensor:
            """Count the j with floor((j + 1/2) n/k) < position."""
            return (2 * count * position + total - 1) // (2 * total)

        return Selection(view.alive & (before(position + 1) > before(position)))


class PixelVariance(FixedRule):
    """Keeps the round(rate * alive) patches whose pixels vary most.

    The variance is that over a patch's pixels, the mean over channels: what a flat background lacks
    and any texture or edge has, learnt or not.
    """

    def select(self, view: SelectorView) -> Selection:
        """Choose patches by `view.data["images"]` [B, C, H, W]; of equals, the first."""
        patches = patches_of(view.data["images"].float(), view.grid)  # [B, N, C, P, P]
        return keep_largest(view, patches.var((-1, -2), correction=0).mean(-1))

    def macs(self, view: SelectorView) -> Tensor:
        """Return a multiply-add for each value of the living patches, its square [B] int64."""
        return view.alive.sum(1) * int(self.backbone.shape.patch_values)


class ClassAttention(FixedRule):
    """Keeps the round(rate * alive) patches with the largest attention of the class token.

    The attention is that of the layer before (before the first layer, that of the first, looked
    ahead at), the mean over heads (EViT, Liang et al. 2022, section 3). EViT also fuses the dropped
    patches into one further token; that is left out.
    """

    def select(self, view: SelectorView) -> Selection:
        """Choose patches by `view.data["attention"]` [T]; of equals, the first in raster order."""
        return keep_largest(view, view.data["attention"])

    def macs(self, view: SelectorView) -> Tensor:
        """Return alive * D [B] int64: one query against the keys, which the layer has anyway.

        Before the first layer nothing has run yet: keys and query are computed for the look alone.
        """
        alive, shape = view.alive.sum(1), self.backbone.shape
        if view.layer == 0:
            return class_attention_macs(shape, alive + shape.prefix)
        return alive * int(shape.dim)


class ReceivedAttention(FixedRule):
    """Keeps the round(rate * alive) patches that receive most attention in the layer that comes.

    The attention is the mean over heads and over all tokens of the image that look. It needs no
    class token and no layer before, so it can decide before the first block, too.
    """

    def select(self, view: SelectorView) -> Selection:
        """Choose patches by `view.data["received"]` [T]; of equals, the first in raster order."""
        return keep_largest(view, view.data["received"])

    def macs(self, view: SelectorView) -> Tensor:
        """Return the multiply-adds of queries, keys and scores of the living tokens [B] int64."""
        shape = self.backbone.shape
        return received_macs(shape, view.alive.sum(1) + shape.prefix)
