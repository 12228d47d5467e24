"""How fast a stage is said to be, and how long it will take, by a clock that the test sets."""

from __future__ import annotations

import math

import pytest

from rlvit.cli import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    now = {"time": 1000.0}
    monkeypatch.setattr(progress.time, "monotonic", lambda: now["time"])
    return now


def test_the_speed_is_that_of_the_last_minute(clock: dict[str, float]) -> None:
    rate = progress.Rate(10_000)
    for second in range(101):  # slowly: one a second
        clock["time"] = 1000.0 + second
        speed, left = rate.at(second)
    assert (speed, left) == (1.0, 9_900.0)
    for second in range(1, 61):  # then ten a second, for a minute
        clock["time"] = 1100.0 + second
        speed, left = rate.at(100 + 10 * second)
    assert speed == pytest.approx(10)
    assert left == pytest.approx(930)


def test_many_units_a_second_are_counted(clock: dict[str, float]) -> None:
    rate = progress.Rate(1_000_000)
    for unit in range(10_001):
        clock["time"] = 1000.0 + unit / 100
        speed, left = rate.at(unit)
    assert speed == pytest.approx(100)
    assert left == pytest.approx(9_900)
    assert len(rate._marks) <= 62


def test_units_longer_than_a_minute_have_the_speed_of_the_last(clock: dict[str, float]) -> None:
    rate = progress.Rate(5)
    assert rate.at(0) == (0.0, math.inf)
    for unit, end in enumerate((200.0, 500.0, 600.0), 1):
        clock["time"] = 1000.0 + end
        speed, left = rate.at(unit)
    assert speed == pytest.approx(1 / 100)
    assert left == pytest.approx(200)
    clock["time"] += 50  # between two units the time left goes down
    assert rate.at(3) == (speed, pytest.approx(150))


def test_a_resumed_stage_does_not_begin_at_zero(clock: dict[str, float]) -> None:
    rate = progress.Rate(1_000)
    rate.at(900)
    clock["time"] += 10
    assert rate.at(950) == (5.0, 10.0)
