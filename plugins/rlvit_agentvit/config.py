"""AgentViT's configuration: the notebook's value of everything, and presets that differ from it.

"nb 36" is cell 36 of the published notebook, "readme" the text beside it, whose names of parameters
are accepted as well (`--eta`, `--epoche`). The plugin's README explains each difference.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from rlvit.config import MethodConfig, Search, setting
from rlvit.specs import Preset

VIT = "Vision Transformer"
TRAIN = "Its training"
SELECT = "Selection"
REWARD = "Reward"
LEARN = "The agent's learning"
EXPLORE = "Exploration"
KEEPING = "Measuring and book-keeping"
OWN = "selector=patch-agent"  # the part that the method trains

SHARE_OF_RUN = 20_000 / 39_100  # eps_decay of nb 36 in its 39,100 iterations


class AgentvitConfig(MethodConfig):
    """All that decides an AgentViT run but its dataset, protocol and seed."""

    patch_size: int | None = setting(
        None,
        help="Side of a patch of simple-vit; by default the one that makes about 8x8 patches, 4 "
        "on cifar10.",
        unit="pixels",
        source="nb 37 (4)",
        group=VIT,
        aliases=("patchsize",),
        ge=2,  # the norm of a single grey pixel's channels is nothing
    )
    dim: int | None = setting(
        None,
        help="Features of a token of simple-vit (by default 128).",
        unit="features",
        source="nb 37",
        group=VIT,
        aliases=("att_dim",),
        ge=8,
        le=4096,
    )
    depth: int | None = setting(
        None,
        help="Blocks of simple-vit (by default 6).",
        unit="blocks",
        source="nb 37",
        group=VIT,
        ge=1,
        le=100,
    )
    heads: int | None = setting(
        None,
        help="Heads of attention of simple-vit (by default 16).",
        unit="heads",
        source="nb 37",
        group=VIT,
        ge=1,
        le=256,
    )
    head_dim: int | None = setting(
        None,
        help="Features of a head of simple-vit (by default 64, wider than a token's share).",
        unit="features",
        source="nb 9: the default that nb 37 does not change",
        group=VIT,
        aliases=("dim_head",),
        ge=1,
        le=1024,
    )
    mlp_dim: int | None = setting(
        None,
        help="Width of simple-vit's MLPs (by default 512).",
        unit="features",
        source="nb 37",
        group=VIT,
        ge=1,
        le=16384,
    )

    train_images: int | None = setting(
        None,
        help="Train on so many of the training images, always the same, and validate on no more; "
        "by default on all.",
        unit="images",
        source="rlvit",
        group=TRAIN,
        ge=1,
    )
    epochs: int = setting(
        100,
        help="Passes over the training images.",
        unit="epochs",
        source="nb 37",
        group=TRAIN,
        aliases=("epoche",),
        ge=1,
    )
    batch: int = setting(
        128, help="Images a step.", unit="images", source="nb 6", group=TRAIN, ge=1
    )
    lr: float = setting(
        1e-3,
        help="Adam's step size.",
        unit="-",
        source="nb 37",
        group=TRAIN,
        aliases=("learning_rate",),
        gt=0,
        search=Search(1e-4, 1e-2, log=True),
    )
    schedule: Literal["constant", "cosine"] = setting(
        "constant",
        help="The step size over the run: as it is, or one epoch of warm-up and half a cosine.",
        unit="-",
        source="nb 18 (cosine: rlvit)",
        group=TRAIN,
    )
    weight_decay: float = setting(
        0.0, help="AdamW's; at 0 it is Adam.", unit="-", source="nb 18", group=TRAIN, ge=0
    )
    augment: Literal["none", "shift", "shift-flip"] | None = setting(
        None,
        help="Training images: cut out at a random offset after padding by an eighth of the side "
        "(4 of 32 pixels), and mirrored at even odds; by default both, digits not mirrored.",
        unit="-",
        source="nb 12",
        group=TRAIN,
    )
    precision: Literal["fp32", "bf16"] = setting(
        "fp32", help="Arithmetic of the network.", unit="-", source="nb", group=TRAIN
    )

    n_patch_desired: int | None = setting(
        None,
        help="Patches that the agent should keep; by default 30 of every 64, and 30 on cifar10. "
        "What control arms and --select topk keep exactly.",
        unit="patches",
        source="nb 36 (30 of 64)",
        group=SELECT,
        aliases=("n_patch_selected",),
        ge=1,
    )
    select: Literal["mean-threshold", "topk"] = setting(
        "mean-threshold",
        help="Keep the patches whose score is at least the mean of all, or the highest.",
        unit="-",
        source="nb 9, set_patches (topk: rlvit)",
        group=SELECT,
    )
    mask_scope: Literal["batch", "image"] = setting(
        "batch",
        help="One mask for all images of a batch, or one for each image.",
        unit="-",
        source="nb 24 (image: rlvit)",
        group=SELECT,
    )
    normalise_state: bool = setting(
        False,
        help="Give the agent an image's state with mean 0 and variance 1.",
        unit="-",
        source="nb 24 does not",
        group=SELECT,
    )

    frequency: int = setting(
        50,
        help="Iterations from one reward to the next; the agent learns as often.",
        unit="iterations",
        source="nb 36",
        group=REWARD,
        aliases=("get_reward_every", "reward_every"),
        ge=1,
    )
    alpha: float = setting(
        1 / 21,
        help="Weight of the loss term; 1 - alpha is the patch term's.",
        unit="-",
        source="readme; nb 36: 1 and 20, but for the scale",
        group=REWARD,
        ge=0,
        le=1,
        search=Search(0.05, 0.95, only_if=(OWN,)),
    )
    loss_reward: Literal["ratio", "ema-ratio", "log-likelihood"] = setting(
        "ratio",
        help="The loss term: first loss / this loss; mean of the last losses / this loss, which "
        "does not grow as training goes on; or -this loss / first loss.",
        unit="-",
        source="nb 24 (others: rlvit)",
        group=REWARD,
    )

    credit: Literal["faithful", "bernoulli"] = setting(
        "faithful",
        help="How the reward reaches the patches: a TD target without an action, or a policy "
        "gradient that compares several masks of an image.",
        unit="-",
        source="nb 31 (bernoulli: rlvit)",
        group=LEARN,
    )
    agent_lr: float = setting(
        0.01,
        help="AdamW's step size of the agent.",
        unit="-",
        source="nb 36",
        group=LEARN,
        aliases=("eta",),
        gt=0,
        search=Search(1e-4, 1e-2, log=True, only_if=(OWN,)),
    )
    gamma: float = setting(
        0.95, help="Discount of a reward.", unit="-", source="nb 36", group=LEARN, ge=0, lt=1
    )
    tau: float = setting(
        0.1,
        help="Share by which the target network follows.",
        unit="-",
        source="nb 36",
        group=LEARN,
        gt=0,
        le=1,
    )
    update_every: int = setting(
        2,
        help="The agent's steps from one move of the target network to the next.",
        unit="steps",
        source="nb 36",
        group=LEARN,
        ge=1,
    )
    buffer_size: int = setting(
        64,
        help="Batches that the replay holds.",
        unit="batches",
        source="nb 36",
        group=LEARN,
        ge=1,
        le=100_000,
    )
    buffer_batch_size: int = setting(
        8,
        help="Batches of the replay that the agent learns from at a time.",
        unit="batches",
        source="nb 36",
        group=LEARN,
        ge=1,
    )
    replay_from: int = setting(
        2,
        help="Epoch, counted from 1, from which on the agent remembers and learns.",
        unit="epoch",
        source="nb 33",
        group=LEARN,
        ge=1,
    )
    grad_clip: float = setting(
        100.0,
        help="Largest value of one component of the agent's gradient.",
        unit="-",
        source="nb 31",
        group=LEARN,
        gt=0,
    )
    samples: int = setting(
        4,
        help="Masks of an image that are compared, with --credit bernoulli.",
        unit="masks",
        source="rlvit",
        group=LEARN,
        ge=1,
        le=64,
    )
    baseline: Literal["image", "batch"] = setting(
        "image",
        help="What a mask is compared with: the image's other masks, or all of the batch.",
        unit="-",
        source="Kool et al. 2019",
        group=LEARN,
    )
    entropy: float = setting(
        0.01,
        help="Weight of a decision's entropy, with --credit bernoulli.",
        unit="reward a nat",
        source="rlvit",
        group=LEARN,
        ge=0,
        search=Search(1e-3, 0.1, log=True, only_if=(OWN, "credit=bernoulli")),
    )

    eps_start: float = setting(
        1.0,
        help="Chance that an iteration's mask is random, at first.",
        unit="-",
        source="nb 36",
        group=EXPLORE,
        ge=0,
        le=1,
    )
    eps_end: float = setting(
        0.01,
        help="The same after long training.",
        unit="-",
        source="nb 36",
        group=EXPLORE,
        ge=0,
        le=1,
    )
    eps_decay: float = setting(
        20_000.0,
        help="Iterations in which the chance's distance from its end falls to 1/e; 0: about half "
        "of the run's, as in nb 36.",
        unit="iterations",
        source="nb 36",
        group=EXPLORE,
        ge=0,
    )

    validate_every: int = setting(
        1,
        help="Epochs from one validation to the next.",
        unit="epochs",
        source="nb 33",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )
    target_accuracy: float | None = setting(
        None,
        help="Record the training time until the validation accuracy with the run's own masks "
        "first is so high.",
        unit="%",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        gt=0,
        le=100,
    )
    compare_masks: bool = setting(
        True,
        help="Measure the trained network under other masks with as many patches, too.",
        unit="-",
        source="nb 57-71: all, agent, random",
        group=KEEPING,
        bookkeeping=True,
    )
    figures: bool = setting(
        True,
        help="Draw kept-patch heat maps, curves and overlays.",
        unit="-",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
    )
    log_every: int = setting(
        50,
        help="Iterations from one logged row to the next.",
        unit="iterations",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )
    checkpoint_every: int = setting(
        500,
        help="Iterations from one checkpoint to the next; also after every epoch.",
        unit="iterations",
        source="rlvit",
        group=KEEPING,
        bookkeeping=True,
        ge=1,
    )

    @model_validator(mode="after")
    def _agree(self) -> AgentvitConfig:
        if self.buffer_batch_size > self.buffer_size:
            raise ValueError(
                f"--buffer-batch-size {self.buffer_batch_size}: the replay holds only "
                f"{self.buffer_size} batches (--buffer-size)"
            )
        if self.credit == "bernoulli" and self.baseline == "image" and self.samples < 2:
            raise ValueError("--samples 1: --baseline image compares at least 2 masks of an image")
        return self

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of simple-vit that are set."""
        names = ("patch_size", "dim", "depth", "heads", "head_dim", "mlp_dim")
        found = {name: getattr(self, name) for name in names}
        return {name: value for name, value in found.items() if value is not None}


RECOMMENDED = {
    "select": "topk",
    "mask_scope": "image",
    "normalise_state": True,
    "frequency": 10,
    "alpha": 0.5,
    "loss_reward": "log-likelihood",
    "credit": "bernoulli",
    "agent_lr": 1e-3,
    "replay_from": 1,
    "eps_decay": 0.0,
    "schedule": "cosine",
    "weight_decay": 0.05,
}
PRESETS = (
    Preset("paper", "the readme and the notebook's code: a reward every 50 iterations", "full"),
    Preset(
        "official-code",
        "what the notebook's printed outputs imply: a reward every 10 iterations; with --protocol "
        "notebook also on its split",
        "full",
        {"frequency": 10},
    ),
    Preset(
        "recommended",
        "masks for each image, exact counts, credit by comparing masks; see the plugin's README",
        "full",
        RECOMMENDED,
    ),
    Preset(
        "quick",
        "real but small: a narrow ViT, 6 epochs of at most 1,500 images; minutes on a CPU",
        "quick",
        {
            **RECOMMENDED,
            "train_images": 1500,  # minutes whatever the dataset; digits has 1,259
            "epochs": 6,
            "lr": 2e-3,
            "log_every": 10,
            "checkpoint_every": 200,
        },
        slots={"backbone": "simple-vit-small"},
    ),
)
