"""Pre-training of the masked autoencoder (section 4.1, Table 5), resumable at every iteration."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from rlvit.code import code_digest
from rlvit.contracts import RunContext, State
from rlvit.nn.patches import patchify
from rlvit.nn.positions import sincos_2d
from rlvit.nn.transformer import Block
from rlvit.rl.schedules import warmup_cosine
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.frames import load_frames, recorded_frames
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder

BASE_BATCH = 256  # frames: the base step size is meant for this batch (Table 5)
BETA1 = 0.9  # AdamW (Table 5)


def pretrained(context: RunContext, config: SpirlConfig, seed: int) -> MaskedAutoencoder:
    """Return the MAE of these frames on the run's device, trained now unless it is there."""
    model: MaskedAutoencoder = context.part("backbone").make(
        context.torch_generator("mae/weights", seed)
    )

    def build(folder: Path) -> None:
        frames = load_frames(recorded_frames(context, config, seed))
        train(context, config, model.to(context.device), frames, seed)
        weights = {name: p.detach().cpu() for name, p in model.state_dict().items()}
        save_file(weights, folder / "mae.safetensors")

    def inputs() -> dict[str, Any]:
        return {
            "frames": recorded_frames(context, config, seed).sha256,
            "backbone": context.part("backbone").name,
            "epochs": config.epochs,
            "warmup_epochs": config.warmup_epochs,
            "batch_size": config.mae_batch_size,
            "base_lr": config.mae_base_lr,
            "weight_decay": config.mae_weight_decay,
            "beta2": config.mae_beta2,
            "sampling": config.sampling,
            "seed": seed,
            "shared_by_seeds": config.share_mae,
            "device": context.device.type,  # these three change the last bits
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "code": code_digest(train, type(model), Block, patchify, sincos_2d, warmup_cosine),
        }

    artifact = context.artifact("mae", inputs, build, copy=True)
    model.load_state_dict(load_file(artifact.folder / "mae.safetensors"))
    return model.to(context.device).eval().requires_grad_(False)


def train(
    context: RunContext,
    config: SpirlConfig,
    model: MaskedAutoencoder,
    frames: NDArray[np.uint8],
    seed: int,
) -> None:
    """Train on frames [N, 3, 96, 96]; the weights of the last iteration are the result."""
    batch = config.mae_batch_size
    per_epoch = len(frames) // batch
    iterations = config.epochs * per_epoch
    base_lr = config.mae_base_lr * batch / BASE_BATCH
    optimiser = make_optimiser(model, config)
    noise = context.torch_generator("mae/masks", seed)
    begun = 0

    saved = context.restored("pretrain")
    if saved is not None:
        begun = saved["iteration"]
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        noise.set_state(saved["noise"])

    progress = context.stage("pretrain", iterations, "iterations")
    progress.update(begun)
    shown: dict[str, float] = {}
    since, order = (time.perf_counter(), begun), np.empty(0, dtype=np.int64)
    for iteration in range(begun, iterations):
        epoch, position = divmod(iteration, per_epoch)
        if position == 0 or len(order) == 0:
            order = epoch_order(context.generator(f"mae/epoch-{epoch}", seed), len(frames), config)
        chosen = order[position * batch : (position + 1) * batch]
        images = torch.from_numpy(frames[chosen]).to(context.device)
        masks = torch.rand(batch, PATCHES, generator=noise).to(context.device)
        lr = warmup_cosine(iteration / per_epoch, config.warmup_epochs, config.epochs, base_lr)
        for group in optimiser.param_groups:
            group["lr"] = lr
        loss = model(images, masks)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

        done = iteration + 1
        if done % config.log_every == 0 or done == iterations:
            value, now = loss.item(), time.perf_counter()
            speed = (done - since[1]) / (now - since[0])
            since = (now, done)
            row = {"pretrain/loss": value, "pretrain/lr": lr, "speed/iterations": speed}
            context.log(done, row)
            shown = {"loss": value}
        progress.update(done, **shown)

        def state(done: int = done) -> State:
            return {
                "iteration": done,
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "noise": noise.get_state(),
            }

        # The last iteration always: a run killed just after it must not train twice.
        every = 1 if done == iterations else config.mae_checkpoint_every
        context.checkpoint("pretrain", done, state, every)


def make_optimiser(model: MaskedAutoencoder, config: SpirlConfig) -> torch.optim.AdamW:
    """Return AdamW with decay on matrices and tokens, none on biases and norms (published code)."""
    parameters = list(model.parameters())
    return torch.optim.AdamW(
        [
            {
                "params": [p for p in parameters if p.ndim > 1],
                "weight_decay": config.mae_weight_decay,
            },
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.mae_base_lr,
        betas=(BETA1, config.mae_beta2),
        fused=True,
    )


def epoch_order(
    generator: np.random.Generator, count: int, config: SpirlConfig
) -> NDArray[np.int64]:
    """Return the frames of an epoch in the order they are drawn."""
    if config.sampling == "replacement":
        return generator.integers(count, size=count)
    return generator.permutation(count)
