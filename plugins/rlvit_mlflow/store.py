"""Where MLflow's store is, how it is made and opened, and what its errors say."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

# MLflow would tell its makers of its use; a run's tracker asks no other machine for anything.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # at each run's end
# A server that does not answer is asked again by whoever writes, not for minutes by each call.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")


def tracking_uri(home: Path) -> str:
    """Return where MLflow's store is: MLFLOW_TRACKING_URI, else a file in the home's runs/."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{own_file(home)}"


def store_exists(home: Path) -> bool:
    """Return whether there is a store to look at."""
    file = own_file(home)
    return file is None or identity(file) is not None


def own_file(home: Path) -> Path | None:
    """Return the file that is the store, or None where MLFLOW_TRACKING_URI names another store."""
    return None if os.environ.get("MLFLOW_TRACKING_URI") else home / "runs" / "mlflow.db"


def identity(file: Path) -> tuple[int, int] | None:
    """Return what tells a store's file from one that replaced it; None if there is no store.

    SQLite leaves an empty file where it only looked for a store.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size else None


def artifact_root(home: Path) -> Path:
    """Return the folder of MLflow's copies of artifacts."""
    return home / "runs" / "mlartifacts"


def serves_artifacts() -> bool:
    """Return whether the store is a server's, which says itself where files go."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://"))


def make_store(file: Path, artifacts: Path) -> None:
    """Make a store that is there as a whole or not at all; the caller holds the lock.

    MLflow migrates a new store for seconds, and could never go on with one that was left halfway.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    making = file.with_name(f".{file.name}.making")
    uri = f"sqlite:///{making}"
    _remove(making)  # of a process that was killed
    try:
        maker: Any = SqlAlchemyStore
        maker(uri, artifacts.as_uri())
        _close_connections(uri, forget=True)
        with contextlib.closing(sqlite3.connect(making)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # all of it in the one file
        _remove(file)  # a journal without its store would spoil the new one
        os.replace(making, file)
    finally:
        _close_connections(uri, forget=True)
        _remove(making)


def move_along(file: Path, artifacts: Path) -> None:
    """Let a store that was moved or copied with its home mean the files of this home.

    MLflow keeps whole paths: a copy would go on to write into the home that it was copied from.
    """
    tail = f"/{artifacts.parent.name}/{artifacts.name}"
    with contextlib.closing(sqlite3.connect(file)) as store, store:
        tables = store.execute("SELECT name FROM sqlite_master WHERE name = 'experiments'")
        if tables.fetchone() is None:  # what is wrong with it, MLflow says better
            return
        found = store.execute("SELECT artifact_location FROM experiments").fetchall()
        known = {place.partition(tail)[0] + tail for (place,) in found if tail in (place or "")}
        for old in sorted(known - {artifacts.as_uri()}):
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                store.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (artifacts.as_uri(), len(old) + 1, old, len(old) + 1, f"{old}/"),
                )


def _remove(file: Path) -> None:
    """Remove an SQLite file and what belongs to it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _close_connections(uri: str, *, forget: bool = False) -> None:
    """Close the idle connections that MLflow keeps for the life of a process."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    engines = getattr(SqlAlchemyStore, "_engine_map", {})
    engine = engines.pop(uri, None) if forget else engines.get(uri)
    if engine is not None:
        engine.dispose()


def lock(home: Path, name: str) -> FileLock:
    """Return a lock of this home."""
    locks = home / "runs" / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{name}.lock")


@contextlib.contextmanager
def opened(home: Path) -> Iterator[Any]:
    """Yield a client of the store, made if need be; meanwhile no other process makes any part.

    Two makers of a store would spoil it, and two of an experiment would get in each other's way.
    """
    from mlflow import MlflowClient

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # They print the traceback or the retries of each problem that they raise as well.
    for noisy in ("mlflow.store", "urllib3.connectionpool"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    file = own_file(home)
    with lock(home, "mlflow"):
        if file is not None:
            if identity(file) is None:
                make_store(file, artifact_root(home))
            move_along(file, artifact_root(home))
            _close_connections(tracking_uri(home))  # of an earlier run, to a lost store
        yield MlflowClient(tracking_uri(home))


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """Yield a problem and the causes it names, the innermost last."""
    seen: list[BaseException] = []
    following: BaseException | None = problem
    while isinstance(following, BaseException) and following not in seen:
        seen.append(following)
        yield following
        following = getattr(following, "orig", None) or following.__cause__


def without_password(text: str) -> str:
    """Return a text in which no URL has a user's name or password any more."""
    return re.sub(r"://[^/\s@]*@", "://", text)


def reason(problem: BaseException) -> str:
    """Return a line that says what is wrong; SQLAlchemy wraps the database's own words in SQL."""
    wrapped = (getattr(link, "orig", None) for link in _chain(problem))
    said = next((link for link in wrapped if isinstance(link, BaseException)), problem)
    line = (str(said).splitlines() or [type(said).__name__])[0]
    if "Connection refused" in line or "Max retries exceeded" in line:
        line = "the server does not answer"
    return without_password(line)[:160]


def is_locked(problem: BaseException) -> bool:
    """Return whether another process holds the store: it may let go."""
    return any(
        isinstance(link, sqlite3.OperationalError) and "locked" in str(link)
        for link in _chain(problem)
    )
