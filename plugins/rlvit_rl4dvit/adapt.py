"""What a configuration cannot know before the dataset and the parts are chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvit.contracts import ImageShape
from rlvit.errors import UsageProblem
from rlvit.specs import TaskSpec
from rlvit_rl4dvit.config import Rl4dvitConfig

HUB = "hub"


def adapt(config: Rl4dvitConfig, task: TaskSpec, parts: Mapping[str, Any]) -> Rl4dvitConfig:
    """Say what the weights are, and refuse what the parts cannot do.

    Raises:
        UsageProblem: there is no such file of weights, it is not the one that was asked for, or
            there is nothing to decide from before a decision block.
    """
    if parts["backbone"].shape is None:
        raise UsageProblem(
            f"--backbone {parts['backbone'].name}: it has no blocks that could be walked; "
            "choose a Vision Transformer with a class token, such as deit_small_patch16_224."
        )
    _check_blocks(config, task, parts)
    found = _weights_id(config)
    if config.weights_id not in (None, found):
        raise UsageProblem(
            f"--weights {config.weights}: these are {found[:12]}, not {config.weights_id}."
        )
    where = config.weights
    if found not in ("trained", where):  # a file, which may be looked for from elsewhere later
        where = str(Path(where).expanduser().absolute())
    return config.model_copy(update={"weights_id": found, "weights": where})


def _check_blocks(config: Rl4dvitConfig, task: TaskSpec, parts: Mapping[str, Any]) -> None:
    """Refuse decision blocks that the backbone lacks."""
    size, classes = task.image_size, int(task.facts.get("classes") or 1000)
    shape = parts["backbone"].shape(ImageShape(size, classes))
    depth = shape.depth
    name, blocks = parts["backbone"].name, config.blocks()
    if blocks[-1] >= depth:
        raise UsageProblem(
            f"--decision-blocks {config.decision_blocks}: {name} has blocks 0 to {depth - 1}."
        )
    _check_target(config, shape, blocks)


def _check_target(config: Rl4dvitConfig, shape: Any, blocks: tuple[int, ...]) -> None:
    """Refuse a cost that no choice of patches has, whatever the selector itself costs."""
    if config.target_gmacs is None:
        return
    from rlvit.nn.compute import block_macs, dense_macs

    dense = dense_macs(shape)
    saved = block_macs(shape, 1 + shape.patches) - block_macs(shape, 1)  # a block without patches
    least = (dense - (shape.depth - blocks[0]) * saved) / 1e9
    most = dense / 1e9
    if not least <= config.target_gmacs <= most:
        raise UsageProblem(
            f"--target-gmacs {config.target_gmacs:g}: with these decision blocks an image costs "
            f"between {least:.3g} and {most:.3g}."
        )


def _weights_id(config: Rl4dvitConfig) -> str:
    """Return what the weights are, however they are found."""
    if config.train_backbone and config.weights.startswith(HUB + ":"):
        raise UsageProblem(
            f"--weights {config.weights} and --train-backbone contradict each other: give one."
        )
    if config.weights == HUB or config.weights.startswith(HUB + ":"):
        return "trained" if config.train_backbone else config.weights
    path = Path(config.weights).expanduser()
    if not path.is_file():
        raise UsageProblem(
            f"--weights {config.weights}: there is no such file; expected hub, hub:TAG or a file."
        )
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
