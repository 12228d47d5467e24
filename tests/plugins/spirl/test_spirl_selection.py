"""Dynamic K and its cap, on error maps made by hand and on those of the published code."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rlvit_spirl.selection import cap, covering_ratio, dynamic_k, keep_order

DATA = Path(__file__).parents[4] / "shared" / "data" / "spirl_reference"
TRUE_SLOPE, CODED_SLOPE = 45.0, math.degrees(math.atan(0.5))


def _by_hand(errors: list[float], angle: float, max_keep: int | None) -> int:
    count = len(errors)
    cap = max_keep or count
    cumulative = np.cumsum(np.sort(errors) / np.sum(errors))
    slope = np.ones(count)
    for i in range(max(1, count - cap), count - 1):
        slope[i] = cumulative[i + 1] - cumulative[i - 1]
    best = int(np.abs(slope - 2 * math.tan(math.radians(angle)) / count).argmin())
    return min(max(1, count - best), cap)


@pytest.mark.parametrize("angle", [TRUE_SLOPE, CODED_SLOPE])
@pytest.mark.parametrize("max_keep", [None, 1, 2, 5, 12, 144])
def test_dynamic_k_equals_the_loop(angle: float, max_keep: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    errors = torch.rand(16, 144, generator=generator).pow(4)
    k = dynamic_k(errors, angle, max_keep)
    assert k.dtype == torch.int64
    assert k.tolist() == [_by_hand(row, angle, max_keep) for row in errors.double().tolist()]


def test_dynamic_k_of_a_step_is_where_the_slope_passes() -> None:
    # Ascending and summed to one: .025 x 4, .1, .4, .4. Two-step slopes of patches 1 to 5:
    # .05, .05, .125, .5, .8; two steps of slope one are 2/7 = .286, of slope one half .143.
    errors = torch.tensor([[16.0, 1.0, 1.0, 4.0, 1.0, 16.0, 1.0]])
    assert dynamic_k(errors, TRUE_SLOPE, None).tolist() == [4]
    assert dynamic_k(errors, CODED_SLOPE, None).tolist() == [4]
    assert dynamic_k(errors, 60.0, None).tolist() == [3]  # .495
    assert dynamic_k(errors, TRUE_SLOPE, 3).tolist() == [3]
    assert dynamic_k(errors, TRUE_SLOPE, 2).tolist() == [2]


def test_dynamic_k_of_an_all_zero_map_is_one() -> None:
    errors = torch.zeros(2, 144)
    errors[1, 3] = 1.0
    k = dynamic_k(errors, TRUE_SLOPE, 28)
    assert k[0] == 1
    assert 1 <= k[1] <= 28
    assert keep_order(errors, k, 28)[0].tolist() == [143] + [-1] * 27


@pytest.mark.parametrize("max_keep", [0, 145])
def test_a_cap_outside_the_frame_is_an_error(max_keep: int) -> None:
    with pytest.raises(ValueError, match="max_keep"):
        dynamic_k(torch.ones(1, 144), TRUE_SLOPE, max_keep)
    with pytest.raises(ValueError, match="max_keep"):
        keep_order(torch.ones(1, 144), torch.tensor([1]), max_keep)


def test_keep_order_is_ascending_and_padded_below_the_cap() -> None:
    errors = torch.tensor([[0.3, 0.9, 0.1, 0.5, 0.2], [0.5, 0.4, 0.3, 0.2, 0.1]])
    kept = keep_order(errors, torch.tensor([2, 3]), 4)
    assert kept.dtype == torch.int64
    assert kept.tolist() == [[3, 1, -1, -1], [2, 1, 0, -1]]


def test_keep_order_cuts_k_to_the_cap() -> None:
    errors = torch.tensor([[0.3, 0.9, 0.1, 0.5, 0.2]])
    assert keep_order(errors, torch.tensor([5]), 3).tolist() == [[0, 3, 1]]


def test_of_equal_errors_the_smaller_id_is_left_out_first() -> None:
    errors = torch.tensor([[1.0, 2.0, 1.0, 2.0, 1.0]])
    assert keep_order(errors, torch.tensor([4]), 5).tolist() == [[2, 4, 1, 3, -1]]


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0.35, 50), (0.30, 43), (0.20, 28), (1 - 0.8, 28), (1 - 0.7, 43), (0.25, 36), (0.95, 136)],
)
def test_cap(ratio: float, expected: int) -> None:
    assert cap(ratio) == expected


def test_cap_of_a_whole_product_is_whole() -> None:
    assert 100 * 0.29 < 29
    assert cap(0.29, 100) == 29


def test_covering_ratio_is_the_smallest_that_covers() -> None:
    counts = torch.cat([torch.full((999,), 20), torch.tensor([100])])
    assert covering_ratio(counts) == 0.15  # caps are 7, 14, 21
    assert covering_ratio(counts, coverage=1.0) == 0.70  # 144 * .7 = 100.8
    assert covering_ratio(torch.tensor([7])) == 0.05
    assert covering_ratio(torch.tensor([8])) == 0.10
    assert covering_ratio(torch.tensor([144])) == 0.95
    with pytest.raises(ValueError, match="no counts"):
        covering_ratio(torch.tensor([], dtype=torch.int64))


@pytest.mark.parametrize(("rule", "angle"), [("half", CODED_SLOPE), ("one", TRUE_SLOPE)])
def test_selection_equals_the_published_codes(rule: str, angle: float) -> None:
    if not DATA.is_dir():
        pytest.skip(f"no reference data in {DATA}")
    reference = np.load(DATA / "seaquest.npz")
    errors = torch.from_numpy(reference["errors"])
    assert dynamic_k(errors, angle, None).tolist() == reference[f"k_slope_{rule}"].tolist()
    kept = keep_order(errors, dynamic_k(errors, angle, 28), 28)
    assert kept.tolist() == reference[f"keep_slope_{rule}"].tolist()
