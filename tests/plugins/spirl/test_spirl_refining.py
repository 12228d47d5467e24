"""An autoencoder that goes on learning: what a round changes, what it costs, how it resumes."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from rlvit import Registry
from rlvit.cli.main import invoke
from rlvit.config import identity, resolve
from rlvit.errors import RlvitError, UsageProblem
from rlvit.nn.graphs import CapturedStep
from rlvit.specs import TaskSpec
from rlvit_spirl.agent import PatchFeatures
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.cost import FRAME_BYTES
from rlvit_spirl.learning import require_space
from rlvit_spirl.loading import load
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.refining import FramesOfPlay, Refining
from rlvit_spirl.selector import SalientPatches

# Rounds after 10 and 20 of 28 steps, of 2 batches of 16 frames each.
REFINED = {"steps": 28, "refine_every": 10, "refine_epochs": 4.0}
CAP = 14
OPTIONS = {"refine_every", "refine_epochs", "refine_lr"}


def artifact_of(home: Path, run: str, kind: str) -> Path:
    """The folder of one of a run's artifacts."""
    return home / "runs" / run / "artifacts" / kind


def everything(tiny: Any, home: Path, run: str) -> dict[str, Any]:
    """All of a run that must be equal in another, with the refined autoencoder."""
    refined = artifact_of(home, run, "mae-refined") / "mae-refined.safetensors"
    return {**tiny.outcome_of(home, run), "refined": refined.read_bytes()}


@dataclass(frozen=True)
class Round:
    """What there is just after a round."""

    step: int
    weights: Mapping[str, Tensor]
    trained: bool  # a weight still asks for gradients
    rows: NDArray[np.float32]  # of the replay's file, as far as steps have ended
    frames: NDArray[np.uint8]  # that are kept
    memory: Mapping[str, Tensor]  # of errors
    hit_rate: float
    counts: tuple[Any, Any]  # of frames played, before and after


@dataclass(frozen=True)
class Refined:
    """A refined run that nothing interrupted."""

    home: Path
    id: str
    story: dict[str, Any]
    config: SpirlConfig
    task: TaskSpec
    rounds: list[Round]
    forgotten: list[tuple[int, float]]  # errors that a new selector remembers, its hit rate
    dropped: list[str]  # steps whose captures were, in this order


@pytest.fixture(scope="module")
def refined(tiny: Any, unbroken: Any, tmp_path_factory: pytest.TempPathFactory) -> Refined:
    """A refined run, looked at after each round."""
    home = tmp_path_factory.mktemp("refined")
    shutil.copytree(unbroken.home / "runs" / "shared", home / "runs" / "shared")
    between, make, forget = Refining.between, Refining._fresh_selector, CapturedStep.forget
    plan = tiny.make(tiny.make_catalog(), **REFINED)
    rounds, forgotten, dropped = list[Round](), list[tuple[int, float]](), list[str]()

    def watched(self: Refining, step: int, replay: Any, state: Any) -> bool:
        before = self.features.state()["counts"]
        held = between(self, step, replay, state)
        if held:
            mae, file = self.features.backbone, self.context.folder / "replay" / "observations.f32"
            found = Round(
                step,
                {name: weight.clone() for name, weight in mae.state_dict().items()},
                any(weight.requires_grad for weight in mae.parameters()),
                np.fromfile(file, np.float32).reshape(-1, CAP, 64)[: len(replay)],
                np.array(self.frames.rows()),
                self.features.selector.state()["saliency"],
                self.features.report()["select/hit_rate"],
                (before, self.features.state()["counts"]),
            )
            rounds.append(found)
        return held

    def made(self: Refining) -> Any:
        selector = make(self)
        forgotten.append((len(selector.saliency.memory), selector.report()["select/hit_rate"]))
        return selector

    def left(self: CapturedStep) -> None:
        dropped.append(self.name)
        forget(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Refining, "between", watched)
        patched.setattr(Refining, "_fresh_selector", made)
        patched.setattr(CapturedStep, "forget", left)
        outcome = tiny.start(home, **REFINED)
    assert outcome.state == "completed", outcome.error
    story = everything(tiny, home, outcome.id)
    return Refined(home, outcome.id, story, plan.config, plan.task, rounds, forgotten, dropped)


def test_what_is_off_is_not_in_a_fingerprint() -> None:
    off = SpirlConfig()
    assert not OPTIONS & set(identity(off))
    assert (off.rounds, resolve(SpirlConfig, {}, identity(off))) == (0, off)
    on = SpirlConfig(refine_every=30_000, refine_lr=1e-3)
    assert {name: identity(on)[name] for name in OPTIONS} == {
        "refine_every": 30_000,
        "refine_epochs": 1.0,
        "refine_lr": 1e-3,
    }
    assert resolve(SpirlConfig, {}, identity(on)) == on


@pytest.mark.parametrize(("every", "rounds"), [(10, 3), (13, 3), (14, 2), (16, 2), (39, 1)])
def test_rounds_lie_before_the_last_step(every: int, rounds: int) -> None:
    small = {"steps": 40, "random_steps": 12, "learn_start": 12, "n_step": 3, "mae_batch_size": 4}
    config = SpirlConfig(**small, refine_every=every, refine_epochs=2.5)
    assert config.rounds == rounds
    assert config.round_iterations == int(2.5 * every) // 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"refine_every": 0}, "--refine-every 0: should be greater than or equal to 1"),
        (
            {"refine_every": 100_000},
            "--refine-every 100000 is not less than --steps 100000: "
            "the autoencoder would never go on learning",
        ),
        (
            {"refine_every": 25_000, "refine_epochs": 1e308},
            "--refine-epochs 1e+308: should be less than or equal to 1000",
        ),
        (
            {"refine_lr": 2e-5},
            "--refine-lr means nothing without --refine-every: give both.",
        ),
        (
            {"refine_every": 1_000, "refine_epochs": 0.05},
            "--refine-epochs 0.05 of --refine-every 1000 steps are less than one batch: "
            "--mae-batch-size is 64",
        ),
    ],
)
def test_contradictions_are_refused_in_a_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageProblem) as refused:
        resolve(SpirlConfig, {}, given)
    assert str(refused.value) == message


def test_rounds_are_part_of_the_estimate(tiny: Any) -> None:
    catalog = tiny.make_catalog()
    plain = tiny.make(catalog, steps=100_000).costs()
    refined = tiny.make(catalog, steps=100_000, refine_every=25_000).costs()
    assert [cost for cost in refined if cost.stage not in ("refine", "embed")] == list(plain)
    train, embed = (cost for cost in refined if cost.stage in ("refine", "embed"))
    # 3 rounds of 25,000 // 16 iterations of 16 frames, a backward pass as costly as two forward.
    assert train.amount == "4,686 iterations in 3 rounds"
    assert train.flops == pytest.approx(3 * 1_562 * 16 * 3 * 0.22e9)
    assert embed.amount == "150,000 frames, 2,074 MB kept"  # 25,000 + 50,000 + 75,000
    per_step = next(cost for cost in plain if cost.stage == "evaluate").flops / (2 * 14)
    assert embed.flops == pytest.approx(150_000 * per_step)

    once = tiny.make(catalog, steps=100_000, refine_every=60_000).costs()
    (train,) = (cost for cost in once if cost.stage == "refine")
    assert train.amount == "3,750 iterations in 1 round"


def test_frames_are_kept_in_order_and_go_back_to_a_count(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 3, 96, 96), dtype=np.uint8)
    kept = FramesOfPlay(tmp_path / "replay" / "frames.u8")
    assert kept.state() == 0
    for frame in frames[:3]:
        kept.append(frame)
    np.testing.assert_array_equal(kept.rows(), frames[:3])
    assert (kept.state(), len(kept)) == (3, 3)

    kept.restore(1)  # of an older checkpoint
    kept.append(frames[3])
    np.testing.assert_array_equal(kept.rows(), frames[[0, 3]])

    kept.restore(3)
    os.truncate(tmp_path / "replay" / "frames.u8", 2 * FRAME_BYTES + 5)
    for use in (kept.rows, lambda: kept.append(frames[0])):
        with pytest.raises(RlvitError, match=r"holds 2 frames of play, the run needs 3\."):
            use()


def test_a_round_renews_weights_errors_and_every_observation(refined: Refined) -> None:
    pretrained = load_file(artifact_of(refined.home, refined.id, "mae") / "mae.safetensors")
    assert [found.step for found in refined.rounds] == [10, 20]
    assert refined.forgotten == [(0, 0.0), (0, 0.0)]
    for before, after in pairwise([pretrained, *(found.weights for found in refined.rounds)]):
        assert all((before[name] != after[name]).any() for name in before if "embed" not in name)

    for found in refined.rounds:
        assert not found.trained
        assert found.counts[0] == found.counts[1]  # no frame was played
        assert len(found.frames) == len(found.rows) == found.step
        mae = MaskedAutoencoder(torch.Generator()).eval().requires_grad_(False)
        mae.load_state_dict(found.weights)
        selector = SalientPatches(mae, refined.config, refined.task)
        fresh = PatchFeatures(selector, mae, PATCHES, torch.device("cpu"))
        for row, frame in zip(found.rows, found.frames, strict=True):
            np.testing.assert_array_equal(row, fresh(frame))
        # What is remembered is by the new weights alone.
        for name in ("keys", "values"):
            assert torch.equal(found.memory[name], selector.state()["saliency"][name])
        assert len(found.memory["values"]) > PATCHES
        assert (found.memory["counters"].tolist(), found.hit_rate) == ([0, 0], 0.0)


def test_a_run_drops_its_captures_at_its_end(refined: Refined) -> None:
    assert refined.dropped == ["acting", "the update", "embedding a frame"]


def test_a_refined_run_names_its_autoencoder_and_logs_its_rounds(refined: Refined) -> None:
    home, run, story = refined.home, refined.id, refined.story
    losses = {step: value for name, step, value in story["points"] if name == "refine/loss"}
    assert list(losses) == [10, 20]
    assert all(0 < value < 2 for value in losses.values())  # 1 is what a mean would have
    made = {
        kind: json.loads((artifact_of(home, run, kind) / "artifact.json").read_text())
        for kind in ("mae", "mae-refined", "agent")
    }
    assert made["agent"]["inputs"]["mae-refined"] == made["mae-refined"]["sha256"]
    assert "mae" not in made["agent"]["inputs"]
    assert made["mae-refined"]["inputs"] == {"mae": made["mae"]["sha256"], "seed": 0, "rounds": 2}
    with np.load(artifact_of(home, run, "kept") / "kept.npz") as table:
        counted = int(table["frames"].sum())
    lengths = [length for _, _, _, length in story["episodes"]]
    assert counted == 28 + sum(lengths)  # steps and evaluation, and nothing embedded again


def test_a_refined_run_is_played_with_its_own_autoencoder(
    refined: Refined, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, run = shutil.copytree(refined.home, tmp_path / "home"), refined.id
    registry = Registry(home)
    found = registry.revive(run)
    registry.close()
    player = load(found)
    assert player.features is not None
    own, first = (
        load_file(artifact_of(home, run, kind) / f"{kind}.safetensors")
        for kind in ("mae-refined", "mae")
    )
    for name, weight in player.features.backbone.state_dict().items():
        assert torch.equal(weight, own[name])
    assert all(torch.equal(own[name], w) for name, w in refined.rounds[-1].weights.items())
    assert not torch.equal(own["mask_token"], first["mask_token"])

    given = ["--home", str(home), "replay", run, "--episodes", "2", "--film", "none"]
    assert invoke(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith(", as it was scored") for line in lines[:2]] == [True, True]

    shutil.rmtree(artifact_of(home, run, "mae-refined"))
    assert invoke(given) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"run {run} has no 'mae-refined'" in line


def test_a_run_killed_anywhere_in_a_round_ends_like_an_unbroken_one(
    tiny: Any, refined: Refined, home: Path, tmp_path: Path
) -> None:
    ended = tiny.attempts(
        home,
        [
            ("start", {"stop": ["shown", "refine", 1, "SIGKILL"], **REFINED}),
            ("resume", {"stop": ["shown", "embed", 7, "SIGKILL"]}),  # its file is half rewritten
            ("resume", {"stop": ["after", "learn", 11, "SIGKILL"]}),  # with the new weights
            ("resume", {"stop": ["shown", "embed", 15, "SIGKILL"]}),  # of the second round
        ],
    )
    assert ended == [-signal.SIGKILL] * 4
    damaged = shutil.copytree(home, tmp_path / "damaged")
    assert tiny.attempts(home, [("resume", {"stop": ["after", "evaluate", 28, "SIGKILL"]})]) == [
        -signal.SIGKILL
    ]
    outcome = tiny.resume(home)
    assert outcome.state == "completed", outcome.error
    log = (outcome.folder / "log.txt").read_text()
    starts = [line.partition("going on from ")[2] for line in log.splitlines() if "going" in line]
    assert starts == ["learn 10", "learn 10", "learn 11", "learn 20", "evaluate 28"]
    assert_equal(everything(tiny, home, outcome.id), refined.story)

    # The replay's file is ahead of the checkpoint before the newest, which is cut short.
    folder = damaged / "runs" / outcome.id / "checkpoint"
    numbers = sorted(folder.glob("*.pt"))
    steps = [torch.load(path, weights_only=True)["step"] for path in numbers]
    assert steps == [18, 20]
    os.truncate(numbers[1], 1000)
    display = tiny.Rehearsal()
    assert tiny.resume(damaged, display).state == "completed"
    assert "the replay is embedded as it was after 18 steps" in display.said
    assert_equal(everything(tiny, damaged, outcome.id), refined.story)


def assert_equal(found: dict[str, Any], story: dict[str, Any]) -> None:
    """Compare all but the rows of the pre-training, which was there already in both."""
    for part in story:
        assert found[part] == story[part], part


def stopping_at(stage: str, done: int) -> Callable[[str, int], None]:
    """Ctrl-C when a stage says that it is so far, for `Rehearsal`."""

    def heard(name: str, here: int) -> None:
        if (name, here) == (stage, done):
            os.kill(os.getpid(), signal.SIGINT)

    return heard


def test_a_selector_that_draws_is_refined_and_stopped_as_well(tiny: Any, home: Path) -> None:
    options = {**REFINED, "slots": {"selector": "random"}}
    other, damaged = shutil.copytree(home, home.with_name("other")), home.with_name("damaged")
    whole = tiny.start(home, **options)
    assert whole.state == "completed", whole.error
    stopped = tiny.start(other, tiny.Rehearsal(stopping_at("embed", 7)), **options)
    assert stopped.state == "interrupted"
    shutil.copytree(other, damaged)
    outcome = tiny.resume(other)
    assert "going on from learn 10" in (outcome.folder / "log.txt").read_text()
    assert_equal(everything(tiny, other, outcome.id), everything(tiny, home, whole.id))

    newest = max((damaged / "runs" / stopped.id / "checkpoint").glob("*.pt"))
    os.truncate(newest, 1000)
    display = tiny.Rehearsal()
    assert tiny.resume(damaged, display).state == "completed"
    told = "the replay is embedded as it was after 9 steps, but by other draws"
    assert told in display.said, display.said


@pytest.mark.parametrize("mark", [b"", b"\xff\n"])
def test_where_the_last_round_is_not_known_the_replay_is_embedded_anew(
    tiny: Any, refined: Refined, home: Path, mark: bytes
) -> None:
    run = tiny.start(home, tiny.Rehearsal(stopping_at("learn", 14)), **REFINED)
    assert run.state == "interrupted"
    replay = home / "runs" / run.id / "replay"
    assert (replay / "embedded.txt").read_text() == "1\n"
    (replay / "embedded.txt").write_bytes(mark)
    (replay / "observations.f32").write_bytes(bytes((replay / "observations.f32").stat().st_size))
    display = tiny.Rehearsal()
    assert tiny.resume(home, display).state == "completed"
    assert "the replay is embedded as it was after 14 steps" in display.said
    assert_equal(everything(tiny, home, run.id), refined.story)


def test_without_rounds_a_run_keeps_no_frames_and_no_weights(tiny: Any, home: Path) -> None:
    run = tiny.start(home, tiny.Rehearsal(stopping_at("learn", 14)))
    assert run.state == "interrupted"
    folder = home / "runs" / run.id
    assert [path.name for path in (folder / "replay").iterdir()] == ["observations.f32"]
    newest = max((folder / "checkpoint").glob("*.pt"))
    features = torch.load(newest, weights_only=True)["features"]
    assert set(features) == {"selector", "counts", "by_count", "draws"}
    assert not OPTIONS & set(json.loads((folder / "run.json").read_text())["config"])


def test_a_disk_without_room_for_the_frames_is_refused(tiny: Any, home: Path) -> None:
    steps = shutil.disk_usage(home).free // 10_000  # a frame needs 27,648 bytes, a row 512
    outcome = tiny.start(home, steps=steps, refine_every=steps - 1, keep_ratio=2.1 / 144)
    assert outcome.state == "failed"
    assert "the replay with the frames of play needs " in str(outcome.error)


def test_what_is_written_already_needs_no_more_room(tmp_path: Path) -> None:
    context: Any = SimpleNamespace(folder=tmp_path)
    (tmp_path / "replay").mkdir()
    file, size = tmp_path / "replay" / "frames.u8", 256 * 2**20
    file.touch()
    os.truncate(file, size)  # a hole takes no room
    need = shutil.disk_usage(tmp_path).free + size // 2
    with pytest.raises(RlvitError, match=r"the replay needs "):
        require_space(context, need, files="*")
    with open(file, "r+b") as opened:
        os.posix_fallocate(opened.fileno(), 0, size)
    need = shutil.disk_usage(tmp_path).free + size // 2
    require_space(context, need, files="*")
    with pytest.raises(RlvitError, match=r"the replay needs "):
        require_space(context, need)  # of the observations nothing is written
