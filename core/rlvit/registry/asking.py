"""Answers a user's SELECT, and nothing but a SELECT: what could change a registry is refused."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Engine, inspect
from sqlalchemy.exc import DBAPIError

from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.registry.database import DAMAGE, damaged, open_to_read
from rlvit.registry.schema import Base

BEGINNINGS = ("SELECT", "WITH", "VALUES")
JSON_COLUMNS = frozenset(
    column.name
    for table in Base.metadata.tables.values()
    for column in table.columns
    if isinstance(column.type, JSON)
) | {"scores"}  # as the views call a trial's values
READING = frozenset(
    (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
)
FIRST_USE = "SELECT 1 FROM json_each('[]'), json_tree('[]')"  # sets them up, which is no reading
STEPS = 10_000  # of SQLite's machine between two looks at the clock and at Ctrl-C: well under 1 ms
UNKNOWN = (
    ("table or view", r'no such table: ([^\s"]+)|relation "([^"]+)" does not exist'),
    ("column", r'no such column: ([^\s"]+)|column "?([\w.]+)"? does not exist'),
)
SPACE = re.compile(r"(\s|--[^\n]*(\n|$)|/\*.*?(\*/|$))*", re.DOTALL)
FETCHED = 1_000  # rows at a time


@dataclass(frozen=True)
class Answer:
    """The rows of a statement, read from the database while they are used."""

    columns: Sequence[str]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def ask(url: str, statement: str, seconds: float) -> Iterator[Answer]:
    """Answer one SELECT from a registry of the current schema.

    Args:
        url: of the registry.
        statement: SQL, in the words of the registry's database.
        seconds: after which it is given up.

    Raises:
        UsageProblem: it is no SELECT, not one statement, or wrong.
        RlvitError: it takes too long, or the registry cannot be read.
        KeyboardInterrupt: the user stopped it.
    """
    _refuse_other_than_select(statement)
    engine = open_to_read(url)
    answer = _ask_sqlite if engine.dialect.name == "sqlite" else _ask_postgresql
    try:
        with answer(engine, statement, seconds) as found:
            yield found
    except (sqlite3.Error, sqlite3.Warning, DBAPIError) as problem:
        raise _explained(engine, statement, problem) from None
    finally:
        engine.dispose()


def tables_and_views(engine: Engine) -> dict[str, list[str]]:
    """Return the columns of what a statement can ask for."""
    found = inspect(engine)
    names = [*found.get_view_names(), *found.get_table_names()]
    return {name: [column["name"] for column in found.get_columns(name)] for name in names}


def _refuse_other_than_select(statement: str) -> None:
    space = SPACE.match(statement)
    text = statement[space.end() :] if space else statement
    if not text:
        raise UsageProblem("there is no statement; expected a SELECT.")
    word = re.match(r"\w*", text)
    first = word[0] if word and word[0] else text[:20]
    if first.upper() not in BEGINNINGS:
        raise UsageProblem(f"{first!r}: only SELECT, WITH … SELECT and VALUES are answered.")


class _Watch:
    """Ends a statement of SQLite at Ctrl-C or when its time is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.end = seconds, time.monotonic() + seconds
        self.stopped = False

    def __call__(self) -> int:
        """Return 1 to end the statement."""
        try:
            return int(time.monotonic() > self.end)
        except KeyboardInterrupt:
            self.stopped = True
            return 1

    def problem(self) -> BaseException:
        """Return why a statement was ended: the clock, else the user."""
        if self.stopped or time.monotonic() <= self.end:
            return KeyboardInterrupt()
        return _too_long(self.seconds)


@contextmanager
def _ask_sqlite(engine: Engine, statement: str, seconds: float) -> Iterator[Answer]:
    refused: list[int] = []

    def authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
        if action in READING and "load_extension" not in (first, second):
            return sqlite3.SQLITE_OK
        refused.append(action)
        return sqlite3.SQLITE_DENY

    watch = _Watch(seconds)
    connection = engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        driver.execute(FIRST_USE)
        driver.set_authorizer(authorize)
        driver.set_progress_handler(watch, STEPS)
        cursor = driver.execute(statement)
        yield Answer([one[0] for one in cursor.description], iter(cursor))
    except sqlite3.DatabaseError as problem:
        if str(problem) == "interrupted":
            raise watch.problem() from None
        if refused:
            more = "the statement would do more than read: only a SELECT is answered."
            raise UsageProblem(more) from None
        raise
    finally:
        connection.close()


@contextmanager
def _ask_postgresql(engine: Engine, statement: str, seconds: float) -> Iterator[Answer]:
    """Read through a cursor of the server, which takes a single SELECT and no more."""
    if engine.dialect.driver != "psycopg":  # others send several statements, were they there
        raise UsageProblem("this needs a registry URL that begins with postgresql+psycopg://.")
    options = {"stream_results": True, "max_row_buffer": FETCHED, "no_parameters": True}
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")
        found = connection.execution_options(**options).exec_driver_sql(statement)
        yield Answer(list(found.keys()), (tuple(row) for row in found))


def _explained(engine: Engine, statement: str, problem: Exception) -> RlvitError:
    """Return what is wrong with a statement in one line, with the nearest name."""
    cause: Any = getattr(problem, "orig", None) or problem
    if type(cause).__name__ == "QueryCanceled":
        return _too_long(None)
    text = str(cause).partition("\n")[0].rstrip(".")
    if any(word in text for word in DAMAGE):
        return RlvitError(damaged("the registry", text))
    for what, pattern in UNKNOWN:
        if found := re.search(pattern, text):
            wanted = next(name for name in found.groups() if name)
            return UnknownName(what, wanted, _candidates(engine, what, wanted, statement))
    if "one statement" in text or "multiple commands" in text:
        return UsageProblem("one statement at a time: there is something after the first.")
    return UsageProblem(f"the statement cannot be answered: {text}.")


def _candidates(engine: Engine, what: str, wanted: str, statement: str) -> list[str]:
    """Return the names that could have been meant."""
    known: Mapping[str, Sequence[str]] = tables_and_views(engine)
    if what != "column":
        return list(known)
    used = [name for name in known if re.search(rf"\b{name}\b", statement, re.IGNORECASE)]
    prefix = f"{wanted.rpartition('.')[0]}." if "." in wanted else ""
    return list(dict.fromkeys(f"{prefix}{c}" for name in used or known for c in known[name]))


def _too_long(seconds: float | None) -> RlvitError:
    after = "" if seconds is None else f" {seconds:g} s"
    return RlvitError(f"the statement was given up after{after or ' its time'}; see --timeout.")
