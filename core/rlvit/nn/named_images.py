"""Images of a split by the names that a table of an evaluation has for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvit.contracts import ImageSplit
from rlvit.errors import RlvitError


def numbers_of(split: ImageSplit, names: Iterable[Any]) -> NDArray[np.int64]:
    """Return the number in the split of each name, in the names' order: what `batches` wants.

    Raises:
        RlvitError: the split has no image of that name.
    """
    place = {str(name): number for number, name in enumerate(split.names)}
    wanted = [str(name) for name in names]
    for name in wanted:
        if name not in place:
            raise RlvitError(f"the split has no image named {name!r}, though it was measured.")
    return np.array([place[name] for name in wanted], dtype=np.int64)
