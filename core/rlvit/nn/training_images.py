"""Training images by the batch: on the device from the start where they fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvit.contracts import ImageSplit

RESIDENT_BYTES = 2 * 2**30  # CIFAR-10 takes 154 MB, Imagenette at 224 pixels 1.4 GB
CHUNK = 512  # images read at a time
SEED = 0  # of the choice of some: all runs of a dataset train on the same


class TrainingImages:
    """Images and labels of a split, gathered on the device or else decoded one batch ahead."""

    def __init__(self, split: ImageSplit, size: int, device: torch.device) -> None:
        """Read the split at `size` pixels a side, unless it is too large to stay in memory."""
        self.count = len(split.labels)
        self._split, self._size, self._device = split, size, device
        self._labels = torch.from_numpy(split.labels).to(device)
        self._images: Tensor | None = None
        if self.count * 3 * size**2 <= RESIDENT_BYTES:
            self._images = self._all()

    @property
    def resident(self) -> bool:
        """Whether they stay on the device."""
        return self._images is not None

    def _all(self) -> Tensor:
        shape = (self.count, 3, self._size, self._size)
        images = torch.empty(shape, dtype=torch.uint8, device=self._device)
        order = in_order(self.count, CHUNK)
        for numbers, batch in zip(order, self._split.batches(order, self._size), strict=True):
            images[int(numbers[0]) : int(numbers[-1]) + 1] = batch.to(self._device)
        return images

    def batches(self, order: Sequence[NDArray[np.int64]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images uint8 [B, 3, S, S] and labels int64 [B] of each index array."""
        if self._images is None:
            decoded = self._split.batches(order, self._size)
            for numbers, images in zip(order, decoded, strict=True):
                yield images.to(self._device), self._labels[torch.from_numpy(numbers)]
            return
        for numbers in order:
            chosen = torch.from_numpy(numbers).to(self._device)
            yield self._images.index_select(0, chosen), self._labels.index_select(0, chosen)


class _SomeImages:
    """Some of a split's images, as a split."""

    def __init__(self, split: ImageSplit, chosen: NDArray[np.int64]) -> None:
        """Take the numbers of the chosen images in the whole split."""
        self._split, self._chosen = split, chosen
        self.labels = split.labels[chosen]
        self.names: Sequence[str] = [split.names[number] for number in chosen]
        self.subsets: Mapping[str, NDArray[np.bool_]] = {
            name: marks[chosen] for name, marks in split.subsets.items()
        }

    def batches(self, order: Sequence[NDArray[np.int64]], size: int) -> Iterator[Tensor]:
        """Yield the images of each index array as uint8 [B, 3, size, size], one batch ahead."""
        return self._split.batches([self._chosen[numbers] for numbers in order], size)


def some_of(split: ImageSplit, most: int | None) -> ImageSplit:
    """Return a split with `most` of the images at random, the same each time, in their order.

    All of them if there are no more, or if `most` is None.
    """
    count = len(split.labels)
    if most is None or most >= count:
        return split
    chosen = np.random.default_rng(SEED).permutation(count)[:most]
    return _SomeImages(split, np.sort(chosen))


def in_order(count: int, size: int) -> list[NDArray[np.int64]]:
    """Return the indices of all images in their order, so many at a time."""
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]
