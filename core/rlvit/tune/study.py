"""Makes studies and opens them again; a changed space makes a new study, with what still fits."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna

from rlvit.catalog import Catalog
from rlvit.config import accepted_names, identity
from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.registry import queries, studies
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.registry.studies import StudyStore
from rlvit.runs import provenance
from rlvit.runs.folder import write_json
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.specs import DATASET, digest
from rlvit.tune import objectives, samplers, storage
from rlvit.tune.space import Range, make_space, parse_fixed, space_of

TRIALS = 20  # of who asks for no number


BEGUN = "begun"  # what a study in Optuna's database is marked with once the registry knows it


@dataclass(frozen=True)
class Wanted:
    """What a user asks of a study; None means: choose for me, or as it was."""

    base: Request
    space: Sequence[str] = ()
    fixed: Sequence[str] = ()
    only: bool = False
    objectives: Sequence[str] = ()
    sampler: Mapping[str, Any] = field(default_factory=lambda: {"name": "tpe"})
    pruner: Mapping[str, Any] = field(default_factory=lambda: {"name": "none"})
    name: str | None = None
    trials: int | None = None
    seeds_per_trial: int = 1
    storage: str | None = None


@dataclass(frozen=True)
class OpenStudy:
    """A study with all that is needed to work on it."""

    catalog: Catalog
    home: Home
    store: StudyStore
    record: StudyRecord
    optuna: optuna.Study
    threads: int | None = None  # of this process, None: as the study was asked for
    data_root: str | None = None

    @property
    def space(self) -> dict[str, Range]:
        """Where it searches, by field."""
        return space_of(self.record)

    def request(self, trial: TrialRecord, seed: int) -> Request:
        """Return what a run of a trial is asked for."""
        asked = request_of(self.record, trial.params, seed)
        tags = {**asked.tags, "study": self.record.name, "trial": str(trial.number)}
        return dataclasses.replace(
            asked,
            tags=tags,
            threads=self.threads or asked.threads,
            data_root=self.data_root or asked.data_root,
        )


def request_of(study: StudyRecord, params: Mapping[str, Any], seed: int) -> Request:
    """Return what a run with these values is asked for."""
    base = Request(**study.request)
    return dataclasses.replace(base, values={**base.values, **params}, seed=seed)


def prepare(
    catalog: Catalog, home: Home, store: StudyStore, wanted: Wanted, say: Callable[[str], None]
) -> StudyRecord:
    """Make the study that is wanted, or find it if it is there.

    Raises:
        UsageProblem: something in it cannot be, or the study is there with other objectives.
    """
    record, base = describe(catalog, home, wanted)
    home.create()
    with store.holding(record.name, home):
        known = studies.list_studies(store.engine, name=record.name)
        if known:
            _refuse_other(known[0], record)
            trials = wanted.trials or known[0].trials
            store.change_study(record.name, trials=trials, stop="")
        else:
            store.declare_metrics(catalog.metrics.values())
            _make(catalog, home, store, record, base, wanted.storage, say)
    mirror(store, home, record.name)
    return studies.find_study(store.engine, record.name)


def describe(catalog: Catalog, home: Home, wanted: Wanted) -> tuple[StudyRecord, Request]:
    """Return the study that is wanted as it would be new, and the request of its runs.

    Raises:
        UsageProblem: something in it cannot be.
    """
    plan, space, fixed = _resolved(catalog, wanted)
    aims = objectives.parse_objectives(catalog, plan, wanted.objectives)
    samplers.check_sampler(wanted.sampler["name"], space, aims)
    seeds = tuple(plan.seed + number for number in range(wanted.seeds_per_trial))
    plain = {name: one.plain() for name, one in space.items()}
    rest = {name: v for name, v in identity(plan.config).items() if name not in space}
    means = {
        "method": plan.method.name,
        "task": plan.task.name,
        "protocol": [plan.protocol.name, dict(plan.protocol.settings)],
        "slots": plan.slots,
        "seeds": list(seeds),
        "fixed": rest,
        "space": plain,
    }
    stem = _stem(wanted.name or f"{plan.method.name}-{plan.task.name}")
    has_data = plan.task.kind == DATASET and plan.data_root.is_dir()
    base = dataclasses.replace(
        wanted.base,
        task=plan.task.name,
        preset=plan.preset.name,
        protocol=plan.protocol.name,
        values=fixed,
        data_root=str(plan.data_root) if has_data else None,
    )
    record = StudyRecord(
        name=f"{stem}-{digest(means)[:8]}",
        stem=stem,
        space_hash=digest(means),
        method=plan.method.name,
        task=plan.task.name,
        protocol=plan.protocol.name,
        preset=plan.preset.name,
        request=asdict(base),
        space=plain,
        objectives=aims,
        sampler=dict(wanted.sampler),
        pruner=_pruner(catalog, plan, wanted.pruner, aims, len(seeds)),
        seed=plan.seed,
        seeds=seeds,
        trials=wanted.trials or TRIALS,
        stop="",
        storage=storage.written(home, storage.choose(home, wanted.storage)),
        created_at=time.time(),
    )
    return record, base


def _resolved(catalog: Catalog, wanted: Wanted) -> tuple[Plan, dict[str, Range], dict[str, Any]]:
    """Return the plan of a run without a trial's values, where to search, and the fixed values."""
    config = catalog.method(wanted.base.plugin).config
    meant = accepted_names(config)
    given = {meant.get(name, name): value for name, value in wanted.base.values.items()}
    held = parse_fixed(config, wanted.fixed)
    for name in given.keys() & held.keys():
        raise UsageProblem(f"{name} is given as an option and with --fix; give one of them.")
    fixed = {**given, **held}
    space = make_space(config, wanted.space, fixed, only=wanted.only)
    plan = make_plan(catalog, dataclasses.replace(wanted.base, values=fixed))
    return plan, space, fixed


def _stem(name: str) -> str:
    """Return a name that may be a file's; raises UsageProblem."""
    found = name.lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,98}", found) or found == "latest":
        raise UsageProblem(
            f"--name {name}: expected letters, digits, dots and dashes, at most 99 of them."
        )
    return found


def _pruner(
    catalog: Catalog,
    plan: Plan,
    given: Mapping[str, Any],
    aims: Mapping[str, str],
    seeds: int,
) -> dict[str, Any]:
    """Return a pruner's settings with the metrics it looks at; raises UsageProblem."""
    name, asked = given["name"], list(given.get("on") or ())
    if name == "none" and "over" not in given:
        return {"name": name}
    if name != "dominated" and len(aims) > 1:
        raise UsageProblem(
            f"--pruner {name} has one objective; with several take --pruner dominated."
        )
    if "over" in given and name != "wilcoxon":
        raise UsageProblem("--prune-over images belongs to --pruner wilcoxon.")
    if "over" in given:
        return _over_images(plan, next(iter(aims)), seeds)
    if name == "wilcoxon":
        if seeds < 5:
            raise UsageProblem(
                "--pruner wilcoxon compares seeds: it can decide after 4 of them (p = 1/16), so "
                "give --seeds-per-trial 5 or more."
            )
        return {"name": name}
    if name == "hyperband" and not given.get("start"):
        raise UsageProblem("--pruner hyperband needs --prune-from, the step of its first decision.")
    on = [objectives.find_metric(catalog, plan, one).name for one in asked]
    on = on or [_foretells(plan, metric) for metric in aims]
    if len(on) != len(aims):
        raise UsageProblem(f"--prune-on: expected {len(aims)}, one for each objective in order.")
    return {**given, "on": on}


def _over_images(plan: Plan, metric: str, seeds: int) -> dict[str, Any]:
    """Return the settings of Wilcoxon's test over images; raises UsageProblem."""
    column = plan.evaluator.items.get(metric)
    if column is None:
        known = ", ".join(plan.evaluator.items) or "nothing"
        raise UsageProblem(
            f"--prune-over images: the evaluator {plan.evaluator.name} measures {known} item by "
            f"item, not {metric}."
        )
    if seeds < 2:
        raise UsageProblem(
            "--prune-over images decides between the runs of a trial; give --seeds-per-trial 2 or "
            "more."
        )
    return {"name": "wilcoxon", "over": "images", "column": column}


def _foretells(plan: Plan, metric: str) -> str:
    """Return what a method logs in training that corresponds to an objective."""
    found = plan.method.progress.get(metric)
    if found is None:
        raise UsageProblem(
            f"{plan.method.name} names no metric of its training that corresponds to {metric}: "
            "give --prune-on METRIC, or --pruner none."
        )
    return found


def _refuse_other(known: StudyRecord, wanted: StudyRecord) -> None:
    """Refuse to go on with a study under other terms; raises UsageProblem."""

    def aims(study: StudyRecord) -> str:
        return ", ".join(f"{metric}:{way}" for metric, way in study.objectives.items())

    if list(known.objectives.items()) != list(wanted.objectives.items()):
        raise UsageProblem(
            f"study {known.name} optimises {aims(known)}, not {aims(wanted)}. Give another --name "
            "for a new study."
        )
    for what in ("sampler", "pruner", "storage"):
        before, now = getattr(known, what), getattr(wanted, what)
        if before != now:
            raise UsageProblem(
                f"study {known.name} was begun with the {what} {_brief(before)}, not "
                f"{_brief(now)}. Give the same, or another --name for a new study."
            )


def _brief(settings: Any) -> str:
    if not isinstance(settings, Mapping):
        return str(settings)
    more = [f"{k} {v}" for k, v in settings.items() if k != "name" and v is not None]
    return f"{settings['name']} ({', '.join(more)})" if more else str(settings["name"])


def _make(
    catalog: Catalog,
    home: Home,
    store: StudyStore,
    record: StudyRecord,
    base: Request,
    where: str | None,
    say: Callable[[str], None],
) -> None:
    """Make a study in Optuna's database, then in the registry; the caller holds it."""
    found = storage.open_storage(home, storage.choose(home, where))
    if record.name in optuna.study.get_all_study_names(found):
        _discard_beginning(found, record)
    ways = optuna.study.StudyDirection
    directions = [
        ways.MAXIMIZE if d == "max" else ways.MINIMIZE for d in record.objectives.values()
    ]
    made = optuna.create_study(storage=found, study_name=record.name, directions=directions)
    old = _fitting(catalog, store, record, base)
    space = space_of(record)
    distributions = {name: one.distribution for name, one in space.items()}
    for trial in old:
        values = [(trial.values or {})[metric] for metric in record.objectives]
        made.add_trial(
            optuna.trial.create_trial(
                params=dict(trial.params), distributions=distributions, values=values
            )
        )
    store.add_study(record)
    for trial in old:
        store.add_trial(trial)
    made.set_user_attr(BEGUN, True)
    if old:
        origins = sorted({trial.source.rpartition(":")[0] for trial in old})
        say(f"study {record.name} is new; {len(old)} trials of {', '.join(origins)} still fit it")
    else:
        say(f"study {record.name} is new")


def _discard_beginning(found: optuna.storages.BaseStorage, record: StudyRecord) -> None:
    """Delete a study whose maker was killed before anybody could work on it.

    Raises:
        RlvitError: somebody did: the registry that knew the study is another one, or is lost.
    """
    known = optuna.load_study(study_name=record.name, storage=found)
    if known.user_attrs.get(BEGUN):
        raise RlvitError(
            f"Optuna's database {record.storage} has {len(known.trials)} trials of a study "
            f"{record.name} that this registry does not know. Nothing was changed; give another "
            "--name, or the --registry that knows it."
        )
    optuna.delete_study(study_name=record.name, storage=found)


def _fitting(
    catalog: Catalog, store: StudyStore, record: StudyRecord, base: Request
) -> list[TrialRecord]:
    """Return the finished trials of older studies of the same stem that this one could have made.

    Whether a trial fits, the fingerprint of its runs says: it hashes all that decides a result.
    """
    found: dict[str, TrialRecord] = {}
    same = {"stem": record.stem, "method": record.method, "task": record.task}
    for old in reversed(studies.list_studies(store.engine, **same)):
        for trial in studies.list_trials(store.engine, old.name):
            params = _params_here(catalog, store, record, base, trial)
            if params is None or digest(params) in found:
                continue
            values = objectives.values_of(
                store.engine, list(trial.runs.values()), record.objectives
            )
            if objectives.problem_with(values):
                continue
            found[digest(params)] = dataclasses.replace(
                trial,
                study=record.name,
                number=len(found),
                params=params,
                values=values,
                source=trial.source or f"{old.name}:{trial.number}",
                process={},
            )
    return list(found.values())


def _params_here(
    catalog: Catalog,
    store: StudyStore,
    record: StudyRecord,
    base: Request,
    trial: TrialRecord,
) -> dict[str, Any] | None:
    """Return the values with which a study could have made another's trial; None: it could not."""
    if trial.state != "completed" or set(trial.runs) != set(record.seeds):
        return None
    try:
        run = queries.find_run(store.engine, next(iter(trial.runs.values())))
        params = {name: run.config[name] for name in record.space}
        if not all(one.holds(params[name]) for name, one in space_of(record).items()):
            return None
        plan = make_plan(catalog, dataclasses.replace(base, values={**base.values, **params}))
    except (RlvitError, KeyError):
        return None  # its run was deleted, or today's configuration refuses it
    return params if plan.fingerprint == run.fingerprint else None


def open_study(
    catalog: Catalog,
    home: Home,
    store: StudyStore,
    name: str,
    *,
    where: str | None = None,
    threads: int | None = None,
    data_root: str | None = None,
) -> OpenStudy:
    """Open a study that the registry knows, to work on it.

    Raises:
        RlvitError: there is none, or Optuna's database lacks it.
    """
    record = studies.find_study(store.engine, name)
    found = storage.open_storage(home, storage.found_again(home, record.storage, where))
    space = space_of(record)
    sampler = samplers.make_sampler(record.sampler, record.seed, space)
    pruner = samplers.make_pruner(record.pruner)
    try:
        loaded = optuna.load_study(
            study_name=record.name, storage=found, sampler=sampler, pruner=pruner
        )
    except KeyError:
        raise RlvitError(
            f"Optuna's database {record.storage} has no study {record.name}."
        ) from None
    ways = [
        "max" if d == optuna.study.StudyDirection.MAXIMIZE else "min" for d in loaded.directions
    ]
    if ways != list(record.objectives.values()):
        raise RlvitError(f"study {record.name} has other directions in Optuna's database.")
    return OpenStudy(catalog, home, store, record, loaded, threads, data_root)


def is_abandoned(store: StudyStore, trial: TrialRecord) -> bool:
    """Return whether nobody works on an unfinished trial: neither its process nor a run's lives."""
    now = time.time()
    if trial.state == "interrupted":
        return not _run_alive(store, trial, now)
    if trial.state != "running":
        return False
    if provenance.is_alive(trial.process, trial.heartbeat_at, now):
        return False
    return not _run_alive(store, trial, now)


def _run_alive(store: StudyStore, trial: TrialRecord, now: float) -> bool:
    for run_id in trial.runs.values():
        for run in queries.list_runs(store.engine, state="running", archived=None):
            if run.id == run_id and provenance.is_alive(run.process, run.heartbeat_at, now):
                return True
    return False


def mirror(store: StudyStore, home: Home, name: str) -> None:
    """Write what the registry knows of a study to `runs/studies/<name>.json`."""
    from filelock import FileLock

    folder = home.runs / "studies"
    folder.mkdir(parents=True, exist_ok=True)
    home.locks.mkdir(parents=True, exist_ok=True)
    with FileLock(home.locks / f"study-{name}-mirror.lock"):  # an older state must not win
        record = studies.find_study(store.engine, name)
        trials = [asdict(trial) for trial in studies.list_trials(store.engine, name)]
        write_json(folder / f"{name}.json", {"format": 1, **asdict(record), "of": trials})
