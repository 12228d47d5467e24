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
from rlvit.config import accepted_names, flat, identity
from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.registry import queries, studies
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.registry.store import Store
from rlvit.registry.studies import StudyStore
from rlvit.runs import provenance
from rlvit.runs.mirrors import mirror_study, refuse_unknown_study
from rlvit.runs.named import settled
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.specs import DATASET, digest
from rlvit.tune import objectives, samplers, storage, terms
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

    def request_without_values(self) -> Request:
        """Return what a run is asked for where nothing is searched."""
        asked = request_of(self.record, {}, self.record.seeds[0])
        return dataclasses.replace(
            asked,
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
    if warning := terms.chosen_on_the_test(make_plan(catalog, base), record.objectives):
        say(warning)
    home.create()
    with store.holding(record.name, home):
        known = studies.list_studies(store.engine, name=record.name)
        if known:
            terms.refuse_other(known[0], record)
            go_on(store, record.name, wanted.trials)
        else:
            refuse_unknown_study(home, record.name)
            store.declare_metrics(catalog.metrics.values())
            _make(catalog, home, store, record, base, wanted.storage, say)
    mirror_study(store, home, record.name)
    return studies.find_study(store.engine, record.name)


def go_on(store: StudyStore, name: str, trials: int | None = None) -> None:
    """Let a study that is there go on, with so many trials of its own in all.

    Raises:
        UsageProblem: it has more already.
    """
    own = [one for one in studies.list_trials(store.engine, name) if not one.source]
    if trials is not None and trials < len(own):
        raise UsageProblem(
            f"--trials {trials}: study {name} has {len(own)} trials of its own already."
        )
    store.change_study(name, trials=trials, stop="")


def describe(catalog: Catalog, home: Home, wanted: Wanted) -> tuple[StudyRecord, Request]:
    """Return the study that is wanted as it would be new, and the request of its runs.

    Raises:
        UsageProblem: something in it cannot be.
    """
    plan, space, fixed = _resolved(catalog, home, wanted)
    aims = objectives.parse_objectives(catalog, plan, wanted.objectives)
    terms.refuse_idle(wanted.sampler, wanted.pruner)
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
    usual = f"{plan.method.name}-{plan.task.name}"
    stem = _stem(usual if wanted.name is None else wanted.name)
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
        pruner=terms.pruner_of(catalog, plan, wanted.pruner, aims, len(seeds)),
        seed=plan.seed,
        seeds=seeds,
        trials=wanted.trials or TRIALS,
        stop="",
        storage=storage.written(home, storage.choose(home, wanted.storage)),
        created_at=time.time(),
    )
    return record, base


def _resolved(
    catalog: Catalog, home: Home, wanted: Wanted
) -> tuple[Plan, dict[str, Range], dict[str, Any]]:
    """Return the plan of a run without a trial's values, where to search, and the fixed values."""
    config = catalog.method(wanted.base.plugin).config
    meant = accepted_names(config)
    given = {meant.get(name, name): value for name, value in wanted.base.values.items()}
    held = parse_fixed(config, wanted.fixed)
    for name in given.keys() & held.keys():
        raise UsageProblem(f"{name} is given as an option and with --fix; give one of them.")
    base = dataclasses.replace(wanted.base, values={**given, **held})
    base = settled(catalog, home, base)
    fixed = dict(base.values)
    plan = make_plan(catalog, base)
    known = {**flat(plan.config), **plan.slots}
    parts = plan.method.slots
    space = make_space(config, wanted.space, fixed, only=wanted.only, known=known, parts=parts)
    terms.refuse_ends(catalog, base, space)
    return plan, space, fixed


def _stem(name: str) -> str:
    """Return a name that may be a file's; raises UsageProblem."""
    found = name.lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,98}", found) or found == "latest":
        raise UsageProblem(
            f"--name {name!r}: expected letters, digits, dots and dashes, at most 99 of them."
        )
    return found


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


def whole_grid(study: StudyRecord, trials: Sequence[TrialRecord]) -> bool:
    """Return whether a study of a grid has tried, or was given, every point of it."""
    if study.sampler["name"] != "grid":
        return False
    space = space_of(study)
    return len({samplers.point(trial.params) for trial in trials}) >= samplers.grid_size(space)


def is_worked_on(store: Store, trial: TrialRecord) -> bool:
    """Return whether a process that lives has an unfinished trial."""
    return trial.state in studies.OPEN and not is_abandoned(store, trial)


def is_abandoned(store: Store, trial: TrialRecord) -> bool:
    """Return whether nobody works on an unfinished trial: neither its process nor a run's lives."""
    now = time.time()
    if trial.state == "interrupted":
        return not _run_alive(store, trial, now)
    if trial.state != "running":
        return False
    if provenance.is_alive(trial.process, trial.heartbeat_at, now):
        return False
    return not _run_alive(store, trial, now)


def _run_alive(store: Store, trial: TrialRecord, now: float) -> bool:
    for run_id in trial.runs.values():
        for run in queries.list_runs(store.engine, state="running", archived=None):
            if run.id == run_id and provenance.is_alive(run.process, run.heartbeat_at, now):
                return True
    return False
