"""Opens the registry's database: made once under a lock, migrated, safe for several writers."""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import sqlite_path, sqlite_url
from rlvit.registry.schema import REVISION, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy import Connection

DAMAGE = ("not a database", "malformed")  # in what SQLite says of a damaged file
NOT_WRITABLE = "cannot be written: copy the home first, or use another with --home."
BUSY_SECONDS = 60  # how long a writer waits for another before it gives up
CONNECT_SECONDS = 10  # for a server to answer; by itself the driver waits as long as TCP does


def open_database(url: str) -> Engine:
    """Return an engine on a registry of the current schema, making or upgrading it as needed.

    Before an upgrade an SQLite registry is copied to `<file>.<old schema>.bak` beside it. One in
    PostgreSQL cannot be copied, and others may be using it: it is upgraded when that is asked for.
    Several processes may call this at once on a database that does not exist yet.

    Raises:
        UsageProblem: the URL is not one, its driver is missing, or a server's registry is old.
        RlvitError: the database cannot be opened, is none of ours, or is newer than this code.
    """
    return _open(url, asked=False)[0]


@dataclass(frozen=True)
class Upgrade:
    """What was done to a registry to bring it to the current schema."""

    before: str  # the schema that it had
    copy: Path | None  # where it was copied to as it was; None: PostgreSQL, which has its own tools


def upgrade_database(url: str) -> tuple[Engine, Upgrade | None]:
    """Open a registry, upgraded wherever it is; also return what was upgraded, if anything was.

    Raises:
        UsageProblem, RlvitError: as `open_database`.
    """
    return _open(url, asked=True)


def _open(url: str, *, asked: bool) -> tuple[Engine, Upgrade | None]:
    engine, done = _parsed(url, _engine), None
    with _explained(engine):
        if _revision(engine) != REVISION:
            with _creation_lock(engine):
                done = _migrate(engine, asked)
    return engine, done


def open_to_read(url: str, *, any_schema: bool = False) -> Engine:
    """Return an engine that cannot change anything; nothing is made, nor upgraded.

    The registry is one that there is; `any_schema` opens it also if its schema is an older one.

    Raises:
        UsageProblem: the URL is not one, or its driver is missing.
        RlvitError: the database cannot be opened, is none of ours, or has another schema.
    """
    engine = _parsed(url, _reading_engine)
    with _explained(engine):
        found = _revision(engine)
    shown = shown_url(url)
    if found is None:
        raise RlvitError(f"{shown} is no registry of rlvit.")
    if found not in schemas():
        raise _newer(shown, found)
    if found != REVISION and not any_schema:
        raise _older(shown, found)
    return engine


def can_write(url: str) -> bool:
    """Say whether a registry may be written here: an SQLite file needs its folder for that."""
    path = sqlite_path(url)
    return path is None or all(os.access(one, os.W_OK) for one in (path, path.parent))


def damaged(name: str, reason: str) -> str:
    """Return one line for a file that is broken, with what helps."""
    return (
        f"{name} is damaged ({reason}): `rlvit doctor` looks for more, `rlvit registry rebuild` "
        "makes it again from the runs' folders."
    )


def in_plain_words(problem: DatabaseError, shown: str = "") -> str:
    """Return one line for what a database says, with what helps; `shown` names the registry."""
    reason, name = str(problem.orig).partition("\n")[0], f"the registry {shown}".rstrip()
    if any(word in reason for word in DAMAGE):
        return damaged(name, reason)
    if "readonly database" in reason:
        return f"{name} {NOT_WRITABLE}"
    return f"{name} cannot be used: {reason}."


def schema_of(engine: Engine) -> str:
    """Return the schema of a registry that `open_to_read` opened."""
    return str(_revision(engine))


def schemas() -> list[str]:
    """Name the schemas that this code knows, in order."""
    scripts = (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*.py")
    return sorted(script.stem.partition("_")[0] for script in scripts)


def _parsed(url: str, make: Callable[[str], Engine]) -> Engine:
    try:
        return make(url)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        raise UsageProblem(f"--registry {_without_password(url)}: {error}") from None


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Turn what a database says into one line."""
    try:
        yield
    except OSError as error:
        raise RlvitError(f"the registry {engine.url} cannot be made: {error}") from None
    except DatabaseError as error:
        shown = engine.url.render_as_string(hide_password=True)
        if engine.url.get_backend_name() == "sqlite" and engine.url.database:
            shown = engine.url.database
            refused = any(word in str(error.orig) for word in ("unable to open", "readonly"))
            if refused and Path(shown).is_file() and not can_write(sqlite_url(Path(shown))):
                raise UsageProblem(f"the registry {shown} {NOT_WRITABLE}") from None
        raise RlvitError(f"{in_plain_words(error, shown)} Nothing was changed.") from None


def _newer(shown: str, found: str) -> RlvitError:
    return RlvitError(
        f"the registry {shown} has schema {found}, which this version of rlvit does not know (it "
        f"has {REVISION}). Upgrade rlvit."
    )


def _older(shown: str, found: str) -> UsageProblem:
    return UsageProblem(
        f"the registry {shown} has schema {found}, this version of rlvit reads {REVISION}: run "
        "`rlvit registry upgrade` first."
    )


def shown_url(url: str) -> str:
    """Return a registry's URL for a message: a file's name, or the URL without a password."""
    path = sqlite_path(url)
    return _without_password(url) if path is None else str(path)


def _without_password(url: str) -> str:
    """Return a URL for a message; one that cannot be read is shown up to its scheme."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return url.partition("://")[0]


def patience(url: str) -> dict[str, int]:
    """Return the driver's argument for how long a server may take to answer, at each address.

    The URL may say it, or the variable that PostgreSQL's own programs read.
    """
    said = "connect_timeout" in make_url(url).query or "PGCONNECT_TIMEOUT" in os.environ
    return {} if said else {"connect_timeout": CONNECT_SECONDS}


def writing(engine: Engine) -> Engine:
    """Return the same engine with transactions that take the write lock from the start."""
    return engine.execution_options(rlvit_write=True)


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ArgumentError(f"a registry is SQLite or PostgreSQL, not {parsed.get_backend_name()}")
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, connect_args=patience(url))
    if parsed.database in (None, "", ":memory:"):
        raise ArgumentError("a registry is a file, memory forgets")
    path = sqlite_path(url)
    if path is not None:  # SQLAlchemy 2.0 leaves %20 as it is, 2.1 reads a space
        parsed = parsed.set(database=str(path))
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _reading_engine(url: str) -> Engine:
    parsed, path = make_url(url), sqlite_path(url)
    if path is None:
        return _engine(url).execution_options(postgresql_readonly=True)
    # Without write access beside it, WAL would fail to make its index; then nobody writes either.
    fixed = not os.access(path.parent, os.W_OK) and not _log(path)
    name = f"file:{sqlite_url(path).removeprefix('sqlite:///')}?mode=ro{'&immutable=1' * fixed}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(name, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
        connection.execute("PRAGMA query_only=ON")
        return connection

    return create_engine(parsed.set(database=str(path)), creator=connect, poolclass=NullPool)


def _log(path: Path) -> bool:
    """Say whether there is something in a write-ahead log that the file itself does not have."""
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def _configure_sqlite(connection: Any, _: object) -> None:
    """Foreign keys hold the metric names."""
    connection.isolation_level = None  # we emit BEGIN ourselves
    _use_write_ahead_log(connection)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Have a write-ahead log, with which readers go on while one writes; the file remembers it.

    SQLite does not wait for another that is changing the file as well, since the two would wait
    for each other. Here each lets go, and tries again after a time that differs.
    """
    limit = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as problem:
            if "locked" not in str(problem) or time.monotonic() >= limit:
                raise
        time.sleep(random.uniform(0.005, 0.05))


def _begin_sqlite(connection: Connection) -> None:
    """A read that later turns into a write would fail when another wrote in between."""
    write = connection.get_execution_options().get("rlvit_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _revision(engine: Engine) -> str | None:
    """Return the schema revision of the database, None for an empty one."""
    path = engine.url.database
    if engine.url.get_backend_name() == "sqlite" and path and not Path(path).exists():
        return None
    with engine.connect() as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
        return None if found is None else str(found)


@contextmanager
def _creation_lock(engine: Engine) -> Iterator[None]:
    """Let one process make or upgrade a registry: on PostgreSQL, of all machines that share it."""
    path = engine.url.database
    if engine.url.get_backend_name() == "sqlite" and path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=BUSY_SECONDS):
            yield
        return
    with engine.connect() as connection:  # the database lets go when this connection ends
        connection.execute(text(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('rlvit registry'))"))
        yield


def _migrate(engine: Engine, asked: bool) -> Upgrade | None:
    from alembic import command
    from alembic.config import Config

    config, scripts = Config(), str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", scripts.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    found, sqlite = _revision(engine), engine.url.get_backend_name() == "sqlite"
    if found == REVISION:
        return None  # another process was first
    if found is not None and found not in schemas():
        raise _newer(str(engine.url), found)
    if found is None and sqlite and inspect(engine).get_table_names():
        raise RlvitError(f"the database {engine.url} holds another program's tables.")
    if found is not None and not sqlite and not asked:
        raise _older(str(engine.url), found)
    copy = None
    with writing(engine).begin() as connection:  # holds the write lock: the copy is what changes
        if found is not None and sqlite:
            copy = _back_up(Path(str(engine.url.database)), found)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return None if found is None else Upgrade(found, copy)


def _back_up(path: Path, revision: str) -> Path:
    """Copy a registry as it is, with what only its write-ahead log holds; return where to.

    Raises:
        RlvitError: it cannot be copied, as on a full disk.
    """
    copy = free_name(path, f"{revision}.bak")
    try:
        copy_as_one_file(path, copy)
        return copy
    except (OSError, sqlite3.Error) as error:
        raise RlvitError(
            f"the registry {path} could not be copied to {copy.name} before its upgrade: {error}. "
            "Nothing was changed."
        ) from None


def free_name(path: Path, ending: str) -> Path:
    """Return a name beside a registry that is not taken: with the ending, and .2, .3 and so on."""
    ends = itertools.chain([""], (f".{number}" for number in itertools.count(2)))
    candidates = (path.with_name(f"{path.name}.{ending}{end}") for end in ends)
    return next(candidate for candidate in candidates if not candidate.exists())


def copy_as_one_file(path: Path, copy: Path) -> None:
    """Copy an SQLite registry, with what its write-ahead log holds, whole or not at all.

    Raises:
        OSError, sqlite3.Error: it cannot be copied, or read; nothing is left behind.
    """
    part = copy.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)  # of one that was stopped
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
        as_one_file(part)
        sync_file(part)
        os.replace(part, copy)
    except (OSError, sqlite3.Error):
        part.unlink(missing_ok=True)
        raise


def as_one_file(path: Path) -> None:
    """Have a database whole by itself, without a write-ahead log; raises sqlite3.Error."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def sync_file(path: Path) -> None:
    """Have a file on the disk itself; raises OSError."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
