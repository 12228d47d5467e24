"""What `rlvit tune` shows: lists of studies and trials, and how the leading trials compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rlvit.cli.tables import format_option, show
from rlvit.errors import RlvitError

if TYPE_CHECKING:
    from rlvit.home import Home
    from rlvit.registry.records import StudyRecord, TrialRecord
    from rlvit.tune.fresh import Standing


def conclude(home: Home, study: StudyRecord, trials: list[TrialRecord]) -> None:
    """Say in a few lines how a study stands and what can be done next."""
    from rlvit.cli.run import program
    from rlvit.tune.fresh import leaders

    called = f"{program(home)} tune"

    counts = {state: 0 for state in ("completed", "pruned", "failed", "interrupted", "running")}
    for trial in trials:
        counts[trial.state] += 1
    told = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    click.echo(f"{study.name}: {told or 'no trial yet'}, {study.trials} wanted")
    leading = leaders(study, trials, 1)
    if leading:
        numbers = ", ".join(str(trial.number) for trial in leading[:12])
        what = "Pareto front" if len(study.objectives) > 1 else "leading trial"
        click.echo(f"  {what} {numbers}: found by one choice among many, so not yet best")
        click.echo(f"  confirm  {called} best {study.name} --fresh-seeds 5")
    elif trials and counts["failed"] == len(trials):
        click.echo(f"  every trial failed; the last: {trials[-1].reason}")
    elif trials:
        click.echo("  no trial is completed yet, so there is nothing to compare")
    if counts["interrupted"] or counts["running"] or len(trials) < study.trials:
        click.echo(f"  go on    {called} resume {study.name}")
    click.echo(f"  details  {called} show {study.name}")


@click.command("list")
@format_option
@click.pass_obj
def list_(home: Home, style: str) -> None:
    """List the studies, newest first."""
    from rlvit.cli.session import open_registry
    from rlvit.registry import studies

    with open_registry(home) as store:
        rows = []
        for study in studies.list_studies(store.engine):
            trials = studies.list_trials(store.engine, study.name)
            done = sum(trial.state not in ("running", "interrupted") for trial in trials)
            rows.append(
                {
                    "study": study.name,
                    "method": study.method,
                    "task": study.task,
                    "finished": f"{done}/{study.trials}",
                    "objectives": ", ".join(f"{m}:{d}" for m, d in study.objectives.items()),
                    "sampler": study.sampler["name"],
                }
            )
    columns = ("study", "method", "task", "finished", "objectives", "sampler")
    show(rows, style, columns=columns)


@click.command("show")
@click.argument("study")
@format_option
@click.pass_obj
def show_(home: Home, study: str, style: str) -> None:
    """Show a study and its trials."""
    from rlvit.cli.session import open_registry
    from rlvit.registry import studies

    with open_registry(home) as store:
        record = studies.find_study(store.engine, study)
        trials = studies.list_trials(store.engine, record.name)
    if style == "table":
        show_study(record, trials)
    rows = _trial_rows(record, trials)
    if rows or style != "table":
        show(rows, style)


def show_study(study: StudyRecord, trials: list[TrialRecord]) -> None:
    from rlvit.tune.space import space_of

    click.echo(f"study {study.name}: {study.method} on {study.task} under {study.protocol}")
    click.echo("optimises " + ", ".join(f"{m} ({d})" for m, d in study.objectives.items()))
    on = ", ".join(study.pruner.get("on") or ())
    click.echo(
        f"sampler {study.sampler['name']}, pruner {study.pruner['name']}"
        + (f" on {on}" if on else "")
        + f", seeds of each trial {', '.join(map(str, study.seeds))}"
    )
    click.echo("searches")
    for name, one in space_of(study).items():
        click.echo(f"  {name} = {one}")
    if not trials:
        click.echo("no trial yet")


def _trial_rows(study: StudyRecord, trials: list[TrialRecord]) -> list[dict[str, Any]]:
    """Return a row a trial: its state, values, settings and runs."""
    return [
        {
            "trial": trial.number,
            "state": trial.state,
            **{metric: (trial.values or {}).get(metric) for metric in study.objectives},
            **{name: trial.params.get(name) for name in study.space},
            "runs": " ".join(trial.runs.values()),
            "why": trial.reason or (f"from {trial.source}" if trial.source else ""),
        }
        for trial in trials
    ]


@click.command()
@click.argument("study")
@click.option("--format", "style", type=click.Choice(("csv", "json")), default="csv")
@click.pass_obj
def export(home: Home, study: str, style: str) -> None:
    """Write a study's trials as CSV or JSON, one row each."""
    from rlvit.cli.session import open_registry
    from rlvit.registry import studies

    with open_registry(home) as store:
        record = studies.find_study(store.engine, study)
        trials = studies.list_trials(store.engine, record.name)
    fixed = ("trial", "state", *record.objectives, *record.space, "runs", "why")
    show(_trial_rows(record, trials), style, columns=fixed)


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
                None if found is None else f"{found[1]:.4g} to {found[2]:.4g}"
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


def say(text: str) -> None:
    """Say what a study is doing, beside what a command prints."""
    click.echo(text, err=True)
