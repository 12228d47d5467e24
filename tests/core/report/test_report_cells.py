"""How numbers are written, and what files and footnotes are called."""

from __future__ import annotations

import pytest

from rlvit.report.cells import MINUS, Notes, between, decimals, number, significant, slug

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (557.94, 412.3, 703.6, "558 [412, 704]"),
        (79.431, 79.05, 79.81, "79.43 [79.05, 79.81]"),  # half-width 0.38: two digits
        (0.63012, 0.611, 0.652, "0.630 [0.611, 0.652]"),
        (1234567.8, 1.1e6, 1.4e6, "1,234,568 [1,100,000, 1,400,000]"),
        (-1.2, -1.94, -0.46, "~1.20 [~1.94, ~0.46]"),
        (-0.001, -4.0, 4.0, "0.0 [~4.0, 4.0]"),  # no minus before a zero
    ],
)
def test_interval_decides_how_many_digits(value: float, low: float, high: float, text: str) -> None:
    places = decimals(value, low, high)
    assert f"{number(value, places)} {between(low, high, places)}" == text.replace("~", MINUS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NAN, "NaN"),
        (INF, "∞"),
        (-INF, f"{MINUS}∞"),
        (0.0, "0"),
        (20.0, "20"),
        (0.123456, "0.1235"),
        (1e-9, "1.00e-09"),
        (2e17, "2.00e+17"),
    ],
)
def test_number_without_an_interval(value: float, text: str) -> None:
    assert number(value, decimals(value, None, None)) == text


def test_digits_of_counts() -> None:
    assert number(1234.5, significant(1234.5, 3)) == "1,234"
    assert number(2.0, significant(2.0, 3)) == "2.00"
    assert number(0.0123456, significant(0.0123456, 3)) == "0.0123"


def test_slugs_are_safe_and_tell_unusual_names_apart() -> None:
    assert slug("MsPacman", "atari100k-spirl") == "mspacman--atari100k-spirl"
    odd = {
        slug("数字", "p"),
        slug("数据", "p"),
        slug("../../x", "p"),
        slug("x", "p"),
        slug("a" * 300),
    }
    assert len(odd) == 5
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in odd)
    assert max(map(len, odd)) < 100


def test_footnote_marks_go_on_after_z() -> None:
    notes = Notes()
    marks = [notes.mark(f"note {i}") for i in range(54)]
    assert (marks[0], marks[25], marks[26], marks[53]) == ("a", "z", "aa", "bb")
    assert notes.mark("note 3") == "d"
