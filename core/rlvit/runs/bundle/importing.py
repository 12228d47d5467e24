"""Takes the runs of a bundle into a home: all of a file or nothing, and the same in any order."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from rlvit.catalog import Catalog
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.snapshot import snapshot
from rlvit.registry.store import Store
from rlvit.registry.studies import StudyStore
from rlvit.runs.artifacts import own_copy
from rlvit.runs.bundle import notes, plain
from rlvit.runs.bundle.archive import open_bundle
from rlvit.runs.bundle.compare import relation
from rlvit.runs.bundle.document import Document, at_home
from rlvit.runs.bundle.imported import stayed_behind
from rlvit.runs.bundle.manifest import Manifest
from rlvit.runs.bundle.names import LIMITS, WEIGHTS, Limits, Refused, shown
from rlvit.runs.bundle.place import made_or_as_before, without_interruption
from rlvit.runs.bundle.staging import (
    ASIDE,
    Staged,
    clean_up,
    import_lock,
    rehearse,
    require_space,
    staging,
    unpack,
)
from rlvit.runs.bundle.study import plan_studies, put_studies
from rlvit.runs.ending import claim
from rlvit.runs.events import tell
from rlvit.runs.folder import RunFolder, write_json
from rlvit.runs.restore import restore
from rlvit.runs.views import mirror, view_of


@dataclass
class Imported:
    """What became of the runs of a bundle."""

    new: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)  # those here went on; replaced
    completed: list[str] = field(default_factory=list)  # with files that were missing or damaged
    same: list[str] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)  # a later state is here; left as it is
    annotated: list[str] = field(default_factory=list)  # tags, note, archive mark taken over
    own_notes: list[str] = field(default_factory=list)  # they differ from the bundle's, and stay
    shared: list[str] = field(default_factory=list)  # artifacts that were put there
    studies: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    light: list[str] = field(default_factory=list)  # new, without weights
    unpacked: int = 0  # bytes

    @property
    def looked_at(self) -> int:
        """How many runs were seen to."""
        done = (self.new, self.later, self.completed, self.same, self.earlier)
        return sum(map(len, done))

    @property
    def changed(self) -> list[str]:
        """The runs whose rows were written."""
        return [*self.new, *self.later]


def import_bundle(
    catalog: Catalog,
    home: Home,
    path: Path,
    say: Callable[[str], None],
    progress: Callable[[int, int], object],
    limits: Limits = LIMITS,
) -> Imported:
    """Take the runs of a bundle into a home and its registry.

    Args:
        catalog: what the plugins offer.
        home: into which; made if there is none.
        path: of the bundle.
        say: hears what a person should know.
        progress: hears the bytes unpacked and to be unpacked.
        limits: on what is unpacked.

    Raises:
        UsageProblem: there is no such file, it is refused, or it contradicts a run that is here.
            Nothing was changed.
        RlvitError: it could not be finished; the same import again does that.
    """
    try:
        with (
            open_bundle(path, limits) as archive,
            made_or_as_before(home),
            import_lock(home, say),
        ):
            clean_up(home)
            require_space(archive, home)
            with staging(home) as stage:
                counted = _Counter(sum(archive.manifest.sizes.values()), progress)
                staged = unpack(archive, stage, counted, limits)
                found = _take(catalog, home, staged, archive.manifest, path.name, say)
                found.unpacked = counted.done
                return found
    except Refused as problem:
        raise Refused(f"{shown(path)}: {problem}. Nothing of it was imported.") from None


class _Counter:
    """Adds up what was unpacked."""

    def __init__(self, total: int, progress: Callable[[int, int], object]) -> None:
        self.total, self.done, self._progress = total, 0, progress

    def __call__(self, size: int) -> None:
        self.done += size
        self._progress(self.done, self.total)


@dataclass(frozen=True)
class _Step:
    """What is done with one run."""

    run_id: str
    what: str  # the field of `Imported` that it is counted in
    put: bool  # its folder into its place
    rows: str  # of the registry: "keep", "add" or "replace"
    merged: notes.Merged
    here: Document | None  # the run as it was


def _take(
    catalog: Catalog,
    home: Home,
    staged: Staged,
    manifest: Manifest,
    source: str,
    say: Callable[[str], None],
) -> Imported:
    """Decide about every run, and then do it."""
    found = Imported(remarks=list(staged.remarks))
    origins = {
        run.id: notes.Origin(source, manifest.created, manifest.rlvit, tuple(run.left_out))
        for run in manifest.runs
    }
    store = StudyStore(home.registry_url)
    try:
        order = sorted(staged.runs, key=lambda one: (staged.runs[one]["created_at"], one))
        steps = [_decide(store, home, staged, run_id, origins[run_id]) for run_id in order]
        plans = plan_studies(store, staged.home.runs / "studies", staged.studies)
        rehearse(staged.home, [step.run_id for step in steps if step.rows != "keep"], catalog)
        store.declare_metrics(catalog.metrics.values())
        try:
            _put_shared(home, staged, found)
            for step in steps:
                with without_interruption():  # a folder has its rows, however it ends
                    _do(store, home, staged, step, catalog, found)
            with without_interruption():
                found.studies = put_studies(store, home, plans)
        except KeyboardInterrupt:
            say(f"{found.looked_at} of {len(steps)} runs are in; the same import completes it")
            raise
    finally:
        store.close()
    return found


def _decide(store: Store, home: Home, staged: Staged, run_id: str, origin: notes.Origin) -> _Step:
    """Say what is to be done with a run; nothing is changed.

    Raises:
        Refused: it contradicts the run that is here, or that run is under way.
    """
    offered, folder, own = staged.runs[run_id], home.runs / run_id, staged.home.runs / run_id
    known = queries.has_run(store.engine, run_id)
    here = snapshot(store.engine, run_id) if known else _document(folder, run_id)
    merged = notes.merge(here, offered, folder, origin)
    if here is None:
        return _Step(run_id, "new", True, "add", merged, None)
    if known and here["state"] in ("running", "created"):
        raise Refused(f"run {run_id} is {here['state']} here: stop it, or wait for its end")
    kind = relation(here, offered, folder, own)
    rows = "keep" if known else "add"
    if kind == "later":
        return _Step(run_id, "later", True, "replace" if known else "add", merged, here)
    if kind == "same" and (_files(own) - _files(folder) or _damaged(own, folder)):
        return _Step(run_id, "completed", True, rows, merged, here)
    what = "earlier" if kind == "earlier" else "same" if known else "new"
    return _Step(run_id, what, False, rows, merged, here)


def _document(folder: Path, run_id: str) -> Document | None:
    """Return the run.json of a folder that the registry does not know; None if there is none.

    Raises:
        Refused: there is a folder of that name, and it is no run's.
    """
    if not folder.exists():
        return None
    try:
        return plain.parse_object(folder / "run.json", f"{folder / 'run.json'}")
    except (OSError, Refused):
        raise Refused(f"there is a folder {folder} already that is no whole run's") from None


def _files(folder: Path) -> set[str]:
    """Return the files in a folder, by their place in it."""
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def _damaged(own: Path, folder: Path) -> bool:
    """Say whether an artifact of an unpacked run is here, too, but damaged."""
    kinds = (place.name for place in (own / "artifacts").glob("*"))
    return any(own_copy(folder / "artifacts" / kind) is None for kind in kinds)


def _put_shared(home: Home, staged: Staged, found: Imported) -> None:
    """Put shared artifacts into their place; one that is there, or is being built, stays."""
    for name in staged.shared:
        lock = FileLock(home.locks / f"{name}.lock", timeout=0)
        with contextlib.suppress(Timeout), lock:
            target = home.shared / name
            if not target.exists():
                os.rename(staged.home.shared / name, target)
                found.shared.append(name)


def _do(
    store: Store,
    home: Home,
    staged: Staged,
    step: _Step,
    catalog: Catalog,
    found: Imported,
) -> None:
    """Put a run's folder into its place and its rows into the registry; either may be there."""
    run_id, folder = step.run_id, home.runs / step.run_id
    with claim(home, run_id):
        if step.put:
            _put(home, staged, step)
        elif step.merged.origin is not None:
            step.merged.write_origin(folder)
        if step.rows == "replace":
            store.delete_run(run_id)
        if step.rows != "keep":
            restore(store, home, run_id, catalog.metrics, say=found.remarks.append)
        elif step.merged.differ and step.here is not None:
            step.merged.store(store, run_id, step.here)
        if step.put or step.merged.differ or step.rows != "keep":
            mirror(store, home, run_id)
    getattr(found, step.what).append(run_id)
    if step.what == "new" and WEIGHTS in stayed_behind(folder):
        found.light.append(run_id)
    if step.merged.differ:
        found.annotated.append(run_id)
    elif step.here is not None and not step.merged.as_offered:
        found.own_notes.append(run_id)


def _put(home: Home, staged: Staged, step: _Step) -> None:
    """Put a run's folder into its place by renaming; what was there is kept where it is more."""
    own, folder = staged.home.runs / step.run_id, home.runs / step.run_id
    document = at_home(staged.runs[step.run_id], home)
    write_json(own / "run.json", {**document, **step.merged.notes})
    step.merged.write_origin(own)
    for name in ("artifacts", "checkpoint"):
        (own / name).mkdir(exist_ok=True)  # an empty one is no member of a bundle
    if folder.exists():
        _bring_along(folder, own, staged.runs[step.run_id]["state"])
        aside = staged.home.root / ASIDE / step.run_id
        aside.parent.mkdir(exist_ok=True)
        os.rename(folder, aside)
    os.rename(own, folder)


def _bring_along(folder: Path, own: Path, state: str) -> None:
    """Add to an unpacked run what is here alone, such as an older checkpoint."""
    there = _files(own)
    kept = {name.partition("/")[0] for name in there}
    for name in sorted(_files(folder) - there):
        top, *rest = name.split("/")
        if top in ("checkpoint", "replay") and (state == "completed" or top in kept):
            continue
        if top == "artifacts" and (own / top / rest[0]).is_dir():
            continue  # of an artifact that the bundle has whole
        target = own / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / name, target)
        except OSError:  # a file system without links
            shutil.copy2(folder / name, target)


def announce(catalog: Catalog, home: Home, run_ids: list[str], say: Callable[[str], None]) -> None:
    """Tell plugins of runs that ended elsewhere, as of those whose process is gone.

    Where one has something to complain of, such as a server that does not answer, the rest is not
    told: each of many runs would wait for it.
    """
    store, complaints = Store(home.registry_url), list[str]()

    def hear(text: str) -> None:
        complaints.append(text)
        say(text)

    try:
        for number, run_id in enumerate(run_ids, 1):
            folder = RunFolder(home.runs / run_id)
            history = partial(folder.logged_before, sys.maxsize)
            view = view_of(store, home, run_id, metrics=catalog.metrics, say=hear, history=history)
            tell(catalog, "rlvit_run_ended", hear, run=view)
            if complaints and number < len(run_ids):
                say(f"plugins were told of {number} of {len(run_ids)} runs")
                return
    finally:
        store.close()
