"""From an error map to the patches that are kept: dynamic K and its cap (SPIRL, section 4.2)."""

import math

import torch
from torch import Tensor

from rlvit_spirl.mae import PATCHES

STEP = 0.05  # grid of keep ratios (SPIRL, Table 3)
STEPS = 19  # .05 to .95


def dynamic_k(errors: Tensor, angle: float, max_keep: int | None) -> Tensor:
    """Return how many patches each error map keeps: int64 [B].

    `errors` [B, N] are non-negative. With the errors in ascending order and divided by their
    sum, the slope of their cumulative curve (SPIRL, Fig. 3) at patch i is taken over two steps,
    cum[i + 1] - cum[i - 1]; K = N - i for the i whose slope is closest to `angle` degrees, that
    is to 2 tan(angle) / N, and the smallest such i. 45 is the paper's rule; the published code
    compares with half of that, degrees(atan(1/2)). Only i from N - `max_keep` on are tried,
    which equals selecting freely and cutting K to `max_keep` (None: no cap).

    A slope needs both neighbours, so K is at least 2, unless `max_keep` is 1 or the map is all
    zeros: such a map has no slope and keeps 1 patch. Raises ValueError for a `max_keep`
    outside 1..N.
    """
    patches = errors.shape[1]
    cap = patches if max_keep is None else max_keep
    _check_cap(cap, patches)
    ascending = errors.double().sort(dim=1).values  # [B, N]
    total = ascending.sum(dim=1, keepdim=True)  # [B, 1]
    cumulative = (ascending / total).cumsum(dim=1)
    slope = cumulative[:, 2:] - cumulative[:, :-2]  # [B, N - 2], for i = 1 .. N - 2
    low = max(patches - cap, 1)
    if low > patches - 2:
        return torch.full_like(total[:, 0], cap, dtype=torch.int64)
    distance = (slope[:, low - 1 :] - 2 * math.tan(math.radians(angle)) / patches).abs()
    k = patches - low - distance.argmin(dim=1)  # [B]
    return k.masked_fill(total[:, 0] == 0, 1)


def keep_order(errors: Tensor, k: Tensor, max_keep: int) -> Tensor:
    """Return the ids of the `k` [B] patches with the largest errors: int64 [B, max_keep].

    Ids are in ascending order of `errors` [B, N], as in the published code, and padded with -1
    at the end. Of equal errors the one with the smaller id comes first, and so is the first to
    be left out; a K beyond `max_keep` is cut to it. Raises ValueError for a `max_keep` outside
    1..N.
    """
    batch, patches = errors.shape
    _check_cap(max_keep, patches)
    ascending = errors.argsort(dim=1, stable=True)  # [B, N]
    slot = torch.arange(max_keep, device=errors.device).expand(batch, -1)  # [B, max_keep]
    count = k.clamp(max=max_keep)[:, None]  # [B, 1]
    kept = ascending.gather(1, (patches - count + slot).clamp(max=patches - 1))
    return kept.masked_fill(slot >= count, -1)


def cap(ratio: float, patches: int = PATCHES) -> int:
    """Return the largest number of patches kept under a keep ratio: `ratio` * `patches`, floored.

    A product that is a whole number but for its rounding counts as whole. The paper's ratios .35,
    .30, .20 and .30 (Table 3; the published code gives the shares masked) make 50, 43, 28, 43.
    """
    return math.floor(patches * ratio + 1e-9)


def covering_ratio(counts: Tensor, coverage: float = 0.999) -> float:
    """Return the smallest keep ratio in .05, .10, ... .95 whose cap covers enough frames.

    `counts` int64 [F] are the uncapped K of sampled frames; a frame is covered if its K is at
    most the ratio's cap, and a share of `coverage` must be (SPIRL, Appendix B and Fig. 8).
    Returns .95 if no ratio covers that many. Raises ValueError without counts.
    """
    if not len(counts):
        raise ValueError("no counts to cover")
    ratios = [round(STEP * step, 2) for step in range(1, STEPS + 1)]
    caps = torch.tensor([cap(ratio) for ratio in ratios], device=counts.device)
    covered = (counts[:, None] <= caps).double().mean(dim=0)  # [19]
    return next((r for r, c in zip(ratios, covered.tolist(), strict=True) if c >= coverage), 0.95)


def _check_cap(max_keep: int, patches: int) -> None:
    """Raise ValueError unless `max_keep` is in 1..`patches`."""
    if not 1 <= max_keep <= patches:
        raise ValueError(f"max_keep is {max_keep}, but must be in 1..{patches}")
