"""The figures of a report: which there are, what each shows, and what its caption says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import Literal

import numpy as np

from rlvit.report import drawing
from rlvit.report.aggregates import over_tasks
from rlvit.report.canvas import (
    Canvas,
    Picture,
    axis_label,
    groups,
    headline,
    left_out,
    measured,
    sentences,
)
from rlvit.report.cells import Cell, Notes, Table
from rlvit.report.curves import learning_curves
from rlvit.report.drawing import Floats, Look, Row, Spot
from rlvit.report.efficiency import STEPS, efficiency_figure
from rlvit.report.gallery import gallery
from rlvit.report.measured import reference_cell, result_cell
from rlvit.report.model import Arm, Reference
from rlvit.report.readings import Readings, leaders
from rlvit.report.summary import listed
from rlvit.specs import MetricDef

COST = "gmacs"  # a metric <part>/gmacs is the cost of <part>/<headline>


def figures(
    canvas: Canvas,
    tables: Sequence[Table] = (),
    readings: Readings | None = None,
    elsewhere: Collection[Path] = (),
) -> list[Picture]:
    """Draw what the evidence of a canvas holds.

    Args:
        canvas: of `make_canvas`.
        tables: of the same evidence; the aggregates and efficiencies among them are drawn.
        readings: of the same evidence; what they know already is not read again.
        elsewhere: pictures of runs that the report shows in other places.
    """
    readings = readings or Readings(canvas.evidence, canvas.engine)
    found: list[Picture] = []
    with drawing.style():
        for (task, protocol), arms in groups(canvas.evidence).items():
            found += _of_task(canvas, readings, task, protocol, arms)
            mine = [t for t in tables if (t.kind, t.task, t.protocol) == (STEPS, task, protocol)]
            found += [efficiency_figure(canvas, table) for table in mine]
        found += over_tasks(canvas, tables)
    return found + gallery(canvas, elsewhere)


def _of_task(
    canvas: Canvas, readings: Readings, task: str, protocol: str, arms: list[Arm]
) -> Iterator[Picture]:
    metric = headline(canvas.evidence, task, arms)
    if metric is not None:
        yield _intervals(canvas, task, protocol, arms, metric)
        yield from _compute(canvas, task, protocol, arms, metric)
    yield from learning_curves(canvas, readings, task, protocol, arms, metric)


def _intervals(
    canvas: Canvas, task: str, protocol: str, arms: list[Arm], metric: MetricDef
) -> Picture:
    """Draw the headline of the arms with its interval, and references below."""
    found = [arm for arm in arms if measured(arm, metric.name)]
    rows = [_row(canvas, arm, metric) for arm in leaders(found, metric)]
    more = len(found) - len(rows)
    references = [
        reference
        for reference in canvas.evidence.references
        if (reference.task, reference.protocol, reference.metric) == (task, protocol, metric.name)
    ]
    rows += [_reference_row(canvas, reference) for reference in references]
    silent = [arm.label for arm in arms if not measured(arm, metric.name)]
    figure = drawing.intervals(rows, f"{task} · {metric.name}", axis_label(metric))
    words = [
        f"{metric.name} ({metric.meaning}) on {task} under {protocol}.",
        "Filled marks: means over seeds, with 95 % intervals; ticks: single seeds."
        if any(row.kind == "runs" for row in rows)
        else "",
        "Hollow marks: one run (n=1); dotted bars are over its own episodes or images and say "
        "nothing about other seeds."
        if any(row.kind == "samples" for row in rows)
        else "",
        "Grey diamonds: numbers that were not measured here." if references else "",
        f"Without a result: {listed(silent)}." if silent else "",
        left_out(more),
    ]
    files = canvas.save(figure, task, protocol, metric.name)
    return Picture("intervals", task, protocol, f"{metric.name} by arm", sentences(*words), files)


def _row(canvas: Canvas, arm: Arm, metric: MetricDef) -> Row:
    """Return an arm's row; its number is written as in the tables."""
    cell = result_cell(arm, metric, Notes(), canvas.seed)
    kind: Literal["runs", "samples"] = "samples" if cell.n == 1 else "runs"
    runs = tuple(v.value for v in measured(arm, metric.name) if isfinite(v.value))
    return _place(arm.label, cell, kind, () if kind == "samples" else runs, canvas.look(arm))


def _reference_row(canvas: Canvas, reference: Reference) -> Row:
    label = f"{reference.name}, {reference.status}: {reference.where}"
    return _place(label, reference_cell(reference, Notes(), canvas.seed), "reference")


def _place(
    label: str,
    cell: Cell,
    kind: Literal["runs", "samples", "reference"],
    runs: tuple[float, ...] = (),
    look: Look | None = None,
) -> Row:
    value, low, high = (nan if v is None else v for v in (cell.value, cell.low, cell.high))
    count = "" if cell.remark else "n unknown" if cell.n is None else f"n={cell.n}"
    return Row(
        label,
        value,
        low,
        high,
        ", ".join(part for part in (cell.shown, count) if part),
        kind,
        runs,
        look,
    )


def _compute(
    canvas: Canvas, task: str, protocol: str, arms: list[Arm], metric: MetricDef
) -> Iterator[Picture]:
    """Draw the headline against the compute of an image, where both were measured."""
    part, _, leaf = metric.name.partition("/")
    cost = canvas.evidence.metrics.get(f"{part}/{COST}")
    if cost is None or metric.name == cost.name or metric.direction == "none":
        return
    pairs = {arm.fingerprint: _pairs(arm, cost.name, metric.name) for arm in arms}
    places = {name: _mean_of(found) for name, found in pairs.items() if len(found)}
    if not places:
        return
    front = pareto(list(places.values()), metric.direction)
    found = [arm for arm in arms if arm.fingerprint in places]
    best = {arm.fingerprint for arm in leaders(found, metric)}
    best |= {name for name, place in places.items() if place in front}
    shown = [arm for arm in found if arm.fingerprint in best]
    spots = [_spot(canvas, arm, pairs[arm.fingerprint]) for arm in shown]
    single = any(spot.hollow for spot in spots)
    beside = _baselines(arms, part, leaf)
    figure = drawing.plane(
        [*spots, *beside],
        front,
        f"{task} · {metric.name} by compute",
        axis_label(cost),
        axis_label(metric),
    )
    caption = [
        f"{metric.name} against {cost.name} on {task} under {protocol}: means over seeds with 95 % "
        "intervals where there are two seeds or more.",
        "The line joins the arms that none beats in both." if len(front) > 1 else "",
        "Hollow marks: one run (n=1)." if single else "",
        "Grey circles are the same network without selection, measured in the same runs."
        if beside
        else "",
        left_out(len(found) - len(shown)),
    ]
    files = canvas.save(figure, task, protocol, "compute")
    title = f"{metric.name} against compute"
    yield Picture("compute", task, protocol, title, sentences(*caption), files)


def _pairs(arm: Arm, cost: str, metric: str) -> Floats:
    """Return the (cost, headline) [runs, 2] of an arm's runs that measured both."""
    pairs = np.array(
        [
            (trial.results[cost].value, trial.results[metric].value)
            for trial in arm.trials
            if metric in trial.results and cost in trial.results
        ]
    ).reshape(-1, 2)
    return np.sort(pairs[np.isfinite(pairs).all(axis=1)], axis=0)  # so that order cannot matter


def _mean_of(pairs: Floats) -> tuple[float, float]:
    x, y = (float(column.mean()) for column in pairs.T)
    return x, y


def _spot(canvas: Canvas, arm: Arm, pairs: Floats) -> Spot:
    """Return an arm's place in the plane of cost and headline."""
    from rlvit.report import stats

    x, *across = stats.mean_interval(pairs[:, 0], seed=canvas.seed)
    y, *up = stats.mean_interval(pairs[:, 1], seed=canvas.seed)
    label = f"{arm.label} (n={len(pairs)})"
    return Spot(
        label, x, y, (across[0], across[1]), (up[0], up[1]), canvas.look(arm), len(pairs) == 1
    )


def _baselines(arms: Sequence[Arm], part: str, leaf: str) -> list[Spot]:
    """Return other parts that were measured for cost and headline alike, such as all patches.

    Each is the mean of an arm's runs, named with the arm; arms that measured the same share it.
    """
    places: dict[tuple[str, float, float], list[str]] = {}
    for arm in arms:
        names = dict.fromkeys(name for trial in arm.trials for name in trial.results)
        for other in [name.removesuffix(f"/{leaf}") for name in names if name.endswith(f"/{leaf}")]:
            pairs = _pairs(arm, f"{other}/{COST}", f"{other}/{leaf}")
            if "/" not in other and other != part and len(pairs):
                places.setdefault((other, *_mean_of(pairs)), []).append(arm.label)
    none = (nan, nan)
    grey = Look("#7F7F7F", "-", "o")
    return [
        Spot(f"{other} of {listed(labels)}", x, y, none, none, grey, hollow=True)
        for (other, x, y), labels in places.items()
    ]


def pareto(points: Sequence[tuple[float, float]], direction: str) -> list[tuple[float, float]]:
    """Return the (cost, score) that no other point beats in both, by rising cost."""
    sign = -1.0 if direction == "min" else 1.0
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -sign * point[1])):
        if not front or sign * y > sign * front[-1][1]:
            front.append((x, y))
    return front
