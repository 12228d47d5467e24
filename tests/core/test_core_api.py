"""The Python API does what the command line does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from toy_program import Program

import rlvit
from rlvit.errors import RlvitError, UnknownName, UsageProblem


def _run(home: Path, **more: object) -> rlvit.api.RunOutcome:
    known = {"puzzle": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}
    return rlvit.run("toy", home=home, **{**known, **more})


@pytest.mark.usefixtures("toy_alone")
def test_a_run_is_made_and_read_back(tmp_path: Path) -> None:
    outcome = _run(tmp_path, seed=3, rate=0.2, tags={"kind": "a"}, note="n", name="mine")
    assert outcome.state == "completed"
    assert {one.metric for one in outcome.results} == {"toy/score", "toy/length"}
    _run(tmp_path, slots={"reward": "toy-half"}, log_every=5)
    registry = rlvit.Registry(tmp_path)
    runs = registry.runs()
    assert list(runs["seed"]) == [0, 3]
    assert runs.loc[outcome.id, "config"]["rate"] == 0.2
    assert runs.loc[outcome.id, "tags"] == {"kind": "a"}
    assert list(registry.runs(tag="kind=a").index) == [outcome.id]
    assert list(registry.runs(seed=99).columns) == list(runs.columns)
    assert len(registry.runs(seed=99)) == 0

    points = registry.points("mine", "toy/weight")
    assert list(points["step"]) == list(range(1, 25))
    assert set(registry.points("mine")["metric"]) == {"toy/weight", "toy/noise", "toy/speed"}
    curve = registry.curve("mine", "toy/weight")
    assert curve.index.name == "step"
    assert curve.tolist() == points["value"].tolist()
    assert list(registry.curve("latest", "toy/weight").index) == [5, 10, 15, 20]
    results = registry.results("mine").set_index("metric")
    assert results.loc["toy/score", "samples"] == 2
    assert results.loc["toy/score", "unit"] == "points"
    episodes = registry.episodes("mine")
    assert list(episodes["index"]) == [0, 1]
    assert episodes["score"].mean() == results.loc["toy/score", "value"]
    with pytest.raises(UnknownName):
        registry.points("nobody")


def test_an_interrupted_run_is_resumed_and_shows_no_row_twice(
    program: Program, toy_alone: None
) -> None:
    assert program.run("--name", "mine", TOY_AT="17:SIGKILL").code == -9
    registry = rlvit.Registry(program.home)
    outcome = rlvit.resume("mine", home=program.home)
    assert outcome.state == "completed"
    assert list(registry.points("mine", "toy/weight")["step"]) == list(range(1, 25))
    assert list(registry.curve("mine", "toy/weight").index) == list(range(1, 25))
    assert list(registry.points("mine", "toy/weight")["attempt"]) == [1] * 10 + [2] * 14
    with pytest.raises(RlvitError, match="is completed"):
        rlvit.resume("mine", home=program.home)


@pytest.mark.usefixtures("toy_alone")
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    refused = [
        {"puzzle": None},
        {"puzzle": "Alfa"},
        {"rate": -1.0},
        {"ratte": 0.1},
        {"preset": "papper"},
        {"device": "abacus"},
        {"threads": 0},
        {"seed": -1},
        {"seed": 10**20},
        {"slots": {"selector": "toy-needy"}},
        {"slots": {"selektor": "toy-pick"}},
    ]
    for more in refused:
        with pytest.raises(UsageProblem):
            _run(tmp_path / "home", **more)
    with pytest.raises(UnknownName):
        rlvit.run("toi", home=tmp_path / "home", puzzle="Alpha")
    with pytest.raises(RlvitError):
        rlvit.resume("latest", home=tmp_path / "home")
    with pytest.raises(RlvitError, match="there is no registry"):
        rlvit.Registry(tmp_path / "home")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("toy_alone")
def test_a_registry_may_be_elsewhere(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'team.db'}"
    outcome = _run(tmp_path / "home", registry=url)
    assert not (tmp_path / "home" / "registry.db").exists()
    assert list(rlvit.Registry(tmp_path / "home", url).runs().index) == [outcome.id]


def test_importing_is_light(tmp_path: Path) -> None:
    source = (
        "import sys, rlvit\n"
        "assert rlvit.hookimpl\n"
        "assert not {'torch', 'pandas', 'sqlalchemy', 'numpy'} & set(sys.modules)\n"
        "assert callable(rlvit.run) and callable(rlvit.resume) and rlvit.Registry\n"
        "assert not {'torch', 'pandas'} & set(sys.modules), 'naming them imports too much'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rlvit.nothing  # noqa: B018


@pytest.mark.usefixtures("toy_alone")
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"seed": "1"}, "seed: expected a whole number, got '1'"),
        ({"seed": 1.5}, "seed: expected a whole number"),
        ({"seed": True}, "seed: expected a whole number"),
        ({"seed": None}, "seed: expected a whole number"),
        ({"threads": "2"}, "threads: expected a whole number"),
        ({"puzzle": 5}, "puzzle: expected text, got 5"),
        ({"preset": 5}, "preset: expected text"),
        ({"protocol": ["brief"]}, "protocol: expected text"),
        ({"tags": "abc"}, "tags: expected a mapping"),
        ({"tags": []}, "tags: expected a mapping"),
        ({"tags": {"a": 1}}, r"tags\['a'\]: expected text, got 1"),
        ({"tags": {1: "a"}}, "a key of tags: expected text"),
        ({"slots": ["reward"]}, "slots: expected a mapping"),
        ({"slots": {"reward": None}}, r"slots\['reward'\]: expected text"),
        ({"name": 3}, "name: expected text"),
        ({"note": None}, "note: expected text"),
        ({"note": "\udce9"}, "note: .* is not UTF-8"),
        ({"device": 0}, "device: expected text"),
        ({"rate": "fast"}, "rate"),
        ({"registry": 5}, "registry: expected a path"),
    ],
    ids=str,
)
def test_an_argument_of_the_wrong_type_is_named(
    more: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageProblem, match=message):
        _run(tmp_path / "home", **more)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("toy_alone")
def test_names_of_the_wrong_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="plugin: expected text"):
        rlvit.run(5, home=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(UsageProblem, match="run_id: expected text"):
        rlvit.resume(5, home=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(UsageProblem, match="home: expected a path"):
        rlvit.resume("latest", home=5)  # type: ignore[arg-type]


@pytest.mark.usefixtures("toy_alone")
def test_whole_numbers_of_numpy_will_do(tmp_path: Path) -> None:
    import numpy as np

    _run(tmp_path, seed=np.int64(3), threads=np.int32(1))
    assert list(rlvit.Registry(tmp_path).runs()["seed"]) == [3]


@pytest.mark.usefixtures("toy_alone")
def test_an_interrupted_run_stops_a_loop_over_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_AT", "13:SIGINT")
    with pytest.raises(KeyboardInterrupt, match="is interrupted"):
        [_run(tmp_path, seed=seed) for seed in range(3)]
    registry = rlvit.Registry(tmp_path)
    assert list(registry.runs()["state"]) == ["interrupted"]
    monkeypatch.setenv("TOY_AT", "15:SIGTERM")
    with pytest.raises(KeyboardInterrupt):
        rlvit.resume("latest", home=tmp_path)
    assert rlvit.resume("latest", home=tmp_path).state == "completed"


def test_a_run_whose_process_is_gone_is_not_shown_as_running(
    program: Program, toy_alone: None
) -> None:
    assert program.run(TOY_AT="17:SIGKILL").code == -9
    assert list(rlvit.Registry(program.home).runs(state="interrupted")["attempt"]) == [1]


@pytest.mark.usefixtures("toy_alone")
def test_an_unknown_filter_or_metric_is_refused(tmp_path: Path) -> None:
    _run(tmp_path, name="mine")
    registry = rlvit.Registry(tmp_path)
    with pytest.raises(UnknownName, match=r"unknown filter 'sed'\. Did you mean 'seed'"):
        registry.runs(sed=3)
    with pytest.raises(UnknownName, match="unknown filter 'engine'"):
        registry.runs(engine=None)
    for read in (registry.curve, registry.points):
        with pytest.raises(UnknownName, match=r"'toy/weigth'\. Did you mean 'toy/weight'"):
            read("mine", "toy/weigth")
        with pytest.raises(UnknownName, match="unknown metric 'step'"):
            read("mine", "step")
        with pytest.raises(UnknownName, match="unknown run"):
            read("nobody", "toy/weight")
        with pytest.raises(UsageProblem, match="run_id: expected text"):
            read(5, "toy/weight")  # type: ignore[arg-type]
        assert len(read("mine", "toy/score")) == 0  # declared, but measured, not logged
