"""A whole AgentViT run in a second: real digits, network, agent and stores, but few images.

Tests import it through a fixture, after `tiny_rl4dvit`, whose catalogue, readers and exact stops it
shares. As a program it makes several attempts at runs, one after another, each in a process of its
own that is forked when everything is imported, and that can stop itself with a signal:

    python tiny_agentvit.py '[["HOME", "start", {...}], ["HOME", "resume", {...}], ...]'
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tiny_rl4dvit as tiny
import torch
from torch import Tensor

from rlvit.catalog import Entry
from rlvit.contracts import ImageShape
from rlvit.home import Home
from rlvit.nn.pruning import PrunedVit
from rlvit.runs import execute
from rlvit.runs.execute import RunOutcome
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.specs import DataRequest
from rlvit_agentvit.config import AgentvitConfig
from rlvit_agentvit.selector import PatchAgent
from rlvit_agentvit.simple_vit import make as make_vit
from rlvit_tasks.arrays import load_digits
from rlvit_tasks.images import ArraySplit, LoadedImages

METHOD = "agentvit"
BATCH, PER_EPOCH = 16, 6  # 96 training images
SIZES = {"patch_size": 2, "dim": 16, "depth": 2, "heads": 2, "head_dim": 12, "mlp_dim": 24}
VALUES: dict[str, Any] = {
    **{name: size for name, size in SIZES.items() if name != "patch_size"},
    "epochs": 3,
    "batch": BATCH,
    "frequency": 2,
    "buffer_size": 4,
    "buffer_batch_size": 2,
    "checkpoint_every": 4,
    "log_every": 1,
    "figures": False,
}
# Between them all that a run can draw from, and remember.
FAITHFUL = {"preset": "official-code", "credit": "faithful", "replay_from": 2}
BERNOULLI = {
    "preset": "recommended",
    "credit": "bernoulli",
    "select": "mean-threshold",
    "mask_scope": "image",
    "eps_end": 0.3,
    "compare_masks": False,
}


def make(catalog: Any, *, task: str = "digits", small: bool = True, **options: Any) -> Plan:
    """Return the plan of a run; options are the method's, the request's, or slots.

    Unless it is to be `small`, only the preset decides what is not given.
    """
    own = {key: options.pop(key) for key in tiny.KEYS if key in options}
    slots = {slot: options.pop(slot) for slot in ("backbone", "selector") if slot in options}
    values = dict(VALUES) if small else {}
    if "backbone" in slots:  # whose sizes are fixed
        values = {name: value for name, value in values.items() if name not in SIZES}
    request = Request(
        plugin=METHOD,
        task=task,
        slots=slots,
        values={**values, **options},
        device="cpu",
        threads=1,
        **{"preset": "quick", **({"protocol": "tiny"} if small else {}), **own},
    )
    return make_plan(catalog, request)


def start(
    home: Path, display: Any = None, *, images: LoadedImages | None = None, **options: Any
) -> RunOutcome:
    """Carry a run to its end in this process, on the digits or on `images` in their place."""
    home.mkdir(exist_ok=True)
    catalog = tiny.make_catalog()
    if images is not None:
        entry = catalog.entries["task"]["digits"]
        facts = {**entry.spec.facts, "classes": len(images.classes)}
        spec = replace(entry.spec, load=lambda settings, request: images, facts=facts)
        catalog.entries["task"]["digits"] = Entry(spec, entry.owner)
    plan = make(catalog, **{"data_root": str(home), **options})
    return execute.start(catalog, Home.locate(home), plan, display or tiny.Rehearsal())


def resume(home: Path, display: Any = None) -> RunOutcome:
    """Go on with the newest run of a home in this process."""
    display = display or tiny.Rehearsal()
    return execute.resume(tiny.make_catalog(), Home.locate(home), "latest", display)


def history_of(home: Path, run_id: str) -> dict[str, Any]:
    """Return the columns of a run's history."""
    path = home / "runs" / run_id / "artifacts" / "history" / "history.npz"
    with np.load(path) as table:
        return dict(table)


def outcome_of(home: Path, run_id: str) -> dict[str, Any]:
    """Return all of a run that another run of the same options and seed must have too, bit by bit.

    History and figures show seconds; of the history the rest is compared.
    """
    found: dict[str, Any] = tiny.outcome_of(home, run_id)
    for kind in ("history", "figures"):
        found["artifacts"].pop(kind, None)
    history = history_of(home, run_id)
    del history["seconds"]
    return {**found, "history": {name: column.tobytes() for name, column in history.items()}}


def digits(count: int, split: str = "train") -> tuple[Tensor, Tensor]:
    """Return the first images uint8 [B, 3, 8, 8] of a split of the digits, and labels [B]."""
    found = load_digits(DataRequest(Path(), print)).split(split)
    (images,) = found.batches([np.arange(count)], 8)
    return images, torch.from_numpy(found.labels[:count])


def network(seed: int = 0, **values: Any) -> PrunedVit:
    """Return a small ViT for digits, 16 patches, with an agent of those values before block 0."""
    config = AgentvitConfig(**{"n_patch_desired": 6, **values})
    backbone = make_vit(SIZES, torch.Generator().manual_seed(seed), ImageShape(8, 10), None)
    agent = PatchAgent(backbone, config)
    agent.create(torch.Generator().manual_seed(seed + 1))
    needs = frozenset({"attended"})
    return PrunedVit(backbone, agent, needs, (0,), targets=torch.arange(10))


def told_by_one_patch(place: int, train: int, seed: int = 0) -> LoadedImages:
    """Return images of 8 x 8 pixels, 16 patches, of which one alone shows the class.

    Its left or its right half is bright, as the class is 0 or 1; of all others the upper or the
    lower half is, at random. (How bright a patch is as a whole, the network's first norm removes.)
    """
    random = np.random.default_rng(seed)
    halves = np.array([[[1, 1], [0, 0]], [[0, 0], [1, 1]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]])
    splits = {}
    for part, count in (("train", train), ("val", 64), ("test", 64)):
        labels = random.integers(0, 2, count)
        kinds = random.integers(0, 2, (count, 16))
        kinds[:, place] = 2 + labels
        patches = halves[kinds].reshape(count, 4, 4, 2, 2)  # rows, columns, and pixels of a patch
        images = 180 * patches.transpose(0, 1, 3, 2, 4).reshape(count, 1, 8, 8)
        images = (images + random.integers(0, 76, images.shape)).astype(np.uint8)
        names = [f"{part}/{number}" for number in range(count)]
        splits[part] = ArraySplit(images, labels.astype(np.int64), names, 1)
    return LoadedImages(("left", "right"), "0" * 64, splits)


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
    for module in ("rlvit_agentvit.experiment", "torch._dynamo"):
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
