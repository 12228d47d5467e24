"""The published values of each variant, and the presets that all variants share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlvit.specs import Preset

RECURRENT: Mapping[str, Any] = {
    "max_steps": 20,
    "start": "uniform",
    "reward_right": 1.0,
    "novelty": 0.0,
    "epsilon": 0.0,
    "answer": "last-step",
    "encoder": "conv",
    "width": 256,
    "games": 6_554,  # 1,024 games of 128 steps, as whole games of 20
    "minibatch": 205,  # 4,096 steps
    "ppo_epochs": 8,
    "weight_decay": 0.0,
    "gamma": 0.97,
    "gae_lambda": 0.95,
    "clip": 0.2,
    "value_weight": 1.0,
    "entropy_move": 0.05,
    "entropy_zoom": 0.005,
    "entropy_class": 0.1,
    "grad_clip": 1.0,
    "supervised": 0.0,
    "class_counts": "always",
}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "multi-categorical": RECURRENT,
    "greedy-map": {
        **RECURRENT,
        "max_steps": 30,
        "novelty": 0.1,
        "epsilon": 0.1,
        "games": 8_738,  # 2,048 games of 128 steps, as whole games of 30
        "minibatch": 273,  # 8,192 steps
        "entropy_zoom": 0.05,
        "entropy_class": 0.01,
    },
    "hybrid-vit": {
        "max_steps": 20,
        "start": "centre",
        "reward_right": 3.0,
        "novelty": 0.0,
        "epsilon": 0.0,
        "width": 256,
        "depth": 6,
        "place": "deterministic",
        "at_limit": "cut",
        "dropout": 0.0,  # 0.1 in the file, where it is a fault
        "games": 205,  # 16 games of 256 steps, as whole games of 20 at most
        "minibatch": 13,  # 256 steps
        "ppo_epochs": 3,
        "weight_decay": 1e-4,
        "gamma": 0.99,
        "gae_lambda": 0.98,
        "clip": 0.15,
        "value_weight": 0.5,
        "entropy_move": 0.0,
        "entropy_zoom": 0.02,  # of the decision
        "entropy_class": 0.005,
        "grad_clip": 0.3,
        "reconstruction": 0.005,
        "supervised": 0.0,
        "class_counts": "when-read",  # always in the file
    },
    # Mnih et al. 2014, section 4.1 (28x28 MNIST), and appendix; the batch is the usual one.
    "ram": {
        "max_steps": 6,
        "start": "uniform",
        "reward_right": 1.0,
        "novelty": 0.0,
        "epsilon": 0.0,
        "width": 256,
        "games": 128,
        "minibatch": 128,
        "ppo_epochs": 1,
        "weight_decay": 0.0,
        "gamma": 1.0,
        "gae_lambda": 1.0,
        "clip": 0.2,
        "value_weight": 1.0,
        "entropy_move": 0.0,
        "entropy_zoom": 0.0,
        "entropy_class": 0.0,
        "grad_clip": 10.0,
        "supervised": 1.0,
    },
}
# Of the variants whose rollouts are cut off with --fault-resets: the games of as many steps.
CUT_OFF: Mapping[str, Mapping[str, Any]] = {
    # 1,024 environments: 6 games of 20 steps and one of 8 in each; 32 minibatches of 4,096 steps.
    "multi-categorical": {"games": 7_168, "minibatch": 224},
    # 2,048 environments: 4 games of 30 steps and one of 8 in each; 32 minibatches of 8,192 steps.
    "greedy-map": {"games": 10_240, "minibatch": 320},
}
TAUGHT: Mapping[str, Any] = {
    "lr": 1e-3,
    "schedule": "cosine",
    "supervised": 1.0,
    "supervised_at": "every",
    "class_counts": "when-read",
    "augment": "shift",
    # of hybrid-vit: its place is drawn, it begins by looking, and every game is answered
    "place": "tanh-normal",
    "at_limit": "answer",
    "answer_chance": 0.2,
}
PRESETS = (
    Preset("paper", "the published hyperparameters with the faults mended", "full"),
    Preset(
        "official-code",
        "what the published code computes, its faults of learning included",
        "full",
        {
            "fault_epsilon": True,
            "fault_memory": True,
            "fault_schedule": True,
            "fault_crop": True,
            "fault_resets": True,
            "fault_start": True,
            "dropout": 0.1,
            "novelty": 0.0,
            "class_counts": "always",
        },
    ),
    Preset(
        "recommended",
        "8 glimpses, learning through time, a supervised term beside the reward (named so)",
        "full",
        {
            **TAUGHT,
            "augment": "shift-flip",
            "steps": 20_000_000,
            "max_steps": 8,
            "step_share": 1 / 4,
            "novelty_of": "detail",
            "games": 512,
            "minibatch": 128,
            "ppo_epochs": 1,
            "entropy_move": 0.002,
            "entropy_zoom": 0.002,
            "entropy_class": 0.0,
        },
    ),
    Preset(
        "quick",
        "real but small: 4 glimpses, a narrow network; minutes on a CPU",
        "quick",
        {
            **TAUGHT,
            "lr": 3e-3,
            "steps": 120_000,
            "max_steps": 4,
            "step_share": 1 / 8,
            "games": 256,
            "minibatch": 128,
            "ppo_epochs": 2,
            "width": 64,
            "entropy_move": 0.01,
            "entropy_zoom": 0.01,
            "entropy_class": 0.0,
        },
    ),
)
