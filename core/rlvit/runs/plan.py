"""Decides everything about a run before anything is written: what is refused is refused here."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import Any

from rlvit.catalog import Catalog
from rlvit.config import MethodConfig, identity, resolve, run_fields
from rlvit.errors import RlvitError, UsageProblem
from rlvit.manager import PluginInfo
from rlvit.runs.trained import SLOT, TrainedSelector, shape_of
from rlvit.specs import (
    DataRequest,
    EvaluatorSpec,
    MethodSpec,
    Preset,
    Protocol,
    StageCost,
    TaskSpec,
    digest,
)

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # no letters that look like others


@dataclass(frozen=True)
class NamedRun:
    """A completed run that a setting names."""

    option: str  # with what the user called it by: "--start-from latest"
    id: str
    task: str

    def check(self, task: TaskSpec) -> None:
        """Refuse a run on another task; raises UsageProblem."""
        if self.task != task.name:
            raise UsageProblem(
                f"{self.option}: run {self.id} is of {task.kind} {self.task}; expected one of "
                f"{task.name}."
            )


@dataclass(frozen=True)
class Request:
    """What a user asks for; None means: choose for me."""

    plugin: str
    task: str | None = None
    preset: str | None = None
    protocol: str | None = None
    slots: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    name: str | None = None
    note: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    device: str = "auto"
    threads: int | None = None
    data_root: str | None = None
    skip_bad_images: bool = False
    trained: TrainedSelector | None = None  # of another run, for the selector's slot
    named: tuple[NamedRun, ...] = ()  # what `settled` found of the runs that values name


@dataclass(frozen=True)
class Plan:
    """A run that can start."""

    method: MethodSpec
    owner: PluginInfo
    task: TaskSpec
    preset: Preset
    protocol: Protocol
    config: MethodConfig
    parts: Mapping[str, Any]
    evaluator: EvaluatorSpec
    seed: int
    name: str | None
    note: str
    tags: Mapping[str, str]
    device: str
    threads: int
    data_root: Path
    skip_bad_images: bool
    trained: TrainedSelector | None = None

    @property
    def slots(self) -> dict[str, str]:
        """The name of the part in each slot."""
        return {slot: spec.name for slot, spec in self.parts.items()}

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides the result, the seed left out."""
        return digest(
            {
                "method": self.method.name,
                "task": self.task.name,
                "protocol": [self.protocol.name, dict(self.protocol.settings)],
                "config": identity(self.config),
                "slots": self.slots,
            }
        )

    def taken(self, run_id: str) -> tuple[str, ...]:
        """Return the kinds of artifacts that settings take from a completed run.

        Raises:
            RlvitError: no setting names the run.
        """
        fields = run_fields(type(self.config))
        found = [of for name, of in fields.items() if getattr(self.config, name) == run_id]
        if not found:
            raise RlvitError(f"{self.method.name}: no setting of its configuration names {run_id}.")
        return tuple(dict.fromkeys(kind for of in found for kind in of.artifacts))

    def costs(self) -> Sequence[StageCost]:
        """What the stages are expected to cost, what the selector needs first among them."""
        selector = self.parts.get(SLOT)
        first: Sequence[StageCost] = ()
        if selector is not None and selector.fit is not None and selector.fit_cost is not None:
            first = selector.fit_cost(self.config, self.task, self.parts)
        own = self.method.estimate(self.config, self.task, self.protocol, self.parts)
        return [*first, *own]

    def data_request(self, say: Callable[[str], None]) -> DataRequest:
        """Return where the images of a dataset are looked for."""
        return DataRequest(self.data_root, say, self.skip_bad_images, self.threads)

    def keeping_parts(self, folder: Path) -> Plan:
        """Return the plan with what other runs made read from copies in the run's own folder.

        Raises:
            RlvitError: what they made is no longer there.
        """
        if self.trained is None:
            return self
        own = self.trained.copied(folder)
        return replace(self, trained=own, parts={**self.parts, SLOT: own.frozen})

    def new_id(self) -> str:
        """Return an id for a run of this plan: readable, and unique by 40 random bits."""
        return f"{self.method.name}-{self.task.name}-s{self.seed}-{token()}".lower()


def token() -> str:
    """Return a short word that is unique by 40 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(8))


def make_plan(catalog: Catalog, request: Request) -> Plan:
    """Resolve and check a request.

    Raises:
        UsageProblem: anything in it cannot be.
    """
    check_types(request)
    entry = catalog.entry("method", request.plugin)
    method: MethodSpec = entry.spec
    check_text(method.task_kind, request.task, optional=True)
    if request.task is None:
        raise UsageProblem(f"{method.name} needs a {method.task_kind}: give --{method.task_kind}.")
    task = catalog.task(request.task, method.task_kind)
    device = resolve_device(request.device)
    preset = method.preset(request.preset or default_preset(device))
    protocol = task.protocol(request.protocol or preset.protocol)
    config = resolve(method.config, preset.values, request.values)
    parts = _parts(catalog, method, preset, request)
    config = method.adapt(config, task, parts)
    _check_selector(parts, config, task)
    if request.trained is not None:
        request.trained.check(parts["backbone"], config, task)
    for one in request.named:
        one.check(task)
    if not 0 <= request.seed < 2**31:  # what an integer column holds
        raise UsageProblem(f"--seed {request.seed}: should be 0 or more and less than 2**31.")
    if request.name == "latest":
        raise UsageProblem("--name latest: the word stands for the newest run; choose another.")
    return Plan(
        method=method,
        owner=entry.owner,
        task=task,
        preset=preset,
        protocol=protocol,
        config=config,
        parts=parts,
        evaluator=catalog.entry("evaluator", task.evaluator).spec,
        seed=int(request.seed),
        name=request.name,
        note=request.note,
        tags=dict(request.tags),
        device=device,
        threads=resolve_threads(request.threads),
        data_root=resolve_data_root(request.data_root),
        skip_bad_images=request.skip_bad_images,
        trained=request.trained,
    )


def _parts(
    catalog: Catalog, method: MethodSpec, preset: Preset, request: Request
) -> dict[str, Any]:
    """Return the part for each slot, a trained selector in its own.

    Raises:
        UsageProblem: they do not fit together, or two selectors are asked for.
    """
    chosen = {**preset.slots, **request.slots}
    if request.trained is None:
        return catalog.parts(method, chosen)
    given, name = request.slots.get(SLOT), request.trained.spec.name
    if given is not None and catalog.entry("selector", given).spec.name != name:
        raise UsageProblem(
            f"--selector {given} and --selector-from contradict each other: the selector of run "
            f"{request.trained.artifact.made_by} is {name}."
        )
    if not {SLOT, "backbone"} <= set(method.slots):
        raise UsageProblem(f"--selector-from: {method.name} has no selector on a backbone.")
    parts = catalog.parts(method, {**chosen, SLOT: name}, untrained=False)
    return {**parts, SLOT: request.trained.frozen}


def _check_selector(parts: Mapping[str, Any], config: MethodConfig, task: TaskSpec) -> None:
    """Ask the selector whether it can decide on the backbone; raises UsageProblem."""
    selector, backbone = parts.get(SLOT), parts.get("backbone")
    if selector is None or selector.check is None or backbone is None or backbone.shape is None:
        return
    selector.check(shape_of(backbone, config, task))


def check_types(request: Request) -> None:
    """Refuse what the Python API was given and the command line could not give.

    Raises:
        UsageProblem: an argument, which the message names, has the wrong type.
    """
    for name in ("plugin", "note", "device"):
        check_text(name, getattr(request, name))
    for name in ("preset", "protocol", "name", "data_root"):
        check_text(name, getattr(request, name), optional=True)
    for name in ("seed", "threads"):
        value = getattr(request, name)
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole and not (name == "threads" and value is None):
            raise UsageProblem(f"{name}: expected a whole number, got {value!r}.")
    for name in ("slots", "tags"):
        pairs = getattr(request, name)
        if not isinstance(pairs, Mapping):
            raise UsageProblem(f"{name}: expected a mapping of text to text, got {pairs!r}.")
        for key, value in pairs.items():
            check_text(f"a key of {name}", key)
            check_text(f"{name}[{key!r}]", value)


def check_text(name: str, value: object, *, optional: bool = False) -> None:
    """Refuse what is no text, or no text that a database could hold.

    Raises:
        UsageProblem: it is not; the message names the argument.
    """
    if value is None and optional:
        return
    if not isinstance(value, str):
        raise UsageProblem(f"{name}: expected text, got {value!r}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageProblem(f"{name}: {value!a} is not UTF-8 text.") from None


def default_preset(device: str) -> str:
    """Return the preset for who names none: the paper's on a GPU, the quick one on a CPU."""
    return "paper" if device.startswith("cuda") else "quick"


def resolve_device(name: str) -> str:
    """Return a device that is there.

    Raises:
        UsageProblem: it is not there, or is no device.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageProblem(f"--device {name}: expected auto, cpu, cuda or cuda:N.") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageProblem(f"--device {name}: expected auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageProblem(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices."
        )
    return str(device)


def resolve_data_root(given: str | None) -> Path:
    """Return the folder of datasets: the one given, else RLVIT_DATA, else `data` here.

    Raises:
        UsageProblem: the one that was named is not there.
    """
    named = given or os.environ.get("RLVIT_DATA")
    root = Path(named or "data").expanduser().absolute()
    if named and not root.is_dir():
        option = "--data-root" if given else "RLVIT_DATA"
        raise UsageProblem(f"{option} {named}: there is no such folder.")
    return root


def resolve_threads(threads: int | None) -> int:
    """Return the number of CPU threads; one for each processor this process may use by default.

    Raises:
        UsageProblem: fewer than one.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if threads is not None and threads < 1:
        raise UsageProblem(f"--threads {threads}: should be 1 or more.")
    return int(threads or available or 1)
