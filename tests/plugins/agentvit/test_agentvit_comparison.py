"""Masks that a trained network is measured under beside its own: as many patches, fixed rules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rlvit_agentvit.comparison import rules

PATCHES = 16


@pytest.fixture(scope="module")
def images(tiny_agent: Any) -> Tensor:
    """Ten digits."""
    return torch.as_tensor(tiny_agent.digits(10)[0])


def kept(vit: Any, images: Tensor, seed: int = 0) -> Tensor:
    """The mask of each image [B, N]."""
    vit.generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        return torch.as_tensor(vit.walk(images).alive[-1])


@pytest.mark.parametrize(("mean", "count"), [(5.4, 5), (5.6, 6), (0.2, 1), (15.4, 15), (1.0, 1)])
def test_all_rules_keep_the_rounded_number(
    tiny_agent: Any, images: Tensor, mean: float, count: int
) -> None:
    others = rules(tiny_agent.network(), mean)
    assert list(others) == ["random", "uniform", "received"]
    for vit in others.values():
        assert (kept(vit, images).sum(1) == count).all()


def test_where_all_patches_stay_there_is_no_rule(tiny_agent: Any) -> None:
    assert rules(tiny_agent.network(), 16.0) == {}


@pytest.mark.parametrize(
    ("count", "places"),
    [
        (1, [8]),
        (2, [4, 12]),
        (4, [2, 6, 10, 14]),
        (5, [1, 4, 8, 11, 14]),
        (8, list(range(1, 16, 2))),
    ],
)
def test_uniform_masks_are_evenly_spaced(
    tiny_agent: Any, images: Tensor, count: int, places: list[int]
) -> None:
    keep = kept(rules(tiny_agent.network(), count)["uniform"], images)
    assert keep[0].nonzero().flatten().tolist() == places
    assert (keep == keep[0]).all()


def test_random_masks_differ_by_image_and_seed(tiny_agent: Any, images: Tensor) -> None:
    vit = rules(tiny_agent.network(), 5)["random"]
    keep = kept(vit, images)
    assert len({tuple(row) for row in keep.tolist()}) > 5
    assert torch.equal(keep, kept(vit, images))
    assert not torch.equal(keep, kept(vit, images, seed=1))
    many = kept(vit, images.repeat(200, 1, 1, 1)).float().mean(0)
    assert many.tolist() == pytest.approx([5 / PATCHES] * PATCHES, abs=0.04)


def test_received_masks_keep_what_attention_goes_to(tiny_agent: Any, images: Tensor) -> None:
    vit = tiny_agent.network()
    block, heads = vit.backbone.blocks[0], vit.backbone.heads
    with torch.no_grad():
        q, k, _ = block.attn.qkv(block.norm1(vit.backbone.embed(images))).chunk(3, -1)
    received = torch.zeros(len(images), PATCHES)
    for query, key in zip(q.chunk(heads, -1), k.chunk(heads, -1), strict=True):
        received += (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).softmax(-1).mean(1)
    best = torch.zeros(received.shape, dtype=torch.bool)
    best.scatter_(1, received.topk(5).indices, True)
    assert torch.equal(kept(rules(vit, 5)["received"], images), best)


def test_rules_are_charged_for_their_look_alone(tiny_agent: Any, images: Tensor) -> None:
    """By hand: queries and keys of 16 tokens of 16 features, 24 of heads, and the scores."""
    others = rules(tiny_agent.network(), 5)
    macs = {}
    for name, vit in others.items():
        vit.generator = torch.Generator().manual_seed(0)
        macs[name] = set(vit.classify(images).macs.tolist())
    assert len(macs["uniform"]) == 1
    assert macs["random"] == macs["uniform"]
    look = PATCHES * 2 * 16 * 24 + PATCHES**2 * 24
    assert macs["received"] == {value + look for value in macs["uniform"]}


def test_every_rule_has_the_same_network(tiny_agent: Any, images: Tensor) -> None:
    """Under the same mask the answers are those of the run's own network."""
    vit = tiny_agent.network(select="topk", mask_scope="image")
    for other in rules(vit, PATCHES).values():
        other.generator = torch.Generator().manual_seed(0)
        assert other.backbone is vit.backbone
        whole = other.classify(images).logits
        with torch.no_grad():
            tokens = vit.backbone.embed(images)
            for block in vit.backbone.blocks:
                tokens = block(tokens)
            expected = vit.backbone.readout(tokens.mean(1))
        torch.testing.assert_close(whole, expected, atol=1e-5, rtol=1e-4)
