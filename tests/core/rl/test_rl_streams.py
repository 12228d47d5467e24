"""A random stream goes on exactly where its state was taken."""

from __future__ import annotations

import json

import numpy as np

from rlvit.rl.streams import stream_from, stream_state


def test_a_stream_goes_on_where_its_state_was_taken() -> None:
    generator = np.random.default_rng(7)
    generator.integers(10, size=3, dtype=np.uint32)  # leaves half a word behind
    generator.random(5)
    state = json.loads(json.dumps(stream_state(generator)))
    again = stream_from(state)
    assert again.integers(1 << 30, size=9, dtype=np.uint32).tolist() == (
        generator.integers(1 << 30, size=9, dtype=np.uint32).tolist()
    )
    assert again.random() == generator.random()
