"""A selector that asks of a method what any selector may: to be fitted, its draws, its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from rlvit.catalog import Catalog, Entry
from rlvit.contracts import RunContext, Selection, Selector, SelectorView
from rlvit.errors import BrokenPart
from rlvit.manager import PluginInfo
from rlvit.nn.selection import FixedRule, keep_largest
from rlvit.specs import DATASET, MethodSpec, SelectorSpec

NAME = "check-draws"
STEP = 0.1  # by which a decision moves a fixed order of the patches


class Probe(FixedRule):
    """Keeps patches by a draw of the run's generator and by how often it was asked."""

    def __init__(self, *, fitted: bool) -> None:
        """Say whether it may be asked without `fit`."""
        super().__init__()
        self.fitted, self.asked = fitted, 0

    def select(self, view: SelectorView) -> Selection:
        """Draw, and count.

        Raises:
            BrokenPart: the method has not fitted it, or gives it no generator.
        """
        if not self.fitted:
            raise BrokenPart("SelectorSpec.fit was not called: rlvit.nn.selection.make_selector")
        if view.generator is None:
            raise BrokenPart("view.generator is None: give PrunedVit a generator of the run")
        self.asked += 1
        device = view.alive.device
        draws = torch.rand(view.alive.shape, generator=view.generator, device=device)
        moved = STEP * self.asked * torch.arange(view.alive.shape[1], device=device)
        return keep_largest(view, (draws + moved) % 1.0)

    def state(self) -> dict[str, Any]:
        """Return how often it was asked."""
        return {"asked": self.asked}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved count."""
        self.asked = int(state["asked"])


def with_probe(catalog: Catalog, method: MethodSpec) -> Catalog:
    """Return the catalogue with the probe among its selectors, to be fitted in methods on images.

    Methods for games do not fit selectors.
    """
    images = method.task_kind == DATASET

    def fit(context: RunContext, selector: Selector) -> None:
        assert isinstance(selector, Probe)
        selector.fitted = True

    def make(backbone: Any, config: Any, task: Any) -> Selector:
        return Probe(fitted=not images)

    spec = SelectorSpec(NAME, "draws and counts", "nobody", frozenset(), make, fit=fit)
    owner = PluginInfo("check", "rlvit", "", __name__, (), None)
    own = {**catalog.entries["selector"], NAME: Entry(spec, owner)}
    return replace(catalog, entries={**catalog.entries, "selector": own})
