"""Writes a bundle: beside its place, checked as an import would, and then put there whole."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.registry.store import Store
from rlvit.runs.bundle.archive import CHUNK, open_bundle
from rlvit.runs.bundle.gather import Gathered, Item, Wanted, gather
from rlvit.runs.bundle.kinds import PACKED
from rlvit.runs.bundle.manifest import Manifest, MemberEntry
from rlvit.runs.bundle.names import MANIFEST, Refused, shown
from rlvit.runs.bundle.study import study_items

EPOCH = (1980, 1, 1, 0, 0, 0)  # the date of every member: the same runs give the same bytes
MODE = 0o100644 << 16  # a plain file
ONCE = (
    2**16
)  # bytes: equal files from this size on, such as a model of several runs, are there once


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    size: int  # bytes of the bundle
    unpacked: int  # bytes of its members
    runs: Sequence[str]
    studies: Sequence[str]
    left_out: dict[str, int]
    remarks: Sequence[str]


def export_bundle(
    store: Store,
    home: Home,
    run_ids: Sequence[str],
    path: Path,
    wanted: Wanted,
    progress: Callable[[int, int], object],
) -> Exported:
    """Write runs into one file.

    Args:
        store: the registry.
        home: where the runs' folders are.
        run_ids: of the runs, without repetition.
        path: of the bundle, which must not be there yet.
        wanted: what to take beside the runs themselves.
        progress: hears the bytes done and to be done.

    Raises:
        UsageProblem: a run is under way or not whole, or the file is there already.
        RlvitError: a file changed while it was written, or the result would not be read.
        OSError: the disk did not take it. Nothing is left behind.
    """
    if path.exists():
        raise UsageProblem(f"{shown(path)} is there already; choose another name.")
    if not path.parent.is_dir():
        raise UsageProblem(f"{shown(path)}: there is no folder {shown(path.parent)}.")
    found = gather(store, home, run_ids, wanted)
    items, found.studies = study_items(store, home, run_ids)
    found.items += items
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(temporary, found, progress)
        with open_bundle(temporary):  # no import may refuse what was written here
            size = temporary.stat().st_size
        os.replace(temporary, path)
    except Refused as problem:
        raise RlvitError(f"the bundle would not be read again: {problem}.") from None
    except OSError as problem:
        if problem.filename == str(temporary):
            problem.filename = str(path)  # what the user named
        raise
    finally:
        temporary.unlink(missing_ok=True)
    return Exported(
        path=path,
        size=size,
        unpacked=sum(item.size for item in found.items),
        runs=[run.id for run in found.runs],
        studies=found.studies,
        left_out=found.left_out,
        remarks=found.remarks,
    )


def _write(path: Path, found: Gathered, progress: Callable[[int, int], object]) -> None:
    total, done = sum(item.size for item in found.items), 0
    members = []
    sizes = Counter(item.size for item in found.items if item.size >= ONCE)
    stored = dict[tuple[int, str], str]()  # size and SHA-256 -> the first member with these bytes
    with open(path, "xb") as file:
        with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
            for item in sorted(found.items, key=lambda one: one.name):
                digest = _digest(item) if sizes[item.size] > 1 else ""
                if first := stored.get((item.size, digest)):
                    entry = MemberEntry(
                        name=item.name, size=item.size, sha256=digest, same_as=first
                    )
                else:
                    entry = _add(archive, item)
                    stored[entry.size, entry.sha256] = item.name
                members.append(entry)
                done += item.size
                progress(done, total)
            manifest = Manifest(
                rlvit=version("rlvit"),
                created=round(time.time(), 3),
                runs=found.runs,
                studies=found.studies,
                members=members,
            )
            text = json.dumps(manifest.model_dump(), indent=1, ensure_ascii=False)
            _add(archive, Item(MANIFEST, len(text.encode()), data=text.encode()))
        file.flush()
        os.fsync(file.fileno())


def _add(archive: zipfile.ZipFile, item: Item) -> MemberEntry:
    """Write a member and return its entry; raises RlvitError if its file is shorter by now."""
    info = zipfile.ZipInfo(item.name, EPOCH)
    info.external_attr, info.create_system = MODE, 3
    packed = PurePosixPath(item.name).suffix.lower() in PACKED
    info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
    info.file_size = item.size
    total, left = hashlib.sha256(), item.size
    with archive.open(info, "w") as target:
        for chunk in _chunks(item):
            total.update(chunk)
            target.write(chunk)
            left -= len(chunk)
    if left:
        raise RlvitError(f"{item.path} changed while it was read; nothing was written.")
    return MemberEntry(name=item.name, size=item.size, sha256=total.hexdigest())


def _digest(item: Item) -> str:
    total = hashlib.sha256()
    for chunk in _chunks(item):
        total.update(chunk)
    return total.hexdigest()


def _chunks(item: Item) -> Iterator[bytes]:
    """Yield the bytes of a file up to the size that it had."""
    if item.path is None:
        yield item.data
        return
    left = item.size
    with open(item.path, "rb") as file:
        while left and (chunk := file.read(min(left, CHUNK))):
            left -= len(chunk)
            yield chunk
