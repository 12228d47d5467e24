"""The noisy layer's initialisation, statistics and determinism."""

import math

import pytest
import torch

from rlvit.rl.noisy import NoisyLinear


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_initial_values() -> None:
    layer = NoisyLinear(64, 256, sigma0=0.5, generator=seeded(0))
    assert layer.weight_mu.shape == (256, 64)
    assert layer.weight_mu.abs().max() <= 1 / 8
    assert layer.weight_mu.abs().max() > 0.99 / 8
    # U(-1/8, 1/8) has standard deviation 1 / (8 sqrt 3)
    assert layer.weight_mu.std().item() == pytest.approx(1 / (8 * math.sqrt(3)), rel=0.02)
    assert layer.bias_mu.abs().max() <= 1 / 8
    assert (layer.weight_sigma == 0.5 / 8).all()
    assert (layer.bias_sigma == 0.5 / 16).all()


def test_forward_by_hand() -> None:
    layer = NoisyLinear(2, 1, generator=seeded(0))
    with torch.no_grad():
        layer.weight_mu.copy_(torch.tensor([[1.0, 2.0]]))
        layer.weight_sigma.copy_(torch.tensor([[0.5, 0.25]]))
        layer.bias_mu.fill_(3.0)
        layer.bias_sigma.fill_(0.125)
        layer.eps_in.copy_(torch.tensor([2.0, -4.0]))
        layer.eps_out.fill_(3.0)
    x = torch.tensor([[10.0, 100.0]])
    # weights 1 + .5*3*2 = 4 and 2 - .25*3*4 = -1, bias 3 + .125*3
    assert layer(x).item() == 40 - 100 + 3.375
    assert layer(x, noisy=False).item() == 10 + 200 + 3


def test_means_only_is_exactly_the_linear_layer() -> None:
    layer = NoisyLinear(7, 5, generator=seeded(0))
    x = torch.randn(3, 7, generator=seeded(1))
    expected = torch.nn.functional.linear(x, layer.weight_mu, layer.bias_mu)
    assert torch.equal(layer(x, noisy=False), expected)
    assert not torch.equal(layer(x), expected)


def test_mean_and_variance_over_resamples() -> None:
    layer = NoisyLinear(6, 4, generator=seeded(0))
    with torch.no_grad():
        layer.weight_sigma.copy_(torch.rand(4, 6, generator=seeded(1)))
        layer.bias_sigma.copy_(torch.rand(4, generator=seeded(2)))
    x = torch.randn(6, generator=seeded(3))
    generator, draws = seeded(4), []
    with torch.no_grad():
        for _ in range(8000):
            layer.resample(generator)
            draws.append(layer(x))
        mean = layer(x, noisy=False)
    outputs = torch.stack(draws).double()  # [8000, 4]
    # E f(e)^2 = E|e| = c; out = f_o (sum_i sigma_i x_i f_i + sigma_b) has variance
    # c (c sum_i sigma_i^2 x_i^2 + sigma_b^2)
    c = math.sqrt(2 / math.pi)
    variance = c * (c * (layer.weight_sigma**2 * x**2).sum(1) + layer.bias_sigma**2).double()
    standard_error = (variance / len(draws)).sqrt()
    assert ((outputs.mean(0) - mean).abs() < 4 * standard_error).all()
    torch.testing.assert_close(outputs.var(0), variance.detach(), rtol=0.1, atol=0)


def test_noise_is_the_signed_root_of_a_normal() -> None:
    generator = seeded(5)
    layer = NoisyLinear(300, 200, generator=seeded(0))
    layer.resample(generator)
    replay = seeded(5)
    for buffer in (layer.eps_in, layer.eps_out):
        normal = torch.randn(len(buffer), generator=replay)
        torch.testing.assert_close(buffer, torch.sign(normal) * torch.sqrt(normal.abs()))


def test_noise_is_shared_over_the_batch_and_stays_until_resampled() -> None:
    layer = NoisyLinear(4, 3, generator=seeded(0))
    x = torch.randn(1, 4, generator=seeded(1))
    rows = layer(x.repeat(5, 1))
    torch.testing.assert_close(rows, rows[:1].expand(5, 3))
    assert torch.equal(layer(x), layer(x))
    before = layer(x)
    layer.resample(seeded(2))
    assert not torch.equal(layer(x), before)


def test_determined_by_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = NoisyLinear(4, 3, generator=seeded(7))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = NoisyLinear(4, 3, generator=seeded(7))
    second.resample(seeded(8))
    first.resample(seeded(8))
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


def test_noise_is_part_of_the_state() -> None:
    layer = NoisyLinear(4, 3, generator=seeded(0))
    other = NoisyLinear(4, 3, generator=seeded(1))
    other.load_state_dict(layer.state_dict())
    x = torch.randn(2, 4, generator=seeded(2))
    assert torch.equal(layer(x), other(x))
    assert {name for name, _ in layer.named_buffers()} == {"eps_in", "eps_out"}


def test_gradients_reach_means_and_sigmas() -> None:
    layer = NoisyLinear(2, 1, generator=seeded(0))
    x = torch.tensor([[3.0, 5.0]])
    layer(x).sum().backward()
    assert layer.weight_mu.grad is not None
    assert layer.weight_sigma.grad is not None
    assert torch.equal(layer.weight_mu.grad, x)
    torch.testing.assert_close(layer.weight_sigma.grad, x * layer.eps_in * layer.eps_out)
