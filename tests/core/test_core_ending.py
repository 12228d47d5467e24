"""A run's end is not lost: not by an outage, a full disk, a signal or a kill in its midst."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from toy_program import Program, Running, add_plugin, until

from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.store import NewRun, Store
from rlvit.runs import ending
from rlvit.runs.folder import RunFolder

STEPS = 24  # of the preset `quick`
# Does what the file HURT holds when the run begins or ends, and writes down the states it is told.
WITNESS = """
import os, signal, sqlite3
from pathlib import Path
from rlvit import hookimpl


def hurt(when, run):
    path = Path(os.environ["HURT"])
    words = path.read_text().split() if path.exists() else []
    if words[:1] == [when]:
        path.unlink()
        for word in words[1:]:
            if word.startswith("SIG"):
                os.kill(os.getpid(), getattr(signal, word))
            else:
                with sqlite3.connect(run.home / "registry.db") as connection:
                    connection.execute(f"ALTER TABLE {word} RENAME TO away")


@hookimpl
def rlvit_run_started(run):
    hurt("started", run)


@hookimpl
def rlvit_run_ended(run):
    with open(os.environ["TOLD"], "a") as file:
        file.write(run.state + chr(10))
    hurt("ended", run)
"""


@pytest.fixture
def watched(program: Program, tmp_path: Path) -> Program:
    """Return the program with a plugin that hurts and hears."""
    add_plugin(tmp_path / "extra", "witness", WITNESS)
    files = {"HURT": str(tmp_path / "hurt"), "TOLD": str(tmp_path / "told")}
    return Program(tmp_path, [*program.sites, tmp_path / "extra"], files)


def _hurt(program: Program, what: str) -> None:
    Path(program.environment["HURT"]).write_text(what)


def _told(program: Program) -> list[str]:
    return Path(program.environment["TOLD"]).read_text().split()


def _folder(home: Path) -> Path:
    (folder,) = [path.parent for path in (home / "runs").glob("*/run.json")]
    return folder


def _rows(home: Path, table: str) -> list[dict[str, Any]]:
    with sqlite3.connect(home / "registry.db") as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]


def _restore(home: Path, table: str) -> None:
    with sqlite3.connect(home / "registry.db") as connection:
        connection.execute(f"ALTER TABLE away RENAME TO {table}")


def _check_completed(home: Path, folder: Path | None = None) -> None:
    """Check that the registry and the folder agree, have everything, and that nothing is kept."""
    folder = folder or _folder(home)
    (run,) = _rows(home, "run")
    assert (run["state"], run["attempt"], run["error"]) == ("completed", 1, None)
    assert run["seconds"] > 0
    written = json.loads((folder / "run.json").read_text())
    assert written["state"] == "completed"
    assert not list((folder / "checkpoint").iterdir())
    assert not (folder / "ending.json").exists()
    assert ending.untold(Home.locate(home)) == []
    points = [row for row in _rows(home, "point") if row["metric"] == "toy/weight"]
    assert len(points) == STEPS
    assert {row["metric"] for row in _rows(home, "result")} == {"toy/score", "toy/length"}
    assert [row["role"] for row in _rows(home, "lineage")] == ["made"]


@pytest.mark.parametrize("table", ["run", "point", "artifact"])
def test_a_run_completes_while_the_registry_cannot_be_written(watched: Program, table: str) -> None:
    _hurt(watched, f"started {table}")
    done = watched.run()
    assert "Traceback" not in done.err
    assert "the registry cannot be written, the folder goes on" in done.err
    assert done.code == 1
    assert "it is completed, but so far only its folder knows (" in done.errors[-1]
    kept = json.loads((_folder(watched.home) / "ending.json").read_text())
    assert (kept["attempt"], kept["state"], kept["reason"]) == (1, "completed", "")
    assert ending.untold(Home.locate(watched.home)) == [_folder(watched.home).name]
    assert not Path(watched.environment["TOLD"]).exists()
    _restore(watched.home, table)
    assert watched("runs", "list").code == 0
    _check_completed(watched.home)
    ended = [row["at"] for row in _rows(watched.home, "transition")][-1]
    assert ended == kept["at"], "it ended when it ended, not when it was noticed"
    assert _told(watched) == ["completed"]
    assert watched("runs", "list").code == 0
    assert _told(watched) == ["completed"], "once is enough"


def test_a_kill_while_the_trackers_are_told_leaves_nothing_half_done(watched: Program) -> None:
    _hurt(watched, "ended SIGKILL")
    assert watched.run().code == -9
    assert _rows(watched.home, "run")[0]["state"] == "completed"
    assert watched("runs", "list").code == 0
    _check_completed(watched.home)
    assert _told(watched) == ["completed", "completed"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_the_end_is_recorded_is_heard(watched: Program, name: str) -> None:
    _hurt(watched, f"ended {name}")
    done = watched.run()
    assert done.code == 0, done.err
    assert f"{name}: the end of the run is being recorded; once more stops at once" in done.err
    _check_completed(watched.home)


def test_a_second_signal_ends_the_recording_and_the_next_command_goes_on(watched: Program) -> None:
    _hurt(watched, "ended SIGINT SIGINT")
    done = watched.run()
    assert done.code == 130
    assert "Traceback" not in done.err
    assert watched("runs", "list").code == 0
    _check_completed(watched.home)


def test_an_end_that_a_folder_took_elsewhere_is_found_without_its_mark(watched: Program) -> None:
    _hurt(watched, "started run")
    assert watched.run().code == 1
    _restore(watched.home, "run")
    (watched.home / "runs" / ".endings" / _folder(watched.home).name).unlink()
    listed = watched("runs", "list", "--format", "json")
    assert [row["state"] for row in json.loads(listed.out)] == ["completed"]
    assert "its process is gone" not in listed.err
    _check_completed(watched.home)


def test_an_end_of_an_earlier_attempt_means_nothing(watched: Program) -> None:
    assert watched.run(TOY_AT="17:SIGTERM").code == 130
    folder, home = _folder(watched.home), Home.locate(watched.home)
    ending.keep(home, folder.name, ending.Ending(0, "completed", "", 1.0))
    assert watched("runs", "list").code == 0
    assert _rows(watched.home, "run")[0]["state"] == "interrupted"
    assert ending.untold(home) == []


def test_a_torn_ending_is_no_ending(watched: Program) -> None:
    assert watched.run(TOY_AT="17:SIGKILL").code == -9
    folder, home = _folder(watched.home), Home.locate(watched.home)
    ending.keep(home, folder.name, ending.Ending(1, "completed", "", 1.0))
    file = folder / "ending.json"
    file.write_bytes(file.read_bytes()[:20])
    assert "its process is gone" in watched("runs", "list").err
    assert _rows(watched.home, "run")[0]["state"] == "interrupted"
    assert ending.untold(home) == []


@contextmanager
def _at_step_five(program: Program) -> Iterator[Running]:
    """Yield a run that waits at its fifth step, and let it go on afterwards."""
    files = {"TOY_READY": str(program.folder / "ready"), "TOY_GO": str(program.folder / "go")}
    running = program.start(*program.command(), TOY_AT="5:wait", **files)
    until(Path(files["TOY_READY"]).exists, "the run did not begin")
    yield running
    Path(files["TOY_GO"]).touch()


def test_a_log_that_cannot_be_written_stops_no_thread_and_hides_no_end(program: Program) -> None:
    with _at_step_five(program) as running:
        log = _folder(program.home) / "log.txt"
        log.unlink()
        log.symlink_to("/dev/full")
        with sqlite3.connect(program.home / "registry.db") as connection:
            connection.execute("ALTER TABLE point RENAME TO away")
        said = program.folder / "output-0.err"
        until(lambda: "registry cannot be written" in said.read_text(), "nothing was said")
        _restore(program.home, "point")
    done = running.wait()
    assert "Traceback" not in done.err
    assert done.errors[-1] == "Error: OSError: [Errno 28] No space left on device"
    (run,) = _rows(program.home, "run")
    assert (run["state"], run["error"]) == (
        "failed",
        "OSError: [Errno 28] No space left on device",
    )
    points = [row for row in _rows(program.home, "point") if row["metric"] == "toy/weight"]
    assert len(points) == STEPS
    log.unlink()
    assert program("resume", "latest").code == 0


def test_only_the_end_of_the_same_attempt_takes_the_place_of_a_guess(home: Home) -> None:
    home.create()
    store = Store(home.registry_url)
    given: dict[str, Any] = dict.fromkeys(NewRun.__dataclass_fields__, "x")
    maps = ("protocol_settings", "config", "bookkeeping", "slots", "provenance", "tags")
    store.create_run(NewRun(**given | {name: {} for name in maps} | {"id": "r", "seed": 0}))
    assert store.move("r", "running", process={"pid": os.getpid()}) == 1
    store.move("r", "interrupted", "its process is gone")
    for attempt in (None, 0, 2):
        with pytest.raises(RlvitError, match="is interrupted: it cannot become completed"):
            store.move("r", "completed", attempt=attempt)
    store.move("r", "completed", at=5.0, attempt=1)
    record = queries.find_run(store.engine, "r")
    assert (record.state, record.ended_at) == ("completed", 5.0)
    with pytest.raises(RlvitError, match="is completed: it cannot become failed"):
        store.move("r", "failed", attempt=1)
    store.close()


def test_artifacts_are_in_the_folder_too(watched: Program) -> None:
    assert watched.run().code == 0
    ((_, line),) = RunFolder(_folder(watched.home)).read("artifacts")
    (row,) = _rows(watched.home, "artifact")
    assert (line["kind"], line["key"], line["role"]) == ("table", row["key"], "made")
    assert line["sha256"] == row["sha256"]
