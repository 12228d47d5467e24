"""`rlvit registry rebuild`: the database of all runs, made anew from their folders."""

from __future__ import annotations

from typing import Any

import click


@click.command("rebuild")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def rebuild(ctx: click.Context, yes: bool) -> int:
    """Make the registry anew from the folder runs/ alone; the old one is kept beside it."""
    from rlvit.cli.session import load_catalog
    from rlvit.home import sqlite_path
    from rlvit.registry.database import shown_url
    from rlvit.runs import rebuild as making

    home, shown = ctx.obj, shown_url(ctx.obj.registry_url)
    path = sqlite_path(home.registry_url)
    if not yes and path is not None and path.exists():
        click.confirm(f"Make {shown} anew from {home.runs}? The old one is kept.", abort=True)
    found = making.rebuild(load_catalog(), home)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    for problem in found.problems:
        click.echo(problem, err=True)
    click.echo(f"{shown} made from {home.runs} in {found.seconds:,.1f} s")
    click.echo(", ".join(f"{count:,} {name}" for name, count in found.counts.items()))
    if found.kept is not None:
        click.echo(f"the old one is {found.kept}")
    if found.problems:
        click.echo(_ending(found), err=True)
    return 1 if found.problems else 0


def _ending(found: Any) -> str:
    many = "1 thing" if len(found.problems) == 1 else f"{len(found.problems):,} things"
    return f"{many} could not be rebuilt as a whole, see above; nothing on disk was changed"
