"""The sum tree against cumulative sums, and its exactness."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvit.rl.sum_tree import SumTree

BEFORE_ONE = np.nextafter(1.0, 0.0)


def filled(values: list[float]) -> SumTree:
    tree = SumTree(len(values))
    tree.set(list(range(len(values))), values)
    return tree


def test_by_hand() -> None:
    tree = filled([1.0, 2.0, 3.0, 0.0, 4.0])
    assert tree.total == 10.0
    assert tree.get([4, 0, 4]).tolist() == [4.0, 1.0, 4.0]
    uniforms = np.array([0.0, 0.0999, 0.1, 0.2999, 0.3, 0.5999, 0.6, BEFORE_ONE])
    assert tree.sample(uniforms).tolist() == [0, 0, 1, 1, 2, 2, 4, 4]
    tree.set([2], [0.5])
    assert tree.total == 7.5


def test_the_last_of_equal_indices_wins() -> None:
    tree = SumTree(8)
    tree.set([3, 3, 2, 3, 2], [1.0, 2.0, 7.0, 4.0, 8.0])
    assert tree.state().tolist() == [0, 0, 8, 4, 0, 0, 0, 0]
    assert tree.total == 12.0


@pytest.mark.parametrize("capacity", [1, 2, 3, 7, 64, 1000])
def test_equals_cumulative_sums(capacity: int) -> None:
    generator = np.random.default_rng(capacity)
    tree, leaves = SumTree(capacity), np.zeros(capacity)
    for _ in range(20):
        indices = generator.integers(0, capacity, 32)
        values = generator.integers(1, 1000, 32).astype(np.float64)  # sums are exact
        tree.set(indices, values)
        for index, value in zip(indices, values, strict=True):
            leaves[index] = value
        uniforms = generator.random(50)
        expected = np.searchsorted(np.cumsum(leaves), uniforms * leaves.sum(), side="right")
        assert tree.total == leaves.sum()
        assert tree.get(np.arange(capacity)).tolist() == leaves.tolist()
        assert tree.sample(uniforms).tolist() == expected.tolist()


def test_sampling_frequencies() -> None:
    generator = np.random.default_rng(0)
    priorities = generator.random(16)
    priorities[[0, 7, 15]] = 0
    draws = 20_000
    counts = np.bincount(filled(priorities.tolist()).sample(generator.random(draws)), minlength=16)
    expected = draws * priorities / priorities.sum()
    positive = priorities > 0
    assert counts[~positive].sum() == 0
    chi_square = ((counts - expected)[positive] ** 2 / expected[positive]).sum()
    assert chi_square < 32.909  # 99.9 % quantile with 12 degrees of freedom


@settings(max_examples=100, deadline=None)
@given(
    priorities=st.lists(
        st.sampled_from([0.0, 1e-300, 1e-12, 0.1, 1 / 3, 1.0, 7e9]) | st.floats(0, 1e6),
        min_size=1,
        max_size=70,
    ),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_zero_priority_is_never_sampled(priorities: list[float], uniform: float) -> None:
    if not any(priorities):
        return
    tree = filled(priorities)
    edges = np.cumsum(priorities) / np.sum(priorities)
    near = np.concatenate([np.nextafter(edges, 0), edges, np.nextafter(edges, 2), [uniform, 0]])
    drawn = tree.sample(np.clip(near, 0, BEFORE_ONE))
    assert (tree.get(drawn) > 0).all()


def test_rounding_past_the_right_edge_steps_back() -> None:
    # 1.5 ulp + 1.5 rounds to 1.5 + 2 ulp; the largest target less the first leaf rounds to 1.5,
    # all that is left, and would fall on the zero leaf behind.
    tree = filled([1.5 * 2.0**-52, 0.0, 1.5, 0.0])
    assert tree.sample(np.array([BEFORE_ONE, 0.5])).tolist() == [2, 2]


def test_incremental_and_loaded_trees_are_bit_identical() -> None:
    generator = np.random.default_rng(1)
    tree = SumTree(1000)
    for _ in range(200):
        indices = generator.integers(0, 700, 32)
        tree.set(indices, generator.random(32) ** 3 * 10.0 ** generator.integers(-8, 8, 32))
    loaded = SumTree(1000)
    loaded.set(generator.integers(0, 1000, 64), generator.random(64))  # to be overwritten
    leaves = tree.state(700)
    loaded.load(leaves)
    assert len(leaves) == 700
    assert loaded._nodes.tobytes() == tree._nodes.tobytes()
    width = len(tree._nodes) // 2
    inner = np.arange(1, width)
    sums = tree._nodes[2 * inner] + tree._nodes[2 * inner + 1]
    assert (tree._nodes[inner] == sums).all()


def test_state_is_a_copy() -> None:
    tree = filled([1.0, 2.0])
    tree.state()[0] = 9.0
    assert tree.get([0]).tolist() == [1.0]


@pytest.mark.parametrize("index", [-1, 5])
def test_refuses_an_index_outside_the_capacity(index: int) -> None:
    tree = SumTree(5)
    with pytest.raises(ValueError, match="outside"):
        tree.set([index], [1.0])
    with pytest.raises(ValueError, match="outside"):
        tree.get([index])


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_refuses_values_that_are_not_priorities(value: float) -> None:
    tree = SumTree(5)
    with pytest.raises(ValueError, match="finite"):
        tree.set([0], [value])
    with pytest.raises(ValueError, match="finite"):
        tree.load(np.array([value]))
    assert tree.total == 0.0


def test_refuses_to_sample_nothing_and_to_load_too_much() -> None:
    with pytest.raises(ValueError, match="zero"):
        SumTree(5).sample(np.array([0.5]))
    with pytest.raises(ValueError, match="exceed"):
        SumTree(5).load(np.ones(6))
    with pytest.raises(ValueError, match="positive"):
        SumTree(0)
