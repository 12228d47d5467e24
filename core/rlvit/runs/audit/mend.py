"""Mends what a check found where the registry and the folder have all that is needed for it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from rlvit.home import Home
from rlvit.registry.store import Store
from rlvit.runs.audit.findings import Finding
from rlvit.runs.audit.folders import FETCH_ROWS, WRITE_AGAIN
from rlvit.runs.audit.locks import holding
from rlvit.runs.audit.mirrored import MIRROR_AGAIN, MIRROR_ANEW
from rlvit.runs.folder import RunFolder
from rlvit.runs.mirrors import BASELINES, mirror_baselines, mirror_study
from rlvit.runs.record import FILE
from rlvit.runs.recorder import absorb
from rlvit.runs.views import mirror


def mend(store: Store, home: Home, findings: Iterable[Finding]) -> list[str]:
    """Store the rows that a registry lacks, and write its copies on disk again; return what it was.

    Nothing is removed, neither from a folder nor from the registry. Runs that another process holds
    are left out.
    """
    done = []
    of_run: dict[str, list[Finding]] = {}
    for finding in findings:
        of_run.setdefault(finding.subject, []).append(finding)
    for run_id, found in of_run.items():
        remedies = {finding.remedy for finding in found}
        if not remedies & {FETCH_ROWS, WRITE_AGAIN}:
            continue
        with holding(home, f"run-{run_id}") as held:
            if held:
                _mend_run(store, home, run_id, found)
                done.append(run_id)
    again = (MIRROR_AGAIN, MIRROR_ANEW)
    for name in [one for one, found in of_run.items() if found[0].remedy in again]:
        _keep(home.runs / name)
        if name == BASELINES:
            mirror_baselines(store, home)
        else:
            mirror_study(store, home, Path(name).stem)
        done.append(name)
    return done


def _mend_run(store: Store, home: Home, run_id: str, found: Sequence[Finding]) -> None:
    remedies = {finding.remedy for finding in found}
    if FETCH_ROWS in remedies:
        absorb(run_id, RunFolder(home.runs / run_id), store)
    if WRITE_AGAIN in remedies:
        _keep(home.runs / run_id / FILE)
    elif any(finding.kind == "record" for finding in found):
        return  # run.json says what the registry does not: the user has to choose
    mirror(store, home, run_id)


def _keep(file: Path) -> None:
    """Put a file that is to be written again aside, for it may be damaged and yet of use."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(file, file.with_name(f"{file.name}.damaged-{time.time_ns()}"))
