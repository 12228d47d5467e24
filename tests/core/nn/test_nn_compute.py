"""The compute ledger gives the published costs, and what an operator count of a network gives."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rlvit.nn.compute import (
    VitShape,
    attended_macs,
    block_macs,
    class_attention_macs,
    dense_macs,
    embed_macs,
    keep_for_macs,
    mlp_macs,
    readout_macs,
    received_macs,
    vit_macs,
)
from rlvit.nn.lookahead import attended, received
from rlvit.nn.patches import patchify
from rlvit.nn.ragged import whole
from rlvit.nn.transformer import Block
from rlvit.nn.walk import class_attention

DEIT_B = VitShape(12, 768, 3072, 196, 768, 1000)
DEIT_S = VitShape(12, 384, 1536, 196, 768, 1000)
DEIT_T = VitShape(12, 192, 768, 196, 768, 1000)
SMALL = VitShape(4, 32, 128, 16, 48, 10)
DECISIONS = (3, 6, 9)


@pytest.mark.parametrize(("shape", "gmacs"), [(DEIT_B, 17.564), (DEIT_S, 4.599), (DEIT_T, 1.254)])
def test_dense_models_cost_what_is_published(shape: VitShape, gmacs: float) -> None:
    assert dense_macs(shape) / 1e9 == pytest.approx(gmacs, abs=5e-4)


def test_parts_by_hand() -> None:
    shape = VitShape(depth=2, dim=4, hidden=16, patches=9, patch_values=12, classes=5)
    assert block_macs(shape, 10) == 10 * (4 * 16 + 2 * 64) + 2 * 100 * 4
    assert embed_macs(shape) == 9 * 12 * 4
    assert readout_macs(shape) == 20
    assert dense_macs(shape) == 2 * 2720 + 432 + 20
    assert mlp_macs([964, 64, 256, 64, 2]) == 964 * 64 + 64 * 256 + 256 * 64 + 64 * 2
    assert mlp_macs([7]) == 0
    kept = torch.tensor([[9], [3], [0]])  # one decision before block 1
    costs = vit_macs(shape, kept, [1])
    assert costs.dtype == torch.int64
    assert costs.tolist() == [452 + 2720 + block_macs(shape, 1 + n) for n in (9, 3, 0)]


def test_pruned_deit_b() -> None:
    kept = torch.tensor([[137, 96, 67], [0, 0, 0]])  # .7, .49, .343 of 196; nothing
    usual, floor = (vit_macs(DEIT_B, kept, DECISIONS) / 1e9).tolist()
    assert usual == pytest.approx(11.064, abs=5e-4)
    assert floor == pytest.approx(4.542, abs=5e-4)
    assert vit_macs(DEIT_B, torch.full((1, 3), 196), DECISIONS).item() == dense_macs(DEIT_B)


def test_keep_for_macs_is_the_inverse() -> None:
    rho = keep_for_macs(DEIT_B, DECISIONS, 11.07482624e9)
    assert rho == pytest.approx(0.7, abs=1e-6)
    kept = torch.tensor([[196 * rho, 196 * rho**2, 196 * rho**3]], dtype=torch.float64)
    assert vit_macs(DEIT_B, kept, DECISIONS).item() == pytest.approx(11.07482624e9, rel=1e-9)
    assert keep_for_macs(DEIT_B, DECISIONS, dense_macs(DEIT_B)) == pytest.approx(1)


@pytest.mark.parametrize("target", [4.5e9, 17.6e9])
def test_keep_for_macs_refuses_what_cannot_be_reached(target: float) -> None:
    with pytest.raises(ValueError, match=r"4\.542 to 17\.56 can"):
        keep_for_macs(DEIT_B, DECISIONS, target)


@pytest.mark.parametrize("decisions", [(6, 3), (3, 3), (12,), (-1, 3)])
def test_decisions_must_be_rising_blocks(decisions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not rising block numbers below 12"):
        vit_macs(DEIT_B, torch.zeros(1, len(decisions)), decisions)


def test_kept_must_have_a_column_for_each_decision() -> None:
    with pytest.raises(ValueError, match="3 decisions"):
        vit_macs(DEIT_B, torch.zeros(4, 2), DECISIONS)


class _Vit(nn.Module):
    """A small Vision Transformer that keeps the first patches from some blocks on."""

    def __init__(self, kept: dict[int, int]) -> None:
        super().__init__()
        self.kept = kept  # block -> patches
        self.embed = nn.Linear(SMALL.patch_values, SMALL.dim)
        self.blocks = nn.ModuleList(Block(SMALL.dim, 4) for _ in range(SMALL.depth))
        self.head = nn.Linear(SMALL.dim, SMALL.classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.embed(patchify(images, 4))  # [B, 16, D]
        x = torch.cat([x.new_zeros(len(x), 1, SMALL.dim), x], dim=1)
        for number, block in enumerate(self.blocks):
            x = block(x[:, : 1 + self.kept.get(number, x.shape[1])])
        return self.head(x[:, 0])


@pytest.mark.parametrize("kept", [{}, {1: 9, 3: 4}, {2: 0}])
def test_ledger_agrees_with_counted_operators(kept: dict[int, int]) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        _Vit(kept)(torch.empty(2, 3, 16, 16))
    expected = dense_macs(SMALL)
    if kept:
        expected = vit_macs(SMALL, torch.tensor([list(kept.values())]), list(kept)).item()
    assert counter.get_total_flops() == 2 * 2 * expected  # 2 images, 2 operations a MAC


def test_class_attention_costs_what_is_counted_and_what_is_not() -> None:
    block, tokens = Block(32, 4), torch.randn(2, 17, 32)
    with FlopCounterMode(display=False) as counter:
        class_attention(block, whole(tokens))
    scores = 17 * 32  # a sum of products, which no operator count sees
    assert counter.get_total_flops() == 2 * 2 * (class_attention_macs(SMALL, 17) - scores)


WIDE = VitShape(2, 32, 48, 16, 48, 10, prefix=0, inner=4 * 24)  # 4 heads of 24 features


def wide_block() -> Block:
    return Block(32, 4, 48 / 32, head_dim=24, attention_bias=False)


def counted(look: Callable[[], object]) -> int:
    """The multiply-adds of what a function does."""
    with FlopCounterMode(display=False) as counter:
        look()
    return counter.get_total_flops() // 2


def test_heads_wider_than_their_share_by_hand() -> None:
    assert (WIDE.width, SMALL.width) == (96, 32)
    each = 32 * 3 * 96 + 96 * 32 + 2 * 32 * 48  # qkv, proj, MLP
    assert block_macs(WIDE, 16) == 16 * each + 2 * 16 * 16 * 96
    assert dense_macs(WIDE) == 16 * 48 * 32 + 2 * block_macs(WIDE, 16) + 320
    kept = torch.tensor([[16], [5]])
    by_hand = [dense_macs(WIDE), 16 * 48 * 32 + 2 * (5 * each + 2 * 25 * 96) + 320]
    assert vit_macs(WIDE, kept, [0]).tolist() == by_hand  # no class token is added
    with torch.device("meta"):  # on the CPU fused attention is not counted
        block, x = wide_block(), torch.empty(3, 16, 32)
    assert counted(lambda: block(x)) == 3 * block_macs(WIDE, 16)
    assert class_attention_macs(WIDE, 17) == 17 * 32 * 96 + 17 * 96 + 32 * 96


@pytest.mark.parametrize("tokens", [1, 16])
def test_a_look_ahead_costs_what_is_counted(tokens: int) -> None:
    block, ragged = wide_block(), whole(torch.randn(3, tokens, 32), 0)
    assert counted(lambda: received(block, ragged)) == 3 * received_macs(WIDE, tokens)
    # The values' projection is averaged over its outputs once for all images: 96 x 32.
    found = counted(lambda: attended(block, ragged))
    assert found - 96 * 32 == 3 * attended_macs(WIDE, 4, tokens)


def test_a_look_ahead_by_hand() -> None:
    assert received_macs(WIDE, 16) == 16 * 32 * 96 * 2 + 16 * 16 * 96
    assert attended_macs(WIDE, 4, 16) == 16 * 32 * (2 * 96 + 4) + 16 * 16 * (96 + 4)
    counts = torch.tensor([16, 1, 0])
    by_number = [received_macs(WIDE, count) for count in (16, 1, 0)]
    assert received_macs(WIDE, counts).tolist() == by_number
    by_number = [attended_macs(WIDE, 4, count) for count in (16, 1, 0)]
    assert attended_macs(WIDE, 4, counts).tolist() == by_number
    attention = 16 * 4 * 32 * 96 + 2 * 16 * 16 * 96  # all of it
    assert attended_macs(WIDE, 4, 16) < 0.55 * attention
