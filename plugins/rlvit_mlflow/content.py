"""What MLflow is shown of a run: the same whether it is written as the run goes or years later."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rlvit.contracts import LoggedRow, RunView

KEYS = 40  # metrics shown: MLflow's UI freezes beyond that; the run's folder has them all
POINTS = 1000  # points a metric, for the same reason
LARGEST_FILE = 16 * 2**20  # bytes: larger files are not copied into MLflow
PASSING = ("checkpoint", "replay", "ending.json")  # of a folder: not there for good
LONGEST_TAG = 8000  # characters: MLflow cuts the rest off
STATUS = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
ID, STUDY, MARK, NOTE = "rlvit.run_id", "rlvit.study", "rlvit.whole", "mlflow.note.content"


def name_of(run: RunView) -> str:
    """Return the name of the experiment that a run is shown in."""
    return f"rlvit/{run.method}/{run.task}"


def tags(run: RunView) -> dict[str, str]:
    """Return the tags of a run that is under way."""
    origin = run.provenance
    known = {
        ID: run.id,
        "rlvit.method": run.method,
        "rlvit.plugin": run.plugin_version,
        "rlvit.protocol": run.protocol,
        "rlvit.preset": run.preset,
        "rlvit.fingerprint": run.fingerprint,
        "mlflow.source.name": str(origin.get("command")),
        "mlflow.source.type": "LOCAL",
        "mlflow.user": str(origin.get("user")),
    }
    if origin.get("git_dirty") is not None:  # None: the code is in no repository
        known["rlvit.git_dirty"] = str(origin["git_dirty"])
    if origin.get("git_commit"):
        known["mlflow.source.git.commit"] = str(origin["git_commit"])
    if run.note:
        known[NOTE] = run.note
    known |= {_key(f"tag.{key}"): value or "yes" for key, value in run.tags.items()}
    return {key: value[:LONGEST_TAG] for key, value in known.items()}


def last_tags(run: RunView, not_finite: int) -> dict[str, str]:
    """Return the tags of a run that has ended, after which nothing but the mark is written."""
    known = tags(run) | {"rlvit.state": run.state, "rlvit.attempts": str(run.attempt)}
    if not_finite:
        known["rlvit.values_not_finite"] = str(not_finite)
    return known


def mark(run: RunView) -> str:
    """Return the tag that says that MLflow has all of a run: it is written last.

    It names the attempt and its end, and the note by a digest: a description that has another
    digest was written in MLflow itself.
    """
    return f"{run.attempt} {run.state} {ended(run)} {note_digest(run.note)}"


def note_digest(note: str) -> str:
    """Return what tells one note from another."""
    return hashlib.sha256(note[:LONGEST_TAG].encode()).hexdigest()[:12]


def began(run: RunView) -> int:
    """Return when a run began, in milliseconds since 1970."""
    return int(run.started_at * 1000)


def ended(run: RunView) -> int:
    """Return when a run ended, in milliseconds since 1970; not before it began.

    The clock may have been set back meanwhile.
    """
    return max(int((run.ended_at or run.started_at) * 1000), began(run))


def params(run: RunView) -> dict[str, str]:
    """Return the parameters of a run."""
    values: dict[str, object] = {**run.config, "seed": run.seed, "protocol": run.protocol}
    values |= {f"part/{slot}": name for slot, name in run.slots.items()}
    values |= {f"protocol/{key}": value for key, value in run.protocol_settings.items()}
    return {_key(key): str(value) for key, value in values.items()}


def _key(name: str) -> str:
    """Return a name with the characters that MLflow takes."""
    plain = re.sub(r"[^/\w.\- :]", "_", name)
    return "/".join(part if part.strip(".") else "_" for part in plain.split("/"))[:250]


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


class Curves:
    """Chooses the points to show of a run's rows, given in the order of logging."""

    def __init__(self) -> None:
        self._sparse: dict[str, Sparse] = {}
        self.not_finite = 0  # chosen points that are no numbers, which MLflow cannot hold

    def points(self, rows: Iterable[LoggedRow]) -> Iterator[Any]:
        """Yield the points of the next rows."""
        from mlflow.entities import Metric

        for row in rows:
            for name, value in row.values.items():
                if name not in self._sparse and len(self._sparse) >= KEYS:
                    continue
                if not self._sparse.setdefault(name, Sparse()).passes():
                    continue
                if math.isfinite(value):
                    yield Metric(_key(name), value, int(row.time * 1000), row.step)
                else:
                    self.not_finite += 1


def results(run: RunView) -> list[Any]:
    """Return a run's measurements as the last points of their curves."""
    from mlflow.entities import Metric

    return [Metric(_key(r.metric), r.value, ended(run), r.step or 0) for r in run.results]


class Known:
    """The points that MLflow has of a run."""

    def __init__(self, points: Iterable[Any] = ()) -> None:
        self._exact = Counter((p.key, p.step, p.timestamp, p.value) for p in points)

    def lacking(self, points: Sequence[Any], *, same_value: bool = False) -> list[Any]:
        """Return those of the points that MLflow lacks; what it has is counted once.

        A point that a resumed run made again counts as there if MLflow has one of its step from the
        attempt before; with `same_value` only if that has the same value.
        """
        rest = [
            point
            for point in points
            if not self._take([(point.key, point.step, point.timestamp, point.value)])
        ]
        alike: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        for one in self._exact if rest else ():
            alike.setdefault((*one[:2], one[3] if same_value else None), []).append(one)
        return [
            point
            for point in rest
            if not self._take(
                alike.get((point.key, point.step, point.value if same_value else None), ())
            )
        ]

    def _take(self, candidates: Iterable[tuple[Any, ...]]) -> bool:
        """Use up the first of the candidates that is there; return whether there is one."""
        for one in candidates:
            if self._exact[one] > 0:
                self._exact[one] -= 1
                return True
        return False


def inputs(run: RunView) -> list[Any]:
    """Return what a run learnt from as MLflow's datasets."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
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


def files(run: RunView) -> dict[str, Path]:
    """Return the files of a run's folder that are shown, by their place in it."""
    found = {}
    for path in sorted(run.folder.rglob("*")):
        place = path.relative_to(run.folder)
        hidden = path.name.startswith(".") or place.parts[0] in PASSING
        if path.is_file() and not hidden and path.stat().st_size <= LARGEST_FILE:
            found[place.as_posix()] = path
    return found
