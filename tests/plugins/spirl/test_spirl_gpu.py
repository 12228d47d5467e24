"""On a CUDA device the method computes what it computes on the CPU, up to rounding."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from rlvit.contracts import Selection
from rlvit.home import Home
from rlvit.nn.graphs import VARIABLE
from rlvit.rl.replay import SequenceReplay
from rlvit.runs import execute
from rlvit.runs.display import Silent
from rlvit.runs.plan import Request, make_plan
from rlvit.runs.precision import full_float32
from rlvit_spirl.agent import PatchFeatures, RainbowAgent, patch_network
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.image_mae import reduced
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.network import SpirlNetwork
from rlvit_spirl.pretrain import Steps, Training
from rlvit_spirl.saliency import Saliency
from rlvit_spirl.selection import dynamic_k, keep_order
from rlvit_spirl.whole_config import WholeFrameConfig
from rlvit_spirl.whole_frames import frame_network

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
CPU, GPU = torch.device("cpu"), torch.device("cuda")
COMMON = {"hidden": 24, "atoms": 11, "v_max": 3.0, "target_every": 6, "acting_noise": "step"}
KINDS: dict[str, tuple[Any, Any, tuple[int, ...], Any]] = {
    "patches": (SpirlConfig(**COMMON, dim=16, heads=4), patch_network, (5, 64), np.float32),
    "average": (
        SpirlConfig(**COMMON, dim=16, heads=4, pooling="average", padding="masked"),
        patch_network,
        (5, 64),
        np.float32,
    ),
    "whole frames": (WholeFrameConfig(**COMMON, size=84), frame_network, (1, 84, 84), np.uint8),
}


@pytest.fixture(autouse=True)
def _as_in_a_run() -> Iterator[None]:
    """Compute in full float32, as a run does: TF32 would exceed the tolerances."""
    with full_float32():
        yield


def test_error_maps_and_embeddings_agree_with_the_cpu() -> None:
    mae = MaskedAutoencoder(torch.Generator().manual_seed(0)).eval()
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 96, 96), dtype=np.uint8)
    order = torch.arange(28).expand(2, -1)
    expected = Saliency(mae).error_maps(frames)
    with torch.no_grad():
        embedded = mae.embed_selected(torch.from_numpy(frames), order)
        mae.to("cuda")
        found = mae.embed_selected(torch.from_numpy(frames).cuda(), order.cuda()).cpu()
    np.testing.assert_allclose(Saliency(mae).error_maps(frames), expected, rtol=1e-3)
    torch.testing.assert_close(found, embedded, rtol=1e-3, atol=1e-4)


def test_network_agrees_with_the_cpu() -> None:
    network = SpirlNetwork(
        18,
        dim=32,
        heads=8,
        hidden=256,
        atoms=51,
        residual=True,
        noise=0.5,
        generator=torch.Generator().manual_seed(0),
    )
    stacks = torch.randn(3, 4, 28, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(stacks, noisy=True)
        found = network.cuda()(stacks.cuda(), noisy=True).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def played(path: Path, shape: tuple[int, ...], dtype: Any, device: Any) -> SequenceReplay:
    """A replay of 40 random steps with ends of episodes."""
    replay = SequenceReplay(path, 60, shape, 4, 3, 0.9, 0.5, dtype, device)
    random = np.random.default_rng(0)
    for step in range(40):
        seen = random.normal(scale=1.0 if dtype is np.float32 else 90.0, size=shape)
        action, reward = int(random.integers(6)), float(random.integers(-1, 2))
        replay.append(np.abs(seen).astype(dtype), action, reward, step % 9 == 8)
    return replay


def learn(agent: RainbowAgent, replay: SequenceReplay, updates: range) -> list[list[float]]:
    """What updates said; acting comes between them, as in a run. Priorities stay equal."""
    found = []
    for update in updates:
        batch = replay.sample(np.random.default_rng(update).random(8), 0.5)
        priorities, logged = agent.update(batch)
        found.append([*priorities.tolist(), *(value.item() for value in logged.values())])
        assert 0 <= agent.act(batch.observations[0]) < 6
    return found


def make(kind: str, device: torch.device, seed: int = 3) -> RainbowAgent:
    config, network, *_ = KINDS[kind]
    return RainbowAgent(6, config, device, torch.Generator().manual_seed(seed), network)


@pytest.mark.parametrize("kind", KINDS)
def test_twenty_captured_updates_are_those_of_the_cpu_and_those_kernel_by_kernel(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, shape, dtype = KINDS[kind]
    agents = [make(kind, CPU), make(kind, GPU)]
    monkeypatch.setenv(VARIABLE, "0")
    agents.append(make(kind, GPU))
    assert [agent.learn.captures for agent in agents] == [False, True, False]
    devices = (None, GPU, GPU)
    expected, captured, plain = (
        learn(agent, played(tmp_path / str(i), shape, dtype, devices[i]), range(20))
        for i, agent in enumerate(agents)
    )
    np.testing.assert_allclose(captured, expected, rtol=5e-3, atol=1e-4)
    np.testing.assert_allclose(captured, plain, rtol=1e-3, atol=1e-5)
    for agent in agents[1:]:
        for name, value in agents[0].target.state_dict().items():
            torch.testing.assert_close(
                agent.target.state_dict()[name].cpu(), value, rtol=5e-3, atol=1e-4
            )
        assert torch.equal(agent.generator.get_state(), agents[0].generator.get_state())


def test_after_a_checkpoint_the_updates_go_on_as_if_there_had_been_none(tmp_path: Path) -> None:
    shape, dtype = KINDS["patches"][2:]
    replay = played(tmp_path / "a", shape, dtype, GPU)
    unbroken, broken = make("patches", GPU), make("patches", GPU)
    expected = learn(unbroken, replay, range(20))
    learn(broken, replay, range(9))  # captured by then
    torch.save({"agent": broken.state(), "replay": replay.state()}, tmp_path / "saved.pt")
    learn(broken, replay, range(9, 12))  # lost work
    for agent in (broken, make("patches", GPU, seed=99)):  # in the same process, and in another
        saved = torch.load(tmp_path / "saved.pt", map_location="cpu", weights_only=True)
        agent.restore(saved["agent"])
        again = SequenceReplay(tmp_path / "a", 60, shape, 4, 3, 0.9, 0.5, dtype, GPU)
        again.restore(saved["replay"])
        found = learn(agent, again, range(9, 20))
        np.testing.assert_allclose(found, expected[9:], rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """12 frames, of which each differs from the one before in a few patches."""
    random = np.random.default_rng(0)
    frames = np.repeat(random.integers(0, 256, (1, 3, 96, 96), dtype=np.uint8), 12, axis=0)
    for index in range(1, 12):
        frames[index:, :, 8 * index - 8 : 8 * index, 40:64] = random.integers(256)
    return frames


def test_error_maps_of_all_sizes_agree_with_the_cpu(frames: np.ndarray) -> None:
    mae = MaskedAutoencoder(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    plain, captured = Saliency(mae), Saliency(mae.cuda())
    mae.cpu()
    expected = [plain.error_maps(frame[None]) for frame in frames]
    mae.cuda()
    found = [captured.error_maps(frame[None]) for frame in frames]  # 144 at first, then few
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    orders = [
        [keep_order(e, dynamic_k(e, 45.0, 50), 50) for e in map(torch.from_numpy, maps)]
        for maps in (expected, found)
    ]
    same = [torch.equal(a, b) for a, b in zip(*orders, strict=True)]
    assert sum(same) >= len(same) - 1  # two errors may be as good as equal
    together = Saliency(mae)  # the largest size
    for _ in range(5):
        np.testing.assert_allclose(together.error_maps(frames)[0], expected[0][0], rtol=1e-3)
        together.memory.clear()


def test_embeddings_stay_on_the_gpu_and_agree_with_the_cpu(frames: np.ndarray) -> None:
    class First20:
        """Keeps the first 20 patches of every frame."""

        def select(self, view: Any) -> Selection:
            keep = torch.zeros_like(view.alive)
            keep[:, :20] = True
            return Selection(keep, torch.arange(20).expand(len(keep), -1))

        def report(self) -> dict[str, float]:
            return {}

    mae = MaskedAutoencoder(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    selector: Any = First20()
    plain = PatchFeatures(selector, mae, PATCHES, CPU)
    expected = [plain(frame) for frame in frames]
    features = PatchFeatures(selector, mae.cuda(), PATCHES, GPU)
    for frame, one in zip(frames, expected, strict=True):
        found = features(frame)
        assert isinstance(found, torch.Tensor)
        assert found.is_cuda
        np.testing.assert_allclose(found.cpu().numpy(), one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("precision", "close"), [("float32", 1e-3), ("bfloat16", 3e-2)])
def test_captured_pre_training_agrees_with_the_cpu(
    frames: np.ndarray, precision: str, close: float
) -> None:
    config = SpirlConfig(mae_precision=precision)

    def losses(device: torch.device, kind: SpirlConfig) -> list[float]:
        model = MaskedAutoencoder(torch.Generator().manual_seed(0)).to(device)
        training, found = Training(model, kind, frames, device), []
        stream = torch.Generator().manual_seed(1)
        for iteration in range(12):
            chosen = torch.randint(len(frames), (8,), generator=stream)
            masks = torch.rand(8, PATCHES, generator=stream)
            found.append(training.step(chosen, masks, 1e-4 * iteration))  # each its own step size
            if iteration == 7:
                state = training.state()
                training.restore(state["model"], state["optimiser"])
        return [loss.item() for loss in found]

    expected = losses(CPU, SpirlConfig())
    assert expected[-1] < expected[0]
    np.testing.assert_allclose(losses(GPU, config), expected, rtol=close)


def test_captured_pre_training_on_images_agrees_with_the_cpu() -> None:
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(256, (12, 8, 3, 10, 10), generator=draws, dtype=torch.uint8)
    pixels = partial(reduced, rows=4, columns=4, side=2)  # averaged to 8 x 8

    def losses(device: torch.device) -> list[float]:
        weights, stream = (torch.Generator().manual_seed(seed) for seed in (0, 1))
        model = MaskedAutoencoder(weights, rows=4, columns=4, side=2).to(device)
        steps = Steps(model, SpirlConfig(), device, pixels)
        found = [steps.step(some, torch.rand(8, 16, generator=stream), 1e-3) for some in images]
        return [loss.item() for loss in found]

    np.testing.assert_allclose(losses(GPU), losses(CPU), rtol=1e-3)


@pytest.mark.parametrize(
    ("plugin", "more"),
    [
        ("spirl", {}),
        ("spirl", {"figures": True}),
        ("spirl", {"steps": 28, "refine_every": 10, "refine_epochs": 4.0}),
        ("de-rainbow", {}),
        ("de-rainbow", {"figures": True}),
    ],
)
def test_a_whole_run_on_a_gpu(
    tiny: ModuleType, tmp_path: Path, plugin: str, more: dict[str, Any]
) -> None:
    catalog = tiny.make_catalog()
    known = catalog.method(plugin).config.model_fields
    request = Request(
        plugin=plugin,
        task=tiny.GAME,
        protocol="tiny",
        preset="paper",
        values={name: value for name, value in tiny.VALUES.items() if name in known} | more,
        device="cuda",
        threads=1,
    )
    plan = make_plan(catalog, request)
    outcome = execute.start(catalog, Home.locate(tmp_path), plan, Silent())
    assert outcome.state == "completed", outcome.error
    refined = outcome.folder / "artifacts" / "mae-refined" / "mae-refined.safetensors"
    assert refined.exists() == ("refine_every" in more)
    film = outcome.folder / "artifacts" / "figures" / "episode.gif"
    assert film.exists() == more.get("figures", False)
