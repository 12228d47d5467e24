"""Digits, MNIST and CIFAR-10: datasets so small that they stay in memory."""

from __future__ import annotations

import gzip
import pickle
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.specs import DataRequest
from rlvit_tasks.downloads import Published, check_md5, download, extract
from rlvit_tasks.images import ArraySplit, LoadedImages, by_hash, hash_arrays

Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images [S, C, H, H], labels [S]

DIGITS = tuple(str(digit) for digit in range(10))
HELD_OUT = 5_000  # of MNIST's and CIFAR-10's training images, the last in file order: validation

# The original site refuses downloads; this is the mirror that torchvision uses, too.
MNIST_SITE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST = {
    name: Published(name + ".gz", f"{MNIST_SITE}{name}.gz", md5)
    for name, md5 in (
        ("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c"),
    )
}

CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
CIFAR10_SITE = "https://www.cs.toronto.edu/~kriz/"
CIFAR10_BINARY = Published(
    "cifar-10-binary.tar.gz",
    CIFAR10_SITE + "cifar-10-binary.tar.gz",
    "c32a1d4ab5d03f1284b67883e8d87530",
)
CIFAR10_PYTHON = Published(
    "cifar-10-python.tar.gz",
    CIFAR10_SITE + "cifar-10-python.tar.gz",
    "c58f30108f718f92721af3b95e74349a",
)
CIFAR10_FILES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
CIFAR10_TEST = "test_batch"
TRAINED_ON = ("without-val", "all")  # of the training images
NOTEBOOK_SEED = 42  # (the notebook's, cell 14)


def load_digits(request: DataRequest) -> LoadedImages:
    """Return scikit-learn's 1,797 digits of 8 x 8 pixels, 0..16 scaled to 0..255.

    Of each class, in the order of the SHA-256 of `digits/<number>`: the first fifth is the test
    split, the next tenth the validation split, the rest the training split.

    Raises:
        RlvitError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as problem:
        raise RlvitError(f"the digits come with scikit-learn: {problem}.") from None
    found = datasets.load_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)[:, None]  # [S, 1, 8, 8]
    labels = found.target.astype(np.int64)
    names = [f"digits/{number:04d}" for number in range(len(labels))]
    parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for digit in range(10):
        members = [number for number in by_hash(names) if labels[number] == digit]
        test, val = round(len(members) * 0.2), round(len(members) * 0.1)
        parts["test"] += members[:test]
        parts["val"] += members[test : test + val]
        parts["train"] += members[test + val :]
    splits = {}
    for part, numbers in parts.items():
        chosen = sorted(numbers)
        named = [names[number] for number in chosen]
        splits[part] = ArraySplit(images[chosen], labels[chosen], named, request.threads)
    return LoadedImages(DIGITS, hash_arrays([images, labels]), splits)


def load_mnist(request: DataRequest, held_out: int = HELD_OUT) -> LoadedImages:
    """Return MNIST from ROOT/MNIST/raw, in idx format, as it is or gzipped.

    Splits: the test files, and the training files but for the last `held_out` images, which are
    the validation split. What is missing is downloaded.

    Raises:
        RlvitError: a file is damaged, or cannot be downloaded.
    """
    folder = request.root / "MNIST" / "raw"
    paths = {name: _mnist_file(name, folder, request) for name in MNIST}
    parts = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(paths[f"{prefix}-images-idx3-ubyte"], 3)  # [S, 28, 28]
        labels = read_idx(paths[f"{prefix}-labels-idx1-ubyte"], 1).astype(np.int64)
        if len(images) != len(labels):
            raise RlvitError(
                f"{folder} has {len(images)} {prefix} images, but {len(labels)} labels."
            )
        parts[part] = images[:, None], labels
    return _three_splits("mnist", DIGITS, parts["train"], parts["test"], held_out, request)


def _mnist_file(name: str, folder: Path, request: DataRequest) -> Path:
    """Return where one of the four files is, downloading it if it is not there."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    advice = f"Put {', '.join(f'{file}[.gz]' for file in MNIST)} into {folder}."
    return download(MNIST[name], folder, request.say, advice)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the bytes of an idx file as an array of that many dimensions.

    Raises:
        RlvitError: the file cannot be read, or is no such file.
    """
    try:
        packed = path.read_bytes()
        content = gzip.decompress(packed) if path.suffix == ".gz" else packed
    except (OSError, EOFError, zlib.error) as problem:
        raise RlvitError(f"cannot read {path}: {problem}.") from None
    head = 4 + 4 * dimensions
    # Two zero bytes, 8 for unsigned bytes, the number of dimensions, then each size, big-endian.
    if len(content) < head or content[:4] != bytes([0, 0, 8, dimensions]):
        raise RlvitError(f"{path} is no idx file of unsigned bytes in {dimensions} dimensions.")
    shape = struct.unpack(f">{dimensions}I", content[4:head])
    pixels = np.frombuffer(content, dtype=np.uint8, offset=head)
    if pixels.size != np.prod(shape, dtype=np.int64):
        raise RlvitError(
            f"{path} is cut off or too long: it says {shape}, has {pixels.size} bytes."
        )
    return pixels.reshape(shape)


def load_cifar10(
    request: DataRequest, held_out: int = HELD_OUT, train: str = "without-val"
) -> LoadedImages:
    """Return CIFAR-10 from ROOT/cifar-10-batches-bin, or else from ROOT/cifar-10-batches-py.

    Splits: the test batch, and the five training batches but for the last `held_out` images in
    file order, which are the validation split. With `train` "all" they are those of AgentViT's
    notebook instead, see `notebook_splits`. Where neither folder is there, the published archive
    is unpacked, from ROOT if it lies there, else downloaded.

    Raises:
        UnknownName: `train` is something else.
        UsageProblem: a folder lacks a file.
        RlvitError: a file is damaged or unsafe, or cannot be downloaded.
    """
    if train not in TRAINED_ON:
        raise UnknownName("training part", train, TRAINED_ON)
    parts = _cifar10_parts(_cifar10_folder(request))
    if train == "all":
        return notebook_splits(*parts, request)
    return _three_splits("cifar10", CIFAR10_CLASSES, *parts, held_out, request)


def _cifar10_parts(folder: Path) -> tuple[Labelled, Labelled]:
    """Return the five training batches as one, and the test batch."""
    binary = folder.name.endswith("-bin")
    read, ending = (read_cifar10_binary, ".bin") if binary else (read_cifar10_pickle, "")
    paths = [folder / (name + ending) for name in (*CIFAR10_FILES, CIFAR10_TEST)]
    for path in paths:
        if not path.is_file():
            raise UsageProblem(f"{folder} lacks {path.name}: remove the folder or complete it.")
    *train, test = [read(path) for path in paths]
    return (np.concatenate([b[0] for b in train]), np.concatenate([b[1] for b in train])), test


def _cifar10_folder(request: DataRequest) -> Path:
    """Return the folder of the batches, unpacking or downloading them if need be."""
    root = request.root
    kinds = (("cifar-10-batches-bin", CIFAR10_BINARY), ("cifar-10-batches-py", CIFAR10_PYTHON))
    for name, _ in kinds:
        if (root / name).is_dir():
            return root / name
    advice = (
        f"Put {CIFAR10_BINARY.name} or {CIFAR10_PYTHON.name} into {root}, or unpack it there, "
        f"as {root / kinds[0][0]} or {root / kinds[1][0]}."
    )
    for name, published in kinds:
        if (root / published.name).is_file():
            check_md5(root / published.name, published, advice)
            return _unpacked(root / published.name, root / name)
    archive = download(CIFAR10_BINARY, root, request.say, advice)
    folder = _unpacked(archive, root / kinds[0][0])
    archive.unlink(missing_ok=True)
    return folder


def _unpacked(archive: Path, folder: Path) -> Path:
    ending = ".bin" if folder.name.endswith("-bin") else ""
    members = [f"{folder.name}/{name}{ending}" for name in (*CIFAR10_FILES, CIFAR10_TEST)]
    extract(archive, members, folder)
    return folder


def read_cifar10_binary(path: Path) -> Labelled:
    """Return images [S, 3, 32, 32] and labels: records of one label byte and 3,072 pixel bytes.

    Raises:
        RlvitError: the file cannot be read, is cut off, or has a label beyond 9.
    """
    try:
        content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as problem:
        raise RlvitError(f"cannot read {path}: {problem}.") from None
    if not len(content) or len(content) % 3073:
        raise RlvitError(f"{path} has {len(content)} bytes, no multiple of a record's 3,073.")
    records = content.reshape(-1, 3073)
    return _checked(path, records[:, 1:], records[:, 0].astype(np.int64))


def read_cifar10_pickle(path: Path) -> Labelled:
    """Return images [S, 3, 32, 32] and labels of a batch that Python wrote.

    Only plain values and arrays of bytes are read: a pickle that asks for anything else is refused
    before it runs, and not even numpy's own functions are called by it.

    Raises:
        RlvitError: the file is unsafe, cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as stream:
            batch: Any = _PlainUnpickler(stream, path).load()
        pixels = batch[b"data"].pixels
        labels = np.array(batch[b"labels"], dtype=np.int64)
    except RlvitError:
        raise
    except Exception as problem:  # a damaged pickle can raise nearly anything
        raise RlvitError(f"cannot read {path}: {type(problem).__name__}: {problem}.") from None
    if pixels.shape[1:] != (3072,) or labels.shape != pixels.shape[:1]:
        raise RlvitError(f"{path} is no CIFAR-10 batch: expected data [S, 3072] and S labels.")
    return _checked(path, pixels, labels)


class _PickledType:
    """Stands in for numpy.dtype."""

    def __init__(self, code: str | bytes, *flags: int) -> None:
        self.code = code.decode() if isinstance(code, bytes) else code

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like mean nothing for bytes."""


class _PickledArray:
    """Stands in for numpy.ndarray: an array of bytes, in the order of C."""

    pixels: NDArray[np.uint8]

    def __init__(self, *what: Any) -> None:
        """Begin empty, as pickled arrays do."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if kind.code != "u1" or fortran:
            raise ValueError("an array that is not of bytes in C order")
        self.pixels = np.frombuffer(content, dtype=np.uint8).reshape(shape)


class _PlainUnpickler(pickle.Unpickler):
    """Reads pickles that hold nothing but plain values and arrays of bytes."""

    # Old numpy, which wrote the published files, called its module numpy.core.
    STAND_INS: Mapping[tuple[str, str], type] = {
        ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
        ("numpy._core.multiarray", "_reconstruct"): _PickledArray,
        ("numpy", "ndarray"): _PickledArray,
        ("numpy", "dtype"): _PickledType,
    }

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        super().__init__(stream, encoding="bytes")
        self._path = path

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in self.STAND_INS:
            raise RlvitError(f"{self._path} is refused: it would run {module}.{name}.")
        return self.STAND_INS[module, name]


def _checked(path: Path, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Labelled:
    if len(labels) and not 0 <= labels.min() <= labels.max() <= 9:
        raise RlvitError(f"{path} has labels outside 0..9.")
    return pixels.reshape(-1, 3, 32, 32), labels


def _three_splits(
    name: str,
    classes: tuple[str, ...],
    train: Labelled,
    test: Labelled,
    held_out: int,
    request: DataRequest,
) -> LoadedImages:
    """Return the test images, and the others with the last `held_out` set apart as "val"."""
    if len(train[1]) <= held_out or not len(test[1]):
        raise UsageProblem(
            f"{name} in {request.root} has {len(train[1])} training and {len(test[1])} test "
            f"images: too few, {held_out} of the former are for validation."
        )
    cut = len(train[1]) - held_out
    splits = {
        "train": _part("train", train, slice(cut), request),
        "val": _part("train", train, slice(cut, None), request),
        "test": _part("test", test, slice(None), request),
    }
    return LoadedImages(classes, hash_arrays([*train, *test]), splits)


def notebook_splits(train: Labelled, test: Labelled, request: DataRequest) -> LoadedImages:
    """Return CIFAR-10 in the splits of AgentViT's notebook (DavideTraini/RL-for-ViT, cell 14).

    "train" is every training image in file order. 95 % of the test images are "notebook-val", and
    "val" too, since the notebook validates every epoch on them and reports them; the others are
    "notebook-test". Both are in file order. They are divided by a permutation of numpy with seed
    42; the notebook's is torch's, with the same seed, so that its 500 left out are other images.

    Raises:
        UsageProblem: there is no training image, or fewer than two test images.
    """
    if not len(train[1]) or len(test[1]) < 2:
        raise UsageProblem(
            f"cifar10 in {request.root} has {len(train[1])} training and {len(test[1])} test "
            "images: too few to divide the latter."
        )
    shuffled = np.random.default_rng(NOTEBOOK_SEED).permutation(len(test[1]))
    cut = len(shuffled) * 95 // 100
    val = _part("test", test, np.sort(shuffled[:cut]), request)
    splits = {
        "train": _part("train", train, slice(None), request),
        "val": val,
        "notebook-val": val,
        "notebook-test": _part("test", test, np.sort(shuffled[cut:]), request),
    }
    # Another hash than under the other protocols: what was trained on these splits may not be
    # found again as if it had been trained on those.
    return LoadedImages(CIFAR10_CLASSES, hash_arrays([*train, *test, shuffled]), splits)


def _part(
    source: str, labelled: Labelled, chosen: slice | NDArray[np.int64], request: DataRequest
) -> ArraySplit:
    """Return some of the images of a file or files, named by their numbers there."""
    images, labels = labelled
    names = [f"{source}/{number:05d}" for number in np.arange(len(labels))[chosen]]
    return ArraySplit(images[chosen], labels[chosen], names, request.threads)
