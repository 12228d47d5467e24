"""Whole runs of RL4DViT on real digits: what is on record, what arms share, what they cost."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import rlvit
from rlvit.cli import session
from rlvit.cli.main import invoke
from rlvit.contracts import ImageShape
from rlvit.specs import DataRequest
from rlvit_rl4dvit.standalone.pruned_vit import load
from rlvit_tasks.arrays import load_digits
from rlvit_timm.models import make

CONTROLS = ("all", "random", "uniform", "cls-attention")


def facts_of(run: Any, kind: str) -> dict[str, Any]:
    """The description of one of a run's artifacts."""
    found = json.loads((run.folder / "artifacts" / kind / "artifact.json").read_text())
    assert isinstance(found, dict)
    return found


def table_of(folder: Path, step: int) -> dict[str, Any]:
    """The table of an evaluation."""
    with np.load(folder / "artifacts" / f"predictions-{step}" / "predictions.npz") as table:
        return dict(table)


def test_a_run_has_finite_results_before_and_after_fine_tuning(
    tiny_vit: Any, whole_run: Any
) -> None:
    results = tiny_vit.results_of(whole_run.home, whole_run.id)
    assert all(math.isfinite(value) for value in results.values())
    of_dense = {name for name, step in results if step == 0}
    assert of_dense == {"dense/top1", "dense/top1_task", "dense/nll", "dense/gmacs"}
    before = {name for name, step in results if step == 5}
    after = {name for name, step in results if step == 8}
    assert before == after
    assert {"eval/top1", "eval/gain", "eval/macs_saved", "eval/kept", "rl/threshold"} < after
    for step in (5, 8):
        assert results["eval/gmacs", step] < results["dense/gmacs", 0]
        assert results["eval/masked", step] == 0
        saved = 100 * (1 - results["eval/gmacs", step] / results["dense/gmacs", 0])
        assert results["eval/macs_saved", step] == pytest.approx(saved)
        gain = results["eval/top1", step] - results["dense/top1", 0]
        assert results["eval/gain", step] == pytest.approx(gain, abs=1e-9)


def test_all_that_a_run_logs_and_measures_is_declared(tiny_vit: Any, whole_run: Any) -> None:
    declared = tiny_vit.make_catalog().metrics
    logged = {name for row in tiny_vit.rows_of(whole_run.home, whole_run.id) for name in row}
    measured = {name for name, _ in tiny_vit.results_of(whole_run.home, whole_run.id)}
    assert (logged | measured) - {"step", "time", "attempt"} <= declared.keys()
    own = {"backbone/loss", "finetune/gmacs", "rl/alpha", "speed/rollout_images", "rl/value"}
    assert own <= logged


def test_a_runs_artifacts_hold_what_they_should(whole_run: Any) -> None:
    artifacts = whole_run.folder / "artifacts"
    files = {p.name: {f.name for f in p.iterdir()} - {"artifact.json"} for p in artifacts.iterdir()}
    assert files == {
        "backbone": {"backbone.safetensors"},
        "data": {"data.json"},
        "dense": {"measurements.json", "predictions.npz"},
        "figures": {
            *("masks.png", "kept_histogram.png", "keep_map.png", "kept_by_confidence.png"),
            "selections.npz",
        },
        "model": {
            *("agents.json", "agents.safetensors"),
            *("architecture.json", "backbone.safetensors"),
        },
        "predictions-5": {"predictions.npz"},
        "predictions-8": {"predictions.npz"},
    }
    first = load_file(artifacts / "backbone" / "backbone.safetensors")
    last = load_file(artifacts / "model" / "backbone.safetensors")
    assert first.keys() == last.keys()
    assert any(not torch.equal(first[name], last[name]) for name in first)  # it was fine-tuned
    before, after = table_of(whole_run.folder, 5), table_of(whole_run.folder, 8)
    assert before["name"].tolist() == after["name"].tolist()
    assert before["kept"].shape == after["kept"].shape == (40, 3)
    assert (np.diff(after["kept"], axis=1) <= 0).all()


@pytest.mark.parametrize("selector", CONTROLS)
def test_a_control_arm_finds_the_backbone_and_its_measurement(
    tiny_vit: Any, whole_run: Any, selector: str
) -> None:
    display = tiny_vit.Rehearsal()
    outcome = tiny_vit.start(
        whole_run.home, display, selector=selector, finetune_epochs=0, figures=False
    )
    assert outcome.state == "completed", outcome.error
    for kind in ("backbone", "dense"):
        made = json.loads((outcome.folder / "artifacts" / kind / "artifact.json").read_text())
        assert made["made_by"] == whole_run.id
        assert made["sha256"] == facts_of(whole_run, kind)["sha256"]
    assert tiny_vit.rows_of(whole_run.home, outcome.id) == []  # nothing was trained
    results = tiny_vit.results_of(whole_run.home, outcome.id)
    of_agents = tiny_vit.results_of(whole_run.home, whole_run.id)
    for name in ("dense/top1", "dense/gmacs", "dense/nll"):
        assert results[name, 0] == of_agents[name, 0]
    if selector == "all":
        assert results["eval/gmacs", 0] == results["dense/gmacs", 0]
        assert results["eval/gain", 0] == 0
    else:
        assert results["eval/gmacs", 0] < results["dense/gmacs", 0]


@pytest.fixture(scope="module")
def grid8(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights of a model with 64 patches, of which one costs little."""
    path = tmp_path_factory.mktemp("weights") / "grid8.safetensors"
    backbone = make("vit_pico_grid8", torch.Generator().manual_seed(3), ImageShape(8, 10), None)
    save_file(backbone.module.state_dict(), path)
    return str(path)


@pytest.mark.parametrize("selector", ["token-agents", "random", "uniform", "cls-attention"])
def test_arms_of_one_cost_cost_the_same(
    tiny_vit: Any, grid8: str, tmp_path: Path, selector: str
) -> None:
    outcome = tiny_vit.start(
        tmp_path / "home",
        preset="recommended",
        protocol="quick",
        backbone="vit_pico_grid8",
        weights=grid8,
        selector=selector,
        target_gmacs=0.03,
        decide="calibrated",
        finetune_epochs=0,
        figures=False,
    )
    assert outcome.state == "completed", outcome.error
    results = tiny_vit.results_of(tmp_path / "home", outcome.id)
    (found,) = (value for (name, _), value in results.items() if name == "eval/gmacs")
    # Agents are calibrated on training images; on others they keep somewhat more or less.
    assert found == pytest.approx(0.03, rel=0.03 if selector == "token-agents" else 0.01)


def test_alpha_is_steered_towards_the_wanted_cost(
    tiny_vit: Any, grid8: str, tmp_path: Path
) -> None:
    spent: dict[float, Any] = {}
    alpha: dict[float, Any] = {}
    for target in (0.02, 0.04):
        outcome = tiny_vit.start(
            tmp_path / "home",
            preset="recommended",
            backbone="vit_pico_grid8",
            weights=grid8,
            target_gmacs=target,
            rollouts=7,
            rollout_images=8,
            credit="agent",
            outcome="correct",
            samples_per_image=1,
            init_keep=0.9,
            lr=5e-3,
            decay_lr=False,
            augment="none",
            finetune_epochs=0,
            figures=False,
        )
        assert outcome.state == "completed", outcome.error
        rows = tiny_vit.rows_of(tmp_path / "home", outcome.id)
        spent[target] = np.array([row["rl/gmacs"] for row in rows])
        alpha[target] = np.array([row["rl/alpha"] for row in rows])
    assert spent[0.02][0] == spent[0.04][0] > 0.044  # nothing is learnt yet
    # Both alphas follow the same accuracy; a rollout that keeps e times the target adds 0.02.
    dearer = alpha[0.02] / alpha[0.04]
    assert dearer[0] > 1
    assert dearer[1] == pytest.approx(dearer[0] ** 1.02)
    assert abs(spent[0.02][3:].mean() - 0.02) < abs(spent[0.02][0] - 0.02) / 2
    assert spent[0.02][3:].mean() < 0.8 * spent[0.04][3:].mean()


def test_the_fingerprint_depends_on_what_the_weights_are_not_where(
    tiny_vit: Any, grid8: str, tmp_path: Path
) -> None:
    catalog = tiny_vit.make_catalog()
    copy = tmp_path / "copy.safetensors"
    shutil.copyfile(grid8, copy)
    other = tmp_path / "other.safetensors"
    state = load_file(grid8)
    state["head.bias"] = state["head.bias"] + 1e-3
    save_file(state, other)

    def fingerprint(weights: Path | str) -> str:
        plan = tiny_vit.make(catalog, backbone="vit_pico_grid8", weights=str(weights))
        return str(plan.fingerprint)

    assert fingerprint(grid8) == fingerprint(copy)
    assert fingerprint(grid8) != fingerprint(other)
    assert fingerprint(grid8) != tiny_vit.make(catalog, backbone="vit_pico_grid8").fingerprint


def test_weights_of_a_relative_path_are_found_again_from_elsewhere(
    tiny_vit: Any, grid8: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(grid8).parent)
    plan = tiny_vit.make(
        tiny_vit.make_catalog(), backbone="vit_pico_grid8", weights=Path(grid8).name
    )
    assert plan.config.weights == grid8


def test_the_exported_model_of_a_run_gives_its_answers(
    tiny_vit: Any, whole_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "load_catalog", tiny_vit.make_catalog)
    out = tmp_path / "model"
    command = ["--home", str(whole_run.home), "export-model", whole_run.id, "--out", str(out)]
    assert invoke(command) == 0
    torch.set_num_threads(1)
    model = load(str(out))
    split = load_digits(DataRequest(tmp_path, print)).split("test")
    table = table_of(whole_run.folder, 8)
    place = {name: number for number, name in enumerate(split.names)}
    numbers = np.array([place[name] for name in table["name"]])
    (images,) = split.batches([numbers], 8)
    with torch.no_grad():
        logits, kept = model(images, return_kept=True)
    assert logits.argmax(1).tolist() == table["prediction"].tolist()
    assert kept.sum(2).tolist() == table["kept"].tolist()
    nll = torch.nn.functional.cross_entropy(
        logits, torch.from_numpy(table["label"]), reduction="none"
    )
    np.testing.assert_allclose(nll.numpy(), table["nll"], atol=1e-4)


def test_the_python_api_runs_it(tmp_path: Path, grid8: str) -> None:
    outcome = rlvit.run(
        "rl4dvit",
        dataset="digits",
        preset="quick",
        home=tmp_path,
        device="cpu",
        threads=1,
        slots={"backbone": "vit_pico_grid8", "selector": "uniform"},
        weights=grid8,
        finetune_epochs=0,
        figures=False,
    )
    assert outcome.state == "completed"
    assert {result.metric for result in outcome.results} >= {"dense/top1", "eval/top1"}
