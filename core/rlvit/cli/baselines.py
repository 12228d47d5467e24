"""`rlvit baselines`: scores from elsewhere that reports show beside the runs."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from rlvit.cli.session import load_catalog, open_registry, warn_of_lost_registry
from rlvit.cli.tables import format_option, moment, show
from rlvit.errors import UsageProblem
from rlvit.specs import DATASET

if TYPE_CHECKING:
    from rlvit.catalog import Catalog
    from rlvit.report.model import Reference

LISTED = ("name", "metric", "protocol", "tasks", "values", "runs", "source", "cite", "added")


@click.group()
def baselines() -> None:
    """Import scores from elsewhere, which reports show beside the runs."""


@baselines.command("add")
@click.argument("file", type=click.Path())
@click.option("--name", help="Name of the method.  [default: the file's]")
@click.option("--protocol", help="Protocol that the scores are comparable under.  [default: none]")
@click.option("--metric", help="What was measured.  [default: the raw score of games]")
@click.option("--cite", default="", help="Where the scores are from.")
@click.pass_context
def add_command(
    ctx: click.Context,
    file: str,
    name: str | None,
    protocol: str | None,
    metric: str | None,
    cite: str,
) -> None:
    """Import the scores of a FILE: one for each run, or printed means.

    FILE is a CSV with the columns method,task,score and, as far as they are known, seed, protocol
    and metric, or n and spread for a printed mean; or JSON such as {"Pong": [20.1, 18.4]}. The
    same file twice adds nothing.
    """
    from rlvit.registry.store import Store
    from rlvit.report.baselines import fit, read, to_rows
    from rlvit.report.summary import count
    from rlvit.runs.mirrors import mirror_baselines, refuse_unknown_baselines

    catalog = load_catalog()
    found = fit(read(file, name=name, protocol=protocol, metric=metric, cite=cite), catalog)
    _refuse_scores_of_datasets(found, catalog)
    rows = to_rows(found, file)
    warn_of_lost_registry(ctx.obj)
    with closing(Store(ctx.obj.registry_url)) as store:
        refuse_unknown_baselines(store, ctx.obj)
        store.declare_metrics(catalog.metrics.values())
        added = store.add_baselines(rows)
        mirror_baselines(store, ctx.obj)
    for method in dict.fromkeys(reference.name for reference in found):
        _report(method, [one for one in found if one.name == method])
    known = list(catalog.entries["task"])
    unknown = sorted({one.task for one in found} - set(known))
    if unknown:
        named = ", ".join(f"{task}{_meant(task, known)}" for task in unknown)
        click.echo(f"no plugin offers {named}: nothing to compare with", err=True)
    text = f"{count(added, 'value')} added"
    click.echo(text if added else "all of it was there already; nothing added")


def _meant(task: str, known: Sequence[str]) -> str:
    """Return `` (did you mean digits?)`` where a task nearly has that name, else nothing."""
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(task.lower(), list(lowered), n=1, cutoff=0.7)
    return f" (did you mean {lowered[near[0]]}?)" if near else ""


def _refuse_scores_of_datasets(found: Sequence[Reference], catalog: Catalog) -> None:
    """Refuse a game's score as what was measured of an image dataset; raises UsageProblem."""
    from rlvit.report.baselines import SCORE_METRIC

    entries = catalog.entries["task"]
    for reference in found:
        entry = entries.get(reference.task)
        if entry and entry.spec.kind == DATASET and reference.metric == SCORE_METRIC:
            raise UsageProblem(
                f"{reference.task} is an image dataset, {SCORE_METRIC} is a game's score: say "
                "what was measured with --metric (`rlvit plugins show tasks` lists the metrics)."
            )


def _report(method: str, found: Sequence[Reference]) -> None:
    """Say what a method's scores are taken for."""
    from rlvit.report.summary import count

    kinds = Counter((one.metric, one.protocol) for one in found)
    for (metric, protocol), tasks in kinds.items():
        under = f"under {protocol}" if protocol else "comparable under no protocol (--protocol)"
        runs = _runs([one for one in found if (one.metric, one.protocol) == (metric, protocol)])
        on = count(tasks, "task")
        click.echo(f"{method}: {on}, runs a task: {runs}, by {metric}, {under}")


def _runs(found: Sequence[Reference]) -> str:
    """Return the numbers of runs behind the values: "5", "3-5", "unknown"."""
    counts = sorted({one.n for one in found if one.n is not None})
    known = "-".join(str(n) for n in dict.fromkeys([*counts[:1], *counts[-1:]]))
    missing = any(one.n is None for one in found)
    return " or ".join([*([known] if known else []), *(["unknown"] if missing else [])])


@baselines.command("list")
@format_option
@click.pass_context
def list_command(ctx: click.Context, style: str) -> None:
    """List what was imported."""
    from rlvit.registry import queries
    from rlvit.report.baselines import references

    with open_registry(ctx.obj) as store:
        found = references(store.engine)
        added = {one.name: one.added_at for one in queries.baselines(store.engine)}
    kinds = dict.fromkeys((one.name, one.metric, one.protocol) for one in found)
    rows = []
    for name, metric, protocol in kinds:
        mine = [
            one for one in found if (one.name, one.metric, one.protocol) == (name, metric, protocol)
        ]
        rows.append(_row(mine, moment(added[name])))
    show(rows, style, columns=LISTED)


def _row(found: Sequence[Reference], added: str | None) -> dict[str, Any]:
    """Return one line of the list, with the columns `LISTED`."""
    first = found[0]
    return {
        "name": first.name,
        "metric": first.metric,
        "protocol": first.protocol or None,
        "tasks": len(found),
        "values": sum(max(1, len(one.scores)) for one in found),
        "runs": _runs(found),
        "source": first.where,
        "cite": first.cite or None,
        "added": added,
    }


@baselines.command("remove")
@click.argument("name")
@click.pass_context
def remove_command(ctx: click.Context, name: str) -> None:
    """Forget what was imported under a NAME."""
    from rlvit.report.summary import count
    from rlvit.runs.mirrors import mirror_baselines, refuse_unknown_baselines

    with open_registry(ctx.obj, to_write=True) as store:
        refuse_unknown_baselines(store, ctx.obj)
        removed = store.remove_baselines(name)
        mirror_baselines(store, ctx.obj, removed=name)
    click.echo(f"{name}: {count(removed, 'value')} removed")
