"""Pictures and a film of where a glimpse agent looked in the images of a few games.

Frames and boxes are in pixels: a box is the top edge, the left edge and the side of the square
that is looked at, so that (0, 0, 8) is the upper left square of 8 x 8 pixels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

DPI = 150
FILM_DPI = 100
DOTTED = 64  # pixels a side, up to which a picture is shown pixel by pixel
TIME = "plasma"  # from dark to bright, so that the order can be read in grey, too
VEIL = 0.45  # how white a part is that was never looked at
OUTSIDE = "#D8D8D8"  # around the frame
ACROSS = 4  # pictures in a row
CELL = 2.7  # inches, the side of a picture of glimpses
ALONE = 3.3  # inches, of one that is the only one
WIDEST = 1.4  # how much larger it is when the agent looked beyond the frame
LETTERS = 11.5  # of text of 11 points fit into an inch
TRAIL = 6  # centres of glimpses that a film shows, so that their path does not hide the image
FRAME, LAST = 700, 2500  # milliseconds, for which a film shows a frame and its last one
GOLD = np.array([1.0, 0.84, 0.0])  # a film's squares
EDGE = 0.5  # pixels' centres are whole numbers on a picture's axes

Box = tuple[float, float, float]  # top, left, side


def draw_trajectories(
    folder: Path,
    images: NDArray[np.uint8],
    boxes: NDArray[Any],
    counts: NDArray[Any],
    captions: Sequence[str],
    title: str = "",
    colours: Sequence[str] = (),
) -> Path:
    """Draw trajectories.png: numbered squares where each of I games looked, first to last.

    Args:
        folder: an existing folder.
        images: the frames, [I, 3, H, W].
        boxes: of each glimpse top, left and side in pixels, [I, T, 3]; they may leave the frame.
        counts: how many of the T glimpses were taken, [I], at least 1.
        captions: [I] what stands below each image, such as its class and what was answered.
        title: what the figure is headed with.
        colours: [I] of the captions; black without.

    Returns:
        The file that was written.

    Raises:
        ValueError: there is no image, or boxes, counts or captions are not those of the images.
    """
    if len(images) == 0 or len(captions) != len(images):
        raise ValueError(f"{len(images)} images have {len(captions)} captions")
    if boxes.shape != (len(images), boxes.shape[1], 3):
        raise ValueError(f"boxes are {list(boxes.shape)}, expected [{len(images)}, glimpses, 3]")
    if len(counts) != len(images) or min(counts) < 1 or max(counts) > boxes.shape[1]:
        raise ValueError(
            f"counts are {list(map(int, counts))}, expected {len(images)} of 1 to {boxes.shape[1]}"
        )
    taken = [one[: int(count)].astype(np.float64) for one, count in zip(boxes, counts, strict=True)]
    path = folder / "trajectories.png"
    save(trajectory_figure(images, taken, captions, title, colours), path)
    return path


def trajectory_figure(
    images: NDArray[np.uint8],
    boxes: Sequence[NDArray[np.float64]],
    captions: Sequence[str],
    title: str,
    colours: Sequence[str] = (),
) -> Figure:
    """Show the frames [I, 3, H, W] with the squares of the glimpses that were taken, [T, 3] each.

    A number stands at a corner of its square; where there is no room, it is left out, but never
    the first and the last. Glimpses at the same place in a row share a square and its numbers.
    """
    across = min(ACROSS, len(images))
    down = -(-len(images) // across)
    limits = common_limits(boxes, images.shape[2:])
    beyond = (limits[1] - limits[0]) / max(images.shape[2:])
    cell = (CELL if len(images) > 1 else ALONE) * min(beyond, WIDEST)
    below = [
        textwrap.fill(caption, round(cell * 15)) + f"\n{counted(len(one))}"
        for caption, one in zip(captions, boxes, strict=True)
    ]
    lines = 1 + max(text.count("\n") for text in below)
    several = max(map(len, boxes)) > 1
    width = (cell + 0.08) * across + 0.2 + 0.8 * several
    heading = wrapped(f"{title}\nSquares: the glimpses; pale: never looked at".strip(), width)
    height = (cell + 0.2 + 0.15 * lines) * down + 0.3 + 0.2 * heading.count("\n")
    figure = blank(width, height)
    panels = figure.subplots(down, across, squeeze=False)
    for panel in panels.flat[len(images) :]:
        panel.set_axis_off()
    shown = zip(panels.flat, images, boxes, below, colours or ["black"] * len(images), strict=False)
    for panel, image, one, text, colour in shown:
        _picture(panel, veiled(image.transpose(1, 2, 0), one), limits)
        panel.set_xlabel(text, fontsize=8.5, labelpad=4, color=colour)
        _squares(panel, one, limits, cell)
    if several:
        _time_bar(figure, panels)
    figure.suptitle(heading, fontsize=11)
    return figure


def counted(glimpses: int) -> str:
    """Say how many glimpses."""
    return f"{glimpses} glimpse{'s' if glimpses > 1 else ''}"


def common_limits(
    boxes: Sequence[NDArray[np.float64]], shape: tuple[int, ...]
) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of axes on which all frames [H, W] and boxes fit."""
    every = np.concatenate(boxes)  # [.., 3]
    low = np.minimum(every[:, :2].min(0), 0)  # top, left
    high = np.maximum((every[:, :2] + every[:, 2:]).max(0), shape)
    edge = 0.012 * (high - low).max()  # for the width of a line
    (top, left), (bottom, right) = low - EDGE - edge, high - EDGE + edge
    return float(left), float(right), float(bottom), float(top)


def seen_pixels(boxes: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels [H, W] have their centre within one of the boxes [T, 3]."""
    top, left, side = (boxes[:, [column]] for column in range(3))  # [T, 1] each
    rows, columns = (np.arange(length) + 0.5 for length in shape[:2])
    inside_rows = (rows >= top) & (rows < top + side)  # [T, H]
    inside_columns = (columns >= left) & (columns < left + side)  # [T, W]
    return np.asarray((inside_rows[:, :, None] & inside_columns[:, None]).any(0))


def veiled(picture: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a picture [H, W, 3] that is paler where no box [T, 3] has been."""
    seen = seen_pixels(boxes, picture.shape)[..., None]
    white = VEIL * 255 + (1 - VEIL) * picture
    return np.where(seen, picture, white.round()).astype(np.uint8)


def _picture(
    panel: Axes, picture: NDArray[np.uint8], limits: tuple[float, float, float, float]
) -> None:
    """Show a picture [H, W, 3] on axes of given limits, grey where the picture ends."""
    panel.imshow(picture, interpolation="nearest" if max(picture.shape) <= DOTTED else "auto")
    panel.set_facecolor(OUTSIDE)
    panel.set_xlim(*limits[:2])
    panel.set_ylim(*limits[2:])
    panel.set_xticks([])
    panel.set_yticks([])
    for spine in panel.spines.values():
        spine.set_visible(False)


def together(boxes: NDArray[np.float64]) -> list[tuple[str, Box]]:
    """Return the boxes [T, 3] in turn with their numbers from 1; equal ones in a row are one."""
    starts = np.flatnonzero(np.r_[True, (boxes[1:] != boxes[:-1]).any(1)])
    ends = np.r_[starts[1:], len(boxes)]
    labels = [
        str(start + 1) if start + 1 == end else f"{start + 1}\N{EN DASH}{end}"
        for start, end in zip(starts, ends, strict=True)
    ]
    return [(label, tuple(boxes[start])) for label, start in zip(labels, starts, strict=True)]


def shades(count: int) -> NDArray[np.float64]:
    """Return the colours [count, 3] of glimpses from first to last."""
    from matplotlib import colormaps

    return np.asarray(colormaps[TIME](np.linspace(0.0, 0.95, count)))[:, :3]


def against(colour: NDArray[np.float64]) -> str:
    """Return white or black, whichever stands out from a colour (Rec. 709 luma)."""
    return "white" if colour @ np.array([0.2126, 0.7152, 0.0722]) < 0.5 else "black"


def _squares(
    panel: Axes,
    boxes: NDArray[np.float64],
    limits: tuple[float, float, float, float],
    inches: float,
) -> None:
    """Draw the squares, the path of their centres and the numbers."""
    shown = together(boxes)
    colours = shades(len(shown))
    width = 1.8 if len(shown) <= 8 else 1.2
    for (_, box), colour in zip(shown, colours, strict=True):
        _square(panel, box, colour, width)
    centres = np.array([(left + side / 2, top + side / 2) for _, (top, left, side) in shown]) - EDGE
    for start, end, colour in zip(centres[:-1], centres[1:], colours[1:], strict=True):
        panel.plot(*zip(start, end, strict=True), color="white", linewidth=2.6, zorder=3)
        panel.plot(*zip(start, end, strict=True), color=colour, linewidth=1.4, zorder=3)
    x, y = centres.T
    panel.scatter(x, y, s=14, c=colours, edgecolors="white", linewidths=0.6, zorder=4)
    places = place_numbers(shown, limits, (limits[1] - limits[0]) / inches)
    for number, place in places.items():
        _number(panel, shown[number][0], place, colours[number])


def _square(panel: Axes, box: Box, colour: NDArray[np.float64], width: float) -> None:
    """Draw the border of a box, with a rim that stands out on pictures of its own colour."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, Stroke

    top, left, side = box
    border = Rectangle((left - EDGE, top - EDGE), side, side, fill=False, edgecolor=colour)
    border.set(linewidth=width, joinstyle="miter", zorder=2)
    rim = Stroke(linewidth=width + 1.2, foreground=against(colour), alpha=0.8)
    border.set_path_effects([rim, Normal()])
    panel.add_patch(border)


def _number(
    panel: Axes, label: str, place: tuple[float, float], colour: NDArray[np.float64]
) -> None:
    """Write a number on a patch of its glimpse's colour."""
    patch = {
        "boxstyle": "round,pad=0.18,rounding_size=0.4",
        "facecolor": colour,
        "edgecolor": against(colour),
        "linewidth": 0.6,
    }
    text = panel.text(*place, label, fontsize=7, ha="center", va="center_baseline", zorder=5)
    text.set(color=against(colour), fontweight="bold", bbox=patch)


def place_numbers(
    shown: Sequence[tuple[str, Box]], limits: tuple[float, float, float, float], inch: float
) -> dict[int, tuple[float, float]]:
    """Return where the numbers (x, y) of labelled boxes fit without covering each other.

    Args:
        shown: labels and boxes in their order.
        limits: left, right, bottom and top of the axes.
        inch: how many pixels of the frame an inch of the figure is.

    Returns:
        By position in `shown`: the first and the last, and what has room besides them.
    """
    places: dict[int, tuple[float, float]] = {}
    sizes = [np.array([0.07 * len(label) + 0.09, 0.16]) * inch for label, _ in shown]
    low, high = np.array([limits[0], limits[3]]), np.array([limits[1], limits[2]])
    for number in dict.fromkeys([len(shown) - 1, 0, *range(len(shown))]):
        top, left, side = shown[number][1]
        half = sizes[number] / 2
        steps = [(0, 0), (0, 1), (1, 1), (1, 0)]  # the corners
        spots = [np.array([left + x * side, top + y * side]) - EDGE for y, x in steps]
        spots = [np.clip(spot, low + half, high - half) for spot in spots]
        free = [
            spot
            for spot in spots
            if all((abs(spot - places[o]) >= half + sizes[o] / 2).any() for o in places)
        ]
        if free or number == 0:  # when there is no room, the first lies beside the last
            x, y = free[0] if free else spots[0]
            places[number] = (float(x), float(y))
    return places


def _time_bar(figure: Figure, panels: NDArray[Any]) -> None:
    """Draw the colours of the glimpses from first to last beside the panels."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap

    colours = ScalarMappable(cmap=ListedColormap(shades(256)))
    colours.set_clim(0, 1)
    bar = figure.colorbar(colours, ax=panels, shrink=0.85, aspect=24, ticks=[0, 1])
    bar.ax.set_yticklabels(["first", "last"], fontsize=9)
    bar.set_label("glimpse", fontsize=9, labelpad=-12)


def draw_film(
    folder: Path,
    image: NDArray[np.uint8],
    boxes: NDArray[Any],
    windows: NDArray[Any],
    captions: Sequence[str],
    around: NDArray[Any] | None = None,
) -> Path:
    """Draw episode.gif: a game glimpse by glimpse, over and over.

    On the left is the frame with the square that is looked at, on the right what the agent is
    given of it; with rings their windows are side by side, the sharpest first.

    Args:
        folder: an existing folder.
        image: the frame, uint8 [3, H, W], or one a glimpse, [T, 3, H, W].
        boxes: of each glimpse top, left and side in pixels, [T, 3].
        windows: what the agent is given, [T, 3, w, R w], R rings, uint8 or numbers in 0..1.
        captions: [T] what stands below, such as what it would answer.
        around: the squares of the wider rings, like the boxes, [T, R - 1, 3].

    Returns:
        The file that was written.

    Raises:
        ValueError: there is no glimpse, or the lengths differ.
    """
    count = len(boxes)
    if count == 0 or len(windows) != count or len(captions) != count:
        lengths = f"{count} boxes, {len(windows)} windows, {len(captions)} captions"
        raise ValueError(f"a film needs as many of each, at least one: {lengths}")
    images = image if image.ndim == 4 else np.broadcast_to(image, (count, *image.shape))
    if len(images) != count:
        raise ValueError(f"{len(images)} frames have {count} boxes")
    path = folder / "episode.gif"
    save_film(film_frames(images, boxes.astype(np.float64), whole(windows), captions, around), path)
    return path


def whole(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels of 0..1 as 0..255; those that are whole numbers already as they are."""
    if pixels.dtype == np.uint8:
        return pixels
    return np.asarray((255 * pixels.clip(0, 1)).round(), dtype=np.uint8)


def film_frames(
    images: NDArray[np.uint8],
    boxes: NDArray[np.float64],
    windows: NDArray[np.uint8],
    captions: Sequence[str],
    around: NDArray[Any] | None = None,
) -> list[NDArray[np.uint8]]:
    """Return the T pictures [height, width, 3] of a film."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(7.0, 4.1), dpi=FILM_DPI))
    wider = np.zeros((len(boxes), 0, 3)) if around is None else around.astype(np.float64)
    limits = common_limits([boxes, wider.reshape(-1, 3)], images.shape[2:])
    frames = []
    for number, (image, window, caption) in enumerate(zip(images, windows, captions, strict=True)):
        canvas.figure.clear()
        left = _frame(canvas, image, boxes[: number + 1], limits, len(boxes))
        for top, edge, side in wider[number]:
            _square(left, (top, edge, side), GOLD, 1.0)
        right = canvas.figure.add_axes((0.535, 0.16, 0.43, 0.72))
        edges = (-EDGE, window.shape[2] - EDGE, window.shape[1] - EDGE, -EDGE)
        _picture(right, window.transpose(1, 2, 0), edges)
        side, rings = window.shape[1], window.shape[2] // window.shape[1]
        several = f"{rings} rings of " if rings > 1 else ""
        right.set_title(f"what it is given: {several}{side} x {side}", fontsize=11)
        canvas.figure.text(0.5, 0.03, textwrap.shorten(caption, 70), ha="center", fontsize=12)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return frames


def _frame(
    canvas: FigureCanvasAgg,
    image: NDArray[np.uint8],
    boxes: NDArray[np.float64],
    limits: tuple[float, float, float, float],
    count: int,
) -> Axes:
    """Show the image with the last of the boxes so far and the path of the newest centres."""
    left = canvas.figure.add_axes((0.035, 0.16, 0.43, 0.72))
    _picture(left, image.transpose(1, 2, 0), limits)
    left.set_title(f"glimpse {len(boxes)} of {count}", fontsize=13, fontweight="bold")
    centres = (boxes[:, 1::-1] + boxes[:, 2:] / 2 - EDGE)[-TRAIL:]  # [T', 2], x and y
    for colour, width in (("black", 2.8), ("white", 1.2)):
        left.plot(*centres.T, color=colour, linewidth=width, marker="o", markersize=1.5 * width)
    top, edge, side = boxes[-1]
    _square(left, (top, edge, side), GOLD, 2.6)
    return left


def save_film(frames: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """Write a GIF that starts again after its last frame; one palette, so that nothing flickers."""
    from PIL import Image

    dither = Image.Dither.NONE
    palette = Image.fromarray(np.concatenate(frames)).quantize(254, dither=dither)
    colours = np.array(palette.getpalette()).reshape(-1, 3)[:254]
    colours[colours.min(1) >= 248] = 255  # otherwise the paper turns grey
    palette.putpalette([255, 255, 255, 0, 0, 0, *map(int, colours.flat)])
    pages = [Image.fromarray(frame).quantize(palette=palette, dither=dither) for frame in frames]
    times = [FRAME] * (len(pages) - 1) + [LAST]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=times, loop=0)


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
