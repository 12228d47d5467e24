"""What `rlvit plugins new` writes is green at once, and what it cannot write is refused."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from plugin_site import install, run_tests
from toy_program import Program

from rlvit.catalog import build_catalog
from rlvit.cli.main import invoke
from rlvit.cli.plugins import KINDS
from rlvit.errors import UsageProblem
from rlvit.manager import create_plugin_manager
from rlvit.scaffold import FILES, write_plugin


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_green_at_once(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package, site = tmp_path / "made", tmp_path / "site"
    assert invoke(["plugins", "new", f"first-{kind}", "--kind", kind, "--out", str(package)]) == 0
    said = capsys.readouterr().out
    assert f"pip install -e '{package}[test]'\n  python -m pytest {package}\n" in said
    assert ("with a task" in said) == (kind == "evaluator")
    article = "An" if kind == "evaluator" else "A"
    also = ", with a task that is measured by it, for tasks name their evaluator"
    about = f"{article} {kind} for rlvit{also if kind == 'evaluator' else ''}. It works"
    assert about in (package / "README.md").read_text()
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["description"] == f"{article} {kind} for rlvit."
    assert install(package, site) == f"first-{kind}"

    code, output = run_tests(package, site, tmp_path / "tests.txt")
    assert code == 0, output
    assert re.search(r"^\d+ passed", output, re.M)

    checked = Program(tmp_path, [site])("plugins", "check", f"first-{kind}", "--format", "json")
    found = json.loads(checked.out)
    assert checked.code == 0, found
    parts = {row["part"] for row in found}
    assert f"plugin first-{kind}" in parts
    assert f"{kind} first-{kind}" in parts
    assert sum(row["state"] == "ok" for row in found) >= 9


@pytest.mark.parametrize("kind", KINDS)
def test_places_to_fill_in_are_marked_and_the_code_is_tidy(kind: str, tmp_path: Path) -> None:
    catalog = build_catalog(create_plugin_manager())
    folder = write_plugin(catalog, "tidy-one", kind, tmp_path / "made")
    sources = sorted(folder.rglob("*.py"))
    text = "".join(path.read_text() for path in sources)
    marked = re.findall(r"# Fill in: .+", "".join(p.read_text() for p in folder.glob("src/*/*.py")))
    assert 2 <= len(marked) <= 6
    assert "todo" not in text.lower()
    assert "$" not in text
    for path in sources:
        ast.parse(path.read_text())
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "100"]
    rules = ["--select", "E,F,I,UP,B,SIM,RUF,PT,T20", "--target-version", "py311"]
    own = ["--config", 'lint.isort.known-first-party=["rlvit", "rlvit_tidy_one"]']
    done = subprocess.run([*command, *rules, *own, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_kinds_of_the_command_are_those_of_the_templates() -> None:
    assert set(KINDS) == set(FILES)


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("Upper", "reward", "expected up to 40 small letters"),
        ("two--dashes", "reward", "expected up to 40 small letters"),
        ("a/b", "reward", "expected up to 40 small letters"),
        ("class", "reward", "beginning with a letter, and no Python keyword"),
        ("9lives", "reward", "beginning with a letter, and no Python keyword"),
        ("x" * 41, "reward", "expected up to 40 small letters"),
        ("rlvit-fine", "reward", "leave 'rlvit-' out"),
        ("tasks", "reward", "tasks is the name of an installed plugin"),
        ("sign", "reward", "the reward sign is one of plugin 'tasks'"),
        ("random", "selector", "the selector random is one of plugin 'controls'"),
    ],
)
def test_names_that_cannot_be_are_refused(
    name: str, kind: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(["plugins", "new", name, "--kind", kind, "--out", str(tmp_path / "made")])
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
    assert not (tmp_path / "made").exists()


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    catalog = build_catalog(create_plugin_manager())
    for there in (tmp_path, tmp_path / "mine"):
        with pytest.raises(UsageProblem, match="exists already; choose another"):
            write_plugin(catalog, "fresh", "reward", there)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine").read_text() == "precious"
