"""What `rlvit tune` and its neighbours tell of a study, also where runs or processes are gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from study_lab import Lab
from study_program import STUDY

from rlvit.cli.main import invoke
from rlvit.registry import studies
from rlvit.registry.tuning import tuning_trials
from rlvit.report.collect import gather
from rlvit.runs import execute, provenance
from rlvit.runs.display import Silent
from rlvit.tune import fresh, summary

FAST = {"space": ("rate=0.01..0.5:log",), "fixed": ("steps=3",)}
DEAD = {**provenance.process_identity(), "pid": 2**22 + 1}


def told(lab: Lab, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what a command prints, which ends well."""
    capsys.readouterr()
    assert invoke(["--home", str(lab.home.root), *words]) == 0
    return capsys.readouterr().out


def test_a_repeated_trial_is_no_arm_of_its_own(lab: Lab) -> None:
    name, trials = lab.study(trials=1, **FAST)
    (plan,) = fresh.replayed(lab.catalog, lab.store, f"{name}:0")
    again = execute.start(lab.catalog, lab.home, plan, Silent())

    def runs(**asked: Any) -> set[str]:
        arms = gather(lab.store.engine, lab.catalog, **asked).arms
        return {one.id for arm in arms for one in arm.trials}

    assert runs() == set()
    assert runs(trials=True) == {trials[0].runs[0], again.id}
    assert runs(tag="from-trial") == {again.id}


def test_a_study_without_data_is_repeated_wherever_one_is(lab: Lab, tmp_path: Path) -> None:
    """A folder that is no longer there, or never was, is not asked for again."""
    name, _ = lab.study(trials=1, **FAST)
    with lab.store.engine.begin() as connection:
        ((text,),) = connection.exec_driver_sql("SELECT provenance FROM run").all()
        changed = json.dumps({**json.loads(text), "data_root": str(tmp_path / "gone")})
        connection.exec_driver_sql("UPDATE run SET provenance = ?", (changed,))
    (plan,) = fresh.replayed(lab.catalog, lab.store, f"{name}:0")
    assert plan.data_root != tmp_path / "gone"
    (tmp_path / "here").mkdir()
    given = {"threads": 2, "data_root": str(tmp_path / "here")}
    (plan,) = fresh.replayed(lab.catalog, lab.store, f"{name}:0", **given)
    assert (plan.threads, plan.data_root) == (2, tmp_path / "here")


def test_what_is_left_when_a_trials_run_is_deleted(
    lab: Lab, capsys: pytest.CaptureFixture[str], toy: object
) -> None:
    name, trials = lab.study(trials=2, **FAST)
    opened = lab.open(name)
    leader = fresh.leaders(opened.record, trials, 1)
    (made,) = fresh.run_fresh(opened, leader, 1, Silent, lab.said.append)
    run = leader[0].runs[0]
    before = summary.summarise(lab.store.engine, opened.record)
    home = ["--home", str(lab.home.root)]
    assert invoke([*home, "runs", "delete", run, "--yes"]) == 0
    assert f"It belongs to trial {leader[0].number} of study {name}" in capsys.readouterr().err
    after = summary.summarise(lab.store.engine, opened.record)
    assert (before.deleted, after.deleted) == (frozenset(), {run})
    shown = told(lab, capsys, "tune", "show", name)
    assert "that of 1 deleted runs left out" in shown
    (row,) = [
        one
        for one in json.loads(told(lab, capsys, "tune", "show", name, "--format", "json"))
        if one["trial"] == leader[0].number
    ]
    assert row["runs"] == f"{run} (deleted)"
    # What stands behind the configuration is still known, and it can still be repeated.
    arms = gather(lab.store.engine, lab.catalog).arms
    assert [one.id for arm in arms for one in arm.trials] == [made.id]
    prints = {arm.fingerprint for arm in arms}
    assert list(tuning_trials(lab.store.engine, prints).values()) == [2]
    (plan,) = fresh.replayed(lab.catalog, lab.store, f"{name}:{leader[0].number}")
    assert plan.fingerprint in prints


def test_one_fresh_seed_has_no_interval(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    name, trials = lab.study(trials=1, **FAST)
    opened = lab.open(name)
    fresh.run_fresh(opened, trials, 1, Silent, lab.said.append)
    shown = told(lab, capsys, "tune", "best", name)
    assert "nan" not in shown
    assert "Not confirmed" in shown


def test_a_trial_whose_process_is_gone_is_shown_as_interrupted(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    name = lab.prepare(**FAST).name
    worker = lab.worker(name)
    with lab.store.holding(name, lab.home):
        trial = worker._next()
    assert trial is not None
    assert lab.store.claim_trial(trial, DEAD, trial.params)
    (row,) = json.loads(told(lab, capsys, "tune", "show", name, "--format", "json"))
    assert row["state"] == "interrupted"
    (line,) = json.loads(told(lab, capsys, "tune", "list", "--format", "json"))
    assert (line["state"], line["best"]) == ("stopped", None)
    stopped = told(lab, capsys, "tune", "stop", name)
    assert f"{name}: its workers end after" in stopped


def test_lists_and_exports_say_what_was_found(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    pruner = {"name": "median", "on": ["toy/weight"]}
    name, trials = lab.study(trials=2, seeds_per_trial=2, pruner=pruner, **FAST)
    values = [(trial.values or {})["toy/score"] for trial in trials]
    (line,) = json.loads(told(lab, capsys, "tune", "list", "--format", "json"))
    assert (line["state"], line["finished"], line["taken"]) == ("complete", "2/2", 0)
    assert float(line["best"]) == pytest.approx(max(values), rel=1e-3)
    rows = json.loads(told(lab, capsys, "tune", "export", name, "--format", "json"))
    for row, value in zip(rows, values, strict=True):
        seeds = [row[f"toy/score, seed {seed}"] for seed in (0, 1)]
        assert sum(seeds) / 2 == pytest.approx(value)
        assert [step for step, _ in row["looked at"]["toy/weight"]] == [1, 2, 3]
        assert row["took"] >= 0
        assert row["started"] <= row["ended"]
    shown = told(lab, capsys, "tune", "show", name)
    assert "preset official-code, steps = 3" in shown
    assert "best value found" in shown
    assert "cost " in shown


def test_a_dry_run_says_what_would_be_searched_and_cost(
    tmp_path: Path, toy_alone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "none"
    grid = ("--sampler", "grid", "--space", "mode=mean,sum", "--space", "rate=0.1,0.2,0.4")
    words = [word for word in STUDY if word != "rate=0.01..0.5:log"]
    words.remove("--space")
    assert invoke(["--home", str(home), *words, *grid, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "20 trials of a grid of 6 points; searches" in said
    assert "steps = 40" in said
    assert "expected cost of 6 trials, 6 runs: " in said
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--storage", "sqlite:////nonexistent/dir/x.db"), "there is no folder /nonexistent/dir"),
        (("--storage", "sqlite:///{file}"), "is no SQLite database"),
        (("--storage", "postgresql+psycopg://x@127.0.0.1:1/y"), "127.0.0.1:1/y cannot be used"),
        (("--name", ""), "--name '': expected letters"),
    ],
)
def test_what_is_refused_leaves_nothing(
    tmp_path: Path,
    toy_alone: None,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, str],
    says: str,
) -> None:
    home, file = tmp_path / "none", tmp_path / "text"
    file.write_text("this is a text")
    given = [word.replace("{file}", str(file)) for word in words]
    assert invoke(["--home", str(home), *STUDY, *given]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "options=" not in said
    assert not home.exists()


def test_a_methods_option_without_the_method(
    toy_alone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["tune", "--puzzle", "Alpha"]) == 2
    assert "A method's own options need --plugin NAME." in capsys.readouterr().err


def test_the_trial_to_repeat_decides_all_but_where_it_runs(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, _ = lab.study(trials=1, **FAST)
    words = ("run", "--from-trial", f"{name}:0", "--data-root", str(tmp_path), "--threads", "1")
    said = told(lab, capsys, *words, "--dry-run")
    assert "method toy" in said
    assert invoke(["--home", str(lab.home.root), *words, "--seed", "3"]) == 2
    assert "--from-trial decides --seed" in capsys.readouterr().err


def test_a_study_that_was_never_begun(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    name = lab.prepare(**FAST).name
    record = studies.find_study(lab.store.engine, name)
    assert summary.extreme([], "toy/score", "max") is None
    assert summary.summarise(lab.store.engine, record).failure == ""
    assert "no trial yet" in told(lab, capsys, "tune", "show", name)
