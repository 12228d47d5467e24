"""A run's end: kept in its folder until registry, copy and trackers know it, whatever happens."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rlvit.catalog import Catalog
from rlvit.contracts import RunView
from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.records import RunRecord
from rlvit.registry.store import Store
from rlvit.runs import provenance
from rlvit.runs.checkpoint import Checkpoints
from rlvit.runs.events import tell
from rlvit.runs.folder import RunFolder, write_json
from rlvit.runs.recorder import absorb
from rlvit.runs.views import mirror, view_of


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    attempt: int
    state: str
    reason: str
    at: float  # when, in seconds since 1970
    seconds: float = 0.0  # of computing that the registry may not have counted


@contextlib.contextmanager
def claim(home: Home, run_id: str) -> Iterator[None]:
    """Hold a run for this process; the system lets it go however the process ends.

    Raises:
        RlvitError: another process works on it.
    """
    home.locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.locks / f"run-{run_id}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RlvitError(f"run {run_id} is in the hands of another process.") from None
    try:
        yield
    finally:
        lock.release()


def keep(home: Home, run_id: str, ending: Ending) -> None:
    """Write an ending into the run's folder, before anybody else is told of it.

    A mark outside of the folders saves the next command from looking into each of them.

    Raises:
        OSError: the disk does not take it.
    """
    write_json(_file(home, run_id), asdict(ending))
    _marks(home).mkdir(parents=True, exist_ok=True)
    (_marks(home) / run_id).touch()


def untold(home: Home) -> list[str]:
    """Return the runs of this home whose end was kept and perhaps not told to all."""
    with contextlib.suppress(OSError):
        return sorted(path.name for path in _marks(home).iterdir())
    return []


def settle(
    catalog: Catalog, home: Home, store: Store, run_id: str, ending: Ending, **more: Any
) -> RunView:
    """Make an ending known to the registry, to run.json and to the trackers, in this order.

    All of it may be done again: what was told before stays as it is.

    Args:
        catalog: of the plugins that hear of it.
        home: of the run.
        store: writes the registry.
        run_id: the run, which this process holds.
        ending: of its last attempt.
        more: what the trackers' view has beyond what the registry knows.

    Raises:
        SQLAlchemyError: the registry cannot be written; the ending stays where it was kept.
        OSError: the folder cannot be written; likewise.
        RlvitError: the run has ended otherwise.
    """
    if queries.find_run(store.engine, run_id).state != ending.state:
        store.move(run_id, ending.state, ending.reason, at=ending.at, attempt=ending.attempt)
        store.beat(run_id, ending.seconds)
    if ending.state == "completed":
        Checkpoints(home.runs / run_id / "checkpoint").remove()
    mirror(store, home, run_id)
    view = view_of(store, home, run_id, **more)
    tell(catalog, "rlvit_run_ended", more.get("say") or _logging(home, run_id), run=view)
    _file(home, run_id).unlink(missing_ok=True)
    (_marks(home) / run_id).unlink(missing_ok=True)
    return view


def sweep(catalog: Catalog, home: Home, store: Store) -> list[str]:
    """End the runs whose process could not; return the ids of those now marked as interrupted.

    A run whose folder kept its end gets that end; another one, whose process is gone, was
    interrupted.
    """
    for run_id in untold(home):
        with contextlib.suppress(RlvitError), claim(home, run_id):
            _settle_kept(catalog, home, store, queries.find_run(store.engine, run_id))
    gone = []
    for state in provenance.ACTIVE:
        for record in queries.list_runs(store.engine, state=state, archived=None):
            if provenance.run_is_under_way(record):
                continue
            with contextlib.suppress(RlvitError), claim(home, record.id):
                now = queries.find_run(store.engine, record.id)
                if (now.state, now.attempt) != (record.state, record.attempt):
                    continue  # another process swept it first, and may have resumed it
                if _settle_kept(catalog, home, store, now):
                    continue
                absorb(record.id, RunFolder(home.runs / record.id), store)
                guess = Ending(now.attempt, "interrupted", "its process is gone", time.time())
                settle(catalog, home, store, record.id, guess, **_history(home, record.id))
                gone.append(record.id)
    return gone


def _settle_kept(catalog: Catalog, home: Home, store: Store, record: RunRecord) -> bool:
    """Settle a run by the end that its folder kept; return whether it kept one."""
    try:
        ending = Ending(**json.loads(_file(home, record.id).read_text()))
    except (OSError, ValueError, TypeError):  # none, or torn by a power cut
        ending = None
    if ending is None or ending.attempt != record.attempt:  # or it was resumed since
        (_marks(home) / record.id).unlink(missing_ok=True)
        return False
    absorb(record.id, RunFolder(home.runs / record.id), store)
    settle(catalog, home, store, record.id, ending, **_history(home, record.id))
    return True


def _history(home: Home, run_id: str) -> dict[str, Any]:
    """Return what trackers need of a run that they may have missed."""
    return {"history": partial(RunFolder(home.runs / run_id).logged_before, sys.maxsize)}


def _logging(home: Home, run_id: str) -> Callable[[str], None]:
    """Return how to say something of a run that nobody watches."""
    return RunFolder(home.runs / run_id).log


def _file(home: Home, run_id: str) -> Path:
    return home.runs / run_id / "ending.json"


def _marks(home: Home) -> Path:
    return home.runs / ".endings"
