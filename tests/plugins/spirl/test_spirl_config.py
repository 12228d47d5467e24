"""Holds options to the paper, presets to what they say, and contradictions to one line."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rlvit.cli.main import invoke
from rlvit.config import options, resolve
from rlvit.runs.folder import RunFolder
from rlvit.runs.plan import Request, make_plan
from rlvit_spirl.config import PRESETS, SpirlConfig
from rlvit_spirl.frames import load_frames
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.saliency import Saliency

NAMES = ("paper", "paper-400k", "official-code", "recommended", "quick")
PAPER = SpirlConfig().model_dump()


def values(name: str) -> dict[str, Any]:
    """The resolved values of a preset."""
    (preset,) = [preset for preset in PRESETS if preset.name == name]
    return resolve(SpirlConfig, preset.values, {}).model_dump()


def differences(name: str) -> dict[str, Any]:
    """What a preset has otherwise than the paper."""
    return {key: value for key, value in values(name).items() if value != PAPER[key]}


def test_the_presets_are_these_five() -> None:
    assert tuple(preset.name for preset in PRESETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("game", ["Seaquest", "Frostbite", "Pong"])
def test_every_preset_makes_a_plan_for_listed_and_unlisted_games(
    tiny: ModuleType, name: str, game: str
) -> None:
    request = Request(plugin="spirl", task=game, preset=name, device="cpu", threads=1)
    plan = make_plan(tiny.make_catalog(), request)
    own = {"quick": "quick", "paper-400k": "atari400k-best-median"}
    assert plan.protocol.name == own.get(name, "atari100k-spirl")
    assert all(cost.flops >= 0 and cost.host_seconds >= 0 for cost in plan.costs())


def test_the_paper_s_preset_is_the_default() -> None:
    assert values("paper") == PAPER


def test_the_paper_s_values_are_those_of_its_tables() -> None:
    expected = {
        "epochs": 50,
        "warmup_epochs": 5,
        "mae_batch_size": 64,
        "mae_base_lr": 1e-3,
        "mae_weight_decay": 0.05,
        "mae_beta2": 0.95,
        "sampling": "shuffle",
        "angle": 45.0,
        "error_space": "pixels",
        "steps": 100_000,
        "random_steps": 1_600,
        "learn_start": 1_600,
        "steps_per_update": 1,
        "batch_size": 32,
        "lr": 1e-4,
        "adam_eps": 1.5e-4,
        "grad_clip": 10.0,
        "gamma": 0.99,
        "n_step": 20,
        "atoms": 51,
        "v_max": 10.0,
        "target_every": 2_000,
        "priority_exponent": 0.5,
        "importance_exponent": 0.4,
        "dim": 32,
        "heads": 8,
        "residual": False,
        "hidden": 256,
        "noise": 0.5,
    }
    assert {key: PAPER[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("game", "frames", "ratio", "iterations"),
    [
        ("Frostbite", 5_000, 0.35, 50 * 78),
        ("MsPacman", 50_000, 0.30, 50 * 781),
        ("Seaquest", 50_000, 0.20, 50 * 781),
        ("BattleZone", 50_000, 0.30, 50 * 781),
        ("Breakout", 50_000, None, 50 * 781),
    ],
)
def test_values_that_depend_on_the_game(
    game: str, frames: int, ratio: float | None, iterations: int
) -> None:
    config = SpirlConfig()
    assert config.frames_of(game) == frames
    assert config.ratio_of(game) == ratio
    assert config.iterations(game) == iterations
    own = SpirlConfig(frames=128, keep_ratio=0.5)
    assert (own.frames_of(game), own.ratio_of(game)) == (128, 0.5)


def test_the_official_code_differs_in_what_is_documented_and_nothing_else() -> None:
    found = differences("official-code")
    assert math.tan(math.radians(found.pop("angle"))) == pytest.approx(0.5)
    assert found == {
        "residual": True,
        "epochs": 100,
        "sampling": "replacement",
        "error_space": "normalised",
    }


def test_the_recommended_preset_differs_in_what_is_documented_and_nothing_else() -> None:
    assert differences("recommended") == {
        "error_space": "normalised",
        "residual": True,
        "first_lives_only": False,
        "acting_noise": "step",
    }


def test_the_quick_preset_is_the_recommended_one_made_smaller() -> None:
    small, recommended = values("quick"), values("recommended")
    changed = {key for key in small if small[key] != recommended[key]}
    assert all(small[key] < (recommended[key] or math.inf) for key in changed)
    assert not changed & {"angle", "residual", "error_space", "n_step", "batch_size", "lr"}


def test_every_option_says_what_it_is_its_unit_and_its_source() -> None:
    listed = options(SpirlConfig)
    assert [info.field for info in listed] == list(SpirlConfig.model_fields)
    for info in listed:
        assert info.help.endswith("."), info.field
        assert info.unit, info.field
        assert len(info.source) > 3, info.field
        assert info.group != "Options", info.field
        extra = SpirlConfig.model_fields[info.field].json_schema_extra
        assert isinstance(extra, dict)
        assert {"unit", "source", "group"} <= extra.keys()
        number = info.type in (int, float) and info.field not in (
            *("mae_base_lr", "mae_weight_decay", "mae_beta2", "mae_seed", "lr", "adam_eps"),
            *("grad_clip", "gamma", "priority_exponent", "importance_exponent", "noise"),
            "refine_lr",
        )
        assert (info.unit != "-") == number, info.field  # a pure number or a choice has no unit


REFUSED = [
    (["--warmup-epochs", "9", "--epochs", "8"], "--warmup-epochs 9 is not less than --epochs 8"),
    (["--epochs", "5"], "--warmup-epochs 5 is not less than --epochs 5"),
    (["--dim", "30"], "--dim 30 is no multiple of --heads 8"),
    (["--heads", "5"], "--dim 32 is no multiple of --heads 5"),
    (["--learn-start", "20"], "--learn-start 20 leaves nothing to sample"),
    (["--n-step", "1600"], "it must exceed --n-step 1600"),
    (["--random-steps", "100001"], "--random-steps 100001 is more than --steps 100000"),
    (["--learn-start", "100001"], "--learn-start 100001 is not less than --steps 100000"),
    (["--keep-ratio", "0.01"], "--keep-ratio 0.01: of 144 patches at least 2 must be kept"),
    (["--keep-ratio", "1.5"], "--keep-ratio 1.5: should be less than or equal to 1"),
    (["--keep-ratio", "nan"], "--keep-ratio nan: should be"),
    (["--frames", "64", "--mae-batch-size", "65"], "--mae-batch-size 65 is more than --frames 64"),
    (["--mae-batch-size", "50001"], "--mae-batch-size 50001 is more than --frames 50000"),
    (["--angle", "90"], "--angle 90.0: should be less than 90"),
    (["--lr", "0"], "--lr 0.0: should be greater than 0"),
    (["--epochs", "many"], "--epochs"),
    (["--sampling", "sometimes"], "--sampling"),
    (["--game", "Seaquests"], "unknown game 'Seaquests'. Did you mean 'Seaquest'?"),
    (["--game", "Chess"], "unknown game 'Chess'."),
    (["--backbone", "vit_pico_grid4"], "--backbone vit_pico_grid4: spirl trains a masked"),
    (["--selector", "mae-salent"], "unknown selector 'mae-salent'. Did you mean 'mae-salient'?"),
    (["--preset", "papers"], "unknown preset 'papers'. Did you mean 'paper'?"),
    (["--protocol", "slow"], "unknown protocol 'slow'."),
    (["--seed", "-1"], "--seed -1: should be 0 or more"),
    (["--threads", "0"], "--threads 0: should be 1 or more"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=[" ".join(r[0]) for r in REFUSED])
def test_a_contradiction_is_refused_in_one_line_before_anything_is_written(
    given: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / "home"
    start = ["--home", str(home), "run", "--plugin", "spirl", "--preset", "paper"]
    code = invoke([*start, "--game", "Seaquest", "--device", "cpu", *given])
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert message in said.err
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_program_itself_refuses_with_exit_code_2_and_without_a_traceback(
    tmp_path: Path,
) -> None:
    program = Path(sys.executable).with_name("rlvit")
    done = subprocess.run(
        [program, "run", "--plugin", "spirl", "--game", "Seaquest", "--heads", "5"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if not key.startswith("RLVIT_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "Error: --dim 32 is no multiple of --heads 5\n"
    assert list(tmp_path.iterdir()) == []


def permutation(stream: str, count: int) -> Any:
    """The sample of frames: the run's stream of this name."""
    seed = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "big") >> 1
    return np.random.default_rng(seed).permutation(count)


def test_a_game_that_is_not_listed_finds_its_ratio_from_frames_and_logs_it(
    tiny: ModuleType, home: Path
) -> None:
    sampled = 12
    outcome = tiny.start(
        home, keep_ratio=None, angle=70.0, ratio_frames=sampled, steps=14, log_every=14
    )
    assert outcome.state == "completed", outcome.error
    folder = RunFolder(outcome.folder)
    rows = [line for _, line in folder.read_live("metrics") if "select/ratio" in line]
    assert [(row["step"], len(row) - 3) for row in rows] == [(0, 1)]
    ratio = rows[0]["select/ratio"]
    assert "Breakout has no published ratio" in (outcome.folder / "log.txt").read_text()

    # The rule, written anew: the smallest 5 % step whose cap covers 99.9 % of the counts.
    (shared,) = (home / "runs" / "shared").glob("frames-*")
    frames = load_frames(SimpleNamespace(folder=shared))
    mae = MaskedAutoencoder(torch.Generator())
    mae.load_state_dict(load_file(outcome.folder / "artifacts" / "mae" / "mae.safetensors"))
    saliency = Saliency(mae.eval().requires_grad_(False), error_space="pixels")
    order = permutation("0/ratio", len(frames))[:sampled]  # the stream of this name and MAE seed
    counts = []
    for errors in torch.from_numpy(saliency.error_maps(frames[order])).double():
        shares = (errors / errors.sum()).sort().values
        slope = shares[1:-1] + shares[2:]  # over two steps, for patches 1 .. 142
        wanted = 2 * math.tan(math.radians(70.0)) / PATCHES
        counts.append(PATCHES - 1 - int((slope - wanted).abs().argmin()))
    caps = {step / 20: PATCHES * step // 20 for step in range(1, 20)}
    expected = next((r for r, most in caps.items() if max(counts) <= most), 0.95)
    assert ratio == expected
    assert 0.05 < expected < 0.95  # else the test would show little
    kept = {m.metric: m.value for m in outcome.results}["select/kept"]
    assert 2 <= kept <= caps[expected]
