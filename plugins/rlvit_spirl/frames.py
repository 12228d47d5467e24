"""The frames that the masked autoencoder learns from, whoever plays while they are recorded."""

from __future__ import annotations

from rlvit.contracts import Artifact, RunContext
from rlvit_spirl.mae_config import MaeConfig
from rlvit_spirl.recording import frames as random_play
from rlvit_spirl.recording.frames import load_frames

__all__ = ["load_frames", "recorded_frames"]


def recorded_frames(context: RunContext, config: MaeConfig, seed: int) -> Artifact:
    """Return the artifact with the pre-training frames of this game and seed."""
    if config.frames_from is None:
        return random_play.recorded_frames(context, config, seed)
    from rlvit_spirl.recording import trained_play  # it needs the whole plugin, this one little

    return trained_play.recorded_frames(context, config, config.frames_from, seed)
