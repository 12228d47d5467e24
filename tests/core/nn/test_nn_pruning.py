"""A backbone with a selector inside: what is gathered equals what is masked, and is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rlvit.contracts import Selection, SelectorView
from rlvit.nn import pruning
from rlvit.nn.compute import VitShape, block_macs, dense_macs, vit_macs
from rlvit.nn.lookahead import attended, received
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.ragged import Ragged, pack, whole
from rlvit.nn.transformer import Block
from rlvit.nn.walk import run_block
from rlvit.specs import Need

SHAPE = VitShape(depth=4, dim=16, hidden=64, patches=9, patch_values=12, classes=5)


class SmallVit:
    """Four blocks on nine 2x2 patches."""

    image_size, grid, shape, sha256 = 6, (3, 3), SHAPE, "-"
    class_names: tuple[str, ...] = ()

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.cut = nn.Conv2d(3, 16, 2, 2)
            self.cls = nn.Parameter(torch.randn(1, 1, 16))
            self.blocks = [Block(16, 4) for _ in range(4)]
            self.head = nn.Linear(16, 5)
            self.module = nn.ModuleList([self.cut, *self.blocks, self.head])

    def embed(self, images: Tensor) -> Tensor:
        patches = self.cut(images.float() / 255).flatten(2).mT  # [B, 9, 16]
        return torch.cat([self.cls.expand(len(images), -1, -1), patches], 1)

    def readout(self, cls: Tensor) -> Tensor:
        return self.head(cls)


class Chosen:
    """Keeps what it is told at each block, and remembers what it saw."""

    def __init__(self, keeps: Mapping[int, Tensor], cost: float = 0.0) -> None:
        self.keeps, self.cost = keeps, cost
        self.views: list[SelectorView] = []

    def select(self, view: SelectorView) -> Selection:
        self.views.append(view)
        keep = self.keeps[view.layer].repeat_interleave(len(view.alive) // 6, 0)
        return Selection(keep & view.alive)

    def macs(self, view: SelectorView) -> Tensor:
        return torch.full((len(view.alive),), self.cost)


def images() -> Tensor:
    return torch.randint(
        0, 256, (6, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def keeps() -> dict[int, Tensor]:
    draws = torch.Generator().manual_seed(2)
    first = torch.rand(6, 9, generator=draws) < 0.7
    first[0], first[1] = True, False  # one image keeps all patches, one none
    second = torch.rand(6, 9, generator=draws) < 0.6
    second[0] = True
    return {1: first, 3: second}


def pruned(selector: Any, needs: set[str] = set(), **more: Any) -> PrunedVit:  # noqa: B006
    blocks = more.pop("blocks", (1, 3))
    return PrunedVit(
        SmallVit(), selector, frozenset(needs), blocks, targets=torch.arange(5), **more
    )


def test_gathered_equals_masked() -> None:
    gathered = pruned(Chosen(keeps())).classify(images())
    masked = pruned(Chosen(keeps()), masks_only=True).classify(images())
    largest = masked.logits.abs().max()
    assert (gathered.logits - masked.logits).abs().max() <= 1e-5 * largest
    assert torch.equal(gathered.kept, masked.kept)


def test_dropped_patches_change_the_answer() -> None:
    dense = pruned(Chosen({}), blocks=()).classify(images()).logits
    gathered = pruned(Chosen(keeps())).classify(images()).logits
    assert torch.allclose(dense[0], gathered[0], atol=1e-5)  # kept all
    assert (dense[1:] - gathered[1:]).abs().amax(1).min() > 1e-3


def test_cost_is_counted_image_by_image() -> None:
    found = pruned(Chosen(keeps(), cost=100.0)).classify(images())
    first, second = keeps()[1], keeps()[1] & keeps()[3]
    assert torch.equal(found.kept, torch.stack([first.sum(1), second.sum(1)], 1))
    expected = vit_macs(SHAPE, found.kept, (1, 3)) + 200
    assert torch.equal(found.macs, expected.double())
    embed, head = 9 * 12 * 16, 16 * 5
    by_hand = embed + block_macs(SHAPE, 10) + 3 * block_macs(SHAPE, 1) + head + 200
    assert found.macs[1] == by_hand  # only the class token is left


def test_without_decisions_everything_is_computed() -> None:
    found = pruned(Chosen({}), blocks=()).classify(images())
    assert found.kept.shape == (6, 0)
    assert found.macs.tolist() == [dense_macs(SHAPE)] * 6


@pytest.mark.parametrize("masks_only", [False, True])
def test_selector_sees_what_it_declared(masks_only: bool) -> None:
    selector = Chosen(keeps())
    needs = {"images", "tokens", "cls", "attention"}
    pruned(selector, needs, masks_only=masks_only, rates=(0.7, 0.5)).classify(images())
    first, second = selector.views
    assert (first.layer, second.layer, first.rate, second.rate) == (1, 3, 0.7, 0.5)
    assert first.data["tokens"].shape == (54, 16)
    living = int(keeps()[1].sum())
    assert second.data["tokens"].shape == (living, 16)
    assert second.data["attention"].shape == (living,)
    assert second.data["cls"].shape == (6, 16)
    assert torch.equal(second.alive, keeps()[1])


def test_attention_is_the_same_whether_gathered_or_masked() -> None:
    one, other = Chosen(keeps()), Chosen(keeps())
    pruned(one, {"attention", "tokens"}).classify(images())
    pruned(other, {"attention", "tokens"}, masks_only=True).classify(images())
    for a, b in zip(one.views, other.views, strict=True):
        assert torch.allclose(a.data["attention"], b.data["attention"], atol=1e-6)
        assert torch.allclose(a.data["tokens"], b.data["tokens"], atol=1e-5)


def test_samples_repeat_each_image_in_turn() -> None:
    twice = pruned(Chosen(keeps())).walk(images(), samples=2)
    once = pruned(Chosen(keeps())).walk(images())
    assert torch.allclose(twice.logits, once.logits.repeat_interleave(2, 0), atol=1e-5)
    assert torch.equal(twice.alive, once.alive.repeat_interleave(2, 1))


def test_learning_reaches_the_backbone() -> None:
    vit = pruned(Chosen(keeps()), {"tokens"})
    vit.walk(images()).logits.sum().backward()
    assert all(p.grad is not None for p in vit.backbone.module.parameters())


class FlatVit(SmallVit):
    """The same without a class token."""

    shape = replace(SHAPE, prefix=0)

    def embed(self, images: Tensor) -> Tensor:
        return super().embed(images)[:, 1:].contiguous()


def flat(selector: Any, needs: set[str] = set(), **more: Any) -> PrunedVit:  # noqa: B006
    blocks = more.pop("blocks", (0, 3))
    return PrunedVit(FlatVit(), selector, frozenset(needs), blocks, targets=torch.arange(5), **more)


def some() -> dict[int, Tensor]:
    """Masks before blocks 0 and 3 that leave each image a patch at least; image 0 keeps all."""
    first, second = keeps().values()
    first, second = first.clone(), second.clone()
    first[:, 4] = second[:, 4] = True
    return {0: first, 3: second}


def test_gathered_equals_masked_without_a_class_token() -> None:
    gathered = flat(Chosen(some())).classify(images())
    masked = flat(Chosen(some()), masks_only=True).classify(images())
    largest = masked.logits.abs().max()
    assert (gathered.logits - masked.logits).abs().max() <= 1e-5 * largest
    assert torch.equal(gathered.kept, masked.kept)
    assert torch.equal(gathered.macs, masked.macs)
    first, second = some()[0].sum(1), (some()[0] & some()[3]).sum(1)
    assert gathered.kept.tolist() == torch.stack([first, second], 1).tolist()
    assert len(set(second.tolist())) > 2  # images of different numbers of patches
    embed, head = 9 * 12 * 16, 16 * 5
    blocks = [
        3 * block_macs(SHAPE, a) + block_macs(SHAPE, b)
        for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert gathered.macs.tolist() == [embed + head + each for each in blocks]


def test_the_mean_of_all_patches_is_read_out_if_none_is_dropped() -> None:
    backbone = FlatVit()
    found = flat(Chosen({}), blocks=()).classify(images()).logits
    with torch.no_grad():
        tokens = backbone.embed(images())
        for block in backbone.blocks:
            tokens = block(tokens)
        torch.testing.assert_close(found, backbone.head(tokens.mean(1)))


@pytest.mark.parametrize("masks_only", [False, True])
def test_an_image_must_keep_a_patch_where_there_is_no_class_token(masks_only: bool) -> None:
    nothing = {0: some()[0], 3: torch.zeros(6, 9, dtype=torch.bool)}
    with pytest.raises(ValueError, match="an image keeps no patch"):
        flat(Chosen(nothing), masks_only=masks_only).classify(images())


def test_what_comes_next_is_the_same_whether_gathered_or_masked() -> None:
    needs = {"attended", "received", "tokens"}
    for make, chosen in ((flat, some()), (pruned, keeps())):
        one, other = Chosen(chosen), Chosen(chosen)
        first = make(one, needs)
        first.classify(images())
        make(other, needs, masks_only=True).classify(images())
        for a, b in zip(one.views, other.views, strict=True):
            # Asked for now, long after the walk: it still is of what that decision was shown.
            for need in needs:
                torch.testing.assert_close(a.data[need], b.data[need], rtol=1e-4, atol=1e-5)
            assert a.data["attended"].shape == a.data["received"].shape == (int(a.alive.sum()),)
            assert not a.data["attended"].requires_grad


def test_what_comes_next_is_seen_of_the_block_and_its_tokens() -> None:
    selector = Chosen(some())
    vit = flat(selector, {"attended", "received"})
    vit.classify(images())
    with torch.no_grad():
        ragged = whole(vit.backbone.embed(images()), 0)
        view = selector.views[0]
        assert torch.equal(view.data["attended"], attended(vit.backbone.blocks[0], ragged))
        assert torch.equal(view.data["received"], received(vit.backbone.blocks[0], ragged))
        ragged = pack(vit.backbone.embed(images()), some()[0], 0)
        for block in vit.backbone.blocks[:3]:
            ragged = run_block(block, ragged)
        expected = attended(vit.backbone.blocks[3], ragged)
    torch.testing.assert_close(selector.views[1].data["attended"], expected)


class Asking(Chosen):
    """Asks for some of what it may see, as often as it is told."""

    def __init__(self, wants: Mapping[tuple[int, Need], int]) -> None:
        super().__init__({0: some()[0], 3: some()[3]})
        self.wants = wants  # of each block and need, how often

    def select(self, view: SelectorView) -> Selection:
        for (layer, need), times in self.wants.items():
            for _ in range(times if layer == view.layer else 0):
                assert view.data[need] is view.data[need]
        return super().select(view)


@pytest.mark.parametrize("masks_only", [False, True])
@pytest.mark.parametrize(
    ("wants", "expected"),
    [
        ({}, (0, 0)),
        ({(0, "attended"): 1}, (1, 0)),
        ({(3, "attended"): 5}, (1, 0)),
        ({(0, "attended"): 2, (3, "attended"): 1, (3, "received"): 3}, (2, 1)),
    ],
)
def test_a_look_is_taken_when_it_is_asked_for_and_once(
    wants: dict[tuple[int, Need], int],
    expected: tuple[int, int],
    masks_only: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []
    for name, look in (("attended", attended), ("received", received)):

        def counted(
            block: Any, ragged: Ragged, name: str = name, look: Callable[..., Tensor] = look
        ) -> Tensor:
            looks.append(name)
            return look(block, ragged)

        monkeypatch.setattr(pruning, name, counted)
    vit = flat(Asking(wants), {"attended", "received", "tokens"}, masks_only=masks_only)
    vit.classify(images())
    assert (looks.count("attended"), looks.count("received")) == expected


def test_only_what_was_declared_can_be_asked_for() -> None:
    selector = Chosen(some())
    flat(selector, {"attended"}).classify(images())
    data = selector.views[0].data
    assert list(data) == ["attended"]
    assert len(data) == 1
    with pytest.raises(KeyError):
        data["received"]


def test_samples_without_a_class_token_repeat_each_image_in_turn() -> None:
    selector = Chosen(some())
    twice = flat(selector, {"attended"}).walk(images(), samples=2)
    once = flat(Chosen(some())).walk(images())
    torch.testing.assert_close(twice.logits, once.logits.repeat_interleave(2, 0))
    seen = selector.views[0].data["attended"].view(6, 2, 9)
    assert torch.equal(seen[:, 0], seen[:, 1])


def test_a_block_that_cannot_be_foreseen_is_refused_when_it_is_asked_for() -> None:
    vit = flat(Asking({(3, "attended"): 1}), {"attended"})
    vit.backbone.blocks[0].attn.norm = nn.LayerNorm(16)
    vit.classify(images())  # nobody asked for that of block 0
    vit.backbone.blocks[3].attn.norm = nn.LayerNorm(16)
    with pytest.raises(ValueError, match="norm or a gate before the projection"):
        vit.classify(images())


@pytest.mark.parametrize("blocks", [(1, 4), (-1,)])
def test_missing_block_is_refused(blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="there are blocks 0 to 3"):
        pruned(Chosen({}), blocks=blocks)


def test_before_block_0_the_class_tokens_attention_in_it_is_looked_ahead_at() -> None:
    """The softmax of its scores, written out; nothing later depends on who looked."""
    chosen = Chosen({0: torch.ones(6, 9, dtype=torch.bool)})
    vit = pruned(chosen, {"attention"}, blocks=(0,))
    vit.classify(images())
    block = vit.backbone.blocks[0]
    normed = block.norm1(vit.backbone.embed(images()))  # [6, 10, 16]
    q, k, _ = block.attn.qkv(normed).view(6, 10, 3, 4, 4).permute(2, 0, 3, 1, 4)  # [6, 4, 10, 4]
    shares = (q[:, :, 0:1] @ k.mT / 2).softmax(-1).mean((1, 2))  # [6, 10]
    seen = chosen.views[0].data["attention"].view(6, 9)
    torch.testing.assert_close(seen, shares[:, 1:], atol=1e-6, rtol=1e-5)


def test_attention_of_a_class_token_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no class token"):
        flat(Chosen({}), {"attention"})
