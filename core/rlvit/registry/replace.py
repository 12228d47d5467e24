"""Puts a registry that was made anew in the place of the old one, which is kept (SQLite)."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from rlvit.errors import RlvitError
from rlvit.home import sqlite_url
from rlvit.registry import schema
from rlvit.registry.contents import ROWS
from rlvit.registry.database import (
    BUSY_SECONDS,
    as_one_file,
    copy_as_one_file,
    free_name,
    open_to_read,
    schema_of,
    sync_file,
)

FRESH, KEPT = "rebuilding", "before-rebuild"  # what is added to a registry's name
COUNTED: Mapping[str, Any] = {
    "runs": schema.Run,
    "points": schema.Point,
    "results": schema.Result,
    "episodes": schema.EpisodeRow,
    "artifacts": schema.ArtifactRow,
    "studies": schema.Study,
    "baselines": schema.Baseline,
}
WAIT_SECONDS = 2  # for another process that makes or upgrades the registry


@dataclass(frozen=True)
class Active:
    """A run or trial that an old registry takes for one under way."""

    what: str
    state: str
    process: Mapping[str, Any]
    heartbeat_at: float | None
    created_at: float


@dataclass(frozen=True)
class Old:
    """What matters of a registry that is about to be replaced."""

    problem: str = ""  # why it cannot be read; then nothing else is known
    current: bool = False  # its schema is this code's
    runs: frozenset[str] = frozenset()
    studies: frozenset[str] = frozenset()
    active: Sequence[Active] = ()
    baselines: Sequence[dict[str, Any]] = ()
    metrics: Sequence[dict[str, Any]] = ()  # declarations of what the baselines are


def read_old(path: Path) -> Old:
    """Read a registry of any schema without changing it."""
    try:
        engine = open_to_read(sqlite_url(path), any_schema=True)
        with engine.connect() as connection:
            broken = connection.execute(text("PRAGMA quick_check(1)")).scalar()
            if broken != "ok":
                return Old(problem=f"its file is damaged ({str(broken).splitlines()[0]})")
            return _read(connection, schema_of(engine) == schema.REVISION)
    except SQLAlchemyError as problem:
        return Old(problem=str(problem).partition("\n")[0])
    except RlvitError as problem:
        return Old(problem=str(problem))


def _read(connection: Connection, current: bool) -> Old:
    tables = set(inspect(connection).get_table_names())
    run, trial, study = schema.Run, schema.Trial, schema.Study
    ways = ("running", "created")
    runs = select(run.id, run.state, run.process, run.heartbeat_at, run.created_at)
    active = [
        Active(f"run {row[0]}", row[1], row[2], row[3], row[4])
        for row in connection.execute(runs.where(run.state.in_(ways)))
    ]
    names: frozenset[str] = frozenset()
    if "trial" in tables:
        names = frozenset(connection.scalars(select(study.name)))
        trials = select(
            trial.study, trial.number, trial.state, trial.process, trial.heartbeat_at
        ).where(trial.state == "running")
        active += [
            Active(f"trial {row[1]} of study {row[0]}", row[2], row[3], row[4], 0.0)
            for row in connection.execute(trials)
        ]
    baselines, metrics = _baselines(connection) if "baseline" in tables else ([], [])
    ids = frozenset(connection.scalars(select(run.id)))
    return Old("", current, ids, names, active, baselines, metrics)


def _baselines(connection: Connection) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the imported scores of a registry, and the declarations of their metrics."""
    table, metric = schema.Baseline.__table__, schema.Metric.__table__
    columns = [column for column in table.columns if column.name != "id"]
    rows = connection.execute(select(*columns).order_by(table.c.id))
    used = select(table.c.metric)
    known = connection.execute(select(metric).where(metric.c.name.in_(used)))
    return [dict(row._mapping) for row in rows], [dict(row._mapping) for row in known]


def run_ids(engine: Engine) -> set[str]:
    """Return the ids of all runs of a registry."""
    with engine.connect() as connection:
        return set(connection.scalars(select(schema.Run.id)))


def count_rows(engine: Engine) -> dict[str, int]:
    """Return how many runs, points and so on a registry has."""
    with engine.connect() as connection:
        return {
            name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for name, table in COUNTED.items()
        }


def lost_rows(old: Path, fresh: Path) -> dict[str, dict[str, int]]:
    """Return how many points, results and episodes of an old registry a new one has not, by run.

    Rows of another value count, too. Runs that the new one lacks are left out, and so are points
    that are missing of a run that went on since: of a longer run fewer of them are kept.

    Args:
        old: a registry with the schema of this code.
        fresh: the new one.

    Raises:
        RlvitError: they cannot be compared.
    """
    found: dict[str, dict[str, int]] = {}
    try:
        with closing(sqlite3.connect(old)) as connection:
            connection.execute("ATTACH DATABASE ? AS fresh", (str(fresh),))
            for name, (table, keys, values) in ROWS.items():
                for run_id, number in connection.execute(_lost(name, table, keys, values)):
                    found.setdefault(run_id, {})[name] = number
    except sqlite3.Error as problem:
        raise RlvitError(
            f"the registries {old} and {fresh} cannot be compared: {problem}."
        ) from None
    return found


def _lost(name: str, table: Any, keys: Sequence[str], values: Sequence[str]) -> str:
    """Return the statement that counts the rows of a table that are lost or changed, by run."""
    same = " AND ".join(f'f."{key}" = o."{key}"' for key in ("run_id", *keys))
    other = " OR ".join(f'f."{value}" IS NOT o."{value}"' for value in values)
    went_on = "r.state <> p.state OR r.attempt <> p.attempt"
    gone = "f.run_id IS NULL" + (f" AND NOT ({went_on})" if name == "points" else "")
    return (
        f'SELECT o.run_id, count(*) FROM main."{table.__tablename__}" o '
        "JOIN fresh.run r ON r.id = o.run_id JOIN main.run p ON p.id = o.run_id "
        f'LEFT JOIN fresh."{table.__tablename__}" f ON {same} '
        f"WHERE ({gone}) OR (f.run_id IS NOT NULL AND ({other})) GROUP BY o.run_id"
    )


class Replacement:
    """The place of a registry while another is made for it."""

    def __init__(self, path: Path) -> None:
        self.path, self.fresh = path, path.with_name(f"{path.name}.{FRESH}")
        self.old = read_old(path) if path.exists() else Old()
        self._guard: sqlite3.Connection | None = None
        self._version: object = None

    def _watch(self) -> None:
        """Remember the state that the old registry is in."""
        if not self.old.problem and self.old.current:
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._guard, self._version = connection, _version(connection)

    def put(self, check: Callable[[], None]) -> Path | None:
        """Put what was made into place; return where the old registry is kept, if there was one.

        Args:
            check: raises RlvitError if the new registry is out of date by now; is called when
                nobody else can write any more.

        Raises:
            RlvitError: `check` did, or the old one changed meanwhile, or the disk is full. The old
                one is then as it was.
        """
        as_one_file(self.fresh)
        try:
            return self._put_file(check) if self._guard is None else self._fill(self._guard, check)
        except (OSError, sqlite3.Error) as problem:
            raise RlvitError(f"the registry {self.path} was not replaced: {problem}.") from None

    def _fill(self, connection: sqlite3.Connection, check: Callable[[], None]) -> Path:
        """Exchange the rows in one transaction: whoever has the file open sees them at once."""
        connection.execute("ATTACH DATABASE ? AS fresh", (str(self.fresh),))
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) != self._version:
                raise RlvitError(
                    f"the registry {self.path} was changed meanwhile; nothing was replaced. "
                    "Try again."
                )
            check()
            kept = keep(self.path)
            for table in schema.Base.metadata.sorted_tables:
                names = ", ".join(f'"{column.name}"' for column in table.columns)
                connection.execute(f'DELETE FROM main."{table.name}"')
                connection.execute(
                    f'INSERT INTO main."{table.name}" ({names}) '
                    f'SELECT {names} FROM fresh."{table.name}"'
                )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return kept

    def _put_file(self, check: Callable[[], None]) -> Path | None:
        """Exchange the file: there is none, or one that nobody can be working with."""
        check()
        kept = keep(self.path) if self.path.exists() else None
        for end in ("-wal", "-shm"):  # of the old one; they would be taken for the new one's
            self.path.with_name(f"{self.path.name}{end}").unlink(missing_ok=True)
        os.replace(self.fresh, self.path)
        return kept

    def close(self) -> None:
        """Remove what is left of the making."""
        if self._guard is not None:
            self._guard.close()
        for end in ("", "-wal", "-shm", "-journal", ".lock"):
            self.fresh.with_name(f"{self.fresh.name}{end}").unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Replacement]:
    """Hold the place of a registry, so that nobody else makes, upgrades or replaces it.

    Raises:
        RlvitError: another process does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{path}.lock", timeout=WAIT_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise RlvitError(f"another process is making or replacing {path}; try again.") from None
    try:
        place = Replacement(path)
        place.close()  # what a killed process left
        place._watch()
        try:
            yield place
        finally:
            place.close()
    finally:
        lock.release()


def keep(path: Path) -> Path:
    """Copy a registry beside itself, with what its write-ahead log holds, and return where to.

    One that SQLite cannot read is copied file by file.

    Raises:
        OSError: it cannot be copied.
    """
    kept = free_name(path, KEPT)
    try:
        copy_as_one_file(path, kept)
    except sqlite3.Error:
        log = path.with_name(f"{path.name}-wal")
        if log.exists():
            shutil.copy2(log, kept.with_name(f"{kept.name}-wal"))
        part = kept.with_name(f"{kept.name}.part")
        try:
            shutil.copy2(path, part)
            sync_file(part)
            os.replace(part, kept)
        except OSError:
            part.unlink(missing_ok=True)
            raise
    return kept


def _version(connection: sqlite3.Connection) -> object:
    """Return a number that changes whenever another connection has changed the database."""
    return connection.execute("PRAGMA data_version").fetchone()[0]
