"""Prints rows for people (a table) or for programs (JSON, CSV)."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

FORMATS = ("table", "json", "csv")
WHOLE = ("run",)  # columns that are copied from a table: never broken over two lines


def format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--format table|json|csv`."""
    return click.option(
        "--format",
        "style",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print.",
    )(command)


def show(
    rows: Sequence[dict[str, Any]],
    style: str,
    title: str | None = None,
    *,
    columns: Sequence[str] = (),
    text: Callable[[Any], str] | None = None,
) -> None:
    """Print rows that all have the same keys.

    Args:
        rows: to be printed.
        style: one of FORMATS.
        title: of a table.
        columns: the keys, where there may be no row.
        text: how a table shows a value; by default as `cell` does.
    """
    if style == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False, default=str))
    elif style == "csv":
        lines = io.StringIO()
        names = list(rows[0]) if rows else list(columns)
        writer = csv.DictWriter(lines, fieldnames=names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        click.echo(lines.getvalue(), nl=False)
    else:
        _table(rows, title, text or cell)


def _table(rows: Sequence[dict[str, Any]], title: str | None, text: Callable[[Any], str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        click.echo("Nothing to show.")
        return
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for key, value in rows[0].items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        table.add_column(
            key,
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=key in WHOLE,  # the others are narrowed first
            min_width=_widest(rows, key) if key in WHOLE else None,
        )
    for row in rows:
        table.add_row(*(Text(text(value)) for value in row.values()))
    width = None if sys.stdout.isatty() else 160
    try:
        Console(file=sys.stdout, width=width, highlight=False).print(table)
    except SystemExit:  # rich's way of leaving where nobody reads on
        raise BrokenPipeError from None


def _widest(rows: Sequence[dict[str, Any]], key: str) -> int:
    return max(len(str(row[key])) for row in rows)


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def exact(value: Any) -> str:
    """Return a value as the table of a query shows it: numbers to 10 digits, without commas."""
    return f"{value:.10g}" if isinstance(value, float) else cell(value)


def moment(seconds: float | None) -> str | None:
    """Return a time as UTC text."""
    if seconds is None:
        return None
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def size(number: float) -> str:
    """Return bytes for people, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
