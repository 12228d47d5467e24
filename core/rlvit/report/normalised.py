"""Aggregates of human-normalised scores over games."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rlvit.report import stats
from rlvit.report.cells import TO, Cell, Column, Notes, Table, slug, text_cell
from rlvit.report.measured import BOLD, embolden, interval_cell, source
from rlvit.report.model import Evidence, Reference

RAW, NORMALISED = "eval/return", "eval/human_normalised"
FEWEST_GAMES = 2
DECIMALS = 3  # as papers print these aggregates
STATISTICS: tuple[tuple[str, stats.Statistic, str], ...] = (
    ("mean", stats.mean, "max"),
    ("median", stats.median, "max"),
    ("iqm", stats.iqm, "max"),
    ("optimality_gap", stats.optimality_gap, "min"),
)
COLUMNS = (
    Column("arm", "arm", "text"),
    Column("runs", "runs a game", "text"),
    Column("mean", "mean", "result", direction="max"),
    Column("median", "median", "result", direction="max"),
    Column("iqm", "IQM", "result", direction="max"),
    Column("optimality_gap", "optimality gap", "result", direction="min"),
)
OF_RUNS = ("iqm", "optimality_gap")  # cannot be had from means over runs
Games: TypeAlias = tuple[str, ...]


@dataclass
class Line:
    """The scores of one arm or source, by game."""

    name: str
    ours: bool
    imported: bool = False  # by the user
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)  # game -> one a run
    runs: dict[str, int | None] = field(default_factory=dict)
    means: bool = False  # the scores are means over runs
    notes: dict[str, str] = field(default_factory=dict)  # game -> footnote


def aggregate_tables(evidence: Evidence, *, seed: int) -> Iterator[Table]:
    """Return a table for each protocol and each set of games that an arm was run on.

    Aggregates over different games do not compare, so each table is over games that all of its
    lines have. Where there is an arm, tables of published numbers alone are left out: nothing
    that was run or imported stands in them.
    """
    protocols = [arm.protocol for arm in evidence.arms]
    protocols += [reference.protocol for reference in evidence.references]
    for protocol in dict.fromkeys(protocols):
        lines = [*of_arms(evidence, protocol), *of_references(evidence, protocol)]
        if protocol:
            for games in game_sets(lines):
                sharing = [line for line in lines if set(games) <= set(line.scores)]
                if not evidence.arms or any(line.ours or line.imported for line in sharing):
                    yield _table(protocol, games, sharing, seed)
        else:  # nothing says that any two of these compare
            for line in lines:
                for games in game_sets([line]) if line.imported or not evidence.arms else ():
                    yield _table("", games, [line], seed)


def of_arms(evidence: Evidence, protocol: str) -> list[Line]:
    """Return the human-normalised scores of the arms under a protocol."""
    lines: dict[tuple[str, str], Line] = {}
    for arm in evidence.arms:
        found = [t.results[NORMALISED].value for t in arm.trials if NORMALISED in t.results]
        if arm.protocol == protocol and found:
            line = lines.setdefault((arm.method, arm.label), Line(arm.label, ours=True))
            line.scores[arm.task], line.runs[arm.task] = np.array(found), len(found)
    return list(lines.values())


def of_references(evidence: Evidence, protocol: str) -> list[Line]:
    """Return the human-normalised scores that were not measured here, by name and source."""
    lines: dict[tuple[str, str], Line] = {}
    for reference in evidence.references:
        scores = _normalised(reference, evidence.facts.get(reference.task, {}))
        if reference.protocol != protocol or scores is None:
            continue
        key = (reference.name, reference.where)
        line = lines.setdefault(key, Line(reference.name, ours=False))
        line.imported |= reference.status == "imported"
        if reference.task in line.scores and reference.metric == NORMALISED:
            continue  # the raw score, which is more exact, was there first
        line.scores[reference.task] = scores
        line.runs[reference.task] = len(reference.scores) or reference.n
        line.means |= not reference.scores
        line.notes[reference.task] = source(replace(reference, n=line.runs[reference.task]))
    return list(lines.values())


def _normalised(reference: Reference, facts: Mapping[str, float]) -> NDArray[np.float64] | None:
    """Return (score - random) / (human - random), None where it cannot be had."""
    scores = np.array(reference.scores or (reference.value,), dtype=float)
    if reference.metric == NORMALISED:
        return scores
    low, high = facts.get("random_score"), facts.get("human_score")
    if reference.metric != RAW or low is None or high is None or high == low:
        return None
    return (scores - low) / (high - low)


def game_sets(lines: Sequence[Line]) -> list[Games]:
    """Return the sets of games of our arms, of the sources where there is no arm; largest first."""
    leading = [line for line in lines if line.ours] or lines
    found = {tuple(sorted(line.scores)) for line in leading}
    enough = [games for games in found if len(games) >= FEWEST_GAMES]
    return sorted(enough, key=lambda games: (-len(games), games))


def _table(protocol: str, games: Games, lines: Sequence[Line], seed: int) -> Table:
    notes = Notes()
    rows = [[*_head(line, games, notes), *_statistics(line, games, notes, seed)] for line in lines]
    ours = sum(line.ours for line in lines)
    for place, (_, _, direction) in enumerate(STATISTICS, start=2):
        cells = [row[place] for row in rows]
        for row, cell in zip(rows, embolden(cells[:ours], cells[ours:], direction), strict=False):
            row[place] = cell
    if any(cell.bold for row in rows for cell in row):
        notes.say(BOLD)
    under = f"under {protocol}" if protocol else f"of {lines[0].name}, under no protocol of rlvit"
    return Table(
        kind="aggregate",
        slug=slug("aggregate", protocol or lines[0].name, f"{len(games)} games", _mark(games)),
        title=f"Human-normalised scores over {len(games)} games {under}",
        caption=f"Aggregates of (score - random) / (human - random) over {', '.join(games)}, with"
        " 95 % bootstrap intervals stratified by game. Mean and median are of the games' means;"
        " IQM is the mean of the middle half of all runs; the optimality gap is the mean of what"
        " runs miss to 1.",
        columns=COLUMNS,
        rows=tuple(tuple(row) for row in rows),
        footnotes=notes.footnotes(),
        breaks=(ours,) if 0 < ours < len(rows) else (),
        protocol=protocol,
        metric=NORMALISED,
    )


def _mark(games: Games) -> str:
    """Return what tells a set of games from others in the name of a file."""
    return hashlib.sha256("|".join(games).encode()).hexdigest()[:8]


def _head(line: Line, games: Games, notes: Notes) -> list[Cell]:
    """Return the name, with its sources, and how many runs there are of a game."""
    sources = dict.fromkeys(line.notes[game] for game in games if game in line.notes)
    if len(sources) > 2:  # as where each game has its own remark: the first stands for them
        sources = dict.fromkeys([next(iter(sources))])
    counts = [line.runs[game] for game in games]
    known = [count for count in counts if count is not None]
    low, high = (min(known), max(known)) if known else (0, 0)
    text = "?" if len(known) < len(counts) else str(low) if low == high else f"{low}{TO}{high}"
    return [text_cell(line.name, marks=[notes.mark(s) for s in sources]), text_cell(text)]


def _statistics(line: Line, games: Games, notes: Notes, seed: int) -> list[Cell]:
    scores = [line.scores[game] for game in games]
    runs = min(len(of) for of in scores)
    cells = []
    for key, statistic, _ in STATISTICS:
        if line.means and key in OF_RUNS:
            cells.append(Cell(marks=(notes.mark("needs the scores of single runs"),)))
            continue
        interval = stats.bootstrap(scores, statistic, seed=seed)
        if runs < 2:  # games with one run would count as known exactly
            interval = interval._replace(low=math.nan, high=math.nan)
        cells.append(_cell(interval, line, runs, notes))
    return cells


def _cell(interval: stats.Interval, line: Line, runs: int, notes: Notes) -> Cell:
    cell = interval_cell(interval, runs, places=DECIMALS)
    if not math.isfinite(interval.value):
        return replace(cell, marks=(notes.mark("a run measured no finite number"),))
    if line.means:
        return replace(cell, n=None)
    if runs == 1:
        notes.say("n=1: games with one run only; nothing is known about other seeds.")
        return replace(cell, remark="n=1", muted=True)
    return cell
