"""Pictures of a trained agent as in the paper's Figs. 2, 3, 6 and 8, drawn from a filmed game."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlvit_spirl.agent import PatchFeatures
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.film import Film
from rlvit_spirl.mae import GRID, PATCH, PATCHES
from rlvit_spirl.overlay import enlarged, with_patches
from rlvit_spirl.reconstruct import BACKGROUNDS, backgrounds, from_surroundings
from rlvit_spirl.saliency import Saliency
from rlvit_spirl.selection import dynamic_k
from rlvit_spirl.selector import SalientPatches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOMENTS = 3  # of a game that are shown
COUNTED = 300  # frames of a game, or up to twice as many, for what the curve says without a cap
SCALE = 8  # screen pixels a pixel before a picture is made as small as it is shown
DPI = 110
BLUE, GREEN, RED, GREY = "#0072B2", "#009E73", "#E82828", "#8C8C8C"
PLAIN = "#333333"  # text
BIN = 5  # % of all patches, in Fig. 8
# Fig. 8: frames of the pre-training data by patches kept, in bins of 5 % of all 144, the first up
# to and with 5 %; as they can be read from the figure.
FIG_8: Mapping[str, tuple[int, ...]] = {
    "MsPacman": (0, 0, 22, 1591, 29634, 16342, 2401, 10),
    "Frostbite": (0, 0, 0, 0, 1, 2794, 1989, 216),
    "Seaquest": (6772, 22977, 18274, 1783, 170, 24),
    "BattleZone": (
        *(0, 322, 7271, 22886, 17415, 1966, 9, 14, 12),
        *(11, 21, 13, 13, 12, 16, 8, 8, 3),
    ),
}
UNITS = {"pixels": "mean squared error (pixels in 0..1)", "normalised": "error / patch's variance"}


@dataclass(frozen=True)
class Subject:
    """A trained agent, for pictures of it."""

    game: str
    title: str  # what it is, such as the game and the run
    features: PatchFeatures
    config: SpirlConfig
    cap: int  # most patches that it keeps
    counts: NDArray[np.int64]  # [145] frames that kept 0, 1, .. patches
    counted: str  # what these frames are


def draw(folder: Path, subject: Subject, film: Film) -> list[Path]:
    """Draw all pictures that there are of a subject and one of its games; return the files."""
    moments = moments_of(film)
    maps = error_maps(subject, np.array(film.frames)[moments])  # [M, 144]
    drawn = [
        _save(_reconstructions(subject, film, moments, maps), folder / "reconstructions.png"),
        _save(_selection(subject, film, moments, maps), folder / "selection.png"),
    ]
    if film.attended:
        drawn.append(_save(_attention(subject, film, moments), folder / "attention.png"))
    histogram = _histogram(subject, subject.counts, uncapped_counts(subject, film))
    drawn.append(_save(histogram, folder / "patches_kept.png"))
    return drawn


def draw_frames(folder: Path, title: str, film: Film) -> list[Path]:
    """Draw moments of a game as an agent sees them that sees whole frames."""
    moments = moments_of(film)
    figure = blank(3 * len(moments), 3.5)
    for place, moment in enumerate(moments):
        axes = figure.add_subplot(1, len(moments), 1 + place)
        _show(axes, enlarged(film.frames[moment], 1), f"step {moment + 1:,} of {film.length:,}")
    figure.suptitle(_wrapped(f"What the agent sees: {title}", 9))
    return [_save(figure, folder / "frames.png")]


def moments_of(film: Film) -> list[int]:
    """Return steps spread evenly over the filmed part of a game, its first and last left out."""
    ends = np.linspace(0, len(film.frames) - 1, MOMENTS + 2)[1:-1].round()
    return sorted({int(step) for step in ends})


def error_maps(subject: Subject, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the errors [B, 144] of the patches of frames, remembered ones if the selector does."""
    selector = subject.features.selector
    if isinstance(selector, SalientPatches):
        return selector.saliency.error_maps(frames)
    return Saliency(subject.features.backbone, error_space=subject.config.error_space).error_maps(
        frames
    )


def lorenz(errors: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of all errors that the 0, 1, .. N smallest hold: [N + 1] (section 4.2)."""
    held = np.concatenate([[0.0], np.sort(errors.astype(np.float64)).cumsum()])
    return np.asarray(held / held[-1]) if held[-1] > 0 else np.linspace(0, 1, len(held))


def _reconstructions(
    subject: Subject, film: Film, moments: Sequence[int], maps: NDArray[np.float32]
) -> Figure:
    """Fig. 2: frames, their patches from neighbours alone, errors; below, what needs no frame."""
    mae, figure = subject.features.backbone, blank(9.6, 3.1 * (len(moments) + 1) + 0.6)
    grid = figure.add_gridspec(len(moments) + 1, 3)
    for row, (moment, errors) in enumerate(zip(moments, maps, strict=True)):
        frame = film.frames[moment]
        cells = [figure.add_subplot(grid[row, column]) for column in range(3)]
        _show(cells[0], enlarged(frame, 1), f"frame of step {moment + 1:,}")
        _show(cells[1], from_surroundings(mae, frame), "each patch from its neighbours")
        image = cells[2].imshow(
            errors.reshape(GRID, GRID), extent=_extent(), interpolation="nearest", vmin=0
        )
        _bare(cells[2], "error of each patch")
        bar = figure.colorbar(image, ax=cells[2], fraction=0.046)
        bar.set_label(UNITS[subject.config.error_space], fontsize=8)
        bar.ax.tick_params(labelsize=8)
    for column, (name, picture) in enumerate(zip(BACKGROUNDS, backgrounds(mae), strict=True)):
        axes = figure.add_subplot(grid[-1, column])
        _show(axes, picture, f"no frame: {name}")
    note = "Without a frame, patches are standardised: grey is a patch's mean."
    figure.supxlabel(note, fontsize=9, color=PLAIN)
    _title(figure, f"Reconstructions (as Fig. 2): {subject.title}\n{_trained(subject)}", 9.6)
    return figure


def _selection(
    subject: Subject, film: Film, moments: Sequence[int], maps: NDArray[np.float32]
) -> Figure:
    """Fig. 3: Lorenz curves with the chosen points, and the patches that are kept."""
    figure = blank(3.2 * len(moments), 7.1)
    grid = figure.add_gridspec(2, len(moments))
    for column, (moment, errors) in enumerate(zip(moments, maps, strict=True)):
        kept = film.kept[moment]
        axes = figure.add_subplot(grid[0, column])
        _lorenz(axes, subject, errors, int(kept.sum()))
        axes.set_title(f"step {moment + 1:,}", fontsize=10)
        if column == 0:
            axes.set_ylabel("share of all errors")
            axes.legend(loc="upper left", fontsize=8, frameon=False)
        below = figure.add_subplot(grid[1, column])
        shown = with_patches(film.frames[moment], kept, None, SCALE, dim=False)
        _show(below, shown, f"{int(kept.sum())} of {PATCHES} patches kept")
    _title(figure, f"Selection (as Fig. 3): {subject.title}\n{_trained(subject)}", 3.2 * MOMENTS)
    return figure


def _lorenz(axes: Axes, subject: Subject, errors: NDArray[np.float32], kept: int) -> None:
    """Draw the curve of a frame, the point where the selection stopped, and where its rule says."""
    share, curve = np.linspace(0, 1, PATCHES + 1), lorenz(errors)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    axes.plot(share, curve, color=BLUE, linewidth=1.8, label="errors, smallest first")
    salient = isinstance(subject.features.selector, SalientPatches)
    if salient and subject.config.k == "dynamic":
        free = int(dynamic_k(torch.from_numpy(errors[None]), subject.config.angle, None))
        place = PATCHES - free
        label = f"slope of {subject.config.angle:.3g}\N{DEGREE SIGN}"
        axes.plot(share[place], curve[place], "o", color=BLUE, fillstyle="none", ms=9, label=label)
        axes.annotate(
            f"{free} patches",
            (share[place], curve[place]),
            (-8, 8),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=BLUE,
        )
    if salient:
        place = PATCHES - kept
        axes.axvline(share[place], color=RED, linewidth=1.2, linestyle="--")
        axes.plot(
            share[place],
            curve[place],
            "o",
            color=RED,
            markersize=6,
            label="kept: right of the line",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="share of the patches")
    axes.tick_params(labelsize=8)


def _attention(subject: Subject, film: Film, moments: Sequence[int]) -> Figure:
    """Fig. 6: kept patches, and those that hold most of the class token's attention."""
    figure = blank(3.2 * len(moments), 4.2)
    for place, moment in enumerate(moments):
        axes = figure.add_subplot(1, len(moments), 1 + place)
        kept, attended = film.kept[moment], film.attended[moment]
        shown = with_patches(film.frames[moment], kept, attended, SCALE, dim=False)
        held = f"{int(attended.sum())} of {int(kept.sum())} kept patches hold 60 %"
        _show(axes, shown, f"step {moment + 1:,}: {held}")
    note = (
        "Red: kept. Orange and tinted: kept, and among the fewest that hold 60 % of the class "
        "token's attention to kept patches (mean of the heads)."
    )
    figure.supxlabel(_wrapped(note, 3.2 * len(moments)), fontsize=9, color=PLAIN)
    _title(figure, f"Attention of the policy (as Fig. 6): {subject.title}", 3.2 * len(moments))
    return figure


def _histogram(
    subject: Subject, counts: NDArray[np.int64], free: NDArray[np.int64] | None
) -> Figure:
    """Fig. 8: how many patches frames keep, beside the paper's own counts of the game."""
    figure = blank(7.2, 4.6)
    axes = figure.add_subplot()
    ours, printed = binned(counts), np.array(FIG_8.get(subject.game, (0,)))
    uncapped = np.zeros_like(ours) if free is None else binned(free)
    used = [int(np.flatnonzero(of).max(initial=0)) + 1 for of in (ours, uncapped, printed)]
    edges = BIN * np.arange(max(used) + 1)

    def share(of: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return % of the frames, and a last step down to nothing."""
        padded = np.pad(of, (0, 100 // BIN - len(of)))[: max(used)]
        return np.append(100 * padded / max(1, of.sum()), 0.0)

    if printed.any():
        label = f"the paper, Fig. 8: {printed.sum():,} frames of a random policy, no cap"
        axes.bar(edges[:-1], share(printed)[:-1], BIN, align="edge", color="#CFCFCF", label=label)
    if free is not None:
        label = f"without the cap: {free.sum():,} frames of this game"
        axes.step(edges, share(uncapped), where="post", color=GREEN, ls="--", lw=2, label=label)
    label = f"kept: {ours.sum():,} frames of {subject.counted}"
    axes.step(edges, share(ours), where="post", color=BLUE, linewidth=2, label=label)
    ratio = 100 * subject.cap / PATCHES
    label = f"cap: {subject.cap} of {PATCHES} patches"
    axes.axvline(ratio, color=RED, linewidth=1.2, linestyle=":", label=label)
    axes.set_xlabel(f"patches kept (% of {PATCHES}, in steps of {BIN})")
    axes.set_ylabel("frames (%)")
    axes.set_xlim(0, edges[-1] + BIN)
    axes.set_ylim(0, 1.5 * max(share(of).max() for of in (ours, uncapped, printed)))
    axes.set_yticks([tick for tick in axes.get_yticks() if tick <= 100])
    axes.legend(loc="upper right", fontsize=8, edgecolor="none", framealpha=1)
    _title(figure, f"Patches kept (as Fig. 8): {subject.title}\n{_trained(subject)}", 7.2)
    return figure


def uncapped_counts(subject: Subject, film: Film) -> NDArray[np.int64] | None:
    """Return frames by what the Lorenz curve alone says [145], of some of a game's frames.

    None where it does not decide.
    """
    salient = isinstance(subject.features.selector, SalientPatches)
    if not salient or subject.config.k != "dynamic":
        return None
    some = film.frames[:: max(1, len(film.frames) // COUNTED)]
    errors = torch.from_numpy(error_maps(subject, np.array(some)))
    kept = dynamic_k(errors, subject.config.angle, None).numpy()
    return np.bincount(kept, minlength=PATCHES + 1)


def binned(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return frames by bins of 5 % of 144 patches [20] from frames by patches kept [145].

    A bin has its upper end in it; the first has frames that keep nothing, too.
    """
    kept = np.arange(len(counts))
    place = np.maximum(0, -(-kept * 100 // (BIN * (len(counts) - 1))) - 1)
    return np.bincount(place, weights=counts, minlength=100 // BIN).astype(np.int64)


def _trained(subject: Subject) -> str:
    """Say how long the autoencoder was trained, and how long the paper's was."""
    ours = subject.config.iterations(subject.game)
    paper = SpirlConfig().iterations(subject.game)
    whose = "the paper" if subject.game in FIG_8 else "the paper elsewhere"
    beside = f"as {whose}" if ours == paper else f"{whose}: {paper:,}"
    later = subject.config.rounds * subject.config.round_iterations
    more = f" and {later:,} while playing" if later else ""
    return f"autoencoder of {ours:,} iterations ({beside}){more}"


def blank(width: float, height: float) -> Figure:
    """Return an empty figure, in inches; pyplot and its global state stay out of this."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _title(figure: Figure, text: str, width: float) -> None:
    figure.suptitle(_wrapped(text, width), fontsize=11)


def _wrapped(text: str, width: float) -> str:
    """Break a text where it would be wider than so many inches."""
    letters = int(11 * width)
    return "\n".join(
        textwrap.fill(line, letters, break_on_hyphens=False) for line in text.splitlines()
    )


def _extent() -> tuple[float, float, float, float]:
    """Return the edges of a frame in its pixels, so that patches and pixels meet."""
    return (0, GRID * PATCH, GRID * PATCH, 0)


def _show(axes: Axes, picture: NDArray[Any], title: str) -> None:
    """Show a picture [H, W, 3] as large as the frame that it is of."""
    drawn = len(picture) == SCALE * GRID * PATCH  # with lines, to be made smaller evenly
    axes.imshow(picture, extent=_extent(), interpolation="auto" if drawn else "nearest")
    _bare(axes, title)


def _bare(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set(xticks=[], yticks=[])


def _save(figure: Figure, path: Path) -> Path:
    """Write a PNG; the same figure gives the same bytes."""
    figure.savefig(path, metadata={"Software": None})
    return path
