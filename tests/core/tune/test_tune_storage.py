"""Where Optuna's database is: never the registry's file, without a password in the registry."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.tune.storage import choose, found_again, open_storage, written

TEAM = "postgresql+psycopg://me:secret@db/team"
SCHEMA = "options=-csearch_path%3Drlvit_optuna"


def test_a_home_has_a_file_of_its_own(tmp_path: Path) -> None:
    home = Home.locate(tmp_path / "a b")
    url = choose(home, None)
    assert written(home, url) == "runs/optuna.db"
    moved = Home.locate(tmp_path / "moved")
    assert found_again(moved, "runs/optuna.db", None) == choose(moved, None)


def test_a_team_has_a_schema_of_its_own(tmp_path: Path) -> None:
    home = Home.locate(tmp_path, TEAM)
    assert choose(home, None) == f"{TEAM}?{SCHEMA}"
    stored = written(home, choose(home, None))
    assert stored == f"postgresql+psycopg://me@db/team?{SCHEMA}"
    patient = Home.locate(tmp_path, f"{TEAM}?connect_timeout=30")  # the same database
    assert written(patient, choose(patient, None)) == stored
    assert found_again(patient, stored, None) == choose(patient, None)
    assert found_again(home, stored, None) == f"{TEAM}?{SCHEMA}"
    assert choose(home, f"{TEAM}?options=-csearch_path%3Dmine").endswith("Dmine")
    with pytest.raises(UsageProblem, match="this study is kept in postgresql"):
        found_again(home, stored, f"sqlite:///{tmp_path}/x.db")


def test_other_databases_are_refused(tmp_path: Path) -> None:
    home = Home.locate(tmp_path)
    for url, message in (
        ("mysql://x/y", "not mysql"),
        ("nonsense", "is no database URL"),
        ("sqlite:///:memory:", "expected postgresql"),
        (home.registry_url, "this file is the registry"),
    ):
        with pytest.raises(UsageProblem, match=message):
            choose(home, url)


def test_the_store_is_whole_or_not_there(tmp_path: Path) -> None:
    home = Home.locate(tmp_path)
    making = tmp_path / "runs" / ".optuna.db.making"
    making.parent.mkdir()
    making.write_text("what a killed process left")
    for _ in range(2):
        open_storage(home, choose(home, None)).engine.dispose()
    assert not making.exists()
    with sqlite3.connect(tmp_path / "runs" / "optuna.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT count(*) FROM studies").fetchone() == (0,)


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    home = Home.locate(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "optuna.db").write_text("something else" * 100)
    with pytest.raises(RlvitError, match=r"runs/optuna\.db cannot be used: file is not a"):
        open_storage(home, choose(home, None))
    assert (tmp_path / "runs" / "optuna.db").read_text().startswith("something else")
