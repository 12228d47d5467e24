"""The sections that plugins add: asks for them, turns what they return into tables and figures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from rlvit.catalog import Catalog, Entry
from rlvit.contracts import Measurement
from rlvit.report import collect, drawing, films, stats
from rlvit.report.canvas import Canvas, Picture, looks_of, places, sentences
from rlvit.report.cells import Cell, Column, ColumnKind, Notes, Table, count_cell, slug, text_cell
from rlvit.report.drawing import Look
from rlvit.report.measured import FEW_RUNS, interval_cell
from rlvit.report.model import Arm, Evidence, Trial
from rlvit.report.tables import own_slugs
from rlvit.sections import (
    Estimate,
    House,
    ReportSection,
    SectionArm,
    SectionCell,
    SectionColumn,
    SectionContent,
    SectionFigure,
    SectionPicture,
    SectionRequest,
    SectionTable,
    SectionTrial,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

HOUSE = House(drawing.COLOURS, drawing.MARKERS, drawing.INK, drawing.GRID)
DIGITS = 4  # significant ones of a number without an interval
MEANS = "Means over runs with their 95 % intervals."
ONE_RUN = "n=1: one run only; nothing is known about other seeds."


@dataclass(frozen=True)
class Extra:
    """A section on one task under one protocol, as the report shows it."""

    section: ReportSection
    plugin: str
    task: str
    protocol: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[SectionFigure | SectionPicture, ...] = ()
    pictures: tuple[Picture, ...] = ()  # the figures, once they are drawn
    problem: str = ""  # why it is not shown

    @property
    def failure(self) -> str:
        """Return the line that says what went wrong."""
        return f"section {self.section.name} of plugin {self.plugin} failed: {self.problem}"


def collect_sections(
    evidence: Evidence, engine: Engine, catalog: Catalog, *, seed: int = 0
) -> list[Extra]:
    """Return the sections that have something to show, by task and protocol, and those that failed.

    Args:
        evidence: of the runs.
        engine: of the registry, for learning curves.
        catalog: of the plugins.
        seed: of the report.
    """
    looks = looks_of(evidence)
    found = []
    for (task, protocol), arms in places(evidence).items():
        views = tuple(_arm(arm, looks[arm.method, arm.label]) for arm in arms if arm.trials)
        request = _request(evidence, engine, (task, protocol), views, seed)
        extras = (_built(entry, request) for entry in catalog.entries["section"].values())
        found += [extra for extra in extras if extra is not None]
    return found


def own_names(extras: Sequence[Extra], others: Sequence[Table]) -> list[Extra]:
    """Return the sections with tables that no other table of the report is named like."""
    flat = [table for extra in extras for table in extra.tables]
    named = islice(own_slugs([*others, *flat]), len(others), None)
    return [replace(extra, tables=tuple(islice(named, len(extra.tables)))) for extra in extras]


def draw_sections(canvas: Canvas, extras: Sequence[Extra]) -> list[Extra]:
    """Return the sections with their figures drawn into the canvas's folder."""
    return [_drawn(canvas, extra) for extra in extras]


def _request(
    evidence: Evidence,
    engine: Engine,
    where: tuple[str, str],
    arms: tuple[SectionArm, ...],
    seed: int,
) -> SectionRequest:
    def interval(values: Sequence[float]) -> Estimate:
        return estimate(values, seed)

    return SectionRequest(
        task=where[0],
        protocol=where[1],
        arms=arms,
        metrics=MappingProxyType(dict(evidence.metrics)),
        seed=seed,
        curve=lambda trial, metric: collect.curve(engine, trial.id, metric),
        files=files_of,
        interval=interval,
        house=HOUSE,
    )


def estimate(values: Sequence[float], seed: int) -> Estimate:
    """Return the mean of runs' values with its interval; NaN if one is no finite number."""
    runs = np.asarray(values, dtype=float)
    finite = int(np.isfinite(runs).sum())
    if not len(runs) or finite < len(runs):
        with np.errstate(invalid="ignore"):
            total = float(runs.mean()) if len(runs) else math.nan
        return Estimate(total, math.nan, math.nan, finite)
    return Estimate(*stats.mean_interval(runs, seed=seed), finite)


def files_of(trial: SectionTrial, kind: str, pattern: str) -> tuple[Path, ...]:
    """Return the files of a trial's artifact that match a pattern, by name; none if it is gone."""
    folder = trial.artifacts.get(kind)
    if folder is None or not folder.is_dir():
        return ()
    return tuple(sorted(path for path in folder.glob(pattern) if path.is_file()))


def _arm(arm: Arm, look: Look) -> SectionArm:
    return SectionArm(
        label=arm.label,
        method=arm.method,
        task=arm.task,
        protocol=arm.protocol,
        preset=arm.preset,
        config=MappingProxyType(dict(arm.config)),
        slots=MappingProxyType(dict(arm.slots)),
        trials=tuple(map(_trial, arm.trials)),
        style=MappingProxyType(
            {"color": look.colour, "linestyle": look.line, "marker": look.marker}
        ),
    )


def _trial(trial: Trial) -> SectionTrial:
    results = {
        metric: Measurement(metric, one.value, one.samples, one.spread, one.step)
        for metric, one in trial.results.items()
    }
    folders = {kind: Path(folder) for kind, folder in trial.artifacts.items()}
    return SectionTrial(trial.id, trial.seed, MappingProxyType(results), MappingProxyType(folders))


def _built(entry: Entry, request: SectionRequest) -> Extra | None:
    """Ask a plugin for a section; None if it has nothing to show."""
    extra = Extra(entry.spec, entry.owner.name, request.task, request.protocol)
    try:
        content = entry.spec.build(request)
        if content is None:
            return None
        if not isinstance(content, SectionContent):
            raise TypeError(f"build returned {type(content).__name__}, no SectionContent")
        return replace(
            extra,
            paragraphs=tuple(map(str, content.paragraphs)),
            tables=tuple(_table(extra, table) for table in content.tables),
            figures=tuple(content.figures),
        )
    except (Exception, SystemExit) as problem:
        return replace(extra, problem=_said(problem))


def _said(problem: BaseException) -> str:
    """Return an exception in one line that is the same in every process."""
    text = " ".join(f"{type(problem).__name__}: {problem}".split())
    return re.sub(r"\b0x[0-9a-f]+", "0x…", text)[:300]


def _table(extra: Extra, table: SectionTable) -> Table:
    """Return a plugin's table as the report's own; raises ValueError where a row does not fit."""
    width = len(table.columns)
    for number, row in enumerate(table.rows, 1):
        if len(row) != width:
            raise ValueError(f"row {number} of {table.title!r} has {len(row)} of {width} cells")
    notes = Notes()
    rows = tuple(tuple(_cell(value, notes) for value in row) for row in table.rows)
    kinds = [_kind([row[place] for row in table.rows]) for place in range(width)]
    has_means = _has_means(value for row in table.rows for value in row)
    means = MEANS if has_means and MEANS not in table.note else ""
    return Table(
        kind="section",
        slug=slug(extra.task, extra.protocol, extra.section.name, table.title),
        title=table.title,
        caption=sentences(table.note, means),
        columns=tuple(_columns(table.columns, kinds)),
        rows=rows,
        footnotes=notes.footnotes(),
        task=extra.task,
        protocol=extra.protocol,
    )


def _columns(columns: Sequence[SectionColumn], kinds: Sequence[ColumnKind]) -> Iterator[Column]:
    taken: dict[str, int] = {}
    for column, kind in zip(columns, kinds, strict=True):
        plain = re.sub(r"[^a-z0-9]+", "_", column.title.lower()).strip("_") or "column"
        taken[plain] = taken.get(plain, 0) + 1
        key = plain if taken[plain] == 1 else f"{plain}_{taken[plain]}"
        yield Column(key, column.title, kind, column.unit, column.direction)


def _kind(values: Sequence[SectionCell]) -> ColumnKind:
    """Return the kind of a column; of numbers and texts: one whose remarks are the texts."""
    texts = [isinstance(value, str) for value in values if value is not None]
    if texts and all(texts):
        return "text"
    return "result" if any(texts) or _has_means(values) else "count"


def _has_means(values: Iterable[SectionCell]) -> bool:
    return any(isinstance(value, Estimate) for value in values)


def _cell(value: SectionCell, notes: Notes) -> Cell:
    if value is None:
        return Cell()
    if isinstance(value, str):
        return text_cell(value)
    if isinstance(value, Estimate):
        return _estimate_cell(value, notes)
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"a cell is {value!r}: expected text, a number, an Estimate or None")
    whole = isinstance(value, int | np.integer)
    return count_cell(float(value), None if whole else DIGITS)


def _estimate_cell(value: Estimate, notes: Notes) -> Cell:
    cell = interval_cell(stats.Interval(value.value, value.low, value.high), value.n)
    if value.n == 1:
        notes.say(ONE_RUN)
        return replace(cell, remark="n=1", muted=True)
    if value.n < stats.FEWEST and math.isfinite(value.value):
        notes.say(FEW_RUNS)
    return cell


def _drawn(canvas: Canvas, extra: Extra) -> Extra:
    try:
        pictures = tuple(_picture(canvas, extra, figure) for figure in extra.figures)
    except (Exception, SystemExit) as problem:
        return replace(extra, problem=_said(problem))
    return replace(extra, pictures=pictures)


def _picture(canvas: Canvas, extra: Extra, figure: SectionFigure | SectionPicture) -> Picture:
    name = canvas.name(extra.task, extra.protocol, extra.section.name, figure.title)
    caption = figure.caption
    if isinstance(figure, SectionFigure):
        files = _figure(figure, canvas.out / name)
    elif not films.is_shown(figure.path):
        raise ValueError(f"{figure.path} is no PNG, GIF or MP4 file")
    elif films.is_large(figure.path):
        size = films.MOST_BYTES // 1000
        files, caption = (), f"{figure.path} is larger than {size} kB and not copied. {caption}"
    else:
        files = films.copied(figure.path, canvas.out / name)
    return Picture("section", extra.task, extra.protocol, figure.title, caption, files)


def _figure(figure: SectionFigure, stem: Path) -> tuple[Path, ...]:
    """Let a plugin draw on axes in the report's style; the legend goes below them."""
    with drawing.style():
        drawn, axes = drawing.blank()
        figure.draw(axes)
        axes.set_title(figure.title, loc="left", fontsize=drawing.FONT + 1)
        labels = axes.get_legend_handles_labels()[1]
        rows = -(-len(labels) // drawing.columns_of(labels))
        drawn.set_size_inches(drawing.WIDTH, drawing.HEIGHT + drawing.ROW_LEGEND * max(0, rows - 1))
        drawing.legend_below(drawn, axes)
        return drawing.save(drawn, stem)


def failures(extras: Sequence[Extra]) -> Mapping[str, None]:
    """Return what went wrong, each line once and with where it did."""
    return dict.fromkeys(
        f"{extra.failure} ({extra.task}, {extra.protocol})" for extra in extras if extra.problem
    )


def pictures_of(extras: Sequence[Extra]) -> frozenset[Path]:
    """Return the files of runs that sections show."""
    figures = (figure for extra in extras if not extra.problem for figure in extra.figures)
    return frozenset(figure.path for figure in figures if isinstance(figure, SectionPicture))
