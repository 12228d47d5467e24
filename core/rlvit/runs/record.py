"""Reads `run.json`, the copy of what a registry knows of a run, whichever rlvit wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import JSON

from rlvit.errors import RlvitError
from rlvit.registry import schema, snapshot
from rlvit.registry.store import MOVES
from rlvit.specs import MetricDef, digest

FILE = "run.json"
KNOWN = (1, 2)  # formats
Values = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """A run as its folder describes it, in the words of the registry's columns."""

    run: Values
    experiment: Values
    tags: Mapping[str, str]
    transitions: Sequence[Values]
    artifacts: Sequence[Values]  # with `role`, and `number` where it is known
    metrics: Mapping[str, MetricDef]  # the declarations that it brings
    units: Mapping[str, str]  # of what it measured, where the declaration is missing
    streams: Mapping[str, int]  # bytes that each stream has at least
    measured: int  # rows that results.jsonl has at least
    written_at: float  # 0: unknown
    remarks: Sequence[str]  # what could not be told for certain


class Reader:
    """Reads a JSON file that a registry's rows were written to; what is wrong names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def wrong(self, why: str) -> RlvitError:
        """Return the error of a file that cannot be used."""
        return RlvitError(f"{self.path}: {why}.")

    def object(self) -> Values:
        """Return the whole; raises RlvitError unless it is there and is an object."""
        try:
            if not self.path.is_file():
                raise self.wrong("there is no such file")
            whole = json.loads(self.path.read_bytes())
        except OSError as problem:
            raise self.wrong(f"it cannot be read ({problem.strerror})") from None
        except (ValueError, RecursionError) as problem:
            raise self.wrong(f"it is damaged ({problem})") from None
        if not isinstance(whole, dict):
            raise self.wrong("it is no JSON object")
        return whole

    def columns(self, table: Any, given: Mapping[str, Any], names: Sequence[str]) -> Values:
        """Return the values of a table's columns; raises RlvitError unless all are there."""
        found = {}
        for name in names:
            column = table.__table__.c[name]
            if name not in given:
                raise self.wrong(f"{name} is missing")
            value = given[name]
            kind = dict if isinstance(column.type, JSON) else column.type.python_type
            if type(value) is int and kind is float:
                value = float(value)
            if type(value) is not kind and not (value is None and column.nullable):
                raise self.wrong(f"{name} is {brief(value)}, expected {_called(kind)}")
            found[name] = value
        return found

    def dicts(self, given: Mapping[str, Any], name: str) -> list[Values]:
        """Return a list of objects; raises RlvitError unless it is one."""
        found = given.get(name)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self.wrong(f"{name} is no list of objects")
        return found

    def texts(self, given: Mapping[str, Any], name: str) -> dict[str, str]:
        """Return an object of texts; raises RlvitError unless it is one."""
        found = given.get(name)
        if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
            raise self.wrong(f"{name} are no texts")
        return found


def brief(value: object) -> str:
    """Return a value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _called(kind: type) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(kind, "an object")


def read_record(folder: Path, bookkeeping: Callable[[str], frozenset[str] | None]) -> Recorded:
    """Read what is known of the run in a folder.

    Args:
        folder: of the run; its name is the run's id.
        bookkeeping: the fields of a method's configuration that cannot change a result, None where
            no plugin offers the method. Files of format 1 need it.

    Raises:
        RlvitError: there is no run.json, or it is not whole, or another run's.
    """
    read = Reader(folder / FILE)
    whole = read.object()
    if whole.get("format") not in KNOWN:
        raise read.wrong(f"format {brief(whole.get('format'))} is none that this rlvit knows")
    if whole.get("id") != folder.name:
        raise read.wrong(f"it is of run {brief(whole.get('id'))}, not of {folder.name}")
    remarks = _split_config(read, whole, bookkeeping) if whole["format"] == 1 else []
    run = read.columns(schema.Run, whole, snapshot.OF_RUN)
    moves = read.dicts(whole, "transitions")
    if run["state"] not in MOVES or not moves:
        raise read.wrong(f"there is no state {brief(run['state'])}, or no transition")
    results = read.dicts(whole, "results")
    return Recorded(
        run=run,
        experiment=read.columns(schema.Experiment, whole, snapshot.OF_EXPERIMENT),
        tags=read.texts(whole, "tags"),
        transitions=[read.columns(schema.Transition, one, snapshot.TRANSITION) for one in moves],
        artifacts=[_artifact(read, one) for one in read.dicts(whole, "artifacts")],
        metrics=_metrics(read, whole),
        units={str(row.get("metric")): str(row.get("unit")) for row in results},
        streams=_sizes(read, whole),
        measured=len(results),
        written_at=_moment(read, whole),
        remarks=remarks,
    )


def _sizes(read: Reader, whole: Values) -> dict[str, int]:
    """Return how long the streams were; a file of format 1 does not say."""
    found = whole.get("streams", {})
    if not isinstance(found, dict) or not all(type(size) is int for size in found.values()):
        raise read.wrong("streams are no sizes in bytes")
    return found


def _moment(read: Reader, whole: Values) -> float:
    found = whole.get("written_at", 0.0)
    if type(found) is not float:
        raise read.wrong(f"written_at is {brief(found)}, expected a number")
    return found


def _artifact(read: Reader, given: Values) -> Values:
    found = read.columns(schema.ArtifactRow, given, snapshot.ARTIFACT)
    if given.get("role") not in ("made", "used"):
        raise read.wrong(f"the role of an artifact is {brief(given.get('role'))}")
    number = given.get("number")
    return {**found, "role": given["role"], "number": number if type(number) is int else None}


def _metrics(read: Reader, whole: Values) -> dict[str, MetricDef]:
    """Return the declarations; a file of format 1 has none."""
    rows = read.dicts(whole, "metrics") if whole["format"] > 1 else []
    found = [read.columns(schema.Metric, row, snapshot.METRIC) for row in rows]
    return {row["name"]: MetricDef(**row) for row in found}


def _split_config(
    read: Reader, whole: Values, bookkeeping: Callable[[str], frozenset[str] | None]
) -> list[str]:
    """Tell configuration and book-keeping apart, and return what is uncertain about it.

    The fingerprint, a hash of the configuration alone, says whether it came out right.
    """
    config, method = whole.get("config"), whole.get("method")
    if not isinstance(config, dict) or not isinstance(method, str):
        raise read.wrong("config or method is missing")
    names = bookkeeping(method)
    apart = {name: value for name, value in config.items() if name in (names or ())}
    whole["bookkeeping"] = apart
    whole["config"] = {name: value for name, value in config.items() if name not in apart}
    if names is None:
        return [
            f"no plugin offers the method {method}: which of its options cannot change a result is "
            "not known, so all are taken for its configuration"
        ]
    if _fingerprint(whole) != whole.get("fingerprint"):
        return [
            f"the plugin of {method} has other options today: which of them cannot change a result "
            "is taken from it, and the run's fingerprint does not confirm that"
        ]
    return []


def _fingerprint(whole: Values) -> str:
    """Return the hash that `Plan.fingerprint` gives."""
    return digest(
        {
            "method": whole.get("method"),
            "task": whole.get("task"),
            "protocol": [whole.get("protocol"), whole.get("protocol_settings")],
            "config": whole.get("config"),
            "slots": whole.get("slots"),
        }
    )
