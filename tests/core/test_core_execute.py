"""A run's life, from its start to every kind of end, in processes that are really killed."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from toy_program import Done, Program, add_plugin, until

from rlvit.catalog import Catalog
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.database import open_database
from rlvit.registry.records import RunRecord
from rlvit.registry.store import Store
from rlvit.runs import cost, execute, provenance
from rlvit.runs.display import Silent
from rlvit.runs.ending import sweep
from rlvit.runs.folder import STREAMS, RunFolder
from rlvit.runs.plan import Plan, Request, make_plan

STEPS = 24  # of the preset `quick`
OF_THE_MACHINE = ("attempt", "time", "toy/speed")


def _record(home: Path, text: str = "latest") -> RunRecord:
    engine = open_database(f"sqlite:///{home / 'registry.db'}")
    try:
        return queries.find_run(engine, text)
    finally:
        engine.dispose()


def _rows(home: Path, table: str) -> list[dict[str, Any]]:
    with sqlite3.connect(home / "registry.db") as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]


def _kept(program: Program) -> Path:
    """Return where the end of the run is kept until all know it."""
    return _folder(program.home) / "ending.json"


def _check_end_is_known(program: Program) -> None:
    """Check that registry and folder agree that the run has completed, with all it recorded."""
    assert _record(program.home).state == "completed"
    folder = _folder(program.home)
    assert json.loads((folder / "run.json").read_text())["state"] == "completed"
    assert not list((folder / "checkpoint").iterdir())
    assert not _kept(program).exists()
    assert not list((program.home / "runs" / ".endings").iterdir())
    points = [row for row in _rows(program.home, "point") if row["metric"] == "toy/weight"]
    assert len(points) == STEPS
    assert {row["metric"] for row in _rows(program.home, "result")} == {"toy/score", "toy/length"}
    assert [row["role"] for row in _rows(program.home, "lineage")] == ["made"]


def _folder(home: Path) -> Path:
    (folder,) = [path.parent for path in (home / "runs").glob("*/run.json")]
    return folder


def _story(home: Path) -> dict[str, Any]:
    """Return all of a run that must not depend on whether it was ever stopped."""
    folder = RunFolder(_folder(home))
    story: dict[str, Any] = {
        stream: [
            {key: value for key, value in line.items() if key not in OF_THE_MACHINE}
            for _, line in folder.read_live(stream)
        ]
        for stream in STREAMS
    }
    story["weights"] = np.load(folder.path / "weights.npy").tobytes()
    for table in ("point", "result", "episode"):
        left_out = {"run_id", "attempt", "row", "at", "superseded"}
        live = [
            {key: value for key, value in row.items() if key not in left_out}
            for row in _rows(home, table)
            if not row["superseded"] and row.get("metric") != "toy/speed"
        ]
        story[f"table {table}"] = sorted(live, key=json.dumps)
    return story


@pytest.fixture(scope="module")
def unbroken(
    tmp_path_factory: pytest.TempPathFactory, bare_site: Path, toy_site: Path
) -> dict[str, Any]:
    """Return the story of a run that was never stopped."""
    program = Program(tmp_path_factory.mktemp("unbroken"), [bare_site, toy_site])
    done = program.run()
    assert done.code == 0, done.err
    return _story(program.home)


def test_a_completed_run_is_whole(program: Program) -> None:
    done = program.run("--seed", "3", "--tag", "trial=1", "--note", "a note", "--name", "mine")
    assert done.code == 0, done.err
    record = _record(program.home)
    assert (record.state, record.attempt, record.seed, record.name) == ("completed", 1, 3, "mine")
    assert record.note == "a note"
    assert record.tags == {"trial": "1"}
    assert record.seconds > 0
    assert record.provenance["threads"] == 1
    assert "--seed 3" in record.provenance["command"]
    folder = _folder(program.home)
    written = json.loads((folder / "run.json").read_text())
    assert written["tags"] == {"trial": "1"}
    assert written["note"] == "a note"
    assert [move["to_state"] for move in written["transitions"]] == [
        "created",
        "running",
        "completed",
    ]
    assert {result["metric"] for result in written["results"]} == {"toy/score", "toy/length"}
    assert [artifact["kind"] for artifact in written["artifacts"]] == ["table"]
    assert not list((folder / "checkpoint").iterdir())
    assert (folder / "artifacts" / "table" / "table.json").exists()
    assert len(list(RunFolder(folder).read("metrics"))) == STEPS
    points = [row for row in _rows(program.home, "point") if row["metric"] == "toy/weight"]
    assert len(points) == STEPS
    assert "toy/score" in done.out
    assert f"{record.id}: completed" in done.out


def test_two_runs_with_one_seed_are_equal_and_another_seed_differs(
    program: Program, unbroken: dict[str, Any]
) -> None:
    homes = [program.folder / name for name in ("same", "other")]
    running = [
        program.start(*program.command("--seed", str(seed)), home=home)
        for seed, home in enumerate(homes)
    ]
    assert [one.wait().code for one in running] == [0, 0]
    same, other = (_story(home) for home in homes)
    assert same == unbroken
    assert other["weights"] != unbroken["weights"]
    assert other["metrics"] != unbroken["metrics"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_in_a_checkpoint_from_which_the_run_goes_on(
    program: Program, unbroken: dict[str, Any], name: str
) -> None:
    done = program.run(TOY_AT=f"13:{name}")
    assert done.code == 130
    assert "Traceback" not in done.err
    assert f"{name}: stopping with a checkpoint" in done.err
    record = _record(program.home)
    assert record.state == "interrupted"
    newest = max((_folder(program.home) / "checkpoint").glob("*.json"))
    assert json.loads(newest.read_text())["step"] == 13
    again = program("resume", record.id)
    assert again.code == 0, again.err
    assert "going on from learn 13" in again.err
    assert _story(program.home) == unbroken

    record = _record(program.home)
    assert (record.state, record.attempt) == ("completed", 2)


def test_a_signal_from_another_process_stops_the_installed_program(
    tmp_path: Path, bare_site: Path, toy_site: Path, unbroken: dict[str, Any]
) -> None:
    program = Program(tmp_path, [bare_site, toy_site])
    ready, go = tmp_path / "ready", tmp_path / "go"
    waiting = {"TOY_AT": "5:wait", "TOY_READY": str(ready), "TOY_GO": str(go)}
    running = program.start(*program.command(), **waiting)
    until(ready.exists, "the run did not begin")
    running.send(signal.SIGINT)
    log = _folder(program.home) / "log.txt"
    until(lambda: "SIGINT" in log.read_text(), "the run did not hear Ctrl-C")
    go.touch()
    done = running.wait()
    assert done.code == 130
    assert done.errors[-1] == "Stopped."
    assert program("resume", "latest").code == 0
    assert _story(program.home) == unbroken


def test_a_second_signal_stops_at_once_and_the_run_still_goes_on_later(
    program: Program, unbroken: dict[str, Any]
) -> None:
    done = program.run(TOY_AT="13:SIGINT+SIGINT")
    assert done.code == 130
    assert "Traceback" not in done.err
    assert _record(program.home).state == "interrupted"
    again = program("resume", "latest")
    assert again.code == 0, again.err
    assert "going on from learn 10" in again.err
    assert _story(program.home) == unbroken


@pytest.mark.parametrize(
    ("step", "origin"),
    [
        (4, "there is no checkpoint yet"),
        (10, "there is no checkpoint yet"),
        (11, "going on from learn 10"),
        (23, "going on from learn 20"),
        (STEPS + 1, "going on from evaluate 24"),
    ],
)
def test_after_kill_nothing_is_lost_and_the_run_goes_on(
    program: Program, unbroken: dict[str, Any], step: int, origin: str
) -> None:
    count = program.folder / "count"
    done = program.run(TOY_AT=f"{step}:SIGKILL", TOY_COUNT=str(count))
    assert done.code == -signal.SIGKILL
    logged = [int(line) for line in count.read_text().split()]
    assert logged == list(range(1, min(step, STEPS) + 1))
    steps = [line["step"] for _, line in RunFolder(_folder(program.home)).read("metrics")]
    assert steps == logged
    listed = program("runs", "list", "--format", "json")
    (row,) = json.loads(listed.out)
    assert row["state"] == "interrupted"
    assert "its process is gone" in listed.err
    points = [row for row in _rows(program.home, "point") if row["metric"] == "toy/weight"]
    assert [point["step"] for point in points] == logged

    again = program("resume", row["run"], TOY_COUNT=str(count))
    assert again.code == 0, again.err
    assert origin in again.err
    assert _story(program.home) == unbroken
    record = _record(program.home)
    assert (record.state, record.attempt) == ("completed", 2)
    lost = [row for row in _rows(program.home, "point") if row["superseded"]]
    assert all(row["attempt"] == 1 for row in lost)
    kept = 0 if "no checkpoint" in origin else int(origin.split()[-1])
    assert {row["step"] for row in lost} == set(range(kept + 1, min(step, STEPS) + 1))


def test_a_run_killed_twice_is_equal_to_one_that_was_not(
    program: Program, unbroken: dict[str, Any]
) -> None:
    assert program.run(TOY_AT="17:SIGKILL").code == -9
    assert program("resume", "latest", TOY_AT="13:SIGKILL").code == -9
    assert program("resume", "latest", TOY_AT="22:SIGTERM").code == 130
    assert program("resume", "latest").code == 0
    assert _story(program.home) == unbroken
    assert _record(program.home).attempt == 4
    states = [row["to_state"] for row in _rows(program.home, "transition")]
    assert states == ["created", *["running", "interrupted"] * 3, "running", "completed"]


def test_a_truncated_checkpoint_is_said_and_the_one_before_it_is_used(
    program: Program, unbroken: dict[str, Any]
) -> None:
    assert program.run(TOY_AT="23:SIGKILL").code == -9
    newest = max((_folder(program.home) / "checkpoint").glob("*.pt"))
    newest.write_bytes(newest.read_bytes()[:-100])
    again = program("resume", "latest")
    assert again.code == 0, again.err
    assert f"checkpoint {newest.name} is damaged" in again.err
    assert "going on from learn 10" in again.err
    assert _story(program.home) == unbroken


def test_a_failing_method_is_told_in_one_line_and_can_be_resumed(
    program: Program, unbroken: dict[str, Any]
) -> None:
    done = program.run(TOY_AT="15:fail")
    assert done.code == 1
    errors = [line for line in done.errors if line.startswith("Error:")]
    assert len(errors) == 1
    assert "the toy broke" in errors[0]
    assert done.errors[-1] == errors[0], "an error is one line"
    assert "Traceback" not in done.err + done.out
    folder = _folder(program.home)
    assert "Traceback" in (folder / "log.txt").read_text()
    record = _record(program.home)
    assert record.state == "failed"
    assert "the toy broke" in (record.error or "")
    again = program("resume", record.id)
    assert again.code == 0, again.err
    assert _story(program.home) == unbroken
    assert _record(program.home).error is None


def test_a_method_that_exits_is_a_failed_run(program: Program) -> None:
    done = program.run(TOY_AT="15:exit")
    assert done.code == 1
    assert done.errors[-1].startswith("Error: SystemExit: 0")
    assert _record(program.home).state == "failed"


def test_a_plugin_may_stop_a_run_before_it_costs_anything(program: Program) -> None:
    done = program.run(TOY_REFUSE="not today", TOY_COUNT=str(program.folder / "count"))
    assert done.code == 1
    assert done.errors[-1] == "Error: plugin 'toy' stopped the run: not today"
    assert "Traceback" not in done.err
    assert _record(program.home).state == "failed"
    assert not (program.folder / "count").exists()
    assert program("resume", "latest").code == 0


def test_a_plugin_that_fails_while_watching_does_not_stop_a_run(
    program: Program, unbroken: dict[str, Any]
) -> None:
    done = program.run(TOY_DEAF="deaf today")
    assert done.code == 0
    assert "plugin 'toy' failed in rlvit_run_logged: deaf today" in done.err
    assert _story(program.home) == unbroken


def test_another_plugin_that_refuses_is_named(program: Program, tmp_path: Path) -> None:
    source = (
        "from rlvit import hookimpl\n\n\n@hookimpl\ndef rlvit_run_started(run):\n"
        "    raise RuntimeError(f'no {run.task} for {run.method}')\n"
    )
    add_plugin(tmp_path / "extra", "guard", source)
    strict = Program(tmp_path, [*program.sites, tmp_path / "extra"])
    done = strict.run()
    assert done.code == 1
    assert done.errors[-1] == "Error: plugin 'guard' stopped the run: no Alpha for toy"


def test_a_completed_run_cannot_be_resumed(program: Program) -> None:
    assert program.run().code == 0
    before = sorted(path.stat().st_mtime_ns for path in _folder(program.home).rglob("*"))
    done = program("resume", "latest")
    assert done.code == 1
    assert len(done.errors) == 1
    assert "is completed: there is nothing to resume" in done.err
    after = sorted(path.stat().st_mtime_ns for path in _folder(program.home).rglob("*"))
    assert after == before


def test_of_several_resumes_at_once_exactly_one_wins(
    program: Program, unbroken: dict[str, Any]
) -> None:
    assert program.run(TOY_AT="17:SIGKILL").code == -9
    outcomes: list[Done] = [
        one.wait() for one in [program.start("resume", "latest") for _ in range(4)]
    ]
    codes = sorted(done.code for done in outcomes)
    assert codes == [0, 1, 1, 1], [done.err for done in outcomes]
    for done in outcomes:
        if done.code:
            assert "Traceback" not in done.err
            assert done.errors[-1].startswith("Error: run toy-")
    assert _story(program.home) == unbroken
    assert _record(program.home).attempt == 2


def _plan(catalog: Catalog, **more: Any) -> Plan:
    known: dict[str, Any] = {"preset": "quick", "device": "cpu", "threads": 1}
    return make_plan(catalog, Request(plugin="toy", task="Alpha", **{**known, **more}))


def test_a_sweep_does_not_end_an_attempt_that_began_while_it_looked(
    program: Program, toy: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program.run(TOY_AT="17:SIGKILL").code == -9
    home = Home.locate(program.home)
    first, second = Store(home.registry_url), Store(home.registry_url)
    real = provenance.is_alive
    living = provenance.process_identity()
    resumed: list[int] = []

    def meanwhile(*arguments: Any) -> bool:
        """Let another process sweep and resume the run between the look and the move."""
        monkeypatch.setattr(provenance, "is_alive", real)
        dead = real(*arguments)
        for run_id in sweep(toy, home, second):
            resumed.append(second.move(run_id, "running", process=living))
        return dead

    monkeypatch.setattr(provenance, "is_alive", meanwhile)
    sweep(toy, home, first)
    state = queries.find_run(first.engine, "latest").state
    assert state == ("running" if resumed else "interrupted")
    for store in (first, second):
        store.close()


def test_two_runs_at_once_in_one_home_share_the_artifact(program: Program) -> None:
    builds = program.folder / "builds"
    running = [
        program.start(*program.command("--seed", str(seed)), TOY_BUILDS=str(builds))
        for seed in range(3)
    ]
    for one in running:
        done = one.wait()
        assert done.code == 0, done.err
    assert len(builds.read_text().split()) == 1
    assert {row["state"] for row in _rows(program.home, "run")} == {"completed"}
    assert len(_rows(program.home, "experiment")) == 1
    assert len(_rows(program.home, "artifact")) == 1
    roles = sorted(row["role"] for row in _rows(program.home, "lineage"))
    assert roles == ["made", "used", "used"]


def test_a_run_of_a_changed_plugin_is_not_resumed(program: Program, tmp_path: Path) -> None:
    import shutil

    bare, toy = program.sites
    site = tmp_path / "changed"
    shutil.copytree(toy, site)
    changed = Program(tmp_path, [bare, site])
    assert changed.run(TOY_AT="17:SIGKILL").code == -9
    plugin = site / "rlvit_toy" / "plugin.py"
    plugin.write_text(plugin.read_text().replace('{"episodes": 2, "size": 3}', '{"episodes": 3}'))
    done = changed("resume", "latest")
    assert done.code == 1
    assert "cannot be resumed with the same meaning" in done.errors[-1]
    assert _record(program.home).state == "interrupted"


def test_a_run_without_its_folder_is_refused_in_one_line(program: Program) -> None:
    import shutil

    assert program.run(TOY_AT="17:SIGTERM").code == 130
    shutil.rmtree(_folder(program.home))
    done = program("resume", "latest")
    assert done.code == 1
    assert len(done.errors) == 1
    assert "has no folder" in done.err


def test_a_run_in_this_process_reports_its_outcome(toy: Catalog, home: Home) -> None:
    outcome = execute.start(toy, home, _plan(toy, seed=5, tags={"a": "b"}), Silent())
    assert outcome.state == "completed"
    assert outcome.error is None
    assert [result.metric for result in outcome.results] == ["toy/score", "toy/length"]
    assert outcome.folder.is_dir()
    assert json.loads((outcome.folder / "run.json").read_text())["tags"] == {"a": "b"}


def test_a_run_outside_the_main_thread_leaves_signals_alone(toy: Catalog, home: Home) -> None:
    import threading

    before = signal.getsignal(signal.SIGINT)
    outcomes = []
    thread = threading.Thread(
        target=lambda: outcomes.append(execute.start(toy, home, _plan(toy), Silent()))
    )
    thread.start()
    thread.join()
    assert outcomes[0].state == "completed"
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_in_the_registry_while_a_run_ends_leaves_no_traceback(program: Program) -> None:
    waiting = {"TOY_READY": str(program.folder / "ready"), "TOY_GO": str(program.folder / "go")}
    running = program.start(*program.command(), TOY_AT="5:wait", **waiting)
    until(Path(waiting["TOY_READY"]).exists, "the run did not begin")
    with sqlite3.connect(program.home / "registry.db") as connection:
        connection.execute("ALTER TABLE run RENAME TO away")
    Path(waiting["TOY_GO"]).touch()
    done = running.wait()
    assert done.code != 0
    assert "Traceback" not in done.err
    with sqlite3.connect(program.home / "registry.db") as connection:
        connection.execute("ALTER TABLE away RENAME TO run")
    assert _kept(program).exists()
    assert program("runs", "list").code == 0
    _check_end_is_known(program)


def test_the_installed_program_runs_and_stops_like_the_module(
    tmp_path: Path, bare_site: Path, toy_site: Path
) -> None:
    import os

    environment = {
        **os.environ,
        "PYTHONPATH": f"{bare_site}{os.pathsep}{toy_site}",
        "RLVIT_HOME": str(tmp_path / "home"),
        "TOY_AT": "7:SIGTERM",
    }
    script = Path(sys.executable).with_name("rlvit")
    done = subprocess.run(
        [script, *Program.command()],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "Stopped."
    assert _record(tmp_path / "home").state == "interrupted"


def test_a_run_whose_folder_is_removed_meanwhile_has_failed(program: Program) -> None:
    import shutil

    waiting = {"TOY_READY": str(program.folder / "ready"), "TOY_GO": str(program.folder / "go")}
    running = program.start(
        *program.command("--checkpoint-every", "1000"), TOY_AT="5:wait", **waiting
    )
    until(Path(waiting["TOY_READY"]).exists, "the run did not begin")
    shutil.rmtree(_folder(program.home))
    Path(waiting["TOY_GO"]).touch()
    done = running.wait()
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "of this run is gone" in done.errors[-1]
    assert _record(program.home).state == "failed"
    assert not list((program.home / "runs").glob("toy-*"))


def test_a_process_of_another_boot_or_time_is_dead() -> None:
    whole, now = provenance.process_identity(), time.time()
    assert provenance.is_alive(whole, None, now)
    assert not provenance.is_alive({**whole, "boot_id": "another"}, now, now)
    assert not provenance.is_alive({**whole, "age_of_boot": whole["age_of_boot"] - 60}, now, now)
    identity = {key: whole[key] for key in ("host", "boot", "pid", "started")}  # as once written
    assert provenance.is_alive({**identity, "boot": identity["boot"] + 1.5}, None, now)
    assert not provenance.is_alive({**identity, "boot": identity["boot"] - 60}, now, now)
    assert not provenance.is_alive({**identity, "started": identity["started"] - 60}, now, now)
    assert not provenance.is_alive({}, now, now + 1e6)
    elsewhere = {**identity, "host": "elsewhere", "boot": 0.0}
    assert provenance.is_alive(elsewhere, now - 60, now)
    assert not provenance.is_alive(elsewhere, now - 6000, now)
    assert provenance.is_alive(elsewhere, now + 3600, now), "its clock, or ours, was set"


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
def test_a_clock_that_is_set_makes_no_process_dead(
    monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    identity = provenance.process_identity()
    boot, create = psutil.boot_time, psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot() + by)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create(self) + by)
    assert provenance.is_alive(identity, None, time.time() + by)


def test_threads_beyond_the_processors_do_not_make_a_run_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cost, "_seconds", lambda matrix: 0.5)
    monkeypatch.setattr("rlvit.runs.plan.resolve_threads", lambda threads: 4)
    speeds = [cost.device_speed("cpu", threads) for threads in (1, 2, 4, 64)]
    assert [speed / speeds[0] for speed in speeds] == [1, 2, 4, 4]
