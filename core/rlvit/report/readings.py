"""Learning curves as reports read them: which metrics an arm logged, and each run's values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import TYPE_CHECKING

import numpy as np

from rlvit.report import collect, drawing
from rlvit.report.canvas import measured
from rlvit.report.drawing import Floats
from rlvit.report.model import Arm, Evidence, Trial
from rlvit.specs import MetricDef

if TYPE_CHECKING:
    from sqlalchemy import Engine

Curve = tuple[Floats, Floats]  # steps, values

BINS = 100  # of a curve with more steps than that


@dataclass
class Readings:
    """Reads curves from the registry; remembers which metrics were logged."""

    evidence: Evidence
    engine: Engine
    known: dict[tuple[str, ...], list[MetricDef]] = field(default_factory=dict)

    def curve(self, trial: Trial, metric: str) -> tuple[Curve, int]:
        """Return the finite part of a run's curve, and how many values were not finite."""
        found = collect.curve(self.engine, trial.id, metric)
        steps, values = (np.asarray(side, dtype=float) for side in found)
        good = np.isfinite(values)
        return (steps[good], values[good]), int((~good).sum())

    def logged(self, arm: Arm) -> list[MetricDef]:
        """Return the metrics with a better side that an arm's last run logged over steps.

        Runs of one method with the same preset and parts log the same, so one of them is asked.
        """
        key = (arm.method, arm.preset, *sorted(f"{k}={v}" for k, v in arm.slots.items()))
        if key not in self.known:
            wanted = (m for m in self.evidence.metrics.values() if not m.timing)
            self.known[key] = [
                metric
                for metric in wanted
                if metric.direction != "none"
                and len(np.unique(self.curve(arm.trials[-1], metric.name)[0][0])) > 1
            ]
        return self.known[key]

    def shared(self, arms: Sequence[Arm]) -> list[MetricDef]:
        """Return the metrics that arms logged: first those of most arms, then those to maximise."""
        logged = [self.logged(arm) for arm in arms]
        counts = {m: sum(m in of for of in logged) for m in self.evidence.metrics.values()}
        order = {m: (-n, m.direction != "max", i) for i, (m, n) in enumerate(counts.items())}
        return [metric for metric in sorted(order, key=order.__getitem__) if counts[metric]]


def leaders(arms: list[Arm], metric: MetricDef | None) -> list[Arm]:
    """Return the arms that a figure has room for: those with the best headline, in old order."""
    if len(arms) <= drawing.MOST_LINES:
        return arms

    def rank(arm: Arm) -> float:
        found = [value.value for value in measured(arm, metric.name)] if metric else []
        mean = float(np.mean(found)) if found else nan
        if not isfinite(mean):
            return np.inf
        return mean if metric is not None and metric.direction == "min" else -mean

    order = sorted(range(len(arms)), key=lambda place: (rank(arms[place]), place))
    return [arms[place] for place in sorted(order[: drawing.MOST_LINES])]


def binned(steps: Floats, values: Floats, edges: Floats) -> Curve:
    """Return the mean value and the mean step of each bin that has one."""
    where = np.clip(np.searchsorted(edges, steps, side="right") - 1, 0, len(edges) - 1)
    count = np.bincount(where)
    full = count > 0
    return (
        np.bincount(where, weights=steps)[full] / count[full],
        np.bincount(where, weights=values)[full] / count[full],
    )
