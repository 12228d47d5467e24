"""What reports add about RL4DViT: tokens by decision, and accuracy against compute by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rlvit.sections import (
    Estimate,
    SectionArm,
    SectionCell,
    SectionColumn,
    SectionContent,
    SectionFigure,
    SectionRequest,
    SectionTable,
    SectionTrial,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METHOD = "rl4dvit"
TABLE = "predictions-"  # artifacts of evaluations, by the step they were made at
BEFORE, AFTER, ONLY = "before fine-tuning", "after fine-tuning", "as trained"
STAGES = (
    SectionColumn("arm"),
    SectionColumn("stage"),
    SectionColumn("top-1", "%", "max"),
    SectionColumn("multiply-adds of an image", "10⁹", "min"),
    SectionColumn("kept at the end", "patches"),
)
ALIVE = (
    SectionColumn("arm"),
    SectionColumn("before block"),
    SectionColumn("alive after the decision", "patches"),
)


@dataclass(frozen=True)
class _Evaluation:
    """One evaluation of one run: means over its images."""

    step: int
    accuracy: float  # %
    gmacs: float
    kept: tuple[float, ...]  # patches after each decision


def tokens(request: SectionRequest) -> SectionContent | None:
    """Show how many tokens each decision leaves, and what accuracy costs at each stage."""
    found = {
        arm.label: (arm, [_evaluations(request, trial) for trial in arm.trials])
        for arm in request.arms
        if arm.method == METHOD
    }
    found = {label: (arm, [e for e in runs if e]) for label, (arm, runs) in found.items()}
    measured = [(arm, runs) for arm, runs in found.values() if runs]
    if not measured:
        return None
    stages = [row for arm, runs in measured for row in _stages(request, arm, runs)]
    alive = [row for arm, runs in measured for row in _alive(request, arm, runs)]
    tables = [SectionTable("Accuracy and compute by stage", STAGES, stages)]
    tables += [SectionTable("Patches alive after each decision", ALIVE, alive)] if alive else []
    figure = SectionFigure(
        title=f"{request.task} · patches alive by decision",
        caption="Patches alive after the decision before each block, after the last stage: mean of"
        " an image and of an arm's runs.",
        draw=lambda axes: _draw(axes, measured),
    )
    return SectionContent(tables=tables, figures=[figure] if alive else [])


def _evaluations(request: SectionRequest, trial: SectionTrial) -> list[_Evaluation]:
    """Return a run's evaluations by step; artifacts that are no more are left out."""
    found = []
    for kind in trial.artifacts:
        if kind.startswith(TABLE) and kind.removeprefix(TABLE).isdecimal():
            step = int(kind.removeprefix(TABLE))
            paths = request.files(trial, kind, "predictions.npz")
            found += [_evaluation(step, np.load(path, allow_pickle=False)) for path in paths]
    return sorted(found, key=lambda one: one.step)


def _evaluation(step: int, archive: np.lib.npyio.NpzFile) -> _Evaluation:
    with archive as table:
        kept = tuple(table["kept"].mean(axis=0).tolist()) if table["kept"].shape[1] else ()
        accuracy, macs = 100 * float(table["correct"].mean()), float(table["macs"].mean())
    return _Evaluation(step, accuracy, macs / 1e9, kept)


def _stages(
    request: SectionRequest, arm: SectionArm, runs: Sequence[Sequence[_Evaluation]]
) -> list[list[SectionCell]]:
    """Return a row for each stage at which the arm's runs were evaluated."""
    rows = []
    for name, place in _names(runs):
        stage = [run[place] for run in runs]
        last = [one.kept[-1] for one in stage if one.kept]
        rows.append(
            [
                arm.label,
                name,
                request.interval([one.accuracy for one in stage]),
                request.interval([one.gmacs for one in stage]),
                request.interval(last) if last else None,
            ]
        )
    return rows


def _names(runs: Sequence[Sequence[_Evaluation]]) -> list[tuple[str, int]]:
    """Return the stages with their places: two where every run was measured twice or more."""
    if all(len(run) > 1 for run in runs):
        return [(BEFORE, 0), (AFTER, -1)]
    return [(ONLY, -1)]


def _alive(
    request: SectionRequest, arm: SectionArm, runs: Sequence[Sequence[_Evaluation]]
) -> list[list[SectionCell]]:
    return [[arm.label, str(block), one] for block, one in _by_block(request, arm, runs)]


def _by_block(
    request: SectionRequest, arm: SectionArm, runs: Sequence[Sequence[_Evaluation]]
) -> list[tuple[int, Estimate]]:
    blocks = _blocks(arm)
    last = [run[-1].kept for run in runs if len(run[-1].kept) == len(blocks)]
    if not last:
        return []
    return [(b, request.interval([of[i] for of in last])) for i, b in enumerate(blocks)]


def _blocks(arm: SectionArm) -> list[int]:
    """Return the blocks before which is decided, as `--decision-blocks 3,6,9` has them."""
    return [int(block) for block in str(arm.config.get("decision_blocks", "")).split(",") if block]


def _draw(
    axes: Axes, measured: Sequence[tuple[SectionArm, Sequence[Sequence[_Evaluation]]]]
) -> None:
    for arm, runs in measured:
        blocks = _blocks(arm)
        last = [run[-1].kept for run in runs if len(run[-1].kept) == len(blocks)]
        if last:
            mean = np.mean(last, axis=0)
            axes.plot(blocks, mean, label=f"{arm.label} (n={len(last)})", **arm.style)
    axes.set_xlabel("decision before block")
    axes.set_ylabel("patches alive")
    axes.set_ylim(0, 1.1 * axes.dataLim.ymax)
    axes.xaxis.get_major_locator().set_params(integer=True)
