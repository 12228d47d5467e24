"""Fine-tuning: the backbone adapts to frozen agents (section 3.3, Table 2)."""

from __future__ import annotations

import math
import time

from torch.nn import functional

from rlvit.contracts import RunContext, State
from rlvit.nn.optimisers import adamw
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.randomness import on_device
from rlvit.rl.schedules import warmup_cosine
from rlvit_rl4dvit.backbone import smoothed
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.images import training_batches, training_split

LONGEST_WARMUP = 0.2  # of all steps: one epoch cannot warm up for five


def finetune_steps(context: RunContext, config: Rl4dvitConfig) -> int:
    """Return the number of gradient steps."""
    images = len(training_split(context, config).labels)
    per_epoch = images // min(config.finetune_batch, images)
    return math.ceil(config.finetune_epochs * per_epoch)


def finetune(
    context: RunContext,
    config: Rl4dvitConfig,
    vit: PrunedVit,
    steps: int,
    before: int,
    saved: State | None,
) -> None:
    """Train the backbone on the patches that its selector leaves, for a number of steps.

    Only these are computed here, too. `before` counts the rollouts behind, for the log's axis.
    """
    module = vit.backbone.module.requires_grad_(True).train()
    per_epoch = steps / max(config.finetune_epochs, 1e-9)
    warmup = min(config.finetune_warmup * per_epoch, LONGEST_WARMUP * steps)
    optimiser = adamw(module, config.finetune_lr, config.weight_decay)
    begun = 0
    if saved is not None:
        begun = saved["step"]
        module.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])

    def state() -> State:
        return {
            "step": done,
            "selector": vit.selector.state(),
            "model": module.state_dict(),
            "optimiser": optimiser.state_dict(),
        }

    done = begun
    if saved is None:  # what was measured before is not done again
        context.checkpoint("finetune", done, state, 1)
    progress = context.stage("finetune", steps, "steps")
    progress.update(begun)
    batches = training_batches(
        context, config, vit.image_size, "finetune", config.finetune_batch, begun, steps
    )
    since, seen = time.perf_counter(), 0
    for done, (images, labels, draws) in enumerate(batches, start=begun + 1):
        vit.generator = on_device(draws, context.device)
        for group in optimiser.param_groups:
            group["lr"] = warmup_cosine(done - 1, warmup, steps, config.finetune_lr)
        walk = vit.walk(images)
        logits, classes = walk.logits[:, vit.targets], labels  # [B, C]
        if config.classes == "head":
            logits = walk.logits  # [B, K]
            classes = labels.new_zeros(logits.shape).index_add(1, vit.targets, labels)
        loss = functional.cross_entropy(logits, smoothed(classes, config.label_smoothing))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        seen += len(images)
        if done % config.log_every == 0 or done == steps:
            now, right = time.perf_counter(), logits.argmax(1) == classes.argmax(1)
            row = {
                "finetune/loss": loss.item(),
                "finetune/accuracy": 100 * right.float().mean().item(),
                "finetune/gmacs": walk.macs.mean().item() / 1e9,
                "speed/finetune_images": seen / (now - since),
            }
            since, seen = now, 0
            context.log(before + done, row)
            progress.update(done, loss=row["finetune/loss"], accuracy=row["finetune/accuracy"])
        every = 1 if done == steps else config.checkpoint_every
        context.checkpoint("finetune", done, state, every)
    module.eval().requires_grad_(False)
