"""What the published notebook prints, and what it lacks, with the run that makes each.

`rlvit plugins show agentvit` prints these.
"""

from __future__ import annotations

from rlvit.specs import Experiment

CIFAR = "cifar10"
LACKS = "the notebook lacks it"

EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "an agent trains with the ViT; all, its own and random patches in the end",
        "outputs of nb 57-71",
        "official-code",
        protocol="notebook",
        task=CIFAR,
        note="masks/* are the three of one run; a reward every 10 iterations, as the loss plot has",
    ),
    Experiment(
        "the same by the notebook's code, a reward every 50 iterations",
        "nb 36",
        "paper",
        protocol="notebook",
        task=CIFAR,
    ),
    Experiment(
        "the ViT trained with all patches",
        LACKS,
        "official-code",
        slots={"selector": "all"},
        protocol="notebook",
        task=CIFAR,
    ),
    Experiment(
        "agents of the notebook, measured once on the test images",
        LACKS,
        "official-code",
        task=CIFAR,
    ),
    Experiment(
        "agents taught by comparing masks, 30 of 64 patches exactly",
        LACKS,
        "recommended",
        task=CIFAR,
    ),
    *(
        Experiment(
            f"the ViT trained with {what}, 30 of 64",
            LACKS,
            "recommended",
            slots={"selector": name},
            task=CIFAR,
        )
        for name, what in (
            ("random", "random patches"),
            ("uniform", "evenly spaced patches"),
            ("received-attention", "the patches that are attended to most"),
        )
    ),
    Experiment(
        "further tables of Applied Intelligence 55(7), 2025, and SEBD 2024",
        "both articles",
        note="only their abstracts could be read",
    ),
)
