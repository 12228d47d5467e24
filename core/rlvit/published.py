"""Reads the numbers that papers print from a plugin's TOML file.

`[published]` has what its points share, `[published.metrics]` names the metric of each column, and
each `[[point]]` is a row of a printed table:

    [published]
    task = "Seaquest"
    protocol = "full-games"
    cite = "A. Author et al. 2021"
    status = "verified"         # or secondary, superseded
    also = ["family"]           # keys of points that are for others

    [published.metrics]
    return = "eval/return"

    [[point]]
    model = "Their agent"
    variant = "small"           # where a model has several points
    source = "Table 3"
    return = 557.9
    return_sd = 148.1           # over runs
    n = 5                       # runs

A point may give task, protocol, cite, status, n and note itself. One with several columns becomes
a result for each metric, all of one name, and their notes name the other columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlvit.errors import suggestion
from rlvit.specs import PublishedResult

SHARED = ("task", "protocol", "cite", "status", "n", "note")
OWN = ("model", "variant", "source")


def load_published(path: Path) -> tuple[PublishedResult, ...]:
    """Return what a plugin's file says of others' results, in the order of the file.

    Raises:
        ValueError: the file is not as described above; the message names it and the point.
        OSError: it cannot be read.
    """
    import tomllib

    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not TOML, or not UTF-8
        raise ValueError(f"{path.name}: {error}") from None
    try:
        shared, metrics, also = _header(text.get("published"))
        points = text.get("point", [])
        if not isinstance(points, list) or not all(isinstance(one, dict) for one in points):
            raise ValueError("point: expected [[point]] tables")
        results = [
            result
            for number, point in enumerate(points, 1)
            for result in _results(number, point, shared, metrics, also)
        ]
        _refuse_twins(results)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    return tuple(results)


def _header(header: Any) -> tuple[dict[str, Any], dict[str, str], frozenset[str]]:
    """Return what points share, the metric of each column, and the keys that are for others."""
    if not isinstance(header, dict):
        raise ValueError("there is no table [published]")
    _refuse_unknown("[published]", header, (*SHARED, "metrics", "also"))
    metrics = header.get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        raise ValueError('[published.metrics]: expected lines such as top1 = "eval/top1"')
    if not all(isinstance(name, str) for name in metrics.values()):
        raise ValueError("[published.metrics]: expected names of metrics, as text")
    also = header.get("also", [])
    if not isinstance(also, list) or not all(isinstance(name, str) for name in also):
        raise ValueError("[published] also: expected a list of keys, as text")
    return {k: v for k, v in header.items() if k in SHARED}, metrics, frozenset(also)


def _results(
    number: int,
    point: Mapping[str, Any],
    shared: Mapping[str, Any],
    metrics: Mapping[str, str],
    also: frozenset[str],
) -> Iterator[PublishedResult]:
    """Yield the results of a point, one for each of its columns."""
    label = f"point {number} ({point.get('model', 'without a model')})"
    spreads = [f"{column}_sd" for column in metrics]
    _refuse_unknown(label, point, (*OWN, *SHARED, *metrics, *spreads, *sorted(also)))
    whole = {"protocol": "", "note": "", **shared, **point}
    for name in ("model", "source", "task", "cite", "status"):
        if name not in whole:
            raise ValueError(f"{label}: {name} is missing")
    columns = [column for column in metrics if column in point]
    if not columns:
        raise ValueError(f"{label}: it has none of the columns {', '.join(metrics)}")
    for column in columns:
        try:
            yield _result(whole, metrics, column, [c for c in columns if c != column])
        except ValueError as error:
            raise ValueError(f"{label}: {column}: {error}") from None


def _result(
    whole: Mapping[str, Any], metrics: Mapping[str, str], column: str, others: list[str]
) -> PublishedResult:
    beside = [f"{metrics[other]} {whole[other]}" for other in others]
    notes = [f"with {', '.join(beside)}"] if beside else []
    notes += [str(whole["note"])] if whole["note"] else []
    variant = whole.get("variant")
    return PublishedResult(
        name=whole["model"] if variant is None else f"{whole['model']}, {variant}",
        task=whole["task"],
        protocol=whole["protocol"],
        metric=metrics[column],
        value=whole[column],
        spread=whole.get(f"{column}_sd"),
        n=whole.get("n"),
        where=whole["source"],
        cite=whole["cite"],
        status=whole["status"],
        note="; ".join(notes),
    )


def _refuse_unknown(where: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raise ValueError for a key that nothing reads: it may be misspelt."""
    for key in given:
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}.{suggestion(key, sorted(known))}")


def _refuse_twins(results: list[PublishedResult]) -> None:
    """Raise ValueError where two results could not be told apart."""
    seen = set()
    for one in results:
        key = (one.name, one.task, one.protocol, one.metric)
        if key in seen:
            raise ValueError(
                f"{one.name!r} has two values of {one.metric} on {one.task}: give each a variant"
            )
        seen.add(key)
