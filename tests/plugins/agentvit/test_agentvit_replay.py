"""The replay: what goes in comes out whole, what is evicted is random, and a resume is exact."""

from __future__ import annotations

import io

import pytest
import torch
from torch import Tensor

from rlvit_agentvit.replay import TransitionReplay


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def transition(number: int, rows: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """A batch's transition that can be told by its number; N = 3."""
    state = torch.full((rows, 3), float(number))
    return state, state + 0.5, torch.arange(rows) + 10.0 * number


def filled(capacity: int, pushes: int, draws: torch.Generator) -> TransitionReplay:
    replay = TransitionReplay(capacity)
    for number in range(pushes):
        replay.push(*transition(number), draws)
    return replay


def numbers(replay: TransitionReplay) -> set[int]:
    return {int(x) for x in replay.sample(len(replay), generator()).state[:, 0]}


def test_rows_come_back_whole_and_together() -> None:
    replay = filled(5, 4, generator())
    got = replay.sample(3, generator(1))
    assert [tuple(x.shape) for x in got] == [(6, 3), (6, 3), (6,)]
    assert torch.equal(got.next_state, got.state + 0.5)
    drawn = got.state[::2, 0]
    assert len(set(drawn.tolist())) == 3  # different batches
    expected = drawn[:, None] * 10 + torch.arange(2)  # all rows of a batch, in order
    assert torch.equal(got.reward.view(3, 2), expected)


def test_batches_may_differ_in_rows() -> None:
    replay = TransitionReplay(4)
    for number, rows in enumerate((4, 1, 2)):
        replay.push(*transition(number, rows), generator())
    got = replay.sample(3, generator())
    assert len(got.state) == len(got.next_state) == len(got.reward) == 7
    assert sorted(got.state[:, 0].tolist()) == [0, 0, 0, 0, 1, 2, 2]


def test_every_batch_is_drawn_equally_often() -> None:
    replay, draws = filled(4, 4, generator()), generator(2)
    counts = torch.zeros(4)
    for _ in range(1000):
        counts[replay.sample(2, draws).state[::2, 0].long()] += 1
    # Each is in half of the 1,000 draws, with a standard deviation of 16.
    assert (counts - 500).abs().max() < 80


def test_a_full_replay_forgets_one_old_batch_at_each_push() -> None:
    draws = generator()
    replay = filled(8, 8, draws)
    for number in range(8, 40):
        before = numbers(replay)
        replay.push(*transition(number), draws)
        assert len(replay) == 8
        assert numbers(replay) - before == {number}
        assert len(before - numbers(replay)) == 1


def test_what_is_forgotten_is_uniform_over_places() -> None:
    """The first batch outlives k evictions from 4 places with probability (3/4)^k."""
    lived = sum(0 in numbers(filled(4, 4 + 3, generator(seed))) for seed in range(500))
    assert lived / 500 == pytest.approx(0.75**3, abs=0.08)  # standard deviation 0.022


def test_nothing_is_drawn_until_it_is_full() -> None:
    draws = generator()
    filled(4, 4, draws)
    assert torch.equal(draws.get_state(), generator().get_state())


def test_a_copy_without_gradients_is_kept() -> None:
    replay = TransitionReplay(1)
    state, next_state, reward = transition(1)
    weight = torch.ones(3, requires_grad=True)
    replay.push(state * weight, next_state, reward, generator())
    next_state.zero_()  # as when the memory of a batch is used again
    got = replay.sample(1, generator())
    assert not got.state.requires_grad
    assert (got.next_state == 1.5).all()


def test_a_restored_replay_goes_on_as_if_nothing_had_happened() -> None:
    replay = filled(5, 7, generator())
    file = io.BytesIO()
    torch.save(replay.state(), file)  # checkpoints are read without unpickling of classes
    file.seek(0)
    again = TransitionReplay(5)
    again.restore(torch.load(file, weights_only=True))
    for each in (replay, again):
        each.push(*transition(99), generator(3))
    ours, theirs = (each.sample(4, generator(4)) for each in (replay, again))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_state_is_not_changed_by_what_follows() -> None:
    replay = filled(2, 2, generator())
    state = replay.state()
    replay.push(*transition(7), generator())
    again = TransitionReplay(2)
    again.restore(state)
    assert numbers(again) == {0, 1}


def test_restored_tensors_go_to_the_named_device() -> None:
    state = filled(2, 2, generator()).state()
    again = TransitionReplay(2)
    again.restore(state, "meta")
    assert again.sample(2, generator()).state.device.type == "meta"


def test_a_restored_state_must_fit() -> None:
    with pytest.raises(ValueError, match="3 batches, capacity is 2"):
        TransitionReplay(2).restore(filled(3, 3, generator()).state())


@pytest.mark.parametrize("count", [0, 3])
def test_only_what_is_held_can_be_drawn(count: int) -> None:
    with pytest.raises(ValueError, match="of the 2 held"):
        filled(4, 2, generator()).sample(count, generator())


def test_a_capacity_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity is 0"):
        TransitionReplay(0)


@pytest.mark.parametrize(
    ("state", "next_state", "reward"),
    [((2, 3), (2, 4), (2,)), ((2, 3), (2, 3), (3,)), ((2, 3), (2, 3), (2, 1)), ((3,), (3,), (3,))],
)
def test_shapes_that_do_not_belong_together_are_refused(
    state: tuple[int, ...], next_state: tuple[int, ...], reward: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="expected shapes"):
        TransitionReplay(2).push(
            torch.zeros(state), torch.zeros(next_state), torch.zeros(reward), generator()
        )
