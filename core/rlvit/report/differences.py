"""Arms against a baseline: difference, interval, and a verdict that counts the comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import comb, isfinite

import numpy as np
from numpy.typing import NDArray

from rlvit.report import stats
from rlvit.report.cells import Cell, Notes
from rlvit.report.measured import interval_cell
from rlvit.report.model import Arm
from rlvit.specs import MetricDef

LEVEL = 0.05
TEST = (
    "Difference: minus the baseline, with its 95 % interval, paired where both arms have the same"
    " seeds. p: permutation test of the difference of means, runs exchanged between the arms,"
    " adjusted after Holm for the {family} of this column; better or worse where p ≤ 0.05."
)
NO_RIVAL = "no arm with {baseline} is like it in everything else"
TOO_FEW = "so few runs cannot reach p ≤ 0.05, whatever they measure"


def counterpart(arm: Arm, arms: Sequence[Arm], baseline: str) -> Arm | None:
    """Return the arm that `arm` is compared with, None if there is none.

    `baseline` is an arm's label, or SLOT=NAME: then the arm that differs in this part alone, as
    a random selection at the same compute does.
    """
    slot = baseline.partition("=")[0]
    named = [o for o in arms if names_baseline(o, baseline) and o.protocol == arm.protocol]
    for other in named:
        if other.label == baseline:
            return None if other is arm else other
    for other in named:
        same = {**other.slots, slot: ""} == {**arm.slots, slot: ""} and other.config == arm.config
        if other is not arm and other.method == arm.method and same:
            return other
    return None


def names_baseline(arm: Arm, baseline: str) -> bool:
    """Tell whether an arm is what `baseline` names."""
    slot, _, name = baseline.partition("=")
    return arm.label == baseline or (bool(name) and arm.slots.get(slot) == name)


def difference_cells(
    arms: Sequence[Arm], metric: MetricDef, baseline: str, notes: Notes, seed: int
) -> list[Cell]:
    """Return each arm's difference from its baseline, with Holm's verdict over all of them."""
    rivals = [counterpart(arm, arms, baseline) for arm in arms]
    pairs = [
        (_scores(arm, metric.name), _scores(rival, metric.name) if rival else {})
        for arm, rival in zip(arms, rivals, strict=True)
    ]
    cells = [_difference(x, y, seed) for x, y in pairs]
    tested = [i for i, (x, y) in enumerate(pairs) if len(x) > 1 and len(y) > 1 and _finite(x, y)]
    raw = [
        stats.permutation_test(_array(pairs[i][0]), _array(pairs[i][1]), seed=seed) for i in tested
    ]
    adjusted = stats.holm(raw).tolist()
    for i, p in zip(tested, adjusted, strict=True):
        cells[i] = _judged(cells[i], p, pairs[i], metric, notes)
    if tested:
        family = f"{len(tested)} comparisons" if len(tested) > 1 else "one comparison"
        notes.say(TEST.format(family=family))
    for i, (arm, rival) in enumerate(zip(arms, rivals, strict=True)):
        if names_baseline(arm, baseline) and not rival:
            cells[i] = Cell(text="", remark="baseline")
        elif not rival:
            cells[i] = Cell(marks=(notes.mark(NO_RIVAL.format(baseline=baseline)),))
    return cells


def _scores(arm: Arm, metric: str) -> dict[int, float]:
    """Return an arm's values by seed, or by place where seeds repeat."""
    found = [(t.seed, t.results[metric].value) for t in arm.trials if metric in t.results]
    if len({seed for seed, _ in found}) < len(found):
        return {-1 - i: value for i, (_, value) in enumerate(found)}
    return dict(found)


def _array(scores: dict[int, float]) -> NDArray[np.float64]:
    return np.array([scores[seed] for seed in sorted(scores)])


def _finite(*scores: dict[int, float]) -> bool:
    return all(isfinite(value) for of in scores for value in of.values())


def _difference(x: dict[int, float], y: dict[int, float], seed: int) -> Cell:
    if not x or not y:
        return Cell()
    mine, theirs = _array(x), _array(y)
    n = min(len(mine), len(theirs))
    if n == 1 or not _finite(x, y):
        with np.errstate(invalid="ignore"):
            gap = float(mine.mean() - theirs.mean())
        nothing = stats.Interval(gap, float("nan"), float("nan"))
        cell = interval_cell(nothing, n, sign=True)
        return replace(cell, remark="n=1" if n == 1 else "", muted=True)
    if set(x) == set(y) and min(x) >= 0:
        interval = stats.paired(mine, theirs, seed=seed)
    else:
        interval = stats.difference(mine, theirs, seed=seed)
    return interval_cell(interval, n, sign=True)


def _judged(
    cell: Cell,
    p: float,
    pair: tuple[dict[int, float], dict[int, float]],
    metric: MetricDef,
    notes: Notes,
) -> Cell:
    x, y = pair
    if p <= LEVEL and metric.direction != "none" and cell.value:
        better = (cell.value > 0) == (metric.direction == "max")
        verdict = "better" if better else "worse"
    else:
        verdict = "different" if p <= LEVEL else "undecided"
    divisions = comb(len(x) + len(y), len(x))
    smallest = (2 if len(x) == len(y) else 1) / divisions  # as far apart as runs can be
    marks = (notes.mark(TOO_FEW),) if smallest > LEVEL else ()
    size = f"p={p:.3f}" if p >= 0.001 else "p<0.001"
    return replace(cell, remark=f"{verdict}, {size}", p=p, marks=marks)
