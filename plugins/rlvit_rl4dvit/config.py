"""RL4DViT's configuration: the paper's value of everything.

Sections, equations and tables are the paper's; "code" is what the published code does where the
paper is silent. The plugin's README explains each difference between the presets.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from rlvit.config import MethodConfig, Search, setting

BACKBONE = "Backbone"
DATA = "Images"
DECIDE = "Decisions and reward"
LEARN = "Multi-agent PPO"
TUNE = "Fine-tuning"
KEEPING = "Book-keeping"
OWN = ("selector=token-agents",)  # the part that the method trains


class Rl4dvitConfig(MethodConfig):
    """All that decides an RL4DViT run but its dataset, protocol and seed."""

    weights: str = setting(
        "hub",
        help="Weights of the backbone: hub, hub:TAG (timm's), or a file with a state dict.",
        unit="-",
        source="section 3.1: pretrained DeiT",
        group=BACKBONE,
        bookkeeping=True,  # where a file lies does not matter; `weights_id` does
    )
    weights_id: str | None = setting(
        None,
        help="Hash of the weights (or hub, hub:TAG, trained); found if not given.",
        unit="-",
        source="rlvit",
        group=BACKBONE,
    )
    train_backbone: bool = setting(
        False,
        help="Train the backbone on the dataset first, unless --weights names a file.",
        unit="-",
        source="rlvit: for datasets without pretrained weights",
        group=BACKBONE,
    )
    backbone_epochs: int = setting(
        100,
        help="Passes over the training images with --train-backbone.",
        unit="epochs",
        source="rlvit",
        group=BACKBONE,
        ge=1,
    )
    backbone_lr: float = setting(
        1e-3,
        help="AdamW's step size with --train-backbone: 5 epochs of warm-up, half a cosine to 0.",
        unit="-",
        source="rlvit",
        group=BACKBONE,
        gt=0,
    )
    backbone_batch: int = setting(
        64,
        help="Images a step with --train-backbone.",
        unit="images",
        source="rlvit",
        group=BACKBONE,
        ge=1,
    )
    backbone_seed: int = setting(
        0,
        help="Seed of a trained backbone: all runs share it.",
        unit="-",
        source="rlvit",
        group=BACKBONE,
        ge=0,
    )
    precision: Literal["fp32", "bf16"] = setting(
        "fp32",
        help="Arithmetic of the backbone.",
        unit="-",
        source="code (bf16: autocast)",
        group=BACKBONE,
    )

    train_images: int | None = setting(
        None,
        help="Train on so many of the training images, always the same; by default on all.",
        unit="images",
        source="rlvit",
        group=DATA,
        ge=1,
    )
    augment: Literal["none", "flip", "crop-flip", "deit"] = setting(
        "deit",
        help="Training images: flipped, cropped and resized, or also erased and mixed as DeiT's.",
        unit="-",
        source="section 4: DeiT's (without RandAugment)",
        group=DATA,
    )
    mixup: float = setting(
        0.8,
        help="Alpha of mixup with --augment deit; 0: none.",
        unit="-",
        source="code (Touvron et al. 2021, Table 9)",
        group=DATA,
        ge=0,
    )
    cutmix: float = setting(
        1.0,
        help="Alpha of cutmix with --augment deit; 0: none.",
        unit="-",
        source="code (Touvron et al. 2021, Table 9)",
        group=DATA,
        ge=0,
    )

    decision_blocks: str = setting(
        "3,6,9",
        help="Agents decide before these blocks, counted from 0.",
        unit="blocks",
        source="section 4",
        group=DECIDE,
    )
    reward: Literal["gated", "ungated", "rl4evit"] = setting(
        "gated",
        help="Who is paid: living agents, all (the text's literal reading), or the successor's.",
        unit="-",
        source="section 3.2; code",
        group=DECIDE,
        instead_of=("credit", "outcome"),
    )
    outcome: Literal["correct", "log-probability"] = setting(
        "correct",
        help="What an image pays: whether its answer is right, or how likely the right one is.",
        unit="-",
        source="section 3.2 (log-probability: rlvit, with --credit team)",
        group=DECIDE,
    )
    reward_scale: float = setting(
        24.0,
        help="R: a correct answer pays R over the number of living agents to each.",
        unit="reward",
        source="section 3.2; code",
        group=DECIDE,
        gt=0,
    )
    alpha: float = setting(
        0.1,
        help="Cost of staying alive at one decision.",
        unit="reward",
        source="code",
        group=DECIDE,
        instead_of=("target_keep", "target_gmacs"),
        ge=0,
    )
    beta: float = setting(
        1.0, help="Weight of being right.", unit="-", source="code", group=DECIDE, gt=0
    )
    target_keep: float | None = setting(
        None,
        help="Aim at what keeping this share of the patches after every decision costs.",
        unit="of patches",
        source="rlvit: through the fixed point n* = beta R p / alpha",
        group=DECIDE,
        instead_of=("target_gmacs",),
        gt=0,
        le=1,
    )
    target_gmacs: float | None = setting(
        None,
        help="Steer alpha (or set the rate of a control arm) so that an image costs this much.",
        unit="10^9 multiply-adds",
        source="rlvit",
        group=DECIDE,
        instead_of=("target_keep",),
        gt=0,
    )
    keep_rate: float = setting(
        0.7,
        help="Share that a control arm keeps at each decision; without effect beside a target.",
        unit="of living patches",
        source="Rao et al. 2021 (0.7)",
        group=DECIDE,
        gt=0,
        le=1,
    )
    decide: Literal["greedy", "sample", "calibrated"] = setting(
        "greedy",
        help="At test time: the likelier action, a sampled one, or a threshold that meets the "
        "target on training images.",
        unit="-",
        source="rlvit (the code samples)",
        group=DECIDE,
    )

    rollouts: int | None = setting(
        None,
        help="Rollouts; by default as many as --rl-epochs make. Control arms have none.",
        unit="rollouts",
        source="rlvit",
        group=LEARN,
        ge=0,
    )
    rl_epochs: float = setting(
        1.0,
        help="Passes over the training images while agents learn.",
        unit="epochs",
        source="section 4",
        group=LEARN,
        ge=0,
    )
    rollout_images: int = setting(
        64, help="Images a rollout.", unit="images", source="section 4", group=LEARN, ge=1
    )
    samples_per_image: int = setting(
        1,
        help="Times that a rollout decides each of its images anew.",
        unit="samples",
        source="rlvit",
        group=LEARN,
        ge=1,
    )
    minibatch_images: int = setting(
        16, help="Images a gradient step.", unit="images", source="code", group=LEARN, ge=1
    )
    ppo_epochs: int = setting(
        4, help="Passes over a rollout.", unit="epochs", source="code", group=LEARN, ge=1
    )
    credit: Literal["agent", "team"] = setting(
        "agent",
        help="An agent learns from its own reward, or from how its sample of an image compared.",
        unit="-",
        source="section 3.2 (team: rlvit)",
        group=LEARN,
    )
    advantage: Literal["gae", "td"] = setting(
        "gae",
        help="Generalised advantage estimation, or the one-step error.",
        unit="-",
        source="appendix A.3 (code: td)",
        group=LEARN,
    )
    normalise_advantages: bool = setting(
        True,
        help="Bring advantages to mean 0 and deviation 1.",
        unit="-",
        source="appendix A.3 (not in the code)",
        group=LEARN,
    )
    gamma: float = setting(
        0.99,
        help="Discount a decision.",
        unit="-",
        source="code",
        group=LEARN,
        gt=0,
        le=1,
        search=Search(0.9, 1.0, only_if=OWN),
    )
    gae_lambda: float = setting(
        0.95,
        help="Lambda of the estimator.",
        unit="-",
        source="code",
        group=LEARN,
        ge=0,
        le=1,
        search=Search(0.8, 1.0, only_if=OWN),
    )
    clip: float = setting(
        0.2,
        help="The ratio is clipped to 1 +- this.",
        unit="-",
        source="code",
        group=LEARN,
        gt=0,
        search=Search(0.1, 0.3, only_if=OWN),
    )
    clip_value: bool = setting(
        True,
        help="Clip the critic's step, too.",
        unit="-",
        source="Algorithm 1 (not in the code)",
        group=LEARN,
    )
    huber: float | None = setting(
        None,
        help="Delta of a Huber loss for the critic; by default squared errors.",
        unit="reward",
        source="rlvit (Yu et al. 2022 use 10)",
        group=LEARN,
        gt=0,
    )
    entropy: float = setting(
        0.01,
        help="Weight of the entropy.",
        unit="-",
        source="code",
        group=LEARN,
        ge=0,
        search=Search(1e-3, 0.1, log=True, only_if=OWN),
    )
    lr: float = setting(
        5e-6,
        help="Adam's step size for actor and critic.",
        unit="-",
        source="code",
        group=LEARN,
        gt=0,
        search=Search(3e-5, 3e-3, log=True, only_if=OWN),
    )
    decay_lr: bool = setting(
        True,
        help="Let the step size fall linearly to 0.",
        unit="-",
        source="appendix A.3 (not in the code)",
        group=LEARN,
    )
    adam_eps: float = setting(
        1e-5,
        help="Adam's epsilon.",
        unit="-",
        source="appendix A.3 (code: 1e-8)",
        group=LEARN,
        gt=0,
    )
    grad_clip: float = setting(
        10.0, help="Largest gradient norm.", unit="-", source="code", group=LEARN, gt=0
    )
    actor_state: Literal["token", "agent_specific"] = setting(
        "token",
        help="The actor sees its token, or the class token as well.",
        unit="-",
        source="section 3.1 (appendix A.4 has both)",
        group=LEARN,
    )
    init_keep: float = setting(
        0.5,
        help="Probability of keeping before anything is learnt.",
        unit="-",
        source="code: a near-uniform start",
        group=LEARN,
        gt=0,
        lt=1,
    )
    normalise_tokens: bool = setting(
        False,
        help="Agents see tokens after a layer norm without parameters.",
        unit="-",
        source="rlvit",
        group=LEARN,
    )

    finetune_epochs: float = setting(
        1.0,
        help="Passes over the training images while the backbone adapts to frozen agents.",
        unit="epochs",
        source="section 4 (code: 30)",
        group=TUNE,
        ge=0,
    )
    finetune_batch: int = setting(
        64, help="Images a step.", unit="images", source="section 4", group=TUNE, ge=1
    )
    finetune_lr: float = setting(
        6.25e-5,
        help="AdamW's step size: 5e-4 for 512 images a step, scaled to 64.",
        unit="-",
        source="code",
        group=TUNE,
        gt=0,
    )
    finetune_warmup: float = setting(
        5.0,
        help="Epochs of linear warm-up, at most a fifth of all; then half a cosine to 0.",
        unit="epochs",
        source="code",
        group=TUNE,
        ge=0,
    )
    weight_decay: float = setting(
        0.05, help="AdamW's decay of matrices.", unit="-", source="code", group=TUNE, ge=0
    )
    label_smoothing: float = setting(
        0.1,
        help="Of the targets.",
        unit="-",
        source="code (Touvron et al. 2021, Table 9)",
        group=TUNE,
        ge=0,
        lt=1,
    )
    classes: Literal["head", "dataset"] = setting(
        "head",
        help="An answer, and fine-tuning, chooses from all classes of the head, or the dataset's.",
        unit="-",
        source="rlvit: for a dataset that has some of the head's classes only",
        group=TUNE,
    )

    figures: bool = setting(
        True,
        help="Draw figures at the end.",
        unit="-",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
    )
    checkpoint_every: int = setting(
        100,
        help="Rollouts or steps between checkpoints.",
        unit="updates",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )
    log_every: int = setting(
        10,
        help="Rollouts or steps between logged rows.",
        unit="updates",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )

    @model_validator(mode="after")
    def _agree(self) -> Rl4dvitConfig:
        """Refuse values that contradict each other."""
        if self.target_keep is not None and self.target_gmacs is not None:
            raise ValueError("give --target-keep or --target-gmacs, not both")
        if self.minibatch_images > self.rollout_images * self.samples_per_image:
            raise ValueError(
                f"--minibatch-images {self.minibatch_images} is more than a rollout has: "
                f"{self.rollout_images * self.samples_per_image}"
            )
        if self.outcome != "correct" and self.credit != "team":
            raise ValueError("--outcome log-probability needs --credit team")
        if self.credit == "team" and self.samples_per_image < 2:
            raise ValueError("--credit team compares samples: give --samples-per-image 2 or more")
        if self.credit == "team" and self.reward != "gated":
            raise ValueError(f"--reward {self.reward} pays single agents: give --credit agent")
        if self.reward == "rl4evit" and len(self.blocks()) != 3:
            raise ValueError("--reward rl4evit has targets for three decision blocks")
        if self.decide == "calibrated" and not self.has_target:
            raise ValueError("--decide calibrated needs --target-keep or --target-gmacs")
        self.blocks()
        return self

    @property
    def has_target(self) -> bool:
        """Whether alpha is steered."""
        return self.target_keep is not None or self.target_gmacs is not None

    def blocks(self) -> tuple[int, ...]:
        """Return the blocks before which agents decide, rising; raises ValueError."""
        try:
            blocks = tuple(int(part) for part in self.decision_blocks.split(","))
        except ValueError:
            blocks = ()
        if not blocks or list(blocks) != sorted(set(blocks)) or blocks[0] < 0:
            raise ValueError(
                f"--decision-blocks {self.decision_blocks}: expected rising block numbers, 3,6,9"
            )
        return blocks
