"""What a configuration cannot know before the variant and the dataset are known together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlvit.config import to_flag
from rlvit.errors import UsageProblem
from rlvit.specs import TaskSpec
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.presets import VARIANTS

WINDOW = 8  # pixels a side, of images of 16 to 64
SHARE = 8  # of larger images a window's side is this part
WITH_MOVES = ("multi-categorical", "greedy-map")
# Fields that only some variants have.
ONLY: Mapping[str, tuple[str, ...]] = {
    "depth": ("hybrid-vit",),
    "reconstruction": ("hybrid-vit",),
    "encoder": WITH_MOVES,
}
# Faults belong to the files that have them; in other variants they mean nothing.
FAULTS: Mapping[str, tuple[str, ...]] = {
    "fault_epsilon": ("greedy-map",),
    "fault_memory": (*WITH_MOVES, "hybrid-vit"),
    "fault_schedule": WITH_MOVES,
}
HEAD_FEATURES = 32  # of hybrid-vit's heads of attention


def adapt(config: GlimpseConfig, task: TaskSpec, parts: Mapping[str, Any]) -> GlimpseConfig:
    """Fill in what the variant and the size of the images decide.

    Raises:
        UsageProblem: the window does not fit into the images, or a value belongs to another
            variant.
    """
    size = int(task.facts.get("size") or 224)
    window = config.window or (min(WINDOW, size // 2) if size <= 64 else size // SHARE)
    if window > size:
        raise UsageProblem(
            f"--window {window}: the images of {task.name} have {size} pixels a side."
        )
    widest = window << max(0, config.foveation - 1)
    if widest > size:
        raise UsageProblem(
            f"--foveation {config.foveation}: its widest square has {widest} pixels a side, the "
            f"images of {task.name} {size}."
        )
    for name, variants in ONLY.items():
        if getattr(config, name) is not None and config.variant not in variants:
            raise UsageProblem(f"{to_flag(name)}: {config.variant} has none of it; leave it out.")
    if config.epsilon and config.variant not in WITH_MOVES:
        raise UsageProblem(f"--epsilon: {config.variant} has no such actions; leave it out.")
    width = config.width or 0
    if config.variant == "hybrid-vit" and width % max(1, width // HEAD_FEATURES):
        raise UsageProblem(
            f"--width {width}: heads of attention share it, so hybrid-vit wants a multiple of "
            f"{HEAD_FEATURES}."
        )
    usual = VARIANTS[config.variant]
    found = {name: value for name, value in usual.items() if getattr(config, name) is None}
    found["window"] = window
    found |= {name: False for name, variants in FAULTS.items() if config.variant not in variants}
    if config.variant in WITH_MOVES:
        found["place"] = None
    if config.variant != "hybrid-vit":
        found |= {"at_limit": None, "answer_chance": None}
    return config.model_copy(update=found)
