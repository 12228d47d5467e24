"""`rlvit runs gc`: throws archived runs away, and what nothing needs any more."""

from __future__ import annotations

import click

from rlvit.cli.ranges import NumberRange
from rlvit.cli.session import open_registry
from rlvit.cli.tables import show, size


@click.command("gc")
@click.option(
    "--older-than",
    type=NumberRange(0),
    default=0.0,
    metavar="DAYS",
    help="Only runs that ended so many days ago.",
)
@click.option("--dry-run", is_flag=True, help="Show what could go, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def gc_command(ctx: click.Context, older_than: float, dry_run: bool, yes: bool) -> int:
    """Remove archived runs for good, and files that nothing needs any more.

    Those are shared artifacts that no run has, what killed processes left behind, and checkpoints
    of completed runs. Everything is shown with its size first. Archived runs of studies, and those
    whose artifacts another run used, are kept.
    """
    from rlvit.runs import gc

    with open_registry(ctx.obj, to_write=not dry_run) as store:
        proposal = gc.propose(ctx.obj, store.engine, older_than)
        for name, why in sorted(proposal.kept.items()):
            click.echo(f"kept: {name}: {why}")
        if not proposal.items:
            click.echo("There is nothing to remove.")
            return 0
        show(
            [{"what": i.what, "name": i.name, "size": size(i.size)} for i in proposal.items],
            "table",
        )
        total = f"{len(proposal.items):,} with {size(sum(i.size for i in proposal.items))}"
        if dry_run:
            click.echo(f"{total} could go. Nothing was changed.")
            return 0
        if not yes:
            click.confirm(f"Remove {total}? This cannot be undone.", abort=True)
        freed, left = 0, 0
        for item, problem in gc.carry_out(ctx.obj, store, proposal.items):
            if problem:
                click.echo(f"left: {item.name}: {problem}", err=True)
                left += 1
            else:
                freed += item.size
    click.echo(f"{size(freed)} freed" + (f", {left:,} left" if left else ""))
    return int(left > 0)
