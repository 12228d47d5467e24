"""Datasets that are folders of image files: Imagenette, ImageNet, and any tree of class folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from rlvit.errors import RlvitError, UsageProblem
from rlvit.specs import DataRequest
from rlvit_tasks.images import LoadedImages, by_hash, prefetched

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

ENDINGS = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
# The central part of an image that is looked at: 224 of 256 pixels, ImageNet's usual evaluation.
CROP = 0.875
VALIDATION = 0.1  # share of each class, where a tree has no val folder
SCANNED_AT_ONCE = 4096  # images
# Imagenette holds 500 files of ImageNet's validation set, which pretrained weights have not seen.
FROM_IMAGENET_VALIDATION = "ILSVRC2012_val_"
IMAGENETTE_FOLDERS = ("imagenette", "imagenette2", "imagenette2-320", "imagenette2-160", ".")


class ImageFile(NamedTuple):
    """A file of a class folder."""

    name: str  # relative to the dataset's folder, with forward slashes
    label: int
    size: int  # bytes

    @property
    def file_name(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class FolderSplit:
    """Images that are decoded when they are asked for."""

    folder: Path
    names: Sequence[str]  # [S], relative to the folder
    labels: NDArray[np.int64]  # [S]
    threads: int = 1
    subsets: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def batches(self, order: Sequence[NDArray[np.int64]], size: int) -> Iterator[Tensor]:
        """Yield the images of each index array as uint8 [B, 3, size, size], one batch ahead.

        Raises:
            RlvitError: an image cannot be decoded.
        """

        def fill(number: int, out: NDArray[np.uint8]) -> None:
            out[...] = decode(self.folder / self.names[number], size).transpose(2, 0, 1)

        return prefetched(order, size, fill, self.threads)


def decode(path: Path, size: int) -> NDArray[np.uint8]:
    """Return the central part of an image file as [size, size, 3], RGB.

    The usual evaluation on ImageNet: the shorter side becomes size / 0.875 pixels (bicubic, both
    sides rounded down), then a centred square is cut out. An image that has the wanted size is
    taken as it is. Orientation tags are ignored, as usual.

    Raises:
        RlvitError: the file cannot be read or decoded.
    """
    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":
                raise ValueError(f"pixels of mode {image.mode}, where 8 bits a channel are read")
            picture = _rgb(image)
    except Exception as problem:  # Pillow's decoders raise nearly anything
        raise RlvitError(
            f"cannot decode {path} ({problem}). Repair or remove it, or leave such files out with "
            "--skip-bad-images."
        ) from None
    return np.asarray(_centre(picture, size))


def _rgb(image: Image.Image) -> Image.Image:
    """Return the picture in RGB; what it has of transparency is dropped."""
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _centre(picture: Image.Image, size: int) -> Image.Image:
    if picture.size == (size, size):
        return picture
    shorter, least = int(size / CROP), min(picture.size)
    width, height = (side * shorter // least for side in picture.size)
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return resized.crop((left, top, left + size, top + size))


def load_imagenette(request: DataRequest) -> LoadedImages:
    """Return Imagenette from ROOT/imagenette, ROOT/imagenette2[-320|-160] or ROOT itself.

    Files of ImageNet's validation set are never in "train". Splits: "train", "val" as published,
    and "val+unseen": "val" and those files of the train folder. Both mark the subsets "official"
    (files of the val folder) and "unseen" (files of ImageNet's validation set).

    Raises:
        UsageProblem: the folder is not there or laid out otherwise.
        RlvitError: an image cannot be read.
    """
    folder = _dataset_folder("imagenette", request, IMAGENETTE_FOLDERS)
    classes = class_folders(folder / "train")
    if len(classes) != 10:
        raise UsageProblem(f"{folder / 'train'} has {len(classes)} class folders; Imagenette, 10.")
    parts, skipped = _read(folder, {"train": "train", "val": "val"}, classes, request)

    def unseen(file: ImageFile) -> bool:
        return file.file_name.startswith(FROM_IMAGENET_VALIDATION)

    train = [file for file in parts["train"] if not unseen(file)]
    moved = [file for file in parts["train"] if unseen(file)]
    official = parts["val"]
    splits = {"train": _split(folder, train, request)}
    for name, files in (("val", official), ("val+unseen", official + moved)):
        subsets = {
            "official": np.array(
                [number < len(official) for number in range(len(files))], dtype=bool
            ),
            "unseen": np.array([unseen(file) for file in files], dtype=bool),
        }
        splits[name] = replace(_split(folder, files, request), subsets=subsets)
    return _finish(folder, classes, parts, splits, skipped, request)


def load_imagenet(request: DataRequest) -> LoadedImages:
    """Return ImageNet-1k from ROOT/imagenet or ROOT: train/<wnid>/*, val/<wnid>/*, 1,000 wnids.

    Raises:
        UsageProblem: the folder is not there or laid out otherwise.
        RlvitError: an image cannot be read.
    """
    folder = _dataset_folder("imagenet", request, ("imagenet", "."))
    classes = class_folders(folder / "train")
    if len(classes) != 1000:
        raise UsageProblem(
            f"{folder / 'train'} has {len(classes)} class folders; ImageNet-1k, 1,000. For a part "
            "of it use --dataset imagefolder."
        )
    parts, skipped = _read(folder, {"train": "train", "val": "val"}, classes, request)
    splits = {name: _split(folder, files, request) for name, files in parts.items()}
    return _finish(folder, classes, parts, splits, skipped, request)


def load_imagefolder(request: DataRequest) -> LoadedImages:
    """Return the tree ROOT/train/<class>/*, with ROOT/val/<class>/* or ROOT/test/<class>/*.

    "val" is the val folder; without one, the test folder; without either, a tenth of each class of
    the train folder (at least one image): the first in the order of the SHA-256 of
    `<class>/<file name>`. "test" is the test folder.

    Raises:
        UsageProblem: the folder is not there or laid out otherwise.
        RlvitError: an image cannot be read.
    """
    folder = _dataset_folder("imagefolder", request, (".",))
    classes = class_folders(folder / "train")
    found = [name for name in ("val", "test") if (folder / name).is_dir()]
    wanted = {"train": "train", **{name: name for name in found}}
    if found == ["test"]:
        wanted["val"] = "test"
    parts, skipped = _read(folder, wanted, classes, request)
    chosen = dict(parts)
    if not found:
        chosen["train"], chosen["val"] = hold_out(parts["train"], classes)
        request.say(f"{folder} has no val folder: a tenth of each class is held out.")
    elif found == ["test"]:
        request.say(f"{folder} has no val folder: its test folder is what is measured.")
    splits = {name: _split(folder, files, request) for name, files in chosen.items()}
    return _finish(folder, classes, parts, splits, skipped, request)


def hold_out(
    files: Sequence[ImageFile], classes: Sequence[str]
) -> tuple[list[ImageFile], list[ImageFile]]:
    """Split files into nine tenths and one tenth of each class, by the hash of their names.

    Raises:
        UsageProblem: a class has a single image.
    """
    held: set[str] = set()
    groups: list[list[ImageFile]] = [[] for _ in classes]
    for file in files:
        groups[file.label].append(file)
    for name, members in zip(classes, groups, strict=True):
        if len(members) < 2:
            raise UsageProblem(f"class {name!r} has one image: too few to hold one out.")
        order = by_hash([f"{name}/{file.file_name}" for file in members])
        count = max(1, round(len(members) * VALIDATION))
        held |= {members[number].name for number in order[:count]}
    kept = [file for file in files if file.name not in held]
    return kept, [file for file in files if file.name in held]


def class_folders(folder: Path) -> tuple[str, ...]:
    """Return the sorted names of the folders in a folder; hidden ones do not count.

    Raises:
        UsageProblem: there are none, or no such folder.
    """
    if not folder.is_dir():
        raise UsageProblem(f"no folder {folder}: expected {folder}/<class>/<images>.")
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    if not names:
        raise UsageProblem(f"{folder} has no class folders: expected {folder}/<class>/<images>.")
    return tuple(names)


def _dataset_folder(name: str, request: DataRequest, candidates: Sequence[str]) -> Path:
    """Return the first of the candidates below the root that has a train folder."""
    if not request.root.is_dir():
        raise UsageProblem(f"no folder {request.root}: name the folder of your data, --data-root.")
    for candidate in candidates:
        if (request.root / candidate / "train").is_dir():
            return request.root / candidate
    places = " or ".join(str(request.root / c / "train") for c in candidates)
    raise UsageProblem(f"{name} is not in {request.root}: expected class folders in {places}.")


def _read(
    folder: Path, wanted: Mapping[str, str], classes: Sequence[str], request: DataRequest
) -> tuple[dict[str, list[ImageFile]], list[str]]:
    """Return the files of each split, and those left out because they cannot be decoded."""
    parts = {split: list_images(folder, part, classes) for split, part in wanted.items()}
    if not request.skip_bad_images:
        return parts, []
    every = sorted({file.name for files in parts.values() for file in files})
    request.say(f"looking for bad images among {len(every):,} in {folder}")
    bad = set(find_bad(folder, every, request.threads))
    good = {s: [f for f in files if f.name not in bad] for s, files in parts.items()}
    for label in sorted(set(range(len(classes))) - {file.label for file in good["train"]}):
        raise RlvitError(f"all images in {folder / 'train' / classes[label]} are bad.")
    return good, sorted(bad)


def list_images(folder: Path, part: str, classes: Sequence[str]) -> list[ImageFile]:
    """Return the image files in the class folders of `folder / part`, sorted by class and name.

    Raises:
        UsageProblem: a class is not among `classes`, or a class folder has no images.
        RlvitError: a file cannot be looked at, such as a link that leads nowhere.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    files = []
    for name in class_folders(folder / part):
        if name not in numbers:
            raise UsageProblem(f"{folder / part} has a class {name!r} that the train folder lacks.")
        found = _images_in(folder / part / name)
        if not found:
            raise UsageProblem(
                f"{folder / part / name} has no images; their names end in {', '.join(ENDINGS)}."
            )
        files += [ImageFile(f"{part}/{name}/{n}", numbers[name], size) for n, size in found]
    return files


def _images_in(folder: Path) -> list[tuple[str, int]]:
    """Return the names and sizes of the image files right in a folder, sorted."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry.name, entry.stat().st_size)
                for entry in entries
                if entry.name.lower().endswith(ENDINGS)
                and not entry.name.startswith(".")
                and not entry.is_dir()
            )
    except OSError as problem:
        raise RlvitError(f"cannot read {problem.filename or folder}: {problem.strerror}.") from None


def find_bad(folder: Path, names: Sequence[str], threads: int) -> list[str]:
    """Return the names of the files that cannot be decoded."""

    def is_bad(name: str) -> bool:
        try:
            decode(folder / name, 1)
        except RlvitError:
            return True
        return False

    bad: list[str] = []
    with ThreadPoolExecutor(threads, thread_name_prefix="rlvit-scan") as pool:
        for start in range(0, len(names), SCANNED_AT_ONCE):
            some = names[start : start + SCANNED_AT_ONCE]
            bad += [n for n, broken in zip(some, pool.map(is_bad, some), strict=True) if broken]
    return bad


def _split(folder: Path, files: Sequence[ImageFile], request: DataRequest) -> FolderSplit:
    names = [file.name for file in files]
    labels = np.array([file.label for file in files], dtype=np.int64)
    return FolderSplit(folder, names, labels, request.threads)


def _finish(
    folder: Path,
    classes: tuple[str, ...],
    parts: Mapping[str, Sequence[ImageFile]],
    splits: Mapping[str, FolderSplit],
    skipped: Sequence[str],
    request: DataRequest,
) -> LoadedImages:
    counts = ", ".join(f"{name} {len(split.names):,}" for name, split in splits.items())
    left_out = f"; {len(skipped):,} bad ones left out" if skipped else ""
    request.say(f"images in {folder}: {counts}{left_out}")
    sizes = {file.name: file.size for files in parts.values() for file in files}
    return LoadedImages(classes, hash_listing(sizes), splits, tuple(skipped))


def hash_listing(sizes: Mapping[str, int]) -> str:
    """Return the SHA-256 of files' sorted names and sizes in bytes; contents are not read."""
    lines = (f"{name}\t{sizes[name]}\n" for name in sorted(sizes))
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
