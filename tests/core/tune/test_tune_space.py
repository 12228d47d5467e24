"""Ranges: declared with the configuration, narrowed and added to by the user, refused if wrong."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from rlvit.config import MethodConfig, Search, options, setting
from rlvit.errors import UnknownName, UsageProblem
from rlvit.tune.space import Range, declared, make_space, parse_fixed, parse_space

KNOWN = {"help": "h", "unit": "-", "source": "s", "group": "g"}


class Config(MethodConfig):
    """One field of each kind."""

    lr: float = setting(1e-3, gt=0, aliases=("eta",), search=Search(1e-5, 1e-2, log=True), **KNOWN)
    dim: int = setting(64, ge=8, le=512, search=Search(16, 128, step=16), **KNOWN)
    mode: Literal["a", "b", "c"] = setting("a", search=Search(), **KNOWN)
    flip: bool = setting(False, **KNOWN)
    keep: float | None = setting(None, gt=0, le=1, search=Search(choices=(0.25, 0.5)), **KNOWN)
    n_steps: int = setting(3, ge=1, **KNOWN)


def test_a_declaration_serves_options_and_studies() -> None:
    found = {info.field: info.search for info in options(Config)}
    assert found["lr"] == Search(1e-5, 1e-2, log=True)
    assert found["flip"] is None
    assert declared(Config) == {
        "lr": Range("lr", low=1e-5, high=1e-2, log=True),
        "dim": Range("dim", whole=True, low=16, high=128, step=16),
        "mode": Range("mode", choices=("a", "b", "c")),
        "keep": Range("keep", choices=(0.25, 0.5)),
    }


@pytest.mark.parametrize(
    ("search", "limits", "message"),
    [
        ({"low": 0.0, "high": 1.0}, {"gt": 0}, "0.0 is not gt 0"),
        ({"low": 0.5, "high": 2.0}, {"le": 1}, "2.0 is not le 1"),
        ({"choices": (0.5, 3)}, {"lt": 3}, "3 is not lt 3"),
    ],
)
def test_a_declared_range_keeps_within_its_fields_limits(
    search: dict[str, Any], limits: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        setting(0.5, search=Search(**search), **limits, **KNOWN)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"low": 1.0}, "two ends"),
        ({"low": 2.0, "high": 1.0}, "has to be below"),
        ({"low": 0.0, "high": 1.0, "log": True}, "above 0"),
        ({"low": 1.0, "high": 2.0, "log": True, "step": 0.1}, "no logarithm"),
        ({"low": 1.0, "high": 2.0, "choices": (1, 2)}, "not both"),
        ({"choices": (1, 1)}, "twice"),
        ({"log": True}, "two ends"),
        ({"low": 0.0, "high": float("inf")}, "finite"),
    ],
)
def test_what_is_no_range_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Search(**given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=1e-5..1e-3:log", Range("lr", low=1e-5, high=1e-3, log=True)),
        ("eta=0.1..0.2", Range("lr", low=0.1, high=0.2)),
        ("n-steps=1..10", Range("n_steps", whole=True, low=1, high=10)),
        ("dim = 32..64:16", Range("dim", whole=True, low=32, high=64, step=16)),
        ("keep=0.15,0.2, 0.25", Range("keep", choices=(0.15, 0.2, 0.25))),
        ("mode=a,c", Range("mode", choices=("a", "c"))),
        ("flip=yes,no", Range("flip", choices=(True, False))),
    ],
)
def test_ranges_are_read(text: str, expected: Range) -> None:
    found = parse_space(Config, [text])
    assert found == {expected.field: expected}
    assert Range.of(expected.field, expected.plain()) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr", "expected NAME=LOW"),
        ("lr=", "expected NAME=LOW"),
        ("lr=1..x", "'x' is no number"),
        ("lr=2..1", "has to be below"),
        ("lr=0..1", "greater than 0"),
        ("dim=4..64", "greater than or equal to 8"),
        ("n_steps=1.5..3", "whole numbers"),
        ("mode=1..2", "mode is no number"),
        ("mode=a,z", "mode z"),
        ("keep=0.5", "--fix sets a value"),
        ("keep=0.5,1.5", "less than or equal to 1"),
    ],
)
def test_ranges_that_cannot_be_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        parse_space(Config, [text])


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'keep'"):
        parse_space(Config, ["kep=0.1,0.2"])
    with pytest.raises(UnknownName, match="Did you mean 'mode'"):
        parse_fixed(Config, ["mod=a"])
    with pytest.raises(UsageProblem, match="already"):
        parse_space(Config, ["lr=0.1,0.2", "eta=0.1..0.2"])


def test_the_users_ranges_replace_the_declared_ones() -> None:
    space = make_space(Config, ["lr=1e-4..1e-3:log", "flip=yes,no"], {"dim": 64})
    assert list(space) == ["flip", "keep", "lr", "mode"]
    assert space["lr"].high == 1e-3
    assert list(make_space(Config, ["flip=yes,no"], {}, only=True)) == ["flip"]
    with pytest.raises(UsageProblem, match="nothing to search"):
        make_space(Config, [], {}, only=True)
    with pytest.raises(UsageProblem, match="dim has a range"):
        make_space(Config, ["dim=16,32"], {"dim": 64})
    assert parse_fixed(Config, ["eta=0.1", "flip=no", "mode=b"]) == {
        "lr": 0.1,
        "flip": False,
        "mode": "b",
    }


def test_ranges_are_optunas_distributions() -> None:
    space = declared(Config)
    assert space["lr"].distribution == FloatDistribution(1e-5, 1e-2, log=True)
    assert space["dim"].distribution == IntDistribution(16, 128, step=16)
    assert space["mode"].distribution == CategoricalDistribution(("a", "b", "c"))
    assert space["lr"].holds(1e-5)
    assert not space["lr"].holds(1e-6)
    assert not space["dim"].holds(24)
    assert not space["mode"].holds("z")
    assert not Range("flip", choices=(True, False)).holds(1)
    assert space["dim"].grid() == [16, 32, 48, 64, 80, 96, 112, 128]
    assert Range("c", low=0.0, high=0.3, step=0.1).grid() == pytest.approx([0.0, 0.1, 0.2, 0.3])
