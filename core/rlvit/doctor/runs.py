"""Runs: those whose process is gone, and whether folders and registry tell of the same ones."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rlvit.contracts import Diagnosis
from rlvit.doctor.patient import Patient, asking, counted, some, unpacked
from rlvit.doctor.registry import is_current
from rlvit.home import Home
from rlvit.runs.provenance import ABOUT_TO_START, ACTIVE, is_under_way

READ_SECONDS = 1.5  # that reading the folders may take


def look(patient: Patient) -> Iterator[Diagnosis]:
    """Look at the runs of registry and folders; nothing where there is neither."""
    home = patient.home
    current = is_current(home)
    known = _known(home) if current else {}
    if current:
        yield from _stale(home)
    folders = _folders(home, known)
    wrong = []
    gone = sorted(known.keys() - folders.keys())
    if gone:
        text = f"gone: {counted(len(gone), 'run folder')}, {some(gone)}"
        advice = f"copy them back to {home.runs}, or: rlvit runs delete {gone[0]}"
        wrong.append(Diagnosis("runs", "problem", text, advice))
    strangers = sorted(folders.keys() - known.keys())
    if strangers and current:
        text = f"not in the registry: {counted(len(strangers), 'run folder')}, {some(strangers)}"
        wrong.append(Diagnosis("runs", "problem", text, "rlvit registry rebuild"))
    damaged, left = _damaged(home, folders)
    wrong += _about_damaged(home, damaged, known, current)
    yield from wrong
    if left:
        text = f"not looked into: {left:,} of {counted(len(folders), 'run folder')}"
        yield Diagnosis("runs", "note", text, "rlvit registry check")
    if not wrong:
        yield Diagnosis("runs", "ok", f"{counted(len(folders), 'run folder')} looked into")


def _known(home: Home) -> dict[str, str]:
    """Return the state of each run of the registry, by id."""
    with asking(home.registry_url) as ask:
        return {str(run): str(state) for run, state in ask("SELECT id, state FROM run")}


def _stale(home: Home) -> Iterator[Diagnosis]:
    """Look for runs whose process is gone."""
    columns = "id, state, process, heartbeat_at, created_at"
    states = ", ".join(f"'{state}'" for state in ACTIVE)
    with asking(home.registry_url) as ask:
        rows = ask(f"SELECT {columns} FROM run WHERE state IN ({states})")
    now = time.time()
    stale = [
        str(run)
        for run, state, process, beat, created in rows
        if not is_under_way(state, unpacked(process), beat, created, now)
    ]
    if stale:
        text = f"the process of {some(stale)} is gone, and nobody has marked it as interrupted yet"
        yield Diagnosis("runs", "note", text, "rlvit doctor --fix", partial(_sweep, home))
    under_way = len(rows) - len(stale)
    if under_way:
        yield Diagnosis("runs", "ok", f"{under_way} under way")


def _sweep(home: Home) -> str:
    """Mark runs whose process is gone, as other commands do when they look."""
    from rlvit.catalog import build_catalog
    from rlvit.manager import create_plugin_manager
    from rlvit.registry.store import Store
    from rlvit.runs.ending import sweep

    catalog = build_catalog(create_plugin_manager())
    store = Store(home.registry_url)
    try:
        swept = sweep(catalog, home, store)
    finally:
        store.close()
    return f"marked as interrupted: {some(swept)}" if swept else "somebody marked them meanwhile"


def _folders(home: Home, known: dict[str, str]) -> dict[str, Path]:
    """Return the run folders by id: with a run.json or other files of runs, or in the registry."""
    if not home.runs.is_dir():
        return {}
    found = {}
    with os.scandir(home.runs) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.is_dir():
                continue
            path = Path(entry.path)
            marks = (path / name for name in ("run.json", "metrics.jsonl"))
            if entry.name in known or any(mark.exists() for mark in marks):
                found[entry.name] = path
    return found


def _damaged(home: Home, folders: dict[str, Path]) -> tuple[list[str], int]:
    """Return the runs whose run.json is missing or cannot be read, and how many were not read."""
    end = time.monotonic() + READ_SECONDS
    damaged: list[str] = []
    for number, (run, path) in enumerate(folders.items()):
        if time.monotonic() > end:
            return damaged, len(folders) - number
        if not _readable(path):
            damaged.append(run)
    return damaged, 0


def _readable(folder: Path) -> bool:
    """Return whether a run's run.json can be read, or is not to be expected yet."""
    try:
        value = json.loads((folder / "run.json").read_bytes())
        return isinstance(value, dict) and value.get("id") == folder.name
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime < ABOUT_TO_START
    except (OSError, ValueError):
        return False


def _about_damaged(
    home: Home, damaged: list[str], known: dict[str, str], current: bool
) -> Iterator[Diagnosis]:
    """Say which run.json are damaged; those of the registry can be written again."""
    again = [run for run in damaged if known.get(run) not in (None, *ACTIVE)]
    lost = [run for run in damaged if run not in known]
    what = "run.json is damaged or missing"
    if again:
        text = f"{what}, and the registry has its content: {some(again)}"
        write: Callable[[], str] = partial(_write_again, home, again)
        yield Diagnosis("runs", "problem", text, "rlvit doctor --fix", write)
    if lost and current:
        text = f"{what}, and the registry knows no such run: {some(lost)}"
        yield Diagnosis("runs", "problem", text, "copy the folder again from where it came")
    elif lost:
        text = f"{what}: {some(lost)}"
        yield Diagnosis("runs", "problem", text, "see to the registry first: it may have it")


def _write_again(home: Home, damaged: list[str]) -> str:
    """Write each run.json from the registry; what was there stays beside it."""
    from rlvit.registry.store import Store
    from rlvit.runs.views import mirror

    store = Store(home.registry_url)
    try:
        for run in damaged:
            file = home.runs / run / "run.json"
            if file.exists():
                file.replace(_free(file.with_name("run.json.damaged")))
            mirror(store, home, run)
    finally:
        store.close()
    return (
        f"wrote run.json of {some(damaged)} from the registry; what was there is run.json.damaged"
    )


def _free(path: Path) -> Path:
    """Return a path that nothing has: this one, or with a number behind it."""
    number = 1
    found = path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}.{number}")
    return found
