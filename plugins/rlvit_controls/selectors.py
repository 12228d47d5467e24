"""Selections that learn nothing: the control arms at equal compute.

All but `All` keep exactly `kept_counts` patches of every image, so that arms with the same rate
cost the same, image by image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvit.contracts import Selection, SelectorView
from rlvit.nn.compute import received_macs


class _Control:
    """What the controls have in common: they adapt to nothing and remember nothing."""

    def __init__(self, backbone: Any) -> None:
        """Take the backbone (a TokenBackbone), whose width `ClassAttention` needs for its cost."""
        self.backbone = backbone

    def prepare(self, images: NDArray[np.uint8]) -> Mapping[str, float]:
        """Do nothing; there is nothing to decide from images."""
        return {}

    def macs(self, view: SelectorView) -> Tensor:
        """Return the multiply-adds of a decision [B] int64: none."""
        return torch.zeros(len(view.alive), dtype=torch.int64, device=view.alive.device)

    def report(self) -> Mapping[str, float]:
        """Return no metrics."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return nothing to save."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing; there is no state."""


class All(_Control):
    """Keeps every patch that is alive, whatever the rate."""

    def select(self, view: SelectorView) -> Selection:
        """Keep all."""
        return Selection(view.alive.clone())


class Random(_Control):
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
        return Selection(largest(scores, view.alive, kept_counts(view)))


class Uniform(_Control):
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


class ClassAttention(_Control):
    """Keeps the round(rate * alive) patches with the largest attention of the class token.

    The attention is that of the layer before, the mean over heads (EViT, Liang et al. 2022,
    section 3). EViT also fuses the dropped patches into one further token; that is left out.
    """

    def select(self, view: SelectorView) -> Selection:
        """Choose patches by `view.data["attention"]` [T]; of equals, the first in raster order."""
        attention = view.data["attention"]
        scores = attention.new_zeros(view.alive.shape).masked_scatter(view.alive, attention)
        return Selection(largest(scores, view.alive, kept_counts(view)))

    def macs(self, view: SelectorView) -> Tensor:
        """Return alive * D [B] int64: one query against the keys, which the layer has anyway."""
        return view.alive.sum(1) * int(self.backbone.shape.dim)


class ReceivedAttention(_Control):
    """Keeps the round(rate * alive) patches that receive most attention in the layer that comes.

    The attention is the mean over heads and over all tokens of the image that look. It needs no
    class token and no layer before, so it can decide before the first block, too.
    """

    def select(self, view: SelectorView) -> Selection:
        """Choose patches by `view.data["received"]` [T]; of equals, the first in raster order."""
        received = view.data["received"]
        scores = received.new_zeros(view.alive.shape).masked_scatter(view.alive, received)
        return Selection(largest(scores, view.alive, kept_counts(view)))

    def macs(self, view: SelectorView) -> Tensor:
        """Return the multiply-adds of queries, keys and scores of the living tokens [B] int64."""
        shape = self.backbone.shape
        return received_macs(shape, view.alive.sum(1) + shape.prefix)


def kept_counts(view: SelectorView) -> Tensor:
    """Return round(rate * alive) of each image [B] int64; halves go to the even number.

    Raises:
        ValueError: the rate is not a share.
    """
    if not 0 <= view.rate <= 1:
        raise ValueError(f"rate {view.rate}: should be between 0 and 1")
    return (view.alive.sum(1).double() * view.rate).round().long()


def largest(scores: Tensor, alive: Tensor, count: Tensor) -> Tensor:
    """Mark the `count` [B] alive patches of each image with the largest scores; first of equals.

    Args:
        scores: finite [B, N].
        alive: bool [B, N].
        count: of each image [B], at most as many as are alive.

    Returns:
        bool [B, N], within `alive`.
    """
    ranked = scores.masked_fill(~alive, -torch.inf)
    order = ranked.argsort(dim=1, descending=True, stable=True)  # [B, N] patch ids
    places = torch.arange(scores.shape[1], device=scores.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places)  # [B, N]
    return rank < count[:, None]
