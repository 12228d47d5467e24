"""Data-efficient Rainbow on whole frames: the baseline that SPIRL is compared with (Table 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlvit.config import setting
from rlvit.specs import Preset
from rlvit_spirl.mae_config import FRAMES_BY_GAME, FRAMES_ELSEWHERE
from rlvit_spirl.rainbow_config import LEARN, NETWORK, REGIME_400K, RainbowConfig


class WholeFrameConfig(RainbowConfig):
    """All that decides a run of data-efficient Rainbow but its game, protocol and seed."""

    prefill: bool = setting(
        False,
        help="Before the first update play as many random steps as SPIRL's autoencoder sees frames"
        " (5,000 in Frostbite, else 50,000); as many updates follow as without.",
        unit="-",
        source="Table 12: DE-Rainbow-P (there the replay holds 100,000 steps, here all)",
        group=LEARN,
    )
    size: int = setting(
        84,
        help="Side of the grey frames that the network sees.",
        unit="pixels",
        source="van Hasselt et al. 2019; SPIRL's code",
        group=NETWORK,
        ge=40,
        le=210,
    )

    def filled(self, game: str) -> WholeFrameConfig:
        """Return the configuration with the random steps of a prefilled replay in it (Table 12)."""
        if not self.prefill:
            return self
        frames = FRAMES_BY_GAME.get(game, FRAMES_ELSEWHERE)
        steps = frames + self.steps - self.learn_start
        return self.model_copy(
            update={"random_steps": frames, "learn_start": frames, "steps": steps}
        )


QUICK: Mapping[str, Any] = {
    "steps": 1_500,
    "random_steps": 400,
    "learn_start": 400,
    "target_every": 250,
    "checkpoint_every": 500,
    "log_every": 20,
}

PRESETS = (
    Preset("paper", "DE-Rainbow as in Table 2, 100K steps", "atari100k-spirl"),
    Preset(
        "paper-400k",
        "DE-Rainbow in the second regime: 400K steps, 100K updates, best median",
        "atari400k-best-median",
        REGIME_400K,
    ),
    Preset("official-code", "SPIRL's code, which here has the paper's values", "atari100k-spirl"),
    Preset(
        "recommended",
        "new noise at each step, as SPIRL's preset of that name",
        "atari100k-spirl",
        {"acting_noise": "step"},
    ),
    Preset(
        "prefilled",
        "DE-Rainbow-P of Tables 2 and 12: the replay begins with random play, of which the paper's"
        " drops the oldest after 100K steps, ours none",
        "atari100k-spirl",
        {"prefill": True},
    ),
    Preset("quick", "real but small, for minutes on a CPU", "quick", QUICK),
)
