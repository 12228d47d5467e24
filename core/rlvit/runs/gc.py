"""Throws away what the user archived, and what nothing needs any more.

A run goes in an order that shows wherever it is stopped: its folder gets another name, its rows go,
then the folder. Until the rows are gone the registry knows a run whose folder is missing, and after
that there is a folder with a name that says what it is; `check` finds both and a second call ends
both.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.registry import contents, queries
from rlvit.registry.contents import Link
from rlvit.registry.records import RunRecord
from rlvit.registry.store import Store
from rlvit.runs.audit.files import (
    REMOVING,
    is_leftover,
    leftovers_of_home,
    leftovers_of_run,
    runs_without_row,
)
from rlvit.runs.audit.locks import holding
from rlvit.runs.bundle.staging import PREFIX
from rlvit.runs.provenance import run_is_under_way

DAY = 86_400.0


@dataclass(frozen=True)
class Item:
    """Something that can go."""

    what: str  # "run", "shared artifact" or "leftover"
    name: str  # a run's id, or a path below runs/
    path: Path
    size: int  # bytes


@dataclass
class Proposal:
    """What can go, and what was archived and is kept."""

    items: list[Item] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)  # archived run, or shared/ -> why


def propose(home: Home, engine: Engine, older_than: float = 0.0) -> Proposal:
    """Find what can be thrown away; nothing is changed.

    Args:
        home: whose runs they are.
        engine: of its registry.
        older_than: days that must have passed since an archived run ended.
    """
    records = queries.list_runs(engine, archived=None)
    links = contents.links(engine)
    proposal = Proposal()
    leaving = _leaving(home, engine, records, links, older_than, proposal.kept)
    by_id = {record.id: record for record in records}
    for run_id in sorted(leaving):
        folder = home.runs / run_id
        half = home.runs / f"{REMOVING}{run_id}"
        path = folder if folder.exists() else half
        proposal.items.append(Item("run", run_id, path, _size(path)))
    in_use = _in_use(home, records)
    if in_use:
        proposal.kept[f"{home.shared.name}/"] = in_use
    for path in [] if in_use else _unreferenced(home, links, leaving):
        proposal.items.append(
            Item("shared artifact", f"shared/{path.name}", path, _size(path)),
        )
    for path in _leftovers(home, by_id, leaving):
        where = str(path.relative_to(home.runs))
        proposal.items.append(Item("leftover", where, path, _size(path)))
    return proposal


def _leaving(
    home: Home,
    engine: Engine,
    records: Sequence[RunRecord],
    links: Sequence[Link],
    older_than: float,
    kept: dict[str, str],
) -> set[str]:
    """Return the archived runs that can go, and write down in `kept` why others cannot."""
    trials, now = contents.runs_of_trials(engine), time.time()
    leaving = set()
    for record in records:
        if not record.archived:
            continue
        if record.state in ("created", "running"):
            kept[record.id] = f"it is {record.state}"
        elif record.id in trials:
            study, number, _ = trials[record.id]
            kept[record.id] = f"it belongs to trial {number} of study {study}"
        elif _elsewhere(home, engine, record):
            kept[record.id] = "its folder is in another home"
        elif now - (record.ended_at or record.created_at) < older_than * DAY:
            kept[record.id] = f"it ended less than {older_than:g} days ago"
        else:
            leaving.add(record.id)
    while users := _users(leaving, links):
        kept |= {run: f"run {user} used what it made ({kind})" for run, user, kind in users}
        leaving -= {run for run, _, _ in users}
    return leaving


def _elsewhere(home: Home, engine: Engine, record: RunRecord) -> bool:
    """Say whether a run of a shared registry is kept in another home."""
    return engine.dialect.name != "sqlite" and Path(record.folder).parent != home.runs


def _users(leaving: set[str], links: Sequence[Link]) -> list[tuple[str, str, str]]:
    """Return (run, who stays and used what it made, what) of those that were to leave."""
    return [
        (link.made_by, link.run, link.kind)
        for link in links
        if link.role == "used" and link.made_by in leaving and link.run not in leaving
    ]


def _in_use(home: Home, records: Sequence[RunRecord]) -> str:
    """Say why no shared artifact may go, whatever the registry knows of it: nothing, or words."""
    if any(run_is_under_way(record) for record in records):
        return "a run is under way, which may use what is there"  # and has not written that down
    if next(home.runs.glob(f"{PREFIX}*"), None) is not None:
        return "an import is under way, or was stopped and is ended by the next one"
    unknown = runs_without_row(home, {record.id for record in records})
    if unknown:
        return f"the registry lacks {len(unknown):,} runs, see `rlvit registry rebuild`"
    return ""


def _unreferenced(home: Home, links: Sequence[Link], leaving: set[str]) -> list[Path]:
    """Return the shared artifacts that no run has, once some runs are gone."""
    if not home.shared.is_dir():
        return []
    used = {f"{link.kind}-{link.key[:16]}" for link in links if link.run not in leaving}
    folders = (path for path in sorted(home.shared.iterdir()) if path.is_dir())
    return [path for path in folders if not is_leftover(path) and path.name not in used]


def _leftovers(home: Home, by_id: dict[str, RunRecord], leaving: set[str]) -> Iterator[Path]:
    for run_id, record in sorted(by_id.items()):
        if run_id not in leaving and not run_is_under_way(record):
            yield from leftovers_of_run(record, home.runs / run_id)
    for path in leftovers_of_home(home, list(by_id)):
        if path.name.removeprefix(REMOVING) not in by_id:
            yield path


def carry_out(home: Home, store: Store, items: Sequence[Item]) -> Iterator[tuple[Item, str]]:
    """Throw things away one by one, and yield each with why it was left, or nothing.

    What has changed since it was proposed is looked at again under its lock.
    """
    remove = {"run": _remove_run, "shared artifact": _remove_shared, "leftover": _remove_leftover}
    for item in items:
        try:
            yield item, remove[item.what](home, store, item)
        except OSError as problem:
            yield item, problem.strerror or str(problem)
    known = {str(path) for path in (home.shared.iterdir() if home.shared.is_dir() else ())}
    for number, path in contents.unlinked(store.engine):
        if str(home.located(path)) not in known:
            store.forget_artifact(number)


def _remove_run(home: Home, store: Store, item: Item) -> str:
    with holding(home, f"run-{item.name}") as held:
        if not held:
            return "another process works on it"
        try:
            record = queries.find_run(store.engine, item.name)
        except RlvitError:
            return "it is gone already"
        if record.id != item.name or not record.archived or run_is_under_way(record):
            return "it is no longer archived, or was begun again"
        if _users({record.id}, contents.links(store.engine)) and not _archived_users(store, record):
            return "another run has used what it made"
        take_away(home, store, item.name)
    return ""


def take_away(home: Home, store: Store, run_id: str) -> None:
    """Remove a run's rows and its folder, in the order that a kill cannot hide.

    Raises:
        OSError: the folder cannot be removed.
    """
    folder, half = home.runs / run_id, home.runs / f"{REMOVING}{run_id}"
    if folder.exists():
        _discard(half)
        os.replace(folder, half)
    store.delete_run(run_id)
    _discard(half)


def _discard(path: Path) -> None:
    """Remove a file or a folder, or a link to one, which leaves alone what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _archived_users(store: Store, record: RunRecord) -> bool:
    """Say whether all who used what a run made are archived as well, and leave with it."""
    archived = {one.id for one in queries.list_runs(store.engine, archived=True)}
    users = _users({record.id}, contents.links(store.engine))
    return all(user in archived for _, user, _ in users)


def _remove_shared(home: Home, store: Store, item: Item) -> str:
    with holding(home, item.path.name) as held:
        if not held:
            return "another process is building or reading it"
        if problem := _in_use(home, queries.list_runs(store.engine, archived=None)):
            return problem
        if item.path not in _unreferenced(home, contents.links(store.engine), set()):
            return "a run uses it"
        half = item.path.with_name(f"{REMOVING}{item.path.name}")
        _discard(half)
        os.replace(item.path, half)
        _discard(half)
    return ""


def _remove_leftover(home: Home, store: Store, item: Item) -> str:
    with holding(home, _lock_of(home, item.path)) as held:
        if not held:
            return "another process is at work there"
        _discard(item.path)
    return ""


def _lock_of(home: Home, path: Path) -> str:
    """Return the lock that who makes such a path holds: of an artifact, or of a run."""
    if path.parent == home.shared:
        name = path.name.removeprefix(REMOVING).removeprefix(".")
        return name.partition(".damaged-")[0]
    run = path.relative_to(home.runs).parts[0]
    return f"run-{run.removeprefix(REMOVING)}"


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; links count as nothing."""
    if path.is_symlink() or not path.exists():
        return 0
    if path.is_file():
        return path.stat().st_size
    files = (one for one in path.rglob("*") if one.is_file() and not one.is_symlink())
    return sum(one.stat().st_size for one in files)
