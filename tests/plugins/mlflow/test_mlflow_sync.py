"""`rlvit mlflow sync` writes what MLflow missed, once, and leaves what it has."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest

import rlvit
from rlvit.cli.main import invoke
from rlvit_mlflow import content
from rlvit_mlflow.store import artifact_root, tracking_uri

CHANGING = ("written_at", "heartbeat_at", "folder", "seconds")  # of run.json, at each copy


@pytest.fixture
def sync(
    toy_alone: None, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[str], str]]:
    """The command as a function: it returns the exit code, the lines and the errors."""

    def call(home: Path, *words: str) -> tuple[int, list[str], str]:
        capsys.readouterr()
        code = invoke(["--home", str(home), "mlflow", "sync", *words])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    return call


def client_of(home: Path) -> Any:
    """A client of a home's store."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri(home))


def runs_of(home: Path) -> list[Any]:
    """Every run of a home's store, headings included."""
    client = client_of(home)
    names = [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
    return list(client.search_runs(names)) if names else []


def shown(home: Path) -> dict[str, Any]:
    """MLflow's runs by the runs that they show."""
    found = runs_of(home)
    headless = [run for run in found if content.ID in run.data.tags]
    by_id = {run.data.tags[content.ID]: run for run in headless}
    assert len(by_id) == len(headless)  # none twice
    return by_id


def points(home: Path, run: Any) -> dict[str, list[tuple[int, int, float]]]:
    """Every point of a run: step, time and value."""
    client = client_of(home)
    return {
        name: sorted(
            (p.step, p.timestamp, p.value) for p in client.get_metric_history(run.info.run_id, name)
        )
        for name in run.data.metrics
    }


def files(home: Path, run: Any) -> dict[str, object]:
    """Every file that MLflow has of a run; what changes with each copy of run.json is left out."""
    root = Path(unquote(run.info.artifact_uri.removeprefix("file://")))
    assert root.is_relative_to(artifact_root(home))
    found: dict[str, object] = {}
    for path in root.rglob("*"):
        if path.is_file():
            found[path.relative_to(root).as_posix()] = path.read_bytes()
    record = json.loads(found["run.json"])
    found["run.json"] = {k: v for k, v in record.items() if k not in CHANGING}
    return found


def exported(home: Path) -> dict[str, dict[str, Any]]:
    """All that MLflow shows of a home's runs, without ids of MLflow's own."""
    client, found = client_of(home), runs_of(home)
    names = {run.info.run_id: run.info.run_name for run in found}
    whole = {}
    for run in found:
        tags = {k: v for k, v in run.data.tags.items() if k != "mlflow.parentRunId"}
        experiment = client.get_experiment(run.info.experiment_id)
        sets = [
            (i.dataset.name, i.dataset.digest, i.tags[0].value) for i in run.inputs.dataset_inputs
        ]
        whole[run.info.run_name] = {
            "experiment": (experiment.name, experiment.tags),
            "status": run.info.status,
            "times": (run.info.start_time, run.info.end_time),
            "user": run.info.user_id,
            "tags": tags,
            "parent": names.get(run.data.tags.get("mlflow.parentRunId")),
            "params": run.data.params,
            "latest": run.data.metrics,
            "points": points(home, run),
            "datasets": sorted(sets),
            "files": files(home, run) if content.ID in tags else {},
        }
    assert len(whole) == len(found)
    return whole


def test_a_synced_run_equals_one_that_was_logged_as_it_ran(
    tracked: Any, unshown: Any, sync: Callable[..., Any]
) -> None:
    live = exported(tracked.home)
    code, lines, _ = sync(unshown.home)
    assert (code, lines[-1]) == (0, "6 runs looked at, 6 written, 0 were whole")
    assert [line.partition(":")[0] for line in lines[:-1]] == unshown.all
    synced = exported(unshown.home)
    assert synced.keys() == live.keys() == {*tracked.all, "toy-1a2b"}
    for name in synced:
        for what in synced[name]:
            if name == tracked.resumed and what in ("points", "latest"):
                continue  # below
            assert synced[name][what] == live[name][what], (name, what)
    assert {synced[name]["parent"] for name in tracked.trials} == {"toy-1a2b"}
    assert [live[n]["status"] for n in tracked.all] == [
        *["FINISHED"] * 3,
        *("FAILED", "FINISHED", "KILLED"),
    ]
    again = exported(unshown.home)
    assert sync(unshown.home)[1] == ["6 runs looked at, 0 written, 6 were whole: nothing to do"]
    assert exported(unshown.home) == again


def test_what_a_resumed_run_made_again_is_shown_once(
    tracked: Any, unshown: Any, sync: Callable[..., Any]
) -> None:
    sync(unshown.home, unshown.resumed)
    live = exported(tracked.home)[tracked.resumed]["points"]
    synced = exported(unshown.home)[tracked.resumed]["points"]
    assert synced.keys() == live.keys()
    for name in live.keys() - {"toy/speed"}:  # a clock
        assert [(s, v) for s, _, v in synced[name]] == [(s, v) for s, _, v in live[name]], name
    assert [step for step, _, _ in synced["toy/weight"]] == list(range(1, 25))


def test_a_live_store_has_nothing_missing_also_in_a_copy_of_its_home(
    tracked: Any, tmp_path: Path, sync: Callable[..., Any], make_run: Callable[..., str]
) -> None:
    home = tmp_path / "with a space"
    shutil.copytree(tracked.home, home, ignore=shutil.ignore_patterns(".locks"))
    live = exported(tracked.home)
    assert sync(home)[1] == ["6 runs looked at, 0 written, 6 were whole: nothing to do"]
    assert exported(home) == live  # whose files are those of the copy
    lines = sync(home, "--thorough")[1]
    assert lines == ["6 runs looked at, 0 written, 6 were whole: nothing to do"]
    assert exported(tracked.home) == live
    new = make_run(home, 6)
    assert "metrics.jsonl" in files(home, shown(home)[new])


def test_a_dry_run_says_what_is_missing_and_makes_nothing(
    tracked: Any, copied: Any, sync: Callable[..., Any]
) -> None:
    live = exported(tracked.home)[tracked.plain]
    code, lines, _ = sync(copied.home, "--dry-run")
    assert code == 0
    assert lines[-1] == "6 runs looked at, 6 would be written, 0 were whole"
    counts = (len(live["params"]), 3 * 24 + 2, len(live["files"]))
    expected = "the whole run, {} params, {} points, 14 tags, 1 dataset, {} files".format(*counts)
    assert lines[0] == f"{copied.plain}: {expected}"
    assert not (copied.home / "runs" / "mlflow.db").exists()
    assert not (copied.home / "runs" / "mlartifacts").exists()


@pytest.fixture
def breaking(toy_alone: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Break off, like Ctrl-C, in front of or behind the n-th write into MLflow."""
    from mlflow import MlflowClient

    left = {"calls": 0, "behind": False}

    def guard(name: str) -> None:
        plain = getattr(MlflowClient, name)

        def call(*arguments: Any, **more: Any) -> Any:
            left["calls"] -= 1
            if left["calls"] == 0 and not left["behind"]:
                raise KeyboardInterrupt
            done = plain(*arguments, **more)
            if left["calls"] == 0:
                raise KeyboardInterrupt
            return done

        monkeypatch.setattr(MlflowClient, name, call)

    for name in (
        *("create_experiment", "create_run", "log_batch", "log_inputs", "log_artifact"),
        *("set_terminated", "set_tag"),
    ):
        guard(name)
    return left


@pytest.mark.parametrize("behind", [False, True])
def test_what_was_broken_off_is_completed_without_doubles(
    tracked: Any, unshown: Any, sync: Callable[..., Any], breaking: Any, behind: bool
) -> None:
    live = exported(tracked.home)[tracked.plain]
    breaking["behind"], code, tries = behind, 130, 0
    while code == 130:  # each try comes one write further, wherever it begins
        tries += 1
        breaking["calls"] = 1 + tries % 3
        code, _, _ = sync(unshown.home, unshown.plain)
        assert tries < 40
    assert (code, tries > 5) == (0, True)
    breaking["calls"] = 0
    synced = exported(unshown.home)
    assert synced[tracked.plain] == live
    assert len(synced) == 1


def test_holes_and_lost_ends_are_filled(unshown: Any, sync: Callable[..., Any]) -> None:
    sync(unshown.home)
    before = exported(unshown.home)
    ids = {name: run.info.run_id for name, run in shown(unshown.home).items()}
    lost = shown(unshown.home)[unshown.plain].info.artifact_uri.removeprefix("file://")
    with sqlite3.connect(unshown.home / "runs" / "mlflow.db") as connection:
        for name in (unshown.plain, unshown.failed):
            key = (ids[name],)
            connection.execute("DELETE FROM metrics WHERE run_uuid = ? AND step IN (3, 24)", key)
            connection.execute("DELETE FROM tags WHERE run_uuid = ? AND key LIKE 'rlvit.%s%'", key)
            connection.execute("DELETE FROM params WHERE run_uuid = ? AND key = 'seed'", key)
            connection.execute("DELETE FROM tags WHERE run_uuid = ? AND key = 'rlvit.whole'", key)
            connection.execute(
                "UPDATE runs SET status = 'RUNNING', end_time = NULL WHERE run_uuid = ?", key
            )
    shutil.rmtree(Path(lost) / "artifacts")
    code, lines, _ = sync(unshown.home)
    assert (code, lines[-1]) == (0, "6 runs looked at, 2 written, 4 were whole")
    assert lines[0].startswith(f"{unshown.plain}: its end, 1 param, 8 points, ")
    assert lines[0].endswith(", 2 files")
    assert exported(unshown.home) == before


def test_a_thorough_look_finds_what_was_taken_behind_the_mark(
    unshown: Any, sync: Callable[..., Any]
) -> None:
    sync(unshown.home)
    before = exported(unshown.home)
    run = shown(unshown.home)[unshown.plain]
    Path(run.info.artifact_uri.removeprefix("file://"), "metrics.jsonl").unlink()
    assert sync(unshown.home)[1] == ["6 runs looked at, 0 written, 6 were whole: nothing to do"]
    lines = sync(unshown.home, "--thorough")[1]
    assert lines == [f"{unshown.plain}: 1 file", "6 runs looked at, 1 written, 5 were whole"]
    assert exported(unshown.home) == before


def test_tags_and_notes_that_were_changed_later_arrive(
    unshown: Any, sync: Callable[..., Any]
) -> None:
    sync(unshown.home)
    home = str(unshown.home)
    assert invoke(["--home", home, "runs", "tag", unshown.plain, "new=1", "--remove", "group"]) == 0
    assert invoke(["--home", home, "runs", "note", unshown.plain, "Because."]) == 0
    lines = sync(unshown.home)[1]
    assert lines == [
        f"{unshown.plain}: 2 tags, 1 old tag, 1 file",
        "6 runs looked at, 1 written, 5 were whole",
    ]
    run = shown(unshown.home)[unshown.plain]
    assert run.data.tags["tag.new"] == "1"
    assert run.data.tags["mlflow.note.content"] == "Because."
    assert "tag.group" not in run.data.tags
    assert files(unshown.home, run)["run.json"]["tags"] == {"new": "1", "odd, key": ""}
    assert sync(unshown.home)[1][-1].endswith("nothing to do")


def test_a_description_that_was_written_in_mlflow_stays(
    unshown: Any, sync: Callable[..., Any]
) -> None:
    sync(unshown.home)
    client, run = client_of(unshown.home), shown(unshown.home)[unshown.plain]
    client.set_tag(run.info.run_id, "mlflow.note.content", "Seen in the UI.")
    client.set_tag(run.info.run_id, "reviewed", "yes")
    invoke(["--home", str(unshown.home), "runs", "note", unshown.plain, "Because."])
    assert sync(unshown.home)[1][-1].endswith("nothing to do")
    assert sync(unshown.home, "--thorough")[1][0] == f"{unshown.plain}: 1 file"  # run.json
    tags = shown(unshown.home)[unshown.plain].data.tags
    assert (tags["mlflow.note.content"], tags["reviewed"]) == ("Seen in the UI.", "yes")


def test_runs_under_way_archived_gone_or_deleted_are_left(
    unshown: Any, sync: Callable[..., Any]
) -> None:
    home = unshown.home
    assert invoke(["--home", str(home), "runs", "archive", unshown.trials[0]]) == 0
    shutil.rmtree(home / "runs" / unshown.failed)
    sync(home, unshown.stopped)
    client_of(home).delete_run(shown(home)[unshown.stopped].info.run_id)
    registry = rlvit.Registry(home)
    with registry.hold(unshown.plain):
        code, lines, _ = sync(home)
    registry.close()
    assert code == 0
    assert lines[-1] == (
        "5 runs looked at, 2 written, 0 were whole, 1 under way, left to its process, "
        "1 without a folder in this home, 1 deleted in MLflow"
    )
    assert shown(home).keys() == {unshown.trials[1], unshown.resumed}
    sync(home, unshown.trials[0], unshown.stopped, unshown.stopped)  # as asked for
    assert shown(home).keys() == {*unshown.trials, unshown.resumed, unshown.stopped}


def test_two_at_once_take_turns(unshown: Any, toy_site: Path) -> None:
    paths = [str(toy_site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    program = "import sys; from rlvit.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, "--home", str(unshown.home), "mlflow", "sync"]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    last = sorted(process.communicate()[0].splitlines()[-1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert last == [
        "6 runs looked at, 0 written, 6 were whole: nothing to do",
        "6 runs looked at, 6 written, 0 were whole",
    ]
    assert shown(unshown.home).keys() == set(unshown.all)
    assert len(runs_of(unshown.home)) == 7  # and one heading


def test_a_server_that_is_not_there_is_one_line(
    copied: Any, sync: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    code, lines, err = sync(copied.home)
    assert (code, lines) == (1, [])
    wrong = "MLflow at http://127.0.0.1:9 cannot be used: the server does not answer."
    assert err == f"Error: {wrong}\n"


def test_a_name_that_no_run_has_is_refused(unshown: Any, sync: Callable[..., Any]) -> None:
    code, lines, err = sync(unshown.home, "nobody")
    assert (code, lines) == (2, [])
    assert "unknown run 'nobody'" in err


def test_known_points_are_used_up_one_by_one() -> None:
    from mlflow.entities import Metric

    has = [Metric("a", 1.0, 10, 5), Metric("a", 1.0, 99, 5), Metric("a", 2.0, 20, 6)]
    again, result = Metric("a", 1.5, 50, 5), Metric("a", 1.0, 99, 5)
    new = Metric("b", 1.0, 10, 5)
    known = content.Known(has)
    assert known.lacking([again, result, new]) == [new]  # `again` stands for the one at 10
    assert known.lacking([Metric("a", 3.0, 30, 6)], same_value=True) != []
    assert known.lacking([Metric("a", 2.0, 30, 6)], same_value=True) == []
    assert known.lacking([Metric("a", 2.0, 30, 6)]) != []  # used up


def test_a_run_whose_clock_was_set_back_ends_no_earlier_than_it_began() -> None:
    run: Any = SimpleNamespace(started_at=2_000.5, ended_at=1_000.0)
    assert (content.began(run), content.ended(run)) == (2_000_500, 2_000_500)
    later: Any = SimpleNamespace(started_at=2_000.5, ended_at=2_001.25)
    assert content.ended(later) == 2_001_250
