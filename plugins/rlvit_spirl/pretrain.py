"""The masked autoencoder of a run: found, or trained once for all runs with the same frames.

Frames lie in the memory of a GPU, where an iteration is one CUDA graph; on a CPU the same training
is a plain loop, to the bit. What learns from other images than frames takes the same steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from rlvit.code import code_digest
from rlvit.contracts import RunContext, State
from rlvit.errors import RlvitError
from rlvit.nn.graphs import CapturedStep, restore_optimiser, upload
from rlvit.nn.patches import patchify
from rlvit.nn.positions import sincos_2d
from rlvit.nn.transformer import Block
from rlvit.rl.schedules import warmup_cosine
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.frames import load_frames, recorded_frames
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.weights import save_weights

BASE_BATCH = 256  # frames: the base step size is meant for this batch (Table 5)
BETA1 = 0.9  # AdamW (Table 5)


def pretrained(context: RunContext, config: SpirlConfig, seed: int) -> MaskedAutoencoder:
    """Return the MAE of these frames on the run's device, trained now unless it is there.

    Raises:
        RlvitError: the GPU has not enough memory for the frames.
    """
    model: MaskedAutoencoder = context.part("backbone").make(
        context.torch_generator("mae/weights", seed)
    )

    def build(folder: Path) -> None:
        frames = load_frames(recorded_frames(context, config, seed))
        train(context, config, model.to(context.device), frames, seed)
        model.zero_grad(set_to_none=True)  # on a GPU they would keep the graph's memory
        save_weights(model, folder / "mae.safetensors")

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
            "precision": config.mae_precision,
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
    """Train on frames [N, 3, 96, 96]; the weights of the last iteration are the result.

    The host waits for a GPU only where a loss is logged and where a checkpoint is written.
    """
    batch = config.mae_batch_size
    per_epoch = len(frames) // batch
    iterations = config.epochs * per_epoch
    base_lr = config.mae_base_lr * batch / BASE_BATCH
    training = Training(model, config, frames, context.device)
    noise = context.torch_generator("mae/masks", seed)
    saved = context.restored("pretrain")
    begun = 0 if saved is None else saved["iteration"]
    if saved is not None:
        training.restore(saved["model"], saved["optimiser"])
        noise.set_state(saved["noise"])

    progress = context.stage("pretrain", iterations, "iterations")
    progress.update(begun)
    shown: dict[str, float] = {}
    since, order = (time.perf_counter(), begun), torch.empty(0, dtype=torch.int64)
    for iteration in range(begun, iterations):
        epoch, position = divmod(iteration, per_epoch)
        if position == 0 or len(order) == 0:
            drawn = epoch_order(context.generator(f"mae/epoch-{epoch}", seed), len(frames), config)
            order = upload(torch.from_numpy(drawn), context.device)
        chosen = order[position * batch : (position + 1) * batch]
        masks = torch.rand(batch, PATCHES, generator=noise)
        lr = warmup_cosine(iteration / per_epoch, config.warmup_epochs, config.epochs, base_lr)
        loss = training.step(chosen, masks, lr)

        done = iteration + 1
        if done % config.log_every == 0 or done == iterations:
            value, now = loss.item(), time.perf_counter()
            speed = (done - since[1]) / (now - since[0])
            since, shown = (now, done), {"loss": value}
            row = {"pretrain/loss": value, "pretrain/lr": lr, "speed/iterations": speed}
            context.log(done, row)
        progress.update(done, **shown)

        def state(done: int = done) -> State:
            return {"iteration": done, **training.state(), "noise": noise.get_state()}

        # The last iteration always: a run killed just after it must not train twice.
        every = 1 if done == iterations else config.mae_checkpoint_every
        context.checkpoint("pretrain", done, state, every)


class Steps:
    """An autoencoder in training: on a GPU a step is one CUDA graph."""

    def __init__(
        self,
        model: MaskedAutoencoder,
        config: SpirlConfig,
        device: torch.device,
        pixels: Callable[[Tensor], Tensor],
    ) -> None:
        """Take a model on the device.

        Args:
            model: what learns.
            config: how.
            device: where it learns.
            pixels: returns images [B, 3, H, W], 0..255, of what a step is given, on the device. Not
                a method of what holds these steps: such a cycle would keep a GPU's memory.
        """
        self.model = model
        self.optimiser = make_optimiser(model, config)
        if device.type == "cuda":
            rate = torch.tensor(config.mae_base_lr, device=device)  # one for all, read by the graph
            for group in self.optimiser.param_groups:
                group.update(lr=rate, capturable=True)
        precision = torch.bfloat16 if config.mae_precision == "bfloat16" else None
        iterate = partial(iteration, model, self.optimiser, pixels, precision)
        self._iterate = CapturedStep(iterate, device, name="pre-training")

    def step(self, given: Tensor, masks: Tensor, lr: float) -> Tensor:
        """Learn from the images of `given` [B, ...] under masks [B, 144]; return the scalar loss.

        A GPU may still be at it when this returns.
        """
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
        (loss,) = self._iterate(given, masks)
        return loss

    def state(self) -> State:
        """Return weights and the optimiser's state."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, model: State, optimiser: State) -> None:
        """Go back to a saved state."""
        self.model.load_state_dict(model)
        restore_optimiser(self.optimiser, optimiser)
        self._iterate.forget()  # the optimiser's state lies elsewhere now


class Training(Steps):
    """An autoencoder in training on frames that lie on its device; a step is given numbers [B]."""

    def __init__(
        self,
        model: MaskedAutoencoder,
        config: SpirlConfig,
        frames: NDArray[np.uint8],
        device: torch.device,
        advice: str = "fewer --frames need less",
    ) -> None:
        """Take a model on the device, and frames [N, 3, 96, 96], which are copied to a GPU.

        Raises:
            RlvitError: the GPU has not enough memory for the frames; the message ends in `advice`.
        """
        there = on_device(frames, device, advice)
        super().__init__(model, config, device, there.__getitem__)


def iteration(
    model: MaskedAutoencoder,
    optimiser: torch.optim.AdamW,
    pixels: Callable[[Tensor], Tensor],
    precision: torch.dtype | None,
    given: Tensor,
    masks: Tensor,
) -> tuple[Tensor]:
    """Take one step on the images that `pixels` makes of `given` [B, ...]; return the loss.

    With a `precision` its arithmetic is that of autocast, which keeps no casts of weights: they
    would lie in the memory of a capture.
    """
    kind, rounded = given.device.type, precision is not None
    with torch.autocast(kind, precision, enabled=rounded, cache_enabled=False):
        loss = model(pixels(given), masks)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return (loss.detach(),)


def on_device(frames: NDArray[np.uint8], device: torch.device, advice: str) -> Tensor:
    """Return frames [N, 3, 96, 96] as a tensor on the device; on the CPU nothing is copied.

    Raises:
        RlvitError: the device has not enough memory; the message has the numbers and the advice.
    """
    try:
        return torch.from_numpy(frames).to(device)
    except torch.OutOfMemoryError:
        free = torch.cuda.mem_get_info(device)[0]
        raise RlvitError(
            f"{len(frames):,} frames need {frames.nbytes / 1e9:.1f} GB on {device}, which has "
            f"{free / 1e9:.1f} GB free; {advice}."
        ) from None


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
