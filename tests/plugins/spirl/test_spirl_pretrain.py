"""Holds frames, pre-training and their artifacts to the specification, on real frames."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from rlvit.contracts import Artifact
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.database import open_database
from rlvit.runs.artifacts import ArtifactShelf
from rlvit.runs.context import StopFlag, TrainingContext
from rlvit.runs.display import Silent
from rlvit.specs import digest
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.frames import load_frames, recorded_frames
from rlvit_spirl.mae import MaskedAutoencoder
from rlvit_spirl.pretrain import epoch_order, make_optimiser, pretrained, train
from rlvit_spirl.recording.frames import record
from rlvit_tasks.atari import AtariGame, make_game

GAME = "Breakout"


class Asked(Exception):
    """Ends a request for an autoencoder when its inputs are known."""


class Bench:
    """A run's context without a run: real frames and streams, and what was logged."""

    _stream = TrainingContext._stream
    generator = TrainingContext.generator
    torch_generator = TrainingContext.torch_generator

    def __init__(self, tiny: ModuleType, folder: Path, task: str = GAME, seed: int = 0) -> None:
        catalog = tiny.make_catalog()
        self._parts = catalog.parts(catalog.method("spirl"), {})
        self.task = catalog.task(task, "game")
        self.protocol = self.task.protocol("tiny")
        self.seed, self.device, self.folder = seed, torch.device("cpu"), folder
        self.home = Home.locate(folder)
        self.home.create()
        self.rows: list[tuple[int, Mapping[str, float]]] = []
        self.checkpoints: list[tuple[int, int]] = []
        self.key = ""  # of the autoencoder asked for last

    def part(self, slot: str) -> Any:
        return self._parts[slot]

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append((step, dict(values)))

    def restored(self, stage: str) -> None:
        return None

    def checkpoint(self, stage: str, step: int, state: Callable[[], Any], every: int) -> None:
        self.checkpoints.append((step, every))

    def check_stop(self) -> None:
        """Nobody stops this."""

    def stage(self, name: str, total: int, unit: str) -> Silent:
        return Silent()

    def artifact(
        self,
        kind: str,
        inputs: Callable[[], Mapping[str, Any]],
        build: Callable[[Path], None],
        *,
        copy: bool = False,
    ) -> Artifact:
        if kind == "mae":
            self.key = digest({"kind": kind, **inputs()})
            raise Asked
        return ArtifactShelf(self.home).get(
            kind, inputs(), build, run_id="bench", say=print, check_stop=StopFlag().check
        )


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which frames are recorded once."""
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture(scope="module")
def real_frames(tiny: ModuleType, shelf: Path) -> np.ndarray:
    """64 frames of a random player."""
    return load_frames(recorded_frames(Bench(tiny, shelf), SpirlConfig(frames=64), 0))


class Watched(AtariGame):
    """A real game that remembers how it was reset and what it showed."""

    def __init__(self, rom: str, settings: Any, seed: int) -> None:
        super().__init__(rom, settings, seed)
        self.resets: list[tuple[bool, int, int]] = []  # full, lives and steps after it
        self.trace: list[tuple[str, np.ndarray]] = []

    def reset(self, full: bool = False) -> np.ndarray:
        frame = super().reset(full)
        state = self.state()
        self.resets.append((full, state["lives"], state["steps"]))
        self.trace.append(("reset", frame))
        return frame

    def step(self, action: int) -> Any:
        step = super().step(action)
        self.trace.append(("done" if step.done else "step", step.frame))
        return step


def watched(tiny: ModuleType, seed: int = 3, *, first_lives_only: bool) -> Watched:
    """Breakout fast-forwarded, with lost lives as `recorded_frames` wants them."""
    task = tiny.make_catalog().task(GAME, "game")
    settings = {**task.protocol("tiny").settings, "terminal_on_life_loss": first_lives_only}
    made = make_game("breakout", settings, seed)
    return Watched("breakout", made._settings, seed)


def test_decay_is_for_matrices_and_tokens_not_for_biases_and_norms() -> None:
    model = MaskedAutoencoder(torch.Generator().manual_seed(0))
    optimiser = make_optimiser(model, SpirlConfig(mae_weight_decay=0.07))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = {
        group["weight_decay"]: {names[id(p)] for p in group["params"]}
        for group in optimiser.param_groups
    }
    assert groups.keys() == {0.07, 0.0}
    assert groups[0.07] | groups[0.0] == set(names.values())
    norms = {f"{n}.weight" for n, m in model.named_modules() if isinstance(m, torch.nn.LayerNorm)}
    assert groups[0.0] == {name for name in names.values() if name.endswith(".bias")} | norms
    assert {"cls_token", "mask_token", "patch_embed.proj.weight"} <= groups[0.07]
    assert {group["betas"] for group in optimiser.param_groups} == {(0.9, 0.95)}


def test_decay_shrinks_tokens_by_step_size_times_decay_where_there_is_no_gradient() -> None:
    model = MaskedAutoencoder(torch.Generator().manual_seed(0))
    config = SpirlConfig(mae_weight_decay=0.5, mae_base_lr=0.1)
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimiser = make_optimiser(model, config)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    for name in ("cls_token", "mask_token", "decoder_pred.weight"):
        torch.testing.assert_close(dict(model.named_parameters())[name], before[name] * 0.95)
    for name in ("norm.weight", "decoder_pred.bias"):
        assert torch.equal(dict(model.named_parameters())[name], before[name])


@pytest.fixture(scope="module")
def training(tiny: ModuleType, shelf: Path, real_frames: np.ndarray) -> tuple[Bench, float, float]:
    """3 epochs of 4 iterations, each logged, and the loss under fixed masks before and after."""
    config = SpirlConfig(
        frames=64, epochs=3, warmup_epochs=1, mae_batch_size=16, mae_base_lr=8e-3, log_every=1
    )
    bench = Bench(tiny, shelf)
    model = MaskedAutoencoder(torch.Generator().manual_seed(0))
    images = torch.from_numpy(real_frames[:32])
    masks = torch.rand(32, 144, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = model(images, masks).item()
    train(bench, config, model, real_frames, 0)
    with torch.no_grad():
        return bench, before, model(images, masks).item()


def test_the_loss_falls_on_real_frames(training: tuple[Bench, float, float]) -> None:
    bench, before, after = training
    assert after < 0.9 * before
    losses = [values["pretrain/loss"] for _, values in bench.rows]
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_the_step_size_rises_for_the_warm_up_and_falls_along_half_a_cosine(
    training: tuple[Bench, float, float],
) -> None:
    peak = 8e-3 * 16 / 256  # scaled by the batch size
    rates = {step: values["pretrain/lr"] for step, values in training[0].rows}
    assert list(rates) == list(range(1, 13))
    assert rates[1] == 0.0  # the first iteration is at the very beginning
    assert rates[2] == pytest.approx(peak / 4)
    assert rates[5] == pytest.approx(peak)  # one epoch of four is over
    assert rates[9] == pytest.approx(peak / 2)  # half of the two that remain
    assert rates[12] == pytest.approx(peak * (1 + math.cos(math.pi * 7 / 8)) / 2)


class Resumed(Bench):
    """A context that keeps the checkpoint after some iteration, or begins with one."""

    def __init__(self, *args: Any, keep: int = 0, saved: Any = None) -> None:
        super().__init__(*args)
        self.keep, self.saved = keep, saved

    def restored(self, stage: str) -> Any:
        return self.saved

    def checkpoint(self, stage: str, step: int, state: Callable[[], Any], every: int) -> None:
        if step == self.keep:
            self.saved = copy.deepcopy(state())


SMALL = {"frames": 64, "epochs": 2, "warmup_epochs": 1, "mae_batch_size": 16, "log_every": 1}


def trained(
    how: Callable[..., None], bench: Bench, frames: np.ndarray, **options: Any
) -> MaskedAutoencoder:
    model = MaskedAutoencoder(torch.Generator().manual_seed(0))
    how(bench, SpirlConfig(**{**SMALL, **options}), model, frames, 0)
    return model


def plainly(
    bench: Bench, config: SpirlConfig, model: MaskedAutoencoder, frames: np.ndarray, seed: int
) -> None:
    """Two epochs as a textbook has them: no graphs, no frames on a device, no resuming."""
    optimiser = make_optimiser(model, config)
    noise = bench.torch_generator("mae/masks", seed)
    batches, rate = len(frames) // 16, config.mae_base_lr * 16 / 256
    for epoch in range(2):
        order = epoch_order(bench.generator(f"mae/epoch-{epoch}", seed), len(frames), config)
        for batch in range(batches):
            part = batch / batches
            factor = (1 + math.cos(math.pi * part)) / 2 if epoch else part  # one epoch of warm-up
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            images = torch.from_numpy(frames[order[16 * batch : 16 * (batch + 1)]])
            optimiser.zero_grad()
            loss = model(images, torch.rand(16, 144, generator=noise))
            loss.backward()
            optimiser.step()
            row = {"pretrain/loss": loss.item(), "pretrain/lr": rate * factor}
            bench.log(epoch * batches + batch + 1, row)


def test_the_training_is_the_plain_one_bit_for_bit_also_when_resumed(
    tiny: ModuleType, shelf: Path, real_frames: np.ndarray
) -> None:
    plain, kept = Bench(tiny, shelf), Resumed(tiny, shelf, keep=3)
    expected = trained(plainly, plain, real_frames).state_dict()
    found = trained(train, kept, real_frames).state_dict()
    resumed = Resumed(tiny, shelf, saved=kept.saved)
    later = trained(train, resumed, real_frames).state_dict()
    for name, value in expected.items():
        assert torch.equal(found[name], value)
        assert torch.equal(later[name], value)

    def without_speed(bench: Bench) -> list[Any]:
        names = ("pretrain/loss", "pretrain/lr")
        return [(step, *(row[name] for name in names)) for step, row in bench.rows]

    assert without_speed(kept) == without_speed(plain)
    assert without_speed(resumed) == without_speed(plain)[3:]


def test_bfloat16_rounds_what_is_computed_and_not_the_weights(
    tiny: ModuleType, shelf: Path, real_frames: np.ndarray
) -> None:
    exact, rounded = Bench(tiny, shelf), Bench(tiny, shelf)
    trained(train, exact, real_frames)
    model = trained(train, rounded, real_frames, mae_precision="bfloat16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    losses = [[row["pretrain/loss"] for _, row in bench.rows] for bench in (exact, rounded)]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)


def test_another_precision_is_another_autoencoder_of_the_same_frames(
    tiny: ModuleType, shelf: Path
) -> None:
    found = []
    for precision in ("float32", "bfloat16"):
        config = SpirlConfig(frames=64, mae_batch_size=32, mae_precision=precision)
        bench = Bench(tiny, shelf)
        with pytest.raises(Asked):
            pretrained(bench, config, config.mae_seed)
        found.append(bench.key)
    assert found[0] == keys(tiny, shelf)[1]
    assert found[1] != found[0]


def test_a_checkpoint_is_offered_each_iteration_and_due_after_the_last(
    training: tuple[Bench, float, float],
) -> None:
    every = SpirlConfig().mae_checkpoint_every
    assert training[0].checkpoints == [(step, every) for step in range(1, 12)] + [(12, 1)]


def test_a_shuffled_epoch_has_each_frame_once_and_one_with_replacement_does_not() -> None:
    shuffled = epoch_order(np.random.default_rng(0), 500, SpirlConfig(sampling="shuffle"))
    assert sorted(shuffled) == list(range(500))
    assert list(shuffled) != list(range(500))
    drawn = epoch_order(np.random.default_rng(0), 500, SpirlConfig(sampling="replacement"))
    assert len(drawn) == 500
    assert set(drawn) <= set(range(500))
    assert 280 < len(set(drawn)) < 350  # 1 - 1/e of them are expected: 316


def test_an_incomplete_batch_is_dropped() -> None:
    config = SpirlConfig(frames=64, epochs=2, warmup_epochs=1, mae_batch_size=24)
    assert config.iterations(GAME) == 2 * 2


def test_after_a_lost_life_a_new_game_starts_where_first_lives_only_are_wanted(
    tiny: ModuleType,
) -> None:
    game = watched(tiny, first_lives_only=True)
    frames = record(game, 40, np.random.default_rng(0), first_lives_only=True)
    assert len(game.resets) > 3  # lives were lost
    assert set(game.resets) == {(True, 5, 0)}  # all of them again, at step 0
    # Recorded is what the agent would see: the frame of a lost life gives way to the new game's.
    shown = [frame for what, frame in game.trace if what != "done"]
    np.testing.assert_array_equal(frames, np.stack(shown[:40]))


def test_otherwise_games_are_recorded_whole(tiny: ModuleType) -> None:
    game = watched(tiny, first_lives_only=False)
    frames = record(game, 80, np.random.default_rng(0), first_lives_only=False)
    assert 2 <= len(game.resets) < 5
    assert set(game.resets[1:]) == {(False, 5, 0)}
    shown = [frame for what, frame in game.trace if what != "done"]
    np.testing.assert_array_equal(frames, np.stack(shown[:80]))


@pytest.mark.parametrize("first", [True, False])
def test_recording_is_decided_by_its_seeds(tiny: ModuleType, first: bool) -> None:
    def frames(seed: int, actions: int) -> np.ndarray:
        game = watched(tiny, seed, first_lives_only=first)
        return record(game, 30, np.random.default_rng(actions), first_lives_only=first)

    np.testing.assert_array_equal(frames(3, 0), frames(3, 0))
    assert not np.array_equal(frames(3, 0), frames(3, 1))
    assert not np.array_equal(frames(3, 0), frames(4, 0))


def test_frames_are_stored_without_loss(tiny: ModuleType, shelf: Path) -> None:
    stored = load_frames(recorded_frames(Bench(tiny, shelf), SpirlConfig(frames=64), 0))
    assert (stored.dtype, stored.shape) == (np.uint8, (64, 3, 96, 96))
    again = load_frames(
        recorded_frames(Bench(tiny, shelf.parent / "again"), SpirlConfig(frames=64), 0)
    )
    np.testing.assert_array_equal(stored, again)


def keys(
    tiny: ModuleType, shelf: Path, seed: int = 0, task: str = GAME, **options: Any
) -> tuple[str, str]:
    """The keys of frames and autoencoder that a run with these options asks for."""
    config = SpirlConfig(**{"frames": 64, "mae_batch_size": 32, **options})
    bench = Bench(tiny, shelf, task, seed)
    mae_seed = config.mae_seed if config.share_mae else seed  # as in experiment.train
    with pytest.raises(Asked):
        pretrained(bench, config, mae_seed)
    return recorded_frames(bench, config, mae_seed).key, bench.key


@pytest.mark.parametrize(
    "options", [{"frames": 65}, {"first_lives_only": False}, {"mae_seed": 1}, {"task": "Pong"}]
)
def test_other_frames_mean_another_autoencoder(
    tiny: ModuleType, shelf: Path, options: dict[str, Any]
) -> None:
    frames, mae = keys(tiny, shelf)
    other_frames, other_mae = keys(tiny, shelf, **options)
    assert other_frames != frames
    assert other_mae != mae


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 49},
        {"warmup_epochs": 4},
        {"mae_batch_size": 16},
        {"mae_base_lr": 2e-3},
        {"mae_weight_decay": 0.04},
        {"mae_beta2": 0.9},
        {"sampling": "replacement"},
        {"share_mae": False},
    ],
)
def test_what_decides_the_training_means_another_autoencoder_of_the_same_frames(
    tiny: ModuleType, shelf: Path, options: dict[str, Any]
) -> None:
    frames, mae = keys(tiny, shelf)
    assert keys(tiny, shelf, **options)[0] == frames
    assert keys(tiny, shelf, **options)[1] != mae


def test_options_of_learning_and_book_keeping_leave_frames_and_autoencoder_alone(
    tiny: ModuleType, shelf: Path
) -> None:
    others = {
        "angle": 30.0,
        "keep_ratio": 0.5,
        "ratio_frames": 11,
        "error_space": "normalised",
        "cache_entries": 7,
        "steps": 5_000,
        "random_steps": 100,
        "learn_start": 2_000,
        "steps_per_update": 4,
        "batch_size": 8,
        "lr": 1e-3,
        "gamma": 0.9,
        "n_step": 3,
        "atoms": 21,
        "dim": 64,
        "hidden": 8,
        "residual": True,
        "acting_noise": "step",
        "checkpoint_every": 3,
        "mae_checkpoint_every": 3,
        "log_every": 3,
    }
    assert keys(tiny, shelf, **others) == keys(tiny, shelf)


def test_the_seed_of_a_run_decides_its_autoencoder_only_where_it_is_its_own(
    tiny: ModuleType, shelf: Path
) -> None:
    assert keys(tiny, shelf, seed=0) == keys(tiny, shelf, seed=1)
    own = [keys(tiny, shelf, seed=seed, share_mae=False) for seed in (0, 1)]
    assert own[0][0] != own[1][0]
    assert own[0][1] != own[1][1]


def test_other_wrapper_settings_mean_other_frames(tiny: ModuleType, shelf: Path) -> None:
    config, found = SpirlConfig(frames=64), set()
    for setting in ({}, {"frame_skip": 4}, {"max_noops": 0}, {"sticky_probability": 0.25}):
        bench = Bench(tiny, shelf)
        settings = {**bench.protocol.settings, **setting}
        bench.protocol = replace(bench.protocol, settings=settings)
        found.add(recorded_frames(bench, config, 0).key)
    # How results are measured does not matter.
    bench = Bench(tiny, shelf)
    settings = {**bench.protocol.settings, "episodes": 9, "epsilon": 0.5}
    bench.protocol = replace(bench.protocol, settings=settings)
    found.add(recorded_frames(bench, config, 0).key)
    assert len(found) == 4


def lineage(home: Path, run_id: str) -> dict[str, tuple[str, str]]:
    """Kind -> (role, hash) of the artifacts of a run."""
    engine = open_database(Home.locate(home).registry_url)
    return {a.kind: (a.role, a.sha256) for a in queries.artifacts(engine, run_id)}


SHORT = {"steps": 14, "log_every": 14}


def test_seeds_share_one_autoencoder_by_default(
    tiny: ModuleType, unbroken: Any, home: Path
) -> None:
    made = lineage(unbroken.home, unbroken.id)
    roles = {kind: role for kind, (role, _) in made.items()}
    assert roles == {"frames": "made", "mae": "made", "agent": "made", "kept": "made"}
    first = tiny.start(home, seed=1, **SHORT)
    second = tiny.start(home, seed=2, **SHORT)
    for outcome in (first, second):
        used = lineage(home, outcome.id)
        roles = {kind: role for kind, (role, _) in used.items()}
        assert roles == {"frames": "used", "mae": "used", "agent": "made", "kept": "made"}
        assert used["frames"][1] == made["frames"][1]
        assert used["mae"][1] == made["mae"][1]
        assert used["agent"][1] != made["agent"][1]  # each seed has an agent of its own
    assert len(list((home / "runs" / "shared").glob("mae-*"))) == 1


def test_seeds_train_an_autoencoder_each_where_sharing_is_off(
    tiny: ModuleType, tmp_path: Path
) -> None:
    options = {**SHORT, "share_mae": False, "epochs": 1, "warmup_epochs": 0, "mae_batch_size": 32}
    found = [lineage(tmp_path, tiny.start(tmp_path, seed=seed, **options).id) for seed in (1, 2)]
    assert [{k: role for k, (role, _) in one.items()} for one in found] == [
        {"frames": "made", "mae": "made", "agent": "made", "kept": "made"}
    ] * 2
    assert found[0]["mae"][1] != found[1]["mae"][1]
    assert found[0]["frames"][1] != found[1]["frames"][1]
    assert len(list((tmp_path / "runs" / "shared").glob("mae-*"))) == 2
