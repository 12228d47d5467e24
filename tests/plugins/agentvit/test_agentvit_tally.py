"""The sums of an epoch, by hand."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch

from rlvit_agentvit.tally import Tally, as_arrays

CPU = torch.device("cpu")


def filled() -> Tally:
    """Two iterations: of 2 images with scores, of 1 image without; one reward."""
    tally = Tally(3, CPU)
    tally.trained(
        torch.tensor(0.5),
        torch.tensor([True, False]),
        torch.tensor([1e9, 3e9], dtype=torch.float64),
        torch.tensor([[True, False, True], [True, True, False]]),
        torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, -1.0]]),
    )
    tally.trained(
        torch.tensor(2.0),
        torch.tensor([True]),
        torch.tensor([5e9], dtype=torch.float64),
        torch.tensor([[False, False, True]]),
        None,
    )
    tally.learnt(torch.tensor(1.5), torch.tensor(-0.25), torch.tensor(2e9))
    tally.seconds = 7.5
    return tally


def test_means_are_over_images_and_scores_over_those_that_have_any() -> None:
    row = filled().row()
    assert row["train_loss"] == pytest.approx((2 * 0.5 + 1 * 2.0) / 3)
    assert row["train_accuracy"] == pytest.approx(100 * 2 / 3)
    assert row["gmacs"] == pytest.approx(1 + 3 + 5 + 2)  # of images, and of learning
    assert row["kept"] == pytest.approx([2 / 3, 1 / 3, 2 / 3])
    assert row["score"] == pytest.approx([2.0, 2.0, 1.0])
    assert (row["loss_term"], row["patch_term"]) == (1.5, -0.25)
    assert row["seconds"] == 7.5


def test_terms_are_means_of_the_rewards() -> None:
    tally = filled()
    tally.learnt(torch.tensor(0.5), torch.tensor(0.0), torch.tensor(0.0))
    row = tally.row()
    assert (row["loss_term"], row["patch_term"]) == (1.0, -0.125)


def test_what_did_not_occur_is_not_a_number() -> None:
    tally = Tally(2, CPU)
    macs = torch.ones(1, dtype=torch.float64)
    tally.trained(torch.tensor(1.0), torch.tensor([False]), macs, torch.ones(1, 2) > 0, None)
    row = tally.row()
    assert math.isnan(row["loss_term"])
    assert math.isnan(row["patch_term"])
    assert all(math.isnan(score) for score in row["score"])
    assert row["train_accuracy"] == 0


def test_a_restored_tally_goes_on_exactly() -> None:
    whole, first = filled(), filled()
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    other = Tally(3, CPU)
    other.restore(torch.load(file, weights_only=True))
    loss, macs = torch.tensor(0.1), torch.full((2,), 7.0, dtype=torch.float64)
    more: tuple[Any, ...] = (loss, torch.tensor([True, True]), macs, torch.ones(2, 3) > 0)
    scores = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    for one in (whole, other):
        one.trained(*more, scores)
        one.learnt(torch.tensor(0.3), torch.tensor(-0.7), torch.tensor(11.0))
    assert whole.row() == other.row()
    assert first.row() != other.row()  # what was saved shares nothing


def test_rows_become_columns() -> None:
    rows = [{"epoch": 1, "kept": [0.5, 1.0]}, {"epoch": 2, "kept": [0.25, 0.75]}]
    found = as_arrays(rows, (1, 2))
    assert found["epoch"].tolist() == [1, 2]
    np.testing.assert_array_equal(found["kept"], [[0.5, 1.0], [0.25, 0.75]])
    assert found["grid"].tolist() == [1, 2]
