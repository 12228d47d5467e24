"""The figures of a finished run: what it kept while it trained, and keeps of some images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlvit.contracts import RunContext
from rlvit.nn.named_images import numbers_of
from rlvit.nn.pruning import PrunedVit
from rlvit_agentvit.figures import draw_history, draw_overlays

SHOWN = 8  # images


def draw(
    context: RunContext,
    vit: PrunedVit,
    others: Mapping[str, PrunedVit],
    history: Mapping[str, Any],
    table: Mapping[str, Any],
) -> None:
    """Draw the run's history, and its masks on images of the split that was measured.

    Args:
        context: of the run.
        vit: the trained network with the run's selector.
        others: the same network with other masks of as many patches.
        history: columns with a value an epoch.
        table: of the evaluation, a row an image.
    """
    method = f"{context.part('selector').name} on {context.task.name}"
    title = f"{method}, seed {context.seed}"
    names, classes = table["name"], context.data().classes
    split = context.data().split(str(context.protocol.settings["split"]))
    chosen = np.linspace(0, len(names) - 1, min(SHOWN, len(names))).round().astype(int)
    numbers = numbers_of(split, names[chosen])
    images = next(iter(split.batches([numbers], vit.image_size)))
    masks = {}
    for name, one in {context.part("selector").name: vit, **others}.items():
        one.generator = torch.Generator(context.device).manual_seed(context.seed)
        with torch.inference_mode():
            masks[name] = one.walk(images.to(context.device)).alive[-1].cpu().numpy()  # [I, N]
    captions = [
        f"{classes[table['label'][row]]} -> {classes[table['prediction_task'][row]]}"
        for row in chosen
    ]

    def build(folder: Path) -> None:
        draw_history(folder, history, title)
        draw_overlays(folder, images.numpy(), captions, masks, vit.backbone.grid, title)

    context.keep("figures", {"selector": context.part("selector").name}, build)
