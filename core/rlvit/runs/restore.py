"""Writes the rows of a run, from its folder alone, into a registry that lacks them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from rlvit.catalog import Entry
from rlvit.config import bookkeeping_fields
from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.restore import RestoreStore, RunRows
from rlvit.registry.store import Store
from rlvit.runs.folder import STREAMS
from rlvit.runs.record import Recorded, read_record
from rlvit.runs.streams import Streams, read_streams
from rlvit.specs import MetricDef

UNDECLARED = "no plugin that is installed declares it"
Bookkeeping = Callable[[str], frozenset[str] | None]


def restore(
    store: Store,
    home: Home,
    run_id: str,
    metrics: Mapping[str, MetricDef],
    *,
    bookkeeping: Bookkeeping | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> bool:
    """Write the rows of the run whose folder is `home.runs / run_id` into the registry.

    Args:
        store: of the registry.
        home: where the folder is.
        run_id: name of the folder, and id of the run.
        metrics: declarations of those metrics whose declarations the folder lacks.
        bookkeeping: see `read_record`; by default the installed plugins are asked.
        say: is told what is uncertain, or was left out because it is damaged.

    Returns:
        False if the same run is there already with the same content.

    Raises:
        RlvitError: the folder is damaged, is no run's, or another run of that id with other
            content is there. Nothing is then changed.
    """
    folder = _folder(home, run_id)
    try:
        known = read_record(folder, bookkeeping or installed_bookkeeping())
        _refuse_shortened(folder, known)
        streams = read_streams(folder, say)
        _refuse_missing(folder, known, streams)
    except OSError as problem:
        raise RlvitError(f"{folder}: {problem}.") from None
    for remark in known.remarks:
        say(remark)
    declared = _declarations(store, known, streams, metrics, say)
    return RestoreStore(store).add_run(
        RunRows(
            run={**known.run, "folder": str(home.runs / run_id)},
            experiment=known.experiment,
            metrics=declared,
            tags=known.tags,
            transitions=known.transitions,
            artifacts=[{**one, "path": str(home.located(one["path"]))} for one in known.artifacts],
            points=streams.points,
            results=streams.results,
            episodes=streams.episodes,
        )
    )


def installed_bookkeeping() -> Bookkeeping:
    """Return what tells the book-keeping fields of a method; the plugins are loaded when asked."""

    def fields(method: str) -> frozenset[str] | None:
        from rlvit.catalog import build_catalog
        from rlvit.manager import create_plugin_manager

        return bookkeeping_of(build_catalog(create_plugin_manager()).entries["method"])(method)

    return fields


def bookkeeping_of(methods: Mapping[str, Entry]) -> Bookkeeping:
    """Return what tells the book-keeping fields of the methods of a catalogue."""

    def fields(method: str) -> frozenset[str] | None:
        entry = methods.get(method)
        return None if entry is None else bookkeeping_fields(entry.spec.config)

    return fields


def _folder(home: Home, run_id: str) -> Path:
    """Return a run's folder; raises RlvitError unless it is there."""
    if run_id in ("", ".", "..") or os.path.basename(run_id) != run_id or "\0" in run_id:
        raise RlvitError(f"{run_id!r} is no id of a run.")
    folder = home.runs / run_id
    if not folder.is_dir():
        raise RlvitError(f"{folder}: there is no such folder.")
    return folder


def _refuse_shortened(folder: Path, known: Recorded) -> None:
    """Refuse a folder that is not all there, such as a copy that was stopped; raises RlvitError."""
    for stream in STREAMS:
        path, size = folder / f"{stream}.jsonl", known.streams.get(stream, 0)
        there = path.stat().st_size if path.exists() else 0
        if there < size:
            raise RlvitError(f"{path} has {there:,} of at least {size:,} bytes.")


def _refuse_missing(folder: Path, known: Recorded, streams: Streams) -> None:
    """Refuse a folder whose measurements are gone; raises RlvitError."""
    there = len(streams.results)
    if there < known.measured:
        path = folder / "results.jsonl"
        raise RlvitError(f"{path} has {there} of at least {known.measured} measurements.")


def _declarations(
    store: Store,
    known: Recorded,
    streams: Streams,
    offered: Mapping[str, MetricDef],
    say: Callable[[str], None],
) -> list[MetricDef]:
    """Return the declarations of all metrics that a run logged or measured."""
    used = {row["metric"] for row in (*streams.points, *streams.results)}
    there = queries.metrics(store.engine, used)
    for name in sorted(known.metrics.keys() & there.keys()):
        here, mine = there[name], known.metrics[name]
        if (here.unit, here.direction) != (mine.unit, mine.direction):
            say(
                f"{name} is in {here.unit} here ({here.direction}), and was in {mine.unit} "
                f"({mine.direction}) where the run was made"
            )
    found = {**{name: offered[name] for name in used & offered.keys()}, **known.metrics}
    for name in sorted(used - found.keys() - there.keys()):
        say(f"the metric {name}: {UNDECLARED}; its unit and direction are not known")
        found[name] = MetricDef(name, known.units.get(name, "?"), "none", UNDECLARED, "?")
    return [found[name] for name in sorted(used & found.keys())]
