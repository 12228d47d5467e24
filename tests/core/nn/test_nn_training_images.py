"""Training images come in the order that is asked for, whether they stay in memory or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvit.nn import training_images
from rlvit.nn.training_images import TrainingImages, some_of

COUNT, SIZE = 23, 4
BYTES = COUNT * 3 * SIZE * SIZE
CPU = torch.device("cpu")


class Split:
    """Images whose pixels are drawn from their number, and a list of what was decoded."""

    names: Sequence[str] = [str(number) for number in range(COUNT)]
    subsets: Mapping[str, NDArray[np.bool_]] = {}

    def __init__(self) -> None:
        self.labels = np.arange(COUNT, dtype=np.int64) * 7 % 5
        self.decoded: list[list[int]] = []

    def batches(self, order: Sequence[NDArray[np.int64]], size: int) -> Iterator[Tensor]:
        for numbers in order:
            self.decoded.append(numbers.tolist())
            yield torch.stack([image(number, size) for number in numbers.tolist()])


def image(number: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(100 + number)
    return torch.randint(256, (3, size, size), dtype=torch.uint8, generator=generator)


def order_of(seed: int = 0) -> list[NDArray[np.int64]]:
    """An epoch in batches of 8, the last smaller, then one that has images twice."""
    shuffled = np.random.default_rng(seed).permutation(COUNT)
    return [shuffled[:8], shuffled[8:16], shuffled[16:], np.array([3, 3, 22, 0])]


def resident(split: Split) -> TrainingImages:
    return TrainingImages(split, SIZE, CPU)


def streamed(split: Split, monkeypatch: pytest.MonkeyPatch) -> TrainingImages:
    monkeypatch.setattr(training_images, "RESIDENT_BYTES", BYTES - 1)
    images = TrainingImages(split, SIZE, CPU)
    monkeypatch.undo()
    return images


def test_batches_are_the_images_and_labels_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for images in (resident(Split()), streamed(Split(), monkeypatch)):
        assert images.count == COUNT
        found = list(images.batches(order_of()))
        assert len(found) == 4
        for numbers, (pixels, labels) in zip(order_of(), found, strict=True):
            expected = torch.stack([image(number, SIZE) for number in numbers.tolist()])
            assert pixels.dtype == torch.uint8
            assert torch.equal(pixels, expected)
            assert labels.dtype == torch.int64
            assert labels.tolist() == [number * 7 % 5 for number in numbers.tolist()]


def test_resident_and_streamed_batches_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = resident(Split()), streamed(Split(), monkeypatch)
    assert (one.resident, other.resident) == (True, False)
    for _ in range(2):  # they can be gone through again
        for seed in (1, 2):
            pairs = zip(one.batches(order_of(seed)), other.batches(order_of(seed)), strict=True)
            for (pixels, labels), (pixels_too, labels_too) in pairs:
                assert torch.equal(pixels, pixels_too)
                assert torch.equal(labels, labels_too)


def test_resident_images_are_decoded_once_and_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_images, "CHUNK", 10)
    split = Split()
    images = resident(split)
    chunks = [list(range(10)), list(range(10, 20)), [20, 21, 22]]
    assert split.decoded == chunks
    for pixels, _ in images.batches([np.arange(COUNT)]):
        assert torch.equal(pixels, torch.stack([image(n, SIZE) for n in range(COUNT)]))
    assert split.decoded == chunks


def test_streamed_images_are_decoded_when_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split = Split()
    images = streamed(split, monkeypatch)
    assert split.decoded == []
    batches = images.batches(order_of())
    next(batches)
    assert len(split.decoded) == 1
    assert len(list(batches)) == 3
    assert split.decoded == [numbers.tolist() for numbers in order_of()]


def test_what_just_fits_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_images, "RESIDENT_BYTES", BYTES)
    assert resident(Split()).resident
    monkeypatch.setattr(training_images, "RESIDENT_BYTES", BYTES - 1)
    assert not resident(Split()).resident


def test_a_resident_batch_is_a_copy() -> None:
    images = resident(Split())
    ((pixels, labels),) = images.batches([np.array([0, 1])])
    pixels.zero_()
    labels.fill_(-1)
    ((pixels, labels),) = images.batches([np.array([0, 1])])
    assert torch.equal(pixels[0], image(0, SIZE))
    assert labels.tolist() == [0, 2]


def test_some_of_a_split_are_the_same_each_time_and_decoded_alone() -> None:
    split = Split()
    some = some_of(split, 7)
    numbers = [int(name) for name in some.names]
    assert len(set(numbers)) == 7
    assert numbers == sorted(numbers) != list(range(7))
    assert list(some_of(Split(), 7).names) == some.names
    assert some.labels.tolist() == split.labels[numbers].tolist()
    (batch,) = some.batches([np.array([6, 0])], SIZE)
    assert split.decoded == [[numbers[6], numbers[0]]]
    assert torch.equal(batch, torch.stack([image(numbers[6], SIZE), image(numbers[0], SIZE)]))
    assert resident(some).count == 7


def test_all_are_left_as_they_are() -> None:
    split = Split()
    assert some_of(split, None) is split
    assert some_of(split, COUNT) is split
