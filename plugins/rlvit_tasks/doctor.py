"""Looks after games and datasets, for `rlvit doctor`: what is there, what is half there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rlvit.contracts import Diagnosis
from rlvit_tasks.games import ATARI_100K

OLD = 3600.0  # seconds: younger leftovers may be of a download under way
PARTS = (".part-*", ".unpack-*")  # as rlvit_tasks.downloads calls them
MNIST = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)
CIFAR10 = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
IMAGENETTE = ("imagenette", "imagenette2", "imagenette2-320", "imagenette2-160")


def look(data_root: Path) -> Iterator[Diagnosis]:
    """Look at the games' ROMs and at the datasets below a folder."""
    yield _games()
    if not data_root.is_dir():
        text = f"{data_root} is not there: only the digits can be read"
        advice = "give --data-root DIR, or export RLVIT_DATA=DIR; mnist and cifar10 are downloaded"
        yield Diagnosis("datasets", "note", text, advice)
        return
    found, half = datasets(data_root)
    yield from half
    there = ", ".join(["digits", *found])
    yield Diagnosis("datasets", "ok", f"in {data_root}: {there}")
    yield from _leftovers(data_root)


def _games() -> Diagnosis:
    """Look for the ROMs of the games."""
    advice = "pip install --force-reinstall --no-deps ale-py"
    try:
        from ale_py import roms

        known = set(roms.get_all_rom_ids())
        lost = [g.name for g in ATARI_100K if g.rom not in known or not _is_file(roms, g.rom)]
    except (ImportError, OSError, AttributeError) as problem:
        reason = str(problem).partition("\n")[0]
        return Diagnosis("games", "problem", f"ale-py cannot be used: {reason}", advice)
    if lost:
        text = f"ale-py lacks the ROMs of {len(lost)} games: {', '.join(lost[:5])}"
        return Diagnosis("games", "problem", text, advice)
    return Diagnosis("games", "ok", f"the ROMs of all {len(ATARI_100K)} games are there")


def _is_file(roms: Any, rom: str) -> bool:
    path = roms.get_rom_path(rom)
    return path is not None and Path(path).is_file()


def datasets(root: Path) -> tuple[list[str], list[Diagnosis]]:
    """Return the datasets that are there, and what is said of those that are half there."""
    found: list[str] = []
    half: list[Diagnosis] = []
    folder = root / "MNIST" / "raw"
    _count("mnist", folder, [_either(folder, name) for name in MNIST], found, half)
    for name, ending in (("cifar-10-batches-bin", ".bin"), ("cifar-10-batches-py", "")):
        folder = root / name
        if folder.is_dir():
            files = [_there(folder / (part + ending)) for part in CIFAR10]
            _count("cifar10", folder, files, found, half)
            break
    for name, places in (("imagenette", IMAGENETTE), ("imagenet", ("imagenet",))):
        folder = next((root / p for p in places if (root / p).is_dir()), root / places[0])
        if folder.is_dir():
            parts = [(folder / part).is_dir() for part in ("train", "val")]
            _count(name, folder, parts, found, half, "folders (train, val)")
    if (root / "train").is_dir():
        found.append("imagefolder")
    return found, half


def _there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _either(folder: Path, name: str) -> bool:
    """Return whether a file is there, as it is or gzipped."""
    return _there(folder / name) or _there(folder / f"{name}.gz")


def _count(
    dataset: str,
    folder: Path,
    there: Sequence[bool],
    found: list[str],
    half: list[Diagnosis],
    what: str = "files",
) -> None:
    """Add a dataset to those found or, if a part of it is missing, to those half there."""
    if all(there):
        found.append(dataset)
    elif any(there) or folder.is_dir():
        text = f"{dataset} is half there: {sum(there)} of {len(there)} {what} in {folder}"
        fetched = dataset == "mnist"
        advice = "the next run on it downloads the rest" if fetched else f"complete {folder}"
        half.append(Diagnosis("datasets", "note", text, advice))


def _leftovers(root: Path) -> Iterator[Diagnosis]:
    """Look for downloads that were stopped."""
    stopped = _stopped(root)
    if stopped:
        size = sum(path.stat().st_size for path in stopped if path.is_file())
        text = f"{len(stopped)} downloads were stopped halfway, {size / 2**20:,.0f} MiB"
        remove = partial(_remove, root)
        yield Diagnosis("datasets", "note", text, "rlvit doctor --fix", remove)


def _stopped(root: Path) -> list[Path]:
    now, folders = time.time(), (root, root / "MNIST" / "raw")
    found = [path for folder in folders for shape in PARTS for path in folder.glob(shape)]
    return [path for path in found if now - path.stat().st_mtime > OLD]


def _remove(root: Path) -> str:
    """Remove what stopped downloads left: no part of it can be used."""
    found = _stopped(root)
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return f"removed what {len(found)} stopped downloads left"
