"""Figures over several games: aggregates of human-normalised scores and performance profiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite, nan
from typing import Literal

import numpy as np

from rlvit.report import drawing, normalised, stats
from rlvit.report.canvas import Canvas, Picture, sentences
from rlvit.report.cells import Cell, Table
from rlvit.report.drawing import Row, Series
from rlvit.report.normalised import Line

STATISTICS = {
    "iqm": "Interquartile mean",
    "median": "Median",
    "mean": "Mean",
    "optimality_gap": "Optimality gap",
}
TAUS = np.linspace(0.0, 2.0, 81)
AXIS = "human-normalised score"


def over_tasks(canvas: Canvas, tables: Sequence[Table]) -> Iterator[Picture]:
    """Draw the aggregates and the profile of each protocol, over the largest set of its games."""
    largest: dict[str, Table] = {}
    for table in tables:
        if table.kind == "aggregate" and table.protocol:  # without a protocol nothing compares
            largest.setdefault(table.protocol, table)
    for table in largest.values():
        yield from _aggregates(canvas, table)
        yield from _profile(canvas, table.protocol)


def _aggregates(canvas: Canvas, table: Table) -> Iterator[Picture]:
    """Draw the numbers of an aggregate table."""
    places = {column.key: place for place, column in enumerate(table.columns)}
    labels = {arm.label for arm in canvas.evidence.arms if arm.protocol == table.protocol}
    ours = table.breaks[0] if table.breaks else len(table.rows)
    for key, name in STATISTICS.items():
        rows = []
        for number, cells in enumerate(table.rows):
            label, cell = cells[places["arm"]].text, cells[places[key]]
            measured = number < ours and label in labels
            rows += [_row(canvas, label, cell, measured)] if cell.value is not None else []
        if not any(row.kind != "reference" or isfinite(row.low) for row in rows):
            continue  # printed means alone: the table says as much
        arrow = "↓" if key == "optimality_gap" else "↑"
        figure = drawing.intervals(rows, name, f"{AXIS} {arrow}")
        caption = sentences(
            f"{name}: {table.title}. Bars are 95 % bootstrap intervals, runs resampled within "
            "each game; no bar where a game has one run only.",
            "Grey diamonds were not measured here."
            if any(row.kind == "reference" for row in rows)
            else "",
        )
        files = canvas.save(figure, "games", table.protocol, name)
        yield Picture("aggregate", "", table.protocol, name, caption, files)


def _row(canvas: Canvas, label: str, cell: Cell, measured: bool) -> Row:
    value, low, high = (nan if end is None else end for end in (cell.value, cell.low, cell.high))
    if not measured:
        return Row(label, value, low, high, cell.shown, "reference")
    look = next(look for (_, name), look in canvas.looks.items() if name == label)
    kind: Literal["runs", "samples"] = "samples" if cell.n == 1 else "runs"
    return Row(label, value, low, high, cell.shown, kind, (), look)


def _profile(canvas: Canvas, protocol: str) -> Iterator[Picture]:
    """Draw the share of runs that score more than each threshold."""
    lines = [line for line in _lines(canvas, protocol) if not line.means]
    games = next(iter(normalised.game_sets(lines)), ())
    lines = [line for line in lines if set(games) <= set(line.scores)]
    if not games or not lines:
        return
    series = [
        _share(canvas, line, [line.scores[game] for game in games], place)
        for place, line in enumerate(lines[: drawing.MOST_LINES])
    ]
    title = "Performance profile"
    figure = drawing.lines(series, title, f"{AXIS} τ", "share of runs above τ")
    caption = sentences(
        f"Share of runs with a {AXIS} above τ, over {len(games)} games under {protocol}.",
        "Bands are pointwise 95 % bootstrap intervals, runs resampled within each game; none where "
        "a game has one run only.",
        "A line that lies above another everywhere is the better one.",
    )
    files = canvas.save(figure, "games", protocol, "profile")
    yield Picture("profile", "", protocol, title, caption, files)


def _lines(canvas: Canvas, protocol: str) -> list[Line]:
    """Return the finite scores of arms and sources by game."""
    evidence = canvas.evidence
    lines = [*normalised.of_arms(evidence, protocol), *normalised.of_references(evidence, protocol)]
    return [line for line in lines if all(np.isfinite(s).all() for s in line.scores.values())]


def _share(canvas: Canvas, line: Line, scores: list[drawing.Floats], place: int) -> Series:
    share, low, high = stats.performance_profile(scores, TAUS, seed=canvas.seed)
    known = {label: look for (_, label), look in canvas.looks.items() if line.ours}
    look = known.get(line.name) or drawing.look(len(canvas.looks) + place)
    runs = sorted({len(of) for of in scores})
    count = " to ".join(str(n) for n in (runs[0], runs[-1])[: len(runs)])
    return Series(f"{line.name} (n={count})", TAUS, share, low, high, look)
