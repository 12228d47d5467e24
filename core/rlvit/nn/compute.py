"""The compute ledger: what a Vision Transformer costs an image when patches are dropped on the way.

All numbers are multiply-adds (MACs) an image. That is what papers on Vision Transformers call
"FLOPs" or "GFLOPs" (17.5 for DeiT-B); counted as floating-point operations they would be twice as
many. As is usual, only matrix products count: norms, softmax, GELU, biases and additions do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

Number = TypeVar("Number", int, float, Tensor)


@dataclass(frozen=True)
class VitShape:
    """The sizes that decide what a Vision Transformer costs."""

    depth: int  # blocks
    dim: int  # features of a token
    hidden: int  # width of the MLP
    patches: int
    patch_values: int  # numbers in a patch: 3 * 16 * 16
    classes: int  # outputs of the head; 0: no head
    prefix: int = 1  # tokens that are no patch and always stay: the class token, if there is one
    inner: int | None = None  # features of all attention heads together; None: as many as `dim`

    @property
    def width(self) -> int:
        """Features of all attention heads together."""
        return self.dim if self.inner is None else self.inner


def block_macs(shape: VitShape, tokens: Number) -> Number:
    """Return the MACs of one block on `tokens` tokens of an image.

    Four projections of attention (qkv and proj) and two layers of the MLP for each token, and the
    scores and the weighted sum of values for each pair.
    """
    each = 4 * shape.dim * shape.width + 2 * shape.dim * shape.hidden
    return tokens * each + 2 * tokens * tokens * shape.width


def embed_macs(shape: VitShape) -> int:
    """Return the MACs of turning all patches into tokens."""
    return shape.patches * shape.patch_values * shape.dim


def readout_macs(shape: VitShape) -> int:
    """Return the MACs of the head on one token."""
    return shape.dim * shape.classes


def dense_macs(shape: VitShape) -> int:
    """Return the MACs of an image of which no patch is dropped."""
    blocks = shape.depth * block_macs(shape, shape.prefix + shape.patches)
    return embed_macs(shape) + blocks + readout_macs(shape)


def vit_macs(shape: VitShape, kept: Tensor, decision_blocks: Sequence[int]) -> Tensor:
    """Return the MACs of each image [B] when `kept` [B, L] patches are alive after each decision.

    Decision l is made before block `decision_blocks[l]` (0-based); the blocks before the first are
    dense. What decides is not included. int64 for whole numbers of patches, else `kept`'s dtype.
    Raises ValueError if the decisions are not rising block numbers, or L is another number.
    """
    _check(shape, decision_blocks)
    if kept.ndim != 2 or kept.shape[1] != len(decision_blocks):
        raise ValueError(
            f"patches kept are {tuple(kept.shape)}, not [images, {len(decision_blocks)} decisions]"
        )
    kept = kept if kept.is_floating_point() else kept.long()
    edges = (*decision_blocks, shape.depth)
    spans = torch.tensor([after - before for before, after in pairwise(edges)], device=kept.device)
    dense = edges[0] * block_macs(shape, shape.prefix + shape.patches)
    pruned = (block_macs(shape, kept + shape.prefix) * spans).sum(1)  # [B]
    return pruned + (embed_macs(shape) + dense + readout_macs(shape))


def keep_for_macs(shape: VitShape, decision_blocks: Sequence[int], target_macs: float) -> float:
    """Return the share rho for which keeping rho of the alive at each decision costs the target.

    rho, rho^2, rho^3, ... of all patches are then alive after the decisions, as fractions of a
    patch. Raises ValueError if no rho in [0, 1] does, with the reachable range.
    """

    def macs(rho: float) -> float:
        kept = [shape.patches * rho ** (1 + i) for i in range(len(decision_blocks))]
        return vit_macs(shape, torch.tensor([kept], dtype=torch.float64), decision_blocks).item()

    low, high = 0.0, 1.0
    if not decision_blocks or not macs(low) <= target_macs <= macs(high):
        least = macs(low) if decision_blocks else dense_macs(shape)
        raise ValueError(
            f"{target_macs / 1e9:.4g} GMACs cannot be reached with decisions before blocks "
            f"{list(decision_blocks)}; {least / 1e9:.4g} to {dense_macs(shape) / 1e9:.4g} can"
        )
    for _ in range(60):  # halves the interval to below the spacing of floats
        middle = (low + high) / 2
        low, high = (middle, high) if macs(middle) < target_macs else (low, middle)
    return (low + high) / 2


def class_attention_macs(shape: VitShape, tokens: Number) -> Number:
    """Return the MACs of `rlvit.nn.walk.class_attention` on `tokens` tokens of an image.

    The keys of all tokens, the query of the class token and its scores.
    """
    projection = shape.dim * shape.width
    return tokens * (projection + shape.width) + projection


def attended_macs(shape: VitShape, heads: int, tokens: Number) -> Number:
    """Return the MACs of `rlvit.nn.lookahead.attended` on `tokens` tokens of an image.

    Queries and keys of all tokens, one value a head, the scores and the weighted sums.
    """
    each = shape.dim * (2 * shape.width + heads)
    return tokens * each + tokens * tokens * (shape.width + heads)


def received_macs(shape: VitShape, tokens: Number) -> Number:
    """Return the MACs of `rlvit.nn.lookahead.received` on `tokens` tokens of an image.

    Queries and keys of all tokens, and the scores.
    """
    return tokens * (2 * shape.dim * shape.width) + tokens * tokens * shape.width


def mlp_macs(widths: Sequence[int]) -> int:
    """Return the MACs of linear layers `widths[0]` -> `widths[1]` -> ... on one input."""
    return sum(before * after for before, after in pairwise(widths))


def _check(shape: VitShape, decision_blocks: Sequence[int]) -> None:
    """Raise ValueError unless the decisions are rising numbers of blocks that exist."""
    blocks = list(decision_blocks)
    if blocks != sorted(set(blocks)) or not all(0 <= block < shape.depth for block in blocks):
        raise ValueError(f"decisions before {blocks}: not rising block numbers below {shape.depth}")
