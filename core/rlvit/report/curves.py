"""Learning curves: the mean over an arm's seeds, with a band."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite, nan, sqrt

import numpy as np

from rlvit.report import drawing
from rlvit.report.canvas import Canvas, Picture, axis_label, left_out, measured, sentences
from rlvit.report.drawing import Floats, Series
from rlvit.report.model import Arm, Trial
from rlvit.report.resampling import student
from rlvit.specs import MetricDef

Curve = tuple[Floats, Floats]  # steps, values

CURVES = 4  # of a task, at most
BINS = 100  # of a curve with more steps than that
LEVEL = 0.95  # of a band
RANGE = 5  # runs below which a band is their range


def learning_curves(
    canvas: Canvas, task: str, protocol: str, arms: list[Arm], best: MetricDef | None
) -> Iterator[Picture]:
    """Draw the training metrics that most arms logged."""
    shown = _leaders(arms, best)
    logged = [_logged(canvas, arm) for arm in shown]
    counts = {m: sum(m in of_arm for of_arm in logged) for m in canvas.evidence.metrics.values()}
    order = {m: (-n, m.direction != "max", i) for i, (m, n) in enumerate(counts.items())}
    chosen = [metric for metric in sorted(order, key=order.__getitem__) if counts[metric]]
    for metric in chosen[:CURVES]:
        found = [_series(canvas, arm, metric) for arm in shown]
        series = [line for line, _ in found if line is not None]
        if not series:
            continue
        lost = sum(count for _, count in found)
        title = f"{task} · {metric.name}"
        figure = drawing.lines(series, title, metric.axis, axis_label(metric))
        caption = sentences(
            f"{metric.name} ({metric.meaning}) during training on {task}.",
            _reading([line.runs for line in series]),
            f"{lost:,} values were no finite numbers and are left out." if lost else "",
            left_out(len(arms) - len(shown)),
        )
        files = canvas.save(figure, task, protocol, "curve", metric.name)
        yield Picture("curve", task, protocol, metric.name, caption, files)


def _reading(runs: Sequence[int]) -> str:
    """Return how lines of so many runs each are to be read."""
    kinds = {
        "One run where n=1.": min(runs) == 1,
        "Lines are means over seeds.": max(runs) > 1,
        "Bands below 5 seeds are the seeds' range.": any(1 < n < RANGE for n in runs),
        "Bands from 5 seeds on are 95 % intervals of the mean.": max(runs) >= RANGE,
    }
    return sentences(*(text for text, is_so in kinds.items() if is_so))


def _leaders(arms: list[Arm], metric: MetricDef | None) -> list[Arm]:
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


def _logged(canvas: Canvas, arm: Arm) -> list[MetricDef]:
    """Return the metrics with a better side that an arm's last run logged over steps.

    Runs of one method with the same preset and parts log the same, so one of them is asked.
    """
    key = (arm.method, arm.preset, *sorted(f"{k}={v}" for k, v in arm.slots.items()))
    if key not in canvas.logged:
        wanted = (m for m in canvas.evidence.metrics.values() if not m.timing)
        canvas.logged[key] = [
            metric
            for metric in wanted
            if metric.direction != "none"
            and len(np.unique(_curve(canvas, arm.trials[-1], metric.name)[0][0])) > 1
        ]
    return canvas.logged[key]


def _curve(canvas: Canvas, trial: Trial, metric: str) -> tuple[Curve, int]:
    """Return the finite part of a run's curve, and how many values were not finite."""
    from rlvit.report import collect

    found = collect.curve(canvas.engine, trial.id, metric)
    steps, values = (np.asarray(side, dtype=float) for side in found)
    good = np.isfinite(values)
    return (steps[good], values[good]), int((~good).sum())


def _series(canvas: Canvas, arm: Arm, metric: MetricDef) -> tuple[Series | None, int]:
    """Return an arm's mean curve, None where no run has one, and how many values were lost."""
    read = [_curve(canvas, trial, metric.name) for trial in arm.trials]
    lost = sum(count for _, count in read)
    found = [curve for curve, _ in read if len(curve[0])]
    x, values = aligned(found)  # [S], [runs, S]
    if not len(x):
        return None, lost
    low, high = band(values)
    label = f"{arm.label} (n={len(found)})"
    return Series(label, x, values.mean(axis=0), low, high, canvas.look(arm), len(found)), lost


def aligned(found: Sequence[Curve]) -> Curve:
    """Return the curves of several runs at common steps, within the range that all of them have.

    A curve with many steps is averaged in bins before; between its points it is a straight line.

    Returns:
        Steps [S] and values [runs, S].
    """
    if not found:
        return np.zeros(0), np.zeros((0, 0))
    every = np.unique(np.concatenate([steps for steps, _ in found]))
    first, last = max(s.min() for s, _ in found), min(s.max() for s, _ in found)
    if len(every) > BINS:
        edges = np.linspace(every[0], every[-1], BINS + 1)
        found = [_binned(steps, values, edges) for steps, values in found]
        every = (edges[:-1] + edges[1:]) / 2
        first, last = max(s.min() for s, _ in found), min(s.max() for s, _ in found)
    else:
        found = [_binned(steps, values, every) for steps, values in found]
    grid = every[(every >= first) & (every <= last)]
    return grid, np.stack([np.interp(grid, steps, values) for steps, values in found])


def _binned(steps: Floats, values: Floats, edges: Floats) -> Curve:
    """Return the mean value and the mean step of each bin that has one."""
    where = np.clip(np.searchsorted(edges, steps, side="right") - 1, 0, len(edges) - 1)
    count = np.bincount(where)
    full = count > 0
    return (
        np.bincount(where, weights=steps)[full] / count[full],
        np.bincount(where, weights=values)[full] / count[full],
    )


def band(values: Floats) -> tuple[Floats, Floats]:
    """Return the band around the mean of `values` [runs, S] at each step.

    Student's interval of the mean, or the runs' range where there are too few for it to be
    readable (12.7 standard errors for two runs); NaN for one run.
    """
    runs, steps = values.shape
    if runs < 2:
        return np.full(steps, nan), np.full(steps, nan)
    if runs < RANGE:
        return values.min(axis=0), values.max(axis=0)
    margin = student(0.0, 1.0, runs - 1, LEVEL).high * values.std(axis=0, ddof=1) / sqrt(runs)
    return values.mean(axis=0) - margin, values.mean(axis=0) + margin
