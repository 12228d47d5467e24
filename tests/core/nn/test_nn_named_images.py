"""Measured images are found again by their names."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from rlvit.errors import RlvitError
from rlvit.nn.named_images import numbers_of

SPLIT = SimpleNamespace(names=["b.png", "a.png", "c.png", "10"])


def test_names_in_any_order_have_their_numbers() -> None:
    found = numbers_of(SPLIT, np.array(["c.png", "b.png", "10", "c.png"]))
    assert found.tolist() == [2, 0, 3, 2]
    assert found.dtype == np.int64
    assert numbers_of(SPLIT, []).dtype == np.int64


def test_a_name_that_is_not_there_says_so() -> None:
    with pytest.raises(RlvitError, match=r"no image named 'd\.png'"):
        numbers_of(SPLIT, ["a.png", "d.png"])
