"""Frozen descriptions of what plugins offer; a factory in each does the heavy import."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from pathlib import Path

    from rlvit.config import MethodConfig
    from rlvit.contracts import (
        Backbone,
        Environment,
        Examination,
        ImageData,
        ImageShape,
        Measurement,
        RunContext,
        Selector,
        TokenBackbone,
    )
    from rlvit.nn.compute import VitShape

PRESET_NAMES = ("paper", "official-code", "recommended", "quick")
DATASET = "dataset"  # the kind of the tasks that are images: `--dataset cifar10 --data-root DIR`
USUAL_SIZE = 224  # pixels a side of images that are not of a fixed size, as ImageNet's are shown
Setting = bool | int | float | str
Need = Literal["images", "reconstruction", "tokens", "cls", "attention", "attended", "received"]
# verified: read in the source that is named; secondary: read in a later work that quotes it;
# superseded: its authors have printed another number since
Status = Literal["verified", "secondary", "superseded"]


def check_name(kind: str, name: object) -> None:
    """Refuse a part's name that could not be an option's value, one of a list, and a file's name.

    A selector that another run trained has the start of its files' hash behind an @.

    Raises:
        ValueError: the message says what was expected.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]*(@[0-9a-f]+)?", name):
        raise ValueError(
            f"the {kind} {name!r}: expected a name of small letters, digits, dashes, dots and "
            "underscores"
        )


def check_needs(owner: str, field: str, needs: frozenset[Need]) -> None:
    """Refuse a need that nothing could provide; raises ValueError with the list of those known."""
    unknown = sorted(set(needs) - set(get_args(Need)))
    if unknown:
        known = ", ".join(get_args(Need))
        raise ValueError(f"{owner}: {field} has {', '.join(unknown)}; expected some of {known}")


def digest(value: object) -> str:
    """Return the SHA-256 of a JSON-able value in its canonical form, as 64 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class MetricDef:
    """A quantity that runs may log. What is not declared is refused, so names cannot drift."""

    name: str
    unit: str
    direction: Literal["max", "min", "none"]
    meaning: str
    axis: str = "agent steps"  # what `step` counts where this metric is logged
    timing: bool = False  # depends on the machine's speed: left out of bit-equality


@dataclass(frozen=True)
class Protocol:
    """How a result is measured; hashed into every run, so that results cannot be mixed."""

    name: str
    summary: str
    source: str
    settings: Mapping[str, Setting]


@dataclass(frozen=True)
class DataRequest:
    """Where a dataset's files are looked for, and what to do about bad ones."""

    root: Path
    say: Callable[[str], None]
    skip_bad_images: bool = False
    threads: int = 1  # that may decode at a time


@dataclass(frozen=True)
class TaskSpec:
    """Something to learn, with the protocols under which it may be measured."""

    name: str
    kind: str  # also the option that selects it: "game" -> --game Seaquest; DATASET has images
    summary: str
    source: str
    protocols: tuple[Protocol, ...]
    evaluator: str  # name of the EvaluatorSpec that measures it
    facts: Mapping[str, float]  # reference numbers, such as the random and the human score
    # A game: (settings, seed) -> environment.
    make: Callable[[Mapping[str, Setting], int], Environment] | None = None
    # A dataset: (the protocol's settings, where the user keeps data, how to read it) -> images.
    load: Callable[[Mapping[str, Setting], DataRequest], ImageData] | None = None

    @property
    def image_size(self) -> int:
        """Pixels a side of a dataset's images: its fact "size", or else the usual 224."""
        return int(self.facts.get("size") or USUAL_SIZE)

    def protocol(self, name: str) -> Protocol:
        """Return the protocol of that name.

        Raises:
            UnknownName: there is none.
        """
        from rlvit.errors import UnknownName

        for protocol in self.protocols:
            if protocol.name == name:
                return protocol
        raise UnknownName("protocol", name, [p.name for p in self.protocols])


@dataclass(frozen=True)
class BackboneSpec:
    """A network that turns patches into embeddings.

    What `make` returns is a `Backbone` or a `TokenBackbone`; the latter gets the dataset's shape
    and the file of weights that the user named.
    """

    name: str
    summary: str
    cite: str
    provides: frozenset[Need]
    make: Callable[..., Backbone | TokenBackbone]  # (generator[, shape, weights])
    shape: Callable[[ImageShape], VitShape] | None = None  # of a TokenBackbone, without making it
    sizes: Mapping[str, int] = field(default_factory=dict)  # that can be asked for; their defaults

    def __post_init__(self) -> None:
        """Refuse names that cannot be."""
        check_name("backbone", self.name)
        check_needs(f"the backbone {self.name!r}", "provides", self.provides)


@dataclass(frozen=True)
class TrainedForm:
    """How a selector with weights is taken from a completed run, frozen as the run left it.

    `rlvit run --selector-from RUN` puts it into any method with a selector slot, on any backbone
    that `check` does not refuse.
    """

    method: str  # that trains it; only there may it begin untrained
    artifact: str  # kind of the one in which such a run keeps it
    # (its files, sizes of the backbone): raises UsageProblem, with the reason, if it cannot decide
    # there. It may look at the backbone no further than that.
    check: Callable[[Path, VitShape], None]
    # (its files, backbone, task). It learns nothing; at a rate below 1 it keeps that share, so
    # that it is compared at equal compute, and at rate 1 as many as it learnt to keep.
    load: Callable[[Path, Any, TaskSpec], Selector]


@dataclass(frozen=True)
class SelectorSpec:
    """A rule that decides which patches are kept."""

    name: str
    summary: str
    cite: str
    needs: frozenset[Need]
    make: Callable[[Any, MethodConfig, TaskSpec], Selector]  # (backbone, config, task)
    # Trains what the selector needs from the task's training images before the method begins; found
    # again if it was done before. `rlvit.nn.selection.make_selector` calls it after `make`.
    fit: Callable[[RunContext, Selector], None] | None = None
    # What `fit` is expected to cost where nothing is found: (config, task, parts by slot).
    fit_cost: Callable[[MethodConfig, TaskSpec, Parts], Sequence[StageCost]] | None = None
    # (sizes of the backbone): raises UsageProblem, with the reason, if it cannot decide there.
    # Asked before anything is written.
    check: Callable[[VitShape], None] | None = None
    trained: TrainedForm | None = None  # of a selector that a method trains
    aliases: tuple[str, ...] = ()  # other names that users may give; the registry knows `name` only

    def __post_init__(self) -> None:
        """Refuse names that cannot be."""
        for name in (self.name, *self.aliases):
            check_name("selector", name)
        check_needs(f"the selector {self.name!r}", "needs", self.needs)


@dataclass(frozen=True)
class RewardSpec:
    """How an environment's raw reward reaches the learner. Raw scores stay loggable."""

    name: str
    summary: str
    cite: str
    shape: Callable[[float], float]

    def __post_init__(self) -> None:
        """Refuse a name that cannot be."""
        check_name("reward", self.name)


@dataclass(frozen=True)
class EvaluatorSpec:
    """Measures a policy or a classifier; its measurements are the only numbers compared."""

    name: str
    summary: str
    measure: Callable[[Examination], list[Measurement]]
    headline: tuple[str, ...] = ()  # metrics that tables show if none are asked for, in order
    # Of metrics that are means over items: the column of the table with each item's part in it.
    items: Mapping[str, str] = field(default_factory=dict)
    measures: tuple[str, ...] = ()  # every metric that it may measure; (): any of its plugin's

    def __post_init__(self) -> None:
        """Refuse a name that cannot be."""
        check_name("evaluator", self.name)


@dataclass(frozen=True)
class PublishedResult:
    """A number that is printed somewhere, to be set beside what runs measured.

    Raises:
        ValueError: it cannot be one; the message says what was expected.
    """

    name: str  # of the method as the source calls it
    task: str
    protocol: str  # the one of ours that it is comparable under; "" if none is
    metric: str
    value: float
    spread: float | None  # sample standard deviation over runs
    n: int | None  # runs behind it
    where: str  # table or figure
    cite: str
    status: Status
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what could only mislead."""
        for name in ("name", "task", "metric", "where", "cite"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name}: expected text, got {getattr(self, name)!r}")
        if not _is_number(self.value):
            raise ValueError(f"value: expected a finite number, got {self.value!r}")
        if self.spread is not None and not (_is_number(self.spread) and self.spread >= 0):
            raise ValueError(f"spread: expected a number that is not negative, got {self.spread!r}")
        if self.n is not None and (type(self.n) is not int or self.n < 1):
            raise ValueError(f"n: expected a whole number above 0, got {self.n!r}")
        if self.status not in get_args(Status):
            known = ", ".join(get_args(Status))
            raise ValueError(f"status: expected one of {known}, got {self.status!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Preset:
    """A named set of values of a method's configuration, with the protocol it is measured under."""

    name: str
    summary: str
    protocol: str
    values: Mapping[str, Any] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)  # parts other than the method's defaults


@dataclass(frozen=True)
class StageCost:
    """What a stage of a run is expected to cost."""

    stage: str
    amount: str  # for people: "50,000 frames", "100,000 steps"
    flops: float  # floating-point operations on the device
    host_seconds: float  # work that no device speeds up, such as emulation


@dataclass(frozen=True)
class Experiment:
    """What a paper prints or draws, or a comparison that it lacks, and the run that makes it.

    Without a preset there is no run: its numbers are the printed ones alone, and `note` says why.
    A run has one always, since the default is another with a GPU than without.

    Raises:
        ValueError: it cannot be one; the message says what was expected.
    """

    name: str  # what is tried: "a fixed number of patches"
    reproduces: str  # "Table 3", "section 4.2"; or that the paper lacks it
    preset: str = ""
    values: Mapping[str, Setting] = field(default_factory=dict)  # of the configuration's fields
    slots: Mapping[str, str] = field(default_factory=dict)  # parts other than the preset's
    protocol: str = ""  # other than the preset's
    task: str = ""  # the only one that it is about; "" if it can be tried on several
    note: str = ""  # what to know of it; where there is no run, why

    def __post_init__(self) -> None:
        """Refuse what would show no command, or a wrong one."""
        for name in ("name", "reproduces", "preset", "protocol", "task", "note"):
            text = getattr(self, name)
            if not isinstance(text, str) or (name in ("name", "reproduces") and not text):
                raise ValueError(f"{name}: expected text, got {text!r}")
        where = f"the experiment {self.name!r}"
        if not self.preset and (self.values or self.slots or self.protocol):
            raise ValueError(f"{where} has options and no preset; expected one of its method's")
        if not self.preset and not self.note:
            raise ValueError(f"{where} has no preset; expected a note that says why")
        for name, value in {**self.values, **self.slots}.items():
            if not isinstance(value, bool | int | float | str):
                raise ValueError(f"{where}: {name} is {value!r}; expected what can be typed")

    def command(self, method: MethodSpec) -> str:
        """Return the whole command line; "" if there is no run.

        What is left to the user stands in capitals: `--puzzle PUZZLE`.
        """
        from rlvit.config import to_flag

        if not self.preset:
            return ""
        words = ["rlvit", "run", "--plugin", method.name, "--preset", self.preset]
        words += ["--protocol", self.protocol] if self.protocol else []
        for slot, part in self.slots.items():
            words += [f"--{slot}", part]
        for name, value in self.values.items():
            if isinstance(value, bool):
                words.append(to_flag(name if value else f"no_{name}"))
            else:
                words += [to_flag(name), str(value)]
        kind = method.task_kind
        return shlex.join([*words, f"--{kind}", self.task or kind.upper()])


Parts = Mapping[str, Any]  # slot -> the specification of the part in it


@dataclass(frozen=True)
class ExportRequest:
    """A completed run whose model is to be written as files that need no rlvit."""

    folder: Path  # the run's
    config: MethodConfig
    task: TaskSpec
    slots: Mapping[str, str]
    out: Path  # an empty folder
    form: str  # "python", or a form that the method names
    say: Callable[[str], None]


@dataclass(frozen=True)
class MethodSpec:
    """A method: configuration, presets, the part in each slot, and the training function."""

    name: str
    summary: str
    cite: str
    task_kind: str
    config: type[MethodConfig]
    presets: tuple[Preset, ...]
    slots: Mapping[str, str]  # "selector" -> name of the default part
    train: Callable[[RunContext, MethodConfig], None]
    estimate: Callable[[MethodConfig, TaskSpec, Protocol, Parts], Sequence[StageCost]]
    # Fills in what depends on the task and the parts, and refuses (UsageProblem) what these show
    # to be wrong.
    adapt: Callable[[MethodConfig, TaskSpec, Parts], MethodConfig] = lambda config, task, parts: (
        config
    )
    # What is logged in training and foretells a measured metric, for studies that end hopeless
    # trials early: {"eval/return": "train/return"}.
    progress: Mapping[str, str] = field(default_factory=dict)
    # Writes a trained model of a completed run for use without rlvit: (request) -> None.
    export: Callable[[ExportRequest], None] | None = None
    # Values beside those of the preset `quick` with which a run takes seconds: conformance checks
    # train so.
    smallest: Mapping[str, Any] = field(default_factory=dict)
    # What its paper has and what it lacks, with the runs that make it: `rlvit plugins show NAME`.
    experiments: tuple[Experiment, ...] = ()

    def __post_init__(self) -> None:
        """Every method has the same four presets, so that users need not learn others."""
        check_name("method", self.name)
        missing = set(PRESET_NAMES) - {preset.name for preset in self.presets}
        if missing:
            raise ValueError(f"method {self.name!r} lacks the presets {sorted(missing)}")
        tried = [experiment.name for experiment in self.experiments]
        twice = sorted({name for name in tried if tried.count(name) > 1})
        if twice:
            raise ValueError(f"method {self.name!r} has two experiments {twice[0]!r}")

    def preset(self, name: str) -> Preset:
        """Return the preset of that name.

        Raises:
            UnknownName: there is none.
        """
        from rlvit.errors import UnknownName

        for preset in self.presets:
            if preset.name == name:
                return preset
        raise UnknownName("preset", name, [p.name for p in self.presets])
