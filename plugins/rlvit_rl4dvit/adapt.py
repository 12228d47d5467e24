"""What a configuration cannot know before the dataset and the parts are chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvit.errors import UsageProblem
from rlvit.specs import TaskSpec
from rlvit_rl4dvit.config import Rl4dvitConfig

HUB = "hub"


def adapt(config: Rl4dvitConfig, task: TaskSpec, parts: Mapping[str, Any]) -> Rl4dvitConfig:
    """Say what the weights are, and refuse what the parts cannot do.

    Raises:
        UsageProblem: there is no such file of weights, or it is not the one that was asked for.
    """
    if parts["backbone"].shape is None:
        raise UsageProblem(
            f"--backbone {parts['backbone'].name}: it has no blocks that could be walked; "
            "choose a Vision Transformer with a class token, such as deit_small_patch16_224."
        )
    found = _weights_id(config)
    if config.weights_id not in (None, found):
        raise UsageProblem(
            f"--weights {config.weights}: these are {found[:12]}, not {config.weights_id}."
        )
    if config.decide == "calibrated" and parts["selector"].name != "token-agents":
        config = config.model_copy(update={"decide": "greedy"})  # a control arm has no threshold
    return config.model_copy(update={"weights_id": found})


def _weights_id(config: Rl4dvitConfig) -> str:
    """Return what the weights are, however they are found."""
    if config.weights == HUB or config.weights.startswith(HUB + ":"):
        return "trained" if config.train_backbone else config.weights
    path = Path(config.weights).expanduser()
    if not path.is_file():
        raise UsageProblem(
            f"--weights {config.weights}: there is no such file; expected hub, hub:TAG or a file."
        )
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
