"""What an RL4DViT run is expected to cost, counted from its shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlvit.contracts import ImageShape
from rlvit.nn.compute import dense_macs
from rlvit.specs import Protocol, StageCost, TaskSpec
from rlvit_rl4dvit.config import Rl4dvitConfig

BACKWARD = 3  # a training step costs about three forward passes
UPDATE = 0.15  # of a rollout's forward pass: actor and critic over several epochs
READ = 2e-3  # seconds to decode an image file; small images are in memory
STEP = 0.03  # seconds of a training step that no device speeds up: small operations
ROLLOUT = 0.3  # likewise of a rollout with its update
IN_MEMORY = 64  # pixels a side
USUAL_IMAGES = 10_000  # of a dataset that does not say how many it has
SHARE = 0.7  # of the dense cost that is left where no target says how much


def estimate(
    config: Rl4dvitConfig, task: TaskSpec, protocol: Protocol, parts: Mapping[str, Any]
) -> list[StageCost]:
    """Return the cost of each stage."""
    size, classes = task.image_size, int(task.facts.get("classes") or 1000)
    images = int(task.facts.get("train_images") or USUAL_IMAGES)
    images = min(images, config.train_images or images)
    tested = int(protocol.settings["images"]) or int(task.facts.get("test_images") or USUAL_IMAGES)
    dense = 2 * float(dense_macs(parts["backbone"].shape(ImageShape(size, classes))))
    left = SHARE * dense
    if config.target_keep is not None:
        left = dense * (0.25 + 0.75 * config.target_keep)  # a quarter lies before the decisions
    if config.target_gmacs is not None:
        left = min(2e9 * config.target_gmacs, dense)
    read = 0.0 if size <= IN_MEMORY else READ
    stages = []
    if config.weights_id == "trained":
        steps = config.backbone_epochs * max(1, images // config.backbone_batch)
        seen = steps * min(config.backbone_batch, images)
        stages.append(
            StageCost(
                "backbone",
                f"{steps:,} steps of {config.backbone_batch}",
                BACKWARD * dense * seen,
                read * seen + STEP * steps,
            )
        )
    learns = parts["selector"].name == "token-agents"
    rollouts = config.rollouts
    if rollouts is None:
        rollouts = int(config.rl_epochs * max(1, images // config.rollout_images))
    if learns and rollouts:
        seen = rollouts * config.rollout_images
        flops = seen * config.samples_per_image * (left + UPDATE * dense)
        stages.append(
            StageCost(
                "rollouts",
                f"{rollouts:,} of {config.rollout_images}",
                flops,
                read * seen + ROLLOUT * rollouts,
            )
        )
    tuned = int(config.finetune_epochs * images)
    if tuned:
        amount = f"{tuned:,} images"
        overhead = STEP * tuned / config.finetune_batch
        stages.append(
            StageCost("finetune", amount, BACKWARD * left * tuned, read * tuned + overhead)
        )
    passes = 2 if tuned else 1
    flops = tested * (dense + passes * left)
    amount = f"{1 + passes} passes over {tested:,} images"
    stages.append(StageCost("evaluate", amount, flops, read * tested * (1 + passes)))
    return stages
