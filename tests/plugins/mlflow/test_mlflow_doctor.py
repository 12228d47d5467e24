"""What `rlvit doctor` says of MLflow's store, broken by hand in several ways."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from rlvit_mlflow.doctor import look, schema_heads
from rlvit_mlflow.store import tracking_uri


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as MLflow makes it, with one run of ours."""
    from mlflow import MlflowClient

    home = tmp_path_factory.mktemp("doctor")
    (home / "runs").mkdir()
    client = MlflowClient(tracking_uri(home))
    experiment = client.create_experiment("one", artifact_location=(home / "art").as_uri())
    client.create_run(experiment, tags={"rlvit.run_id": "toy-s0-shown"})
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of its home with the folder of that run, to be broken."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "runs").mkdir()
    shutil.copy(made / "runs" / "mlflow.db", tmp_path / "runs")
    add_run(tmp_path, "toy-s0-shown")
    return tmp_path


def add_run(home: Path, run: str, *, ago: float = 100, **more: object) -> None:
    """Add a run that ended so many seconds ago; its file is as young as a copy's."""
    record = home / "runs" / run / "run.json"
    record.parent.mkdir()
    known = {"id": run, "state": "completed", "archived": False, "ended_at": time.time() - ago}
    record.write_text(json.dumps({**known, **more}))


def told(home: Path) -> list[tuple[str, str, str]]:
    return [(one.state, one.text, one.advice) for one in look(home)]


def test_a_store_with_every_run_is_fine(home: Path) -> None:
    assert told(home) == [("ok", f"{home}/runs/mlflow.db, 1 run", "")]


def test_runs_that_are_missing_are_named(home: Path) -> None:
    add_run(home, "toy-s1-missing")
    add_run(home, "toy-s2-archived", archived=True)
    add_run(home, "toy-s3-running", state="running")
    add_run(home, "toy-s4-just-ended", ago=0)
    (home / "runs" / "toy-s5-damaged").mkdir()
    (home / "runs" / "toy-s5-damaged" / "run.json").write_text("{")
    expected = "1 run is not in the store: toy-s1-missing"
    assert told(home) == [("note", expected, "rlvit mlflow sync")]


def test_a_store_that_is_gone_is_told_where_runs_have_ended(home: Path, tmp_path: Path) -> None:
    (home / "runs" / "mlflow.db").unlink()
    ((state, text, advice),) = told(home)
    assert (state, advice) == ("note", "rlvit mlflow sync")
    assert text.endswith("and 1 run has ended")
    shutil.rmtree(home / "runs" / "toy-s0-shown")
    assert [state for state, _, _ in told(home)] == ["ok"]
    assert [state for state, _, _ in told(tmp_path / "nowhere")] == ["ok"]


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_store_that_is_garbage_is_a_problem(home: Path, content: bytes) -> None:
    (home / "runs" / "mlflow.db").write_bytes(content)
    ((state, _, advice),) = told(home)
    assert state == "problem"
    assert advice.endswith("rlvit mlflow sync")


def test_a_store_of_another_mlflow_is_a_problem(home: Path) -> None:
    with closing(sqlite3.connect(home / "runs" / "mlflow.db")) as store:
        store.execute("UPDATE alembic_version SET version_num = 'abc'")
        store.commit()
    ((state, text, advice),) = told(home)
    assert state == "problem"
    assert "another schema (abc)" in text
    assert f"mlflow db upgrade sqlite:///{home}/runs/mlflow.db" in advice


def test_the_newest_schema_is_the_one_that_mlflow_makes(home: Path) -> None:
    found = find_spec("mlflow")
    assert found is not None
    with closing(sqlite3.connect(home / "runs" / "mlflow.db")) as store:
        (made,) = store.execute("SELECT version_num FROM alembic_version").fetchone()
    assert schema_heads(Path(str(found.origin)).parent) == {made}


def test_a_store_that_another_process_writes_is_noted(home: Path) -> None:
    with closing(sqlite3.connect(home / "runs" / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        states = [state for state, _, _ in told(home)]
        other.execute("ROLLBACK")
    assert states == ["note", "ok"]


def test_a_server_that_answers_or_not_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
        ((state, text, _),) = told(home)
        assert (state, "secret" in text) == ("ok", False)
    ((state, text, advice),) = told(home)
    assert (state, "secret" in text) == ("problem", False)
    assert advice.endswith("rlvit mlflow sync")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://[bad")
    assert [state for state, _, _ in told(home)] == ["problem"]
