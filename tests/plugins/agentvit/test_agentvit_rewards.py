"""Rewards by hand, with the notebook's 30 of 64 patches."""

from __future__ import annotations

import pytest
import torch

from rlvit_agentvit.rewards import log_likelihood, loss_ratio, patch_term, reward


def test_loss_ratio_by_hand() -> None:
    now = torch.tensor([4.0, 2.0, 0.5])
    assert loss_ratio(torch.tensor(2.0), now).tolist() == [0.5, 1.0, 4.0]


def test_log_likelihood_by_hand_and_bounded() -> None:
    now = torch.tensor([4.0, 2.0, 0.5, 0.0])
    assert log_likelihood(torch.tensor(2.0), now).tolist() == [-2.0, -1.0, -0.25, 0.0]
    assert loss_ratio(torch.tensor(2.0), now)[-1].isinf()


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(30, 0.0), (64, -1.0), (47, -0.5), (13, -0.5), (32, -2 / 34), (0, -30 / 34)],
)
def test_patch_term_by_hand(kept: int, expected: float) -> None:
    assert patch_term(torch.tensor([kept]), 64, 30).tolist() == pytest.approx([expected])
    assert patch_term(torch.tensor(float(kept)), 64, 30).item() == pytest.approx(expected)


def test_patch_term_keeps_the_shape() -> None:
    assert patch_term(torch.full((3, 2), 30), 64, 30).tolist() == [[0.0, 0.0]] * 3


@pytest.mark.parametrize("desired", [0, -1, 64, 65])
def test_patch_term_refuses_what_leaves_nothing_to_drop_or_keep(desired: int) -> None:
    with pytest.raises(ValueError, match=r"must be in 1\.\.63"):
        patch_term(torch.tensor([10]), 64, desired)


def test_reward_by_hand() -> None:
    terms = torch.tensor([2.0, 0.5]), torch.tensor([-0.5, 0.0])
    assert reward(*terms, alpha=0.25).tolist() == [0.125, 0.125]
    assert reward(*terms, alpha=1.0).tolist() == [2.0, 0.5]
    assert reward(*terms, alpha=0.0).tolist() == [-0.5, 0.0]


def test_the_notebooks_weights_are_an_alpha_of_one_in_21() -> None:
    loss, patches = torch.tensor([0.7, 1.3, 8.0]), torch.tensor([-1.0, -0.2, 0.0])
    torch.testing.assert_close(21 * reward(loss, patches, 1 / 21), loss + 20 * patches)


def test_a_whole_reward_by_hand() -> None:
    ratio = loss_ratio(torch.tensor(2.3), torch.tensor([1.15]))  # 2
    patches = patch_term(torch.tensor([47]), 64, 30)  # -1/2
    assert (21 * reward(ratio, patches, 1 / 21)).tolist() == pytest.approx([-8.0])
