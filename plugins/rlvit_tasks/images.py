"""Labelled images held in memory, and the decoding one batch ahead that every dataset uses."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from rlvit.contracts import ImageSplit
from rlvit.errors import UnknownName

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

# Writes image number `n` of a split into an array uint8 [3, size, size].
Fill = Callable[[int, "NDArray[np.uint8]"], None]


@dataclass(frozen=True)
class LoadedImages:
    """A dataset whose splits are known; the `ImageData` of every dataset here."""

    classes: tuple[str, ...]
    sha256: str
    splits: Mapping[str, ImageSplit]
    skipped: tuple[str, ...] = ()

    def split(self, name: str) -> ImageSplit:
        """Return a split.

        Raises:
            UnknownName: there is none of that name.
        """
        if name not in self.splits:
            raise UnknownName("split", name, self.splits)
        return self.splits[name]


@dataclass(frozen=True)
class ArraySplit:
    """Images that stay in memory; grey ones become three equal channels when they are asked for.

    Another size than their own is made by bilinear interpolation with antialiasing, in Pillow's
    integer arithmetic: the same pixels on every machine.
    """

    images: NDArray[np.uint8]  # [S, 1 or 3, H, H]
    labels: NDArray[np.int64]  # [S]
    names: Sequence[str]  # [S]
    threads: int = 1
    subsets: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def batches(self, order: Sequence[NDArray[np.int64]], size: int) -> Iterator[Tensor]:
        """Yield the images of each index array as uint8 [B, 3, size, size], one batch ahead."""
        if size != self.images.shape[-1]:
            yield from prefetched(order, size, self._resized, self.threads)
            return
        import torch

        for numbers in order:
            images = self.images[numbers]  # [B, 1 or 3, H, H], a copy
            shape = (len(images), 3, *images.shape[2:])
            yield torch.from_numpy(np.array(np.broadcast_to(images, shape)))

    def _resized(self, number: int, out: NDArray[np.uint8]) -> None:
        planes = self.images[number]  # [1 or 3, H, H]
        pixels = planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0)
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        resized = np.asarray(picture.resize(out.shape[1:], Image.Resampling.BILINEAR))
        out[...] = resized if resized.ndim == 2 else resized.transpose(2, 0, 1)


def prefetched(
    order: Iterable[NDArray[np.int64]], size: int, fill: Fill, threads: int
) -> Iterator[Tensor]:
    """Yield one batch uint8 [B, 3, size, size] for each index array, in order.

    While a batch is being used, the threads fill the next one. They end with the iterator, also
    when that is closed early. An error of `fill` is raised here, at the batch that it concerns.

    Args:
        order: index arrays, one a batch.
        size: pixels a side.
        fill: writes one image; it is called from several threads at a time.
        threads: how many.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="rlvit-images")
    ahead: deque[tuple[NDArray[np.uint8], list[Future[None]]]] = deque()
    try:
        for numbers in order:
            batch = np.empty((len(numbers), 3, size, size), dtype=np.uint8)
            jobs = [pool.submit(fill, int(n), out) for n, out in zip(numbers, batch, strict=True)]
            ahead.append((batch, jobs))
            if len(ahead) > 1:
                yield _finished(*ahead.popleft())
        while ahead:
            yield _finished(*ahead.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(batch: NDArray[np.uint8], jobs: list[Future[None]]) -> Tensor:
    import torch

    for job in jobs:
        job.result()
    return torch.from_numpy(batch)


def hash_arrays(arrays: Iterable[NDArray[np.generic]]) -> str:
    """Return the SHA-256 of arrays' bytes, as 64 hex digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def by_hash(names: Sequence[str]) -> list[int]:
    """Return the numbers of the names in the order of their SHA-256: a lasting shuffle."""

    def key(number: int) -> bytes:
        return hashlib.sha256(names[number].encode(errors="surrogateescape")).digest()

    return sorted(range(len(names)), key=key)


def balanced(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return at most `count` indices, rising, the same number of each class as far as it goes.

    What `count` leaves over goes to classes spread evenly over all, one each; in a class the
    indices are spread evenly over its images. A class with fewer images gives what it has.

    Args:
        labels: [S] class of each image.
        count: how many; 0 or at least S for all.
    """
    if count == 0 or count >= len(labels):
        return np.arange(len(labels))
    present = np.unique(labels)
    bounds = np.arange(len(present) + 1) * count // len(present)  # each class's share of `count`
    chosen = []
    for label, share in zip(present, np.diff(bounds), strict=True):
        members = np.flatnonzero(labels == label)
        share = min(int(share), len(members))
        chosen.append(members[(2 * np.arange(share) + 1) * len(members) // max(2 * share, 1)])
    return np.sort(np.concatenate(chosen))
