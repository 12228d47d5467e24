"""Looks after MLflow's store, for `rlvit doctor`, without the second that importing it takes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from rlvit.contracts import Diagnosis
from rlvit_mlflow.store import identity, own_file, without_password

ABOUT = "MLflow"
ANSWER_SECONDS = 1.0  # that a server may take to answer
ENDING = 60.0  # seconds after its end in which a run may not be there yet
READ = 200  # missing runs of which run.json is read
ENDED = ("completed", "failed", "interrupted")


def look(home: Path) -> Iterator[Diagnosis]:
    """Look at the store: is it there, can it be used, which runs are missing in it."""
    package = importlib.util.find_spec("mlflow")
    if package is None:
        text = "mlflow is not installed: runs are not shown in it"
        yield Diagnosis(ABOUT, "problem", text, "pip install 'mlflow>=3.1'")
        return
    file = own_file(home)
    if file is None:
        yield _elsewhere(os.environ["MLFLOW_TRACKING_URI"])
        return
    if identity(file) is None:
        yield _none_yet(home, file)
        return
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=1)) as store:
            yield from _opened(home, file, store, Path(package.origin or "").parent)
    except sqlite3.DatabaseError as problem:
        text = f"the store {file} cannot be read: {problem}"
        advice = "move it away; then a new one is filled by: rlvit mlflow sync"
        yield Diagnosis(ABOUT, "problem", text, advice)


def _elsewhere(uri: str) -> Diagnosis:
    """Say which store MLFLOW_TRACKING_URI names, and whether its server answers."""
    shown = without_password(uri)
    if not uri.startswith(("http://", "https://")):
        return Diagnosis(ABOUT, "ok", f"MLFLOW_TRACKING_URI={shown}, which was not asked")
    try:
        found = urlsplit(uri)
        port = found.port or (443 if found.scheme == "https" else 80)
        with socket.create_connection((found.hostname or "", port), ANSWER_SECONDS):
            return Diagnosis(ABOUT, "ok", f"MLFLOW_TRACKING_URI={shown}, which answers")
    except (OSError, ValueError) as problem:
        text = f"MLFLOW_TRACKING_URI={shown} does not answer: {problem}"
        advice = "start the server; what it misses meanwhile is filled in by: rlvit mlflow sync"
        return Diagnosis(ABOUT, "problem", text, advice)


def _none_yet(home: Path, file: Path) -> Diagnosis:
    missing = _lacking(home, set())
    if missing:
        ended = "1 run has" if len(missing) == 1 else f"{len(missing):,} runs have"
        text = f"there is no store {file}, and {ended} ended"
        return Diagnosis(ABOUT, "note", text, "rlvit mlflow sync")
    return Diagnosis(ABOUT, "ok", "no store yet; the first run makes it")


def _opened(
    home: Path, file: Path, store: sqlite3.Connection, package: Path
) -> Iterator[Diagnosis]:
    """Look at a store that can be read."""
    (found,) = store.execute("SELECT version_num FROM alembic_version").fetchone() or ("none",)
    heads = schema_heads(package)
    if heads and found not in heads:
        text = f"the store {file} has another schema ({found}) than the installed MLflow"
        uri = f"sqlite:///{file}"
        advice = f"copy the file, then: mlflow db upgrade {uri}; or install the MLflow it is of"
        yield Diagnosis(ABOUT, "problem", text, advice)
        return
    if _is_locked(file):
        yield Diagnosis(ABOUT, "note", f"another process writes to {file} now")
    shown = {row[0] for row in store.execute("SELECT value FROM tags WHERE key = 'rlvit.run_id'")}
    missing = _lacking(home, shown)
    if missing:
        names = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        lacking = "1 run is" if len(missing) == 1 else f"{len(missing):,} runs are"
        text = f"{lacking} not in the store: {names}"
        yield Diagnosis(ABOUT, "note", text, "rlvit mlflow sync")
        return
    yield Diagnosis(ABOUT, "ok", f"{file}, {len(shown):,} {'run' if len(shown) == 1 else 'runs'}")


def schema_heads(package: Path) -> set[str]:
    """Return the newest schema of an installed MLflow, read from the steps that lead to it."""
    steps: dict[str, str] = {}
    for step in (package / "store" / "db_migrations" / "versions").glob("*.py"):
        text = step.read_text(encoding="utf-8", errors="replace")
        names = dict(re.findall(r"^(revision|down_revision)\s*=\s*[\"'](\w+)[\"']", text, re.M))
        if "revision" in names:
            steps[names["revision"]] = names.get("down_revision", "")
    return steps.keys() - set(steps.values())


def _is_locked(file: Path) -> bool:
    """Return whether another process holds the store just now; nothing is written."""
    try:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as store:
            store.execute("BEGIN IMMEDIATE")
            store.execute("ROLLBACK")
    except sqlite3.OperationalError as problem:
        return "locked" in str(problem)
    return False


def _lacking(home: Path, shown: set[str]) -> list[str]:
    """Return the runs of this home that have ended, are not archived, and are not shown."""
    now, found = time.time(), list[str]()
    for record in (home / "runs").glob("*/run.json"):
        run = record.parent.name
        if run not in shown and (len(found) >= READ or _is_wanted(record, now)):
            found.append(run)
    return sorted(found)


def _is_wanted(record: Path, now: float) -> bool:
    """Return whether a run ended a while ago and is not archived; its file may be a new copy."""
    try:
        run = json.loads(record.read_bytes())
        ended_at = run.get("ended_at") or 0.0
        return run["state"] in ENDED and not run["archived"] and now - ended_at >= ENDING
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
