"""A run folder is complete in itself: a registry made from folders alone has every row again."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from postgresql_server import postgresql_url
from study_program import STUDY, check_whole, runs_of, trials_of
from toy_program import Program, in_processes, until
from whole_registry import Maker, die_while_replacing, differences, rows_of

from rlvit.catalog import Catalog, build_catalog
from rlvit.cli.main import invoke
from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home, sqlite_path, sqlite_url
from rlvit.manager import create_plugin_manager
from rlvit.registry import queries
from rlvit.registry.replace import read_old, replacing
from rlvit.registry.store import Store
from rlvit.runs.mirrors import mirror_baselines, restore_study
from rlvit.runs.rebuild import Rebuilt, rebuild
from rlvit.runs.restore import restore

server = pytest.fixture(scope="module")(postgresql_url)


@pytest.fixture
def maker(toy: Catalog, home: Home, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Return what makes runs of the toy in a home."""
    return Maker(toy, home, monkeypatch)


@pytest.fixture
def fresh(home: Home) -> Iterator[Store]:
    """Return an empty registry of the same home."""
    home.create()
    store = Store(sqlite_url(home.root / "fresh.db"))
    yield store
    store.close()


def _path(home: Home) -> Path:
    path = sqlite_path(home.registry_url)
    assert path is not None
    return path


def _kept(home: Home, end: str = "") -> str:
    return f"{home.registry_url}.before-rebuild{end}"


def _change(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    whole = json.loads(path.read_text())
    change(whole)
    path.write_text(json.dumps(whole))


def _to_format_1(whole: dict[str, Any]) -> None:
    """Write run.json as rlvit did before it had a format 2."""
    whole["config"] |= whole.pop("bookkeeping")
    for name in ("metrics", "streams", "written_at"):
        del whole[name]
    for artifact in whole["artifacts"]:
        del artifact["number"]
    whole["format"] = 1


def test_a_registry_with_everything_in_it_is_made_again_from_its_folders(
    maker: Maker, home: Home, program: Program, tmp_path: Path
) -> None:
    long = maker.use_everything(tmp_path / "files")
    assert program.run("--seed", "5", TOY_AT="17:SIGKILL").code == -9
    maker.rlvit("runs", "list")  # which marks it as interrupted
    before = rows_of(home.registry_url)
    assert min(len(rows) for rows in before.values()) > 0
    live, again = ([p for p in _points(home, long) if p.superseded is old] for old in (False, True))
    assert (len(live), len(again)) == (750 * 3, (150 + 225) * 3)

    rebuilt = rebuild(maker.catalog, home)
    assert rebuilt.problems == []
    assert rebuilt.kept == _path(home).with_name("registry.db.before-rebuild")
    assert differences(rows_of(home.registry_url), before) == {}
    assert differences(rows_of(_kept(home)), before) == {}
    assert rebuilt.counts["points"] == sum(before["point"].values())

    _path(home).unlink()
    again_rebuilt = rebuild(maker.catalog, home)
    assert (again_rebuilt.kept, again_rebuilt.problems) == (None, [])
    assert differences(rows_of(home.registry_url), before) == {}
    assert sorted(path.name for path in home.root.glob("registry.db*")) == [
        "registry.db",
        "registry.db.before-rebuild",
        "registry.db.lock",
    ]
    maker.rlvit("runs", "list")
    maker.rlvit("tune", "list")


def _points(home: Home, run_id: str) -> list[Any]:
    store = Store(home.registry_url)
    try:
        return queries.points(store.engine, run_id)
    finally:
        store.close()


def test_artifacts_keep_the_order_of_their_making(maker: Maker, home: Home) -> None:
    first = maker.run("5:fail", values={"mode": "sum"})
    second = maker.run(seed=1)
    assert maker.resume(first.id).state == "completed"
    store = Store(home.registry_url)
    ids = [first.id, second.id]
    known = [queries.artifacts(store.engine, run_id) for run_id in ids]
    store.close()
    rebuild(maker.catalog, home)
    store = Store(home.registry_url)
    assert [queries.artifacts(store.engine, run_id) for run_id in ids] == known
    store.close()


def test_a_run_that_is_there_is_left_alone_and_another_is_refused(
    maker: Maker, home: Home, fresh: Store
) -> None:
    run = maker.run(tags={"a": "b"})
    assert restore(fresh, home, run.id, {}) is True
    assert restore(fresh, home, run.id, {}) is False
    assert differences(rows_of(str(fresh.engine.url)), rows_of(home.registry_url)).keys() <= {
        "metric"
    }
    before = rows_of(str(fresh.engine.url))
    with open(run.folder / "metrics.jsonl", "a") as file:
        file.write('{"attempt":1,"step":99,"time":1.0,"toy/weight":1.0}\n')
    with pytest.raises(RlvitError, match="other content: its points are not the same"):
        restore(fresh, home, run.id, {})
    _change(run.folder / "run.json", lambda whole: whole.update(note="other"))
    with pytest.raises(RlvitError, match="its note is '' there and 'other' here"):
        restore(fresh, home, run.id, {})
    assert rows_of(str(fresh.engine.url)) == before


@pytest.mark.parametrize("wrong", ["../x", "", ".", "a/b", "nobody"])
def test_what_is_no_run_is_refused(home: Home, fresh: Store, wrong: str) -> None:
    with pytest.raises(RlvitError, match=r"no id of a run|no such folder"):
        restore(fresh, home, wrong, {})


def _shorten(folder: Path) -> None:
    path = folder / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-200])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a copy that was stopped": (lambda f: (f / "metrics.jsonl").unlink(), "has 0 of at least"),
    "a short stream": (_shorten, "metrics.jsonl has .* of at least .* bytes"),
    "no JSON": (lambda f: (f / "run.json").write_text("{"), "run.json: it is damaged"),
    "no object": (lambda f: (f / "run.json").write_text("[]"), "no JSON object"),
    "a format of tomorrow": (
        lambda f: _change(f / "run.json", lambda w: w.update(format=3)),
        "format 3 is none that this rlvit knows",
    ),
    "no seed": (lambda f: _change(f / "run.json", lambda w: w.pop("seed")), "seed is missing"),
    "no number": (
        lambda f: _change(f / "run.json", lambda w: w.update(seed="0")),
        "seed is '0', expected a whole number",
    ),
    "no state": (
        lambda f: _change(f / "run.json", lambda w: w.update(state="lost")),
        "no state 'lost'",
    ),
    "a row of no run": (
        lambda f: (f / "metrics.jsonl").write_text("[1]\n" * 10_000),
        "line 1 is not a run's",
    ),
    "a mark of no run": (lambda f: (f / "superseded.jsonl").write_text("{}\n"), "not a run's"),
    "a damaged mark": (
        lambda f: (f / "superseded.jsonl").write_text("{\n"),
        "line 1 of .*damaged",
    ),
}


def test_damaged_folders_are_named_and_left_alone(
    maker: Maker, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = maker.run()
    bad = {home.runs / f"bad-{number:02d}": harm for number, harm in enumerate(DAMAGES.values())}
    for folder, (harm, _) in bad.items():
        shutil.copytree(sound.folder, folder)
        _change(folder / "run.json", lambda whole, name=folder.name: whole.update(id=name))
        harm(folder)
    files = {p: p.stat().st_mtime_ns for folder in bad for p in folder.rglob("*")}
    capsys.readouterr()
    assert invoke(["--home", str(home.root), "registry", "rebuild", "--yes"]) == 1
    printed = capsys.readouterr()
    *lines, last = printed.err.splitlines()
    assert last.startswith(f"{len(bad)} things could not be rebuilt")
    for folder, (_, says) in bad.items():
        (line,) = [line for line in lines if str(folder) in line]
        assert re.search(says, line)
        assert line.startswith(str(folder))
    assert len(lines) == len(bad)
    assert printed.out.splitlines()[1].startswith("1 runs, 72 points, 2 results,")
    assert {p: p.stat().st_mtime_ns for folder in bad for p in folder.rglob("*")} == files
    store = Store(home.registry_url)
    assert [run.id for run in queries.list_runs(store.engine)] == [sound.id]
    store.close()


def test_a_damaged_line_is_left_out_and_named(maker: Maker, home: Home) -> None:
    run = maker.run()
    path = run.folder / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"\0" * (len(lines[3]) - 1) + b"\n"  # as a power cut leaves it
    path.write_bytes(b"".join(lines))
    log = (run.folder / "log.txt").read_bytes()
    before = rows_of(home.registry_url)
    refused = rebuild(maker.catalog, home)
    assert not refused.replaced
    assert refused.losses == [
        f"run {run.id}: its folder lacks 3 points of the old registry, or has other values"
    ]
    assert differences(rows_of(home.registry_url), before) == {}
    rebuilt = rebuild(maker.catalog, home, drop_missing=True)
    assert rebuilt.problems == [f"{run.folder}: line 4 of metrics.jsonl is damaged and left out"]
    assert {point.row for point in _points(home, run.id)} == set(range(24)) - {3}
    assert (run.folder / "log.txt").read_bytes() == log


def test_what_is_no_run_in_the_folder_of_runs_is_said(maker: Maker, home: Home) -> None:
    run = maker.run()
    renamed, begun, lost = (home.runs / name for name in ("renamed", "begun", "lost"))
    shutil.copytree(run.folder, renamed)
    (begun / "checkpoint").mkdir(parents=True)
    lost.mkdir()
    (lost / "metrics.jsonl").write_text("{}\n")
    (home.runs / "holiday").mkdir()
    (home.runs / "nowhere").symlink_to(home.root / "gone")
    (home.runs / "notes.txt").write_text("mine")
    (home.runs / ".hidden").mkdir()
    rebuilt = rebuild(maker.catalog, home)
    assert rebuilt.problems == [
        f"{lost}: it has metrics.jsonl, but no run.json",
        f"{home.runs / 'nowhere'}: the link leads nowhere",
        f"{renamed / 'run.json'}: it is of run '{run.id}', not of renamed.",
    ]
    assert rebuilt.notes == [
        f"{begun}: a run that never began, left alone",
    ]
    assert rebuilt.counts["runs"] == 1


def test_a_run_may_be_a_link_to_another_disk(maker: Maker, home: Home, tmp_path: Path) -> None:
    run, elsewhere = maker.run(), tmp_path / "disk"
    before = rows_of(home.registry_url)
    shutil.move(run.folder, elsewhere)
    run.folder.symlink_to(elsewhere)
    assert rebuild(maker.catalog, home).problems == []
    assert differences(rows_of(home.registry_url), before) == {}


def test_what_only_the_old_registry_has_is_not_lost_unless_that_is_asked_for(
    maker: Maker, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, lost, damaged = maker.run(), maker.run(seed=1), maker.run(seed=2)
    shutil.rmtree(lost.folder)
    results = damaged.folder / "results.jsonl"
    results.write_bytes(b"".join(results.read_bytes().splitlines(keepends=True)[:-1]))
    before = rows_of(home.registry_url)
    expected = [
        f"run {lost.id}: it has no folder, and only the old registry has it",
        f"run {damaged.id}: its folder is damaged, and only the old registry has it",
    ]
    words = ["--home", str(home.root), "registry", "rebuild", "--yes"]
    capsys.readouterr()
    assert invoke(words) == 1
    printed = capsys.readouterr()
    reason, *lines, last = printed.err.splitlines()
    assert str(results) in reason
    assert sorted(lines) == sorted(expected)
    assert "was not replaced: a new one would lack these 2 things" in last
    assert printed.out == ""
    assert differences(rows_of(home.registry_url), before) == {}
    assert [path.name for path in home.root.glob("registry.db.*")] == ["registry.db.lock"]
    assert invoke([*words, "--drop-missing"]) == 1
    assert set(expected) <= set(capsys.readouterr().err.splitlines())
    store = Store(home.registry_url)
    assert [run.id for run in queries.list_runs(store.engine)] == [kept.id]
    store.close()
    assert differences(rows_of(_kept(home)), before) == {}


def test_a_changed_result_does_not_become_the_official_one(maker: Maker, home: Home) -> None:
    run = maker.run()
    before, path = rows_of(home.registry_url), run.folder / "results.jsonl"
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), "value": 1e6}), *others, ""]))
    rebuilt = rebuild(maker.catalog, home)
    assert (rebuilt.replaced, rebuilt.problems) == (False, [])
    assert rebuilt.losses == [
        f"run {run.id}: its folder lacks 1 results of the old registry, or has other values"
    ]
    assert differences(rows_of(home.registry_url), before) == {}


def test_a_moved_home_has_paths_that_are_there(
    maker: Maker, home: Home, tmp_path: Path, toy: Catalog
) -> None:
    run = maker.run()
    there = tmp_path / "moved" / "runs"  # the name of the folder in the way, too
    there.parent.mkdir()
    shutil.move(home.root, there)
    moved = Home.locate(there)
    (there / "registry.db").unlink()
    assert rebuild(toy, moved).problems == []
    store = Store(moved.registry_url)
    paths = [Path(one.path) for one in queries.artifacts(store.engine, run.id)]
    assert paths
    assert all(path.is_dir() and path.is_relative_to(there) for path in paths)
    assert queries.find_run(store.engine, run.id).folder == str(there / "runs" / run.id)
    store.close()


def _without_plugins(
    home: Home, monkeypatch: pytest.MonkeyPatch, toy_site: Path, bare_site: Path
) -> Rebuilt:
    import sys

    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(toy_site)])
    bare = build_catalog(create_plugin_manager())
    assert "toy" not in bare.entries["method"]
    return rebuild(bare, home)


def test_neither_plugin_nor_its_declarations_are_needed(
    maker: Maker,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    toy_site: Path,
    bare_site: Path,
) -> None:
    maker.run(values={"log_every": 3})
    before = rows_of(home.registry_url)
    rebuilt = _without_plugins(home, monkeypatch, toy_site, bare_site)
    assert rebuilt.problems == []
    assert differences(rows_of(home.registry_url), before) == {}


def test_folders_of_format_1_are_told_apart_by_the_plugin(maker: Maker, home: Home) -> None:
    run = maker.run(values={"log_every": 3})
    maker.run(seed=1)
    before = rows_of(home.registry_url)
    for folder in home.runs.glob("toy-*"):
        _change(folder / "run.json", _to_format_1)
    assert rebuild(maker.catalog, home).problems == []
    assert differences(rows_of(home.registry_url), before) == {}
    # options that the plugin no longer has: the fingerprint tells
    _change(run.folder / "run.json", lambda whole: whole["config"].update(old=1))
    (problem,) = rebuild(maker.catalog, home).problems
    assert "the run's fingerprint does not confirm that" in problem


def test_folders_of_format_1_without_the_plugin_are_taken_as_they_are(
    maker: Maker,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    toy_site: Path,
    bare_site: Path,
) -> None:
    run = maker.run(values={"log_every": 3})
    _change(run.folder / "run.json", _to_format_1)
    problems = _without_plugins(home, monkeypatch, toy_site, bare_site).problems
    assert [p.partition(": ")[0] for p in problems] == [str(run.folder)] * 6
    assert "no plugin offers the method toy" in problems[0]
    assert problems[1].startswith(f"{run.folder}: the metric toy/length: no plugin")
    store = Store(home.registry_url)
    record = queries.find_run(store.engine, run.id)
    assert (record.config["log_every"], record.config["steps"]) == (3, 24)
    known = queries.metrics(store.engine)
    assert (known["toy/score"].unit, known["toy/score"].direction) == ("points", "none")
    assert (known["toy/weight"].unit, known["toy/weight"].direction) == ("?", "none")
    store.close()


def test_a_running_run_stops_a_rebuild_and_a_killed_one_does_not(
    maker: Maker, home: Home, program: Program, tmp_path: Path
) -> None:
    done = maker.run()
    ready, go = tmp_path / "ready", tmp_path / "go"
    waiting = {"TOY_AT": "7:wait", "TOY_READY": str(ready), "TOY_GO": str(go)}
    running = program.start(*program.command("--seed", "1"), **waiting)
    until(ready.exists, "the run to be under way")
    before = _path(home).read_bytes()
    with pytest.raises(RlvitError, match="is under way: stop it first"):
        rebuild(maker.catalog, home)
    (damaged := _path(home)).rename(aside := home.root / "aside.db")
    with pytest.raises(RlvitError, match="is under way"):  # its folder says so
        rebuild(maker.catalog, home)
    aside.rename(damaged)
    assert _path(home).read_bytes() == before
    assert list(home.root.glob("*before-rebuild*")) == []
    running.send(signal.SIGKILL)
    assert running.wait().code == -9
    assert rebuild(maker.catalog, home).problems == []
    store = Store(home.registry_url)
    states = {run.seed: run.state for run in queries.list_runs(store.engine)}
    assert states == {0: "completed", 1: "running"}
    store.close()
    maker.rlvit("runs", "list")  # sweeps
    store = Store(home.registry_url)
    assert [run.state for run in queries.list_runs(store.engine, seed=1)] == ["interrupted"]
    assert done.id in {run.id for run in queries.list_runs(store.engine)}
    store.close()


def test_a_kill_in_the_middle_leaves_the_old_registry(
    maker: Maker, home: Home, program: Program
) -> None:
    maker.run()
    last = maker.run(seed=1)
    before, making = rows_of(home.registry_url), home.root / "registry.db.rebuilding"
    pipe = last.folder / "superseded.jsonl"
    os.mkfifo(pipe)  # reading it waits until somebody writes: the first run is restored by then
    running = program.start("registry", "rebuild", "--yes")
    writer = until(partial(_opened, pipe), "the last run to be read")
    assert making.exists()
    running.send(signal.SIGKILL)
    assert running.wait().code == -9
    os.close(writer)
    pipe.unlink()
    assert making.exists()
    assert differences(rows_of(home.registry_url), before) == {}
    assert in_processes(die_while_replacing, [(str(_path(home)),)]) == [-9]
    assert differences(rows_of(home.registry_url), before) == {}
    assert program("registry", "rebuild", "--yes").code == 0
    assert differences(rows_of(home.registry_url), before) == {}
    assert not making.exists()


def _opened(pipe: Path) -> int | None:
    """Return a pipe to write to, once somebody reads it."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def test_a_registry_that_is_no_database_is_replaced_and_kept(maker: Maker, home: Home) -> None:
    maker.run()
    before, path = rows_of(home.registry_url), _path(home)
    for end in ("-wal", "-shm"):
        path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
    garbage = b"a page of a lost registry" * 999
    path.write_bytes(garbage)
    assert read_old(path).problem
    rebuilt = rebuild(maker.catalog, home)
    assert rebuilt.kept is not None
    assert rebuilt.kept.read_bytes() == garbage
    assert rebuilt.problems == []
    assert any("not a database" in note for note in rebuilt.notes)
    assert differences(rows_of(home.registry_url), before) == {}


def test_the_old_registry_is_kept_with_what_its_log_holds(maker: Maker, home: Home) -> None:
    maker.run()
    store = Store(home.registry_url)  # somebody has it open, so that the log stays
    store.annotate(queries.find_run(store.engine, "latest").id, note="in the log alone")
    assert Path(f"{_path(home)}-wal").stat().st_size > 0
    rebuild(maker.catalog, home)
    assert any("in the log alone" in row for row in rows_of(_kept(home))["run"])
    assert queries.find_run(store.engine, "latest").note == ""  # who has it open sees the new one
    store.close()
    rebuild(maker.catalog, home)
    assert any('"note": ""' in row for row in rows_of(_kept(home, ".2"))["run"])


def test_a_registry_that_changes_meanwhile_is_not_replaced(maker: Maker, home: Home) -> None:
    run = maker.run()
    before = rows_of(home.registry_url)
    with replacing(_path(home)) as place:
        Store(sqlite_url(place.fresh)).close()
        with closing(sqlite3.connect(_path(home))) as other, other:
            other.execute("UPDATE run SET note = 'new'")
        with pytest.raises(RlvitError, match="was changed meanwhile"):
            place.put(lambda: None)
        with pytest.raises(RlvitError, match="another process is making"), replacing(_path(home)):
            pass
    assert len(differences(rows_of(home.registry_url), before)["run"]) == 2
    assert [path.name for path in home.root.glob("registry.db.*")] == ["registry.db.lock"]
    assert (run.folder / "run.json").exists()


def test_scores_from_elsewhere_are_written_down_first_if_they_are_not(
    maker: Maker, home: Home, tmp_path: Path
) -> None:
    maker.run()
    file = tmp_path / "Other.csv"
    file.write_text("task,score,seed\nAlpha,1.5,0\nAlpha,2.5,1\n")
    maker.rlvit("baselines", "add", str(file), "--metric", "toy/score")
    before = rows_of(home.registry_url)
    assert sum(before["baseline"].values()) == 2
    (home.runs / "baselines.json").unlink()  # as rlvit left a home before it wrote this file
    rebuilt = rebuild(maker.catalog, home)
    assert "runs/baselines.json was not there yet" in rebuilt.notes[0]
    assert differences(rows_of(home.registry_url), before) == {}
    _change(home.runs / "baselines.json", lambda whole: whole["baselines"].clear())
    assert "lacked 2 scores of the old registry" in rebuild(maker.catalog, home).notes[0]
    assert differences(rows_of(home.registry_url), before) == {}
    maker.rlvit("baselines", "remove", "Other")
    assert json.loads((home.runs / "baselines.json").read_text())["baselines"] == []
    assert rebuild(maker.catalog, home).counts["baselines"] == 0


def test_scores_that_a_new_registry_lacks_are_not_overwritten(
    maker: Maker, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maker.run()
    for name in ("Other", "New"):
        (tmp_path / f"{name}.csv").write_text("task,score,seed\nAlpha,1.5,0\nAlpha,2.5,1\n")
    add = ["--home", str(home.root), "baselines", "add", "--metric", "toy/score"]
    assert invoke([*add, str(tmp_path / "Other.csv")]) == 0
    before, file = rows_of(home.registry_url), home.runs / "baselines.json"
    content = file.read_bytes()
    for path in home.root.glob("registry.db*"):
        path.unlink()
    capsys.readouterr()
    assert invoke([*add, str(tmp_path / "New.csv")]) == 1
    assert "lacks 2 imported scores" in capsys.readouterr().err
    assert file.read_bytes() == content
    assert rebuild(maker.catalog, home).losses == []
    assert differences(rows_of(home.registry_url), before) == {}
    assert invoke([*add, str(tmp_path / "New.csv")]) == 0
    assert len(json.loads(file.read_text())["baselines"]) == 4
    store = Store(home.registry_url)
    store.remove_baselines("Other")  # as another member of a team does
    mirror_baselines(store, home)
    store.close()
    (aside,) = home.runs.glob("baselines.json.damaged-*")
    assert len(json.loads(aside.read_text())["baselines"]) == 4


def test_a_study_that_a_new_registry_lacks_is_not_made_again(program: Program, home: Home) -> None:
    assert program(*STUDY, "--trials", "1").code == 0
    (file,) = (home.runs / "studies").glob("*.json")
    content = file.read_bytes()
    for path in home.root.glob("registry.db*"):
        path.unlink()
    again = program(*STUDY, "--trials", "1")
    assert again.code == 1
    assert "`rlvit registry rebuild` adds it" in again.err
    assert file.read_bytes() == content


def test_a_study_that_differs_is_refused(maker: Maker, home: Home) -> None:
    maker.make_study()
    store = Store(home.registry_url)
    (file,) = (home.runs / "studies").glob("*.json")
    assert restore_study(store, file) is False
    _change(file, lambda whole: whole["of"][0].update(reason="other"))
    with pytest.raises(RlvitError, match=r"a study .* with other content"):
        restore_study(store, file)
    _change(file, lambda whole: whole["of"][0].update(number="0"))
    with pytest.raises(RlvitError, match="number is '0', expected a whole number"):
        restore_study(store, file)
    store.close()


def test_a_study_goes_on_though_worker_and_registry_were_lost(
    program: Program, home: Home, toy: Catalog
) -> None:
    assert program(*STUDY, "--trials", "2", TOY_AT="25:SIGKILL").code == -9
    for path in home.root.glob("registry.db*"):
        path.unlink()
    rebuilt = rebuild(toy, home)
    assert (rebuilt.problems, rebuilt.counts["studies"]) == ([], 1)
    (trial,) = trials_of(home.root)
    assert (trial.state, list(trial.runs.values())) == ("running", list(runs_of(home.root)))
    assert program("tune", "resume", "latest").code == 0
    check_whole(home.root, count=2, killed=0)


def test_in_postgresql_each_home_adds_its_runs(
    maker: Maker, home: Home, server: str, tmp_path: Path
) -> None:
    maker.run("2:fail", values={"steps": 1500, "checkpoint_every": 700})
    before = rows_of(home.registry_url)
    there = Home.locate(home.root, server)
    assert rebuild(maker.catalog, there).problems == []
    assert differences(rows_of(server), before) == {}
    again = rebuild(maker.catalog, there)
    assert (again.added, again.problems) == (0, [])
    assert again.notes == ["1 runs were there already and stay as they are"]
    assert differences(rows_of(server), before) == {}
    other = tmp_path / "other"  # another member's home, whose registry was lost as well
    shutil.copytree(home.root, other)
    (old,) = (folder.parent for folder in other.glob("runs/*/run.json"))
    new = old.with_name("toy-alpha-s7-abcdefgh")
    old.rename(new)
    _change(new / "run.json", lambda whole: whole.update(id=new.name))
    second = rebuild(maker.catalog, Home.locate(other, server))
    assert (second.added, second.problems, second.counts["runs"]) == (1, [], 2)
    maker.home = there  # the numbers that the server gives go on behind those that are there
    assert maker.run(seed=1).state == "completed"


def test_the_page_says_how_to_ask_why_runs_were_resumed(
    maker: Maker, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "registry.md").read_text()
    statement = page.partition("-- runs that were resumed, and why\n")[2].partition("```")[0]
    first = maker.run("5:fail")
    assert maker.resume(first.id).state == "completed"
    maker.run("5:fail", seed=1)  # which was not resumed
    capsys.readouterr()
    words = ["registry", "query", statement, "--format", "json"]
    assert invoke(["--home", str(home.root), *words]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["run"], row["attempt"], row["ended"]) == (first.id, 1, "failed")
    assert row["reason"]


def test_nothing_is_made_where_nothing_is(home: Home, toy: Catalog) -> None:
    with pytest.raises(UsageProblem, match="there is no folder"):
        rebuild(toy, home)
    assert not _path(home).exists()
