"""What the tests let other processes do to a registry or to the shared artifacts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvit.contracts import Artifact
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.database import open_database
from rlvit.registry.store import NewRun, PointRow, Store
from rlvit.runs.artifacts import ArtifactShelf
from rlvit.specs import MetricDef

LOSS = MetricDef("a/loss", "nats", "min", "how wrong")
SCORE = MetricDef("a/score", "points", "max", "how good")


def new_run(run_id: str, folder: Path | str = "nowhere", **more: Any) -> NewRun:
    """Describe a run that nothing carries out."""
    known: dict[str, Any] = {
        "id": run_id,
        "name": run_id,
        "method": "toy",
        "plugin": "toy",
        "plugin_version": "1",
        "task": "Alpha",
        "protocol": "brief",
        "protocol_settings": {"episodes": 2},
        "config": {"steps": 3},
        "bookkeeping": {},
        "slots": {},
        "fingerprint": "f" * 64,
        "seed": 0,
        "preset": "quick",
        "note": "",
        "folder": str(folder),
        "provenance": {"git_commit": None, "git_dirty": None, "threads": 1},
        "tags": {},
    }
    return NewRun(**{**known, **more})


def open_at(url: str, start: float) -> None:
    """Open a registry at a given moment."""
    time.sleep(max(0.0, start - time.time()))
    store = Store(url)
    store.declare_metrics([LOSS])
    store.close()


def write_points(url: str, run_id: str, count: int) -> None:
    """Make many small transactions."""
    store = Store(url)
    store.create_run(new_run(run_id))
    store.move(run_id, "running")
    for row in range(count):
        store.add_points(run_id, [PointRow("a/loss", 1, row, row, float(row), 0.0)])
        store.beat(run_id, 1.0)
    store.move(run_id, "completed")
    store.close()


def read_points(url: str, run_ids: list[str], count: int) -> None:
    """Read until all is there; what was there must never go away."""
    engine, before, limit = open_database(url), 0, time.monotonic() + 60
    while before < count * len(run_ids):
        found = sum(len(queries.points(engine, run_id)) for run_id in run_ids)
        assert found >= before
        assert time.monotonic() < limit
        before = found
    engine.dispose()


def build_artifact(
    root: Path, run_id: str, start: float, inputs: Mapping[str, Any], slow: float, die: bool
) -> None:
    """Get an artifact at a given moment; note down if this process was the one that built it."""
    time.sleep(max(0.0, start - time.time()))
    found = get_artifact(root, run_id, inputs, slow, die)
    assert (found.folder / "data.txt").read_text() == "data"
    assert (found.folder / "more.txt").read_text() == "more"


def get_artifact(
    root: Path, run_id: str, inputs: Mapping[str, Any], slow: float = 0.0, die: bool = False
) -> Artifact:
    """Return the artifact of two files, building it if need be."""
    import os
    import signal

    def build(folder: Path) -> None:
        with open(root / "builds", "a") as file:
            file.write(f"{run_id}\n")
        (folder / "data.txt").write_text("data")
        time.sleep(slow)
        if die:
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / "more.txt").write_text("more")

    def say(text: str) -> None:
        with open(root / "said", "a") as file:
            file.write(f"{text}\n")

    shelf = ArtifactShelf(Home.locate(root))
    return shelf.get("thing", inputs, build, run_id=run_id, say=say, check_stop=lambda: None)
