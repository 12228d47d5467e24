"""Holds the MLflow side of real runs to what their folders say, and runs to going on without it."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rlvit.contracts import LoggedRow
from rlvit.errors import Interrupted
from rlvit.home import Home
from rlvit.registry.store import Store
from rlvit.runs import execute
from rlvit.runs.folder import RunFolder
from rlvit_mlflow import store as places
from rlvit_mlflow import writer
from rlvit_mlflow.content import KEYS, Sparse
from rlvit_mlflow.store import artifact_root, tracking_uri
from rlvit_mlflow.writer import Writer

BLOCKER = """
import sys

class NoMlflow:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "mlflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoMlflow())
"""
HOLD = """
import sqlite3, sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""

KILLED_WHILE_MAKING = """
import os, signal, sys
from pathlib import Path

from mlflow.store.db import utils
from rlvit_mlflow import store as places

def killed(engine):
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE webhooks (id INTEGER)")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO webhooks VALUES (1)")
        os.kill(os.getpid(), signal.SIGKILL)

utils._upgrade_db = killed
home = Path(sys.argv[1])
places.make_store(home / "runs" / "mlflow.db", places.artifact_root(home))
"""


def client_of(home: Path) -> Any:
    """A client of a home's store."""
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri(home))


def shown(home: Path) -> Any:
    """The only run of a home's store."""
    client = client_of(home)
    experiments = [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
    (run,) = client.search_runs(experiments)
    return run


def curves(home: Path, run: Any) -> dict[str, list[tuple[int, float]]]:
    """Every point that MLflow has of a run, in the order of steps."""
    client = client_of(home)
    return {
        name: sorted((p.step, p.value) for p in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }


def logged(home: Path, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Every point that a run's folder has."""
    found: dict[str, list[tuple[int, float]]] = {}
    for _, line in RunFolder(home / "runs" / run_id).read_live("metrics"):
        for name in line.keys() - {"attempt", "step", "time"}:
            found.setdefault(name, []).append((line["step"], line[name]))
    return found


def stopping_at(step: int) -> Any:
    """What stops a run when its learning has come to a step."""

    def heard(stage: str, done: int) -> None:
        if stage == "learn" and done == step:
            raise Interrupted("stopped by the test")

    return heard


def test_a_completed_run_is_shown_as_its_folder_and_registry_have_it(
    tiny: ModuleType, tracked_home: Path
) -> None:
    catalog = tiny.make_catalog(mlflow=True)
    outcome = tiny.start(
        tracked_home, catalog=catalog, seed=3, note="Why we ran it.", tags={"group": "a", "odd": ""}
    )
    assert outcome.state == "completed", outcome.error

    client, run = client_of(tracked_home), shown(tracked_home)
    (record,) = tiny.runs_of(tracked_home)
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.name == "rlvit/spirl/Breakout"
    assert experiment.artifact_location.startswith(artifact_root(tracked_home).as_uri())
    assert run.info.run_name == record.name
    assert run.info.status == "FINISHED"
    assert run.info.start_time == int(record.started_at * 1000)
    assert run.info.end_time >= run.info.start_time

    tags = run.data.tags
    assert tags["rlvit.run_id"] == outcome.id
    assert tags["rlvit.fingerprint"] == record.fingerprint
    assert tags["rlvit.state"] == "completed"
    assert tags["rlvit.attempts"] == "1"
    assert tags["rlvit.preset"] == "paper"
    assert tags["rlvit.protocol"] == "tiny"
    assert tags["mlflow.note.content"] == "Why we ran it."
    assert (tags["tag.group"], tags["tag.odd"]) == ("a", "yes")
    assert tags.get("mlflow.source.git.commit") == record.git_commit
    dirty = None if record.git_dirty is None else str(record.git_dirty)
    assert tags.get("rlvit.git_dirty") == dirty
    assert "rlvit.values_not_finite" not in tags

    params = run.data.params
    for name, value in record.config.items():
        assert params[name] == str(value), name
    assert (params["seed"], params["protocol"]) == ("3", "tiny")
    assert params["part/selector"] == "mae-salient"
    assert params["protocol/frame_skip"] == "16"

    found, expected = curves(tracked_home, run), logged(tracked_home, outcome.id)
    results = {r.metric: r.value for r in outcome.results}
    assert found.keys() == expected.keys() | results.keys()
    ends = {name: [(tiny.VALUES["steps"], value)] for name, value in results.items()}
    for name, points in found.items():  # a result is the last point of its curve
        assert points == sorted(expected.get(name, []) + ends.get(name, [])), name
    for name, value in results.items():
        assert run.data.metrics[name] == value, name  # the newest value, which MLflow's table shows

    kinds = {i.tags[0].value: i.dataset for i in run.inputs.dataset_inputs}
    assert kinds.keys() == {"frames", "mae"}
    assert kinds["frames"].name == "frames Breakout"

    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"run.json", "metrics.jsonl", "results.jsonl", "episodes.jsonl", "log.txt"} <= files
    assert not files & {"checkpoint", "replay"}
    (copied,) = client.list_artifacts(run.info.run_id, "artifacts/mae")[1:]
    assert copied.path == "artifacts/mae/mae.safetensors"


def test_a_stopped_run_is_killed_and_goes_on_as_the_same_run_without_doubled_points(
    tiny: ModuleType, tracked_home: Path
) -> None:
    catalog = tiny.make_catalog(mlflow=True)
    stopped = tiny.start(tracked_home, tiny.Rehearsal(stopping_at(26)), catalog)
    first = shown(tracked_home)
    assert stopped.state == "interrupted"
    assert (first.info.status, first.data.tags["rlvit.state"]) == ("KILLED", "interrupted")
    assert curves(tracked_home, first) == logged(tracked_home, stopped.id)  # as far as step 25

    outcome = tiny.resume(tracked_home, catalog=catalog)  # from step 18: 20 and 25 are made again
    run = shown(tracked_home)
    assert outcome.id == stopped.id
    assert run.info.run_id == first.info.run_id
    assert run.info.status == "FINISHED"
    assert run.data.tags["rlvit.attempts"] == "2"
    timings = {name for name, metric in catalog.metrics.items() if metric.timing}
    expected = logged(tracked_home, outcome.id)
    for name, points in curves(tracked_home, run).items():
        here = expected.get(name, [])
        assert Counter(points[: len(here)]) == Counter(here) or name in timings, name
        assert [step for step, _ in points][: len(here)] == [step for step, _ in here], name
    assert len(run.inputs.dataset_inputs) == 2


def test_a_failed_run_is_shown_as_failed(tiny: ModuleType, tracked_home: Path) -> None:
    outcome = tiny.start(tracked_home, catalog=tiny.make_catalog(mlflow=True, fail_at=8))
    assert outcome.state == "failed"
    run = shown(tracked_home)
    assert (run.info.status, run.data.tags["rlvit.state"]) == ("FAILED", "failed")
    assert run.data.metrics["select/kept"] > 0


def test_rows_that_mlflow_missed_are_there_after_the_run_was_resumed(
    tiny: ModuleType, tracked_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = tiny.make_catalog(mlflow=True)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "mlflow", None)  # importing it fails
        tiny.start(tracked_home, tiny.Rehearsal(stopping_at(26)), catalog, steps=27)
    outcome = tiny.resume(tracked_home, catalog=catalog)
    assert outcome.state == "completed"
    found = curves(tracked_home, shown(tracked_home))
    expected = logged(tracked_home, outcome.id)["train/loss"]
    assert found["train/loss"] == expected


@pytest.fixture
def locked(tracked_home: Path) -> Iterator[Path]:
    """The store of `tracked_home`, in an exclusive transaction of another process."""
    store = tracked_home / "runs" / "mlflow.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    yield store
    holder.communicate("")
    assert holder.returncode == 0


def test_a_run_goes_on_and_says_so_once_while_another_process_holds_the_store(
    tiny: ModuleType, tracked_home: Path, locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 3.0)  # instead of a minute
    display = tiny.Rehearsal()
    outcome = tiny.start(tracked_home, display, tiny.make_catalog(mlflow=True))
    assert outcome.state == "completed"
    about = [text for text in display.said if "MLflow" in text]
    assert len(about) == 1, display.said
    assert "the run goes on without it" in about[0]
    assert "\n" not in about[0]


def test_a_run_completes_without_mlflow_installed_and_says_so(
    tiny: ModuleType, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = tiny.attempt(home, "start", mlflow=True, steps=14)
    assert done.returncode == 0, done.stdout + done.stderr
    about = [line for line in done.stdout.splitlines() if "MLflow" in line]
    assert about == [
        "MLflow cannot be written (No module named 'mlflow'); the run goes on without it, and "
        "`rlvit mlflow sync` fills it in later."
    ]
    assert not (home / "runs" / "mlflow.db").exists()


def test_two_processes_on_a_fresh_home_end_up_in_one_sound_store(
    tiny: ModuleType, home: Path
) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    commands = [tiny.command(home, "start", mlflow=True, steps=14, seed=seed) for seed in (0, 1)]
    both = [
        subprocess.Popen(c, env=environment, stdout=subprocess.PIPE, text=True) for c in commands
    ]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "MLflow" not in "".join(said)

    client = client_of(home)
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id])
    assert {run.data.params["seed"] for run in runs} == {"0", "1"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    with sqlite3.connect(home / "runs" / "mlflow.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_process_killed_while_it_makes_the_store_spoils_nothing_for_the_next_run(
    tiny: ModuleType, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_MAKING, str(home)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (home / "runs" / ".mlflow.db.making").stat().st_size > 0
    assert not (home / "runs" / "mlflow.db").exists()

    display = tiny.Rehearsal()
    outcome = tiny.start(home, display, tiny.make_catalog(mlflow=True), steps=14)
    assert outcome.state == "completed", outcome.error
    assert not [text for text in display.said if "MLflow" in text]
    assert shown(home).info.status == "FINISHED"
    assert not list((home / "runs").glob(".mlflow.db*"))
    assert b".making" not in (home / "runs" / "mlflow.db").read_bytes()
    default = client_of(home).get_experiment("0")
    assert default.artifact_location == (artifact_root(home) / "0").as_uri()


@pytest.mark.parametrize("left", ["", "-journal"])
def test_what_sqlite_left_of_a_removed_store_is_no_store(
    tiny: ModuleType, home: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    remains = home / "runs" / f"mlflow.db{left}"
    remains.write_bytes(b"of another store" if left else b"")
    assert not places.store_exists(home)
    places.make_store(home / "runs" / "mlflow.db", artifact_root(home))
    assert places.store_exists(home)
    assert client_of(home).get_experiment("0").name == "Default"
    with sqlite3.connect(home / "runs" / "mlflow.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_run_that_loses_the_store_says_so_in_a_line_and_the_next_run_makes_a_new_one(
    tiny: ModuleType,
    tracked_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 36_000.0)  # whoever waits for it never ends
    store = tracked_home / "runs" / "mlflow.db"

    def lose(stage: str, done: int) -> None:
        if (stage, done) == ("learn", 20):
            client = client_of(tracked_home)
            while True:
                every = [e.experiment_id for e in client.search_experiments()]
                if any(run.data.params for run in client.search_runs(every)):
                    break
                time.sleep(0.05)
            store.unlink()

    display = tiny.Rehearsal(lose)
    outcome = tiny.start(tracked_home, display, tiny.make_catalog(mlflow=True))
    assert outcome.state == "completed", outcome.error
    about = [text for text in display.said if "MLflow" in text]
    assert len(about) == 1, display.said
    assert f"MLflow's store {store} is gone" in about[0]
    assert "`rlvit mlflow sync` shows it again later" in about[0]
    printed = "".join(capfd.readouterr())
    assert "Traceback" not in printed
    assert "ERROR" not in printed

    display = tiny.Rehearsal()
    tiny.start(tracked_home, display, tiny.make_catalog(mlflow=True), steps=14, seed=1)
    assert not [text for text in display.said if "MLflow" in text]
    assert (shown(tracked_home).info.status, shown(tracked_home).data.params["seed"]) == (
        "FINISHED",
        "1",
    )


@pytest.fixture
def view(tiny: ModuleType, unbroken: Any, tracked_home: Path) -> Any:
    """A completed run as event hooks see it, in a home with an empty store."""
    for part in ("registry.db", f"runs/{unbroken.id}"):
        source = unbroken.home / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tracked_home / part)
    home = Home.locate(tracked_home)
    store = Store(home.registry_url)
    said: list[str] = []
    yield execute.view_of(
        store, home, unbroken.id, metrics=tiny.make_catalog().metrics, say=said.append
    )
    store.close()
    assert said == []


def test_a_run_whose_params_failed_at_first_has_them_after_the_retry(
    view: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_params, calls = Writer._log_params, []

    def failing_once(self: Writer, client: Any) -> None:
        calls.append(self)
        if len(calls) == 1:
            raise sqlite3.OperationalError("database is locked")
        log_params(self, client)

    monkeypatch.setattr(writer, "RETRY", 0.1)
    monkeypatch.setattr(Writer, "_log_params", failing_once)
    it = Writer(replace(view, say=lambda text: None))
    it.finish(view)
    run = shown(view.home)
    assert run.info.status == "FINISHED"
    assert run.data.params["steps"] == str(view.config["steps"])


def test_trials_are_shown_under_their_study(view: Any) -> None:
    for number in range(2):
        tags = {"study": "spirl-pong-1a2b3c4d", "trial": str(number)}
        trial = replace(view, id=f"{view.id}-{number}", tags=tags)
        Writer(trial).finish(trial)
    alone = replace(view, tags={"study": "mine"})  # a user's own word
    Writer(alone).finish(alone)
    client = client_of(view.home)
    experiments = [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs(experiments)
    (study,) = [run for run in runs if "rlvit.study" in run.data.tags]
    assert (study.info.run_name, study.info.status) == ("spirl-pong-1a2b3c4d", "FINISHED")
    under = {
        run.data.tags["rlvit.run_id"]: run.data.tags.get("mlflow.parentRunId")
        for run in runs
        if run is not study
    }
    parent = study.info.run_id
    assert under == {f"{view.id}-0": parent, f"{view.id}-1": parent, view.id: None}


def begun(it: Writer) -> Writer:
    """Wait until a writer has made or found its run."""
    while it._client is None:
        time.sleep(0.02)
    return it


def remove(store: Path, empty: Path) -> None:
    """Remove a store."""
    store.unlink()


def replace_by_another(store: Path, empty: Path) -> None:
    """Put an empty store in the place of a store."""
    shutil.copy(empty, store.with_name("fresh"))
    os.replace(store.with_name("fresh"), store)


def forget_runs(store: Path, empty: Path) -> None:
    """Remove every run from a store."""
    with sqlite3.connect(store) as connection:
        for table in ("params", "tags", "metrics", "latest_metrics", "runs"):
            connection.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize("lose", [remove, replace_by_another, forget_runs])
def test_a_writer_whose_run_is_gone_says_so_once_and_gives_up(
    view: Any,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    lose: Callable[[Path, Path], None],
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 36_000.0)
    monkeypatch.setattr(writer, "RETRY", 36_000.0)
    said: list[str] = []
    it = begun(Writer(replace(view, say=said.append)))
    lose(view.home / "runs" / "mlflow.db", empty_store)
    it.add([LoggedRow(i, i, 1e9 + i, {"train/loss": 1.0}) for i in range(10)])
    it._thread.join()  # long before the run ends
    it.finish(view)
    (line,) = said
    assert "gone" in line or "no longer has this run" in line
    assert "`rlvit mlflow sync` shows it again later" in line
    assert "\n" not in line
    assert "Traceback" not in "".join(capfd.readouterr())


def test_the_end_of_a_run_does_not_wait_for_a_store_that_cannot_be_mended(
    view: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    store = view.home / "runs" / "mlflow.db"
    store.unlink()
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE webhooks (id INTEGER)")
    monkeypatch.setattr(writer, "PATIENCE", 36_000.0)
    said: list[str] = []
    it = Writer(replace(view, say=said.append))
    it.finish(view)
    it._thread.join()
    assert said == [
        "MLflow cannot be written (table webhooks already exists); the run goes on without it, and "
        "`rlvit mlflow sync` fills it in later."
    ]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_stopped_run_does_not_wait_for_a_locked_store(
    view: Any, locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 36_000.0)
    said: list[str] = []
    it = Writer(replace(view, say=said.append))
    it.finish(replace(view, state="interrupted"))
    it._thread.join()
    assert said == [
        "MLflow cannot be written (database is locked); the run goes on without it, and "
        "`rlvit mlflow sync` fills it in later."
    ]


def test_values_that_are_no_numbers_are_counted_and_left_out(view: Any) -> None:
    odd = [math.nan, 1.0, math.inf, 2.0, -math.inf, 3.0]
    it = Writer(view)
    it.add([LoggedRow(i, 10 * i, 1e9 + i, {"train/loss": v}) for i, v in enumerate(odd)])
    it.finish(view)
    run = shown(view.home)
    assert curves(view.home, run)["train/loss"] == [(10, 1.0), (30, 2.0), (50, 3.0)]
    assert run.data.tags["rlvit.values_not_finite"] == "3"


def test_long_runs_are_thinned_in_points_and_metrics(view: Any) -> None:
    it = Writer(view)
    many = {f"made/up-{n:02d}": float(n) for n in range(KEYS + 5)}
    it.add([LoggedRow(i, i, 1e9 + i, {"train/loss": float(i)}) for i in range(3_000)])
    it.add([LoggedRow(5_000, 5_000, 2e9, many)])
    it.finish(view)
    run = shown(view.home)
    results = {r.metric for r in view.results}
    assert len(run.data.metrics.keys() - results) == KEYS
    points = curves(view.home, run)["train/loss"]
    assert 500 < len(points) <= 1_000
    assert points[:500] == [(i, float(i)) for i in range(500)]
    assert points[-1][0] > 2_900


@pytest.mark.parametrize("limit", [1_000, 10, 2])
def test_sparse_lets_at_most_its_limit_through_however_long_the_run(limit: int) -> None:
    sparse, other = Sparse(limit), Sparse(limit)
    passed = [index for index in range(200_000) if sparse.passes()]
    assert len(passed) <= limit
    assert passed == [index for index in range(200_000) if other.passes()]
    assert passed[: limit // 2] == list(range(limit // 2))


def test_sparse_keeps_every_point_of_a_short_run_and_spreads_over_a_long_one() -> None:
    sparse = Sparse()
    passed = [index for index in range(4_000) if sparse.passes()]
    gaps = [after - before for before, after in itertools.pairwise(passed)]
    assert gaps == sorted(gaps)
    assert max(gaps) <= 256
    assert 4_000 - passed[-1] <= 256
