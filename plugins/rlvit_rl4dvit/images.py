"""Training images in a random order that is the same after a resume, and their targets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rlvit.contracts import ImageSplit, RunContext
from rlvit.nn import augment
from rlvit.nn.training_images import some_of
from rlvit_rl4dvit.config import Rl4dvitConfig


def training_split(context: RunContext, config: Rl4dvitConfig) -> ImageSplit:
    """Return the training images that the configuration leaves."""
    return some_of(context.data().split("train"), config.train_images)


def orders(
    context: RunContext,
    stage: str,
    count: int,
    batch: int,
    begun: int,
    end: int,
    seed: int | None = None,
) -> list[NDArray[np.int64]]:
    """Return the indices of batches `begun` to `end` of a stage: each epoch is a permutation.

    An incomplete batch at an epoch's end is left out; a dataset smaller than a batch is one.
    """
    batch = min(batch, count)
    per_epoch = count // batch
    chosen: list[NDArray[np.int64]] = []
    permutation, drawn = np.empty(0, dtype=np.int64), -1
    for number in range(begun, end):
        epoch, position = divmod(number, per_epoch)
        if epoch != drawn:
            permutation = context.generator(f"{stage}/order/{epoch}", seed).permutation(count)
            drawn = epoch
        chosen.append(permutation[position * batch : (position + 1) * batch])
    return chosen


def training_batches(
    context: RunContext,
    config: Rl4dvitConfig,
    size: int,
    stage: str,
    batch: int,
    begun: int,
    end: int,
    seed: int | None = None,
) -> Iterator[tuple[Tensor, Tensor, torch.Generator]]:
    """Yield augmented images [B, 3, size, size], soft targets over the dataset's classes [B, C],
    and the CPU generator of the step, on the run's device.

    Each step has a generator of its own, of the run or of `seed`, so that nothing of it needs to
    be in a checkpoint.
    """
    split = training_split(context, config)
    indices = orders(context, stage, len(split.labels), batch, begun, end, seed)
    labels = torch.from_numpy(split.labels)
    classes = len(context.data().classes)
    for number, images in enumerate(split.batches(indices, size), start=begun):
        draws = context.torch_generator(f"{stage}/{number}", seed)
        target = functional.one_hot(labels[indices[number - begun]], classes).float()
        moved, target = images.to(context.device), target.to(context.device)
        yield *augmented(config, moved, target, draws), draws


def augmented(
    config: Rl4dvitConfig, images: Tensor, targets: Tensor, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Change images [B, 3, S, S] and targets [B, C] as the configuration says."""
    if config.augment == "none":
        return images, targets
    if config.augment != "flip":
        images = augment.resized_crop(images, draws)
    images = augment.flip(images, draws)
    if config.augment != "deit":
        return images, targets
    images = augment.erase(images, draws)
    return augment.mix(images, targets, draws, config.mixup, config.cutmix)
