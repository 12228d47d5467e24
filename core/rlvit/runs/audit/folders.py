"""Compares one run's folder with the registry's rows of it; nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from rlvit.errors import RlvitError
from rlvit.registry import contents
from rlvit.registry.records import RunRecord
from rlvit.registry.snapshot import snapshot
from rlvit.runs.audit.findings import REBUILD, Finding
from rlvit.runs.checkpoint import Checkpoints
from rlvit.runs.record import read_record
from rlvit.runs.streams import read_streams

COMPARED = (
    *("state", "attempt", "name", "seed", "preset", "note", "archived", "error"),
    *("created_at", "started_at", "ended_at"),
)
WRITE_AGAIN = "`rlvit registry check --fix` writes it again from the registry"
FETCH_ROWS = "`rlvit registry check --fix` stores what is missing"
RESTORE = "bring the folder back from a copy"
FOLDER_AHEAD = f"the folder knows more, as after an old registry was put back: {REBUILD}"
FOLDER_LACKS = (
    "the registry has rows that the folder lacks: bring the folder back from a copy, and do not "
    "rebuild before"
)
CONTRADICTION = (
    "one of the two is wrong, and a rebuild would take the folder's for right: bring the folder "
    "back from a copy, and do not rebuild before"
)


def check_record(engine: Engine, run: RunRecord, folder: Path) -> Iterator[Finding]:
    """Yield where run.json does not say what the registry says."""
    try:
        there = read_record(folder, lambda method: frozenset())
    except RlvitError as problem:
        yield Finding("folder", run.id, str(problem).rstrip("."), WRITE_AGAIN)
        return
    known = snapshot(engine, run.id)
    pairs: dict[str, tuple[Any, Any]] = {name: (there.run[name], known[name]) for name in COMPARED}
    pairs["tags"] = (dict(there.tags), known["tags"])
    pairs["fingerprint"] = (there.experiment["fingerprint"], known["fingerprint"])
    pairs["transitions"] = (list(there.transitions), known["transitions"])
    pairs["artifacts"] = (_hashes(there.artifacts), _hashes(known["artifacts"]))
    differ = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if differ:
        named = ", ".join(_difference(name, *pair) for name, pair in differ.items())
        text = f"run.json and the registry differ in {named}"
        yield Finding("record", run.id, text, _remedy(differ, pairs))


def _remedy(differ: Collection[str], pairs: Mapping[str, tuple[Any, Any]]) -> str:
    """Say which of the two can be made again from the other without losing anything."""
    there, known = pairs["transitions"]
    if there != known[: len(there)]:
        return FOLDER_AHEAD
    lacking = there != known or pairs["artifacts"][0] < pairs["artifacts"][1]
    if lacking and not {"tags", "note", "archived", "fingerprint"} & set(differ):
        return WRITE_AGAIN
    return "`rlvit runs tag`, `note` or `archive` with what is right writes both"


def _hashes(artifacts: Any) -> set[tuple[str, str]]:
    return {(one["kind"], one["sha256"]) for one in artifacts}


def _difference(name: str, there: Any, known: Any) -> str:
    short = all(isinstance(one, str | int | None) and len(str(one)) < 30 for one in (there, known))
    return f"{name} ({there!r}, {known!r})" if short else name


def check_rows(
    engine: Engine, run: RunRecord, folder: Path, *, ahead: bool = False
) -> Iterator[Finding]:
    """Yield where the registry's rows are not those that the folder's streams give.

    Args:
        engine: of the registry.
        run: that is compared.
        folder: of the run.
        ahead: the folder's run.json knows more than the registry.
    """
    damaged: list[str] = []
    try:
        streams = read_streams(folder, damaged.append)
    except (RlvitError, OSError) as problem:
        yield Finding("folder", run.id, str(problem).rstrip("."), RESTORE)
        return
    for text in damaged:
        yield Finding("folder", run.id, text, RESTORE)
    for what in contents.ROWS:
        live, again = contents.rows_of(engine, run.id, what)
        expected, superseded = contents.keyed(getattr(streams, what), what)
        text = _compare(what, live, expected, again, superseded)
        if text:
            known, there = {**again, **live}, {**superseded, **expected}
            if any(there[key] != known[key] for key in known.keys() & there.keys()):
                remedy = CONTRADICTION
            elif known.keys() - there.keys() and not (ahead and what == "points"):  # thinned anew
                remedy = FOLDER_LACKS
            elif damaged:
                remedy = RESTORE
            else:
                remedy = FETCH_ROWS if live.items() <= expected.items() else REBUILD
            yield Finding("rows", run.id, text, remedy)


def _compare(
    what: str,
    live: contents.Keyed,
    expected: contents.Keyed,
    again: contents.Keyed,
    superseded: contents.Keyed,
) -> str:
    """Say how rows differ; an empty text where they agree.

    Of superseded rows a registry may lack some, which a killed process had not handed over.
    """
    lacking = len(expected.keys() - live.keys())
    foreign = len(live.keys() - expected.keys()) + len(again.keys() - superseded.keys())
    same = [(live[key], expected[key]) for key in live.keys() & expected.keys()]
    same += [(again[key], superseded[key]) for key in again.keys() & superseded.keys()]
    changed = sum(one != other for one, other in same)
    parts = {"missing": lacking, "not in the folder": foreign, "of other value": changed}
    named = [f"{number:,} {how}" for how, number in parts.items() if number]
    return f"{what} of the registry: {', '.join(named)}" if named else ""


def check_checkpoint(run: RunRecord, folder: Path) -> Iterator[Finding]:
    """Yield the damaged checkpoints of a run that could be resumed."""
    if run.state not in ("failed", "interrupted"):
        return
    place = folder / "checkpoint"
    if not place.is_dir():
        text = "its folder checkpoint/ is gone"
        yield Finding("checkpoint", run.id, text, "`rlvit resume` cannot go on with it")
        return
    said: list[str] = []
    if next(place.glob("[0-9]*.json"), None) is not None:
        Checkpoints(place).load(said.append)
    for text in said:
        one, _, then = text.partition("; ")
        first = "`rlvit resume` starts from the beginning"
        before = "`rlvit resume` goes on from the one before it"
        yield Finding("checkpoint", run.id, one, first if "no other" in then else before)
