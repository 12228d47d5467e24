"""Goes through a registry and its home and yields what is not as it should be."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from rlvit.home import Home
from rlvit.registry import contents, queries, studies
from rlvit.registry.records import RunRecord
from rlvit.runs import provenance
from rlvit.runs.audit import files
from rlvit.runs.audit.findings import GC, REBUILD, Finding
from rlvit.runs.audit.folders import FOLDER_AHEAD, check_checkpoint, check_record, check_rows
from rlvit.runs.audit.mirrored import check_mirrors
from rlvit.runs.bundle.imported import came_by_import
from rlvit.runs.record import FILE

OWN_STORAGE = "runs/optuna.db"  # as studies have it, of the home
AT_THE_END = 2.0  # seconds in which a process ends its run's files after the registry's row
REBUILT = "`rlvit registry rebuild` adds it"


@dataclass
class Audit:
    """A check of one home; `findings` does it."""

    home: Home
    engine: Engine  # of `open_to_read`
    quick: bool = False  # leave hashes and checkpoints out
    only: Collection[str] | None = None  # ids of runs; None: all, and what is of no run
    say: Callable[[str], None] = lambda text: None  # is told what is being looked at
    runs: int = 0  # looked at
    alive: int = 0  # runs under way, whose rows and files are changing
    elsewhere: int = 0  # runs of a shared registry whose folders are in other homes
    shelves: files.Shelves = field(init=False)

    def __post_init__(self) -> None:
        self.shelves = files.Shelves(self.home, self.quick)

    def findings(self) -> Iterator[Finding]:
        """Yield the findings: of the database, of each run, of what belongs to no run."""
        self.say("the database")
        pages = list(self._database())
        yield from pages
        if any(finding.kind == "database" for finding in pages):
            return  # its rows cannot be trusted
        records = queries.list_runs(self.engine, archived=None)
        links: dict[str, list[contents.Link]] = {}
        for link in contents.links(self.engine):
            links.setdefault(link.run, []).append(link)
        for number, record in enumerate(records, 1):
            if self.only is None or record.id in self.only:
                self.say(f"run {number:,} of {len(records):,}: {record.id}")
                yield from self._of_run(record, links.get(record.id, []))
        if self.only is None:
            self.say("what belongs to no run")
            by_id = {record.id: record for record in records}
            every = [link for of_run in links.values() for link in of_run]
            yield from self._of_no_run(by_id, every)

    def _of_no_run(
        self, runs: dict[str, RunRecord], links: Sequence[contents.Link]
    ) -> Iterator[Finding]:
        unknown = self._without_row(runs)
        yield from unknown
        settled = not unknown and not self.alive  # else a run may use more than is on record
        yield from files.check_shared(self.shelves, links, all_known=settled)
        yield from self._leftovers(runs)
        yield from self._studies(runs)
        whole = not any(finding.kind == "no-row" for finding in unknown)
        yield from check_mirrors(self.engine, self.home, whole=whole)

    def _database(self) -> Iterator[Finding]:
        name = self.engine.url.database or "registry"
        try:
            pages = contents.broken_pages(self.engine)
            references = contents.broken_references(self.engine)
        except DatabaseError as problem:
            pages, references = [str(problem.orig)], {}
        if pages:
            text = f"{pages[0]}{f' (and {len(pages) - 1:,} more)' if pages[1:] else ''}"
            remedy = f"move it aside; {REBUILD}"
            yield Finding("database", Path(name).name, " ".join(text.split()), remedy)
        for (table, parent), number in references.items():
            text = f"{number:,} rows of {table} refer to rows of {parent} that are not there"
            yield Finding("reference", table, text, f"move the database aside; {REBUILD}")

    def _of_run(self, record: RunRecord, links: Sequence[contents.Link]) -> Iterator[Finding]:
        """Yield the findings of a run; those of one that is changing are looked for again."""
        self.runs += 1
        for _ in range(3):
            found = list(self._look_at(record, links))
            now = queries.list_runs(self.engine, name=record.name, archived=None)
            again = next((one for one in now if one.id == record.id), None)
            if not found or (again == record and not _just_ended(record)):
                break
            if again is None:  # removed meanwhile
                return
            record = again
            time.sleep(AT_THE_END / 4)
        yield from found

    def _look_at(self, record: RunRecord, links: Sequence[contents.Link]) -> Iterator[Finding]:
        folder = self.home.runs / record.id
        if not folder.is_dir():
            yield from self._without_folder(record)
            return
        if record.state in provenance.ACTIVE:
            if provenance.run_is_under_way(record):
                self.alive += 1
                return
            text = f"it is called {record.state}, and its process is gone"
            yield Finding("process", record.id, text, "`rlvit runs list` marks it as interrupted")
            return
        of_record = list(check_record(self.engine, record, folder))
        yield from of_record
        ahead = any(finding.remedy == FOLDER_AHEAD for finding in of_record)
        yield from check_rows(self.engine, record, folder, ahead=ahead)
        yield from files.check_artifacts(self.shelves, record, folder, links)
        if not self.quick:
            yield from check_checkpoint(record, folder)
        for path in files.leftovers_of_run(record, folder):
            where = str(path.relative_to(self.home.runs))
            yield Finding("leftover", where, "nothing reads it any more", GC)

    def _without_folder(self, record: RunRecord) -> Iterator[Finding]:
        shared = self.engine.dialect.name != "sqlite"
        if shared and Path(record.folder).parent != self.home.runs:
            self.elsewhere += 1  # of another member of the team
            return
        half = self.home.runs / f"{files.REMOVING}{record.id}"
        if half.is_dir():
            text = f"its folder was being removed and is {half.name} now"
            remedy = f"`rlvit runs gc` goes on with that; or rename it to {record.id}"
        else:
            text = f"there is no folder {self.home.runs / record.id}"
            remedy = f"bring it back from a copy, or `rlvit runs delete {record.id}`"
        yield Finding("no-folder", record.id, text, remedy)

    def _without_row(self, known: Collection[str]) -> list[Finding]:
        found = [
            Finding("no-row", folder.name, "the registry lacks this run", REBUILT)
            for folder in files.runs_without_row(self.home, known)
            if not queries.has_run(self.engine, folder.name)  # it began meanwhile
        ]
        for stream in sorted(self.home.runs.glob("*/metrics.jsonl")):
            folder = stream.parent
            if folder.name not in known and not (folder / FILE).is_file():
                text = "a run's folder without its run.json"
                found.append(Finding("folder", folder.name, text, "bring it back from a copy"))
        return found

    def _leftovers(self, known: Collection[str]) -> Iterator[Finding]:
        for path in files.leftovers_of_home(self.home, known):
            if path.name.removeprefix(files.REMOVING) in known:
                continue  # `_without_folder` has named it
            where = str(path.relative_to(self.home.runs))
            yield Finding("leftover", where, "left behind by a process that was stopped", GC)

    def _studies(self, runs: Collection[str]) -> Iterator[Finding]:
        of_trials = contents.runs_of_trials(self.engine)
        tried: dict[str, list[str]] = {}
        for run_id, (study, _, _) in of_trials.items():
            tried.setdefault(study, []).append(run_id)
        imported = {name for name in tried if came_by_import(self.home.runs, tried[name])}
        missing: dict[str, int] = {}  # runs of completed trials that no bundle brought, by study
        for run_id, (study, number, state) in of_trials.items():
            if state != "completed" or run_id in runs:
                continue
            if study in imported:
                missing[study] = missing.get(study, 0) + 1
                continue
            text = f"trial {number} is completed, and its run {run_id} is not there"
            yield Finding("study", study, text, "bring the run's folder back, then rebuild")
        for study, number in missing.items():
            text = f"it was imported without {number:,} of the runs of its completed trials"
            remedy = f"`rlvit export --study {study}` where it was made, and import that"
            yield Finding("imported", study, text, remedy)
        every = studies.list_studies(self.engine)
        own = [s.name for s in every if s.storage == OWN_STORAGE and s.name not in imported]
        if own:
            yield from self._storage(own)

    def _storage(self, names: Sequence[str]) -> Iterator[Finding]:
        """Yield what is wrong with the home's file of studies."""
        file = self.home.root / OWN_STORAGE
        try:
            there = contents.study_names(file)
        except sqlite3.Error as problem:
            text = str(problem) if file.exists() else "it is missing"
            remedy = "bring it back from a copy; results stay, the studies cannot be gone on with"
            yield Finding("study", OWN_STORAGE, text, remedy)
            return
        for name in names:
            if name not in there:
                remedy = "its results stay; it cannot be gone on with"
                yield Finding("study", name, f"{OWN_STORAGE} lacks it", remedy)


def _just_ended(record: RunRecord) -> bool:
    return record.ended_at is not None and abs(time.time() - record.ended_at) < AT_THE_END
