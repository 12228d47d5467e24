"""Runs that settings name: what the user calls them by is replaced by their ids, and checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rlvit.catalog import Catalog
from rlvit.config import RunOf, accepted_names, run_fields, to_flag
from rlvit.errors import UsageProblem
from rlvit.registry import queries
from rlvit.runs.artifacts import own_copy
from rlvit.runs.plan import NamedRun, Request

if TYPE_CHECKING:
    from rlvit.home import Home
    from rlvit.registry.records import RunRecord
    from rlvit.registry.store import Store


def settled(catalog: Catalog, home: Home, request: Request) -> Request:
    """Return a request in which settings name runs by their whole ids alone.

    Every command that makes runs, and the Python API, ask this before they plan: identity,
    studies and resumption then know the id, whatever `latest` means later.

    Raises:
        UsageProblem: a run is not there, is not completed, or has not what is to be taken from it;
            the message names the option.
    """
    config = catalog.method(request.plugin).config
    fields, meant = run_fields(config), accepted_names(config)
    texts = {
        name: text
        for name, text in request.values.items()
        if meant.get(name) in fields and isinstance(text, str)  # else `resolve` refuses it
    }
    if not texts:
        return request
    store = _opened(home, " ".join([to_flag(next(iter(texts))), next(iter(texts.values()))]))
    try:
        found = {
            name: _named(store, home, f"{to_flag(name)} {text}", text, fields[meant[name]])
            for name, text in texts.items()
        }
    finally:
        store.close()
    ids = {name: one.id for name, one in found.items()}
    return replace(request, values={**request.values, **ids}, named=tuple(found.values()))


def _opened(home: Home, option: str) -> Store:
    """Open the registry to read; raises UsageProblem if there is none."""
    from rlvit.registry.store import Store

    try:
        home.require_registry()
    except UsageProblem as problem:
        raise UsageProblem(f"{option}: {problem}") from None
    return Store(home.registry_url, to_read=True)


def _named(store: Store, home: Home, option: str, text: str, needed: RunOf) -> NamedRun:
    """Find and check the run that a text means; raises UsageProblem."""
    try:
        text.encode()
        record = queries.find_run(store.engine, text)
    except UnicodeEncodeError:
        raise UsageProblem(f"{option!a}: it is not UTF-8 text.") from None
    except UsageProblem as problem:  # there is none, or several fit
        raise UsageProblem(f"{option}: {problem}") from None
    _check(record, home, option, needed)
    return NamedRun(option, record.id, record.task)


def _check(record: RunRecord, home: Home, option: str, needed: RunOf) -> None:
    """Refuse a run from which nothing can be taken; raises UsageProblem."""
    if record.method not in needed.methods:
        expected = " or ".join(needed.methods)
        raise UsageProblem(
            f"{option}: run {record.id} is of {record.method}, which has no {needed.what} to take; "
            f"expected a completed run of {expected}."
        )
    if record.state != queries.COMPLETED:
        raise UsageProblem(
            f"{option}: run {record.id} is {record.state}; only a completed run has a "
            f"{needed.what} to take."
        )
    for kind in needed.artifacts:
        folder = home.runs / record.id / "artifacts"
        if own_copy(folder / kind) is None:
            raise UsageProblem(f"{option}: run {record.id} has no sound {kind!r} in {folder}.")
