"""Writes one run to MLflow from a thread of its own; when MLflow fails, the run goes on."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from rlvit.contracts import LoggedRow, RunView
from rlvit_mlflow import content, shown
from rlvit_mlflow.store import identity, is_locked, opened, own_file, reason

PATIENCE = 60.0  # seconds that the end of a run waits for MLflow
BRIEF = 5.0  # the same where waiting is unlikely to help: for anything but a lock
RETRY = 5.0  # seconds between attempts while MLflow cannot be written


class Writer:
    """The MLflow side of one attempt of a run."""

    def __init__(self, run: RunView) -> None:
        self._run = run
        self._queue: queue.SimpleQueue[Sequence[LoggedRow] | None] = queue.SimpleQueue()
        self._ended: RunView | None = None
        self._curves = content.Curves()
        self._chosen: list[Any] = []  # points of all attempts
        self._known = content.Known()  # what MLflow has of earlier attempts
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
        return is_locked(trouble) and not stopped

    def _work(self) -> None:
        if not self._persist(self._begin):
            return
        rows: Sequence[LoggedRow] | None = self._run.history()  # what MLflow missed of earlier ones
        while rows is not None:
            chosen = list(self._curves.points(rows))
            self._chosen += chosen
            points = self._known.lacking(chosen)
            for start in range(0, len(points), shown.METRICS_A_CALL):
                chunk = points[start : start + shown.METRICS_A_CALL]
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
        then = "the run goes on without it, and `rlvit mlflow sync` shows it again later."
        file = own_file(self._run.home)
        now = None if file is None else identity(file)
        if file is not None and now is None:
            return f"MLflow's store {file} is gone; {then}"
        if now != self._file or getattr(problem, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            return f"MLflow no longer has this run; {then}"
        return ""

    def _complain(self, problem: Exception) -> None:
        """Say once that MLflow is missing what the registry has."""
        if not self._complained:
            why = reason(problem)
            self._run.say(
                f"MLflow cannot be written ({why}); the run goes on without it, and "
                "`rlvit mlflow sync` fills it in later."
            )
        self._complained = True

    def _begin(self) -> None:
        """Make or find the run."""
        run, file = self._run, own_file(self._run.home)
        with opened(run.home) as client:
            self._file = None if file is None else identity(file)
            where = shown.experiment(client, run)
            parent = shown.heading(client, where, run)
        found = shown.find(client, where, run)
        if found is None:
            self._id = shown.create(client, where, run, parent)
        else:
            self._id = found.info.run_id
            client.update_run(self._id, status="RUNNING")
            self._known = shown.known(client, self._id, found.data.metrics)
        self._log_params(client)  # also where an earlier attempt came no further than the run
        self._client = client

    def _log_params(self, client: Any) -> None:
        shown.log(client, self._id, content.params(self._run), [])

    def _end(self) -> None:
        """Write results, lineage, files and status."""
        run, client = self._ended, self._client
        assert run is not None
        results = content.results(run)
        names = {point.key for point in results}
        has = shown.known(client, self._id, names)
        has.lacking([point for point in self._chosen if point.key in names])  # are no results
        shown.log(client, self._id, {}, has.lacking(results, same_value=True))
        shown.log_inputs(client, self._id, content.inputs(run))
        shown.upload(client, self._id, content.files(run))
        shown.end(client, self._id, run, content.last_tags(run, self._curves.not_finite))
