"""A timm Vision Transformer opened up: tokens in, blocks one by one, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rlvit.nn.compute import VitShape


class TimmBackbone:
    """Walks a timm VisionTransformer (the contract is `rlvit.contracts.TokenBackbone`).

    `embed`, all `blocks` and `readout` in turn give what the model's own forward pass gives for
    normalised images.
    """

    def __init__(
        self,
        model: Any,
        mean: Sequence[float],
        std: Sequence[float],
        class_names: Sequence[str],
        sha256: str,
    ) -> None:
        """Take a model and what its weights expect.

        Args:
            model: timm's VisionTransformer with a class token, token pooling and no registers.
            mean, std: of the pixels (0 to 1), for each channel, that its weights were trained with.
            class_names: of the head; () if they are the dataset's own.
            sha256: of the weights.
        """
        self.module: nn.Module = model.eval()
        self.class_names = tuple(class_names)
        self.sha256 = sha256
        self.grid: tuple[int, int] = tuple(model.patch_embed.grid_size)
        self.image_size: int = model.patch_embed.img_size[0]
        self.shape = vit_shape(model)
        self.heads: int = model.blocks[0].attn.num_heads
        # One multiply-add turns a byte into a normalised pixel; the two move with the module, but
        # are no part of its weights.
        scale = 1 / (255 * torch.tensor(std)[:, None, None])  # [3, 1, 1]
        shift = -torch.tensor(mean)[:, None, None] / torch.tensor(std)[:, None, None]
        self.module.register_buffer("pixel_scale", scale, persistent=False)
        self.module.register_buffer("pixel_shift", shift, persistent=False)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The blocks in order."""
        return list(self._model.blocks)

    @property
    def _model(self) -> Any:  # timm is not typed, and a deep copy must keep to its own module
        return self.module

    def embed(self, images: Tensor) -> Tensor:
        """Turn uint8 images [B, 3, S, S] into tokens [B, 1 + N, D], the class token first."""
        model = self._model
        scale, shift = model.pixel_scale, model.pixel_shift
        patches = model.patch_embed(torch.addcmul(shift, images.to(scale.dtype), scale))  # [B,N,D]
        cls = model.cls_token.expand(len(images), -1, -1)  # [B, 1, D]
        if model.no_embed_class:  # DeiT III: the class token has no position
            tokens = torch.cat([cls, patches + model.pos_embed], dim=1)
        else:
            tokens = torch.cat([cls, patches], dim=1) + model.pos_embed
        return model.norm_pre(tokens)

    def readout(self, pooled: Tensor) -> Tensor:
        """Turn class tokens [B, D] of the last block into logits [B, K]."""
        model = self._model
        return model.head(model.head_drop(model.fc_norm(model.norm(pooled))))


def vit_shape(model: Any) -> VitShape:
    """Return the sizes of a timm VisionTransformer."""
    return VitShape(
        depth=len(model.blocks),
        dim=model.embed_dim,
        hidden=model.blocks[0].mlp.fc1.out_features,
        patches=model.patch_embed.num_patches,
        patch_values=model.patch_embed.proj.weight[0].numel(),
        classes=model.num_classes,
        prefix=1,
    )
