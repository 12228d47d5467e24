"""The protocols and records that methods, parts and the core exchange at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from rlvit.specs import MetricDef, Need, Setting, TaskSpec
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


@dataclass(frozen=True)
class SelectorView:
    """What a selector may see at one decision point."""

    data: Mapping[Need, Any]  # only what it declared; "images" is uint8 [B, C, H, W]
    alive: Tensor  # [B, N] bool


@dataclass(frozen=True)
class Selection:
    """Which patches are kept."""

    keep: Tensor  # [B, N] bool, within alive
    order: Tensor  # [B, K] patch ids, -1 pads at the end


class Selector(Protocol):
    """Decides which patches are kept."""

    def prepare(self, images: NDArray[np.uint8]) -> Mapping[str, float]:
        """Adapt to sampled images [S, C, H, W] of the task; return metrics of what was decided."""

    def select(self, view: SelectorView) -> Selection:
        """Choose patches."""

    def report(self) -> Mapping[str, float]:
        """Return declared metrics about the selections so far."""

    def state(self) -> State:
        """Return what a checkpoint must hold."""

    def restore(self, state: State) -> None:
        """Go back to a saved state."""


class Backbone(Protocol):
    """Turns selected patches into embeddings."""

    def embed_selected(self, images: Tensor, order: Tensor) -> Tensor:
        """Embed patches `order` [B, K] of `images` [B, C, H, W] jointly; pads give zero rows."""


class Policy(Protocol):
    """What acts over time and is evaluated. It is greedy; exploration belongs to the protocol."""

    def begin(self) -> None:
        """Forget the past: a new game starts."""

    def act(self, frame: NDArray[np.uint8]) -> int:
        """Choose an action for the newest frame [C, H, W]."""


@dataclass(frozen=True)
class Episode:
    """One evaluation episode."""

    index: int
    score: float  # raw score
    length: int  # agent steps


class EpisodeSink(Protocol):
    """Receives evaluation episodes as they end."""

    def __call__(self, episode: Episode) -> None:
        """Record one episode."""


@dataclass(frozen=True)
class Measurement:
    """A result: the only kind of number that reports compare."""

    metric: str
    value: float
    samples: int
    spread: float | None = None  # sample standard deviation
    step: int | None = None  # training steps behind it; known once it is recorded


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

    def stage(self, name: str, total: int, unit: str) -> StageProgress:
        """Begin a stage of the run."""

    def evaluate(self, policy: Policy, step: int) -> list[Measurement]:
        """Measure a policy under the run's protocol and record the results and episodes."""

    def record(self, step: int, measurements: list[Measurement]) -> None:
        """Record further results."""

    def say(self, text: str) -> None:
        """Tell the user something, and keep it in the run's log."""
