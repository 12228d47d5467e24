"""`rlvit claims` and `rlvit plan`: statements about results, and the seeds that settle them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlvit.cli.ranges import NumberRange
from rlvit.cli.session import load_catalog, open_registry
from rlvit.cli.tables import format_option, show

if TYPE_CHECKING:
    from rlvit.home import Home
    from rlvit.report.claims import Verdict
    from rlvit.report.model import Evidence

REFUSED = 3  # exit code: a claim is refuted, or there are too few runs to say


@click.command()
@click.argument("file", type=click.Path())
@format_option
@click.pass_context
def claims(ctx: click.Context, file: str, style: str) -> int:
    """Judge the claims of a TOML FILE by the runs in the registry.

    FILE holds `claims = ["A > B on TASK under PROTOCOL by METRIC", ...]`; A and B are methods,
    labels of their variants as reports show them, or imported baselines, and `>` means better.
    Each claim is SUPPORTED, REFUTED or UNDERPOWERED; the exit code is 3 unless all are supported.
    """
    from rlvit.report.claims import as_row, judge, read

    statements = read(Path(file))
    verdicts = judge(statements, _evidence(ctx.obj))
    if style == "table":
        for verdict in verdicts:
            _print(verdict)
    else:
        show([as_row(verdict) for verdict in verdicts], style)
    return 0 if all(verdict.outcome == "SUPPORTED" for verdict in verdicts) else REFUSED


def _print(verdict: Verdict) -> None:
    """Print a verdict with the numbers behind it."""
    from rlvit.report.claims import sentence

    click.echo(f"{verdict.outcome:<13} {verdict.claim}")
    click.echo(f"{'':<13} {sentence(verdict)}")
    if verdict.note:
        click.echo(f"{'':<13} {verdict.note}")


@click.group()
def plan() -> None:
    """Plan experiments."""


@plan.command("seeds")
@click.argument("claim")
@click.option(
    "--power",
    type=NumberRange(0, 1, min_open=True, max_open=True),
    default=0.8,
    show_default=True,
    help="Probability with which the claim is to be settled.",
)
@click.pass_context
def seeds_command(ctx: click.Context, claim: str, power: float) -> int:
    """Say how many seeds would settle a CLAIM, from simulated experiments.

    CLAIM is "A > B on TASK under PROTOCOL by METRIC". The exit code is 3 where no affordable
    number of seeds would.
    """
    from rlvit.report.claims import MOST_SEEDS, parse
    from rlvit.report.claims import plan as find

    found = find(parse(claim), _evidence(ctx.obj), power)
    there = f"{found.n[0]} and {found.n[1]} runs are there"
    if found.seeds is None:
        click.echo(
            f"more than {MOST_SEEDS} seeds a side ({there}): with {MOST_SEEDS} the simulated "
            f"power is {found.power:.2f}"
        )
        return REFUSED
    click.echo(f"{found.seeds} seeds a side ({there}): simulated power {found.power:.2f}")
    if min(found.n) < found.seeds:
        click.echo("this rests on the runs that are there: plan again when there are more")
    return 0


def _evidence(home: Home) -> Evidence:
    """Gather what the registry holds."""
    from rlvit.report.collect import gather

    with open_registry(home) as store:
        return gather(store.engine, load_catalog())
