"""Weights on their way to a file."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as files hold them: on the CPU, in rows, sharing nothing."""
    return {name: t.detach().cpu().contiguous().clone() for name, t in state.items()}
