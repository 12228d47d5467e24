"""Compares what is kept on disk of studies and imported scores with the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from rlvit.home import Home
from rlvit.registry import queries, studies
from rlvit.runs.audit.findings import Finding
from rlvit.runs.mirrors import BASELINES, STUDIES, in_order, scores_lacking, trials_lacking

MIRROR_AGAIN = "`rlvit registry check --fix` puts it aside and writes it from the registry"
MIRROR_ANEW = "`rlvit registry check --fix` writes it from the registry"
REBUILD_ADDS = "`rlvit registry rebuild` adds them"
REBUILD_FIRST = "the registry lacks runs, see above: first `rlvit registry rebuild`"


def check_mirrors(engine: Engine, home: Home, *, whole: bool = True) -> Iterator[Finding]:
    """Yield where the files are not what the registry has.

    A registry that several homes share is mirrored by each in part: nothing is compared there.

    Args:
        engine: of the registry.
        home: whose files are compared.
        whole: the registry has all runs of the home; else it may lack more, and is to be rebuilt
            before anything is written from it.
    """
    for finding in _differences(engine, home):
        mends = finding.remedy in (MIRROR_AGAIN, MIRROR_ANEW)
        yield finding if whole or not mends else replace(finding, remedy=REBUILD_FIRST)


def _differences(engine: Engine, home: Home) -> Iterator[Finding]:
    if engine.dialect.name != "sqlite":
        return
    known_studies = studies.list_studies(engine)
    for path in sorted((home.runs / STUDIES).glob("*.json")):
        if path.stem not in {study.name for study in known_studies}:
            name = f"{STUDIES}/{path.name}"
            yield Finding("mirror", name, "the registry lacks this study", REBUILD_ADDS)
    for study in known_studies:
        trials = studies.list_trials(engine, study.name)
        if any(trial.state == "running" for trial in trials):
            continue  # it is written at the end of each trial
        name, rows = f"{STUDIES}/{study.name}.json", [asdict(trial) for trial in trials]
        if lacking := trials_lacking(home.runs / name, study, rows):
            text = f"the registry lacks {lacking:,} trials that it has"
            yield Finding("mirror", name, text, REBUILD_ADDS)
            continue
        yield from _compare(home, name, {**asdict(study), "of": [_lasting(row) for row in rows]})
    scores = [asdict(record) for record in queries.baselines(engine)]
    if lost := scores_lacking(home.runs / BASELINES, scores):
        text = f"the registry lacks {len(lost):,} imported scores that it has"
        yield Finding("mirror", BASELINES, text, REBUILD_ADDS)
    elif scores or (home.runs / BASELINES).exists():
        yield from _compare(home, BASELINES, {"baselines": in_order(scores)})


def _lasting(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial without its heartbeat, which is not worth a file."""
    return {name: value for name, value in trial.items() if name != "heartbeat_at"}


def _compare(home: Home, name: str, known: Mapping[str, Any]) -> Iterator[Finding]:
    path = home.runs / name
    if not path.exists():
        yield Finding("mirror", name, "it is missing", MIRROR_ANEW)
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
    if "baselines" in there:
        there["baselines"] = in_order(there["baselines"])
    return there


def _called(names: Sequence[str]) -> list[str]:
    return ["trials" if name == "of" else name for name in names]
