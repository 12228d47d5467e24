"""How frames are recorded and the autoencoder is trained: the paper's value of everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import model_validator

from rlvit.config import MethodConfig, RunOf, setting

FRAMES = "Frames and MAE pre-training"
KEEPING = "Book-keeping"

# Frames of a random policy for pre-training (Table 6); 50,000 where the paper has no value.
FRAMES_BY_GAME: Mapping[str, int] = {"Frostbite": 5_000}
FRAMES_ELSEWHERE = 50_000


class MaeConfig(MethodConfig):
    """Frames of a random or a trained policy, and how a masked autoencoder learns from them."""

    frames: int | None = setting(
        None,
        help="Frames of a random policy to pre-train on, or of that of --frames-from.",
        unit="frames",
        source="Table 6: Frostbite 5,000, others 50,000",
        group=FRAMES,
        ge=64,
    )
    first_lives_only: bool = setting(
        True,
        help="Start a new game after each lost life while recording frames.",
        unit="-",
        source="code; the text does not say",
        group=FRAMES,
    )
    frames_from: str | None = setting(
        None,
        help="Record the frames while the trained policy of this completed run of the game plays, "
        "not a random one.",
        unit="-",
        source="appendix A.2 expects better frames to help; Table 7: random",
        group=FRAMES,
        run=RunOf(what="policy", methods=("spirl", "de-rainbow"), artifacts=("agent",)),
    )
    frames_epsilon: float = setting(
        0.05,
        help="Share of random actions while that policy plays; without any its games would begin "
        "in at most 30 ways and go on alike.",
        unit="of actions",
        source="Mnih et al. 2015, evaluation; the paper has none",
        group=FRAMES,
        only_with="frames_from",
        ge=0,
        le=1,
    )
    epochs: int = setting(
        50, help="Passes over the frames.", unit="epochs", source="Table 5", group=FRAMES, ge=1
    )
    warmup_epochs: int = setting(
        5,
        help="Epochs over which the step size rises linearly; then half a cosine to 0.",
        unit="epochs",
        source="Table 5",
        group=FRAMES,
        ge=0,
    )
    mae_batch_size: int = setting(
        64, help="Frames a batch.", unit="frames", source="Table 5", group=FRAMES, ge=1
    )
    mae_base_lr: float = setting(
        1e-3,
        help="Step size for 256 frames a batch; scaled by batch size / 256.",
        unit="-",
        source="Table 5",
        group=FRAMES,
        gt=0,
    )
    mae_weight_decay: float = setting(
        0.05,
        help="AdamW's decay of matrices and tokens, not of biases and norms.",
        unit="-",
        source="Table 5; which parameters: code",
        group=FRAMES,
        ge=0,
    )
    mae_beta2: float = setting(
        0.95,
        help="AdamW's second momentum; the first is 0.9.",
        unit="-",
        source="Table 5",
        group=FRAMES,
        ge=0,
        lt=1,
    )
    mae_precision: Literal["float32", "bfloat16"] = setting(
        "float32",
        help="Numbers that the MAE is trained with; bfloat16 is autocast.",
        unit="-",
        source="rlvit (the code: float16 autocast)",
        group=FRAMES,
        omit_default=True,
    )
    sampling: Literal["shuffle", "replacement"] = setting(
        "shuffle",
        help="How an epoch draws frames.",
        unit="-",
        source="appendix A.2 (the code draws with replacement)",
        group=FRAMES,
    )
    share_mae: bool = setting(
        True,
        help="All seeds of a game use one MAE; otherwise each seed trains its own.",
        unit="-",
        source="code",
        group=FRAMES,
    )
    mae_seed: int = setting(
        0, help="Seed of a shared MAE.", unit="-", source="rlvit", group=FRAMES, ge=0
    )
    mae_checkpoint_every: int = setting(
        2_000,
        help="Iterations between checkpoints of the pre-training.",
        unit="iterations",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )

    @model_validator(mode="after")
    def _warm_up(self) -> MaeConfig:
        """Refuse a warm-up without end."""
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"--warmup-epochs {self.warmup_epochs} is not less than --epochs {self.epochs}"
            )
        return self

    def frames_of(self, game: str) -> int:
        """Return the number of pre-training frames for a game."""
        return self.frames or FRAMES_BY_GAME.get(game, FRAMES_ELSEWHERE)

    def iterations(self, game: str) -> int:
        """Return the number of MAE training iterations; an incomplete batch is dropped."""
        return self.epochs * (self.frames_of(game) // self.mae_batch_size)
