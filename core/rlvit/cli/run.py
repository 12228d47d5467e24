"""`rlvit run` and `rlvit resume`: options come from the chosen method's own configuration."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rlvit.cli.method_options import (
    SLOT,
    RunCommand,
    data_root_option,
    device_option,
    pick,
    print_every_option,
    request_of,
    threads_option,
)
from rlvit.cli.seeds import GROUP, conclude, side_by_side, summary
from rlvit.errors import RlvitError, UsageProblem

if TYPE_CHECKING:
    from rlvit.catalog import Catalog
    from rlvit.home import Home
    from rlvit.runs.execute import RunOutcome
    from rlvit.runs.plan import Plan, Request
    from rlvit.runs.trained import TrainedSelector

MOST_SEEDS = 10_000


class RunOrTrial(RunCommand):
    """Has `--data-root` also beside `--from-trial`, where no method is named."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the options."""
        params = super().get_params(ctx)
        return params if "method" in ctx.meta else [data_root_option(), *params]


@click.command(cls=RunOrTrial)
@click.option("--plugin", metavar="NAME", help="The method.")
@click.option(
    "--from-trial",
    metavar="STUDY:NUMBER",
    help="Run a trial of a study again: everything is the trial's but --name, --tag, --note, "
    "--threads and --data-root.",
)
@click.option(
    "--selector-from",
    metavar="RUN",
    help="Take the selector that a completed run trained, frozen.",
)
@click.option(
    "--preset",
    metavar="NAME",
    help="A named set of values.  [default: paper on a GPU, quick on a CPU]",
)
@click.option(
    "--protocol", metavar="NAME", help="How results are measured.  [default: the preset's]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="The run's random seed.")
@click.option("--seeds", metavar="LIST", help="Several seeds, one run each: 0-4 or 0,2,7.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="How many of the seeds run at once; they share the threads.  [default: one a thread]",
)
@click.option("--name", help="A name for the run.  [default: its id]")
@click.option("--tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="A tag; repeatable.")
@click.option("--note", default="", help="A note for later.")
@device_option
@threads_option
@click.option(
    "--dry-run", is_flag=True, help="Show the resolved configuration and the cost; write nothing."
)
@print_every_option
@click.pass_context
def run(
    ctx: click.Context,
    /,
    seed: int,
    seeds: str | None,
    jobs: int | None,
    dry_run: bool,
    print_every: float,
    from_trial: str | None,
    **given: Any,
) -> int:
    """Run a method on a task, and remember everything about it."""
    from rlvit.cli.session import warn_of_lost_registry
    from rlvit.runs.named import settled
    from rlvit.runs.plan import make_plan, token

    if from_trial is not None:
        plans = _trial_again(ctx, from_trial, given)
        _announce(plans[0], None, chosen=True, dry_run=dry_run)
        return 0 if dry_run else _one_by_one(ctx, plans, print_every)
    if given["plugin"] is None:
        raise click.MissingParameter(ctx=ctx, param_hint="'--plugin'", param_type="option")
    if seeds is not None and ctx.get_parameter_source("seed") is ParameterSource.COMMANDLINE:
        raise UsageProblem("give --seed or --seeds, not both.")
    catalog: Catalog = ctx.meta["catalog"]
    request = request_of(
        given,
        task=given["task"],
        slots=pick(given, SLOT),
        name=given["name"],
        note=given["note"],
        tags=parse_tags(given["tags"]),
        trained=trained_selector(catalog, ctx.obj, given["selector_from"]),
    )
    request = settled(catalog, ctx.obj, request)
    numbers = parse_seeds(seeds, seed)
    if len(numbers) > 1:
        group = given["name"] or f"{request.plugin}-{token()}"
        request = replace(request, tags={**request.tags, GROUP: group})
    plans = [make_plan(catalog, replace(request, seed=one)) for one in numbers]
    at_once = min(jobs or plans[0].threads, len(plans))
    chosen = given["preset"] is not None
    other = None if chosen else _other_plan(catalog, request, plans[0])
    several = f" a run; {len(plans)} runs, {at_once} at a time" if len(plans) > 1 else ""
    _announce(plans[0], other, chosen=chosen, dry_run=dry_run, several=several)
    if dry_run:
        return 0
    ctx.obj.require_writable()
    warn_of_lost_registry(ctx.obj)
    if at_once == 1:
        return _one_by_one(ctx, plans, print_every)
    taken = given["selector_from"]
    ended = side_by_side(ctx.obj, request, numbers, at_once, print_every, taken)
    return conclude(ended, numbers, group, program(ctx.obj))


def trained_selector(catalog: Catalog, home: Home, run: str | None) -> TrainedSelector | None:
    """Return the selector that a run trained, if one is asked for; raises UsageProblem."""
    if run is None:
        return None
    from rlvit.cli.session import open_registry
    from rlvit.runs.trained import find_trained

    with open_registry(home) as store:
        return find_trained(catalog, store, home, run)


def _one_by_one(ctx: click.Context, plans: list[Plan], print_every: float) -> int:
    """Carry out runs, one after another, and show what they measured; return the exit code."""
    from rlvit.cli.progress import make_display
    from rlvit.cli.tables import show
    from rlvit.runs import execute

    outcomes, code = [], 0
    for plan in plans:
        outcome = execute.start(ctx.meta["catalog"], ctx.obj, plan, make_display(print_every))
        outcomes.append(outcome)
        try:
            code = max(code, _conclude(ctx, outcome))
        except RlvitError as problem:
            if len(plans) == 1:
                raise
            click.echo(f"Error: {problem}", err=True)
            code = 1
        if outcome.state == "interrupted":
            raise click.Abort
    rows = summary([outcome for outcome in outcomes if outcome.state == "completed"])
    if rows:
        show(rows, "table")
    return code


def _trial_again(ctx: click.Context, wanted: str, given: dict[str, Any]) -> list[Plan]:
    """Return the plans of a trial's runs.

    Raises:
        UsageProblem: there is no such trial, or an option was given that the trial decides.
    """
    from rlvit.cli.session import load_catalog, open_studies
    from rlvit.tune.fresh import replayed

    where = ("threads", "data_root")
    for name, parameter in ((p.name, p) for p in ctx.command.params if p.name):
        free = name in ("from_trial", "name", "tags", "note", "dry_run", "print_every", *where)
        if not free and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageProblem(f"--from-trial decides {parameter.opts[0]}; leave one of them out.")
    ctx.meta["catalog"] = catalog = load_catalog()
    with open_studies(ctx.obj) as store:
        plans = replayed(catalog, store, wanted, given["threads"], given.get("data_root"))
    if given["threads"] is not None:
        click.echo("note: with other --threads than before results are not bit-equal", err=True)
    tags = parse_tags(given["tags"])
    return [
        replace(plan, name=given["name"], note=given["note"], tags={**plan.tags, **tags})
        for plan in plans
    ]


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--threads", type=int, help="CPU threads; another number than before is not bit-equal."
)
@print_every_option
@click.option("--data-root", metavar="DIR", help="Where the images are now, if they were moved.")
@click.pass_context
def resume(
    ctx: click.Context,
    run_id: str,
    threads: int | None,
    print_every: float,
    data_root: str | None,
) -> int:
    """Go on with an interrupted or failed run from its last checkpoint.

    RUN is an id, the start or end of one, a name, or `latest`.
    """
    from rlvit.cli.progress import make_display
    from rlvit.cli.session import load_catalog
    from rlvit.runs import execute

    catalog = load_catalog()
    display = make_display(print_every)
    outcome = execute.resume(catalog, ctx.obj, run_id, display, threads, data_root)
    return _conclude(ctx, outcome)


def parse_tags(tags: tuple[str, ...]) -> dict[str, str]:
    """Read KEY or KEY=VALUE.

    Raises:
        UsageProblem: a key is empty.
    """
    pairs = dict(tag.partition("=")[::2] for tag in tags)
    if "" in pairs:
        raise UsageProblem("--tag: expected KEY or KEY=VALUE, the key is empty.")
    return pairs


def parse_seeds(seeds: str | None, seed: int) -> list[int]:
    """Read `0-4` or `0,2,7`.

    Raises:
        UsageProblem: it is neither.
    """
    if seeds is None:
        return [seed]
    found: list[int] = []
    try:
        for part in seeds.split(","):
            first, dash, last = part.strip().partition("-")
            span = range(int(first), int(last) + 1) if dash else range(int(first), int(first) + 1)
            if len(span) > MOST_SEEDS:
                raise UsageProblem(f"--seeds {part}: at most {MOST_SEEDS:,} seeds at a time.")
            found += span
    except ValueError:
        raise UsageProblem(
            f"--seeds {seeds}: expected a range such as 0-4 or a list 0,2,7."
        ) from None
    if not found or len(set(found)) < len(found):
        raise UsageProblem(f"--seeds {seeds}: the list is empty or names a seed twice.")
    return found


def _other_plan(catalog: Catalog, request: Request, plan: Plan) -> Plan | None:
    """Return the plan under the preset that was not chosen, None if it would be refused."""
    from rlvit.runs.plan import make_plan

    name = "quick" if plan.preset.name == "paper" else "paper"
    try:
        return make_plan(catalog, replace(request, preset=name))
    except UsageProblem:
        return None


def _announce(
    plan: Plan, other: Plan | None, *, chosen: bool, dry_run: bool, several: str = ""
) -> None:
    """Say what will run and what it costs here; without `--preset` also what the other costs."""
    from rlvit.runs.cost import device_speed, stage_seconds, words

    speed = device_speed(plan.device, plan.threads)
    costs = plan.costs()
    seconds = stage_seconds(costs, speed)
    line = f"preset {plan.preset.name} on {plan.device}: about {words(sum(seconds))}{several}"
    if not chosen:
        why = "no CUDA device here" if plan.device == "cpu" else "a CUDA device is here"
        if other is not None:
            total = words(sum(stage_seconds(other.costs(), speed)))
            why += f"; --preset {other.preset.name} would take about {total}"
        line += f" ({why})"
    click.echo(line + ".", err=not dry_run)
    if dry_run:
        _show_plan(
            plan, [(c.stage, c.amount, words(s)) for c, s in zip(costs, seconds, strict=True)]
        )


def _show_plan(plan: Plan, stages: list[tuple[str, str, str]]) -> None:
    from rlvit.config import flat

    click.echo(
        f"method {plan.method.name}, {plan.method.task_kind} {plan.task.name}, seed {plan.seed}"
    )
    click.echo(f"protocol {plan.protocol.name}: {plan.protocol.summary}")
    for setting, number in plan.protocol.settings.items():
        click.echo(f"  {setting} = {json.dumps(number)}")
    if plan.slots:
        click.echo("parts " + ", ".join(f"{slot} {name}" for slot, name in plan.slots.items()))
    click.echo(f"configuration (fingerprint {plan.fingerprint[:12]})")
    for field, value in flat(plan.config).items():
        click.echo(f"  {field} = {json.dumps(value)}")
    click.echo("expected cost")
    for stage, amount, duration in stages:
        click.echo(f"  {stage:<10} {amount:<32} {duration}")


def _conclude(ctx: click.Context, outcome: RunOutcome) -> int:
    """Print the results and where to look next; return the exit code."""
    from rlvit.cli.tables import show
    from rlvit.runs.cost import words

    if outcome.results:
        rows: list[dict[str, Any]] = [
            {"result": m.metric, "value": m.value, "sd": m.spread, "n": m.samples, "step": m.step}
            for m in outcome.results
        ]
        if len({m.step for m in outcome.results}) == 1:
            rows = [{k: v for k, v in row.items() if k != "step"} for row in rows]
        show(rows, "table")
    attempts = f" in {outcome.attempt} attempts" if outcome.attempt > 1 else ""
    spent = f"{words(outcome.computed)} of computing{attempts}"
    click.echo(f"{outcome.id}: {outcome.state} after {spent}")
    short, called = outcome.id.rpartition("-")[2], program(ctx.obj)
    if outcome.state == "completed":
        click.echo(f"  folder   {outcome.folder}")
        click.echo(f"  details  {called} runs show {short}")
        click.echo(f"  curves   {called} ui")
        return 0
    mended = "   (once what is wrong is mended)" if outcome.state == "failed" else ""
    click.echo(f"  go on    {called} resume {short}{mended}")
    if outcome.error is not None:
        raise RlvitError(outcome.error)
    return 130


def program(home: Home) -> str:
    """Return how to call the program for this home from where the user is."""
    import shlex

    from rlvit.home import Home
    from rlvit.runs.provenance import without_passwords

    usual = Home.locate()
    words = ["rlvit"]
    if home.root != usual.root:
        words += ["--home", str(home.root)]
    if home.registry_url not in (usual.registry_url, Home.locate(home.root).registry_url):
        words += ["--registry", without_passwords(home.registry_url)]
    return shlex.join(words)
