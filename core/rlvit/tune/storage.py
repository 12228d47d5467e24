"""Optuna's own database: beside the registry, never in its file; made under a lock before use."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from filelock import FileLock
from optuna.storages import RDBStorage
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home, sqlite_path, sqlite_url
from rlvit.registry.database import patience

OWN = "runs/optuna.db"  # of the home; written so into the registry, for a home may be moved
SCHEMA = "rlvit_optuna"  # in PostgreSQL, where the registry and MLflow may be neighbours
BUSY_SECONDS = 60  # how long a writer waits for another before it gives up


def choose(home: Home, given: str | None) -> str:
    """Return the URL of Optuna's database: the one given, or the registry's PostgreSQL, or a file.

    Raises:
        UsageProblem: it is no database for this, or the registry's own file.
    """
    if given is None:
        if make_url(home.registry_url).get_backend_name() == "postgresql":
            return _with_schema(make_url(home.registry_url))
        return sqlite_url(home.root / OWN)
    try:
        url = make_url(given)
    except ArgumentError:
        raise UsageProblem(
            f"--storage: {given.partition('://')[0]!r} is no database URL."
        ) from None
    backend = url.get_backend_name()
    if backend == "postgresql":
        return _with_schema(url)
    if backend != "sqlite" or sqlite_path(given) is None:
        raise UsageProblem(
            f"--storage: expected postgresql+psycopg://… or sqlite:///FILE, not {backend}."
        )
    if sqlite_path(given) == sqlite_path(home.registry_url):
        raise UsageProblem("--storage: this file is the registry; Optuna needs one of its own.")
    return given


def _with_schema(url: URL) -> str:
    """Return a PostgreSQL URL that means a schema of its own."""
    if "options" not in url.query:
        url = url.update_query_dict({"options": f"-csearch_path={SCHEMA}"})
    return url.render_as_string(hide_password=False)


def written(home: Home, url: str) -> str:
    """Return a URL for the registry: without a password, and short if it is the home's own file."""
    if sqlite_path(url) == home.root / OWN:
        return OWN
    whole = make_url(url).difference_update_query(["connect_timeout"])  # it names no database
    bare = URL.create(  # `set` cannot take a password away
        whole.drivername, whole.username, None, whole.host, whole.port, whole.database, whole.query
    )
    return bare.render_as_string(hide_password=False)


def shown(home: Home, url: str) -> str:
    """Return a URL for people: as `written`, without the schema that is always ours."""
    text = written(home, url)
    if sqlite_path(url) is None and SCHEMA in str(make_url(url).query.get("options", "")):
        return make_url(text).difference_update_query(["options"]).render_as_string()
    return text


def check(home: Home, given: str | None) -> None:
    """Look whether a database that was named can be used, before anything is written.

    Raises:
        UsageProblem: it cannot.
    """
    url = choose(home, given)
    if given is None:
        return  # made when it is needed, where the home or the registry is
    file = sqlite_path(url)
    try:
        if file is None:
            engine = create_engine(url, connect_args=patience(url))
            try:
                engine.connect().close()
            finally:
                engine.dispose()
            return
        if not file.parent.is_dir():
            raise UsageProblem(f"--storage {given}: there is no folder {file.parent}.")
        if file.exists() and file.stat().st_size and not _is_sqlite(file):
            raise UsageProblem(f"--storage {given}: {file} is no SQLite database.")
    except (SQLAlchemyError, ImportError, OSError) as problem:
        reason = str(getattr(problem, "orig", None) or problem).strip().partition("\n")[0]
        raise UsageProblem(f"--storage {shown(home, url)} cannot be used: {reason}") from None


def _is_sqlite(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(15) == b"SQLite format 3"


def found_again(home: Home, stored: str, given: str | None) -> str:
    """Return the URL of a study's storage, as `written` kept it; `given` may add a password.

    Raises:
        UsageProblem: `given` is another database.
    """
    if given is not None:
        url = choose(home, given)
        if written(home, url) != stored:
            kept = stored if stored == OWN else shown(home, stored)
            raise UsageProblem(f"--storage: this study is kept in {kept}.")
        return url
    usual = choose(home, None)
    if written(home, usual) == stored:
        return usual
    return sqlite_url(home.root / OWN) if stored == OWN else stored


def open_storage(home: Home, url: str) -> RDBStorage:
    """Open Optuna's database, made before if it is not there.

    Raises:
        RlvitError: it cannot be used.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = sqlite_path(url)
    try:
        if file is None:
            return _open_postgresql(url)
        home.locks.mkdir(parents=True, exist_ok=True)
        with FileLock(home.locks / "optuna.lock"):  # two makers would spoil it
            if not file.exists() or not file.stat().st_size:
                _make(file)
            return _open(sqlite_url(file))
    except (SQLAlchemyError, RuntimeError, ImportError, OSError, sqlite3.Error) as problem:
        reason = str(getattr(problem, "orig", None) or problem).partition("\n")[0]
        raise RlvitError(f"Optuna's database {shown(home, url)} cannot be used: {reason}") from None


def _open(url: str) -> RDBStorage:
    own = sqlite_path(url) is not None
    arguments = {"timeout": BUSY_SECONDS} if own else patience(url)
    return RDBStorage(url, engine_kwargs={"connect_args": arguments, "pool_pre_ping": not own})


def _make(file: Path) -> None:
    """Make a database that is there as a whole or not at all; the caller holds the lock."""
    file.parent.mkdir(parents=True, exist_ok=True)
    making = file.with_name(f".{file.name}.making")
    making.unlink(missing_ok=True)  # of a process that was killed
    try:
        made = _open(sqlite_url(making))
        made.remove_session()
        made.engine.dispose()
        with contextlib.closing(sqlite3.connect(making)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")  # all of it in the one file
        os.replace(making, file)
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # readers go on while one writes
    finally:
        making.unlink(missing_ok=True)


def _open_postgresql(url: str) -> RDBStorage:
    """Open a database of PostgreSQL; its schema and tables are made by one process at a time."""
    engine: Engine = create_engine(url, connect_args=patience(url))
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(hashtext('rlvit optuna'))"))
            try:
                if f"search_path={SCHEMA}" in str(make_url(url).query.get("options", "")):
                    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
                    connection.commit()  # the session keeps the lock
                return _open(url)
            finally:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(hashtext('rlvit optuna'))"))
                connection.commit()
    finally:
        engine.dispose()
