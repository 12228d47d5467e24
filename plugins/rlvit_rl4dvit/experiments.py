"""The paper's tables and figures, and what it lacks, with the run that makes each.

`rlvit plugins show rl4dvit` prints these. Costs are 10^9 multiply-adds, which papers call GFLOPs.
"""

from __future__ import annotations

from rlvit.specs import Experiment

IMAGENET = "imagenet"
LACKS = "the paper lacks it"
ONE = 10.8  # GMACs of the row that the examples are about
AS_IT_IS = {"finetune_epochs": 0}  # the backbone is not fine-tuned

EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "MAPPO-DeiT-B at 10.8 GMACs, then fine-tuned",
        "Tables 1, 2",
        "paper",
        {"target_gmacs": ONE},
        task=IMAGENET,
        note="its first result is before fine-tuning; the other rows by --target-gmacs, since the "
        "paper prints no alpha",
    ),
    Experiment(
        "MAPPO-DeiT-B at 11.6 GMACs, then fine-tuned",
        "Tables 1, 2",
        "paper",
        {"target_gmacs": 11.6},
        task=IMAGENET,
    ),
    *(
        Experiment(
            f"DeiT-{letter} with all patches",
            "Table 1",
            "paper",
            AS_IT_IS,
            {"backbone": f"deit_{size}_patch16_224", "selector": "all"},
            task=IMAGENET,
        )
        for letter, size in (("T", "tiny"), ("S", "small"), ("B", "base"))
    ),
    Experiment(
        "agents by the published code, at its alpha", "the code", "official-code", task=IMAGENET
    ),
    Experiment(
        "the patches that are dropped before each block",
        "Fig. 2",
        "paper",
        {"target_gmacs": ONE},
        task=IMAGENET,
        note="every run draws them, with counts, in the artifact figures",
    ),
    Experiment(
        "tokens kept by alpha / beta",
        "Fig. 3",
        "paper",
        {"alpha": 0.1, "beta": 1.0, **AS_IT_IS},
        task=IMAGENET,
        note="a run for each ratio",
    ),
    Experiment(
        "random patches, [rho, rho^2, rho^3] of them before blocks 3, 6 and 9",
        "Fig. 4",
        "paper",
        {"keep_rate": 0.7, "decision_blocks": "3,6,9", **AS_IT_IS},
        {"selector": "random"},
        task=IMAGENET,
        note="a run for each rho and each choice of blocks",
    ),
    Experiment(
        "random patches at the cost of the agents'",
        "Fig. 4",
        "paper",
        {"target_gmacs": ONE, **AS_IT_IS},
        {"selector": "random"},
        task=IMAGENET,
        note="rlvit prune-curve sets all runs of a home side by side",
    ),
    *(
        Experiment(
            f"{what} at the cost of the agents'",
            LACKS,
            "paper",
            {"target_gmacs": ONE},
            {"selector": name},
            task=IMAGENET,
        )
        for name, what in (
            ("uniform", "evenly spaced patches"),
            ("cls-attention", "the patches that the class token attends to most"),
        )
    ),
    Experiment(
        "DynamicViT and A-ViT",
        "Tables 1, 2",
        note="the paper copies them from theirs; reports show them beside runs",
    ),
)
