"""Which patches the trained policy attends to (section 5, Fig. 6)."""

from __future__ import annotations

import torch
from torch import Tensor

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
    return block.class_weights(patches).mean(dim=1)


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
