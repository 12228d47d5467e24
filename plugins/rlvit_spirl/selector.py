"""The selector that keeps salient patches, and adapts its cap to a game that has none yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlvit.contracts import Selection, SelectorView
from rlvit.specs import TaskSpec
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.cost import ERROR
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.saliency import Saliency
from rlvit_spirl.selection import cap, covering_ratio, dynamic_k, keep_order

SAMPLE = 8  # frames at a time while looking for a ratio


class SalientPatches:
    """Keeps the patches that are hard to reconstruct from their neighbours (section 4.2)."""

    def __init__(self, mae: MaskedAutoencoder, config: SpirlConfig, task: TaskSpec) -> None:
        self.saliency = Saliency(
            mae, cache_entries=config.cache_entries, error_space=config.error_space
        )
        self.angle, self.fixed = config.angle, config.k == "fixed"
        ratio = config.ratio_of(task.name)
        self.max_keep = None if ratio is None else cap(ratio)

    def prepare(self, images: NDArray[np.uint8]) -> Mapping[str, float]:
        """Find the cap from sampled frames [S, 3, 96, 96]: it covers 99.9 % of them (Fig. 8)."""
        counts = torch.cat(
            [
                dynamic_k(self._errors(images[start : start + SAMPLE]), self.angle, None)
                for start in range(0, len(images), SAMPLE)
            ]
        )
        ratio = covering_ratio(counts)
        self.max_keep = cap(ratio)
        return {"select/ratio": ratio}

    def select(self, view: SelectorView) -> Selection:
        """Choose patches of `view.data["images"]` uint8 [B, 3, 96, 96].

        Raises:
            ValueError: the cap is not known yet; call `prepare`.
        """
        if self.max_keep is None:
            raise ValueError("this game has no published ratio: call prepare first")
        errors = self._errors(view.data["images"])  # [B, 144]
        if self.fixed:
            count = torch.full((len(errors),), self.max_keep)  # [B]
        else:
            count = dynamic_k(errors, self.angle, self.max_keep)  # [B]
        order = keep_order(errors, count, self.max_keep)  # [B, max_keep]
        keep = torch.zeros(len(order), PATCHES + 1, dtype=torch.bool)
        keep.scatter_(1, torch.where(order < 0, PATCHES, order), True)  # pads go to the last column
        return Selection(keep[:, :PATCHES] & view.alive, order)

    def _errors(self, images: NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.saliency.error_maps(np.asarray(images)))

    def macs(self, view: SelectorView) -> torch.Tensor:
        """Return the multiply-adds of each image's whole error map [B]; none are remembered."""
        return torch.full((len(view.alive),), PATCHES * ERROR / 2)

    def report(self) -> Mapping[str, float]:
        """Return how many errors were remembered rather than computed."""
        return {"select/hit_rate": self.saliency.hit_rate}

    def state(self) -> dict[str, Any]:
        """Return the cap and the remembered errors."""
        return {"max_keep": self.max_keep, "saliency": self.saliency.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state."""
        self.max_keep = state["max_keep"]
        self.saliency.restore(state["saliency"])
