"""The folder of a report is written by one process at a time, and left whole by what stops it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from toy_program import Program, until

import rlvit
from rlvit.cli.main import invoke
from rlvit.home import Home
from rlvit.registry.queries import artifacts, list_runs
from rlvit.registry.store import Store
from rlvit.report import collect, place
from rlvit.report.summary import warnings

TABLES = ("--format", "csv")
KNOWN: dict[str, Any] = {"puzzle": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}


@pytest.fixture
def measured(tmp_path: Path, toy_alone: None) -> Path:
    """Return a home with one run of the toy."""
    rlvit.run("toy", home=tmp_path / "home", **KNOWN)
    return tmp_path / "home"


def report(home: Path, *words: str) -> int:
    return invoke(["report", "--home", str(home), *words])


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def test_a_report_that_another_process_writes_is_left_to_it(
    measured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(place, "PATIENCE", 0.05)
    reports = measured / "reports"
    with FileLock(reports / ".report.lock"):
        assert report(measured, *TABLES) == 2
        folder = reports / "report"
        assert capsys.readouterr().err.splitlines() == [
            f"Error: another process is writing the report {folder}; try again when it is done."
        ]
        assert not folder.exists()
        assert report(measured, *TABLES, "--name", "other") == 0
    assert report(measured, *TABLES) == 0
    assert {path.name for path in reports.iterdir()} <= {"report", "other", ".report.lock"}


def test_what_killed_reports_left_is_removed(measured: Path) -> None:
    reports = measured / "reports"
    for name in (".report-ab12cd_9", ".report-2-ab12cd9x", ".mine-ab12cd_9"):
        (reports / name).mkdir()
        (reports / name / "report.md").write_text("half")
    assert report(measured, *TABLES) == 0
    assert sorted(path.name for path in reports.iterdir()) == [
        *(".mine-ab12cd_9", ".report-2-ab12cd9x", "report")  # those of other reports stay
    ]


def test_files_of_a_broken_exchange_are_known_to_the_next_report(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report(measured, "--format", "json") == 0
    folder, moved, real = measured / "reports" / "report", [], os.replace

    def failing(source: Any, target: Any) -> None:
        if Path(target).suffix == ".csv" and moved:
            raise KeyboardInterrupt
        moved.extend([target] if Path(target).suffix == ".csv" else [])
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        report(measured, *TABLES)
    there = set(contents(folder))
    assert {Path(name).suffix for name in there} == {".csv", ".json"}
    known = set(json.loads((folder / "report.json").read_text())["files"])
    assert there <= {*known, "report.json"}
    assert report(measured, "--check") == 1
    assert report(measured, "--format", "json") == 0
    assert {Path(name).suffix for name in contents(folder)} == {".json"}
    assert report(measured, "--check") == 0


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Hear Ctrl-C here and in processes that are started, even where a shell took it away."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_signals_wait_until_the_files_are_in_place() -> None:
    done: list[str] = []

    def move() -> None:
        with place.undisturbed():
            signal.raise_signal(signal.SIGINT)
            done.append("moved")

    with pytest.raises(KeyboardInterrupt):
        move()
    assert done == ["moved"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_report_leaves_the_old_one_whole(program: Program, number: int) -> None:
    assert program.run().code == 0
    assert program("report", *TABLES).code == 0
    reports = program.home / "reports"
    before = contents(reports / "report")
    running = program.start("report")
    until(lambda: list(reports.glob(".report-*/figures")), "a report under way")
    running.send(number)
    assert running.wait().code != 0
    assert contents(reports / "report") == before
    assert program("report", "--check").code == 0
    assert program("report", *TABLES).code == 0
    assert [path.name for path in reports.iterdir()] == ["report"]


def test_a_check_writes_nothing_beside_the_report(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report(measured, *TABLES) == 0
    made: list[Path] = []
    real = Path.mkdir

    def noted(self: Path, *words: Any, **more: Any) -> None:
        made.append(self)
        real(self, *words, **more)

    monkeypatch.setattr(Path, "mkdir", noted)
    before = (measured / "reports").stat().st_mtime_ns
    assert report(measured, "--check") == 0
    assert (measured / "reports").stat().st_mtime_ns == before
    assert not [path for path in made if measured in path.parents]


def test_a_folder_that_cannot_be_made_is_called_as_the_user_did(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "x"
    capsys.readouterr()
    assert report(measured, *TABLES, "--out", str(out)) == 2
    assert capsys.readouterr().err == f"Error: {out} cannot be written: File exists.\n"


def test_a_copied_home_reads_its_own_artifacts(
    measured: Path, tmp_path: Path, toy: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(measured, tmp_path / "copy")
    copy = Home.locate(tmp_path / "copy")
    store = Store(copy.registry_url)
    (run,) = list_runs(store.engine)
    (stored,) = [one.path for one in artifacts(store.engine, run.id) if one.kind == "table"]
    assert Path(stored).is_relative_to(measured)

    def found() -> tuple[Path, int]:
        evidence = collect.gather(store.engine, toy, home=copy)
        (trial,) = evidence.arms[0].trials
        return Path(trial.artifacts["table"]), evidence.lost

    here = copy.root / Path(stored).relative_to(measured)
    assert found() == (here, 0)
    shutil.rmtree(here)
    assert found() == (Path(stored), 0)  # where it was made
    shutil.rmtree(measured)
    shutil.rmtree(copy.root / "runs" / "shared", ignore_errors=True)
    assert found() == (here, 1)
    said = "Artifacts are not there of 1 run: pictures and what plugins read from them are missing."
    assert said in warnings(collect.gather(store.engine, toy, home=copy))
    store.close()
    assert report(copy.root, "--format", "md") == 0
    assert said in (copy.root / "reports" / "report" / "report.md").read_text()
    capsys.readouterr()
    assert invoke(["runs", "show", run.id, "--home", str(copy.root), "--format", "json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["folder"] == str(copy.runs / run.id)
    assert [one["path"] for one in shown["artifacts"] if one["kind"] == "table"] == [str(here)]
