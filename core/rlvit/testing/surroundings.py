"""What a part needs around it to be tried: a small task, a plan, a network, a passing home."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rlvit.errors import RlvitError, UsageProblem
from rlvit.specs import DATASET, BackboneSpec, Experiment, MethodSpec, TaskSpec
from rlvit.testing.suite import skip

if TYPE_CHECKING:
    import torch

    from rlvit.catalog import Catalog
    from rlvit.contracts import ImageData, ImageShape, TokenBackbone
    from rlvit.runs.execute import RunOutcome
    from rlvit.runs.plan import Plan

T = TypeVar("T")
PRESET = "quick"


def quiet(catalog: Catalog) -> Catalog:
    """Return the catalogue without anybody who watches runs."""
    from rlvit.manager import Plugins

    return replace(catalog, plugins=Plugins(catalog.plugins.manager, ()))


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Yield a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rlvit-check-") as folder:
        yield Path(folder)


def tasks_of(catalog: Catalog, kind: str) -> list[TaskSpec]:
    """Return the tasks of a kind, those with few and small training images first."""
    tasks = [entry.spec for entry in catalog.entries["task"].values() if entry.spec.kind == kind]
    return sorted(tasks, key=_pixels)


def _pixels(task: TaskSpec) -> float:
    pixels = task.facts.get("train_images", 0) * task.facts.get("size", 0) ** 2
    return pixels or math.inf


def load(
    task: TaskSpec, data_root: Path | None, say: Callable[[str], None] = lambda text: None
) -> ImageData:
    """Read the images of a dataset; raises RlvitError where they are not there."""
    from rlvit.runs.plan import resolve_data_root
    from rlvit.specs import DataRequest

    assert task.load is not None
    root = resolve_data_root(None if data_root is None else str(data_root))
    protocol = next((p for p in task.protocols if p.name == PRESET), task.protocols[0])
    return task.load(protocol.settings, DataRequest(root, say))


def small_task(catalog: Catalog, kind: str, data_root: Path | None) -> TaskSpec:
    """Return the smallest task of a kind that is there; skips the rule if there is none."""
    reasons = []
    for task in tasks_of(catalog, kind):
        if task.load is None:
            return task
        try:
            load(task, data_root)
        except (RlvitError, OSError) as problem:
            reasons.append(f"{task.name}: {problem}")
            continue
        return task
    skip(f"no {kind} is there" + (f" ({reasons[0]})" if reasons else ""))


def plan_for(
    catalog: Catalog,
    method: MethodSpec,
    task: TaskSpec,
    data_root: Path | None,
    *,
    slots: Mapping[str, str] | None = None,
    device: str = "cpu",
) -> Plan:
    """Return the plan of the method's smallest run; raises UsageProblem if there is none."""
    from rlvit.runs.plan import Request, make_plan

    request = Request(
        plugin=method.name,
        task=task.name,
        preset=PRESET,
        slots=slots or {},
        values=dict(method.smallest),
        device=device,
        threads=1,
        data_root=None if data_root is None else str(data_root),
    )
    return make_plan(catalog, request)


def plan_experiment(
    catalog: Catalog, method: MethodSpec, experiment: Experiment, data_root: Path | None
) -> Plan:
    """Return the plan of a listed experiment, on its own task or else on the first that takes it.

    Settings that name other runs are left out, since none is there.

    Raises:
        UsageProblem: there is none; of several tasks the message is about the first.
    """
    from rlvit.config import options, run_fields
    from rlvit.runs.plan import Request, make_plan

    naming = run_fields(method.config)
    beside = {info.field for info in options(method.config) if info.only_with in naming}
    left_out = {*naming, *beside}
    request = Request(
        plugin=method.name,
        preset=experiment.preset,
        protocol=experiment.protocol or None,
        slots=experiment.slots,
        values={name: value for name, value in experiment.values.items() if name not in left_out},
        device="cpu",
        threads=1,
        data_root=None if data_root is None else str(data_root),
    )
    own = [experiment.task] if experiment.task else []
    problems = []
    for task in own or [task.name for task in tasks_of(catalog, method.task_kind)]:
        try:
            return make_plan(catalog, replace(request, task=task))
        except UsageProblem as problem:
            problems.append(problem)
    if not problems:
        skip(f"no installed plugin offers a {method.task_kind}")
    raise problems[0]


def hosts(catalog: Catalog, kind: str, name: str) -> list[MethodSpec]:
    """Return the methods that have a slot for a part, those first that it was written for.

    These are the ones that take it by default, and then those of its own plugin.
    """
    owner = catalog.entry(kind, name).owner

    def distance(method: MethodSpec) -> tuple[bool, bool]:
        own = catalog.entry("method", method.name).owner == owner
        return (method.slots[kind] != name, not own)

    found = [e.spec for e in catalog.entries["method"].values() if kind in e.spec.slots]
    return sorted(found, key=distance)


def host_plan(catalog: Catalog, kind: str, name: str, data_root: Path | None) -> Plan:
    """Return the smallest run on images that takes a part.

    Raises:
        UsageProblem: every method for images refuses it; the message says why the first does.
    """
    methods = [m for m in hosts(catalog, kind, name) if m.task_kind == DATASET]
    if not methods:
        skip(f"no installed method on images has a slot for a {kind}")
    task = small_task(catalog, DATASET, data_root)
    problems = []
    for method in methods:
        try:
            return plan_for(catalog, method, task, data_root, slots={kind: name})
        except UsageProblem as problem:
            problems.append(f"{method.name} refuses it: {problem}")
    raise UsageProblem(problems[0])


def image_shape(plan: Plan) -> ImageShape:
    """Return what the plan's backbone is built for."""
    from rlvit.contracts import ImageShape

    spec: BackboneSpec = plan.parts["backbone"]
    sizes = {name: getattr(plan.config, name, None) for name in spec.sizes}
    given = {name: size for name, size in sizes.items() if size is not None}
    task = plan.task
    return ImageShape(task.image_size, int(task.facts.get("classes") or 1000), given)


def make_backbone(spec: BackboneSpec, shape: ImageShape, seed: int = 0) -> TokenBackbone:
    """Return a backbone with random weights that nothing trains."""
    import torch

    backbone: Any = spec.make(torch.Generator().manual_seed(seed), shape, None)
    backbone.module.eval().requires_grad_(False)
    made: TokenBackbone = backbone
    return made


def cheapest_backbone(catalog: Catalog, shape: ImageShape) -> BackboneSpec:
    """Return a backbone that costs little for images of a shape; skips if there is none.

    It is one that a preset of an installed method takes, if one can be walked.
    """
    from rlvit.nn.compute import dense_macs

    entries = catalog.entries["backbone"]
    usual = dict.fromkeys(
        {**method.slots, **preset.slots}.get("backbone", "")
        for method in (entry.spec for entry in catalog.entries["method"].values())
        for preset in method.presets
    )
    costs: dict[str, int] = {}
    for name in (*usual, *entries):
        spec = entries[name].spec if name in entries else None
        if spec is None or spec.shape is None or (costs and name not in usual):
            continue
        with contextlib.suppress(RlvitError, ValueError):
            costs[name] = dense_macs(spec.shape(shape))
    if not costs:
        skip("no installed backbone has blocks that could be walked")
    found: BackboneSpec = entries[min(costs, key=lambda name: costs[name])].spec
    return found


def some_images(data: ImageData, size: int, count: int = 6) -> torch.Tensor:
    """Return the first training images uint8 [count, 3, size, size]."""
    import numpy as np

    (images,) = data.split("train").batches([np.arange(count)], size)
    return images


def in_run(catalog: Catalog, plan: Plan, act: Callable[[Any, Any], T]) -> T:
    """Return what `act(context, config)` returns in a real run, whose home is gone afterwards.

    Raises:
        AssertionError: it failed; the message says how.
    """
    found: list[T] = []

    def train(context: Any, config: Any) -> None:
        found.append(act(context, config))

    with temporary_home() as home:
        outcome = start(catalog, replace(plan, method=replace(plan.method, train=train)), home)
    if not found:
        raise AssertionError(outcome.error or outcome.state)
    return found[0]


def start(catalog: Catalog, plan: Plan, home: Path) -> RunOutcome:
    """Carry a run to its end, watched by nobody."""
    from rlvit.home import Home
    from rlvit.runs import execute
    from rlvit.runs.display import Silent

    return execute.start(quiet(catalog), Home.locate(home, home / "registry.db"), plan, Silent())


def resume(catalog: Catalog, home: Path) -> RunOutcome:
    """Go on with the newest run of a home."""
    from rlvit.home import Home
    from rlvit.runs import execute
    from rlvit.runs.display import Silent

    where = Home.locate(home, home / "registry.db")
    return execute.resume(quiet(catalog), where, "latest", Silent())
