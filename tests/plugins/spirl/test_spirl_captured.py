"""What a GPU captures is, on the CPU, what was computed before, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rlvit.rl.categorical import cross_entropy, expected_value, kl_divergence, project
from rlvit.rl.double_q import double_q_target_distribution
from rlvit.rl.noisy import NoisyLinear
from rlvit.rl.replay import Batch, SequenceReplay
from rlvit_spirl.agent import PRIORITY_RANGE, RainbowAgent, patch_network
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.mae import MaskedAutoencoder
from rlvit_spirl.network import DuelingHead
from rlvit_spirl.saliency import Saliency, batches
from rlvit_spirl.selection import dynamic_k, keep_order
from rlvit_spirl.whole_config import WholeFrameConfig
from rlvit_spirl.whole_frames import frame_network

CPU = torch.device("cpu")
ACTIONS, PATCHES = 6, 5
COMMON = {"hidden": 24, "atoms": 11, "v_max": 3.0, "target_every": 7, "acting_noise": "step"}
PATCH = SpirlConfig(**COMMON, dim=16, heads=4, n_step=3)
WHOLE = WholeFrameConfig(**COMMON, size=84, n_step=3)


def resample(part: NoisyLinear | DuelingHead, generator: torch.Generator) -> None:
    """Draw and set the noise of a layer, or of each of a head's in turn."""
    for layer in part.noisy_layers if isinstance(part, DuelingHead) else (part,):
        layer.resample(generator)


class Written(RainbowAgent):
    """The agent with acting and updating as one writes them down, before there were captures."""

    @torch.inference_mode()
    def act(self, stack: Any) -> int:
        resample(self.online.head, self.generator)
        stacks = torch.from_numpy(stack[None])
        values = expected_value(self.online(stacks, noisy=True).exp(), self.support)
        return int(values.argmax())

    def update(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        resample(self.online.head, self.generator)
        rows = torch.arange(len(batch.actions))
        with torch.no_grad():
            best = self.online(batch.next_observations, noisy=True).exp()
            judged = self.target(batch.next_observations, noisy=True).exp()
            distribution = project(
                batch.returns,
                batch.bootstrap_discounts,
                double_q_target_distribution(best, judged, self.support),
                self.support,
            )
        predicted = self.online(batch.observations, noisy=True)[rows, batch.actions]
        loss = (cross_entropy(distribution, predicted) * batch.importance_weights).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.online.parameters(), self.config.grad_clip)
        self.optimiser.step()
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            self.target.load_state_dict(self.online.state_dict())
        predicted = predicted.detach()
        priorities = kl_divergence(distribution, predicted).clamp(*PRIORITY_RANGE)
        return priorities, {
            "train/loss": loss.detach(),
            "train/gradient_norm": norm,
            "train/priority": priorities.mean(),
            "train/value": expected_value(predicted.exp(), self.support).mean(),
        }


def played(path: Path, shape: tuple[int, ...], dtype: Any, device: Any = None) -> SequenceReplay:
    """A replay of 40 random steps with ends of episodes."""
    replay = SequenceReplay(path, 60, shape, 4, 3, 0.9, 0.5, dtype, device)
    random = np.random.default_rng(0)
    for step in range(40):
        seen = random.normal(scale=1.0 if dtype is np.float32 else 90.0, size=shape)
        action, reward = int(random.integers(ACTIONS)), float(random.integers(-1, 2))
        replay.append(np.abs(seen).astype(dtype), action, reward, step % 9 == 8)
    return replay


def learn(agent: RainbowAgent, replay: SequenceReplay, updates: range) -> list[Tensor]:
    """Priorities, logged values and actions of some updates, in a row."""
    found = []
    for update in updates:
        random = np.random.default_rng(update)
        batch = replay.sample(random.random(8), 0.5)
        priorities, logged = agent.update(batch)
        replay.update_priorities(batch.indices, priorities)
        action = agent.act(batch.observations[0].numpy())
        found += [priorities, *logged.values(), torch.tensor(action)]
    return found


KINDS: dict[str, tuple[Any, Callable[..., Any], tuple[int, ...], Any]] = {
    "patches": (PATCH, patch_network, (PATCHES, 64), np.float32),
    "whole frames": (WHOLE, frame_network, (1, 84, 84), np.uint8),
}


@pytest.mark.parametrize("kind", KINDS)
def test_fifty_updates_are_those_written_down_also_over_a_checkpoint(
    tmp_path: Path, kind: str
) -> None:
    config, network, shape, dtype = KINDS[kind]

    def make(cls: type[RainbowAgent], seed: int = 3) -> RainbowAgent:
        return cls(ACTIONS, config, CPU, torch.Generator().manual_seed(seed), network)

    written, captured = make(Written), make(RainbowAgent)
    first = played(tmp_path / "a", shape, dtype)
    second = played(tmp_path / "b", shape, dtype, CPU)  # gathered as on a GPU
    expected = learn(written, first, range(50))
    found = learn(captured, second, range(23))
    torch.save({"agent": captured.state(), "replay": second.state()}, tmp_path / "saved.pt")
    resumed = make(RainbowAgent, seed=99)
    saved = torch.load(tmp_path / "saved.pt", weights_only=True)
    resumed.restore(saved["agent"])
    second.restore(saved["replay"])
    found += learn(resumed, second, range(23, 50))

    assert len({int(action) for action in expected[5::6]}) > 1
    for left, right in zip(expected, found, strict=True):
        assert torch.equal(left, right)
    for part in ("online", "target"):
        ours, theirs = resumed.state()[part], written.state()[part]
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert torch.equal(resumed.generator.get_state(), written.generator.get_state())
    assert resumed.updates == written.updates == 50


def test_noise_drawn_and_placed_is_noise_resampled() -> None:
    def made(kind: Callable[[torch.Generator], Any]) -> tuple[Any, Any]:
        return kind(torch.Generator().manual_seed(0)), kind(torch.Generator().manual_seed(0))

    kinds = (
        lambda stream: NoisyLinear(9, 4, generator=stream),  # short draws and long ones differ
        lambda stream: NoisyLinear(300, 70, generator=stream),
        lambda stream: DuelingHead(20, 17, 3, 11, 0.5, stream),
    )
    for kind in kinds:
        one, other = made(kind)
        left, right = (torch.Generator().manual_seed(5) for _ in range(2))
        resample(one, left)
        before = {name: value.clone() for name, value in other.state_dict().items()}
        noise = other.draw(right)
        assert all(torch.equal(v, before[name]) for name, v in other.state_dict().items())
        other.place(noise)
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])
        assert torch.equal(left.get_state(), right.get_state())


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, []),
        (1, [32]),
        (24, [32]),
        (33, [32, 32]),  # 128 would be padding for the most part
        (64, [128]),
        (144, [128, 32]),
        (320, [512]),
        (600, [512, 128]),
        (1100, [512, 512, 128]),
    ],
)
def test_misses_are_cut_into_a_few_sizes(count: int, sizes: list[int]) -> None:
    cut = list(batches(count, (32, 128, 512)))
    assert [size for _, size in cut] == sizes
    assert [start for start, _ in cut] == [sum(sizes[:i]) for i in range(len(sizes))]
    assert sum(sizes) >= count


@pytest.fixture(scope="module")
def mae() -> MaskedAutoencoder:
    return MaskedAutoencoder(torch.Generator().manual_seed(0)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Three frames, of which each differs from the one before in a few patches."""
    frames = np.random.default_rng(0).integers(0, 256, (1, 3, 96, 96), dtype=np.uint8)
    frames = np.repeat(frames, 3, axis=0)
    frames[1:, :, 40:48, 48:64] = 17
    frames[2, :, :8, :8] = 200
    return frames


def test_errors_in_batches_of_a_few_sizes_are_those_of_the_cpu(
    mae: MaskedAutoencoder, frames: np.ndarray
) -> None:
    plain, sized = Saliency(mae), Saliency(mae, sizes=(8, 32))
    for frame in frames:
        expected, found = plain.error_maps(frame[None]), sized.error_maps(frame[None])
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        orders = [
            keep_order(errors, dynamic_k(errors, 45.0, 50), 50)
            for errors in (torch.from_numpy(expected), torch.from_numpy(found))
        ]
        assert torch.equal(*orders)
    assert sized.hits == plain.hits


def test_an_interrupted_run_sees_the_errors_of_an_unbroken_one(
    mae: MaskedAutoencoder, frames: np.ndarray
) -> None:
    unbroken, broken, resumed = (Saliency(mae, sizes=(8, 32)) for _ in range(3))
    expected = [unbroken.error_maps(frame[None]) for frame in frames]
    broken.error_maps(frames[:1])
    resumed.restore(broken.state())
    for frame, errors in zip(frames[1:], expected[1:], strict=True):
        assert resumed.error_maps(frame[None]).tobytes() == errors.tobytes()


@pytest.mark.parametrize("sizes", [(), (8, 8), (32, 8), (0, 8)])
def test_sizes_rise(mae: MaskedAutoencoder, sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be positive and rise"):
        Saliency(mae, sizes=sizes)
