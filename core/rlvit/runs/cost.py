"""Estimates how long a plan takes here, from a short measurement of the device."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rlvit.specs import StageCost

EFFICIENCY = 0.6  # share of the measured matrix speed that whole training stages were seen to reach


def device_speed(device: str, threads: int) -> float:
    """Return the fp32 matrix speed of a device in FLOP/s, measured in about 0.1 s.

    Threads beyond the processors that this process may use add nothing.
    """
    import torch

    from rlvit.runs.plan import resolve_threads  # here, for it imports the registry

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # several threads would wait for each other on a busy machine
    try:
        size = 512 if device == "cpu" else 4096
        matrix = torch.ones(size, size, device=device)
        best = min(_seconds(matrix) for _ in range(10))
    finally:
        torch.set_num_threads(before)
    useful = min(threads, resolve_threads(None)) if device == "cpu" else 1
    return 2.0 * size**3 / best * useful


def _seconds(matrix: object) -> float:
    import torch

    assert isinstance(matrix, torch.Tensor)
    start = time.perf_counter()
    total = (matrix @ matrix).sum().item()  # waits for the device
    assert total > 0
    return time.perf_counter() - start


def stage_seconds(costs: Sequence[StageCost], speed: float) -> list[float]:
    """Return the expected seconds of each stage at a device speed in FLOP/s."""
    return [cost.host_seconds + cost.flops / (speed * EFFICIENCY) for cost in costs]


def words(seconds: float) -> str:
    """Return a duration for people: `50 s`, `7 min`, `11 h`, `3 days`."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"
