"""A run as others see it: event hooks get a view, its folder a copy of what the registry knows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlvit.contracts import Artifact, Measurement, RunView
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.store import Store
from rlvit.runs.folder import write_json


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
            Artifact(a.kind, a.key, a.sha256, Path(a.path), a.made_by, a.inputs, a.size)
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
    """Write what the registry knows of a run into its folder, which is then complete in itself."""
    record = queries.find_run(store.engine, run_id)
    whole = asdict(record)
    whole["format"] = 1
    whole["transitions"] = [asdict(t) for t in queries.transitions(store.engine, run_id)]
    whole["artifacts"] = [asdict(a) for a in queries.artifacts(store.engine, run_id)]
    whole["results"] = [asdict(r) for r in queries.results(store.engine, run_id)]
    folder = home.runs / run_id
    if folder.is_dir():
        write_json(folder / "run.json", whole)
