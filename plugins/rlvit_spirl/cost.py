"""What a SPIRL run is expected to cost, counted from its shapes."""

from __future__ import annotations

from rlvit.specs import Protocol, StageCost, TaskSpec
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.rainbow_config import RainbowConfig
from rlvit_spirl.whole_config import WholeFrameConfig

# Floating-point operations, 2 for each multiply-add, counted from the shapes of Table 4.
MAE_FRAME = 0.22e9  # one forward pass of the autoencoder with 36 visible patches
ERROR = 0.12e9  # one error that is not remembered
MISSED = 0.18  # share of errors not remembered: measured on Seaquest over 5,000 steps
PATCHES = 144
UPDATE = 0.15e9  # one update at 28 patches a frame: three forward passes and a backward pass
EMULATOR = 3e-4  # seconds an agent step, measured on a 2.6 GHz core
OVERHEAD = 4e-3  # seconds a step for everything else: hashing, embedding, acting
UPDATE_OVERHEAD = 4e-3  # seconds an update: small operations that no device speeds up
FRAME_UPDATE = 1.0e9  # one update of the network on whole frames, 32 transitions
FRAME_OVERHEAD = 1e-3  # seconds a step of an agent on whole frames
FRAME_BYTES = 3 * 96 * 96
GAME_LENGTH = 500  # agent steps of a game played by a weak policy


def estimate(config: SpirlConfig, task: TaskSpec, protocol: Protocol) -> list[StageCost]:
    """Return the cost of each stage."""
    frames, iterations = config.frames_of(task.name), config.iterations(task.name)
    updates = count_updates(config)
    looked = ERROR * MISSED * PATCHES
    trained = 3 * MAE_FRAME * config.mae_batch_size  # one iteration
    return [
        _recording(config, frames, looked),
        StageCost(
            "pretrain",
            f"{iterations:,} iterations of {config.mae_batch_size}",
            trained * iterations,
            0.0,
        ),
        StageCost(
            "learn",
            f"{config.steps:,} steps, {updates:,} updates",
            config.steps * looked + updates * UPDATE,
            config.steps * (EMULATOR + OVERHEAD) + updates * UPDATE_OVERHEAD,
        ),
        *_refining(config, trained, looked),
        _evaluating(config, protocol, looked, EMULATOR + OVERHEAD),
    ]


def count_updates(config: RainbowConfig) -> int:
    """Return the updates of a run: every so many steps, in the steps behind the first ones."""
    every = config.steps_per_update
    return config.steps // every - config.learn_start // every


def _evaluating(
    config: RainbowConfig, protocol: Protocol, looked: float, seconds: float
) -> StageCost:
    """Return the cost of all evaluations: the last one, and those that a protocol asks for before.

    Args:
        config: of the run.
        protocol: says how many games an evaluation has, and every how many steps there is one.
        looked: floating-point operations of a frame.
        seconds: of a step on the host.
    """
    games, every = int(protocol.settings["episodes"]), protocol.settings.get("evaluate_every")
    evaluations = 1 + (config.steps - 1) // int(every) if every else 1
    length = min(int(protocol.settings["evaluation_horizon"]), GAME_LENGTH)
    amount = f"{games} games of about {length:,} steps"
    if evaluations > 1:
        amount = f"{evaluations} x {amount}"
    steps = evaluations * games * length
    return StageCost("evaluate", amount, steps * looked, steps * seconds)


def _recording(config: SpirlConfig, frames: int, looked: float) -> StageCost:
    """Return the cost of recording frames; a trained policy is taken for one of `spirl`.

    Args:
        config: of the run.
        frames: how many.
        looked: floating-point operations of a frame's error map.
    """
    if config.frames_from is None:
        return StageCost("frames", f"{frames:,} frames", 0.0, frames * EMULATOR)
    amount = f"{frames:,} frames of a trained policy"
    return StageCost("frames", amount, frames * looked, frames * (EMULATOR + OVERHEAD))


def _refining(config: SpirlConfig, trained: float, looked: float) -> list[StageCost]:
    """Return the cost of the rounds in which the autoencoder goes on learning.

    Args:
        config: of the run.
        trained: floating-point operations of an iteration.
        looked: of a frame's error map; the whole replay needs them in every round.
    """
    if config.refine_every is None:
        return []
    rounds = config.rounds
    iterations, frames = rounds * config.round_iterations, rounds * config.refine_every
    again = frames * (rounds + 1) // 2  # N in the first round, 2 N in the second, ..
    kept = f"{frames * FRAME_BYTES / 1e6:,.0f} MB kept"
    train = f"{iterations:,} iterations in {rounds} round{'s' if rounds > 1 else ''}"
    return [
        StageCost("refine", train, iterations * trained, 0.0),
        StageCost("embed", f"{again:,} frames, {kept}", again * looked, again * OVERHEAD),
    ]


def estimate_whole_frames(
    config: WholeFrameConfig, task: TaskSpec, protocol: Protocol
) -> list[StageCost]:
    """Return the cost of each stage of data-efficient Rainbow on whole frames."""
    config = config.filled(task.name)
    updates = count_updates(config)
    return [
        StageCost(
            "learn",
            f"{config.steps:,} steps, {updates:,} updates",
            updates * FRAME_UPDATE,
            config.steps * (EMULATOR + FRAME_OVERHEAD) + updates * UPDATE_OVERHEAD,
        ),
        _evaluating(config, protocol, 0.0, EMULATOR + FRAME_OVERHEAD),
    ]
