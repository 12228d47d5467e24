"""`rlvit tune delete`: the study goes, its runs stay archived, and a stop on the way is mended."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import optuna
import pytest
from study_lab import Lab

from rlvit.cli.main import invoke
from rlvit.errors import RlvitError, UnknownName, UsageProblem
from rlvit.registry import queries, studies
from rlvit.report.collect import gather
from rlvit.runs import provenance
from rlvit.runs.gc import propose
from rlvit.tune import removal
from rlvit.tune.removal import remove_study
from rlvit.tune.storage import choose, open_storage

FAST = {"space": ("rate=0.01..0.5:log",), "fixed": ("steps=3",)}


def remove(lab: Lab, name: str) -> list[str]:
    return remove_study(lab.home, lab.store, studies.find_study(lab.store.engine, name))


def runs_of(lab: Lab, name: str) -> list[str]:
    return sorted(run for trial in lab.trials(name) for run in trial.runs.values())


def in_optuna(lab: Lab) -> list[str]:
    storage = open_storage(lab.home, choose(lab.home, None))
    return [one.study_name for one in storage.get_all_studies()]


def mirrored(lab: Lab) -> list[str]:
    return [path.name for path in (lab.home.runs / "studies").iterdir()]


def test_a_study_goes_and_its_runs_are_archived(lab: Lab) -> None:
    name, trials = lab.study(trials=2, seeds_per_trial=2, **FAST)
    runs = runs_of(lab, name)
    assert remove(lab, name) == runs
    assert len(runs) == 4
    assert (in_optuna(lab), mirrored(lab)) == ([], [])
    with pytest.raises(UnknownName):
        studies.find_study(lab.store.engine, name)
    assert lab.trials(name) == []
    for run in runs:
        assert queries.find_run(lab.store.engine, run).archived
        assert json.loads((lab.home.runs / run / "run.json").read_text())["archived"]
    assert gather(lab.store.engine, lab.catalog).arms == ()  # no search is hidden among the arms
    going = propose(lab.home, lab.store.engine).items
    assert sorted(item.name for item in going if item.what == "run") == runs
    again, anew = lab.study(trials=2, seeds_per_trial=2, **FAST)
    assert again == name
    assert [dict(t.params) for t in anew] == [dict(t.params) for t in trials]


def test_runs_that_another_study_took_are_not_archived(lab: Lab) -> None:
    old, _ = lab.study(trials=2, **FAST)
    new, trials = lab.study(trials=1, space=("rate=0.001..0.9:log",), fixed=("steps=3",))
    assert old != new
    assert [trial.source for trial in trials] == [f"{old}:0", f"{old}:1", ""]
    assert remove(lab, old) == []
    assert studies.own_runs(lab.store.engine, new) == runs_of(lab, new)  # now they are its alone
    assert not any(run.archived for run in queries.list_runs(lab.store.engine, archived=None))
    assert in_optuna(lab) == [new]
    assert mirrored(lab) == [f"{new}.json"]


def test_a_study_that_is_worked_on_stays(lab: Lab) -> None:
    name, (trial,) = lab.study(trials=1, **FAST)
    alive = dataclasses.replace(trial, state="running", process=provenance.process_identity())
    lab.store._change(name, 0, state=alive.state, process=dict(alive.process))
    with pytest.raises(RlvitError, match=f"trial 0 of {name} is worked on.*Nothing was changed"):
        remove(lab, name)
    assert in_optuna(lab) == [name]
    assert not queries.find_run(lab.store.engine, trial.runs[0]).archived


@pytest.mark.parametrize("step", ["annotate", "_remove_from_optuna", "unlink", "delete_study"])
def test_a_removal_that_was_stopped_is_ended_by_the_next(
    lab: Lab, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = lab.study(trials=2, **FAST)
    runs = runs_of(lab, name)
    owners = {"_remove_from_optuna": removal, "unlink": Path}

    def stop(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owners.get(step, lab.store), step, stop)
        with pytest.raises(KeyboardInterrupt):
            remove(lab, name)
    assert studies.find_study(lab.store.engine, name).name == name
    assert remove(lab, name) == runs
    assert (in_optuna(lab), mirrored(lab)) == ([], [])
    assert studies.list_studies(lab.store.engine) == []


def test_a_study_that_optuna_never_had_goes_too(lab: Lab) -> None:
    name, _ = lab.study(trials=1, **FAST)
    runs = runs_of(lab, name)
    optuna.delete_study(study_name=name, storage=open_storage(lab.home, choose(lab.home, None)))
    assert remove(lab, name) == runs
    assert studies.list_studies(lab.store.engine) == []


def test_the_command(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = lab.study(trials=2, **FAST)
    home = ["--home", str(lab.home.root), "tune", "delete"]
    assert invoke([*home, "nobody", "--yes"]) == UsageProblem.exit_code
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert invoke([*home, name]) == 130  # stopped
    monkeypatch.setattr("sys.stdin", io.StringIO(""))  # nobody answers
    assert invoke([*home, name]) == 2
    assert in_optuna(lab) == [name]
    capsys.readouterr()
    assert invoke([*home, "latest", "--yes"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{name}: deleted"
    assert second.startswith("  2 runs are archived; `rlvit ")
    assert second.endswith("runs gc` can remove them")
    assert in_optuna(lab) == []
