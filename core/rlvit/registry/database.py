"""Opens the registry's database: made once under a lock, migrated, safe for several writers."""

from __future__ import annotations

import itertools
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import sqlite_path
from rlvit.registry.schema import REVISION, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy import Connection

BUSY_SECONDS = 60  # how long a writer waits for another before it gives up


def open_database(url: str) -> Engine:
    """Return an engine on a registry of the current schema, making or upgrading it as needed.

    Before an upgrade an SQLite registry is copied to `<file>.<old schema>.bak` beside it.
    Several processes may call this at once on a database that does not exist yet.

    Raises:
        UsageProblem: the URL is not one, or its driver is missing.
        RlvitError: the database cannot be opened, is none of ours, or is newer than this code.
    """
    try:
        engine = _engine(url)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        raise UsageProblem(f"--registry {_without_password(url)}: {error}") from None
    try:
        if _revision(engine) != REVISION:
            with _creation_lock(engine):
                _migrate(engine)
    except OSError as error:
        raise RlvitError(f"the registry {engine.url} cannot be made: {error}") from None
    except DatabaseError as error:
        raise RlvitError(
            f"the registry {engine.url} cannot be used: {error.orig}. Nothing was changed."
        ) from None
    return engine


def _without_password(url: str) -> str:
    """Return a URL for a message; one that cannot be read is shown up to its scheme."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return url.partition("://")[0]


def writing(engine: Engine) -> Engine:
    """Return the same engine with transactions that take the write lock from the start."""
    return engine.execution_options(rlvit_write=True)


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ArgumentError(f"a registry is SQLite or PostgreSQL, not {parsed.get_backend_name()}")
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.database in (None, "", ":memory:"):
        raise ArgumentError("a registry is a file, memory forgets")
    path = sqlite_path(url)
    if path is not None:  # SQLAlchemy 2.0 leaves %20 as it is, 2.1 reads a space
        parsed = parsed.set(database=str(path))
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _: object) -> None:
    """WAL lets readers go on while one writes; foreign keys hold the metric names."""
    connection.isolation_level = None  # we emit BEGIN ourselves
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """A read that later turns into a write would fail when another wrote in between."""
    write = connection.get_execution_options().get("rlvit_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _revision(engine: Engine) -> str | None:
    """Return the schema revision of the database, None for an empty one."""
    path = engine.url.database
    if engine.url.get_backend_name() == "sqlite" and path and not Path(path).exists():
        return None
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(VERSION_TABLE):
                return None
            found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
            return None if found is None else str(found)
    except OperationalError as error:
        if "locked" in str(error.orig):  # being made by another process: look again under the lock
            return None
        raise


def _creation_lock(engine: Engine) -> FileLock:
    path = engine.url.database
    if engine.url.get_backend_name() == "sqlite" and path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{path}.lock", timeout=BUSY_SECONDS)
    return FileLock(str(Path.home() / ".rlvit-registry.lock"), timeout=BUSY_SECONDS)


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config, scripts = Config(), str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", scripts.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found, sqlite = _revision(engine), engine.url.get_backend_name() == "sqlite"
    if found == REVISION:
        return  # another process was first
    if found is not None and found not in known:
        raise RlvitError(
            f"the registry {engine.url} has schema {found}, which this version of rlvit does not "
            f"know (it has {REVISION}). Upgrade rlvit."
        )
    if found is None and sqlite and inspect(engine).get_table_names():
        raise RlvitError(f"the database {engine.url} holds another program's tables.")
    with writing(engine).begin() as connection:  # holds the write lock: the copy is what changes
        if found is not None and sqlite:
            _back_up(Path(str(engine.url.database)), found)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _back_up(path: Path, revision: str) -> None:
    """Copy a registry as it is, with what only its write-ahead log holds.

    Raises:
        RlvitError: it cannot be copied, as on a full disk.
    """
    names = itertools.chain([""], (f".{number}" for number in itertools.count(2)))
    candidates = (path.with_name(f"{path.name}.{revision}.bak{name}") for name in names)
    copy = next(candidate for candidate in candidates if not candidate.exists())
    part = copy.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)  # of an upgrade that was stopped
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file, that is whole by itself
        os.replace(part, copy)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise RlvitError(
            f"the registry {path} could not be copied to {copy.name} before its upgrade: {error}. "
            "Nothing was changed."
        ) from None
