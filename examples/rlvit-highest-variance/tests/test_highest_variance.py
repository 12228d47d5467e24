"""The selector keeps rlvit's rules, and keeps the patches that vary most."""

import torch
from rlvit_highest_variance.selector import HighestVariance, local_variance

from rlvit.contracts import SelectorView
from rlvit.testing import PluginSuite, SelectorSuite


class TestPlugin(PluginSuite):
    """Rules for every plugin."""

    name = "highest-variance"


class TestSelector(SelectorSuite):
    """Rules for every selector."""

    name = "highest-variance"


def image() -> torch.Tensor:
    """Return an image of 2x2 patches of 2x2 pixels: flat, bright and flat, faint, checked."""
    rows = [[10, 10, 255, 255], [10, 10, 255, 255], [0, 2, 0, 200], [0, 2, 200, 0]]
    return torch.tensor(rows, dtype=torch.uint8).expand(1, 3, 4, 4)


def test_variance_of_each_patch() -> None:
    assert local_variance(image(), (2, 2)).tolist() == [[0.0, 0.0, 1.0, 10_000.0]]


def test_bright_is_not_enough() -> None:
    alive = torch.ones(1, 4, dtype=torch.bool)
    view = SelectorView({"images": image()}, alive, grid=(2, 2), rate=0.5)
    assert HighestVariance().select(view).keep.tolist() == [[False, False, True, True]]


def test_dropped_patches_stay_dropped() -> None:
    alive = torch.tensor([[True, True, True, False]])
    view = SelectorView({"images": image()}, alive, grid=(2, 2), rate=1 / 3)
    assert HighestVariance().select(view).keep.tolist() == [[False, False, True, False]]
