"""Whole glimpse runs in a second: real digits, games, networks and stores, but few images.

Tests import it through a fixture, after `tiny_rl4dvit`, whose catalogue, readers and exact stops it
shares. As a program it makes several attempts at runs, one after another, each in a process of its
own that is forked when everything is imported, and that can stop itself with a signal:

    python tiny_glimpse.py '[["HOME", "start", {...}], ["HOME", "resume", {...}], ...]'
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tiny_rl4dvit as tiny
import torch
from torch import Tensor

from rlvit.config import resolve
from rlvit.home import Home
from rlvit.runs import execute
from rlvit.runs.execute import RunOutcome
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.specs import DataRequest
from rlvit_glimpse.adapt import adapt
from rlvit_glimpse.agents import make_network, make_rules
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.game import GlimpseGames
from rlvit_glimpse.networks import GlimpseNetwork
from rlvit_glimpse.rollouts import Episodes, play
from rlvit_tasks.arrays import load_digits
from rlvit_tasks.plugin import rlvit_tasks

METHOD = "glimpse"
SIZE, WINDOW, CLASSES = 8, 4, 10  # of the digits
VARIANTS = ("multi-categorical", "greedy-map", "hybrid-vit", "ram")
SIZES: dict[str, Any] = {"width": 16, "max_steps": 3, "games": 16, "minibatch": 8, "ppo_epochs": 2}
VALUES: dict[str, Any] = {
    **SIZES,
    "steps": 288,  # 6 rollouts of games that all have 3 glimpses
    "validate_every": 3,
    "validation_images": 20,
    "checkpoint_every": 2,
    "log_every": 1,
    "figures": False,
}

# One agent of each variant; between them most of what a run can be asked for.
OPTIONS: dict[str, dict[str, Any]] = {
    "multi-categorical": {"variant": "multi-categorical"},
    "greedy-map": {"variant": "greedy-map", "class_counts": "always"},
    "hybrid-vit": {
        "variant": "hybrid-vit",
        "memory_tokens": 2,
        "segment": 2,
        "start": "centre",
        "max_steps": 4,
    },
    "ram": {"variant": "ram", "algorithm": "reinforce", "foveation": 2},
}


def sizes_of(variant: str) -> dict[str, Any]:
    """Return what a small agent of a variant needs besides `SIZES`."""
    return {"depth": 1} if variant == "hybrid-vit" else {}


def make(catalog: Any, *, task: str = "digits", small: bool = True, **options: Any) -> Plan:
    """Return the plan of a run; options are the method's, or the request's.

    Unless it is to be `small`, only the preset decides what is not given.
    """
    own = {key: options.pop(key) for key in tiny.KEYS if key in options}
    variant = options.get("variant", "multi-categorical")
    values = {**VALUES, **sizes_of(variant)} if small else {}
    request = Request(
        plugin=METHOD,
        task=task,
        slots={},
        values={**values, **options},
        device="cpu",
        threads=1,
        **{"preset": "quick", **({"protocol": "tiny"} if small else {}), **own},
    )
    return make_plan(catalog, request)


def start(home: Path, display: Any = None, **options: Any) -> RunOutcome:
    """Carry a run to its end in this process."""
    home.mkdir(exist_ok=True)
    catalog = tiny.make_catalog()
    plan = make(catalog, **{"data_root": str(home), **options})
    return execute.start(catalog, Home.locate(home), plan, display or tiny.Rehearsal())


def resume(home: Path, display: Any = None) -> RunOutcome:
    """Go on with the newest run of a home in this process."""
    display = display or tiny.Rehearsal()
    return execute.resume(tiny.make_catalog(), Home.locate(home), "latest", display)


@cache
def _digits() -> Any:
    return load_digits(DataRequest(Path(), print))


def digits(count: int, split: str = "train") -> tuple[Tensor, Tensor]:
    """Return the first images uint8 [B, 3, 8, 8] of a split of the digits, and labels [B]."""
    found = _digits().split(split)
    (images,) = found.batches([np.arange(count)], SIZE)
    return images, torch.from_numpy(found.labels[:count])


def config(variant: str, **values: Any) -> GlimpseConfig:
    """Return the configuration of a small agent for digits; the paper's but for `SIZES`."""
    (task,) = [one for one in rlvit_tasks() if one.name == "digits"]
    given = {**SIZES, **sizes_of(variant), "variant": variant, **values}
    return adapt(resolve(GlimpseConfig, {}, given), task, {})


def network(config: GlimpseConfig, seed: int = 0) -> GlimpseNetwork:
    """Return an agent's network for digits."""
    return make_network(config, SIZE, CLASSES, stream(seed))


def game(config: GlimpseConfig) -> GlimpseGames:
    """Return games of an agent on digits."""
    return GlimpseGames(make_rules(config, SIZE), SIZE, 3)


def played(
    config: GlimpseConfig,
    net: GlimpseNetwork,
    count: int = 16,
    *,
    seed: int = 1,
    games: GlimpseGames | None = None,
    **how: Any,
) -> Episodes:
    """Return games of an agent on the first training digits."""
    how = {"explores": True, "remember": config.fault_memory, "start": stream(seed + 1), **how}
    return play(games or game(config), net, config, *digits(count), stream(seed), **how)


def deciding(net: GlimpseNetwork, bias: float) -> GlimpseNetwork:
    """Return a hybrid network that answers at once (a large bias), or never (a small one)."""
    with torch.no_grad():
        net.policy.bias[0] = bias
    return net


def stream(seed: int) -> torch.Generator:
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


def attempts(plan: list[tuple[str, str, dict[str, Any]]]) -> list[int]:
    """Make attempts one after another and return how each ended: exit code, or minus a signal."""
    done = subprocess.run(
        (sys.executable, str(Path(__file__).resolve()), json.dumps(plan)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("ended ")]


def _make_attempt(home: Path, action: str, given: dict[str, Any]) -> int:
    """Make one attempt; return 0, 1 or 130 as `rlvit run` does.

    `stop` is as in `tiny_rl4dvit`: [after|shown, stage, number, signal name].
    """
    kind, name, number, signal_name = given.pop("stop", ("", "", 0, "SIGKILL"))
    signal_number, count = getattr(signal, signal_name), 0
    if kind == "after":
        tiny._stop_at(kind, name, number, signal_number)

    def heard(stage: str) -> None:
        nonlocal count
        count += stage == name
        if kind == "shown" and stage == name and count == number:
            os.kill(os.getpid(), signal_number)

    display = tiny.Rehearsal(heard)
    outcome = start(home, display, **given) if action == "start" else resume(home, display)
    if outcome.error:
        print(outcome.error, file=sys.stderr, flush=True)  # noqa: T201
    return {"completed": 0, "failed": 1, "interrupted": 130}[outcome.state]


def main() -> int:
    """Make several attempts and print how each ended."""
    for module in ("rlvit_glimpse.experiment", "torch._dynamo"):
        importlib.import_module(module)  # what takes long
    for home, action, given in json.loads(sys.argv[1]):
        child = os.fork()
        if not child:
            os._exit(_make_attempt(Path(home), action, given))
        status = os.waitpid(child, 0)[1]
        print("ended", os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
