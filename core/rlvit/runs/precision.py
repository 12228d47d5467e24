"""Float32 as it is: on a GPU neither products of matrices nor convolutions are rounded to TF32.

torch lets cuDNN's convolutions and recurrent layers round their inputs to 10 bits by default (its
documentation, "CUDA semantics", TensorFloat-32), so that a GPU would not compute what a CPU does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch

FULL = "ieee"  # what torch calls float32 that is not rounded


class _Settings(NamedTuple):
    """What torch is set to; there are two interfaces to it since torch 2.9, and one before."""

    matmul: str | None  # of the older interface; None: it does not say after the newer one was used
    tf32: bool | None  # in cuDNN, likewise
    operations: tuple[str, ...]  # of the newer interface, as in `_operations`


def use_full_float32() -> None:
    """Set torch, for the whole process, to compute in float32 as it is."""
    _set(_Settings("highest", False, (FULL,) * len(_operations())))


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute in float32 as it is, unless the block asks for less; then set torch back."""
    before = _settings()
    use_full_float32()
    try:
        yield
    finally:
        _set(before)


def _operations() -> list[Any]:
    """Return what the newer interface sets one by one; nothing where torch has none."""
    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):
        return []
    cudnn = backends.cudnn
    return [backends.cuda.matmul, cudnn.conv, cudnn.rnn, backends.mkldnn.matmul]


def _settings() -> _Settings:
    matmul: str | None = None
    tf32: bool | None = None
    with suppress(RuntimeError):
        matmul = torch.get_float32_matmul_precision()
    with suppress(RuntimeError):
        tf32 = torch.backends.cudnn.allow_tf32
    return _Settings(matmul, tf32, tuple(one.fp32_precision for one in _operations()))


def _set(wanted: _Settings) -> None:
    """Set both interfaces, the newer one last: after one alone, the other may refuse to say."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Please use the new API settings")  # torch 2.9
        if wanted.matmul is not None:
            torch.set_float32_matmul_precision(wanted.matmul)
        if wanted.tf32 is not None:
            torch.backends.cudnn.allow_tf32 = wanted.tf32
    for operation, precision in zip(_operations(), wanted.operations, strict=True):
        operation.fp32_precision = precision
