"""A broken plugin is named and quarantined while everything else works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_program import add_distribution, add_plugin

from rlvit.catalog import Catalog, build_catalog
from rlvit.cli.main import invoke
from rlvit.errors import UnknownName, UsageProblem
from rlvit.manager import create_plugin_manager

HEAD = """
from rlvit import hookimpl
from rlvit.specs import *

def method(name):
    from rlvit.config import MethodConfig
    presets = tuple(Preset(name, "-", "brief") for name in PRESET_NAMES)
    return MethodSpec(name, "-", "-", "puzzle", MethodConfig, presets, {}, print, print)

def task(name):
    return TaskSpec(name, "puzzle", "-", "-", (), "toy-exam", {}, print)

def metric(name):
    return MetricDef(name, "-", "max", "-")

"""
BROKEN = {
    "raises": ("raise ValueError('no luck\\nat all')", "ValueError: no luck"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "imports": ("import nothing_of_this_name", "ModuleNotFoundError"),
    "wrong-syntax": ("def (", "SyntaxError"),
    "misspelt": ("@hookimpl\ndef rlvit_metods():\n    return []", "no hook named 'rlvit_metods'"),
    "argument": (
        "@hookimpl\ndef rlvit_run_ended(runn):\n    pass",
        "rlvit_run_ended(runn) Argument(s) {'runn'} are declared in the hookimpl",
    ),
    "unmarked": ("def rlvit_metrics():\n    return []", "rlvit_metrics lacks @hookimpl"),
    "no-answer": (
        "@hookimpl\ndef rlvit_metrics():\n    [metric('z')]",
        "TypeError: rlvit_metrics returned None, expected a list",
    ),
    "no-such-need": (
        "@hookimpl\ndef rlvit_selectors():\n"
        "    return [SelectorSpec('z', '-', '-', frozenset({'colour'}), print)]",
        "the selector 'z': needs has colour; expected some of images, reconstruction, tokens",
    ),
    "no-name": (
        "@hookimpl\ndef rlvit_selectors():\n"
        "    return [SelectorSpec('My Selector', '-', '-', frozenset(), print)]",
        "the selector 'My Selector': expected a name of small letters, digits, dashes",
    ),
    "hook-raises": ("@hookimpl\ndef rlvit_tasks():\n    raise KeyError('x')", "KeyError"),
    "hook-exits": ("@hookimpl\ndef rlvit_tasks():\n    raise SystemExit(3)", "SystemExit"),
    "takes-method": (
        "@hookimpl\ndef rlvit_methods():\n    return [method('toy')]",
        "the method 'toy' is already offered by plugin 'toy'",
    ),
    "takes-task": (
        "@hookimpl\ndef rlvit_tasks():\n    return [task('Alpha')]",
        "the task 'Alpha' is already offered by plugin 'toy'",
    ),
    "takes-metric": (
        "@hookimpl\ndef rlvit_metrics():\n    return [metric('toy/weight')]",
        "the metric 'toy/weight' is already offered by plugin 'toy'",
    ),
    "twice": (
        "@hookimpl\ndef rlvit_metrics():\n    return [metric('z'), metric('z')]",
        "offers the metric 'z' twice",
    ),
    "half-good": (
        "@hookimpl\ndef rlvit_methods():\n    return [method('half')]\n"
        "@hookimpl\ndef rlvit_tasks():\n    return [task('Alpha')]",
        "already offered",
    ),
    "no-specs": (
        "@hookimpl\ndef rlvit_tasks():\n    return ['Gamma']",
        "TypeError: rlvit_tasks returned 'Gamma'",
    ),
    "no-list": ("@hookimpl\ndef rlvit_tasks():\n    return 3", "TypeError"),
    "wrong-kind": ("@hookimpl\ndef rlvit_methods():\n    return [metric('half')]", "half"),
}


@pytest.fixture
def catalog_with(
    toy_alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Catalog]:
    """Return what makes the catalogue of the toy plugin and others."""

    def make(**sources: str) -> Catalog:
        site = tmp_path / "others"
        for name, source in sources.items():
            add_plugin(site, name, HEAD + source, module=f"{tmp_path.name}_{name}")
        monkeypatch.syspath_prepend(site)
        return build_catalog(create_plugin_manager())

    return make


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_quarantined_whole(
    name: str, catalog_with: Callable[..., Catalog], capsys: pytest.CaptureFixture[str]
) -> None:
    source, reason = BROKEN[name]
    good = "@hookimpl\ndef rlvit_metrics():\n    return [metric('good')]"
    catalog = catalog_with(zbroken=source, good=good)
    assert list(catalog.problems) == ["zbroken"]
    assert reason in catalog.problems["zbroken"]
    assert "\n" not in catalog.problems["zbroken"]
    assert list(catalog.entries["method"]) == ["toy"]
    assert sorted(catalog.entries["task"]) == ["Alpha", "Beta"]
    assert catalog.entry("metric", "good").owner.name == "good"
    assert invoke(["plugins", "list", "--format", "json"]) == 0
    printed = capsys.readouterr()
    states = {row["plugin"]: row["state"] for row in json.loads(printed.out)}
    assert states == {"toy": "active", "good": "active", "zbroken": "quarantined"}
    (line,) = printed.err.splitlines()
    assert "plugin 'zbroken' is quarantined" in line
    assert invoke(["plugins", "show", "zbroken"]) == 0
    assert "quarantined: " in capsys.readouterr().out
    assert invoke(["--help"]) == 0
    assert invoke(["run", "--plugin", "toy", "--help"]) == 0


def test_an_entry_point_to_nothing_is_quarantined(
    toy_alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_distribution(tmp_path, "empty", {"nowhere": "nothing_here", "half": "json:nothing_here"})
    monkeypatch.syspath_prepend(tmp_path)
    catalog = build_catalog(create_plugin_manager())
    assert sorted(catalog.problems) == ["half", "nowhere"]
    assert list(catalog.entries["method"]) == ["toy"]


def test_the_installed_program_survives_all_broken_plugins_at_once(
    tmp_path: Path, toy_site: Path
) -> None:
    """The plugins that come with rlvit are there too, and keep working."""
    broken = {f"z-{name}": source for name, (source, _) in BROKEN.items()}
    for name, source in broken.items():
        add_plugin(tmp_path, name, HEAD + source)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{toy_site}"}
    script = Path(sys.executable).with_name("rlvit")

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [script, *arguments], env=environment, capture_output=True, text=True, timeout=60
        )

    listed = call("plugins", "list", "--format", "json")
    assert listed.returncode == 0, listed.stderr
    states = {row["plugin"]: row["state"] for row in json.loads(listed.stdout)}
    assert {name for name, state in states.items() if state == "quarantined"} == set(broken)
    assert {"toy", "tasks"} <= {name for name, state in states.items() if state == "active"}
    assert call("--help").returncode == 0


@pytest.mark.parametrize(
    "answer", ["raise ValueError('no')", "return ['x']", "return 3", "return None"]
)
def test_broken_commands_of_a_plugin_do_not_take_the_others_away(
    answer: str, catalog_with: Callable[..., Catalog], capsys: pytest.CaptureFixture[str]
) -> None:
    good = (
        "import click\n@hookimpl\ndef rlvit_commands():\n"
        "    return [click.Command('hello', callback=lambda: click.echo('hi'), help='Greet.')]"
    )
    catalog_with(broken=f"@hookimpl\ndef rlvit_commands():\n    {answer}", good=good)
    assert invoke(["--help"]) == 0
    printed = capsys.readouterr()
    assert "Greet." in printed.out
    assert "plugin 'broken' is quarantined" in printed.err
    assert invoke(["hello"]) == 0
    assert capsys.readouterr().out == "hi\n"
    assert invoke(["plugins", "list"]) == 0


def test_a_command_of_a_plugin_cannot_replace_one_of_ours(
    catalog_with: Callable[..., Catalog], capsys: pytest.CaptureFixture[str]
) -> None:
    source = (
        "import click\n@hookimpl\ndef rlvit_commands():\n"
        "    return [click.Command('runs', callback=lambda: click.echo('taken'))]"
    )
    catalog_with(thief=source)
    assert invoke(["runs", "--help"]) == 0
    assert "List, show" in capsys.readouterr().out


def test_an_option_of_a_method_cannot_replace_one_of_ours(
    catalog_with: Callable[..., Catalog], capsys: pytest.CaptureFixture[str]
) -> None:
    source = (
        "from dataclasses import replace\nfrom rlvit.config import MethodConfig\n"
        "class Config(MethodConfig):\n    seed: int = 3\n\n"
        "@hookimpl\ndef rlvit_methods():\n    return [replace(method('thief'), config=Config)]"
    )
    catalog_with(thief=source)
    assert invoke(["run", "--plugin", "thief", "--puzzle", "Alpha", "--seed", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--seed" in line


def test_a_name_that_is_taken_does_not_harm_its_first_owner(
    toy_alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two distributions use one entry-point name."""
    site = tmp_path / "others"
    add_plugin(site, "toy", HEAD, module="other_toy")
    add_plugin(site, "z", "raise ValueError('z')", module="other_z")
    monkeypatch.syspath_prepend(site)
    catalog = build_catalog(create_plugin_manager())
    names = {info.name for info in catalog.plugins.found if info.name.startswith("toy")}
    assert len(names) == 2, "they are told apart"
    assert list(catalog.problems) == ["z"]
    assert list(catalog.entries["method"]) == ["toy"]
    assert catalog.entry("method", "toy").owner.distribution == "rlvit-toy"


def test_a_module_of_two_distributions_is_offered_once(
    toy_alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, module = tmp_path / "others", f"{tmp_path.name}_shared"
    add_plugin(site, "a-one", HEAD, module=module)
    add_distribution(site, "second", {"b-two": module})
    monkeypatch.syspath_prepend(site)
    catalog = build_catalog(create_plugin_manager())
    reason = "is offered by dist-a-one already, as plugin 'a-one': uninstall one"
    assert catalog.problems == {"b-two": f"ValueError: {module} {reason}"}


def test_names_are_found_in_any_case_and_near_misses_are_suggested(toy: Catalog) -> None:
    assert toy.method("TOY").name == "toy"
    assert toy.task("alpha", "puzzle").name == "Alpha"
    assert toy.entry("selector", "Toy-Pick").spec.name == "toy-pick"
    with pytest.raises(UnknownName, match=r"unknown plugin 'tuy'\. Did you mean 'toy'\?"):
        toy.method("tuy")
    with pytest.raises(UnknownName, match=r"unknown puzzle 'Bta'\. Did you mean 'Beta'\?"):
        toy.task("Bta", "puzzle")
    with pytest.raises(UnknownName, match=r"unknown game 'Alpha'\. There are none\."):
        toy.task("Alpha", "game")
    with pytest.raises(UnknownName, match=r"unknown metric 'qqqqqqqqqq'\. Known: toy/length, "):
        toy.entry("metric", "qqqqqqqqqq")


def test_parts_must_fit_together(toy: Catalog) -> None:
    method = toy.method("toy")
    parts = toy.parts(method, {"reward": "toy-half"})
    assert {slot: part.name for slot, part in parts.items()} == {
        "backbone": "toy-eye",
        "selector": "toy-pick",
        "reward": "toy-half",
    }
    with pytest.raises(UsageProblem, match=r"'toy-needy' needs reconstruction, which .*'toy-eye'"):
        toy.parts(method, {"selector": "toy-needy"})
    with pytest.raises(UnknownName, match=r"unknown slot of toy 'selectr'\."):
        toy.parts(method, {"selectr": "toy-pick"})


def test_every_protocol_is_listed_once(toy: Catalog) -> None:
    assert [protocol.name for protocol in toy.protocols()] == ["official", "brief"]


def test_what_a_plugin_offers_is_shown(toy_alone: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["plugins", "show", "toy"]) == 0
    out = capsys.readouterr().out
    for text in ("rlvit-toy 1.0", "method toy", "--preset quick", "task Beta", "toy/score"):
        assert text in out


def test_a_method_without_the_four_presets_is_quarantined(
    catalog_with: Callable[..., Catalog],
) -> None:
    source = (
        "from rlvit.config import MethodConfig\n"
        "@hookimpl\ndef rlvit_methods():\n"
        "    presets = (Preset('quick', '-', 'brief'),)\n"
        "    return [MethodSpec('few', '', '', 'puzzle', MethodConfig, presets, {}, print, print)]"
    )
    catalog = catalog_with(few=source)
    assert "lacks the presets ['official-code', 'paper', 'recommended']" in catalog.problems["few"]
