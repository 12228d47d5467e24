"""`rlvit tune best`: how the leading trials of a study compare by runs with fresh seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rlvit.cli.tables import show
from rlvit.cli.tune_show import say
from rlvit.errors import RlvitError

if TYPE_CHECKING:
    from rlvit.home import Home
    from rlvit.registry.records import StudyRecord
    from rlvit.tune.fresh import Standing


@click.command()
@click.argument("study")
@click.option(
    "--fresh-seeds",
    type=click.IntRange(min=1, max=1000),
    help="Run each again with so many seeds that the study did not use.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How many; of several objectives it is the whole Pareto front.",
)
@click.option("--threads", type=int, help="CPU threads.  [default: as the study's]")
@click.option("--data-root", metavar="DIR", help="Where the images are now, if they were moved.")
@click.pass_obj
def best(
    home: Home,
    study: str,
    fresh_seeds: int | None,
    top: int,
    threads: int | None,
    data_root: str | None,
) -> int:
    """Compare the leading trials by runs with fresh seeds; before that nothing is best."""
    from rlvit.cli.progress import make_display
    from rlvit.cli.session import load_catalog, open_studies
    from rlvit.registry import studies
    from rlvit.tune import fresh
    from rlvit.tune.study import open_study

    with open_studies(home) as store:
        record = studies.find_study(store.engine, study)
        leading = fresh.leaders(record, studies.list_trials(store.engine, record.name), top)
        if not leading:
            raise RlvitError(f"study {record.name} has no completed trial to compare yet.")
        code = 0
        if fresh_seeds is not None:
            opened = open_study(
                load_catalog(), home, store, record.name, threads=threads, data_root=data_root
            )
            done = fresh.run_fresh(opened, leading, fresh_seeds, lambda: make_display(10.0), say)
            for one in (one for one in done if one.error):
                say(f"{one.id}: {one.error}")
            code = max((_code(one.state) for one in done), default=0)
        standings = [fresh.standing(store.engine, record, trial) for trial in leading]
    _show_standings(home, record, standings)
    return code


def _code(state: str) -> int:
    return {"completed": 0, "failed": 1, "interrupted": 130}[state]


def _show_standings(home: Home, study: StudyRecord, standings: list[Standing]) -> None:
    """Print what was found while tuning beside what fresh seeds say."""
    from rlvit.cli.run import program
    from rlvit.report.stats import mean_interval

    rows: list[dict[str, Any]] = []
    for one in standings:
        row: dict[str, Any] = {"trial": one.trial.number}
        for metric in study.objectives:
            found = mean_interval(one.values[metric]) if one.values[metric] else None
            row[f"{metric} tuned"] = (one.trial.values or {})[metric]
            row[f"{metric} fresh"] = None if found is None else found[0]
            row["95 % interval" if len(study.objectives) == 1 else f"95 % of {metric}"] = (
                f"{found[1]:.4g} to {found[2]:.4g}" if found and len(one.seeds) > 1 else None
            )
        rows.append({**row, "n": len(one.seeds)})
    show(rows, "table")
    if any(len(one.seeds) < 2 for one in standings):
        click.echo("Not confirmed: values found while tuning are too good on average.")
        click.echo(f"  confirm  {program(home)} tune best {study.name} --fresh-seeds 5")
        return
    if len(study.objectives) > 1:
        return
    ((metric, way),) = study.objectives.items()
    means = [sum(one.values[metric]) / len(one.values[metric]) for one in standings]
    first = means.index(max(means) if way == "max" else min(means))
    number = standings[first].trial.number
    click.echo(f"By fresh seeds trial {number} has the best mean of these {len(standings)}.")
    click.echo(f"  again    {program(home)} run --from-trial {study.name}:{number}")
