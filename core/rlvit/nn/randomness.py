"""Random draws that follow from a given generator alone, wherever torch would take its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let torch's own initialisations draw from `generator`; the global one is left as it was."""
    device = generator.device
    seed = int(torch.randint(2**63 - 1, (), generator=generator, device=device))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def on_device(draws: torch.Generator, device: torch.device) -> torch.Generator:
    """Return a generator on the device that depends on the CPU one, which moves on."""
    if device.type == "cpu":
        return draws
    seed = int(torch.randint(2**62, (), generator=draws))
    return torch.Generator(device).manual_seed(seed)
