"""Running a pre-LN block on packed tokens, or on all tokens with dropped ones masked.

Both take any block with timm's names: norm1, attn (qkv, proj, num_heads and, if there, q_norm,
k_norm, norm, proj_drop), ls1, norm2, mlp and ls2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit.nn.packed_attention import attend
from rlvit.nn.ragged import Ragged

ROWS = 1024  # tokens an MLP takes at a time on the CPU; 512 to 2,048 are as fast
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def run_block(block: nn.Module, ragged: Ragged, attention: str = "auto") -> Ragged:
    """Run `block` on packed tokens; the result equals the masked block's on alive tokens.

    Raises ValueError for an unknown `attention` (see `attend`) and for a block that drops paths
    or attention while it trains.
    """

    def within_images(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v, ragged.layout, attention)

    return Ragged(_run(block, ragged.tokens, within_images), ragged.layout)


def masked_block(block: nn.Module, tokens: Tensor, alive: Tensor) -> Tensor:
    """Run `block` on all `tokens` [B, p + N, D], none attending to patches not `alive` [B, N].

    There are p class tokens, 1 or 0. This saves no computation: it is the reference for
    `run_block`. Returns [B, p + N, D], in which only the class tokens and alive patches mean
    anything. Raises ValueError as `run_block` does.
    """
    prefix = tokens.shape[1] - alive.shape[1]
    mask = functional.pad(alive, (prefix, 0), value=True)[:, None, None]  # [B, 1, 1, p + N]

    def masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.to(v.dtype).transpose(1, 2) for x in (q, k, v))  # 3 x [B, H, p + N, d]
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return y.transpose(1, 2)

    return _run(block, tokens, masked)


def _run(block: Any, x: Tensor, attend_heads: Attend) -> Tensor:
    """Compute x + attention(LN(x)), then x + MLP(LN(x)), of `x` [..., D]."""
    _refuse_random(block)
    attn = block.attn
    qkv = attn.qkv(block.norm1(x)).unflatten(-1, (3, attn.num_heads, -1))  # [..., 3, H, d]
    q, k, v = qkv.unbind(-3)
    q, k = optional(attn, "q_norm", q), optional(attn, "k_norm", k)
    y = optional(attn, "norm", attend_heads(q, k, v).flatten(-2))  # [..., D]
    y = optional(attn, "proj_drop", attn.proj(y))
    x = x + optional(block, "ls1", y)
    output: Tensor = x + optional(block, "ls2", _mlp(block, x))
    return output


def _mlp(block: Any, x: Tensor) -> Tensor:
    """Compute MLP(LN(x)); in parts where nothing needs to be remembered for a backward pass.

    On the CPU the hidden layer of a whole batch is larger than the caches, and larger than what
    the C library reuses without asking the system for fresh pages: about a tenth of
    a dense block's time.
    """
    if x.device.type != "cpu" or torch.is_grad_enabled():
        output: Tensor = block.mlp(block.norm2(x))
        return output
    parts = torch.split(x.flatten(0, -2), ROWS)
    return torch.cat([block.mlp(block.norm2(part)) for part in parts]).view(x.shape)


def class_attention(block: Any, ragged: Ragged) -> Tensor:
    """Return the class token's attention to each patch in `block`, mean over heads: [P].

    `ragged` is what the block was given. The softmax runs over all tokens of the image, itself
    included, so an image's values add up to less than 1 (EViT, section 3.2). Only the keys and the
    class tokens' queries are computed, never an attention matrix. Raises ValueError if there are
    no class tokens.
    """
    if not ragged.layout.prefix:
        raise ValueError("this network has no class token whose attention could be seen")
    attn, layout = block.attn, ragged.layout
    normed = block.norm1(ragged.tokens)
    w_q, w_k, _ = attn.qkv.weight.chunk(3)
    b_q, b_k, _ = (None,) * 3 if attn.qkv.bias is None else attn.qkv.bias.chunk(3)
    q = functional.linear(normed.index_select(0, layout.starts), w_q, b_q)  # [B, D]
    k = functional.linear(normed, w_k, b_k)  # [T, D]
    q, k = (x.view(len(x), attn.num_heads, -1) for x in (q, k))  # [B, H, d], [T, H, d]
    q, k = optional(attn, "q_norm", q).float(), optional(attn, "k_norm", k).float()
    scale = q.shape[-1] ** -0.5
    scores = scale * (q.index_select(0, layout.owners) * k).sum(-1)  # [T, H]
    index = layout.owners[:, None].expand_as(scores)
    highest = scores.new_empty(len(q), scores.shape[1])  # [B, H]
    highest = highest.scatter_reduce(0, index, scores.detach(), "amax", include_self=False)
    shares: Tensor = (scores - highest.index_select(0, layout.owners)).exp()
    sums = torch.zeros_like(highest).index_add(0, layout.owners, shares)
    shares = shares / sums.index_select(0, layout.owners)
    return shares.mean(-1).index_select(0, layout.patch_rows)


def optional(module: Any, name: str, x: Tensor) -> Tensor:
    """Apply a part of `module` if it has one of that name."""
    part: Callable[[Tensor], Tensor] | None = getattr(module, name, None)
    return x if part is None else part(x)


def _refuse_random(block: Any) -> None:
    """Raise ValueError if `block` would drop paths or attention now, which is not done here."""
    if getattr(block.attn, "gate", None) is not None:
        raise ValueError("a block with gated attention cannot be run on packed tokens")
    if not block.training:
        return
    for name in ("drop_path1", "drop_path2"):
        if not isinstance(getattr(block, name, None), nn.Identity | None):
            raise ValueError(f"{name} must be switched off to train on packed tokens")
    if getattr(getattr(block.attn, "attn_drop", None), "p", 0.0) > 0:
        raise ValueError("attn_drop must be 0 to train on packed tokens")
