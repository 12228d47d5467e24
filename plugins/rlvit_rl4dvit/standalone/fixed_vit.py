"""The same model with a fixed number of patches after each decision: a graph of fixed shapes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rlvit_rl4dvit.standalone.pruned_vit import PrunedVit, attend_densely


class FixedVit(nn.Module):
    """At each decision the K patches stay that the actor likes best, in every image.

    Runtimes for fixed graphs cannot give each image its own number of patches.
    """

    def __init__(self, model: PrunedVit, counts: Sequence[int]) -> None:
        """Take a model and K for each of its decisions, which must not rise."""
        super().__init__()
        self.model = model
        self.counts = dict(zip(model.decision_blocks, counts, strict=True))

    def forward(self, images: Tensor) -> Tensor:
        """Classify uint8 images [B, 3, S, S]: logits [B, K] in float32."""
        backbone = self.model.backbone
        x = backbone.embed(images)  # [B, 1 + N, D]
        position = torch.arange(x.shape[1] - 1, device=x.device).expand(x.shape[0], -1)  # [B, N]
        for number, block in enumerate(backbone.blocks):
            if number in self.counts:
                x, position = self._drop(x, position, self.counts[number])
            x = block(x, attend_densely)
        return backbone.readout(x[:, 0])

    def _drop(self, x: Tensor, position: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Keep the class token of [B, 1 + n, D] and `count` of the n patches, in their order."""
        cls, patches = x[:, :1], x[:, 1:]
        shared = self.model.actor.shared(cls)  # [B, 1, 64]
        log_odds = self.model.actor(patches, position, shared)  # [B, n]
        best = log_odds.topk(count, dim=1).indices.sort(dim=1).values  # [B, count]
        patches = patches.gather(1, best[:, :, None].expand(-1, -1, x.shape[2]))
        return torch.cat([cls, patches], dim=1), position.gather(1, best)
