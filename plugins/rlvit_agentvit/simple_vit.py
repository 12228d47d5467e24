"""SimpleViT as AgentViT trains it: no class token, fixed positions, mean pooling (nb 9, 37).

The architecture is that of Beyer et al. 2022, "Better plain ViT baselines for ImageNet-1k", with
the wide heads of the notebook: 16 heads of 64 features on tokens of 128. Well-kept libraries offer
it with narrower heads (timm) or with the last norm before the pooling (vit-pytorch), so it is here,
on the blocks that the core shares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rlvit.contracts import ImageShape
from rlvit.errors import UsageProblem
from rlvit.nn.compute import VitShape
from rlvit.nn.patches import patchify
from rlvit.nn.positions import sincos_2d
from rlvit.nn.randomness import drawing_from
from rlvit.nn.transformer import Block

CHANNELS = 3
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # of CIFAR-10's pixels (nb 12)
EPS = 1e-5  # of the notebook's norms


class SimpleVit(nn.Module):
    """The network's parameters; `SimpleBackbone` walks it."""

    def __init__(self, shape: VitShape, heads: int, patch_size: int) -> None:
        """Build it; weights are torch's defaults, drawn from torch's global generator."""
        super().__init__()
        rows = math.isqrt(shape.patches)
        self.patch_size = patch_size
        self.to_patch_embedding = nn.Sequential(
            nn.LayerNorm(shape.patch_values, eps=EPS),
            nn.Linear(shape.patch_values, shape.dim),
            nn.LayerNorm(shape.dim, eps=EPS),
        )
        positions = sincos_2d(shape.dim, rows, rows, cls_row=False, endpoint=True)  # [N, D]
        self.register_buffer("positions", positions, persistent=False)
        self.blocks = nn.ModuleList(
            Block(
                shape.dim,
                heads,
                shape.hidden / shape.dim,
                head_dim=shape.width // heads,
                attention_bias=False,
                eps=EPS,
            )
            for _ in range(shape.depth)
        )
        self.norm = nn.LayerNorm(shape.dim, eps=EPS)
        self.head = nn.Linear(shape.dim, shape.classes)
        # One multiply-add turns a byte into a normalised pixel.
        mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]  # [3, 1, 1]
        self.register_buffer("pixel_scale", 1 / (255 * std), persistent=False)
        self.register_buffer("pixel_shift", -mean / std, persistent=False)


class SimpleBackbone:
    """Walks a SimpleViT (the contract is `rlvit.contracts.TokenBackbone`)."""

    class_names: Sequence[str] = ()  # its head's classes are the dataset's

    def __init__(self, module: SimpleVit, shape: VitShape, heads: int, size: int) -> None:
        """Take a network for images of `size` pixels a side."""
        rows = math.isqrt(shape.patches)
        self.module: nn.Module = module
        self.image_size, self.grid = size, (rows, rows)
        self.shape, self.heads = shape, heads
        self.sha256 = ""  # nobody needs to tell random weights from others

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The blocks in order."""
        return list(self._model.blocks)

    @property
    def _model(self) -> Any:  # a deep copy must keep to its own module
        return self.module

    def embed(self, images: Tensor) -> Tensor:
        """Turn uint8 images [B, 3, S, S] into tokens [B, N, D]."""
        model = self._model
        scale, shift = model.pixel_scale, model.pixel_shift
        pixels = torch.addcmul(shift, images.to(scale.dtype), scale)  # [B, 3, S, S]
        tokens = model.to_patch_embedding(patchify(pixels, model.patch_size))  # [B, N, D]
        return tokens + model.positions

    def readout(self, pooled: Tensor) -> Tensor:
        """Turn the mean of the patches that are left [B, D] into logits [B, K]."""
        model = self._model
        return model.head(model.norm(pooled))


def shape_of(sizes: dict[str, int], shape: ImageShape) -> VitShape:
    """Return the sizes of a network for a dataset.

    Raises:
        UsageProblem: there is none of such sizes.
    """
    side = sizes["patch_size"]
    if shape.size % side or shape.size == side:
        raise UsageProblem(
            f"--patch-size {side}: images of {shape.size} pixels a side cannot be cut into "
            "more than one such patch without a rest."
        )
    if sizes["dim"] % 4 or sizes["dim"] < 8:
        raise UsageProblem(f"--dim {sizes['dim']}: expected a multiple of 4, 8 at least.")
    return VitShape(
        depth=sizes["depth"],
        dim=sizes["dim"],
        hidden=sizes["mlp_dim"],
        patches=(shape.size // side) ** 2,
        patch_values=CHANNELS * side**2,
        classes=shape.classes,
        prefix=0,
        inner=sizes["heads"] * sizes["head_dim"],
    )


def make(
    defaults: dict[str, int], generator: torch.Generator, shape: ImageShape, weights: str | None
) -> SimpleBackbone:
    """Build a network with weights drawn from `generator`, or from a file that a run has kept.

    Raises:
        UsageProblem: the file is not there or does not fit.
    """
    sizes = {**defaults, **shape.sizes}
    sizes_of_net = shape_of(sizes, shape)
    with drawing_from(generator):
        module = SimpleVit(sizes_of_net, sizes["heads"], sizes["patch_size"])
    if weights not in (None, "none"):
        _load(module, Path(str(weights)).expanduser())
    return SimpleBackbone(module, sizes_of_net, sizes["heads"], shape.size)


def _load(module: SimpleVit, path: Path) -> None:
    if not path.is_file():
        raise UsageProblem(f"weights {path}: there is no such file; simple-vit has none on a hub.")
    try:
        state = load_file(path)
    except Exception as problem:  # a damaged file can raise nearly anything
        reason = str(problem).partition("\n")[0]
        raise UsageProblem(f"weights {path}: no safetensors file: {reason}") from None
    wanted = {name: list(value.shape) for name, value in module.state_dict().items()}
    given = {name: list(value.shape) for name, value in state.items()}
    for name in [*wanted, *given]:
        has, needs = given.get(name, "missing"), wanted.get(name, "nothing of that name")
        if has != needs:
            raise UsageProblem(
                f"weights {path}: no weights of this simple-vit: {name} is {has}, expected {needs}."
            )
    module.load_state_dict(state)
