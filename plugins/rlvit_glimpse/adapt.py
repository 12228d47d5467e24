"""What a configuration cannot know before the variant and the dataset are known together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlvit.config import to_flag
from rlvit.errors import UsageProblem
from rlvit.specs import TaskSpec
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.presets import CUT_OFF, PRESETS, VARIANTS

WINDOW = 8  # pixels a side, of images of 16 to 64
SHARE = 8  # of larger images a window's side is this part
WITH_MOVES = ("multi-categorical", "greedy-map")
# Fields that only some variants have.
ONLY: Mapping[str, tuple[str, ...]] = {
    "depth": ("hybrid-vit",),
    "reconstruction": ("hybrid-vit",),
    "encoder": WITH_MOVES,
    "answer": WITH_MOVES,
}
# The same of fields that presets give to all variants, which have them left out where they mean
# nothing. A value that no preset gives is the user's own, and refused there.
SHARED: Mapping[str, tuple[str, ...]] = {
    "place": ("hybrid-vit",),
    "class_counts": (*WITH_MOVES, "hybrid-vit"),
    "at_limit": ("hybrid-vit",),
    "answer_chance": ("hybrid-vit",),
    "dropout": ("hybrid-vit",),
}
# Faults belong to the files that have them. Of others `official-code` gives all together, which are
# left out; fewer are the user's own, and refused.
FAULTS: Mapping[str, tuple[str, ...]] = {
    "fault_epsilon": ("greedy-map",),
    "fault_memory": (*WITH_MOVES, "hybrid-vit"),
    "fault_schedule": WITH_MOVES,
    "fault_crop": ("greedy-map",),
    "fault_resets": WITH_MOVES,
    "fault_start": ("hybrid-vit",),
}
HEAD_FEATURES = 32  # of hybrid-vit's heads of attention


def adapt(config: GlimpseConfig, task: TaskSpec, parts: Mapping[str, Any]) -> GlimpseConfig:
    """Fill in what the variant and the size of the images decide.

    Raises:
        UsageProblem: the window does not fit into the images, or a value belongs to another
            variant.
    """
    size = task.image_size
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
    without = _without(config)
    if config.epsilon and config.variant not in WITH_MOVES:
        raise UsageProblem(f"--epsilon: {config.variant} has no such actions; leave it out.")
    width = config.width or 0
    if config.variant == "hybrid-vit" and width % max(1, width // HEAD_FEATURES):
        raise UsageProblem(
            f"--width {width}: heads of attention share it, so hybrid-vit wants a multiple of "
            f"{HEAD_FEATURES}."
        )
    usual = VARIANTS[config.variant]
    if config.fault_resets:
        usual = {**usual, **CUT_OFF.get(config.variant, {})}
    found = {name: value for name, value in usual.items() if getattr(config, name) is None}
    found["window"] = window
    found |= dict.fromkeys(_others_faults(config), False)
    found |= dict.fromkeys(without)
    return config.model_copy(update=found)


def _others_faults(config: GlimpseConfig) -> list[str]:
    """Return the faults that are only of other variants.

    Raises:
        UsageProblem: the user asked for one of these.
    """
    others = [name for name, variants in FAULTS.items() if config.variant not in variants]
    asked = [name for name in others if getattr(config, name)]
    (official,) = [one.values for one in PRESETS if one.name == "official-code"]
    signs = {*others, *(["dropout"] if config.variant != "hybrid-vit" else [])}
    if asked and any(getattr(config, name) != official[name] for name in signs):
        raise UsageProblem(
            f"{to_flag(asked[0])}: {config.variant} has no such fault; leave it out."
        )
    return others


def _without(config: GlimpseConfig) -> list[str]:
    """Return the fields of `SHARED` that mean nothing to the variant.

    Raises:
        UsageProblem: the user gave a value to one of these, or to one of `ONLY`.
    """
    without = [name for name, variants in SHARED.items() if config.variant not in variants]
    if config.answer == "any-time" and config.variant in WITH_MOVES:
        without.remove("answer_chance")
    preset = {name: [one.values.get(name) for one in PRESETS] for name in without}
    others = [name for name, variants in ONLY.items() if config.variant not in variants]
    for name in (*others, *without):
        value = getattr(config, name)
        if value is not None and value not in preset.get(name, []):
            raise UsageProblem(f"{to_flag(name)}: {config.variant} has none of it; leave it out.")
    return without
