"""Builds a backbone: which architecture, which weights, which head."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rlvit.contracts import ImageShape
from rlvit.errors import RlvitError, UsageProblem
from rlvit.nn.compute import VitShape
from rlvit.nn.randomness import drawing_from
from rlvit.nn.vision import import_timm
from rlvit_timm import weights as stored
from rlvit_timm.backbone import TimmBackbone, vit_shape
from rlvit_timm.names import GRID_MODELS

HUB = "hub"
HALF = (0.5, 0.5, 0.5)  # mean and deviation of pixels for models that have no weights of timm's


def make(
    name: str, generator: torch.Generator, shape: ImageShape, weights: str | None
) -> TimmBackbone:
    """Build a backbone.

    Args:
        name: of an architecture or of a small model (see `names`).
        generator: draws random weights; files and the hub do not touch it.
        shape: of the dataset: its classes are the head's if the weights are random, and its size
            decides that of the small models.
        weights: None or "none" for random ones, "hub" or "hub:TAG" for timm's pretrained ones,
            else a file (.safetensors, .pth, .pt or .bin) whose head decides the classes.

    Raises:
        UsageProblem: there are no such weights, or they do not fit.
        RlvitError: timm is not installed, or pretrained weights cannot be fetched.
    """
    import_timm()
    if weights is None or weights == "none":
        model = _random(name, generator, shape)
        return _open(model, (), stored.state_sha256(model))
    if weights == HUB or weights.startswith(f"{HUB}:"):
        return _from_hub(name, weights.partition(":")[2])
    return _from_file(name, shape, Path(weights).expanduser())


def shape_of(name: str, shape: ImageShape) -> VitShape:
    """Return the sizes of a backbone for a dataset, without weights."""
    import_timm()
    with torch.device("meta"):
        return vit_shape(_build(name, shape.size, shape.classes))


def _random(name: str, generator: torch.Generator, shape: ImageShape) -> nn.Module:
    """Draw the weights; timm only knows torch's global generator, so that is lent and restored."""
    with drawing_from(generator):
        return _build(name, shape.size, shape.classes)


def _from_hub(name: str, tag: str) -> TimmBackbone:
    if name in GRID_MODELS:
        message = f"weights: {name} has no pretrained weights on the hub: train it, or give a file"
        raise UsageProblem(message)
    model, names = stored.pretrained(name, tag)
    return _open(model, names, stored.state_sha256(model))


def _from_file(name: str, shape: ImageShape, path: Path) -> TimmBackbone:
    state = stored.read(path)
    classes = stored.head_size(state, path)
    with torch.device("meta"):  # the weights to be overwritten need not be drawn
        model = _build(name, shape.size, classes)
    model.to_empty(device="cpu")
    stored.fill(model, state, name, path)
    names = stored.imagenet_names() if classes == stored.IMAGENET else ()
    return _open(model, names, stored.file_sha256(path))


def _build(name: str, size: int, classes: int) -> nn.Module:
    """Build a model; `size` matters to the small ones only."""
    timm = import_timm()
    if name not in GRID_MODELS:
        if not timm.is_model(name):
            raise RlvitError(f"timm {timm.__version__} has no {name}; a newer timm has it")
        model: nn.Module = timm.create_model(name, num_classes=classes)
        return model
    from timm.models.vision_transformer import VisionTransformer

    small = GRID_MODELS[name]
    patch = math.ceil(size / small.grid)
    model = VisionTransformer(
        img_size=small.grid * patch,
        patch_size=patch,
        num_classes=classes,
        embed_dim=small.dim,
        depth=small.depth,
        num_heads=small.heads,
    )
    return model


def _open(model: Any, class_names: tuple[str, ...], sha256: str) -> TimmBackbone:
    config = getattr(model, "pretrained_cfg", {})  # timm's own record of what the weights expect
    mean, std = config.get("mean", HALF), config.get("std", HALF)
    return TimmBackbone(model, mean, std, class_names, sha256)
