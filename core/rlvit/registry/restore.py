"""Writes back what run folders and mirrors on disk hold: whole runs, studies, imported scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from rlvit.errors import RlvitError
from rlvit.registry import schema, snapshot
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.registry.store import Store
from rlvit.specs import MetricDef

ELSEWHERE = ("folder",)  # columns that say where a run is, not what it is
Values = Mapping[str, Any]
TABLES: Mapping[str, Any] = {
    "points": schema.Point,
    "results": schema.Result,
    "episodes": schema.EpisodeRow,
}


@dataclass(frozen=True)
class RunRows:
    """All rows of a run, without the keys that a registry gives itself."""

    run: Values
    experiment: Values
    metrics: Sequence[MetricDef]  # of all that is below
    tags: Mapping[str, str]
    transitions: Sequence[Values]
    artifacts: Sequence[Values]  # with `role`
    points: Sequence[Values]
    results: Sequence[Values]
    episodes: Sequence[Values]


class RestoreStore(Store):
    """Writes what is read from disk. Each method is one transaction."""

    def __init__(self, store: Store) -> None:
        self.engine, self._transaction = store.engine, store._transaction

    def add_run(self, rows: RunRows) -> bool:
        """Add a run with all that belongs to it; False if the same is there already.

        Raises:
            RlvitError: a run of that id with other content is there, or the database cannot hold
                the rows. Nothing is changed.
        """
        run_id = rows.run["id"]
        with self._transaction() as session, _explained():
            there = session.get(schema.Run, run_id)
            if there is None:
                self._insert_run(session, rows)
            else:
                _refuse_other(session, there, rows)
        return there is None

    def add_artifacts(self, rows: Sequence[Values]) -> None:
        """Add artifacts that are unknown, in this order."""
        if rows:
            keys = ["kind", "key", "sha256"]
            with self._transaction() as session:
                self._upsert(session, schema.ArtifactRow, [dict(row) for row in rows], keys, [])

    def drop_unused_artifacts(self) -> None:
        """Forget artifacts that no run is known to have made or used."""
        used = select(schema.Lineage.artifact_id)
        with self._transaction() as session:
            session.execute(delete(schema.ArtifactRow).where(schema.ArtifactRow.id.not_in(used)))

    def add_whole_study(self, study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
        """Add a study with its trials.

        Raises:
            RlvitError: there is one of that name, or the database cannot hold it. Nothing is
                changed.
        """
        plain = [asdict(trial) for trial in trials]
        runs = [
            {"study": trial["study"], "number": trial["number"], "seed": seed, "run_id": run_id}
            for trial in plain
            for seed, run_id in trial.pop("runs").items()
        ]
        row = {**asdict(study), "seeds": {"runs": list(study.seeds)}}
        with self._transaction() as session, _explained():
            for table, found in (
                (schema.Study, [row]),
                (schema.Trial, plain),
                (schema.TrialRun, runs),
            ):
                if found:
                    session.execute(insert(table), found)

    def add_new_baselines(self, rows: Sequence[Values], metrics: Sequence[MetricDef]) -> int:
        """Add imported scores as they were, and return how many; names that are there stay.

        Raises:
            RlvitError: the database cannot hold them. Nothing is changed.
        """
        with self._transaction() as session, _explained():
            known = set(session.scalars(select(schema.Baseline.name).distinct()))
            new = [dict(row) for row in rows if row["name"] not in known]
            self._declare(session, metrics)
            if new:
                session.execute(insert(schema.Baseline), new)
        return len(new)

    def _insert_run(self, session: Session, rows: RunRows) -> None:
        run_id = rows.run["id"]
        self._declare(session, rows.metrics)
        same = ["fingerprint"]
        self._upsert(session, schema.Experiment, [dict(rows.experiment)], same, [])
        fingerprint = rows.experiment["fingerprint"]
        experiment = session.scalar(select(schema.Experiment.id).filter_by(fingerprint=fingerprint))
        session.execute(insert(schema.Run), [{**rows.run, "experiment_id": experiment}])
        tags = [{"key": key, "value": value} for key, value in rows.tags.items()]
        for table, found in (
            (schema.Transition, rows.transitions),
            (schema.Tag, tags),
            *((table, getattr(rows, name)) for name, table in TABLES.items()),
        ):
            if found:
                session.execute(insert(table), [{**row, "run_id": run_id} for row in found])
        for row in rows.artifacts:
            self._link(session, run_id, row)

    def _declare(self, session: Session, metrics: Iterable[MetricDef]) -> None:
        """Declare metrics that are unknown; a declaration that is there stays."""
        rows = [asdict(metric) for metric in metrics]
        if rows:
            self._upsert(session, schema.Metric, rows, ["name"], [])

    def _link(self, session: Session, run_id: str, row: Values) -> None:
        found = {name: row[name] for name in snapshot.ARTIFACT}
        number = self._artifact(session, found)
        link = {"run_id": run_id, "artifact_id": number, "role": row["role"]}
        self._upsert(session, schema.Lineage, [link], ["run_id", "artifact_id"], [])

    def _artifact(self, session: Session, row: dict[str, Any]) -> int | None:
        """Return the number of an artifact, which is added where it is unknown."""
        keys = ["kind", "key", "sha256"]
        self._upsert(session, schema.ArtifactRow, [row], keys, [])
        same = {key: row[key] for key in keys}
        return session.scalar(select(schema.ArtifactRow.id).filter_by(**same))


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what a database cannot hold into one line."""
    try:
        yield
    except (DataError, IntegrityError) as problem:
        reason = str(problem.orig).partition("\n")[0]
        raise RlvitError(f"the registry cannot hold it: {reason}.") from None


def _refuse_other(session: Session, there: schema.Run, rows: RunRows) -> None:
    """Raise RlvitError unless the registry's run is the one that is to be added."""
    for name, value in rows.run.items():
        known = getattr(there, name)
        if known != value and name not in ELSEWHERE:
            raise _clash(there.id, f"its {name} is {_brief(known)} there and {_brief(value)} here")
    parts = {
        "fingerprint": (_fingerprint(session, there), rows.experiment["fingerprint"]),
        "tags": (_known(session, schema.Tag, there.id, ("key", "value")), _pairs(rows.tags)),
        "transitions": (
            _known(session, schema.Transition, there.id, snapshot.TRANSITION),
            _sorted(rows.transitions, snapshot.TRANSITION),
        ),
        "artifacts": (_artifacts(session, there.id), _sorted(rows.artifacts, LINKED)),
    }
    for name, table in TABLES.items():
        columns = [c.name for c in table.__table__.columns if c.name != "run_id"]
        known = _known(session, table, there.id, columns)
        parts[name] = (known, _sorted(getattr(rows, name), columns))
    for name, (known, given) in parts.items():
        if known != given:
            raise _clash(there.id, f"its {name} are not the same")


LINKED = ("kind", "key", "sha256", "role")


def _clash(run_id: str, why: str) -> RlvitError:
    return RlvitError(f"the registry has a run {run_id} with other content: {why}.")


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fingerprint(session: Session, run: schema.Run) -> str | None:
    query = select(schema.Experiment.fingerprint).filter_by(id=run.experiment_id)
    return session.scalar(query)


def _known(session: Session, table: Any, run_id: str, columns: Sequence[str]) -> list[str]:
    query = select(*(getattr(table, name) for name in columns)).where(table.run_id == run_id)
    return sorted(repr(tuple(row)) for row in session.execute(query))


def _artifacts(session: Session, run_id: str) -> list[str]:
    artifact, lineage = schema.ArtifactRow, schema.Lineage
    query = (
        select(artifact.kind, artifact.key, artifact.sha256, lineage.role)
        .join(lineage, lineage.artifact_id == artifact.id)
        .where(lineage.run_id == run_id)
    )
    return sorted(repr(tuple(row)) for row in session.execute(query))


def _sorted(rows: Iterable[Values], columns: Sequence[str]) -> list[str]:
    return sorted(repr(tuple(row[name] for name in columns)) for row in rows)


def _pairs(tags: Mapping[str, str]) -> list[str]:
    return sorted(repr(pair) for pair in tags.items())
