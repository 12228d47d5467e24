"""What a run is expected to cost, for the estimate that a run begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rlvit.contracts import ImageShape
from rlvit.nn.compute import dense_macs, vit_macs
from rlvit.specs import Protocol, StageCost, TaskSpec
from rlvit_agentvit.config import AgentvitConfig

BACKWARD = 3.0  # forward and backward passes, in forward passes
STEP = 4e-2  # seconds an iteration that no device saves
SMALL = 3.0  # small products take so many times as long as their operations say
USUAL_IMAGES = 10_000  # of a dataset that does not say how many it has
VALIDATION = 0.1  # of the training images
MASKS = 6  # measured at the end beside the run's own


def estimate(
    config: AgentvitConfig, task: TaskSpec, protocol: Protocol, parts: Mapping[str, Any]
) -> list[StageCost]:
    """Return the cost of each stage."""
    size, classes = task.image_size, int(task.facts.get("classes") or 1000)
    shape = parts["backbone"].shape(ImageShape(size, classes, config.sizes))
    images = int(task.facts.get("train_images") or USUAL_IMAGES)
    images = min(images, config.train_images or images)
    tested = int(protocol.settings["images"]) or int(task.facts.get("test_images") or USUAL_IMAGES)
    dense = 2 * float(dense_macs(shape))
    left = dense
    if parts["selector"].name != "all":
        kept = torch.tensor([[config.n_patch_desired or shape.patches]])
        left = 2 * float(vit_macs(shape, kept, (0,)))
    seen = config.epochs * images
    iterations = config.epochs * -(-images // config.batch)
    validated = VALIDATION * images * config.epochs / config.validate_every * (dense + left)
    passes = 1 + (MASKS if config.compare_masks else 0)
    return [
        StageCost(
            "train",
            f"{config.epochs:,} epochs of {images:,}",
            SMALL * (BACKWARD * left * seen + validated),
            STEP * iterations,
        ),
        StageCost(
            "evaluate",
            f"{passes} passes over {tested:,} images",
            SMALL * tested * (left + (passes - 1) * (left + dense) / 2),
            0.0,
        ),
    ]
