"""Registries that older versions wrote are upgraded whole, also if the upgrade is killed midway."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from postgresql_server import postgresql_url
from sqlalchemy import Engine, create_engine, event, inspect, text
from toy_program import FORK, Program

from rlvit.cli.main import invoke
from rlvit.errors import RlvitError
from rlvit.home import sqlite_url
from rlvit.registry import database, queries, studies
from rlvit.registry.database import Upgrade, open_database, open_to_read, upgrade_database
from rlvit.registry.schema import REVISION, VERSION_TABLE, Base

ASSETS = Path(__file__).parent / "assets"
SAVED = sorted(path.stem.removeprefix("registry_") for path in ASSETS.glob("registry_*.sql"))
OLD = [schema for schema in SAVED if schema < REVISION]
Tables = dict[str, list[tuple[Any, ...]]]

server = pytest.fixture(scope="module")(postgresql_url)


def restored(schema: str, folder: Path) -> Path:
    """Write a saved registry into a folder."""
    path = folder / "registry.db"
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((ASSETS / f"registry_{schema}.sql").read_text())
    return path


def contents(path: Path) -> Tables:
    """Return all rows of all tables."""
    with closing(sqlite3.connect(path)) as connection:
        listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
            for (name,) in sorted(listed.fetchall())
        }


def declared(path: Path) -> set[tuple[str, str, str]]:
    """Return what the database is made of: kind, name and normalised SQL."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master")
        return {(kind, name, " ".join(sql.split())) for kind, name, sql in rows.fetchall()}


def without_version(tables: Tables) -> Tables:
    return {name: rows for name, rows in tables.items() if name != VERSION_TABLE}


def test_every_schema_was_saved() -> None:
    assert database.schemas() == SAVED
    assert SAVED[-1] == REVISION


@pytest.mark.parametrize("schema", OLD)
def test_a_saved_registry_is_upgraded_whole(schema: str, tmp_path: Path) -> None:
    path = restored(schema, tmp_path)
    before = contents(path)
    engine, done = upgrade_database(sqlite_url(path))
    engine.dispose()
    copy = tmp_path / f"registry.db.{schema}.bak"
    assert done == Upgrade(schema, copy)
    assert contents(copy) == before
    after = contents(path)
    assert after[VERSION_TABLE] == [(REVISION,)]
    assert {name: after[name] for name in without_version(before)} == without_version(before)
    assert not any(rows for name, rows in after.items() if name not in before)
    fresh = tmp_path / "fresh.db"
    open_database(sqlite_url(fresh)).dispose()
    assert declared(path) == declared(fresh)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("schema", OLD)
def test_an_upgraded_registry_can_be_read(schema: str, tmp_path: Path) -> None:
    path = restored(schema, tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        states = dict(connection.execute("SELECT id, state FROM run").fetchall())
        scores = sorted(connection.execute("SELECT value FROM result WHERE metric = 'toy/score'"))
    engine = open_database(sqlite_url(path))
    records = queries.list_runs(engine, archived=None)
    assert {record.id: record.state for record in records} == states
    assert {"completed", "failed", "interrupted"} <= set(states.values())
    first = queries.find_run(engine, "first")
    assert (first.tags, first.note) == ({"kind": "b", "good": ""}, "noted: it's 'quoted'")
    found = [r for one in states for r in queries.results(engine, one)]
    assert sorted((r.value,) for r in found if r.metric == "toy/score") == scores
    assert len(scores) >= 3
    with engine.connect() as connection:
        shown = connection.execute(text("SELECT run, state FROM runs_all")).all()
    assert dict((row.run, row.state) for row in shown) == states
    names = [study.method for study in studies.list_studies(engine)]
    assert names == (["toy"] if schema >= "0003" else [])
    assert len(queries.baselines(engine)) == (3 if schema >= "0002" else 0)
    engine.dispose()


def test_lists_and_reports_work_on_the_oldest(program: Program, tmp_path: Path) -> None:
    restored("0001", program.home)
    listed = program("runs", "list", "--format", "csv")
    assert (listed.code, listed.err) == (0, "")
    assert len(listed.out.splitlines()) == 1 + 5  # one of six is archived
    reported = program("report")
    assert reported.code == 0, reported.err
    (page,) = (program.home / "reports").rglob("*.md")
    assert "toy" in page.read_text()


def _killed_at(path: Path, statement: int) -> None:
    """Upgrade, and kill this process in front of a statement that changes the schema."""
    seen = 0

    def count(connection: Any, cursor: Any, sql: str, *_: Any) -> None:
        nonlocal seen
        if sql.lstrip().split()[0] in ("CREATE", "DROP", "UPDATE", "INSERT", "ALTER"):
            seen += 1
            if seen == statement:
                os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    open_database(sqlite_url(path)).dispose()


@pytest.mark.parametrize("statement", [2, 9, 22])
def test_an_upgrade_that_is_killed_leaves_the_registry_as_it_was(
    statement: int, tmp_path: Path
) -> None:
    path = restored("0001", tmp_path)
    before = contents(path)
    process = FORK.Process(target=_killed_at, args=(path, statement))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert contents(path) == before
    engine, done = upgrade_database(sqlite_url(path))
    engine.dispose()
    assert done is not None
    assert done.before == "0001"
    after = contents(path)
    assert {name: after[name] for name in without_version(before)} == without_version(before)
    assert contents(tmp_path / "registry.db.0001.bak") == before


@pytest.mark.parametrize("schema", OLD)
def test_who_only_reads_does_not_upgrade(schema: str, tmp_path: Path) -> None:
    path = restored(schema, tmp_path)
    before = contents(path)
    with pytest.raises(RlvitError, match=rf"has schema {schema}, .*`rlvit registry upgrade`"):
        open_to_read(sqlite_url(path))
    engine = open_to_read(sqlite_url(path), any_schema=True)
    assert database.schema_of(engine) == schema
    engine.dispose()
    assert contents(path) == before
    assert not list(tmp_path.glob("*.bak*"))


def called(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> tuple[int, str, str]:
    """Carry a command out in this process, and return its code and what it printed."""
    code = invoke(["--home", str(home), *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = restored("0002", tmp_path)
    before = contents(path)
    code, out, _ = called(capsys, tmp_path, "registry", "upgrade", "--dry-run")
    assert code == 0
    assert f"schema 0002 -> {REVISION}" in out
    assert "Nothing was changed" in out
    assert contents(path) == before
    assert not list(tmp_path.glob("*.bak*"))
    code, out, err = called(capsys, tmp_path, "registry", "query", "SELECT 1")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "rlvit registry upgrade" in err
    code, out, err = called(capsys, tmp_path, "registry", "upgrade")
    assert (code, err) == (0, "")
    assert f"Upgraded from 0002 to {REVISION}" in out
    assert str(tmp_path / "registry.db.0002.bak") in out
    code, out, _ = called(capsys, tmp_path, "registry", "upgrade")
    assert code == 0
    assert f"has schema {REVISION}, the newest" in out


@pytest.mark.usefixtures("toy_alone")
@pytest.mark.parametrize(
    "command",
    [
        ("registry", "upgrade"),
        ("registry", "query", "SELECT 1"),
        ("registry", "query"),
        ("registry", "check"),
        ("runs", "list"),
        ("runs", "gc", "--yes"),
        ("baselines", "list"),
        ("tune", "list"),
        ("report",),
    ],
    ids=" ".join,
)
def test_a_registry_of_a_newer_version_is_refused(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = restored(SAVED[-1], tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        connection.commit()
    before = contents(path)
    code, _, err = called(capsys, tmp_path, *command)
    assert (code, err.count("\n")) == (1, 1)
    assert "schema 9999" in err
    assert "Upgrade rlvit" in err
    assert contents(path) == before


@pytest.mark.postgresql
@pytest.mark.usefixtures("toy_alone")
def test_the_migrations_run_on_postgresql_step_by_step(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows of the oldest go in at their schema, then the other migrations follow."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    engine = create_engine(server)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, rows in _typed("0001").items():
            connection.execute(Base.metadata.tables[table].insert(), rows)
    code, _, err = called(capsys, tmp_path, "--registry", server, "runs", "list")
    assert (code, err.count("\n")) == (2, 1)
    assert "has schema 0001" in err
    assert "rlvit registry upgrade" in err
    words = ("--registry", server, "registry", "upgrade")
    code, out, err = called(capsys, tmp_path, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "pg_dump" in err
    assert "--yes" in err
    assert f"schema 0001 -> {REVISION}" in out
    code, out, err = called(capsys, tmp_path, *words, "--yes")
    assert (code, err, out.splitlines()[-1]) == (0, "", f"Upgraded from 0001 to {REVISION}")
    opened = open_database(server)
    with opened.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
        count = connection.execute(text("SELECT count(*) FROM points_live")).scalar_one()
        states = connection.execute(text("SELECT state FROM runs_all")).scalars().all()
    assert count == sum(not row["superseded"] for row in _typed("0001")["point"])
    assert sorted(states) == sorted(row["state"] for row in _typed("0001")["run"])
    assert set(_views()) == set(inspect(opened).get_view_names())
    with opened.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        assert inspect(connection).get_view_names() == []
        command.upgrade(config, "head")
    opened.dispose()
    engine.dispose()


def _views() -> list[str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((ASSETS / f"registry_{SAVED[-1]}.sql").read_text())
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")
        return [name for (name,) in rows]


def _typed(schema: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a saved registry as Python values, in an order that references allow."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        raw.executescript((ASSETS / f"registry_{schema}.sql").read_text())
        there = inspect(connection).get_table_names()
        tables = [table for table in Base.metadata.sorted_tables if table.name in there]
        return {
            table.name: [dict(row) for row in connection.execute(table.select()).mappings()]
            for table in tables
        }
