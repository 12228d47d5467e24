"""Scores that were not measured here: reads users' files, and what the registry holds of them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import statistics
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvit.catalog import match
from rlvit.errors import UnknownName, UsageProblem
from rlvit.registry import queries
from rlvit.report.model import Reference

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from rlvit.catalog import Catalog

SCORE_METRIC = "eval/return"  # of what a file calls a score
NORMALISED_METRIC = "eval/human_normalised"  # of what a file calls HNS
UNKNOWN_RUNS = "one value a task: a run or a mean of some, the file does not say"
NEEDED, OPTIONAL = ("task", "score"), ("method", "seed", "protocol", "metric", "n", "spread")
FORMS = (
    'expected a CSV with the columns method,task,score[,seed][,protocol][,metric], or JSON: {"Pong"'
    ': [score of each run, …], …} or [{"game": "Pong", "seed": 1, "score": 2.5}, …]'
)
# Of the published CURL scores: the best over training, which is no final score.
LEFT_OUT = frozenset({"Max HNS"})


@dataclass(frozen=True)
class _Row:
    """One score of a file."""

    method: str
    task: str
    score: float
    seed: int | None
    protocol: str
    metric: str
    n: int | None
    spread: float | None

    @property
    def cell(self) -> tuple[str, str, str, str]:
        """What several runs have in common."""
        return (self.method, self.task, self.protocol, self.metric)


def read(
    path: str | Path,
    *,
    name: str | None = None,
    protocol: str | None = None,
    metric: str | None = None,
    cite: str = "",
) -> list[Reference]:
    """Return the scores of a file, one reference for each method, task, protocol and metric.

    Several scores of a task are those of several runs. Where a method has one score a task and no
    seed, it may be a mean: it is kept as a printed value, with `n` and `spread` where a CSV has
    these columns.

    Args:
        path: a CSV or JSON file, either may be compressed with gzip.
        name: of the method, where the file has one; by default as in its column `method`, else
            the file's name.
        protocol: for rows that name none; by default "", comparable under no protocol.
        metric: for rows that name none; by default the raw or the human-normalised score.
        cite: where the scores are from.

    Raises:
        UsageProblem: the file cannot be read, or is none of the forms; curves are refused.
    """
    path = Path(path).expanduser()
    file = _File(path.name, {"protocol": protocol, "metric": metric})
    text = _text(path)
    named = path.name.removesuffix(".gz").lower()
    found = file.csv_rows(text) if named.endswith(".csv") else file.json_rows(text)
    methods = sorted({row.method for row in found})
    if not found:
        raise UsageProblem(f"{path.name} holds no scores.")
    if name is not None:
        if len(methods) > 1:
            raise UsageProblem(f"--name {name}: {path.name} holds several: {', '.join(methods)}.")
        found = [replace(row, method=file.word("name", name, "--name", 200)) for row in found]
    return _references(found, path.name, cite)


def _text(path: Path) -> str:
    """Return a file's text; raises UsageProblem."""
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageProblem(f"{path} cannot be read: {reason}.") from None


@dataclass(frozen=True)
class _File:
    """Turns a file's text into rows; every message names the file and the place in it."""

    name: str
    given: Mapping[str, str | None]  # the user's options, by column

    def csv_rows(self, text: str) -> list[_Row]:
        """Read `method,task,score` and the optional columns."""
        reader = csv.DictReader(io.StringIO(text), strict=True)
        try:
            columns = [column.strip() for column in reader.fieldnames or ()]
            reader.fieldnames = columns
            missing = [column for column in NEEDED if column not in columns]
            if missing or len(set(columns)) < len(columns):
                raise UsageProblem(f"{self.name} has the columns {','.join(columns)}; {FORMS}.")
            for column in columns:
                if column not in (*NEEDED, *OPTIONAL):
                    raise UnknownName(f"column of {self.name}", column, (*NEEDED, *OPTIONAL))
            return [self._csv_row(fields, f"line {reader.line_num}") for fields in reader]
        except csv.Error as error:
            raise UsageProblem(f"{self.name}, line {reader.line_num}: {error}.") from None

    def _csv_row(self, fields: Mapping[Any, Any], place: str) -> _Row:
        if None in fields or None in fields.values():
            raise UsageProblem(f"{self.name}, {place}: it has another number of fields.")
        return self._row({key: value.strip() for key, value in fields.items()}, place)

    def json_rows(self, text: str) -> list[_Row]:
        """Read scores by game, or a list of records."""
        try:
            found = json.loads(text, object_pairs_hook=self._unique)
        except (ValueError, RecursionError) as error:
            raise UsageProblem(f"{self.name} is no JSON ({error}); {FORMS}.") from None
        if isinstance(found, dict) and found:
            return [row for task, scores in found.items() for row in self._runs(task, scores)]
        if isinstance(found, list) and found and all(isinstance(item, dict) for item in found):
            return [self._record(item, f"record {i}") for i, item in enumerate(found, 1)]
        raise UsageProblem(f"{self.name}: {FORMS}.")

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Refuse a game that is there twice: JSON would silently keep the last."""
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            raise UsageProblem(f"{self.name} has {twice!r} twice.")
        return found

    def _runs(self, task: str, scores: Any) -> list[_Row]:
        """Return the rows of `"Pong": [1.0, 2.0]` or `"Pong": 1.0`."""
        several = scores if isinstance(scores, list) else [scores]
        if not several or any(isinstance(score, dict | list) for score in several):
            raise UsageProblem(f"{self.name}, {task!r}: {FORMS}.")
        return [self._row({"task": task, "score": score}, repr(task)) for score in several]

    def _record(self, record: Mapping[str, Any], place: str) -> _Row:
        """Return the row of `{"game": "Pong", "seed": 1, "score": 2.5}` (or `"HNS"`)."""
        if {"xs", "ys"} <= set(record):
            raise UsageProblem(
                f"{self.name} holds learning curves (xs, ys), and does not say which of their "
                "points is the result: write the final scores as method,task,score,seed in a CSV."
            )
        fields = {key: value for key, value in record.items() if key not in LEFT_OUT}
        if "game" in fields and "task" not in fields:
            fields["task"] = fields.pop("game")
        if "HNS" in fields and "score" not in fields:
            fields = {"metric": self.given["metric"] or NORMALISED_METRIC, **fields}
            fields["score"] = fields.pop("HNS")
        if not set(NEEDED) <= set(fields) or set(fields) - {*NEEDED, *OPTIONAL}:
            raise UsageProblem(f"{self.name}, {place} has {', '.join(record)}; {FORMS}.")
        return self._row(fields, place)

    def _row(self, fields: Mapping[str, Any], place: str) -> _Row:
        """Check the fields of a score."""
        score = self._number(fields["score"], f"{place}, score")
        spread, n, seed = (fields.get(key) for key in ("spread", "n", "seed"))
        blank = (None, "")
        return _Row(
            method=self._word(fields, "method", self._stem, place, 200),
            task=self._word(fields, "task", "", place, 60),
            score=score,
            seed=None if seed in blank else self._whole(seed, f"{place}, seed", 0),
            protocol=self._word(fields, "protocol", "", place, 60),
            metric=self._word(fields, "metric", SCORE_METRIC, place, 120),
            n=None if n in blank else self._whole(n, f"{place}, n", 1),
            spread=None if spread in blank else self._number(spread, f"{place}, spread", 0.0),
        )

    @property
    def _stem(self) -> str:
        return self.name.removesuffix(".gz").rpartition(".")[0] or self.name

    def _word(
        self, fields: Mapping[str, Any], column: str, default: str, place: str, longest: int
    ) -> str:
        """Return the file's word, or else the user's; they may not contradict each other."""
        own, given = fields.get(column), self.given.get(column)
        own = "" if own is None else self.word(column, own, place, longest)
        if own and given and own != given:
            raise UsageProblem(
                f"--{column} {given}: {self.name}, {place} says {own!r} for its {column}."
            )
        word = own or given or default
        if column == "task" and not word:
            raise UsageProblem(f"{self.name}, {place}: it names no task.")
        return word

    def word(self, column: str, value: Any, place: str, longest: int) -> str:
        """Return a word that the registry and a table can hold; raises UsageProblem."""
        if isinstance(value, str) and len(value) <= longest and (value.isprintable() or not value):
            return value
        what = f"one line of at most {longest} characters was expected"
        raise UsageProblem(f"{self.name}, {place}, {column}: {what}, got {value!a:.80}.")

    def _number(self, value: Any, place: str, least: float = -math.inf) -> float:
        """Return a finite number; raises UsageProblem."""
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or number < least:
            least_text = "" if math.isinf(least) else f" of {least:g} or more"
            raise UsageProblem(
                f"{self.name}, {place}: a finite number{least_text} was expected, got {value!r}."
            )
        return number

    def _whole(self, value: Any, place: str, least: int) -> int:
        """Return a whole number, which JSON may hold as 1.0; raises UsageProblem."""
        number = self._number(value, place, least)
        if number != int(number) or number >= 2**31:
            raise UsageProblem(f"{self.name}, {place}: a whole number was expected, got {value!r}.")
        return int(number)


def _references(rows: Sequence[_Row], source: str, cite: str) -> list[Reference]:
    """Put the runs of a method on a task together, in the order of the file."""
    cells: dict[tuple[str, ...], list[_Row]] = {}
    for row in rows:
        cells.setdefault(row.cell, []).append(row)
    with_runs = {mine[0].method for mine in cells.values() if _are_runs(mine)}
    make = {True: _of_runs, False: _printed}
    return [make[mine[0].method in with_runs](mine, source, cite) for mine in cells.values()]


def _are_runs(rows: Sequence[_Row]) -> bool:
    """Tell if the scores of a cell are those of single runs, and not one printed value."""
    return len(rows) > 1 or rows[0].seed is not None


def _of_runs(rows: Sequence[_Row], source: str, cite: str) -> Reference:
    """Return what several runs of a method scored on a task; raises UsageProblem."""
    first, place = rows[0], f"{source}, {rows[0].method} on {rows[0].task}"
    if any(row.n is not None or row.spread is not None for row in rows):
        raise UsageProblem(f"{place}: n and spread belong to a printed mean, these are runs.")
    seeds = [row.seed for row in rows if row.seed is not None]
    if len(set(seeds)) not in (0, len(rows)):
        raise UsageProblem(f"{place}: every run needs a seed of its own, or none of them has one.")
    ordered = sorted(rows, key=lambda row: -1 if row.seed is None else row.seed)
    return _summary(
        Reference(
            name=first.method,
            task=first.task,
            protocol=first.protocol,
            metric=first.metric,
            value=math.nan,
            spread=None,
            n=None,
            where=source,
            cite=cite,
            status="imported",
            scores=tuple(row.score for row in ordered),
        )
    )


def _summary(reference: Reference) -> Reference:
    """Fill in the mean, the sample standard deviation and the number of the runs."""
    scores = reference.scores
    spread = statistics.stdev(scores) if len(scores) > 1 else None
    return replace(reference, value=statistics.fmean(scores), spread=spread, n=len(scores))


def _printed(rows: Sequence[_Row], source: str, cite: str) -> Reference:
    """Return a value that may be a mean over runs."""
    (row,) = rows
    return Reference(
        name=row.method,
        task=row.task,
        protocol=row.protocol,
        metric=row.metric,
        value=row.score,
        spread=row.spread,
        n=row.n,
        where=source,
        cite=cite,
        status="imported",
        note=UNKNOWN_RUNS if row.n is None else "",
    )


def fit(references: Sequence[Reference], catalog: Catalog) -> list[Reference]:
    """Return the references with the names that plugins give to tasks and protocols.

    A task that no plugin offers is kept as it is; one that is there has its own protocols.

    Raises:
        UnknownName: no plugin declares the metric, or the task has no such protocol.
        UsageProblem: two tasks of the file are the same.
    """
    tasks = {name: entry.spec for name, entry in catalog.entries["task"].items()}
    fitted = []
    for reference in references:
        if reference.metric not in catalog.metrics:
            raise UnknownName("metric", reference.metric, catalog.metrics)
        task = match(reference.task, tasks)
        protocols = tasks[task].protocols if task else tuple(catalog.protocols())
        names = [protocol.name for protocol in protocols]
        if reference.protocol and reference.protocol not in names:
            raise UnknownName(f"protocol of {reference.task}", reference.protocol, names)
        fitted.append(replace(reference, task=task or reference.task))
    cells = Counter((one.name, one.task, one.protocol, one.metric) for one in fitted)
    for (name, task, _, _), count in cells.items():
        if count > 1:
            raise UsageProblem(
                f"{fitted[0].where} has the task {task!r} of {name} in two spellings."
            )
    return fitted


def to_rows(references: Iterable[Reference], path: str | Path) -> list[dict[str, Any]]:
    """Return references as rows of the registry: one a run, or one a printed value."""
    sha256 = hashlib.sha256(Path(path).expanduser().read_bytes()).hexdigest()
    found = []
    for reference in references:
        shared = {
            "name": reference.name,
            "task": reference.task,
            "protocol": reference.protocol,
            "metric": reference.metric,
            "source": reference.where,
            "cite": reference.cite,
            "status": reference.status,
            "note": reference.note,
            "sha256": sha256,
        }
        runs = [
            {"run_index": index, "value": score, "spread": None, "n": 1}
            for index, score in enumerate(reference.scores)
        ]
        printed = {"value": reference.value, "spread": reference.spread, "n": reference.n}
        found += [shared | values for values in runs or [printed | {"run_index": None}]]
    return found


def references(engine: Engine) -> list[Reference]:
    """Return what the registry holds, as `read` and `fit` gave it, by name, task and protocol."""

    def cell(record: Any) -> tuple[str, ...]:
        return (record.name, record.task, record.protocol, record.metric)

    found = []
    for _, group in groupby(queries.baselines(engine), key=cell):
        records = list(group)
        first = records[0]
        known = Reference(
            name=first.name,
            task=first.task,
            protocol=first.protocol,
            metric=first.metric,
            value=first.value,
            spread=first.spread,
            n=first.n,
            where=first.source,
            cite=first.cite,
            status="imported",
            note=first.note,
        )
        if first.run_index is not None:
            known = _summary(replace(known, scores=tuple(record.value for record in records)))
        found.append(known)
    return found
