"""The position of a random stream, written so that a checkpoint can hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def stream_state(generator: np.random.Generator) -> dict[str, Any]:
    """Return where a PCG64 generator stands; its two 128-bit integers are decimal strings."""
    state: Mapping[str, Any] = generator.bit_generator.state
    return {
        "state": str(state["state"]["state"]),
        "increment": str(state["state"]["inc"]),
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }


def stream_from(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a generator that goes on where `stream_state` was taken."""
    bits = np.random.PCG64()
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": int(state["state"]), "inc": int(state["increment"])},
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }
    return np.random.Generator(bits)
