"""What several commands need: the plugins of this process and a registry to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rlvit.catalog import Catalog
    from rlvit.home import Home
    from rlvit.registry.store import Store

F = TypeVar("F", bound=Callable[..., Any])


def load_catalog() -> Catalog:
    """Load the plugins; those set aside are named on standard error."""
    from rlvit.catalog import build_catalog
    from rlvit.manager import create_plugin_manager

    catalog = build_catalog(create_plugin_manager())
    for name, problem in catalog.problems.items():
        click.echo(f"plugin {name!r} is set aside: {problem}", err=True)
    return catalog


@contextmanager
def open_registry(home: Home) -> Iterator[Store]:
    """Open the registry of a home that has one; runs whose process is gone are marked first.

    Raises:
        UsageProblem: there is no registry yet.
    """
    from rlvit.registry.store import Store
    from rlvit.runs.execute import sweep

    home.require_registry()
    store = Store(home.registry_url)
    try:
        if any_running(store):
            for run_id in sweep(load_catalog(), home, store):
                click.echo(f"{run_id} is interrupted: its process is gone", err=True)
        yield store
    finally:
        store.close()


def any_running(store: Store) -> bool:
    """Return whether a run might need sweeping; only then are the plugins loaded."""
    from rlvit.registry.queries import list_runs

    states = ("running", "created")
    return any(list_runs(store.engine, state=s, archived=None, limit=1) for s in states)
