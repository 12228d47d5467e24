"""Images with different numbers of tokens, packed in one row so that no dropped token is computed.

Every image keeps its class token, if the network has one; its patches differ. The linear layers and
norms of a block work on single tokens, so they need no padding at all; only attention has to know
where an image begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Buckets:
    """How packed tokens are laid out in a few padded groups of images of similar length.

    P counts the slots of all groups, in which T tokens find their place; the rest is padding.
    """

    rows: Tensor  # [P] int64, the packed token in each slot; any other token where it is padding
    slots: Tensor  # [T] int64, the slot of each packed token
    shapes: tuple[tuple[int, int], ...]  # images and slots an image, of each group
    masks: tuple[Tensor | None, ...]  # bool [images, 1, 1, slots]: a token; None: no padding


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each image's tokens are in the row: the class token first, if any, then its patches.

    T counts all tokens and P the patches, both over the whole batch of B images.
    """

    lengths: tuple[int, ...]  # tokens of each image, class token included, known to the host
    positions: Tensor  # [P] int64, which patch of its image each is, 0..grid - 1
    grid: int  # patches of an image before any was dropped
    prefix: int = 1  # class tokens of an image: 1 or 0
    _buckets: dict[int, Buckets] = field(default_factory=dict, repr=False)

    @property
    def total(self) -> int:
        """The number of tokens T."""
        return sum(self.lengths)

    @property
    def uniform(self) -> bool:
        """Whether all images have the same number of tokens."""
        return len(set(self.lengths)) <= 1

    @cached_property
    def counts(self) -> Tensor:
        """Tokens of each image, class token included: int64 [B]."""
        return torch.tensor(self.lengths, dtype=torch.int64, device=self.positions.device)

    @cached_property
    def starts(self) -> Tensor:
        """The row of each image's first token, its class token if there is one: int64 [B]."""
        return self.counts.cumsum(0) - self.counts

    @cached_property
    def edges(self) -> Tensor:
        """The row where each image begins, then the end: int32 [B + 1], as kernels want it."""
        return torch.nn.functional.pad(self.counts.cumsum(0), (1, 0)).int()

    @cached_property
    def images(self) -> Tensor:
        """The image of each patch: int64 [P]."""
        return _owners(self.counts - self.prefix, len(self.positions))

    @cached_property
    def owners(self) -> Tensor:
        """The image of each token: int64 [T]."""
        return _owners(self.counts, self.total)

    @cached_property
    def patch_rows(self) -> Tensor:
        """The row of each patch: int64 [P]; as many class tokens come before as images so far."""
        steps = torch.arange(len(self.positions), device=self.positions.device)
        return steps + self.prefix * (self.images + 1)

    @property
    def alive(self) -> Tensor:
        """The patches that are still there: bool [B, N]."""
        alive = self.positions.new_zeros(len(self.lengths) * self.grid, dtype=torch.bool)
        alive[self.images * self.grid + self.positions] = True
        return alive.view(-1, self.grid)

    def buckets(self, most: int) -> Buckets:
        """Return at most `most` groups of images of similar length; computed once."""
        if most not in self._buckets:
            self._buckets[most] = _make_buckets(self, most)
        return self._buckets[most]


@dataclass(frozen=True, eq=False)
class Ragged:
    """The tokens of a batch of images, packed in a row."""

    tokens: Tensor  # [T, D]
    layout: Layout

    @property
    def cls(self) -> Tensor:
        """The class tokens [B, D]. Raises ValueError if there are none."""
        if not self.layout.prefix:
            raise ValueError("this network has no class token")
        return self.tokens.index_select(0, self.layout.starts)

    @property
    def pooled(self) -> Tensor:
        """What is read out of each image [B, D]: its class token, or the mean of its patches."""
        layout = self.layout
        if layout.prefix:
            return self.cls
        if layout.uniform:
            return self.tokens.view(len(layout.lengths), -1, self.tokens.shape[1]).mean(1)
        sums = self.tokens.new_zeros(len(layout.lengths), self.tokens.shape[1])
        return sums.index_add(0, layout.owners, self.tokens) / layout.counts[:, None]

    @property
    def patches(self) -> Tensor:
        """The alive patches' tokens [P, D], in the order of `alive.nonzero()`."""
        return self.tokens.index_select(0, self.layout.patch_rows)

    def select(self, keep: Tensor) -> Tensor:
        """Return the entries of `keep` [B, N] that belong to alive patches: [P]."""
        return keep[self.layout.images, self.layout.positions]


def whole(tokens: Tensor, prefix: int = 1) -> Ragged:
    """Take all tokens [B, prefix + N, D], a class token first; nothing is copied if contiguous."""
    batch, length, _ = tokens.shape
    grid = length - prefix
    positions = torch.arange(grid, device=tokens.device).repeat(batch)
    return Ragged(tokens.flatten(0, 1), Layout((length,) * batch, positions, grid, prefix))


def pack(tokens: Tensor, keep: Tensor, prefix: int = 1) -> Ragged:
    """Drop patches of `tokens` [B, prefix + N, D] where `keep` bool [B, N] is False.

    Raises ValueError if `keep` has another shape. One host synchronisation.
    """
    wanted = (len(tokens), tokens.shape[1] - prefix)
    if keep.shape != wanted:
        raise ValueError(f"the mask of patches to keep is {tuple(keep.shape)}, not {wanted}")
    return drop(whole(tokens, prefix), keep.flatten())


def drop(ragged: Ragged, keep: Tensor) -> Ragged:
    """Drop the patches where `keep` bool [P] is False, over the patches alive, in their order.

    The only host synchronisation is the transfer of the B new counts: an image's number of tokens
    decides the shape of everything after it. Raises ValueError if `keep` has another shape, and
    if an image would be left without any token.
    """
    layout = ragged.layout
    if keep.shape != layout.positions.shape:
        raise ValueError(f"{len(keep)} decisions for {len(layout.positions)} alive patches")
    counts = torch.zeros_like(layout.counts).index_add_(0, layout.images, keep.long())  # [B]
    lengths = tuple(layout.prefix + count for count in counts.tolist())
    if lengths == layout.lengths:
        return ragged
    if not all(lengths):
        raise ValueError("an image keeps no patch, and there is no class token to read out")
    patches = _compact(keep, sum(lengths) - layout.prefix * len(lengths))
    stay = torch.ones(layout.total, dtype=torch.bool, device=keep.device)
    stay.scatter_(0, layout.patch_rows, keep)
    positions = layout.positions.index_select(0, patches)
    smaller = Layout(lengths, positions, layout.grid, layout.prefix)
    return Ragged(ragged.tokens.index_select(0, _compact(stay, sum(lengths))), smaller)


def _compact(keep: Tensor, count: int) -> Tensor:
    """Return where `keep` bool [M] is True, of which the host knows that there are `count`.

    Unlike `nonzero` this asks the device for nothing.
    """
    target = torch.where(keep, keep.cumsum(0) - 1, count)  # [M], all that is dropped to the end
    steps = torch.arange(len(keep), device=keep.device)
    return target.new_empty(count + 1).scatter_(0, target, steps)[:count]


def _owners(counts: Tensor, total: int) -> Tensor:
    """Return 0 `counts[0]` times, then 1 `counts[1]` times and so on: int64 [total]."""
    steps = torch.arange(len(counts), device=counts.device)
    return torch.repeat_interleave(steps, counts, output_size=total)


def _make_buckets(layout: Layout, most: int) -> Buckets:
    """Sort the images by length and cut them into `most` groups of (nearly) equal size."""
    device = layout.positions.device
    order = sorted(range(len(layout.lengths)), key=layout.lengths.__getitem__)
    groups = _cut(order, min(most, len(order)))
    rows, masks, shapes, first, begin = [], [], [], [0] * len(order), 0
    for group in groups:
        longest = layout.lengths[group[-1]]
        for place, image in enumerate(group):
            first[image] = begin + place * longest
        begin += len(group) * longest
        shapes.append((len(group), longest))
        chosen, steps = torch.tensor(group, device=device), torch.arange(longest, device=device)
        rows.append((layout.starts[chosen, None] + steps).clamp_(max=layout.total - 1).flatten())
        padded = layout.lengths[group[0]] < longest
        masks.append((steps < layout.counts[chosen, None])[:, None, None] if padded else None)
    shift = torch.tensor(first, device=device) - layout.starts  # [B], from row to slot
    slots = torch.arange(layout.total, device=device) + shift[layout.owners]
    return Buckets(torch.cat(rows), slots, tuple(shapes), tuple(masks))


def _cut(order: Sequence[int], parts: int) -> list[Sequence[int]]:
    """Cut a sequence into `parts` of nearly equal size."""
    edges = [len(order) * part // parts for part in range(parts + 1)]
    return [order[a:b] for a, b in pairwise(edges)]
