"""The only reader of the registry: questions in, frozen records out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session

from rlvit.errors import UnknownName, UsageProblem
from rlvit.registry import schema
from rlvit.registry.records import (
    ArtifactRecord,
    EpisodeRecord,
    PointRecord,
    ResultRecord,
    RunRecord,
    TransitionRecord,
)


def list_runs(
    engine: Engine,
    *,
    method: str | None = None,
    task: str | None = None,
    protocol: str | None = None,
    preset: str | None = None,
    state: str | None = None,
    seed: int | None = None,
    name: str | None = None,
    tag: str | None = None,
    archived: bool | None = False,
    limit: int | None = None,
) -> list[RunRecord]:
    """Return runs, newest first. `tag` is KEY or KEY=VALUE; `archived` None means both."""
    run, experiment = schema.Run, schema.Experiment
    query = select(run, experiment).join(experiment).order_by(run.created_at.desc(), run.id)
    exact = {
        experiment.method: method,
        experiment.task: task,
        experiment.protocol: protocol,
        run.preset: preset,
        run.state: state,
        run.seed: seed,
        run.name: name,
        run.archived: archived,
    }
    for column, value in exact.items():
        if value is not None:
            query = query.where(column == value)
    if tag is not None:
        key, _, value = tag.partition("=")
        query = query.join(schema.Tag, schema.Tag.run_id == run.id).where(schema.Tag.key == key)
        query = query.where(schema.Tag.value == value) if value else query
    return _records(engine, query.limit(limit))


def find_run(engine: Engine, text: str) -> RunRecord:
    """Return the run that `text` means: an id, the start or end of one, a name, or `latest`.

    Raises:
        UnknownName: no run fits.
        UsageProblem: several fit.
    """
    run, experiment = schema.Run, schema.Experiment
    query = select(run, experiment).join(experiment).order_by(run.created_at.desc())
    if text == "latest":
        found = _records(engine, query.limit(1))
    elif not text:  # every id starts with it
        found = []
    else:
        part = run.id.startswith(text, autoescape=True) | run.id.endswith(text, autoescape=True)
        meanings = (run.id == text, run.name == text, part)  # the exact ones first
        found = next((f for m in meanings if (f := _records(engine, query.where(m)))), [])
    if not found:
        with Session(engine) as session:
            known = session.scalars(select(run.id).order_by(run.created_at.desc()).limit(200))
            raise UnknownName("run", text, known)
    if len(found) > 1:
        several = ", ".join(record.id for record in found[:5])
        raise UsageProblem(f"{text!r} fits {len(found)} runs: {several}. Give more of the id.")
    return found[0]


def points(engine: Engine, run_id: str, metric: str | None = None) -> list[PointRecord]:
    """Return a run's stored values in the order of logging."""
    query = select(schema.Point).filter_by(run_id=run_id).order_by(schema.Point.row)
    if metric is not None:
        query = query.filter_by(metric=metric)
    return [_copy(row, PointRecord) for row in _all(engine, query)]


def results(engine: Engine, run_id: str) -> list[ResultRecord]:
    """Return a run's measurements in the order they were made."""
    query = (
        select(schema.Result, schema.Metric.unit)
        .join(schema.Metric)
        .where(schema.Result.run_id == run_id)
        .order_by(schema.Result.row)
    )
    with Session(engine) as session:
        return [_copy(row, ResultRecord, unit=unit) for row, unit in session.execute(query)]


def episodes(engine: Engine, run_id: str) -> list[EpisodeRecord]:
    """Return a run's evaluation episodes in the order they ended."""
    query = select(schema.EpisodeRow).filter_by(run_id=run_id).order_by(schema.EpisodeRow.row)
    return [_copy(row, EpisodeRecord) for row in _all(engine, query)]


def transitions(engine: Engine, run_id: str) -> list[TransitionRecord]:
    """Return the moves of a run's life."""
    query = select(schema.Transition).filter_by(run_id=run_id).order_by(schema.Transition.id)
    return [_copy(row, TransitionRecord) for row in _all(engine, query)]


def artifacts(engine: Engine, run_id: str) -> list[ArtifactRecord]:
    """Return the artifacts that a run made or used, in the order of their making."""
    query = (
        select(schema.ArtifactRow, schema.Lineage.role)
        .join(schema.Lineage, schema.Lineage.artifact_id == schema.ArtifactRow.id)
        .where(schema.Lineage.run_id == run_id)
        .order_by(schema.ArtifactRow.id)
    )
    with Session(engine) as session:
        return [_copy(row, ArtifactRecord, role=role) for row, role in session.execute(query)]


def _all(engine: Engine, query: Select[Any]) -> Sequence[Any]:
    with Session(engine) as session:
        return session.scalars(query).all()


def _records(engine: Engine, query: Any) -> list[RunRecord]:
    shared = ("method", "task", "protocol", "protocol_settings", "slots", "fingerprint")
    with Session(engine) as session:
        rows = session.execute(query).unique().all()
        tags: dict[str, dict[str, str]] = {}
        ids = [run.id for run, _ in rows]
        for tag in session.scalars(select(schema.Tag).where(schema.Tag.run_id.in_(ids))):
            tags.setdefault(tag.run_id, {})[tag.key] = tag.value
        return [
            _copy(
                run,
                RunRecord,
                tags=tags.get(run.id, {}),
                config={**experiment.config, **run.bookkeeping},
                **{name: getattr(experiment, name) for name in shared},
            )
            for run, experiment in rows
        ]


def _copy(row: Any, record: Any, **known: Any) -> Any:
    names = {field.name for field in fields(record)} - set(known)
    return record(**{name: getattr(row, name) for name in names}, **known)
