"""Pre-training of a masked autoencoder on a dataset's training images (SPIRL, section 4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from rlvit.code import code_digest
from rlvit.contracts import ImageShape, ImageSplit, RunContext
from rlvit.nn.patches import patchify
from rlvit.nn.positions import sincos_2d
from rlvit.nn.training_images import some_of
from rlvit.nn.transformer import Block
from rlvit.rl.schedules import warmup_cosine
from rlvit.specs import Parts, StageCost, TaskSpec
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.cost import MAE_FRAME
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.pretrain import BASE_BATCH, Steps
from rlvit_spirl.weights import save_weights

RECIPE = SpirlConfig()  # Table 5: a tenth of the epochs is warm-up, batch 64, AdamW's values
# Table 5's 50 epochs are 39,000 iterations on 50,000 images: hours on a core, at 0.3 s each for 8x8
# patches. These are ten minutes there, and half a minute for the digits.
MOST_EPOCHS = 20
MOST_ITERATIONS = 2_000
SEED = 0  # whatever the run's: all runs on a task share one autoencoder
USUAL_IMAGES = 10_000  # of a dataset that does not say how many it has
BACKWARD = 3  # a training step costs about three forward passes
READ = 2e-3  # seconds to decode an image file; small images are in memory
IN_MEMORY = 64  # pixels a side
SHOW_EVERY = 50  # iterations between looks at the loss, which make the host wait


def reduced(images: Tensor, rows: int, columns: int, side: int) -> Tensor:
    """Average images [B, 3, S, S], 0..255, over areas: float32 [B, 3, rows * side, columns * side].

    Images of that size stay as they are. Where the sizes do not divide S, neighbouring areas
    overlap by parts of a pixel.
    """
    size = (rows * side, columns * side)
    if images.shape[2:] == size:
        return images.float()
    return functional.adaptive_avg_pool2d(images.float(), size)


def pretrained_on_images(
    context: RunContext,
    grid: tuple[int, int],
    side: int,
    image_size: int,
    train_images: int | None = None,
) -> tuple[MaskedAutoencoder, str]:
    """Return the frozen MAE of the task's training images, and the hash of its weights.

    Args:
        context: of the run; its device is where the MAE ends up.
        grid: rows and columns of its patches.
        side: pixels a side of a patch.
        image_size: pixels a side of the images that are averaged to grid * side.
        train_images: at most so many of the training images; None: all.
    """
    rows, columns = grid
    weights = context.torch_generator("mae/weights", SEED)
    model = MaskedAutoencoder(weights, rows=rows, columns=columns, side=side)

    def build(folder: Path) -> None:
        split = some_of(context.data().split("train"), train_images)
        train_on_images(context, model.to(context.device), image_size, split)
        save_weights(model, folder / "mae.safetensors")

    def inputs() -> dict[str, Any]:
        count = len(context.data().split("train").labels)
        capped = train_images is not None and train_images < count
        code = (train_on_images, Steps, type(model), Block, patchify, sincos_2d)
        return {
            **({"train_images": train_images} if capped else {}),
            "data": context.data().sha256,
            "grid": list(grid),
            "side": side,
            "image_size": image_size,
            "most_iterations": MOST_ITERATIONS,
            "most_epochs": MOST_EPOCHS,
            "warmup": RECIPE.warmup_epochs / RECIPE.epochs,
            "batch_size": RECIPE.mae_batch_size,
            "base_lr": RECIPE.mae_base_lr,
            "weight_decay": RECIPE.mae_weight_decay,
            "beta2": RECIPE.mae_beta2,
            "seed": SEED,
            "device": context.device.type,  # these three change the last bits
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "code": code_digest(*code, warmup_cosine),
        }

    artifact = context.artifact("mae", inputs, build, copy=True)
    model.load_state_dict(load_file(artifact.folder / "mae.safetensors"))
    return model.to(context.device).eval().requires_grad_(False), artifact.sha256


def train_on_images(
    context: RunContext, model: MaskedAutoencoder, image_size: int, split: ImageSplit
) -> None:
    """Train on images of `split` as they are; the last iteration's weights are the result.

    Interrupted, it begins again. Its loss is shown but not logged: with neither rows nor a
    checkpoint of its own it leaves no trace in the order of a method's stages.
    """
    chosen = orders(context, len(split.labels))
    iterations, batch = len(chosen), len(chosen[0])
    warmup = iterations * RECIPE.warmup_epochs / RECIPE.epochs
    base_lr = RECIPE.mae_base_lr * batch / BASE_BATCH
    pixels = partial(reduced, rows=model.rows, columns=model.columns, side=model.side)
    steps = Steps(model, RECIPE, context.device, pixels)
    noise = context.torch_generator("mae/masks", SEED)
    progress = context.stage("pretrain", iterations, "iterations")
    shown: dict[str, float] = {}
    batches: Iterator[Tensor] = split.batches(chosen, image_size)
    for iteration, images in enumerate(batches):
        context.check_stop()
        masks = torch.rand(batch, model.patches, generator=noise)
        loss = steps.step(images, masks, warmup_cosine(iteration, warmup, iterations, base_lr))
        if iteration % SHOW_EVERY == 0:
            shown = {"loss": loss.item()}
        progress.update(iteration + 1, **shown)
    context.say(f"autoencoder: loss {loss.item():.3f} after {iterations:,} iterations")


def orders(context: RunContext, count: int) -> list[NDArray[np.int64]]:
    """Return the numbers of each iteration's images, of `count` in all: each epoch shuffles them.

    There are `MOST_EPOCHS`, but at most `MOST_ITERATIONS`. An incomplete batch at an epoch's end
    is left out; a dataset smaller than a batch is one.
    """
    batch = min(RECIPE.mae_batch_size, count)
    per_epoch, iterations = count // batch, iterations_on(count)
    chosen: list[NDArray[np.int64]] = []
    for epoch in range(-(-iterations // per_epoch)):
        order = context.generator(f"mae/order/{epoch}", SEED).permutation(count)
        chosen += [order[start * batch : (start + 1) * batch] for start in range(per_epoch)]
    return chosen[:iterations]


def iterations_on(count: int) -> int:
    """Return the iterations on so many training images."""
    return min(MOST_ITERATIONS, MOST_EPOCHS * (count // min(RECIPE.mae_batch_size, count)))


def estimate_on_images(config: Any, task: TaskSpec, parts: Parts) -> list[StageCost]:
    """Return what training the autoencoder of a dataset costs where it is not there yet."""
    backbone, asked = parts["backbone"], {}
    for name in backbone.sizes:
        if getattr(config, name, None) is not None:
            asked[name] = getattr(config, name)
    classes = int(task.facts.get("classes") or 1000)
    patches = backbone.shape(ImageShape(task.image_size, classes, asked)).patches
    images = int(task.facts.get("train_images") or USUAL_IMAGES)
    iterations = iterations_on(min(images, getattr(config, "train_images", None) or images))
    seen = iterations * RECIPE.mae_batch_size
    read = READ * seen if task.image_size > IN_MEMORY else 0.0
    flops = BACKWARD * MAE_FRAME * patches / PATCHES * seen
    return [StageCost("pretrain", f"{iterations:,} iterations", flops, read)]
