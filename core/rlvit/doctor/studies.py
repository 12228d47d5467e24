"""Studies: trials that nobody works on, and Optuna's own database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from rlvit.contracts import Diagnosis
from rlvit.doctor.patient import Patient, asking, counted, reading, some, unpacked
from rlvit.doctor.registry import is_current
from rlvit.home import Home

OWN = "runs/optuna.db"  # what the registry calls the home's own database


def look(patient: Patient) -> Iterator[Diagnosis]:
    """Look at the studies of the registry; nothing where there are none."""
    home = patient.home
    if not is_current(home):
        return
    with asking(home.registry_url) as ask:
        studies = {str(name): str(where) for name, where in ask("SELECT name, storage FROM study")}
    if not studies:
        return
    imported = _imported(home)
    made = {name: where for name, where in studies.items() if name not in imported}
    wrong = [*_waiting(home, made), *_storage(home, made)]
    yield from wrong
    if imported:
        text = f"{some(sorted(imported))} came by import: read here, it goes on where it was made"
        yield Diagnosis("studies", "note", text)
    elif not wrong:
        yield Diagnosis("studies", "ok", counted(len(studies), "study", "studies"))


def _imported(home: Home) -> set[str]:
    """Return the studies whose runs were made in another home."""
    from rlvit.runs.bundle.imported import came_by_import

    tried: dict[str, list[str]] = {}
    with asking(home.registry_url) as ask:
        for study, run in ask("SELECT study, run_id FROM trial_run"):
            tried.setdefault(str(study), []).append(str(run))
    return {study for study, runs in tried.items() if came_by_import(home.runs, runs)}


def _waiting(home: Home, studies: Collection[str]) -> Iterator[Diagnosis]:
    """Look for trials of these studies whose worker is gone."""
    from rlvit.runs.provenance import is_alive

    with asking(home.registry_url) as ask:
        rows = ask("SELECT study, state, process, heartbeat_at FROM trial WHERE state = 'running'")
    now = time.time()
    left = [str(row[0]) for row in rows if not is_alive(unpacked(row[2]), row[3], now)]
    for study in dict.fromkeys(name for name in left if name in studies):
        trials = counted(left.count(study), "begun trial")
        text = f"nobody works on {trials} of {study}"
        yield Diagnosis("studies", "note", text, f"rlvit tune resume {study}")


def _storage(home: Home, studies: dict[str, str]) -> Iterator[Diagnosis]:
    """Look at the home's own database of Optuna."""
    own = [name for name, where in studies.items() if where == OWN]
    if not own:
        return
    file = home.root / OWN
    reason = _unreadable(file)
    if reason is not None:
        text = f"{file} {reason}: {some(own)} cannot go on; the trials' runs are unharmed"
        yield Diagnosis("studies", "problem", text, f"copy {OWN} back from where it was")


def _unreadable(file: Path) -> str | None:
    """Return why Optuna's database cannot be used, if it cannot."""
    if not file.exists():
        return "is gone"
    try:
        with reading(file) as connection:
            connection.execute("SELECT count(*) FROM studies").fetchone()
    except sqlite3.Error as problem:
        return f"cannot be read ({problem})"
    return None
