"""The only writer of the registry: every change of its rows is a method here."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, sessionmaker

from rlvit.contracts import Artifact
from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.registry import schema
from rlvit.registry.database import can_write, open_database, open_to_read, writing
from rlvit.specs import MetricDef

MOVES: Mapping[str | None, frozenset[str]] = {
    None: frozenset({"created"}),
    "created": frozenset({"running", "failed", "interrupted"}),
    "running": frozenset({"completed", "failed", "interrupted"}),
    "failed": frozenset({"running"}),
    "interrupted": frozenset({"running"}),
    "completed": frozenset(),  # final
}


@dataclass(frozen=True)
class NewRun:
    """What is known of a run before it starts."""

    id: str
    name: str
    method: str
    plugin: str
    plugin_version: str
    task: str
    protocol: str
    protocol_settings: Mapping[str, Any]
    config: Mapping[str, Any]  # what decides the result
    bookkeeping: Mapping[str, Any]  # the other options
    slots: Mapping[str, str]
    fingerprint: str
    seed: int
    preset: str
    note: str
    folder: str
    provenance: Mapping[str, Any]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class PointRow:
    """A value to be stored; `value` is None where it was not a finite number."""

    metric: str
    attempt: int
    row: int
    step: int
    value: float | None
    at: float


def finite(value: float | None) -> float | None:
    """Return the value, or None where it is NaN or infinite: databases have no such numbers."""
    return value if value is not None and math.isfinite(value) else None


class Store:
    """Writes to one registry. Each method is one transaction."""

    def __init__(self, url: str, *, to_read: bool = False) -> None:
        """Open a registry; `to_read` opens one that cannot be written too, as it is."""
        self.read_only = to_read and not can_write(url)
        self.engine: Engine = open_to_read(url) if self.read_only else open_database(url)
        self._transaction = sessionmaker(writing(self.engine)).begin

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def declare_metrics(self, metrics: Iterable[MetricDef]) -> None:
        """Make the metrics known; a changed declaration replaces the old one."""
        # In one order: PostgreSQL refuses one of two who wait for each other's rows.
        rows = [asdict(metric) for metric in sorted(metrics, key=attrgetter("name"))]
        if rows:
            with self._transaction() as session:
                replaced = ["unit", "direction", "meaning", "axis", "timing"]
                self._upsert(session, schema.Metric, rows, ["name"], replaced)

    def create_run(self, new: NewRun) -> None:
        """Add a run in the state `created`."""
        fields = asdict(new)
        tags = fields.pop("tags")
        experiment = {
            key: fields.pop(key)
            for key in ("method", "task", "protocol", "protocol_settings", "config", "slots")
        }
        experiment["fingerprint"] = fields.pop("fingerprint")
        now = time.time()
        with self._transaction() as session:
            same = ["fingerprint"]
            self._upsert(session, schema.Experiment, [experiment], same, same)
            row = schema.Run(
                **fields,
                experiment_id=session.scalar(
                    select(schema.Experiment.id).filter_by(fingerprint=experiment["fingerprint"])
                ),
                state="created",
                attempt=0,
                archived=False,
                git_commit=new.provenance.get("git_commit"),
                git_dirty=new.provenance.get("git_dirty"),
                created_at=now,
                seconds=0.0,
                process={},
            )
            session.add(row)
            session.flush()
            session.add_all(schema.Tag(run_id=new.id, key=k, value=v) for k, v in tags.items())
            session.add(_transition(new.id, 0, None, "created", now, ""))

    def move(
        self,
        run_id: str,
        to: str,
        reason: str = "",
        *,
        process: Mapping[str, Any] | None = None,
        detail: Mapping[str, Any] | None = None,
        at: float | None = None,
        attempt: int | None = None,
    ) -> int:
        """Make one of the legal moves of a run's life and return its attempt.

        A move to `running` brings the identity of its process, and in `detail` the attempt's
        command, code and machine. The end of an attempt may bring its number and its time, which
        is now if it is not given: such an end also takes the place of the guess that the
        attempt's process was gone.

        Raises:
            RlvitError: the move is not legal from the run's present state.
        """
        now = time.time() if at is None else at
        with self._transaction() as session:
            run = self._run(session, run_id)
            known = run.state == "interrupted" and run.attempt == attempt
            if to not in MOVES["running" if known else run.state]:
                raise RlvitError(f"run {run_id} is {run.state}: it cannot become {to}.")
            before, run.state = run.state, to
            if to == "running":
                run.attempt += 1
                run.started_at = run.started_at or now
                run.ended_at, run.error = None, None
                run.heartbeat_at, run.process = now, dict(process or {})
            else:
                run.ended_at = now
                run.error = reason if to == "failed" else None
            session.add(_transition(run_id, run.attempt, before, to, now, reason, detail))
            return run.attempt

    def beat(self, run_id: str, seconds: float) -> None:
        """Say that a run is alive, `seconds` of computing further than at the last beat."""
        with self._transaction() as session:
            session.execute(
                update(schema.Run)
                .where(schema.Run.id == run_id)
                .values(heartbeat_at=time.time(), seconds=schema.Run.seconds + seconds)
            )

    def add_points(self, run_id: str, points: Sequence[PointRow]) -> None:
        """Add values; those already there stay."""
        self._add(schema.Point, run_id, [asdict(p) | {"value": finite(p.value)} for p in points])

    def thin_points(self, run_id: str, attempt: int, metric: str, rows: Sequence[int]) -> None:
        """Remove the values of these rows, which the folder still has."""
        point = schema.Point
        with self._transaction() as session:
            for start in range(0, len(rows), 500):
                session.execute(
                    delete(point).where(
                        point.run_id == run_id,
                        point.attempt == attempt,
                        point.metric == metric,
                        point.row.in_(rows[start : start + 500]),
                    )
                )

    def add_results(self, run_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add measurements; those already there stay."""
        self._add(schema.Result, run_id, [_finite(row) for row in rows])

    def add_episodes(self, run_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add evaluation episodes; those already there stay."""
        self._add(
            schema.EpisodeRow, run_id, [dict(r) | {"score": finite(r["score"])} for r in rows]
        )

    def supersede(self, run_id: str, watermarks: Mapping[str, int]) -> None:
        """Mark the rows behind a checkpoint's watermarks: the next attempt makes them again."""
        tables: dict[str, Any] = {
            "metrics": schema.Point,
            "results": schema.Result,
            "episodes": schema.EpisodeRow,
        }
        with self._transaction() as session:
            for stream, table in tables.items():
                session.execute(
                    update(table)
                    .where(table.run_id == run_id, table.row >= watermarks[stream])
                    .values(superseded=True)
                )

    def add_artifact(self, run_id: str, artifact: Artifact, role: str) -> None:
        """Record that a run made or used an artifact."""
        row = {
            "kind": artifact.kind,
            "key": artifact.key,
            "sha256": artifact.sha256,
            "path": str(artifact.folder),
            "size": artifact.size,
            "inputs": dict(artifact.inputs),
            "made_by": artifact.made_by,
        }
        keys = ["kind", "key", "sha256"]
        with self._transaction() as session:
            self._upsert(session, schema.ArtifactRow, [row], keys, ["path"])
            found = session.scalar(
                select(schema.ArtifactRow.id).filter_by(**{key: row[key] for key in keys})
            )
            link = {"run_id": run_id, "artifact_id": found, "role": role}
            self._upsert(session, schema.Lineage, [link], ["run_id", "artifact_id"], [])

    def annotate(
        self, run_id: str, *, note: str | None = None, archived: bool | None = None
    ) -> None:
        """Change a run's note or its archive mark."""
        with self._transaction() as session:
            run = self._run(session, run_id)
            run.note = run.note if note is None else note
            run.archived = run.archived if archived is None else archived

    def relocate(self, run_id: str, folder: str) -> None:
        """Say where a run's folder is now."""
        with self._transaction() as session:
            self._run(session, run_id).folder = folder

    def tag(self, run_id: str, put: Mapping[str, str], remove: Iterable[str] = ()) -> None:
        """Attach tags to a run and take others away."""
        with self._transaction() as session:
            self._run(session, run_id)
            for key in remove:
                session.execute(delete(schema.Tag).filter_by(run_id=run_id, key=key))
            for key, value in put.items():
                session.merge(schema.Tag(run_id=run_id, key=key, value=value))

    def delete_run(self, run_id: str) -> None:
        """Forget a run and everything that belongs to it alone.

        An artifact that another run has too is from now on found in the folder of that one.
        """
        with self._transaction() as session:
            run = self._run(session, run_id)
            _hand_on(session, run_id)
            session.delete(run)

    def forget_artifact(self, number: int) -> None:
        """Forget an artifact, unless a run made or used it."""
        table, used = schema.ArtifactRow, select(schema.Lineage.artifact_id)
        with self._transaction() as session:
            session.execute(delete(table).where(table.id == number, table.id.not_in(used)))

    def add_baselines(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Add imported scores and return how many; a name with the same content stays as it is.

        Args:
            rows: the columns of table `baseline`, all but `id` and `added_at`.

        Raises:
            UsageProblem: a name is there with other content; nothing is added.
        """
        table, now, added = schema.Baseline, time.time(), 0
        offered: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            offered.setdefault(row["name"], []).append(row)
        with self._transaction() as session:
            for name, mine in offered.items():
                known = [vars(b) for b in session.scalars(select(table).filter_by(name=name))]
                if not known:
                    session.add_all(table(**row, added_at=now) for row in mine)
                    added += len(mine)
                elif _content(known) != _content(mine):
                    raise UsageProblem(_clash(name, known))
        return added

    def remove_baselines(self, name: str) -> int:
        """Forget the imported scores of a name and return how many there were.

        Raises:
            UnknownName: nothing was imported under that name.
        """
        table = schema.Baseline
        with self._transaction() as session:
            known = session.scalars(select(table.name).distinct()).all()
            if name not in known:
                raise UnknownName("baseline", name, known)
            found = session.scalars(select(table).filter_by(name=name)).all()
            session.execute(delete(table).where(table.name == name))
            return len(found)

    def _run(self, session: Session, run_id: str) -> schema.Run:
        run = session.get(schema.Run, run_id, with_for_update=True)
        if run is None:
            raise RlvitError(f"the registry has no run {run_id}.")
        return run

    def _add(self, table: Any, run_id: str, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        keys = [column.name for column in table.__table__.primary_key]
        filled = [row | {"run_id": run_id, "superseded": False} for row in rows]
        with self._transaction() as session:
            self._upsert(session, table, filled, keys, [])

    def _upsert(
        self,
        session: Session,
        table: Any,
        rows: list[dict[str, Any]],
        keys: list[str],
        replace: list[str],
    ) -> None:
        """Insert rows; where one exists, replace the named columns, or leave it if none are.

        One statement for all rows: its text is compiled once and kept, and the rows go to the
        driver as they are, so that a flush does not hold up the thread that trains.
        """
        inserts: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
        statement = inserts[self.engine.dialect.name](table.__table__)
        if replace:
            statement = statement.on_conflict_do_update(
                index_elements=keys, set_={name: statement.excluded[name] for name in replace}
            )
        else:
            statement = statement.on_conflict_do_nothing(index_elements=keys)
        session.connection().execute(statement, rows)


def _hand_on(session: Session, run_id: str) -> None:
    """Let what is recorded as being in a run's folder be looked for in another's that has it."""
    artifact, link, run = schema.ArtifactRow, schema.Lineage, schema.Run
    mine = select(link.artifact_id).where(link.run_id == run_id)
    for row in session.scalars(select(artifact).where(artifact.id.in_(mine))):
        parts = Path(row.path).parts
        if run_id not in parts:
            continue  # it is shared
        inside = parts[parts.index(run_id) + 1 :]
        others = select(run.folder).join(link, link.run_id == run.id)
        others = others.where(link.artifact_id == row.id, run.id != run_id)
        folder = session.scalar(others.order_by(run.created_at.desc(), run.id).limit(1))
        row.path = row.path if folder is None else str(Path(folder, *inside))


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a measurement whose numbers a database can hold."""
    return dict(row) | {"value": finite(row["value"]), "spread": finite(row["spread"])}


BASELINE_CONTENT = (
    *("task", "protocol", "metric", "run_index", "value", "spread", "n"),
    *("cite", "status", "note"),
)  # two imports that agree in these are the same, whatever the files are called


def _content(rows: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    """Return what decides whether two imports of a name are the same."""
    return {tuple(row[column] for column in BASELINE_CONTENT) for row in rows}


def _clash(name: str, known: Sequence[Mapping[str, Any]]) -> str:
    """Say what is already there under a name, and what can be done."""

    def listed(column: str) -> str:
        return ", ".join(sorted({row[column] or "none" for row in known}))

    added = time.strftime("%Y-%m-%d", time.gmtime(known[0]["added_at"]))
    return (
        f"a baseline {name!r} with other content is there already ({len(known)} values by "
        f"{listed('metric')} under protocol {listed('protocol')}, from {listed('source')} on "
        f"{added}). Nothing was added: choose another --name, or first "
        f"`rlvit baselines remove {shlex.quote(name)}`."
    )


def _transition(
    run_id: str,
    attempt: int,
    before: str | None,
    to: str,
    at: float,
    reason: str,
    detail: Mapping[str, Any] | None = None,
) -> schema.Transition:
    return schema.Transition(
        run_id=run_id,
        attempt=attempt,
        from_state=before,
        to_state=to,
        at=at,
        reason=reason,
        detail=dict(detail or {}),
    )
