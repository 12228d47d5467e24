"""Optimisers set up as Vision Transformers are trained."""

from __future__ import annotations

import torch
from torch import nn

UNDECAYED = {"cls_token", "pos_embed"}


def adamw(module: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW with decay on matrices, none on biases, norms, tokens and positions (timm)."""
    named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    decayed = [p for n, p in named if p.ndim > 1 and n not in UNDECAYED]
    others = [p for n, p in named if p.ndim <= 1 or n in UNDECAYED]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, fused=True)
