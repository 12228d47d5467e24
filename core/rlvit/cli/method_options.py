"""The options of commands that make runs: they come from the chosen method's own configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rlvit.cli.ranges import NumberRange
from rlvit.errors import UsageProblem
from rlvit.specs import DATASET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rlvit.config import OptionInfo
    from rlvit.runs.plan import Request
    from rlvit.specs import MethodSpec

device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."
)
threads_option = click.option(
    "--threads", type=int, help="CPU threads.  [default: one for each processor]"
)
print_every_option = click.option(
    "--print-every",
    type=NumberRange(min=0),
    default=10.0,
    show_default=True,
    help="Seconds between progress lines where there is no terminal.",
)
PREFIX = "set_"  # click's name of a configuration option, so that it cannot clash with ours
SLOT = "slot_"  # the same of a part


class RunCommand(click.Command):
    """Has the options of the method that `--plugin` names, its tasks and its slots."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for `--plugin` first: it decides which options exist."""
        name = peek(args, "--plugin")
        if name is not None:
            from rlvit.cli.session import load_catalog

            catalog = load_catalog()
            ctx.meta["catalog"] = catalog
            if not ctx.resilient_parsing or name in catalog.entries["method"]:  # else to complete
                ctx.meta["method"] = catalog.method(name)
        try:
            return super().parse_args(ctx, [_dashed(arg) for arg in args])
        except click.NoSuchOption as problem:
            if name is not None:
                _refuse_missing_slot(ctx, problem.option_name)
                raise
            text = f"{problem.format_message()} A method's own options need --plugin NAME."
            raise click.UsageError(text, ctx) from None

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
            formatter.write_text(
                f"`{ctx.command_path} --plugin NAME --help` shows the method's own options."
            )
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


def _refuse_missing_slot(ctx: click.Context, flag: str) -> None:
    """Refuse an option for a slot that other methods have; raises UsageProblem."""
    method: MethodSpec | None = ctx.meta.get("method")
    slot = flag.lstrip("-")
    if method is None or slot not in ctx.meta["catalog"].entries or slot in method.slots:
        return
    others = [e.spec for e in ctx.meta["catalog"].entries["method"].values()]
    if any(slot in other.slots for other in others):
        own = f"its slots are {', '.join(method.slots)}" if method.slots else "it has no slots"
        raise UsageProblem(f"{flag}: {method.name} has no slot for a {slot}; {own}.")


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


def peek(args: list[str], flag: str) -> str | None:
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
            GroupedOption([f"--{slot}", SLOT + slot], metavar="NAME", help=text, group="Parts")
        )
    for info in options(method.config):
        listed += [_field_option(info), *_alias_options(info)]
    return listed


def _data_options() -> list[click.Parameter]:
    """Return the options of methods that train on images."""
    return [
        data_root_option(),
        click.Option(
            ["--skip-bad-images"],
            is_flag=True,
            help="Leave images out that cannot be decoded, and count them.",
        ),
    ]


def data_root_option() -> click.Option:
    """Return the option that says where datasets are."""
    return click.Option(
        ["--data-root"],
        metavar="DIR",
        help="Where datasets are, or are downloaded to.  [default: RLVIT_DATA, else ./data]",
    )


def _field_option(info: OptionInfo) -> click.Parameter:
    also = f"; also {', '.join(info.alias_flags)}" if info.aliases else ""
    return GroupedOption(
        [_spelled(info, info.flag), PREFIX + info.field],
        type=_kind(info),
        metavar=None if info.run is None else "RUN",
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
        metavar = None if info.run is None else "RUN"
        yield click.Option(names, type=_kind(info), metavar=metavar, default=None, hidden=True)


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
        return "by task" if info.run is None else "none"
    if isinstance(info.default, bool):
        return "yes" if info.default else "no"
    value = f"{info.default:,}" if isinstance(info.default, int) else str(info.default)
    return value if info.unit == "-" else f"{value} {info.unit}"


def pick(given: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the options of a prefix that the user gave."""
    return {
        name.removeprefix(prefix): value
        for name, value in given.items()
        if name.startswith(prefix) and value is not None
    }


def request_of(given: dict[str, Any], **own: Any) -> Request:
    """Return what a command that makes runs was asked for, by the names of its options.

    Args:
        given: all options.
        own: fields of the request that not every such command has.
    """
    from rlvit.runs.plan import Request

    return Request(
        plugin=given["plugin"],
        preset=given["preset"],
        protocol=given["protocol"],
        values=pick(given, PREFIX),
        device=given["device"],
        threads=given["threads"],
        data_root=given.get("data_root"),
        skip_bad_images=given.get("skip_bad_images", False),
        **own,
    )
