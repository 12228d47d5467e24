"""Compares the files of artifacts with the hashes on record, and finds what nobody needs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rlvit.contracts import Artifact
from rlvit.home import Home
from rlvit.registry.contents import Link
from rlvit.registry.records import RunRecord
from rlvit.runs.artifacts import hash_files, read_artifact
from rlvit.runs.audit.findings import GC, Finding
from rlvit.runs.bundle.imported import stayed_behind
from rlvit.runs.bundle.names import SHARED, WEIGHTS
from rlvit.runs.record import FILE

REMOVING = ".removing-"  # begins the name of a folder that is being removed
FRESH = 3600.0  # seconds: what changed since may be somebody's at work
FROM_COPY = "bring it back from a copy"
ANEW = "the next run that needs it builds it anew"
NOT_WHOLE = (OSError, ValueError, KeyError, TypeError)


@dataclass
class Shelves:
    """Reads descriptions of artifacts, and files only where hashes are asked for."""

    home: Home
    quick: bool
    read: int = 0  # bytes whose hash was computed
    _problems: dict[Path, str] = field(default_factory=dict)

    def described(self, folder: Path) -> Artifact | None:
        """Return what the description in a folder says; None if it is not whole."""
        try:
            return read_artifact(folder)
        except NOT_WHOLE:
            return None

    def problem(self, folder: Path) -> str:
        """Say what is wrong with the artifact in a folder: nothing, or some words."""
        if folder not in self._problems:
            self._problems[folder] = self._problem(folder)
        return self._problems[folder]

    def _problem(self, folder: Path) -> str:
        found = self.described(folder)
        if found is None:
            return "its artifact.json is missing or damaged"
        if self.quick:
            return ""
        try:
            same = hash_files(folder) == found.sha256
        except OSError as problem:
            return f"it cannot be read ({problem.strerror})"
        self.read += found.size
        return "" if same else "its files do not have the recorded hash"


def check_artifacts(
    shelves: Shelves, run: RunRecord, folder: Path, links: Sequence[Link]
) -> Iterator[Finding]:
    """Yield what is wrong with the artifacts that a run made or used."""
    own = {place: shelves.described(place) for place in _folders(folder / "artifacts")}
    for place in own:
        if problem := shelves.problem(place):
            yield Finding("artifact", run.id, f"artifacts/{place.name}: {problem}", FROM_COPY)
    there = {(one.kind, one.key, one.sha256) for one in own.values() if one is not None}
    damaged = {place.name for place, one in own.items() if one is None}
    known = {(link.kind, link.key, link.sha256) for link in links}
    behind = stayed_behind(folder)
    for link in links:
        replaced = any(one[0] == link.kind and one in known for one in there)
        if (link.kind, link.key, link.sha256) in there or replaced or link.kind in damaged:
            continue
        shared = shelves.home.shared / f"{link.kind}-{link.key[:16]}"
        if Path(link.path).parent.name != shelves.home.shared.name:
            text = f"artifacts/{link.kind} is missing, or is not what was recorded"
            if WEIGHTS not in behind:
                yield Finding("artifact", run.id, text, FROM_COPY)
        elif not shared.is_dir() and behind & {SHARED, WEIGHTS}:
            continue  # it was left out of the bundle
        elif not shared.is_dir():
            yield Finding("artifact", run.id, f"shared/{shared.name} is missing", ANEW)
        elif (one := shelves.described(shared)) is not None and one.sha256 != link.sha256:
            text = f"shared/{shared.name} has another hash than when it was used"
            yield Finding("artifact", run.id, text, FROM_COPY)


def check_shared(shelves: Shelves, links: Sequence[Link], *, all_known: bool) -> Iterator[Finding]:
    """Yield the shared artifacts that are damaged, and those that nobody uses.

    Where not all runs are known to the registry, one that it lacks may be the user.
    """
    used = {f"{link.kind}-{link.key[:16]}" for link in links}
    for place in _folders(shelves.home.shared):
        if is_leftover(place):
            continue  # `check_leftovers` names it
        if problem := shelves.problem(place):
            yield Finding("artifact", f"shared/{place.name}", problem, ANEW)
        elif place.name not in used and all_known:
            yield Finding("unused", f"shared/{place.name}", "no run made or used it", GC)


def _folders(place: Path) -> list[Path]:
    """Return the folders in a place, hidden ones left out."""
    if not place.is_dir():
        return []
    return sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))


def is_leftover(place: Path) -> bool:
    """Say whether a shared artifact is one that a killed process left half, or a damaged one."""
    return place.name.startswith(".") or ".damaged-" in place.name


def leftovers_of_run(run: RunRecord, folder: Path) -> list[Path]:
    """Return what is in a run's folder and of no use; the run is not under way."""
    found = [*folder.glob("artifacts/.*"), *folder.glob(".*.[0-9]*"), *folder.glob("*.damaged-*")]
    checkpoints = list((folder / "checkpoint").glob("*"))
    whole = {path.stem for path in checkpoints if path.suffix == ".json"}
    if run.state == "completed":
        found += [*checkpoints, *folder.glob("replay")]
    else:
        found += [path for path in checkpoints if path.name.startswith(".")]
        found += [p for p in checkpoints if p.suffix == ".pt" and p.stem not in whole]
    return sorted({path for path in found if not path.is_symlink()})


def leftovers_of_home(home: Home, known: Collection[str]) -> list[Path]:
    """Return what killed processes left among the runs and the shared artifacts.

    `known` are the runs of the registry: the folder of a run that never began belongs to none.
    """
    found = [*home.runs.glob(f"{REMOVING}*")]
    if home.shared.is_dir():
        found += [p for p in home.shared.iterdir() if is_leftover(p) and not _being_built(p)]
    found += [p for p in _folders(home.runs) if p.name not in known and _never_began(p)]
    return sorted(path for path in found if path.is_dir() or path.is_symlink())


def _being_built(place: Path) -> bool:
    """Say whether a process may be building a shared artifact in a folder at this moment."""
    return place.name.startswith(".") and not place.name.startswith(REMOVING) and not _old(place)


def runs_without_row(home: Home, known: Collection[str]) -> list[Path]:
    """Return the folders of runs that the registry lacks."""
    return [p for p in _folders(home.runs) if p.name not in known and (p / FILE).is_file()]


def _never_began(folder: Path) -> bool:
    """Say whether a folder is a run's of which the registry never heard, with nothing in it."""
    names = {path.name for path in folder.iterdir()}
    if not {"artifacts", "checkpoint"} <= names <= {"artifacts", "checkpoint", "source.diff"}:
        return False
    parts = (folder / "artifacts", folder / "checkpoint")
    return _old(folder) and not any(any(part.iterdir()) for part in parts)


def _old(path: Path) -> bool:
    try:
        newest = max(one.stat().st_mtime for one in (path, *path.iterdir()))
    except OSError:  # going away at this moment
        return False
    return time.time() - newest > FRESH
