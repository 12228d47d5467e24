"""A transformer over the history of glimpses, with hybrid heads and a recurrent memory (vit_rl.py).

Each glimpse is one token. With memory tokens it is a Recurrent Memory Transformer: Bulatov et al.
2022, "Recurrent Memory Transformer". Shapes as in `networks`; D features of a token.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit.nn.compute import VitShape, block_macs, mlp_macs
from rlvit.nn.randomness import drawing_from
from rlvit.nn.transformer import LAYER_NORM_EPS, Block
from rlvit_glimpse.networks import PLACE, GlimpseNetwork, Heads, Memory

OCTAVES = 4.0  # of zoom, that count as much as the frame's side
FREQUENCIES = (1.0, 2.0, 4.0, 8.0)  # k of the Fourier features
INIT_STD = 0.02  # of the tokens that are learned


def fourier(place: Tensor, frequencies: Tensor) -> Tensor:
    """Return sin and cos of pi k x for each coordinate x and frequency k: [..., 3] to [..., 6 K].

    Coordinates are centre y, centre x and log2(side / window) / 4; K frequencies. vit_rl.py has
    2 pi k x, under which opposite borders of the frame look alike, and so would all whole octaves.
    """
    scaled = torch.cat([place[..., :2], place[..., 2:] / OCTAVES], -1)  # [..., 3]
    angles = (math.pi * scaled[..., None] * frequencies).flatten(-2)  # [..., 3 K]
    return torch.cat([angles.sin(), angles.cos()], -1)


class HistoryVit(GlimpseNetwork):
    """A class token and a token for each glimpse through a pre-LN encoder (vit_rl.py).

    A glimpse's token is Linear(window) + Linear(Fourier of its place), and tokens have no other
    order; only the newest carries a mark, without which a network cannot tell what it looks at now.
    The class token's output, after a last norm, feeds all heads.

    With `memory_tokens`, the encoder sees the class token, the memory and the glimpses of the
    current segment. At a segment's last glimpse its outputs at the memory tokens become the memory
    of the next, and the glimpses are forgotten. Gradients flow through the memory.

    `policy` is, in order: the decision's logit [1], the class logits [C], place [3] (raw: centre
    y, centre x, zoom) and, if there is a spread, its raw values [3]. `extra` has the parts as
    "decision" [...], "place" and "spread" [..., 3]; after a sequence also "reconstruction"
    [..., ch, w, w] of the newest window, which a step leaves out since only training needs it.
    """

    frequencies: Tensor

    def __init__(
        self,
        channels: int = 3,
        window: int = 8,
        classes: int = 10,
        *,
        dim: int = 256,
        depth: int = 6,
        heads: int = 8,
        hidden: int = 1024,
        dropout: float = 0.0,
        spread: bool = True,
        memory_tokens: int = 0,
        segment: int = 8,
        answer_chance: float | None = None,
        place_std: float | None = None,
        generator: torch.Generator,
    ) -> None:
        """Build it with torch's default initialisation; learned tokens from N(0, 0.02^2).

        Args:
            channels: ch, of a glimpse.
            window: w, pixels a side.
            classes: C.
            dim: D.
            depth: blocks.
            heads: of attention.
            hidden: width of the blocks' MLPs and of the decoder.
            dropout: probability, in training mode only, after attention, MLP and the last norm,
                drawn from torch's global generator. vit_rl.py has 0.1; above 0 the policy that
                acts is not the one that is updated.
            spread: whether the place has a spread (beta, tanh-normal) or none (deterministic).
            memory_tokens: 0: the encoder sees the whole history.
            segment: glimpses after which the memory is carried on; without memory tokens unused.
            answer_chance: of the decision to begin with, by its bias; None: as it is drawn.
            place_std: of a place's raw normal to begin with, by its bias; None: as it is drawn.
            generator: the only source of randomness; on the CPU the weights follow from it alone.

        Raises:
            ValueError: `heads` does not divide `dim`, or a segment has no glimpse.
        """
        super().__init__()
        if segment < 1:
            raise ValueError(f"a segment of {segment} glimpses; expected 1 or more")
        self.window_shape, self.classes = (channels, window, window), classes
        self.memory_tokens, self.segment, self.dropout = memory_tokens, segment, dropout
        pixels = channels * window**2
        self.shape = VitShape(depth, dim, hidden, 1, pixels, classes)
        self.register_buffer("frequencies", torch.tensor(FREQUENCIES), persistent=False)
        with drawing_from(generator):
            self.window = nn.Linear(pixels, dim)
            self.place = nn.Linear(2 * PLACE * len(FREQUENCIES), dim)
            self.blocks = nn.ModuleList(Block(dim, heads, hidden / dim) for _ in range(depth))
            self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
            self.policy = nn.Linear(dim, 1 + classes + PLACE * (1 + spread))
            self.value = nn.Linear(dim, 1)
            self.decoder = nn.Sequential(
                nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, pixels)
            )
            self.cls = nn.Parameter(INIT_STD * torch.randn(1, dim))
            self.memory = nn.Parameter(INIT_STD * torch.randn(memory_tokens, dim))
            self.newest = nn.Parameter(INIT_STD * torch.randn(dim))
        if answer_chance is not None:
            nn.init.constant_(self.policy.bias[:1], math.log(answer_chance / (1 - answer_chance)))
        if place_std is not None and spread:
            nn.init.constant_(self.policy.bias[-PLACE:], math.log(place_std))

    def begin(self, games: int, device: torch.device | str) -> Memory:
        """Return no `history` [G, 0, D] and the learned `carried` memory [G, memory tokens, D]."""
        return {
            "history": torch.zeros(games, 0, self.shape.dim, device=device),
            "carried": self.memory.to(device).expand(games, -1, -1),
        }

    def macs(self, glimpses: int) -> int:
        """Return the multiply-adds of an episode of so many glimpses, taken step by step.

        Every step encodes anew what it remembers. The decoder is not included.
        """
        dim, always = self.shape.dim, 1 + self.memory_tokens
        span = self.segment if self.memory_tokens else max(glimpses, 1)
        tokens = [always + 1 + glimpse % span for glimpse in range(glimpses)]
        encoder = self.shape.depth * sum(block_macs(self.shape, count) for count in tokens)
        token = mlp_macs((self.window.in_features, dim)) + mlp_macs((self.place.in_features, dim))
        return encoder + glimpses * (token + dim * (self.policy.out_features + 1))

    def _embed(self, glimpse: Tensor, place: Tensor) -> Tensor:
        where = self.place(fourier(place, self.frequencies))  # [M, D]
        return torch.as_tensor(self.window(glimpse.flatten(1)) + where)

    def _advance(self, embedding: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        history, carried = memory["history"], memory["carried"]
        cls = self.cls.expand(len(embedding), -1, -1)  # [G, 1, D]
        newest = (embedding + self.newest)[:, None]  # [G, 1, D]
        tokens = self._encode(torch.cat([cls, carried, history, newest], 1))  # [G, N, D]
        history = torch.cat([history, embedding[:, None]], 1)
        if self.memory_tokens and history.shape[1] == self.segment:
            history, carried = history[:, :0], tokens[:, 1 : 1 + self.memory_tokens]
        return tokens[:, 0], {"history": history, "carried": carried}

    def _encode(self, tokens: Tensor) -> Tensor:
        """Return the encoder's outputs [G, N, D] for tokens [G, N, D]."""
        block: Any  # a Block
        for block in self.blocks:
            if self.dropout and self.training:
                tokens = tokens + self._drop(block.attn(block.norm1(tokens)))
                tokens = tokens + self._drop(block.mlp(block.norm2(tokens)))
            else:
                tokens = block(tokens)
        return self._drop(self.norm(tokens))

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)

    def _read(self, features: Tensor) -> Heads:
        policy = self.policy(features)  # [M, 1 + C + 3 or 6]
        sizes = (1, self.classes, PLACE, policy.shape[1] - 1 - self.classes - PLACE)
        decision, classes, place, spread = policy.split(sizes, 1)
        extra = {"decision": decision[:, 0], "place": place}
        if spread.shape[1]:
            extra["spread"] = spread
        return Heads(policy, self.value(features)[:, 0], classes, extra)

    def _training_extra(self, features: Tensor) -> dict[str, Tensor]:
        return {"reconstruction": self.decoder(features).unflatten(1, self.window_shape)}
