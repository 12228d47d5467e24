"""The only reader of the registry: questions in, frozen records out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, and_, func, select, true
from sqlalchemy.orm import Session

from rlvit.errors import UnknownName, UsageProblem
from rlvit.registry import schema
from rlvit.registry.records import (
    ArtifactRecord,
    BaselineRecord,
    EpisodeRecord,
    PointRecord,
    ResultRecord,
    RunRecord,
    TransitionRecord,
)
from rlvit.specs import MetricDef

COMPLETED = "completed"
EXPERIMENT_COLUMNS = (
    *("id", "fingerprint", "method", "task", "protocol"),
    *("protocol_settings", "config", "slots"),
)
RUN_COLUMNS = (
    *("id", "experiment_id", "name", "seed", "preset", "plugin_version"),
    *("git_commit", "git_dirty", "seconds", "note"),
)
RESULT_COLUMNS = ("run_id", "metric", "step", "value", "samples", "spread")


@dataclass(frozen=True)
class Scope:
    """Which runs a report is about; archived ones never are. `tag` is KEY or KEY=VALUE."""

    method: str | None = None
    task: str | None = None
    protocol: str | None = None
    tag: str | None = None


@dataclass(frozen=True)
class Finished:
    """The completed runs of a scope as rows with named columns, all read at one moment."""

    experiments: Sequence[Any]  # what is repeated over seeds; some may have no completed run
    runs: Sequence[Any]
    results: Sequence[Any]  # live ones, by run, metric and the order of their making
    artifacts: Sequence[Any]  # run_id, kind, path; in the order of their making
    unfinished: dict[str, int]  # state -> runs of the scope that are not completed


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


def baselines(engine: Engine) -> list[BaselineRecord]:
    """Return the imported scores by name, task, protocol, metric and run."""
    row = schema.Baseline
    query = select(row).order_by(row.name, row.task, row.protocol, row.metric, row.run_index)
    return [_copy(one, BaselineRecord) for one in _all(engine, query)]


def curve(engine: Engine, run_id: str, metric: str) -> list[tuple[int, float | None]]:
    """Return the stored (step, value) of a run's metric without the superseded ones."""
    point = schema.Point
    query = (
        select(point.step, point.value)
        .where(point.run_id == run_id, point.metric == metric, point.superseded.is_(False))
        .order_by(point.row)
    )
    with engine.connect() as connection:
        return [(step, value) for step, value in connection.execute(query)]


def finished(engine: Engine, scope: Scope) -> Finished:
    """Return the completed runs of a scope with all that reports say of them.

    As many statements for 100,000 runs as for one.
    """
    run, experiment, result = schema.Run, schema.Experiment, schema.Result
    done = and_(_within(scope), run.state == COMPLETED)
    device = [run.provenance[key].as_string().label(key) for key in ("device", "gpu")]
    queries = {
        "experiments": select(
            *(getattr(experiment, name) for name in EXPERIMENT_COLUMNS),
        ).where(_of_experiment(scope)),
        "runs": select(*(getattr(run, name) for name in RUN_COLUMNS), *device)
        .join(experiment)
        .where(done),
        "results": select(*(getattr(result, name) for name in RESULT_COLUMNS))
        .where(result.run_id.in_(select(run.id).join(experiment).where(done)))
        .where(result.superseded.is_(False))
        .order_by(result.run_id, result.metric, result.attempt, result.row),
        "artifacts": select(schema.Lineage.run_id, schema.ArtifactRow.kind, schema.ArtifactRow.path)
        .join(schema.ArtifactRow, schema.Lineage.artifact_id == schema.ArtifactRow.id)
        .where(schema.Lineage.run_id.in_(select(run.id).join(experiment).where(done)))
        .order_by(schema.Lineage.run_id, schema.ArtifactRow.id),
    }
    count = (
        select(run.state, func.count())
        .join(experiment)
        .where(_within(scope), run.state != COMPLETED)
        .group_by(run.state)
        .order_by(run.state)
    )
    with engine.connect() as connection:
        rows = {name: connection.execute(query).all() for name, query in queries.items()}
        unfinished = {state: number for state, number in connection.execute(count)}
    return Finished(**rows, unfinished=unfinished)


def _within(scope: Scope) -> ColumnElement[bool]:
    """Return the condition on run and experiment that a scope means."""
    run, tag = schema.Run, schema.Tag
    condition = and_(run.archived.is_(False), _of_experiment(scope))
    if scope.tag is None:
        return condition
    key, _, value = scope.tag.partition("=")
    tagged = select(tag.run_id).where(tag.key == key)
    return and_(condition, run.id.in_(tagged.where(tag.value == value) if value else tagged))


def _of_experiment(scope: Scope) -> ColumnElement[bool]:
    """Return the part of a scope's condition that all runs of an experiment share."""
    exact = {"method": scope.method, "task": scope.task, "protocol": scope.protocol}
    given = {name: value for name, value in exact.items() if value is not None}
    return and_(true(), *(getattr(schema.Experiment, n) == value for n, value in given.items()))


def names(engine: Engine, what: str) -> list[str]:
    """Return the "method", "task" or "protocol" names that runs of the registry have."""
    column = getattr(schema.Experiment, what)
    with engine.connect() as connection:
        return list(connection.scalars(select(column).distinct().order_by(column)))


def tag_names(engine: Engine) -> list[str]:
    """Return the tags of the registry: KEY, and KEY=VALUE where there is a value."""
    tag = schema.Tag
    query = select(tag.key, tag.value).distinct().order_by(tag.key, tag.value)
    with engine.connect() as connection:
        pairs = connection.execute(query).all()
    whole = {f"{key}={value}" for key, value in pairs if value}
    return sorted({key for key, _ in pairs} | whole)


def metrics(engine: Engine) -> dict[str, MetricDef]:
    """Return the metrics that runs declared, by name."""
    rows = _all(engine, select(schema.Metric).order_by(schema.Metric.name))
    return {row.name: _copy(row, MetricDef) for row in rows}


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
