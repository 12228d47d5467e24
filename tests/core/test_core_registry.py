"""The database that remembers every run: its schema, its one writer and its one reader."""

from __future__ import annotations

import contextlib
import math
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert
from sqlalchemy.exc import IntegrityError
from toy_program import in_processes
from toy_writers import LOSS, SCORE, new_run, open_at, read_points, write_points

from rlvit.contracts import Artifact
from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.registry import database, migrations, queries
from rlvit.registry.database import open_database
from rlvit.registry.schema import REVISION, VERSION_TABLE, Base
from rlvit.registry.store import MOVES, PointRow, Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a registry that does not exist yet."""
    return f"sqlite:///{tmp_path / 'registry.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Return an open registry that knows two metrics."""
    store = Store(url)
    store.declare_metrics([LOSS, SCORE])
    yield store
    store.close()


def _point(row: int, value: float | None = 1.0, metric: str = "a/loss") -> PointRow:
    return PointRow(metric, 1, row, row, value, 0.0)


def _result(row: int, value: float = 1.0, spread: float | None = None) -> dict[str, Any]:
    known = {"metric": "a/score", "attempt": 1, "row": row, "step": 0, "samples": 1}
    return {**known, "value": value, "spread": spread}


def _episode(row: int, score: float = 1.0) -> dict[str, Any]:
    return {"attempt": 1, "row": row, "step": 0, "index": row, "score": score, "length": 3}


def _tables(path: Path) -> dict[str, Any]:
    with sqlite3.connect(path) as connection:
        listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        names = [row[0] for row in listed]
        return {n: connection.execute(f'SELECT * FROM "{n}"').fetchall() for n in sorted(names)}


def test_the_migrations_make_what_the_tables_declare(store: Store) -> None:
    with store.engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_the_database_is_safe_for_several_writers(store: Store) -> None:
    with store.engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert settings["journal_mode"] == "wal"
    assert settings["foreign_keys"] == 1
    assert settings["busy_timeout"] >= 10_000


@pytest.fixture
def old(url: str, tmp_path: Path) -> dict[str, Any]:
    """Make a registry of the first schema with a run in it, and return its tables."""
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, row in OLD_ROWS.items():
            connection.execute(insert(Base.metadata.tables[table]), row)
    engine.dispose()
    return _tables(tmp_path / "registry.db")


OLD_ROWS: dict[str, dict[str, Any]] = {
    "metric": vars(SCORE),
    "experiment": {
        **{"id": 7, "fingerprint": "f", "method": "toy", "task": "Alpha", "protocol": "brief"},
        **{"protocol_settings": {"a": 1}, "config": {}, "slots": {}},
    },
    "run": {
        **{"id": "r", "experiment_id": 7, "name": "Zoë", "seed": 3, "preset": "quick"},
        **{"plugin": "toy", "plugin_version": "1", "state": "completed", "attempt": 1},
        **{"note": "", "archived": False, "folder": "x", "provenance": {}, "bookkeeping": {}},
        **{"created_at": 1.5, "seconds": 2.5, "process": {}},
    },
    "result": {
        **{"run_id": "r", "metric": "a/score", "attempt": 1, "row": 0, "step": 9},
        **{"value": 0.1, "samples": 2, "spread": None, "superseded": False},
    },
}


def test_an_old_registry_is_upgraded_beside_a_copy_of_it(
    url: str, tmp_path: Path, old: dict[str, Any]
) -> None:
    store = Store(url)
    assert queries.find_run(store.engine, "r").name == "Zoë"
    assert [r.value for r in queries.results(store.engine, "r")] == [0.1]
    store.close()
    tables = _tables(tmp_path / "registry.db")
    assert (old[VERSION_TABLE], tables[VERSION_TABLE]) == ([("0001",)], [(REVISION,)])
    added = set(tables) - set(old)
    assert added == {"baseline", "study", "trial", "trial_run"}
    assert {n: tables[n] for n in old if n != VERSION_TABLE} == {
        n: rows for n, rows in old.items() if n != VERSION_TABLE
    }
    assert _tables(tmp_path / "registry.db.0001.bak") == old
    assert not list(tmp_path.glob("*.part*"))


def test_an_upgrade_keeps_the_copies_of_earlier_ones(
    url: str, tmp_path: Path, old: dict[str, Any]
) -> None:
    (tmp_path / "registry.db.0001.bak").write_text("mine")
    open_database(url).dispose()
    assert (tmp_path / "registry.db.0001.bak").read_text() == "mine"
    assert _tables(tmp_path / "registry.db.0001.bak.2") == old


def test_an_upgrade_without_a_copy_is_not_made(
    url: str, tmp_path: Path, old: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rlvit.registry.database.os.replace", full)
    with pytest.raises(RlvitError, match=r"could not be copied.*No space.*Nothing was changed"):
        open_database(url)
    assert _tables(tmp_path / "registry.db") == old
    assert not list(tmp_path.glob("*.bak*"))


def test_several_processes_may_upgrade_a_registry_at_once(
    url: str, tmp_path: Path, old: dict[str, Any]
) -> None:
    assert in_processes(open_at, [(url, time.time() + 0.3)] * 4) == [0] * 4
    assert _tables(tmp_path / "registry.db.0001.bak") == old
    assert len(list(tmp_path.glob("*.bak*"))) == 1


def test_a_registry_that_another_is_about_to_change_is_waited_for(
    url: str, tmp_path: Path, old: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []
    with contextlib.closing(sqlite3.connect(tmp_path / "registry.db")) as other:
        other.execute("BEGIN IMMEDIATE")  # as a process that changes the journal: not waited for
        monkeypatch.setattr(time, "sleep", lambda s: (waits.append(s), other.rollback()))
        store = Store(url)
        assert queries.find_run(store.engine, "r").name == "Zoë"
        store.close()
    assert len(waits) == 1
    assert _tables(tmp_path / "registry.db.0001.bak") == old


@pytest.mark.parametrize("open_it", [open_database, database.open_to_read])
def test_a_registry_that_is_held_for_too_long_is_given_up(
    open_it: Callable[[str], Any],
    url: str,
    tmp_path: Path,
    old: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0)
    with contextlib.closing(sqlite3.connect(tmp_path / "registry.db")) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RlvitError, match=r"cannot be used: database is locked\. Nothing was"):
            open_it(url)
    assert _tables(tmp_path / "registry.db") == old


def _baseline(name: str, index: int | None, value: float = 1.0, **more: Any) -> dict[str, Any]:
    known = {"name": name, "task": "Alpha", "protocol": "", "metric": "a/score", "spread": None}
    where = {"n": 1, "source": "f.csv", "cite": "", "status": "imported", "note": ""}
    return {**known, **where, "run_index": index, "value": value, "sha256": "0" * 64, **more}


def test_baselines_are_added_once_and_removed(store: Store) -> None:
    rows = [*(_baseline("x", i, i / 3) for i in range(3)), _baseline("ÿ", None, n=None)]
    assert store.add_baselines(rows) == 4
    moved = [row | {"source": "g.csv", "sha256": "1" * 64} for row in reversed(rows)]
    assert store.add_baselines(moved) == 0  # another file with the same content
    found = queries.baselines(store.engine)
    assert [(b.name, b.run_index, b.value) for b in found] == [
        ("x", 0, 0.0),
        ("x", 1, 1 / 3),
        ("x", 2, 2 / 3),
        ("ÿ", None, 1.0),
    ]
    assert {b.source for b in found} == {"f.csv"}
    assert store.remove_baselines("x") == 3
    assert [b.name for b in queries.baselines(store.engine)] == ["ÿ"]
    with pytest.raises(UnknownName, match="unknown baseline 'x'"):
        store.remove_baselines("x")


@pytest.mark.parametrize(
    "other", [{"value": 2.0}, {"protocol": "brief"}, {"run_index": 1}, {"cite": "B et al."}]
)
def test_a_name_with_other_content_is_refused_whole(store: Store, other: dict[str, Any]) -> None:
    store.add_baselines([_baseline("my x", 0)])
    with pytest.raises(UsageProblem) as caught:
        store.add_baselines([_baseline("new", 0), _baseline("my x", 0) | other])
    message = str(caught.value)
    assert message.startswith("a baseline 'my x' with other content is there already (1 values by")
    assert message.endswith("choose another --name, or first `rlvit baselines remove 'my x'`.")
    assert [b.name for b in queries.baselines(store.engine)] == ["my x"]


def test_a_baseline_of_an_undeclared_metric_is_refused(store: Store) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        store.add_baselines([_baseline("x", 0, metric="a/lost")])


@pytest.mark.parametrize("attempt", range(3))
def test_several_processes_may_make_a_registry_at_once(tmp_path: Path, attempt: int) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'registry.db'}"
    start = time.time() + 0.3
    assert in_processes(open_at, [(url, start)] * 8) == [0] * 8
    with sqlite3.connect(tmp_path / "new" / "registry.db") as connection:
        assert connection.execute("SELECT count(*) FROM metric").fetchone() == (1,)
        assert connection.execute(f"SELECT count(*) FROM {VERSION_TABLE}").fetchone() == (1,)


def test_two_writers_and_a_reader_lose_nothing(store: Store, url: str) -> None:
    count, names = 150, ["one", "two"]
    codes = in_processes(_work, [(url, name, count, names) for name in ["reader", *names]])
    assert codes == [0, 0, 0]
    for name in names:
        found = queries.points(store.engine, name)
        assert [(point.row, point.value) for point in found] == [
            (i, float(i)) for i in range(count)
        ]
        record = queries.find_run(store.engine, name)
        assert (record.state, record.seconds) == ("completed", count)


def _work(url: str, name: str, count: int, names: list[str]) -> None:
    if name == "reader":
        read_points(url, names, count)
    else:
        write_points(url, name, count)


LIFE = ("created", "running", "completed", "failed", "interrupted")
WAYS = {
    "created": (),
    "running": ("running",),
    "completed": ("running", "completed"),
    "failed": ("running", "failed"),
    "interrupted": ("running", "interrupted"),
}


@pytest.mark.parametrize("before", LIFE)
@pytest.mark.parametrize("after", LIFE)
def test_only_legal_moves_are_made(store: Store, before: str, after: str) -> None:
    store.create_run(new_run("r"))
    for state in WAYS[before]:
        store.move("r", state)
    moves = len(queries.transitions(store.engine, "r"))
    if after in MOVES[before]:
        store.move("r", after)
        assert queries.find_run(store.engine, "r").state == after
        assert len(queries.transitions(store.engine, "r")) == moves + 1
    else:
        with pytest.raises(RlvitError, match=f"is {before}: it cannot become {after}"):
            store.move("r", after)
        assert queries.find_run(store.engine, "r").state == before
        assert len(queries.transitions(store.engine, "r")) == moves


def test_a_completed_run_stays_completed() -> None:
    assert MOVES["completed"] == frozenset()
    assert set(MOVES) == {None, *LIFE}


def test_every_move_is_remembered_with_its_reason(store: Store) -> None:
    store.create_run(new_run("r"))
    assert store.move("r", "running", process={"pid": 1}) == 1
    assert store.move("r", "failed", "it broke") == 1
    record = queries.find_run(store.engine, "r")
    assert (record.error, record.process) == ("it broke", {"pid": 1})
    assert store.move("r", "running") == 2
    record = queries.find_run(store.engine, "r")
    assert (record.error, record.ended_at, record.attempt) == (None, None, 2)
    store.move("r", "interrupted", "stopped as asked")
    moves = queries.transitions(store.engine, "r")
    assert [(m.attempt, m.from_state, m.to_state, m.reason) for m in moves] == [
        (0, None, "created", ""),
        (1, "created", "running", ""),
        (1, "running", "failed", "it broke"),
        (2, "failed", "running", ""),
        (2, "running", "interrupted", "stopped as asked"),
    ]
    assert sorted(m.at for m in moves) == [m.at for m in moves]


def test_rows_behind_a_checkpoint_are_superseded(store: Store) -> None:
    store.create_run(new_run("r"))
    store.create_run(new_run("other"))
    for run_id in ("r", "other"):
        store.add_points(run_id, [_point(row) for row in range(5)])
        store.add_results(run_id, [_result(row) for row in range(3)])
        store.add_episodes(run_id, [_episode(row) for row in range(4)])
    store.supersede("r", {"metrics": 2, "results": 1, "episodes": 4})
    engine = store.engine
    assert [p.superseded for p in queries.points(engine, "r")] == [False] * 2 + [True] * 3
    assert [r.superseded for r in queries.results(engine, "r")] == [False, True, True]
    assert [e.superseded for e in queries.episodes(engine, "r")] == [False] * 4
    assert not any(p.superseded for p in queries.points(engine, "other"))


def test_writing_twice_changes_nothing(store: Store, url: str) -> None:
    store.create_run(new_run("r"))
    artifact = Artifact("thing", "k", "s", Path("here"), "r", {"a": 1}, 5)
    for value in (1.0, 2.0):
        store.declare_metrics([LOSS, SCORE])
        store.add_points("r", [_point(row, value) for row in range(1200)])
        store.add_results("r", [_result(0, value)])
        store.add_episodes("r", [_episode(0, value)])
        store.add_artifact("r", artifact, "made")
        store.tag("r", {"a": "b"})
    engine = store.engine
    assert [p.value for p in queries.points(engine, "r")] == [1.0] * 1200
    assert [r.value for r in queries.results(engine, "r")] == [1.0]
    assert [e.score for e in queries.episodes(engine, "r")] == [1.0]
    assert [(a.role, a.inputs) for a in queries.artifacts(engine, "r")] == [("made", {"a": 1})]
    assert queries.find_run(engine, "r").tags == {"a": "b"}


def test_a_changed_declaration_of_a_metric_replaces_the_old_one(store: Store) -> None:
    from dataclasses import replace

    store.create_run(new_run("r"))
    store.add_results("r", [_result(0)])
    store.declare_metrics([replace(SCORE, unit="goals")])
    assert [r.unit for r in queries.results(store.engine, "r")] == ["goals"]


@pytest.mark.parametrize("add", ["points", "results"])
def test_an_undeclared_metric_is_refused(store: Store, add: str) -> None:
    store.create_run(new_run("r"))
    rows: list[Any] = [_point(0), _point(1, metric="a/lost")]
    if add == "results":
        rows = [_result(0), _result(1) | {"metric": "a/lost"}]
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        getattr(store, f"add_{add}")("r", rows)
    assert getattr(queries, add)(store.engine, "r") == []


def test_values_of_an_unknown_run_are_refused(store: Store) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        store.add_points("nobody", [_point(0)])
    with pytest.raises(RlvitError, match="no run nobody"):
        store.move("nobody", "running")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_stored_as_none(store: Store, value: float) -> None:
    store.create_run(new_run("r"))
    store.add_points("r", [_point(0, value)])
    store.add_results("r", [_result(0, value, value)])
    assert [p.value for p in queries.points(store.engine, "r")] == [None]
    (result,) = queries.results(store.engine, "r")
    assert (result.value, result.spread) == (None, None)


def test_a_newer_registry_is_refused(store: Store, url: str, tmp_path: Path) -> None:
    store.create_run(new_run("r"))
    store.close()
    with sqlite3.connect(tmp_path / "registry.db") as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    before = _tables(tmp_path / "registry.db")
    with pytest.raises(RlvitError, match=r"schema 9999.*Upgrade rlvit") as caught:
        open_database(url)
    assert "\n" not in str(caught.value)
    assert _tables(tmp_path / "registry.db") == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(url: str, tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_text("my notes, not a database\n" * 100)
    before = path.read_bytes()
    with pytest.raises(RlvitError, match="not a database") as caught:
        open_database(url)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("table", ["metric", "something"])
def test_a_database_of_another_program_is_refused_and_left_alone(
    url: str, tmp_path: Path, table: str
) -> None:
    with sqlite3.connect(tmp_path / "registry.db") as connection:
        connection.execute(f"CREATE TABLE {table} (mine INTEGER)")
    before = _tables(tmp_path / "registry.db")
    with pytest.raises(RlvitError) as caught:
        open_database(url)
    assert "\n" not in str(caught.value)
    assert _tables(tmp_path / "registry.db") == before


def test_an_empty_file_becomes_a_registry(url: str, tmp_path: Path) -> None:
    (tmp_path / "registry.db").touch()
    open_database(url).dispose()
    assert VERSION_TABLE in _tables(tmp_path / "registry.db")


@pytest.fixture
def full(store: Store) -> Store:
    """Return a registry with five runs."""
    store.create_run(new_run("toy-alpha-s0-aaaa1111", tags={"kind": "a", "good": ""}))
    store.create_run(
        new_run("toy-beta-s1-bbbb2222", task="Beta", seed=1, fingerprint="e" * 64, name="mine")
    )
    store.create_run(
        new_run("top-alpha-s2-cccc3333", method="top", seed=2, fingerprint="d" * 64, preset="paper")
    )
    store.create_run(new_run("toy-alpha-s3-aaaa4444", seed=3, tags={"kind": "b"}))
    store.create_run(new_run("toy-alpha-s4-dddd5555", seed=4, name="100%_done"))
    store.move("toy-alpha-s3-aaaa4444", "running")
    store.annotate("toy-alpha-s0-aaaa1111", archived=True)
    return store


@pytest.mark.parametrize(
    ("filters", "seeds"),
    [
        ({}, [4, 3, 2, 1]),
        ({"archived": None}, [4, 3, 2, 1, 0]),
        ({"archived": True}, [0]),
        ({"method": "top"}, [2]),
        ({"task": "Beta"}, [1]),
        ({"protocol": "brief"}, [4, 3, 2, 1]),
        ({"protocol": "none"}, []),
        ({"preset": "paper"}, [2]),
        ({"state": "running"}, [3]),
        ({"seed": 4}, [4]),
        ({"seed": 0, "archived": None}, [0]),
        ({"name": "mine"}, [1]),
        ({"tag": "kind", "archived": None}, [3, 0]),
        ({"tag": "kind=a", "archived": None}, [0]),
        ({"tag": "kind=c", "archived": None}, []),
        ({"limit": 2}, [4, 3]),
    ],
)
def test_a_list_is_filtered(full: Store, filters: dict[str, Any], seeds: list[int]) -> None:
    assert [record.seed for record in queries.list_runs(full.engine, **filters)] == seeds


@pytest.mark.parametrize(
    ("text", "seed"),
    [
        ("toy-alpha-s3-aaaa4444", 3),
        ("top", 2),
        ("5555", 4),
        ("mine", 1),
        ("100%_done", 4),
        ("latest", 4),
        ("toy-alpha-s0", 0),
    ],
)
def test_a_run_is_found_by_part_of_its_id_or_by_its_name(full: Store, text: str, seed: int) -> None:
    assert queries.find_run(full.engine, text).seed == seed


@pytest.mark.parametrize("text", ["%", "_", "toy%", "to_-beta-s1-bbbb2222", "alpha", "nobody", ""])
def test_what_fits_no_run_is_an_error(full: Store, text: str) -> None:
    with pytest.raises(UnknownName):
        queries.find_run(full.engine, text)


def test_nothing_is_not_the_only_run(store: Store) -> None:
    store.create_run(new_run("r"))
    with pytest.raises(UsageProblem):
        queries.find_run(store.engine, "")


def test_a_near_miss_is_suggested(full: Store) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'toy-beta-s1-bbbb2222'"):
        queries.find_run(full.engine, "toy-beta-s1-bbbb2223")


def test_what_fits_several_runs_names_them(full: Store) -> None:
    with pytest.raises(UsageProblem, match="'toy' fits 4 runs: toy-alpha-s4-dddd5555, "):
        queries.find_run(full.engine, "toy")


def test_a_whole_id_wins_over_the_part_of_another(store: Store) -> None:
    store.create_run(new_run("abc"))
    store.create_run(new_run("abc-2"))
    assert queries.find_run(store.engine, "abc").id == "abc"


def test_a_deleted_run_takes_what_is_its_own_with_it(store: Store, tmp_path: Path) -> None:
    artifact = Artifact("thing", "k", "s", Path("here"), "doomed", {}, 5)
    for run_id in ("doomed", "other"):
        store.create_run(new_run(run_id, tags={"a": "b"}))
        store.add_points(run_id, [_point(0)])
        store.add_results(run_id, [_result(0)])
        store.add_episodes(run_id, [_episode(0)])
        store.add_artifact(run_id, artifact, "used")
    store.delete_run("doomed")
    tables = _tables(tmp_path / "registry.db")
    own = ("run", "point", "result", "episode", "tag", "transition", "lineage", "artifact")
    assert {name: len(tables[name]) for name in own} == dict.fromkeys(own, 1)
    assert queries.find_run(store.engine, "latest").id == "other"
    with pytest.raises(UnknownName):
        queries.find_run(store.engine, "doomed")


def test_runs_of_one_configuration_share_an_experiment(store: Store, tmp_path: Path) -> None:
    for seed in range(3):
        store.create_run(new_run(f"r{seed}", seed=seed))
    assert len(_tables(tmp_path / "registry.db")["experiment"]) == 1


def test_notes_tags_and_the_archive_mark_change(store: Store) -> None:
    store.create_run(new_run("r", tags={"a": "1", "b": "2"}, note="old"))
    store.tag("r", {"a": "3", "c": ""}, ["b"])
    store.annotate("r", note="new")
    store.annotate("r", archived=True)
    record = queries.find_run(store.engine, "r")
    assert (record.tags, record.note, record.archived) == ({"a": "3", "c": ""}, "new", True)
    with pytest.raises(RlvitError, match="no run"):
        store.tag("nobody", {"a": "b"})


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg", reason="the driver is not installed")
    monkeypatch.setattr(database, "CONNECT_SECONDS", 1)
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://me@127.0.0.1:{silent.getsockname()[1]}/lab"
        with pytest.raises(RlvitError, match="timeout"):
            open_database(url)
    assert database.patience(f"{url}?connect_timeout=30") == {}  # what the URL says stands
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "5")
    assert database.patience(url) == {}


def test_the_password_of_a_registry_is_never_shown() -> None:
    with pytest.raises(RlvitError) as caught:
        open_database("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)
