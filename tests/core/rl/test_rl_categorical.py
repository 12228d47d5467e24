"""The C51 arithmetic against hand-computed numbers and a float64 loop."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rlvit.rl.categorical import cross_entropy, expected_value, kl_divergence, project, support


def loop_projection(
    rewards: Tensor, discounts: Tensor, probabilities: Tensor, atoms: Tensor
) -> Tensor:
    """Algorithm 1 of Bellemare et al. 2017, one atom at a time, in Python floats."""
    z = atoms.tolist()
    delta = (z[-1] - z[0]) / (len(z) - 1)
    projected = [[0.0] * len(z) for _ in rewards]
    for row, (reward, discount) in enumerate(
        zip(rewards.tolist(), discounts.tolist(), strict=True)
    ):
        for j, atom in enumerate(z):
            mass = probabilities[row, j].item()
            target = min(max(reward + discount * atom, z[0]), z[-1])
            position = (target - z[0]) / delta
            lower = min(math.floor(position), len(z) - 2)
            projected[row][lower] += mass * (lower + 1 - position)
            projected[row][lower + 1] += mass * (position - lower)
    return torch.tensor(projected, dtype=torch.float64)


def random_case(seed: int, rows: int = 16, atoms: int = 51) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rewards = 8 * torch.randn(rows, generator=generator, dtype=torch.float64)
    discounts = torch.rand(rows, generator=generator, dtype=torch.float64)
    discounts[::4] = 0
    logits = 3 * torch.randn(rows, atoms, generator=generator, dtype=torch.float64)
    return rewards, discounts, logits.softmax(1)


def test_support_is_evenly_spaced() -> None:
    atoms = support(-10, 10, 51)
    assert atoms.dtype == torch.float32
    assert atoms.shape == (51,)
    assert atoms[[0, 1, 25, 50]].tolist() == pytest.approx([-10, -9.6, 0, 10], abs=1e-6)


@pytest.mark.parametrize(("v_min", "v_max", "atoms"), [(0, 1, 1), (1, 1, 5), (2, 1, 5)])
def test_support_refuses_nonsense(v_min: float, v_max: float, atoms: int) -> None:
    with pytest.raises(ValueError, match="v_min < v_max"):
        support(v_min, v_max, atoms)


def project_one(reward: float, discount: float, probabilities: list[float]) -> list[float]:
    return project(
        torch.tensor([reward]),
        torch.tensor([discount]),
        torch.tensor([probabilities]),
        support(-1, 1, len(probabilities)),
    )[0].tolist()


def test_projection_between_atoms() -> None:
    # targets -0.25, 0.25, 0.75 split 1:3, 3:1 and 1:3 between their neighbours
    assert project_one(0.25, 0.5, [0.2, 0.3, 0.5]) == pytest.approx([0.05, 0.5, 0.45])


def test_projection_on_atoms_is_exact() -> None:
    assert project_one(0.0, 1.0, [0.125, 0.375, 0.5]) == [0.125, 0.375, 0.5]
    assert project_one(0.5, 0.5, [0.25, 0.5, 0.25]) == [0, 0.5, 0.5]


def test_every_atom_of_the_real_support_is_exact() -> None:
    atoms = support(-10, 10, 51)
    probabilities = torch.rand(51, 51, generator=torch.Generator().manual_seed(0)).softmax(1)
    projected = project(atoms, torch.zeros(51), probabilities, atoms)  # targets are the atoms
    expected = torch.diag(probabilities.double().sum(1)).float()
    torch.testing.assert_close(projected, expected, atol=1e-6, rtol=0)
    assert torch.equal(projected != 0, torch.eye(51, dtype=torch.bool))
    identity = project(torch.zeros(51), torch.ones(51), probabilities, atoms)
    assert torch.equal(identity, probabilities)


def test_projection_clips_at_both_ends() -> None:
    assert project_one(5.0, 1.0, [0.25, 0.5, 0.25]) == [0, 0, 1]
    assert project_one(-5.0, 1.0, [0.25, 0.5, 0.25]) == [1, 0, 0]
    # targets 0.5, 1.5, 2.5: only the first is inside
    assert project_one(1.5, 1.0, [0.5, 0.25, 0.25]) == [0, 0.25, 0.75]


def test_terminal_projection_ignores_the_next_distribution() -> None:
    assert project_one(0.5, 0.0, [0.5, 0.25, 0.25]) == [0, 0.5, 0.5]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_projection_equals_the_loop(dtype: torch.dtype, tolerance: float) -> None:
    rewards, discounts, probabilities = random_case(0)
    atoms = torch.linspace(-10, 10, 51, dtype=torch.float64)
    expected = loop_projection(rewards, discounts, probabilities, atoms)
    cast = [t.to(dtype) for t in (rewards, discounts, probabilities, atoms)]
    projected = project(*cast)
    assert projected.dtype == dtype
    torch.testing.assert_close(projected.double(), expected, atol=tolerance, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    reward=st.floats(-50, 50, width=32),
    discount=st.floats(0, 1, width=32),
    weights=st.lists(st.floats(0.0078125, 1, width=32), min_size=2, max_size=51),
)
def test_projection_conserves_mass_and_sign(
    reward: float, discount: float, weights: list[float]
) -> None:
    probabilities = torch.tensor([weights]) / sum(weights)
    atoms = support(-10, 10, len(weights))
    projected = project(torch.tensor([reward]), torch.tensor([discount]), probabilities, atoms)
    assert (projected >= 0).all()
    assert projected.sum().item() == pytest.approx(1, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(reward=st.floats(-4, 4), discount=st.floats(0, 0.6), seed=st.integers(0, 1000))
def test_projection_keeps_the_mean_inside_the_support(
    reward: float, discount: float, seed: int
) -> None:
    _, _, probabilities = random_case(seed, rows=1)
    atoms = support(-10, 10, 51).double()
    projected = project(
        torch.tensor([reward], dtype=torch.float64),
        torch.tensor([discount], dtype=torch.float64),
        probabilities,
        atoms,
    )
    mean = reward + discount * expected_value(probabilities, atoms).item()
    assert expected_value(projected, atoms).item() == pytest.approx(mean, abs=1e-9)


def test_expected_value() -> None:
    probabilities = torch.tensor([[[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]])  # [1, 2, 3]
    values = expected_value(probabilities, torch.tensor([-1.0, 0.0, 1.0]))
    assert values.shape == (1, 2)
    assert values[0].tolist() == pytest.approx([0.3, -1.0])


def test_cross_entropy_by_hand() -> None:
    target = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    predicted = torch.tensor([[0.25, 0.75], [0.25, 0.75]])
    # -(ln 1/4 + ln 3/4) / 2 and -ln 1/4
    assert cross_entropy(target, predicted.log()).tolist() == pytest.approx([0.8369882, 1.3862944])


def test_kl_by_hand() -> None:
    target = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    predicted = torch.tensor([[0.25, 0.75], [0.25, 0.75], [0.25, 0.75]])
    # ln(2)/2 + ln(2/3)/2, ln 4, 0
    expected = [0.1438410, 1.3862944, 0.0]
    assert kl_divergence(target, predicted.log()).tolist() == pytest.approx(expected, abs=1e-6)


def test_zero_mass_meets_zero_probability() -> None:
    target = torch.tensor([[1.0, 0.0]])
    log_probabilities = torch.tensor([[0.0, -math.inf]], requires_grad=True)
    assert kl_divergence(target, log_probabilities).tolist() == [0]
    loss = cross_entropy(target, log_probabilities)
    loss.sum().backward()
    assert loss.tolist() == [0]
    assert log_probabilities.grad is not None
    assert log_probabilities.grad.tolist() == [[-1, 0]]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.0, 1e-4, 1.0, 30.0]))
def test_kl_is_never_negative_and_is_cross_entropy_less_entropy(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 51, generator=generator)
    target = logits.softmax(1)
    log_probabilities = (logits + scale * torch.randn(4, 51, generator=generator)).log_softmax(1)
    divergence = kl_divergence(target, log_probabilities)
    assert (divergence >= 0).all()
    entropy = -(target.double() * target.double().log()).sum(1)
    reference = -(target.double() * log_probabilities.double()).sum(1) - entropy
    torch.testing.assert_close(divergence.double(), reference, atol=1e-5, rtol=1e-5)
