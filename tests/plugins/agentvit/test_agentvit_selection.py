"""Both rules by hand and against plain Python, among them ties and sums that round badly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvit_agentvit.selection import batch_scores, choose

# Few different values, so that there are many ties; all exact in binary, as are their sums.
ROWS = st.integers(1, 9).flatmap(
    lambda patches: st.lists(
        st.lists(st.integers(-4, 4), min_size=patches, max_size=patches), min_size=1, max_size=4
    )
)


def test_mean_threshold_by_hand() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0, 6.0], [0.0, 0.0, 0.0, 9.0], [-1.0, 1.0, -1.0, 1.0]])
    assert choose(scores, "mean-threshold", 2).tolist() == [
        [False, False, True, True],  # mean 3: at least the mean, not above it
        [False, False, False, True],
        [False, True, False, True],
    ]


def test_skew_decides_how_many_stay() -> None:
    scores = torch.tensor([[-10.0, 1.0, 1.0, 1.0, 1.0], [10.0, 1.0, 1.0, 1.0, 1.0]])
    assert choose(scores, "mean-threshold", 3).sum(1).tolist() == [4, 1]


@given(st.integers(1, 200), st.floats(-(2.0**100), 2.0**100, width=32))
@settings(max_examples=200, deadline=None)
def test_equal_scores_all_stay_however_the_mean_rounds(patches: int, value: float) -> None:
    assert choose(torch.full((2, patches), value), "mean-threshold", 1).all()


def test_there_are_means_that_round_above_equal_scores() -> None:
    rounded = [
        torch.full((patches,), value).mean().item() > torch.tensor(value).item()
        for patches in range(2, 200)
        for value in (0.1, 0.123, 0.7)
    ]
    assert any(rounded)  # what the test above guards against does happen


@given(ROWS)
@settings(max_examples=100, deadline=None)
def test_mean_threshold_agrees_with_plain_python(rows: list[list[int]]) -> None:
    kept = choose(torch.tensor(rows, dtype=torch.float64), "mean-threshold", 1)
    # Whole numbers: no mean is so close to a score that rounding could change the comparison.
    assert kept.tolist() == [[len(row) * score >= sum(row) for score in row] for row in rows]
    assert kept.any(1).all()


def test_topk_by_hand() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]])
    assert choose(scores, "topk", 1).tolist() == [[False, True, False, False], [True] + [False] * 3]
    assert choose(scores, "topk", 3).tolist() == [[False, True, True, True], [True] * 3 + [False]]
    assert choose(scores, "topk", 4).all()


@given(ROWS, st.data())
@settings(max_examples=100, deadline=None)
def test_topk_agrees_with_plain_python(rows: list[list[int]], data: st.DataObject) -> None:
    patches = len(rows[0])
    count = data.draw(st.integers(1, patches))
    kept = choose(torch.tensor(rows, dtype=torch.float32), "topk", count)
    for row, mask in zip(rows, kept.tolist(), strict=True):
        best = sorted(range(patches), key=lambda patch: (-row[patch], patch))[:count]
        assert [patch for patch in range(patches) if mask[patch]] == sorted(best)


@pytest.mark.parametrize("patches", [64, 1024])
def test_topk_of_many_equal_scores_takes_the_first(patches: int) -> None:
    kept = choose(torch.zeros(3, patches), "topk", 30)
    assert kept[:, :30].all()
    assert not kept[:, 30:].any()


@pytest.mark.parametrize("count", [0, -1, 5])
def test_topk_refuses_counts_outside_the_patches(count: int) -> None:
    with pytest.raises(ValueError, match=r"must be in 1\.\.4"):
        choose(torch.zeros(1, 4), "topk", count)


def test_another_rule_is_refused() -> None:
    rule: str = "median"
    with pytest.raises(ValueError, match="'median'"):
        choose(torch.zeros(1, 4), rule, 1)


def test_batch_scores_are_means() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0], [3.0, 6.0, -3.0]])
    assert batch_scores(scores).tolist() == [[2.0, 4.0, 0.0]]


def test_the_mask_of_a_batch_is_not_that_of_its_images() -> None:
    scores = torch.tensor([[0.0, 1.0], [10.0, 1.0]])
    assert choose(scores, "topk", 1).tolist() == [[False, True], [True, False]]
    assert choose(batch_scores(scores), "topk", 1).tolist() == [[True, False]]
