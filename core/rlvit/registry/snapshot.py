"""All that the registry has of a run beside its streams, as plain values, read at one moment."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, select, union
from sqlalchemy.orm import Session

from rlvit.errors import RlvitError
from rlvit.registry import schema

METRIC = ("name", "unit", "direction", "meaning", "axis", "timing")
TRANSITION = ("attempt", "from_state", "to_state", "at", "reason", "detail")
ARTIFACT = ("kind", "key", "sha256", "path", "size", "inputs", "made_by")
RESULT = ("metric", "attempt", "step", "value", "samples", "spread", "superseded")
OF_RUN = tuple(c.name for c in schema.Run.__table__.columns if c.name != "experiment_id")
OF_EXPERIMENT = tuple(c.name for c in schema.Experiment.__table__.columns if c.name != "id")


def snapshot(engine: Engine, run_id: str) -> dict[str, Any]:
    """Return a run's columns and its experiment's by name, and what belongs to it as lists.

    `metrics` are the declarations of what it logged or measured, `number` of an artifact says in
    which order the registry came to know them.

    Raises:
        RlvitError: there is no such run.
    """
    with Session(engine) as session:
        run = session.get(schema.Run, run_id)
        if run is None:
            raise RlvitError(f"the registry has no run {run_id}.")
        experiment = session.get(schema.Experiment, run.experiment_id)
        return {
            **_values(run, OF_RUN),
            **_values(experiment, OF_EXPERIMENT),
            "tags": _tags(session, run_id),
            "transitions": _transitions(session, run_id),
            "artifacts": _artifacts(session, run_id),
            "results": _results(session, run_id),
            "metrics": _metrics(session, run_id),
        }


def _values(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _tags(session: Session, run_id: str) -> dict[str, str]:
    query = select(schema.Tag).filter_by(run_id=run_id).order_by(schema.Tag.key)
    return {tag.key: tag.value for tag in session.scalars(query)}


def _transitions(session: Session, run_id: str) -> list[dict[str, Any]]:
    query = select(schema.Transition).filter_by(run_id=run_id).order_by(schema.Transition.id)
    return [_values(row, TRANSITION) for row in session.scalars(query)]


def _artifacts(session: Session, run_id: str) -> list[dict[str, Any]]:
    artifact, lineage = schema.ArtifactRow, schema.Lineage
    query = (
        select(artifact, lineage.role)
        .join(lineage, lineage.artifact_id == artifact.id)
        .where(lineage.run_id == run_id)
        .order_by(artifact.id)
    )
    return [
        {**_values(row, ARTIFACT), "role": role, "number": row.id}
        for row, role in session.execute(query)
    ]


def _results(session: Session, run_id: str) -> list[dict[str, Any]]:
    result, metric = schema.Result, schema.Metric
    query = select(result, metric.unit).join(metric).filter(result.run_id == run_id)
    return [
        {**_values(row, RESULT), "unit": unit}
        for row, unit in session.execute(query.order_by(result.row))
    ]


def _metrics(session: Session, run_id: str) -> list[dict[str, Any]]:
    tables = (schema.Point, schema.Result)
    used = union(*(select(table.metric).where(table.run_id == run_id) for table in tables))
    metric = schema.Metric
    query = select(metric).where(metric.name.in_(used)).order_by(metric.name)
    return [_values(row, METRIC) for row in session.scalars(query)]
