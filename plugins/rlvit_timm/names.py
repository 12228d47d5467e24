"""Which backbones there are; a list, so that naming them imports neither torch nor timm."""

from __future__ import annotations

from typing import NamedTuple

# timm's VisionTransformers of pre-LN blocks with a class token, which is what is read out, and no
# other token beside the patches. A test makes this list again from timm 1.0.31.
ARCHITECTURES = (
    "deit3_base_patch16_224",
    "deit3_base_patch16_384",
    "deit3_huge_patch14_224",
    "deit3_large_patch16_224",
    "deit3_large_patch16_384",
    "deit3_medium_patch16_224",
    "deit3_small_patch16_224",
    "deit3_small_patch16_384",
    "deit_base_patch16_224",
    "deit_base_patch16_384",
    "deit_small_patch16_224",
    "deit_tiny_patch16_224",
    "flexivit_base",
    "flexivit_large",
    "flexivit_small",
    "vit_base_patch8_224",
    "vit_base_patch14_dinov2",
    "vit_base_patch16_224",
    "vit_base_patch16_224_miil",
    "vit_base_patch16_384",
    "vit_base_patch16_clip_224",
    "vit_base_patch16_clip_384",
    "vit_base_patch16_clip_quickgelu_224",
    "vit_base_patch16_plus_240",
    "vit_base_patch16_plus_clip_240",
    "vit_base_patch32_224",
    "vit_base_patch32_384",
    "vit_base_patch32_clip_224",
    "vit_base_patch32_clip_256",
    "vit_base_patch32_clip_384",
    "vit_base_patch32_clip_448",
    "vit_base_patch32_clip_quickgelu_224",
    "vit_base_patch32_plus_256",
    "vit_betwixt_patch32_clip_224",
    "vit_giant_patch14_224",
    "vit_giant_patch14_clip_224",
    "vit_gigantic_patch14_224",
    "vit_gigantic_patch14_clip_224",
    "vit_gigantic_patch14_clip_378",
    "vit_gigantic_patch14_clip_quickgelu_224",
    "vit_huge_patch14_224",
    "vit_huge_patch14_clip_224",
    "vit_huge_patch14_clip_336",
    "vit_huge_patch14_clip_378",
    "vit_huge_patch14_clip_quickgelu_224",
    "vit_huge_patch14_clip_quickgelu_378",
    "vit_large_patch14_224",
    "vit_large_patch14_clip_224",
    "vit_large_patch14_clip_336",
    "vit_large_patch14_clip_quickgelu_224",
    "vit_large_patch14_clip_quickgelu_336",
    "vit_large_patch14_dinov2",
    "vit_large_patch16_224",
    "vit_large_patch16_384",
    "vit_large_patch32_224",
    "vit_large_patch32_384",
    "vit_medium_patch16_clip_224",
    "vit_medium_patch32_clip_224",
    "vit_small_patch8_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch16_36x1_224",
    "vit_small_patch16_224",
    "vit_small_patch16_384",
    "vit_small_patch32_224",
    "vit_small_patch32_384",
    "vit_tiny_patch16_224",
    "vit_tiny_patch16_384",
    "vit_xsmall_patch16_clip_224",
)


class GridModel(NamedTuple):
    """A small model that cuts an image of any size into `grid` x `grid` patches."""

    grid: int
    dim: int
    depth: int
    heads: int
    meant_for: str


GRID_MODELS = {
    "vit_pico_grid4": GridModel(4, 64, 12, 4, "images of 8x8 pixels"),
    "vit_pico_grid8": GridModel(8, 64, 12, 4, "digits of 28x28 pixels"),
    "vit_tiny_grid8": GridModel(8, 192, 12, 3, "images of 32x32 pixels"),
}

# Which paper an architecture is from, by the start of its name; the first that fits.
SOURCES = (
    ("deit3_", "Touvron et al. 2022, DeiT III"),
    ("deit_", "Touvron et al. 2021, DeiT"),
    ("flexivit_", "Beyer et al. 2023, FlexiViT"),
    ("vit_", "Dosovitskiy et al. 2021, An image is worth 16x16 words; Steiner et al. 2022"),
)


def source(name: str) -> str:
    """Return the paper that an architecture is from."""
    return next(cite for start, cite in SOURCES if name.startswith(start))
