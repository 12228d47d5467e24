"""The documentation says what the code does: commands, options, metrics, tables, protocols."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from rlvit.catalog import Catalog, build_catalog
from rlvit.cli.main import cli
from rlvit.cli.tune import TuneGroup
from rlvit.config import options
from rlvit.manager import create_plugin_manager
from rlvit.registry.schema import Base

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
    *ROOT.glob("plugins/*/README.md"),
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog(create_plugin_manager())


def commands_in(page: Path) -> list[str]:
    """Return the `rlvit …` command lines of a page's indented blocks."""
    lines = re.findall(r"^    (rlvit .+)$", page.read_text(), flags=re.M)
    return [line.partition("#")[0].strip() for line in lines]


ALL_COMMANDS = [(page.name, line) for page in PAGES for line in commands_in(page)]


def test_readme_shows_commands() -> None:
    assert len(ALL_COMMANDS) >= 12


@pytest.mark.parametrize(("page", "line"), ALL_COMMANDS)
def test_documented_command_parses(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    context = click.Context(cli, info_name="rlvit")
    command: click.Command = cli
    while isinstance(command, click.Group):
        if isinstance(command, TuneGroup):
            words = command.with_default(words)
        found = command.get_command(context, words[0])
        assert found is not None, f"{page}: no command {words[0]!r} in {line!r}"
        command, words = found, words[1:]
    if "--help" in words:
        return
    command.make_context(command.name, list(words), parent=context)


def test_metrics_page_lists_every_metric_with_its_unit(catalog: Catalog) -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    assert dict(rows) == {name: metric.unit for name, metric in catalog.metrics.items()}


def test_registry_page_lists_every_table_with_real_columns() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", (ROOT / "docs/registry.md").read_text(), re.M
    )
    assert {table for table, _ in rows} == set(Base.metadata.tables)
    for table, text in rows:
        plain = re.sub(r"\([^)]*\)", "", text)
        named = {name.strip() for name in plain.split(",")} - {""}
        columns = set(Base.metadata.tables[table].columns.keys())
        assert named <= columns, f"{table}: {named - columns}"


def test_configuration_page_names_every_protocol_and_preset(catalog: Catalog) -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    protocols = {protocol.name for protocol in catalog.protocols()}
    presets = {p.name for entry in catalog.entries["method"].values() for p in entry.spec.presets}
    for name in protocols | presets:
        assert f"| `{name}` |" in text


@pytest.mark.parametrize("method", ["spirl"])
def test_options_named_in_a_plugins_readme_exist(catalog: Catalog, method: str) -> None:
    spec = catalog.method(method)
    text = (ROOT / f"plugins/rlvit_{method}/README.md").read_text()
    named = set(re.findall(r"`[^`]*?(--[a-z][a-z-]+)", text))
    known = {info.flag for info in options(spec.config)} | {f"--{slot}" for slot in spec.slots}
    offered = [one for found in catalog.plugins.ask(method, "rlvit_commands") for one in found]
    known |= {word for one in offered for parameter in one.params for word in parameter.opts}
    assert named - known <= {f"--{spec.task_kind}", "--plugin"}
    for preset in spec.presets:
        changed = set(preset.values)
        assert changed <= set(spec.config.model_fields)


def test_documentation_has_no_dead_links() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            elsewhere = target.startswith("https://")
            assert elsewhere or (page.parent / target).exists(), f"{page.name}: {target}"


def test_changelog_has_the_current_version() -> None:
    version = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()
