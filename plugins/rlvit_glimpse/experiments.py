"""What the sources plot and print, and what they lack, with the run that makes each.

`rlvit plugins show glimpse` prints these.
"""

from __future__ import annotations

from rlvit.specs import Experiment

CIFAR = "cifar10"
PLOT = "plot of the report"
LACKS = "the sources lack it"

EXPERIMENTS: tuple[Experiment, ...] = (
    *(
        Experiment(
            f"{variant}, {how}",
            source,
            preset,
            {"variant": variant},
            task=CIFAR,
        )
        for variant, source in (
            ("multi-categorical", PLOT),
            ("greedy-map", PLOT),
            ("hybrid-vit", "vit_rl.py"),
        )
        for preset, how in (("paper", "its faults mended"), ("official-code", "with its faults"))
    ),
    Experiment(
        "the recurrent attention model, 6 glimpses, REINFORCE",
        "Mnih et al. 2014, 4.1",
        "paper",
        {"variant": "ram", "algorithm": "reinforce"},
        task="mnist",
    ),
    Experiment(
        "the same taught by PPO",
        LACKS,
        "paper",
        {"variant": "ram", "algorithm": "ppo"},
        task="mnist",
    ),
    *(
        Experiment(what, LACKS, "recommended", values, task=CIFAR)
        for what, values in (
            ("8 glimpses, a supervised term beside the reward", {}),
            ("three rings around one point", {"foveation": 3}),
            ("an image that drifts", {"motion": "drift"}),
        )
    ),
    Experiment(
        "rlcam, 7x7 pixels, absolute places and a thumbnail",
        "rlcam.ipynb, 127-128",
        note="another agent, which is not here; reports show its numbers beside runs",
    ),
    Experiment(
        "a re-implementation of the recurrent attention model",
        "its readme",
        note="reports show its number beside runs",
    ),
)
