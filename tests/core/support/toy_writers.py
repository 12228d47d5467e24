"""What the tests let other processes do to a registry or to the shared artifacts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select

from rlvit.contracts import Artifact
from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.registry import queries, schema
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


COMMON = "common"  # the run that all writers of a mix fight for
SHARED = 3  # artifacts and experiments that the runs of a mix have in common
CYCLE = 12  # transactions for each run of a mix


def begin_mix(url: str) -> None:
    """Make the run that all writers of a mix fight for."""
    store = Store(url)
    store.declare_metrics([LOSS, SCORE])
    store.create_run(new_run(COMMON))
    store.close()


def write_mix(url: str, writer: int, runs: int, start: float) -> None:
    """Make `CYCLE` transactions for each of some runs, as several processes do at once.

    What the run `COMMON` really went through is written into a tag of it.
    """
    time.sleep(max(0.0, start - time.time()))
    store, moves = Store(url), 0
    store.declare_metrics([LOSS, SCORE] if writer % 2 else [SCORE, LOSS])
    for number in range(runs):
        _write_run(store, f"w{writer}-{number}", number % SHARED)
        store.beat(COMMON, 1.0)
        store.tag(COMMON, {f"w{writer}-{number}": "", "newest": str(writer)})
        moves += _fight(store)
    store.tag(COMMON, {f"moves-{writer}": str(moves)})
    store.close()


def _write_run(store: Store, run_id: str, shared: int) -> None:
    """Make a run from its start to its end, in nine transactions."""
    store.create_run(new_run(run_id, fingerprint=str(shared) * 64, tags={"at": "first"}))
    store.move(run_id, "running")
    for start in (0, 2):
        rows = [PointRow("a/loss", 1, row, row, 0.5, 0.0) for row in range(start, start + 3)]
        store.add_points(run_id, rows)  # one row of the second batch is there already
    result = {"metric": "a/score", "attempt": 1, "row": 0, "step": 5, "value": 1.0}
    store.add_results(run_id, [{**result, "samples": 2, "spread": None}])
    episode = {"attempt": 1, "step": 5, "score": 1.0, "length": 3}
    store.add_episodes(run_id, [{**episode, "row": row, "index": row} for row in range(2)])
    thing = Artifact("thing", str(shared), "s", Path(f"shared/{shared}"), "w0-0", {}, 1)
    store.add_artifact(run_id, thing, "used")
    store.tag(run_id, {"at": "last"}, remove=["never"])
    store.move(run_id, "completed")


def _fight(store: Store) -> int:
    """Move the common run to wherever its state allows; return how many moves were made."""
    to = {"running": "interrupted"}.get(queries.find_run(store.engine, COMMON).state, "running")
    try:
        store.move(COMMON, to)
    except RlvitError:  # another writer was faster
        return 0
    return 1


def check_mix(engine: Engine, writers: int, runs: int) -> None:
    """Make sure that every row of a mix is there, and no other."""
    total, shared = writers * runs, min(runs, SHARED)
    record = queries.find_run(engine, COMMON)
    moves = sum(int(v) for key, v in record.tags.items() if key.startswith("moves-"))
    assert record.seconds == total
    assert record.tags.keys() == {
        *(f"w{writer}-{number}" for writer in range(writers) for number in range(runs)),
        *(f"moves-{writer}" for writer in range(writers)),
        "newest",
    }
    life = queries.transitions(engine, COMMON)
    assert len(life) == 1 + moves  # "created", and what the writers know of
    after = [move.to_state for move in life]
    assert [move.from_state for move in life] == [None, *after[:-1]]  # each from where it was
    tables = {
        schema.Metric: 2,
        schema.Run: 1 + total,
        schema.Experiment: 1 + shared,
        schema.Transition: 1 + moves + 3 * total,
        schema.Point: 5 * total,
        schema.Result: total,
        schema.EpisodeRow: 2 * total,
        schema.ArtifactRow: shared,
        schema.Lineage: total,
        schema.Tag: total + total + writers + 1,
    }
    with engine.connect() as connection:
        found = {
            table: connection.scalar(select(func.count()).select_from(table)) for table in tables
        }
    assert found == tables
    for run in queries.list_runs(engine, method="toy", state="completed"):
        assert (run.attempt, run.tags) == (1, {"at": "last"})
        points = [(p.row, p.value) for p in queries.points(engine, run.id)]
        assert points == [(row, 0.5) for row in range(5)]


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
