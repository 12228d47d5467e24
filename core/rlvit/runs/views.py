"""A run as others see it: event hooks get a view, its folder a copy of what the registry knows."""

from __future__ import annotations

import time
from typing import Any

from filelock import FileLock

from rlvit.contracts import Artifact, Measurement, RunView
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.snapshot import snapshot
from rlvit.registry.store import Store
from rlvit.runs.folder import RunFolder, write_json

FORMAT = 2  # of run.json; 1 had configuration and book-keeping in one, and no declarations


def view_of(store: Store, home: Home, run_id: str, **more: Any) -> RunView:
    """Return a run as event hooks see it, read from the registry."""
    record = queries.find_run(store.engine, run_id)
    shared = {
        name: getattr(record, name)
        for name in RunView.__dataclass_fields__
        if hasattr(record, name)
    }
    results = queries.results(store.engine, run_id)
    known: dict[str, Any] = {
        **shared,
        "home": home.root,
        "folder": home.runs / record.id,
        "started_at": record.started_at or record.created_at,
        "artifacts": tuple(
            Artifact(a.kind, a.key, a.sha256, home.located(a.path), a.made_by, a.inputs, a.size)
            for a in queries.artifacts(store.engine, run_id)
        ),
        "results": tuple(
            Measurement(r.metric, r.value, r.samples, r.spread, r.step)
            for r in results
            if not r.superseded and r.value is not None
        ),
    }
    return RunView(**{**known, **more})


def mirror(store: Store, home: Home, run_id: str) -> None:
    """Write what the registry knows of a run into its folder, which is then complete in itself.

    Nothing is written where the run has no folder in this home.
    """
    folder = RunFolder(home.runs / run_id)
    home.locks.mkdir(parents=True, exist_ok=True)
    with FileLock(home.locks / f"run-{run_id}-mirror.lock"):  # an older state must not win
        if folder.path.is_dir():
            known = {"format": FORMAT, "written_at": time.time(), "streams": folder.sizes()}
            write_json(folder.path / "run.json", snapshot(store.engine, run_id) | known)
