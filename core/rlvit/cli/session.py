"""What several commands need: the plugins of this process and a registry to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rlvit.catalog import Catalog
    from rlvit.home import Home
    from rlvit.registry.store import Store
    from rlvit.registry.studies import StudyStore


def load_catalog() -> Catalog:
    """Load the plugins; those quarantined are named on standard error."""
    from rlvit.catalog import build_catalog
    from rlvit.manager import create_plugin_manager

    catalog = build_catalog(create_plugin_manager())
    for name, problem in catalog.problems.items():
        click.echo(f"plugin {name!r} is quarantined: {problem}", err=True)
    return catalog


def warn_of_lost_registry(home: Home) -> None:
    """Say on standard error that a registry is about to be begun beside runs of another."""
    if warning := home.lost_registry():
        click.echo(warning, err=True)


@contextmanager
def open_registry(home: Home, *, to_write: bool = False) -> Iterator[Store]:
    """Open the registry of a home that has one; runs whose process is gone are marked first.

    Where they cannot be marked, as on a full disk, that is said and the registry is read as it is.
    So is one that cannot be written, as in an archive, unless it is opened `to_write`.

    Raises:
        UsageProblem: there is no registry yet, or it cannot be written and must be.
    """
    from rlvit.api import sweep_if_needed
    from rlvit.registry.store import Store

    home.require_registry()
    store = Store(home.registry_url, to_read=not to_write)
    try:
        swept, problem = sweep_if_needed(load_catalog, home, store)
        for run_id in swept:
            click.echo(f"{run_id} is interrupted: its process is gone", err=True)
        if problem is not None:
            click.echo(problem, err=True)
        yield store
    finally:
        store.close()


@contextmanager
def open_studies(home: Home) -> Iterator[StudyStore]:
    """Open the registry of a home that has one, to change or read its studies.

    Raises:
        UsageProblem: there is no registry yet.
    """
    from rlvit.registry.studies import StudyStore

    home.require_registry()
    store = StudyStore(home.registry_url, to_read=True)
    try:
        yield store
    finally:
        store.close()
