"""What a registry has of a run's streams, found again from the streams alone.

Of the metrics a registry keeps a part (`recorder.Thinner`), and of what a later attempt made again
that part which was kept when the attempt began. Both depend on the rows and the marks in
`superseded.jsonl` alone, so this is done again here, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvit.errors import RlvitError
from rlvit.registry.store import finite
from rlvit.runs.folder import STREAMS, RunFolder
from rlvit.runs.recorder import Thinner

Row = dict[str, Any]
RESULT = {"attempt": int, "step": int, "metric": str, "samples": int}
EPISODE = {"attempt": int, "step": int, "index": int, "length": int}


@dataclass(frozen=True)
class Streams:
    """The rows of tables `point`, `result` and `episode`, the run's id left out."""

    points: list[Row]
    results: list[Row]
    episodes: list[Row]


@dataclass(frozen=True)
class _Span:
    """Rows of each stream that an attempt marked as made again: from `start` up to `end`."""

    start: Mapping[str, int]
    end: Mapping[str, int]


def read_streams(folder: Path, say: Callable[[str], None]) -> Streams:
    """Read what a run logged and measured; nothing is written.

    Args:
        folder: of the run.
        say: is told which lines are damaged and left out.

    Raises:
        RlvitError: a line is not what a run writes.
        OSError: a file cannot be read.
    """
    read = _Reader(folder, say)
    spans = _read_spans(folder)
    return Streams(
        points=_points(read, spans),
        results=list(_rows(read, "results", RESULT, ("value", "spread"), spans)),
        episodes=list(_rows(read, "episodes", EPISODE, ("score",), spans)),
    )


class _Reader(RunFolder):
    """Reads a folder; what is damaged is told, not written into the folder's log."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        super().__init__(path)
        self._say = say

    def log(self, text: str) -> None:
        """Tell what was found."""
        self._say(text)

    def refuse(self, stream: str, row: int, why: object) -> RlvitError:
        """Return the error of a line that no run writes."""
        return RlvitError(f"{self.path / stream}.jsonl: line {row + 1} is not a run's: {why}.")


def _read_spans(folder: Path) -> list[_Span]:
    """Return what later attempts made again; raises RlvitError where that cannot be told."""

    def refuse(text: str) -> None:
        raise RlvitError(f"{folder}: {text.removesuffix(' and left out')}.")

    try:
        return [_span(line) for _, line in _Reader(folder, refuse).read("superseded")]
    except (KeyError, TypeError, ValueError):
        raise RlvitError(f"{folder / 'superseded.jsonl'}: a line is not a run's.") from None


def _span(line: Any) -> _Span:
    """Return the rows that a line marks; raises KeyError, TypeError or ValueError if it is none."""
    found = _Span(line["from"], line["to"])
    for stream in STREAMS:
        start, end = found.start[stream], found.end[stream]
        if type(start) is not int or type(end) is not int or not 0 <= start <= end:
            raise ValueError(f"{stream}: {start!r} to {end!r}")
    return found


def _rows(
    read: _Reader,
    stream: str,
    kinds: Mapping[str, type],
    numbers: tuple[str, ...],
    spans: list[_Span],
) -> Iterator[Row]:
    """Yield the rows of a stream that the registry has as a whole."""
    for row, line in read.read(stream):
        try:
            found: Row = {name: _checked(name, line[name], kind) for name, kind in kinds.items()}
            found |= {name: _number(name, line[name]) for name in numbers}
        except (KeyError, TypeError) as problem:
            raise read.refuse(stream, row, _why(problem)) from None
        again = any(span.start[stream] <= row < span.end[stream] for span in spans)
        yield {**found, "row": row, "superseded": again}


def _checked(name: str, value: Any, kind: type) -> Any:
    if type(value) is not kind:  # a bool is no number here
        raise TypeError(f"{name} is {value!r}")
    return value


def _number(name: str, value: Any) -> float | None:
    """Return a value as the database has it; raises TypeError."""
    if value is None:
        return None
    if type(value) not in (int, float):
        raise TypeError(f"{name} is {value!r}")
    return finite(float(value))


def _why(problem: Exception) -> str:
    return f"{problem} is missing" if isinstance(problem, KeyError) else str(problem)


class _Kept:
    """What the registry has of the live rows up to one of them."""

    def __init__(self, thinner: Thinner, points: dict[tuple[str, int, int], Row]) -> None:
        self._thinner, self.points = thinner, points

    def copy(self) -> _Kept:
        return _Kept(self._thinner.copy(), dict(self.points))

    def add(self, row: int, line: Any) -> None:
        """Take a line of metrics.jsonl; raises KeyError or TypeError where it is none."""
        attempt = _checked("attempt", line.pop("attempt"), int)
        step = _checked("step", line.pop("step"), int)
        at = _checked("time", line.pop("time"), float)
        for metric, value in line.items():
            keep, drop = self._thinner.add(metric, attempt, row)
            for of, old in drop:
                del self.points[metric, of, old]
            if keep:
                self.points[metric, attempt, row] = {
                    "metric": metric,
                    "attempt": attempt,
                    "row": row,
                    "step": step,
                    "value": _number(metric, value),
                    "at": at,
                }


class _Rewinding:
    """Follows the attempts of a run: each goes on from what was kept at its checkpoint."""

    def __init__(self, spans: list[_Span]) -> None:
        self._marks = [(span.start["metrics"], span.end["metrics"]) for span in spans]
        self._kept, self._superseded = _Kept(Thinner(), {}), list[Row]()
        self._at: dict[int, _Kept] = {}  # row a later attempt goes on from -> what was kept there

    def add(self, row: int, line: Any) -> None:
        """Take the next line; raises KeyError or TypeError where it is none."""
        while self._marks and row >= self._marks[0][1]:
            self._rewind()
        self._remember(row)
        self._kept.add(row, line)

    def _remember(self, row: int) -> None:
        """Keep what is needed to go on from here, before the line `row` is taken."""
        for start, _ in self._marks:
            if start <= row and start not in self._at:
                self._at[start] = self._kept.copy()

    def _rewind(self) -> None:
        """Begin the next attempt: what lies behind its checkpoint is as it was, and superseded."""
        start, end = self._marks[0]
        self._remember(end)  # a checkpoint may include all rows
        del self._marks[0]
        behind = (p for (_, _, row), p in self._kept.points.items() if row >= start)
        self._superseded += [{**point, "superseded": True} for point in behind]
        self._kept = self._at[start].copy()
        for later in [row for row in self._at if start < row <= end]:
            self._at[later] = self._at[start]

    def finish(self) -> list[Row]:
        """Return the points after the last attempt."""
        while self._marks:
            self._rewind()
        live = [{**point, "superseded": False} for point in self._kept.points.values()]
        return self._superseded + live


def _points(read: _Reader, spans: list[_Span]) -> list[Row]:
    """Return the points that the registry has of metrics.jsonl."""
    rewinding = _Rewinding(spans)
    for row, line in read.read("metrics"):
        try:
            rewinding.add(row, line)
        except (KeyError, TypeError, AttributeError) as problem:
            raise read.refuse("metrics", row, _why(problem)) from None
    return rewinding.finish()
