"""A Vision Transformer in which a selector drops patches on the way, counted as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rlvit.contracts import Prediction, Selector, SelectorView, TokenBackbone
from rlvit.nn.compute import dense_macs, vit_macs
from rlvit.nn.lookahead import attended, received
from rlvit.nn.ragged import Ragged, drop, whole
from rlvit.nn.selection import decide
from rlvit.nn.walk import class_attention, masked_block, run_block
from rlvit.specs import Need

LOOKS = 16  # decisions on a GPU of which it is asked whether they revive what was dropped


@dataclass(frozen=True)
class Walk:
    """What a pass through the network found; B counts each sample of an image."""

    logits: Tensor  # [B, K]
    alive: Tensor  # [L, B, N] bool, after each decision
    macs: Tensor  # [B] float64, multiply-adds of an image, the selector's own included


class PrunedVit:
    """A backbone, a selector, and the blocks before which the selector decides.

    Dropped patches are gathered out of the batch, so that no later block computes them; with
    `masks_only` all are computed and the dropped ones are hidden from attention, which saves
    nothing and gives the same logits.
    """

    def __init__(
        self,
        backbone: TokenBackbone,
        selector: Selector,
        needs: frozenset[Need],
        decision_blocks: Sequence[int],
        *,
        targets: Tensor,
        rates: Sequence[float] = (),
        generator: torch.Generator | None = None,
        bf16: bool = False,
        masks_only: bool = False,
        attention: str = "auto",
        name: str = "",
    ) -> None:
        """Put the parts together.

        Args:
            backbone: on the device where images will be.
            selector: decides which patches stay.
            needs: what the selector declared that it must see.
            decision_blocks: block numbers from 0, rising.
            targets: index of each of the dataset's classes in the head [classes].
            rates: share to keep at each decision, for selectors that do not choose how many.
            generator: for selectors that draw, on the backbone's device.
            bf16: run the backbone under autocast.
            masks_only: hide dropped patches instead of gathering the others.
            attention: how `run_block` attends.
            name: of the selector, for people; by default that of its class.

        Raises:
            ValueError: a block that is not there, or no class token although the selector needs
                its attention.
        """
        depth = len(backbone.blocks)
        if not all(0 <= block < depth for block in decision_blocks):
            wanted = ",".join(map(str, decision_blocks))
            raise ValueError(f"decision blocks {wanted}: there are blocks 0 to {depth - 1}")
        if "attention" in needs and not backbone.shape.prefix:
            raise ValueError("there is no class token whose attention a selector could see")
        self.backbone, self.selector, self.needs = backbone, selector, needs
        self.decision_blocks = tuple(decision_blocks)
        self.rates = tuple(rates) or (1.0,) * len(self.decision_blocks)
        self.generator, self.bf16, self.attention = generator, bf16, attention
        self.targets, self.gathers = targets, not masks_only
        self.name, self._looks = name, LOOKS
        self.image_size = backbone.image_size

    def classify(self, images: Tensor) -> Prediction:
        """Classify uint8 images [B, 3, S, S], moved to the device first."""
        with torch.inference_mode():
            walk = self.walk(images.to(self.targets.device, non_blocking=True))
        return Prediction(walk.logits, walk.alive.sum(2).T, walk.macs)

    def walk(self, images: Tensor, samples: int = 1) -> Walk:
        """Pass images [B, 3, S, S] through the network.

        With `samples` each image is decided on so many times; what lies before the first decision
        is computed once. Rows of the result are then image by image, sample by sample.
        """
        autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16)
        with autocast:
            # 1 + N or N tokens of each image
            ragged = whole(self.backbone.embed(images), self.backbone.shape.prefix)
            ragged, alive, own = self._blocks(ragged, images, samples)
            if len(alive) and not self.gathers and not ragged.layout.prefix:
                ragged = drop(ragged, ragged.select(alive[-1]))  # the mean is of the living
            logits = self.backbone.readout(ragged.pooled)
        shape = self.backbone.shape
        if self.decision_blocks:
            macs = vit_macs(shape, alive.sum(2).T, self.decision_blocks).double()  # [B]
        else:
            macs = own.new_full((len(images),), dense_macs(shape))
        return Walk(logits.float(), alive, macs + own)

    def _blocks(
        self, ragged: Ragged, images: Tensor, samples: int
    ) -> tuple[Ragged, Tensor, Tensor]:
        """Run all blocks; return tokens, alive [L, B, N], and the selector's own cost [B]."""
        history: list[Tensor] = []
        mask: Tensor | None = None  # of patches alive, where they are only hidden
        own = torch.zeros((), dtype=torch.float64, device=images.device)
        before: tuple[nn.Module, Ragged] | None = None  # the block before, and what it was given
        for number, block in enumerate(self.backbone.blocks):
            if number in self.decision_blocks:
                if not history and samples > 1:
                    ragged, before, images = _repeated(ragged, before, images, samples)
                view = self._view(number, len(history), ragged, before, images, mask)
                keep = self._decided(view)
                own = own + self.selector.macs(view).double()
                history.append(keep)
                if self.gathers:
                    ragged = drop(ragged, ragged.select(keep))
                else:
                    mask = keep
            before = (block, ragged)
            ragged = self._run(block, ragged, mask)
        if not history:
            return ragged, ragged.layout.alive.new_empty(0, len(images), ragged.layout.grid), own
        return ragged, torch.stack(history), own

    def _decided(self, view: SelectorView) -> Tensor:
        """Return what the selector keeps [B, N].

        That nothing dropped comes back is seen at every decision on the CPU, and at the first ones
        on a GPU, where asking makes the host wait: a rule that revives does so from the start.
        """
        look = view.alive.device.type == "cpu" or self._looks > 0
        self._looks -= look
        return decide(self.selector, view, self.name, within=look).keep

    def _run(self, block: nn.Module, ragged: Ragged, mask: Tensor | None) -> Ragged:
        """Run one block, on all tokens where dropped ones are only hidden."""
        if mask is None:
            return run_block(block, ragged, self.attention)
        tokens = ragged.tokens.view(len(mask), -1, ragged.tokens.shape[1])  # [B, 1 + N, D]
        return Ragged(masked_block(block, tokens, mask).flatten(0, 1), ragged.layout)

    def _view(
        self,
        number: int,
        decision: int,
        ragged: Ragged,
        before: tuple[nn.Module, Ragged] | None,
        images: Tensor,
        mask: Tensor | None,
    ) -> SelectorView:
        """Return what the selector declared that it needs, detached: nothing learns through it."""
        alive = ragged.layout.alive if mask is None else mask
        within = None if mask is None else ragged.select(mask)  # [P], living among all patches
        coming = (self.backbone.blocks[number], ragged)
        ways: dict[Need, Callable[[], Tensor]] = {
            "images": lambda: images,
            "tokens": lambda: _of(ragged.patches.detach(), within),
            "cls": lambda: ragged.cls.detach(),
            "attention": lambda: _seen(class_attention, before or coming, mask),
            "attended": lambda: _seen(attended, coming, mask),
            "received": lambda: _seen(received, coming, mask),
        }
        data = Lazy({need: ways[need] for need in self.needs if need in ways})
        return SelectorView(
            data, alive, number, self.backbone.grid, self.rates[decision], self.generator
        )


class Lazy(Mapping[Need, Tensor]):
    """Values that are computed when they are asked for, once: not every decision needs to look."""

    def __init__(self, ways: Mapping[Need, Callable[[], Tensor]]) -> None:
        self._ways, self._found = ways, dict[Need, Tensor]()

    def __getitem__(self, need: Need) -> Tensor:
        if need not in self._found:
            self._found[need] = self._ways[need]()
        return self._found[need]

    def __iter__(self) -> Iterator[Need]:
        return iter(self._ways)

    def __len__(self) -> int:
        return len(self._ways)


@torch.no_grad()
def _seen(
    look: Callable[[nn.Module, Ragged], Tensor],
    at: tuple[nn.Module, Ragged],
    mask: Tensor | None,
) -> Tensor:
    """Return what a look at a block and what it is given shows of each living patch [T]."""
    block, given = at
    if mask is not None:  # the living ones alone, as if the others had been gathered out
        given = drop(given, given.select(mask))
    return look(block, given)


def _of(values: Tensor, within: Tensor | None) -> Tensor:
    """Return the entries that are marked, or all."""
    return values if within is None else values[within]


def _repeated(
    ragged: Ragged, before: tuple[nn.Module, Ragged] | None, images: Tensor, samples: int
) -> tuple[Ragged, tuple[nn.Module, Ragged] | None, Tensor]:
    """Repeat every image of a batch in which nothing was dropped yet."""

    def again(one: Ragged) -> Ragged:
        batch = len(one.layout.lengths)
        tokens = one.tokens.view(batch, -1, one.tokens.shape[1])  # [B, prefix + N, D]
        return whole(tokens.repeat_interleave(samples, 0), one.layout.prefix)

    earlier = None if before is None else (before[0], again(before[1]))
    return again(ragged), earlier, images.repeat_interleave(samples, 0)
