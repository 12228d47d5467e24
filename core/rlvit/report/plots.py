"""The figures of a report: which there are, what each shows, and what its caption says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from rlvit.report import drawing
from rlvit.report.aggregates import over_tasks
from rlvit.report.canvas import (
    Canvas,
    Picture,
    axis_label,
    groups,
    headline,
    measured,
    sentences,
)
from rlvit.report.cells import Cell, Notes, Table
from rlvit.report.curves import learning_curves
from rlvit.report.drawing import Look, Row, Spot
from rlvit.report.gallery import gallery
from rlvit.report.measured import reference_cell, result_cell
from rlvit.report.model import Arm, Evidence, Reference
from rlvit.specs import MetricDef

if TYPE_CHECKING:
    from sqlalchemy import Engine

COST = "gmacs"  # a metric <part>/gmacs is the cost of <part>/<headline>


def figures(
    evidence: Evidence, engine: Engine, out: Path, *, seed: int = 0, tables: Sequence[Table] = ()
) -> list[Picture]:
    """Draw what the evidence holds into a folder.

    Args:
        evidence: arms and references.
        engine: of the registry, for learning curves and artifacts.
        out: a folder; it is made.
        seed: of the bootstrap.
        tables: of the same evidence; the aggregates among them are drawn.
    """
    out.mkdir(parents=True, exist_ok=True)
    keys = list(dict.fromkeys((arm.method, arm.label) for arm in evidence.arms))
    looks = {key: drawing.look(place) for place, key in enumerate(keys)}
    canvas = Canvas(evidence, engine, out, seed, looks)
    found: list[Picture] = []
    with drawing.style():
        for (task, protocol), arms in groups(evidence).items():
            found += _of_task(canvas, task, protocol, arms)
        found += over_tasks(canvas, tables)
    return found + gallery(canvas)


def _of_task(canvas: Canvas, task: str, protocol: str, arms: list[Arm]) -> Iterator[Picture]:
    metric = headline(canvas.evidence, task, arms)
    if metric is not None:
        yield _intervals(canvas, task, protocol, arms, metric)
        yield from _compute(canvas, task, protocol, arms, metric)
    yield from learning_curves(canvas, task, protocol, arms, metric)


def _intervals(
    canvas: Canvas, task: str, protocol: str, arms: list[Arm], metric: MetricDef
) -> Picture:
    """Draw the headline of every arm with its interval, and references below."""
    rows = [_row(canvas, arm, metric) for arm in arms if measured(arm, metric.name)]
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
        f"Without a result: {', '.join(silent)}." if silent else "",
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
    spots = [spot for arm in arms if (spot := _spot(canvas, arm, metric.name, cost.name))]
    if not spots:
        return
    front = pareto([(spot.x, spot.y) for spot in spots], metric.direction)
    spots += _baselines(arms, part, leaf)
    figure = drawing.plane(
        spots, front, f"{task} · {metric.name} by compute", axis_label(cost), axis_label(metric)
    )
    caption = [
        f"{metric.name} against {cost.name} on {task} under {protocol}: means over seeds with 95 % "
        "intervals where there are two seeds or more.",
        "The line joins the arms that none beats in both." if len(front) > 1 else "",
        "Hollow marks are the same network without selection, measured in the same runs."
        if any(spot.baseline for spot in spots)
        else "",
    ]
    files = canvas.save(figure, task, protocol, "compute")
    title = f"{metric.name} against compute"
    yield Picture("compute", task, protocol, title, sentences(*caption), files)


def _spot(canvas: Canvas, arm: Arm, metric: str, cost: str) -> Spot | None:
    """Return an arm's place in the plane of cost and headline; None if it lacks one of them."""
    from rlvit.report import stats

    pairs = np.array(
        [
            (trial.results[cost].value, trial.results[metric].value)
            for trial in arm.trials
            if metric in trial.results and cost in trial.results
        ]
    ).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if not len(pairs):
        return None
    x, *across = stats.mean_interval(pairs[:, 0], seed=canvas.seed)
    y, *up = stats.mean_interval(pairs[:, 1], seed=canvas.seed)
    label = f"{arm.label} (n={len(pairs)})"
    return Spot(label, x, y, (across[0], across[1]), (up[0], up[1]), canvas.look(arm))


def _baselines(arms: Sequence[Arm], part: str, leaf: str) -> list[Spot]:
    """Return other parts that were measured for cost and headline alike, such as all patches."""
    places: dict[tuple[str, float, float], None] = {}
    for trial in (trial for arm in arms for trial in arm.trials):
        for name in trial.results:
            other = name.partition("/")[0]
            both = [trial.results.get(f"{other}/{metric}") for metric in (COST, leaf)]
            x, y = (nan if value is None else value.value for value in both)
            if name == f"{other}/{leaf}" and other != part and isfinite(x) and isfinite(y):
                places[other, x, y] = None
    none = (nan, nan)
    grey = Look("#7F7F7F", "-", "o")
    return [Spot(other, x, y, none, none, grey, True) for other, x, y in places]


def pareto(points: Sequence[tuple[float, float]], direction: str) -> list[tuple[float, float]]:
    """Return the (cost, score) that no other point beats in both, by rising cost."""
    sign = -1.0 if direction == "min" else 1.0
    front: list[tuple[float, float]] = []
    for x, y in sorted(set(points), key=lambda point: (point[0], -sign * point[1])):
        if not front or sign * y > sign * front[-1][1]:
            front.append((x, y))
    return front
