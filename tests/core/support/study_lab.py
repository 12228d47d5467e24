"""Studies of the toy method, worked on in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rlvit.catalog import Catalog
from rlvit.home import Home
from rlvit.registry import studies
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.registry.studies import StudyStore
from rlvit.runs.display import Silent
from rlvit.runs.plan import Request
from rlvit.tune.study import OpenStudy, Wanted, open_study, prepare
from rlvit.tune.worker import Worker

SPACE = ("rate=0.01..0.5:log", "mode=mean,sum", "steps=4..8")


def wanted(**changed: Any) -> Wanted:
    """Return a study of the toy; unknown names are the request's."""
    known = Wanted.__dataclass_fields__.keys() - {"base"}
    own = {name: changed.pop(name) for name in list(changed) if name in known}
    asked = {"plugin": "toy", "task": "Alpha", "preset": "official-code", "device": "cpu"}
    base = Request(**{**asked, "threads": 1, **changed})
    return Wanted(base=base, **{"space": SPACE, "objectives": ("toy/score",), "trials": 3, **own})


@dataclass
class Lab:
    """A home in which studies are made."""

    catalog: Catalog
    home: Home
    store: StudyStore
    said: list[str] = field(default_factory=list)

    def prepare(self, **changed: Any) -> StudyRecord:
        """Make a study, or go on with it."""
        return prepare(self.catalog, self.home, self.store, wanted(**changed), self.said.append)

    def open(self, name: str) -> OpenStudy:
        """Open a study as a new process would."""
        return open_study(self.catalog, self.home, self.store, name)

    def worker(self, name: str) -> Worker:
        """Return a worker of a study."""
        return Worker(self.open(name), self.said.append, Silent)

    def study(self, **changed: Any) -> tuple[str, list[TrialRecord]]:
        """Make a study and work on it to its end; return its name and trials."""
        name = self.prepare(**changed).name
        assert self.worker(name).work() == "done"
        return name, self.trials(name)

    def trials(self, name: str) -> list[TrialRecord]:
        """Return the trials of a study."""
        return studies.list_trials(self.store.engine, name)
