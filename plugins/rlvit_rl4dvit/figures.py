"""Pictures of what a run's selector does: which patches, how many, where, and in which images.

They are drawn once at the end, from a fixed sample of the images that were evaluated and from the
tables of the evaluation; the sample's selections are kept beside them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlvit.contracts import RunContext
from rlvit.errors import RlvitError
from rlvit.nn.named_images import numbers_of
from rlvit.nn.pruning import PrunedVit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAMPLE = 256  # images, as many of each class
SHOWN = 8  # of them, each of another class if there are so many
CELLS = 32  # pictures in masks.png at most, unless there are many decisions
BATCH = 64  # images
DPI = 110
COLOURS = 256  # of masks.png, so that photographs stay small
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#555555"  # Okabe and Ito 2008; apart in grey, too
VEIL = 0.92  # how white a dropped patch is
MANY = 2000  # points, from which on they are drawn small
DECILES = 10


@dataclass(frozen=True)
class Sample:
    """What was selected in the sampled images."""

    names: NDArray[np.str_]  # [S]
    labels: NDArray[np.int64]  # [S]
    correct: NDArray[np.bool_]  # [S], among the dataset's classes
    alive: NDArray[np.bool_]  # [L, S, N], after each decision
    shown: NDArray[np.int64]  # [P], which of them masks.png shows
    pictures: NDArray[np.uint8]  # [P, H, H, 3]


def draw(context: RunContext, vit: PrunedVit) -> None:
    """Keep the artifact `figures` of a run that was measured: pictures, and selections.npz.

    Raises:
        RlvitError: the run has no evaluation on record.
    """
    step, pruned = newest_table(context.folder)
    dense = read_table(context.folder / "artifacts" / "dense")
    sample = walk_sample(context, vit, pruned["name"])
    classes = readable(context.data().classes)
    blocks, grid = vit.decision_blocks, vit.backbone.grid

    def build(folder: Path) -> None:
        save(mask_figure(sample, classes, blocks, grid), folder / "masks.png", COLOURS)
        save(kept_figure(sample.alive, blocks), folder / "kept_histogram.png")
        save(map_figure(sample.alive, blocks, grid), folder / "keep_map.png")
        save(confidence_figure(pruned, dense), folder / "kept_by_confidence.png")
        np.savez_compressed(folder / "selections.npz", allow_pickle=False, **packed(sample, vit))

    inputs = {
        "selector": context.part("selector").name,
        "weights": vit.backbone.sha256,
        "protocol": context.protocol.name,
        "decision_blocks": list(blocks),
        "images": len(sample.labels),
        "seed": context.seed,
        "step": step,
    }
    context.keep("figures", inputs, build)


def newest_table(folder: Path) -> tuple[int, dict[str, NDArray[Any]]]:
    """Return the last evaluation's step and its table of one row an image.

    Raises:
        RlvitError: nothing was evaluated yet.
    """
    prefix = "predictions-"
    steps = [int(p.name.removeprefix(prefix)) for p in (folder / "artifacts").glob(f"{prefix}*")]
    if not steps:
        raise RlvitError(f"{folder} has no table of predictions that figures could show.")
    return max(steps), read_table(folder / "artifacts" / f"{prefix}{max(steps)}")


def read_table(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the columns of an artifact's predictions.npz."""
    with np.load(folder / "predictions.npz", allow_pickle=False) as table:
        return dict(table)


def packed(sample: Sample, vit: PrunedVit) -> dict[str, NDArray[Any]]:
    """Return the sample as it is kept: `np.unpackbits(kept, axis=2, count=patches)` undoes it."""
    return {
        "kept": np.packbits(sample.alive, axis=2),  # [L, S, ceil(N / 8)]
        "patches": np.array(sample.alive.shape[2]),
        "grid": np.array(vit.backbone.grid),
        "decision_blocks": np.array(vit.decision_blocks),
        "name": sample.names,
        "label": sample.labels,
        "correct_task": sample.correct,
    }


def walk_sample(context: RunContext, vit: PrunedVit, evaluated: NDArray[np.str_]) -> Sample:
    """Pass a fixed sample of the evaluated images through the network."""
    split = context.data().split(str(context.protocol.settings["split"]))
    among = numbers_of(split, evaluated)
    numbers = among[balanced(split.labels[among], SAMPLE)]
    labels = split.labels[numbers]
    wanted = min(SHOWN, max(2, CELLS // (1 + len(vit.decision_blocks))))
    shown = np.sort(balanced(labels, wanted))
    order = [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]
    before, vit.generator = vit.generator, torch.Generator(context.device)
    vit.generator.manual_seed(context.seed)  # for selectors that draw: the same each time
    alive, answers, pictures = [], [], []
    try:
        with torch.inference_mode():
            for number, images in enumerate(split.batches(order, vit.image_size)):
                context.check_stop()
                walk = vit.walk(images.to(context.device))
                alive.append(walk.alive.cpu().numpy())
                answers.append(walk.logits[:, vit.targets].argmax(1).cpu().numpy())
                here = shown[shown // BATCH == number] % BATCH
                pictures.append(images.cpu().numpy()[here].transpose(0, 2, 3, 1))
    finally:
        vit.generator = before
    return Sample(
        names=np.array([split.names[number] for number in numbers]),
        labels=labels,
        correct=np.concatenate(answers) == labels,
        alive=np.concatenate(alive, axis=1),
        shown=shown,
        pictures=np.concatenate(pictures),
    )


def balanced(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return at most `count` of the rows [S], as many of each class: the first rows of each.

    Where there are more classes than that, those are taken that lie evenly among them.
    """
    classes = np.unique(labels)
    if len(classes) > count:
        classes = classes[np.arange(count) * len(classes) // count]
    rows = [np.flatnonzero(labels == one) for one in classes]
    turns = [row[turn] for turn in range(max(map(len, rows))) for row in rows if turn < len(row)]
    return np.array(turns[:count], dtype=np.int64)


def readable(classes: Sequence[str]) -> list[str]:
    """Return names for people: WordNet ids become words where timm is there to tell them."""
    if not all(len(name) == 9 and name[0] == "n" and name[1:].isdigit() for name in classes):
        return list(classes)
    from rlvit.nn.vision import import_timm

    try:
        import_timm()
    except RlvitError:  # a caption does not need it
        return list(classes)
    from timm.data import ImageNetInfo

    known = ImageNetInfo()
    words = {n: known.index_to_description(i) for i, n in enumerate(known.label_names())}
    return [words.get(name, name).split(",")[0] for name in classes]


def blank(width: float, height: float) -> Figure:
    """Return an empty figure, in inches; pyplot and its global state stay out of this."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def save(figure: Figure, path: Path, colours: int | None = None) -> None:
    """Write a PNG, with so many colours at most."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    if colours is not None:
        palette = picture.quantize(colours)
        picture = picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    picture.save(path, optimize=True)


def mask_figure(
    sample: Sample, classes: Sequence[str], blocks: Sequence[int], grid: tuple[int, int]
) -> Figure:
    """Show images beside what is left of them before each decision block (Fig. 2)."""
    cell = 1.3  # inches
    figure = blank(cell * (1 + len(blocks)) + 0.4, (cell + 0.3) * len(sample.shown) + 0.6)
    panels = figure.subplots(len(sample.shown), 1 + len(blocks), squeeze=False)
    for row, (number, picture) in enumerate(zip(sample.shown, sample.pictures, strict=True)):
        mark = "right" if sample.correct[number] else "WRONG"
        title = f"{textwrap.shorten(classes[sample.labels[number]], 17, placeholder='…')}: {mark}"
        _picture(panels[row, 0], picture, title)
        for column, block in enumerate(blocks, start=1):
            keep = sample.alive[column - 1, number].reshape(grid)
            title = f"before block {block}:\n" if row == 0 else ""
            title += f"{keep.sum()} of {keep.size}"
            _picture(panels[row, column], veiled(picture, keep), title)
            _outline(panels[row, column], keep, len(picture))
    figure.suptitle("Patches left; nearly white: dropped", fontsize=11)
    return figure


def veiled(picture: NDArray[np.uint8], keep: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a picture [H, H, 3] whose dropped patches [rows, columns] are nearly white."""
    rows = np.arange(len(picture)) * keep.shape[0] // len(picture)
    columns = np.arange(picture.shape[1]) * keep.shape[1] // picture.shape[1]
    pixels = keep[np.ix_(rows, columns)][..., None]  # [H, H, 1]
    white = VEIL * 255 + (1 - VEIL) * picture
    return np.where(pixels, picture, white.round()).astype(np.uint8)


def _picture(panel: Axes, picture: NDArray[np.uint8], title: str) -> None:
    panel.imshow(picture, interpolation="nearest" if len(picture) < 64 else "auto")
    panel.set_title(title, fontsize=8.5, pad=3, wrap=True)
    panel.set_xticks([])
    panel.set_yticks([])


def _outline(panel: Axes, keep: NDArray[np.bool_], size: int) -> None:
    """Draw the border between kept and dropped patches, for images that are white themselves."""
    from matplotlib.collections import LineCollection

    rows, columns = keep.shape
    high, wide = size / rows, size / columns
    lines = [
        [(c * wide, (r + 1) * high), ((c + 1) * wide, (r + 1) * high)]
        for r, c in np.argwhere(keep[1:] != keep[:-1])
    ]
    lines += [
        [((c + 1) * wide, r * high), ((c + 1) * wide, (r + 1) * high)]
        for r, c in np.argwhere(keep[:, 1:] != keep[:, :-1])
    ]
    moved = np.array(lines).reshape(-1, 2, 2) - 0.5  # pixels' centres are whole numbers
    panel.add_collection(LineCollection(list(moved), colors=ORANGE, linewidths=0.9), autolim=False)


def kept_figure(alive: NDArray[np.bool_], blocks: Sequence[int]) -> Figure:
    """Show how many patches of an image are left after each decision."""
    kept = alive.sum(2)  # [L, S]
    patches = alive.shape[2]
    width = max(1, round((int(kept.max()) - int(kept.min()) + 1) / 40))
    edges = np.arange(kept.min(), kept.max() + width + 1, width) - 0.5
    figure = blank(6.4, 0.9 + 1.7 * len(blocks))
    panels = figure.subplots(len(blocks), 1, squeeze=False, sharex=True)[:, 0]
    for panel, counts, block in zip(panels, kept, blocks, strict=True):
        panel.hist(counts, edges, color=BLUE, edgecolor="white", linewidth=0.4)
        mean = counts.mean()
        panel.axvline(mean, color=ORANGE, linestyle="--", linewidth=1.8)
        spread = counts.std(ddof=1) if len(counts) > 1 else 0.0
        panel.set_title(
            f"before block {block}: mean {mean:.1f} of {patches} (dashed), deviation {spread:.1f}",
            fontsize=10,
        )
        panel.set_ylabel("images")
    panels[-1].set_xlim(edges[0] - 1, edges[-1] + 1)
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    panels[-1].set_xlabel(f"patches kept ({kept.shape[1]} images)")
    return figure


def map_figure(alive: NDArray[np.bool_], blocks: Sequence[int], grid: tuple[int, int]) -> Figure:
    """Show in which share of the images each position is kept."""
    columns = min(4, len(blocks))
    rows = -(-len(blocks) // columns)
    figure = blank(2.5 * columns + 1.1, 2.7 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat[len(blocks) :]:
        panel.set_axis_off()
    share = alive.mean(1).reshape(len(blocks), *grid)
    for panel, values, block in zip(panels.flat, share, blocks, strict=False):
        shown = panel.imshow(values, cmap="cividis", vmin=0, vmax=1)
        panel.set_title(f"before block {block}: {values.mean():.0%}", fontsize=10)
        panel.set_xticks([])
        panel.set_yticks([])
    bar = figure.colorbar(shown, ax=panels, shrink=0.85, aspect=16 if rows == 1 else 26)
    bar.set_label(f"share of {alive.shape[1]} images\nthat keep the position")
    return figure


def confidence_figure(
    pruned: Mapping[str, NDArray[Any]], dense: Mapping[str, NDArray[Any]]
) -> Figure:
    """Show patches kept after the last decision against the whole backbone's confidence.

    The fixed point n* = beta R p / alpha falls with p, the probability of a right answer: are hard
    images, which would need more patches, left with fewer?
    """
    kept, sure = by_name(pruned, dense)
    figure = blank(6.4, 4.4)
    panel = figure.subplots()
    size = 3 if len(kept) > MANY else 12
    opacity = min(0.45, max(0.02, 800 / len(kept)))  # so that the crowded places stay grey
    panel.scatter(sure, kept, s=size, alpha=opacity, color=GREY, linewidths=0, label="image")
    centres, means, halves = deciles(sure, kept)
    panel.errorbar(
        *(centres, means, halves),
        color=ORANGE, marker="o", markersize=5, linewidth=1.8, capsize=3,
        label="mean of a tenth of the images, 95 % interval",
    )  # fmt: skip
    panel.set_xlabel("confidence of the backbone with all patches")
    panel.set_ylabel("patches kept after the last decision")
    panel.set_title(f"{correlation_words(kept, sure)}, {len(kept):,} images", fontsize=11)
    legend = figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    return figure


def by_name(
    pruned: Mapping[str, NDArray[Any]], dense: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return patches kept and confidence [S] of the same images."""
    _, left, right = np.intersect1d(pruned["name"], dense["name"], return_indices=True)
    return pruned["kept"][left, -1].astype(float), dense["confidence"][right].astype(float)


def deciles(
    by: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mean `by`, mean value and half the 95 % interval of each tenth in the order of `by`.

    The interval is the normal approximation; tenths of fewer than two images have none.
    """
    order = np.argsort(by, kind="stable")
    parts = [part for part in np.array_split(order, DECILES) if len(part)]
    halves = [
        1.96 * values[part].std(ddof=1) / len(part) ** 0.5 if len(part) > 1 else 0.0
        for part in parts
    ]
    centres = [by[part].mean() for part in parts]
    return np.array(centres), np.array([values[part].mean() for part in parts]), np.array(halves)


def correlation_words(left: NDArray[np.float64], right: NDArray[np.float64]) -> str:
    """Say how the ranks correlate, with a 95 % interval (Fisher's z, Fieller et al. 1957)."""
    if len(left) < 4 or left.std() == 0 or right.std() == 0:
        return "no rank correlation (one of the two does not vary)"
    rank = float(np.corrcoef(ranks(left), ranks(right))[0, 1])
    z, half = np.arctanh(np.clip(rank, -0.999999, 0.999999)), 1.96 * (1.06 / (len(left) - 3)) ** 0.5
    return f"rank correlation {rank:+.2f} ({np.tanh(z - half):+.2f} to {np.tanh(z + half):+.2f})"


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, ties sharing their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place])
