"""Holds the readers of digits, MNIST and CIFAR-10 to their formats, splits and refusals."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit_tasks import arrays
from rlvit_tasks.arrays import (
    load_cifar10,
    load_digits,
    load_mnist,
    read_cifar10_binary,
    read_cifar10_pickle,
    read_idx,
)
from rlvit_tasks.images import LoadedImages

RANDOM = np.random.default_rng(3)


def assert_disjoint(data: LoadedImages, counts: dict[str, int]) -> None:
    """Assert the sizes of the splits and that no image is in two."""
    names = [name for split in data.splits.values() for name in split.names]
    assert {name: len(split.names) for name, split in data.splits.items()} == counts
    assert {name: len(split.labels) for name, split in data.splits.items()} == counts
    assert len(set(names)) == len(names)


def idx(array: np.ndarray) -> bytes:
    """An idx file of unsigned bytes."""
    head = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_mnist(root: Path, *, packed: bool = False) -> dict[str, np.ndarray]:
    """Lay out a tiny MNIST of 12 training and 4 test images; return what it holds."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    held = {}
    for prefix, count in (("train", 12), ("t10k", 4)):
        held[f"{prefix}-images-idx3-ubyte"] = RANDOM.integers(0, 256, (count, 28, 28))
        held[f"{prefix}-labels-idx1-ubyte"] = RANDOM.integers(0, 10, count)
    for name, array in held.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
    return held


def cifar_batches(records: int = 4) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pixels [S, 3072] and labels of six tiny batches."""
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    return {
        name: (
            RANDOM.integers(0, 256, (records, 3072), dtype=np.uint8),
            RANDOM.integers(0, 10, records),
        )
        for name in names
    }


def binary(batch: tuple[np.ndarray, np.ndarray]) -> bytes:
    """A batch in the binary version."""
    return np.concatenate([batch[1].astype(np.uint8)[:, None], batch[0]], axis=1).tobytes()


def pickled(batch: tuple[np.ndarray, np.ndarray], protocol: int = 3) -> bytes:
    """A batch in the Python version."""
    return pickle.dumps({b"data": batch[0], b"labels": batch[1].tolist()}, protocol=protocol)


def test_digits_are_split_once_and_for_all(requests: Any, tmp_path: Path) -> None:
    data = load_digits(requests(tmp_path))
    assert data.classes == tuple("0123456789")
    assert_disjoint(data, {"train": 1259, "val": 179, "test": 359})
    for split in data.splits.values():
        share = np.bincount(split.labels, minlength=10) / len(split.labels)
        assert np.abs(share - 0.1).max() < 0.01
    # The split may never change: results would no longer compare.
    names = "\n".join(data.split("test").names)
    assert hashlib.sha256(names.encode()).hexdigest()[:16] == "9acb6966f7e12126"
    assert data.sha256[:16] == "0b7e9c3202d7bcd2"


def test_digits_are_sklearns_scaled_to_bytes(requests: Any, tmp_path: Path) -> None:
    from sklearn.datasets import load_digits as reference

    split = load_digits(requests(tmp_path)).split("val")
    (batch,) = split.batches([np.arange(len(split.labels))], 8)
    assert batch.shape == (179, 3, 8, 8)
    published = reference()
    for number, name, label in zip(range(179), split.names, split.labels, strict=True):
        original = int(name.removeprefix("digits/"))
        assert published.target[original] == label
        expected = np.floor(published.images[original] * 255 / 16 + 0.5)
        assert np.abs(batch[number, 1].numpy() - expected).max() <= 1
    assert batch.min() == 0
    assert batch.max() == 255


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_read_and_its_last_images_are_for_validation(
    tmp_path: Path, requests: Any, packed: bool
) -> None:
    held = write_mnist(tmp_path, packed=packed)
    data = load_mnist(requests(tmp_path), held_out=5)
    assert_disjoint(data, {"train": 7, "val": 5, "test": 4})
    images, labels = held["train-images-idx3-ubyte"], held["train-labels-idx1-ubyte"]
    (batch,) = data.split("val").batches([np.array([4, 0])], 28)
    assert np.array_equal(batch[:, 0].numpy(), images[[11, 7]])
    assert np.array_equal(data.split("train").labels, labels[:7])
    assert data.split("val").names[0] == "train/00007"
    assert np.array_equal(data.split("test").labels, held["t10k-labels-idx1-ubyte"])
    assert requests.said == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (idx(np.zeros((2, 3, 3)))[:-1], "cut off"),
        (idx(np.zeros((2, 3, 3))) + b"x", "too long"),
        (idx(np.zeros((2, 3))), "no idx file"),
        (b"\x00", "no idx file"),
        (struct.pack(">IIII", 0x803, 2**32 - 1, 2**32 - 1, 2**31), "cut off"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(RlvitError, match=expected) as problem:
        read_idx(path, 3)
    assert str(path) in str(problem.value)


def test_a_damaged_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    for content in (b"no gzip", gzip.compress(idx(np.arange(200).reshape(2, 10, 10)))[:-30]):
        path.write_bytes(content)
        with pytest.raises(RlvitError, match=r"cannot read .*images\.gz"):
            read_idx(path, 3)


def test_more_images_than_labels_is_refused(tmp_path: Path, requests: Any) -> None:
    write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(3)))
    with pytest.raises(RlvitError, match="4 t10k images, but 3 labels"):
        load_mnist(requests(tmp_path), held_out=5)


def test_mnist_is_downloaded_where_it_is_missing(
    tmp_path: Path, requests: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = write_mnist(tmp_path / "site", packed=True)
    here = write_mnist(tmp_path / "root")
    site = tmp_path / "site" / "MNIST" / "raw"
    for name in list(arrays.MNIST):
        packed = site / f"{name}.gz"
        md5 = hashlib.md5(packed.read_bytes()).hexdigest()
        source = replace(arrays.MNIST[name], url=packed.as_uri(), md5=md5)
        monkeypatch.setitem(arrays.MNIST, name, source)
    for name in ("t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"):
        (tmp_path / "root" / "MNIST" / "raw" / name).unlink()
    data = load_mnist(requests(tmp_path / "root"), held_out=2)
    assert np.array_equal(data.split("test").labels, held["t10k-labels-idx1-ubyte"])
    assert np.array_equal(data.split("train").labels, here["train-labels-idx1-ubyte"][:10])
    assert len(requests.said) == 2
    load_mnist(requests(tmp_path / "root"), held_out=2)
    assert len(requests.said) == 2  # what was fetched stays


def test_without_a_network_the_user_learns_what_to_put_where(
    tmp_path: Path, requests: Any, no_network: Callable[[], int]
) -> None:
    with pytest.raises(RlvitError) as problem:
        load_mnist(requests(tmp_path / "data"))
    text = str(problem.value)
    assert all(name in text for name in arrays.MNIST)
    assert str(tmp_path / "data" / "MNIST" / "raw") in text
    with pytest.raises(RlvitError) as problem:
        load_cifar10(requests(tmp_path / "data"))
    text = str(problem.value)
    for name in ("cifar-10-binary.tar.gz", "cifar-10-batches-bin", "cifar-10-batches-py"):
        assert name in text
    assert "\n" not in text
    assert no_network() == 2
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("version", ["bin", "py"])
def test_cifar10_is_read_from_either_version(tmp_path: Path, requests: Any, version: str) -> None:
    batches = cifar_batches()
    folder = tmp_path / f"cifar-10-batches-{version}"
    folder.mkdir()
    for name, batch in batches.items():
        if version == "bin":
            (folder / f"{name}.bin").write_bytes(binary(batch))
        else:
            (folder / name).write_bytes(pickled(batch))
    data = load_cifar10(requests(tmp_path), held_out=6)
    assert_disjoint(data, {"train": 14, "val": 6, "test": 4})
    (batch,) = data.split("val").batches([np.array([5, 0])], 32)
    fifth, fourth = batches["data_batch_5"], batches["data_batch_4"]
    assert np.array_equal(batch[0].numpy(), fifth[0][3].reshape(3, 32, 32))
    assert np.array_equal(batch[1].numpy(), fourth[0][2].reshape(3, 32, 32))
    assert np.array_equal(data.split("val").labels, [*fourth[1][2:], *fifth[1]])
    assert np.array_equal(data.split("test").labels, batches["test_batch"][1])
    assert data.classes[:2] == ("airplane", "automobile")


def test_the_notebooks_splits_train_on_everything_and_divide_the_test_images(
    tmp_path: Path, requests: Any
) -> None:
    batches = cifar_batches(records=40)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, batch in batches.items():
        (folder / f"{name}.bin").write_bytes(binary(batch))
    data = load_cifar10(requests(tmp_path), train="all")
    everything = np.concatenate([batches[f"data_batch_{n}"][1] for n in range(1, 6)])
    assert np.array_equal(data.split("train").labels, everything)
    assert data.split("train").names[199] == "train/00199"
    assert data.split("val") is data.split("notebook-val")
    parts = [data.split("notebook-val"), data.split("notebook-test")]
    assert [len(part.labels) for part in parts] == [38, 2]
    numbers = [[int(name.removeprefix("test/")) for name in part.names] for part in parts]
    assert sorted(numbers[0] + numbers[1]) == list(range(40))
    for part, chosen in zip(parts, numbers, strict=True):
        assert chosen == sorted(chosen)
        assert np.array_equal(part.labels, batches["test_batch"][1][chosen])
        (images,) = part.batches([np.arange(len(chosen))], 32)
        assert np.array_equal(images.flatten(1).numpy(), batches["test_batch"][0][chosen])
    # What was trained on these splits is not found again as if it were trained on the others.
    assert data.sha256 != load_cifar10(requests(tmp_path), held_out=6).sha256
    assert data.sha256 == load_cifar10(requests(tmp_path), train="all").sha256


def test_another_training_part_is_refused_before_anything_is_read(
    tmp_path: Path, requests: Any
) -> None:
    with pytest.raises(UnknownName, match="'everything'"):
        load_cifar10(requests(tmp_path), train="everything")
    one = np.zeros((1, 3, 32, 32), np.uint8), np.zeros(1, np.int64)
    with pytest.raises(UsageProblem, match="1 training and 1 test images: too few"):
        arrays.notebook_splits(one, one, requests(tmp_path))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_pickles_of_every_protocol_hold_the_same(tmp_path: Path, protocol: int) -> None:
    batch = cifar_batches()["test_batch"]
    path = tmp_path / "batch"
    path.write_bytes(pickled(batch, protocol))
    if protocol < 3:  # Python 3 writes bytes as a call of _codecs.encode there, as Python 2 did not
        with pytest.raises(RlvitError, match=r"refused: it would run _codecs\.encode"):
            read_cifar10_pickle(path)
        return
    images, labels = read_cifar10_pickle(path)
    assert np.array_equal(images.reshape(4, 3072), batch[0])
    assert np.array_equal(labels, batch[1])


def test_a_pickle_of_python_2_and_old_numpy_is_read(tmp_path: Path) -> None:
    """Written by hand, as the published files are: protocol 2, byte strings, numpy.core."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(value)) + value  # BINSTRING

    pixels = RANDOM.integers(0, 256, (2, 3072), dtype=np.uint8)
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b")
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR"
    dtype += b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01(K\x02M\x00\x0ct" + dtype + b"\x89" + text(pixels.tobytes()) + b"tb"
    data = reconstruct + b"tR" + state
    path = tmp_path / "batch"
    labels = text(b"labels") + b"(K\x07K\x02l"
    path.write_bytes(b"\x80\x02}(" + text(b"data") + data + labels + b"u.")
    images, found = read_cifar10_pickle(path)
    assert np.array_equal(images.reshape(2, 3072), pixels)
    assert found.tolist() == [7, 2]


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


def test_a_malicious_pickle_is_refused_before_it_runs(tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "batch"
    pixels, labels = cifar_batches()["test_batch"]
    content = {b"data": pixels, b"labels": labels.tolist(), b"extra": Malicious(trace)}
    path.write_bytes(pickle.dumps(content, protocol=3))
    with pytest.raises(RlvitError, match=r"batch is refused: it would run .*system"):
        read_cifar10_pickle(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        {b"data": np.zeros((2, 3072), np.float32), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3071), np.uint8), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, -1]},
        {b"data": np.asfortranarray(np.zeros((2, 3072), np.uint8)), b"labels": [0, 1]},
        {b"data": np.array([{}], dtype=object), b"labels": [0]},
        {b"data": [1, 2], b"labels": [0, 1]},
        {"labels": [0, 1]},
        [1, 2],
    ],
)
def test_a_pickle_of_something_else_is_one_line(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps(content, protocol=3))
    with pytest.raises(RlvitError, match="batch") as problem:
        read_cifar10_pickle(path)
    assert "\n" not in str(problem.value)


def test_a_damaged_batch_is_named(tmp_path: Path) -> None:
    batch = cifar_batches()["test_batch"]
    path = tmp_path / "test_batch"
    for content in (b"", binary(batch)[:-1]):
        path.write_bytes(content)
        with pytest.raises(RlvitError, match=r"test_batch has \d+ bytes"):
            read_cifar10_binary(path)
    path.write_bytes(binary((batch[0], np.array([0, 1, 10, 3]))))
    with pytest.raises(RlvitError, match=r"labels outside 0\.\.9"):
        read_cifar10_binary(path)
    path.write_bytes(pickled(batch)[:-100])
    with pytest.raises(RlvitError, match=r"cannot read .*test_batch"):
        read_cifar10_pickle(path)


def test_an_incomplete_folder_is_not_quietly_replaced(
    tmp_path: Path, requests: Any, no_network: Callable[[], int]
) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "data_batch_1.bin").write_bytes(binary(cifar_batches()["data_batch_1"]))
    with pytest.raises(UsageProblem, match=r"lacks data_batch_2\.bin"):
        load_cifar10(requests(tmp_path))
    assert no_network() == 0


def cifar_archive(path: Path, batches: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Write the binary version's archive and return its MD5."""
    with tarfile.open(path, "w:gz") as tar:
        for name, batch in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(binary(batch))
            tar.addfile(member, io.BytesIO(binary(batch)))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("lies_there", [False, True])
def test_cifar10s_archive_is_unpacked(
    tmp_path: Path, requests: Any, monkeypatch: pytest.MonkeyPatch, lies_there: bool
) -> None:
    batches, root = cifar_batches(), tmp_path / "root"
    root.mkdir()
    archive = (root if lies_there else tmp_path) / "cifar-10-binary.tar.gz"
    md5 = cifar_archive(archive, batches)
    source = replace(arrays.CIFAR10_BINARY, url=archive.as_uri(), md5=md5)
    monkeypatch.setattr(arrays, "CIFAR10_BINARY", source)
    data = load_cifar10(requests(root), held_out=6)
    assert np.array_equal(data.split("test").labels, batches["test_batch"][1])
    assert len(requests.said) == (0 if lies_there else 1)
    kept = {"cifar-10-batches-bin"} | ({"cifar-10-binary.tar.gz"} if lies_there else set())
    assert {path.name for path in root.iterdir()} == kept


def test_an_archive_with_another_checksum_is_not_unpacked(tmp_path: Path, requests: Any) -> None:
    cifar_archive(tmp_path / "cifar-10-binary.tar.gz", cifar_batches())
    with pytest.raises(RlvitError, match="c32a1d4ab5d03f1284b67883e8d87530"):
        load_cifar10(requests(tmp_path), held_out=6)
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-binary.tar.gz"]


def test_too_few_images_to_hold_some_out_is_said(tmp_path: Path, requests: Any) -> None:
    write_mnist(tmp_path)
    with pytest.raises(UsageProblem, match="12 training and 4 test images: too few, 5000"):
        load_mnist(requests(tmp_path))


def test_another_copy_has_another_hash(tmp_path: Path, requests: Any) -> None:
    write_mnist(tmp_path)
    before = load_mnist(requests(tmp_path), held_out=5).sha256
    assert load_mnist(requests(tmp_path), held_out=5).sha256 == before
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert load_mnist(requests(tmp_path), held_out=5).sha256 != before


def test_the_real_mnist(real_data: Path, requests: Any) -> None:
    data = load_mnist(requests(real_data))
    assert_disjoint(data, {"train": 55_000, "val": 5_000, "test": 10_000})
    # Counts of the digits in the test set, as published.
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(data.split("test").labels).tolist() == counts
    assert data.split("train").labels[:5].tolist() == [5, 0, 4, 1, 9]
    (batch,) = data.split("train").batches([np.arange(2_000)], 28)
    assert batch.double().mean() / 255 == pytest.approx(0.1307, abs=0.003)  # the published mean


def test_the_real_cifar10(real_data: Path, requests: Any) -> None:
    data = load_cifar10(requests(real_data))
    assert_disjoint(data, {"train": 45_000, "val": 5_000, "test": 10_000})
    assert np.bincount(data.split("test").labels).tolist() == [1_000] * 10
    assert data.split("train").labels[:5].tolist() == [6, 9, 9, 4, 1]  # frog, truck, truck, …
    (batch,) = data.split("train").batches([np.arange(4_000)], 32)
    means = batch.double().mean(dim=(0, 2, 3)) / 255
    assert means.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.006)


def test_the_real_cifar10_as_the_notebook_divides_it(real_data: Path, requests: Any) -> None:
    data = load_cifar10(requests(real_data), train="all")
    counts = {name: len(split.labels) for name, split in data.splits.items()}
    assert counts == {"train": 50_000, "val": 9_500, "notebook-val": 9_500, "notebook-test": 500}
    assert np.bincount(data.split("train").labels).tolist() == [5_000] * 10
    left_out = data.split("notebook-test").names
    # The division may never change: results would no longer compare.
    assert hashlib.sha256("\n".join(left_out).encode()).hexdigest()[:16] == "a5839ea21d47a608"
