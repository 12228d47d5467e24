"""The sequence replay against a step-by-step reference, and across restarts."""

import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rlvit.rl.replay import Batch, SequenceReplay

SHAPE = (2, 3)
STACK, N_STEP, GAMMA = 4, 3, 0.5


def make(
    path: Path, capacity: int = 60, alpha: float = 0.5, n_step: int = N_STEP
) -> SequenceReplay:
    return SequenceReplay(path, capacity, SHAPE, STACK, n_step, GAMMA, alpha)


def observation(step: int) -> NDArray[np.float32]:
    """A frame that tells its step and its place within the frame."""
    return np.float32(step + 1) + np.arange(6, dtype=np.float32).reshape(SHAPE) / 8


def fill(replay: SequenceReplay, steps: range, ends: set[int]) -> None:
    for step in steps:
        replay.append(observation(step), step % 5, float(step % 3 - 1), step in ends)


def expected_stack(step: int, ends: set[int]) -> NDArray[np.float32]:
    """Walk back from a step until its episode's start."""
    frames = [observation(step)]
    while len(frames) < STACK and step > 0 and step - 1 not in ends:
        step -= 1
        frames.insert(0, observation(step))
    padding = [np.zeros(SHAPE, dtype=np.float32)] * (STACK - len(frames))
    return np.stack(padding + frames)


def grid(count: int) -> NDArray[np.float64]:
    """Uniforms that reach every step when all priorities are equal."""
    return (np.arange(count) + 0.5) / count


def assert_equal(left: Batch, right: Batch) -> None:
    assert np.array_equal(left.indices, right.indices)
    for name in ("observations", "next_observations", "actions", "returns"):
        assert torch.equal(getattr(left, name), getattr(right, name))
    assert torch.equal(left.bootstrap_discounts, right.bootstrap_discounts)
    assert torch.equal(left.importance_weights, right.importance_weights)


def test_every_transition_equals_the_reference(tmp_path: Path) -> None:
    ends = {0, 6, 8, 20, 21}
    replay = make(tmp_path)
    fill(replay, range(40), ends)
    batch = replay.sample(grid(37), 0.4)
    assert batch.indices.tolist() == list(range(37))
    assert batch.observations.shape == batch.next_observations.shape == (37, STACK, *SHAPE)
    assert batch.observations.dtype == torch.float32
    for step in range(37):
        assert np.array_equal(batch.observations[step], expected_stack(step, ends))
        assert np.array_equal(batch.next_observations[step], expected_stack(step + N_STEP, ends))
        value, discount = 0.0, 1.0
        for k in range(step, step + N_STEP):
            value += discount * (k % 3 - 1)
            discount *= GAMMA
            if k in ends:
                discount = 0.0
                break
        assert batch.returns[step].item() == value
        assert batch.bootstrap_discounts[step].item() == discount
    assert batch.actions.tolist() == [step % 5 for step in range(37)]
    assert batch.importance_weights.tolist() == [1.0] * 37


def test_stacks_at_an_episode_start_by_hand(tmp_path: Path) -> None:
    replay = make(tmp_path)
    fill(replay, range(10), {4})  # the second episode starts at step 5
    stacks = replay.sample(grid(7), 1.0).observations[:, :, 0, 0]
    assert stacks[0].tolist() == [0, 0, 0, 1]
    assert stacks[4].tolist() == [2, 3, 4, 5]
    assert stacks[5].tolist() == [0, 0, 0, 6]
    assert stacks[6].tolist() == [0, 0, 6, 7]


def test_a_step_waits_for_its_bootstrap_observation(tmp_path: Path) -> None:
    replay = make(tmp_path)
    fill(replay, range(N_STEP), set())
    assert replay.sampleable == 0
    with pytest.raises(ValueError, match="cannot sample"):
        replay.sample(grid(2), 1.0)
    for size in range(N_STEP + 1, 12):
        fill(replay, range(size - 1, size), set())
        assert len(replay) == size
        assert replay.sampleable == size - N_STEP
        assert set(replay.sample(grid(200), 1.0).indices) == set(range(size - N_STEP))


def test_a_step_that_has_begun_changes_no_sample_when_it_ends(tmp_path: Path) -> None:
    replay = make(tmp_path)
    ends = {4, 9}
    for step in range(15):
        replay.begin(observation(step), step % 5)
        assert len(replay) == step
        assert replay.sampleable == max(0, step + 1 - N_STEP)
        early = replay.sample(grid(50), 0.7) if replay.sampleable else None
        replay.end(float(step % 3 - 1), step in ends)
        if early is not None:
            assert_equal(early, replay.sample(grid(50), 0.7))
    whole = make(tmp_path / "whole")
    fill(whole, range(15), ends)
    assert_equal(replay.sample(grid(50), 0.7), whole.sample(grid(50), 0.7))


def test_steps_begin_and_end_in_turn(tmp_path: Path) -> None:
    replay = make(tmp_path)
    with pytest.raises(ValueError, match="no step has begun"):
        replay.end(0.0, False)
    replay.begin(observation(0), 1)
    for refused in (lambda: replay.begin(observation(1), 1), replay.state):
        with pytest.raises(ValueError, match="step 0 has begun and not ended"):
            refused()


def test_importance_weights_by_hand(tmp_path: Path) -> None:
    replay = make(tmp_path, alpha=0.5)
    fill(replay, range(N_STEP + 2), set())
    replay.update_priorities(np.array([0, 1]), torch.tensor([4.0, 1.0]))  # stored as 2 and 1
    batch = replay.sample(np.array([0.1, 0.6, 0.7]), 0.4)  # borders 0, 2/3, 1
    assert batch.indices.tolist() == [0, 0, 1]
    # (1.00001 / 2.00001)^0.4
    assert batch.importance_weights.tolist() == pytest.approx([0.757860, 0.757860, 1], abs=1e-6)


def test_weights_are_relative_to_the_batch_not_the_replay(tmp_path: Path) -> None:
    replay = make(tmp_path)
    fill(replay, range(N_STEP + 2), set())
    replay.update_priorities(np.array([0, 1]), torch.tensor([4.0, 1.0]))
    assert replay.sample(np.array([0.1, 0.6]), 0.4).importance_weights.tolist() == [1, 1]


def test_updated_and_new_priorities(tmp_path: Path) -> None:
    replay = make(tmp_path, alpha=0.5)
    fill(replay, range(8), set())
    replay.update_priorities(np.array([2, 2, 4]), torch.tensor([9.0, 16.0, 1e-6]))
    fill(replay, range(8, 9), set())  # makes step 5 sampleable with priority 1
    saved = replay.state()["priorities"]
    assert isinstance(saved, torch.Tensor)
    assert saved.tolist() == pytest.approx([1, 1, 4, 1, 1e-3, 1, 0, 0, 0], rel=1e-6)


@pytest.mark.parametrize("index", [-1, 5, 7])
def test_only_sampleable_steps_take_a_priority(tmp_path: Path, index: int) -> None:
    replay = make(tmp_path)
    fill(replay, range(8), set())
    with pytest.raises(ValueError, match="sampleable"):
        replay.update_priorities(np.array([index]), torch.tensor([1.0]))


def test_latest_stack(tmp_path: Path) -> None:
    ends = {2, 3}
    replay = make(tmp_path)
    for step in range(12):
        stack = replay.latest_stack(observation(step))
        assert stack.dtype == np.float32
        assert np.array_equal(stack, expected_stack(step, ends))
        fill(replay, range(step, step + 1), ends)


@pytest.mark.parametrize("garbage", [0, 5])
def test_restored_replay_is_bit_identical(tmp_path: Path, garbage: int) -> None:
    ends, generator = {7, 19, 33}, np.random.default_rng(0)
    unbroken, broken = make(tmp_path / "a"), make(tmp_path / "b")
    for replay in (unbroken, broken):
        fill(replay, range(30), ends)
        priorities = torch.rand(20, generator=torch.Generator().manual_seed(0)) + 1e-6
        replay.update_priorities(np.arange(3, 23), priorities)
    state = broken.state()
    for _ in range(garbage):  # work lost in a crash after the checkpoint
        broken.append(np.full(SHAPE, np.nan, dtype=np.float32), 9, 9.0, True)
    torch.save(state, tmp_path / "state.pt")
    resumed = make(tmp_path / "b")
    resumed.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    uniforms = generator.random(64)
    assert len(resumed) == 30
    assert_equal(resumed.sample(uniforms, 0.7), unbroken.sample(uniforms, 0.7))
    current = observation(30)
    assert np.array_equal(resumed.latest_stack(current), unbroken.latest_stack(current))
    for step in range(30, 50):
        for replay in (unbroken, resumed):
            fill(replay, range(step, step + 1), ends)
        uniforms = generator.random(64)
        first, second = unbroken.sample(uniforms, 0.7), resumed.sample(uniforms, 0.7)
        assert_equal(first, second)
        for replay in (unbroken, resumed):
            replay.update_priorities(first.indices, first.returns.abs() + 0.1)
    left, right = unbroken.state(), resumed.state()
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(right[name]))
    assert resumed._priorities._nodes.tobytes() == unbroken._priorities._nodes.tobytes()


def test_restore_into_a_used_replay_forgets_what_came_after(tmp_path: Path) -> None:
    replay = make(tmp_path)
    fill(replay, range(10), {4})
    state, before = replay.state(), replay.sample(grid(50), 1.0)
    fill(replay, range(10, 20), {12})
    replay.restore(state)
    assert_equal(replay.sample(grid(50), 1.0), before)


def test_state_holds_tensors_and_ints_only(tmp_path: Path) -> None:
    replay = make(tmp_path)
    assert replay.state()["size"] == 0
    fill(replay, range(5), set())
    state = replay.state()
    assert all(isinstance(value, torch.Tensor | int) for value in state.values())
    fill(replay, range(5, 6), set())  # the state is a copy
    assert state["size"] == 5
    assert torch.as_tensor(state["priorities"]).tolist() == [1, 1, 0, 0, 0]


def test_reopening_keeps_the_file(tmp_path: Path) -> None:
    replay = make(tmp_path)
    fill(replay, range(5), set())
    state = replay.state()
    content = (tmp_path / "observations.f32").read_bytes()
    assert np.array_equal(np.frombuffer(content, np.float32)[:6], observation(0).ravel())
    make(tmp_path)
    larger = make(tmp_path, capacity=80)
    larger.restore(state)
    larger.append(observation(5), 0, 0.0, False)
    smaller = make(tmp_path, capacity=10)
    smaller.restore(state)
    grown = (tmp_path / "observations.f32").read_bytes()
    assert len(grown) == 80 * 24
    assert grown[: 5 * 24] == content[: 5 * 24]


def test_the_file_is_sparse(tmp_path: Path) -> None:
    replay = SequenceReplay(tmp_path, 100_000, (1000,), STACK, N_STEP, GAMMA, 0.5)
    replay.append(np.ones(1000, dtype=np.float32), 0, 0.0, False)
    replay.state()
    stat = (tmp_path / "observations.f32").stat()
    assert stat.st_size == 400_000_000
    assert stat.st_blocks * 512 < 10_000_000


def test_a_disk_that_takes_no_more_is_an_error_and_no_end_of_the_process(tmp_path: Path) -> None:
    replay = make(tmp_path)
    fill(replay, range(10), set())
    before = replay.state()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10 * 24, limits[1]))  # rows of 24 bytes
    try:
        with pytest.raises(OSError, match="File too large"):
            fill(replay, range(10, 11), set())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(replay) == 10
    assert all(np.array_equal(value, before[name]) for name, value in replay.state().items())
    fill(replay, range(10, 11), set())
    assert len(replay) == 11


def test_refuses_more_than_its_capacity(tmp_path: Path) -> None:
    replay = make(tmp_path, capacity=5)
    fill(replay, range(5), set())
    with pytest.raises(ValueError, match="full"):
        fill(replay, range(5, 6), set())
    assert replay.sample(grid(8), 1.0).indices.max() == 1
    state = replay.state()
    with pytest.raises(ValueError, match="capacity is 4"):
        make(tmp_path, capacity=4).restore(state)


def test_refuses_a_file_shorter_than_the_state(tmp_path: Path) -> None:
    replay = make(tmp_path)
    fill(replay, range(10), set())
    state = replay.state()
    cut = tmp_path / "cut"
    for _ in range(2):  # a refused restore must not make the next one pass
        with pytest.raises(ValueError, match="holds 0 rows, the state needs 10"):
            make(cut).restore(state)
        assert not (cut / "observations.f32").exists()
    content = (tmp_path / "observations.f32").read_bytes()
    (cut / "observations.f32").write_bytes(content[: 9 * 24 + 23])
    with pytest.raises(ValueError, match="holds 9 rows"):
        make(cut).restore(state)
    (cut / "observations.f32").write_bytes(content[: 10 * 24])
    restored = make(cut)
    restored.restore(state)
    assert_equal(restored.sample(grid(9), 1.0), replay.sample(grid(9), 1.0))


def test_refuses_another_shape(tmp_path: Path) -> None:
    replay = make(tmp_path)
    wrong = np.zeros((1, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="shape"):
        replay.append(wrong, 0, 0.0, False)
    with pytest.raises(ValueError, match="shape"):
        replay.latest_stack(wrong)
    assert len(replay) == 0


def test_an_observation_of_a_step_that_has_ended_is_rewritten(tmp_path: Path) -> None:
    replay = make(tmp_path)
    fill(replay, range(10), set())
    other = np.full(SHAPE, 7.5, dtype=np.float32)
    replay.rewrite(8, other)
    stack = replay.latest_stack(other + 1)
    np.testing.assert_array_equal(stack[-3:], np.stack([other, stack[-2], other + 1]))
    assert (stack[-2] != other).all()  # step 9 is as it was
    for step in (-1, 10):
        with pytest.raises(ValueError, match="not one of the 10 that have ended"):
            replay.rewrite(step, other)
    with pytest.raises(ValueError, match="shape"):
        replay.rewrite(8, other[None])


@pytest.mark.parametrize(("capacity", "stack", "n_step"), [(0, 4, 3), (5, 0, 3), (5, 4, 0)])
def test_refuses_nonsense(tmp_path: Path, capacity: int, stack: int, n_step: int) -> None:
    with pytest.raises(ValueError, match="need >= 1"):
        SequenceReplay(tmp_path, capacity, SHAPE, stack, n_step, GAMMA, 0.5)
