"""The protocols and records that methods, parts and the core exchange at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from rlvit.config import MethodConfig
    from rlvit.nn.compute import VitShape
    from rlvit.specs import EvaluatorSpec, MetricDef, Need, Setting, TaskSpec
    from rlvit.specs import Protocol as EvaluationProtocol

State = dict[str, Any]  # tensors, arrays, numbers, strings, and dicts or lists of them


class Transition(NamedTuple):
    """What one agent step brought."""

    frame: NDArray[np.uint8]  # [C, H, W]
    reward: float  # raw score, unclipped
    done: bool  # the episode ends for the learner
    life_lost: bool
    game_over: bool
    truncated: bool  # ended by the horizon, not by the game


class Environment(Protocol):
    """A game whose whole state can be saved, so that a killed run goes on exactly where it was."""

    @property
    def action_count(self) -> int:
        """The number of actions."""

    def reset(self, full: bool = False) -> NDArray[np.uint8]:
        """Begin the next episode (with `full`, always a new game) and return a frame [C, H, W]."""

    def step(self, action: int) -> Transition:
        """Take one agent step."""

    def state(self) -> State:
        """Return everything that `restore` needs to go on bit for bit."""

    def restore(self, state: State) -> None:
        """Go back to a saved state."""


class ImageSplit(Protocol):
    """Labelled images of one part of a dataset; they are decoded when they are asked for."""

    labels: NDArray[np.int64]  # [S], indices into the dataset's classes
    names: Sequence[str]  # [S], file names or numbers, for people and for paired comparisons
    subsets: Mapping[str, NDArray[np.bool_]]  # named parts that are measured apart, [S] each

    def batches(self, order: Sequence[NDArray[np.int64]], size: int) -> Iterator[Tensor]:
        """Yield the images of each index array as uint8 [B, 3, size, size], one batch ahead."""


class ImageData(Protocol):
    """A dataset of labelled images."""

    classes: Sequence[str]  # names, or WordNet ids (n01440764) where the classes are ImageNet's
    sha256: str  # of what was read: it tells one copy of a dataset from another
    skipped: Sequence[str]  # files that could not be decoded and were left out

    def split(self, name: str) -> ImageSplit:
        """Return "train", or the split that a protocol names."""


@dataclass(frozen=True)
class SelectorView:
    """What a selector may see at one decision point.

    T counts the patches that are still alive in the whole batch, in the order of
    `alive.nonzero()`: image by image, patch ids rising. The class token is not among them.
    """

    # Only what the selector declared. "images" uint8 [B, C, H, W]; "tokens" [T, D]; "cls" [B, D];
    # "attention" [T]: the class token's attention to each patch in the layer before, mean of heads;
    # before the first layer, in that, looked ahead at.
    # Of the layer that comes next, computed when it is asked for: "attended" [T], the mean over
    # features of what attention gives each patch; "received" [T], the attention that each patch
    # gets from all tokens, mean of heads
    data: Mapping[Need, Any]
    alive: Tensor  # [B, N] bool
    layer: int = -1  # the block that comes next; -1: before the encoder
    grid: tuple[int, int] = (0, 0)  # rows and columns of the patches
    rate: float = 1.0  # share of the alive to keep, for rules that say which but not how many
    generator: torch.Generator | None = None  # of the run, on the tensors' device


@dataclass(frozen=True)
class Selection:
    """Which patches are kept."""

    keep: Tensor  # [B, N] bool, within alive
    order: Tensor | None = None  # [B, K] patch ids, -1 pads at the end, where order matters
    log_prob: Tensor | None = None  # [T] of each alive patch's decision, for learnt selectors


class Selector(Protocol):
    """Decides which patches are kept."""

    def prepare(self, images: NDArray[np.uint8]) -> Mapping[str, float]:
        """Adapt to sampled images [S, C, H, W] of the task; return metrics of what was decided.

        Only methods that sample images beforehand call this.
        """

    def select(self, view: SelectorView) -> Selection:
        """Choose patches."""

    def macs(self, view: SelectorView) -> Tensor:
        """Return the multiply-adds of this decision for each image [B]."""

    def report(self) -> Mapping[str, float]:
        """Return declared metrics about the selections so far."""

    def state(self) -> State:
        """Return what a checkpoint must hold."""

    def restore(self, state: State) -> None:
        """Go back to a saved state."""


class LearntSelector(Selector, Protocol):
    """A selector with weights. The method that trains it makes them before it begins."""

    def create(self, generator: torch.Generator) -> torch.nn.Module:
        """Draw the first weights, put them on the backbone's device, and return their module."""


class Backbone(Protocol):
    """Turns selected patches into embeddings, before any layer has seen the others."""

    def embed_selected(self, images: Tensor, order: Tensor) -> Tensor:
        """Embed patches `order` [B, K] of `images` [B, C, H, W] jointly; pads give zero rows."""


@dataclass(frozen=True)
class ImageShape:
    """What a backbone for images is built for."""

    size: int  # pixels a side, as the dataset has them; a backbone may want them resized
    classes: int  # of the dataset; a backbone with pretrained weights keeps its own head
    # Sizes that a method's configuration asks for, of those that the backbone's spec lists.
    sizes: Mapping[str, int] = field(default_factory=dict)


class TokenBackbone(Protocol):
    """A Vision Transformer whose blocks can be walked one by one, on any subset of its patches."""

    image_size: int  # pixels a side that `embed` takes
    shape: VitShape  # what the compute ledger needs; `prefix` counts class tokens
    heads: int  # of each block's attention
    grid: tuple[int, int]  # rows and columns of the patches
    class_names: Sequence[str]  # of the head; () if they are the dataset's own
    sha256: str  # of the weights
    module: torch.nn.Module  # holds all parameters
    blocks: Sequence[torch.nn.Module]  # pre-LN blocks with timm's parameter names

    def embed(self, images: Tensor) -> Tensor:
        """Turn uint8 images [B, 3, S, S] into tokens [B, prefix + N, D], a class token first."""

    def readout(self, pooled: Tensor) -> Tensor:
        """Turn what the last block leaves of each image [B, D] into logits [B, K].

        That is its class token or, without one, the mean of the patches that are left.
        """


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of a batch, and what it cost."""

    logits: Tensor  # [B, K] over the classes of its head
    kept: Tensor  # [B, L] patches alive after each decision
    macs: Tensor  # [B] multiply-adds an image, the selector's own included


class Classifier(Protocol):
    """What names images and is evaluated."""

    image_size: int  # pixels a side that it takes
    targets: Tensor  # [classes of the dataset] index of each in the head
    gathers: bool  # dropped patches are not computed; False where they are only masked

    def classify(self, images: Tensor) -> Prediction:
        """Classify uint8 images [B, 3, S, S]."""


class Policy(Protocol):
    """What acts over time and is evaluated. It is greedy; exploration belongs to the protocol."""

    def begin(self) -> None:
        """Forget the past: a new game starts."""

    def act(self, frame: NDArray[np.uint8]) -> int:
        """Choose an action for the newest frame [C, H, W]."""


@runtime_checkable
class VectorPolicy(Protocol):
    """A policy that plays several games at once, each as it would alone.

    A game has a place, a number below `places`, from its beginning to its end.
    """

    places: int  # games at once

    def begin_game(self, place: int) -> None:
        """Forget the past of a place: a new game starts there."""

    def act_in_games(self, places: Sequence[int], frames: NDArray[np.uint8]) -> Sequence[int]:
        """Choose an action for the newest frame [B, C, H, W] of each of these B places."""


@runtime_checkable
class OwnView(Protocol):
    """A policy that does not see its games as the protocol shows them."""

    view: Mapping[str, Setting]  # settings of the environment, such as `size`


@dataclass(frozen=True)
class Episode:
    """One evaluation episode."""

    index: int
    score: float  # raw score
    length: int  # agent steps


@dataclass(frozen=True)
class Examination:
    """What an evaluator is given."""

    subject: Any  # the Policy or Classifier to measure
    task: TaskSpec
    protocol: EvaluationProtocol
    seed: int
    episode: Callable[[Episode], None]  # takes an evaluation episode as it ends
    table: Callable[[Mapping[str, NDArray[Any]]], None]  # takes one row an item, by column
    progress: Callable[[str, int], StageProgress]  # (unit, total): begins to show how far it is
    check_stop: Callable[[], None]  # raises Interrupted if a stop was asked for
    data: Callable[[], ImageData]  # the images of a dataset task


@dataclass(frozen=True)
class Measurement:
    """A result: the only kind of number that reports compare."""

    metric: str
    value: float
    samples: int
    spread: float | None = None  # sample standard deviation
    step: int | None = None  # training steps behind it; known once it is recorded

    @classmethod
    def of(cls, metric: str, values: NDArray[np.float64]) -> Measurement:
        """Return the mean of items' values [S], and their spread unless there is but one."""
        spread = float(values.std(ddof=1)) if len(values) > 1 else None
        if len(values) > 1 and bool((values == values[0]).all()):
            spread = 0.0  # not the rounding error of a mean of equal values
        return cls(metric, float(values.mean()), len(values), spread)


@dataclass(frozen=True)
class Artifact:
    """A folder of files that a run made or used, found again by its key."""

    kind: str
    key: str  # SHA-256 of the inputs
    sha256: str  # of the files
    folder: Path
    made_by: str  # run id
    inputs: Mapping[str, Any]
    size: int  # bytes


@dataclass(frozen=True)
class LoggedRow:
    """One call of `RunContext.log`."""

    row: int
    step: int
    time: float  # seconds since 1970, UTC
    values: Mapping[str, float]


@dataclass(frozen=True)
class RunView:
    """A run as event hooks see it."""

    id: str
    name: str
    method: str
    plugin: str
    plugin_version: str
    task: str
    protocol: str
    preset: str
    seed: int
    state: str
    attempt: int
    note: str
    tags: Mapping[str, str]
    config: Mapping[str, Setting | None]
    protocol_settings: Mapping[str, Setting]
    slots: Mapping[str, str]
    fingerprint: str
    provenance: Mapping[str, Any]
    home: Path
    folder: Path
    started_at: float
    ended_at: float | None = None
    artifacts: tuple[Artifact, ...] = ()
    results: tuple[Measurement, ...] = ()
    metrics: Mapping[str, MetricDef] = field(default_factory=dict)
    say: Callable[[str], None] = lambda text: None
    history: Callable[[], Sequence[LoggedRow]] = tuple  # live rows of the attempts before this one


@dataclass(frozen=True)
class FinishedRun:
    """A completed run with what it was made of, so that its model can be put to use again."""

    view: RunView
    config: MethodConfig
    task: TaskSpec
    protocol: EvaluationProtocol  # with the settings that the run was measured under
    evaluator: EvaluatorSpec
    parts: Mapping[str, Any]  # slot -> specification, as `RunContext.part` returns it
    episodes: tuple[Episode, ...]  # as the finished model was scored, by index
    # (name, seed) -> the 63-bit seed of the random stream of that name; None: of the run's seed.
    stream: Callable[[str, int | None], int]
    # The task of the same kind with a name; raises UnknownName.
    another: Callable[[str], TaskSpec]


@dataclass(frozen=True)
class Examined:
    """What an evaluation found: its results, and one row an item, by column."""

    measurements: Sequence[Measurement]
    table: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class StageProgress(Protocol):
    """Shows how far a stage has come."""

    def update(self, done: int, **shown: float) -> None:
        """Say how much is done, and values worth seeing."""


class RunContext(Protocol):
    """What a method may ask of the core while it trains."""

    task: TaskSpec
    protocol: EvaluationProtocol
    seed: int
    device: torch.device
    folder: Path

    def part(self, slot: str) -> Any:
        """Return the specification of the part chosen for a slot."""

    def generator(self, name: str, seed: int | None = None) -> np.random.Generator:
        """Return the named random stream of this run (or of `seed`)."""

    def torch_generator(self, name: str, seed: int | None = None) -> torch.Generator:
        """Return the named random stream of this run (or of `seed`) for torch, on the CPU."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record declared metrics; a logged row survives a kill of the process."""

    def checkpoint(self, stage: str, step: int, state: Callable[[], State], every: int) -> None:
        """At every `every` steps, and when the run is asked to stop, save what `state` returns."""

    def check_stop(self) -> None:
        """Raise Interrupted if a stop was asked for: in work that is cheap to do again."""

    def restored(self, stage: str) -> State | None:
        """Return the state saved in this stage if the run resumes from there, else None."""

    def data(self) -> ImageData:
        """Return the images of a dataset task, read once."""

    def artifact(
        self,
        kind: str,
        inputs: Callable[[], Mapping[str, Any]],
        build: Callable[[Path], None],
        *,
        copy: bool = False,
    ) -> Artifact:
        """Find the artifact with these inputs, or build it once under a lock.

        With `copy` a copy goes into the run's own folder, and a resumed run uses that.
        """

    def keep(self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], None]) -> Artifact:
        """Build an artifact that is this run's alone, in its own folder."""

    def finished(self, run_id: str) -> FinishedRun:
        """Return the completed run that a setting of the configuration names."""

    def stage(self, name: str, total: int, unit: str) -> StageProgress:
        """Begin a stage of the run."""

    def examine(self, subject: Policy | Classifier) -> Examined:
        """Measure it under the run's protocol and record nothing: for baselines."""

    def evaluate(self, subject: Policy | Classifier, step: int) -> Examined:
        """Measure it under the run's protocol; record the results, episodes and the table."""

    def record(self, step: int, measurements: Sequence[Measurement]) -> None:
        """Record further results."""

    def say(self, text: str) -> None:
        """Tell the user something, and keep it in the run's log."""


@dataclass(frozen=True)
class Diagnosis:
    """What `rlvit doctor` found of one thing, in a line, and what can be done about it."""

    about: str  # the thing: "games", "disk"
    state: Literal["ok", "note", "problem"]
    text: str
    advice: str = ""  # a command, or what else to do; "" if there is nothing to do
    # What `--fix` calls: it does only what is safe and loses nothing, and returns in a line what it
    # did.
    mend: Callable[[], str] | None = None
