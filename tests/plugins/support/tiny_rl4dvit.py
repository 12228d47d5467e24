"""A whole RL4DViT run in a few seconds: real digits, backbone, agents and stores, but few images.

Tests import it through a fixture. As a program it makes several attempts of a run, one after
another, each in a process of its own that is forked when everything is imported, and that can stop
itself with a signal at an exact point:

    python tiny_rl4dvit.py HOME '[["start", {...}], ["resume", {...}], ...]'
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlvit.catalog import Catalog, Entry, build_catalog
from rlvit.home import Home
from rlvit.manager import create_plugin_manager
from rlvit.nn.vision import import_timm
from rlvit.registry import queries
from rlvit.registry.database import open_database
from rlvit.runs import execute
from rlvit.runs.display import Silent
from rlvit.runs.execute import RunOutcome
from rlvit.runs.folder import RunFolder
from rlvit.runs.plan import Plan, Request, make_plan

TRAINED = 96  # images of the training split
# An evaluation has two batches.
PROTOCOL: Mapping[str, Any] = {"split": "test", "images": 40, "batch": 20}
VALUES: Mapping[str, Any] = {
    "backbone_epochs": 1,
    "backbone_batch": 16,  # 6 steps
    "augment": "deit",  # all that draws from a step's generator
    "rollouts": 5,
    "rollout_images": 12,
    "minibatch_images": 4,
    "finetune_epochs": 0.5,
    "finetune_batch": 16,  # 3 steps
    "checkpoint_every": 2,
    "log_every": 1,
}
KEYS = ("seed", "name", "preset", "protocol", "data_root", "skip_bad_images")  # of the request
METHOD = "rl4dvit"


class Rehearsal(Silent):
    """Shows nothing, but passes on each sign of progress and keeps what is said."""

    def __init__(self, heard: Callable[[str], None] = lambda stage: None) -> None:
        self._heard, self._stage = heard, ""
        self.said: list[str] = []

    def stage(self, name: str, total: int, unit: str) -> Rehearsal:
        """Begin a stage."""
        self._stage = name
        return self

    def update(self, done: int, **shown: float) -> None:
        """Pass on that the stage went on."""
        self._heard(self._stage)

    def say(self, text: str) -> None:
        """Keep a message."""
        self.said.append(text)


def make_catalog() -> Catalog:
    """Return the installed plugins but MLflow; the digits are few and have the protocol `tiny`."""
    plugins = create_plugin_manager()
    plugins.manager.unregister(name="mlflow")
    catalog = build_catalog(plugins)
    tasks: Any = catalog.entries["task"]
    entry = tasks["digits"]
    quick = entry.spec.protocol("quick")
    short = replace(quick, name="tiny", settings={**quick.settings, **PROTOCOL})

    def load(settings: Any, request: Any) -> Any:
        data = entry.spec.load(settings, request)
        whole = data.splits["train"]
        few = replace(
            whole,
            images=whole.images[:TRAINED],
            labels=whole.labels[:TRAINED],
            names=whole.names[:TRAINED],
        )
        return replace(data, splits={**data.splits, "train": few})

    spec = replace(entry.spec, protocols=(*entry.spec.protocols, short), load=load)
    tasks["digits"] = Entry(spec, entry.owner)
    return catalog


def make(catalog: Catalog, *, task: str = "digits", **options: Any) -> Plan:
    """Return the plan of a tiny run; options are the method's, the request's, or slots.

    Those of the preset `quick` hold where `VALUES` says nothing.
    """
    method = catalog.method(METHOD)
    own = {key: options.pop(key) for key in KEYS if key in options}
    slots = {slot: options.pop(slot) for slot in method.slots if slot in options}
    request = Request(
        plugin=METHOD,
        task=task,
        slots={"backbone": "vit_pico_grid4", **slots},
        values={**VALUES, **options},
        device="cpu",
        threads=1,
        **{"preset": "quick", "protocol": "tiny", **own},
    )
    return make_plan(catalog, request)


def start(home: Path, display: Rehearsal | None = None, **options: Any) -> RunOutcome:
    """Carry a run to its end in this process."""
    home.mkdir(exist_ok=True)
    catalog = make_catalog()
    plan = make(catalog, **{"data_root": str(home), **options})
    return execute.start(catalog, Home.locate(home), plan, display or Rehearsal())


def resume(home: Path, display: Rehearsal | None = None, **options: Any) -> RunOutcome:
    """Go on with the newest run of a home in this process."""
    display = display or Rehearsal()
    return execute.resume(make_catalog(), Home.locate(home), "latest", display, **options)


def attempts(home: Path, plan: list[tuple[str, dict[str, Any]]]) -> list[int]:
    """Make attempts one after another and return how each ended: exit code, or minus a signal."""
    done = subprocess.run(
        (sys.executable, str(Path(__file__).resolve()), str(home), json.dumps(plan)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("ended ")]


def runs_of(home: Path) -> list[Any]:
    """Return the records of a home's runs, newest first."""
    return queries.list_runs(open_database(Home.locate(home).registry_url))


def results_of(home: Path, run_id: str) -> dict[tuple[str, int], float]:
    """Return the live results of a run by metric and step."""
    engine = open_database(Home.locate(home).registry_url)
    rows = [r for r in queries.results(engine, run_id) if not r.superseded]
    found = {(r.metric, r.step): r.value for r in rows}
    assert len(found) == len(rows)  # none is on record twice
    return found


def rows_of(home: Path, run_id: str) -> list[dict[str, Any]]:
    """Return the live rows that a run logged."""
    return [line for _, line in RunFolder(home / "runs" / run_id).read_live("metrics")]


def outcome_of(home: Path, run_id: str) -> dict[str, Any]:
    """Return all of a run that another run of the same options and seed must have too, bit by bit.

    Left out are times, attempts and the metrics that are declared to be timings.
    """
    engine = open_database(Home.locate(home).registry_url)
    timings = {name for name, metric in make_catalog().metrics.items() if metric.timing}
    folder = home / "runs" / run_id / "artifacts"
    meta = {"attempt", "time", *timings}
    return {
        "results": [
            (r.metric, r.step, r.value, r.samples, r.spread)
            for r in queries.results(engine, run_id)
            if not r.superseded and r.metric not in timings
        ],
        "points": sorted(
            (p.metric, p.step, p.value)
            for p in queries.points(engine, run_id)
            if not p.superseded and p.metric not in timings
        ),
        "rows": [
            {name: value for name, value in line.items() if name not in meta}
            for line in rows_of(home, run_id)
        ],
        # Of each artifact the hash of its files, weights and pictures alike.
        "artifacts": {
            path.name: json.loads((path / "artifact.json").read_text())["sha256"]
            for path in sorted(folder.iterdir())
        },
    }


def _stop_at(kind: str, name: str, number: int, signal_number: int) -> None:
    """Have this process send itself a signal at an exact point.

    `after`: after the checkpoint of that step of a stage, where one is due. `built`: when the files
    of an artifact of the run's own are made, before they are in their place.
    """
    from rlvit.runs.context import TrainingContext

    if kind == "after":
        checkpoint = TrainingContext.checkpoint

        def stopping(self: Any, at: str, here: int, state: Callable[[], Any], every: int) -> None:
            checkpoint(self, at, here, state, every)
            if (at, here) == (name, number):
                os.kill(os.getpid(), signal_number)

        TrainingContext.checkpoint = stopping  # type: ignore[method-assign]
        return
    keep = TrainingContext.keep

    def keeping(self: Any, made: str, inputs: Any, build: Callable[[Path], None]) -> Any:
        def built(folder: Path) -> None:
            build(folder)
            if made == name:
                os.kill(os.getpid(), signal_number)

        return keep(self, made, inputs, built)

    TrainingContext.keep = keeping  # type: ignore[method-assign]


def _make_attempt(home: Path, action: str, given: dict[str, Any]) -> int:
    """Make one attempt; return 0, 1 or 130 as `rlvit run` does.

    An option besides those of `make` is `stop`: [after|built|shown, stage or artifact, number,
    signal name]. `shown` counts the signs of progress of a stage in this attempt.
    """
    kind, name, number, signal_name = given.pop("stop", ("", "", 0, "SIGKILL"))
    signal_number, count = getattr(signal, signal_name), 0
    if kind in ("after", "built"):
        _stop_at(kind, name, number, signal_number)

    def heard(stage: str) -> None:
        nonlocal count
        count += stage == name
        if kind == "shown" and stage == name and count == number:
            os.kill(os.getpid(), signal_number)

    display = Rehearsal(heard)
    outcome = start(home, display, **given) if action == "start" else resume(home, display)
    if outcome.error:
        print(outcome.error, file=sys.stderr, flush=True)  # noqa: T201
    return {"completed": 0, "failed": 1, "interrupted": 130}[outcome.state]


def main() -> int:
    """Make several attempts and print how each ended."""
    home = Path(sys.argv[1])
    # What takes long to import; optimisers import torch._dynamo.
    for module in ("rlvit_rl4dvit.experiment", "rlvit_rl4dvit.figures", "torch._dynamo"):
        importlib.import_module(module)
    import_timm()
    for action, given in json.loads(sys.argv[2]):
        child = os.fork()
        if not child:
            os._exit(_make_attempt(home, action, given))
        status = os.waitpid(child, 0)[1]
        print("ended", os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
