"""Learning curves: the mean over an arm's seeds, with a band."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import nan, sqrt

import numpy as np

from rlvit.report import drawing
from rlvit.report.canvas import Canvas, Picture, axis_label, left_out, sentences
from rlvit.report.drawing import Floats, Series
from rlvit.report.model import Arm
from rlvit.report.readings import BINS, Curve, Readings, binned, leaders
from rlvit.report.resampling import student
from rlvit.specs import MetricDef

CURVES = 4  # of a task, at most
LEVEL = 0.95  # of a band
RANGE = 5  # runs below which a band is their range


def learning_curves(
    canvas: Canvas,
    readings: Readings,
    task: str,
    protocol: str,
    arms: list[Arm],
    best: MetricDef | None,
) -> Iterator[Picture]:
    """Draw the training metrics that most arms logged."""
    shown = leaders(arms, best)
    for metric in readings.shared(shown)[:CURVES]:
        found = [_series(canvas, readings, arm, metric) for arm in shown]
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


def _series(
    canvas: Canvas, readings: Readings, arm: Arm, metric: MetricDef
) -> tuple[Series | None, int]:
    """Return an arm's mean curve, None where no run has one, and how many values were lost."""
    read = [readings.curve(trial, metric.name) for trial in arm.trials]
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
        found = [binned(steps, values, edges) for steps, values in found]
        every = (edges[:-1] + edges[1:]) / 2
        first, last = max(s.min() for s, _ in found), min(s.max() for s, _ in found)
    else:
        found = [binned(steps, values, every) for steps, values in found]
    grid = every[(every >= first) & (every <= last)]
    return grid, np.stack([np.interp(grid, steps, values) for steps, values in found])


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
