"""The studies that runs belong to, a small file each: their trials are known as such elsewhere."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from rlvit.home import Home
from rlvit.registry import studies
from rlvit.registry.bundled import BundleStore
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.registry.store import Store
from rlvit.runs.bundle import plain
from rlvit.runs.bundle.gather import Item
from rlvit.runs.bundle.names import Refused
from rlvit.runs.folder import write_json

Record = TypeVar("Record", StudyRecord, TrialRecord)


def study_items(store: Store, home: Home, run_ids: Collection[str]) -> tuple[list[Item], list[str]]:
    """Return a file for each study that has one of these runs, and the studies' names."""
    items, names = [], []
    for study in sorted(studies.list_studies(store.engine), key=lambda one: one.name):
        trials = studies.list_trials(store.engine, study.name)
        if not any(run_id in run_ids for trial in trials for run_id in trial.runs.values()):
            continue
        whole = _whole(store, study.name)
        data = json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n"
        items.append(Item(f"studies/{study.name}.json", len(data), data=data))
        names.append(study.name)
    return items, names


def runs_of(store: Store, wanted: str) -> list[str]:
    """Return the ids of the runs that a study's trials have.

    Raises:
        UnknownName: there is no such study.
        UsageProblem: several fit.
    """
    study = studies.find_study(store.engine, wanted)
    trials = studies.list_trials(store.engine, study.name)
    return [run_id for trial in trials for run_id in trial.runs.values()]


@dataclass(frozen=True)
class StudyPlan:
    """A study as it will be."""

    study: StudyRecord
    changed: tuple[TrialRecord, ...]  # the trials that are not here in this state
    new: bool


def plan_studies(store: Store, folder: Path, names: Collection[str]) -> list[StudyPlan]:
    """Say what the studies of a bundle will be here; nothing is changed.

    Raises:
        Refused: a file is no study's, or a finished trial is another one here.
    """
    known = {study.name: study for study in studies.list_studies(store.engine)}
    plans = []
    for name in names:
        study, trials = _read(folder / f"{name}.json", name)
        mine: dict[int, TrialRecord] = {}
        if name in known:
            mine = {one.number: one for one in studies.list_trials(store.engine, name)}
            study = _same_study(known[name], study)
            trials = _union(name, mine, trials)
        changed = tuple(trials[n] for n in sorted(trials) if trials[n] != mine.get(n))
        if changed or study != known.get(name):
            plans.append(StudyPlan(study, changed, name not in known))
    return plans


def _read(path: Path, name: str) -> tuple[StudyRecord, dict[int, TrialRecord]]:
    """Return a study and its trials by number; raises Refused."""
    whole = plain.parse_object(path, f"the study {name}")
    rows = whole.pop("of", None)
    try:
        TypeAdapter(StudyRecord).validate_json(json.dumps(whole), strict=True)
        TypeAdapter(list[TrialRecord]).validate_json(json.dumps(rows), strict=True)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"the study {name} is wrong at {where!a}: {first['msg']}") from None
    whole |= {"seeds": tuple(whole["seeds"]), "stop": ""}  # nobody works on it here
    found = [_record(TrialRecord, row, runs=_by_seed(row["runs"])) for row in rows]
    trials = {one.number: one for one in found}
    if whole["name"] != name or len(trials) < len(found) or any(t.study != name for t in found):
        raise Refused(f"the study {name} is another one, or has a trial twice")
    return _record(StudyRecord, whole), trials


def _record(kind: type[Record], row: dict[str, Any], **known: Any) -> Record:
    """Return a checked row as a record, its numbers as they were written."""
    return kind(**{one.name: row[one.name] for one in fields(kind)} | known)


def _by_seed(runs: dict[str, str]) -> dict[int, str]:
    return {int(seed): run_id for seed, run_id in runs.items()}


def _same_study(mine: StudyRecord, theirs: StudyRecord) -> StudyRecord:
    """Return the study that is here with what the other one was asked further; raises Refused."""
    wanted = max(mine.trials, theirs.trials)
    same = replace(theirs, trials=mine.trials, stop=mine.stop, storage=mine.storage)
    if same != mine:
        raise Refused(f"another study {mine.name} is here already")
    return replace(mine, trials=wanted)


def _union(
    name: str, mine: dict[int, TrialRecord], theirs: dict[int, TrialRecord]
) -> dict[int, TrialRecord]:
    """Return the trials of both sides, each in its later state; raises Refused."""
    found = dict(mine)
    for number, trial in theirs.items():
        here = mine.get(number, trial)
        if here != trial and here.ended_at is not None and trial.ended_at is not None:
            raise Refused(f"trial {number} of study {name} ended in another way here")
        found[number] = max(here, trial, key=_progress)
    return found


def _progress(trial: TrialRecord) -> tuple[bool, float]:
    return trial.ended_at is not None, trial.heartbeat_at


def put_studies(store: Store, home: Home, plans: Sequence[StudyPlan]) -> list[str]:
    """Put studies into the registry and their files among the runs; return their names."""
    writer = BundleStore(store)
    for plan in plans:
        if plan.new:
            writer.add_whole_study(plan.study, plan.changed)
        else:
            writer.put_trials(plan.study.name, plan.study.trials, plan.changed)
        folder = home.runs / "studies"
        folder.mkdir(exist_ok=True)
        write_json(folder / f"{plan.study.name}.json", _whole(store, plan.study.name))
    return [plan.study.name for plan in plans]


def _whole(store: Store, name: str) -> dict[str, Any]:
    """Return what the registry knows of a study, as its file has it."""
    study = studies.find_study(store.engine, name)
    trials = studies.list_trials(store.engine, name)
    return {"format": 1, **asdict(study), "of": [asdict(trial) for trial in trials]}
