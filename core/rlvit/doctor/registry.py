"""The registry's database: can it be read, is it whole, does this rlvit know its schema."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from rlvit.contracts import Diagnosis
from rlvit.doctor.patient import Ask, Patient, asking, counted, reading, without_password
from rlvit.home import Home, sqlite_path

LARGE_WAL = 64 * 2**20  # bytes
CHECK_SECONDS = 1.5  # that SQLite's own check may take
STEPS = 100_000  # of SQLite's machine between looks at the clock


def look(patient: Patient) -> Iterator[Diagnosis]:
    """Look at the database."""
    home = patient.home
    path = sqlite_path(home.registry_url)
    if path is not None and (not path.exists() or not path.stat().st_size):
        yield _missing(home, path)
        return
    try:
        with asking(home.registry_url) as ask:
            yield _schema(home, ask)
    except (sqlite3.Error, OSError) as problem:
        yield _broken(home, f"cannot be read: {problem}")
        return
    except ImportError as problem:
        yield _broken(home, f"needs a driver: {problem}", "pip install 'rlvit[postgresql]'")
        return
    except Exception as problem:
        if not type(problem).__module__.startswith("sqlalchemy"):
            raise
        yield _no_answer(home, str(getattr(problem, "orig", None) or problem))
        return
    if path is not None:
        yield from _file(home, path)


def shown(home: Home) -> str:
    """Return the registry's place for a message."""
    path = sqlite_path(home.registry_url)
    return without_password(home.registry_url) if path is None else str(path)


def is_current(home: Home) -> bool:
    """Return whether the registry is there with the schema of this rlvit."""
    from rlvit.registry.schema import REVISION

    try:
        with asking(home.registry_url) as ask:
            return _revision(ask) == REVISION
    except Exception:
        return False


def _missing(home: Home, path: Path) -> Diagnosis:
    if next(home.runs.glob("*/run.json"), None) is None:
        return Diagnosis("registry", "note", f"{path} is not there yet; the first run makes it")
    text = f"{path} is not there, but run folders are"
    return Diagnosis("registry", "problem", text, "rlvit registry rebuild")


def _broken(home: Home, reason: str, advice: str = "") -> Diagnosis:
    usual = "move the file away and make it again from the run folders: rlvit registry rebuild"
    return Diagnosis("registry", "problem", f"{shown(home)} {reason}", advice or usual)


def _no_answer(home: Home, problem: str) -> Diagnosis:
    """Say why a server does not let the registry be read; it may give a reason for each address."""
    reason = problem.strip().partition("\n")[0]
    if re.search(r'password|authentication failed|role ".*" does not exist', problem):
        advice = "name the right user and password in the URL, or in ~/.pgpass"
        return _broken(home, f"does not let you in: {reason}", advice)
    if re.search(r'database ".*" does not exist', problem):
        return _broken(home, f"is not there: {reason}", "make it with createdb, or see --registry")
    return _broken(home, f"does not answer: {reason}", "start its server, or see --registry")


def _tables(ask: Ask) -> set[str]:
    """Return the tables of a database on a server."""
    theirs = "('pg_catalog', 'information_schema')"
    query = f"SELECT table_name FROM information_schema.tables WHERE table_schema NOT IN {theirs}"
    return {str(row[0]) for row in ask(query)}


def _revision(ask: Ask) -> str | None:
    """Return the schema's revision, or None where the database has none of ours."""
    from rlvit.registry.schema import VERSION_TABLE

    try:
        rows = ask(f"SELECT version_num FROM {VERSION_TABLE}")
    except sqlite3.OperationalError as problem:
        if "no such table" not in str(problem):
            raise
        return None
    return str(rows[0][0]) if rows else None


def _schema(home: Home, ask: Ask) -> Diagnosis:
    """Compare the schema with the one that this rlvit writes."""
    from rlvit.registry import migrations
    from rlvit.registry.schema import REVISION, VERSION_TABLE

    if sqlite_path(home.registry_url) is None and VERSION_TABLE not in (tables := _tables(ask)):
        empty = "has no registry yet beside its other tables" if tables else "is empty"
        text = f"{shown(home)} {empty}; the first run makes the registry's tables"
        return Diagnosis("registry", "note", text)
    found = _revision(ask)
    if found is None:
        return _broken(home, "is another program's database", "see --registry")
    if found == REVISION:
        (runs,) = ask("SELECT count(*) FROM run")[0]
        return Diagnosis("registry", "ok", f"{shown(home)}, schema {found}, {counted(runs, 'run')}")
    folders = [Path(folder) / "versions" for folder in migrations.__path__]
    known = {file.name.partition("_")[0] for folder in folders for file in folder.glob("*.py")}
    if found not in known:
        text = f"has schema {found}, which this rlvit does not know (it has {REVISION})"
        return _broken(home, text, "pip install --upgrade rlvit")
    text = f"{shown(home)} has schema {found}; the next command makes it {REVISION}, with a copy"
    return Diagnosis("registry", "note", text, "rlvit registry upgrade")


def _file(home: Home, path: Path) -> Iterator[Diagnosis]:
    """Look at what only an SQLite file has."""
    with reading(path) as connection:
        end = time.monotonic() + CHECK_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        try:
            told = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if told != "ok":
                yield _broken(home, f"is damaged: {told}")
        except sqlite3.OperationalError as problem:
            if "interrupted" not in str(problem):
                raise
            text = "too large to be checked here as a whole"
            yield Diagnosis("registry", "note", text, "rlvit registry check")
        except sqlite3.DatabaseError as problem:
            yield _broken(home, f"is damaged: {problem}")
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LARGE_WAL:
        text = f"its write-ahead log {log.name} has grown to {size / 2**20:,.0f} MiB"
        yield Diagnosis("registry", "note", text, "rlvit doctor --fix", partial(_fold, path))


def _fold(path: Path) -> str:
    """Move what is in the write-ahead log into the file."""
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        return "others use the registry: its write-ahead log is left as it is for now"
    return "moved the write-ahead log into the registry"
