"""What the autoencoder makes of patches' neighbours, and of no frame at all (Fig. 2)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rlvit.nn.patches import patchify
from rlvit_spirl.errors import PatchErrors, neighbourhoods
from rlvit_spirl.mae import GRID, PATCH, PATCHES, PIXELS, MaskedAutoencoder, normalise_patches

PART = 16  # patches that are decoded at once; a whole frame is nine times as many
SPAN = 2.0  # deviations from a patch's mean that black and white stand for, where there is no frame
BACKGROUNDS = ("mask token and positions", "positions alone", "mask token alone")  # Fig. 2


@torch.inference_mode()
def from_surroundings(mae: MaskedAutoencoder, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Rebuild every patch of a frame [3, 96, 96] from its neighbours alone: [96, 96, 3] in 0..1.

    The autoencoder predicts standardised patches (Eq. 2); each gets its own mean and deviation
    back, as the error in pixels is measured.
    """
    device = mae.mask_token.device
    patches = patchify(torch.from_numpy(frame[None]), PATCH)[0].float().to(device) / 255.0
    around = torch.from_numpy(neighbourhoods(GRID, GRID)).to(device)  # [144, 9]
    bordered = functional.pad(patches, (0, 0, 0, 1))  # [145, 192]
    predict = PatchErrors(mae, PART, "pixels").predict
    found = [
        predict(bordered[around[targets]], targets, PART)
        for targets in torch.arange(PATCHES, device=device).split(PART)
    ]
    _, mean, deviation = normalise_patches(patches)
    return _picture(torch.cat(found) * deviation + mean)


@torch.inference_mode()
def backgrounds(mae: MaskedAutoencoder) -> list[NDArray[np.float64]]:
    """Return what the decoder says where no patch is visible: three pictures [96, 96, 3] in 0..1.

    To the decoder's class token come, for every patch, those of `BACKGROUNDS`. Patches stay
    standardised: grey is a patch's mean, black and white are `SPAN` deviations from it.
    """
    cls = mae.decoder_embed(mae.encode(mae.cls_token.new_zeros(1, 0, mae.cls_token.shape[-1])))
    masks = mae.mask_token.expand(1, PATCHES, -1)
    places = mae.decoder_pos_embed[:, 1:]
    found = []
    for tokens in (masks + places, places, masks):
        x = torch.cat([cls + mae.decoder_pos_embed[:, :1], tokens], dim=1)  # [1, 145, 128]
        for block in mae.decoder_blocks:
            x = block(x)
        standardised = mae.decoder_pred(mae.decoder_norm(x))[0, 1:]  # [144, 192]
        found.append(_picture(0.5 + standardised / (2 * SPAN)))
    return found


def _picture(patches: Tensor) -> NDArray[np.float64]:
    """Put patches [144, 192], (row, column, channel) values, together: [96, 96, 3] in 0..1."""
    assert patches.shape == (PATCHES, PIXELS)
    grid = patches.reshape(GRID, GRID, PATCH, PATCH, 3).permute(0, 2, 1, 3, 4)
    picture = grid.reshape(GRID * PATCH, GRID * PATCH, 3).clamp(0, 1)
    return np.asarray(picture.double().cpu().numpy())
