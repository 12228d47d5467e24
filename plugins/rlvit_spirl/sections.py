"""What reports add about SPIRL: how many patches its frames kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlvit.sections import (
    SectionArm,
    SectionColumn,
    SectionContent,
    SectionFigure,
    SectionPicture,
    SectionRequest,
    SectionTable,
    SectionTrial,
)

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

METHOD, BASELINE = "spirl", "de-rainbow"
PICTURES = {  # of the artifact "figures"
    "selection.png": "Lorenz curves of the errors, and the patches kept",
    "attention.png": "What the policy attends to of what is kept",
    "reconstructions.png": "What the autoencoder rebuilds, and its errors",
    "patches_kept.png": "Patches kept, and the paper's counts",
    "frames.png": "What an agent sees that sees whole frames",
    "episode.gif": "The first evaluation game",
}
COLUMNS = (
    SectionColumn("arm"),
    SectionColumn("runs"),
    SectionColumn("frames a run"),
    SectionColumn("kept", "patches"),
    SectionColumn("cap", "patches"),
    SectionColumn("frames at the cap", "%"),
    SectionColumn("iterations of the autoencoder"),
)


def kept_patches(request: SectionRequest) -> SectionContent | None:
    """Show the distribution of K, the patches that a frame keeps, and what decides it."""
    found = [(arm, _counts(request, arm)) for arm in request.arms if arm.method == METHOD]
    found = [(arm, counts) for arm, counts in found if counts]
    if not found:
        return None
    rows = [_row(request, arm, counts) for arm, counts in found]
    figure = SectionFigure(
        title=f"{request.task} · patches kept of a frame",
        caption="Share of the frames by the number of patches kept, all runs of an arm together;"
        " a frame that wants more than the cap keeps as many as the cap.",
        draw=lambda axes: _draw(axes, found),
    )
    note = "All frames of learning and evaluation of the runs that counted them."
    return SectionContent(
        tables=[SectionTable("Patches kept by SPIRL", COLUMNS, rows, note)], figures=[figure]
    )


def looks(request: SectionRequest) -> SectionContent | None:
    """Show the pictures and the film of one run of each arm, the last seed that has any."""
    found = [
        SectionPicture(
            f"{meaning} · {arm.label}", f"{meaning}: {arm.label}, run {trial.id}.", files[name]
        )
        for arm in request.arms
        if arm.method in (METHOD, BASELINE)
        for trial, files in _drawn(request, arm)
        for name, meaning in PICTURES.items()
        if name in files
    ]
    return SectionContent(figures=found) if found else None


def _drawn(request: SectionRequest, arm: SectionArm) -> list[tuple[SectionTrial, dict[str, Path]]]:
    """Return the last run of an arm that drew pictures, with its files by name, if there is one."""
    for trial in reversed(arm.trials):
        files = {path.name: path for path in request.files(trial, "figures", "*")}
        if files:
            return [(trial, files)]
    return []


def _counts(request: SectionRequest, arm: SectionArm) -> list[tuple[NDArray[np.int64], int]]:
    """Return for each run that counted them the frames by patches kept [N + 1], and its cap."""
    return [read for trial in arm.trials if (read := _read(request, trial)) is not None]


def _read(request: SectionRequest, trial: SectionTrial) -> tuple[NDArray[np.int64], int] | None:
    for path in request.files(trial, "kept", "kept.npz"):
        with np.load(path, allow_pickle=False) as table:
            return table["frames"], int(table["cap"])
    return None


def _row(
    request: SectionRequest, arm: SectionArm, counts: Sequence[tuple[NDArray[np.int64], int]]
) -> list[object]:
    kept = [float(of @ np.arange(len(of)) / of.sum()) for of, _ in counts]
    at_cap = [float(100 * of[cap:].sum() / of.sum()) for of, cap in counts]
    caps = sorted({cap for _, cap in counts})
    frames = sorted({int(of.sum()) for of, _ in counts})
    return [
        arm.label,
        len(counts),
        _span(frames),
        request.interval(kept),
        _span(caps),
        request.interval(at_cap),
        _iterations(arm),
    ]


def _span(values: Sequence[int]) -> str:
    """Return 50, or 43 to 50 where runs differ."""
    return " to ".join(f"{value:,}" for value in dict.fromkeys((values[0], values[-1])))


def _iterations(arm: SectionArm) -> int | None:
    """Return the iterations that the autoencoder was trained for; a part of a batch is dropped."""
    names = ("epochs", "frames", "mae_batch_size")
    epochs, frames, batch = (arm.config.get(name) for name in names)
    return epochs * (frames // batch) if epochs and frames and batch else None


def _draw(
    axes: Axes, found: Sequence[tuple[SectionArm, Sequence[tuple[NDArray[np.int64], int]]]]
) -> None:
    for arm, counts in found:
        longest = max(len(of) for of, _ in counts)
        total = sum(np.pad(of, (0, longest - len(of))) for of, _ in counts)
        top = int(np.flatnonzero(total).max())
        patches = np.arange(top + 2)
        share = np.append(100 * total[: top + 1] / total.sum(), 0.0)
        look = {name: value for name, value in arm.style.items() if name != "marker"}
        label = f"{arm.label} (n={len(counts)})"
        axes.step(patches - 0.5, share, where="post", label=label, **look)
    axes.set_xlabel("patches kept")
    axes.set_ylabel("frames (%)")
    axes.set_ylim(bottom=0)
