"""What is foreseen of a block is what the block computes, with less work and for any images."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rlvit.nn.lookahead import attended, can_be_attended, received
from rlvit.nn.ragged import Ragged, drop, pack, whole
from rlvit.nn.transformer import Block
from rlvit.nn.vision import import_timm
from rlvit.nn.walk import class_attention

BATCH, PATCHES, DIM, HEADS = 6, 11, 24, 4


def timm_block(**more: Any) -> Any:
    import_timm()
    module = importlib.import_module("timm.models.vision_transformer")
    return module.Block(DIM, HEADS, **more)


BLOCKS: dict[str, Any] = {
    "ours": lambda: Block(DIM, HEADS),
    "ours, wide heads without biases": lambda: Block(
        DIM, HEADS, head_dim=10, attention_bias=False, eps=1e-5
    ),
    "ours, narrow heads": lambda: Block(DIM, HEADS, head_dim=3),
    "timm": lambda: timm_block(qkv_bias=True),
    "timm, no bias of qkv": lambda: timm_block(qkv_bias=False),
    "timm, no bias of proj": lambda: timm_block(qkv_bias=True, proj_bias=False),
    "timm, all parts": lambda: timm_block(qkv_bias=True, qk_norm=True, init_values=0.1),
}


def stirred(block: Any) -> Any:
    """A block in which no weight, bias or norm is left at 0 or 1."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return block.eval()


def tokens_of(prefix: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return 3 * torch.randn(BATCH, prefix + PATCHES, DIM, generator=generator)


def images_of(prefix: int, kind: str) -> Ragged:
    """Whole images, as many patches of each, or 1, 3, 5, ... and 11 patches, not in order."""
    tokens = tokens_of(prefix)
    if kind == "whole":
        return whole(tokens, prefix)
    counts = torch.tensor([7] * BATCH if kind == "equal" else [5, 11, 1, 9, 3, 7])
    draws = torch.rand(BATCH, PATCHES, generator=torch.Generator().manual_seed(3))
    return pack(tokens, draws.argsort(1).argsort(1) < counts[:, None], prefix)


def naive(block: Any, ragged: Ragged) -> tuple[Tensor, Tensor]:
    """Attention of each image alone with all queries, keys, values and the projection.

    Returns for each patch the mean of the output's features, and the column means of the heads'
    attention matrices.
    """
    attn, prefix, outputs, columns = block.attn, ragged.layout.prefix, [], []
    for image in ragged.tokens.split(ragged.layout.lengths):
        qkv = attn.qkv(block.norm1(image)).view(len(image), 3, HEADS, -1)
        q, k, v = qkv.permute(1, 2, 0, 3)  # 3 x [H, L, d]
        if hasattr(attn, "q_norm"):
            q, k = attn.q_norm(q), attn.k_norm(k)
        shares = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)  # [H, L, L]
        output = attn.proj((shares @ v).transpose(0, 1).flatten(1))  # [L, D]
        outputs.append(output.mean(1)[prefix:])
        columns.append(shares.mean((0, 1))[prefix:])
    return torch.cat(outputs), torch.cat(columns)


@pytest.mark.parametrize("kind", ["whole", "equal", "ragged"])
@pytest.mark.parametrize("prefix", [0, 1])
@pytest.mark.parametrize("name", BLOCKS)
@torch.no_grad()
def test_both_are_what_the_block_computes(name: str, prefix: int, kind: str) -> None:
    block, ragged = stirred(BLOCKS[name]()), images_of(prefix, kind)
    assert can_be_attended(block)
    output, columns = naive(block, ragged)
    assert output.std() > 0.05  # there is something to tell apart
    assert (attended(block, ragged) - output).abs().max() <= 1e-5 * output.abs().max()
    torch.testing.assert_close(received(block, ragged), columns, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prefix", [0, 1])
@pytest.mark.parametrize("name", BLOCKS)
@torch.no_grad()
def test_attended_is_the_mean_of_what_the_attention_module_returns(name: str, prefix: int) -> None:
    block, tokens = stirred(BLOCKS[name]()), tokens_of(prefix)
    output = block.attn(block.norm1(tokens)).mean(2)[:, prefix:]  # [B, N]
    found = attended(block, whole(tokens, prefix)).view(BATCH, PATCHES)
    assert (found - output).abs().max() <= 1e-5 * output.abs().max()


@torch.no_grad()
def test_biases_count() -> None:
    block, ragged = stirred(Block(DIM, HEADS)), images_of(0, "ragged")
    before = attended(block, ragged)
    block.attn.proj.bias += 0.5
    torch.testing.assert_close(attended(block, ragged), before + 0.5)
    block.attn.qkv.bias[2 * DIM :] += 2.0  # of all values: goes through the projection
    more = 2 * block.attn.proj.weight.sum(1).mean()
    torch.testing.assert_close(attended(block, ragged), before + 0.5 + more)


@pytest.mark.parametrize("kind", ["whole", "ragged"])
@torch.no_grad()
def test_what_is_received_adds_up_to_one(kind: str) -> None:
    block, ragged = stirred(Block(DIM, HEADS)), images_of(0, kind)
    sums = torch.zeros(BATCH).index_add(0, ragged.layout.images, received(block, ragged))
    torch.testing.assert_close(sums, torch.ones(BATCH))
    ragged = images_of(1, kind)
    sums = torch.zeros(BATCH).index_add(0, ragged.layout.images, received(block, ragged))
    assert bool((sums < 1).all())  # the class token gets the rest
    assert bool((sums > 0).all())


@torch.no_grad()
def test_a_class_token_that_alone_looks_gives_what_class_attention_says() -> None:
    block, tokens = stirred(Block(DIM, HEADS)), tokens_of(1)
    tokens[:, 1:] = tokens[:, :1]  # all look as the class token does
    ragged = whole(tokens)
    torch.testing.assert_close(received(block, ragged), class_attention(block, ragged))


@torch.no_grad()
def test_images_do_not_see_one_another() -> None:
    block, ragged = stirred(Block(DIM, HEADS)), images_of(0, "ragged")
    alone = Ragged(ragged.tokens.clone(), ragged.layout)
    others = ragged.layout.owners != 3
    alone.tokens[others] = 100 * torch.rand(int(others.sum()), DIM)
    third = ragged.layout.images == 3
    for look in (attended, received):
        assert torch.equal(look(block, ragged)[third], look(block, alone)[third])
        assert not torch.allclose(look(block, ragged)[~third], look(block, alone)[~third])


@torch.no_grad()
def test_images_of_a_class_token_alone_have_nothing_to_say() -> None:
    block, ragged = stirred(Block(DIM, HEADS)), whole(tokens_of(1))
    gone = drop(ragged, torch.zeros(BATCH * PATCHES, dtype=torch.bool))
    some = drop(ragged, ragged.layout.images == 2)
    for look in (attended, received):
        assert look(block, gone).shape == (0,)
        assert look(block, some).shape == (PATCHES,)
        torch.testing.assert_close(look(block, some), look(block, ragged)[2 * PATCHES :][:PATCHES])


@torch.no_grad()
def test_under_autocast_both_stay_near() -> None:
    block = stirred(Block(DIM, HEADS))
    for kind in ("whole", "ragged"):
        ragged = images_of(0, kind)
        expected = naive(block, ragged)
        with torch.autocast("cpu", torch.bfloat16):
            found = attended(block, ragged), received(block, ragged)
        for mine, theirs in zip(found, expected, strict=True):
            assert (mine - theirs).abs().max() < 0.05 * theirs.abs().max()


class Gated(nn.Module):
    """timm's gate on the output of attention, on an attention of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = Block(DIM, HEADS).attn
        self.attn.gate = nn.Linear(DIM, DIM)
        self.norm1 = nn.LayerNorm(DIM)


@torch.no_grad()
def test_what_is_changed_before_the_projection_is_refused_and_not_misjudged() -> None:
    ragged = images_of(1, "whole")
    normed = stirred(timm_block(qkv_bias=True, scale_attn_norm=True, norm_layer=nn.LayerNorm))
    for block in (normed, Gated()):
        assert not can_be_attended(block)
        with pytest.raises(ValueError, match="norm or a gate before the projection"):
            attended(block, ragged)
    # The attention matrix does not depend on what comes after it.
    torch.testing.assert_close(received(normed, ragged), naive(normed, ragged)[1])
    # A wrong number it would have been.
    real = normed.attn(normed.norm1(tokens_of(1))).mean(2)[:, 1:]
    normed.attn.norm = nn.Identity()
    assert (attended(normed, ragged).view(BATCH, -1) - real).abs().max() > 0.1 * real.abs().max()


def test_gradients_flow_as_through_the_naive_form() -> None:
    block, ragged = stirred(Block(DIM, HEADS)).double(), images_of(0, "ragged")
    ragged = Ragged(ragged.tokens.double(), ragged.layout)
    weight = torch.rand(len(ragged.layout.positions), dtype=torch.float64)
    parameters = [block.attn.qkv.weight, block.attn.qkv.bias, block.attn.proj.weight]
    mine = torch.autograd.grad((attended(block, ragged) * weight).sum(), parameters)
    theirs = torch.autograd.grad((naive(block, ragged)[0] * weight).sum(), parameters)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)  # the softmax is in float32


def test_ragged_images_of_these_tests_are_padded() -> None:
    ragged = images_of(0, "ragged")
    buckets = ragged.layout.buckets(1)
    assert buckets.shapes == ((BATCH, PATCHES),)
    assert buckets.masks[0] is not None
    lengths = buckets.masks[0].sum((1, 2, 3)).tolist()
    assert lengths == sorted(ragged.layout.lengths) == [1, 3, 5, 7, 9, 11]
