"""A whole SPIRL run in seconds: real game, autoencoder and stores, under a protocol of two games.

Tests import it through the fixture `tiny`. As a program it makes one attempt of a run, which can
stop itself with a signal at an exact point, and writes how far it is for who kills it from outside:

    python tiny_spirl.py HOME start|resume OPTIONS_AS_JSON PROGRESS_FILE

or several attempts, one after another, each in a process of its own that is forked when everything
is imported:

    python tiny_spirl.py HOME each '[["start", {...}], ["resume", {...}], ...]' PROGRESS_FILE
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlvit.catalog import Catalog, Entry, build_catalog
from rlvit.home import Home
from rlvit.manager import create_plugin_manager
from rlvit.registry import queries
from rlvit.registry.database import open_database
from rlvit.runs import execute
from rlvit.runs.display import Silent
from rlvit.runs.execute import RunOutcome
from rlvit.runs.folder import RunFolder
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.specs import RewardSpec

GAME = "Breakout"  # with a long frame skip a weak player scores and dies within 20 steps
PROTOCOL: Mapping[str, Any] = {"episodes": 2, "evaluation_horizon": 14, "frame_skip": 16}
VALUES: Mapping[str, Any] = {
    "frames": 64,
    "epochs": 2,
    "warmup_epochs": 1,
    "mae_batch_size": 16,  # 8 iterations
    "keep_ratio": 0.1,  # 14 patches
    "steps": 40,
    "random_steps": 12,
    "learn_start": 12,
    "n_step": 3,
    "batch_size": 8,
    "target_every": 7,
    "checkpoint_every": 9,
    "mae_checkpoint_every": 2,
    "log_every": 5,
    "figures": False,
}
KEYS = ("seed", "name", "note", "tags", "preset", "slots")  # options that are the request's own


class Rehearsal(Silent):
    """Shows nothing, but passes on each sign of progress and keeps what is said."""

    def __init__(self, heard: Callable[[str, int], None] = lambda stage, done: None) -> None:
        self._heard, self._stage = heard, ""
        self.said: list[str] = []

    def stage(self, name: str, total: int, unit: str) -> Rehearsal:
        """Begin a stage; others may go on."""
        begun = Rehearsal(self._heard)
        begun._stage = name
        return begun

    def update(self, done: int, **shown: float) -> None:
        """Pass on how far the stage is."""
        self._heard(self._stage, done)

    def say(self, text: str) -> None:
        """Keep a message."""
        self.said.append(text)


def make_catalog(*, mlflow: bool = False, fail_at: int | None = None) -> Catalog:
    """Return the installed plugins, every game with the protocol `tiny` besides its own.

    With `fail_at` the reward `sign` raises when it is asked for the reward of that step.
    """
    plugins = create_plugin_manager()
    if not mlflow:
        plugins.manager.unregister(name="mlflow")
    catalog = build_catalog(plugins)
    tasks: Any = catalog.entries["task"]
    for name, entry in list(tasks.items()):
        quick = entry.spec.protocol("quick")
        short = replace(quick, name="tiny", settings={**quick.settings, **PROTOCOL})
        protocols = (*entry.spec.protocols, short)
        tasks[name] = Entry(replace(entry.spec, protocols=protocols), entry.owner)
    if fail_at is not None:
        rewards: Any = catalog.entries["reward"]
        entry = rewards["sign"]
        rewards["sign"] = Entry(_failing(entry.spec, fail_at), entry.owner)
    return catalog


def _failing(spec: RewardSpec, step: int) -> RewardSpec:
    asked = 0

    def shape(reward: float) -> float:
        nonlocal asked
        asked += 1
        if asked == step:
            raise ArithmeticError("no such reward")
        return spec.shape(reward)

    return replace(spec, shape=shape)


def make(catalog: Catalog, *, task: str = GAME, **options: Any) -> Plan:
    """Return the plan of a tiny run; options are those of the method or of the request."""
    own = {key: options.pop(key) for key in KEYS if key in options}
    request = Request(
        plugin="spirl",
        task=task,
        protocol="tiny",
        values={**VALUES, **options},
        device="cpu",
        threads=1,
        **{"preset": "paper", **own},
    )
    return make_plan(catalog, request)


def start(
    home: Path, display: Rehearsal | None = None, catalog: Catalog | None = None, **options: Any
) -> RunOutcome:
    """Carry a run to its end in this process, by default without MLflow."""
    catalog = catalog or make_catalog()
    with _weights_digested(home):
        return execute.start(
            catalog, Home.locate(home), make(catalog, **options), display or Rehearsal()
        )


def resume(
    home: Path, display: Rehearsal | None = None, catalog: Catalog | None = None
) -> RunOutcome:
    """Go on with the newest run of a home in this process, by default without MLflow."""
    with _weights_digested(home):
        return execute.resume(
            catalog or make_catalog(), Home.locate(home), "latest", display or Rehearsal()
        )


def command(
    home: Path, action: str, progress: Path | None = None, **options: Any
) -> tuple[str, ...]:
    """Return the command of one attempt in a process of its own; see `main` for the options."""
    tail = (json.dumps(options), str(progress or os.devnull))
    return (sys.executable, str(Path(__file__).resolve()), str(home), action, *tail)


def attempt(home: Path, action: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Make one attempt in a process of its own and wait for it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command(home, action, **options),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def attempts(home: Path, plan: list[tuple[str, dict[str, Any]]]) -> list[int]:
    """Make attempts one after another and return how each ended: exit code, or minus a signal."""
    tail = (str(home), "each", json.dumps(plan), os.devnull)
    done = subprocess.run(
        (sys.executable, str(Path(__file__).resolve()), *tail),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("ended ")]


@contextmanager
def _weights_digested(home: Path) -> Iterator[None]:
    """Write a digest of the agent into `home`/agents.txt when its evaluation begins."""
    from rlvit_spirl import experiment

    original = experiment.GreedyPolicy

    class Digested(original):
        def __init__(self, agent: Any, *rest: Any) -> None:
            super().__init__(agent, *rest)
            with open(home / "agents.txt", "a", encoding="utf-8") as file:
                file.write(digest(agent.state()) + "\n")

    experiment.GreedyPolicy = Digested
    try:
        yield
    finally:
        experiment.GreedyPolicy = original


def digest(value: Any) -> str:
    """Return a SHA-256 over the bytes of all tensors in a state, in order, and its other values."""
    total = hashlib.sha256()

    def add(item: Any) -> None:
        if isinstance(item, Mapping):
            for key, entry in item.items():
                total.update(f"{key}:".encode())
                add(entry)
        elif isinstance(item, list | tuple):
            for entry in item:
                add(entry)
        elif hasattr(item, "detach"):
            total.update(item.detach().cpu().numpy().tobytes())
        else:
            total.update(repr(item).encode())

    add(value)
    return total.hexdigest()


def outcome_of(home: Path, run_id: str) -> dict[str, Any]:
    """Return all of a run that another run of the same options and seed must have too, bit by bit.

    Left out are times, attempts and the metrics that are declared to be timings.
    """
    engine = open_database(Home.locate(home).registry_url)
    timings = {name for name, metric in make_catalog().metrics.items() if metric.timing}
    folder = RunFolder(home / "runs" / run_id)
    meta = {"attempt", "time", *timings}
    return {
        "results": [
            (r.metric, r.step, r.value, r.samples, r.spread)
            for r in queries.results(engine, run_id)
            if not r.superseded and r.metric not in timings
        ],
        "episodes": [
            (e.step, e.index, e.score, e.length)
            for e in queries.episodes(engine, run_id)
            if not e.superseded
        ],
        "points": sorted(
            (p.metric, p.step, p.value)
            for p in queries.points(engine, run_id)
            if not p.superseded and p.metric not in timings
        ),
        "rows": [
            {name: value for name, value in line.items() if name not in meta}
            for _, line in folder.read_live("metrics")
        ],
        "agent": (home / "agents.txt").read_text().splitlines()[-1],
        **{
            f"{kind}.safetensors": hashlib.sha256(
                (folder.path / "artifacts" / kind / f"{kind}.safetensors").read_bytes()
            ).hexdigest()
            for kind in ("mae", "agent")
        },
    }


def runs_of(home: Path) -> list[Any]:
    """Return the records of a home's runs, newest first."""
    return queries.list_runs(open_database(Home.locate(home).registry_url))


def wait_for(process: subprocess.Popen[str], progress: Path, stage: str, done: int) -> None:
    """Wait until a process has come as far as this, or has ended."""
    while process.poll() is None:
        if progress.exists():
            for line in progress.read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == stage and int(count or 0) >= done:
                    return
        time.sleep(0.02)


def _stop_at(kind: str, stage: str, step: int, number: int) -> None:
    """Have this process send itself a signal at an exact point.

    `after`: after the step's checkpoint, where one is due. `within`: while that checkpoint is
    being written, its tensors already in place.
    """
    from rlvit.runs.checkpoint import Checkpoints
    from rlvit.runs.context import TrainingContext

    if kind == "after":
        checkpoint = TrainingContext.checkpoint

        def stopping(self: Any, at: str, here: int, state: Callable[[], Any], every: int) -> None:
            checkpoint(self, at, here, state, every)
            if (at, here) == (stage, step):
                os.kill(os.getpid(), number)

        TrainingContext.checkpoint = stopping  # type: ignore[method-assign]
    else:
        from rlvit.runs import checkpoint as module

        save, write = Checkpoints.save, module.write_json

        def saving(self: Any, at: str, here: int, *rest: Any) -> None:
            if (at, here) == (stage, step):
                module.write_json = lambda path, value: os.kill(os.getpid(), number)
            save(self, at, here, *rest)
            module.write_json = write

        Checkpoints.save = saving  # type: ignore[method-assign]


def main() -> int:
    """Make one attempt, or several; returns 0, 1 or 130 as `rlvit run` does."""
    home, action, options, progress = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    home.mkdir(exist_ok=True)
    if action != "each":
        return _make_attempt(home, action, json.loads(options), progress)

    for module in ("rlvit_spirl.experiment", "torch._dynamo"):  # optimisers import the latter
        importlib.import_module(module)
    for action, given in json.loads(options):
        child = os.fork()
        if not child:
            os._exit(_make_attempt(home, action, given, progress))
        status = os.waitpid(child, 0)[1]
        print("ended", os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201
    return 0


def _make_attempt(home: Path, action: str, given: dict[str, Any], progress: str) -> int:
    """Make one attempt.

    Options besides those of `make`: `mlflow`, `patience` (seconds that the end waits for MLflow),
    `fail_at` as in `make_catalog`, `stop`: [after|within|shown, stage, step, signal name], where
    `shown` is when a stage says that it is so far,
    `stop_in_game`: the evaluation game after which to send itself SIGKILL, and `hold`: the step of
    learning at which to wait for a file PROGRESS_FILE.go, so that no signal comes too late.
    """
    kind, stop_stage, stop_step, name = given.pop("stop", ("", "", 0, "SIGKILL"))
    if kind in ("after", "within"):
        _stop_at(kind, stop_stage, stop_step, getattr(signal, name))
    in_game, hold = given.pop("stop_in_game", None), given.pop("hold", None)
    if "patience" in given:
        from rlvit_mlflow import writer

        writer.PATIENCE = given.pop("patience")
    catalog = make_catalog(mlflow=given.pop("mlflow", False), fail_at=given.pop("fail_at", None))

    with open(progress, "a", encoding="utf-8") as file:

        def heard(stage: str, done: int) -> None:
            file.write(f"{stage} {done}\n")
            file.flush()
            if kind == "shown" and (stage, done) == (stop_stage, stop_step):
                os.kill(os.getpid(), getattr(signal, name))
            if stage == "evaluate" and done == in_game:
                os.kill(os.getpid(), signal.SIGKILL)
            while stage == "learn" and done == hold and not Path(f"{progress}.go").exists():
                time.sleep(0.02)

        display = Rehearsal(heard)
        if action == "start":
            outcome = start(home, display, catalog, **given)
        else:
            outcome = resume(home, display, catalog)
    print("\n".join(display.said), flush=True)  # noqa: T201
    return {"completed": 0, "failed": 1, "interrupted": 130}[outcome.state]


if __name__ == "__main__":
    sys.exit(main())
