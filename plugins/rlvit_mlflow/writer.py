"""Writes one run to MLflow from a thread of its own; when MLflow fails, the run goes on."""

from __future__ import annotations

import logging
import math
import os
import queue
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
RETRY = 5.0  # seconds between attempts while MLflow cannot be written
STATUS = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


def tracking_uri(home: Path) -> str:
    """Return where MLflow's store is: MLFLOW_TRACKING_URI, else a file in the home's runs/."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'runs' / 'mlflow.db'}"


def store_exists(home: Path) -> bool:
    """Return whether there is a store to look at."""
    return "MLFLOW_TRACKING_URI" in os.environ or (home / "runs" / "mlflow.db").exists()


def artifact_root(home: Path) -> Path:
    """Return the folder of MLflow's copies of artifacts."""
    return home / "runs" / "mlartifacts"


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
        self._giving_up_at = math.inf
        self._thread = threading.Thread(target=self._work, name="rlvit-mlflow", daemon=True)
        self._thread.start()

    def add(self, rows: Sequence[LoggedRow]) -> None:
        """Write these rows soon."""
        self._queue.put(rows)

    def finish(self, run: RunView) -> None:
        """Write the end of the run and wait for it, but not for ever."""
        self._ended = run
        self._giving_up_at = time.monotonic() + PATIENCE
        self._queue.put(None)
        self._thread.join(PATIENCE + 2 * RETRY)  # a last attempt may itself wait for a lock
        if self._thread.is_alive():
            run.say("MLflow did not answer in time; the run's folder and registry are complete.")

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
        """Try until it works; give up when MLflow is not installed or the run has long ended."""
        while True:
            try:
                action()
                return True
            except ImportError as problem:
                self._complain(problem)
                return False
            except Exception as problem:
                self._complain(problem)
                if time.monotonic() + RETRY > self._giving_up_at:
                    return False
                time.sleep(RETRY)

    def _complain(self, problem: Exception) -> None:
        """Say once that MLflow is missing what the registry has."""
        if not self._complained:
            first = (str(problem).splitlines() or [""])[0]
            self._run.say(f"MLflow cannot be written ({first[:160]}); the run goes on without it.")
        self._complained = True

    def _begin(self) -> None:
        """Make or find the run."""
        from mlflow import MlflowClient

        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        home = self._run.home
        with FileLock(home / "runs" / ".locks" / "mlflow.lock"):  # two makers would spoil the store
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
                tags=self._tags(),
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
        ]
        if inputs:
            self._client.log_inputs(self._id, inputs)
