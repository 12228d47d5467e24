"""Tells gymnasium that the game exists; gymnasium calls this, so nothing heavy is imported."""

from __future__ import annotations

ID = "rlvit/Glimpse-v0"


def register() -> None:
    """Make `ID` known to `gymnasium.make` and `gymnasium.make_vec`."""
    import gymnasium

    if ID not in gymnasium.registry:
        gymnasium.register(
            ID,
            entry_point="rlvit_glimpse.gym_face:GlimpseEnv",
            vector_entry_point="rlvit_glimpse.gym_face:GlimpseVectorEnv",
        )
