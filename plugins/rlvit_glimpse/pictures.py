"""The figures of a finished run: paths of the gaze, where it rests, what glimpses bring, a film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvit.contracts import RunContext
from rlvit.scores import wilson_interval
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.evaluation import Looks
from rlvit_glimpse.figures import GREEN, ORANGE, draw_by_glimpses, draw_curves, draw_gaze
from rlvit_glimpse.rollouts import Episodes
from rlvit_glimpse.trajectories import draw_film, draw_trajectories
from rlvit_glimpse.view import ring_corner

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
CONTROLS = {
    "random": "random places",
    "central": "one central glimpse",
    "whole": "whole image at {0}x{0}",
}  # for a window of so many pixels
RIGHT, WRONG = "\N{CHECK MARK}", "\N{BALLOT X}"  # beside the colours, not for them alone


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
    if config.motion != "none":
        context.say("an image that drifts: no trajectories, gaze maps or film are drawn")
    elif config.foveation:
        context.say("rings see all around: no trajectories or gaze maps are drawn")

    def build(folder: Path) -> None:
        draw_curves(folder, columns_of(rows), title)
        _draw_steps(folder, looks, title, config.window or 0)
        if config.motion != "none":  # views lie on the canvas, not on the image
            return
        told = [said(classes[a], classes[b]) for a, b in zip(named, answer, strict=True)]
        draw_game(folder, shown[0], games, config.foveation, told[0])
        if config.foveation:  # what lies outside the sharpest ring is seen, too
            return
        step = max(1, len(named) // SHOWN)
        few = slice(0, step * SHOWN, step)
        colours = [GREEN if right else ORANGE for right in (named == answer)[few]]
        draw_trajectories(folder, shown[few], boxes[few], counts[few], told[few], title, colours)
        heat = gaze(boxes, counts, named, len(classes), shown.shape[2])
        draw_gaze(folder, heat, classes, title)

    context.keep("figures", {"variant": config.variant}, build)


def said(truth: str, answer: str) -> str:
    """Say what an image shows and what the agent says, with a mark that needs no colour."""
    return f"{truth}, says {answer} {RIGHT if truth == answer else WRONG}"


def draw_game(
    folder: Path, image: NDArray[np.uint8], games: Episodes, rings: int, told: str
) -> None:
    """Draw the film of the first game: image uint8 [3, S, S], and what is told of its answer."""
    steps = int(games.lengths[0])
    boxes = games.boxes[:steps, 0]  # [T, 3]
    seen = games.glimpses[:steps, 0, : 3 * max(1, rings)].clamp(0, 1)
    windows = torch.cat(seen.split(3, 1), 3).cpu().numpy()  # [T, 3, w, R w]
    wider = ring_boxes(boxes.cpu(), windows.shape[2], rings, image.shape[1]).numpy()
    captions = [f"glimpse {step + 1} of {steps}" for step in range(steps)]
    captions[-1] += f": {told}"
    draw_film(folder, image, boxes.cpu().numpy(), windows, captions, wider)


def ring_boxes(boxes: Tensor, window: int, rings: int, size: int) -> Tensor:
    """Return top, left and side of all rings but the sharpest [T, R - 1, 3] of views [T, 3]."""
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    sides = [window << ring for ring in range(1, rings)]
    found = [
        torch.cat([ring_corner(centre, side, size), torch.full_like(boxes[:, :1], side)], 1)
        for side in sides
    ]
    return torch.stack(found, 1) if found else boxes.new_zeros(len(boxes), 0, 3)


def _draw_steps(folder: Path, looks: Looks, title: str, window: int) -> None:
    right = looks.greedy.by_step.double().mean(0).cpu().numpy()  # [T]
    lengths, count = looks.greedy.lengths, len(looks.labels)
    share = [float((lengths > step).double().mean()) for step in range(len(right))]
    low, high = wilson_interval(right, count)
    controls = {
        CONTROLS[name].format(window): value / 100 for name, value in looks.controls.items()
    }
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
