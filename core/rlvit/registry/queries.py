"""The only reader of the registry: questions in, frozen records out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
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
NEWEST = (schema.Run.created_at.desc(), schema.Run.id)  # the order of lists
RESULT_COLUMNS = ("run_id", "metric", "step", "value", "samples", "spread")
MOST_VALUES = 500  # that are handed to a statement one by one
REPEATED = "from-trial"  # tag of a run that repeats a trial, seed and all


@dataclass(frozen=True)
class Scope:
    """Which runs a report is about; archived ones never are. `tag` is KEY or KEY=VALUE."""

    method: str | None = None
    task: str | None = None
    protocol: str | None = None
    tag: str | None = None
    ids: frozenset[str] | None = None  # compared here: no database takes a list of 100,000
    trials: bool = True  # also runs that belong to trials of studies


@dataclass(frozen=True)
class Finished:
    """The completed runs of a scope as rows with named columns, all read at one moment."""

    experiments: Sequence[Any]  # what is repeated over seeds; some may have no completed run
    runs: Sequence[Any]
    results: Sequence[Any]  # live ones, by run, metric and the order of their making
    artifacts: Sequence[Any]  # run_id, kind, path; in the order of their making
    unfinished: dict[str, int]  # state -> runs of the scope that are not completed
    set_aside: int  # completed runs that belong to trials of studies, where these are left out


@dataclass(frozen=True)
class Page:
    """A part of a list of runs."""

    records: list[RunRecord]  # newest first
    results: Mapping[str, list[ResultRecord]]  # by run, in the order of their making
    total: int  # runs that fit, on all pages


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
    offset: int = 0,
) -> list[RunRecord]:
    """Return runs, newest first. `tag` is KEY or KEY=VALUE; `archived` None means both.

    The first `offset` are left out, and those after `limit` more.
    """
    fits = _fits(
        tag,
        method=method,
        task=task,
        protocol=protocol,
        preset=preset,
        state=state,
        seed=seed,
        name=name,
        archived=archived,
    )
    if limit is None and not offset:
        return _records(engine, fits)
    part = select(schema.Run.id).where(fits).order_by(*NEWEST).limit(limit).offset(offset)
    return _records(engine, schema.Run.id.in_(part))


def page(
    engine: Engine,
    *,
    limit: int,
    offset: int = 0,
    chosen: Collection[str] | None = None,
    **filters: Any,
) -> Page:
    """Return a part of the list of runs, with what they measured and how many there are in all.

    `filters` are those of `list_runs`; where there is `chosen`, only these ids count.
    """
    fits = _fits(**{"tag": None, "archived": False} | filters)
    if chosen is not None:
        query = select(schema.Run.id).where(fits).order_by(*NEWEST)
        with engine.connect() as connection:
            ids = [run_id for run_id in connection.scalars(query) if run_id in chosen]
        shown, total = ids[offset : offset + limit], len(ids)
        parts = [shown[start : start + MOST_VALUES] for start in range(0, len(shown), MOST_VALUES)]
        records = [r for part in parts for r in _records(engine, schema.Run.id.in_(part))]
    else:
        records = list_runs(engine, limit=limit, offset=offset, **filters)
        total = offset + len(records)
        if len(records) == limit or (offset and not records):
            total = _count(engine, fits)
    return Page(records, _results_of(engine, [record.id for record in records]), total)


def _fits(tag: str | None, **exact: Any) -> ColumnElement[bool]:
    """Return the condition on run and experiment that filters mean; None asks for nothing."""
    shared = {name: exact.pop(name, None) for name in ("method", "task", "protocol")}
    return and_(
        _equal(schema.Run, exact), _in_experiments(shared), true() if tag is None else _tagged(tag)
    )


def _equal(table: Any, exact: Mapping[str, Any]) -> ColumnElement[bool]:
    """Return the condition that columns have these values; None asks for nothing."""
    given = {name: value for name, value in exact.items() if value is not None}
    return and_(true(), *(getattr(table, name) == value for name, value in given.items()))


def _in_experiments(exact: Mapping[str, Any]) -> ColumnElement[bool]:
    """Return the condition on runs alone that their experiments have these values.

    A join instead would read every run: the database cannot know which side is small.
    """
    if all(value is None for value in exact.values()):
        return true()
    fitting = select(schema.Experiment.id).where(_equal(schema.Experiment, exact))
    return schema.Run.experiment_id.in_(fitting)


def _tagged(tag: str) -> ColumnElement[bool]:
    """Return the condition that a run has a tag, KEY or KEY=VALUE."""
    key, _, value = tag.partition("=")
    runs = select(schema.Tag.run_id).where(schema.Tag.key == key)
    return schema.Run.id.in_(runs.where(schema.Tag.value == value) if value else runs)


def _count(engine: Engine, fits: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(schema.Run).where(fits)
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def _results_of(engine: Engine, runs: Sequence[str]) -> dict[str, list[ResultRecord]]:
    """Return the measurements of several runs in the order they were made."""
    result, metric = schema.Result, schema.Metric
    query = select(result, metric.unit).join(metric).order_by(result.row)
    found: dict[str, list[ResultRecord]] = {run_id: [] for run_id in runs}
    with Session(engine) as session:
        for start in range(0, len(runs), MOST_VALUES):
            part = result.run_id.in_(runs[start : start + MOST_VALUES])
            for row, unit in session.execute(query.where(part)):
                found[row.run_id].append(_copy(row, ResultRecord, unit=unit))
    return found


def has_run(engine: Engine, run_id: str) -> bool:
    """Say whether there is a run with this very id."""
    with engine.connect() as connection:
        query = select(schema.Run.id).where(schema.Run.id == run_id)
        return connection.scalar(query) is not None


def find_run(engine: Engine, text: str) -> RunRecord:
    """Return the run that `text` means: an id, the start or end of one, a name, or `latest`.

    Raises:
        UnknownName: no run fits.
        UsageProblem: several fit.
    """
    run = schema.Run
    part = run.id.startswith(text, autoescape=True) | run.id.endswith(text, autoescape=True)
    meanings = (run.id == text, run.name == text, part) if text else ()  # the exact ones first
    fits: ColumnElement[bool] = true()
    if text == "latest":
        found = list_runs(engine, archived=None, limit=1)
    else:
        found, fits = _first(engine, meanings)
    if not found:
        with Session(engine) as session:
            known = session.scalars(select(run.id).order_by(*NEWEST).limit(200))
            raise UnknownName("run", text, known)
    if len(found) > 1:
        several = ", ".join(record.id for record in found)
        number = _count(engine, fits)
        raise UsageProblem(f"{text!r} fits {number} runs: {several}. Give more of the id.")
    return found[0]


def _first(
    engine: Engine, meanings: Iterable[ColumnElement[bool]]
) -> tuple[list[RunRecord], ColumnElement[bool]]:
    """Return the newest five runs of the first meaning that has any, and the meaning."""
    for fits in meanings:
        ids = select(schema.Run.id).where(fits)  # found in an index, without reading the runs
        newest = select(schema.Run.id).where(schema.Run.id.in_(ids)).order_by(*NEWEST).limit(5)
        if found := _records(engine, schema.Run.id.in_(newest)):
            return found, fits
    return [], true()


def points(engine: Engine, run_id: str, metric: str | None = None) -> list[PointRecord]:
    """Return a run's stored values in the order of logging."""
    point = schema.Point
    columns = [getattr(point, field.name) for field in fields(PointRecord)]
    query = select(*columns).where(point.run_id == run_id).order_by(point.row)
    if metric is not None:
        query = query.where(point.metric == metric)
    with engine.connect() as connection:
        return [PointRecord(*row) for row in connection.execute(query).all()]


def results(engine: Engine, run_id: str) -> list[ResultRecord]:
    """Return a run's measurements in the order they were made."""
    return _results_of(engine, [run_id])[run_id]


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
    query = select(row).order_by(
        row.name, row.task, row.protocol, row.metric, row.run_index, row.id
    )
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
        return [(step, value) for step, value in connection.execute(query).all()]


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
        ).where(_equal(experiment, _shared(scope))),
        "runs": select(*(getattr(run, name) for name in RUN_COLUMNS), *device).where(done),
        "results": select(*(getattr(result, name) for name in RESULT_COLUMNS))
        .where(result.run_id.in_(select(run.id).where(done)))
        .where(result.superseded.is_(False))
        .order_by(result.run_id, result.metric, result.attempt, result.row),
        "artifacts": select(schema.Lineage.run_id, schema.ArtifactRow.kind, schema.ArtifactRow.path)
        .join(schema.ArtifactRow, schema.Lineage.artifact_id == schema.ArtifactRow.id)
        .where(schema.Lineage.run_id.in_(select(run.id).where(done)))
        .order_by(schema.Lineage.run_id, schema.ArtifactRow.id),
    }
    rest = (
        select(run.id, run.state).where(_within(scope), run.state != COMPLETED).order_by(run.state)
    )
    aside = select(run.id).where(
        _within(replace(scope, trials=True)), run.state == COMPLETED, _of_trial()
    )
    with engine.connect() as connection:
        rows = {name: connection.execute(query).all() for name, query in queries.items()}
        states = connection.execute(rest).all()
        set_aside = [] if scope.trials else connection.scalars(aside).all()
    if scope.ids is not None:
        for name, key in (("runs", "id"), ("results", "run_id"), ("artifacts", "run_id")):
            rows[name] = [row for row in rows[name] if getattr(row, key) in scope.ids]
        states = [row for row in states if row.id in scope.ids]
        set_aside = [one for one in set_aside if one in scope.ids]
    unfinished = dict(Counter(row.state for row in states))
    return Finished(**rows, unfinished=unfinished, set_aside=len(set_aside))


def _within(scope: Scope) -> ColumnElement[bool]:
    """Return the condition on run that a scope means."""
    fits = _fits(scope.tag, archived=False, **_shared(scope))
    return fits if scope.trials else and_(fits, ~_of_trial())


def _of_trial() -> ColumnElement[bool]:
    """Return the condition that a run belongs to a trial of a study, or repeats one as it was."""
    run, tag = schema.Run, schema.Tag
    again = select(tag.run_id).where(tag.key == REPEATED)
    return run.id.in_(select(schema.TrialRun.run_id)) | run.id.in_(again)


def _shared(scope: Scope) -> dict[str, str | None]:
    """Return the part of a scope's condition that all runs of an experiment share."""
    return {"method": scope.method, "task": scope.task, "protocol": scope.protocol}


def names(engine: Engine, what: str) -> list[str]:
    """Return the "method", "task", "protocol" or "preset" names that the registry has."""
    column = getattr(schema.Run if what == "preset" else schema.Experiment, what)
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


def metrics(engine: Engine, among: Collection[str] | None = None) -> dict[str, MetricDef]:
    """Return the metrics that runs declared, by name; all, or those of the names `among`."""
    columns = [getattr(schema.Metric, field.name) for field in fields(MetricDef)]
    query = select(*columns).order_by(schema.Metric.name)
    if among is not None:
        query = query.where(schema.Metric.name.in_(sorted(among)))
    with engine.connect() as connection:
        return {row[0]: MetricDef(*row) for row in connection.execute(query).all()}


def _all(engine: Engine, query: Select[Any]) -> Sequence[Any]:
    with Session(engine) as session:
        return session.scalars(query).all()


def _records(engine: Engine, fits: ColumnElement[bool]) -> list[RunRecord]:
    """Return the runs that a condition on run alone fits, newest first."""
    run, experiment = schema.Run, schema.Experiment
    query = select(run, experiment).join(experiment).where(fits).order_by(*NEWEST)
    shared = ("method", "task", "protocol", "protocol_settings", "slots", "fingerprint")
    with Session(engine) as session:
        rows = session.execute(query).all()
        tags: dict[str, dict[str, str]] = {}
        ids = select(run.id).where(fits)
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
