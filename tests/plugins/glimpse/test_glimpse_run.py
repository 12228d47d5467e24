"""Whole glimpse runs on real digits: what is on record, what is kept, options, the step size."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import rlvit
from rlvit import api
from rlvit.cli import session
from rlvit.cli.main import invoke
from rlvit_glimpse.evaluation import GlimpseClassifier
from rlvit_glimpse.experiment import Agent

VARIANTS = ("multi-categorical", "greedy-map", "hybrid-vit", "ram")
PICTURES = {"curves.png", "accuracy.png", "trajectories.png", "gaze.png", "episode.gif"}
LOOKS = ("glimpses", "seen", "ece", "undecided")
Start = Callable[..., Any]


@pytest.fixture
def begin(tiny_glimpse: Any, tmp_path: Path) -> Start:
    """Starts a run that must be completed."""

    def run(**options: Any) -> Any:
        outcome = tiny_glimpse.start(tmp_path, **options)
        assert outcome.state == "completed", outcome.error
        return outcome

    return run


def test_the_quick_preset_runs_from_the_command_line(
    tiny_glimpse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its own sizes and all its figures, on a few digits."""
    monkeypatch.setattr(session, "load_catalog", tiny_glimpse.tiny.make_catalog)
    monkeypatch.chdir(tmp_path)
    given = ["run", "--plugin", "glimpse", "--dataset", "digits", "--preset", "quick"]
    given += ["--protocol", "tiny", "--device", "cpu", "--threads", "1", "--total-steps", "2000"]
    assert invoke(["--home", str(tmp_path), *given]) == 0
    (run,) = tiny_glimpse.tiny.runs_of(tmp_path)
    assert (run.state, run.preset) == ("completed", "quick")
    found = tiny_glimpse.tiny.results_of(tmp_path, run.id)
    assert {step for _, step in found} == {2048}  # whole rollouts of 256 games of 4 glimpses
    measured = {name for name, _ in found}
    assert {"eval/top1", "eval/nll", "eval/gmacs", "eval/f1", "look/after_half"} <= measured
    for mode in ("greedy", "sampled"):
        assert {f"look/{mode}", *(f"look/{mode}_{name}" for name in LOOKS)} <= measured
    assert {f"look/{name}" for name in ("random", "central", "whole")} <= measured
    assert all(math.isfinite(value) for value in found.values())
    folder = tmp_path / "runs" / run.id / "artifacts"
    assert {"model", "figures", "data"} <= {path.name for path in folder.iterdir()}
    pictures = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    assert pictures.keys() - {"artifact.json"} == PICTURES
    for name, content in pictures.items():
        if name != "artifact.json":
            assert content[:3] == b"GIF" or content[1:4] == b"PNG"
            assert len(content) > 3_000


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_goes_from_beginning_to_end(
    tiny_glimpse: Any, whole_run: Any, variant: str
) -> None:
    run = whole_run(variant)
    rows = tiny_glimpse.tiny.rows_of(run.home, run.id)
    learnt = [row for row in rows if "play/return" in row]
    for row in learnt:
        assert all(math.isfinite(value) for value in row.values())
        assert 0 <= row["play/accuracy"] <= 100
        assert 0 < row["play/seen"] <= 100
    found = tiny_glimpse.tiny.results_of(run.home, run.id)
    steps = learnt[-1]["step"]
    assert {step for _, step in found} == {steps}
    if variant == "hybrid-vit":
        assert 288 <= steps < 288 + 16 * 4
        assert all(1 <= row["play/glimpses"] <= 4 for row in learnt)
        assert {row["step"] for row in learnt if "val/accuracy" in row} == set()
    else:
        assert [row["step"] for row in learnt] == [48, 96, 144, 192, 240, 288]
        assert all(row["play/glimpses"] == 3 for row in learnt)
        assert [row["step"] for row in rows if "val/accuracy" in row] == [144, 288]
    if variant == "multi-categorical":
        for row in learnt:
            assert 100 * row["play/return"] == pytest.approx(row["play/accuracy"])


def test_all_that_is_logged_and_measured_is_declared(tiny_glimpse: Any, whole_run: Any) -> None:
    tiny = tiny_glimpse.tiny
    declared, logged = tiny.make_catalog().metrics, set()
    for variant in VARIANTS:
        run = whole_run(variant)
        logged |= {name for row in tiny.rows_of(run.home, run.id) for name in row}
        logged |= {name for name, _ in tiny.results_of(run.home, run.id)}
    logged -= {"step", "time", "attempt"}
    assert logged <= declared.keys()
    from rlvit_glimpse.plugin import rlvit_metrics

    assert {metric.name for metric in rlvit_metrics()} <= logged


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_model_that_is_kept_is_the_one_that_was_measured(
    tiny_glimpse: Any, whole_run: Any, variant: str
) -> None:
    run = whole_run(variant)
    context, config = run.measured["context"], run.measured["config"]
    network = tiny_glimpse.network(config, seed=99)
    network.load_state_dict(load_file(run.folder / "artifacts" / "model" / "network.safetensors"))
    (folder,) = (run.folder / "artifacts").glob("predictions-*")
    classifier, looks = GlimpseClassifier(context, config, network, 8), run.measured["looks"]
    with np.load(folder / "predictions.npz") as table, torch.no_grad():
        for number in range(2):  # the protocol's batches
            part = slice(20 * number, 20 * number + 20)
            found = classifier.classify(looks.images[part])
            assert found.logits.argmax(1).tolist() == table["prediction"][part].tolist()
            assert found.macs.tolist() == table["macs"][part].tolist()


def test_the_python_api_runs_it(
    tiny_glimpse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_catalog", tiny_glimpse.tiny.make_catalog)
    outcome = rlvit.run(
        "glimpse",
        dataset="digits",
        preset="official-code",
        protocol="tiny",
        home=tmp_path,
        device="cpu",
        threads=1,
        variant="hybrid-vit",
        width=16,
        depth=1,
        games=8,
        minibatch=4,
        max_steps=3,
        total_steps=40,
        figures=False,
    )
    assert outcome.state == "completed"
    found = {result.metric: result.value for result in outcome.results}
    assert {"eval/top1", "look/greedy", "look/sampled"} <= found.keys()
    assert 1 <= found["look/sampled_glimpses"] <= 3


def test_a_drifting_image_is_looked_at(begin: Start, tiny_glimpse: Any, tmp_path: Path) -> None:
    outcome = begin(motion="drift", figures=True, steps=96)
    found = tiny_glimpse.tiny.results_of(tmp_path, outcome.id)
    assert found["look/greedy_glimpses", 96] == 3
    assert found["look/greedy_seen", 96] < 100
    # Controls in the middle of the canvas would say nothing about the image.
    assert {"look/central", "look/whole"}.isdisjoint(name for name, _ in found)
    pictures = {path.name for path in (outcome.folder / "artifacts" / "figures").iterdir()}
    # Views lie on the canvas then, not on the image.
    assert pictures == {"curves.png", "accuracy.png", "artifact.json"}


@pytest.mark.parametrize("counts", ["always", "when-read"])
def test_answers_at_any_time_are_learnt_measured_and_drawn(
    begin: Start, tiny_glimpse: Any, tmp_path: Path, counts: str
) -> None:
    options = {"answer": "any-time", "answer_chance": 0.5, "class_counts": counts, "steps": 96}
    outcome = begin(**options, figures=True, variant="greedy-map")
    measured = tiny_glimpse.tiny.results_of(tmp_path, outcome.id)
    found = {name: value for (name, _), value in measured.items()}
    assert 1 < found["look/sampled_glimpses"] < 3
    assert found["look/greedy_undecided"] == found["look/sampled_undecided"] == 0
    assert found["look/greedy"] == found["eval/top1"]
    pictures = {path.name for path in (outcome.folder / "artifacts" / "figures").iterdir()}
    assert {"trajectories.png", "gaze.png", "accuracy.png", "curves.png"} <= pictures
    story = tiny_glimpse.tiny.outcome_of(tmp_path, outcome.id)
    glimpses = [row["play/glimpses"] for row in story["rows"] if "play/glimpses" in row]
    assert len(glimpses) >= 3  # more rollouts than of games that all take 3 glimpses
    assert all(1 <= one < 3 for one in glimpses)


@pytest.mark.parametrize("variant", ["multi-categorical", "hybrid-vit"])
def test_foveation_and_reinforce_go_with_the_others(
    begin: Start, tiny_glimpse: Any, tmp_path: Path, variant: str
) -> None:
    options = {"variant": variant, "foveation": 2, "algorithm": "reinforce", "steps": 96}
    outcome = begin(**options)
    found = tiny_glimpse.tiny.results_of(tmp_path, outcome.id)
    ((seen, _),) = [key for key in found if key[0] == "look/greedy_seen"]
    assert [value for (name, _), value in found.items() if name == seen] == [100.0]


def test_faults_of_the_published_code_can_be_had(begin: Start, tiny_glimpse: Any) -> None:
    outcome = begin(
        variant="greedy-map", preset="official-code", fault_epsilon=True, steps=96, lr=1e-2
    )
    (record,) = tiny_glimpse.tiny.runs_of(outcome.folder.parents[1])
    assert record.config["fault_memory"] is True
    assert record.config["epsilon"] == 0.1


def rates_of(tiny_glimpse: Any, home: Path, run_id: str) -> list[float]:
    rows = tiny_glimpse.tiny.rows_of(home, run_id)
    return [row["ppo/lr"] for row in rows if "ppo/lr" in row]


def test_the_cosine_begins_at_the_step_size_and_ends_above_0(
    tiny_glimpse: Any, whole_run: Any
) -> None:
    run = whole_run("multi-categorical")  # 6 rollouts, lr 3e-3
    expected = [3e-3 * 0.5 * (1 + math.cos(math.pi * done / 6)) for done in range(6)]
    assert rates_of(tiny_glimpse, run.home, run.id) == pytest.approx(expected)


def test_a_constant_step_size_stays(begin: Start, tiny_glimpse: Any, tmp_path: Path) -> None:
    outcome = begin(schedule="constant", lr=0.01, steps=144)
    assert rates_of(tiny_glimpse, tmp_path, outcome.id) == [0.01] * 3


def test_the_faulty_cosine_oscillates(begin: Start, tiny_glimpse: Any, tmp_path: Path) -> None:
    """Advanced by minibatch, 4 of a rollout, with the period of 6 rollouts."""
    outcome = begin(fault_schedule=True, lr=1.0)
    expected = [0.5 * (1 + math.cos(math.pi * minibatch / 6)) for minibatch in range(3, 24, 4)]
    assert rates_of(tiny_glimpse, tmp_path, outcome.id) == pytest.approx(expected, abs=1e-9)
    assert np.diff(np.sign(np.diff(expected))).any()


def test_every_image_has_its_turn(
    begin: Start, tiny_glimpse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """96 training images, 40 games a rollout: one permutation after another."""
    chosen: list[int] = []
    asked = Agent.next_images

    def watched(self: Agent, games: int) -> Any:
        found = asked(self, games)
        chosen.extend(found.tolist())
        return found

    monkeypatch.setattr(Agent, "next_images", watched)
    begin(games=40, steps=40 * 3 * 12)
    assert len(chosen) == 480
    for epoch in range(5):
        assert sorted(chosen[96 * epoch : 96 * epoch + 96]) == list(range(96))
    assert chosen[:96] != chosen[96:192]


def test_a_rollout_may_be_larger_than_the_training_set(begin: Start) -> None:
    begin(games=250, minibatch=100, steps=750)


def test_what_is_logged_how_often_changes_nothing(begin: Start) -> None:
    def sha(**options: Any) -> Any:
        outcome = begin(**options)
        import json

        made = (outcome.folder / "artifacts" / "model" / "artifact.json").read_text()
        return json.loads(made)["sha256"]

    rare = {"log_every": 7, "checkpoint_every": 1000, "validate_every": 50}
    assert sha() == sha(**rare)


def test_it_learns_digits(begin: Start, tiny_glimpse: Any, tmp_path: Path) -> None:
    """On its few training images, far above chance: 10 %."""
    outcome = begin(
        variant="ram", width=64, window=6, steps=12_000, games=96, minibatch=48, lr=3e-3,
        augment="none", log_every=100, validate_every=100,
    )  # fmt: skip
    rows = tiny_glimpse.tiny.rows_of(tmp_path, outcome.id)
    learnt = [row["play/accuracy"] for row in rows if "play/accuracy" in row]
    assert learnt[-1] > 60
    found = tiny_glimpse.tiny.results_of(tmp_path, outcome.id)
    assert found["eval/top1", 12_096] > 30
