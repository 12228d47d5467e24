"""What the registry knows beside runs, on disk too: studies with their trials, imported scores.

They are in `runs/studies/<name>.json` and `runs/baselines.json`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from filelock import FileLock

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


def mirror_study(store: Store, home: Home, name: str) -> None:
    """Write what the registry knows of a study to `runs/studies/<name>.json`."""
    folder = home.runs / STUDIES
    folder.mkdir(parents=True, exist_ok=True)
    home.locks.mkdir(parents=True, exist_ok=True)
    with FileLock(home.locks / f"study-{name}-mirror.lock"):  # an older state must not win
        record = studies.find_study(store.engine, name)
        trials = [asdict(trial) for trial in studies.list_trials(store.engine, name)]
        write_json(folder / f"{name}.json", {"format": FORMAT, **asdict(record), "of": trials})


def mirror_baselines(store: Store, home: Home) -> None:
    """Write all imported scores to `runs/baselines.json`, with what their metrics mean."""
    home.locks.mkdir(parents=True, exist_ok=True)
    with FileLock(home.locks / "baselines-mirror.lock"):
        rows = [asdict(record) for record in queries.baselines(store.engine)]
        known = queries.metrics(store.engine)
        metrics = [asdict(known[name]) for name in sorted({row["metric"] for row in rows})]
        write_json(home.runs / BASELINES, baselines_document(rows, metrics))


def baselines_document(rows: list[dict[str, Any]], metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the content of `runs/baselines.json`."""
    return {
        "format": FORMAT,
        "written_at": time.time(),
        "metrics": metrics,
        "baselines": rows,
    }


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
    """Write the imported scores of a file into a registry that has none; return how many.

    Raises:
        RlvitError: the file is damaged. Nothing is changed.
    """
    read = Reader(path)
    whole = _known_format(read)
    rows = [read.columns(schema.Baseline, row, BASELINE) for row in read.dicts(whole, "baselines")]
    found = read.dicts(whole, "metrics")
    metrics = [MetricDef(**read.columns(schema.Metric, m, snapshot.METRIC)) for m in found]
    RestoreStore(store).add_all_baselines(rows, metrics)
    return len(rows)


def _known_format(read: Reader) -> dict[str, Any]:
    whole = read.object()
    if whole.get("format") != FORMAT:
        raise read.wrong(f"format {whole.get('format')!r} is none that is known")
    return whole
