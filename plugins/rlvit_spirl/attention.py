"""Which patches the trained policy attends to (section 5.4, Fig. 6)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rlvit_spirl.network import PatchAttention

MASS = 0.6  # of the class token's attention (Fig. 6)


@torch.inference_mode()
def class_shares(block: PatchAttention, patches: Tensor) -> Tensor | None:
    """Return how the class token's attention is shared out, mean of the heads: [F, 1 + L].

    First its share of itself, then that of each of the patches [F, L, 64] of F frames, in the
    order given. Missing patches are attended to as the block does: "masked" ones have no share, so
    that a row does not add up to one. None where frames are pooled without a class token.
    """
    if block.pooling != "cls":
        return None
    missing = (patches == 0).all(dim=-1)  # [F, L]
    if block.padding == "token":
        patches = torch.where(missing[..., None], block.pad_token, patches)
    cls = block.cls_token.expand(len(patches), 1, -1)
    tokens = block.norm1(torch.cat([cls, block.project(patches)], dim=1))  # [F, 1 + L, dim]
    dim = tokens.shape[-1]
    weight, bias = block.qkv.weight, block.qkv.bias
    query = functional.linear(tokens[:, :1], weight[:dim], bias[:dim])
    keys = functional.linear(tokens, weight[dim : 2 * dim], bias[dim : 2 * dim])
    q, k = (x.unflatten(-1, (block.heads, -1)).transpose(1, 2) for x in (query, keys))
    shares = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(dim=-1)  # [F, heads, 1, 1 + L]
    shares = shares[:, :, 0].mean(dim=1)
    if block.padding == "masked":
        shares = shares * functional.pad(~missing, (1, 0), value=True)
    return shares


def heaviest(shares: Tensor, mass: float = MASS) -> Tensor:
    """Return the fewest of a frame's shares [P] that together hold a part of their sum: bool [P].

    Of equal shares the first is taken first; without any attention none is.
    """
    if float(shares.sum()) <= 0:
        return torch.zeros(len(shares), dtype=torch.bool)
    order = shares.double().argsort(descending=True, stable=True)
    held = shares.double()[order].cumsum(0)
    needed = int((held < mass * held[-1]).sum()) + 1
    chosen = torch.zeros(len(shares), dtype=torch.bool)
    chosen[order[:needed].cpu()] = True
    return chosen
