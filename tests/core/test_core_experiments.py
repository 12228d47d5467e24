"""A listed experiment is a command that can be copied, or says why there is none."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from toy_program import add_plugin

from rlvit.catalog import Catalog, build_catalog
from rlvit.cli.experiments import listing
from rlvit.cli.main import cli, invoke
from rlvit.cli.method_options import PREFIX, SLOT, pick
from rlvit.manager import create_plugin_manager
from rlvit.specs import Experiment, MethodSpec

WHOLE = Experiment(
    "as many as there are",
    "Table 3",
    "official-code",
    {"rate": 0.25, "noisy": False, "mode": "sum", "steps": 7},
    {"reward": "toy-half"},
    protocol="brief",
    task="Beta",
    note="mind the bound",
)
COPIED = Experiment("what others do", "Fig. 1", note="it is not here")


def with_experiments(toy: Catalog, *experiments: Experiment) -> MethodSpec:
    return replace(toy.method("toy"), experiments=experiments)


def test_the_command_says_all_that_the_experiment_says(toy: Catalog) -> None:
    method = with_experiments(toy, WHOLE)
    command = WHOLE.command(method)
    assert command == (
        "rlvit run --plugin toy --preset official-code --protocol brief --reward toy-half "
        "--rate 0.25 --no-noisy --mode sum --steps 7 --puzzle Beta"
    )
    run = cli.get_command(click.Context(cli), "run")
    assert run is not None
    given: dict[str, Any] = run.make_context("run", shlex.split(command)[2:]).params
    assert pick(given, PREFIX) == WHOLE.values
    assert pick(given, SLOT) == WHOLE.slots
    assert (given["preset"], given["protocol"]) == (WHOLE.preset, WHOLE.protocol)
    assert given["task"] == "Beta"


def test_a_task_to_choose_is_in_capitals(toy: Catalog) -> None:
    one = Experiment("any", "Table 1", "paper", {"noisy": True})
    command = one.command(with_experiments(toy, one))
    assert command == "rlvit run --plugin toy --preset paper --noisy --puzzle PUZZLE"


def test_without_a_preset_there_is_no_command(toy: Catalog) -> None:
    assert COPIED.command(with_experiments(toy, COPIED)) == ""


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"name": ""}, "name: expected text, got ''"),
        ({"reproduces": None}, "reproduces: expected text, got None"),
        ({"preset": 3}, "preset: expected text, got 3"),
        ({"preset": "", "note": "-"}, "'x' has options and no preset"),
        ({"preset": "", "values": {}}, "'x' has no preset; expected a note that says why"),
        ({"values": {"steps": None}}, "'x': steps is None; expected what can be typed"),
        ({"slots": {"reward": ("a",)}}, r"'x': reward is \('a',\); expected what can be typed"),
    ],
)
def test_what_would_mislead_is_refused(given: dict[str, Any], reason: str) -> None:
    good = {"name": "x", "reproduces": "Table 1", "preset": "paper", "values": {"steps": 1}}
    Experiment(**good)
    with pytest.raises(ValueError, match=reason):
        Experiment(**{**good, **given})


def test_two_experiments_of_one_name_are_refused(toy: Catalog) -> None:
    with pytest.raises(ValueError, match="method 'toy' has two experiments 'what others do'"):
        with_experiments(toy, COPIED, replace(COPIED, reproduces="Fig. 2"))


def test_the_listing_has_table_name_command_and_note(toy: Catalog) -> None:
    assert list(listing(with_experiments(toy, WHOLE, COPIED))) == [
        "",
        "  experiments",
        "  Table 3  as many as there are",
        "             " + WHOLE.command(toy.method("toy")),
        "           mind the bound",
        "  Fig. 1   what others do; published numbers only: it is not here",
    ]
    assert list(listing(toy.method("toy"))) == []


def test_a_task_to_choose_is_explained(toy: Catalog) -> None:
    method = with_experiments(toy, replace(WHOLE, task=""), COPIED)
    assert list(listing(method))[1] == "  experiments (PUZZLE is yours to choose)"


@pytest.mark.parametrize("columns", [30, 50, 80])
def test_text_is_folded_to_the_terminal_and_commands_are_not(
    columns: int, toy: Catalog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = replace(WHOLE, reproduces="the appendix of another paper", note="mind the bound " * 9)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    method = with_experiments(toy, long, replace(COPIED, note="it is not here " * 9))
    lines = list(listing(method))
    command = long.command(method)
    (whole,) = [line for line in lines if command in line]
    assert whole == "    " + command, "further to the left, since it does not fit"
    most = max(columns, 24 + 4 + 20)  # the first column, the gaps, the least that is left
    assert all(len(line) <= most for line in lines if line != whole)
    assert " ".join(" ".join(lines).split()).count("mind the bound") == 9


PLUGIN = """
from rlvit import hookimpl
from rlvit.config import MethodConfig
from rlvit.specs import PRESET_NAMES, Experiment, MethodSpec, Preset

@hookimpl
def rlvit_methods():
    presets = tuple(Preset(name, "-", "brief") for name in PRESET_NAMES)
    tried = ({experiment},)
    return [
        MethodSpec("own", "-", "-", "puzzle", MethodConfig, presets, {{}}, print, print,
                   experiments=tried)
    ]
"""


@pytest.mark.parametrize(
    ("experiment", "shown"),
    [
        (
            "Experiment('plain', 'Table 1', 'paper')",
            "    rlvit run --plugin own --preset paper --puzzle PUZZLE",
        ),
        (
            "Experiment('plain', 'Table 1')",
            "quarantined: ValueError: the experiment 'plain' has no preset",
        ),
        ("'plain'", "quarantined: AttributeError"),
    ],
    ids=["good", "refused", "no experiment"],
)
def test_plugins_show_prints_them_or_why_not(
    experiment: str,
    shown: str,
    toy_alone: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_plugin(tmp_path, "own", PLUGIN.format(experiment=experiment), module=f"{tmp_path.name}_own")
    monkeypatch.syspath_prepend(tmp_path)
    assert "toy" in build_catalog(create_plugin_manager()).entries["method"]
    assert invoke(["plugins", "show", "own"]) == 0
    assert shown in capsys.readouterr().out
