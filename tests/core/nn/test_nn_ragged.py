"""Packed tokens give what the masked network gives, for any number of tokens an image."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit.nn import packed_attention
from rlvit.nn.packed_attention import attend
from rlvit.nn.ragged import Ragged, drop, pack, whole
from rlvit.nn.transformer import Block
from rlvit.nn.walk import class_attention, masked_block, run_block

BATCH, PATCHES, DIM, HEADS = 12, 20, 32, 4
EXACT = ("auto", "each", "padded", "buckets")


class Scale(nn.Module):
    """timm's LayerScale."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(DIM) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


@pytest.fixture
def blocks() -> list[Block]:
    """Three blocks in evaluation mode; the last has all of timm's optional parts."""
    torch.manual_seed(1)
    blocks = [Block(DIM, HEADS).eval() for _ in range(3)]
    for block in blocks:
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=0.3)
    last = blocks[2]
    last.ls1, last.ls2 = Scale(), Scale()
    last.attn.q_norm, last.attn.k_norm = nn.LayerNorm(DIM // HEADS), nn.LayerNorm(DIM // HEADS)
    last.attn.norm, last.attn.proj_drop = nn.LayerNorm(DIM), nn.Dropout(0.5).eval()
    last.drop_path1, last.drop_path2 = nn.Dropout(0.5).eval(), nn.Identity()
    return blocks


@pytest.fixture
def tokens() -> Tensor:
    return 5 * torch.randn(BATCH, 1 + PATCHES, DIM, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def keeps() -> list[Tensor]:
    """Masks [B, N] of two decisions: image 0 loses all at once, 1 keeps all, 2 loses all later."""
    generator = torch.Generator().manual_seed(3)
    share = torch.rand(BATCH, 1, generator=generator)
    first = torch.rand(BATCH, PATCHES, generator=generator) < share
    first[0], first[1], first[2] = False, True, True
    second = first & (torch.rand(BATCH, PATCHES, generator=generator) < 0.6)
    second[1], second[2] = True, False
    return [first, second]


def _packed(blocks: list[Block], tokens: Tensor, keeps: list[Tensor], attention: str) -> Ragged:
    ragged = run_block(blocks[0], whole(tokens), attention)
    for block, keep in zip(blocks[1:], keeps, strict=True):
        ragged = run_block(block, drop(ragged, ragged.select(keep)), attention)
    return ragged


def _masked(blocks: list[Block], x: Tensor, keeps: list[Tensor]) -> Tensor:
    for block, alive in zip(blocks, [torch.ones_like(keeps[0]), *keeps], strict=True):
        x = masked_block(block, x, alive)
    return x


def _by_hand(block: Block, x: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
    """Run a block image by image with materialised attention; return that too [B, H, L, L]."""
    tokens, shares = [], []
    for image, mask in zip(x, functional.pad(alive, (1, 0), value=True), strict=True):
        normed = block.norm1(image)
        q, k, v = block.attn.qkv(normed).view(len(image), 3, HEADS, -1).permute(1, 2, 0, 3)
        scores = (q @ k.transpose(1, 2) / math.sqrt(DIM // HEADS)).masked_fill(~mask, -torch.inf)
        shares.append(scores.softmax(-1))
        y = image + block.attn.proj((shares[-1] @ v).transpose(0, 1).flatten(1))
        tokens.append(y + block.mlp(block.norm2(y)))
    return torch.stack(tokens), torch.stack(shares)


def test_the_masked_block_is_the_formula(
    blocks: list[Block], tokens: Tensor, keeps: list[Tensor]
) -> None:
    expected, _ = _by_hand(blocks[0], tokens, keeps[0])
    torch.testing.assert_close(masked_block(blocks[0], tokens, keeps[0]), expected)
    mask = functional.pad(keeps[0], (1, 0), value=True)
    torch.testing.assert_close(blocks[0](tokens, mask), expected)


@pytest.mark.parametrize("attention", EXACT)
@pytest.mark.parametrize("grad", [False, True])
def test_packed_equals_masked(
    blocks: list[Block], tokens: Tensor, keeps: list[Tensor], attention: str, grad: bool
) -> None:
    with torch.inference_mode(not grad):
        ragged = _packed(blocks, tokens, keeps, attention)
        expected = _masked(blocks, tokens, keeps)
        largest = expected[:, 0].abs().max()
        assert (ragged.cls - expected[:, 0]).abs().max() < 1e-5 * largest
        living = expected[:, 1:][keeps[-1]]
        torch.testing.assert_close(ragged.patches, living, rtol=1e-4, atol=1e-4)
    assert ragged.layout.lengths == tuple(1 + n for n in keeps[-1].sum(1).tolist())
    assert torch.equal(ragged.layout.alive, keeps[-1])
    assert torch.equal(ragged.layout.counts, 1 + keeps[-1].sum(1))


@pytest.mark.parametrize("attention", EXACT)
def test_gradients_equal_the_masked_ones(
    blocks: list[Block], tokens: Tensor, keeps: list[Tensor], attention: str
) -> None:
    parameters = [p for block in blocks for p in block.double().parameters()]
    tokens = tokens.double().requires_grad_(True)
    loss = _packed(blocks, tokens, keeps, attention).cls.square().sum()
    found = torch.autograd.grad(loss, [tokens, *parameters])
    loss = _masked(blocks, tokens, keeps)[:, 0].square().sum()
    for mine, theirs in zip(found, torch.autograd.grad(loss, [tokens, *parameters]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("attention", EXACT)
def test_autocast_stays_near(
    blocks: list[Block], tokens: Tensor, keeps: list[Tensor], attention: str
) -> None:
    expected = _masked(blocks, tokens, keeps)[:, 0]
    with torch.autocast("cpu", torch.bfloat16):
        cls = _packed(blocks, tokens, keeps, attention).cls
    assert (cls - expected).abs().max() < 0.05 * expected.abs().max()


def test_mlps_run_in_parts_without_a_trace(
    blocks: list[Block], monkeypatch: pytest.MonkeyPatch, tokens: Tensor, keeps: list[Tensor]
) -> None:
    with torch.no_grad():
        at_once = _packed(blocks, tokens, keeps, "auto").tokens
        monkeypatch.setattr("rlvit.nn.walk.ROWS", 7)
        parts = _packed(blocks, tokens, keeps, "auto").tokens
    torch.testing.assert_close(parts, at_once)


def test_pack_keeps_the_order_of_the_living(tokens: Tensor, keeps: list[Tensor]) -> None:
    ragged = pack(tokens, keeps[0])
    assert torch.equal(ragged.cls, tokens[:, 0])
    assert torch.equal(ragged.patches, tokens[:, 1:][keeps[0]])
    images, positions = keeps[0].nonzero().unbind(1)
    assert torch.equal(ragged.layout.images, images)
    assert torch.equal(ragged.layout.positions, positions)
    assert torch.equal(ragged.select(keeps[1]), keeps[1][keeps[0]])
    rows = [torch.cat([one[:1], one[1:][keep]]) for one, keep in zip(tokens, keeps[0], strict=True)]
    assert torch.equal(ragged.tokens, torch.cat(rows))
    assert ragged.layout.edges.tolist() == [0, *torch.tensor([len(r) for r in rows]).cumsum(0)]


def test_dropping_in_two_steps_is_dropping_at_once(tokens: Tensor, keeps: list[Tensor]) -> None:
    first = pack(tokens, keeps[0])
    twice, once = drop(first, first.select(keeps[1])), pack(tokens, keeps[1])
    assert torch.equal(twice.tokens, once.tokens)
    assert twice.layout.lengths == once.layout.lengths
    assert torch.equal(twice.layout.positions, once.layout.positions)


def test_dropping_nothing_changes_nothing(tokens: Tensor) -> None:
    ragged = whole(tokens)
    assert drop(ragged, torch.ones(BATCH * PATCHES, dtype=torch.bool)) is ragged
    assert ragged.tokens.data_ptr() == tokens.data_ptr()


def test_all_patches_may_go(blocks: list[Block], tokens: Tensor) -> None:
    keep = torch.zeros(BATCH, PATCHES, dtype=torch.bool)
    ragged = run_block(blocks[0], pack(tokens, keep))
    assert ragged.patches.shape == (0, DIM)
    assert class_attention(blocks[1], ragged).shape == (0,)
    empty = drop(ragged, torch.ones(0, dtype=torch.bool))
    expected = masked_block(blocks[0], tokens, keep)[:, 0]
    torch.testing.assert_close(empty.cls, expected)


def test_masks_of_another_shape_are_refused(tokens: Tensor) -> None:
    with pytest.raises(ValueError, match=r"\(12, 21\), not \(12, 20\)"):
        pack(tokens, torch.ones(BATCH, 1 + PATCHES, dtype=torch.bool))
    with pytest.raises(ValueError, match="3 decisions for 240 alive"):
        drop(whole(tokens), torch.ones(3, dtype=torch.bool))


def test_buckets_hold_each_token_once(tokens: Tensor, keeps: list[Tensor]) -> None:
    layout = pack(tokens, keeps[0]).layout
    buckets = layout.buckets(4)
    assert len(buckets.shapes) == 4
    assert sum(images for images, _ in buckets.shapes) == BATCH
    assert [length for _, length in buckets.shapes] == sorted(
        length for _, length in buckets.shapes
    )
    assert torch.equal(buckets.rows[buckets.slots], torch.arange(layout.total))
    living = torch.cat(
        [
            torch.ones(shape, dtype=torch.bool).flatten() if mask is None else mask.flatten()
            for shape, mask in zip(buckets.shapes, buckets.masks, strict=True)
        ]
    )
    assert torch.equal(living.nonzero().flatten(), buckets.slots.sort().values)
    assert layout.buckets(4) is buckets
    assert len(layout.buckets(99).shapes) == BATCH
    assert layout.buckets(99).masks == (None,) * BATCH


def test_class_attention_is_the_first_row_of_attention(
    blocks: list[Block], tokens: Tensor, keeps: list[Tensor]
) -> None:
    _, shares = _by_hand(blocks[1], tokens, keeps[0])
    expected = shares[:, :, 0, 1:].mean(1)[keeps[0]]
    torch.testing.assert_close(class_attention(blocks[1], pack(tokens, keeps[0])), expected)


def test_class_attention_normalises_queries_and_keys(
    blocks: list[Block], tokens: Tensor, keeps: list[Tensor]
) -> None:
    attn, ragged = blocks[2].attn, pack(tokens, keeps[0])
    found, start = class_attention(blocks[2], ragged), 0
    for image in ragged.tokens.split(ragged.layout.lengths):
        q, k, _ = attn.qkv(blocks[2].norm1(image)).view(len(image), 3, HEADS, -1).unbind(1)
        scores = torch.einsum("hd,thd->th", attn.q_norm(q)[0], attn.k_norm(k))
        expected = (scores / math.sqrt(DIM // HEADS)).softmax(0).mean(1)[1:]
        torch.testing.assert_close(found[start : start + len(expected)], expected)
        start += len(expected)


def test_blocks_that_drop_at_random_cannot_train(blocks: list[Block], tokens: Tensor) -> None:
    with pytest.raises(ValueError, match="drop_path1 must be switched off"):
        run_block(blocks[2].train(), whole(tokens))
    blocks[1].attn.attn_drop = nn.Dropout(0.1)
    with pytest.raises(ValueError, match="attn_drop must be 0"):
        masked_block(blocks[1].train(), tokens, torch.ones(BATCH, PATCHES, dtype=torch.bool))
    blocks[0].attn.gate = nn.Linear(DIM, DIM)
    with pytest.raises(ValueError, match="gated"):
        run_block(blocks[0], whole(tokens))


def test_attention_that_is_not_there_is_refused(blocks: list[Block], tokens: Tensor) -> None:
    with pytest.raises(ValueError, match="no attention 'fast'; there are auto, varlen"):
        run_block(blocks[0], whole(tokens), "fast")
    with pytest.raises(ValueError, match=r"needs a CUDA device.* cpu and torch\.float32"):
        run_block(blocks[0], whole(tokens), "varlen")


def test_the_kernel_is_told_where_images_begin(
    tokens: Tensor, keeps: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = pack(tokens, keeps[0]).layout
    q, k, v = torch.randn(3, layout.total, HEADS, 8, generator=torch.Generator().manual_seed(4))

    def kernel(q: Tensor, k: Tensor, v: Tensor, *where: Tensor | int) -> Tensor:
        edges, edges_k, longest, longest_k = where
        assert edges is edges_k
        assert edges.dtype == torch.int32
        assert longest == longest_k == max(layout.lengths)
        sizes = edges.diff().tolist()
        parts = (x.transpose(0, 1).split(sizes, dim=1) for x in (q, k, v))
        each = [functional.scaled_dot_product_attention(*x) for x in zip(*parts, strict=True)]
        return torch.cat(each, dim=1).transpose(0, 1)

    monkeypatch.setattr(packed_attention, "_kernel", lambda: kernel)
    monkeypatch.setattr(packed_attention, "_takes", lambda v: True)
    expected = attend(q, k, v, layout, "each")
    for attention in ("varlen", "auto"):
        torch.testing.assert_close(attend(q, k, v, layout, attention), expected)
    assert packed_attention._best(v, layout) == "varlen"


def _without_class_token(keeps: list[Tensor]) -> list[Tensor]:
    """Masks of which each leaves every image a patch at least."""
    first, second = (keep.clone() for keep in keeps)
    first[:, 4] = second[:, 4] = True
    return [first, second]


@pytest.mark.parametrize("attention", EXACT)
@pytest.mark.parametrize("grad", [False, True])
def test_packed_equals_masked_without_a_class_token(
    blocks: list[Block], tokens: Tensor, keeps: list[Tensor], attention: str, grad: bool
) -> None:
    patches, keeps = tokens[:, 1:].contiguous(), _without_class_token(keeps)
    with torch.inference_mode(not grad):
        ragged = run_block(blocks[0], whole(patches, 0), attention)
        for block, keep in zip(blocks[1:], keeps, strict=True):
            ragged = run_block(block, drop(ragged, ragged.select(keep)), attention)
        expected = _masked(blocks, patches, keeps)
        living = expected[keeps[-1]]
        assert (ragged.patches - living).abs().max() < 1e-5 * living.abs().max()
        means = [one[keep].mean(0) for one, keep in zip(expected, keeps[-1], strict=True)]
        torch.testing.assert_close(ragged.pooled, torch.stack(means), rtol=1e-4, atol=1e-4)


def test_without_a_class_token_a_row_is_patches_alone(tokens: Tensor, keeps: list[Tensor]) -> None:
    patches, (first, second) = tokens[:, 1:].contiguous(), _without_class_token(keeps)
    ragged = whole(patches, 0)
    assert ragged.tokens.data_ptr() == patches.data_ptr()
    assert ragged.layout.lengths == (PATCHES,) * BATCH
    assert torch.equal(ragged.layout.patch_rows, torch.arange(BATCH * PATCHES))
    packed = pack(patches, first, 0)
    assert packed.layout.lengths == tuple(first.sum(1).tolist())
    assert torch.equal(packed.tokens, patches[first])
    assert torch.equal(packed.patches, patches[first])
    assert torch.equal(packed.layout.alive, first)
    assert torch.equal(packed.layout.owners, packed.layout.images)
    twice, once = drop(packed, packed.select(second)), pack(patches, second, 0)
    assert torch.equal(twice.tokens, once.tokens)
    assert torch.equal(twice.layout.alive, second)
    assert twice.layout.prefix == 0
    assert drop(packed, packed.select(first)) is packed


def test_what_is_read_out_is_the_class_token_or_the_mean_of_the_patches(
    tokens: Tensor, keeps: list[Tensor]
) -> None:
    keep = _without_class_token(keeps)[0]
    assert torch.equal(pack(tokens, keep).pooled, tokens[:, 0])
    patches = tokens[:, 1:].contiguous()
    torch.testing.assert_close(whole(patches, 0).pooled, patches.mean(1))
    means = torch.stack([one[mask].mean(0) for one, mask in zip(patches, keep, strict=True)])
    torch.testing.assert_close(pack(patches, keep, 0).pooled, means)
    equal = torch.rand(BATCH, PATCHES).argsort(1) < 7  # as many of each image
    means = patches[equal].view(BATCH, 7, DIM).mean(1)
    torch.testing.assert_close(pack(patches, equal, 0).pooled, means)


def test_without_a_class_token_no_image_may_lose_all_its_patches(tokens: Tensor) -> None:
    keep = torch.ones(BATCH, PATCHES, dtype=torch.bool)
    keep[3] = False
    with pytest.raises(ValueError, match="an image keeps no patch, and there is no class token"):
        pack(tokens[:, 1:], keep, 0)
    ragged = whole(tokens[:, 1:], 0)
    with pytest.raises(ValueError, match="an image keeps no patch"):
        drop(ragged, keep.flatten())
    keep[3, 5] = True
    assert pack(tokens[:, 1:], keep, 0).layout.lengths[3] == 1


def test_without_a_class_token_none_can_be_asked_for(blocks: list[Block], tokens: Tensor) -> None:
    ragged = whole(tokens, 0)
    with pytest.raises(ValueError, match="no class token"):
        _ = ragged.cls
    with pytest.raises(ValueError, match="no class token whose attention"):
        class_attention(blocks[0], ragged)
    with pytest.raises(ValueError, match=r"\(12, 20\), not \(12, 21\)"):
        pack(tokens, torch.ones(BATCH, PATCHES, dtype=torch.bool), 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_varlen_equals_buckets_on_cuda(
    blocks: list[Block], tokens: Tensor, keeps: list[Tensor]
) -> None:
    device = torch.device("cuda")
    blocks, tokens = [block.to(device) for block in blocks], tokens.to(device)
    keeps = [keep.to(device) for keep in keeps]
    with torch.autocast("cuda", torch.bfloat16):
        expected = _packed(blocks, tokens, keeps, "buckets").cls
        found = _packed(blocks, tokens, keeps, "auto").cls
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()
