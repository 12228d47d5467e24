"""`rlvit registry rebuild`: the database of all runs, made anew from their folders."""

from __future__ import annotations

from typing import Any

import click


@click.command("rebuild")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--drop-missing",
    is_flag=True,
    help="Leave out what the old registry alone has: its folder is gone or damaged.",
)
@click.pass_context
def rebuild(ctx: click.Context, yes: bool, drop_missing: bool) -> int:
    """Make the registry anew from the folder runs/ alone; the old one is kept beside it.

    It is not replaced while it has runs, results or scores that the folders lack. To a registry in
    PostgreSQL, which others use too, this home's runs are added; nothing is taken from it.
    """
    from rlvit.cli.session import load_catalog
    from rlvit.home import sqlite_path
    from rlvit.registry.database import shown_url
    from rlvit.runs import rebuild as making

    home, shown = ctx.obj, shown_url(ctx.obj.registry_url)
    home.require_writable()
    path = sqlite_path(home.registry_url)
    if not yes and path is not None and path.exists():
        click.confirm(f"Make {shown} anew from {home.runs}? The old one is kept.", abort=True)

    def agree(rebuilt: Any) -> None:
        for loss in rebuilt.losses:
            click.echo(loss, err=True)
        if not yes:
            click.confirm("Leave this out of the new registry?", abort=True)

    found = making.rebuild(load_catalog(), home, drop_missing=drop_missing, agree=agree)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    for problem in found.problems:
        click.echo(problem, err=True)
    if not found.replaced:
        click.echo("\n".join([*found.losses, _refusal(found, shown)]), err=True)
        return 1
    if found.added is None:
        click.echo(f"{shown} made from {home.runs} in {found.seconds:,.1f} s")
    else:
        click.echo(f"{found.added:,} runs of {home.runs} added to {shown}, which has now:")
    click.echo(", ".join(f"{count:,} {name}" for name, count in found.counts.items()))
    if found.kept is not None:
        click.echo(f"the old one is {found.kept}")
    if found.problems:
        click.echo(_ending(found), err=True)
    return 1 if found.problems or found.losses else 0


def _refusal(found: Any, shown: str) -> str:
    things = "this" if len(found.losses) == 1 else f"these {len(found.losses):,} things"
    return (
        f"{shown} was not replaced: a new one would lack {things}. Bring the folders back from a "
        "copy; or --drop-missing leaves out what is lost, and the old registry is kept beside."
    )


def _ending(found: Any) -> str:
    many = "1 thing" if len(found.problems) == 1 else f"{len(found.problems):,} things"
    return f"{many} could not be rebuilt as a whole, see above; no run folder was changed"
