"""`rlvit run` and `rlvit resume`: options come from the chosen method's own configuration."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rlvit.errors import RlvitError, UsageProblem
from rlvit.specs import DATASET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rlvit.catalog import Catalog
    from rlvit.config import OptionInfo
    from rlvit.home import Home
    from rlvit.runs.execute import RunOutcome
    from rlvit.runs.plan import Plan, Request
    from rlvit.specs import MethodSpec

MOST_SEEDS = 10_000
PREFIX = "set_"  # click's name of a configuration option, so that it cannot clash with ours


class RunCommand(click.Command):
    """Has the options of the method that `--plugin` names, its tasks and its slots."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for `--plugin` first: it decides which options exist."""
        name = _peek(args, "--plugin")
        if name is not None:
            from rlvit.cli.session import load_catalog

            catalog = load_catalog()
            ctx.meta["catalog"] = catalog
            ctx.meta["method"] = catalog.method(name)
        return super().parse_args(ctx, [_dashed(arg) for arg in args])

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the fixed options and those of the method."""
        params = super().get_params(ctx)
        method = ctx.meta.get("method")
        if method is None:
            return params
        own = _method_options(method)
        program = ctx.parent.command.params if ctx.parent else []  # --home, also after `run`
        _refuse_clashes(method.name, [*program, *params], own)
        return [*own, *params]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under headings, with unit, default and source."""
        method: MethodSpec | None = ctx.meta.get("method")
        common: list[tuple[str, str]] = []
        by_group: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                group = getattr(param, "group", None)
                (common if group is None else by_group.setdefault(group, [])).append(record)
        with formatter.section("Options"):
            formatter.write_dl(common)
        if method is None:
            formatter.write_paragraph()
            formatter.write_text("`rlvit run --plugin NAME --help` shows the method's own options.")
            return
        with formatter.section("Presets"):
            formatter.write_dl([(f"--preset {p.name}", p.summary) for p in method.presets])
        formatter.write_paragraph()
        formatter.write_text(
            "The defaults below are the values of the preset `paper`; "
            "`--preset NAME --dry-run` shows those of any preset."
        )
        for group, rows in by_group.items():
            with formatter.section(group):
                formatter.write_dl(rows)


def _refuse_clashes(
    method: str, ours: Sequence[click.Parameter], own: Sequence[click.Parameter]
) -> None:
    """Refuse a method of which one of its own options is also another option.

    Raises:
        UsageProblem: the message names the option.
    """
    fixed = {flag for param in ours for flag in (*param.opts, *param.secondary_opts)}
    taken: set[str] = set()
    for param in own:
        for flag in (*param.opts, *param.secondary_opts):
            if flag in fixed:
                raise UsageProblem(f"{method} has an option that is ours: {flag}.")
            if flag in taken:
                raise UsageProblem(f"{method} has two options {flag}.")
            taken.add(flag)


class GroupedOption(click.Option):
    """An option that is shown under a heading."""

    def __init__(self, *names: Any, group: str, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.group = group


def _peek(args: list[str], flag: str) -> str | None:
    """Return the value that follows a flag, before anything is parsed."""
    for position, arg in enumerate(args):
        if arg == flag and position + 1 < len(args):
            return args[position + 1]
        if arg.startswith(flag + "="):
            return arg.partition("=")[2]
    return None


def _method_options(method: MethodSpec) -> list[click.Parameter]:
    from rlvit.config import options

    listed: list[click.Parameter] = [
        click.Option(
            [f"--{method.task_kind}", "task"], metavar="NAME", help=f"The {method.task_kind}."
        )
    ]
    if method.task_kind == DATASET:
        listed += _data_options()
    for slot, default in method.slots.items():
        text = f"The part in the slot {slot!r}.  [default: {default}]"
        listed.append(
            GroupedOption([f"--{slot}", f"slot_{slot}"], metavar="NAME", help=text, group="Parts")
        )
    for info in options(method.config):
        listed += [_field_option(info), *_alias_options(info)]
    return listed


def _data_options() -> list[click.Parameter]:
    """Return the options of methods that train on images."""
    return [
        click.Option(
            ["--data-root"],
            metavar="DIR",
            help="Where datasets are, or are downloaded to.  [default: RLVIT_DATA, else ./data]",
        ),
        click.Option(
            ["--skip-bad-images"],
            is_flag=True,
            help="Leave images out that cannot be decoded, and count them.",
        ),
    ]


def _field_option(info: OptionInfo) -> click.Parameter:
    also = f"; also {', '.join(info.alias_flags)}" if info.aliases else ""
    return GroupedOption(
        [_spelled(info, info.flag), PREFIX + info.field],
        type=_kind(info),
        default=None,
        help=f"{info.help}  [default: {_shown(info)}; source: {info.source}{also}]",
        group=info.group,
    )


def _alias_options(info: OptionInfo) -> Iterator[click.Parameter]:
    """Yield an option for each alias; their field's help names them.

    They are options of their own and not further names in their field's, because click would take
    the last of several without a word; `resolve` sees them all and refuses.
    """
    for alias, flag in zip(info.aliases, info.alias_flags, strict=True):
        names = [_spelled(info, flag), PREFIX + alias]
        yield click.Option(names, type=_kind(info), default=None, hidden=True)


def _dashed(arg: str) -> str:
    """Write an option with dashes: papers' parameters may be given as they print them."""
    if not arg.startswith("--"):
        return arg
    flag, equals, value = arg.partition("=")
    return flag.replace("_", "-") + equals + value


def _spelled(info: OptionInfo, flag: str) -> str:
    """Return a flag as click declares it: of a boolean, with its opposite."""
    return f"{flag}/--no-{flag[2:]}" if info.type is bool else flag


def _kind(info: OptionInfo) -> Any:
    """Return click's type of a field; a boolean needs none."""
    if info.type is bool:
        return None
    return click.Choice(info.choices) if info.choices else info.type


def _shown(info: OptionInfo) -> str:
    """Return a field's default with its unit, as help shows it."""
    if info.default is None:
        return "by task"
    if isinstance(info.default, bool):
        return "yes" if info.default else "no"
    value = f"{info.default:,}" if isinstance(info.default, int) else str(info.default)
    return value if info.unit == "-" else f"{value} {info.unit}"


@click.command(cls=RunCommand)
@click.option("--plugin", required=True, metavar="NAME", help="The method.")
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
@click.option("--name", help="A name for the run.  [default: its id]")
@click.option("--tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="A tag; repeatable.")
@click.option("--note", default="", help="A note for later.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--threads", type=int, help="CPU threads.  [default: one for each processor]")
@click.option(
    "--dry-run", is_flag=True, help="Show the resolved configuration and the cost; write nothing."
)
@click.option(
    "--print-every",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Seconds between progress lines where there is no terminal.",
)
@click.pass_context
def run(
    ctx: click.Context,
    /,
    seed: int,
    seeds: str | None,
    dry_run: bool,
    print_every: float,
    **given: Any,
) -> int:
    """Run a method on a task, and remember everything about it."""
    from rlvit.runs.plan import Request, make_plan

    if seeds is not None and ctx.get_parameter_source("seed") is ParameterSource.COMMANDLINE:
        raise UsageProblem("give --seed or --seeds, not both.")
    catalog: Catalog = ctx.meta["catalog"]
    request = Request(
        plugin=given["plugin"],
        task=given["task"],
        preset=given["preset"],
        protocol=given["protocol"],
        slots=_pick(given, "slot_"),
        values=_pick(given, PREFIX),
        name=given["name"],
        note=given["note"],
        tags=parse_tags(given["tags"]),
        device=given["device"],
        threads=given["threads"],
        data_root=given.get("data_root"),
        skip_bad_images=given.get("skip_bad_images", False),
    )
    plans = [make_plan(catalog, replace(request, seed=one)) for one in _parse_seeds(seeds, seed)]
    other = None if given["preset"] is not None else _other_plan(catalog, request, plans[0])
    _announce(plans[0], other, chosen=given["preset"] is not None, dry_run=dry_run)
    if dry_run:
        return 0
    codes = [_run_one(ctx, catalog, plan, print_every) for plan in plans]
    return max(codes)


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option(
    "--threads", type=int, help="CPU threads; another number than before is not bit-equal."
)
@click.option(
    "--print-every",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Seconds between progress lines where there is no terminal.",
)
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


def _pick(given: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the options of a prefix that the user gave."""
    return {
        name.removeprefix(prefix): value
        for name, value in given.items()
        if name.startswith(prefix) and value is not None
    }


def parse_tags(tags: tuple[str, ...]) -> dict[str, str]:
    """Read KEY or KEY=VALUE.

    Raises:
        UsageProblem: a key is empty.
    """
    pairs = dict(tag.partition("=")[::2] for tag in tags)
    if "" in pairs:
        raise UsageProblem("--tag: expected KEY or KEY=VALUE, the key is empty.")
    return pairs


def _parse_seeds(seeds: str | None, seed: int) -> list[int]:
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


def _announce(plan: Plan, other: Plan | None, *, chosen: bool, dry_run: bool) -> None:
    """Say what will run and what it costs here; without `--preset` also what the other costs."""
    from rlvit.runs.cost import device_speed, stage_seconds, words

    speed = device_speed(plan.device, plan.threads)
    costs = plan.costs()
    seconds = stage_seconds(costs, speed)
    line = f"preset {plan.preset.name} on {plan.device}: about {words(sum(seconds))}"
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


def _run_one(ctx: click.Context, catalog: Catalog, plan: Plan, print_every: float) -> int:
    from rlvit.cli.progress import make_display
    from rlvit.runs import execute

    outcome = execute.start(catalog, ctx.obj, plan, make_display(print_every))
    code = _conclude(ctx, outcome)
    if outcome.state == "interrupted":
        raise click.Abort
    return code


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
    short, program = outcome.id.rpartition("-")[2], _program(ctx.obj)
    if outcome.state == "completed":
        click.echo(f"  folder   {outcome.folder}")
        click.echo(f"  details  {program} runs show {short}")
        click.echo(f"  curves   {program} ui")
        return 0
    click.echo(f"  go on    {program} resume {short}")
    if outcome.error is not None:
        raise RlvitError(outcome.error)
    return 130


def _program(home: Home) -> str:
    """Return how to call the program for this home from where the user is."""
    import shlex

    from rlvit.home import Home

    usual = Home.locate()
    words = ["rlvit"]
    if home.root != usual.root:
        words += ["--home", str(home.root)]
    if home.registry_url not in (usual.registry_url, Home.locate(home.root).registry_url):
        words += ["--registry", home.registry_url]
    return shlex.join(words)
