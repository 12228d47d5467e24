"""What attention in the block that comes next would say of each patch, before it is run.

Both look at packed tokens as the block would be given them, and compute no more of the block than
they need. Blocks have timm's names, as in `rlvit.nn.walk`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit.nn.ragged import Ragged
from rlvit.nn.walk import optional


def attended(block: Any, ragged: Ragged) -> Tensor:
    """Return the mean over features of the block's attention output at each patch: [P].

    That is the output after the last projection, without the residual. A mean of features is
    linear in the values, so each head needs a single number a token instead of its whole value,
    and the projection is not computed at all: about half of the work, the same result. Raises
    ValueError if something else comes before the projection; see `can_be_attended`.
    """
    attn = block.attn
    if not can_be_attended(block):
        raise ValueError("a block with a norm or a gate before the projection cannot be foreseen")
    normed = block.norm1(ragged.tokens)
    rows = attn.proj.weight.mean(0).view(attn.num_heads, -1)  # [H, d], over output features
    w_v = attn.qkv.weight.chunk(3)[2].view(attn.num_heads, -1, normed.shape[1])  # [H, d, D]
    to_value = torch.einsum("hd,hdf->hf", rows, w_v)  # [H, D]
    shift = 0.0 if attn.proj.bias is None else attn.proj.bias.mean()
    if attn.qkv.bias is not None:
        b_v = attn.qkv.bias.chunk(3)[2].view(attn.num_heads, -1)
        shift = shift + (rows * b_v).sum()  # the weights of a row of attention add up to 1
    values = _padded(functional.linear(normed, to_value), ragged)  # [B, L, H]
    shares = _shares(block, normed, ragged)  # [B, H, L, L]
    output = torch.einsum("bhqk,bkh->bq", shares, values.to(shares.dtype)) + shift  # [B, L]
    return _patches(output, ragged)


def received(block: Any, ragged: Ragged) -> Tensor:
    """Return the attention that each patch gets from all tokens of its image, mean of heads: [P].

    The mean is over the tokens that look as well, so an image's values, its class token's
    included, add up to 1.
    """
    shares = _shares(block, block.norm1(ragged.tokens), ragged)  # [B, H, L, L]
    present = _present(ragged)
    if present is None:
        return _patches(shares.mean((1, 2)), ragged)
    looks = present[:, None, :, None] / present.sum(1)[:, None, None, None]  # [B, 1, L, 1]
    return _patches((shares * looks).sum(2).mean(1), ragged)


def can_be_attended(block: Any) -> bool:
    """Whether nothing but the projection follows attention, as `attended` supposes."""
    norm, gate = getattr(block.attn, "norm", None), getattr(block.attn, "gate", None)
    return gate is None and isinstance(norm, nn.Identity | None)


def _shares(block: Any, normed: Tensor, ragged: Ragged) -> Tensor:
    """Return the attention matrices [B, H, L, L] of images padded to L tokens."""
    attn = block.attn
    weight, bias = attn.qkv.weight, attn.qkv.bias
    inner = len(weight) // 3
    bias = None if bias is None else bias[: 2 * inner]
    both = functional.linear(normed, weight[: 2 * inner], bias)
    q, k = both.view(len(both), 2, attn.num_heads, -1).unbind(1)  # 2 x [T, H, d]
    q, k = optional(attn, "q_norm", q).to(both.dtype), optional(attn, "k_norm", k).to(both.dtype)
    q, k = (_padded(x, ragged).transpose(1, 2) for x in (q, k))  # [B, H, L, d]
    scores: Tensor = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    present = _present(ragged)
    if present is not None:
        scores = scores.masked_fill(~present[:, None, None], -torch.inf)
    return scores.float().softmax(-1)


def _padded(x: Tensor, ragged: Ragged) -> Tensor:
    """Lay tokens [T, ...] out as [B, L, ...]; slots beyond an image's tokens hold any others."""
    layout = ragged.layout
    if not layout.uniform:
        x = x.index_select(0, layout.buckets(1).rows)
    return x.view(len(layout.lengths), -1, *x.shape[1:])


def _present(ragged: Ragged) -> Tensor | None:
    """Return which slots [B, L] hold a token of the image, in the order of the buckets, or None."""
    if ragged.layout.uniform:
        return None
    mask: Tensor | None = ragged.layout.buckets(1).masks[0]
    return None if mask is None else mask[:, 0, 0]


def _patches(x: Tensor, ragged: Ragged) -> Tensor:
    """Take one number a slot [B, L] back to the patches [P]."""
    layout = ragged.layout
    row = x.flatten() if layout.uniform else x.flatten().index_select(0, layout.buckets(1).slots)
    return row.index_select(0, layout.patch_rows)
