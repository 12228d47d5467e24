"""Whole plugins: those that break a rule, those that are refused, and what rlvit brings itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_program import Program, add_plugin

from rlvit.catalog import Catalog, build_catalog
from rlvit.cli.main import invoke
from rlvit.compatibility import refusal
from rlvit.errors import UnknownName
from rlvit.manager import create_plugin_manager
from rlvit.testing import TrackerSuite, check_plugin, findings
from rlvit.testing.suite import checked

HEAD = """from rlvit import hookimpl
from rlvit.specs import *

RLVIT_API = ">=1,<2"

"""
ONE_METRIC = "@hookimpl\ndef rlvit_metrics():\n    return {}[MetricDef('b/c', '-', 'max', '-')]{}\n"
CALLING = """
import contextlib, socket

@hookimpl
def rlvit_metrics():
    with contextlib.suppress(OSError):
        socket.create_connection(("rlvit.invalid", 80), timeout=1)
    return [MetricDef('b/c', '-', 'max', '-')]
"""
PUBLISHED = """
@hookimpl
def rlvit_published():
    return [PublishedResult('A', 't', '', 'nobody/knows', 1.0, None, 1, 'Table 1', 'B', 'verified')]
"""
COMMAND = "import click\n@hookimpl\ndef rlvit_commands():\n    return [click.Command('silent')]\n"
TRACKER = "@hookimpl\ndef rlvit_run_logged(run, rows):\n    print(rows[0])\n"
BAD = {
    "loads": ("raise ValueError('no luck')", "ValueError: no luck"),
    "hooks return declared types": (ONE_METRIC.format("iter(", ")"), "rlvit_metrics returned"),
    "commands have help": (COMMAND, "the command 'silent' has no help"),
    "published numbers have declared metrics": (PUBLISHED, "the metric 'nobody/knows'"),
    "torch is not imported": (
        "import numpy\n" + ONE_METRIC.format("", ""),
        "loading it imports numpy",
    ),
    "imports public modules only": (
        ONE_METRIC.format("", "")
        + "def later():\n    from rlvit.registry import store\n    return store\n",
        "imports rlvit.registry, which is not public",
    ),
    "no network": (CALLING, "it asked for rlvit.invalid"),
    "accepts an empty run": (TRACKER, "IndexError"),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose plugins are seen by this process and those that it starts."""
    folder = tmp_path / "others"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def here() -> Catalog:
    return build_catalog(create_plugin_manager())


@pytest.mark.parametrize("rule", BAD)
def test_a_bad_plugin_breaks_its_rule_alone(
    rule: str, toy_alone: None, site: Path, tmp_path: Path
) -> None:
    source, reason = BAD[rule]
    add_plugin(site, "bad", HEAD + source, module=f"{tmp_path.name}_bad")
    found = list(findings(checked(TrackerSuite, "bad", here(), None)))
    broken = {one.rule: one.why for one in found if one.state == "failed"}
    if rule == "loads":  # nor can it be imported anywhere else
        broken.pop("torch is not imported", None)
    assert list(broken) == [rule], broken
    assert reason in broken[rule]


def test_a_plugin_may_not_import_another_distribution(
    toy_alone: None, site: Path, tmp_path: Path
) -> None:
    add_plugin(site, "other", HEAD, module=f"{tmp_path.name}_other")
    source = f"def later():\n    import {tmp_path.name}_other as other\n    return other\n"
    source += ONE_METRIC.format("", "")
    add_plugin(site, "bad", HEAD + source, module=f"{tmp_path.name}_bad")
    found = list(findings(checked(TrackerSuite, "bad", here(), None)))
    broken = {one.rule: one.why for one in found if one.state == "failed"}
    assert list(broken) == ["imports public modules only"]
    assert "of the plugin 'other'" in broken["imports public modules only"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "_bad has no function marked with @hookimpl"),
        ("def rlvit_hello():\n    return []\n", "rlvit_hello lacks @hookimpl: it is never called"),
        ("@hookimpl\ndef rlvit_metrics():\n    return []\n", "its hooks return nothing"),
    ],
)
def test_a_plugin_that_offers_nothing_is_told_so(
    source: str, reason: str, toy_alone: None, site: Path, tmp_path: Path
) -> None:
    add_plugin(site, "bad", HEAD + source, module=f"{tmp_path.name}_bad")
    found = list(findings(checked(TrackerSuite, "bad", here(), None)))
    broken = {one.rule: one.why for one in found if one.state == "failed"}
    assert list(broken) == ["offers something"]
    assert reason in broken["offers something"]


def test_a_plugin_without_a_range_is_told(toy_alone: None) -> None:
    found = {one.rule: one for one in findings(checked(TrackerSuite, "toy", here(), None))}
    assert found["states its api range"].state == "skipped"
    assert "RLVIT_API" in found["states its api range"].why


@pytest.mark.parametrize("name", ["controls", "mlflow"])
def test_what_comes_with_rlvit_keeps_the_rules(name: str) -> None:
    found = list(check_plugin(here(), name))
    assert {one.rule: one.why for one in found if one.state == "failed"} == {}
    assert sum(one.state == "ok" for one in found) >= 8


@pytest.mark.parametrize(
    "name", [info.name for info in here().plugins.found if info.distribution == "rlvit"]
)
def test_every_plugin_of_rlvit_keeps_the_rules_for_plugins(name: str) -> None:
    found = list(findings(checked(TrackerSuite, name, here(), None)))
    broken = {one.rule: one.why for one in found if one.state == "failed"}
    assert broken == {}


def test_rewards_and_evaluators_of_rlvit_keep_the_rules() -> None:
    from rlvit.testing import EvaluatorSuite, RewardSuite

    catalog = here()
    for suite in (RewardSuite, EvaluatorSuite):
        for name in catalog.entries[suite.kind]:
            found = list(findings(checked(suite, name, catalog, None)))
            assert [one.why for one in found if one.state == "failed"] == []


def test_check_prints_a_table_and_fails_where_a_rule_does(program: Program, tmp_path: Path) -> None:
    whole = program("plugins", "check", "toy", "--format", "csv")
    assert whole.code == 1  # its selectors are nothing
    lines = whole.out.splitlines()
    assert lines[0] == "part,rule,state,seconds,why"
    assert any(line.startswith("method toy,resume is exact,ok,") for line in lines)
    assert any(line.startswith("method toy,runs in under a minute,ok,") for line in lines)
    assert any(line.startswith("reward toy-half,finite,ok,") for line in lines)
    unknown = program("plugins", "check", "tou")
    assert unknown.code == 2
    assert unknown.errors == ["Error: unknown plugin 'tou'. Did you mean 'toy'?"]


# The API range.


def states(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    assert invoke(["plugins", "list", "--format", "json"]) == 0
    return {row["plugin"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        (">=2,<3", "written for the plugin API >=2,<3, and this rlvit has 1.1: a newer rlvit is"),
        ("<1", "written for the plugin API <1, and this rlvit has 1.1; changed since: 1.0: The"),
        ("1.0", "RLVIT_API is '1.0'; expected a range such as '>=1,<2'"),
        ("", "RLVIT_API is ''; expected a range"),
    ],
)
def test_a_plugin_for_another_api_is_quarantined(
    stated: str,
    reason: str,
    toy_alone: None,
    site: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = HEAD.replace(">=1,<2", stated)
    add_plugin(site, "other", source, module=f"{tmp_path.name}_other")
    add_plugin(site, "fine", HEAD, module=f"{tmp_path.name}_fine")
    found = states(capsys)
    assert found["other"]["state"] == "quarantined"
    assert found["other"]["why"].startswith("ValueError: ")
    assert reason in found["other"]["why"]
    assert found["other"]["api"] == (stated or "-")
    assert found["fine"] == {
        "plugin": "fine",
        "version": "dist-fine 1.0",
        "api": ">=1,<2",
        "hooks": "-",
        "state": "active",
        "why": "-",
    }
    assert found["toy"]["state"] == "active"


def test_a_plugin_that_cannot_be_imported_for_want_of_a_newer_api_says_so(
    toy_alone: None, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = 'RLVIT_API = ">=3"\nfrom rlvit.specs import NotThereYet\n'
    add_plugin(site, "other", source, module=f"{tmp_path.name}_other")
    state = states(capsys)["other"]["why"]
    assert "a newer rlvit is needed" in state
    assert "NotThereYet" not in state


@pytest.mark.parametrize(
    ("stated", "current", "refused"),
    [
        (">=1,<2", (1, 0), False),
        (">=1,<2", (1, 7), False),
        (">=1.3,<2", (1, 2), True),
        (">=1.3, <2", (1, 3), False),
        (">=1,<2", (2, 0), True),
        ("==1.2", (1, 2), False),
        ("==1.2", (1, 3), True),
        (">1,<=1.4", (1, 4), False),
        (">1,<=1.4", (1, 5), True),
    ],
)
def test_ranges(stated: str, current: tuple[int, int], refused: bool) -> None:
    assert (refusal(stated, current, {}) is not None) == refused


def test_what_changed_is_told_of_the_versions_that_a_plugin_missed() -> None:
    changes = {(1, 0): "First.", (1, 1): "Second.", (2, 0): "Third."}
    reason = refusal(">=1,<1.1", (2, 0), changes)
    assert reason is not None
    assert reason.endswith("changed since: 1.1: Second. 2.0: Third.")


# Leaving plugins out, and being strict.


def test_a_blocked_plugin_is_not_even_imported(
    toy_alone: None,
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_plugin(site, "loud", f"open({str(tmp_path / 'seen')!r}, 'w')", module="loud_one")
    monkeypatch.setenv("RLVIT_BLOCK", "loud, toy")
    found = states(capsys)
    assert {(row["state"], row["why"]) for row in found.values()} == {("blocked", "RLVIT_BLOCK")}
    assert not (tmp_path / "seen").exists()
    assert here().entries["method"] == {}
    assert here().problems == {}
    monkeypatch.setenv("RLVIT_BLOCK", "lout")
    with pytest.raises(UnknownName, match=r"unknown plugin in RLVIT_BLOCK 'lout'\. Did you mean"):
        create_plugin_manager()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise ValueError('no luck')", "plugin 'bad': ValueError: no luck"),
        (ONE_METRIC.format("3 and ", "[0]"), "plugin 'bad': TypeError"),
        (
            "@hookimpl\ndef rlvit_commands():\n    raise KeyError('x')",
            "plugin 'bad': KeyError: 'x'",
        ),
    ],
)
def test_strict_means_that_a_broken_plugin_is_an_error(
    source: str,
    reason: str,
    toy_alone: None,
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add_plugin(site, "bad", HEAD + source, module=f"{tmp_path.name}_bad")
    command = ["--help"] if "commands" in source else ["plugins", "list"]
    for lenient in ("", "0"):
        monkeypatch.setenv("RLVIT_STRICT_PLUGINS", lenient)
        assert invoke(command) == 0
    capsys.readouterr()
    monkeypatch.setenv("RLVIT_STRICT_PLUGINS", "1")
    assert invoke(command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert line.endswith("(RLVIT_STRICT_PLUGINS is set)")


def test_strict_does_not_slow_commands_that_load_no_plugin(program: Program) -> None:
    """docs/plugins/api.md says which commands it is about."""
    add_plugin(program.folder / "site", "bad", "raise ValueError('no luck')", module="strict_bad")
    strict = replace(
        program,
        sites=[*program.sites, program.folder / "site"],
        environment={**program.environment, "RLVIT_STRICT_PLUGINS": "1"},
    )
    listed = strict("runs", "list")
    assert "no luck" not in listed.err
    assert (strict("plugins", "list").code, strict("--help").code) == (1, 1)


def test_an_unknown_name_may_be_of_a_plugin_that_is_left_out(
    toy_alone: None, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_plugin(site, "broken", "raise ValueError('no luck')", module=f"{tmp_path.name}_broken")
    monkeypatch.setenv("RLVIT_BLOCK", "toy")
    catalog = here()
    for name, said in (
        ("toy", "The plugin 'toy' is left out by RLVIT_BLOCK."),
        ("broken", "The plugin 'broken' is quarantined: ValueError: no luck."),
        ("toys", "Left out by RLVIT_BLOCK: toy. Quarantined: broken."),
    ):
        with pytest.raises(UnknownName, match=f"unknown plugin '{name}'.*{re.escape(said)}$"):
            catalog.method(name)


def test_a_blocked_plugin_says_so_when_it_is_shown(
    toy_alone: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RLVIT_BLOCK", "toy")
    assert invoke(["plugins", "show", "toy"]) == 0
    assert "left out by RLVIT_BLOCK" in capsys.readouterr().out


def test_strict_changes_nothing_where_all_is_well(
    toy_alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLVIT_STRICT_PLUGINS", "1")
    assert list(here().entries["method"]) == ["toy"]


def test_names(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = states(capsys)
    assert set(found) >= {"tasks", "mlflow", "timm", "controls"}
    assert found["controls"]["api"] == ">=1,<2"
