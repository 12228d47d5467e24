"""Studies in the registry: `StudyStore` is their only writer, the functions their only readers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

from filelock import FileLock
from sqlalchemy import Engine, select, text, update
from sqlalchemy.orm import Session

from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.home import Home
from rlvit.registry import schema
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.registry.store import Store
from rlvit.specs import digest

OPEN = ("running", "interrupted")  # a trial's states that are no end


class StudyStore(Store):
    """Writes studies as well. Each method is one transaction."""

    def add_study(self, study: StudyRecord) -> None:
        """Make a study known."""
        row = asdict(study)
        row["seeds"] = {"runs": list(study.seeds)}
        with self._transaction() as session:
            session.add(schema.Study(**row))

    def change_study(
        self, name: str, *, trials: int | None = None, stop: str | None = None
    ) -> None:
        """Change how many trials are wanted, or ask the workers of a study to stop."""
        given = {"trials": trials, "stop": stop}
        changed = {key: value for key, value in given.items() if value is not None}
        with self._transaction() as session:
            session.execute(update(schema.Study).where(schema.Study.name == name).values(**changed))

    def add_trial(self, trial: TrialRecord) -> None:
        """Add a trial with its runs."""
        row = asdict(trial)
        runs = row.pop("runs")
        key = {"study": trial.study, "number": trial.number}
        with self._transaction() as session:
            session.add(schema.Trial(**row))
            session.flush()
            session.add_all(schema.TrialRun(**key, seed=s, run_id=r) for s, r in runs.items())

    def claim_trial(
        self, trial: TrialRecord, process: Mapping[str, Any], params: Mapping[str, Any]
    ) -> bool:
        """Take an abandoned trial over; False if another process was first."""
        with self._transaction() as session:
            row = session.get(schema.Trial, (trial.study, trial.number), with_for_update=True)
            if row is None or row.state not in OPEN or row.process != dict(trial.process):
                return False
            row.state, row.process, row.params = "running", dict(process), dict(params)
            row.heartbeat_at = time.time()
            return True

    def beat_trial(self, study: str, number: int) -> None:
        """Say that a trial's process is alive."""
        self._change(study, number, heartbeat_at=time.time())

    def set_trial_run(self, study: str, number: int, seed: int, run_id: str) -> None:
        """Write down which run belongs to a trial's seed; also before that run exists."""
        with self._transaction() as session:
            session.merge(schema.TrialRun(study=study, number=number, seed=seed, run_id=run_id))

    def leave_trial(self, study: str, number: int, reason: str) -> None:
        """Let a trial be taken over by whoever goes on with the study."""
        self._change(study, number, state="interrupted", reason=reason)

    def end_trial(
        self,
        study: str,
        number: int,
        state: str,
        values: Mapping[str, float] | None = None,
        reason: str = "",
    ) -> None:
        """Write down how a trial ended."""
        known = None if values is None else dict(values)
        self._change(study, number, state=state, values=known, reason=reason, ended_at=time.time())

    def _change(self, study: str, number: int, **changed: Any) -> None:
        table = schema.Trial
        with self._transaction() as session:
            session.execute(
                update(table).where(table.study == study, table.number == number).values(changed)
            )

    @contextmanager
    def holding(self, study: str, home: Home) -> Iterator[None]:
        """Hold a study for this process; the system lets it go however the process ends.

        On SQLite, which one machine uses, that is a file lock; on PostgreSQL an advisory lock,
        which holds between machines.
        """
        if self.engine.dialect.name == "sqlite":
            home.locks.mkdir(parents=True, exist_ok=True)
            with FileLock(home.locks / f"study-{study}.lock"):
                yield
            return
        key = int(digest(study)[:15], 16)
        with self.engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
                connection.rollback()


def list_studies(engine: Engine, **exact: str) -> list[StudyRecord]:
    """Return studies, newest first; `exact` are columns with the value they should have."""
    query = select(schema.Study).filter_by(**exact).order_by(schema.Study.created_at.desc())
    with Session(engine) as session:
        return [_study(row) for row in session.scalars(query)]


def find_study(engine: Engine, wanted: str) -> StudyRecord:
    """Return the study that a text means: a name, its start, or `latest`.

    Raises:
        UnknownName: none fits.
        UsageProblem: several fit.
    """
    studies = list_studies(engine)
    if wanted == "latest" and studies:
        return studies[0]
    exact = [study for study in studies if study.name == wanted]
    found = exact or [study for study in studies if wanted and study.name.startswith(wanted)]
    if not found:
        raise UnknownName("study", wanted, [study.name for study in studies])
    if len(found) > 1:
        several = ", ".join(study.name for study in found[:5])
        raise UsageProblem(
            f"{wanted!r} fits {len(found)} studies: {several}. Give more of the name."
        )
    return found[0]


def list_trials(engine: Engine, study: str) -> list[TrialRecord]:
    """Return a study's trials by number."""
    trial, run = schema.Trial, schema.TrialRun
    with Session(engine) as session:
        runs: dict[int, dict[int, str]] = {}
        for row in session.scalars(select(run).filter_by(study=study).order_by(run.seed)):
            runs.setdefault(row.number, {})[row.seed] = row.run_id
        rows = session.scalars(select(trial).filter_by(study=study).order_by(trial.number))
        return [_trial(row, runs.get(row.number, {})) for row in rows]


def find_trial(engine: Engine, wanted: str) -> tuple[StudyRecord, TrialRecord]:
    """Return the study and trial that STUDY:NUMBER means.

    Raises:
        UsageProblem: it is written otherwise, or there is no such study or trial.
    """
    name, colon, number = wanted.rpartition(":")
    if not colon or not number.isdecimal():
        raise UsageProblem(
            f"{wanted!r}: expected a study and the number of a trial, as in NAME:17."
        )
    study = find_study(engine, name)
    trials = list_trials(engine, study.name)
    for trial in trials:
        if trial.number == int(number):
            return study, trial
    last = f"its last is {trials[-1].number}" if trials else "it has none"
    raise UsageProblem(f"study {study.name} has no trial {number}; {last}.")


def trial_of(engine: Engine, study: str, number: int) -> TrialRecord:
    """Return a trial; raises RlvitError if it is not there."""
    for trial in list_trials(engine, study):
        if trial.number == number:
            return trial
    raise RlvitError(f"the registry has no trial {number} of study {study}.")


def _study(row: schema.Study) -> StudyRecord:
    seeds: Sequence[int] = row.seeds["runs"]
    names = {field.name for field in fields(StudyRecord)} - {"seeds"}
    return StudyRecord(seeds=tuple(seeds), **{name: getattr(row, name) for name in names})


def _trial(row: schema.Trial, runs: Mapping[int, str]) -> TrialRecord:
    names = {field.name for field in fields(TrialRecord)} - {"runs"}
    return TrialRecord(runs=runs, **{name: getattr(row, name) for name in names})
