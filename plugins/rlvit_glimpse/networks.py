"""Networks that remember what they have glimpsed: one protocol, the CNN + LSTM and RAM's network.

A training loop need not know which network it has. All of them begin games together, take one step
or go over whole episodes, and the latter equals the former. Shapes: G games, T steps, M pairs of a
game and a step at which it is alive, C classes, w the window's side, h the core's features.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from rlvit.nn.compute import mlp_macs
from rlvit.nn.randomness import drawing_from

Memory = dict[str, Tensor]  # every tensor begins with the games, so rows of games can be selected
PLACE = 3  # numbers that say where a glimpse is: centre y, centre x, log2(side / window)


@dataclass(frozen=True)
class Heads:
    """What a network says about each game; [...] is [G] after a step, [T, G] after a sequence."""

    policy: Tensor  # [..., A], all that the policy's distribution is made of
    value: Tensor  # [...], the expected return
    classes: Tensor  # [..., C], logits
    extra: Mapping[str, Tensor] = field(default_factory=dict)  # [..., any], by the network's names

    def map(self, change: Callable[[Tensor], Tensor]) -> Heads:
        """Return the heads with each tensor changed."""
        extra = {name: change(value) for name, value in self.extra.items()}
        return Heads(change(self.policy), change(self.value), change(self.classes), extra)


@dataclass(frozen=True, eq=False)
class Rows:
    """The steps at which games are alive as one row of M, so that nothing else is computed.

    Step by step; within a step the games that live longest come first. Hence the games of a step
    are the first of those of the step before.
    """

    steps: int
    games: int
    sizes: tuple[int, ...]  # games alive at each step, falling; steps with none are left out
    index: Tensor | None  # [M] int64, step * G + game; None: all are alive, in order

    @classmethod
    def of(cls, steps: int, games: int, alive: Tensor | None) -> Rows:
        """Lay out the steps of `games` games; `alive` is bool [T, G], None: all are.

        A mask makes the host wait for the device once; None does not.
        Raises ValueError for a mask of another shape, for a game that is alive again after its
        end, and if no game is alive.
        """
        if alive is None:
            return cls(steps, games, (games,) * steps, None)
        if alive.shape != (steps, games) or alive.dtype != torch.bool:
            raise ValueError(
                f"alive is {alive.dtype} {list(alive.shape)}, not bool [{steps}, {games}]"
            )
        revived = (alive[1:] & ~alive[:-1]).sum()
        *counts, wrong = torch.cat([alive.sum(1), revived[None]]).tolist()
        if wrong:
            raise ValueError("a game is alive after a step at which it was not")
        sizes = tuple(count for count in counts if count)
        if not sizes:
            raise ValueError("no game is alive at the first step")
        if sum(sizes) == steps * games:
            return cls(steps, games, sizes, None)
        order = alive.sum(0).argsort(descending=True, stable=True)  # [G]
        index = torch.cat([order[:count] + step * games for step, count in enumerate(sizes)])
        return cls(steps, games, sizes, index)

    def pack(self, x: Tensor) -> Tensor:
        """Select what is alive: [T, G, ...] to [M, ...]. The rest is never read again."""
        flat = x.flatten(0, 1)
        return flat if self.index is None else flat.index_select(0, self.index)

    def unpack(self, rows: Tensor) -> Tensor:
        """Put rows back, with 0 for games that have ended: [M, ...] to [T, G, ...]."""
        if self.index is not None:
            empty = rows.new_zeros(self.steps * self.games, *rows.shape[1:])
            rows = empty.index_copy(0, self.index, rows)
        return rows.reshape(self.steps, self.games, *rows.shape[1:])


class GlimpseNetwork(nn.Module, ABC):
    """The protocol, and how a sequence follows from single steps.

    A network embeds each glimpse alone, a core with a memory takes the embeddings in order, and
    heads read the core's features.
    """

    @abstractmethod
    def begin(self, games: int, device: torch.device | str) -> Memory:
        """Return the memory of games in which nothing has been seen yet."""

    @abstractmethod
    def macs(self, glimpses: int) -> int:
        """Return the multiply-adds of an episode of so many glimpses, taken step by step."""

    def step(self, glimpse: Tensor, place: Tensor, memory: Memory) -> tuple[Heads, Memory]:
        """Look once.

        Args:
            glimpse: [G, ch, w, w], values 0..1.
            place: [G, 3]: centre y and x in shares of the frame, log2(side / window).
            memory: of these games, from `begin` or the last step. It is left as it was. Rows may
                be selected, to go on with some of the games.

        Returns:
            The heads [G, ...] and the new memory.
        """
        features, memory = self._advance(self._embed(glimpse, place), memory)
        return self._read(features), memory

    def sequence(self, glimpses: Tensor, places: Tensor, alive: Tensor | None = None) -> Heads:
        """Go over whole episodes at once: the same as stepping from `begin`, only faster.

        Gradients flow back through the memory to the first glimpse. What is not alive is not
        computed, so it may hold anything, NaN too; its heads are 0.

        Args:
            glimpses: [T, G, ch, w, w].
            places: [T, G, 3].
            alive: bool [T, G]: the game has not ended before this step; None: none has ended.

        Returns:
            The heads [T, G, ...], with what only training needs in `extra`.

        Raises:
            ValueError: `alive` is no such mask, or a game lives again after its end.
        """
        rows = Rows.of(len(glimpses), glimpses.shape[1], alive)
        features = self._recur(self._embed(rows.pack(glimpses), rows.pack(places)), rows)  # [M, h]
        heads = self._read(features)
        extra = {**heads.extra, **self._training_extra(features)}
        return Heads(heads.policy, heads.value, heads.classes, extra).map(rows.unpack)

    @abstractmethod
    def _embed(self, glimpse: Tensor, place: Tensor) -> Tensor:
        """Turn glimpses [M, ch, w, w] at places [M, 3] into embeddings [M, ...]."""

    @abstractmethod
    def _advance(self, embedding: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Take embeddings [G, ...] into the memory; returns features [G, h] and the new memory."""

    @abstractmethod
    def _read(self, features: Tensor) -> Heads:
        """Turn features [M, h] into heads."""

    def _training_extra(self, features: Tensor) -> dict[str, Tensor]:
        """Return heads on features [M, h] that no step needs."""
        return {}

    def _recur(self, embedding: Tensor, rows: Rows) -> Tensor:
        """Take embeddings [M, ...] step by step from the beginning; returns features [M, h]."""
        memory = self.begin(rows.sizes[0], embedding.device)
        features = []
        for now in torch.split(embedding, list(rows.sizes)):
            memory = {name: value[: len(now)] for name, value in memory.items()}
            out, memory = self._advance(now, memory)
            features.append(out)
        return torch.cat(features)


class RecurrentNet(GlimpseNetwork):
    """Two convolutions, a linear layer and an LSTM (multi-categorical and greedy-map file).

    Defaults are the files': 1.60 million parameters at windows of 8 x 8 with 6 channels and ten
    classes. Where the window is stands in the channels, so `place` is not read.
    `policy` is all logits in order: two for each switch (up, down, left, right, zoom in, zoom
    out, any answer), then one for each class; `classes` are the last of these.
    """

    def __init__(
        self,
        channels: int = 6,
        window: int = 8,
        classes: int = 10,
        *,
        conv: Sequence[int] = (32, 64),
        features: int = 256,
        hidden: int = 256,
        switches: int = 6,
        answer_chance: float | None = None,
        generator: torch.Generator,
    ) -> None:
        """Build it with torch's default initialisation.

        Args:
            channels: ch, of a glimpse.
            window: w, pixels a side.
            classes: C.
            conv: channels of each 3 x 3 convolution; they keep the window's size.
            features: of a glimpse, as the LSTM sees it.
            hidden: h, features of the LSTM.
            switches: two-way choices of an action; 7 if one of them, the last, is to answer.
            answer_chance: of that one to begin with, by its bias; None: as it is drawn.
            generator: the only source of randomness; on the CPU the weights follow from it alone.
        """
        super().__init__()
        self.window, self.channels, self.classes = window, (channels, *conv), classes
        with drawing_from(generator):
            self.encoder = nn.Sequential(
                *_convolutions(self.channels),
                nn.Flatten(),
                nn.Linear(self.channels[-1] * window**2, features),
                nn.ReLU(),
            )
            self.lstm = nn.LSTM(features, hidden)
            self.policy = nn.Linear(hidden, 2 * switches + classes)
            self.value = nn.Linear(hidden, 1)
        if answer_chance is not None:
            odds = torch.tensor([0.0, math.log(answer_chance / (1 - answer_chance))])
            with torch.no_grad():
                self.policy.bias[2 * switches - 2 : 2 * switches] = odds

    def begin(self, games: int, device: torch.device | str) -> Memory:
        """Return zeros: `h` and `c` [G, h] of the LSTM."""
        size = (games, self.lstm.hidden_size)
        return {name: torch.zeros(size, device=device) for name in ("h", "c")}

    def macs(self, glimpses: int) -> int:
        """Return the multiply-adds of an episode of so many glimpses; padding counts as pixels."""
        pixels, last = self.window**2, self.channels[-1]
        filters = sum(9 * before * after for before, after in pairwise(self.channels))
        features, hidden = self.lstm.input_size, self.lstm.hidden_size
        gates = (features + hidden) * 4 * hidden
        heads = hidden * (self.policy.out_features + 1)
        return glimpses * (pixels * filters + mlp_macs((pixels * last, features)) + gates + heads)

    def _embed(self, glimpse: Tensor, place: Tensor) -> Tensor:
        return torch.as_tensor(self.encoder(glimpse))  # [M, features]

    def _advance(self, embedding: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        _, (h, c) = self.lstm(embedding[None], (memory["h"][None], memory["c"][None]))
        return h[0], {"h": h[0], "c": c[0]}

    def _recur(self, embedding: Tensor, rows: Rows) -> Tensor:
        # Rows are laid out as torch packs sequences: one call for all steps, none of them padded.
        packed = PackedSequence(embedding, torch.tensor(rows.sizes))
        return torch.as_tensor(self.lstm(packed)[0].data)

    def _read(self, features: Tensor) -> Heads:
        policy = self.policy(features)  # [M, 2 * switches + C]
        return Heads(policy, self.value(features)[:, 0], policy[:, -self.classes :])


def _convolutions(channels: Sequence[int]) -> Iterator[nn.Module]:
    for before, after in pairwise(channels):
        yield nn.Conv2d(before, after, kernel_size=3, padding=1)
        yield nn.ReLU()


class RamNet(GlimpseNetwork):
    """The recurrent attention model: Mnih et al. 2014, sections 3 and 4.

    What and where are embedded apart and joined, g = ReLU(Linear(ReLU(Linear(window))) +
    Linear(ReLU(Linear(place)))), and the core is h = ReLU(Linear(h) + Linear(g)).
    `policy` [..., 2] is the mean of the next centre y and x, from -1 to 1 across the frame, of a
    normal distribution whose deviation `std` is fixed; `value` is the baseline, which trains
    nothing but itself; `classes` may be read at the last glimpse or at any.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        channels: int = 1,
        window: int = 8,
        classes: int = 10,
        *,
        std: float = 0.17,
        glimpse_hidden: int = 128,
        hidden: int = 256,
        generator: torch.Generator,
    ) -> None:
        """Build it with torch's default initialisation.

        Args:
            channels: ch, of a glimpse: colours times rings.
            window: w, pixels a side.
            classes: C.
            std: of the location, where the frame spans 2; the paper does not print its own.
            glimpse_hidden: features of what and of where before they are joined.
            hidden: h, features of a glimpse and of the core.
            generator: the only source of randomness; on the CPU the weights follow from it alone.
        """
        super().__init__()
        self.std = std
        inputs = channels * window**2
        self._widths = (inputs, glimpse_hidden, hidden, classes)
        with drawing_from(generator):
            self.what = _two_layers(inputs, glimpse_hidden, hidden)
            self.where = _two_layers(PLACE, glimpse_hidden, hidden)
            self.remember = nn.Linear(hidden, hidden)
            self.take = nn.Linear(hidden, hidden)
            self.location = nn.Linear(hidden, 2)
            self.classify = nn.Linear(hidden, classes)
            self.baseline = nn.Linear(hidden, 1)
        # The paper's places run from -1 to 1; sizes stay as they are.
        self.register_buffer("scale", torch.tensor([2.0, 2.0, 1.0]), persistent=False)
        self.register_buffer("shift", torch.tensor([-1.0, -1.0, 0.0]), persistent=False)

    def begin(self, games: int, device: torch.device | str) -> Memory:
        """Return zeros: `h` [G, h] of the core."""
        return {"h": torch.zeros(games, self.remember.in_features, device=device)}

    def macs(self, glimpses: int) -> int:
        """Return the multiply-adds of an episode of so many glimpses."""
        inputs, between, hidden, classes = self._widths
        glimpse = mlp_macs((inputs, between, hidden)) + mlp_macs((PLACE, between, hidden))
        return glimpses * (glimpse + 2 * hidden * hidden + hidden * (2 + classes + 1))

    def _embed(self, glimpse: Tensor, place: Tensor) -> Tensor:
        where = torch.addcmul(self.shift, place, self.scale)  # [M, 3]
        return torch.relu(self.what(glimpse.flatten(1)) + self.where(where))  # [M, h]

    def _advance(self, embedding: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        h = (self.remember(memory["h"]) + self.take(embedding)).relu()  # [G, h]
        return h, {"h": h}

    def _read(self, features: Tensor) -> Heads:
        value = self.baseline(features.detach())[:, 0]
        return Heads(self.location(features).tanh(), value, self.classify(features))


def _two_layers(inputs: int, between: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, between), nn.ReLU(), nn.Linear(between, outputs))
