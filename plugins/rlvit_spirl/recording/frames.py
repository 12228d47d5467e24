"""Frames of a random policy, which the masked autoencoder learns from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvit.code import code_digest
from rlvit.contracts import Artifact, Environment, RunContext
from rlvit_spirl.mae_config import MaeConfig

# Settings of a protocol that change the frames of a random policy.
WRAPPER = (
    *("frame_skip", "max_noops", "sticky_probability", "horizon", "size"),
    *("fire_on_reset", "full_actions"),
)


def record(
    environment: Environment,
    count: int,
    generator: np.random.Generator,
    *,
    first_lives_only: bool,
    update: Callable[[int], None] = lambda done: None,
) -> NDArray[np.uint8]:
    """Play uniformly random actions and return `count` frames [count, 3, 96, 96].

    With `first_lives_only` a new game starts after each lost life, as in the published code.
    """
    frame = environment.reset(full=True)
    frames = np.empty((count, *frame.shape), dtype=np.uint8)
    for index in range(count):
        frames[index] = frame
        step = environment.step(int(generator.integers(environment.action_count)))
        frame = environment.reset(full=first_lives_only) if step.done else step.frame
        update(index + 1)
    return frames


def recorded_frames(context: RunContext, config: MaeConfig, seed: int) -> Artifact:
    """Return the artifact with the pre-training frames of this game and seed."""
    count = config.frames_of(context.task.name)
    settings = {**context.protocol.settings, "terminal_on_life_loss": config.first_lives_only}
    generator = context.generator("frames", seed)
    environment = context.task.make(settings, int(generator.integers(2**31)))

    def build(folder: Path) -> None:
        progress = context.stage("frames", count, "frames")

        def update(done: int) -> None:
            progress.update(done)
            context.check_stop()

        frames = record(
            environment,
            count,
            generator,
            first_lives_only=config.first_lives_only,
            update=update,
        )
        np.savez_compressed(folder / "frames.npz", frames=frames)

    def inputs() -> dict[str, Any]:
        given = context.protocol.settings
        return {
            "game": context.task.name,
            "frames": count,
            "first_lives_only": config.first_lives_only,
            "wrapper": {name: given[name] for name in WRAPPER if name in given},
            "seed": seed,
            "code": code_digest(record, type(environment)),
        }

    return context.artifact("frames", inputs, build)


def load_frames(artifact: Artifact) -> NDArray[np.uint8]:
    """Read the frames [N, 3, 96, 96] of an artifact."""
    with np.load(artifact.folder / "frames.npz", allow_pickle=False) as file:
        frames: NDArray[np.uint8] = file["frames"]
        return frames
