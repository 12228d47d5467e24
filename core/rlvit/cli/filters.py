"""The options that say which runs are meant, shared by the commands that take many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from rlvit.catalog import match
from rlvit.errors import UnknownName

STATES = ("created", "running", "completed", "failed", "interrupted")
NAMED = ("method", "task", "protocol", "preset")  # filters whose values the registry has


def run_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options `--plugin`, `--game`, .. `--query` and `--archived`."""
    options = (
        click.option("--plugin", "method", help="Only this method."),
        click.option("--game", "--dataset", "--task", "task", help="Only this task."),
        click.option("--protocol", help="Only this protocol."),
        click.option("--preset", help="Only this preset."),
        click.option("--state", callback=_state, help="Only this state."),
        click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Only this seed."),
        click.option("--name", help="Only this name."),
        click.option("--tag", metavar="KEY[=VALUE]", help="Only with this tag."),
        click.option(
            "--query",
            metavar="EXPR",
            help="Only where it is true: seed < 3 and config.lr <= 1e-3.",
        ),
        click.option("--archived/--not-archived", default=False, help="Archived runs instead."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def page_of_runs(engine: Any, *, query: str | None, limit: int, offset: int, **filters: Any) -> Any:
    """Return the part of the list of runs that filters and query choose.

    Raises:
        UnknownName: neither the registry nor a plugin has a name.
        UsageProblem: the query cannot be read.
    """
    from rlvit.registry import queries

    for name in NAMED:
        if filters[name] is not None:
            filters[name] = _known_name(engine, name, filters[name])
    if query is None:
        return queries.page(engine, limit=limit, offset=offset, **filters)
    from rlvit.cli.session import load_catalog
    from rlvit.report.collect import chosen_runs

    chosen = chosen_runs(engine, load_catalog(), query)
    return queries.page(engine, limit=limit, offset=offset, chosen=chosen, **filters)


def _state(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return the state that is meant; raises UnknownName, before a registry is looked for."""
    return None if value is None else _one_of("state", value, STATES)


def _known_name(engine: Any, column: str, wanted: str) -> str:
    """Return the name that the registry or a plugin has; raises UnknownName."""
    from rlvit.registry import queries

    stored = queries.names(engine, column)
    if wanted in stored:
        return wanted
    names = [*stored, *_offered_names(column)]
    return _one_of("plugin" if column == "method" else column, wanted, names)


def _offered_names(column: str) -> list[str]:
    """Name the methods, tasks, protocols or presets of the installed plugins."""
    from rlvit.cli.session import load_catalog

    catalog = load_catalog()
    if column == "protocol":
        return [protocol.name for protocol in catalog.protocols()]
    if column == "preset":
        methods = catalog.entries["method"].values()
        return [preset.name for entry in methods for preset in entry.spec.presets]
    return list(catalog.entries[column])


def _one_of(what: str, wanted: str, names: Sequence[str]) -> str:
    """Return one of the names, compared without regard to case; raises UnknownName."""
    found = match(wanted, names)
    if found is None:
        raise UnknownName(what, wanted, set(names))
    return found
