"""Compares what is kept on disk of studies and imported scores with the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from rlvit.home import Home
from rlvit.registry import queries, studies
from rlvit.runs.audit.findings import Finding
from rlvit.runs.mirrors import BASELINES, STUDIES

MIRROR_AGAIN = "`rlvit registry check --fix` puts it aside and writes it from the registry"


def check_mirrors(engine: Engine, home: Home) -> Iterator[Finding]:
    """Yield where the files are not what the registry has.

    A registry that several homes share is mirrored by each in part: nothing is compared there.
    """
    if engine.dialect.name != "sqlite":
        return
    for study in studies.list_studies(engine):
        trials = studies.list_trials(engine, study.name)
        if any(trial.state == "running" for trial in trials):
            continue  # it is written at the end of each trial
        known = {**asdict(study), "of": [_lasting(asdict(trial)) for trial in trials]}
        yield from _compare(home, f"{STUDIES}/{study.name}.json", known)
    scores = [asdict(record) for record in queries.baselines(engine)]
    if scores or (home.runs / BASELINES).exists():
        yield from _compare(home, BASELINES, {"baselines": scores})


def _lasting(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial without its heartbeat, which is not worth a file."""
    return {name: value for name, value in trial.items() if name != "heartbeat_at"}


def _compare(home: Home, name: str, known: Mapping[str, Any]) -> Iterator[Finding]:
    path = home.runs / name
    if not path.exists():
        yield Finding("mirror", name, "it is missing", MIRROR_AGAIN)
        return
    try:
        there = _read(path, known)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        yield Finding("mirror", name, "it is damaged", MIRROR_AGAIN)
        return
    plain = json.loads(json.dumps(known, default=str))
    differ = [part for part in known if there[part] != plain[part]]
    if differ:
        text = f"it differs from the registry in {', '.join(_called(differ))}"
        yield Finding("mirror", name, text, MIRROR_AGAIN)


def _read(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    whole = json.loads(path.read_bytes())
    there = {name: whole[name] for name in known}
    if "of" in there:
        there["of"] = [_lasting(trial) for trial in there["of"]]
    return there


def _called(names: Sequence[str]) -> list[str]:
    return ["trials" if name == "of" else name for name in names]
