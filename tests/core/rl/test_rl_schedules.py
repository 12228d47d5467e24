"""Schedules at their corners."""

import math

import pytest

from rlvit.rl.schedules import exponential, linear, warmup_cosine


@pytest.mark.parametrize(
    ("step", "value"), [(0, 0.4), (1600, 0.4), (50_800, 0.7), (100_000, 1.0), (200_000, 1.0)]
)
def test_linear(step: int, value: float) -> None:
    assert linear(step, 1600, 100_000, 0.4, 1.0) == pytest.approx(value, abs=1e-12)


def test_linear_falls_too() -> None:
    assert linear(25, 0, 100, 1.0, 0.0) == 0.75


def test_linear_without_length_is_a_jump() -> None:
    assert [linear(step, 400, 400, 1.0, 0.0) for step in (399, 400, 401)] == [1.0, 0.0, 0.0]


def test_linear_ends_exactly() -> None:
    assert linear(7, 0, 7, 0.1, 0.3) == 0.3
    assert linear(0, 0, 7, 0.1, 0.3) == 0.1


def test_linear_refuses_to_run_backwards() -> None:
    with pytest.raises(ValueError, match="before it starts"):
        linear(0, 10, 5, 0.0, 1.0)


@pytest.mark.parametrize(
    ("progress", "value"),
    [(0, 0.0), (2.5, 1.0), (5, 2.0), (16.25, 1.7071068), (27.5, 1.0), (50, 0.0), (60, 0.0)],
)
def test_warmup_cosine(progress: float, value: float) -> None:
    assert warmup_cosine(progress, 5, 50, 2.0) == pytest.approx(value, abs=1e-7)


def test_warmup_may_be_absent() -> None:
    assert warmup_cosine(0, 0, 10, 3.0) == 3.0


@pytest.mark.parametrize(("warmup", "total"), [(5, 5), (6, 5), (-1, 5)])
def test_warmup_cosine_refuses_nonsense(warmup: float, total: float) -> None:
    with pytest.raises(ValueError, match="warmup < total"):
        warmup_cosine(0, warmup, total, 1.0)


@pytest.mark.parametrize(
    ("step", "value"),
    [(0, 1.0), (20_000, 0.01 + 0.99 / math.e), (39_100, 0.1501488), (1e9, 0.01)],
)
def test_exponential(step: float, value: float) -> None:
    assert exponential(step, 1.0, 0.01, 20_000) == pytest.approx(value, abs=1e-6)


def test_exponential_rises_too() -> None:
    assert exponential(0, 0.0, 2.0, 5.0) == 0.0
    assert exponential(5 * math.log(4), 0.0, 2.0, 5.0) == pytest.approx(1.5)


@pytest.mark.parametrize("decay", [0.0, -1.0, math.nan])
def test_exponential_refuses_a_decay_that_is_none(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        exponential(1, 1.0, 0.0, decay)
