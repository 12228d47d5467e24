"""The transformer parts agree with formulas written out by hand."""

import math

import pytest
import torch

from rlvit.nn.patches import patchify
from rlvit.nn.positions import sincos_2d
from rlvit.nn.transformer import Block


@pytest.fixture
def block() -> Block:
    """A block in float64 with random weights, biases and norms."""
    block = Block(16, 4).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return block


def _by_hand(block: Block, x: torch.Tensor, key_mask: torch.Tensor | None) -> torch.Tensor:
    state = block.state_dict()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-6).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    q, k, v = linear(norm(x, "norm1"), "attn.qkv").chunk(3, dim=-1)
    heads = []
    for head in range(4):
        part = slice(4 * head, 4 * head + 4)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(4)
        if key_mask is not None:
            scores = scores.masked_fill(~key_mask[:, None, :], -torch.inf)
        heads.append(scores.softmax(-1) @ v[..., part])
    x = x + linear(torch.cat(heads, dim=-1), "attn.proj")
    hidden = linear(norm(x, "norm2"), "mlp.fc1")
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return x + linear(hidden, "mlp.fc2")


@pytest.mark.parametrize("masked", [False, True])
def test_block_computes_the_pre_norm_formula(block: Block, masked: bool) -> None:
    x = torch.randn(3, 7, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    key_mask = torch.ones(3, 7, dtype=torch.bool)
    key_mask[0, 5:] = key_mask[2, 1] = False
    mask = key_mask if masked else None
    torch.testing.assert_close(block(x, mask), _by_hand(block, x, mask))


def test_masked_tokens_reach_nobody(block: Block) -> None:
    x = torch.randn(1, 5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    key_mask = torch.tensor([[True, True, False, True, True]])
    other = x.clone()
    other[0, 2] += 1
    kept = [0, 1, 3, 4]
    assert torch.equal(block(x, key_mask)[:, kept], block(other, key_mask)[:, kept])


def test_block_has_the_published_parameter_names(block: Block) -> None:
    layers = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    assert set(block.state_dict()) == {f"{x}.{y}" for x in layers for y in ("weight", "bias")}
    assert block.mlp.fc1.out_features == 64


def test_block_rejects_heads_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="3 heads"):
        Block(16, 3)


def test_patchify_orders_patches_by_row_and_values_by_row_column_channel() -> None:
    frames = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    patches = patchify(frames, 2)
    assert patches.shape == (2, 6, 12)
    for patch, (row, column) in enumerate((r, c) for r in (0, 2) for c in (0, 2, 4)):
        corner = frames[:, :, row : row + 2, column : column + 2]
        assert torch.equal(patches[:, patch], corner.permute(0, 2, 3, 1).flatten(1))


def test_patchify_rejects_frames_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="4x5"):
        patchify(torch.zeros(1, 3, 4, 5), 2)


def test_positions_code_the_column_first_then_the_row() -> None:
    table = sincos_2d(8, 2, 3, cls_row=True)
    assert table.dtype == torch.float32
    assert torch.equal(table[0], torch.zeros(8))
    row, column = 1, 2
    expected = [
        function(coordinate * frequency)
        for coordinate in (column, row)
        for function in (math.sin, math.cos)
        for frequency in (1.0, 0.01)
    ]
    torch.testing.assert_close(table[1 + row * 3 + column], torch.tensor(expected))
    assert torch.equal(sincos_2d(8, 2, 3, cls_row=False), table[1:])


def test_positions_reject_a_dimension_that_is_no_multiple_of_four() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        sincos_2d(6, 2, 2, cls_row=False)


def test_positions_with_an_endpoint_are_those_of_the_plain_vit_baselines() -> None:
    dim, rows, columns = 16, 3, 4
    table = sincos_2d(dim, rows, columns, cls_row=False, endpoint=True)
    assert table.shape == (12, 16)
    assert table.dtype == torch.float32
    for row in range(rows):
        for column in range(columns):
            expected = [
                function(coordinate / 10000 ** (i / 3))
                for coordinate in (column, row)
                for function in (math.sin, math.cos)
                for i in range(4)
            ]
            torch.testing.assert_close(table[row * columns + column], torch.tensor(expected))
    assert not torch.equal(table, sincos_2d(dim, rows, columns, cls_row=False))


def test_positions_with_an_endpoint_need_two_frequencies() -> None:
    assert sincos_2d(8, 2, 2, cls_row=False, endpoint=True).isfinite().all()
    for dim in (4, 10):
        with pytest.raises(ValueError, match=f"multiple of 4 features.*{dim}"):
            sincos_2d(dim, 2, 2, cls_row=False, endpoint=True)


@pytest.mark.parametrize("masked", [False, True])
def test_wide_heads_without_biases_compute_the_formula(masked: bool) -> None:
    block = Block(16, 3, 1.5, head_dim=10, attention_bias=False, eps=0.1).double()
    generator = torch.Generator().manual_seed(5)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    assert block.attn.qkv.weight.shape == (90, 16)
    assert block.attn.proj.weight.shape == (16, 30)
    assert block.attn.qkv.bias is block.attn.proj.bias is None
    assert block.mlp.fc1.out_features == 24
    x = torch.randn(2, 5, 16, dtype=torch.float64, generator=generator)
    key_mask = torch.tensor([[True] * 5, [True, False, True, True, False]])
    state = block.state_dict()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 0.1).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    q, k, v = (norm(x, "norm1") @ state["attn.qkv.weight"].T).chunk(3, dim=-1)
    heads = []
    for head in range(3):
        part = slice(10 * head, 10 * head + 10)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(10)
        if masked:
            scores = scores.masked_fill(~key_mask[:, None, :], -torch.inf)
        heads.append(scores.softmax(-1) @ v[..., part])
    y = x + torch.cat(heads, dim=-1) @ state["attn.proj.weight"].T
    hidden = norm(y, "norm2") @ state["mlp.fc1.weight"].T + state["mlp.fc1.bias"]
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    expected = y + hidden @ state["mlp.fc2.weight"].T + state["mlp.fc2.bias"]
    torch.testing.assert_close(block(x, key_mask if masked else None), expected)
