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

FRAMES = "Frames and MAE pre-training"
SELECT = "Patch selection"
LEARN = "Learning (data-efficient Rainbow)"
NETWORK = "Network"
KEEPING = "Book-keeping"

# Share of the patches that is kept at most (Table 13, "Maximal Ratio").
SALIENT = "mae-salient"  # the selector that finds a keep ratio by itself
KEEP_RATIO: Mapping[str, float] = {
    "Frostbite": 0.35,
    "MsPacman": 0.30,
    "Seaquest": 0.20,
    "BattleZone": 0.30,
}
# Frames of a random policy for pre-training (Table 6); 50,000 where the paper has no value.
FRAMES_BY_GAME: Mapping[str, int] = {"Frostbite": 5_000}
FRAMES_ELSEWHERE = 50_000


class SpirlConfig(MethodConfig):
    """All that decides a SPIRL run but its game, protocol and seed."""

    frames: int | None = setting(
        None,
        help="Frames of a random policy to pre-train on.",
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
        help="Remembered errors; the oldest are dropped. About 250 bytes each.",
        unit="errors",
        source="rlvit: changes speed only",
        group=SELECT,
        bookkeeping=True,
        ge=1,
    )

    steps: int = setting(
        100_000,
        help="Steps in the game.",
        unit="agent steps",
        source="section 5",
        group=LEARN,
        ge=1,
    )
    random_steps: int = setting(
        1_600,
        help="Steps at the start with random actions.",
        unit="agent steps",
        source="Table 10",
        group=LEARN,
        ge=0,
    )
    learn_start: int = setting(
        1_600,
        help="Steps before the first update.",
        unit="agent steps",
        source="Table 10",
        group=LEARN,
        ge=0,
    )
    steps_per_update: int = setting(
        1,
        help="Steps between updates (4 in the paper's 400K regime).",
        unit="agent steps",
        source="Table 10",
        group=LEARN,
        ge=1,
    )
    batch_size: int = setting(
        32, help="Transitions an update.", unit="transitions", source="code", group=LEARN, ge=1
    )
    lr: float = setting(
        1e-4,
        help="Adam's step size.",
        unit="-",
        source="Table 10",
        group=LEARN,
        gt=0,
        search=Search(2e-5, 5e-4, log=True),
    )
    adam_eps: float = setting(
        1.5e-4,
        help="Adam's epsilon.",
        unit="-",
        source="Hessel et al. 2018, Table 1",
        group=LEARN,
        gt=0,
    )
    grad_clip: float = setting(
        10.0, help="Largest gradient norm.", unit="-", source="code", group=LEARN, gt=0
    )
    gamma: float = setting(
        0.99,
        help="Discount a step.",
        unit="-",
        source="Hessel et al. 2018, Table 1",
        group=LEARN,
        gt=0,
        le=1,
        search=Search(choices=(0.97, 0.99, 0.995)),
    )
    n_step: int = setting(
        20,
        help="Length of returns.",
        unit="agent steps",
        source="Table 10",
        group=LEARN,
        ge=1,
        search=Search(choices=(3, 10, 20)),
    )
    atoms: int = setting(
        51,
        help="Atoms of the return distribution.",
        unit="atoms",
        source="Hessel et al. 2018, Table 1",
        group=LEARN,
        ge=2,
    )
    v_max: float = setting(
        10.0,
        help="The atoms span minus to plus this.",
        unit="discounted reward",
        source="Hessel et al. 2018, Table 1",
        group=LEARN,
        gt=0,
    )
    target_every: int = setting(
        2_000,
        help="Updates between copies to the target network.",
        unit="updates",
        source="code",
        group=LEARN,
        ge=1,
    )
    priority_exponent: float = setting(
        0.5,
        help="Alpha of prioritised replay.",
        unit="-",
        source="Hessel et al. 2018, Table 1",
        group=LEARN,
        ge=0,
        le=1,
        search=Search(0.3, 0.8),
    )
    importance_exponent: float = setting(
        0.4,
        help="Beta of prioritised replay at the first update; rises linearly to 1 at the end.",
        unit="-",
        source="Hessel et al. 2018, Table 1; Table 10",
        group=LEARN,
        ge=0,
        le=1,
    )
    acting_noise: Literal["update", "step"] = setting(
        "update",
        help="Act under the last update's noise, or draw new noise each step.",
        unit="-",
        source="code",
        group=LEARN,
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
    hidden: int = setting(
        256, help="Width of the head.", unit="features", source="Table 10", group=NETWORK, ge=1
    )
    noise: float = setting(
        0.5,
        help="Initial scale of the noisy layers.",
        unit="-",
        source="Hessel et al. 2018, Table 1; code",
        group=NETWORK,
        ge=0,
    )

    checkpoint_every: int = setting(
        10_000,
        help="Steps between checkpoints while playing.",
        unit="agent steps",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
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
    log_every: int = setting(
        100,
        help="Steps (or iterations) between logged rows.",
        unit="agent steps",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )

    @model_validator(mode="after")
    def _agree(self) -> SpirlConfig:
        """Refuse values that contradict each other."""
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"--warmup-epochs {self.warmup_epochs} is not less than --epochs {self.epochs}"
            )
        if self.dim % self.heads:
            raise ValueError(f"--dim {self.dim} is no multiple of --heads {self.heads}")
        if self.random_steps > self.steps:
            raise ValueError(
                f"--random-steps {self.random_steps} is more than --steps {self.steps}"
            )
        if self.learn_start < self.n_step + 1:
            raise ValueError(
                f"--learn-start {self.learn_start} leaves nothing to sample: "
                f"it must exceed --n-step {self.n_step}"
            )
        if self.learn_start >= self.steps:
            raise ValueError(
                f"--learn-start {self.learn_start} is not less than --steps {self.steps}: "
                "nothing would be learnt"
            )
        return self

    def frames_of(self, game: str) -> int:
        """Return the number of pre-training frames for a game."""
        return self.frames or FRAMES_BY_GAME.get(game, FRAMES_ELSEWHERE)

    def ratio_of(self, game: str) -> float | None:
        """Return the keep ratio of a game, None where it has to be found from frames."""
        return self.keep_ratio or KEEP_RATIO.get(game)

    def iterations(self, game: str) -> int:
        """Return the number of MAE training iterations; an incomplete batch is dropped."""
        return self.epochs * (self.frames_of(game) // self.mae_batch_size)


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
    "residual": True,  # R/run.py's default, which the README's commands do not override
    "epochs": 100,  # README: --epoch 100
    "sampling": "replacement",  # RandomSampler(replacement=True)
    "error_space": "normalised",  # the checkpoint's norm_pix_loss
}
RECOMMENDED: Mapping[str, Any] = {
    "error_space": "normalised",  # what the published numbers were made with
    "residual": True,  # likewise
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
