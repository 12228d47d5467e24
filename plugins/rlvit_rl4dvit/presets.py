"""The four presets of RL4DViT; the plugin's README explains each difference between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlvit.specs import Preset

OFFICIAL_CODE: Mapping[str, Any] = {
    "advantage": "td",  # GAE is commented out
    "normalise_advantages": False,  # likewise
    "clip_value": False,
    "decay_lr": False,
    "adam_eps": 1e-8,  # the optimiser with 1e-5 is made and never used
    "decide": "sample",  # choose_action samples at test time
    "finetune_epochs": 30.0,
}
RECOMMENDED: Mapping[str, Any] = {
    # The paper's reward tells an agent hardly whether its own token mattered: with it, 300 rollouts
    # of ViT-Tiny on Imagenette end far below random tokens, with team credit far above them.
    "credit": "team",
    "outcome": "log-probability",
    "rollout_images": 16,
    "samples_per_image": 4,
    "lr": 1e-3,  # 5e-6 moves nothing in a few hundred rollouts
    "init_keep": 0.8,  # the frozen backbone still answers right at the start
    "normalise_tokens": True,  # a token's scale grows with depth; the shared actor sees all depths
    "huber": 10.0,  # on-policy's default
    "augment": "crop-flip",  # the answers that agents are paid for should be about whole images
    "finetune_lr": 2e-5,
}
QUICK: Mapping[str, Any] = {
    **RECOMMENDED,
    "train_backbone": True,
    "train_images": 1500,  # minutes whatever the dataset; digits has 1,259
    "backbone_epochs": 40,
    "backbone_batch": 32,
    "backbone_lr": 2e-3,
    "augment": "none",  # digits are 8 pixels wide
    "rollouts": 60,
    "target_keep": 0.6,
    "decide": "calibrated",
    "finetune_epochs": 2.0,
    "checkpoint_every": 20,
    "log_every": 5,
}

PRESETS = (
    Preset("paper", "the text's values: one epoch of agents, one of fine-tuning", "full"),
    Preset(
        "official-code",
        "what the published code does where it differs from the text",
        "full",
        OFFICIAL_CODE,
    ),
    Preset(
        "recommended",
        "what we would use; each difference is explained in the plugin's README",
        "full",
        RECOMMENDED,
    ),
    Preset(
        "quick",
        "real but small: at most 1,500 training images; minutes on a CPU",
        "quick",
        QUICK,
        {"backbone": "vit_pico_grid4"},
    ),
)
