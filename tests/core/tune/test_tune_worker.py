"""Studies from beginning to end: the same twice, on after any stop, and clear where they fail."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from study_lab import Lab

from rlvit.errors import RlvitError, UsageProblem
from rlvit.registry import queries, studies
from rlvit.registry.records import TrialRecord
from rlvit.runs import execute, provenance
from rlvit.runs.display import Silent
from rlvit.tune import fresh, objectives
from rlvit.tune.storage import choose, open_storage
from rlvit.tune.study import is_abandoned
from rlvit.tune.worker import Worker

FAST = {"space": ("rate=0.01..0.5:log",), "fixed": ("steps=3",)}


def told(trials: list[TrialRecord]) -> list[tuple[Any, ...]]:
    """Return what has to be equal where a study is repeated."""
    return [(t.number, t.state, dict(t.params), t.values) for t in trials]


def test_trials_are_ordinary_runs(lab: Lab) -> None:
    name, trials = lab.study(trials=3, seeds_per_trial=2)
    assert [t.state for t in trials] == ["completed"] * 3
    for trial in trials:
        assert list(trial.runs) == [0, 1]
        runs = [queries.find_run(lab.store.engine, run) for run in trial.runs.values()]
        for seed, run in enumerate(runs):
            assert (run.state, run.seed, run.attempt) == ("completed", seed, 1)
            assert run.tags == {"study": name, "trial": str(trial.number)}
            assert {k: run.config[k] for k in trial.params} == dict(trial.params)
        scores = [queries.results(lab.store.engine, run.id)[0].value for run in runs]
        assert trial.values == {"toy/score": pytest.approx(np.mean(scores))}
    optuna = lab.open(name).optuna.trials
    assert [(t.state, t.params, t.values) for t in optuna] == [
        (TrialState.COMPLETE, dict(t.params), list((t.values or {}).values())) for t in trials
    ]


def test_the_study_on_disk_is_the_one_in_the_registry(lab: Lab) -> None:
    name, trials = lab.study(trials=2)
    found = json.loads((lab.home.runs / "studies" / f"{name}.json").read_text())
    of, known = found.pop("of"), studies.find_study(lab.store.engine, name)
    assert found.pop("format") == 1
    assert found == json.loads(json.dumps(dataclasses.asdict(known)))
    assert of == json.loads(json.dumps([dataclasses.asdict(trial) for trial in trials]))


def test_the_same_seed_gives_the_same_trials_and_a_stop_changes_nothing(
    make_lab: Callable[[str], Lab],
) -> None:
    settings = {"sampler": {"name": "tpe", "startup": 3}, **FAST}
    _, at_once = make_lab("once").study(trials=8, **settings)
    stopped = make_lab("stopped")
    name, first = stopped.study(trials=4, **settings)
    assert told(first) == told(at_once)[:4]
    again, whole = stopped.study(trials=8, **settings)
    assert again == name
    assert told(whole) == told(at_once)
    _, other = make_lab("other").study(trials=4, seed=1, **settings)
    assert [t.params for t in other] != [t.params for t in first]


def test_a_replayed_trial_is_bit_equal(lab: Lab) -> None:
    name, trials = lab.study(trials=2)
    (plan,) = fresh.replayed(lab.catalog, lab.store, f"{name}:1")
    outcome = execute.start(lab.catalog, lab.home, plan, Silent())
    (run,) = trials[1].runs.values()
    weights = [np.load(lab.home.runs / one / "weights.npy") for one in (run, outcome.id)]
    assert weights[0].tobytes() == weights[1].tobytes()
    assert lab_results(lab, run) == lab_results(lab, outcome.id)
    with pytest.raises(UsageProblem, match="no trial 7; its last is 1"):
        fresh.replayed(lab.catalog, lab.store, f"{name}:7")
    with pytest.raises(UsageProblem, match="NAME:17"):
        fresh.replayed(lab.catalog, lab.store, name)


def lab_results(lab: Lab, run: str) -> list[tuple[Any, ...]]:
    found = queries.results(lab.store.engine, run)
    return [(r.metric, r.step, r.value, r.samples, r.spread) for r in found]


def test_fresh_seeds_judge_the_leading_trials(lab: Lab) -> None:
    name, trials = lab.study(trials=3, **FAST)
    opened = lab.open(name)
    leading = fresh.leaders(opened.record, trials, 2)
    values = [(t.values or {})["toy/score"] for t in trials]
    assert [(t.values or {})["toy/score"] for t in leading] == sorted(values, reverse=True)[:2]
    first = fresh.run_fresh(opened, leading, 2, Silent, lab.said.append)
    assert [one.state for one in first] == ["completed"] * 4
    assert fresh.run_fresh(opened, leading, 2, Silent, lab.said.append) == []
    for trial in leading:
        found = fresh.standing(lab.store.engine, opened.record, trial)
        assert found.seeds == (1, 2)  # the study used 0
        runs = fresh.fresh_runs(lab.store.engine, opened.record, trial)
        fingerprints = {queries.find_run(lab.store.engine, r.id).fingerprint for r in runs}
        (own,) = trial.runs.values()
        assert fingerprints == {queries.find_run(lab.store.engine, own).fingerprint}
    assert len(lab.trials(name)) == 3  # these runs are no trials


def test_a_changed_space_begins_with_the_old_trials_that_still_fit(lab: Lab) -> None:
    name, trials = lab.study(trials=5, space=("rate=0.01..0.5:log", "mode=mean,sum"), **{
        "fixed": ("steps=3",), "sampler": {"name": "random"},
    })  # fmt: skip
    settings = {"space": ("rate=0.05..0.5:log",), "fixed": ("steps=3", "mode=mean")}
    other, seeded = lab.study(trials=1, **settings)
    assert other != name
    assert other.rpartition("-")[0] == name.rpartition("-")[0]
    fit = [t for t in trials if t.params["mode"] == "mean" and t.params["rate"] >= 0.05]
    assert 0 < len(fit) < 5
    assert [t.source for t in seeded[:-1]] == [f"{name}:{t.number}" for t in fit]
    assert [t.values for t in seeded[:-1]] == [t.values for t in fit]
    assert [t.params for t in seeded[:-1]] == [{"rate": t.params["rate"]} for t in fit]
    assert [dict(t.runs) for t in seeded[:-1]] == [dict(t.runs) for t in fit]
    assert seeded[-1].source == ""
    assert any(f"{len(fit)} trials of {name} still fit" in text for text in lab.said)
    known = lab.open(other).optuna.trials
    assert [t.state for t in known] == [TrialState.COMPLETE] * len(seeded)


def test_a_study_goes_on_under_the_terms_it_began_with(lab: Lab) -> None:
    name, _ = lab.study(trials=1, **FAST)
    with pytest.raises(UsageProblem, match=r"optimises toy/score:max, not toy/score:min"):
        lab.prepare(objectives=("toy/score:min",), **FAST)
    with pytest.raises(UsageProblem, match="begun with the sampler tpe, not random"):
        lab.prepare(sampler={"name": "random"}, **FAST)
    assert lab.prepare(**FAST).name == name


def test_settings_that_a_method_refuses_fail_their_trial_alone(lab: Lab) -> None:
    grid = {"name": "grid"}
    space = ("bound=0.05,0.5", "rate=0.04,0.1")
    _, trials = lab.study(trials=4, space=space, fixed=("steps=3",), sampler=grid)
    states = {(t.params["bound"], t.params["rate"]): t.state for t in trials}
    assert states.pop((0.05, 0.1)) == "failed"
    assert list(states.values()) == ["completed"] * 3
    failed = next(t for t in trials if t.state == "failed")
    assert "--bound is smaller than --rate" in failed.reason
    assert failed.runs == {}


def test_a_run_that_fails_fails_its_trial(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_AT", "2:fail")
    name, trials = lab.study(trials=2, **FAST)
    assert [t.state for t in trials] == ["failed", "failed"]
    assert all("the toy broke" in t.reason for t in trials)
    assert [t.state for t in lab.open(name).optuna.trials] == [TrialState.FAIL] * 2
    assert fresh.leaders(studies.find_study(lab.store.engine, name), trials, 3) == []


def test_a_value_that_is_no_number_fails_its_trial(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objectives, "value_of", lambda *given: math.nan)
    _, trials = lab.study(trials=1, **FAST)
    assert [(t.state, t.reason) for t in trials] == [
        ("failed", "toy/score: no finite number was measured")
    ]


def test_two_objectives_have_a_front(lab: Lab) -> None:
    name, trials = lab.study(trials=5, objectives=("score", "toy/weight:min"), **FAST)
    assert all(set(t.values or {}) == {"toy/score", "toy/weight"} for t in trials)
    record = studies.find_study(lab.store.engine, name)
    front = {t.number for t in fresh.leaders(record, trials, 1)}
    assert front == {t.number for t in lab.open(name).optuna.best_trials}


def test_a_study_that_is_asked_to_stop_takes_no_trial(lab: Lab) -> None:
    name = lab.prepare(**FAST).name
    lab.store.change_study(name, stop="after")
    assert lab.worker(name).work() == "stopped"
    assert lab.trials(name) == []
    assert lab.prepare(**FAST).stop == ""  # the same command goes on
    assert lab.worker(name).work() == "done"
    assert len(lab.trials(name)) == 3


def test_no_trial_is_begun_after_the_time_is_over(lab: Lab) -> None:
    name = lab.prepare(**FAST).name
    opened, now = lab.open(name), time.monotonic()
    assert Worker(opened, lab.said.append, Silent, until=now).work() == "stopped"
    assert lab.trials(name) == []
    assert Worker(opened, lab.said.append, Silent, until=now + 3600).work() == "done"


DEAD = {**provenance.process_identity(), "pid": 2**22 + 1}


class Died(BaseException):
    """A kill, where a test puts it."""


@pytest.mark.parametrize(
    "moment", ["add_trial", "set_trial_run", "create_run", "move", "tell", "end_trial"]
)
def test_a_worker_that_dies_loses_no_trial_and_doubles_none(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whatever was the last thing that it did not do."""
    name = lab.prepare(trials=2, **FAST).name
    worker, calls = lab.worker(name), []
    monkeypatch.setattr(worker, "_process", DEAD)
    owner: Any = {
        "tell": worker._opened.optuna,
        "create_run": execute.Store,
        "move": execute.Store,
    }.get(moment, type(lab.store))
    original = getattr(owner, moment)

    def die(*arguments: Any, **more: Any) -> Any:
        calls.append(moment)
        if len(calls) > (2 if moment == "move" else 1):  # of the second trial, or at its first end
            raise Died
        return original(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(owner, moment, die)
        patched.setattr(provenance, "process_identity", lambda: DEAD)
        with pytest.raises(Died):
            worker.work()
    assert lab.worker(name).work() == "done"
    trials = lab.trials(name)
    assert [(t.number, t.state) for t in trials] == [(0, "completed"), (1, "completed")]
    assert [(t.state, t.params, t.values) for t in lab.open(name).optuna.trials] == [
        (TrialState.COMPLETE, dict(t.params), list((t.values or {}).values())) for t in trials
    ]
    runs = [run for trial in trials for run in trial.runs.values()]
    known = queries.list_runs(lab.store.engine, archived=None)
    assert sorted(runs) == sorted(run.id for run in known)
    assert {run.state for run in known} == {"completed"}


def test_who_is_abandoned(lab: Lab) -> None:
    _, (trial,) = lab.study(trials=1, **FAST)
    running = dataclasses.replace(trial, state="running", process=provenance.process_identity())
    assert not is_abandoned(lab.store, running)
    assert is_abandoned(lab.store, dataclasses.replace(running, process=DEAD))
    assert is_abandoned(lab.store, dataclasses.replace(running, state="interrupted"))
    assert not is_abandoned(lab.store, trial)


def test_an_abandoned_trial_is_taken_over_once(lab: Lab) -> None:
    name = lab.prepare(**FAST).name
    worker = lab.worker(name)
    with lab.store.holding(name, lab.home):
        mine = worker._next()
    assert mine is not None
    assert lab.store.claim_trial(mine, {"pid": 1}, mine.params)
    assert not lab.store.claim_trial(mine, {"pid": 2}, mine.params)


def test_workers_say_what_they_do(lab: Lab) -> None:
    name = lab.prepare(**FAST).name
    said: list[str] = []
    Worker(lab.open(name), said.append, Silent).work()
    assert said[0].startswith("trial 0: rate=")
    assert said[1].startswith("trial 0 is completed after")
    assert "toy/score" in said[1]


def test_trials_that_the_registry_has_lost_are_not_thrown_away(lab: Lab) -> None:
    name, _ = lab.study(trials=2)
    before = len(lab.open(name).optuna.trials)
    with lab.store.engine.begin() as connection:
        for table in ("trial_run", "trial", "study"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    with pytest.raises(RlvitError, match=f"lacks the study {name}, whose file is"):
        lab.prepare(trials=2)
    (lab.home.runs / "studies" / f"{name}.json").unlink()
    with pytest.raises(RlvitError, match=f"has 2 trials of a study {name} that this registry"):
        lab.prepare(trials=2)
    storage = open_storage(lab.home, choose(lab.home, None))
    assert len(optuna.load_study(study_name=name, storage=storage).trials) == before == 2


def test_the_beginning_of_a_study_whose_maker_was_killed_is_made_anew(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(type(lab.store), "add_study", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            lab.prepare(trials=1)
    name = lab.prepare(trials=1).name
    assert lab.worker(name).work() == "done"
    assert [trial.state for trial in lab.trials(name)] == ["completed"]
