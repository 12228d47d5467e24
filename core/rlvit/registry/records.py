"""What readers of the registry get: frozen copies, never rows that could be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunRecord:
    """A run as the registry knows it. Times are seconds since 1970, UTC."""

    id: str
    name: str
    method: str
    task: str
    protocol: str
    preset: str
    seed: int
    state: str
    attempt: int
    note: str
    archived: bool
    folder: str
    plugin: str
    plugin_version: str
    fingerprint: str
    git_commit: str | None
    git_dirty: bool | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    heartbeat_at: float | None
    seconds: float
    error: str | None
    config: Mapping[str, Any]
    protocol_settings: Mapping[str, Any]
    slots: Mapping[str, Any]
    provenance: Mapping[str, Any]
    process: Mapping[str, Any]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class PointRecord:
    """A logged value."""

    metric: str
    attempt: int
    row: int
    step: int
    value: float | None
    at: float
    superseded: bool


@dataclass(frozen=True)
class ResultRecord:
    """A measurement."""

    metric: str
    unit: str
    attempt: int
    step: int
    value: float | None
    samples: int
    spread: float | None
    superseded: bool


@dataclass(frozen=True)
class EpisodeRecord:
    """An evaluation episode."""

    attempt: int
    step: int
    index: int
    score: float | None
    length: int
    superseded: bool


@dataclass(frozen=True)
class TransitionRecord:
    """A move of a run from one state to another."""

    attempt: int
    from_state: str | None
    to_state: str
    at: float
    reason: str
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class ArtifactRecord:
    """An artifact that a run made or used."""

    kind: str
    key: str
    sha256: str
    path: str
    size: int
    inputs: Mapping[str, Any]
    made_by: str
    role: str


@dataclass(frozen=True)
class BaselineRecord:
    """An imported score."""

    name: str
    task: str
    protocol: str
    metric: str
    run_index: int | None
    value: float
    spread: float | None
    n: int | None
    source: str
    cite: str
    status: str
    note: str
    sha256: str
    added_at: float


@dataclass(frozen=True)
class TrialRecord:
    """One set of values that a study tries."""

    study: str
    number: int
    state: str  # running, interrupted, completed, pruned, failed
    params: Mapping[str, Any]
    values: Mapping[str, float] | None  # objective -> value
    reason: str
    source: str  # STUDY:NUMBER of the trial it was taken from, or ""
    process: Mapping[str, Any]
    heartbeat_at: float
    started_at: float
    ended_at: float | None
    runs: Mapping[int, str]  # seed -> run id, in the order of the seeds


@dataclass(frozen=True)
class StudyRecord:
    """A search for good values of a method's configuration."""

    name: str
    stem: str
    space_hash: str
    method: str
    task: str
    protocol: str
    preset: str
    request: Mapping[str, Any]
    space: Mapping[str, Mapping[str, Any]]  # field -> its range
    objectives: Mapping[str, str]  # metric -> "max" or "min", in order
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]
    seed: int
    seeds: tuple[int, ...]  # of every trial's runs
    trials: int  # how many are wanted
    stop: str  # "", or what workers were asked: "after" their trial, "now"
    storage: str
    created_at: float
