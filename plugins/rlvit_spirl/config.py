"""SPIRL's configuration: the paper's value of everything, and the presets that differ from it.

"Table N" and sections are the paper's; "code" is what the published code does where the paper is
silent. The plugin's README explains each difference between the presets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from rlvit.config import MethodConfig, Search, setting
from rlvit.errors import UsageProblem
from rlvit.specs import Parts, Preset, TaskSpec
from rlvit_spirl.mae_config import MaeConfig
from rlvit_spirl.rainbow_config import NETWORK, REGIME_400K, RainbowConfig

SELECT = "Patch selection"
REFINE = "Autoencoder that goes on learning (off by default)"

# Share of the patches that is kept at most (Table 13, "Maximal Ratio").
SALIENT = "mae-salient"  # the selector that finds a keep ratio by itself
KEEP_RATIO: Mapping[str, float] = {
    "Frostbite": 0.35,
    "MsPacman": 0.30,
    "Seaquest": 0.20,
    "BattleZone": 0.30,
}


class SpirlConfig(RainbowConfig, MaeConfig):
    """All that decides a SPIRL run but its game, protocol and seed."""

    angle: float = setting(
        45.0,
        help="Angle of the Lorenz curve at which the selection stops: larger keeps fewer patches.",
        unit="degrees",
        source="section 4.2 (the code's rule is atan(1/2) = 26.6)",
        group=SELECT,
        gt=0,
        lt=90,
    )
    keep_ratio: float | None = setting(
        None,
        help="Most patches kept, as a share of all 144.",
        unit="of all patches",
        source="Table 13; other games: smallest 5 % step covering 99.9 % of sampled frames",
        group=SELECT,
        gt=0,
        le=1,
        search=Search(choices=(0.15, 0.2, 0.25, 0.35, 0.5)),
    )
    k: Literal["dynamic", "fixed"] = setting(
        "dynamic",
        help="How many patches are kept: what the Lorenz curve says, up to the cap, or the cap.",
        unit="-",
        source="section 4.2; fixed: Table 3, K = P^2 x ratio",
        group=SELECT,
    )
    ratio_frames: int = setting(
        1_000,
        help="Frames sampled to find the ratio of a game that Table 13 does not list.",
        unit="frames",
        source="rlvit (the paper counts all of them)",
        group=SELECT,
        ge=10,
    )
    error_space: Literal["pixels", "normalised"] = setting(
        "pixels",
        help="Where the error of a patch is measured.",
        unit="-",
        source="section 4.2 (the code: against the patch's normalised target)",
        group=SELECT,
    )
    cache_entries: int = setting(
        1_000_000,
        help="Remembered errors; the oldest are dropped. About 180 bytes each.",
        unit="errors",
        source="rlvit: changes speed only",
        group=SELECT,
        bookkeeping=True,
        ge=1,
    )
    dim: int = setting(
        32,
        help="Width of the attention block.",
        unit="features",
        source="Table 13",
        group=NETWORK,
        ge=1,
    )
    heads: int = setting(
        8, help="Attention heads.", unit="heads", source="Table 13", group=NETWORK, ge=1
    )
    residual: bool = setting(
        False,
        help="Residual connections inside the attention block.",
        unit="-",
        source="Table 13 (the code has them)",
        group=NETWORK,
    )
    pooling: Literal["cls", "average"] = setting(
        "cls",
        help="What stands for a frame: the class token, or, without it, the patches' average.",
        unit="-",
        source="Table 13; average: Table 15 (the code has a class token then, too)",
        group=NETWORK,
    )
    padding: Literal["zero", "token", "masked"] = setting(
        "zero",
        help="What a frame with fewer patches than the cap is filled up with: zeros that are "
        "attended to, a trainable token, or zeros that are not.",
        unit="-",
        source="section 5, Atari Benchmark; token, masked: Table 14",
        group=NETWORK,
    )

    refine_every: int | None = setting(
        None,
        help="Steps between rounds in which the MAE goes on learning, from frames of play; none: "
        "it stays as it was pre-trained.",
        unit="agent steps",
        source="appendix B.2: frozen (A.2 expects better of one that is trained online)",
        group=REFINE,
        omit_default=True,
        ge=1,
    )
    refine_epochs: float = setting(
        1.0,
        help="Frames drawn in a round from all play so far, for each frame played since the last.",
        unit="frames a step",
        source="rlvit",
        group=REFINE,
        only_with="refine_every",
        gt=0,
        le=1_000,
    )
    refine_lr: float = setting(
        2.5e-5,
        help="AdamW's step size in all rounds; its other values are those of the pre-training.",
        unit="-",
        source="rlvit: a tenth of the pre-training's largest (Table 5)",
        group=REFINE,
        only_with="refine_every",
        gt=0,
    )

    @model_validator(mode="after")
    def _whole_heads(self) -> SpirlConfig:
        """Refuse heads that do not divide the width."""
        if self.dim % self.heads:
            raise ValueError(f"--dim {self.dim} is no multiple of --heads {self.heads}")
        return self

    @model_validator(mode="after")
    def _rounds_that_can_be(self) -> SpirlConfig:
        """Refuse rounds that would never be held, or would learn nothing."""
        if self.refine_every is None:
            return self
        if self.refine_every >= self.steps:
            raise ValueError(
                f"--refine-every {self.refine_every} is not less than --steps {self.steps}: "
                "the autoencoder would never go on learning"
            )
        if not self.round_iterations:
            raise ValueError(
                f"--refine-epochs {self.refine_epochs:g} of --refine-every {self.refine_every} "
                f"steps are less than one batch: --mae-batch-size is {self.mae_batch_size}"
            )
        return self

    @property
    def rounds(self) -> int:
        """The rounds in which the autoencoder goes on learning: none after the last step."""
        return 0 if self.refine_every is None else (self.steps - 1) // self.refine_every

    @property
    def round_iterations(self) -> int:
        """The MAE training iterations of a round; an incomplete batch is dropped."""
        return int((self.refine_every or 0) * self.refine_epochs) // self.mae_batch_size

    def ratio_of(self, game: str) -> float | None:
        """Return the keep ratio of a game, None where it has to be found from frames."""
        return self.keep_ratio or KEEP_RATIO.get(game)


def adapt(config: MethodConfig, task: TaskSpec, parts: Parts) -> SpirlConfig:
    """Fill in what the paper says for this game, and refuse what only the game shows to be wrong.

    A keep ratio that stays None is found from frames while the run goes on.

    Raises:
        UsageProblem: there is not one batch of frames, the keep ratio keeps too little or is
            missing, or the backbone is no masked autoencoder.
    """
    assert isinstance(config, SpirlConfig)
    backbone = parts["backbone"]
    if "reconstruction" not in backbone.provides:
        raise UsageProblem(
            f"--backbone {backbone.name}: spirl trains a masked autoencoder; expected mae-96."
        )
    frames = config.frames_of(task.name)
    if frames < config.mae_batch_size:
        raise UsageProblem(
            f"--mae-batch-size {config.mae_batch_size} is more than --frames {frames}"
        )
    ratio = config.ratio_of(task.name)
    if ratio is not None and int(ratio * 144) < 2:
        raise UsageProblem(f"--keep-ratio {ratio}: of 144 patches at least 2 must be kept.")
    selector = parts["selector"].name
    if ratio is None and selector != SALIENT:
        raise UsageProblem(
            f"--selector {selector}: {task.name} has no published keep ratio, and only {SALIENT} "
            "finds one; give --keep-ratio."
        )
    return config.model_copy(update={"frames": frames, "keep_ratio": ratio})


OFFICIAL_CODE: Mapping[str, Any] = {
    "angle": math.degrees(math.atan(0.5)),  # two increments are compared with one patch's share
    "residual": True,  # its default, which its README's commands do not override
    "epochs": 100,  # its README: --epoch 100
    "sampling": "replacement",  # RandomSampler(replacement=True)
    "error_space": "normalised",  # the checkpoint's norm_pix_loss
}
RECOMMENDED: Mapping[str, Any] = {
    # The code's defaults. With which values the published numbers were made is not known, nor which
    # score better; what is known stands in the README.
    "error_space": "normalised",
    "residual": True,
    "first_lives_only": False,  # later lives look different, and the agent will see them
    "acting_noise": "step",  # exploration does not stop between updates (Fortunato et al. 2018)
}
QUICK: Mapping[str, Any] = {
    **RECOMMENDED,
    "frames": 4_096,
    "epochs": 8,  # 512 iterations where the paper has 39,000: the error map is still coarse
    "warmup_epochs": 1,
    "steps": 1_500,
    "random_steps": 400,
    "learn_start": 400,
    "target_every": 250,
    "ratio_frames": 100,
    "checkpoint_every": 500,
    "mae_checkpoint_every": 128,
    "log_every": 20,
}

PRESETS = (
    Preset("paper", "the text's values, 100K steps", "atari100k-spirl"),
    Preset(
        "paper-400k",
        "the text's values in its second regime: 400K steps, 100K updates, best median",
        "atari400k-best-median",
        REGIME_400K,
    ),
    Preset(
        "official-code",
        "what the published code does where it differs from the text",
        "atari100k-spirl",
        OFFICIAL_CODE,
    ),
    Preset(
        "recommended",
        "what we would use; each difference is explained in the plugin's README",
        "atari100k-spirl",
        RECOMMENDED,
    ),
    Preset(
        "quick",
        "real but small, for minutes on a CPU; K saturates after so little pre-training",
        "quick",
        QUICK,
    ),
)
