"""Says whether two states of a run are the same, one goes on from the other, or they contradict."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rlvit.registry.snapshot import OF_EXPERIMENT, OF_RUN
from rlvit.runs.bundle.document import ANNOTATIONS, LIFE, Document
from rlvit.runs.bundle.names import Refused

Relation = Literal["same", "later", "earlier"]

SAID_BEFORE = tuple(
    name for name in (*OF_RUN, *OF_EXPERIMENT) if name not in (*LIFE, *ANNOTATIONS, "folder")
)
CHUNK = 2**20


def relation(here: Document, offered: Document, folder: Path, staged: Path) -> Relation:
    """Say what the state of a run in a bundle is to the one that is here.

    Tags, note and archive mark do not count, and neither do places.

    Args:
        here: the run as this home knows it.
        offered: the run as the bundle has it.
        folder: of the run here.
        staged: of the run from the bundle.

    Returns:
        "later" if the run went on after it was here; "earlier" if it went on here.

    Raises:
        Refused: they are two runs of one id, or the run went on in two ways.
    """
    run_id = here["id"]
    for name in SAID_BEFORE:
        if name in here and name in offered and here[name] != offered[name]:
            differs = _difference(name, here[name], offered[name])
            raise Refused(f"another run {run_id} is here already: {differs}")
    mine, theirs = here["transitions"], offered["transitions"]
    shared = min(len(mine), len(theirs))
    if mine[:shared] != theirs[:shared]:
        raise Refused(_parted(run_id, mine, theirs))
    kind: Relation = "later" if len(mine) < len(theirs) else "earlier"
    if len(mine) == len(theirs):
        _compare_results(here, offered)
        kind = "same"
    if folder.is_dir():  # else the registry alone knows the run
        first, second = (staged, folder) if kind == "earlier" else (folder, staged)
        _compare_streams(run_id, first, second, whole=kind == "same")
    return kind


def _difference(name: str, mine: Any, theirs: Any) -> str:
    """Say in what a column differs, which may be a mapping."""
    if not isinstance(mine, Mapping) or not isinstance(theirs, Mapping):
        return f"its {name} is {mine!a} here, {theirs!a} in the bundle"
    key = next(k for k in sorted({*mine, *theirs}) if mine.get(k) != theirs.get(k))
    return f"its {name} has {key} {mine.get(key)!a} here, {theirs.get(key)!a} in the bundle"


def _parted(run_id: str, mine: list[Any], theirs: list[Any]) -> str:
    pairs = zip(mine, theirs, strict=False)
    first, second = next(pair for pair in pairs if pair[0] != pair[1])
    differ = "" if first["at"] != second["at"] else ", with another cause"
    return (
        f"run {run_id} went on in two ways: here {_said(first)}, in the bundle {_said(second)}"
        f"{differ}; keep both homes"
    )


def _said(move: Mapping[str, Any]) -> str:
    """Say what became of a run, and when."""
    try:
        at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(move["at"]))
    except (ValueError, OverflowError, OSError):  # no time of any calendar
        at = str(move["at"])
    return f"attempt {move['attempt']} is {move['to_state']} since {at}"


def _compare_results(here: Document, offered: Document) -> None:
    """Refuse other results in the same state; raises Refused."""
    mine, theirs = _results(here), _results(offered)
    if mine == theirs:
        return
    key = next(k for k in sorted({*mine, *theirs}, key=repr) if mine.get(k) != theirs.get(k))
    raise Refused(
        f"another run {here['id']} is here already: its result {key[0]} at step {key[1]} is "
        f"{mine.get(key)} here, {theirs.get(key)} in the bundle"
    )


def _results(document: Document) -> dict[tuple[Any, ...], list[Any]]:
    """Return the values by metric, step and attempt."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for one in document["results"]:
        key = one["metric"], one["step"], one["attempt"], one["superseded"]
        found.setdefault(key, []).append([one["value"], one["samples"], one["spread"]])
    return found


def _compare_streams(run_id: str, first: Path, second: Path, *, whole: bool) -> None:
    """Refuse unless the streams of `second` begin with those of `first`, or are the same.

    Raises:
        Refused: a line differs.
    """
    for name in ("metrics.jsonl", "episodes.jsonl", "results.jsonl", "superseded.jsonl"):
        shorter, longer = first / name, second / name
        if not begins_with(longer, shorter) or (whole and not begins_with(shorter, longer)):
            raise Refused(f"another run {run_id} is here already: its {name} is another one")


def begins_with(longer: Path, shorter: Path) -> bool:
    """Say whether a file has all whole lines of another one at its beginning; none is empty."""
    left = whole_lines(shorter)
    if left == 0:
        return True
    if whole_lines(longer) < left:
        return False
    with open(shorter, "rb") as first, open(longer, "rb") as second:
        while left:
            size = min(left, CHUNK)
            if first.read(size) != second.read(size):
                return False
            left -= size
    return True


def whole_lines(path: Path) -> int:
    """Return the bytes of a file up to the end of its last whole line; 0 if there is no file."""
    if not path.exists():
        return 0
    with open(path, "rb") as file:
        left = file.seek(0, 2)
        while left:
            start = max(0, left - CHUNK)
            file.seek(start)
            found = file.read(left - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            left = start
    return 0
