"""What a report is made of: runs grouped into arms, and the numbers that they stand beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rlvit.specs import MetricDef


@dataclass(frozen=True)
class Value:
    """One measurement of one run, of its finished model."""

    value: float
    samples: int  # episodes or images behind it
    spread: float | None  # sample standard deviation of these
    step: int


@dataclass(frozen=True)
class Trial:
    """A completed run: one seed of an arm."""

    id: str
    name: str
    seed: int
    commit: str | None
    dirty: bool | None  # uncommitted changes
    version: str  # of the plugin
    seconds: float  # computing
    device: str
    note: str
    results: Mapping[str, Value]  # metric -> measurement
    artifacts: Mapping[str, str]  # kind -> folder of files that the run made or used


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed alone."""

    fingerprint: str
    label: str  # short, and unlike any other arm's of the same method and task
    method: str
    task: str
    protocol: str
    preset: str
    config: Mapping[str, Any]
    slots: Mapping[str, str]
    trials: tuple[Trial, ...]  # by seed
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the protocol


@dataclass(frozen=True)
class Reference:
    """A number that rlvit did not measure: printed in a paper, or imported by the user."""

    name: str  # of the method as the source calls it
    task: str
    protocol: str  # of rlvit's protocols, the one it is comparable under; "" if none
    metric: str
    value: float
    spread: float | None
    n: int | None  # runs behind it
    where: str  # table, figure or file
    cite: str
    status: Literal["verified", "secondary", "superseded", "imported"]
    note: str = ""
    scores: tuple[float, ...] = ()  # one a run, where they are known


@dataclass(frozen=True)
class Evidence:
    """Everything that a report may say, and nothing that changes between two readings."""

    arms: tuple[Arm, ...]
    references: tuple[Reference, ...]
    metrics: Mapping[str, MetricDef]
    headlines: Mapping[str, tuple[str, ...]]  # task -> metrics that its table shows, first to last
    facts: Mapping[str, Mapping[str, float]]  # task -> reference scores and sizes
    kinds: Mapping[str, str] = field(default_factory=dict)  # task -> what it is: a game, a dataset
    unfinished: Mapping[str, int] = field(default_factory=dict)  # state -> runs left out
    unquoted: int = 0  # references left out because others were asked for by name
    lost: int = 0  # runs of which an artifact is neither in this home nor where it was made
    set_aside: int = 0  # completed runs of studies' trials that are left out
    baseline: str | None = None  # the arm that differences were asked from
    studied: tuple[tuple[str, str], ...] = ()  # tasks and protocols that studies were made under
    tuning: Mapping[str, int] = field(default_factory=dict)  # fingerprint -> trials spent on it
