"""Gathers from the registry and the catalogue what a report may say."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvit.catalog import Catalog, match
from rlvit.errors import UnknownName, UsageProblem
from rlvit.registry import expression, fields, queries, studies
from rlvit.registry.tuning import tuning_trials
from rlvit.report import baselines, published
from rlvit.report.cells import clean
from rlvit.report.labels import labels
from rlvit.report.model import Arm, Evidence, Reference, Trial, Value
from rlvit.runs.bundle.imported import stayed_behind
from rlvit.runs.bundle.names import SHARED, WEIGHTS
from rlvit.specs import MetricDef, digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from rlvit.home import Home


NOTHING = "none"  # asked for as a name: no reference


def gather(
    engine: Engine,
    catalog: Catalog,
    *,
    method: str | None = None,
    task: str | None = None,
    protocol: str | None = None,
    tag: str | None = None,
    query: str | None = None,
    trials: bool = False,
    quoted: Sequence[str] = (),
    home: Home | None = None,
) -> Evidence:
    """Return the completed runs that are not archived as arms, and what they stand beside.

    Args:
        engine: of the registry.
        catalog: knows the tasks' facts and headlines, and what papers print.
        method: only runs of it.
        task: only runs and references of it.
        protocol: only runs and references under it.
        tag: only runs with it, KEY or KEY=VALUE.
        query: only runs of which this expression is true. Where runs are chosen by this or one of
            the others but `task`, references are those of the tasks that are left with an arm.
        trials: also runs of studies' trials; a tag of theirs, `study` or `trial`, has them, too.
        quoted: only references with one of these names, in which * stands for any text; `none`
            alone for no reference at all. Empty: every one.
        home: where artifacts are looked for first; without one they are not looked for.

    Raises:
        UnknownName: neither the registry nor a plugin knows one of these; the nearest is suggested.
        UsageProblem: the query cannot be read, or compares a number with a text; `quoted` has
            `none` beside other names.
    """
    imported = baselines.references(engine)
    scope = queries.Scope(
        method=_known(engine, catalog, "method", method),
        task=_known(engine, catalog, "task", task, (one.task for one in imported)),
        protocol=_known(engine, catalog, "protocol", protocol, (o.protocol for o in imported)),
        tag=_known_tag(engine, tag),
        ids=None if query is None else frozenset(chosen_runs(engine, catalog, query)),
        trials=trials or (tag or "").partition("=")[0] in ("study", "trial", queries.REPEATED),
    )
    found = queries.finished(engine, scope)
    found, lost = _located(found, home)
    arms = _arms(found, catalog)
    known = [*published.references(catalog), *imported]
    anywhere = task is not None or not any((method, protocol, tag, query))
    beside = _beside(known, scope, None if anywhere else {arm.task for arm in arms})
    references = _quoted(beside, quoted, known)
    metrics = {**catalog.metrics, **queries.metrics(engine)}
    tasks = sorted({arm.task for arm in arms} | {one.task for one in references})
    specs = {name: catalog.entries["task"][name].spec for name in tasks if name in _tasks(catalog)}
    return Evidence(
        arms=tuple(arms),
        references=tuple(references),
        unquoted=len(beside) - len(references),
        metrics=metrics,
        headlines={name: _headline(name, catalog, arms, references, metrics) for name in tasks},
        facts={name: dict(spec.facts) for name, spec in specs.items()},
        kinds={name: spec.kind for name, spec in specs.items()},
        unfinished=found.unfinished,
        lost=lost,
        set_aside=found.set_aside,
        studied=_studied(engine, scope),
        tuning=tuning_trials(engine, {arm.fingerprint for arm in arms}),
    )


def _beside(
    references: Iterable[Reference], scope: queries.Scope, left: Collection[str] | None
) -> list[Reference]:
    """Return the references of a scope, where there is `left` those of these tasks alone."""
    return [
        one
        for one in references
        if scope.task in (None, one.task)
        and scope.protocol in (None, one.protocol)
        and (left is None or one.task in left)
    ]


def _quoted(
    references: list[Reference], patterns: Sequence[str], known: Sequence[Reference]
) -> list[Reference]:
    """Return the references whose names fit a pattern.

    Raises:
        UnknownName: a pattern fits none.
        UsageProblem: no reference is asked for beside others.
    """
    if not patterns:
        return references
    if NOTHING in patterns:
        if len(patterns) > 1:
            raise UsageProblem(f"--published {NOTHING} stands alone.")
        return []
    names = {clean(one.name) for one in known}
    wanted = set[str]()
    for pattern in patterns:
        text = re.sub(r"[\[?]", r"[\g<0>]", pattern.lower())  # only * means more than itself
        fits = {name for name in names if name.lower() == pattern.lower()}
        fits = fits or {name for name in names if fnmatchcase(name.lower(), text)}
        if not fits:
            raise UnknownName("published number", pattern, sorted(names))
        wanted |= fits
    return [one for one in references if clean(one.name) in wanted]


def _studied(engine: Engine, scope: queries.Scope) -> tuple[tuple[str, str], ...]:
    shared = {"method": scope.method, "task": scope.task, "protocol": scope.protocol}
    wanted = {key: name for key, name in shared.items() if name is not None}
    found = studies.list_studies(engine, **wanted)
    return tuple(sorted({(study.task, study.protocol) for study in found}))


def chosen_runs(engine: Engine, catalog: Catalog, query: str) -> set[str]:
    """Return the ids of the runs that a query chooses, archived ones too.

    Raises:
        UnknownName: neither a run nor a plugin has a field that it names.
        UsageProblem: it cannot be read, or compares a number with a text.
    """
    methods = [entry.spec for entry in catalog.entries["method"].values()]
    known = {f"config.{name}" for method in methods for name in method.config.model_fields}
    known |= {f"slot.{slot}" for method in methods for slot in method.slots}
    known |= {f"result.{name}" for name in catalog.metrics}
    return fields.chosen(engine, expression.parse(query), known)


def curve(
    engine: Engine, run_id: str, metric: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the steps and values [at most 1,000] that a run logged, superseded ones left out.

    A value that was not a finite number is NaN. A run that never logged the metric has none.
    """
    import numpy as np

    found = queries.curve(engine, run_id, metric)
    steps = np.fromiter((step for step, _ in found), dtype=np.int64, count=len(found))
    values = np.array([math.nan if value is None else value for _, value in found], dtype=float)
    return steps, values


def _tasks(catalog: Catalog) -> Mapping[str, Any]:
    return catalog.entries["task"]


def _known(
    engine: Engine, catalog: Catalog, what: str, name: str | None, more: Iterable[str] = ()
) -> str | None:
    """Return a name that something has, however its letters are cased; raises UnknownName."""
    if name is None:
        return None
    offered = (
        [one.name for one in catalog.protocols()]
        if what == "protocol"
        else list(catalog.entries[what])
    )
    known = dict.fromkeys([*queries.names(engine, what), *offered, *more])
    known.pop("", None)
    found = match(name, known)
    if found is None:
        raise UnknownName(what, name, known)
    return found


def _known_tag(engine: Engine, tag: str | None) -> str | None:
    """Return a tag that a run has; raises UnknownName."""
    if tag is not None and tag.removesuffix("=") not in (known := queries.tag_names(engine)):
        raise UnknownName("tag", tag, map(clean, known))  # tags may hold control characters
    return tag


def _arms(found: queries.Finished, catalog: Catalog) -> list[Arm]:
    """Return the runs by fingerprint: arms by method, label and fingerprint."""
    trials = _trials(found)
    experiments = [row for row in found.experiments if row.id in trials]
    protocols = _protocols(experiments, catalog)
    arms = []
    for row in experiments:
        of_row = sorted(trials[row.id], key=lambda pair: (pair[1].seed, pair[1].id))
        arms.append(
            Arm(
                fingerprint=row.fingerprint,
                label="",
                method=row.method,
                task=row.task,
                protocol=protocols[row.id],
                preset=of_row[0][0],
                config=row.config,
                slots=row.slots,
                trials=tuple(trial for _, trial in of_row),
                settings=row.protocol_settings,
            )
        )
    arms.sort(key=lambda arm: arm.fingerprint)
    return sorted(labels(arms, catalog), key=lambda arm: (arm.method, arm.label, arm.fingerprint))


def _located(found: queries.Finished, home: Home | None) -> tuple[queries.Finished, int]:
    """Return the rows with artifacts where they are now, and how many runs lack one."""
    if home is None:
        return found, 0
    places: dict[str, Path] = {}  # some are shared by many runs
    there = []
    for run_id, kind, stored in found.artifacts:
        if stored not in places:
            places[stored] = home.located(stored)
        there.append((run_id, kind, str(places[stored])))
    gone = {str(path) for path in places.values() if not path.is_dir()}
    lost = {run_id for run_id, _, path in there if path in gone}
    known = {run_id for run_id in lost if stayed_behind(home.runs / run_id) & {SHARED, WEIGHTS}}
    return replace(found, artifacts=there), len(lost - known)


def _trials(found: queries.Finished) -> dict[int, list[tuple[str, Trial]]]:
    """Return (preset, run) pairs by experiment."""
    results = _by_run(found.results, _finished_values)
    artifacts = _by_run(found.artifacts, lambda rows: {kind: path for _, kind, path in rows})
    trials: dict[int, list[tuple[str, Trial]]] = {}
    for row in found.runs:
        trial = Trial(
            id=row.id,
            name=row.name,
            seed=row.seed,
            commit=row.git_commit,
            dirty=row.git_dirty,
            version=row.plugin_version,
            seconds=row.seconds,
            device=row.gpu or row.device or "",
            note=row.note,
            results=results.get(row.id, {}),
            artifacts=artifacts.get(row.id, {}),
        )
        trials.setdefault(row.experiment_id, []).append((row.preset, trial))
    return trials


def _by_run(rows: Sequence[Any], use: Callable[[list[Any]], Any]) -> dict[str, Any]:
    """Return what `use` makes of each run's rows, which lie together."""
    return {run_id: use(list(of_run)) for run_id, of_run in groupby(rows, key=itemgetter(0))}


def _finished_values(rows: list[Any]) -> dict[str, Value]:
    """Return the last measurements of a run: those of its finished model, and its baselines.

    What is measured together has names that begin alike: the last `eval/...` are at one step, and
    a `dense/...` that was measured once, before anything was learnt, stays.
    """
    last: dict[str, int] = {}
    for _, metric, step, *_ in rows:
        part = metric.partition("/")[0]
        last[part] = max(step, last.get(part, step))
    return {  # measured twice at one step: the later one counts
        metric: Value(math.nan if value is None else value, samples, spread, step)
        for _, metric, step, value, samples, spread in rows
        if step == last[metric.partition("/")[0]]
    }


def _protocols(experiments: Sequence[Any], catalog: Catalog) -> dict[int, str]:
    """Return the protocol's name by experiment.

    Where a task was measured under one name with several settings, because the protocol has been
    changed since, those that are not today's are told apart by their hash: they never share a
    table.
    """
    variants: dict[tuple[str, str], set[str]] = {}
    hashes = {row.id: digest(row.protocol_settings) for row in experiments}
    for row in experiments:
        variants.setdefault((row.task, row.protocol), set()).add(hashes[row.id])
    names = {}
    for row in experiments:
        several = len(variants[row.task, row.protocol]) > 1
        plain = not several or hashes[row.id] == _today(catalog, row.task, row.protocol)
        names[row.id] = row.protocol if plain else f"{row.protocol}@{hashes[row.id][:6]}"
    return names


def _today(catalog: Catalog, task: str, protocol: str) -> str | None:
    """Return the hash of a protocol's present settings, None if no plugin offers it."""
    entry = _tasks(catalog).get(task)
    found = [p for p in entry.spec.protocols if p.name == protocol] if entry else []
    return digest(dict(found[0].settings)) if found else None


def _headline(
    task: str,
    catalog: Catalog,
    arms: Sequence[Arm],
    references: Sequence[Reference],
    metrics: Mapping[str, MetricDef],
) -> tuple[str, ...]:
    """Return the metrics of a task's tables: its evaluator's, or else all with a better side."""
    entry = _tasks(catalog).get(task)
    evaluator = catalog.entries["evaluator"].get(entry.spec.evaluator) if entry else None
    if evaluator is not None and evaluator.spec.headline:
        return tuple(evaluator.spec.headline)
    names = {name for arm in arms if arm.task == task for t in arm.trials for name in t.results}
    names |= {one.metric for one in references if one.task == task}
    better = {name for name in names if name in metrics and metrics[name].direction != "none"}
    return tuple(sorted(better or names))
