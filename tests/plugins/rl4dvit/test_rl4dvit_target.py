"""The controller of alpha: the formula, the integral, and its checkpoint."""

from __future__ import annotations

import math

import pytest

from rlvit_rl4dvit.rewards import fixed_point
from rlvit_rl4dvit.target import TargetKeep


def test_begins_at_the_formula() -> None:
    control = TargetKeep(131.0, 1.0, 24.0, accuracy=0.819)
    assert control.alpha == pytest.approx(0.15, rel=1e-3)
    assert fixed_point(0.819, control.alpha, 1.0, 24.0) == pytest.approx(131.0)


def test_follows_the_accuracy() -> None:
    control = TargetKeep(100.0, 2.0, 24.0, accuracy=0.8, memory=0.5)
    control.observe(0.4, 100.0)
    assert control.accuracy == pytest.approx(0.6)
    assert control.alpha == pytest.approx(2 * 24 * 0.6 / 100)


def test_integrates_the_relative_error() -> None:
    control = TargetKeep(100.0, 1.0, 24.0, accuracy=0.8, gain=0.1)
    before = control.alpha
    assert control.observe(0.8, 200.0) == pytest.approx(before * 2**0.1)
    control.observe(0.8, 200.0)
    assert control.alpha == pytest.approx(before * 4**0.1)
    control.observe(0.8, 25.0)
    assert control.alpha == pytest.approx(before)


def test_the_correction_is_bounded_even_if_nothing_survives() -> None:
    control = TargetKeep(100.0, 1.0, 24.0, accuracy=0.8, gain=1.0)
    before = control.alpha
    for _ in range(50):
        control.observe(0.8, 0.0)
    assert control.alpha == pytest.approx(before / 10)
    for _ in range(50):
        control.observe(0.8, 196.0)
    assert control.alpha == pytest.approx(before * 10)


def test_finds_the_price_of_a_response_that_the_formula_misses() -> None:
    control = TargetKeep(80.0, 1.0, 24.0, accuracy=0.8)
    for _ in range(400):
        control.observe(0.8, 0.7 * fixed_point(0.8, control.alpha, 1.0, 24.0))
    assert control.correction == pytest.approx(math.log(0.7), abs=0.01)


def test_a_restored_controller_goes_on_alike() -> None:
    first, second = (TargetKeep(100.0, 1.0, 24.0, accuracy=0.8) for _ in range(2))
    first.observe(0.6, 150.0)
    second.restore(first.state())
    assert first.observe(0.7, 120.0) == second.observe(0.7, 120.0)


@pytest.mark.parametrize(("target", "accuracy"), [(0.0, 0.8), (100.0, 0.0), (100.0, 1.5)])
def test_impossible_values_are_refused(target: float, accuracy: float) -> None:
    with pytest.raises(ValueError, match="need target"):
        TargetKeep(target, 1.0, 24.0, accuracy=accuracy)
