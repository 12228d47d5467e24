"""Holds batches to their order, their pixels and their threads."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from rlvit.errors import RlvitError, UnknownName
from rlvit_tasks.images import ArraySplit, LoadedImages, balanced, by_hash, hash_arrays, prefetched


def loader_threads() -> int:
    """How many decoding threads are alive."""
    return sum(thread.name.startswith("rlvit-images") for thread in threading.enumerate())


def numbered(number: int, out: np.ndarray) -> None:
    """Write the number; low numbers take longest, so that order would show."""
    time.sleep(0.002 * (number < 4))
    out[...] = number


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_come_in_the_order_asked_for(threads: int) -> None:
    order = [np.array([9, 0, 9]), np.array([1]), np.array([], dtype=np.int64), np.array([7, 3])]
    found = list(prefetched(order, 2, numbered, threads))
    assert [batch.shape for batch in found] == [
        (3, 3, 2, 2),
        (1, 3, 2, 2),
        (0, 3, 2, 2),
        (2, 3, 2, 2),
    ]
    assert all(batch.dtype == torch.uint8 for batch in found)
    assert [batch[:, 0, 0, 0].tolist() for batch in found] == [[9, 0, 9], [1], [], [7, 3]]
    assert [int(batch.sum()) for batch in found] == [18 * 12, 12, 0, 120]
    assert loader_threads() == 0


def test_the_next_batch_is_made_while_one_is_used_and_no_further_one() -> None:
    made, second = [], threading.Event()

    def fill(number: int, out: np.ndarray) -> None:
        made.append(number)
        if number == 1:
            second.set()

    batches = prefetched([np.array([number]) for number in range(4)], 1, fill, 1)
    assert loader_threads() == 0  # nothing starts before the first batch is asked for
    next(batches)
    assert second.wait(10)
    assert made == [0, 1]
    next(batches)
    assert made[:2] == [0, 1]
    assert 3 not in made
    batches.close()
    assert loader_threads() == 0


def test_closing_early_ends_the_threads() -> None:
    batches = prefetched([np.arange(50)] * 3, 2, numbered, 4)
    next(batches)
    assert loader_threads() > 0
    batches.close()
    assert loader_threads() == 0


def test_an_error_in_a_thread_is_raised_at_its_batch() -> None:
    def fill(number: int, out: np.ndarray) -> None:
        if number == 5:
            raise RlvitError("image 5 is bad")
        out[...] = number

    batches = prefetched([np.array([1, 2]), np.array([4, 5]), np.array([6])], 2, fill, 2)
    assert next(batches)[1, 0, 0, 0] == 2
    with pytest.raises(RlvitError, match="image 5 is bad"):
        next(batches)
    assert loader_threads() == 0


def test_images_in_memory_are_given_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4), dtype=np.uint8)
    split = ArraySplit(images, np.arange(5), list("abcde"))
    first, second = split.batches([np.array([4, 0]), np.array([2])], 4)
    assert np.array_equal(first.numpy(), images[[4, 0]])
    assert np.array_equal(second.numpy(), images[[2]])
    first[...] = 0  # a copy: changing it leaves the dataset alone
    assert images[4].any()


def test_grey_images_get_three_equal_channels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 6, 6), dtype=np.uint8)
    split = ArraySplit(images, np.arange(3), list("abc"))
    for size in (6, 12):
        (batch,) = split.batches([np.arange(3)], size)
        assert batch.shape == (3, 3, size, size)
        assert torch.equal(batch[:, 0], batch[:, 1])
        assert torch.equal(batch[:, 0], batch[:, 2])
    (batch,) = split.batches([np.arange(3)], 6)
    assert np.array_equal(batch[:, 2].numpy(), images[:, 0])


@pytest.mark.parametrize("size", [11, 48])
def test_another_size_is_antialiased_bilinear(size: int) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    split = ArraySplit(images, np.arange(4), list("abcd"), threads=2)
    (found,) = split.batches([np.array([3, 1, 0])], size)
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(images[[3, 1, 0]]).double(), size=size, mode="bilinear", antialias=True
    )
    assert (found.double() - reference).abs().max() <= 1.01  # rounded in both directions
    assert (found.double() - reference).abs().mean() < 0.4


def test_balanced_takes_as_many_of_each_class() -> None:
    labels = np.repeat(np.arange(10), 100)
    chosen = balanced(labels, 256)
    assert len(set(chosen.tolist())) == 256
    counts = np.bincount(labels[chosen])
    assert sorted(counts.tolist()) == [25] * 4 + [26] * 6
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, balanced(labels, 256))


def test_balanced_spreads_over_a_class_and_over_the_classes() -> None:
    assert balanced(np.zeros(10, dtype=np.int64), 2).tolist() == [2, 7]
    one_each = balanced(np.arange(1000), 250)
    assert one_each.tolist() == list(range(3, 1000, 4))
    # The second class has only one image, and three are its share.
    assert balanced(np.array([0, 0, 0, 0, 0, 0, 1]), 6).tolist() == [1, 3, 5, 6]
    assert balanced(np.array([1, 1, 0]), 0).tolist() == [0, 1, 2]
    assert balanced(np.array([1, 1, 0]), 3).tolist() == [0, 1, 2]


def test_order_by_hash_and_hash_of_arrays() -> None:
    # SHA-256: "a" ca97…, "b" 3e23…, "c" 2e7d…
    assert by_hash(["a", "b", "c"]) == [2, 1, 0]
    # SHA-256 of "abc" is a published test vector.
    parts = [np.frombuffer(b"ab", dtype=np.uint8), np.frombuffer(b"c", dtype=np.uint8)]
    assert hash_arrays(parts).startswith("ba7816bf8f01cfea")
    assert hash_arrays([np.arange(4).reshape(2, 2).T]) != hash_arrays([np.arange(4)])


def test_an_unknown_split_names_the_known_ones() -> None:
    split = ArraySplit(np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int64), ["x"])
    data = LoadedImages(("a",), "0", {"train": split, "test": split})
    assert data.split("test") is split
    with pytest.raises(UnknownName, match=r"'tset'.*'test'"):
        data.split("tset")
