"""The pages on plugins say what the code does, and the code that they show works."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from plugin_site import install, run_tests
from toy_program import Program, add_distribution, add_plugin

from rlvit import hookspecs
from rlvit.cli.main import invoke
from rlvit.compatibility import API_CHANGES, written
from rlvit.contracts import Selection, SelectorView
from rlvit.specs import Need
from rlvit.testing.plugins import PUBLIC

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "plugins"
EXAMPLE = ROOT / "examples" / "rlvit-highest-variance"
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("rlvit_")}


def test_api_page_has_the_changes_and_the_public_modules() -> None:
    text = (PAGES / "api.md").read_text()
    rows = re.findall(r"^\| (\d+\.\d+) \| (.+) \|$", text, re.M)
    assert rows == [(written(version), what) for version, what in API_CHANGES.items()]
    modules = re.findall(r"^\| `rlvit\.(\w+)` \|", text, re.M)
    assert sorted(modules) == sorted(PUBLIC)


def test_reference_has_a_heading_for_each_hook_with_its_arguments() -> None:
    text = (PAGES / "reference.md").read_text()
    headings = re.findall(r"^## (rlvit_\w+)\((.*)\)$", text, re.M)
    wanted = {name: ", ".join(inspect.signature(hook).parameters) for name, hook in HOOKS.items()}
    assert dict(headings) == wanted


def test_reference_says_what_a_selector_sees() -> None:
    text = (PAGES / "reference.md").read_text()
    section = text.partition("## rlvit_selectors()")[2].partition("\n## ")[0]
    table = section.partition("| need |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == set(get_args(Need))
    fields = section.partition("| field |")[2].partition("\n\n")[0]
    documented = {"data", *re.findall(r"^\| `(\w+)` \|", fields, re.M)}
    assert documented == {field.name for field in dataclasses.fields(SelectorView)}
    for field in dataclasses.fields(Selection):
        assert f"`{field.name}`, " in section


def examples() -> dict[str, str]:
    """Return the example below the heading of each hook."""
    text = (PAGES / "reference.md").read_text()
    found = re.findall(r"^## (rlvit_\w+).*?```python\n(.*?)```", text, re.M | re.S)
    return dict(found)


def test_every_example_of_the_reference_is_a_plugin_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert examples().keys() == HOOKS.keys()
    for hook, source in examples().items():
        add_plugin(tmp_path, f"example-{hook.removeprefix('rlvit_')}", source, module=f"doc_{hook}")
    monkeypatch.syspath_prepend(tmp_path)
    assert invoke(["plugins", "list", "--format", "json"]) == 0
    rows = {row["plugin"]: row for row in json.loads(capsys.readouterr().out)}
    for hook in HOOKS:
        row = rows[f"example-{hook.removeprefix('rlvit_')}"]
        assert (row["state"], row["hooks"]) == ("active", hook.removeprefix("rlvit_"))
    assert invoke(["example-hello"]) == 0
    assert capsys.readouterr().out == "hello\n"


@pytest.mark.parametrize("hook", ["tasks", "backbones", "selectors", "rewards", "report_sections"])
def test_parts_of_the_reference_keep_the_rules(hook: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    add_plugin(site, "example", examples()[f"rlvit_{hook}"])
    checked = Program(tmp_path, [site])("plugins", "check", "example", "--format", "json")
    assert checked.code == 0, checked.out + checked.err


def tutorial() -> dict[str, str]:
    """Return the files of the tutorial by name."""
    text = (PAGES / "tutorial.md").read_text()
    found = re.findall(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, re.M | re.S)
    assert len(found) == text.count("<!-- file:") >= 9
    return dict(found)


def test_the_first_selector_of_the_tutorial_keeps_the_rules(tmp_path: Path) -> None:
    files, site = tutorial(), tmp_path / "site"
    site.mkdir()
    (site / "rlvit_brightest.py").write_text(files["rlvit_brightest.py"])
    project = tomllib.loads(files["pyproject.toml"])["project"]
    add_distribution(site, project["name"], project["entry-points"]["rlvit.plugins"])
    checked = Program(tmp_path, [site])("plugins", "check", "brightest", "--format", "json")
    assert checked.code == 0, checked.out + checked.err


def test_the_whole_plugin_of_the_tutorial_keeps_the_rules_and_runs(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "rlvit_brightest").mkdir(parents=True)
    for name, text in tutorial().items():
        if name.startswith("rlvit_brightest/"):
            (site / name).write_text(text)
    add_distribution(site, "rlvit-brightest", {"brightest": "rlvit_brightest.plugin"})
    program = Program(tmp_path, [site], {"RLVIT_BLOCK": "mlflow"})
    checked = program("plugins", "check", "brightest", "--format", "json")
    assert checked.code == 0, checked.out + checked.err
    parts = {row["part"] for row in json.loads(checked.out) if row["state"] == "ok"}
    kinds = {part.partition(" ")[0] for part in parts}
    assert kinds >= {"plugin", "selector", "reward", "evaluator", "section", "method"}
    options = ("--preset", "quick", "--steps", "12", "--device", "cpu", "--threads", "1")
    ran = program("run", "--plugin", "bright", "--dataset", "digits", *options)
    assert ran.code == 0, ran.err


def test_the_tutorial_names_its_own_plugin_and_gives_the_package_a_sound_project() -> None:
    text = (PAGES / "tutorial.md").read_text()
    assert re.findall(r"rlvit plugins (?:show|check) (\w+)", text) == ["brightest"] * 3
    first = tomllib.loads(tutorial()["pyproject.toml"])
    (edits,) = re.findall(r"\n```toml\n(\[project.entry-points.*?)```", text, re.S)
    kept = tutorial()["pyproject.toml"].partition("[project.entry-points")[0]
    package = tomllib.loads(kept + edits)
    assert package["project"]["entry-points"]["rlvit.plugins"] == {
        "brightest": "rlvit_brightest.plugin"
    }
    assert package["project"].keys() == first["project"].keys()
    assert package["tool"]["setuptools"] == {
        "packages": ["rlvit_brightest"],
        "package-data": {"rlvit_brightest": ["*.toml"]},
    }


def test_the_example_package_is_installed_by_pip_checked_and_run(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", reason="pip builds the example with setuptools")
    package, site = tmp_path / "package", tmp_path / "site"
    shutil.copytree(EXAMPLE, package)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*command, "--no-build-isolation", "--target", site, package],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    code, output = run_tests(package, site, tmp_path / "tests.txt")
    assert code == 0, output

    program = Program(tmp_path, [site], {"RLVIT_BLOCK": "mlflow"})
    checked = program("plugins", "check", "highest-variance", "--format", "json")
    assert checked.code == 0, checked.out + checked.err
    sizes = ("--epochs", "1", "--no-figures", "--no-compare-masks")
    usual = ("--preset", "quick", "--device", "cpu", "--threads", "1", "--dataset", "digits")
    ran = program("run", "--plugin", "agentvit", "--selector", "highest-variance", *usual, *sizes)
    assert ran.code == 0, ran.err
    (record,) = json.loads(program("runs", "list", "--format", "json").out)
    assert record["state"] == "completed"


def test_the_example_is_what_the_scaffold_begins(tmp_path: Path) -> None:
    """Its layout is that of `rlvit plugins new`, and it is no part of the wheel."""
    assert install(EXAMPLE, tmp_path / "site") == "highest-variance"
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert not any("examples" in package for package in wheel["targets"]["wheel"]["packages"])


def test_pages_on_plugins_have_no_dead_links() -> None:
    for page in (*PAGES.glob("*.md"), EXAMPLE / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), page.name
