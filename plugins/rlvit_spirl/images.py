"""Salient patches of images to classify: the selection of SPIRL outside of games.

"As future work, our salient patch selection technique could be applied on other downstream tasks"
(section 6). The autoencoder has the architecture of Table 4 on the grid of the backbone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rlvit.contracts import RunContext, Selection, Selector, SelectorView, TokenBackbone
from rlvit.errors import RlvitError, UsageProblem
from rlvit_spirl.errors import PatchErrors, neighbourhoods
from rlvit_spirl.image_mae import pretrained_on_images, reduced
from rlvit_spirl.mae import PATCH, MaskedAutoencoder, to_patches
from rlvit_spirl.selection import dynamic_k

ANGLE = 45.0  # degrees (section 4.2): where a selection stops that no rate decides
# Tokens decoded at once. What 512 of them need stays in the cache of a core, as four targets on
# Atari do; on a GPU 65,536 need 0.4 GB.
TOKENS_AT_ONCE = {"cpu": 512}
TOKENS_ELSEWHERE = 65_536


class SalientImagePatches:
    """Keeps the patches of an image that are hard to reconstruct from their neighbours.

    Errors are those of the pixels (section 4.2), so that a flat patch is never salient. Its
    autoencoder comes from `fit`.
    """

    def __init__(self, backbone: TokenBackbone, train_images: int | None = None) -> None:
        """Take the grid of a backbone, and how many images its autoencoder may learn from.

        Raises:
            UsageProblem: its patches are single pixels, which have nothing to reconstruct.
        """
        self.grid, self.image_size = backbone.grid, backbone.image_size
        self.side = min(PATCH, self.image_size // max(self.grid))
        if self.side < 2:
            raise UsageProblem(
                f"--selector mae-salient: {self.grid[0]}x{self.grid[1]} patches of images "
                f"{self.image_size} pixels wide are single pixels; expected 2 or more a side. "
                "Choose a backbone with fewer patches."
            )
        self.train_images = train_images
        self.sha256 = ""  # of the autoencoder's weights
        self._errors: PatchErrors | None = None
        self._seen: _Seen | None = None

    def adopt(self, mae: MaskedAutoencoder, sha256: str) -> None:
        """Take the frozen autoencoder, on the device where images will be."""
        device = mae.mask_token.device
        at_once = TOKENS_AT_ONCE.get(device.type, TOKENS_ELSEWHERE)
        self.part = max(1, at_once // (1 + mae.patches))  # targets
        with torch.inference_mode():
            self._errors = PatchErrors(mae, self.part, "pixels")
        self._around = torch.from_numpy(neighbourhoods(*self.grid)).to(device)  # [N, 9]
        self.sha256, self._seen = sha256, None

    def prepare(self, images: NDArray[np.uint8]) -> Mapping[str, float]:
        """Do nothing: without a replay of fixed size there is no cap to find."""
        return {}

    def select(self, view: SelectorView) -> Selection:
        """Keep the living patches of `view.data["images"]` with the largest errors.

        round(rate * alive) of each image; at rate 1 as many as the Lorenz curve of all its
        patches says. Of equal errors the first in raster order is kept.
        """
        errors = self._remembered(view)
        if view.rate < 1:
            count = (view.alive.sum(1).double() * view.rate).round().long()  # [B]
        else:
            count = dynamic_k(errors, ANGLE, None)
        ranked = errors.masked_fill(~view.alive, -torch.inf)
        order = ranked.argsort(dim=1, descending=True, stable=True)  # [B, N] patch ids
        places = torch.arange(order.shape[1], device=order.device).expand_as(order)
        rank = torch.empty_like(order).scatter_(1, order, places)
        return Selection((rank < count[:, None]) & view.alive)

    def error_maps(self, images: Tensor) -> Tensor:
        """Return the error of every patch of images [B, 3, S, S], 0..255: float32 [B, N].

        Raises:
            ValueError: there is no autoencoder yet; call `fit`.
        """
        if self._errors is None:
            raise ValueError("there is no autoencoder yet: call fit first")
        with torch.autocast(images.device.type, enabled=False), torch.inference_mode():
            patches = to_patches(reduced(images, *self.grid, self.side), self.side)  # [B, N, P]
            errors = self._compute(self._errors, patches)
        return errors.clone()  # an ordinary tensor where the caller is not in inference mode

    def _compute(self, errors: PatchErrors, patches: Tensor) -> Tensor:
        """Return the errors [B, N] of patches [B, N, P], a fixed number of them at a time."""
        batch, grid, _ = patches.shape
        count = batch * grid
        if count == 0:
            return patches.new_zeros(batch, grid)
        whole = -(-count // self.part) * self.part
        index = torch.arange(whole, device=patches.device).clamp_(max=count - 1)
        image, target = index // grid, index % grid
        bordered = functional.pad(patches, (0, 0, 0, 1))  # [B, N + 1, P]
        found = []
        for start in range(0, whole, self.part):
            rows = slice(start, start + self.part)
            around = bordered[image[rows, None], self._around[target[rows]]]  # [part, 9, P]
            found.append(errors(around, target[rows], self.part))
        return torch.cat(found)[:count].view(batch, grid)

    def _remembered(self, view: SelectorView) -> Tensor:
        """Return the error maps [B, N], those of the first decision on the same images if known."""
        images = view.data["images"]
        if self._seen is None or not self._seen.serves(view):
            self._seen = _Seen(images, view.layer, self.error_maps(images))
        return self._seen.errors

    def macs(self, view: SelectorView) -> Tensor:
        """Return the multiply-adds of each image's error map [B], 0 where it is remembered."""
        known = self._seen is not None and self._seen.serves(view)
        each = 0 if known or self._errors is None else self._errors.macs * view.alive.shape[1]
        return torch.full((len(view.alive),), each, dtype=torch.int64, device=view.alive.device)

    def report(self) -> Mapping[str, float]:
        """Return no metrics."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return which autoencoder it is; the run keeps its weights as an artifact."""
        return {"sha256": self.sha256}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Check that the autoencoder is the one with which the run began.

        Raises:
            RlvitError: it is another.
        """
        if state["sha256"] != self.sha256:
            raise RlvitError(
                f"the run began with the autoencoder {state['sha256'][:12]}, but has "
                f"{self.sha256[:12] or 'none'} now."
            )


class _Seen(NamedTuple):
    """Error maps of the images that a pass through the network is about."""

    images: Tensor
    layer: int  # of the pass's first decision: a pass that begins again looks again
    errors: Tensor  # [B, N]

    def serves(self, view: SelectorView) -> bool:
        """Return whether a later decision of the same pass asks."""
        return view.data["images"] is self.images and view.layer > self.layer


def fit(context: RunContext, selector: Selector) -> None:
    """Give the selector an autoencoder of the task's training images, trained unless it is there.

    One for games has its own already, from SPIRL.
    """
    if isinstance(selector, SalientImagePatches):
        mae, sha256 = pretrained_on_images(
            context, selector.grid, selector.side, selector.image_size, selector.train_images
        )
        selector.adopt(mae, sha256)
