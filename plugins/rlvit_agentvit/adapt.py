"""What a configuration cannot know before the dataset and the parts are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlvit.config import to_flag
from rlvit.contracts import ImageShape
from rlvit.errors import UsageProblem
from rlvit.specs import TaskSpec
from rlvit_agentvit.config import AgentvitConfig

GRID = 8  # patches a side that a size of patches is chosen for: as on cifar10
SMALLEST = 2  # pixels: the norm of a single grey pixel's channels is nothing
SHARE = 30 / 64  # of the patches that the agent should keep (nb 36)


def adapt(config: AgentvitConfig, task: TaskSpec, parts: Mapping[str, Any]) -> AgentvitConfig:
    """Fill in the sizes of the network and the number of patches, and refuse what cannot be.

    Raises:
        UsageProblem: the backbone has no blocks to walk or other sizes than were asked for, or the
            number of patches is none.
    """
    backbone = parts["backbone"]
    if backbone.shape is None:
        raise UsageProblem(
            f"--backbone {backbone.name}: it has no blocks that could be walked; choose simple-vit "
            "or a Vision Transformer such as vit_tiny_grid8."
        )
    sized = config.model_copy(update=_sizes(config, task, backbone))
    size, classes = task.image_size, int(task.facts.get("classes") or 1000)
    patches = backbone.shape(ImageShape(size, classes, sized.sizes)).patches
    desired = config.n_patch_desired or max(1, round(SHARE * patches))
    if desired >= patches:
        raise UsageProblem(
            f"--n-patch-desired {desired}: expected fewer than the {patches} patches that an image "
            f"of {task.name} has (--selector all keeps all of them)."
        )
    mirrored = "shift-flip" if task.facts.get("mirrored", 1) else "shift"
    augment = config.augment or mirrored
    return sized.model_copy(update={"n_patch_desired": desired, "augment": augment})


def _sizes(config: AgentvitConfig, task: TaskSpec, backbone: Any) -> dict[str, int]:
    """Return the sizes of the backbone, if they can be chosen."""
    given = config.sizes
    for name in given:
        if name not in backbone.sizes:
            raise UsageProblem(
                f"{to_flag(name)} {given[name]}: the sizes of {backbone.name} are fixed; leave it "
                "out, or take --backbone simple-vit."
            )
    if not backbone.sizes:
        return {}
    pixels = task.image_size
    side = given.get("patch_size") or patch_side(pixels)
    return {**backbone.sizes, **given, "patch_size": side}


def patch_side(pixels: int) -> int:
    """Return the side of a patch that cuts images of so many pixels a side into about 8x8.

    Of the sides that leave no rest, the one whose grid is nearest; of two, the larger side.
    """
    sides = [side for side in range(SMALLEST, pixels) if pixels % side == 0]
    if not sides:
        raise UsageProblem(f"images of {pixels} pixels a side cannot be cut into equal patches.")
    return min(sides, key=lambda side: (abs(pixels / side - GRID), -side))
