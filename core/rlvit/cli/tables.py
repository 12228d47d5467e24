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
) -> None:
    """Print rows that all have the same keys; `columns` are the keys where there may be no row."""
    if style == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False, default=str))
    elif style == "csv":
        text = io.StringIO()
        names = list(rows[0]) if rows else list(columns)
        writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        click.echo(text.getvalue(), nl=False)
    else:
        _table(rows, title)


def _table(rows: Sequence[dict[str, Any]], title: str | None) -> None:
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
        table.add_column(key, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row.values()))
    width = None if sys.stdout.isatty() else 160
    Console(file=sys.stdout, width=width, highlight=False).print(table)


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


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
