"""Studies end where nothing can go well, and go on where something was mended."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from study_lab import Lab

from rlvit.catalog import Catalog, Entry
from rlvit.errors import RlvitError, UsageProblem
from rlvit.registry import queries, studies
from rlvit.registry.records import TrialRecord
from rlvit.tune import failures, queue
from rlvit.tune.failures import Surroundings
from rlvit.tune.worker import Worker

FAST = {"space": ("rate=0.01..0.5:log",), "fixed": ("steps=3",)}


def needing(catalog: Catalog, file: Path) -> Catalog:
    """Return a catalogue in which the puzzles need a file, as datasets do."""
    tasks = dict(catalog.entries["task"])
    for name, entry in tasks.items():
        make = entry.spec.make

        def guarded(settings: Any, seed: int, make: Any = make) -> Any:
            if not file.exists():
                raise UsageProblem(f"the puzzle is not in {file.parent}")
            return make(settings, seed)

        tasks[name] = Entry(dataclasses.replace(entry.spec, make=guarded), entry.owner)
    return dataclasses.replace(catalog, entries={**catalog.entries, "task": tasks})


@pytest.fixture
def file(lab: Lab, tmp_path: Path) -> Path:
    """Return the file without which no run of the lab can go well."""
    found = tmp_path / "puzzle"
    found.touch()
    lab.catalog = needing(lab.catalog, found)
    return found


def test_nothing_is_begun_where_no_run_can_begin(lab: Lab, file: Path) -> None:
    name = lab.prepare(**FAST).name
    file.unlink()
    with pytest.raises(Surroundings, match=f"no run of {name} can begin here: the puzzle is not"):
        lab.worker(name).work()
    assert lab.trials(name) == []
    file.touch()
    assert lab.worker(name).work() == "done"
    assert [trial.state for trial in lab.trials(name)] == ["completed"] * 3


def test_a_trial_stays_open_when_what_all_need_is_gone(
    lab: Lab, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = lab.prepare(trials=3, **FAST).name
    worker = lab.worker(name)
    monkeypatch.setattr(failures, "check", lambda opened: file.unlink(missing_ok=True))
    with pytest.raises(Surroundings, match="trial 0 stays open, for its settings are not"):
        worker.work()
    monkeypatch.undo()
    (trial,) = lab.trials(name)
    assert (trial.state, list(trial.runs)) == ("interrupted", [0])
    assert queries.find_run(lab.store.engine, trial.runs[0]).state == "failed"
    file.touch()
    assert lab.worker(name).work() == "done"
    trials = lab.trials(name)
    assert [one.state for one in trials] == ["completed"] * 3
    assert trials[0].runs == trial.runs  # the same run went on
    assert queries.find_run(lab.store.engine, trial.runs[0]).attempt == 2


def test_a_disk_that_fails_leaves_the_trial_open(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from rlvit_toy import training

    def full(step: int) -> None:
        raise OSError(28, "No space left on device")

    name = lab.prepare(**FAST).name
    with monkeypatch.context() as patch:
        patch.setattr(training, "_disturb", full)
        with pytest.raises(Surroundings, match="No space left on device"):
            lab.worker(name).work()
    assert [trial.state for trial in lab.trials(name)] == ["interrupted"]
    assert lab.worker(name).work() == "done"


def test_three_failures_one_after_another_end_a_worker(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = lab.prepare(trials=50, **FAST).name
    with monkeypatch.context() as patch:
        patch.setenv("TOY_AT", "2:fail")
        with pytest.raises(RlvitError, match=r"3 trials failed one after another.*the toy broke"):
            lab.worker(name).work()
        assert [trial.state for trial in lab.trials(name)] == ["failed"] * 3
        with pytest.raises(RlvitError, match="1 trials failed one after another"):
            Worker(lab.open(name), lab.said.append, lab_display, max_failures=1).work()
    assert len(lab.trials(name)) == 4


def lab_display() -> Any:
    from rlvit.runs.display import Silent

    return Silent()


def test_failed_trials_are_tried_again_under_new_numbers(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = lab.prepare(trials=2, **FAST).name
    with monkeypatch.context() as patch:
        patch.setenv("TOY_AT", "2:fail")
        assert lab.worker(name).work() == "done"
    assert queue.enqueue_failed(lab.open(name)) == 2
    assert queue.enqueue_failed(lab.open(name)) == 0  # they wait already
    assert studies.find_study(lab.store.engine, name).trials == 4
    assert lab.worker(name).work() == "done"
    trials = lab.trials(name)
    assert [t.state for t in trials] == ["failed"] * 2 + ["completed"] * 2
    assert [t.params for t in trials[2:]] == [t.params for t in trials[:2]]
    assert queue.enqueue_failed(lab.open(name)) == 0


def test_an_objective_that_is_never_measured_ends_the_study_at_once(lab: Lab) -> None:
    fixed = ("steps=3", "log_every=9")  # it never logs
    name = lab.prepare(trials=9, objectives=("toy/noise:min",), space=FAST["space"], fixed=fixed)
    with pytest.raises(RlvitError, match="toy/noise: a completed run neither measured nor logged"):
        lab.worker(name.name).work()
    assert [trial.state for trial in lab.trials(name.name)] == ["failed"]


def trial(number: int, state: str, *, ran: bool = True) -> TrialRecord:
    runs = {0: f"run-{number}"} if ran else {}
    ended = float(number)
    return TrialRecord("s", number, state, {}, None, "", "", {}, 0.0, 0.0, ended, runs)


def test_failures_in_a_row() -> None:
    def row(*trials: TrialRecord, since: float = 0.0) -> list[int]:
        return [one.number for one in failures.in_a_row(trials, since)]

    failed = [trial(number, "failed") for number in range(4)]
    assert row(*failed) == [3, 2, 1, 0]
    assert row(*failed, since=2.0) == [3, 2]
    assert row(failed[0], trial(1, "pruned"), *failed[2:]) == [3, 2]
    assert row(*failed, trial(4, "completed")) == []
    refused = [trial(number, "failed", ran=False) for number in (5, 6)]
    assert row(*refused) == [6, 5]
    assert row(trial(4, "completed"), *refused) == []  # some settings are refused: no trouble
