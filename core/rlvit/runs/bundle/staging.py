"""The place beside the runs where a bundle is unpacked: a home of its own, looked through first."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from rlvit.catalog import Catalog
from rlvit.errors import RlvitError
from rlvit.home import Home, sqlite_url
from rlvit.registry.store import Store
from rlvit.runs.artifacts import hash_files, own_copy, read_artifact
from rlvit.runs.bundle import kinds, plain
from rlvit.runs.bundle.archive import Archive
from rlvit.runs.bundle.document import Document, declared, read_document
from rlvit.runs.bundle.names import BASELINES, LIMITS, STREAMS, Limits, Refused, shown
from rlvit.runs.bundle.rows import check_streams
from rlvit.runs.restore import restore

PREFIX = ".importing-"
ASIDE = "aside"  # in a staging folder: the earlier states of runs that are being replaced
LOCK = "import.lock"
BELOW = {"runs": "runs", "shared": "runs/shared", "studies": "runs/studies", BASELINES: BASELINES}
PATIENCE = 0.5  # seconds between looks at a lock, so that Ctrl-C is heard while waiting
SPARE = 2**26  # bytes that an import leaves free


@dataclass(frozen=True)
class Staged:
    """An unpacked bundle that was looked through."""

    home: Home  # its folders are as in any home
    runs: dict[str, Document]  # by id
    shared: tuple[str, ...]  # names of folders
    studies: tuple[str, ...]
    remarks: tuple[str, ...]


@contextmanager
def import_lock(home: Home, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the right to import into a home; the system lets it go however the process ends."""
    lock = FileLock(home.locks / LOCK)
    said = False
    while True:
        try:
            lock.acquire(timeout=PATIENCE)
            break
        except Timeout:
            if not said:
                say("waiting for another import into this home")
            said = True
    try:
        yield
    finally:
        lock.release()


def clean_up(home: Home) -> None:
    """Remove what killed imports left, and put back the runs that they had taken aside.

    The import lock must be held: nobody else is importing then.
    """
    for left in sorted(home.runs.glob(f"{PREFIX}*")):
        for aside in sorted((left / ASIDE).glob("*")):
            if not (home.runs / aside.name).exists():
                os.rename(aside, home.runs / aside.name)
        shutil.rmtree(left)


@contextmanager
def staging(home: Home) -> Iterator[Home]:
    """Make a folder to unpack into, on the same file system as the runs; it goes at the end."""
    root = home.runs / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    root.mkdir()
    try:
        yield Home(root, sqlite_url(root / "check.db"))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def require_space(archive: Archive, home: Home) -> None:
    """Refuse to unpack what the disk cannot take; raises RlvitError."""
    size, free = sum(archive.manifest.sizes.values()), shutil.disk_usage(home.runs).free
    if size + SPARE > free:
        raise RlvitError(
            f"{shown(archive.path)} unpacks to {size / 1e6:,.0f} MB, and {SPARE / 1e6:,.0f} MB are "
            f"to stay free; {home.runs} has {free / 1e6:,.0f} MB free. Nothing of it was imported."
        )


def unpack(
    archive: Archive,
    stage: Home,
    progress: Callable[[int], object],
    limits: Limits = LIMITS,
) -> Staged:
    """Unpack a bundle and look through all of it.

    Raises:
        Refused: anything in it is not what rlvit writes.
        OSError: the disk did not take it.
    """
    archive.unpack(stage.root, place, progress)
    manifest = archive.manifest
    runs, remarks = {}, list[str]()
    for entry in manifest.runs:
        document, damaged = _checked_run(stage.runs / entry.id, entry.id, limits)
        said = (document["name"], document["state"], document["attempt"])
        if said != (entry.name, entry.state, entry.attempt):
            raise Refused(f"its manifest says other things of run {entry.id} than its run.json")
        runs[entry.id] = document
        remarks += damaged
    shared = [path.name for path in _folders(stage.shared)]
    for name in shared:
        _check_shared(stage.shared / name, limits)
    for name in manifest.studies:
        _check_study(stage.runs / "studies" / f"{name}.json", name, limits)
    return Staged(stage, runs, tuple(shared), tuple(manifest.studies), tuple(remarks))


def place(name: PurePosixPath) -> PurePosixPath:
    """Return where a member is in a home."""
    return PurePosixPath(BELOW[name.parts[0]], *name.parts[1:])


def _folders(path: Path) -> list[Path]:
    return sorted(one for one in path.iterdir() if one.is_dir()) if path.is_dir() else []


def _checked_run(folder: Path, run_id: str, limits: Limits) -> tuple[Document, list[str]]:
    """Check every file of a run, and return its run.json and what to tell of it."""
    document = read_document(folder / "run.json", run_id, limits)
    damaged = check_streams(folder, run_id, document["attempt"], declared(document), limits)
    for path in sorted(folder.rglob("*")):
        name = PurePosixPath(path.relative_to(folder).as_posix())
        if path.is_file() and str(name) not in (*STREAMS, "run.json"):
            kinds.check_file(path, name, f"{name} of run {run_id}", limits)
    for artifact in _folders(folder / "artifacts"):
        if own_copy(artifact) is None:
            raise Refused(f"the artifact {artifact.name} of run {run_id} is not whole")
    return document, damaged


def _check_shared(folder: Path, limits: Limits) -> None:
    """Check a shared artifact: its files, their hash, and the name that its inputs give it."""
    what = f"the shared artifact {folder.name}"
    for path in sorted(folder.iterdir()):
        kinds.check_file(path, PurePosixPath(path.name), f"{path.name} of {what}", limits)
    try:
        found = read_artifact(folder)
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(f"{what} is not whole") from None
    if folder.name != f"{found.kind}-{str(found.key)[:16]}":
        raise Refused(f"{what} is another one, {found.kind!a}")
    if found.sha256 != hash_files(folder):
        raise Refused(f"the files of {what} have not the SHA-256 that they should have")


def _check_study(path: Path, name: str, limits: Limits) -> None:
    whole = plain.parse_object(path, f"study {name}", limits)
    if whole.get("name") != name:
        raise Refused(f"the study in {path.name} is another one")


def rehearse(stage: Home, run_ids: list[str], catalog: Catalog) -> None:
    """Write runs into a registry that is thrown away: what it refuses reaches no other.

    Raises:
        Refused: a run cannot be in a registry.
    """
    if not run_ids:
        return
    store = Store(stage.registry_url)
    try:
        for run_id in run_ids:
            restore(store, stage, run_id, catalog.metrics)
    except RlvitError as problem:
        text = str(problem).replace(f"{stage.runs}{os.sep}", "")
        raise Refused(text.removesuffix(".")) from None
    finally:
        store.close()
