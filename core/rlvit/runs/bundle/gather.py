"""Finds the files of runs for a bundle, and refuses runs of which something is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.snapshot import snapshot
from rlvit.registry.store import Store
from rlvit.runs.artifacts import own_copy
from rlvit.runs.bundle import kinds
from rlvit.runs.bundle.compare import whole_lines
from rlvit.runs.bundle.document import Document, declared, inside, portable
from rlvit.runs.bundle.imported import stayed_behind
from rlvit.runs.bundle.manifest import RunEntry
from rlvit.runs.bundle.names import (
    IMPORT_NOTE,
    PART,
    REPLAY,
    SHARED,
    STREAMS,
    WEIGHTS,
    Refused,
    check_run_id,
)
from rlvit.runs.bundle.rows import check_streams
from rlvit.runs.folder import RunFolder

BEFORE_ROWS = ("log.txt", "metrics.jsonl", "episodes.jsonl", "results.jsonl")
OTHERS = "files of kinds that bundles do not carry"
OLD_CHECKPOINTS = "checkpoints of completed runs"
CHECKPOINTS = "checkpoints that need the replay"
NOT_CONTENT = {"run.json", IMPORT_NOTE}  # made anew, and said of this home


@dataclass(frozen=True)
class Item:
    """A file to be: from the disk up to `size` bytes, or out of memory."""

    name: str  # in the bundle
    size: int
    path: Path | None = None
    data: bytes = b""


@dataclass(frozen=True)
class Wanted:
    """What to take beside the runs themselves."""

    replay: bool = False
    shared: bool = True
    weights: bool = True


@dataclass
class Gathered:
    """What goes into a bundle, and what does not."""

    items: list[Item] = field(default_factory=list)
    runs: list[RunEntry] = field(default_factory=list)
    studies: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)  # what -> bytes
    remarks: list[str] = field(default_factory=list)


def gather(store: Store, home: Home, run_ids: Sequence[str], wanted: Wanted) -> Gathered:
    """Find everything that a bundle of these runs holds, the studies apart.

    Raises:
        UsageProblem: a run is under way, or is not whole; the message names what is missing.
    """
    found, shared = Gathered(), dict[str, Path]()
    for run_id in sorted(run_ids):
        known = snapshot(store.engine, check_run_id(run_id))
        if known["state"] in ("running", "created"):
            raise UsageProblem(
                f"run {run_id} is {known['state']}: stop it first, or wait for its end."
            )
        folder = home.runs / run_id
        problems = _missing(store, home, known)
        used = _shared_of(home, known, wanted, problems)
        if problems:
            raise UsageProblem(
                f"run {run_id} is not whole, nothing was written: {'; '.join(problems)}."
            )
        shared |= used
        behind = {_shared_left_out(place, wanted) for place in used.values()} - {""}
        _add_run(found, home, folder, known, wanted, behind | _never_came(home, known))
    for name, place in sorted(shared.items()):
        _add_shared(found, name, place, wanted)
    return found


def _missing(store: Store, home: Home, known: Document) -> list[str]:
    """Return what a run's folder lacks of what the registry knows."""
    folder = home.runs / known["id"]
    if not folder.is_dir():
        return [f"its folder {folder} is missing"]
    problems = []
    if known["attempt"]:
        problems += [f"{n} is missing" for n in BEFORE_ROWS if not (folder / n).is_file()]
    run_id = known["id"]
    newest = {
        "metrics.jsonl": max((p.row for p in queries.points(store.engine, run_id)), default=-1),
        "results.jsonl": len(known["results"]) - 1,
        "episodes.jsonl": len(queries.episodes(store.engine, run_id)) - 1,
    }
    for name, row in newest.items():
        rows = _count_lines(folder / name)
        if rows <= row:
            problems.append(f"{name} has {rows:,} lines, the registry knows {row + 1:,}")
    own, behind = folder / "artifacts", stayed_behind(folder)
    for one in known["artifacts"]:
        place = PurePosixPath(inside(home, one["path"]))
        here = place.parts[1:3] == (run_id, "artifacts")
        if here and WEIGHTS not in behind and not (own / place.name).is_dir():
            problems.append(f"artifacts/{place.name} is missing")
    for artifact in _folders(own):
        if own_copy(artifact) is None:
            problems.append(f"artifacts/{artifact.name} is damaged or lacks files")
    return problems


def _count_lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with open(path, "rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(2**20), b""))


def _folders(path: Path) -> list[Path]:
    """Return the folders in a folder, those under construction apart."""
    if not path.is_dir():
        return []
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _shared_of(home: Home, known: Document, wanted: Wanted, problems: list[str]) -> dict[str, Path]:
    """Return the shared artifacts of a run by name; those that are gone go into `problems`."""
    found = {}
    needed = wanted.shared and not stayed_behind(home.runs / known["id"]) & {SHARED, WEIGHTS}
    for one in known["artifacts"]:
        place = home.located(one["path"])
        if PurePosixPath(inside(home, one["path"])).parent.name != home.shared.name:
            continue
        if own_copy(place) is not None:
            found[place.name] = place
        elif needed and own_copy(home.runs / known["id"] / "artifacts" / one["kind"]) is None:
            problems.append(
                f"the shared artifact {place.name} is missing or damaged (--without-shared leaves "
                "such out)"
            )
    return found


def _never_came(home: Home, known: Document) -> Set[str]:
    """Return as what artifacts stayed behind in the home that an imported run is from."""
    own = home.runs / known["id"] / "artifacts"
    for one in known["artifacts"]:
        if not home.located(one["path"]).is_dir() and not (own / one["kind"]).is_dir():
            return stayed_behind(home.runs / known["id"]) & {SHARED, WEIGHTS}
    return frozenset()


def _add_run(
    found: Gathered,
    home: Home,
    folder: Path,
    known: Document,
    wanted: Wanted,
    behind: Set[str],
) -> None:
    """Take the files of a run, of which other things stay `behind`."""
    run_id, start = known["id"], f"runs/{known['id']}/"
    document = portable(known, home, RunFolder(folder).sizes())
    data = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    found.items.append(Item(f"{start}run.json", len(data), data=data))
    entry_left: dict[str, int] = {}
    for place, path in _files(folder):
        name = place.as_posix()
        reason = _left_out(place, folder, known, wanted)
        if reason:
            entry_left[reason] = entry_left.get(reason, 0) + path.stat().st_size
            continue
        if place.parts[0] in ("artifacts", "checkpoint"):
            _check_kind(path, place, f"{name} of run {run_id}")
        size = whole_lines(path) if name in STREAMS else path.stat().st_size
        found.items.append(Item(f"{start}{name}", size, path))
    try:
        damaged = check_streams(folder, run_id, known["attempt"], declared(known))
    except Refused as problem:
        raise RlvitError(f"run {run_id} is damaged, nothing was written: {problem}.") from None
    found.remarks += damaged
    found.remarks += _warn(run_id, known, entry_left)
    for reason, size in entry_left.items():
        found.left_out[reason] = found.left_out.get(reason, 0) + size
    found.runs.append(
        RunEntry(
            id=run_id,
            name=known["name"],
            state=known["state"],
            attempt=known["attempt"],
            left_out=sorted({*entry_left, *behind}),
        )
    )


def _files(folder: Path) -> Iterable[tuple[PurePosixPath, Path]]:
    """Yield the files of a run in a fixed order, those under construction and run.json apart."""
    for path in sorted(folder.rglob("*")):
        place = PurePosixPath(path.relative_to(folder).as_posix())
        hidden = any(part.startswith(".") for part in place.parts)
        if path.is_file() and not hidden and str(place) not in NOT_CONTENT:
            yield place, path


def _left_out(place: PurePosixPath, folder: Path, known: Document, wanted: Wanted) -> str:
    """Return as what a file stays behind; nothing if it is taken."""
    top = place.parts[0]
    if (folder / Path(place)).is_symlink():
        return "links"
    if len(place.parts) == 1:
        return "" if top in STREAMS or _fits(folder / top, place) else OTHERS
    if top == "artifacts" and len(place.parts) == 3:
        return "" if wanted.weights or not _has_weights(folder / top / place.parts[1]) else WEIGHTS
    if top == "checkpoint" and len(place.parts) == 2:
        if known["state"] == "completed":
            return OLD_CHECKPOINTS
        if (folder / "replay").is_dir() and not wanted.replay:
            return CHECKPOINTS
        return "" if wanted.weights else WEIGHTS
    if top == "replay" and len(place.parts) == 2:
        return "" if wanted.replay else REPLAY
    return OTHERS


def _has_weights(artifact: Path) -> bool:
    """Say whether an artifact is a network, or has one."""
    return any(artifact.glob("*.safetensors"))


def _fits(path: Path, place: PurePosixPath) -> bool:
    """Say whether a file that a plugin, or a person, put beside rlvit's own may be taken."""
    try:
        kinds.check_file(path, place, place.name)
    except Refused:
        return False
    return bool(PART.fullmatch(place.name))


def _warn(run_id: str, known: Document, left_out: dict[str, int]) -> list[str]:
    """Say what the run cannot do without what stays behind."""
    if known["state"] == "completed":
        return []
    start = f"run {run_id} is {known['state']}; without its"
    if CHECKPOINTS in left_out:
        return [f"{start} replay a resume begins from the start (--with-replay takes it along)"]
    if WEIGHTS in left_out:
        return [f"{start} weights a resume begins from the start"]
    return []


def _check_kind(path: Path, place: PurePosixPath, what: str) -> None:
    """Refuse a file that no import would take; raises UsageProblem."""
    try:
        kinds.check_file(path, place, what)
    except Refused as problem:
        raise UsageProblem(f"{problem}. Nothing was written.") from None


def _shared_left_out(place: Path, wanted: Wanted) -> str:
    """Return as what a shared artifact stays behind; nothing if it is taken."""
    if not wanted.shared:
        return SHARED
    return "" if wanted.weights or not _has_weights(place) else WEIGHTS


def _add_shared(found: Gathered, name: str, place: Path, wanted: Wanted) -> None:
    """Take a shared artifact, or say that it is left out."""
    files = sorted(path for path in place.iterdir() if path.is_file())
    if reason := _shared_left_out(place, wanted):
        size = sum(path.stat().st_size for path in files)
        found.left_out[reason] = found.left_out.get(reason, 0) + size
        return
    for path in files:
        _check_kind(path, PurePosixPath(path.name), f"{path.name} of the shared artifact {name}")
        found.items.append(Item(f"shared/{name}/{path.name}", path.stat().st_size, path))
