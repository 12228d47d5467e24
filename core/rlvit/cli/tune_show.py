"""What `rlvit tune` shows: studies and trials, how a study stands, and what it may cost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from rlvit.cli.tables import cell, format_option, moment, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rlvit.catalog import Catalog
    from rlvit.home import Home
    from rlvit.registry.records import StudyRecord, TrialRecord
    from rlvit.registry.store import Store
    from rlvit.runs.plan import Request

STATES = ("completed", "pruned", "failed", "interrupted", "running")


def conclude(home: Home, study: StudyRecord, trials: list[TrialRecord]) -> None:
    """Say in a few lines how a study stands and what can be done next."""
    from rlvit.cli.run import program
    from rlvit.tune.fresh import leaders
    from rlvit.tune.study import whole_grid

    called = f"{program(home)} tune"
    own = [trial for trial in trials if not trial.source]
    counts = Counter(trial.state for trial in own)
    whole = whole_grid(study, trials)
    click.echo(f"{study.name}: {_told(study, trials, whole)}")
    leading = leaders(study, trials, 1)
    if leading:
        numbers = ", ".join(str(trial.number) for trial in leading[:12])
        what = "Pareto front" if len(study.objectives) > 1 else "leading trial"
        click.echo(f"  {what} {numbers}: found by one choice among many, so not yet best")
        click.echo(f"  confirm  {called} best {study.name} --fresh-seeds 5")
    elif own and counts["failed"] == len(own):
        click.echo(f"  every trial failed; the last: {own[-1].reason}")
    elif own:
        click.echo("  no trial is completed yet, so there is nothing to compare")
    if counts["failed"]:
        click.echo(f"  again    {called} resume {study.name} --retry-failed")
    if counts["interrupted"] or counts["running"] or (len(own) < study.trials and not whole):
        click.echo(f"  go on    {called} resume {study.name}")
    click.echo(f"  details  {called} show {study.name}")


def _told(study: StudyRecord, trials: Sequence[TrialRecord], whole: bool) -> str:
    """Return how many trials of its own a study has, and how many it took from others."""
    counts = Counter(trial.state for trial in trials if not trial.source)
    words = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    taken = sum(bool(trial.source) for trial in trials)
    if taken:
        words.append(f"{taken} taken from older studies")
    told = ", ".join(words) or "no trial yet"
    return f"{told}, the grid is complete" if whole else f"{told}, {study.trials} wanted"


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
            trials = _seen(store, studies.list_trials(store.engine, study.name))
            rows.append(_study_row(study, trials))
    columns = ("study", "method", "task", "state", "finished", "taken", "objectives", "best")
    show(rows, style, columns=(*columns, "sampler", "created"))


def _study_row(study: StudyRecord, trials: list[TrialRecord]) -> dict[str, Any]:
    own = [trial for trial in trials if not trial.source]
    done = sum(trial.state in ("completed", "pruned", "failed") for trial in own)
    return {
        "study": study.name,
        "method": study.method,
        "task": study.task,
        "state": state_of(study, trials),
        "finished": f"{done}/{study.trials}",
        "taken": len(trials) - len(own),
        "objectives": ", ".join(f"{m}:{d}" for m, d in study.objectives.items()),
        "best": best_found(study, trials),
        "sampler": study.sampler["name"],
        "created": moment(study.created_at),
    }


def state_of(study: StudyRecord, trials: Sequence[TrialRecord]) -> str:
    """Return how a study stands: complete, running, stopped, or not begun."""
    from rlvit.tune.study import whole_grid

    own = [trial.state for trial in trials if not trial.source]
    if "running" in own:
        return "running"
    if "interrupted" not in own and (len(own) >= study.trials or whole_grid(study, trials)):
        return "complete"
    return "stopped" if own else "not begun"


def best_found(study: StudyRecord, trials: Sequence[TrialRecord]) -> str | None:
    """Return the best value found while tuning; of several objectives each one's own."""
    from rlvit.tune.summary import extreme

    found = {m: extreme(trials, m, way) for m, way in study.objectives.items()}
    words = [cell(one) if len(found) == 1 else f"{m} {cell(one)}" for m, one in found.items()]
    return ", ".join(words) if all(one is not None for one in found.values()) else None


def _seen(store: Store, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return trials as they are: one whose process is gone is interrupted, whatever was written."""
    from dataclasses import replace

    from rlvit.tune.study import is_abandoned

    return [
        replace(trial, state="interrupted") if is_abandoned(store, trial) else trial
        for trial in trials
    ]


@click.command("show")
@click.argument("study")
@format_option
@click.pass_obj
def show_(home: Home, study: str, style: str) -> None:
    """Show a study and its trials."""
    from rlvit.cli.session import open_registry
    from rlvit.registry import studies
    from rlvit.runs.cost import words
    from rlvit.tune import summary

    with open_registry(home) as store:
        record = studies.find_study(store.engine, study)
        trials = _seen(store, studies.list_trials(store.engine, record.name))
        whole = summary.summarise(store.engine, record)
    rows = _trial_rows(record, trials, whole.deleted)
    if style == "table":
        show_study(record, trials)
        cost = f"cost {words(whole.seconds)} of computing"
        if whole.deleted:
            cost += f", that of {len(whole.deleted)} deleted runs left out, for it is not known"
        if trials:
            click.echo(cost)
        rows = [
            {**row, "took": None if row["took"] is None else words(row["took"])} for row in rows
        ]
    if rows or style != "table":
        show(rows, style)


def show_study(study: StudyRecord, trials: list[TrialRecord]) -> None:
    """Show what a study is, and what it found."""
    from rlvit.tune.samplers import grid_size
    from rlvit.tune.space import space_of

    click.echo(f"study {study.name}: {study.method} on {study.task} under {study.protocol}")
    click.echo(f"preset {study.preset}{_fixed(study.request)}")
    click.echo("optimises " + ", ".join(f"{m} ({d})" for m, d in study.objectives.items()))
    on = ", ".join(study.pruner.get("on") or ())
    click.echo(
        f"sampler {study.sampler['name']}, pruner {study.pruner['name']}"
        + (f" on {on}" if on else "")
        + f", seeds of each trial {', '.join(map(str, study.seeds))}"
    )
    space = space_of(study)
    many = f" of a grid of {grid_size(space):,} points" if study.sampler["name"] == "grid" else ""
    click.echo(f"{study.trials} trials{many}; searches")
    for name, one in space.items():
        click.echo(f"  {name} = {one}")
    best = best_found(study, trials)
    if not trials:
        click.echo("no trial yet")
    if best is not None:
        click.echo(f"best value found {best}, chosen among many and so too good on average")


def _fixed(request: Mapping[str, Any]) -> str:
    """Return what else than the preset decides the runs of a study, for the end of a line."""
    parts = [f"{slot} {name}" for slot, name in request.get("slots", {}).items()]
    fixed = [f"{name} = {value}" for name, value in request.get("values", {}).items()]
    return "".join(f", {one}" for one in (*parts, *fixed))


def show_cost(catalog: Catalog, study: StudyRecord, base: Request) -> None:
    """Say what a study may take here, with settings as they are where nothing is searched."""
    from rlvit.runs.cost import device_speed, stage_seconds, words
    from rlvit.runs.plan import make_plan
    from rlvit.tune.samplers import grid_size
    from rlvit.tune.space import space_of
    from rlvit.tune.terms import chosen_on_the_test

    plan = make_plan(catalog, base)
    run = sum(stage_seconds(plan.costs(), device_speed(plan.device, plan.threads)))
    trials = study.trials
    if study.sampler["name"] == "grid":
        trials = min(trials, grid_size(space_of(study)))
    count = trials * len(study.seeds)
    click.echo(
        f"expected cost of {trials} trials, {count} runs: {words(count * run)} on {plan.device}; "
        "settings that are searched may change that"
    )
    if warning := chosen_on_the_test(plan, study.objectives):
        click.echo(warning)


def _trial_rows(
    study: StudyRecord, trials: list[TrialRecord], deleted: frozenset[str]
) -> list[dict[str, Any]]:
    """Return a row a trial: its state, values, settings and runs; it took so many seconds."""
    return [
        {
            "trial": trial.number,
            "state": trial.state,
            **{metric: (trial.values or {}).get(metric) for metric in study.objectives},
            **{name: trial.params.get(name) for name in study.space},
            "took": None if trial.ended_at is None else trial.ended_at - trial.started_at,
            "runs": " ".join(
                f"{run} (deleted)" if run in deleted else run for run in trial.runs.values()
            ),
            "why": trial.reason or (f"from {trial.source}" if trial.source else ""),
        }
        for trial in trials
    ]


@click.command()
@click.argument("study")
@click.option("--format", "style", type=click.Choice(("csv", "json")), default="csv")
@click.pass_obj
def export(home: Home, study: str, style: str) -> None:
    """Write a study's trials as CSV or JSON, one row each, with each seed's value and what pruners
    looked at."""
    from rlvit.cli.session import open_registry
    from rlvit.registry import studies
    from rlvit.tune import summary

    with open_registry(home) as store:
        record = studies.find_study(store.engine, study)
        trials = _seen(store, studies.list_trials(store.engine, record.name))
        gone = summary.summarise(store.engine, record).deleted
        rows = _trial_rows(record, trials, gone)
        for row, trial in zip(rows, trials, strict=True):
            row |= {"started": moment(trial.started_at), "ended": moment(trial.ended_at)}
            row |= _by_seed(store, record, trial, gone)
            row["looked at"] = _looked_at(store, record, trial, gone)
    if style == "csv":
        import json

        rows = [{**row, "looked at": json.dumps(row["looked at"])} for row in rows]
    columns = ("trial", "state", *record.objectives, *record.space, "took", "runs", "why")
    show(rows, style, columns=(*columns, "started", "ended", "looked at"))


def _by_seed(
    store: Store, study: StudyRecord, trial: TrialRecord, gone: frozenset[str]
) -> dict[str, float | None]:
    """Return what the run of each seed measured; None where it did not, or was deleted."""
    import math

    from rlvit.tune.objectives import value_of

    found: dict[str, float | None] = {}
    for metric in study.objectives:
        for seed in study.seeds:
            run = trial.runs.get(seed)
            value = math.nan if run is None or run in gone else value_of(store.engine, run, metric)
            found[f"{metric}, seed {seed}"] = value if math.isfinite(value) else None
    return found


def _looked_at(
    store: Store, study: StudyRecord, trial: TrialRecord, gone: frozenset[str]
) -> dict[str, list[tuple[int, float | None]]]:
    """Return what the first run logged of the metrics that the pruner looks at."""
    from rlvit.registry import queries

    run = trial.runs.get(study.seeds[0])
    if run is None or run in gone:
        return {}
    return {m: queries.curve(store.engine, run, m) for m in study.pruner.get("on") or ()}


def say(text: str) -> None:
    """Say what a study is doing, beside what a command prints."""
    click.echo(text, err=True)
