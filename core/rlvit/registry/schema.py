"""The tables of the registry. Every value refers to a declared metric: names cannot drift."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

REVISION = "0005"  # the alembic revision that this code reads and writes
VERSION_TABLE = "rlvit_version"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables. Times are seconds since 1970, UTC."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON}


class Metric(Base):
    """A declared quantity."""

    __tablename__ = "metric"
    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    unit: Mapped[str] = mapped_column(String(60))
    direction: Mapped[str] = mapped_column(String(4))
    meaning: Mapped[str] = mapped_column(Text)
    axis: Mapped[str] = mapped_column(String(60))
    timing: Mapped[bool]


class Experiment(Base):
    """What is repeated over seeds: a method on a task under a protocol with one configuration."""

    __tablename__ = "experiment"
    __table_args__ = (UniqueConstraint("fingerprint"), Index(None, "method", "task", "protocol"))
    id: Mapped[int] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    method: Mapped[str] = mapped_column(String(60))
    task: Mapped[str] = mapped_column(String(60))
    protocol: Mapped[str] = mapped_column(String(60))
    protocol_settings: Mapped[dict[str, Any]]
    config: Mapped[dict[str, Any]]
    slots: Mapped[dict[str, Any]]


class Run(Base):
    """One method, on one task, with one configuration and one seed."""

    __tablename__ = "run"
    __table_args__ = (
        Index(None, "created_at"),
        Index(None, "name"),
        Index(None, "state", "archived", "created_at"),
        Index(None, "experiment_id", "archived", "state", "created_at", "id"),
    )  # the order matters: `bench/registry_scale.py` measures what they are for
    id: Mapped[str] = mapped_column(String(120), primary_key=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiment.id"))
    name: Mapped[str] = mapped_column(String(200))
    seed: Mapped[int]
    preset: Mapped[str] = mapped_column(String(60))
    plugin: Mapped[str] = mapped_column(String(60))
    plugin_version: Mapped[str] = mapped_column(String(60))
    state: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int]
    note: Mapped[str] = mapped_column(Text)
    archived: Mapped[bool]
    folder: Mapped[str] = mapped_column(Text)
    git_commit: Mapped[str | None] = mapped_column(String(64))
    git_dirty: Mapped[bool | None]
    provenance: Mapped[dict[str, Any]]
    bookkeeping: Mapped[dict[str, Any]]  # options that cannot change the result
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    seconds: Mapped[float]  # computing time over all attempts
    heartbeat_at: Mapped[float | None]
    process: Mapped[dict[str, Any]]  # host, boot id, pid and its start, of the current attempt
    error: Mapped[str | None] = mapped_column(Text)


class Transition(Base):
    """A move of a run from one state to another; never changed."""

    __tablename__ = "transition"
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), index=True)
    attempt: Mapped[int]
    from_state: Mapped[str | None] = mapped_column(String(20))
    to_state: Mapped[str] = mapped_column(String(20))
    at: Mapped[float]
    reason: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]]  # of an attempt: its command, code and machine


class Point(Base):
    """A logged value: at most 1,000 a metric and run; all of them are in the run's folder."""

    __tablename__ = "point"
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(ForeignKey("metric.name"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)  # row of metrics.jsonl
    step: Mapped[int]
    value: Mapped[float | None]  # None: not a finite number
    at: Mapped[float]
    superseded: Mapped[bool]


class Result(Base):
    """A measurement under the run's protocol."""

    __tablename__ = "result"
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(ForeignKey("metric.name"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)  # row of results.jsonl
    step: Mapped[int]
    value: Mapped[float | None]
    samples: Mapped[int]
    spread: Mapped[float | None]
    superseded: Mapped[bool]


class EpisodeRow(Base):
    """An evaluation episode."""

    __tablename__ = "episode"
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)  # row of episodes.jsonl
    step: Mapped[int]  # training steps behind the policy
    index: Mapped[int]
    score: Mapped[float | None]  # None: not a finite number
    length: Mapped[int]
    superseded: Mapped[bool]


class ArtifactRow(Base):
    """Files that a run made, found again by the hash of their inputs."""

    __tablename__ = "artifact"
    __table_args__ = (UniqueConstraint("kind", "key", "sha256"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(60))
    key: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(Text)
    size: Mapped[int]
    inputs: Mapped[dict[str, Any]]
    made_by: Mapped[str] = mapped_column(String(120))


class Lineage(Base):
    """Which run used or made which artifact."""

    __tablename__ = "lineage"
    __table_args__ = (
        ForeignKeyConstraint(["run_id"], ["run.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["artifact_id"], ["artifact.id"]),
    )
    run_id: Mapped[str] = mapped_column(String(120), primary_key=True)
    artifact_id: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(10))  # "made" or "used"


class Tag(Base):
    """A word that the user attached to a run."""

    __tablename__ = "tag"
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Baseline(Base):
    """A score that the user imported: of one run, or a mean as it was printed."""

    __tablename__ = "baseline"
    __table_args__ = (UniqueConstraint("name", "task", "protocol", "metric", "run_index"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))  # of the method, as the file calls it
    task: Mapped[str] = mapped_column(String(60))
    protocol: Mapped[str] = mapped_column(String(60))  # "": comparable under none of ours
    metric: Mapped[str] = mapped_column(ForeignKey("metric.name"))
    run_index: Mapped[int | None]  # None: not of one run
    value: Mapped[float]
    spread: Mapped[float | None]  # sample standard deviation over runs, where it was printed
    n: Mapped[int | None]  # runs behind the value, None: unknown
    source: Mapped[str] = mapped_column(Text)  # the file's name
    cite: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20))
    note: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))  # of the file
    added_at: Mapped[float]


class Study(Base):
    """A search for good values of a method's configuration; each of its trials is made of runs."""

    __tablename__ = "study"
    name: Mapped[str] = mapped_column(String(120), primary_key=True)  # stem-hash
    stem: Mapped[str] = mapped_column(String(100))
    space_hash: Mapped[str] = mapped_column(String(64))  # of the space and all that is fixed
    method: Mapped[str] = mapped_column(String(60))
    task: Mapped[str] = mapped_column(String(60))
    protocol: Mapped[str] = mapped_column(String(60))
    preset: Mapped[str] = mapped_column(String(60))
    request: Mapped[dict[str, Any]]  # what a run of it is asked for, its trial's values apart
    space: Mapped[dict[str, Any]]  # field -> its range
    objectives: Mapped[dict[str, Any]]  # metric -> "max" or "min", in order
    sampler: Mapped[dict[str, Any]]
    pruner: Mapped[dict[str, Any]]
    seed: Mapped[int]  # of the sampler
    seeds: Mapped[dict[str, Any]]  # {"runs": the seeds of every trial's runs}
    trials: Mapped[int]  # how many are wanted
    stop: Mapped[str] = mapped_column(String(10))  # "", or what workers were asked: "after", "now"
    storage: Mapped[str] = mapped_column(Text)  # Optuna's database, without a password
    created_at: Mapped[float]


class Trial(Base):
    """One set of values that a study tries."""

    __tablename__ = "trial"
    study: Mapped[str] = mapped_column(
        ForeignKey("study.name", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)  # Optuna's
    state: Mapped[str] = mapped_column(String(20))
    params: Mapped[dict[str, Any]]
    values: Mapped[dict[str, Any] | None]  # objective -> value, once it is finished
    reason: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(140))  # STUDY:NUMBER of the trial it was taken from
    process: Mapped[dict[str, Any]]
    heartbeat_at: Mapped[float]
    started_at: Mapped[float]
    ended_at: Mapped[float | None]


class TrialRun(Base):
    """A run of a trial, one for each seed; written down before the run exists."""

    __tablename__ = "trial_run"
    __table_args__ = (
        ForeignKeyConstraint(
            ["study", "number"], ["trial.study", "trial.number"], ondelete="CASCADE"
        ),
    )
    study: Mapped[str] = mapped_column(String(120), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    seed: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(String(120), index=True)
