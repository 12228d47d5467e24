"""What `rlvit plugins show` says of the built-in methods can be typed as it is, and runs."""

from __future__ import annotations

import shlex
from typing import Any

import click
import pytest

from rlvit.catalog import Catalog, build_catalog
from rlvit.cli.main import cli
from rlvit.cli.method_options import PREFIX, SLOT, pick
from rlvit.manager import create_plugin_manager
from rlvit.specs import Experiment, MethodSpec
from rlvit.testing.surroundings import plan_experiment

METHODS = ("spirl", "de-rainbow", "rl4dvit", "agentvit", "glimpse")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog(create_plugin_manager())


def parsed(words: list[str]) -> dict[str, Any]:
    """Return what `rlvit run` is given."""
    run = cli.get_command(click.Context(cli), "run")
    assert run is not None
    return run.make_context("run", words).params


def runs_of(method: MethodSpec) -> list[Experiment]:
    return [one for one in method.experiments if one.preset]


@pytest.mark.parametrize("name", METHODS)
def test_every_listed_command_gives_its_experiment(catalog: Catalog, name: str) -> None:
    method = catalog.method(name)
    assert len(runs_of(method)) >= 5
    for one in runs_of(method):
        words = shlex.split(one.command(method))
        assert words[:2] == ["rlvit", "run"]
        given = parsed(words[2:])
        assert given["plugin"] == name
        assert pick(given, PREFIX) == one.values
        assert pick(given, SLOT) == one.slots
        assert (given["preset"], given["protocol"] or "") == (one.preset, one.protocol)
        assert given["task"] == (one.task or method.task_kind.upper())


@pytest.mark.parametrize("name", METHODS)
def test_every_listed_command_makes_a_plan(catalog: Catalog, name: str) -> None:
    method = catalog.method(name)
    for one in runs_of(method):
        plan = plan_experiment(catalog, method, one, None)
        assert plan.slots == {**method.slots, **plan.preset.slots, **one.slots}
        assert plan.protocol.name == (one.protocol or plan.preset.protocol)
        assert one.task in ("", plan.task.name)


@pytest.mark.parametrize("name", METHODS)
def test_what_stays_published_says_why(catalog: Catalog, name: str) -> None:
    without = [one for one in catalog.method(name).experiments if not one.preset]
    assert without
    assert all(one.note and not one.command(catalog.method(name)) for one in without)
