"""What selectors have in common: which patches have the largest scores, and how many to keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvit.contracts import Selection, Selector, SelectorView
from rlvit.errors import BrokenPart
from rlvit.specs import Need

if TYPE_CHECKING:
    from rlvit.config import MethodConfig
    from rlvit.contracts import RunContext


class FixedRule:
    """A selector that adapts to nothing, remembers nothing and costs nothing: write `select`.

    One that computes something to decide overrides `macs`, too, so that its cost is counted.
    """

    def __init__(self, backbone: Any = None) -> None:
        """Take the backbone (a TokenBackbone), whose sizes a rule's cost may depend on."""
        self.backbone = backbone

    def prepare(self, images: NDArray[np.uint8]) -> Mapping[str, float]:
        """Do nothing; there is nothing to decide from images."""
        return {}

    def select(self, view: SelectorView) -> Selection:
        """Choose patches.

        Raises:
            NotImplementedError: the rule is not written.
        """
        raise NotImplementedError(f"{type(self).__name__} has no select")

    def macs(self, view: SelectorView) -> Tensor:
        """Return the multiply-adds of a decision [B] int64: none."""
        return torch.zeros(len(view.alive), dtype=torch.int64, device=view.alive.device)

    def report(self) -> Mapping[str, float]:
        """Return no metrics."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return nothing to save."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing; there is no state."""


def make_selector(context: RunContext, backbone: Any, config: MethodConfig) -> Selector:
    """Make the selector of a run's slot, and train what it needs before the method begins."""
    spec = context.part("selector")
    selector: Selector = spec.make(backbone, config, context.task)
    if spec.fit is not None:
        spec.fit(context, selector)
    return selector


def decide(
    selector: Selector, view: SelectorView, name: str = "", *, within: bool = True
) -> Selection:
    """Return what a selector selects, looked at by `checked`.

    Args:
        selector: that decides.
        view: what it may see.
        name: of the selector, for people; by default that of its class.
        within: as for `checked`.

    Raises:
        BrokenPart: it looked at what it did not declare, or `checked` refuses what it returned.
    """
    name = name or type(selector).__name__
    try:
        selection = selector.select(view)
    except KeyError as problem:
        need = problem.args[0] if problem.args else None
        if need not in get_args(Need) or need in view.data:
            raise
        raise BrokenPart(
            f"selector {name!r} looks at view.data[{need!r}] undeclared: add {need!r} to "
            "SelectorSpec.needs"
        ) from problem
    except BrokenPart as problem:
        raise BrokenPart(f"selector {name!r}: {problem}") from problem
    return checked(selection, view, name, within=within)


def checked(selection: object, view: SelectorView, name: str, *, within: bool = True) -> Selection:
    """Return a selection that keeps the contract.

    Type, shape and dtype are known to the host. Whether dropped patches come back is not: on a GPU
    that question makes the host wait for the device, so that callers ask it there at first only.

    Args:
        selection: what `select` returned for `view`.
        view: of the decision.
        name: of the selector, for people.
        within: look whether only living patches are kept, too.

    Raises:
        BrokenPart: it does not; the message names the selector and what was expected.
    """
    if not isinstance(selection, Selection):
        raise BrokenPart(
            f"selector {name!r}: select returned {type(selection).__name__}, expected a Selection"
        )
    keep, alive = selection.keep, view.alive
    wanted = f"expected bool {list(alive.shape)}, a mark for each patch of each image"
    if not isinstance(keep, Tensor):
        raise BrokenPart(f"selector {name!r}: keep is {type(keep).__name__}, {wanted}")
    if keep.dtype != torch.bool or keep.shape != alive.shape:
        dtype = str(keep.dtype).removeprefix("torch.")
        raise BrokenPart(f"selector {name!r}: keep is {dtype} {list(keep.shape)}, {wanted}")
    if keep.device != alive.device:
        raise BrokenPart(f"selector {name!r}: keep is on {keep.device}, alive on {alive.device}")
    if within and bool((keep & ~alive).any()):
        count = int((keep & ~alive).sum())
        raise BrokenPart(f"selector {name!r}: it keeps {count} patches that were dropped before")
    return selection


def keep_largest(view: SelectorView, scores: Tensor) -> Selection:
    """Keep the round(rate * alive) patches of each image with the largest scores.

    Args:
        view: of the decision.
        scores: finite; of all patches [B, N], or of the living alone [T] as `view.data` has them.

    Raises:
        ValueError: the scores have another shape, or the rate is not a share.
        BrokenPart: a living patch's score is not finite; on the CPU, where looking is cheap.
    """
    if scores.shape != view.alive.shape:
        if scores.shape != (int(view.alive.sum()),):
            raise ValueError(
                f"scores of shape {list(scores.shape)}: expected {list(view.alive.shape)}, or one "
                f"for each of the {int(view.alive.sum())} living patches"
            )
        scores = scores.new_zeros(view.alive.shape).masked_scatter(view.alive, scores)
    if scores.device.type == "cpu" and not bool((scores.isfinite() | ~view.alive).all()):
        count = int((~scores.isfinite() & view.alive).sum())
        raise BrokenPart(f"{count} scores of {int(view.alive.sum())} patches are not finite")
    return Selection(largest(scores, view.alive, kept_counts(view)))


def kept_counts(view: SelectorView) -> Tensor:
    """Return round(rate * alive) of each image [B] int64; halves go to the even number.

    Raises:
        ValueError: the rate is not a share.
    """
    if not 0 <= view.rate <= 1:
        raise ValueError(f"rate {view.rate}: should be between 0 and 1")
    return (view.alive.sum(1).double() * view.rate).round().long()


def largest(scores: Tensor, alive: Tensor, count: Tensor) -> Tensor:
    """Mark the `count` [B] alive patches of each image with the largest scores; first of equals.

    Args:
        scores: finite [B, N].
        alive: bool [B, N].
        count: of each image [B], at most as many as are alive.

    Returns:
        bool [B, N], within `alive`.
    """
    ranked = scores.masked_fill(~alive, -torch.inf)
    order = ranked.argsort(dim=1, descending=True, stable=True)  # [B, N] patch ids
    places = torch.arange(scores.shape[1], device=scores.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places)  # [B, N]
    return rank < count[:, None]


def patches_of(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Cut images [B, C, H, W] along a grid of R x K patches: [B, R * K, C, H / R, W / K].

    Raises:
        ValueError: the grid does not divide the images.
    """
    batch, channels, height, width = images.shape
    rows, columns = grid
    if height % rows or width % columns:
        raise ValueError(f"images of {height}x{width} cannot be cut into {rows}x{columns} patches")
    cut = images.reshape(batch, channels, rows, height // rows, columns, width // columns)
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
