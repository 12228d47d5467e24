"""What a report is made of: runs become arms with short names, beside what others printed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event
from toy_writers import new_run

from rlvit.catalog import Catalog, Entry
from rlvit.contracts import Artifact
from rlvit.errors import UnknownName, UsageProblem
from rlvit.registry.store import PointRow, Store
from rlvit.report.collect import curve, gather
from rlvit.report.labels import labels
from rlvit.report.model import Arm, Evidence
from rlvit.specs import PublishedResult

PLAIN = {"steps": 60, "rate": 0.1, "noisy": True, "mode": "mean", "bound": None}
PARTS = {"backbone": "toy-eye", "selector": "toy-pick", "reward": "toy-plain"}
PRINTED = PublishedResult(
    *("Theirs", "Alpha", "official", "toy/score", 4.5, 0.5, 5, "Table 1", "A. Author", "verified")
)


@pytest.fixture
def store(tmp_path: Path, toy: Catalog) -> Iterator[Store]:
    """Return a registry that knows the toy's metrics."""
    store = Store(f"sqlite:///{tmp_path / 'registry.db'}")
    store.declare_metrics(toy.metrics.values())
    yield store
    store.close()


def result(metric: str, step: int, value: float, row: int = 0, **more: Any) -> dict[str, Any]:
    known = {"metric": metric, "step": step, "value": value, "row": row, "attempt": 1}
    return {**known, "samples": 2, "spread": 0.25, **more}


def add(
    store: Store,
    run_id: str,
    *,
    state: str = "completed",
    score: float | None = 1.0,
    config: Mapping[str, Any] | None = None,
    slots: Mapping[str, str] | None = None,
    **more: Any,
) -> None:
    """Put a run into a registry; its fingerprint is that of what decides its result."""
    decides = {
        "config": {**PLAIN, **(config or {})},
        "slots": {**PARTS, **(slots or {})},
        **{n: more[n] for n in ("method", "task", "protocol", "protocol_settings") if n in more},
    }
    from rlvit.specs import digest

    more = {"fingerprint": digest(decides), **decides, **more}
    store.create_run(new_run(run_id, **more))
    if state != "created":
        store.move(run_id, "running")
    if score is not None:
        store.add_results(run_id, [result("toy/score", 24, score)])
    if state not in ("created", "running"):
        store.move(run_id, state)


def names(evidence: Evidence) -> list[tuple[str, list[str]]]:
    return [(arm.label, [trial.id for trial in arm.trials]) for arm in evidence.arms]


def test_runs_that_differ_in_their_seed_alone_are_one_arm(store: Store, toy: Catalog) -> None:
    for run_id, seed in (("c", 2), ("b", 10), ("d", 2), ("a", 3)):
        add(store, run_id, seed=seed, score=seed / 2, bookkeeping={"log_every": seed})
    (arm,) = gather(store.engine, toy).arms
    assert [(trial.seed, trial.id) for trial in arm.trials] == [
        *((2, "c"), (2, "d"), (3, "a"), (10, "b"))
    ]
    assert [trial.results["toy/score"].value for trial in arm.trials] == [1.0, 1.0, 1.5, 5.0]
    assert (arm.config, arm.slots) == (PLAIN, PARTS)  # nothing that cannot change a result
    assert (arm.label, arm.method, arm.task) == ("toy quick steps=60", "toy", "Alpha")
    assert arm.protocol == "brief"


def test_a_trial_has_what_a_table_says_of_it(store: Store, toy: Catalog) -> None:
    provenance = {"git_commit": "c0ffee", "git_dirty": True, "device": "cuda:0", "gpu": "Big GPU"}
    add(store, "r", seed=7, name="mine", note="<b>a note</b>", provenance=provenance)
    store.beat("r", 12.5)
    add(store, "s", seed=8, provenance={"device": "cpu", "gpu": None})
    (arm,) = gather(store.engine, toy).arms
    first, second = arm.trials
    assert (first.id, first.name, first.seed, first.note) == ("r", "mine", 7, "<b>a note</b>")
    assert (first.commit, first.dirty, first.version) == ("c0ffee", True, "1")
    assert (first.seconds, first.device, second.device) == (12.5, "Big GPU", "cpu")
    assert (second.commit, second.dirty) == (None, None)


def test_only_completed_runs_that_are_not_archived_count(store: Store, toy: Catalog) -> None:
    add(store, "good", seed=0)
    add(store, "old", seed=1)
    store.annotate("old", archived=True)
    for seed, state in enumerate(("failed", "failed", "interrupted", "running", "created"), 2):
        add(store, f"{state}{seed}", state=state, seed=seed)
    add(store, "old-failure", seed=9, state="failed")
    store.annotate("old-failure", archived=True)
    evidence = gather(store.engine, toy)
    assert names(evidence) == [("toy quick steps=60", ["good"])]
    assert evidence.unfinished == {"created": 1, "failed": 2, "interrupted": 1, "running": 1}


def test_results_are_those_of_the_finished_model(store: Store, toy: Catalog) -> None:
    add(store, "r", score=None)
    store.add_results(
        "r",
        [
            result("toy/length", 10, 1.0, 0),
            result("toy/score", 10, 2.0, 1),  # another step
            result("toy/score", 20, 3.0, 2),
            result("toy/score", 20, 4.0, 3),  # measured again at that step
        ],
    )
    (trial,) = gather(store.engine, toy).arms[0].trials
    assert set(trial.results) == {"toy/score"}  # the length was of an unfinished model
    found = trial.results["toy/score"]
    assert (found.value, found.samples, found.spread, found.step) == (4.0, 2, 0.25, 20)


def test_what_was_measured_before_learning_stays(store: Store, toy: Catalog) -> None:
    before = replace(toy.metrics["toy/score"], name="before/score")
    store.declare_metrics([before])
    add(store, "r", score=None)
    rows = [result("before/score", 0, 9.0, 0), result("toy/score", 20, 3.0, 1)]
    store.add_results("r", rows)
    evidence = gather(store.engine, toy)
    (trial,) = evidence.arms[0].trials
    assert {name: value.step for name, value in trial.results.items()} == {
        "before/score": 0,
        "toy/score": 20,
    }
    assert evidence.metrics["before/score"] == before  # no plugin here declares it


def test_superseded_results_are_left_out(store: Store, toy: Catalog) -> None:
    add(store, "r", state="interrupted", score=None)
    store.add_results("r", [result("toy/score", 20, 1.0, 0), result("toy/score", 30, 2.0, 1)])
    store.supersede("r", {"metrics": 0, "results": 1, "episodes": 0})
    store.move("r", "running")
    store.move("r", "completed")
    (trial,) = gather(store.engine, toy).arms[0].trials
    assert (trial.results["toy/score"].value, trial.results["toy/score"].step) == (1.0, 20)


def test_what_is_no_number_is_nan_and_a_run_may_have_measured_nothing(
    store: Store, toy: Catalog
) -> None:
    add(store, "nan", seed=0, score=math.nan)
    add(store, "nothing", seed=1, score=None)
    first, second = gather(store.engine, toy).arms[0].trials
    assert math.isnan(first.results["toy/score"].value)
    assert second.results == {}


def test_artifacts_are_found_by_kind(store: Store, toy: Catalog) -> None:
    add(store, "r")
    add(store, "s", seed=1)
    for run_id, kind, key in (("r", "film", "k1"), ("r", "film", "k2"), ("s", "model", "k3")):
        made = Artifact(kind, key, "0" * 64, Path("runs") / key, run_id, {}, 1)
        store.add_artifact(run_id, made, "made")
    first, second = gather(store.engine, toy).arms[0].trials
    assert first.artifacts == {"film": "runs/k2"}  # the newer one
    assert second.artifacts == {"model": "runs/k3"}


def test_a_label_says_in_what_an_arm_departs_from_its_preset(store: Store, toy: Catalog) -> None:
    add(store, "a", preset="paper")
    add(store, "b", preset="paper", config={"rate": 3e-4})
    add(store, "c", preset="paper", config={"rate": 3e-4}, slots={"selector": "toy-needy"})
    assert names(gather(store.engine, toy)) == [
        ("toy paper", ["a"]),
        ("toy paper rate=3e-4", ["b"]),
        ("toy paper toy-needy rate=3e-4", ["c"]),
    ]


def test_a_label_does_not_depend_on_the_other_arms(store: Store, toy: Catalog) -> None:
    add(store, "a", preset="paper", slots={"selector": "toy-needy"})
    add(store, "b", preset="paper", config={"mode": "sum"})
    add(store, "c", preset="paper", protocol="official")
    whole = dict((ids[0], label) for label, ids in names(gather(store.engine, toy)))
    assert whole == {"a": "toy paper toy-needy", "b": "toy paper mode=sum", "c": "toy paper"}
    for run_id, label in whole.items():
        assert names(gather(store.engine, toy, query=f"id == '{run_id}'")) == [(label, [run_id])]


def test_an_arm_has_one_label_on_all_tasks(store: Store, toy: Catalog) -> None:
    add(store, "a", preset="paper")
    add(store, "b", preset="paper", config={"noisy": False})
    add(store, "c", preset="paper", task="Beta", config={"bound": 2.0})  # left to the task
    add(store, "d", preset="paper", protocol="official")
    found = gather(store.engine, toy)
    assert names(found) == [
        *[("toy paper", [run_id]) for run_id in _by_fingerprint(found, "toy paper")],
        ("toy paper noisy=false", ["b"]),
    ]
    assert sorted(_by_fingerprint(found, "toy paper")) == ["a", "c", "d"]


def test_configurations_under_several_protocols_have_their_own_labels(toy: Catalog) -> None:
    found = called(toy, arm("1"), replace(arm("2", bound=2.0), protocol="brief"))
    assert found == {"1": "toy paper bound=none", "2": "toy paper bound=2"}


def _by_fingerprint(evidence: Evidence, label: str) -> list[str]:
    arms = [arm for arm in evidence.arms if arm.label == label]
    return [arm.trials[0].id for arm in sorted(arms, key=lambda arm: arm.fingerprint)]


def arm(fingerprint: str, preset: str = "paper", **config: Any) -> Arm:
    return Arm(fingerprint, "", "toy", "Alpha", "official", preset, {**PLAIN, **config}, PARTS, ())


def called(catalog: Catalog, *arms: Arm) -> dict[str, str]:
    return {one.fingerprint: one.label for one in labels(arms, catalog)}


def test_presets_and_departures_name_an_arm(toy: Catalog) -> None:
    arms = [
        arm("1", "paper"),
        arm("2", "official-code", noisy=False, steps=90),
        arm("3", "recommended", rate=0.05, bound=2.0),
        arm("4", "recommended", rate=0.05, bound=2.0, mode="sum"),
    ]
    assert called(toy, *arms) == {
        "1": "toy paper",
        "2": "toy official-code steps=90",
        "3": "toy recommended",  # what presets leave open is named only where it is needed
        "4": "toy recommended mode=sum",
    }
    arms += [arm("5", "recommended", rate=0.05, bound=3.0)]
    assert called(toy, *arms)["3"] == "toy recommended bound=2"
    assert called(toy, *arms)["5"] == "toy recommended bound=3"
    unknown = [replace(one, preset="mine") for one in arms[:2]]
    assert called(toy, *unknown)["1"] == "toy mine noisy=true steps=60"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((3e-4, "3e-4"), (1.5e-4, "1.5e-4"), (0.001, "1e-3"), (0.05, "0.05"), (0.8, "0.8")),
        *((24.0, "24"), (1e5, "1e5"), (12345678.0, "1.235e7"), (26.56505117707799, "26.57")),
        *((0.0, "0"), (-2e-5, "-2e-5"), (1e-13, "1e-13"), (60, "60"), (10_000_000, "10000000")),
        *((True, "true"), (None, "none"), ("sum", "sum"), ("ab" * 32, "abababab")),
        ("é" * 30, "é" * 23 + "…"),
    ],
)
def test_values_are_short(toy: Catalog, value: Any, text: str) -> None:
    assert called(toy, arm("1", x=value), arm("2", x="other"))["1"] == f"toy paper x={text}"


def test_no_two_arms_have_the_same_label(toy: Catalog) -> None:
    found = called(toy, arm("1" * 64, rate=0.123456), arm("2" * 64, rate=0.123457), arm("3" * 64))
    assert found == {
        "1" * 64: "toy paper rate=0.1235 #11111111",
        "2" * 64: "toy paper rate=0.1235 #22222222",
        "3" * 64: "toy paper",
    }


def test_a_setting_that_an_older_version_did_not_have_is_unset(toy: Catalog) -> None:
    assert called(toy, arm("1", new=None), arm("2")) == {
        "1": "toy paper new=none",
        "2": "toy paper new=unset",
    }


def test_a_protocol_that_was_changed_is_another_one(store: Store, toy: Catalog) -> None:
    add(store, "now", protocol_settings={"episodes": 2, "size": 3})
    add(store, "before", protocol_settings={"episodes": 1, "size": 3})
    add(store, "elsewhere", task="Beta", protocol_settings={"episodes": 1, "size": 3})
    add(store, "never", task="Beta", protocol_settings={"episodes": 9}, state="failed")
    found = {a.trials[0].id: a.protocol for a in gather(store.engine, toy, protocol="brief").arms}
    assert found["now"] == "brief"
    assert found["before"].startswith("brief@")
    assert len(found["before"]) == len("brief@") + 6
    assert found["elsewhere"] == "brief"  # there is nothing else on that task


def test_filters_choose_runs_and_references(store: Store, toy: Catalog) -> None:
    add(store, "a", tags={"good": "", "lr": "high"})
    add(store, "b", task="Beta", seed=1)
    add(store, "c", protocol="official", seed=2, tags={"lr": "low"})
    add(store, "d", method="other", seed=3)
    add(store, "e", task="Beta", seed=4, state="failed")
    other = replace(PRINTED, name="Others", task="Beta", protocol="")
    toy = replace(toy, published=(Entry(PRINTED, None), Entry(other, None)))  # owner: nobody

    def found(**filters: Any) -> tuple[list[str], list[str], int]:
        evidence = gather(store.engine, toy, **filters)
        ids = sorted(trial.id for one in evidence.arms for trial in one.trials)
        return ids, [one.name for one in evidence.references], sum(evidence.unfinished.values())

    both = ["Theirs", "Others"]
    assert found() == (["a", "b", "c", "d"], both, 1)
    assert found(method="toy") == (["a", "b", "c"], both, 1)
    assert found(method="OTHER") == (["d"], ["Theirs"], 0)  # no arm is left on Beta
    assert found(query="task == 'Beta'") == (["b"], ["Others"], 1)
    assert found(trials=True) == (["a", "b", "c", "d"], both, 1)
    assert found(task="alpha") == (["a", "c", "d"], ["Theirs"], 0)
    assert found(task="Beta") == (["b"], ["Others"], 1)
    assert found(protocol="official") == (["c"], ["Theirs"], 0)
    assert found(tag="lr") == (["a", "c"], ["Theirs"], 0)
    assert found(tag="lr=low") == (["c"], ["Theirs"], 0)
    assert found(tag="good", task="Beta") == ([], ["Others"], 0)


def test_references_can_be_asked_for_by_name(store: Store, toy: Catalog) -> None:
    add(store, "a")
    names = ("Theirs, plain", "Theirs, best", "Others [old]?", "Others *", "none")
    toy = replace(toy, published=tuple(Entry(replace(PRINTED, name=n), None) for n in names))

    def found(*quoted: str, **filters: Any) -> tuple[list[str], int]:
        evidence = gather(store.engine, toy, quoted=quoted, **filters)
        return [one.name for one in evidence.references], evidence.unquoted

    assert found() == (list(names), 0)
    assert found("theirs*") == (["Theirs, plain", "Theirs, best"], 3)
    assert found("others [old]?", "*best") == (["Theirs, best", "Others [old]?"], 3)
    assert found("others *") == (["Others *"], 4)  # a name before a pattern
    assert found("none") == ([], 5)  # whatever is called so
    with pytest.raises(UsageProblem, match="stands alone"):
        found("none", "theirs*")
    with pytest.raises(UnknownName):
        found("other? [old]?")
    assert found("none", protocol="brief") == ([], 0)  # none would be there
    with pytest.raises(UnknownName) as caught:
        found("Theirs, bast")
    assert str(caught.value).startswith("unknown published number 'Theirs, bast'. Did you mean")


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"method": "toi"}, "unknown method 'toi'. Did you mean 'toy'?"),
        ({"task": "Alfa"}, "unknown task 'Alfa'. Did you mean 'Alpha'?"),
        ({"protocol": "oficial"}, "unknown protocol 'oficial'. Did you mean 'official'?"),
        ({"protocol": ""}, "unknown protocol ''."),
        ({"tag": "god"}, "unknown tag 'god'. Did you mean 'good'?"),
        ({"tag": "lr=higher"}, "unknown tag 'lr=higher'. Did you mean 'lr=high'?"),
    ],
)
def test_an_unknown_name_is_refused(
    store: Store, toy: Catalog, filters: dict[str, str], message: str
) -> None:
    add(store, "a", tags={"good": "", "lr": "high"})
    with pytest.raises(UnknownName) as caught:
        gather(store.engine, toy, **filters)
    assert str(caught.value).startswith(message)


def test_a_message_prints_no_control_characters_of_tags(store: Store, toy: Catalog) -> None:
    add(store, "a", tags={"good\x1b[31m": ""})
    with pytest.raises(UnknownName) as caught:
        gather(store.engine, toy, tag="good\x1b[3")
    assert str(caught.value) == "unknown tag 'good\\x1b[3'. Did you mean 'good[31m'?"


def test_an_empty_registry_is_no_error(store: Store, toy: Catalog) -> None:
    evidence = gather(store.engine, toy)
    assert (evidence.arms, evidence.references, evidence.unfinished) == ((), (), {})
    assert set(evidence.metrics) == set(toy.metrics)
    assert (evidence.headlines, evidence.facts) == ({}, {})


def test_headlines_are_the_evaluators_or_what_has_a_better_side(store: Store, toy: Catalog) -> None:
    add(store, "a", score=None)
    rows = [result("toy/length", 24, 3.0, 0), result("toy/score", 24, 1.0, 1)]
    store.add_results("a", rows)
    add(store, "b", task="Gone", score=None)  # a task that no plugin offers any more
    store.add_results("b", [result("toy/length", 24, 3.0)])
    evidence = gather(store.engine, toy)
    assert evidence.headlines == {"Alpha": ("toy/score",), "Gone": ("toy/length",)}
    assert evidence.facts == {"Alpha": {}}
    exam = toy.entry("evaluator", "toy-exam")
    said = Entry(replace(exam.spec, headline=("toy/length", "toy/score")), exam.owner)
    task = toy.entry("task", "Alpha")
    known = Entry(replace(task.spec, facts={"random_score": 1.5}), task.owner)
    entries = {
        **toy.entries,
        "evaluator": {"toy-exam": said},
        "task": {**toy.entries["task"], "Alpha": known},
    }
    evidence = gather(store.engine, replace(toy, entries=entries), task="Alpha")
    assert evidence.headlines == {"Alpha": ("toy/length", "toy/score")}
    assert evidence.facts == {"Alpha": {"random_score": 1.5}}


def test_two_readings_are_the_same_and_cost_no_more_for_more_runs(
    store: Store, toy: Catalog
) -> None:
    statements: list[str] = []
    event.listen(
        store.engine, "before_cursor_execute", lambda *args: statements.append(str(args[2]))
    )

    def count() -> int:
        statements.clear()
        assert gather(store.engine, toy) == gather(store.engine, toy)
        return len(statements)

    add(store, "first")
    few = count()
    for number in range(40):
        add(store, f"r{number}", seed=number, config={"steps": 1 + number % 7})
    assert count() == few


def test_a_curve_has_its_live_values(store: Store) -> None:
    store.create_run(new_run("r"))
    values = [0.5, math.inf, 1.5, 7.0]
    rows = [PointRow("toy/score", 1, i, 10 * i, value, 0.0) for i, value in enumerate(values)]
    store.add_points("r", rows)
    store.supersede("r", {"metrics": 3, "results": 0, "episodes": 0})
    store.add_points("r", [PointRow("toy/score", 2, 4, 30, 2.0, 0.0)])
    steps, found = curve(store.engine, "r", "toy/score")
    assert steps.tolist() == [0, 10, 20, 30]
    np.testing.assert_array_equal(found, [0.5, math.nan, 1.5, 2.0])
    steps, found = curve(store.engine, "r", "toy/length")
    assert (steps.shape, found.shape) == ((0,), (0,))
