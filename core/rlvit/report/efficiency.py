"""Sample efficiency: how many steps an arm needs to come a given part of the way to the best score.

Steps to a threshold, the thresholds taken from the arms themselves. With s the worst of the arms'
mean first scores and b the best of their mean final scores, the threshold of a share q is
s + q (b - s): a share of the way, because a share of a score has no meaning where scores are
negative, as in Pong. A run reaches it at the first step of its curve at which the score is as good;
a curve with more than 100 steps is averaged in 100 bins before. A final score is the mean over the
last tenth of the steps. The number of an arm is the median of its runs, where one that never
reaches the threshold needs more steps than all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, nan
from typing import Literal

import numpy as np

from rlvit.report import drawing
from rlvit.report.canvas import Canvas, Picture, groups, headline, sentences
from rlvit.report.cells import (
    Cell,
    Column,
    Footnote,
    Notes,
    Table,
    between,
    count_cell,
    number,
    slug,
    text_cell,
)
from rlvit.report.drawing import Floats, Series
from rlvit.report.model import Arm
from rlvit.report.readings import BINS, Curve, Readings, binned, leaders
from rlvit.report.summary import listed
from rlvit.specs import MetricDef

STEPS: Literal["efficiency"] = "efficiency"  # kind of table and of picture
SHARES = (0.25, 0.5, 0.75, 0.9, 1.0)
LAST = 0.1  # part of the steps that the final score is the mean of
NEVER = "not reached"


@dataclass(frozen=True)
class _Curves:
    """The curves of an arm's runs that have one."""

    arm: Arm
    runs: list[Curve]

    @property
    def start(self) -> float:
        """The mean first score."""
        return float(np.mean([values[0] for _, values in self.runs]))

    @property
    def final(self) -> float:
        """The mean final score."""
        return float(np.mean([_final(*run) for run in self.runs]))


def efficiency_tables(readings: Readings) -> Iterator[Table]:
    """Yield a table for each group of arms of a task and protocol that logged one curve.

    The curve is that of the task's headline or one with its unit and better side; an arm stands in
    one table, that of the headline's name if it can. There is no table where no arm came further
    than where the arms began.
    """
    for (task, protocol), arms in groups(readings.evidence).items():
        best = headline(readings.evidence, task, arms)
        arms = leaders([arm for arm in arms if arm.trials], best)
        for metric, sharing in _sharing(readings, arms, best):
            found = _table(readings, task, protocol, sharing, metric)
            if found is not None and best is not None:
                yield _explained(found, best, [arm for arm in arms if arm not in sharing])


def _sharing(
    readings: Readings, arms: Sequence[Arm], best: MetricDef | None
) -> Iterator[tuple[MetricDef, list[Arm]]]:
    """Yield the groups of two arms or more that share a curve, each arm once, with the curve.

    First those of the headline's name, as `.../return` of `eval/return`, then others of its unit.
    """
    if best is None:
        return
    leaf, kind = best.name.partition("/")[2], (best.unit, best.direction)
    alike = [m for m in readings.shared(arms) if (m.unit, m.direction) == kind]
    left = list(arms)
    for metric in sorted(alike, key=lambda metric: metric.name.partition("/")[2] != leaf):
        sharing = [arm for arm in left if metric in readings.logged(arm)]
        if len(sharing) > 1:
            yield metric, sharing
            left = [arm for arm in left if arm not in sharing]


def _explained(table: Table, best: MetricDef, others: Sequence[Arm]) -> Table:
    """Return a table that says which curve stands for the headline, and which arms lack it."""
    caption, notes = table.caption, table.footnotes
    if table.metric != best.name:
        caption += (
            f" {table.metric}, a curve of these arms, stands for the headline metric {best.name}."
        )
    if others:
        names = listed([arm.label for arm in others])
        notes = (Footnote("", f"Not compared here, for want of this curve: {names}."), *notes)
    return replace(table, caption=caption, footnotes=notes)


def _table(
    readings: Readings, task: str, protocol: str, arms: Sequence[Arm], metric: MetricDef
) -> Table | None:
    curves = _curves(readings, arms, metric)
    if len(curves) < 2:
        return None
    sign = -1.0 if metric.direction == "min" else 1.0
    start = sign * min(sign * one.start for one in curves)
    top = max(curves, key=lambda one: sign * one.final)
    if sign * (top.final - start) <= 0:
        return None
    thresholds = [start + share * (top.final - start) for share in SHARES]
    notes = Notes()
    rows = [_row(one, thresholds, sign) for one in curves]
    notes.say(f"{metric.name}: {metric.meaning}.")
    return Table(
        kind=STEPS,
        slug=slug(task, protocol, "steps to", metric.name.replace("/", " ")),
        title=f"Steps to {metric.name} on {task} under {protocol}",
        caption=f"{metric.axis[:1].upper()}{metric.axis[1:]} until a run's {metric.name} has come a"
        f" share of the way from {_short(start)}, where the worst arm begins, to"
        f" {_short(top.final)}, the final score of {top.arm.label} (the mean of the last tenth of"
        " its steps). Median over seeds, range of those that reached it in brackets; a seed that"
        " never does counts as slower than all others.",
        columns=(
            Column("arm", "arm", "text"),
            Column("runs", "runs", "count"),
            *(
                Column(f"steps_to_{share:.0%}".rstrip("%"), _head(share, at), "result")
                for share, at in zip(SHARES, thresholds, strict=True)
            ),
        ),
        rows=tuple(rows),
        footnotes=notes.footnotes(),
        task=task,
        protocol=protocol,
        metric=metric.name,
    )


def _head(share: float, threshold: float) -> str:
    return f"{share:.0%} ({_short(threshold)})"


def _short(value: float) -> str:
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def _curves(readings: Readings, arms: Sequence[Arm], metric: MetricDef) -> list[_Curves]:
    """Return the curves of the arms that have any, binned alike."""
    found = []
    for arm in arms:
        read = (readings.curve(trial, metric.name)[0] for trial in arm.trials)
        runs = [curve for curve in read if len(curve[0])]
        found += [_Curves(arm, runs)] if runs else []
    every = [steps for one in found for steps, _ in one.runs]
    if not every:
        return []
    edges = np.unique(np.concatenate(every))
    if len(edges) > BINS:
        edges = np.linspace(edges[0], edges[-1], BINS + 1)
    return [replace(one, runs=[binned(*run, edges) for run in one.runs]) for one in found]


def _final(steps: Floats, values: Floats) -> float:
    late = steps >= steps[-1] - LAST * (steps[-1] - steps[0])
    return float(values[late].mean())


def steps_to(curve: Curve, threshold: float, sign: float = 1.0) -> float:
    """Return the first step at which a curve is as good as a threshold, infinity if it never is.

    Args:
        curve: steps and values [S].
        threshold: the value to reach.
        sign: -1 where less is better.
    """
    steps, values = curve
    there = np.flatnonzero(sign * values >= sign * threshold)
    return float(steps[there[0]]) if len(there) else inf


def _row(of: _Curves, thresholds: Sequence[float], sign: float) -> tuple[Cell, ...]:
    needed = [[steps_to(run, at, sign) for run in of.runs] for at in thresholds]
    return (text_cell(of.arm.label), count_cell(len(of.runs)), *map(_cell, needed))


def _cell(needed: Sequence[float]) -> Cell:
    """Return the median of runs' steps, with the range of those that got there."""
    there = sorted(steps for steps in needed if isfinite(steps))
    few = f"{len(there)} of {len(needed)} seeds" if len(there) < len(needed) else ""
    median = _median(needed)
    if not there or not isfinite(median):
        return Cell(text=NEVER, remark=few if there else "", n=len(there))
    known = len(there) > 1
    return Cell(
        text=number(median, 0),
        interval=between(there[0], there[-1], 0) if there[0] < there[-1] else "",
        remark="n=1" if len(needed) == 1 else few,
        value=median,
        low=there[0] if known else None,
        high=there[-1] if known else None,
        n=len(there),
        muted=len(needed) == 1,
    )


def _median(needed: Sequence[float]) -> float:
    """Return the median; infinity where a half or more of the runs never got there."""
    ordered = sorted(needed)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def efficiency_figure(canvas: Canvas, table: Table) -> Picture:
    """Draw a table: the steps that each arm needs by share, on a logarithmic axis."""
    looks = {label: look for (_, label), look in canvas.looks.items()}
    series = []
    for row in table.rows:
        label, runs, *cells = row
        there = [i for i, cell in enumerate(cells) if cell.value is not None]
        if there:
            series.append(_series(label.text, runs.text, cells, there, looks[label.text]))
    metric = canvas.evidence.metrics[table.metric]
    title = f"{table.task} · steps to {metric.name}"
    x, y = "share of the way to the best final score (%)", f"{metric.axis} ↓"
    figure = drawing.lines(series, title, x, y, log=True)
    caption = sentences(
        f"{metric.axis[:1].upper()}{metric.axis[1:]} until a share of the way from the worst first"
        f" to the best final {metric.name} is reached: medians over seeds, bands their range.",
        "A line ends where half of the seeds or more never came further.",
    )
    files = canvas.save(figure, table.task, table.protocol, "steps-to", metric.name)
    return Picture(STEPS, table.task, table.protocol, f"Steps to {metric.name}", caption, files)


def _series(
    label: str, runs: str, cells: Sequence[Cell], there: Sequence[int], look: drawing.Look
) -> Series:
    def column(name: str) -> Floats:
        found = (getattr(cells[i], name) for i in there)
        return np.array([nan if value is None else value for value in found], dtype=float)

    shares = np.array([100 * SHARES[i] for i in there])
    value, low, high = column("value"), column("low"), column("high")
    count = int(cells[there[0]].n or 0)
    return Series(f"{label} (n={runs})", shares, value, low, high, look, count)
