"""Cells of measurements: of an arm over its seeds, of one run, of a published number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

import numpy as np

from rlvit.report import stats
from rlvit.report.cells import Cell, Notes, between, decimals, number
from rlvit.report.model import Arm, Reference, Value
from rlvit.specs import MetricDef

STATUS = {
    "verified": "checked against the source",
    "secondary": "quoted from a paper that is not its source",
    "superseded": "superseded by a later number of its authors",
    "imported": "imported by the user",
}
FEW_RUNS = (
    f"Fewer than {stats.FEWEST} runs: the interval is a rough guess if scores are skewed, as"
    " returns are."
)
SAME = (
    "All {n} runs measured the same, though their episodes or images differ: this gives no"
    " interval."
)
TINY = 1e-9  # a smaller spread, in parts of the value, is rounding
SPREAD = "± is the standard deviation that the source prints, not an interval of the mean."
BOLD = (
    "Bold: better than every other arm, interval against interval, and than every published number"
    " in the column."
)


def result_cell(arm: Arm, metric: MetricDef, notes: Notes, seed: int) -> Cell:
    """Return what an arm's runs measured, with the 95 % interval of their mean.

    The interval of one run is over its own episodes or images, which is said.
    """
    found = [trial.results[metric.name] for trial in arm.trials if metric.name in trial.results]
    if not found:
        return Cell()
    scores = np.array([value.value for value in found])
    if not np.isfinite(scores).all():
        return _broken_cell(scores, notes)
    if len(found) == 1:
        return _one_run_cell(found[0], metric, notes)
    if len(found) < stats.FEWEST:
        notes.say(FEW_RUNS)
    remark = "" if len(found) == len(arm.trials) else f"n={len(found)}"
    cell = replace(scores_cell(scores, seed), remark=remark)
    return _same_cell(cell, notes) if _same_by_chance(found) else cell


def scores_cell(scores: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int) -> Cell:
    """Return the mean of several runs' finite scores with its interval."""
    cell = interval_cell(stats.mean_interval(scores, seed=seed), len(scores))
    return replace(cell, spread=float(scores.std(ddof=1)))


def interval_cell(
    interval: stats.Interval, n: int, *, sign: bool = False, places: int | None = None
) -> Cell:
    """Return a number with its interval, both rounded by the interval's width or as said.

    An interval without width, as of multiply-adds that are the same in all runs, is not shown.
    """
    value, low, high = interval
    known = isfinite(low) and isfinite(high)
    if known and high - low <= TINY * abs(value):  # the same in all runs
        places = decimals(value, None, None) if places is None else places
        text = number(value, places, sign=sign)
        return Cell(text=text, value=value, low=low, high=high, n=n)
    if places is None:
        places = decimals(value, low, high) if known else decimals(value, None, None)
    if not known:
        return Cell(text=number(value, places, sign=sign), value=value, n=n)
    return Cell(
        text=number(value, places, sign=sign),
        interval=between(low, high, places, sign=sign),
        value=value,
        low=low,
        high=high,
        n=n,
    )


def _same_by_chance(values: Sequence[Value]) -> bool:
    """Tell whether runs measured the same although their episodes or images differ."""
    first = values[0].value
    noise = max(value.spread or 0.0 for value in values)
    return all(value.value == first for value in values) and noise > TINY * abs(first)


def _same_cell(cell: Cell, notes: Notes) -> Cell:
    """Return the cell without its interval, which has no width."""
    mark = notes.mark(SAME.format(n=cell.n))
    text = number(cell.value or 0.0, decimals(cell.value or 0.0, None, None))
    return replace(cell, text=text, interval="", low=None, high=None, marks=(mark,))


def _broken_cell(scores: np.ndarray[tuple[int], np.dtype[np.float64]], notes: Notes) -> Cell:
    """Return the cell of an arm of which a run measured NaN or infinity."""
    sound = scores[np.isfinite(scores)]
    bad = len(scores) - len(sound)
    with np.errstate(invalid="ignore"):
        total = float(scores.mean())
    remark = f"({bad} of {len(scores)} runs)"
    if not len(sound):
        return Cell(text=number(total, 0), remark=remark, value=total, n=0)
    mean = float(sound.mean())
    rest = "other run" if len(sound) == 1 else f"other {len(sound)} runs"
    text = (
        f"{bad} of {len(scores)} runs measured no finite number; the mean of the {rest} is "
        f"{number(mean, decimals(mean, None, None))}, which is not the method's."
    )
    mark = notes.mark(text)
    return Cell(text=number(total, 0), remark=remark, value=total, n=len(sound), marks=(mark,))


def _one_run_cell(value: Value, metric: MetricDef, notes: Notes) -> Cell:
    interval = one_run_interval(value, metric)
    if isfinite(interval.low):
        notes.say(
            f"n=1: one run only. Its interval is over its own {number(value.samples, 0)} episodes"
            " or images and says nothing about other seeds."
        )
    else:
        notes.say("n=1: one run only; nothing is known about other seeds.")
    return replace(interval_cell(interval, 1), remark="n=1", muted=True)


def one_run_interval(value: Value, metric: MetricDef) -> stats.Interval:
    """Return the 95 % interval of one run's mean over its episodes or images.

    Wilson's where they count rights and wrongs (a percentage whose samples were all 0 or 100),
    else the normal approximation; differences paired by image come with the spread of the
    differences, so the latter is theirs.
    """
    if value.spread is None or value.samples < 2:
        return stats.Interval(value.value, math.nan, math.nan)
    if metric.unit == "%" and counts(value):
        right = round(value.value / 100 * value.samples)
        _, low, high = stats.wilson(right, value.samples)
        return stats.Interval(value.value, 100 * low, 100 * high)
    return stats.samples_interval(value.value, value.spread, value.samples)


def counts(value: Value) -> bool:
    """Tell whether a percentage is a mean of zeros and hundreds, by its standard deviation."""
    share = value.value / 100
    if value.spread is None or not 0 <= share <= 1 or value.samples < 2:
        return False
    expected = 100 * math.sqrt(share * (1 - share) * value.samples / (value.samples - 1))
    return math.isclose(value.spread, expected, rel_tol=1e-6, abs_tol=1e-6)


def reference_cell(reference: Reference, notes: Notes, seed: int) -> Cell:
    """Return a number that rlvit did not measure, as its source has it, with its footnote."""
    marks = (notes.mark(source(reference)),)
    if len(reference.scores) > 1 and all(isfinite(score) for score in reference.scores):
        return replace(scores_cell(np.array(reference.scores), seed), marks=marks)
    places = _printed_decimals(reference.value)
    interval = ""
    if reference.spread is not None:
        notes.say(SPREAD)
        interval = f"± {number(reference.spread, _printed_decimals(reference.spread))}"
    n = reference.n if reference.n is not None else len(reference.scores) or None
    return Cell(
        text=number(reference.value, places),
        interval=interval,
        remark="n=1" if n == 1 else "",
        value=reference.value,
        spread=reference.spread,
        n=n,
        muted=n == 1,
        marks=marks,
    )


def source(reference: Reference) -> str:
    """Return the footnote of a number that rlvit did not measure."""
    runs = "n not stated" if reference.n is None else f"n={reference.n}"
    under = f"under {reference.protocol}" if reference.protocol else "under no protocol of rlvit"
    parts = [reference.where, reference.cite, under, runs, STATUS[reference.status]]
    text = "; ".join(" ".join(part.split()) for part in parts if part)
    note = " ".join(reference.note.split()).rstrip(".")
    return f"{text}. {note[:1].upper()}{note[1:]}." if note else f"{text}."


def _printed_decimals(value: float) -> int:
    """Return the decimals that the source printed, trailing zeros apart."""
    if not isfinite(value) or value == round(value):
        return 0
    return min(len(f"{value:.6f}".rstrip("0").partition(".")[2]), 6)


def embolden(ours: Sequence[Cell], others: Sequence[Cell], direction: str) -> list[Cell]:
    """Return our cells, the one that is better than every other beyond the intervals in bold.

    Nothing is bold where another arm has no interval over its runs, as with one run or NaN.
    `others` are published: of these the value counts where there is no interval.
    """
    rivals = [cell for cell in ours if cell.value is not None]
    if direction == "none" or len(rivals) < 2 or not all(_settled(cell) for cell in rivals):
        return list(ours)
    sign = 1.0 if direction == "max" else -1.0
    best = max(rivals, key=lambda cell: sign * (cell.value or 0.0))
    floor = min(sign * (best.low or 0.0), sign * (best.high or 0.0))
    ceilings = [_ceiling(cell, sign) for cell in rivals if cell is not best]
    ceilings += [_ceiling(cell, sign) for cell in others if cell.value is not None]
    if not all(floor > ceiling for ceiling in ceilings):
        return list(ours)
    return [replace(cell, bold=cell is best) for cell in ours]


def _settled(cell: Cell) -> bool:
    return cell.n is not None and cell.n > 1 and cell.low is not None


def _ceiling(cell: Cell, sign: float) -> float:
    ends = [end for end in (cell.low, cell.high, cell.value) if end is not None]
    return max(sign * end for end in ends)
