"""What is looked at, and how a database is asked without changing or upgrading it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvit.home import Home, sqlite_path

Ask = Callable[[str], list[tuple[Any, ...]]]
PATIENCE = 3  # seconds that a database may take to answer


@dataclass(frozen=True)
class Patient:
    """A home, and where datasets are."""

    home: Home
    data_root: Path


@contextmanager
def asking(url: str) -> Iterator[Ask]:
    """Open a registry's database for reading alone; yield a function that takes SQL.

    Raises:
        sqlite3.Error, sqlalchemy.exc.SQLAlchemyError, ImportError: it cannot be read.
    """
    path = sqlite_path(url)
    if path is not None:
        with reading(path) as connection:
            yield lambda sql: connection.execute(sql).fetchall()
        return
    from sqlalchemy import create_engine, text

    engine = create_engine(url, connect_args={"connect_timeout": PATIENCE})
    try:
        with engine.connect() as asked:
            yield lambda sql: [tuple(row) for row in asked.execute(text(sql))]
    finally:
        engine.dispose()


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file for reading alone, also where its folder cannot be written.

    Raises:
        sqlite3.Error: it cannot be read, or is no database.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as problem:
            # the log's index cannot be made in a read-only folder: read the file by itself
            if "readonly" not in str(problem) and "unable to open" not in str(problem):
                raise
        else:
            yield connection
            return
    with closing(sqlite3.connect(f"{uri}&immutable=1", uri=True)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield connection


def unpacked(value: Any) -> Mapping[str, Any]:
    """Return a JSON column: text in SQLite, a mapping in PostgreSQL."""
    known: Mapping[str, Any] = json.loads(value) if isinstance(value, str) else value or {}
    return known


def without_password(url: str) -> str:
    """Return a URL that can be shown."""
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", url)


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number of things; `several` where their plural is not `one` with an s."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def some(names: list[str]) -> str:
    """Return the first few names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
