"""The small masked autoencoder of SPIRL, whose errors select patches and whose encoder embeds."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit.nn.compute import VitShape
from rlvit.nn.patches import patchify
from rlvit.nn.positions import sincos_2d
from rlvit.nn.ragged import whole
from rlvit.nn.transformer import LAYER_NORM_EPS, Block
from rlvit.nn.walk import class_attention

FRAME = 96  # pixels a side (SPIRL, Table 4)
PATCH = 8  # pixels a side (SPIRL, Table 4)
GRID = FRAME // PATCH
PATCHES = GRID * GRID  # 144
CHANNELS = 3
PIXELS = PATCH * PATCH * CHANNELS  # 192 values a patch
VISIBLE_ONE_IN = 4  # one patch in so many is visible, 36 of 144: 25 % (SPIRL, section 3.3)
TARGET_EPS = 1e-6  # added to the variance of a patch (published code)

ENCODER_DIM, ENCODER_DEPTH, ENCODER_HEADS = 64, 3, 4  # SPIRL, Table 4
DECODER_DIM, DECODER_DEPTH, DECODER_HEADS = 128, 3, 8  # SPIRL, Table 4


def to_patches(frames: Tensor, side: int = PATCH) -> Tensor:
    """Scale `frames` [B, 3, 96, 96], values 0..255 of any dtype, to float32 patches in 0..1.

    Returns [B, 144, 192]. Division by 255 is the only scaling (published code). Frames and
    patches of other sizes likewise; `side` is that of a patch in pixels.
    """
    return patchify(frames, side).float() / 255.0


def normalise_patches(patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Standardise each patch of `patches` [..., 192]: (normalised, mean, deviation).

    Mean and deviation keep a last axis of 1. The variance is unbiased and 1e-6 is added to it
    before the root (SPIRL, Eq. 2 leaves both open; published code).
    """
    mean = patches.mean(-1, keepdim=True)  # [..., 1]
    deviation = (patches.var(-1, keepdim=True, unbiased=True) + TARGET_EPS).sqrt()  # [..., 1]
    return (patches - mean) / deviation, mean, deviation


class PatchEmbedding(nn.Module):
    """Linear embedding of patches, with the parameters of a convolution as published."""

    def __init__(self, side: int) -> None:
        """Build the kernel for patches of `side` pixels: [64, 3, 8, 8], stride 8, for Atari."""
        super().__init__()
        self.proj = nn.Conv2d(CHANNELS, ENCODER_DIM, side, side)

    def matrix(self) -> Tensor:
        """Return the kernel as a matrix [64, 192] over (row, column, channel) values."""
        return self.proj.weight.permute(0, 2, 3, 1).flatten(1)

    def forward(self, patches: Tensor) -> Tensor:
        """Embed `patches` [..., 192] in (row, column, channel) order; returns [..., 64]."""
        return functional.linear(patches, self.matrix(), self.proj.bias)


class MaskedAutoencoder(nn.Module):
    """Masked autoencoder for 96x96 RGB frames: 790,784 parameters (SPIRL, Tables 4 and 5).

    Parameter names are the published checkpoint's; the fixed position tables are buffers. Only
    the grid and the side of a patch may differ from the paper's; shapes below are the paper's.
    """

    pos_embed: Tensor
    decoder_pos_embed: Tensor

    def __init__(
        self,
        generator: torch.Generator,
        *,
        rows: int = GRID,
        columns: int = GRID,
        side: int = PATCH,
    ) -> None:
        """Build on the CPU with weights drawn from `generator`, never from torch's global one.

        Linear layers and the patch kernel are Xavier-uniform, biases 0, class and mask token
        N(0, 0.02), layer norms 1 and 0 (published code). There are `rows` x `columns` patches of
        `side` pixels; a quarter of them, rounded down but at least one, is visible in training.
        """
        super().__init__()
        self.rows, self.columns, self.side = rows, columns, side
        self.patches, self.pixels = rows * columns, side * side * CHANNELS
        self.visible = max(1, self.patches // VISIBLE_ONE_IN)
        with torch.device("meta"):  # layers' own initialisation would use the global generator
            self.patch_embed = PatchEmbedding(side)
            self.cls_token = nn.Parameter(torch.empty(1, 1, ENCODER_DIM))
            self.blocks = nn.ModuleList(
                Block(ENCODER_DIM, ENCODER_HEADS) for _ in range(ENCODER_DEPTH)
            )
            self.norm = nn.LayerNorm(ENCODER_DIM, eps=LAYER_NORM_EPS)
            self.decoder_embed = nn.Linear(ENCODER_DIM, DECODER_DIM)
            self.mask_token = nn.Parameter(torch.empty(1, 1, DECODER_DIM))
            self.decoder_blocks = nn.ModuleList(
                Block(DECODER_DIM, DECODER_HEADS) for _ in range(DECODER_DEPTH)
            )
            self.decoder_norm = nn.LayerNorm(DECODER_DIM, eps=LAYER_NORM_EPS)
            self.decoder_pred = nn.Linear(DECODER_DIM, self.pixels)
        self.to_empty(device="cpu")
        encoded = sincos_2d(ENCODER_DIM, rows, columns, cls_row=True)  # [145, 64]
        decoded = sincos_2d(DECODER_DIM, rows, columns, cls_row=True)  # [145, 128]
        self.register_buffer("pos_embed", encoded[None])
        self.register_buffer("decoder_pos_embed", decoded[None])
        self._initialise(generator)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        """Fill every parameter from `generator`, in the order in which modules are registered."""
        nn.init.normal_(self.cls_token, std=0.02, generator=generator)
        nn.init.normal_(self.mask_token, std=0.02, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, nn.Linear | nn.Conv2d):
                # The kernel counts as the matrix that it is (published code).
                nn.init.xavier_uniform_(module.weight.flatten(1), generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def normalised_targets(self, frames: Tensor) -> Tensor:
        """Return what the decoder predicts for `frames` [B, 3, 96, 96] (0..255): [B, 144, 192].

        Each patch has its own mean removed and is divided by its own deviation (SPIRL, Eq. 2).
        """
        return normalise_patches(to_patches(frames, self.side))[0]

    def forward(self, frames: Tensor, noise: Tensor) -> Tensor:
        """Return the training loss, a scalar: the mean squared error over all 144 patches.

        `frames` [B, 3, 96, 96] holds 0..255, uint8 or float; `noise` [B, 144] decides the mask:
        the 36 patches with the smallest noise are visible. The loss includes the visible
        patches (published code; SPIRL, Eq. 1 sums over all patches too).
        """
        patches = to_patches(frames, self.side)  # [B, 144, 192]
        order = noise.argsort(dim=1, stable=True)
        visible = order[:, : self.visible]  # [B, 36]
        x = self.patch_embed(_rows(patches, visible)) + self.pos_embed[0, 1 + visible]
        x = self.encode(x)  # [B, 37, 64]
        prediction = self._decode(self.decoder_embed(x), order)  # [B, 144, 192]
        return (prediction - normalise_patches(patches)[0]).square().mean()

    def embed_selected(self, frames: Tensor, order: Tensor) -> Tensor:
        """Embed the selected patches of `frames` [B, 3, 96, 96] (0..255) jointly: [B, L, 64].

        `order` int64 [B, L] lists patch ids, padded with -1 at the end; the rows of padding are
        exact zeros and no patch attends to them. Position codes are added once more after the
        final layer norm and the class token is dropped (published code). Work has the shape
        [B, L] whatever the number of selected patches is.
        """
        real = order >= 0  # [B, L]
        chosen = order.clamp_min(0)
        position = self.pos_embed[0, 1 + chosen]  # [B, L, 64]
        x = self.patch_embed(_rows(to_patches(frames, self.side), chosen)) + position
        key_mask = functional.pad(real, (1, 0), value=True)  # [B, 1 + L]
        x = self.encode(x, key_mask)[:, 1:] + position  # [B, L, 64]
        return x.masked_fill(~real[..., None], 0.0)

    def class_attention(self, frames: Tensor) -> Tensor:
        """Return the class token's attention to each patch of `frames` (0..255): [B, 144].

        In the encoder's last block, mean of heads, all patches visible. Pre-training asks nothing
        of the class token, but every patch may write to it and read from it (He et al. 2022).
        """
        x = self.patch_embed(to_patches(frames, self.side)) + self.pos_embed[0, 1:]
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)  # [B, 145, 64]
        *before, last = self.blocks
        for block in before:
            x = block(x)
        return class_attention(last, whole(x, 1)).view(len(frames), self.patches)

    @property
    def shape(self) -> VitShape:
        """The encoder's sizes; it has no classes."""
        return VitShape(
            depth=ENCODER_DEPTH,
            dim=ENCODER_DIM,
            hidden=4 * ENCODER_DIM,
            patches=self.patches,
            patch_values=self.pixels,
            classes=0,
            prefix=1,
        )

    def encode(self, x: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """Run class token and embedded patches `x` [B, L, 64] through the encoder and its norm.

        `x` carries its position codes; the class token has none. `key_mask` bool [B, 1 + L]
        marks the tokens that may be attended to (default: all). Returns [B, 1 + L, 64].
        """
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)  # [B, 1 + L, 64]
        for block in self.blocks:
            x = block(x, key_mask)
        encoded: Tensor = self.norm(x)
        return encoded

    def _decode(self, x: Tensor, order: Tensor) -> Tensor:
        """Predict all patches [B, 144, 192] from decoder tokens `x` [B, 1 + 36, 128].

        `order` [B, 144] lists the patches, visible ones first and in the order of `x`.
        """
        masked = self.mask_token.expand(len(x), self.patches - self.visible, -1)
        shuffled = torch.cat([x[:, 1:], masked], dim=1)  # [B, 144, 128]
        patches = _rows(shuffled, order.argsort(dim=1))
        x = torch.cat([x[:, :1], patches], dim=1) + self.decoder_pos_embed  # [B, 145, 128]
        for block in self.decoder_blocks:
            x = block(x)
        prediction: Tensor = self.decoder_pred(self.decoder_norm(x))
        return prediction[:, 1:]


def _rows(x: Tensor, index: Tensor) -> Tensor:
    """Take rows `index` [B, L] of `x` [B, N, D]: returns [B, L, D]."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))
