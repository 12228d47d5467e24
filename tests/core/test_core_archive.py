"""Homes that cannot be written, whose registry is lost or is damaged: what is read and said."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import kept_home
import pytest
from toy_program import Done

from rlvit.cli.main import invoke
from rlvit.home import Home
from rlvit.runs.provenance import process_identity

PROTECT = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
ASK = """
import contextlib, io, json, sys
from rlvit.cli.main import invoke
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = invoke(words)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


@pytest.fixture
def copy(kept: Path, tmp_path: Path) -> Home:
    """Return a copy of a home with runs of every kind."""
    shutil.copytree(kept, tmp_path / "home")
    return Home.locate(tmp_path / "home")


@pytest.fixture
def said(copy: Home, toy_alone: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return what carries a command out in this process."""

    def call(*arguments: str) -> Done:
        code = invoke(["--home", str(copy.root), *arguments])
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def protected(
    copy: Home, bare_site: Path, toy_site: Path
) -> Callable[[Sequence[Sequence[str]]], list[Done]]:
    """Return what carries commands out in a home on a disk that is mounted read-only."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], check=False).returncode:
        pytest.skip("this machine lets no test mount a disk of its own")

    def call(commands: Sequence[Sequence[str]]) -> list[Done]:
        done = subprocess.run(
            [unshare, "-rm", "sh", "-c", PROTECT, copy.root, sys.executable, "-c", ASK],
            input=json.dumps([["--home", str(copy.root), *words] for words in commands]),
            env={**os.environ, "PYTHONPATH": f"{bare_site}{os.pathsep}{toy_site}"},
            capture_output=True,
            text=True,
            check=True,
        )
        return [Done(*json.loads(line)) for line in done.stdout.splitlines()]

    return call


def test_a_protected_home_is_read_and_not_written(
    copy: Home,
    protected: Callable[[Sequence[Sequence[str]]], list[Done]],
    tmp_path: Path,
) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.root.rglob("*")}
    bundle = str(tmp_path / "first.rlvit")
    reading = [
        ["runs", "list", "--format", "csv"],
        ["runs", "show", "first"],
        ["runs", "diff", "first", "second"],
        ["report", "--out", str(tmp_path / "report")],
        ["export", "first", "-o", bundle],
        ["tune", "list", "--format", "csv"],
        ["baselines", "list"],
        ["runs", "gc", "--dry-run"],
        ["registry", "query", "SELECT count(*) AS n FROM runs_all", "--format", "csv"],
    ]
    done = protected(reading)
    assert [(one.code, one.err) for one in done if one.code] == []
    assert {name for name in ("first", "second", "alone") if name in done[0].out} == {
        *("first", "second", "alone")
    }
    assert done[-1].out.split() == ["n", str(len(kept_home.ids(copy)))]
    assert (tmp_path / "report" / "index.html").exists()
    writing = [
        ["runs", "tag", "first", "x"],
        ["runs", "delete", "first", "--yes"],
        ["runs", "gc", "--yes"],
        ["baselines", "remove", "DER"],
        ["import", bundle],
        ["registry", "rebuild", "--yes"],
        ["resume", "stopped"],
    ]
    for words, one in zip(writing, protected(writing), strict=True):
        assert one.code in (1, 2), words
        assert re.search(r"cannot be written: copy (it|the home) first", one.errors[-1]), one
    assert {path: path.stat().st_mtime_ns for path in copy.root.rglob("*")} == before


def test_a_lost_registry_is_told_from_one_that_never_was(
    copy: Home, said: Callable[..., Done], tmp_path: Path
) -> None:
    bundle = tmp_path / "first.rlvit"
    assert said("export", "first", "-o", str(bundle)).code == 0
    count = len(kept_home.ids(copy))
    for file in copy.root.glob("registry.db*"):
        file.unlink()
    for words in (["runs", "list"], ["report"], ["registry", "check"], ["runs", "show", "latest"]):
        done = said(*words)
        assert (done.code, done.out) == (2, ""), words
        assert f"has {count} run folders: `rlvit registry rebuild` makes it again." in done.err
    done = said("import", str(bundle))
    assert f"beside {count} run folders in {copy.runs} that it does not know" in done.err
    assert said("registry", "rebuild", "--yes").code == 0
    assert len(kept_home.ids(copy)) == count


@pytest.mark.parametrize(("at", "reason"), [(0, "not a database"), (4096, "malformed")])
def test_a_damaged_registry_is_told_with_what_helps(
    copy: Home, said: Callable[..., Done], at: int, reason: str
) -> None:
    with closing(sqlite3.connect(copy.root / "registry.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(copy.root / "registry.db", "r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * (100 if at == 0 else 300 * 4096))
    asked = ["registry", "query", "SELECT * FROM runs_all"]
    for words in (["runs", "list"], ["registry", "check"], asked):
        done = said(*words)
        assert (done.code, done.out, len(done.errors)) == (1, "", 1), words
        assert reason in done.err
        assert "`rlvit registry rebuild`" in done.err
        assert "Error: " in done.err
        assert "DatabaseError" not in done.err


def test_a_question_that_nobody_can_answer_names_the_option(
    said: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (["registry", "rebuild"], ["runs", "delete", "first"]):
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        done = said(*words)
        assert (done.code, done.errors[-1]) == (
            2,
            "Error: nobody was there to answer: --yes does not ask.",
        )


def test_an_option_without_its_value_names_the_command(said: Callable[..., Done]) -> None:
    assert "(see rlvit export --help)" in said("export", "latest", "-o").err
    assert "(see rlvit runs list --help)" in said("runs", "list", "--tag").err


def test_everything_is_exported_but_what_is_under_way(
    copy: Home, said: Callable[..., Done], tmp_path: Path
) -> None:
    ids = kept_home.ids(copy)
    assert said("runs", "archive", "second").code == 0
    process = json.dumps(process_identity())
    with closing(sqlite3.connect(copy.root / "registry.db")) as database:
        database.execute(
            "UPDATE run SET state = 'running', process = ?, heartbeat_at = ? WHERE id = ?",
            (process, time.time(), ids["alone"]),
        )
        database.commit()
    busy = said("export", "--plugin", "toy", "-o", str(tmp_path / "busy.rlvit"))
    assert busy.code == 2
    assert f"run {ids['alone']} is running: --state completed leaves it out" in busy.err
    done = said("export", "--all", "-o", str(tmp_path / "all.rlvit"))
    assert done.code == 0, done.err
    assert f"left out: {ids['alone']} is running" in done.err
    with zipfile.ZipFile(tmp_path / "all.rlvit") as archive:
        packed = json.loads(archive.read("manifest.json"))["runs"]
    assert {run["id"] for run in packed} == set(ids.values()) - {ids["alone"]}
    assert said("export", "first", "--all").code == 2


def test_the_id_of_a_run_is_never_broken(copy: Home, said: Callable[..., Done]) -> None:
    tags = [f"a-long-name-of-a-tag-{n}=and-its-long-value-{n}" for n in range(6)]
    assert said("runs", "tag", "first", *tags).code == 0
    shown = said("runs", "list").out
    for run_id in kept_home.ids(copy).values():
        assert run_id in shown
    assert max(map(len, shown.splitlines())) <= 160
