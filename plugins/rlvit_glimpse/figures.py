"""Pictures of what a glimpse agent does: where it looks, for how long, and what that brings.

They are drawn once at the end, from a few games, the table of the evaluation and the history of
the training loop. Those of single games are in trajectories.py.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlvit_glimpse.trajectories import blank, draw_film, draw_trajectories, save, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_by_glimpses", "draw_curves", "draw_film", "draw_gaze", "draw_trajectories"]

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # Okabe and Ito 2008
LINES = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#777777")
STYLES = ("-", "--", "-.", ":")  # with the marks, they tell lines apart in grey
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
HEAT = 1.75  # inches, the side of a heat map
ALONE = 3.0  # inches, of one that is the only one
MOST = 20  # heat maps
POINTS = 25  # up to which each has its mark or its tick

PANELS = {
    "return": ("return of a game (mean)", 1.0),
    "accuracy": ("accuracy (%)", 100.0),
    "entropy": ("entropy (nats)", 1.0),
    "glimpses": ("glimpses of a game (mean)", 1.0),
}  # what a panel's columns begin with: the label of its y axis, what they are multiplied by


def draw_gaze(folder: Path, heat: NDArray[Any], classes: Sequence[str], title: str = "") -> Path:
    """Draw gaze.png: how often the pixels were looked at in the images of each class.

    Args:
        folder: an existing folder.
        heat: in how many glimpses of a game each pixel lay, mean of a class's games, [C, H, W];
            NaN for a class without games.
        classes: their C names.
        title: what the figure is headed with.

    Returns:
        The file that was written.

    Raises:
        ValueError: there is no class with games, or not one map a class.
    """
    if heat.ndim != 3 or len(heat) != len(classes):
        raise ValueError(f"heat is {list(heat.shape)}, expected [{len(classes)}, height, width]")
    if not np.isfinite(heat).all((1, 2)).any():
        raise ValueError("no class has games that could be drawn")
    path = folder / "gaze.png"
    save(gaze_figure(heat, classes, title), path)
    return path


def gaze_figure(heat: NDArray[Any], classes: Sequence[str], title: str) -> Figure:
    """Show maps [C, H, W] with one scale of colours from 0; of more than 20 classes some, evenly.

    The scale begins at 0 so that a gaze that is spread evenly looks like one.
    """
    filled = np.flatnonzero(np.isfinite(heat).all((1, 2)))
    rows = filled
    if len(filled) > MOST:
        rows = filled[np.linspace(0, len(filled) - 1, MOST).round().astype(np.int64)]
    across = min(5, len(rows))
    down = -(-len(rows) // across)
    cell = HEAT if len(rows) > 1 else ALONE
    width = max(cell * across + 1.1, 4.0)
    some = f" ({len(rows)} of {len(classes)} classes)" if len(rows) < len(classes) else ""
    heading = wrapped(
        f"{title}\nWhere it looks: glimpses of a game on a pixel{some}".strip(), width
    )
    figure = blank(width, (cell + 0.3) * down + 0.4 + 0.2 * heading.count("\n"))
    panels = figure.subplots(down, across, squeeze=False)
    for panel in panels.flat[len(rows) :]:
        panel.set_axis_off()
    most = float(heat[rows].max()) or 1.0
    for panel, row in zip(panels.flat, map(int, rows), strict=False):
        shown = panel.imshow(heat[row], cmap="cividis", vmin=0, vmax=most, interpolation="nearest")
        name = textwrap.shorten(
            classes[row], round(cell * 9), placeholder="\N{HORIZONTAL ELLIPSIS}"
        )
        panel.set_title(f"{name}\n({heat[row].min():.2g} to {heat[row].max():.2g})", fontsize=8.5)
        panel.set_xticks([])
        panel.set_yticks([])
    bar = figure.colorbar(shown, ax=panels, shrink=0.85, aspect=16 if down == 1 else 28)
    bar.set_label("glimpses (mean of the class's games)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle(heading, fontsize=11)
    return figure


def draw_by_glimpses(
    folder: Path,
    accuracy: NDArray[Any],
    share: NDArray[Any],
    interval: tuple[NDArray[Any], NDArray[Any]],
    controls: Mapping[str, float],
    title: str = "",
) -> Path:
    """Draw accuracy.png: the accuracy after each of T glimpses and how many games still look.

    Args:
        folder: an existing folder.
        accuracy: of the answers after 1, 2, .. T glimpses, in 0..1, [T].
        share: of the games that took the 1st, 2nd, .. T-th glimpse, in 0..1, [T].
        interval: low and high end of the accuracy's 95 % interval, [T] each.
        controls: other ways to answer, by name the accuracy, in 0..1.
        title: what the figure is headed with.

    Returns:
        The file that was written.

    Raises:
        ValueError: there is no glimpse, the lengths differ, or a value is not in 0..1.
    """
    rows = {"accuracy": accuracy, "share": share, "low": interval[0], "high": interval[1]}
    for name, row in rows.items():
        if len(row) != len(accuracy) or len(row) == 0:
            raise ValueError(f"{name} has {len(row)} values, expected {len(accuracy) or 'some'}")
    for name, value in [*rows.items(), *controls.items()]:
        if (np.asarray(value) < 0).any() or (np.asarray(value) > 1).any():
            raise ValueError(f"{name!r} has values outside 0..1")
    path = folder / "accuracy.png"
    save(glimpse_figure(accuracy, share, interval, controls, title), path)
    return path


def glimpse_figure(
    accuracy: NDArray[Any],
    share: NDArray[Any],
    interval: tuple[NDArray[Any], NDArray[Any]],
    controls: Mapping[str, float],
    title: str,
) -> Figure:
    """Show accuracy [T] with its interval and the controls, and below the share [T], in %."""
    heading = wrapped(title, 6.6)
    figure = blank(6.6, 4.6 + 0.2 * (1 + heading.count("\n")) + 0.1 * len(controls))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    glimpses = np.arange(1, len(accuracy) + 1)
    there = np.isfinite(accuracy)
    low, high = (100 * end[there] for end in interval)
    mark = {"color": BLUE, "marker": "o", "markersize": 4, "linewidth": 1.6, "capsize": 2.5}
    middle = 100 * accuracy[there]
    ends = [np.maximum(middle - low, 0), np.maximum(high - middle, 0)]
    agent = above.errorbar(glimpses[there], middle, ends, label="agent, 95 % interval", **mark)
    handles: list[Any] = [agent]
    for number, (name, value) in enumerate(controls.items()):
        style = {"color": LINES[1 + number % 7], "linestyle": STYLES[(1 + number) % 4]}
        line = above.axhline(
            100 * value, label=f"{name}: {100 * value:.1f} %", linewidth=1.5, **style
        )
        handles.append(line)
    most = max([*high[np.isfinite(high)], *middle, *(100 * value for value in controls.values())])
    above.set_ylim(0, min(101.0, 1.1 * most) or 1)
    above.set_ylabel("accuracy (%)", fontsize=9)
    below.bar(glimpses, 100 * share, width=0.7, color="#9A9A9A")
    below.set_ylim(0, 105)
    below.set_ylabel("games still\nlooking (%)", fontsize=9)
    below.set_xlabel("glimpses", fontsize=9)
    below.set_xlim(0.4, len(accuracy) + 0.6)
    if len(glimpses) <= POINTS:
        below.set_xticks(glimpses)
    for panel in (above, below):
        _grid(panel)
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8.5, frameon=False)
    figure.suptitle(heading, fontsize=11)
    return figure


def _grid(panel: Axes) -> None:
    """Draw pale lines behind what is shown."""
    panel.tick_params(labelsize=8)
    panel.grid(color="#DDDDDD", linewidth=0.6)
    panel.set_axisbelow(True)


def draw_curves(folder: Path, columns: Mapping[str, NDArray[Any]], title: str = "") -> Path:
    """Draw curves.png: how return, accuracy, entropy and glimpses went while training.

    Args:
        folder: an existing folder.
        columns: `steps` [E], the environment steps, and columns [E] of the four panels, each
            called like its panel or with a name behind it: `return`, `glimpses`,
            `accuracy_validation` (in 0..1), `entropy_zoom_in` (in nats). NaN: not measured.
        title: what the figure is headed with.

    Returns:
        The file that was written.

    Raises:
        ValueError: there is no row, a length differs, or a column belongs to no panel.
    """
    for name, column in columns.items():
        if name != "steps" and name.split("_")[0] not in PANELS:
            raise ValueError(f"column {name!r} begins with none of {', '.join(PANELS)}")
        if len(column) != len(columns["steps"]) or len(column) == 0:
            wanted = len(columns["steps"]) or "some"
            raise ValueError(f"column {name!r} has {len(column)} rows, expected {wanted}")
    path = folder / "curves.png"
    save(curve_figure(columns, title), path)
    return path


def curve_figure(columns: Mapping[str, NDArray[Any]], title: str) -> Figure:
    """Show the panels that have values against the environment steps."""
    filled = [name for name in columns if name != "steps" and np.isfinite(columns[name]).any()]
    panels = {
        panel: {name: columns[name] for name in filled if name.split("_")[0] == panel}
        for panel in PANELS
    }
    panels = {panel: lines for panel, lines in panels.items() if lines}
    down = max(1, -(-len(panels) // 2))
    heading = wrapped(title, 9.0)
    figure = blank(9.0, 2.7 * down + 0.4 + 0.2 * heading.count("\n"))
    places = figure.subplots(down, 2, squeeze=False)
    for place in places.flat[len(panels) :]:
        place.set_axis_off()
    for place, (panel, lines) in zip(places.flat, panels.items(), strict=False):
        _curves(place, panel, columns["steps"], lines)
    figure.suptitle(heading, fontsize=11)
    return figure


def _curves(place: Axes, panel: str, steps: NDArray[Any], lines: Mapping[str, Any]) -> None:
    """Draw a panel's curves; rows without a value are passed over."""
    from matplotlib.ticker import EngFormatter

    label, scale = PANELS[panel]
    for number, (name, values) in enumerate(lines.items()):
        there = np.isfinite(values)
        few = there.sum() <= POINTS
        place.plot(
            np.asarray(steps)[there],
            scale * np.asarray(values, dtype=np.float64)[there],
            color=LINES[number % len(LINES)],
            linestyle=STYLES[number % len(STYLES)],
            marker=MARKS[number % len(MARKS)] if few or len(lines) > 1 else None,
            markevery=1 if few else int(there.sum()) // 10,
            markersize=4,
            linewidth=1.3,
            label=name.removeprefix(panel).strip("_").replace("_", " "),
        )
    place.set_ylabel(label, fontsize=9)
    place.set_xlabel("environment steps", fontsize=9)
    place.xaxis.set_major_formatter(EngFormatter())
    _grid(place)
    if panel == "glimpses":
        place.set_ylim(bottom=0)
    if any(name != panel for name in lines):
        place.legend(fontsize=7.5, framealpha=0.85, ncols=1 if len(lines) < 4 else 2)
