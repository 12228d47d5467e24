"""Prints the rows of a statement while they are read; only a table's are held, to be aligned."""

from __future__ import annotations

import csv
import itertools
import json
import math
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import click

from rlvit.cli.tables import exact, show

IN_A_TABLE = 200  # rows that are shown where no other number is asked for


def print_answer(
    columns: Sequence[str],
    rows: Iterator[tuple[Any, ...]],
    style: str,
    limit: int | None,
    json_columns: Collection[str],
) -> None:
    """Print rows as `style` says, and on standard error how many more there are."""
    if limit is None and style == "table":
        limit = IN_A_TABLE
    names = _apart(columns)
    nested = [name in json_columns for name in columns]
    shown = itertools.islice(rows, limit)
    if style == "table":
        cells = [dict(zip(names, map(_in_cell, row), strict=True)) for row in shown]
        show(cells, "table", text=exact)
    elif style == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_as_text(value) for value in row] for row in shown)
    else:
        _print_json(dict(zip(names, map(_in_json, row, nested), strict=True)) for row in shown)
    sys.stdout.flush()
    if left := sum(1 for _ in rows):
        click.echo(f"{left:,} more rows: --limit {left + (limit or 0)}", err=True)


def _apart(columns: Sequence[str]) -> list[str]:
    """Return names that differ: the second `run` is `run_2`."""
    seen: Counter[str] = Counter()
    names = []
    for column in columns:
        seen[column] += 1
        names.append(column if seen[column] == 1 else f"{column}_{seen[column]}")
    return names


def _print_json(rows: Iterable[dict[str, Any]]) -> None:
    """Print an array with one row a line."""
    before = "[\n"
    for row in rows:
        text = json.dumps(row, ensure_ascii=False, default=_as_text, allow_nan=False)
        sys.stdout.write(f"{before}  {text}")
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def _in_json(value: Any, nested: bool) -> Any:
    """Return a value for JSON, which has no NaN; SQLite keeps nested values as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if nested and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _in_cell(value: Any) -> Any:
    """Return a value for a table, which shows numbers its own way."""
    return value if value is None or isinstance(value, int | float) else _as_text(value)


def _as_text(value: Any) -> Any:
    """Return a value as text: NULL is empty, what is nested is JSON, bytes are hexadecimal."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value.hex() if isinstance(value, bytes) else "" if value is None else str(value)
