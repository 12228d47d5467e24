"""`rlvit plugins`: what is installed, what it offers, and why something was set aside."""

from __future__ import annotations

import click

from rlvit.cli.session import load_catalog
from rlvit.cli.tables import format_option, show


@click.group()
def plugins() -> None:
    """List and show plugins."""


@plugins.command("list")
@format_option
def list_plugins(style: str) -> None:
    """List the installed plugins with what they offer."""
    catalog = load_catalog()
    rows = []
    for info in catalog.plugins.found:
        problem = catalog.problems.get(info.name)
        rows.append(
            {
                "plugin": info.name,
                "version": f"{info.distribution} {info.version}",
                "state": "set aside" if problem else "active",
                "offers": problem or ", ".join(h.removeprefix("rlvit_") for h in info.hooks),
            }
        )
    show(rows, style)


@plugins.command("show")
@click.argument("name")
def show_plugin(name: str) -> None:
    """Show what one plugin offers: its methods with their presets, tasks, parts and metrics."""
    from rlvit.errors import UnknownName

    catalog = load_catalog()
    info = next((i for i in catalog.plugins.found if i.name == name), None)
    if info is None:
        raise UnknownName("plugin", name, [i.name for i in catalog.plugins.found])
    click.echo(f"{info.name}  ({info.distribution} {info.version}, {info.module})")
    if name in catalog.problems:
        click.echo(f"set aside: {catalog.problems[name]}")
        return
    for kind, entries in catalog.entries.items():
        for entry in entries.values():
            if entry.owner.name == name:
                click.echo(f"\n{kind} {entry.spec.name}: {_summary(entry.spec)}")
                for preset in getattr(entry.spec, "presets", ()):
                    click.echo(f"  --preset {preset.name:<14} {preset.summary}")


def _summary(spec: object) -> str:
    text = getattr(spec, "summary", "") or getattr(spec, "meaning", "")
    unit = getattr(spec, "unit", "")
    cite = getattr(spec, "cite", "")
    return text + (f" [{unit}]" if unit else "") + (f" ({cite})" if cite else "")
