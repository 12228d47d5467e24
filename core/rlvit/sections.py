"""Sections that plugins add to reports: what they are shown of the runs, and what they may return.

A section is built once for each task and protocol, so that results under different protocols
cannot meet in it. It returns text, numbers and ways to draw; the core writes all of them, in the
formats and the style of its own tables and figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from rlvit.contracts import Measurement
    from rlvit.specs import MetricDef


class Estimate(NamedTuple):
    """A mean over runs with the ends of its 95 % interval, NaN where there is none."""

    value: float
    low: float
    high: float
    n: int  # finite values behind it


@dataclass(frozen=True)
class SectionTrial:
    """A completed run: one seed of an arm."""

    id: str
    seed: int
    results: Mapping[str, Measurement]  # metric -> the measurement of the finished model
    artifacts: Mapping[str, Path]  # kind -> folder of files that the run made or used


@dataclass(frozen=True)
class SectionArm:
    """Runs that differ in their seed alone."""

    label: str  # short, and unlike any other arm's of the same method
    method: str
    task: str
    protocol: str
    preset: str
    config: Mapping[str, Any]
    slots: Mapping[str, str]
    trials: tuple[SectionTrial, ...]  # by seed
    style: Mapping[str, Any]  # color, linestyle and marker of it in every figure of the report


@dataclass(frozen=True)
class House:
    """The colours of a report's figures. What differs in colour must differ in another way, too."""

    colours: tuple[str, ...]  # Okabe and Ito 2008, without black and yellow
    markers: tuple[str, ...]  # matplotlib's
    ink: str  # of text
    grid: str


@dataclass(frozen=True)
class SectionRequest:
    """What a section may know of a report: its completed runs on one task under one protocol."""

    task: str
    protocol: str
    arms: tuple[SectionArm, ...]  # of all methods
    metrics: Mapping[str, MetricDef]
    seed: int  # of the report, for what is drawn at random
    # (trial, metric) -> steps and values [S] that the run logged, at most 1,000; NaN where a value
    # was no finite number.
    curve: Callable[[SectionTrial, str], tuple[NDArray[np.int64], NDArray[np.float64]]]
    # (trial, artifact kind, pattern such as "*.npz") -> its files by name; none where there is no
    # such artifact any more.
    files: Callable[[SectionTrial, str, str], tuple[Path, ...]]
    # one value a run -> their mean and its interval, as the report's own tables have it.
    interval: Callable[[Sequence[float]], Estimate]
    house: House

    def values(self, arm: SectionArm, metric: str) -> list[float]:
        """Return what an arm's runs measured, one value a seed, of those that measured it."""
        found = [trial.results.get(metric) for trial in arm.trials]
        return [one.value for one in found if one is not None]

    def estimate(self, arm: SectionArm, metric: str) -> Estimate | None:
        """Return the mean of what an arm's runs measured, None if none measured it."""
        found = self.values(arm, metric)
        return self.interval(found) if found else None


# A text, a number as it is to be read, a mean with its interval, or nothing.
SectionCell = str | int | float | Estimate | None


@dataclass(frozen=True)
class SectionColumn:
    """A column's heading."""

    title: str
    unit: str = ""
    direction: Literal["max", "min", "none"] = "none"


@dataclass(frozen=True)
class SectionTable:
    """A table; each row has a cell for each column."""

    title: str
    columns: Sequence[SectionColumn]
    rows: Sequence[Sequence[SectionCell]]
    note: str = ""


@dataclass(frozen=True)
class SectionFigure:
    """A figure, written as SVG and PNG: `draw` gets axes in the style of the report."""

    title: str
    caption: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class SectionPicture:
    """A PNG, GIF or MP4 that a run made; it is copied into the report."""

    title: str
    caption: str
    path: Path


@dataclass(frozen=True)
class SectionContent:
    """What a section shows: paragraphs of plain text, tables, figures."""

    paragraphs: Sequence[str] = ()
    tables: Sequence[SectionTable] = ()
    figures: Sequence[SectionFigure | SectionPicture] = ()


@dataclass(frozen=True)
class ReportSection:
    """A section of reports.

    `build` is called for each task and protocol with completed runs. The same request must give
    the same content: no clock, no unseeded chance. If it raises, the report says so and goes on.
    """

    name: str
    title: str
    summary: str  # one sentence, shown below the title
    build: Callable[[SectionRequest], SectionContent | None]  # None: there is nothing to show
