"""A replay whose observations are in a device's memory equals the one that reads its file.

The device is the CPU here: the code that gathers is the same on every device.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlvit.errors import RlvitError
from rlvit.rl.device_frames import DeviceFrames
from rlvit.rl.replay import Batch, SequenceReplay

SHAPE, STACK, N_STEP = (2, 3), 4, 3
CPU = torch.device("cpu")


def make(path: Path, device: torch.device | None, dtype: Any = np.float32) -> SequenceReplay:
    return SequenceReplay(path, 60, SHAPE, STACK, N_STEP, 0.9, 0.5, dtype, device)


def observation(step: int, dtype: Any) -> np.ndarray:
    values = np.random.default_rng(step).normal(scale=50, size=SHAPE)
    return np.abs(values).astype(dtype)


def play(replay: SequenceReplay, steps: range, dtype: Any = np.float32) -> None:
    for step in steps:
        replay.append(observation(step, dtype), step % 5, float(step % 3 - 1), step % 7 == 6)


def assert_equal(left: Batch, right: Batch) -> None:
    for name, value in vars(left).items():
        found, expected = torch.as_tensor(getattr(right, name)), torch.as_tensor(value)
        assert found.dtype == expected.dtype, name
        assert torch.equal(found, expected), name


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_samples_and_stacks_equal_those_from_the_file(tmp_path: Path, dtype: Any) -> None:
    plain, resident = make(tmp_path / "a", None, dtype), make(tmp_path / "b", CPU, dtype)
    uniforms = np.random.default_rng(0).random(64)
    for step in range(50):  # from the first step of the first episode on
        seen = observation(step, dtype)
        stack = resident.latest_stack(torch.from_numpy(seen))
        assert isinstance(stack, torch.Tensor)
        assert np.array_equal(stack.numpy(), plain.latest_stack(seen))
        play(plain, range(step, step + 1), dtype)
        play(resident, range(step, step + 1), dtype)
        if step % 5 == 4:
            batch = plain.sample(uniforms, 0.6)
            assert_equal(batch, resident.sample(uniforms, 0.6))
            for replay in (plain, resident):
                replay.update_priorities(batch.indices, batch.returns.abs() + 0.1)
    starts = plain.sample(uniforms, 0.6)
    assert (starts.observations[:, 0] == 0).flatten(1).all(1).any()  # some frames are padding
    assert (tmp_path / "a" / resident._file.name).read_bytes() == resident._file.read_bytes()


def test_a_tensor_is_stored_like_an_array(tmp_path: Path) -> None:
    plain, resident = make(tmp_path / "a", None), make(tmp_path / "b", CPU)
    for step in range(12):
        seen = observation(step, np.float32)
        plain.append(torch.from_numpy(seen), 0, 0.0, False)
        resident.begin(torch.from_numpy(seen), 0)
        resident.end(0.0, False)
    uniforms = np.linspace(0, 0.99, 20)
    assert_equal(plain.sample(uniforms, 1.0), resident.sample(uniforms, 1.0))
    assert plain._file.read_bytes() == resident._file.read_bytes()


def test_a_restored_replay_reads_the_file_into_memory(tmp_path: Path) -> None:
    unbroken, broken = make(tmp_path / "a", CPU), make(tmp_path / "b", CPU)
    for replay in (unbroken, broken):
        play(replay, range(30))
    state = broken.state()
    broken.append(np.full(SHAPE, np.nan, dtype=np.float32), 9, 9.0, True)  # lost work
    resumed = make(tmp_path / "b", CPU)
    resumed.restore(state)
    uniforms = np.random.default_rng(1).random(64)
    assert_equal(unbroken.sample(uniforms, 0.5), resumed.sample(uniforms, 0.5))
    for replay in (unbroken, resumed):
        play(replay, range(30, 50))
    assert_equal(unbroken.sample(uniforms, 0.5), resumed.sample(uniforms, 0.5))


def test_a_rewritten_observation_is_rewritten_in_memory(tmp_path: Path) -> None:
    plain, resident = make(tmp_path / "a", None), make(tmp_path / "b", CPU)
    for replay in (plain, resident):
        play(replay, range(20))
        for step in range(3, 20):
            replay.rewrite(step, observation(100 + step, np.float32))
    uniforms = np.random.default_rng(1).random(64)
    assert_equal(plain.sample(uniforms, 0.5), resident.sample(uniforms, 0.5))
    assert np.array_equal(resident._resident.rows[3], observation(103, np.float32))


def test_a_large_file_is_read_back_in_parts(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(2500, 2)).astype(np.float32)
    frames = DeviceFrames(3000, (2,), np.dtype(np.float32), CPU)
    frames.fill(rows)
    assert np.array_equal(frames.rows[:2500].numpy(), rows)
    assert frames.gather(torch.tensor([7, 3000, 2499]), (3,)).tolist() == [
        rows[7].tolist(),
        [0.0, 0.0],
        rows[2499].tolist(),
    ]


def test_a_disk_that_refuses_a_row_leaves_the_memory_as_it_was(tmp_path: Path) -> None:
    plain, replay = make(tmp_path / "a", None), make(tmp_path / "b", CPU)
    for one in (plain, replay):
        play(one, range(5))
    memory = replay._resident
    assert memory is not None
    before = memory.rows.clone()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * 24, limits[1]))  # rows of 24 bytes
    try:
        with pytest.raises(OSError, match="File too large"):
            replay.begin(observation(77, np.float32), 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(replay) == 5
    assert np.array_equal(memory.rows.numpy(), before.numpy(), equal_nan=True)
    for one in (plain, replay):
        play(one, range(5, 12))
    uniforms = np.random.default_rng(2).random(32)
    assert_equal(plain.sample(uniforms, 0.5), replay.sample(uniforms, 0.5))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_on_a_gpu_too(tmp_path: Path, dtype: Any) -> None:
    device = torch.device("cuda")
    plain, resident = make(tmp_path / "a", None, dtype), make(tmp_path / "b", device, dtype)
    for step in range(50):
        seen = observation(step, dtype)
        stack = resident.latest_stack(torch.from_numpy(seen).cuda())
        assert torch.equal(torch.as_tensor(stack).cpu(), torch.as_tensor(plain.latest_stack(seen)))
        for replay in (plain, resident):
            play(replay, range(step, step + 1), dtype)
    uniforms = np.random.default_rng(0).random(64)
    found = resident.sample(uniforms, 0.6)
    for name, value in vars(plain.sample(uniforms, 0.6)).items():
        assert torch.equal(torch.as_tensor(getattr(found, name)).cpu(), torch.as_tensor(value))
    resumed = make(tmp_path / "b", device, dtype)
    resumed.restore(resident.state())
    assert torch.equal(resumed.sample(uniforms, 0.6).observations, found.observations)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_what_was_page_locked_before_may_be_changed_at_once() -> None:
    frames = DeviceFrames(1, (2**26,), np.dtype(np.float32), torch.device("cuda"))
    given = torch.ones(2**26).pin_memory()
    frames.write(0, given)
    given.zero_()
    assert bool((frames.rows[0] == 1).all())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_gpu_without_the_memory_is_an_error_with_the_numbers(tmp_path: Path) -> None:
    rows = 2 * torch.cuda.mem_get_info()[1] // 4000
    with pytest.raises(RlvitError, match=r"the replay needs \d+\.\d GB on cuda, which has"):
        DeviceFrames(rows, (1000,), np.dtype(np.float32), torch.device("cuda"))
