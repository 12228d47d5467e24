"""Records what a run logs: at once in its folder, soon after in registry and trackers."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from rlvit.contracts import Artifact, Episode, LoggedRow, Measurement
from rlvit.errors import RlvitError, UnknownName
from rlvit.registry.store import PointRow, Store, finite
from rlvit.runs.folder import RunFolder
from rlvit.specs import MetricDef

FLUSH_SECONDS = 2.0
POINTS_A_METRIC = 1000  # in the database; the folder has them all


class Thinner:
    """Keeps at most `limit` rows of each metric: every row at first, then every 2nd, 4th, …

    What it keeps depends on the rows alone, not on when they were flushed.
    """

    def __init__(self, limit: int = POINTS_A_METRIC) -> None:
        self.limit = limit
        self._seen: dict[str, int] = {}
        self._stride: dict[str, int] = {}
        self._kept: dict[str, list[tuple[int, int]]] = {}  # metric -> (attempt, row)

    def add(self, metric: str, attempt: int, row: int) -> tuple[bool, list[tuple[int, int]]]:
        """Return whether to keep this row, and which rows kept so far to drop."""
        index = self._seen.get(metric, 0)
        self._seen[metric] = index + 1
        stride = self._stride.get(metric, 1)
        if index % stride:
            return False, []
        kept = self._kept.setdefault(metric, [])
        dropped: list[tuple[int, int]] = []
        if len(kept) == self.limit:
            dropped = kept[1::2]
            del kept[1::2]
            self._stride[metric] = stride * 2
            if index % (stride * 2):
                return False, dropped
        kept.append((attempt, row))
        return True, dropped

    def copy(self) -> Thinner:
        """Return another one that has seen the same rows."""
        other = Thinner(self.limit)
        other._seen, other._stride = dict(self._seen), dict(self._stride)
        other._kept = {metric: list(kept) for metric, kept in self._kept.items()}
        return other


class Recorder:
    """Takes a run's numbers. `log` costs the caller a few microseconds a value."""

    def __init__(
        self,
        run_id: str,
        attempt: int,
        folder: RunFolder,
        store: Store,
        metrics: Mapping[str, MetricDef],
        logged: Callable[[Sequence[LoggedRow]], None],
        say: Callable[[str], None],
    ) -> None:
        self.run_id, self.attempt = run_id, attempt
        self.folder, self.store, self.metrics = folder, store, metrics
        self._logged, self._say = logged, say
        self._pending: list[tuple[int, int, float, dict[str, float]]] = []
        self._results: list[dict[str, Any]] = []
        self._episodes: list[dict[str, Any]] = []
        self._artifacts: list[tuple[Artifact, str]] = []
        self._thinner = Thinner()
        self._points: dict[tuple[str, int, int], PointRow] = {}
        self._dropped: dict[tuple[str, int], list[int]] = {}
        self._stop = threading.Event()
        self._flushing = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="rlvit-recorder", daemon=True)
        self._beat_at = time.monotonic()
        self._complained = False  # of a registry that cannot be written
        self._problem: RlvitError | None = None  # found by a flush, raised by the next call

    def start(self, resume_from: Mapping[str, int] | None = None) -> None:
        """Begin. On resume, `resume_from` gives the watermarks of the checkpoint.

        The registry is brought up to the folder, which a killed process left ahead of it, and the
        rows behind the checkpoint are marked as superseded.
        """
        if resume_from is not None:
            self.folder.supersede(self.attempt, resume_from)
            absorb(self.run_id, self.folder, self.store, self._thinner)
            self.store.supersede(self.run_id, resume_from)
        self._thread.start()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record metrics at a step; the row is the operating system's before this returns.

        Raises:
            UnknownName: a metric was not declared by any plugin.
            RlvitError: the last flush found that the run's folder is gone.
        """
        if self._problem is not None:
            raise self._problem
        # Runs every step of a fast loop: whole-row checks, and no objects that can be made later.
        if not values.keys() <= self.metrics.keys():
            raise UnknownName("metric", min(values.keys() - self.metrics.keys()), self.metrics)
        now = time.time()
        plain = dict(zip(values, map(float, values.values()), strict=True))
        line: dict[str, Any] = {"attempt": self.attempt, "step": step, "time": now, **plain}
        if not math.isfinite(sum(plain.values())):
            line.update({name: finite(value) for name, value in plain.items()})
        row = self.folder.append("metrics", line)
        self._pending.append((row, step, now, plain))

    def episode(self, step: int, episode: Episode) -> None:
        """Record an evaluation episode; raises RlvitError once the run's folder is gone."""
        self.check()
        line = {
            "attempt": self.attempt,
            "step": step,
            "index": episode.index,
            "score": finite(episode.score),
            "length": episode.length,
        }
        row = self.folder.append("episodes", line)
        self._episodes.append({**line, "row": row})

    def result(self, step: int, measurement: Measurement) -> None:
        """Record a measurement.

        Raises:
            UnknownName: its metric was not declared by any plugin.
            RlvitError: the run's folder is gone.
        """
        self.check()
        if measurement.metric not in self.metrics:
            raise UnknownName("metric", measurement.metric, self.metrics)
        line = {
            "attempt": self.attempt,
            "step": step,
            "metric": measurement.metric,
            "value": finite(measurement.value),
            "samples": measurement.samples,
            "spread": finite(measurement.spread),
        }
        row = self.folder.append("results", line)
        self._results.append({**line, "row": row})

    def artifact(self, artifact: Artifact, role: str) -> None:
        """Record that the run made or used an artifact."""
        self.folder.link({**asdict(artifact), "role": role})
        self._artifacts.append((artifact, role))
        self.flush()

    @property
    def complete(self) -> bool:
        """Whether the registry has everything that was there at the last flush."""
        return not self._complained

    def uncounted(self) -> float:
        """Return the seconds of computing that the registry does not know of."""
        return time.monotonic() - self._beat_at

    def check(self) -> None:
        """Make sure that what is recorded arrives: raises RlvitError once the folder is gone."""
        self.folder.check()

    def flush(self) -> None:
        """Hand everything that waits to the registry and the trackers.

        A registry that cannot be reached is said once; the rows wait and are tried again. A folder
        that is gone is remembered, and raised by the next call that records something.
        """
        try:
            self.check()
        except RlvitError as problem:
            self._problem = problem
        with self._flushing:
            waiting = self._pending[:]  # the same list stays: another thread may be appending
            del self._pending[: len(waiting)]
            rows = [LoggedRow(*row) for row in waiting]
            self._thin(rows)
            if rows:
                self._logged(rows)
            try:
                self._store()
                self._complained = False
            except SQLAlchemyError as problem:
                if not self._complained:
                    reason = str(problem).splitlines()[0]
                    self._say(f"the registry cannot be written, the folder goes on: {reason}")
                self._complained = True

    def close(self) -> None:
        """Flush for the last time."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    def _work(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()

    def _thin(self, rows: Sequence[LoggedRow]) -> None:
        for row in rows:
            for metric, value in row.values.items():
                keep, drop = self._thinner.add(metric, self.attempt, row.row)
                for attempt, old in drop:
                    if self._points.pop((metric, attempt, old), None) is None:
                        self._dropped.setdefault((metric, attempt), []).append(old)
                if keep:
                    self._points[metric, self.attempt, row.row] = PointRow(
                        metric, self.attempt, row.row, row.step, value, row.time
                    )

    def _store(self) -> None:
        """Write what waits; what was written no longer waits, also if a later part fails."""
        self.store.add_points(self.run_id, list(self._points.values()))
        self._points.clear()
        for (metric, attempt), rows in self._dropped.items():
            self.store.thin_points(self.run_id, attempt, metric, rows)
        self._dropped.clear()
        results, episodes = self._results[:], self._episodes[:]
        self.store.add_results(self.run_id, results)
        del self._results[: len(results)]
        self.store.add_episodes(self.run_id, episodes)
        del self._episodes[: len(episodes)]
        for artifact, role in self._artifacts[:]:
            self.store.add_artifact(self.run_id, artifact, role)
            self._artifacts.remove((artifact, role))
        now = time.monotonic()
        self.store.beat(self.run_id, now - self._beat_at)
        self._beat_at = now


def absorb(run_id: str, folder: RunFolder, store: Store, thinner: Thinner | None = None) -> None:
    """Store the live rows that the folder has and the registry lacks; what is there stays."""
    thinner = thinner or Thinner()
    points: dict[tuple[str, int, int], PointRow] = {}
    dropped: dict[tuple[str, int], list[int]] = {}  # the killed process may have stored them
    for row, line in folder.read_live("metrics"):
        attempt, step, at = line.pop("attempt"), line.pop("step"), line.pop("time")
        for metric, value in line.items():
            keep, drop = thinner.add(metric, attempt, row)
            for of, old in drop:
                points.pop((metric, of, old), None)
                dropped.setdefault((metric, of), []).append(old)
            if keep:
                points[metric, attempt, row] = PointRow(metric, attempt, row, step, value, at)
    store.add_points(run_id, list(points.values()))
    for (metric, attempt), rows in dropped.items():
        store.thin_points(run_id, attempt, metric, rows)
    for stream, add in (("results", store.add_results), ("episodes", store.add_episodes)):
        add(run_id, [line | {"row": row} for row, line in folder.read_live(stream)])
    for _, line in folder.read("artifacts"):
        role = line.pop("role")
        store.add_artifact(run_id, Artifact(**line | {"folder": Path(line["folder"])}), role)
