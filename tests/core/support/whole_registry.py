"""A home that has used everything a registry can hold, and the rows of a registry to compare."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from study_lab import Lab

from rlvit.catalog import Catalog
from rlvit.cli.main import invoke
from rlvit.home import Home, sqlite_url
from rlvit.registry import schema, studies
from rlvit.registry.database import open_database
from rlvit.registry.replace import replacing
from rlvit.registry.store import Store
from rlvit.registry.studies import StudyStore
from rlvit.runs import execute
from rlvit.runs.artifacts import build_artifact
from rlvit.runs.display import Silent
from rlvit.runs.folder import write_json
from rlvit.runs.plan import Request, make_plan
from rlvit.runs.views import mirror
from rlvit.tune import fresh

RATES = "rate=0.9,0.8,0.7,0.6,0.5,0.4,0.3,0.2,0.1,0.05,0.01"
STUDY: dict[str, Any] = {
    "space": (RATES,),
    "fixed": ("steps=12",),
    "objectives": ("toy/weight:max",),
    "sampler": {"name": "grid"},
    "pruner": {"name": "median", "startup": 2, "start": 3, "on": ["toy/weight"]},
}
NUMBERS = ("experiment", "transition", "artifact", "baseline")  # tables whose ids are counted
Table = Counter[str]


def rows_of(url: str) -> dict[str, Table]:
    """Return the rows of all tables; what is counted is named by what it stands for.

    Experiments and artifacts to which no run belongs are left out: a run was deleted.
    """
    engine = open_database(url)
    try:
        with engine.connect() as connection:
            found = {
                table.name: [dict(row._mapping) for row in connection.execute(select(table))]
                for table in schema.Base.metadata.sorted_tables
            }
    finally:
        engine.dispose()
    experiments = {row["id"]: row["fingerprint"] for row in found["experiment"]}
    artifacts = {row["id"]: (row["kind"], row["key"], row["sha256"]) for row in found["artifact"]}
    for run in found["run"]:
        run["experiment_id"] = experiments[run["experiment_id"]]
    for link in found["lineage"]:
        link["artifact_id"] = artifacts[link["artifact_id"]]
    used = {run["experiment_id"] for run in found["run"]}
    found["experiment"] = [one for one in found["experiment"] if one["fingerprint"] in used]
    linked = {link["artifact_id"] for link in found["lineage"]}
    found["artifact"] = [one for one in found["artifact"] if artifacts[one["id"]] in linked]
    for name in NUMBERS:
        for row in found[name]:
            del row["id"]
    return {name: _counted(rows) for name, rows in found.items()}


def _counted(rows: Iterable[dict[str, Any]]) -> Table:
    return Counter(json.dumps(row, sort_keys=True) for row in rows)


def differences(first: dict[str, Table], second: dict[str, Table]) -> dict[str, list[str]]:
    """Return, by table, the rows that only one of two registries has."""
    assert first.keys() == second.keys()
    return {
        name: sorted(((rows - second[name]) | (second[name] - rows)).elements())
        for name, rows in first.items()
        if rows != second[name]
    }


def die_while_replacing(path: str) -> None:
    """Kill this process when a new, empty registry is about to take the place of another."""
    with replacing(Path(path)) as place:
        Store(sqlite_url(place.fresh)).close()
        place.put(lambda: os.kill(os.getpid(), signal.SIGKILL))


class Maker:
    """Makes runs in a home."""

    def __init__(self, catalog: Catalog, home: Home, environment: pytest.MonkeyPatch) -> None:
        self.catalog, self.home, self._environment = catalog, home, environment

    def run(self, at: str = "", seed: int = 0, **more: Any) -> execute.RunOutcome:
        """Make a run of the toy; `at` is TOY_AT."""
        self._environment.setenv("TOY_AT", at)
        known = {"task": "Alpha", "preset": "quick", "device": "cpu", "threads": 1, "seed": seed}
        request = Request(plugin="toy", **{**known, **more})
        return execute.start(self.catalog, self.home, make_plan(self.catalog, request), Silent())

    def resume(self, run_id: str, at: str = "") -> execute.RunOutcome:
        """Go on with a run."""
        self._environment.setenv("TOY_AT", at)
        return execute.resume(self.catalog, self.home, run_id, Silent())

    def rlvit(self, *words: str) -> None:
        """Carry out a command."""
        assert invoke(["--home", str(self.home.root), *words]) == 0

    def use_everything(self, files: Path) -> str:
        """Fill the home and return the run that was resumed twice."""
        values = {"steps": 1500, "checkpoint_every": 500}
        long = self.run("1300:fail", name="long", tags={"sweep": "a", "seen": ""}, values=values)
        assert (long.state, long.attempt) == ("failed", 1)
        assert self.resume(long.id, "1450:fail").state == "failed"
        assert self.resume(long.id).state == "completed"
        quick = self.run(seed=1, note="a note\nin two lines: ü")
        self.run(seed=1)
        self.run("5:fail", seed=2)
        self.run("15:SIGINT", seed=3)
        gone = self.run(seed=4, values={"mode": "sum"})
        for run_id in (long.id, quick.id, gone.id):  # the same files: one artifact in the registry
            self._keep(run_id)
        self.rlvit("runs", "note", long.id, "its run.json says that they are in the last one's")
        self.rlvit("runs", "delete", gone.id, "--yes")
        self.rlvit("runs", "tag", quick.id, "best", "for=paper")
        self.rlvit("runs", "note", long.id, "another")
        self.rlvit("runs", "archive", quick.id)
        self._baselines(files)
        self.make_study()
        return long.id

    def _keep(self, run_id: str) -> None:
        """Give a run an artifact of its own."""
        folder = self.home.runs / run_id / "artifacts" / "facts"
        kept = build_artifact(
            folder, "facts", {"a": 1}, lambda into: write_json(into / "facts.json", {}), run_id
        )
        store = Store(self.home.registry_url)
        store.add_artifact(run_id, kept, "made")
        mirror(store, self.home, run_id)
        store.close()

    def _baselines(self, files: Path) -> None:
        files.mkdir()
        scores = files / "Other.csv"
        scores.write_text("task,score,seed\nAlpha,1.5,0\nAlpha,2.5,1\nBeta,-0.25,0\n")
        printed = files / "printed.csv"
        printed.write_text("method,task,score,n,spread\nOld,Alpha,3.25,5,0.5\n")
        for file in (scores, printed):
            self.rlvit("baselines", "add", str(file), "--metric", "toy/score", "--cite", "Me")
        (files / "Wrong.csv").write_text("task,score\nAlpha,7\n")
        self.rlvit("baselines", "add", str(files / "Wrong.csv"), "--metric", "toy/score")
        self.rlvit("baselines", "remove", "Wrong")

    def make_study(self) -> None:
        """Make a study with trials that are completed, pruned, failed and left."""
        self._environment.setenv("TOY_AT", "")
        store = StudyStore(self.home.registry_url)
        lab = Lab(self.catalog, self.home, store)
        try:
            lab.study(trials=9, **STUDY)
            self._environment.setenv("TOY_AT", "3:fail")
            name = lab.prepare(trials=10, **STUDY).name
            assert lab.worker(name).work() == "done"
            self._environment.setenv("TOY_AT", "2:SIGINT")
            lab.prepare(trials=11, **STUDY)
            assert lab.worker(name).work() == "interrupted"
            self._environment.setenv("TOY_AT", "")
            states = Counter(trial.state for trial in lab.trials(name))
            assert states["pruned"] > 0
            assert (states["failed"], states["interrupted"]) == (1, 1)
            best = fresh.leaders(studies.find_study(store.engine, name), lab.trials(name), 1)
            assert len(fresh.run_fresh(lab.open(name), best, 2, Silent, lab.said.append)) == 2
        finally:
            store.close()
