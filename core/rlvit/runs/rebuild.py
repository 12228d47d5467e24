"""Makes a registry anew from the folder `runs` alone; the old one is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from rlvit.catalog import Catalog
from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home, sqlite_path, sqlite_url
from rlvit.registry import queries, snapshot, studies
from rlvit.registry.replace import Active, Old, count_rows, lost_rows, replacing, run_ids
from rlvit.registry.restore import RestoreStore
from rlvit.registry.store import Store
from rlvit.runs import provenance
from rlvit.runs.audit.locks import holding
from rlvit.runs.folder import STREAMS, write_json
from rlvit.runs.mirrors import (
    BASELINES,
    STUDIES,
    baselines_document,
    put_aside,
    restore_baselines,
    restore_study,
    scores_lacking,
    unknown_scores,
)
from rlvit.runs.record import FILE, Reader, Recorded, read_record
from rlvit.runs.restore import Bookkeeping, bookkeeping_of, restore
from rlvit.specs import MetricDef

PARTS = (*(f"{stream}.jsonl" for stream in STREAMS), "log.txt", "checkpoint", "artifacts")
OF_RUN = ("id", "state", "process", "heartbeat_at", "created_at")


@dataclass
class Rebuilt:
    """What came of it."""

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)  # what could not be rebuilt, and why
    notes: list[str] = field(default_factory=list)  # what else was found
    losses: list[str] = field(default_factory=list)  # what the old registry alone has
    replaced: bool = True  # False: the old registry is as it was, for there are losses
    added: int | None = None  # runs added to a registry of several homes; None: it was made anew
    kept: Path | None = None  # the old registry
    seconds: float = 0.0


def rebuild(
    catalog: Catalog,
    home: Home,
    *,
    drop_missing: bool = False,
    agree: Callable[[Rebuilt], None] = lambda rebuilt: None,
) -> Rebuilt:
    """Make the registry of a home anew.

    An SQLite registry is replaced once the new one is whole, and if it has all that the old one
    had. To one in PostgreSQL the runs are added that it lacks; nothing is taken from it.

    Args:
        catalog: of the installed plugins.
        home: with the folders.
        drop_missing: leave out what only the old registry has.
        agree: is told what will be left out, before that; raises to stop it.

    Raises:
        UsageProblem: there is nothing to make it from.
        RlvitError: runs are under way, or it cannot be written. The old registry is as it was.
    """
    if not home.runs.is_dir():
        raise UsageProblem(f"there is no folder {home.runs} to make a registry from.")
    path, begun = sqlite_path(home.registry_url), time.monotonic()
    if path is None:
        rebuilt = _Rebuilding(catalog, home).of_server()
    else:
        rebuilt = _of_file(catalog, home, path, agree if drop_missing else None)
    rebuilt.seconds = time.monotonic() - begun
    return rebuilt


def _of_file(
    catalog: Catalog, home: Home, path: Path, agree: Callable[[Rebuilt], None] | None
) -> Rebuilt:
    with replacing(path) as place:
        work = _Rebuilding(catalog, home)
        work.begin(place.old)
        store = Store(sqlite_url(place.fresh))
        try:
            work.fill(store)
            work.compare(place.old, store)
        finally:
            store.close()
        if place.old.current and not place.old.problem:
            work.name_lost_rows(lost_rows(place.path, place.fresh))
        if work.rebuilt.losses and agree is None:
            work.rebuilt.replaced = False
            return work.rebuilt
        if work.rebuilt.losses and agree is not None:
            agree(work.rebuilt)
        work.rebuilt.kept = place.put(work.refuse_if_changed)
        return work.rebuilt


class _Rebuilding:
    """One making of a registry."""

    def __init__(self, catalog: Catalog, home: Home) -> None:
        self.catalog, self.home, self.rebuilt = catalog, home, Rebuilt()
        self._bookkeeping: Bookkeeping = bookkeeping_of(catalog.entries["method"])
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._declared: dict[str, tuple[float, MetricDef]] = {}  # with the time of its run.json
        self._old = Old()

    def of_server(self) -> Rebuilt:
        """Fill a registry of a database server, or add to it what it lacks."""
        store = Store(self.home.registry_url)
        try:
            self.begin(Old())
            if any(count_rows(store.engine).values()):
                self.add(store)
            else:
                self.fill(store)
        finally:
            store.close()
        return self.rebuilt

    def begin(self, old: Old) -> None:
        """Look at what there is; raises RlvitError while runs are under way."""
        self._old = old
        if old.baselines:
            self._complete_baselines(old)
        self._stamps = self._stamped()

    def _complete_baselines(self, old: Old) -> None:
        """Write the imported scores of the old registry to the file, where it lacks their names."""
        file, metrics = self.home.runs / BASELINES, {one["name"]: one for one in old.metrics}
        name, rows = file.relative_to(self.home.root), list(old.baselines)
        if not file.exists():
            note = f"{name} was not there yet: it was written from the old registry"
        elif scores_lacking(file, rows) is None:
            aside = put_aside(file).name
            note = f"{name} is damaged: it was written from the old registry, and is {aside} now"
        else:
            whole = Reader(file).object()
            there = whole["baselines"]
            names = {row["name"] for row in there}
            new = [row for row in rows if row["name"] not in names]
            if not new:
                return
            metrics |= {one["name"]: one for one in whole.get("metrics", [])}
            rows = [*there, *new]
            note = f"{name} lacked {len(new):,} scores of the old registry, which were added to it"
        write_json(file, baselines_document(rows, [metrics[key] for key in sorted(metrics)]))
        self.rebuilt.notes.append(note)

    def add(self, store: Store) -> None:
        """Write what a registry lacks into it, which others use as well; what it has stays."""
        runs = self._records()
        self._refuse_if_active(runs)
        there = run_ids(store.engine)
        new = [name for name in runs if name not in there]
        for name in new:
            self._restore(store, name)
        self._add_other(store, {study.name for study in studies.list_studies(store.engine)})
        self.rebuilt.added = len(run_ids(store.engine).intersection(new))
        if known := len(runs) - len(new):
            self.rebuilt.notes.append(f"{known:,} runs were there already and stay as they are")

    def fill(self, store: Store) -> None:
        """Write all that the folders hold into an empty registry."""
        runs = self._records()
        self._refuse_if_active(runs)
        self._declare(store)
        writer = RestoreStore(store)
        writer.add_artifacts(_in_order(self.home, runs))
        for name in runs:
            self._restore(store, name)
        writer.drop_unused_artifacts()  # of runs that could not be restored
        self._add_other(store, set())

    def _add_other(self, store: Store, known: Collection[str]) -> None:
        """Write the studies that are not known, and imported scores."""
        for path in sorted((self.home.runs / STUDIES).glob("*.json")):
            if path.stem not in known:
                self._try(partial(restore_study, store, path))
        if (self.home.runs / BASELINES).exists():
            self._try(partial(restore_baselines, store, self.home.runs / BASELINES))
        self.rebuilt.counts = count_rows(store.engine)

    def _try(self, write: Callable[[], object]) -> None:
        """Write something; what cannot be is named and left out."""
        try:
            write()
        except RlvitError as problem:
            self.rebuilt.problems.append(str(problem))

    def _restore(self, store: Store, name: str) -> None:
        def say(text: str) -> None:
            self.rebuilt.problems.append(f"{self.home.runs / name}: {text}")

        keep = partial(restore, bookkeeping=self._bookkeeping, say=say)
        self._try(partial(keep, store, self.home, name, self.catalog.metrics))

    def _declare(self, store: Store) -> None:
        """Declare metrics as the newest run did, and as today's plugins do."""
        found = {name: metric for name, (_, metric) in self._declared.items()}
        store.declare_metrics({**found, **self.catalog.metrics}.values())

    def _records(self) -> dict[str, Recorded]:
        """Return what the folders say of their runs, oldest run first; name those that do not.

        Of 100,000 runs only what is needed before the first one is restored stays in memory.
        """
        found = {}
        for folder in self._folders():
            try:
                record = read_record(folder, self._bookkeeping)
            except RlvitError as problem:
                self.rebuilt.problems.append(str(problem))
                continue
            for name, metric in record.metrics.items():
                if name not in self._declared or record.written_at > self._declared[name][0]:
                    self._declared[name] = (record.written_at, metric)
            run = {name: record.run[name] for name in OF_RUN}
            found[folder.name] = replace(
                record, run=run, experiment={}, tags={}, transitions=(), metrics={}, units={}
            )
        return dict(sorted(found.items(), key=lambda item: (item[1].run["created_at"], item[0])))

    def _folders(self) -> Iterator[Path]:
        """Yield the folders of runs; what else is in `runs` is named unless it belongs there."""
        for path in sorted(self.home.runs.iterdir()):
            if path.name.startswith(".") or path.name in (STUDIES, self.home.shared.name):
                continue
            if path.is_symlink() and not path.exists():
                self.rebuilt.problems.append(f"{path}: the link leads nowhere")
            elif path.is_dir():
                if (path / FILE).exists():
                    yield path
                else:
                    self._name_other(path)

    def _name_other(self, folder: Path) -> None:
        """Say what a folder without run.json is."""
        logged = [s for s in STREAMS if _size(folder / f"{s}.jsonl")]
        if logged:
            listed = ", ".join(f"{stream}.jsonl" for stream in logged)
            self.rebuilt.problems.append(f"{folder}: it has {listed}, but no {FILE}")
        elif any((folder / part).exists() for part in PARTS):
            self.rebuilt.notes.append(f"{folder}: a run that never began, left alone")

    def _refuse_if_active(self, runs: dict[str, Recorded]) -> None:
        """Raise RlvitError while a process works on a run of this home."""
        active = [*self._old.active, *(a for r in runs.values() if (a := self._active(r)))]
        now = time.time()
        for one in active:
            facts = (one.state, one.process, one.heartbeat_at, one.created_at)
            if provenance.is_under_way(*facts, now):
                raise RlvitError(
                    f"{one.what} is under way: stop it first, or wait for its end. Nothing was "
                    "changed."
                )
        for lock in self.home.locks.glob("run-*.lock"):
            if lock.stem.endswith("-mirror"):
                continue
            with holding(self.home, lock.stem) as held:
                if not held:
                    raise RlvitError(
                        f"run {lock.stem.removeprefix('run-')} is in the hands of another "
                        "process. Nothing was changed."
                    )

    def _active(self, record: Recorded) -> Active | None:
        """Return a run that its folder takes for one under way.

        Its last row tells more of its heartbeat than run.json, which is written now and then.
        """
        run = record.run
        if run["state"] not in provenance.ACTIVE:
            return None
        folder = self.home.runs / run["id"]
        written = [s.stat().st_mtime for s in folder.glob("*.jsonl")]
        beat = max([run["heartbeat_at"] or 0.0, *written])
        return Active(f"run {run['id']}", run["state"], run["process"], beat, run["created_at"])

    def compare(self, old: Old, store: Store) -> None:
        """Name what only the old registry has."""
        if old.problem:
            self.rebuilt.notes.append(f"the old registry: {old.problem}")
            return
        lose = self.rebuilt.losses.append
        for run_id in sorted(old.runs - run_ids(store.engine)):
            there = (self.home.runs / run_id).exists()
            why = "its folder is damaged" if there else "it has no folder"
            lose(f"run {run_id}: {why}, and only the old registry has it")
        for name in sorted(old.studies - {one.name for one in studies.list_studies(store.engine)}):
            file = self.home.runs / STUDIES / f"{name}.json"
            why = "is damaged" if file.exists() else "is not there"
            lose(f"study {name}: {file} {why}, and only the old registry has it")
        known = [asdict(one) for one in queries.baselines(store.engine)]
        if lost := unknown_scores(list(old.baselines), known):
            lose(f"{len(lost):,} imported scores: {self.home.runs / BASELINES} has others")

    def name_lost_rows(self, lost: Mapping[str, Mapping[str, int]]) -> None:
        """Name the runs of which the old registry has more, or other, rows than the folder."""
        for run_id, numbers in sorted(lost.items()):
            listed = ", ".join(f"{number:,} {what}" for what, number in numbers.items())
            self.rebuilt.losses.append(
                f"run {run_id}: its folder lacks {listed} of the old registry, or has other values"
            )

    def refuse_if_changed(self) -> None:
        """Raise RlvitError if a run began or changed since it was read."""
        now = self._stamped()
        changed = {path for path, _ in self._stamps.items() ^ now.items()}
        if changed:
            raise RlvitError(f"{min(changed)} changed meanwhile; nothing was replaced. Try again.")

    def _stamped(self) -> dict[Path, tuple[int, int]]:
        runs = self.home.runs
        files = [*runs.glob(f"*/{FILE}"), *runs.glob(f"{STUDIES}/*.json"), runs / BASELINES]
        return {path: (s.st_mtime_ns, s.st_size) for path in files if (s := _stat(path))}


def _stat(path: Path) -> Any:
    try:
        return path.stat()
    except OSError:
        return None


def _size(path: Path) -> int:
    found = _stat(path)
    return found.st_size if found else 0


@dataclass
class _Artifact:
    """An artifact that several runs may have made or used alike."""

    row: dict[str, Any]
    order: tuple[float, float, int]  # when a registry came to know it
    path: str = ""
    written_at: float = -1.0  # of the run.json that says where it is: the last one knows
    runs: list[str] = field(default_factory=list)  # that have it, oldest run first


def _in_order(home: Home, runs: dict[str, Recorded]) -> list[dict[str, Any]]:
    """Return all artifacts in the order in which a registry came to know them.

    Args:
        home: they are in.
        runs: those that have them, oldest run first.
    """
    found: dict[tuple[str, ...], _Artifact] = {}
    for run_id, record in runs.items():
        for position, one in enumerate(record.artifacts):
            number = math.inf if one["number"] is None else one["number"]
            order = (number, record.run["created_at"], position)
            row = {name: one[name] for name in snapshot.ARTIFACT}
            known = found.setdefault(
                (one["kind"], one["key"], one["sha256"]), _Artifact(row, order)
            )
            known.order = min(known.order, order)
            known.runs.append(run_id)
            if record.written_at > known.written_at:
                known.path, known.written_at = one["path"], record.written_at
    ordered = sorted(found.values(), key=lambda one: one.order)
    return [{**one.row, "path": str(_place(home, one))} for one in ordered]


def _place(home: Home, artifact: _Artifact) -> Path:
    """Return where an artifact is; in the newest run that has it, if its own was deleted."""
    path = home.located(artifact.path)
    if path.is_relative_to(home.runs) and not path.is_relative_to(home.shared):
        run_id, *inside = path.relative_to(home.runs).parts
        if run_id not in artifact.runs:
            return home.runs.joinpath(artifact.runs[-1], *inside)
    return path
