"""The Q-network: initialisation, normalisation, cost, and how its target follows it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from rlvit_agentvit.network import QNetwork, soft_update


def make(patches: int = 64, *, normalise: bool = False, seed: int = 0) -> QNetwork:
    generator = torch.Generator().manual_seed(seed)
    return QNetwork(patches, normalise=normalise, generator=generator)


def linears(network: QNetwork) -> list[nn.Linear]:
    return [layer for layer in network.layers if isinstance(layer, nn.Linear)]


def test_cost_and_size_at_64_patches() -> None:
    network = make()
    assert network.macs == 64 * 1024 + 1024 * 256 + 256 * 64 == 344_064
    assert sum(p.numel() for p in network.parameters()) == 344_064 + 1024 + 256 + 64
    assert network(torch.zeros(5, 64)).shape == (5, 64)


def test_initialisation_is_torchs_own_from_the_given_generator() -> None:
    ours = make(seed=7)
    before = torch.random.get_rng_state()
    try:
        torch.manual_seed(7)
        theirs = [nn.Linear(64, 1024), nn.Linear(1024, 256), nn.Linear(256, 64)]
    finally:
        torch.random.set_rng_state(before)
    for our, their in zip(linears(ours), theirs, strict=True):
        assert torch.equal(our.weight, their.weight)
        assert torch.equal(our.bias, their.bias)


def test_the_global_generator_is_not_touched() -> None:
    before = torch.random.get_rng_state()
    make()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_scores_by_hand() -> None:
    network = make(2)
    with torch.no_grad():
        for layer in linears(network):
            layer.weight.zero_()
            layer.bias.zero_()
        first, second, third = linears(network)
        first.weight[0] = torch.tensor([1.0, -1.0])  # hidden unit 0 is s_0 - s_1
        second.weight[0, 0] = 2.0
        third.weight[:, 0] = torch.tensor([1.0, -3.0])
        third.bias += 0.5
    state = torch.tensor([[5.0, 2.0], [2.0, 5.0]])  # differences 3 and -3; ReLU drops the second
    assert network(state).tolist() == [[6.5, -17.5], [0.5, 0.5]]


def test_normalised_states_differ_neither_in_scale_nor_in_shift() -> None:
    network = make(8, normalise=True)
    state = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(1e-3 * state), network(state), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(state + 3), network(state), rtol=1e-4, atol=1e-5)


def test_the_norm_is_that_of_the_population() -> None:
    normalised, plain = make(2, normalise=True), make(2)
    state = torch.tensor([[0.001, 0.003]])  # mean .002, standard deviation .001
    torch.testing.assert_close(normalised(state), plain(torch.tensor([[-1.0, 1.0]])))


def test_a_constant_state_gives_finite_scores() -> None:
    assert make(8, normalise=True)(torch.full((2, 8), 0.123)).isfinite().all()


def test_low_precision_states_are_taken() -> None:
    state = torch.randn(2, 8, generator=torch.Generator().manual_seed(1)).bfloat16()
    network = make(8)
    assert torch.equal(network(state), network(state.float()))
    assert network(state).dtype == torch.float32


@pytest.mark.parametrize("tau", [0.0, 0.1, 0.7, 1.0])
def test_soft_update_moves_by_tau(tau: float) -> None:
    target, online = make(4, seed=1), make(4, seed=2)
    old = [p.detach().clone() for p in target.parameters()]
    places = [p.data_ptr() for p in target.parameters()]
    soft_update(target, online, tau)
    for before, now, goal in zip(old, target.parameters(), online.parameters(), strict=True):
        torch.testing.assert_close(now.detach(), before + tau * (goal.detach() - before))
    assert [p.data_ptr() for p in target.parameters()] == places


def test_soft_update_of_one_copies_exactly_and_keeps_what_needs_a_gradient() -> None:
    target, online = make(4, seed=1), make(4, seed=2)
    soft_update(target, online, 1.0)
    for now, goal in zip(target.parameters(), online.parameters(), strict=True):
        assert torch.equal(now, goal)
        assert now.is_leaf
        assert now.requires_grad


def test_repeated_soft_updates_close_in_geometrically() -> None:
    target, online = make(4, seed=1), make(4, seed=2)
    first = next(target.parameters())
    goal = next(online.parameters()).detach()
    distance = (first.detach() - goal).norm().item()
    for _ in range(10):
        soft_update(target, online, 0.1)
    assert (first.detach() - goal).norm().item() == pytest.approx(distance * 0.9**10, rel=1e-4)


def test_bounds_of_the_initialisation() -> None:
    for layer in linears(make()):
        bound = 1 / math.sqrt(layer.in_features)
        assert layer.weight.abs().max().item() <= bound
        assert layer.weight.abs().max().item() > 0.99 * bound
        assert layer.bias.abs().max().item() <= bound
