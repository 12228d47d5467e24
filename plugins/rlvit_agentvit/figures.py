"""Pictures of a training run: which patches were kept, what that cost and what it brought.

They are drawn once at the end, from the history that the training loop keeps (one row an epoch)
and from a few images with the masks that the trained agent and its rivals choose in them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
SMALL = 64  # pixels a side, up to which a picture is shown pixel by pixel
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # Okabe and Ito 2008; with marks, for grey
VEIL = 0.85  # how white a dropped patch is
SHOWN = 8  # epochs of a heat map
ACROSS = 4  # heat maps in a row
LONGEST = 1.9  # inches, the longer side of a heat map among others
ALONE = 2.8  # inches, of a heat map that is the only one
NARROWEST = 1.5  # inches, so that a heat map's title fits
CELL = 1.5  # inches, the longer side of an image
NARROWEST_ALL = 3.3  # inches, so that a heading fits above a few images
LETTERS = 11.5  # of text of 11 points fit into an inch
POINTS = 25  # epochs, up to which each has its mark

History = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Line:
    """One curve of a panel."""

    key: str  # of the history
    name: str  # in the legend
    colour: str
    mark: str


@dataclass(frozen=True)
class Panel:
    """One panel of curves.png."""

    label: str  # of the y axis, with its unit
    lines: Sequence[Line]
    scale: float = 1.0  # multiplies the history's values
    amount: bool = False  # the axis begins at 0 and has k, M, G, T at its ticks


PANELS = (
    Panel("cross-entropy (nats)", [Line("train_loss", "training, patches kept", BLUE, "o")]),
    Panel(
        "accuracy (%)",
        [
            Line("train_accuracy", "training, patches kept", BLUE, "o"),
            Line("val_accuracy", "validation, all patches", GREEN, "^"),
            Line("agent_accuracy", "validation, own patches", ORANGE, "s"),
        ],
    ),
    Panel("reward: loss term (mean)", [Line("loss_term", "", BLUE, "o")]),
    Panel("reward: patch term (mean)", [Line("patch_term", "", BLUE, "o")]),
    Panel("training an epoch\n(multiply-adds)", [Line("gmacs", "", BLUE, "o")], 1e9, amount=True),
    Panel(
        "training an epoch\n(wall-clock, seconds)", [Line("seconds", "", BLUE, "o")], amount=True
    ),
)


def draw_history(folder: Path, history: History, title: str) -> list[Path]:
    """Draw heatmaps.png, scores.png and curves.png from a training run's history of E epochs.

    A figure for which every row is NaN is not drawn: scores.png of a run without an agent.

    Args:
        folder: an existing folder.
        history: `epoch` [E]; `kept` [E, N], the share of training images that kept each patch;
            `score` [E, N], the agent's mean score of each; `loss_term`, `patch_term` [E], means;
            `train_loss` [E] in nats; `train_accuracy`, `val_accuracy`, `agent_accuracy` [E] in %;
            `seconds` [E]; `gmacs` [E], 10^9 multiply-adds; `grid` [2], rows and columns.
        title: what all of them are headed with.

    Returns:
        The files that were written.

    Raises:
        ValueError: there is no epoch, or the grid has not N patches.
    """
    epochs, grid = history["epoch"], read_grid(history["grid"])
    if len(epochs) == 0:
        raise ValueError("a history without epochs cannot be drawn")
    figures = {
        "heatmaps.png": kept_figure(epochs, history["kept"], grid, title),
        "scores.png": score_figure(epochs, history["score"], grid, title),
        "curves.png": curve_figure(history, title),
    }
    written = []
    for name, figure in figures.items():
        if figure is not None:
            save(figure, folder / name)
            written.append(folder / name)
    return written


def read_grid(grid: Sequence[int] | NDArray[Any]) -> tuple[int, int]:
    """Return a grid's rows and columns as plain numbers."""
    rows, columns = (int(side) for side in grid)
    return rows, columns


def spread_rows(values: NDArray[Any], grid: tuple[int, int]) -> NDArray[np.int64]:
    """Return at most 8 of the rows [E, N] that have values, evenly spaced, first and last included.

    Raises:
        ValueError: N is not the number of the grid's patches.
    """
    if values.ndim != 2 or values.shape[1] != grid[0] * grid[1]:
        wanted = f"[epochs, {grid[0] * grid[1]}] for a grid of {grid[0]} by {grid[1]}"
        raise ValueError(f"values are {list(values.shape)}, expected {wanted}")
    filled = np.flatnonzero(np.isfinite(values).all(1))
    if len(filled) <= SHOWN:
        return filled
    return filled[np.linspace(0, len(filled) - 1, SHOWN).round().astype(np.int64)]


def kept_figure(
    epochs: NDArray[Any], kept: NDArray[Any], grid: tuple[int, int], title: str
) -> Figure | None:
    """Show in which share of the training images each position was kept, for some epochs.

    The colours run from 0 to 1 whatever the values are: a choice at random looks like one.
    """
    rows = spread_rows(kept, grid)
    if len(rows) == 0:
        return None
    heads = [
        f"epoch {epochs[row]}: {kept[row].mean():.0%}\n({kept[row].min():.0%} to "
        f"{kept[row].max():.0%})"
        for row in rows
    ]
    title += "\nShare of the training images that kept each patch: mean (lowest to highest)"
    colours = ("cividis", 0.0, 100.0)
    return heat_figure(100 * kept[rows], heads, grid, title, colours, "% of the images")


def score_figure(
    epochs: NDArray[Any], score: NDArray[Any], grid: tuple[int, int], title: str
) -> Figure | None:
    """Show how the agent scores each position, for some epochs; None without scores.

    Shown is the difference to the epoch's mean, which stands above it: the mean drifts by much
    more than positions differ, and it does not tell which patches are preferred.
    """
    rows = spread_rows(score, grid)
    if len(rows) == 0:
        return None
    means = score[rows].mean(1, keepdims=True)  # [E', 1]
    apart = score[rows] - means
    limit = float(np.abs(apart).max()) or 1.0
    heads = [
        f"epoch {epochs[row]}: mean {mean:.3g}\n({low:+.2g} to {high:+.2g})"
        for row, mean, low, high in zip(rows, means[:, 0], apart.min(1), apart.max(1), strict=True)
    ]
    heads = [head.replace("-", "\N{MINUS SIGN}") for head in heads]
    title += "\nThe agent's mean score of each patch, minus the mean of all patches"
    colours = ("PuOr_r", -limit, limit)
    return heat_figure(apart, heads, grid, title, colours, "score minus the epoch's mean")


def heat_figure(
    values: NDArray[Any],
    heads: Sequence[str],
    grid: tuple[int, int],
    title: str,
    colours: tuple[str, float, float],
    label: str,
) -> Figure:
    """Show values [P, N] as P heat maps with one scale of colours (its name, least and most)."""
    across = min(ACROSS, len(values))
    down = -(-len(values) // across)
    longest = LONGEST if across > 1 else ALONE
    wide = max(NARROWEST, longest * grid[1] / max(grid))
    high = longest * grid[0] / max(grid)
    width = max(wide * across + 1.6, 4.2)
    heading = wrapped(title, width)
    figure = blank(width, (high + 0.5) * down + 0.75 + 0.2 * heading.count("\n"))
    panels = figure.subplots(down, across, squeeze=False)
    for panel in panels.flat[len(values) :]:
        panel.set_axis_off()
    name, least, most = colours
    for number, (cells, head) in enumerate(zip(values, heads, strict=True)):
        panel = panels.flat[number]
        shown = panel.imshow(cells.reshape(grid), cmap=name, vmin=least, vmax=most)
        panel.set_title(head, fontsize=8.5, pad=4)
        _patch_axes(panel, grid, left=number % across == 0, low=number + across >= len(values))
    bar = figure.colorbar(shown, ax=panels, shrink=0.85, aspect=16 if down == 1 else 28)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle(heading, fontsize=11)
    return figure


def _patch_axes(panel: Axes, grid: tuple[int, int], *, left: bool, low: bool) -> None:
    """Draw lines between the patches, and number them where a panel is at the edge."""
    rows, columns = grid
    panel.set_yticks([0, rows - 1] if left else [], minor=False)
    panel.set_xticks([0, columns - 1] if low else [], minor=False)
    panel.set_yticks(np.arange(1, rows) - 0.5, minor=True)
    panel.set_xticks(np.arange(1, columns) - 0.5, minor=True)
    panel.grid(which="minor", color="white", linewidth=0.8 if max(grid) <= 16 else 0.3)
    panel.tick_params(which="minor", length=0)
    panel.tick_params(which="major", length=2, labelsize=7.5)
    if left:
        panel.set_ylabel("patch row", fontsize=8)
    if low:
        panel.set_xlabel("patch column", fontsize=8)


def curve_figure(history: History, title: str) -> Figure:
    """Show loss, accuracy, the terms of the reward, compute and time against the epoch.

    A panel whose curves are all NaN is left out.
    """
    panels = [panel for panel in PANELS if any(_filled(history, line) for line in panel.lines)]
    down = -(-len(panels) // 2)
    heading = wrapped(title, 9.0)
    figure = blank(9.0, 2.4 * max(down, 1) + 0.4 + 0.2 * heading.count("\n"))
    places = figure.subplots(max(down, 1), 2, squeeze=False)
    for place in places.flat[len(panels) :]:
        place.set_axis_off()
    for place, panel in zip(places.flat, panels, strict=False):
        _curves(place, panel, history)
    figure.suptitle(heading, fontsize=11)
    return figure


def _filled(history: History, line: Line) -> bool:
    """Tell whether there is a value to draw."""
    return bool(np.isfinite(history[line.key]).any())


def _curves(place: Axes, panel: Panel, history: History) -> None:
    """Draw a panel's curves; epochs without a value are passed over."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    lines = [line for line in panel.lines if _filled(history, line)]
    epochs = np.asarray(history["epoch"])
    marked = len(epochs) <= POINTS
    for line in lines:
        values = np.asarray(history[line.key], dtype=np.float64) * panel.scale
        there = np.isfinite(values)
        place.plot(
            epochs[there],
            values[there],
            color=line.colour,
            marker=line.mark if marked or there.sum() == 1 else None,
            markersize=3.5,
            linewidth=1.4,
            label=line.name,
        )
    place.set_ylabel(panel.label, fontsize=9)
    place.set_xlabel("epoch", fontsize=9)
    place.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    place.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
    place.tick_params(labelsize=8)
    place.grid(color="#DDDDDD", linewidth=0.6)
    place.set_axisbelow(True)
    if panel.amount:
        most = panel.scale * max(np.nanmax(history[line.key]) for line in lines)
        place.set_ylim(0, 1.08 * most or 1)
        place.yaxis.set_major_formatter(EngFormatter())
    if lines[0].name:
        place.legend(fontsize=8, framealpha=0.85)


def draw_overlays(
    folder: Path,
    images: NDArray[np.uint8],
    captions: Sequence[str],
    masks: Mapping[str, NDArray[np.bool_]],
    grid: tuple[int, int],
    title: str,
) -> Path:
    """Draw overlays.png: images in rows, what each mask leaves of them in columns.

    Args:
        folder: an existing folder.
        images: [I, 3, H, W].
        captions: [I] what stands below each image, such as its class and what was answered.
        masks: by name, True where a patch is kept, [I, N] each.
        grid: rows and columns of the N patches.
        title: what the figure is headed with.

    Returns:
        The file that was written.

    Raises:
        ValueError: there is no image, or captions or masks are not those of the images.
    """
    grid = read_grid(grid)
    shape = (len(images), grid[0] * grid[1])
    if len(images) == 0 or len(captions) != len(images):
        raise ValueError(f"{len(images)} images have {len(captions)} captions")
    for name, keep in masks.items():
        if keep.shape != shape:
            raise ValueError(f"mask {name!r} is {list(keep.shape)}, expected {list(shape)}")
    path = folder / "overlays.png"
    save(overlay_figure(images, captions, masks, grid, title), path)
    return path


def overlay_figure(
    images: NDArray[np.uint8],
    captions: Sequence[str],
    masks: Mapping[str, NDArray[np.bool_]],
    grid: tuple[int, int],
    title: str,
) -> Figure:
    """Show images beside what each mask leaves of them, dropped patches nearly white."""
    pictures = images.transpose(0, 2, 3, 1)  # [I, H, W, 3]
    sides = np.array(pictures.shape[1:3])
    least = NARROWEST_ALL / (1 + len(masks))  # inches, the width of a column
    high, wide = max(CELL, least) * sides / sides.max()
    wide = max(wide, least, CELL / 2)
    below = [textwrap.fill(caption, round(wide * 16)) for caption in captions]
    lines = 1 + max(caption.count("\n") for caption in below)
    width = wide * (1 + len(masks)) + 0.3
    heading = wrapped(f"{title}\nPale: dropped patches. Below: class -> answer", width)
    height = (high + 0.12 + 0.15 * lines) * len(images) + 0.6 + 0.2 * heading.count("\n")
    figure = blank(width, height)
    panels = figure.subplots(len(images), 1 + len(masks), squeeze=False)
    for row, picture in enumerate(pictures):
        _picture(panels[row, 0], picture, below[row], "image" if row == 0 else "")
        for panel, (name, every) in zip(panels[row, 1:], masks.items(), strict=True):
            keep = every[row].reshape(grid)
            count = f"{keep.sum()} of {keep.size}"
            head = textwrap.fill(name, round(wide * 11)) if row == 0 else ""
            _picture(panel, veiled(picture, keep), count, head)
            _outline(panel, keep, picture.shape)
    figure.suptitle(heading, fontsize=11)
    return figure


def _picture(panel: Axes, picture: NDArray[np.uint8], below: str, head: str) -> None:
    """Show a picture [H, W, 3] with words above and below it."""
    panel.imshow(picture, interpolation="nearest" if max(picture.shape) <= SMALL else "auto")
    panel.set_title(head, fontsize=9.5, pad=4)
    panel.set_xlabel(below, fontsize=8, labelpad=3)
    panel.set_xticks([])
    panel.set_yticks([])


def veiled(picture: NDArray[np.uint8], keep: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a picture [H, W, 3] whose dropped patches [rows, columns] are nearly white."""
    rows = np.arange(picture.shape[0]) * keep.shape[0] // picture.shape[0]
    columns = np.arange(picture.shape[1]) * keep.shape[1] // picture.shape[1]
    pixels = keep[np.ix_(rows, columns)][..., None]  # [H, W, 1]
    white = VEIL * 255 + (1 - VEIL) * picture
    return np.where(pixels, picture, white.round()).astype(np.uint8)


def _outline(panel: Axes, keep: NDArray[np.bool_], shape: tuple[int, ...]) -> None:
    """Draw the border between kept and dropped patches, for images that are white themselves."""
    from matplotlib.collections import LineCollection

    rows, columns = keep.shape
    high, wide = shape[0] / rows, shape[1] / columns
    lines = [
        [(c * wide, (r + 1) * high), ((c + 1) * wide, (r + 1) * high)]
        for r, c in np.argwhere(keep[1:] != keep[:-1])
    ]
    lines += [
        [((c + 1) * wide, r * high), ((c + 1) * wide, (r + 1) * high)]
        for r, c in np.argwhere(keep[:, 1:] != keep[:, :-1])
    ]
    moved = np.array(lines).reshape(-1, 2, 2) - 0.5  # pixels' centres are whole numbers
    panel.add_collection(LineCollection(list(moved), colors=ORANGE, linewidths=0.8), autolim=False)


def wrapped(title: str, width: float) -> str:
    """Break each line of a title where it would be wider than a figure of so many inches."""
    letters = round(width * LETTERS)
    return "\n".join(textwrap.fill(line, letters) for line in title.splitlines())


def blank(width: float, height: float) -> Figure:
    """Return an empty figure, in inches; pyplot and its global state stay out of this."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG around all that was drawn; the same figure gives the same bytes."""
    figure.savefig(path, bbox_inches="tight", pad_inches=0.08, metadata={"Software": None})
