"""The control selections keep what they say, in exact numbers, and nothing that was dropped."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rlvit.contracts import SelectorView
from rlvit.nn.compute import VitShape
from rlvit.specs import SelectorSpec
from rlvit_controls.plugin import rlvit_selectors

SHAPE = VitShape(12, 192, 768, 196, 768, 1000)
BACKBONE = SimpleNamespace(shape=SHAPE)
SPECS: dict[str, SelectorSpec] = {spec.name: spec for spec in rlvit_selectors()}
SCORED = {"cls-attention": "attention", "received-attention": "received"}  # and what they see
COUNTED = ("random", "uniform", "pixel-variance", *SCORED)

alive_masks = arrays.arrays(
    bool, st.tuples(st.integers(1, 5), st.integers(1, 20)), elements=st.booleans()
)


def make(name: str) -> Any:
    return SPECS[name].make(BACKBONE, None, None)


def view_of(alive: Any, rate: float, seed: int = 0, attention: Any = None) -> SelectorView:
    mask = torch.as_tensor(alive)
    if attention is None:
        attention = torch.rand(int(mask.sum()), generator=torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    data = dict.fromkeys(("attention", "received"), torch.as_tensor(attention))
    data["images"] = torch.randint(  # patches of 2x2 pixels side by side
        0, 256, (len(mask), 3, 2, 2 * mask.shape[1]), generator=generator, dtype=torch.uint8
    )
    return SelectorView(
        data, mask, layer=3, grid=(1, mask.shape[1]), rate=rate, generator=generator
    )


def kept(name: str, alive: Any, rate: float, **more: Any) -> list[list[int]]:
    """The patch ids that are kept of each image."""
    keep = make(name).select(view_of(alive, rate, **more)).keep
    return [row.nonzero().flatten().tolist() for row in keep]


@settings(max_examples=60, deadline=None)
@given(alive=alive_masks, rate=st.floats(0, 1), seed=st.integers(0, 99))
@pytest.mark.parametrize("name", COUNTED)
def test_the_count_is_exact_and_within_the_alive(
    name: str, alive: np.ndarray, rate: float, seed: int
) -> None:
    keep = make(name).select(view_of(alive, rate, seed)).keep
    assert keep.dtype == torch.bool
    assert not (keep & ~torch.as_tensor(alive)).any()
    assert keep.sum(1).tolist() == [round(int(row.sum()) * rate) for row in alive]


@settings(max_examples=30, deadline=None)
@given(alive=alive_masks)
@pytest.mark.parametrize("name", SPECS)
def test_rate_1_keeps_all_that_are_alive(name: str, alive: np.ndarray) -> None:
    assert make(name).select(view_of(alive, 1.0)).keep.tolist() == alive.tolist()


@settings(max_examples=30, deadline=None)
@given(alive=alive_masks, rate=st.floats(0, 1), seed=st.integers(0, 99))
@pytest.mark.parametrize("name", SPECS)
def test_the_same_view_gives_the_same_selection(
    name: str, alive: np.ndarray, rate: float, seed: int
) -> None:
    assert kept(name, alive, rate, seed=seed) == kept(name, alive, rate, seed=seed)


def test_all_ignores_the_rate_and_does_not_hand_out_the_mask_itself() -> None:
    view = view_of([[True, False, True]], 0.0)
    selection = make("all").select(view)
    assert selection.keep.tolist() == [[True, False, True]]
    assert selection.keep is not view.alive


def test_random_draws_from_the_generator_and_every_patch_equally_often() -> None:
    alive = torch.ones(4000, 5, dtype=torch.bool)
    alive[:, 2] = False
    view = view_of(alive, 0.5, seed=1)
    keep = make("random").select(view).keep
    again = make("random").select(view).keep  # the generator went on
    assert not torch.equal(keep, again)
    shares = keep.double().mean(0)
    # Each of four patches is kept with probability 1/2: four standard errors are 0.032.
    assert shares[[0, 1, 3, 4]].sub(0.5).abs().max() < 0.032
    pairs = (keep[:, 0] & keep[:, 1]).double().mean()
    assert abs(float(pairs) - 1 / 6) < 0.024  # of six pairs that could be drawn


def test_random_needs_a_generator() -> None:
    view = SelectorView({}, torch.ones(1, 4, dtype=torch.bool), rate=0.5)
    with pytest.raises(ValueError, match="needs a generator"):
        make("random").select(view)


@pytest.mark.parametrize(
    ("alive", "rate", "expected"),
    [
        ([True] * 10, 0.4, [1, 3, 6, 8]),  # floor((j + 1/2) * 2.5)
        ([True] * 8, 0.5, [1, 3, 5, 7]),
        ([True] * 9, 1 / 9, [4]),  # one patch: the middle one
        ([True] * 9, 1 / 3, [1, 4, 7]),
        ([True, False, True, True, False, True, True, True], 0.5, [2, 5, 7]),  # alive no. 1, 3, 5
        ([False] * 4, 0.5, []),
    ],
)
def test_uniform_takes_the_centres_of_equal_stretches(
    alive: list[bool], rate: float, expected: list[int]
) -> None:
    assert kept("uniform", [alive], rate) == [expected]


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 40), rate=st.floats(0.05, 1))
def test_uniform_gaps_differ_by_at_most_one(count: int, rate: float) -> None:
    (ids,) = kept("uniform", [[True] * count], rate)
    gaps = np.diff(ids)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1
    wanted = round(count * rate)
    assert ids == [(2 * j + 1) * count // (2 * wanted) for j in range(wanted)]


@pytest.mark.parametrize("name", SCORED)
def test_attention_takes_the_largest_of_each_image_and_the_first_of_equals(name: str) -> None:
    alive = [[True, True, False, True, True], [False, True, True, True, True]]
    attention = [0.1, 0.3, 0.05, 0.2, 0.25, 0.25, 0.4, 0.25]  # packed: image by image
    assert kept(name, alive, 0.5, attention=attention) == [[1, 4], [1, 3]]


@pytest.mark.parametrize("name", SCORED)
def test_attention_is_looked_at_by_its_own_name(name: str) -> None:
    data = {need: torch.tensor([0.1, 0.9]) for need in SCORED.values()}
    data[SCORED[name]] = torch.tensor([0.9, 0.1])
    view = SelectorView(data, torch.ones(1, 2, dtype=torch.bool), rate=0.5)
    assert make(name).select(view).keep.tolist() == [[True, False]]


def test_looking_costs_something_and_nothing_else_does() -> None:
    alive = torch.tensor([[True, True, False], [False, False, False]])
    view = view_of(alive, 0.5)

    def received(tokens: int) -> int:
        """Queries, keys and scores."""
        return 2 * tokens * 192 * 192 + tokens * tokens * 192

    costs = {
        "pixel-variance": [2 * 768, 0],
        "cls-attention": [2 * 192, 0],
        "received-attention": [received(3), received(1)],  # the class token looks and is seen
    }
    for name in SPECS:
        assert make(name).macs(view).tolist() == costs.get(name, [0, 0]), name


def test_received_attention_costs_nothing_for_a_class_token_that_is_not_there() -> None:
    shape = VitShape(6, 128, 512, 64, 48, 10, prefix=0, inner=1024)
    selector = SPECS["received-attention"].make(SimpleNamespace(shape=shape), None, None)
    alive = torch.ones(2, 64, dtype=torch.bool)
    alive[1, 1:] = False
    macs = selector.macs(view_of(alive, 0.5))
    assert macs.tolist() == [2 * 64 * 128 * 1024 + 64 * 64 * 1024, 2 * 128 * 1024 + 1024]


@pytest.mark.parametrize("name", COUNTED)
def test_a_rate_that_is_no_share_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"rate 1\.5: should be between 0 and 1"):
        make(name).select(view_of([[True, True]], 1.5))


def test_what_they_need_is_declared() -> None:
    needs = {name: set(spec.needs) for name, spec in SPECS.items()}
    assert needs == {
        "all": set(),
        "random": set(),
        "uniform": set(),
        "pixel-variance": {"images"},
        "cls-attention": {"attention"},
        "received-attention": {"received"},
    }


@pytest.mark.parametrize("name", SPECS)
def test_they_have_nothing_to_save_or_report(name: str) -> None:
    selector = make(name)
    assert selector.prepare(np.zeros((1, 3, 8, 8), np.uint8)) == {}
    assert selector.report() == {}
    selector.restore(selector.state())
    assert selector.state() == {}


def test_before_the_first_layer_keys_and_query_of_the_look_are_paid_for() -> None:
    """14 tokens of 13 patches: 14 keys and a query of 192 x 192, and 14 scores of 192."""
    view = view_of(torch.ones(2, 13, dtype=torch.bool), 0.5)
    later = make("cls-attention").macs(view)
    first = make("cls-attention").macs(replace(view, layer=0))
    assert later.tolist() == [13 * 192] * 2
    assert first.tolist() == [15 * 192 * 192 + 14 * 192] * 2


def test_pixel_variance_keeps_the_patches_whose_pixels_vary_most() -> None:
    # Three patches of 2x2 pixels, two channels. Variances of the channels: (0, 4) mean 2,
    # (1, 1) mean 1, (0, 0); a bright flat patch has none.
    first = [[[10, 10], [10, 10]], [[0, 0], [4, 4]]]
    second = [[[1, 3], [1, 3]], [[7, 9], [9, 7]]]
    third = [[[255, 255], [255, 255]], [[200, 200], [200, 200]]]
    image = torch.cat([torch.tensor(p, dtype=torch.uint8) for p in (second, third, first)], -1)
    alive = torch.ones(1, 3, dtype=torch.bool)
    view = replace(view_of(alive, 1 / 3), data={"images": image[None]})
    selector = make("pixel-variance")
    assert selector.select(view).keep.tolist() == [[False, False, True]]
    assert selector.select(replace(view, rate=2 / 3)).keep.tolist() == [[True, False, True]]
    assert selector.macs(view).tolist() == [3 * SHAPE.patch_values]
