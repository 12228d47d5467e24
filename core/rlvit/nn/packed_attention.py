"""Self-attention within each image of a packed row, by whatever the device does fastest.

All take queries, keys and values [T, H, d] of a row of tokens and return [T, H, d].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rlvit.nn.ragged import Layout

ATTENTIONS = ("auto", "varlen", "each", "padded", "buckets")
BUCKETS = 8
KERNELS = (
    ("torch.nn.attention.varlen", "varlen_attn"),  # torch >= 2.10
    ("flash_attn", "flash_attn_varlen_func"),
)
HALF = (torch.float16, torch.bfloat16)  # what the kernels for packed rows take


def attend(q: Tensor, k: Tensor, v: Tensor, layout: Layout, attention: str = "auto") -> Tensor:
    """Let every token attend to the tokens of its own image.

    `attention` is "varlen" (one kernel for the packed row: CUDA, half precision), "each" (image by
    image), "padded" (all padded to the longest), "buckets" (`BUCKETS` groups of images of similar
    length, padded within) or "auto". Raises ValueError for another name, and for "varlen" where
    it cannot run.
    """
    if attention not in ATTENTIONS:
        raise ValueError(f"no attention {attention!r}; there are {', '.join(ATTENTIONS)}")
    q, k = q.to(v.dtype), k.to(v.dtype)  # under autocast a norm of queries returns float32
    if attention == "auto":
        attention = _best(v, layout)
    if attention == "uniform":
        return _dense(q, k, v, len(layout.lengths))
    if attention == "varlen":
        return _varlen(q, k, v, layout)
    if attention == "each":
        return _each(q, k, v, layout)
    return _bucketed(q, k, v, layout, 1 if attention == "padded" else BUCKETS)


def _best(v: Tensor, layout: Layout) -> str:
    """Choose the fastest way of attending that gives the exact result (see bench/README.md)."""
    if layout.uniform:
        return "uniform"
    return "varlen" if _takes(v) and _kernel() is not None else "buckets"


def _takes(v: Tensor) -> bool:
    """Whether the kernels for packed rows run on the device and numbers of `v`."""
    if not v.is_cuda or v.dtype not in HALF:
        return False
    return torch.version.hip is not None or torch.cuda.get_device_capability(v.device) >= (8, 0)


def _dense(q: Tensor, k: Tensor, v: Tensor, batch: int, mask: Tensor | None = None) -> Tensor:
    """Attend where all `batch` images have the same number of tokens or slots, T = batch * L.

    `mask` bool [batch, 1, 1, L] is False where a slot is padding.
    """
    q, k, v = (x.view(batch, -1, *x.shape[1:]).transpose(1, 2) for x in (q, k, v))  # [B, H, L, d]
    y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return y.transpose(1, 2).flatten(0, 1)  # [T, H, d]


def _each(q: Tensor, k: Tensor, v: Tensor, layout: Layout) -> Tensor:
    """Attend image by image; one `split` of each, since its backward pass is a single copy."""
    parts = (torch.split(x, list(layout.lengths)) for x in (q, k, v))
    return torch.cat([_dense(q, k, v, 1) for q, k, v in zip(*parts, strict=True)])


def _bucketed(q: Tensor, k: Tensor, v: Tensor, layout: Layout, most: int) -> Tensor:
    """Attend in groups of images of similar length."""
    buckets = layout.buckets(most)
    sizes = [images * slots for images, slots in buckets.shapes]
    queries, keys, values = (torch.split(x.index_select(0, buckets.rows), sizes) for x in (q, k, v))
    outputs = [
        _dense(queries[i], keys[i], values[i], images, buckets.masks[i])
        for i, (images, _) in enumerate(buckets.shapes)
    ]
    return torch.cat(outputs).index_select(0, buckets.slots)


def _varlen(q: Tensor, k: Tensor, v: Tensor, layout: Layout) -> Tensor:
    """Attend with one kernel that is told where each image begins."""
    kernel = _kernel()
    if kernel is None or not _takes(v):
        raise ValueError(
            "attention 'varlen' needs a CUDA device of capability 8.0, float16 or bfloat16, and "
            f"torch >= 2.10 or flash-attn; here are {v.device.type} and {v.dtype}"
        )
    longest = max(layout.lengths)
    output: Tensor = kernel(q, k, v, layout.edges, layout.edges, longest, longest)
    return output


@cache
def _kernel() -> Callable[..., Any] | None:
    """Return torch's kernel for packed rows, else that of flash-attn, else None.

    Both take (q, k, v, edges_q, edges_k, longest_q, longest_k) and, by default, attend everywhere
    with the scale 1/sqrt(d); their further arguments differ between versions and are not used.
    """
    for module, name in KERNELS:
        try:
            kernel: Callable[..., Any] = getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
        return kernel
    return None
