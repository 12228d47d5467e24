"""`rlvit runs`: what was run, how it went, what differs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from rlvit.cli.filters import page_of_runs, run_filters
from rlvit.cli.gc import gc_command
from rlvit.cli.run import parse_tags
from rlvit.cli.session import open_registry
from rlvit.cli.tables import cell, format_option, moment, show
from rlvit.errors import UsageProblem

RESULT = "result/"  # of the facts that `diff` compares
LISTED = (
    "run",
    "name",
    "parts",
    "preset",
    "protocol",
    "state",
    "result",
    "started",
    "seconds",
    "tags",
)


@click.group()
def runs() -> None:
    """List, show, compare, annotate and remove runs.

    RUN is an id, the start or end of one, a name, or `latest`.
    """


@runs.command("list")
@run_filters
@click.option(
    "--limit",
    type=click.IntRange(1, 2**31 - 1),
    default=50,
    show_default=True,
    help="At most so many.",
)
@click.option(
    "--offset",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    help="Leave out so many of the newest.",
)
@format_option
@click.pass_context
def list_command(ctx: click.Context, /, style: str, **filters: Any) -> None:
    """List runs, newest first."""
    with open_registry(ctx.obj) as store:
        page = page_of_runs(store.engine, **filters)
    show([_row(record, page.results[record.id]) for record in page.records], style, columns=LISTED)
    end = filters["offset"] + len(page.records)
    if page.records and end < page.total:
        text = f"{page.total - end:,} more of {page.total:,} runs: --offset {end}"
        click.echo(text, err=style != "table")


def _row(record: Any, results: list[Any]) -> dict[str, Any]:
    """Return a run as the list shows it, with the columns `LISTED`."""
    live = [r for r in results if not r.superseded]
    live = [r for r in live if r.step == max(r.step for r in live)]  # of the finished model
    return {
        "run": record.id,
        "name": None if record.name == record.id else record.name,
        # the selector, which runs differ in most, is the last by name
        "parts": " ".join(name for _, name in sorted(record.slots.items(), reverse=True)) or None,
        "preset": record.preset,
        "protocol": record.protocol,
        "state": record.state,
        "result": f"{live[0].metric} {cell(live[0].value)} (n={live[0].samples})" if live else None,
        "started": moment(record.started_at or record.created_at),
        "seconds": round(record.seconds),
        "tags": " ".join(k if not v else f"{k}={v}" for k, v in record.tags.items()) or None,
    }


@runs.command("show")
@click.argument("run_id", metavar="RUN")
@format_option
@click.pass_context
def show_command(ctx: click.Context, run_id: str, style: str) -> None:
    """Show everything about a run."""
    from rlvit.registry import queries

    with open_registry(ctx.obj) as store:
        record = queries.find_run(store.engine, run_id)
        results = [vars(r) for r in queries.results(store.engine, record.id) if not r.superseded]
        episodes = [e for e in queries.episodes(store.engine, record.id) if not e.superseded]
        moves = queries.transitions(store.engine, record.id)
        artifacts = [
            vars(a) | {"path": str(ctx.obj.located(a.path))}
            for a in queries.artifacts(store.engine, record.id)
        ]
    record = replace(record, folder=str(ctx.obj.located(record.folder)))
    if style != "table":
        whole = vars(record) | {
            "results": results,
            "episodes": [vars(e) for e in episodes],
            "transitions": [vars(m) for m in moves],
            "artifacts": artifacts,
        }
        if style == "csv":
            whole = {
                k: json.dumps(v, default=str) if isinstance(v, dict | list) else v
                for k, v in whole.items()
            }
        show([whole], style)
        return
    _show_head(record)
    for move in moves:
        click.echo(f"  {moment(move.at)}  attempt {move.attempt}  {move.to_state}  {move.reason}")
    if results:
        show(
            [
                {k: r[k] for k in ("metric", "value", "unit", "spread", "samples", "step")}
                for r in results
            ],
            "table",
            "Results",
        )
    if episodes:
        click.echo("Episodes: " + ", ".join(cell(e.score) for e in episodes[:60]))
    if artifacts:
        show(
            [
                {k: a[k] for k in ("kind", "role", "made_by", "sha256", "size")}
                | {"sha256": a["sha256"][:12]}
                for a in artifacts
            ],
            "table",
            "Artifacts",
        )
    show([{"option": k, "value": v} for k, v in record.config.items()], "table", "Configuration")


def _show_head(record: Any) -> None:
    unknown = " with changes or without, git failed" if record.git_commit else ""
    dirty = {True: " with uncommitted changes", False: "", None: unknown}[record.git_dirty]
    machine = record.provenance
    lines = {
        "run": record.id,
        "name": record.name,
        "state": record.state + (f": {record.error}" if record.error else ""),
        "method": f"{record.method} ({record.plugin_version}), preset {record.preset}",
        "task": f"{record.task}, protocol {record.protocol}, seed {record.seed}",
        "parts": ", ".join(f"{slot} {name}" for slot, name in record.slots.items()),
        "commit": (record.git_commit or "not run from a git checkout") + dirty,
        "command": machine.get("command"),
        "machine": f"{machine.get('host')}, {machine.get('cpu')}, "
        f"{machine.get('threads')} threads, {machine.get('gpu') or 'no GPU'}",
        "computed": f"{record.seconds:,.0f} s in {record.attempt} attempt(s)",
        "tags": ", ".join(f"{k}={v}" if v else k for k, v in record.tags.items()) or "-",
        "note": record.note or "-",
        "folder": record.folder,
    }
    for key, value in lines.items():
        click.echo(f"{key:<9} {value}")


@runs.command("diff")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@format_option
@click.pass_context
def diff_command(ctx: click.Context, first: str, second: str, style: str) -> None:
    """Show where two runs differ: configuration, code, environment, final results.

    The difference of results is that of the second RUN minus the first.
    """
    from rlvit.registry import queries

    with open_registry(ctx.obj) as store:
        records = [queries.find_run(store.engine, text) for text in (first, second)]
        if records[0].id == records[1].id:
            raise UsageProblem(f"{first!r} and {second!r} are the same run.")
        sides = []
        for record in records:
            results = queries.results(store.engine, record.id)
            sides.append(_facts(record) | _final(results))
    left, right = sides
    keys = list(dict.fromkeys([*left, *right]))
    rows = [
        {
            "what": key,
            first: left.get(key),
            second: right.get(key),
            "difference": _difference(key, left.get(key), right.get(key)),
        }
        for key in keys
        if left.get(key) != right.get(key)
    ]
    show(rows, style, columns=("what", first, second, "difference"))


def _final(results: Sequence[Any]) -> dict[str, float | None]:
    """Return the last measurement of each metric, whatever the step it was made at."""
    live = sorted((r for r in results if not r.superseded), key=lambda r: (r.metric, r.step))
    return {f"{RESULT}{one.metric}": one.value for one in live}


def _difference(what: str, left: Any, right: Any) -> float | None:
    """Return the second run's result minus the first one's; None of what is no result."""
    there = what.startswith(RESULT) and left is not None and right is not None
    return right - left if there else None


def _facts(record: Any) -> dict[str, Any]:
    """Return a run as flat facts with a heading in each key."""
    machine = dict(record.provenance)
    packages = machine.pop("packages", {})
    facts: dict[str, Any] = {
        f"run/{name}": getattr(record, name)
        for name in ("method", "task", "protocol", "preset", "seed", "state", "plugin_version")
    }
    facts |= {f"config/{k}": v for k, v in record.config.items()}
    facts |= {f"protocol/{k}": v for k, v in record.protocol_settings.items()}
    facts |= {f"part/{k}": v for k, v in record.slots.items()}
    facts |= {f"code/{k}": machine.pop(k, None) for k in ("git_commit", "git_dirty", "git_tree")}
    facts |= {f"environment/{k}": v for k, v in machine.items()}
    facts |= {f"package/{k}": v for k, v in packages.items()}
    return facts


@runs.command("tag")
@click.argument("run_id", metavar="RUN")
@click.argument("tags", nargs=-1, metavar="KEY[=VALUE]...")
@click.option("--remove", multiple=True, metavar="KEY", help="Take a tag away; repeatable.")
@click.pass_context
def tag_command(
    ctx: click.Context, run_id: str, tags: tuple[str, ...], remove: tuple[str, ...]
) -> None:
    """Attach tags to a run, or take them away."""
    if not tags and not remove:
        raise UsageProblem("give a tag to attach, or --remove KEY.")
    _change(ctx, run_id, lambda store, found: store.tag(found, parse_tags(tags), remove))


@runs.command("note")
@click.argument("run_id", metavar="RUN")
@click.argument("text")
@click.pass_context
def note_command(ctx: click.Context, run_id: str, text: str) -> None:
    """Replace a run's note."""
    _change(ctx, run_id, lambda store, found: store.annotate(found, note=text))


@runs.command("archive")
@click.argument("run_id", metavar="RUN")
@click.option("--undo", is_flag=True, help="Bring it back.")
@click.pass_context
def archive_command(ctx: click.Context, run_id: str, undo: bool) -> None:
    """Hide a run from lists; nothing is removed."""
    _change(ctx, run_id, lambda store, found: store.annotate(found, archived=not undo))


def _change(ctx: click.Context, run_id: str, change: Any) -> None:
    """Change a run's annotations in the registry and in its folder."""
    from rlvit.registry import queries
    from rlvit.runs.views import mirror

    with open_registry(ctx.obj, to_write=True) as store:
        found = queries.find_run(store.engine, run_id).id
        change(store, found)
        mirror(store, ctx.obj, found)
    click.echo(f"{found}: done")


@runs.command("delete")
@click.argument("run_id", metavar="RUN")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def delete_command(ctx: click.Context, run_id: str, yes: bool) -> None:
    """Remove a run from the registry, and its folder. This cannot be undone."""
    from rlvit.registry import contents, queries
    from rlvit.runs.gc import take_away

    with open_registry(ctx.obj, to_write=True) as store:
        record = queries.find_run(store.engine, run_id)
        if record.state in ("running", "created"):
            raise UsageProblem(f"run {record.id} is {record.state}; stop it first.")
        folder = ctx.obj.runs / record.id
        trial = contents.runs_of_trials(store.engine).get(record.id)
        if trial is not None:
            click.echo(
                f"It belongs to trial {trial[1]} of study {trial[0]}: what that cost will no "
                "longer be known, nor what each seed measured.",
                err=True,
            )
        if not yes:
            click.confirm(f"Delete {record.id} and {folder}?", abort=True)
        take_away(ctx.obj, store, record.id)
    click.echo(f"{record.id}: deleted")


runs.add_command(gc_command)
