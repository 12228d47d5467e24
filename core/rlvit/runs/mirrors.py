"""What the registry knows beside runs, on disk too: studies with their trials, imported scores.

They are in `runs/studies/<name>.json` and `runs/baselines.json`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from filelock import FileLock

from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.registry import queries, schema, snapshot, studies
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.registry.restore import RestoreStore
from rlvit.registry.store import Store
from rlvit.runs.folder import write_json
from rlvit.runs.record import Reader
from rlvit.specs import MetricDef

STUDIES, BASELINES = "studies", "baselines.json"  # in `runs`
FORMAT = 1
BASELINE = tuple(c.name for c in schema.Baseline.__table__.columns if c.name != "id")
SCORE = tuple(name for name in BASELINE if name != "added_at")  # the same, imported once more


def mirror_study(store: Store, home: Home, name: str) -> None:
    """Write what the registry knows of a study to `runs/studies/<name>.json`.

    A file with trials that the registry lacks, as after an old registry was put back, is put aside.
    """
    folder = home.runs / STUDIES
    folder.mkdir(parents=True, exist_ok=True)
    home.locks.mkdir(parents=True, exist_ok=True)
    with FileLock(home.locks / f"study-{name}-mirror.lock"):  # an older state must not win
        record = studies.find_study(store.engine, name)
        trials = [asdict(trial) for trial in studies.list_trials(store.engine, name)]
        file = folder / f"{name}.json"
        if trials_lacking(file, record, trials):
            put_aside(file)
        write_json(file, {"format": FORMAT, **asdict(record), "of": trials})


def mirror_baselines(store: Store, home: Home, removed: str = "") -> None:
    """Write all imported scores to `runs/baselines.json`, with what their metrics mean.

    A file with scores that the registry lacks is put aside, but for those of the name `removed`.
    """
    home.locks.mkdir(parents=True, exist_ok=True)
    with FileLock(home.locks / "baselines-mirror.lock"):
        rows = [asdict(record) for record in queries.baselines(store.engine)]
        known = queries.metrics(store.engine)
        metrics = [asdict(known[name]) for name in sorted({row["metric"] for row in rows})]
        file = home.runs / BASELINES
        lacking = scores_lacking(file, rows)
        if lacking is None or any(row["name"] != removed for row in lacking):
            put_aside(file)
        write_json(file, baselines_document(rows, metrics))


def refuse_unknown_baselines(store: Store, home: Home) -> None:
    """Refuse to change imported scores while the home has some that its registry lacks.

    Of a registry that is shared, another member may have removed them: nothing is refused there.

    Raises:
        RlvitError: the registry is a new or an old one, or the file cannot be read.
    """
    if store.engine.dialect.name != "sqlite":
        return
    file = home.runs / BASELINES
    lacking = scores_lacking(file, [asdict(one) for one in queries.baselines(store.engine)])
    if lacking is None:
        raise RlvitError(
            f"{file} is damaged: bring it back from a copy, or have it written from the registry "
            "by `rlvit registry check --fix`. Nothing was changed."
        )
    if lacking:
        raise RlvitError(
            f"the registry lacks {len(lacking):,} imported scores of {file}: "
            "`rlvit registry rebuild` adds them; do that first. Nothing was changed."
        )


def refuse_unknown_study(home: Home, name: str) -> None:
    """Refuse to make a study of which the home has a file already; raises RlvitError."""
    file = home.runs / STUDIES / f"{name}.json"
    if file.exists():
        raise RlvitError(
            f"the registry lacks the study {name}, whose file is {file}: "
            "`rlvit registry rebuild` adds it; do that first. Nothing was changed."
        )


def scores_lacking(file: Path, known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the scores of a file that are not among those of a registry; None: it is damaged."""
    if not file.exists():
        return []
    try:
        return unknown_scores(json.loads(file.read_bytes())["baselines"], known)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def unknown_scores(
    rows: Sequence[dict[str, Any]], known: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the imported scores that are not among those that are known."""
    there = {_line(row, SCORE) for row in known}
    return [row for row in rows if _line(row, SCORE) not in there]


def trials_lacking(file: Path, study: StudyRecord, trials: Sequence[Mapping[str, Any]]) -> int:
    """Return how many trials a study's file has and the registry lacks; 0 if it is damaged.

    All of them are lacking where the file is of another making of the study.
    """
    try:
        whole = json.loads(file.read_bytes())
        there = {trial["number"] for trial in whole["of"]}
        same = whole["created_at"] == study.created_at
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return len(there - {trial["number"] for trial in trials}) if same else len(there)


def put_aside(file: Path) -> Path:
    """Rename a file that is to be written again, for it may be of use; return where it is."""
    aside = file.with_name(f"{file.name}.damaged-{time.time_ns()}")
    os.replace(file, aside)
    return aside


def baselines_document(
    rows: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the content of `runs/baselines.json`, in an order that the scores alone decide."""
    return {
        "format": FORMAT,
        "written_at": time.time(),
        "metrics": metrics,
        "baselines": in_order(rows),
    }


def in_order(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return imported scores in an order that their values alone decide."""
    return sorted(rows, key=lambda row: (row["name"], row["task"], _line(row, BASELINE)))


def _line(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return some values of a row, to compare and to sort by."""
    return json.dumps([row[name] for name in names])


def restore_study(store: Store, path: Path) -> bool:
    """Write a study with its trials into a registry; False if the same is there already.

    Raises:
        RlvitError: the file is damaged, or another study of that name is there. Nothing is changed.
    """
    read = Reader(path)
    whole = _known_format(read)
    seeds = whole.get("seeds")
    if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        raise read.wrong("seeds are no list of whole numbers")
    names = [f.name for f in fields(StudyRecord)]
    row = read.columns(schema.Study, {**whole, "seeds": {"runs": seeds}}, names)
    if f"{row['name']}.json" != path.name:
        raise read.wrong(f"it is of study {row['name']!r}; a file has the name of its study")
    study = StudyRecord(**{**row, "seeds": tuple(seeds)})
    trials = [_trial(read, study.name, one) for one in read.dicts(whole, "of")]
    for known in studies.list_studies(store.engine, name=study.name):
        if (known, studies.list_trials(store.engine, study.name)) == (study, trials):
            return False
        raise read.wrong(f"the registry has a study {study.name} with other content")
    RestoreStore(store).add_whole_study(study, trials)
    return True


def _trial(read: Reader, study: str, given: Mapping[str, Any]) -> TrialRecord:
    names = [f.name for f in fields(TrialRecord) if f.name != "runs"]
    row, runs = read.columns(schema.Trial, given, names), given.get("runs")
    if row["study"] != study or not isinstance(runs, dict):
        raise read.wrong(f"trial {row['number']} is not whole, or another study's")
    if not all(seed.isdecimal() and isinstance(run, str) for seed, run in runs.items()):
        raise read.wrong(f"the runs of trial {row['number']} are no ids by seed")
    return TrialRecord(runs={int(seed): run for seed, run in runs.items()}, **row)


def restore_baselines(store: Store, path: Path) -> int:
    """Write the scores of a file whose names a registry lacks into it; return how many.

    Raises:
        RlvitError: the file is damaged. Nothing is changed.
    """
    read = Reader(path)
    whole = _known_format(read)
    rows = [read.columns(schema.Baseline, row, BASELINE) for row in read.dicts(whole, "baselines")]
    found = read.dicts(whole, "metrics")
    metrics = [MetricDef(**read.columns(schema.Metric, m, snapshot.METRIC)) for m in found]
    return RestoreStore(store).add_new_baselines(rows, metrics)


def _known_format(read: Reader) -> dict[str, Any]:
    whole = read.object()
    if whole.get("format") != FORMAT:
        raise read.wrong(f"format {whole.get('format')!r} is none that is known")
    return whole
