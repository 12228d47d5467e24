"""`rlvit plugins`: what is installed, what it offers, whether it keeps the rules, a new one."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlvit.cli.session import load_catalog
from rlvit.cli.tables import format_option, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlvit.manager import PluginInfo
    from rlvit.testing import Finding

KINDS = ("selector", "method", "reward", "backbone", "evaluator", "task")


@click.group()
def plugins() -> None:
    """List, show, check and begin plugins."""


@plugins.command("list")
@format_option
def list_plugins(style: str) -> None:
    """List the installed plugins: version, hooks, API range and state.

    RLVIT_BLOCK=NAME,NAME leaves plugins out; with RLVIT_STRICT_PLUGINS=1 a broken plugin is an
    error of every command that loads plugins.
    """
    catalog = load_catalog()
    show([_row(info, catalog.problems.get(info.name)) for info in catalog.plugins.found], style)


def _row(info: PluginInfo, problem: str | None) -> dict[str, str]:
    state = "blocked" if info.blocked else "quarantined" if problem else "active"
    hooks = ", ".join(hook.removeprefix("rlvit_") for hook in info.hooks)
    why = {"blocked": "RLVIT_BLOCK", "quarantined": problem or "", "active": ""}[state]
    return {
        "plugin": info.name,
        "version": f"{info.distribution} {info.version}",
        "api": info.api or "-",
        "hooks": hooks or "-",
        "state": state,
        "why": why or "-",
    }


@plugins.command("show")
@click.argument("name")
def show_plugin(name: str) -> None:
    """Show what one plugin offers: tasks, parts, metrics, and methods with their experiments.

    An experiment is a table or figure of the method's paper with the command that makes it.
    """
    from rlvit.cli.experiments import listing
    from rlvit.errors import UnknownName, UsageProblem

    catalog = load_catalog()
    info = next((i for i in catalog.plugins.found if i.name == name), None)
    if info is None:
        if (method := catalog.entries["method"].get(name)) is not None:
            owner = method.owner.name
            raise UsageProblem(f"{name} is a method of the plugin {owner}: plugins show {owner}.")
        raise UnknownName("plugin", name, [i.name for i in catalog.plugins.found])
    click.echo(f"{info.name}  ({info.distribution} {info.version}, {info.module})")
    if info.blocked:
        click.echo("left out by RLVIT_BLOCK: it is not even imported")
        return
    if name in catalog.problems:
        click.echo(f"quarantined: {catalog.problems[name]}")
        return
    for kind, entries in catalog.entries.items():
        for entry in entries.values():
            if entry.owner.name == name:
                click.echo(f"\n{kind} {entry.spec.name}: {_summary(entry.spec)}")
                for preset in getattr(entry.spec, "presets", ()):
                    click.echo(f"  --preset {preset.name:<14} {preset.summary}")
                if kind == "method":
                    for line in listing(entry.spec):
                        click.echo(line)


@plugins.command("check")
@click.argument("name")
@click.option(
    "--data-root",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Where datasets are.  [default: RLVIT_DATA, else ./data]",
)
@format_option
def check(name: str, data_root: Path | None, style: str) -> int:
    """Try everything that an installed plugin offers against the rules of rlvit.testing.

    Methods are trained for seconds, in a folder that is gone afterwards; the network is refused.
    Exit code 1 if a rule failed.
    """
    catalog = load_catalog()
    from rlvit.testing import check_plugin
    from rlvit.testing.suite import NOTE

    found: list[Finding] = []
    for finding in check_plugin(catalog, name, data_root):
        found.append(finding)
        if sys.stderr.isatty():
            click.echo(f"\r{len(found)} rules tried ", err=True, nl=False)
    if sys.stderr.isatty():
        click.echo("\r", err=True, nl=False)
    show(_findings(found), style)
    failed = [finding for finding in found if finding.state == "failed"]
    for finding in found:
        if finding.why.startswith(NOTE):
            click.echo(f"{finding.part}: {finding.rule}: {finding.why}", err=True)
    counts = {state: sum(f.state == state for f in found) for state in ("ok", "failed", "skipped")}
    counted = ", ".join(f"{count} {state}" for state, count in counts.items())
    click.echo(f"{name}: {counted}", err=style != "table")
    return 1 if failed else 0


def _findings(found: Sequence[Finding]) -> list[dict[str, str | float]]:
    return [
        {
            "part": one.part,
            "rule": one.rule,
            "state": one.state,
            "seconds": round(one.seconds, 1),
            "why": one.why,
        }
        for one in found
    ]


@plugins.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What it will offer.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The folder to make.  [default: rlvit-NAME here]",
)
def new(name: str, kind: str, out: Path | None) -> None:
    """Write a small plugin that works at once, with tests, and places to fill in."""
    from rlvit.scaffold import ALSO, write_plugin

    folder = write_plugin(load_catalog(), name, kind, out)
    click.echo(f"{folder} is a working plugin{ALSO.get(kind, '')}. Next:")
    click.echo(f"  pip install -e {shlex.quote(f'{folder}[test]')}")
    click.echo(f"  python -m pytest {shlex.quote(str(folder))}")
    click.echo(f"  rlvit plugins check {name}")
    click.echo(f"  grep -rn 'Fill in' {folder}/src")


def _summary(spec: object) -> str:
    text = getattr(spec, "summary", "") or getattr(spec, "meaning", "")
    unit = getattr(spec, "unit", "")
    cite = getattr(spec, "cite", "")
    return text + (f" [{unit}]" if unit else "") + (f" ({cite})" if cite else "")
