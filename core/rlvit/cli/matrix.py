"""`rlvit matrix`: the same method with every combination of tasks and parts that fits."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from rlvit.cli.method_options import (
    SLOT,
    RunCommand,
    device_option,
    peek,
    pick,
    print_every_option,
    request_of,
    threads_option,
)
from rlvit.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlvit.catalog import Catalog
    from rlvit.registry.store import Store
    from rlvit.runs.execute import RunOutcome
    from rlvit.runs.matrix import Cell, Choice

WORDS = {
    "run": "to run",
    "resume": "to resume",
    "done": "completed",
    "busy": "in other hands",
    "unfit": "left out",
}


class MatrixCommand(RunCommand):
    """Finds the method by the parts that are asked for, where `--plugin` is left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Add `--plugin` if only one method fits."""
        asked = ctx.resilient_parsing or {"--help", "-h"} & set(args)  # not to run anything
        if peek(args, "--plugin") is None and not asked:
            name = _only_method(args)
            click.echo(f"method {name}: the only one that these options fit.", err=True)
            args = ["--plugin", name, *args]
        return super().parse_args(ctx, args)


def _only_method(args: list[str]) -> str:
    """Return the method that has the task and all parts of a command line; raises UsageProblem."""
    from rlvit.cli.session import load_catalog
    from rlvit.runs.matrix import fitting

    catalog = load_catalog()
    methods = [entry.spec for entry in catalog.entries["method"].values()]
    slots = {slot for method in methods for slot in method.slots}
    given = {slot: peek(args, f"--{slot}") for slot in sorted(slots)}
    chosen = {slot: parse_list(slot, text) for slot, text in given.items() if text is not None}
    for slot, names in chosen.items():
        for name in names:
            catalog.entry(slot, name)  # a misspelt name is named, not taken for a bad fit
    of_task = [m for m in methods if peek(args, f"--{m.task_kind}") is not None]
    fit = [m.name for m in of_task if chosen and fitting(catalog, m, chosen)]
    if len(fit) != 1:
        known = ", ".join(fit or [m.name for m in of_task] or [m.name for m in methods])
        several = "several methods fit" if fit else "no method is known to fit"
        raise UsageProblem(f"{several}: give --plugin, one of {known}.")
    return str(fit[0])


def parse_list(option: str, text: str) -> list[str]:
    """Read a,b,c; raises UsageProblem if a name is empty."""
    names = [name.strip() for name in text.split(",")]
    if "" in names:
        raise UsageProblem(f"--{option} {text}: expected names with commas between them.")
    return names


@click.command(cls=MatrixCommand)
@click.option("--plugin", metavar="NAME", help="The method.  [default: the only one that fits]")
@click.option(
    "--selector-from",
    metavar="RUNS",
    help="Further selectors: those that these completed runs trained, frozen.",
)
@click.option("--preset", metavar="NAME", help="A named set of values, of every cell.")
@click.option("--protocol", metavar="NAME", help="How results are measured.")
@click.option("--seeds", metavar="LIST", default="0", show_default=True, help="0-4 or 0,2,7.")
@click.option("--name", help="Of the matrix; the same command has the same.  [default: made]")
@click.option("--tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="A tag; repeatable.")
@click.option("--note", default="", help="A note for later.")
@device_option
@threads_option
@click.option("--dry-run", is_flag=True, help="Show the cells and what they cost; write nothing.")
@print_every_option
@click.pass_context
def matrix(ctx: click.Context, /, dry_run: bool, print_every: float, **given: Any) -> int:
    """Run a method with every combination of tasks, parts and seeds that fits.

    The task and every part may be a list: --dataset a,b --selector s,t --backbone u,v. Each cell
    is an ordinary run; the command may be repeated: what is completed is not run again, and what
    was interrupted goes on.
    """
    from rlvit.cli.run import parse_seeds, parse_tags
    from rlvit.runs.matrix import TAG, default_name, make_cells
    from rlvit.runs.named import settled

    catalog: Catalog = ctx.meta["catalog"]
    method = catalog.method(given["plugin"])
    if given["task"] is None:
        raise UsageProblem(f"{method.name} needs a {method.task_kind}: give --{method.task_kind}.")
    request = request_of(given, note=given["note"], tags=parse_tags(given["tags"]))
    request = settled(catalog, ctx.obj, request)
    tasks = parse_list(method.task_kind, given["task"])
    seeds = parse_seeds(given["seeds"], 0)
    cells = make_cells(catalog, request, tasks, _choices(ctx, catalog, given), seeds)
    name = given["name"] or default_name(request, tasks, cells)
    cells = [_tagged(cell, {**request.tags, TAG: name}) for cell in cells]
    _show(ctx, cells, name)
    if all(cell.plan is None for cell in cells):
        raise UsageProblem(f"none of the {len(cells)} cells fits.")
    return 0 if dry_run else _carry_out(ctx, catalog, cells, name, print_every)


def _choices(
    ctx: click.Context, catalog: Catalog, given: dict[str, Any]
) -> dict[str, Sequence[Choice]]:
    """Return the parts to combine, by slot; raises UsageProblem."""
    from rlvit.cli.run import trained_selector
    from rlvit.runs.trained import SLOT as SELECTOR

    found: dict[str, Sequence[Choice]] = {
        slot: parse_list(slot, text) for slot, text in pick(given, SLOT).items()
    }
    if given["selector_from"] is not None:
        runs = parse_list("selector-from", given["selector_from"])
        trained = [trained_selector(catalog, ctx.obj, run) for run in runs]
        found[SELECTOR] = [*found.get(SELECTOR, ()), *(one for one in trained if one)]
    return found


def _tagged(cell: Cell, tags: dict[str, str]) -> Cell:
    """Return a cell whose run will have these tags."""
    return cell if cell.plan is None else replace(cell, plan=replace(cell.plan, tags=tags))


def _open(ctx: click.Context) -> AbstractContextManager[Store | None]:
    """Open the registry, with runs marked whose process is gone; None if there is none yet."""
    from rlvit.cli.session import open_registry

    try:
        ctx.obj.require_registry()
    except UsageProblem:
        return nullcontext()
    return open_registry(ctx.obj)


def _show(ctx: click.Context, cells: Sequence[Cell], name: str) -> None:
    """Print the cells with what is left to do, and why some are left out."""
    from rlvit.cli.tables import show
    from rlvit.runs.cost import device_speed, stage_seconds, words
    from rlvit.runs.matrix import outstanding

    plan = next((cell.plan for cell in cells if cell.plan is not None), None)
    speed = 0.0 if plan is None else device_speed(plan.device, plan.threads)
    rows, left = [], 0.0
    with _open(ctx) as store:
        for cell in cells:
            state, _ = outstanding(None if store is None else store.engine, cell)
            cost = 0.0 if cell.plan is None else sum(stage_seconds(cell.plan.costs(), speed))
            left += cost if state in ("run", "resume") else 0.0
            about = words(cost) if cell.plan is not None else "-"
            row = {"task": cell.task, **dict(sorted(cell.parts.items())), "seed": cell.seed}
            rows.append({**row, "about": about, "state": WORDS[state]})
    show(rows, "table", f"matrix {name}")
    reasons = dict.fromkeys(cell.problem for cell in cells if cell.plan is None)
    for reason in reasons:
        click.echo(f"left out: {reason}", err=True)
    fit = sum(cell.plan is not None for cell in cells)
    click.echo(
        f"{fit} of {len(cells)} cells fit; about {words(left)} for what is left, less where cells "
        "share a preparation."
    )


def _carry_out(
    ctx: click.Context, catalog: Catalog, cells: Sequence[Cell], name: str, print_every: float
) -> int:
    """Run what is left, one cell after another, and show what all measured."""
    from rlvit.cli.session import warn_of_lost_registry

    warn_of_lost_registry(ctx.obj)
    fit = [cell for cell in cells if cell.plan is not None]
    failed = []
    for number, cell in enumerate(fit, 1):
        click.echo(f"cell {number} of {len(fit)}: {_words(cell)}", err=True)
        outcome = _one(ctx, catalog, cell, name, print_every)
        if outcome is None:
            continue
        click.echo(f"{outcome.id}: {outcome.state} after {outcome.computed:.0f} s", err=True)
        if outcome.state == "interrupted":
            click.echo("The same command again goes on from here.", err=True)
            raise click.Abort
        if outcome.state == "failed":
            click.echo(f"Error: {outcome.error}", err=True)
            failed.append(cell)
    _conclude(ctx, catalog, fit, name)
    if failed:
        click.echo(f"Error: {len(failed)} of {len(fit)} cells failed.", err=True)
    return 1 if failed else 0


def _words(cell: Cell) -> str:
    parts = ", ".join(f"{slot} {part}" for slot, part in sorted(cell.parts.items()))
    return f"{cell.task}, {parts}, seed {cell.seed}"


def _one(
    ctx: click.Context, catalog: Catalog, cell: Cell, name: str, print_every: float
) -> RunOutcome | None:
    """Run or resume a cell; None if there is nothing to do here, which is said."""
    from rlvit.cli.progress import make_display
    from rlvit.runs import execute
    from rlvit.runs.matrix import claim

    with _open(ctx) as store:
        state, record = claim(store, ctx.obj, cell, name)
    display = make_display(print_every)
    assert cell.plan is not None
    if state == "run":
        return execute.start(catalog, ctx.obj, cell.plan, display)
    assert record is not None
    if state == "resume":
        root = str(cell.plan.data_root) if cell.plan.task.load is not None else None
        return execute.resume(catalog, ctx.obj, record.id, display, cell.plan.threads, root)
    click.echo(f"{record.id}: {WORDS[state]}", err=True)
    return None


def _conclude(ctx: click.Context, catalog: Catalog, cells: Sequence[Cell], name: str) -> None:
    """Print a table a task, and how to report the matrix."""
    import shlex

    from rlvit.cli.run import program
    from rlvit.cli.tables import show
    from rlvit.report.matrix import sheets
    from rlvit.runs.matrix import report_options

    with _open(ctx) as store:
        if store is None:
            return
        for sheet in sheets(store.engine, catalog, cells):
            show([dict(row) for row in sheet.rows], "table", sheet.title)
            for remark in sheet.remarks:
                click.echo(remark)
        options = report_options(store.engine, cells, name)
    click.echo(f"report  {program(ctx.obj)} report {shlex.join(options)}")
