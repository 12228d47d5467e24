"""The figures of `rlvit prune-curve`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rlvit_rl4dvit.measured import AFTER, AGENTS, BEFORE, Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Item = TypeVar("Item")
DPI = 130
IMAGENET = "imagenet"
# Okabe and Ito 2008; with the markers they are told apart in grey as well.
STYLES = (
    ("#D55E00", "o"), ("#0072B2", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"),
    ("#56B4E9", "P"),
)  # fmt: skip
GREY = "#777777"
SINGLE = "--selector random and one decision block"
PRICED = f"--selector {AGENTS} and a fixed --alpha above 0"
PUBLISHED = {"dense": "*", "other": "x", "agents": "+", "agents, fine-tuned": "1"}


def write(measured: Sequence[Measured], out: Path) -> tuple[list[str], list[str]]:
    """Write the figures that there are runs for; return their names, and a line on each other.

    A figure of an earlier report for which there is no run now is removed.
    """
    save(curve_figure(measured), out, "curve.png", "curve.svg")
    drawn, missing = ["curve.png", "curve.svg"], []
    optional = (
        ("single_block.png", is_single_block, single_figure, SINGLE),
        ("alpha.png", is_priced, alpha_figure, PRICED),
    )
    for name, belongs, figure, wanted in optional:
        runs = [one for one in measured if belongs(one) and one.stage == BEFORE]
        if runs:
            save(figure(runs), out, name)
            drawn.append(name)
        else:
            (out / name).unlink(missing_ok=True)
            missing.append(f"no {name}: there is no run with {wanted}")
    return drawn, missing


def is_single_block(one: Measured) -> bool:
    """Tell whether patches are dropped at random before one block (Fig. 4)."""
    return one.selector == "random" and len(one.blocks) == 1


def is_priced(one: Measured) -> bool:
    """Tell whether agents paid a fixed price, under the reward that has a fixed point (Fig. 3)."""
    paper = one.config.get("credit") == "agent" and one.config.get("reward") == "gated"
    free = one.config.get("target_keep") is None and one.config.get("target_gmacs") is None
    return one.selector == AGENTS and paper and free and float(one.config["alpha"]) > 0


def save(figure: Figure, out: Path, *names: str) -> None:
    """Write a figure in the forms that the names end in, the same bytes each time."""
    for name in names:
        if name.endswith(".svg"):
            with rc_context({"svg.hashsalt": "rlvit"}):
                FigureCanvasSVG(figure).print_svg(out / name, metadata={"Date": None})
        else:
            FigureCanvasAgg(figure).print_png(out / name, metadata={"Software": None})


def curve_figure(measured: Sequence[Measured]) -> Figure:
    """Show accuracy against multiply-adds: a panel for each backbone and dataset."""
    groups = grouped(measured, lambda one: one.same)
    columns = min(2, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(7.2 * columns, 5.2 * rows), dpi=DPI, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat[len(groups) :]:
        panel.set_axis_off()
    for panel, group in zip(panels.flat, groups.values(), strict=False):
        _curve(panel, group)
    return figure


def _curve(panel: Axes, group: Sequence[Measured]) -> None:
    """Draw the arms of one backbone on one dataset, and its dense point."""
    first = group[0]
    dense = first.dense
    if first.task == IMAGENET:
        least = min(one.gmacs for one in group)
        _published(panel, 0.8 * least, 1.1 * float(dense["macs"].mean()) / 1e9)
    middle, low, high = accuracy(dense["correct_task"])
    panel.axhline(middle, color="black", linewidth=0.8, linestyle=":")
    panel.errorbar(
        *([float(dense["macs"].mean()) / 1e9], [middle], [[middle - low], [high - middle]]),
        color="black", marker="*", markersize=13, capsize=3, label="all patches (dense)",
    )  # fmt: skip
    compared = {one.blocks for one in group if one.selector == AGENTS}
    arms = [one for one in group if not is_single_block(one) or one.blocks in compared]
    several = len({one.blocks for one in arms}) > 1
    order = sorted({one.selector for one in arms}, key=lambda name: (name != AGENTS, name))
    places = [(name, blocks) for name in order for blocks in sorted({one.blocks for one in arms})]
    drawn = [p for p in places if any((one.selector, one.blocks) == p for one in arms)]
    for (selector, blocks), (colour, marker) in zip(drawn, cycle(STYLES), strict=False):
        label = selector + (f" (blocks {','.join(map(str, blocks))})" if several else "")
        arm = [one for one in arms if (one.selector, one.blocks) == (selector, blocks)]
        _arm(panel, arm, label, colour, marker)
    count = len(dense["name"])
    panel.set_title(
        f"{first.task} ({first.protocol}, {count:,} images): {first.backbone}\n"
        f"weights {first.weights[:12]}; bars: 95 % intervals",
        fontsize=10,
    )
    panel.set_xlabel("10^9 multiply-adds an image (GMACs)")
    panel.set_ylabel("top-1 among the dataset's classes, %")
    panel.grid(alpha=0.25)
    panel.legend(fontsize=8.5, loc="lower right")


def _arm(panel: Axes, arm: Sequence[Measured], label: str, colour: str, marker: str) -> None:
    """Draw an arm: hollow and dashed before fine-tuning, full and solid after it."""
    for stage, line, fill in ((BEFORE, "--", "white"), (AFTER, "-", colour)):
        runs = sorted((one for one in arm if one.stage == stage), key=lambda one: one.gmacs)
        if not runs:
            continue
        middle, low, high = np.array([accuracy(one.table["correct_task"]) for one in runs]).T
        suffix = "fine-tuned" if stage == AFTER else "not tuned"
        panel.errorbar(
            *([one.gmacs for one in runs], middle, [middle - low, high - middle]),
            color=colour, marker=marker, linestyle=line, markerfacecolor=fill, markersize=6.5,
            linewidth=1.4, elinewidth=1.0, capsize=3, label=f"{label}, {suffix}",
        )  # fmt: skip


def published() -> list[dict[str, Any]]:
    """Return the published points."""
    text = Path(__file__).with_name("published.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["point"])


def _published(panel: Axes, least: float, most: float) -> None:
    """Draw what the paper prints between two costs, in grey: single runs without intervals."""
    points = [point for point in published() if least <= point["gmacs"] <= most]
    for family, marker in PUBLISHED.items():
        own = [point for point in points if point["family"] == family]
        if not own:
            continue
        panel.plot(
            *([point["gmacs"] for point in own], [point["top1"] for point in own]),
            color=GREY, marker=marker, markersize=8, linewidth=0.8,
            linestyle=":" if family.startswith("agents") else "none",
            label=f"published: {family} ({own[0]['source']})",
        )  # fmt: skip
    named = grouped(
        (point for point in points if not point["family"].startswith("agents")),
        lambda point: (point["gmacs"], point["top1"]),
    )
    for place, own in named.items():
        right = place[0] > (least + most) / 2
        panel.annotate(
            ", ".join(point["model"] for point in own), place, fontsize=7, color=GREY,
            xytext=(-6 if right else 6, -10), textcoords="offset points",
            ha="right" if right else "left",
        )  # fmt: skip


def single_figure(single: Sequence[Measured]) -> Figure:
    """Show accuracy by the one block before which patches are dropped at random (Fig. 4)."""
    figure = Figure(figsize=(7.2, 4.8), dpi=DPI, layout="constrained")
    panel = figure.subplots()
    series = grouped(single, lambda one: (one.same, budget(one)))
    for runs, (colour, marker) in zip(series.values(), cycle(STYLES), strict=False):
        runs = sorted(runs, key=lambda one: (one.blocks, one.run))
        middle, low, high = np.array([accuracy(one.table["correct_task"]) for one in runs]).T
        first = runs[0]
        panel.errorbar(
            *([one.blocks[0] for one in runs], middle, [middle - low, high - middle]),
            color=colour, marker=marker, linewidth=1.4, capsize=3, markersize=6.5,
            label=f"{first.task}, {first.backbone}, {budget(first)}",
        )  # fmt: skip
        panel.axhline(accuracy(first.dense["correct_task"])[0], color=colour, linestyle=":")
    panel.set_xticks(sorted({one.blocks[0] for one in single}))
    panel.set_xlabel("patches are dropped before this block (from 0)")
    panel.set_ylabel("top-1 among the dataset's classes, %")
    panel.set_title(
        "Random selection at a single block, not tuned\ndotted: all patches; bars: 95 % intervals",
        fontsize=10,
    )
    panel.grid(alpha=0.25)
    panel.legend(fontsize=8.5)
    return figure


def budget(one: Measured) -> str:
    """Say how much a control arm was to keep or to cost."""
    config = one.config
    if config.get("target_gmacs") is not None:
        return f"{float(config['target_gmacs']):g} GMACs"
    share = config.get("target_keep")
    return f"keeps {float(config['keep_rate'] if share is None else share):.0%}"


def alpha_figure(priced: Sequence[Measured]) -> Figure:
    """Show how many patches agents keep at which price (Fig. 3), and the fixed point.

    The reward of section 3.2 settles at n* = beta R p / alpha living patches, p being the share of
    right answers. Its caption has it the other way round: a smaller alpha / beta keeps more.
    """
    figure = Figure(figsize=(7.2, 4.8), dpi=DPI, layout="constrained")
    panel = figure.subplots()
    series = grouped(priced, lambda one: (one.same, float(one.config["reward_scale"])))
    for runs, (colour, marker) in zip(series.values(), cycle(STYLES), strict=False):
        runs = sorted(runs, key=lambda one: (price(one), one.run))
        first, prices = runs[0], [price(one) for one in runs]
        kept = [one.table["kept"].mean(1) for one in runs]  # of each image, over its decisions
        halves = [1.96 * k.std(ddof=1) / len(k) ** 0.5 if len(k) > 1 else 0.0 for k in kept]
        scale = float(first.config["reward_scale"])
        panel.errorbar(
            *(prices, [k.mean() for k in kept], halves),
            color=colour, marker=marker, linewidth=1.4, capsize=3, markersize=6.5,
            label=f"{first.task}, {first.backbone}, R = {scale:g}",
        )  # fmt: skip
        right = float(np.mean([share_right(one) for one in runs]))
        axis = np.linspace(min(prices) / 1.2, max(prices) * 1.1, 400)
        label = f"n* = beta R p / alpha, p = {right:.2f}"
        panel.plot(axis, scale * right / axis, color=colour, linestyle=":", label=label)
    most = max(float(one.table["kept"].mean()) for one in priced)
    panel.set_ylim(0, max(1.3 * most, 1.0))
    panel.set_xlim(left=0)
    panel.set_xlabel("alpha / beta")
    panel.set_ylabel("patches kept, mean of the decisions")
    panel.set_title("Patches kept against the price of staying, not tuned", fontsize=10)
    panel.grid(alpha=0.25)
    panel.legend(fontsize=8.5)
    return figure


def price(one: Measured) -> float:
    """Return alpha / beta."""
    return float(one.config["alpha"]) / float(one.config["beta"])


def share_right(one: Measured) -> float:
    """Return the share of right answers, as agents were paid for them."""
    column = "correct_task" if one.config.get("classes") == "dataset" else "correct"
    return float(one.table[column].mean())


def accuracy(correct: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the accuracy and the ends of its 95 % interval (Wilson 1927), in %."""
    z, n, p = 1.96, len(correct), float(correct.mean())
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    return 100 * p, 100 * min(p, centre - half), 100 * max(p, centre + half)


def grouped(items: Iterable[Item], key: Callable[[Item], Any]) -> dict[Any, list[Item]]:
    """Return items by what they share, in the order of the keys."""
    found: dict[Any, list[Item]] = {}
    for one in items:
        found.setdefault(key(one), []).append(one)
    return dict(sorted(found.items()))
