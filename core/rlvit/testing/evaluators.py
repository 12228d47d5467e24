"""What every evaluator must do, tried on something untrained that it can measure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlvit.contracts import Examination, ImageShape, Measurement, Selection, SelectorView
from rlvit.errors import RlvitError
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.selection import FixedRule
from rlvit.runs.display import Silent
from rlvit.specs import DATASET, EvaluatorSpec, TaskSpec
from rlvit.testing.network import no_network
from rlvit.testing.suite import Suite, require, skip
from rlvit.testing.surroundings import (
    PRESET,
    cheapest_backbone,
    load,
    make_backbone,
    small_task,
    tasks_of,
)


class All(FixedRule):
    """Keeps every patch."""

    def select(self, view: SelectorView) -> Selection:
        """Keep all."""
        return Selection(view.alive)


class Idle:
    """A policy that always does the same."""

    def begin(self) -> None:
        """Remember nothing."""

    def act(self, frame: NDArray[np.uint8]) -> int:
        """Choose the first action."""
        return 0


class EvaluatorSuite(Suite):
    """Rules for an evaluator: `name` is what tasks call it."""

    kind = "evaluator"

    @classmethod
    def task(cls) -> TaskSpec:
        """Return the smallest task that names it and is there; else the smallest dataset."""
        naming = {
            entry.spec.kind: None
            for entry in cls.catalog().entries["task"].values()
            if entry.spec.evaluator == cls.name
        }
        for kind in naming:
            for task in tasks_of(cls.catalog(), kind):
                if task.evaluator == cls.name and cls.is_there(task):
                    return task
        return small_task(cls.catalog(), DATASET, cls.data_root)

    @classmethod
    def is_there(cls, task: TaskSpec) -> bool:
        """Say whether a task's files are there, if it has any."""
        if task.load is None:
            return True
        try:
            load(task, cls.data_root)
        except (RlvitError, OSError):
            return False
        return True

    @classmethod
    def subject(cls, task: TaskSpec) -> Any:
        """Return something to measure: an untrained network, or a policy that does nothing."""
        if task.load is None:
            return Idle()
        classes = len(load(task, cls.data_root).classes)
        shape = ImageShape(task.image_size, classes)
        spec = cls.once("backbone", lambda: cheapest_backbone(cls.catalog(), shape))
        backbone = make_backbone(spec, shape)
        return PrunedVit(backbone, All(), frozenset(), (0,), targets=torch.arange(classes))

    @classmethod
    def measured(cls) -> tuple[list[Measurement], dict[str, NDArray[Any]]]:
        """Return what it measures, and the table that it hands over."""
        return cls.once("measured", cls.measure)

    @classmethod
    def measure(cls) -> tuple[list[Measurement], dict[str, NDArray[Any]]]:
        """Let it measure."""
        spec: EvaluatorSpec = cls.spec()
        task = cls.task()
        table: dict[str, NDArray[Any]] = {}

        def take(columns: Mapping[str, NDArray[Any]]) -> None:
            table.update(columns)

        protocol = next((p for p in task.protocols if p.name == PRESET), task.protocols[-1])
        examination = Examination(
            subject=cls.subject(task),
            task=task,
            protocol=protocol,
            seed=3,
            episode=lambda episode: None,
            table=take,
            progress=lambda unit, total: Silent(),
            check_stop=lambda: None,
            data=lambda: load(task, cls.data_root),
        )
        return list(spec.measure(examination)), table

    def test_measurements(self) -> None:
        """It returns finite measurements, each of one item at least."""
        found, _ = self.measured()
        require(bool(found), "it measures nothing")
        for one in found:
            require(isinstance(one, Measurement), f"it returns {one!r}")
            require(math.isfinite(one.value), f"{one.metric} is {one.value}")
            require(one.samples >= 1, f"{one.metric} is of {one.samples} samples")

    def test_metrics_are_declared(self) -> None:
        """Each is of a metric that a plugin declares, and so are those that tables show first."""
        metrics = [one.metric for one in self.measured()[0]] + list(self.spec().headline)
        for name in metrics:
            known = name in self.catalog().metrics
            require(known, f"no plugin declares the metric {name!r} (rlvit_metrics)")

    def test_determinism_under_a_seed(self) -> None:
        """It measures the same of the same subject, whatever torch and numpy drew."""
        measured = []
        for seed in (11, 12):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                measured.append(self.measure()[0])
        timing = {n for n, metric in self.catalog().metrics.items() if metric.timing}
        for one, other in zip(*measured, strict=True):
            if one.metric not in timing:
                require(one == other, f"{one.metric} is {one.value}, and {other.value} again")

    def test_table(self) -> None:
        """The columns of its table have a row an item."""
        _, table = self.measured()
        if not table:
            skip("it hands over no table")
        lengths = {name: len(column) for name, column in table.items()}
        require(len(set(lengths.values())) == 1, f"columns differ in length: {lengths}")

    def test_no_network(self) -> None:
        """It asks no other machine for anything."""
        self.measured()
        with no_network() as asked:
            self.measure()
        require(not asked, f"it asked for {', '.join(dict.fromkeys(asked))}")
