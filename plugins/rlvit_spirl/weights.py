"""Weights as files that any reader of safetensors opens."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import nn


def save_weights(module: nn.Module, file: Path) -> None:
    """Write a module's weights and buffers, from whichever device they are on.

    Raises:
        OSError: the disk did not take them.
    """
    save_file({name: t.detach().cpu() for name, t in module.state_dict().items()}, file)
