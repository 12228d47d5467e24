"""Checks the streams of a run from a stranger: every row has the types that its readers expect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from rlvit.runs.bundle import plain
from rlvit.runs.bundle.names import LIMITS, STREAMS, Limits, Refused

BIG = 2**63


def check_streams(
    folder: Path, run_id: str, attempts: int, metrics: Collection[str], limits: Limits = LIMITS
) -> list[str]:
    """Check every row of a run's streams.

    Args:
        folder: the run's.
        run_id: for messages.
        attempts: of the run; no row may belong to a later one.
        metrics: the declared ones.
        limits: of the length of a line.

    Returns:
        What to tell the user of lines that a power cut damaged; readers pass them over.

    Raises:
        Refused: a row is JSON, and not what its stream holds.
    """
    checks: Mapping[str, Callable[[dict[str, Any]], str | None]] = {
        "metrics.jsonl": lambda row: _metrics(row, attempts, metrics),
        "episodes.jsonl": lambda row: _episode(row, attempts),
        "results.jsonl": lambda row: _result(row, attempts, metrics),
        "superseded.jsonl": lambda row: _mark(row, attempts),
    }
    damaged = []
    for stream in STREAMS:
        path, what = folder / stream, f"{stream} of {run_id}"
        if path.exists():
            bad = _check(path, what, checks[stream], limits)
            damaged += [f"line {number} of {what} is damaged and passed over" for number in bad]
    return damaged


def _check(
    path: Path, what: str, check: Callable[[dict[str, Any]], str | None], limits: Limits
) -> list[int]:
    """Return the numbers of lines that a power cut damaged; raises Refused at a wrong row."""
    damaged = []
    for number, line in plain.lines(path, what, limits):
        try:
            row = plain.parse_line(line)
        except RecursionError:
            raise Refused(f"line {number} of {what} is nested too deeply") from None
        except ValueError as problem:
            if b"\0" not in line:  # a power cut leaves NULs, which no reader takes for JSON
                raise Refused(f"line {number} of {what}: {problem}") from None
            damaged.append(number)
            continue
        wrong = check(row) if isinstance(row, dict) else "it is no object"
        if wrong:
            raise Refused(f"line {number} of {what}: {wrong}")
    return damaged


def _metrics(row: dict[str, Any], attempts: int, metrics: Collection[str]) -> str | None:
    wrong = _place(row, attempts)
    at = row.get("time")
    if wrong or not _is_number(at) or at is None:
        return wrong or f"its time is {at!a}"
    for name, value in row.items():
        if name in ("attempt", "step", "time"):
            continue
        if name not in metrics:
            return f"its metric {name!a} is not declared"
        if not _is_number(value):
            return f"its {name} is {value!a}, which is no number"
    return None


def _episode(row: dict[str, Any], attempts: int) -> str | None:
    wrong = _place(row, attempts) or _keys(row, "attempt", "step", "index", "score", "length")
    if wrong:
        return wrong
    if not _is_count(row["index"]) or not _is_count(row["length"]):
        return "its index or length is no whole number"
    return None if _is_number(row["score"]) else f"its score is {row['score']!a}"


def _result(row: dict[str, Any], attempts: int, metrics: Collection[str]) -> str | None:
    known = ("attempt", "step", "metric", "value", "samples", "spread")
    wrong = _place(row, attempts) or _keys(row, *known)
    if wrong:
        return wrong
    if not isinstance(row["metric"], str) or row["metric"] not in metrics:
        return f"its metric {row['metric']!a} is not declared"
    if not _is_count(row["samples"]):
        return f"its samples are {row['samples']!a}"
    numbers = all(_is_number(row[name]) for name in ("value", "spread"))
    return None if numbers else "its value or spread is no number"


def _mark(row: dict[str, Any], attempts: int) -> str | None:
    wrong = _keys(row, "attempt", "from", "to")
    if wrong or not _is_attempt(row["attempt"], attempts):
        return wrong or f"its attempt is {row['attempt']!a}, of {attempts}"
    streams = {"metrics", "episodes", "results"}
    for side in ("from", "to"):
        marks = row[side]
        if not isinstance(marks, dict) or marks.keys() != streams:
            return f"its {side!r} does not name the three streams"
        if not all(_is_count(value) for value in marks.values()):
            return f"its {side!r} has what is no row"
    return None


def _place(row: dict[str, Any], attempts: int) -> str | None:
    """Return what is wrong with a row's attempt and step, or None."""
    if not _is_attempt(row.get("attempt"), attempts):
        return f"its attempt is {row.get('attempt')!a}, of {attempts}"
    if not _is_count(row.get("step")):
        return f"its step is {row.get('step')!a}"
    return None


def _keys(row: dict[str, Any], *names: str) -> str | None:
    if row.keys() == set(names):
        return None
    return f"it has {', '.join(sorted(map(ascii, row)))}; expected {', '.join(names)}"


def _is_attempt(value: object, attempts: int) -> bool:
    return _is_count(value) and 1 <= int(str(value)) <= attempts


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < BIG


def _is_number(value: object) -> bool:
    """Say whether it is a finite number, or None, which stands for one that was not finite."""
    if value is None:
        return True
    if type(value) is int:
        return -BIG <= value < BIG
    return type(value) is float and value - value == 0
