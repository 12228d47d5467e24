"""Writes one run to MLflow from a thread of its own; when MLflow fails, the run goes on."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from rlvit.contracts import LoggedRow, RunView

KEYS = 40  # metrics shown: MLflow's UI freezes beyond that; the run's folder has them all
POINTS = 1000  # points a metric, for the same reason
PARAMS_A_CALL = 100  # MLflow's limit
METRICS_A_CALL = 1000  # MLflow's limit
LARGEST_FILE = 16 * 2**20  # bytes: larger files are not copied into MLflow
PATIENCE = 60.0  # seconds that the end of a run waits for MLflow
BRIEF = 5.0  # the same where waiting is unlikely to help: for anything but a lock
RETRY = 5.0  # seconds between attempts while MLflow cannot be written
# MLflow would tell its makers of its use; a run's tracker asks no other machine for anything.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
STATUS = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


def tracking_uri(home: Path) -> str:
    """Return where MLflow's store is: MLFLOW_TRACKING_URI, else a file in the home's runs/."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{_own_file(home)}"


def store_exists(home: Path) -> bool:
    """Return whether there is a store to look at."""
    file = _own_file(home)
    return file is None or _identity(file) is not None


def _own_file(home: Path) -> Path | None:
    """Return the file that is the store, or None where MLFLOW_TRACKING_URI names another store."""
    return None if os.environ.get("MLFLOW_TRACKING_URI") else home / "runs" / "mlflow.db"


def _identity(file: Path) -> tuple[int, int] | None:
    """Return what tells a store's file from one that replaced it; None if there is no store.

    SQLite leaves an empty file where it only looked for a store.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size else None


def artifact_root(home: Path) -> Path:
    """Return the folder of MLflow's copies of artifacts."""
    return home / "runs" / "mlartifacts"


def _make_store(file: Path, artifacts: Path) -> None:
    """Make a store that is there as a whole or not at all; the caller holds the lock.

    MLflow migrates a new store for seconds, and could never go on with one that was left halfway.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    making = file.with_name(f".{file.name}.making")
    uri = f"sqlite:///{making}"
    _remove(making)  # of a process that was killed
    try:
        maker: Any = SqlAlchemyStore
        maker(uri, artifacts.as_uri())
        _close_connections(uri, forget=True)
        with contextlib.closing(sqlite3.connect(making)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # all of it in the one file
        _remove(file)  # a journal without its store would spoil the new one
        os.replace(making, file)
    finally:
        _close_connections(uri, forget=True)
        _remove(making)


def _remove(file: Path) -> None:
    """Remove an SQLite file and what belongs to it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _close_connections(uri: str, *, forget: bool = False) -> None:
    """Close the idle connections that MLflow keeps for the life of a process."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    engines = getattr(SqlAlchemyStore, "_engine_map", {})
    engine = engines.pop(uri, None) if forget else engines.get(uri)
    if engine is not None:
        engine.dispose()


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """Yield a problem and the causes it names, the innermost last."""
    seen: list[BaseException] = []
    following: BaseException | None = problem
    while isinstance(following, BaseException) and following not in seen:
        seen.append(following)
        yield following
        following = getattr(following, "orig", None) or following.__cause__


def _reason(problem: BaseException) -> str:
    """Return a line that says what is wrong; SQLAlchemy wraps the database's own words in SQL."""
    wrapped = (getattr(link, "orig", None) for link in _chain(problem))
    said = next((link for link in wrapped if isinstance(link, BaseException)), problem)
    return (str(said).splitlines() or [type(said).__name__])[0][:160]


def _is_locked(problem: BaseException) -> bool:
    """Return whether another process holds the store: it may let go."""
    return any(
        isinstance(link, sqlite3.OperationalError) and "locked" in str(link)
        for link in _chain(problem)
    )


class Sparse:
    """Lets at most `limit` points of a metric through: half of them all, then every 2nd, 4th, …"""

    def __init__(self, limit: int = POINTS) -> None:
        self._left, self._quota = limit, limit // 2
        self._seen = self._passed = 0
        self._stride = 1

    def passes(self) -> bool:
        """Return whether the next point is let through."""
        index = self._seen
        self._seen += 1
        if index % self._stride or not self._left:
            return False
        self._left -= 1
        self._passed += 1
        if self._passed == self._quota:
            self._passed, self._stride = 0, self._stride * 2
            self._quota = max(1, self._quota // 2)
        return True


class Writer:
    """The MLflow side of one attempt of a run."""

    def __init__(self, run: RunView) -> None:
        self._run = run
        self._queue: queue.SimpleQueue[Sequence[LoggedRow] | None] = queue.SimpleQueue()
        self._ended: RunView | None = None
        self._sparse: dict[str, Sparse] = {}
        self._last_step: dict[str, int] = {}
        self._not_finite = 0
        self._client: Any = None
        self._id = ""
        self._complained = False
        self._trouble: Exception | None = None  # what the last attempt to write ended with
        self._file: tuple[int, int] | None = None  # the store's, where it is our own
        self._giving_up_at = math.inf
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="rlvit-mlflow", daemon=True)
        self._thread.start()

    def add(self, rows: Sequence[LoggedRow]) -> None:
        """Write these rows soon."""
        if self._thread.is_alive():
            self._queue.put(rows)

    def finish(self, run: RunView) -> None:
        """Write the end of the run and wait for it: long only while that may help."""
        began = time.monotonic()
        self._ended = run
        self._giving_up_at = began + PATIENCE
        self._queue.put(None)
        self._ending.set()
        while self._thread.is_alive() and time.monotonic() < began + self._wait():
            self._thread.join(0.1)
        if self._thread.is_alive() and self._trouble is None:  # else it was said
            run.say("MLflow did not answer in time; the run's folder and registry are complete.")

    def _wait(self) -> float:
        """Return how long the end of the run waits, as things stand."""
        if self._trouble is None or self._hopeful(self._trouble):
            return PATIENCE + 2 * RETRY  # a last attempt may itself wait for a lock
        return BRIEF

    def _hopeful(self, trouble: Exception) -> bool:
        """Return whether the end of the run should wait for this to pass.

        Whoever stopped a run wants it to end; its next attempt writes what is missing.
        """
        stopped = self._ended is not None and self._ended.state == "interrupted"
        return _is_locked(trouble) and not stopped

    def _work(self) -> None:
        if not self._persist(self._begin):
            return
        rows: Sequence[LoggedRow] | None = self._run.history()  # what MLflow missed of earlier ones
        while rows is not None:
            points = list(self._points(rows))
            for start in range(0, len(points), METRICS_A_CALL):
                chunk = points[start : start + METRICS_A_CALL]
                if not self._persist(lambda c=chunk: self._client.log_batch(self._id, metrics=c)):
                    return
            rows = self._queue.get()
        self._persist(self._end)

    def _persist(self, action: Callable[[], object]) -> bool:
        """Try until it works; give up where it never will, or soon after the end of the run."""
        while True:
            last = self._ending.is_set()
            try:
                action()
                self._trouble = None
                return True
            except ImportError as problem:
                self._complain(problem)
                return False
            except Exception as problem:
                self._trouble = problem
                lost = self._lost(problem)
                if lost:
                    self._run.say(lost)
                    return False
                self._complain(problem)
                late = time.monotonic() + RETRY > self._giving_up_at
                if last and (late or not self._hopeful(problem)):
                    return False
            if last:
                time.sleep(RETRY)
            else:
                self._ending.wait(RETRY)  # the end is worth an attempt of its own

    def _lost(self, problem: Exception) -> str:
        """Return what to say where this attempt of the run can never be written again, else ""."""
        if self._client is None:  # not begun: another try makes or finds the store
            return ""
        has_all = "the run goes on without it. The registry and the run's folder have everything"
        file = _own_file(self._run.home)
        now = None if file is None else _identity(file)
        if file is not None and now is None:
            then = "the next attempt or run makes a new store"
            return f"MLflow's store {file} is gone; {has_all}; {then}."
        if now != self._file or getattr(problem, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            then = "its next attempt is shown again"
            return f"MLflow no longer has this run; {has_all}; {then}."
        return ""

    def _complain(self, problem: Exception) -> None:
        """Say once that MLflow is missing what the registry has."""
        if not self._complained:
            reason = _reason(problem)
            self._run.say(f"MLflow cannot be written ({reason}); the run goes on without it.")
        self._complained = True

    def _begin(self) -> None:
        """Make or find the run."""
        from mlflow import MlflowClient

        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        # It prints the traceback of each problem that it raises as well.
        logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)
        home = self._run.home
        file = _own_file(home)
        with FileLock(home / "runs" / ".locks" / "mlflow.lock"):  # two makers would spoil the store
            if file is not None:
                if _identity(file) is None:
                    _make_store(file, artifact_root(home))
                _close_connections(tracking_uri(home))  # of an earlier run, to a lost store
                self._file = _identity(file)
            client = MlflowClient(tracking_uri(home))
            experiment = self._experiment(client)
        found = client.search_runs(
            [experiment], f"tags.`rlvit.run_id` = '{self._run.id}'", max_results=1
        )
        if found:
            self._id = found[0].info.run_id
            client.update_run(self._id, status="RUNNING")
            for name in found[0].data.metrics:
                history = client.get_metric_history(self._id, name)
                self._last_step[name] = max(point.step for point in history)
        else:
            self._id = client.create_run(
                experiment,
                start_time=int(self._run.started_at * 1000),
                tags=self._tags() | self._parent(client, experiment),
                run_name=self._run.name,
            ).info.run_id
        self._log_params(client)  # also where an earlier attempt came no further than the run
        self._client = client

    def _experiment(self, client: Any) -> str:
        name = f"rlvit/{self._run.method}/{self._run.task}"
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        root = artifact_root(self._run.home) / self._run.method / self._run.task
        made = client.create_experiment(
            name,
            artifact_location=root.as_uri(),
            tags={
                "mlflow.experimentKind": "custom_model_development"
            },  # else a page on GenAI opens
        )
        return str(made)

    def _parent(self, client: Any, experiment: str) -> dict[str, str]:
        """Return the tag that shows a trial under its study, whose own run is made if need be.

        The study's run is a heading: it is over from the start, for nobody could end it in time.
        """
        study = self._run.tags.get("study", "")
        if "trial" not in self._run.tags or not study or set(study) & set("'`\\"):
            return {}
        found = client.search_runs([experiment], f"tags.`rlvit.study` = '{study}'", max_results=1)
        if found:
            return {"mlflow.parentRunId": found[0].info.run_id}
        start = int(self._run.started_at * 1000)
        tags = {"rlvit.study": study, "rlvit.method": self._run.method}
        made = client.create_run(experiment, start_time=start, tags=tags, run_name=study)
        client.set_terminated(made.info.run_id, STATUS["completed"])
        return {"mlflow.parentRunId": made.info.run_id}

    def _tags(self) -> dict[str, str]:
        run, origin = self._run, self._run.provenance
        tags = {
            "rlvit.run_id": run.id,
            "rlvit.method": run.method,
            "rlvit.plugin": run.plugin_version,
            "rlvit.protocol": run.protocol,
            "rlvit.preset": run.preset,
            "rlvit.fingerprint": run.fingerprint,
            "rlvit.git_dirty": str(origin.get("git_dirty")),
            "mlflow.source.name": str(origin.get("command")),
            "mlflow.source.type": "LOCAL",
            "mlflow.user": str(origin.get("user")),
        }
        if origin.get("git_commit"):
            tags["mlflow.source.git.commit"] = str(origin["git_commit"])
        if run.note:
            tags["mlflow.note.content"] = run.note
        return tags | {f"tag.{key}": value or "yes" for key, value in run.tags.items()}

    def _log_params(self, client: Any) -> None:
        from mlflow.entities import Param

        run = self._run
        values: dict[str, object] = {**run.config, "seed": run.seed, "protocol": run.protocol}
        values |= {f"part/{slot}": name for slot, name in run.slots.items()}
        values |= {f"protocol/{key}": value for key, value in run.protocol_settings.items()}
        params = [Param(key, str(value)) for key, value in values.items()]
        for start in range(0, len(params), PARAMS_A_CALL):
            client.log_batch(self._id, params=params[start : start + PARAMS_A_CALL])

    def _points(self, rows: Sequence[LoggedRow]) -> Iterator[Any]:
        """Yield the points to write; those a resumed run made before are there already."""
        from mlflow.entities import Metric

        for row in rows:
            for name, value in row.values.items():
                if name not in self._sparse and len(self._sparse) >= KEYS:
                    continue
                if not self._sparse.setdefault(name, Sparse()).passes():
                    continue
                if row.step <= self._last_step.get(name, -1):
                    continue
                if math.isfinite(value):
                    yield Metric(name, value, int(row.time * 1000), row.step)
                else:
                    self._not_finite += 1

    def _end(self) -> None:
        """Write results, lineage, files and status."""
        from mlflow.entities import Metric, RunTag

        run = self._ended
        assert run is not None
        now = int(time.time() * 1000)
        results = [Metric(r.metric, r.value, now, r.step or 0) for r in run.results]
        tags = [RunTag("rlvit.state", run.state), RunTag("rlvit.attempts", str(run.attempt))]
        if self._not_finite:
            tags.append(RunTag("rlvit.values_not_finite", str(self._not_finite)))
        self._client.log_batch(self._id, metrics=results, tags=tags)
        self._log_data(run)
        for path in sorted(run.folder.rglob("*")):
            parts = path.relative_to(run.folder).parts
            hidden = path.name.startswith(".") or parts[0] in ("checkpoint", "replay")
            if path.is_file() and not hidden and path.stat().st_size <= LARGEST_FILE:
                self._client.log_artifact(self._id, str(path), "/".join(parts[:-1]) or None)
        self._client.set_terminated(self._id, STATUS[run.state], now)

    def _log_data(self, run: RunView) -> None:
        """Show what the run learnt from as MLflow datasets."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(
                    name=f"{artifact.kind} {run.task}",
                    digest=artifact.sha256[:16],
                    source_type="local",
                    source=str({"uri": artifact.folder.as_uri()}).replace("'", '"'),
                ),
                [InputTag("mlflow.data.context", artifact.kind)],
            )
            for artifact in run.artifacts
            if not artifact.folder.is_relative_to(run.folder)  # what it made is no input
        ]
        for last in (False, False, True) if inputs else ():
            try:
                self._client.log_inputs(self._id, inputs)
                return
            except Exception as problem:
                # Another run wrote the same dataset between MLflow's look and its insert: it is
                # there now, so the next look finds it.
                if last or "unique" not in str(problem).lower():
                    raise
