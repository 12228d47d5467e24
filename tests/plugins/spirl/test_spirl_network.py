"""Holds SPIRL's network to a full transformer block, the dueling formula and its published size."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rlvit.rl.noisy import NoisyLinear
from rlvit_spirl.network import DuelingHead, PatchAttention, SpirlNetwork

PAPER = {"dim": 32, "heads": 8, "hidden": 256, "atoms": 51, "residual": False, "noise": 0.5}


def stream(seed: int = 0) -> torch.Generator:
    """A random stream."""
    return torch.Generator().manual_seed(seed)


def make_network(actions: int = 18, **options: Any) -> SpirlNetwork:
    """A network of the paper's shapes."""
    return SpirlNetwork(actions, generator=stream(), **{**PAPER, **options})


def stir(module: torch.nn.Module) -> None:
    """Move every parameter, so that zero biases and unit norms hide nothing."""
    generator = stream(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)


def whole_block(attention: PatchAttention, frames: Tensor) -> Tensor:
    """All tokens [F, 1 + L, dim] after a pre-norm block in float64, query by query."""
    w = {name: value.detach().double() for name, value in attention.state_dict().items()}

    def linear(name: str, x: Tensor) -> Tensor:
        return torch.einsum("...i,oi->...o", x, w[f"{name}.weight"]) + w[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        deviation = (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
        return (x - x.mean(-1, keepdim=True)) / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = linear("project", frames.double())
    x = torch.cat([w["cls_token"].expand(len(x), 1, -1), x], dim=1)
    joint = linear("qkv", norm("norm1", x))  # [F, T, 3 * dim]: queries, keys, values
    frames_, tokens, dim = x.shape
    width = dim // attention.heads
    mixed = torch.zeros(frames_, tokens, dim, dtype=torch.float64)
    for head in range(attention.heads):
        q, k, v = (joint[..., part * dim + head * width :][..., :width] for part in range(3))
        for token in range(tokens):
            scores = torch.einsum("fd,ftd->ft", q[:, token], k) / math.sqrt(width)
            share = scores.exp() / scores.exp().sum(1, keepdim=True)
            mixed[:, token, head * width : (head + 1) * width] = torch.einsum(
                "ft,ftd->fd", share, v
            )
    out = linear("attended", mixed)
    x = x + out if attention.residual else out
    hidden = linear("fc1", norm("norm2", x))
    out = linear("fc2", hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2))))
    return x + out if attention.residual else out


@pytest.mark.parametrize("residual", [False, True])
def test_the_network_has_the_published_number_of_parameters(residual: bool) -> None:
    network = make_network(residual=residual)
    assert sum(parameter.numel() for parameter in network.parameters()) == 645_093


def test_fewer_actions_take_away_rows_of_the_last_advantage_layer_only() -> None:
    count = sum(parameter.numel() for parameter in make_network(actions=9).parameters())
    assert count == 645_093 - 9 * 51 * 2 * (256 + 1)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("length", [1, 14, 28])
def test_the_class_token_alone_gives_what_a_full_block_gives(residual: bool, length: int) -> None:
    attention = PatchAttention(32, 8, residual=residual, generator=stream())
    stir(attention)
    frames = torch.randn(6, length, 64, generator=stream(1))
    frames[0] = 0  # a frame before the episode
    frames[1, length // 2 :] = 0  # padded patches
    expected = whole_block(attention, frames)[:, 0]
    torch.testing.assert_close(attention(frames).double(), expected, rtol=1e-5, atol=1e-5)


def test_zero_padded_patches_take_part_in_the_attention() -> None:
    attention = PatchAttention(32, 8, residual=True, generator=stream())
    stir(attention)
    frames = torch.randn(3, 20, 64, generator=stream(1))
    frames[:, 12:] = 0
    torch.testing.assert_close(
        attention(frames).double(), whole_block(attention, frames)[:, 0], rtol=1e-5, atol=1e-5
    )
    # A padded patch is a token like any other, made from the projection's bias.
    difference = (attention(frames) - attention(frames[:, :12])).abs().amax(1)
    assert (difference > 1e-2).all()


def test_frames_are_summarised_apart_and_put_together_oldest_first() -> None:
    network = make_network()
    stir(network)
    stacks = torch.randn(5, 4, 14, 64, generator=stream(1))
    apart = torch.stack([network.summarise(stacks[:, i]) for i in range(4)], dim=1)  # [B, 4, dim]
    together = network.summarise(stacks.flatten(0, 1))
    torch.testing.assert_close(together.unflatten(0, (5, 4)), apart)
    expected = network.head(apart.flatten(1), noisy=True)
    torch.testing.assert_close(network(stacks, noisy=True), expected)
    turned = network(stacks.flip(1), noisy=True)
    assert not torch.allclose(turned, expected, atol=1e-3)


def test_the_gradient_into_the_attention_is_scaled_and_the_head_s_is_not() -> None:
    network = make_network()
    stir(network)
    network.double()
    stacks = torch.randn(3, 4, 14, 64, generator=stream(1), dtype=torch.float64)
    weights = torch.randn(3, 18, 51, generator=stream(2), dtype=torch.float64)

    def gradients(output: Tensor) -> dict[str, Tensor]:
        network.zero_grad()
        (output * weights).sum().backward()
        return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}

    found = gradients(network(stacks, noisy=True))
    state = network.summarise(stacks.flatten(0, 1)).reshape(3, -1)
    plain = gradients(network.head(state, noisy=True))
    assert found.keys() == plain.keys()
    for name, gradient in plain.items():
        if name.startswith("head."):
            assert torch.equal(found[name], gradient), name
        else:
            expected = gradient * 2**-0.5
            torch.testing.assert_close(found[name], expected, rtol=1e-9, atol=1e-9, msg=name)
            assert gradient.abs().max() > 1e-3, name
    missing = {name for name, _ in network.named_parameters()} - found.keys()
    assert missing == {"attention.unused_norm.weight", "attention.unused_norm.bias"}


def test_the_scale_is_exactly_one_over_the_root_of_two() -> None:
    network = make_network()
    summaries = torch.randn(8, 32, generator=stream(1))
    seen = []
    for scaled in (True, False):
        leaf = summaries.clone().requires_grad_()
        state = leaf.reshape(2, -1)
        output = network.decide(leaf, noisy=True) if scaled else network.head(state, noisy=True)
        output[:, 0, 0].sum().backward()
        seen.append(leaf.grad)
    assert torch.equal(seen[0], seen[1] * 2**-0.5)


def test_no_gradient_no_hook() -> None:
    with torch.no_grad():
        output = make_network()(torch.zeros(1, 4, 14, 64), noisy=True)
    assert not output.requires_grad


def test_log_probabilities_of_every_action_sum_to_one() -> None:
    network = make_network()
    stir(network)
    stacks = 30 * torch.randn(4, 4, 28, 64, generator=stream(1))
    for noisy in (True, False):
        output = network(stacks, noisy=noisy)
        assert output.shape == (4, 18, 51)
        torch.testing.assert_close(output.exp().sum(-1), torch.ones(4, 18))


def test_value_and_advantages_combine_as_computed_by_hand() -> None:
    head = DuelingHead(2, 1, actions=3, atoms=2, noise=0.0, generator=stream())

    def put(layer: NoisyLinear, weight: list[list[float]], bias: list[float]) -> None:
        layer.weight_mu.copy_(torch.tensor(weight))
        layer.bias_mu.copy_(torch.tensor(bias))

    with torch.no_grad():
        put(head.advantage1, [[1.0, -1.0]], [0.5])  # state [2, 1] -> relu(1.5)
        put(head.advantage2, [[2.0], [0.0], [0.0], [4.0], [-2.0], [2.0]], [0.0] * 6)
        head.advantage_bias.copy_(torch.tensor([100.0, -7.0]))  # the same for all actions
        put(head.value1, [[-1.0, 0.0]], [0.0])  # relu(-2) = 0
        put(head.value2, [[5.0], [5.0]], [1.0, 0.0])
        output = head(torch.tensor([[2.0, 1.0]]), noisy=True)[0]
    # Advantages: [3, 0], [0, 6], [-3, 3], plus the bias; their mean: [0, 3] plus the bias.
    # Logits: value [1, 0] + [3, -3], [0, 3], [-3, 0].
    logits = torch.tensor([[4.0, -3.0], [1.0, 3.0], [-2.0, 0.0]])
    torch.testing.assert_close(output, logits - torch.logsumexp(logits, 1, keepdim=True))


def test_without_noise_the_mean_weights_decide() -> None:
    network, silent = make_network(), make_network()
    with torch.no_grad():
        for name, parameter in silent.named_parameters():
            if name.endswith("_sigma"):
                parameter.zero_()
    stacks = torch.randn(3, 4, 14, 64, generator=stream(1))
    plain = network(stacks, noisy=False)
    torch.testing.assert_close(plain, silent(stacks, noisy=True))
    assert not torch.allclose(plain, network(stacks, noisy=True), atol=1e-3)
    network.head.place(network.head.draw(stream(5)))
    assert torch.equal(network(stacks, noisy=False), plain)


def test_resampling_redraws_all_four_noisy_layers() -> None:
    network = make_network()
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.head.place(network.head.draw(stream(5)))
    assert len(before) == 8
    for name, value in network.named_buffers():
        assert not torch.equal(value, before[name]), name


def test_the_same_stream_builds_the_same_network() -> None:
    left, right, other = (
        make_network(),
        make_network(),
        SpirlNetwork(18, generator=stream(1), **PAPER),
    )
    for name, value in left.state_dict().items():
        assert torch.equal(value, right.state_dict()[name]), name
    assert not torch.equal(left.attention.qkv.weight, other.attention.qkv.weight)


def test_initial_weights_follow_the_published_code() -> None:
    network = make_network()
    attention = network.attention
    for layer in (attention.project, attention.qkv, attention.attended, attention.fc1):
        bound = math.sqrt(6 / sum(layer.weight.shape))
        assert 0.9 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()
    assert 0 < attention.cls_token.abs().max() < 0.1
    layer = network.head.advantage1
    torch.testing.assert_close(layer.weight_sigma, torch.full((256, 128), 0.5 / math.sqrt(128)))
    assert not network.head.advantage_bias.any()


def poolings(attention: PatchAttention, frames: Tensor, kept: Tensor) -> Tensor:
    """Return the average over kept patches [F, L] of a block in which only they are attended to.

    The softmax is over all tokens; what is not kept then counts as nothing.
    """
    w = {name: value.detach().double() for name, value in attention.state_dict().items()}

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        return torch.nn.functional.layer_norm(
            x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-6
        )

    outs = []
    for frame, real in zip(frames.double(), kept, strict=True):  # [L, 64], [L]
        x = linear("project", frame)
        q, k, v = linear("qkv", norm("norm1", x)).chunk(3, dim=-1)
        heads = []
        for part in range(attention.heads):
            width = q.shape[-1] // attention.heads
            cut = slice(part * width, (part + 1) * width)
            scores = (q[:, cut] @ k[:, cut].T / math.sqrt(width)).exp()
            weights = scores / scores.sum(1, keepdim=True) * real
            heads.append(weights @ v[:, cut])
        x = x + linear("attended", torch.cat(heads, dim=1))
        hidden = linear("fc1", norm("norm2", x))
        x = x + linear("fc2", torch.nn.functional.gelu(hidden))
        outs.append((x * real[:, None]).sum(0) / max(1, int(real.sum())))
    return torch.stack(outs)


def padded_frames(length: int = 20) -> Tensor:
    """Frames [3, L, 64]: a whole one, one with 12 patches, one before its episode."""
    frames = torch.randn(3, length, 64, generator=stream(1))
    frames[1, 12:] = 0
    frames[2] = 0
    return frames


def test_the_average_is_over_all_patches_but_those_that_are_masked() -> None:
    frames = padded_frames()
    for padding, kept in (
        ("zero", torch.ones(3, 20, dtype=torch.bool)),
        ("masked", frames.any(-1)),
    ):
        attention = PatchAttention(
            32, 8, residual=True, generator=stream(), pooling="average", padding=padding
        )
        stir(attention)
        assert not hasattr(attention, "cls_token")
        torch.testing.assert_close(
            attention(frames).double(), poolings(attention, frames, kept), rtol=1e-5, atol=1e-5
        )


def test_masked_patches_get_no_attention_and_their_share_goes_to_nobody() -> None:
    attention = PatchAttention(32, 8, residual=True, generator=stream(), padding="masked")
    stir(attention)
    frames = padded_frames()
    masked = attention(frames)
    plain = PatchAttention(32, 8, residual=True, generator=stream())
    plain.load_state_dict(attention.state_dict())
    torch.testing.assert_close(masked[0], plain(frames)[0], rtol=1e-5, atol=1e-6)  # none missing
    # With the values of missing patches at zero an attention to them adds nothing.
    with torch.no_grad():
        dim = 32
        alone = plain.norm1(plain.cls_token[None])  # the class token is what is left
        weight, bias = plain.qkv.weight, plain.qkv.bias
        q, k, v = (alone @ weight[i * dim :][:dim].T + bias[i * dim :][:dim] for i in range(3))
        pad = plain.norm1(plain.project(torch.zeros(1, 64)))
        pad_key = pad @ weight[dim : 2 * dim].T + bias[dim : 2 * dim]

        def scores(key: Tensor) -> Tensor:
            return (q.unflatten(-1, (8, 4)) * key.unflatten(-1, (8, 4))).sum(-1)[0] / 2  # [heads]

        own, theirs = scores(k).exp(), 20 * scores(pad_key).exp()
        mixed = (own / (own + theirs))[:, None] * v.unflatten(-1, (8, 4))[0]
        x = plain.attended(mixed.flatten())[None] + plain.cls_token
        x = x + plain.fc2(torch.nn.functional.gelu(plain.fc1(plain.norm2(x))))
    torch.testing.assert_close(masked[2:], x, rtol=1e-4, atol=1e-5)


def test_a_trainable_token_stands_for_missing_patches_and_learns() -> None:
    attention = PatchAttention(32, 8, residual=True, generator=stream(), padding="token")
    stir(attention)
    frames = padded_frames()
    filled = frames.clone()
    filled[1, 12:] = attention.pad_token.detach()
    filled[2] = attention.pad_token.detach()
    plain = PatchAttention(32, 8, residual=True, generator=stream())
    plain.load_state_dict(attention.state_dict(), strict=False)
    torch.testing.assert_close(attention(frames), plain(filled))
    attention(frames).sum().backward()
    assert attention.pad_token.grad is not None
    assert attention.pad_token.grad.abs().max() > 0


def test_the_options_of_tables_14_and_15_change_the_number_of_parameters_as_they_should() -> None:
    def count(**options: Any) -> int:
        return sum(parameter.numel() for parameter in make_network(**options).parameters())

    assert count(pooling="average") == 645_093 - 32
    assert count(padding="token") == 645_093 + 64
    assert count(padding="masked") == 645_093
