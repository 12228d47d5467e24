"""SPIRL's network: a class token attends to the kept patches, a dueling head judges actions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit.rl.noisy import NoisyLinear

EMBEDDING = 64  # features of a patch embedding (Table 4)
STACK = 4  # frames (Table 9)
LAYER_NORM_EPS = 1e-6
Pooling = Literal["cls", "average"]
Padding = Literal["zero", "token", "masked"]
ENCODER_GRADIENT = 2**-0.5  # gradient from the head into the attention block (published code)


class PatchAttention(nn.Module):
    """Summarises the patches of a frame (section 4.3, Table 13): a pre-norm block, then pooling.

    Pooled by the class token only its query is computed; keys and values are formed for all tokens.
    Pooled by the average (Table 15) there is no class token, and every token is a query. A frame's
    missing patches are zero rows (Table 14): attended to as they are ("zero"), replaced by a
    trainable one ("token"), or left out after the softmax, whose weights are not raised to make up
    for it ("masked": "zeros to replace the softmaxed attention score", appendix C.1).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        residual: bool,
        generator: torch.Generator,
        pooling: Pooling = "cls",
        padding: Padding = "zero",
    ) -> None:
        super().__init__()
        self.heads, self.residual = heads, residual
        self.pooling, self.padding = pooling, padding
        self.project = nn.Linear(EMBEDDING, dim)
        if pooling == "cls":
            self.cls_token = nn.Parameter(torch.zeros(dim))
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.attended = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)
        # The published model has this norm and does not use it; it is part of the 645,093
        # parameters, which our count is compared with.
        self.unused_norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self._initialise(generator)
        if padding == "token":
            self.pad_token = nn.Parameter(0.02 * torch.randn(EMBEDDING, generator=generator))

    def _initialise(self, generator: torch.Generator) -> None:
        """Xavier-uniform matrices, zero biases, class token N(0, 0.02) (published code)."""
        if self.pooling == "cls":
            nn.init.normal_(self.cls_token, std=0.02, generator=generator)
        for module in (self.project, self.qkv, self.attended, self.fc1, self.fc2):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            nn.init.zeros_(module.bias)

    def forward(self, patches: Tensor) -> Tensor:
        """Summarise frames of patches [F, L, 64] as [F, dim]."""
        tokens, missing = self._tokens(patches)
        read = tokens[:, :1] if self.pooling == "cls" else tokens  # [F, Q, dim]
        q, k, v = self._project(tokens, read.shape[1])
        if self.padding == "masked":
            mixed = self._weights(q, k, missing) @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v)  # [F, heads, Q, dim / heads]
        x = self.attended(mixed.transpose(1, 2).flatten(2))  # [F, Q, dim]
        x = x + read if self.residual else x
        out = self.fc2(functional.gelu(self.fc1(self.norm2(x))))
        return self._pool(x + out if self.residual else out, missing)

    def class_weights(self, patches: Tensor) -> Tensor:
        """Return what the class token attends to, itself first: [F, heads, 1 + L].

        For frames of patches [F, L, 64] of a block that is pooled by the class token. "Masked"
        patches that are missing have no weight, so that a row does not add up to one.
        """
        tokens, missing = self._tokens(patches)
        q, k, _ = self._project(tokens, 1)
        return self._weights(q, k, missing)[:, :, 0]

    def _tokens(self, patches: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the tokens [F, T, dim] of patches [F, L, 64] and, if need be, the missing [F, L].

        The class token is the first, if there is one.
        """
        missing = None if self.padding == "zero" else (patches == 0).all(dim=-1)  # [F, L]
        if self.padding == "token":
            patches = torch.where(missing[..., None], self.pad_token, patches)
        tokens = self.project(patches)  # [F, L, dim]
        if self.pooling == "cls":
            cls = self.cls_token.expand(len(tokens), 1, -1)  # [F, 1, dim]
            tokens = torch.cat([cls, tokens], dim=1)  # [F, 1 + L, dim]
        return tokens, missing

    def _project(self, tokens: Tensor, queries: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries of the first of `tokens` [F, T, dim], keys and values of all, by heads.

        They are [F, heads, Q or T, dim / heads].
        """
        tokens = self.norm1(tokens)
        dim = tokens.shape[-1]
        query = functional.linear(tokens[:, :queries], self.qkv.weight[:dim], self.qkv.bias[:dim])
        keys_values = functional.linear(tokens, self.qkv.weight[dim:], self.qkv.bias[dim:])
        key, value = keys_values.chunk(2, dim=-1)
        return self._split(query), self._split(key), self._split(value)

    def _weights(self, q: Tensor, k: Tensor, missing: Tensor | None) -> Tensor:
        """Return how queries share out their attention among keys: [F, heads, Q, T]."""
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(dim=-1)
        if self.padding != "masked":
            return weights
        assert missing is not None
        prefix = weights.shape[-1] - missing.shape[1]
        kept = functional.pad(~missing, (prefix, 0), value=True)  # [F, T]
        return weights * kept[:, None, None]

    def _pool(self, tokens: Tensor, missing: Tensor | None) -> Tensor:
        """Return one vector a frame [F, dim] of what was read [F, Q, dim].

        The average is over all patches, those missing included unless they are masked.
        """
        if self.pooling == "cls":
            return tokens[:, 0]
        if self.padding != "masked" or missing is None:
            return tokens.mean(dim=1)
        kept = (~missing)[..., None].to(tokens.dtype)  # [F, L, 1]
        return (tokens * kept).sum(dim=1) / kept.sum(dim=1).clamp_min(1.0)

    def _split(self, x: Tensor) -> Tensor:
        """Split features among the heads: [F, T, dim] to [F, heads, T, dim / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class DuelingHead(nn.Module):
    """Distributions of returns from a state: noisy, dueling, categorical (Hessel et al. 2018)."""

    def __init__(
        self,
        features: int,
        hidden: int,
        actions: int,
        atoms: int,
        noise: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.actions, self.atoms = actions, atoms
        self.advantage1 = NoisyLinear(features, hidden, noise, generator=generator)
        self.advantage2 = NoisyLinear(hidden, actions * atoms, noise, generator=generator)
        self.advantage_bias = nn.Parameter(torch.zeros(atoms))
        self.value1 = NoisyLinear(features, hidden, noise, generator=generator)
        self.value2 = NoisyLinear(hidden, atoms, noise, generator=generator)

    def forward(self, state: Tensor, *, noisy: bool) -> Tensor:
        """Return log-probabilities [B, A, Z] of the returns from states [B, features]."""
        advantage = functional.relu(self.advantage1(state, noisy=noisy))
        advantage = self.advantage2(advantage, noisy=noisy)
        advantage = advantage.unflatten(-1, (self.actions, self.atoms)) + self.advantage_bias
        value = self.value2(functional.relu(self.value1(state, noisy=noisy)), noisy=noisy)
        logits = value[:, None] + advantage - advantage.mean(dim=1, keepdim=True)  # [B, A, Z]
        return logits.log_softmax(dim=-1)

    @property
    def noisy_layers(self) -> tuple[NoisyLinear, ...]:
        """The four layers, in the order in which noise is drawn."""
        return (self.advantage1, self.advantage2, self.value1, self.value2)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return new noise [E] for all four layers, end to end, and set none."""
        return torch.cat([layer.draw(generator) for layer in self.noisy_layers])

    def place(self, noise: Tensor) -> None:
        """Set the noise [E] that was drawn before."""
        sizes = [len(layer.eps_in) + len(layer.eps_out) for layer in self.noisy_layers]
        for layer, own in zip(self.noisy_layers, noise.split(sizes), strict=True):
            layer.place(own)


class SpirlNetwork(nn.Module):
    """From stacks of embedded patches to distributions of returns."""

    def __init__(
        self,
        actions: int,
        *,
        dim: int,
        heads: int,
        hidden: int,
        atoms: int,
        residual: bool,
        noise: float,
        generator: torch.Generator,
        pooling: Pooling = "cls",
        padding: Padding = "zero",
    ) -> None:
        """Build on the CPU with weights and first noise drawn from `generator`."""
        super().__init__()
        self.attention = PatchAttention(
            dim, heads, residual=residual, generator=generator, pooling=pooling, padding=padding
        )
        self.head = DuelingHead(STACK * dim, hidden, actions, atoms, noise, generator)

    def forward(self, stacks: Tensor, *, noisy: bool) -> Tensor:
        """Return log-probabilities [B, A, Z] for stacks [B, 4, L, 64]."""
        return self.decide(self.summarise(stacks.flatten(0, 1)), noisy=noisy)

    def summarise(self, frames: Tensor) -> Tensor:
        """Return a summary [F, dim] of each frame [F, L, 64]."""
        return torch.as_tensor(self.attention(frames))

    def decide(self, summaries: Tensor, *, noisy: bool) -> Tensor:
        """Return log-probabilities [B, A, Z] from the summaries [B * 4, dim] of B stacks."""
        state = summaries.reshape(len(summaries) // STACK, -1)  # [B, 4 * dim], oldest first
        if state.requires_grad:
            state.register_hook(lambda gradient: gradient * ENCODER_GRADIENT)
        return torch.as_tensor(self.head(state, noisy=noisy))
