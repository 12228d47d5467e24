"""Imported scores: the forms of files, what they are taken for, and the way to the registry."""

from __future__ import annotations

import gzip
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlvit.catalog import Catalog
from rlvit.cli.main import invoke
from rlvit.errors import UnknownName, UsageProblem
from rlvit.registry.store import Store
from rlvit.report.baselines import UNKNOWN_RUNS, fit, read, references, to_rows
from rlvit.report.model import Reference
from rlvit.specs import MetricDef

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "atari100k"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent")


def _write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_scores_by_game_are_those_of_runs(tmp_path: Path) -> None:
    path = _write(tmp_path, "My (v2).json", {"Pong": [1.0, 2, 6.0], "Boxing": [4.5]})
    pong, boxing = read(path)
    assert (pong.name, pong.task, pong.metric, pong.protocol) == (
        *("My (v2)", "Pong", "eval/return"),
        "",
    )
    assert (pong.value, pong.n, pong.scores) == (3.0, 3, (1.0, 2.0, 6.0))
    assert pong.spread == pytest.approx(7**0.5)  # ((-2)^2 + (-1)^2 + 3^2) / 2
    assert (boxing.value, boxing.n, boxing.spread, boxing.scores) == (4.5, 1, None, (4.5,))
    assert (pong.where, pong.status, pong.note) == ("My (v2).json", "imported", "")


def test_one_score_a_game_is_not_taken_for_a_run(tmp_path: Path) -> None:
    path = _write(tmp_path, "human.json", {"Pong": [14.6], "Boxing": 12.1})
    for found in read(path):
        assert (found.n, found.spread, found.scores, found.note) == (None, None, (), UNKNOWN_RUNS)


def test_records_are_ordered_by_their_seed(tmp_path: Path) -> None:
    rows = [{"game": "Pong", "seed": s, "score": v} for s, v in ((3.0, 30), (1.0, 10), (2, 20))]
    (found,) = read(_write(tmp_path, "r.json", rows), protocol="brief", cite="Me 2020")
    assert (found.scores, found.protocol, found.cite) == ((10.0, 20.0, 30.0), "brief", "Me 2020")


def test_normalised_scores_have_their_own_metric(tmp_path: Path) -> None:
    rows = [{"game": "Pong", "seed": s, "HNS": s / 10, "Max HNS": 9.0} for s in (1, 2)]
    (found,) = read(_write(tmp_path, "r.json", rows))
    assert (found.metric, found.scores) == ("eval/human_normalised", (0.1, 0.2))


def test_a_table_may_hold_several_methods(tmp_path: Path) -> None:
    text = (
        "\ufeffmethod, task ,score,seed,protocol,metric\n"
        "a,Pong,1,2,full,eval/score\n"
        "a,Pong,3,1,full,eval/score\n"
        'b,"Ms, Pacman",5,7,,\n'
    )
    a, b = read(_write(tmp_path, "t.csv", text))
    assert (a.name, a.task, a.protocol, a.metric, a.scores) == (
        *("a", "Pong", "full", "eval/score"),
        (3.0, 1.0),
    )
    assert (b.name, b.task, b.protocol, b.metric) == ("b", "Ms, Pacman", "", "eval/return")
    assert (b.scores, b.n) == ((5.0,), 1)  # a seed makes it a run


def test_a_printed_mean_keeps_its_spread_and_number(tmp_path: Path) -> None:
    text = "method,task,score,spread,n\nDER,Pong,-20.0,1.5,10\nDER,Boxing,0.9,,\n"
    pong, boxing = read(_write(tmp_path, "t.csv", text))
    assert (pong.value, pong.spread, pong.n, pong.scores, pong.note) == (-20.0, 1.5, 10, (), "")
    assert (boxing.spread, boxing.n, boxing.note) == (None, None, UNKNOWN_RUNS)


def test_a_file_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"task,score,seed\nPong,1,0\n"))
    assert [(one.name, one.scores) for one in read(path)] == [("t", (1.0,))]


def test_a_name_given_is_that_of_the_only_method(tmp_path: Path) -> None:
    path = _write(tmp_path, "t.csv", "method,task,score,seed\na,Pong,1,1\n")
    assert [one.name for one in read(path, name="a (theirs)")] == ["a (theirs)"]
    path = _write(tmp_path, "t.csv", "method,task,score,seed\na,Pong,1,1\nb,Pong,1,1\n")
    with pytest.raises(UsageProblem, match=r"--name c: t\.csv holds several: a, b\."):
        read(path, name="c")


CSV = "method,task,score\n"
BAD_FILES = {
    "an unknown column": ("x.csv", "task,score,sed\nPong,1,2\n", "'sed'. Did you mean 'seed'"),
    "a missing column": ("x.csv", "method,score\na,1\n", "x.csv has the columns method,score"),
    "a column twice": ("x.csv", "task,score,score\nPong,1,2\n", "has the columns task,score"),
    "no rows": ("x.csv", CSV, "x.csv holds no scores"),
    "nothing": ("x.csv", "", "expected a CSV with the columns"),
    "words": ("x.csv", CSV + "a,Pong,good\n", "line 2, score: a finite number was exp.*'good'"),
    "nan": ("x.csv", CSV + "a,Pong,1\na,Pong,nan\n", "line 3, score: a finite number was expected"),
    "no task": ("x.csv", CSV + "a,,1\n", "line 2: it names no task"),
    "a short line": ("x.csv", CSV + "a,Pong\n", "line 2: it has another number of fields"),
    "a long line": ("x.csv", CSV + "a,Pong,1,2\n", "line 2: it has another number of fields"),
    "half a seed": ("x.csv", "task,score,seed\nP,1,1.5\n", "seed: a whole number was expected"),
    "no runs": ("x.csv", "task,score,n\nP,1,0\n", "n: a finite number of 1 or more was expected"),
    "a seed twice": ("x.csv", "task,score,seed\nP,1,1\nP,2,1\n", "a seed of its own"),
    "a seed missing": ("x.csv", "task,score,seed\nP,1,1\nP,2,\n", "a seed of its own"),
    "two means": ("x.csv", "task,score,n\nP,1,5\nP,2,5\n", "these are runs"),
    "no JSON": ("x.json", "{", "x.json is no JSON"),
    "a game twice": ("x.json", '{"P": [1], "P": [2]}', "x.json has 'P' twice"),
    "infinity": ("x.json", '{"P": [Infinity]}', "'P', score: a finite number was expected"),
    "truth": ("x.json", '{"P": [true]}', "a finite number was expected, got True"),
    "a matrix": ("x.json", '{"P": [[1], [2]]}', "'P': expected a CSV"),
    "an empty list": ("x.json", '{"P": []}', "'P': expected a CSV"),
    "no scores": ("x.json", '[{"game": "P", "seed": 1}]', "record 1 has game, seed; expected"),
    "a number": ("x.json", "3", "expected a CSV"),
    "a line in a name": ("x.json", '{"P\\nQ": [1]}', "one line of at most 60 characters"),
    "a broken character": ("x.json", '{"\\ud800": [1]}', "one line of at most 60 characters"),
    "no gzip": ("x.json.gz", "plain", "cannot be read: Not a gzipped file"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    name, text, problem = BAD_FILES[case]
    with pytest.raises(UsageProblem, match=problem) as caught:
        read(_write(tmp_path, name, text))
    assert "\n" not in str(caught.value)


def test_learning_curves_are_refused(tmp_path: Path) -> None:
    curve = [{"task": "atari_pong", "method": "m", "seed": 0, "xs": [1, 2], "ys": [0.0, 1.0]}]
    with pytest.raises(UsageProblem, match=r"holds learning curves .* which of their points"):
        read(_write(tmp_path, "c.json", curve))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"none\.csv cannot be read: No such file"):
        read(tmp_path / "none.csv")


def test_options_may_not_contradict_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, "t.csv", "task,score,protocol\nPong,1,full\nBoxing,2,\n")
    assert [one.protocol for one in read(path, protocol="full")] == ["full", "full"]
    with pytest.raises(UsageProblem, match=r"--protocol brief: t\.csv, line 2 says 'full'"):
        read(path, protocol="brief")


def _toy(task: str = "Alpha", **more: Any) -> Reference:
    known: dict[str, Any] = {"name": "x", "protocol": "brief", "metric": "toy/score"}
    known |= {"value": 1.0, "spread": None, "n": None, "where": "f", "cite": "", "note": ""}
    return Reference(**{**known, "task": task, "status": "imported", **more})


def test_names_are_those_of_the_plugins(toy: Catalog) -> None:
    found = fit([_toy("ALPHA"), _toy("Gamma")], toy)
    assert [one.task for one in found] == ["Alpha", "Gamma"]  # what no plugin offers is kept
    with pytest.raises(UnknownName, match="unknown metric 'a/lost'"):
        fit([_toy(metric="a/lost")], toy)
    with pytest.raises(
        UnknownName, match=r"unknown protocol of Alpha 'brif'\. Did you mean 'brief'"
    ):
        fit([_toy(protocol="brif")], toy)
    with pytest.raises(UsageProblem, match="the task 'Alpha' of x in two spellings"):
        fit([_toy("alpha"), _toy("Alpha")], toy)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a registry that knows the metrics of games."""
    store = Store(f"sqlite:///{tmp_path / 'registry.db'}")
    for name in ("eval/return", "eval/human_normalised"):
        store.declare_metrics([MetricDef(name, "points", "max", "how good")])
    yield store
    store.close()


def test_what_was_read_comes_back_from_the_registry(store: Store, tmp_path: Path) -> None:
    text = "method,task,score,n,spread\nb,Pong,0.1,3,0.2\nb,Boxing,5,,\na,Pong,1,,\na,Pong,0.3,,\n"
    path = _write(tmp_path, "t.csv", text)
    given = read(path, protocol="brief", cite="Zoë 2020")
    rows = to_rows(given, path)
    assert store.add_baselines(rows) == 4
    order = sorted(given, key=lambda one: (one.name, one.task))
    assert references(store.engine) == order
    assert store.add_baselines(rows) == 0
    assert references(store.engine) == order
    assert {len(row["sha256"]) for row in rows} == {64}


def test_an_empty_registry_has_no_references(store: Store) -> None:
    assert references(store.engine) == []


@needs_data
@pytest.mark.parametrize(
    ("file", "runs", "mean", "median"),
    [
        ("iris/IRIS.json", 5, 1.046, 0.289),
        ("iris/SPR.json", 100, 0.616, 0.396),
        ("iris/DrQ(eps).json", 100, 0.465, 0.313),
        ("iris/SimPLe.json", 5, 0.332, 0.134),
        ("diamond/DIAMOND.json", 5, 1.459, 0.373),
    ],
)
def test_published_scores_give_the_published_aggregates(
    store: Store, file: str, runs: int, mean: float, median: float
) -> None:
    """Mean and median of human-normalised scores, Micheli et al. 2023 and Alonso et al. 2024."""
    store.add_baselines(to_rows(read(DATA / file), DATA / file))
    human, chance = (
        {one.task: one.value for one in read(DATA / "iris" / f"{name}.json")}
        for name in ("HUMAN", "RANDOM")
    )
    found = references(store.engine)
    assert {one.n for one in found} == {runs}
    games = [(one.value - chance[one.task]) / (human[one.task] - chance[one.task]) for one in found]
    assert len(games) == 26
    assert statistics.fmean(games) == pytest.approx(mean, abs=6e-4)
    assert float(np.median(games)) == pytest.approx(median, abs=6e-4)


@needs_data
@pytest.mark.parametrize("name", ["HUMAN", "RANDOM", "MuZero", "EfficientZero"])
def test_published_means_are_not_taken_for_runs(name: str) -> None:
    found = read(DATA / "iris" / f"{name}.json")
    assert {(one.n, one.scores) for one in found} == {(None, ())}


@needs_data
def test_the_other_published_files() -> None:
    curl = read(DATA / "iris" / "CURL_10_evals.json")
    assert {(one.metric, one.n) for one in curl} == {("eval/human_normalised", 100)}
    assert {one.n for one in read(DATA / "storm" / "storm.json")} == {5}
    for name in ("dreamerv3", "ppo_fixhp"):
        with pytest.raises(UsageProblem, match="learning curves"):
            read(DATA / "dreamerv3" / f"atari100k-{name}.json.gz")
    for other in ("dreamerv3/baselines.yaml", "openrlbenchmark/cleanrl_vs_baselines_hns.csv"):
        with pytest.raises(UsageProblem, match="expected a CSV"):
            read(DATA / other)


def test_the_program_adds_lists_and_removes(
    tmp_path: Path, toy_alone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(tmp_path / "home")]
    metric = ["--metric", "toy/score"]
    path = str(_write(tmp_path, "Old.json", {"alpha": [1.0, 2.0], "Gamma": [3.0, 4.0]}))
    assert invoke([*home, "baselines", "add", path]) == 2
    assert "unknown metric 'eval/return'" in capsys.readouterr().err
    assert invoke([*home, "baselines", "list"]) == 2  # what was refused made no registry
    capsys.readouterr()
    for expected in ("4 values added", "all of it was there already; nothing added"):
        assert invoke([*home, "baselines", "add", path, *metric, "--protocol", "brief"]) == 0
        printed = capsys.readouterr()
        assert printed.out.splitlines() == [
            "Old: 2 tasks, runs a task: 2, by toy/score, under brief",
            expected,
        ]
        assert printed.err == "no plugin offers Gamma: nothing to compare with\n"
    assert invoke([*home, "baselines", "add", path, *metric]) == 2
    assert "a baseline 'Old' with other content" in capsys.readouterr().err
    assert invoke([*home, "baselines", "list", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["tasks"], row["values"], row["runs"]) == ("Old", 2, 4, "2")
    assert invoke([*home, "baselines", "remove", "old"]) == 2
    assert "Did you mean 'Old'" in capsys.readouterr().err
    assert invoke([*home, "baselines", "remove", "Old"]) == 0
    assert capsys.readouterr().out == "Old: 4 values removed\n"
    assert invoke([*home, "baselines", "list"]) == 0
    assert capsys.readouterr().out == "Nothing to show.\n"


def test_an_unknown_task_near_a_known_one_is_asked_about(
    tmp_path: Path, toy_alone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(_write(tmp_path, "Old.json", {"Alphas": [1.0, 2.0], "Pong": [3.0, 4.0]}))
    home = ["--home", str(tmp_path / "home")]
    assert invoke([*home, "baselines", "add", path, "--metric", "toy/score"]) == 0
    said = "no plugin offers Alphas (did you mean Alpha?), Pong: nothing to compare with\n"
    assert capsys.readouterr().err == said


def test_a_games_score_is_no_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(_write(tmp_path, "theirs.json", {"mnist": [0.98, 0.99]}))
    assert invoke(["--home", str(tmp_path), "baselines", "add", path]) == 2
    error = capsys.readouterr().err
    assert "mnist is an image dataset, eval/return is a game's score: say what was" in error
    assert not (tmp_path / "registry.db").exists()
