"""The figures of a finished run: paths of the gaze, where it rests, what glimpses bring, a film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlvit.contracts import RunContext
from rlvit.scores import wilson_interval
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.evaluation import Looks
from rlvit_glimpse.figures import draw_by_glimpses, draw_curves, draw_gaze
from rlvit_glimpse.trajectories import draw_film, draw_trajectories

SHOWN = 8  # images with their paths
MAPPED = 2_000  # games behind the gaze maps
COLUMNS = {  # of what was logged, as the curves call them
    "return": "play/return",
    "accuracy_training": "play/accuracy",
    "accuracy_validation": "val/accuracy",
    "entropy": "ppo/entropy",
    "glimpses": "play/glimpses",
}
PERCENT = ("play/accuracy", "val/accuracy")


def draw(
    context: RunContext, config: GlimpseConfig, looks: Looks, rows: Sequence[Mapping[str, float]]
) -> None:
    """Draw how the agent learnt and how it looks at the images it was measured on."""
    title = f"{config.variant} on {context.task.name}, seed {context.seed}"
    classes = context.data().classes
    chosen = np.linspace(0, len(looks.labels) - 1, min(MAPPED, len(looks.labels))).round()
    some = torch.from_numpy(chosen.astype(np.int64)).to(looks.labels.device)
    images, labels = looks.images[some], looks.labels[some]
    games = looks.play(images, labels)
    boxes = games.boxes.transpose(0, 1).cpu().numpy()  # [I, T, 3]
    counts, answer = games.lengths.cpu().numpy(), games.answer.cpu().numpy()
    named, shown = labels.cpu().numpy(), images.cpu().numpy()
    moving = config.motion != "none"

    def build(folder: Path) -> None:
        draw_curves(folder, columns_of(rows), title)
        if not moving:  # else views lie on the canvas, not on the image
            step = max(1, len(named) // SHOWN)
            few = slice(0, step * SHOWN, step)
            captions = [
                f"{classes[label]} -> {classes[given]}"
                for label, given in zip(named[few], answer[few], strict=True)
            ]
            draw_trajectories(folder, shown[few], boxes[few], counts[few], captions, title)
            heat = gaze(boxes, counts, named, len(classes), shown.shape[2])
            draw_gaze(folder, heat, classes, title)
            steps = int(counts[0])
            windows = games.glimpses[:steps, 0, :3].clamp(0, 1).cpu().numpy()
            film = [f"glimpse {step + 1} of {steps}" for step in range(steps)]
            film[-1] += f": {classes[answer[0]]} ({classes[named[0]]})"
            draw_film(folder, shown[0], boxes[0, :steps], windows, film)
        _draw_steps(folder, looks, title)

    context.keep("figures", {"variant": config.variant}, build)


def _draw_steps(folder: Path, looks: Looks, title: str) -> None:
    right = looks.greedy.by_step.double().mean(0).cpu().numpy()  # [T]
    lengths, count = looks.greedy.lengths, len(looks.labels)
    share = [float((lengths > step).double().mean()) for step in range(len(right))]
    low, high = wilson_interval(right, count)
    controls = {name: value / 100 for name, value in looks.controls.items()}
    draw_by_glimpses(folder, right, np.array(share), (low, high), controls, title)


def gaze(
    boxes: NDArray[Any], counts: NDArray[Any], labels: NDArray[Any], classes: int, size: int
) -> NDArray[Any]:
    """Return in how many glimpses of a game each pixel lay, mean of each class [C, S, S].

    Args:
        boxes: [I, T, 3], top, left and side in pixels.
        counts: [I], glimpses taken.
        labels: [I], classes.
        classes: C.
        size: S.
    """
    pixel = np.arange(size) + 0.5
    heat = np.full((classes, size, size), np.nan)
    taken = np.arange(boxes.shape[1]) < counts[:, None]  # [I, T]
    inside = [
        (pixel >= boxes[..., axis, None]) & (pixel < (boxes[..., axis] + boxes[..., 2])[..., None])
        for axis in (0, 1)
    ]  # 2 x [I, T, S]
    rows = (inside[0] & taken[..., None]).astype(np.float32)
    columns = inside[1].astype(np.float32)
    for label in range(classes):
        mine = labels == label
        if mine.any():
            heat[label] = np.einsum("ity,itx->yx", rows[mine], columns[mine]) / mine.sum()
    return heat


def columns_of(rows: Sequence[Mapping[str, float]]) -> dict[str, NDArray[Any]]:
    """Return what was logged by column, NaN where a row has none."""
    steps = sorted({row["steps"] for row in rows})
    place = {step: number for number, step in enumerate(steps)}
    found = {name: np.full(len(steps), np.nan) for name in COLUMNS}
    for row in rows:
        for name, metric in COLUMNS.items():
            if metric in row:
                scale = 100 if metric in PERCENT else 1
                found[name][place[row["steps"]]] = row[metric] / scale
    return {"steps": np.array(steps), **found}
