"""Exact error maps at a fraction of their cost, since they are nearly all of SPIRL's compute.

The error of a patch depends on its 3x3 neighbourhood alone, so it is computed once for each
(position, neighbourhood) and remembered; what has to be computed leaves out what is constant
(`rlvit_spirl.errors`). Both change results by float32 rounding only.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rlvit.nn.graphs import CapturedStep
from rlvit.nn.patches import patchify
from rlvit_spirl.errors import ErrorSpace, PatchErrors, neighbourhoods
from rlvit_spirl.mae import CHANNELS, FRAME, GRID, PATCH, PATCHES, PIXELS, MaskedAutoencoder

DIGEST = 16  # bytes; among 10^6 keys two differing ones collide with a chance of 1.5e-27
PART = 4  # targets that the CPU decodes at once (see rlvit_spirl.errors)
# Errors that a GPU computes at once: of a frame of play, of one that is new, of 16 games at once.
GPU_SIZES = (32, 128, 512)


def _digests(rows: NDArray[np.uint8]) -> list[bytes]:
    """Return the 128-bit BLAKE2b digest of each of `rows` uint8 [R, L]."""
    data, length = rows.tobytes(), rows.shape[1]
    starts = range(0, len(data), length)
    return [blake2b(data[start : start + length], digest_size=DIGEST).digest() for start in starts]


def batches(count: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut `count` errors into batches of given sizes: yield where each starts, and its size.

    The next one is the smallest that holds what is left, unless more than half of it were
    padding: then the largest that is filled, if there is one. `sizes` rise.
    """
    start = 0
    while start < count:
        left = count - start
        holding = next((size for size in sizes if size >= left), sizes[-1])
        filled = [size for size in sizes if size <= left]
        size = filled[-1] if filled and holding > 2 * left else holding
        yield start, size
        start += size


class Saliency:
    """Reconstruction error maps (SPIRL, section 4.2 and Eq. 3) with a memory of past patches.

    A patch's error depends on its position and on the pixels of its 3x3 neighbourhood (clipped
    at the frame's border) and on nothing else, so it is remembered under a 128-bit digest of
    both. The least recently used entries are forgotten first; an entry takes about 180 bytes.
    """

    def __init__(
        self,
        mae: MaskedAutoencoder,
        *,
        batch: int = 16,
        sizes: Sequence[int] | None = None,
        cache_entries: int = 1_000_000,
        error_space: ErrorSpace = "normalised",
    ) -> None:
        """Precompute for the present weights of `mae`, on its device; needs 0.1 s on a core.

        Once they have changed make another one: its errors would be of neither.

        Errors are computed `batch` at a time, padded to that size, so that a value does not
        depend on what shares its batch (tested bit for bit on the CPU). At the 24 misses of a
        warm frame an error cost 1.96, 1.91 and 1.89 ms with batches of 8, 16 and 24; larger ones
        pad more where misses are few. At most `cache_entries` errors are kept. In the error
        space "normalised" the prediction is compared with the target standardised by its own
        mean and deviation (published code); in "pixels" the prediction is scaled back by them
        and compared with the pixels in 0..1 (SPIRL, section 4.2).

        A GPU computes them in batches of a few sizes (`sizes`, by default `GPU_SIZES` there and
        none on the CPU), each of them one CUDA graph. Within a size a value does not depend on
        its company; between sizes it may differ by float32 rounding, since kernels are chosen by
        size. A run that was interrupted nevertheless sees the errors of an unbroken one: the
        memory, with its order, is in the checkpoint, so each frame after it misses the same
        patches, and `batches` cuts the same number in the same way. Only a memory that begins
        empty may round otherwise, such as that of a game that is played again.

        Raises ValueError if `batch` is no positive multiple of 4, `sizes` are not positive and
        rising, `cache_entries` is below 1 or the error space is unknown.
        """
        if batch < 1 or batch % PART:
            raise ValueError(f"batch is {batch}, but must be a positive multiple of {PART}")
        if sizes is not None and not (sizes and all(a < b for a, b in pairwise((0, *sizes)))):
            raise ValueError(f"sizes are {list(sizes)}, but must be positive and rise")
        if cache_entries < 1:
            raise ValueError(f"cache_entries is {cache_entries}, but must be at least 1")
        self.batch = batch
        self.cache_entries = cache_entries
        self.error_space = error_space
        self.device = mae.mask_token.device
        if sizes is None and self.device.type != "cpu":
            sizes = GPU_SIZES
        self.sizes = None if sizes is None else tuple(sizes)
        with torch.inference_mode():
            self.errors = PatchErrors(mae, PART if sizes is None else None, error_space)
        at_once = partial(_errors_at_once, self.errors)
        self.step = CapturedStep(at_once, self.device, name="an error map")
        self.around = neighbourhoods(GRID, GRID)  # [144, 9]
        self.memory: OrderedDict[bytes, float] = OrderedDict()
        self.count_anew()

    @property
    def hit_rate(self) -> float:
        """Share of the errors asked for so far that needed no computation; 0 before any."""
        return self.hits / max(1, self.lookups)

    def count_anew(self) -> None:
        """Begin to count hits anew; what is remembered stays."""
        self.hits = self.lookups = 0

    def error_maps(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the error of every patch of uint8 `frames` [B, 3, 96, 96]: float32 [B, 144].

        An error is the mean over a patch's 192 values of the squared difference to its
        reconstruction from the neighbours. Raises ValueError for another shape or dtype.
        """
        if frames.dtype != np.uint8 or frames.shape[1:] != (CHANNELS, FRAME, FRAME):
            raise ValueError(
                f"frames are {frames.dtype} {frames.shape}, "
                f"not uint8 [B, {CHANNELS}, {FRAME}, {FRAME}]"
            )
        patches = patchify(torch.from_numpy(np.ascontiguousarray(frames)), PATCH)  # [B, 144, 192]
        keys = self._keys(patches.numpy())
        errors = np.empty(len(keys), dtype=np.float32)
        missed: OrderedDict[bytes, list[int]] = OrderedDict()
        for index, key in enumerate(keys):
            if key in self.memory:
                self.memory.move_to_end(key)
                errors[index] = self.memory[key]
            else:
                missed.setdefault(key, []).append(index)
        self.lookups += len(keys)
        self.hits += len(keys) - len(missed)

        values = self._compute(patches, np.array([places[0] for places in missed.values()], int))
        for (key, places), value in zip(missed.items(), values, strict=True):
            errors[places] = value
            self.memory[key] = value
        while len(self.memory) > self.cache_entries:
            self.memory.popitem(last=False)
        return errors.reshape(-1, PATCHES)

    def state(self) -> dict[str, Tensor]:
        """Return the memory for a checkpoint.

        `keys` uint8 [n, 16] and `values` float32 [n], least recently used first, and `counters`
        int64 [2], hits and lookups.
        """
        keys = np.frombuffer(b"".join(self.memory), dtype=np.uint8).reshape(-1, DIGEST)
        return {
            "keys": torch.from_numpy(keys.copy()),
            "values": torch.tensor(list(self.memory.values()), dtype=torch.float32),
            "counters": torch.tensor([self.hits, self.lookups], dtype=torch.int64),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over the memory that `state()` returned.

        The weights, the error space and the batch size must be those it was made with; entries
        beyond `cache_entries` are dropped, least recently used first. Raises ValueError if
        there are not as many keys as values.
        """
        data = state["keys"].cpu().contiguous().numpy().tobytes()
        keys = (data[start : start + DIGEST] for start in range(0, len(data), DIGEST))
        self.memory = OrderedDict(zip(keys, state["values"].tolist(), strict=True))
        while len(self.memory) > self.cache_entries:
            self.memory.popitem(last=False)
        self.hits, self.lookups = state["counters"].tolist()

    def _keys(self, patches: NDArray[np.uint8]) -> list[bytes]:
        """Digest the 3x3 neighbourhood of every patch of `patches` [B, 144, 192]: B * 144 keys.

        Each patch is digested once; a neighbourhood is the position and nine of these digests,
        zeros standing for patches outside the frame.
        """
        digests = b"".join(_digests(patches.reshape(-1, PIXELS)))
        table = np.zeros((len(patches), PATCHES + 1, DIGEST), dtype=np.uint8)
        table[:, :PATCHES] = np.frombuffer(digests, np.uint8).reshape(-1, PATCHES, DIGEST)
        message = np.empty((len(patches), PATCHES, 1 + 9 * DIGEST), dtype=np.uint8)
        message[:, :, 0] = np.arange(PATCHES)
        message[:, :, 1:] = table[:, self.around].reshape(-1, PATCHES, 9 * DIGEST)
        return _digests(message.reshape(-1, message.shape[-1]))

    @torch.inference_mode()
    def _compute(self, patches: Tensor, index: NDArray[np.int64]) -> list[float]:
        """Compute the errors of those of `patches` [B, 144, 192] that `index` [M] numbers."""
        count = len(index)
        cut = list(batches(count, self.sizes or (self.batch,)))
        padded = np.zeros(sum(size for _, size in cut), dtype=np.int64)
        padded[:count] = index
        frame, target = torch.from_numpy(padded // PATCHES), torch.from_numpy(padded % PATCHES)
        bordered = functional.pad(patches, (0, 0, 0, 1))  # [B, 145, 192]
        around = bordered[frame[:, None], torch.from_numpy(self.around)[target]]  # [M', 9, 192]
        found = [
            self._errors_of(
                around[start : start + size], target[start : start + size], count - start
            )
            for start, size in cut
        ]
        return torch.cat(found)[:count].tolist() if found else []

    def _errors_of(self, around: Tensor, target: Tensor, left: int) -> Tensor:
        """Compute a batch of errors [S], of which the first `left` are wanted.

        The CPU leaves out parts that are padding alone. A GPU is not waited for.
        """
        if self.sizes is None:
            return self.errors(around.float().div_(255.0), target, min(len(target), left))
        return self.step(around, target)[0]


def _errors_at_once(errors: PatchErrors, around: Tensor, target: Tensor) -> tuple[Tensor]:
    """Return the errors [S] of neighbourhoods [S, 9, 192], 0..255, of targets [S]."""
    return (errors(around.float().div_(255.0), target, len(target)),)
