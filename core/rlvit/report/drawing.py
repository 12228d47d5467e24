"""How figures look: vector and PNG, legible in grey, the same bytes each time they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, PAPER = "#24292f", "#d9dee4", "#ffffff"  # the page exchanges them where it is dark
# Okabe and Ito 2008 without black and yellow, light and dark in turn so that neighbours differ in
# grey; four kinds of line and seven markers make 28 looks of them.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#7F7F7F")
LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.5)), (0, (6, 2, 1.2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
WIDTH, HEIGHT = 4.6, 3.2  # inches: at a phone's width text has its own size
ROW = 0.44  # inches, of an interval plot
ROW_TEXT, LEGEND = 57, 54  # characters that fit in a line
ROW_LEGEND = 0.17  # inches, of a legend
DPI = 160
MOST_LINES = 12  # in a figure
THOUSANDS = 10_000  # steps, from which on 20000 is written 20k
FONT = 9  # points
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "rlvit",  # ids inside the file: else random
    "svg.fonttype": "none",  # text stays text: it can be searched, and names of any script shown
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.size": FONT,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "savefig.transparent": True,
}


@dataclass(frozen=True)
class Look:
    """What tells one arm from another."""

    colour: str
    line: Any  # of matplotlib's kinds
    marker: str


@dataclass(frozen=True)
class Row:
    """A row of an interval plot."""

    label: str
    value: float
    low: float  # NaN without an interval
    high: float
    text: str  # the number as people read it
    kind: Literal["runs", "samples", "reference"]  # what the interval is over, or printed elsewhere
    runs: tuple[float, ...] = ()  # one a seed
    look: Look | None = None


@dataclass(frozen=True)
class Series:
    """A line with a band."""

    label: str
    x: Floats
    y: Floats
    low: Floats  # NaN without a band
    high: Floats
    look: Look
    runs: int = 1


@dataclass(frozen=True)
class Spot:
    """An arm in the plane of cost and accuracy; errors are (low, high), NaN without."""

    label: str
    x: float
    y: float
    x_error: tuple[float, float]
    y_error: tuple[float, float]
    look: Look
    hollow: bool = False  # of one run, or beside the arms


def look(number: int) -> Look:
    """Return the look of the arm of that number."""
    return Look(
        COLOURS[number % len(COLOURS)],
        LINES[number % len(LINES)],
        MARKERS[number % len(MARKERS)],
    )


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the reports, whatever the user's own settings are."""
    import warnings

    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        # A name in a script that the PNG's font lacks is drawn as boxes; the SVG shows it.
        warnings.filterwarnings("ignore", message=r".*[Gg]lyph.*")
        yield


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write `stem`.svg and `stem`.png, without a date; the PNG is on white."""
    figure.draw_without_rendering()  # places everything, once for both files
    figure.set_layout_engine("none")
    vector, bitmap = stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png")
    figure.savefig(vector, metadata={"Date": None, "Creator": None})
    figure.savefig(bitmap, dpi=DPI, metadata={"Software": None}, transparent=False, facecolor=PAPER)
    return vector, bitmap


def blank(width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """Return a figure of that size, in inches, with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def intervals(rows: Sequence[Row], title: str, label: str) -> Figure:
    """Draw one row an arm: its mean, its interval and its runs; the name stands above the row."""
    figure, axes = blank(height=0.95 + ROW * len(rows))
    for place, row in enumerate(rows):
        _draw_row(axes, place, row)
    axes.set_ylim(len(rows) - 0.55, -0.75)
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_title(title, loc="left", fontsize=FONT + 1)
    axes.set_xlabel(label)
    axes.margins(x=0.06)
    return figure


def _draw_row(axes: Axes, place: int, row: Row) -> None:
    ends = axes.get_yaxis_transform()
    grey = row.kind == "reference"
    colour = "#7F7F7F" if grey or row.look is None else row.look.colour
    marker = "d" if grey or row.look is None else row.look.marker
    axes.text(
        0,
        place - 0.3,
        shorten(row.label, ROW_TEXT - len(row.text)),
        transform=ends,
        va="center",
        fontsize=FONT,
    )
    axes.text(1, place - 0.3, row.text, transform=ends, va="center", ha="right", fontsize=FONT)
    axes.axhline(place, color=GRID, linewidth=0.7, zorder=0)
    if np.isfinite([row.low, row.high]).all():
        line = "-" if row.kind == "runs" else (0, (1.2, 1.2))
        axes.plot([row.low, row.high], [place] * 2, color=colour, linewidth=2.4, linestyle=line)
        axes.plot([row.low, row.high], [place] * 2, color=colour, linestyle="", marker="|")
    if len(row.runs) > 1:
        ticks: dict[str, Any] = {"marker": "|", "markersize": 6, "mew": 0.9, "alpha": 0.75}
        axes.plot(row.runs, [place + 0.22] * len(row.runs), color=colour, linestyle="", **ticks)
    filled = colour if row.kind == "runs" else PAPER
    axes.plot(row.value, place, marker=marker, markersize=6.5, color=colour, mfc=filled, mew=1.4)


def lines(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    *,
    steps: bool = False,
    log: bool = False,
) -> Figure:
    """Draw lines with their bands, the legend below; `log`: by the logarithm of y."""
    rows = -(-len(series) // columns_of([s.label for s in series]))
    figure, axes = blank(height=HEIGHT + ROW_LEGEND * max(0, rows - 1))
    drawstyle: Literal["steps-post", "default"] = "steps-post" if steps else "default"
    for one in series:
        banded = np.isfinite(one.low) & np.isfinite(one.high)
        if banded.any():
            axes.fill_between(
                one.x[banded],
                one.low[banded],
                one.high[banded],
                color=one.look.colour,
                alpha=0.2,
                linewidth=0,
                step="post" if steps else None,
            )
        axes.plot(
            one.x,
            one.y,
            color=one.look.colour,
            linestyle=one.look.line,
            marker=one.look.marker,
            linewidth=1.6,
            label=shorten(one.label, LEGEND),
            drawstyle=drawstyle,
            markersize=4.5,
            markevery=max(1, len(one.x) // 6),
        )
    if log:
        _make_logarithmic(axes, [float(y) for one in series for y in one.y])
    axes.set_title(title, loc="left", fontsize=FONT + 1)
    _finish(figure, axes, x_label, y_label)
    return figure


def _make_logarithmic(axes: Axes, values: Sequence[float]) -> None:
    """Scale y by its logarithm, from 1 down linearly where a value is 0; ticks are 500, 20k, 1M."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    low, high = min(values, default=1.0), max(values, default=1.0)
    axes.set_yscale("log" if low > 0 else "symlog")
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_minor_formatter(NullFormatter())
    if low > 0 and high < 10 * low:  # too few powers of ten to read it by
        bottom, top = axes.get_ylim()  # further apart, where there are bands
        steps = LogLocator(subs=(1.0, 2.0, 5.0))
        if sum(bottom <= tick <= top for tick in steps.tick_values(bottom, top)) > 1:
            axes.yaxis.set_major_locator(steps)
        else:
            axes.yaxis.set_minor_formatter(EngFormatter(sep=""))


def plane(
    spots: Sequence[Spot],
    front: Sequence[tuple[float, float]],
    title: str,
    x_label: str,
    y_label: str,
) -> Figure:
    """Draw arms by cost and accuracy, and the front: the arms that none beats in both."""
    figure, axes = blank(height=HEIGHT + ROW_LEGEND * max(0, len(spots) - 2))
    if len(front) > 1:
        where = np.array(front)
        axes.plot(*where.T, color=INK, linewidth=1, drawstyle="steps-post", label="Pareto front")
    for spot in spots:
        _draw_spot(axes, spot)
    axes.margins(0.12)
    axes.set_title(title, loc="left", fontsize=FONT + 1)
    _finish(figure, axes, x_label, y_label)
    return figure


def _draw_spot(axes: Axes, spot: Spot) -> None:
    """Draw the errors below the mark; the legend has the mark alone."""
    axes.errorbar(
        spot.x,
        spot.y,
        xerr=_error(spot.x, spot.x_error),
        yerr=_error(spot.y, spot.y_error),
        color=spot.look.colour,
        linewidth=1.2,
        capsize=2,
        linestyle="",
    )
    axes.plot(
        spot.x,
        spot.y,
        color=spot.look.colour,
        marker=spot.look.marker,
        mfc=PAPER if spot.hollow else spot.look.colour,
        markersize=7,
        linestyle="",
        label=shorten(spot.label, LEGEND),
    )


def _error(value: float, interval: tuple[float, float]) -> list[list[float]] | None:
    """Return matplotlib's distances below and above, or None without an interval."""
    low, high = interval
    if not np.isfinite([low, high]).all():
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _finish(figure: Figure, axes: Axes, x_label: str, y_label: str) -> None:
    from matplotlib.ticker import EngFormatter

    if max(map(abs, axes.get_xlim())) >= THOUSANDS:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 20k
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    legend_below(figure, axes)


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put the legend, if something is labelled, below the axes."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    texts = [shorten(label, LEGEND) for label in labels]
    figure.legend(
        handles, texts, loc="outside lower left", ncols=columns_of(texts), fontsize=FONT - 1
    )


def columns_of(labels: Sequence[str]) -> int:
    """Return how many labels fit side by side below a figure."""
    longest = max((len(label) for label in labels), default=0)
    return 1 if longest > 28 else 2 if longest > 14 else 3


def shorten(text: str, length: int) -> str:
    """Return a text of at most that many characters, cut in its middle."""
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    tail = length // 3
    return f"{text[: length - tail - 1].rstrip()}…{text[-tail:].lstrip()}"
