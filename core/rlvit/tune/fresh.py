"""The best few configurations of a study once more, with fresh seeds: only that says which is best.

The best of many noisy values is too good on average (the winner's curse): it was chosen for its
luck as well. Runs with seeds that the study did not use are free of that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from rlvit.catalog import Catalog
from rlvit.errors import RlvitError
from rlvit.registry import queries, studies
from rlvit.registry.records import RunRecord, StudyRecord, TrialRecord
from rlvit.registry.studies import StudyStore
from rlvit.runs import execute
from rlvit.runs.display import Display
from rlvit.runs.plan import Plan, make_plan
from rlvit.tune import objectives
from rlvit.tune.study import OpenStudy, request_of

TAG = "best-of"  # of the runs with fresh seeds: their study
TRIAL = "best-of-trial"


@dataclass(frozen=True)
class Standing:
    """A leading trial with what runs with fresh seeds measured."""

    trial: TrialRecord
    seeds: tuple[int, ...]
    values: dict[str, tuple[float, ...]]  # objective -> one value a fresh seed


def leaders(study: StudyRecord, trials: Sequence[TrialRecord], most: int) -> list[TrialRecord]:
    """Return the best completed trials; of several objectives, those that none dominates."""
    done = [trial for trial in trials if trial.state == "completed" and trial.values]
    points = [[(trial.values or {})[m] for m in study.objectives] for trial in done]
    ways = list(study.objectives.values())
    if len(ways) > 1:
        return [done[number] for number in objectives.pareto(points, ways)]
    order = sorted(range(len(done)), key=lambda n: points[n][0], reverse=ways[0] == "max")
    return [done[number] for number in order[:most]]


def fresh_seeds(study: StudyRecord, count: int) -> list[int]:
    """Return the next seeds after those of the study."""
    first = max(study.seeds) + 1
    return list(range(first, first + count))


def fresh_runs(engine: Engine, study: StudyRecord, trial: TrialRecord) -> list[RunRecord]:
    """Return the runs of a trial's configuration with fresh seeds, by seed."""
    found = queries.list_runs(engine, tag=f"{TAG}={study.name}")
    mine = [run for run in found if run.tags.get(TRIAL) == str(trial.number)]
    return sorted(mine, key=lambda run: run.seed)


def standing(engine: Engine, study: StudyRecord, trial: TrialRecord) -> Standing:
    """Return what the completed runs with fresh seeds say of a trial."""
    runs = [run for run in fresh_runs(engine, study, trial) if run.state == "completed"]
    values = {
        metric: tuple(objectives.value_of(engine, run.id, metric) for run in runs)
        for metric in study.objectives
    }
    return Standing(trial, tuple(run.seed for run in runs), values)


def run_fresh(
    opened: OpenStudy,
    trials: Sequence[TrialRecord],
    count: int,
    display: Callable[[], Display],
    say: Callable[[str], None],
) -> list[execute.RunOutcome]:
    """Run each trial's configuration with fresh seeds; what is there is not run again.

    Returns:
        How the runs ended; it stops after one that was interrupted.
    """
    outcomes = []
    for trial in trials:
        known = {run.seed: run for run in fresh_runs(opened.store.engine, opened.record, trial)}
        for seed in fresh_seeds(opened.record, count):
            run = known.get(seed)
            if run is not None and run.state == "completed":
                continue
            say(f"trial {trial.number} with seed {seed}")
            outcomes.append(_run(opened, trial, seed, run, display()))
            if outcomes[-1].state == "interrupted":
                return outcomes
    return outcomes


def _run(
    opened: OpenStudy, trial: TrialRecord, seed: int, known: RunRecord | None, display: Display
) -> execute.RunOutcome:
    catalog, home = opened.catalog, opened.home
    if known is not None:
        return execute.resume(catalog, home, known.id, display, opened.threads, opened.data_root)
    asked = opened.request(trial, seed)
    tags = {TAG: opened.record.name, TRIAL: str(trial.number)}
    return execute.start(
        catalog, home, make_plan(catalog, dataclasses.replace(asked, tags=tags)), display
    )


def known_run(engine: Engine, run_id: str | None) -> RunRecord | None:
    """Return a trial's run, None if it has none or it was deleted."""
    there = run_id is not None and queries.has_run(engine, run_id)
    return queries.find_run(engine, str(run_id)) if there else None


def replayed(
    catalog: Catalog,
    store: StudyStore,
    wanted: str,
    threads: int | None = None,
    data_root: str | None = None,
) -> list[Plan]:
    """Return the plans of the runs of STUDY:NUMBER; on the CPU their results are bit-equal.

    Threads and device are those that the trial's runs had, and the images are looked for where
    these found them, unless that is gone. A run that was deleted is made from the study's settings.

    Args:
        catalog: what the plugins offer.
        store: knows the trial.
        wanted: STUDY:NUMBER.
        threads: another number of them; then results are not bit-equal.
        data_root: where the images are now.

    Raises:
        UsageProblem: there is no such study or trial.
        RlvitError: today's code would make another run of it.
    """
    study, trial = studies.find_trial(store.engine, wanted)
    called = f"{study.name}:{trial.number}"
    tags = {queries.REPEATED: called}
    plans = []
    for seed in study.seeds:
        asked = dataclasses.replace(request_of(study, trial.params, seed), tags=tags)
        run = known_run(store.engine, trial.runs.get(seed))
        if run is not None:
            asked = dataclasses.replace(
                asked, device=run.provenance["device"], threads=run.provenance["threads"]
            )
        before = asked.data_root if run is None else run.provenance.get("data_root")
        still = before if before is not None and Path(before).is_dir() else None
        asked = dataclasses.replace(
            asked, threads=threads or asked.threads, data_root=data_root or still
        )
        plans.append(make_plan(catalog, asked))
        if run is not None and plans[-1].fingerprint != run.fingerprint:
            raise RlvitError(
                f"trial {called} was made by {run.plugin_version}, whose protocol or "
                "options differ from today's: it cannot be run again with the same meaning."
            )
    return plans
