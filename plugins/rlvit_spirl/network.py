"""SPIRL's network: a class token attends to the kept patches, a dueling head judges actions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit.rl.noisy import NoisyLinear

EMBEDDING = 64  # features of a patch embedding (Table 4)
STACK = 4  # frames (Table 9)
LAYER_NORM_EPS = 1e-6
ENCODER_GRADIENT = 2**-0.5  # gradient from the head into the attention block (published code)


class PatchAttention(nn.Module):
    """Summarises the patches of one frame by a class token (section 4.3, Table 13).

    One pre-norm block. Only the class token is read, so only its query is computed; keys and
    values are formed for all tokens. Padded patches are zero rows and are attended to, as in the
    published code (Table 14, "zero-padding").
    """

    def __init__(self, dim: int, heads: int, *, residual: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.heads, self.residual = heads, residual
        self.project = nn.Linear(EMBEDDING, dim)
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

    def _initialise(self, generator: torch.Generator) -> None:
        """Xavier-uniform matrices, zero biases, class token N(0, 0.02) (published code)."""
        nn.init.normal_(self.cls_token, std=0.02, generator=generator)
        for module in (self.project, self.qkv, self.attended, self.fc1, self.fc2):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            nn.init.zeros_(module.bias)

    def forward(self, patches: Tensor) -> Tensor:
        """Summarise frames of patches [F, L, 64] as [F, dim]."""
        frames, _, _ = patches.shape
        tokens = self.project(patches)  # [F, L, dim]
        cls = self.cls_token.expand(frames, 1, -1)  # [F, 1, dim]
        tokens = self.norm1(torch.cat([cls, tokens], dim=1))  # [F, 1 + L, dim]
        dim = tokens.shape[-1]
        query = functional.linear(tokens[:, :1], self.qkv.weight[:dim], self.qkv.bias[:dim])
        keys_values = functional.linear(tokens, self.qkv.weight[dim:], self.qkv.bias[dim:])
        keys, values = keys_values.chunk(2, dim=-1)
        mixed = functional.scaled_dot_product_attention(
            self._split(query), self._split(keys), self._split(values)
        )  # [F, heads, 1, dim / heads]
        x = self.attended(mixed.transpose(1, 2).reshape(frames, dim))  # [F, dim]
        x = x + cls[:, 0] if self.residual else x
        out = self.fc2(functional.gelu(self.fc1(self.norm2(x))))
        return x + out if self.residual else torch.as_tensor(out)

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

    def resample(self, generator: torch.Generator) -> None:
        """Draw new noise for all four layers."""
        for layer in (self.advantage1, self.advantage2, self.value1, self.value2):
            layer.resample(generator)


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
    ) -> None:
        """Build on the CPU with weights and first noise drawn from `generator`."""
        super().__init__()
        self.attention = PatchAttention(dim, heads, residual=residual, generator=generator)
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
