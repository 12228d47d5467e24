"""Runs are compared on the same images, like with like, and what is missing is said."""

from __future__ import annotations

import csv
import json
import tomllib
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

import rlvit_rl4dvit
from rlvit.errors import UnknownName, UsageProblem
from rlvit_rl4dvit.curve import command, compare_all, interval, read_runs
from rlvit_rl4dvit.curve_figures import accuracy

NAMES = [f"val/{number:03d}" for number in range(10)]
DENSE = [1, 1, 1, 1, 1, 1, 1, 0, 0, 0]
CONFIG = {
    "decision_blocks": "3,6,9",
    "alpha": 0.1,
    "credit": "agent",
    "reward": "gated",
    "beta": 1.0,
    "reward_scale": 24.0,
    "target_keep": None,
    "target_gmacs": 0.9,
    "keep_rate": 0.7,
    "classes": "dataset",
    "finetune_lr": 2e-5,
}


@dataclass
class Home:
    """What the command asks of `rlvit.home.Home`."""

    root: Path


def table(right: list[int], gmacs: float, names: list[str], kept: int = 90) -> dict[str, Any]:
    correct = np.array(right, dtype=bool)
    return {
        "name": np.array(names),
        "label": np.zeros(len(names), dtype=np.int64),
        "correct": np.zeros_like(correct),
        "correct_task": correct,
        "kept": np.full((len(names), 3), kept),
        "macs": np.full(len(names), gmacs * 1e9),
        "confidence": np.linspace(0.1, 0.9, len(names)),
    }


def write_run(
    root: Path,
    id: str,
    *stages: dict[str, NDArray[Any]],
    selector: str = "token-agents",
    config: dict[str, Any] | None = None,
    weights: str = "a" * 64,
    dense: list[int] = DENSE,
    superseded: int | None = None,
    **record: Any,
) -> Path:
    """Write a run's folder: `stages` are the tables before and after fine-tuning."""
    folder = root / "runs" / id
    steps = [100 * number for number in range(1, 1 + len(stages))]
    tables = {f"predictions-{step}": stage for step, stage in zip(steps, stages, strict=True)}
    names = [str(name) for name in stages[0]["name"]]
    tables["dense"] = table(dense[: len(names)], 1.26, sorted(names))
    for name, columns in tables.items():
        artifact = folder / "artifacts" / name
        artifact.mkdir(parents=True)
        np.savez(artifact / "predictions.npz", **columns)
        inputs = {"weights": weights, "data": "d" * 64, "precision": "fp32"}
        (artifact / "artifact.json").write_text(json.dumps({"inputs": inputs}))
    results = [{"metric": "eval/top1", "step": step, "superseded": False} for step in steps]
    if superseded is not None:
        results.append({"metric": "eval/top1", "step": superseded, "superseded": True})
    whole = {
        "id": id,
        "method": "rl4dvit",
        "state": "completed",
        "archived": False,
        "task": "imagenette",
        "protocol": "full",
        "protocol_settings": {"images": 0},
        "slots": {"backbone": "deit_tiny_patch16_224", "selector": selector},
        "seed": 0,
        "tags": {},
        "config": {**CONFIG, **(config or {})},
        "results": results,
        **record,
    }
    (folder / "run.json").write_text(json.dumps(whole))
    return folder


def start(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command(), arguments, obj=Home(root))


def rows(out: Path) -> list[dict[str, str]]:
    with open(out / "paired.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Agents before and after fine-tuning, and two control arms that cost the same."""
    before = table([1, 1, 1, 1, 1, 0, 0, 0, 1, 0], 0.90, NAMES)  # loses 2 and gains 1: -10 points
    after = table([1] * 9 + [0], 0.90, NAMES)  # gains 2: +20 points
    write_run(tmp_path, "agents", before, after)
    shuffled = NAMES[::-1]
    # By name: right on the even images. The agents alone on 1 and 3, the control alone on 6.
    half = table([number % 2 for number in range(10)], 0.92, shuffled)
    write_run(tmp_path, "chance", half, half, selector="random")
    write_run(tmp_path, "dearer", half, half, selector="random", seed=1)
    write_run(tmp_path, "looks", table([1] * 10, 0.91, NAMES), selector="cls-attention")
    return tmp_path


def test_differences_are_those_of_the_same_images(home: Path) -> None:
    result = start(home)
    assert result.exit_code == 0, result.output
    found = {
        (row["stage"], row["against"], row["other"]): row
        for row in rows(home / "reports" / "prune-curve")
        if row["metric"] == "top1_task"
    }
    dense = found["before", "dense", "-"]
    assert (dense["difference"], dense["only_run"], dense["only_other"]) == ("-10.000", "1", "2")
    assert found["after", "dense", "-"]["difference"] == "20.000"
    chance = found["before", "random", "chance"]
    assert (chance["n"], chance["gmacs"], chance["other_gmacs"]) == ("10", "0.9", "0.92")
    assert (chance["only_run"], chance["only_other"], chance["difference"]) == ("2", "1", "10.000")
    assert found["before", "cls-attention", "looks"]["difference"] == "-40.000"
    assert ("before", "random", "dearer") in found  # the other seed counts as well
    assert ("after", "cls-attention", "looks") not in found  # it was not fine-tuned
    lonely = "no comparable cls-attention run within 3% of the GMACs of agents (after)"
    assert lonely in result.output.splitlines()
    for name in ("curve.png", "curve.svg", "paired.md"):
        assert (home / "reports" / "prune-curve" / name).stat().st_size > 500
    assert "no single_block.png" in result.output
    assert "no alpha.png" in result.output


def test_images_that_one_table_lacks_do_not_count(tmp_path: Path) -> None:
    write_run(tmp_path, "agents", table([1, 1, 1, 0], 0.9, NAMES[:4]))
    control = table([0, 0, 1, 1, 0], 0.9, ["other", NAMES[3], NAMES[2], NAMES[1], NAMES[0]])
    write_run(tmp_path, "chance", control, selector="random")
    measured, said = read_runs(tmp_path / "runs", None, ())
    assert said == []
    [pair] = [
        pair
        for pair in compare_all(measured, ["random"])[0]
        if (pair.against, pair.metric) == ("random", "top1_task")
    ]
    # agents 1110, control 0110 on images 0 to 3
    assert (pair.n, pair.only_run, pair.only_other, pair.difference) == (4, 1, 0, 25.0)


@pytest.mark.parametrize(
    "other",
    [
        {"weights": "b" * 64},
        {"protocol": "quick"},
        {"protocol_settings": {"images": 256}},
        {"task": "cifar10"},
        {"config": {"decision_blocks": "3"}},
    ],
)
def test_unlike_runs_are_no_controls(tmp_path: Path, other: dict[str, Any]) -> None:
    stage = table(DENSE, 0.9, NAMES)
    write_run(tmp_path, "agents", stage)
    write_run(tmp_path, "chance", stage, selector="random", **other)
    pairs, lonely = compare_all(read_runs(tmp_path / "runs", None, ())[0], ["random"])
    assert {pair.against for pair in pairs} == {"dense"}
    assert len(lonely) == 1


def test_a_control_is_near_in_compute_and_tuned_alike(tmp_path: Path) -> None:
    stage = table(DENSE, 1.0, NAMES)
    write_run(tmp_path, "agents", stage, stage)
    near, far, nearer = (table(DENSE, gmacs, NAMES) for gmacs in (1.029, 0.969, 0.99))
    write_run(tmp_path, "near", near, selector="random")
    write_run(tmp_path, "far", far, selector="random", seed=1)
    tuned = {"finetune_lr": 1e-3}
    write_run(tmp_path, "nearer", nearer, nearer, selector="random", config=tuned)
    pairs, lonely = compare_all(read_runs(tmp_path / "runs", None, ())[0], ["random"])
    assert {(p.stage, p.other) for p in pairs if p.against == "random"} == {("before", "nearer")}
    assert lonely == ["no comparable random run within 3% of the GMACs of agents (after)"]


def test_the_interval_is_that_of_resampled_images() -> None:
    # Independently: draw images with replacement, one by one.
    difference = np.repeat([1.0, -1.0, 0.0], [30, 10, 160])
    draws = np.random.default_rng(7).integers(200, size=(10_000, 200))
    expected = np.percentile(100 * difference[draws].mean(1), [2.5, 97.5])
    found = interval(30, 10, 200)
    assert found == pytest.approx(expected, abs=0.51)  # replicates lie 0.5 points apart
    assert found[0] < 10.0 < found[1]
    assert found == interval(30, 10, 200)
    assert interval(0, 0, 50) == (0.0, 0.0)


def test_the_interval_covers() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for gained, lost, _ in generator.multinomial(400, [0.08, 0.05, 0.87], size=200):
        low, high = interval(int(gained), int(lost), 400)
        covered += low <= 3.0 <= high
    assert 0.9 <= covered / 200 <= 0.99


def test_the_interval_of_an_accuracy_is_wilsons() -> None:
    middle, low, high = accuracy(np.repeat([True, False], [8, 2]))
    # By hand: (0.8 + 1.96^2/20 -+ 1.96 sqrt(0.16/10 + 1.96^2/400)) / (1 + 1.96^2/10)
    assert (middle, low, high) == pytest.approx((80.0, 49.0157, 94.3317), abs=1e-3)
    assert accuracy(np.ones(10, dtype=bool))[2] == pytest.approx(100.0)


def test_the_same_runs_give_the_same_bytes(home: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "one", tmp_path / "two"]
    for out in outs:
        assert start(home, "--out", str(out)).exit_code == 0
    first, second = ({p.name: p.read_bytes() for p in out.iterdir()} for out in outs)
    assert first == second
    assert len(first) == 4


def test_figures_3_and_4(tmp_path: Path) -> None:
    for block, seed in product((0, 6, 11), (0, 1)):
        stage = table(DENSE, 0.9, NAMES)
        config = {"decision_blocks": str(block), "target_gmacs": None}
        write_run(tmp_path, f"r{block}{seed}", stage, selector="random", config=config, seed=seed)
    for alpha, kept in ((0.1, 150), (0.2, 80)):
        stage = table(DENSE, 0.9, NAMES, kept)
        write_run(tmp_path, f"a{alpha}", stage, config={"alpha": alpha, "target_gmacs": None})
    result = start(tmp_path)
    assert result.exit_code == 0, result.output
    out = tmp_path / "reports" / "prune-curve"
    assert "no alpha.png" not in result.output
    assert (out / "single_block.png").stat().st_size > 5000
    assert (out / "alpha.png").stat().st_size > 5000
    # Another dataset's report in the same folder does not leave them lying there.
    write_run(tmp_path, "digits", table(DENSE, 0.1, NAMES), task="digits")
    assert start(tmp_path, "--dataset", "digits").exit_code == 0
    assert not (out / "alpha.png").exists()


def test_options_choose_runs(home: Path) -> None:
    write_run(home, "tagged", table(DENSE, 0.9, NAMES), tags={"paper": "table1"})
    for tag in ("paper", "paper=table1"):
        result = start(home, "--tag", tag)
        assert result.exit_code == 0, result.output
        assert {row["run"] for row in rows(home / "reports" / "prune-curve")} == {"tagged"}
    result = start(home, "--tag", "paper=table2")
    assert isinstance(result.exception, UsageProblem)
    result = start(home, "--against", "random")
    assert {r["against"] for r in rows(home / "reports" / "prune-curve")} == {"dense", "random"}
    result = start(home, "--against", "randon")
    assert isinstance(result.exception, UnknownName)
    assert "Did you mean 'random'?" in str(result.exception)


def test_nothing_found_is_one_line(tmp_path: Path) -> None:
    result = start(tmp_path)
    assert isinstance(result.exception, UsageProblem)
    assert str(result.exception).startswith("there is no completed rl4dvit run in ")
    stage = table(DENSE, 0.9, NAMES)
    write_run(tmp_path, "a", stage, state="failed")
    write_run(tmp_path, "b", stage, method="spirl")
    write_run(tmp_path, "c", stage, archived=True)
    assert isinstance(start(tmp_path).exception, UsageProblem)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("run.json", b"{"),
        ("run.json", b'{"method": "rl4dvit"}'),
        ("artifacts/dense/artifact.json", b"{}"),
        ("artifacts/dense/predictions.npz", b""),
        ("artifacts/predictions-100/predictions.npz", b"PK\x03\x04 torn"),
        ("artifacts/predictions-100/predictions.npz", None),
    ],
)
def test_a_damaged_run_is_left_out_and_said(home: Path, path: str, content: bytes | None) -> None:
    folder = write_run(home, "torn", table(DENSE, 0.9, NAMES))
    if content is None:
        (folder / path).unlink()
    else:
        (folder / path).write_bytes(content)
    result = start(home)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("left out")]
    assert len(lines) == 1
    assert lines[0].startswith("left out torn, which is damaged: ")
    assert {row["run"] for row in rows(home / "reports" / "prune-curve")} == {"agents"}


def test_a_table_in_which_an_image_comes_twice_is_damaged(tmp_path: Path) -> None:
    write_run(tmp_path, "twice", table([1, 0], 0.9, ["same", "same"]))
    measured, said = read_runs(tmp_path / "runs", None, ())
    assert measured == []
    assert said == [
        "left out twice, which is damaged: dense/predictions.npz does not have one row an image"
    ]


def test_results_made_again_do_not_count_as_a_stage(tmp_path: Path) -> None:
    write_run(tmp_path, "agents", table(DENSE, 0.9, NAMES), superseded=50)
    measured, said = read_runs(tmp_path / "runs", None, ())
    assert said == []
    assert [one.stage for one in measured] == ["before"]


def test_published_points_say_what_they_are(tmp_path: Path) -> None:
    text = Path(str(rlvit_rl4dvit.__file__)).with_name("published.toml").read_text()
    points = tomllib.loads(text)["point"]
    assert len(points) == 19
    for point in points:
        assert {"model", "params", "gmacs", "top1", "family", "source"} <= set(point)
    tuned = [(p["gmacs"], p["top1"]) for p in points if p["source"] == "RL4DViT, Table 2"]
    assert tuned == [(10.8, 81.570), (11.6, 81.662)]
    write_run(tmp_path, "agents", table(DENSE, 11.0, NAMES), task="imagenet")
    assert start(tmp_path).exit_code == 0
    assert "published" not in (tmp_path / "reports/prune-curve/paired.md").read_text()
