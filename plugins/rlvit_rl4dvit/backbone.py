"""The pretrained backbone: from the hub, from a file, or trained on the dataset now."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from rlvit.code import code_digest
from rlvit.contracts import ImageShape, RunContext, State, TokenBackbone
from rlvit.errors import RlvitError
from rlvit.nn import augment
from rlvit.nn.optimisers import adamw
from rlvit.nn.ragged import whole
from rlvit.nn.walk import run_block
from rlvit.nn.weights import plain
from rlvit.rl.schedules import warmup_cosine
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.images import augmented, training_batches, training_split

WARMUP_EPOCHS = 5


def prepared_backbone(context: RunContext, config: Rl4dvitConfig) -> TokenBackbone:
    """Return the backbone on the run's device; the dataset is checked to fit its head."""
    data = context.data()
    if config.weights_id == "trained":
        backbone = _trained(context, config)
    else:
        backbone = _made(context, config, config.weights)
    backbone.module.to(context.device).eval()
    targets_of(context, backbone)
    context.say(
        f"{context.part('backbone').name}: {backbone.shape.classes} classes, weights "
        f"{backbone.sha256[:12]}; {len(data.split('train').labels):,} training images"
    )
    return backbone


def _made(context: RunContext, config: Rl4dvitConfig, weights: str | None) -> TokenBackbone:
    size = context.task.image_size
    shape = ImageShape(size=size, classes=len(context.data().classes))
    generator = context.torch_generator("backbone", config.backbone_seed)
    made: TokenBackbone = context.part("backbone").make(generator, shape, weights)
    return made


def targets_of(context: RunContext, backbone: TokenBackbone) -> Tensor:
    """Return the index of each of the dataset's classes in the backbone's head [classes].

    Raises:
        RlvitError: the head's classes are not the dataset's, nor do they include them.
    """
    classes, head = list(context.data().classes), backbone.shape.classes
    if backbone.class_names and set(classes) <= set(backbone.class_names):
        place = {name: number for number, name in enumerate(backbone.class_names)}
        return torch.tensor([place[name] for name in classes], device=context.device)
    if backbone.class_names and head != len(classes):
        strange = next(name for name in classes if name not in backbone.class_names)
        raise RlvitError(
            f"{context.task.name} has {len(classes)} classes, of which {strange!r} is none of the "
            f"{head} that the weights know: train a backbone (--train-backbone), or give weights "
            "whose head was trained on these classes."
        )
    if head != len(classes):
        raise RlvitError(
            f"the weights' head has {head} classes, but {context.task.name} has {len(classes)}."
        )
    return torch.arange(head, device=context.device)


def _trained(context: RunContext, config: Rl4dvitConfig) -> TokenBackbone:
    """Return a backbone trained on the dataset from random weights, found again if it is there."""
    backbone = _made(context, config, None)

    def build(folder: Path) -> None:
        backbone.module.to(context.device)
        fit(context, config, backbone)
        save_file(plain(backbone.module.state_dict()), folder / "backbone.safetensors")

    def inputs() -> dict[str, Any]:
        count = len(context.data().split("train").labels)
        capped = config.train_images is not None and config.train_images < count
        return {
            **({"train_images": config.train_images} if capped else {}),
            "backbone": context.part("backbone").name,
            "data": context.data().sha256,
            "epochs": config.backbone_epochs,
            "lr": config.backbone_lr,
            "batch": config.backbone_batch,
            "warmup_epochs": WARMUP_EPOCHS,
            "weight_decay": config.weight_decay,
            "label_smoothing": config.label_smoothing,
            "augment": config.augment,
            "mixup": config.mixup,
            "cutmix": config.cutmix,
            "precision": config.precision,
            "seed": config.backbone_seed,
            "device": context.device.type,  # these three change the last bits
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "code": code_digest(
                fit, type(backbone), run_block, warmup_cosine, augment.resized_crop, augmented
            ),
        }

    artifact = context.artifact("backbone", inputs, build, copy=True)
    return _made(context, config, str(artifact.folder / "backbone.safetensors"))


def fit(context: RunContext, config: Rl4dvitConfig, backbone: TokenBackbone) -> None:
    """Train all weights on the dataset: AdamW, linear warm-up, half a cosine, label smoothing."""
    module = backbone.module.train().requires_grad_(True)
    images = len(training_split(context, config).labels)
    batch = min(config.backbone_batch, images)
    steps = config.backbone_epochs * (images // batch)
    warmup = min(WARMUP_EPOCHS / config.backbone_epochs, 0.2) * steps
    optimiser = adamw(module, config.backbone_lr, config.weight_decay)
    begun = 0
    saved = context.restored("backbone")
    if saved is not None:
        begun = saved["step"]
        module.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])

    def state() -> State:
        return {
            "step": step,
            "model": module.state_dict(),
            "optimiser": optimiser.state_dict(),
        }

    progress = context.stage("backbone", steps, "steps")
    progress.update(begun)
    size, seed = backbone.image_size, config.backbone_seed
    batches = training_batches(context, config, size, "backbone", batch, begun, steps, seed)
    since, seen = time.perf_counter(), 0
    for step, (pixels, labels, _) in enumerate(batches, start=begun + 1):
        for group in optimiser.param_groups:
            group["lr"] = warmup_cosine(step - 1, warmup, steps, config.backbone_lr)
        logits = dense_logits(backbone, pixels, config)
        loss = functional.cross_entropy(logits, smoothed(labels, config.label_smoothing))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        seen += len(pixels)
        if step % config.log_every == 0 or step == steps:
            now, right = time.perf_counter(), logits.argmax(1) == labels.argmax(1)
            row = {
                "backbone/loss": loss.item(),
                "backbone/accuracy": 100 * right.float().mean().item(),
                "speed/backbone_images": seen / (now - since),
            }
            since, seen = now, 0
            context.log(step, row)
            progress.update(step, loss=row["backbone/loss"], accuracy=row["backbone/accuracy"])
        every = 1 if step == steps else config.checkpoint_every
        context.checkpoint("backbone", step, state, every)
    module.eval()


def dense_logits(backbone: TokenBackbone, images: Tensor, config: Rl4dvitConfig) -> Tensor:
    """Pass images [B, 3, S, S] through all blocks, every patch computed: logits [B, K]."""
    bf16 = config.precision == "bf16"
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        ragged = whole(backbone.embed(images), backbone.shape.prefix)
        for block in backbone.blocks:
            ragged = run_block(block, ragged)
        return backbone.readout(ragged.pooled).float()


def smoothed(targets: Tensor, smoothing: float) -> Tensor:
    """Move a share of each target [B, C] to all classes alike (Szegedy et al. 2016, section 7)."""
    return targets * (1 - smoothing) + smoothing / targets.shape[1]
