"""A replay's observations in a device's memory, so that a sample travels as numbers of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvit.errors import RlvitError

Array = NDArray[Any]
CHUNK = 1024  # rows copied at a time when a file is read back


class DeviceFrames:
    """Observations of all steps in one tensor, and one row of zeros for those before an episode."""

    def __init__(
        self, capacity: int, shape: tuple[int, ...], dtype: np.dtype[Any], device: torch.device
    ) -> None:
        """Reserve memory for `capacity` rows of the shape, and one.

        Raises:
            RlvitError: the device has not as much; the message has the numbers.
        """
        self.device, self.blank = device, capacity  # `blank` is the number of the row of zeros
        row = torch.from_numpy(np.zeros(shape, dtype=dtype))
        try:
            self.rows = row.new_empty((capacity + 1, *shape), device=device)
        except torch.OutOfMemoryError:
            size = (capacity + 1) * row.nbytes
            raise RlvitError(
                f"the replay needs {size / 1e9:.1f} GB on {device}, which has "
                f"{_free(device) / 1e9:.1f} GB free; fewer steps need less."
            ) from None
        self.rows[capacity] = row.to(device)

    def write(self, step: int, observation: Array | Tensor) -> None:
        """Set the row of a step; the host does not wait for a GPU."""
        self.rows[step].copy_(self.taken(observation), non_blocking=True)

    def fill(self, rows: Array) -> None:
        """Set the first rows, those of steps 0, 1, ..."""
        for start in range(0, len(rows), CHUNK):
            some = np.array(rows[start : start + CHUNK])  # a copy: the file may be read-only
            self.rows[start : start + len(some)].copy_(torch.from_numpy(some))

    def gather(self, index: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the rows that `index` [I], on the device, numbers: [*shape, *row]."""
        return self.rows.index_select(0, index).view(*shape, *self.rows.shape[1:])

    def taken(self, values: Array | Tensor) -> Tensor:
        """Return values on the device; the host does not wait for a GPU.

        They are copied to page-locked memory first, which PyTorch keeps until the device has them,
        so that they may be changed at once, even if they were in such memory.
        """
        tensor = values if isinstance(values, Tensor) else torch.from_numpy(values)
        if self.device.type != "cuda" or tensor.is_cuda:
            return tensor.to(self.device)
        locked = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)
        return locked.to(self.device, non_blocking=True)


def _free(device: torch.device) -> int:
    """Return the bytes that a tensor could still take of a device's memory."""
    if device.type != "cuda":
        return 0
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept
