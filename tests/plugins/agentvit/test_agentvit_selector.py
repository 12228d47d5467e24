"""What AgentViT's selector sees, keeps and costs, on real digits in a small ViT."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rlvit.contracts import SelectorView
from rlvit.errors import UsageProblem
from rlvit_agentvit.config import AgentvitConfig
from rlvit_agentvit.selection import choose
from rlvit_agentvit.selector import PatchAgent, make

PATCHES, COUNT = 16, 6


def naive_state(vit: Any, images: Tensor) -> Tensor:
    """Block 0's attention on all embedded patches, after its out-projection, mean of channels."""
    block, heads = vit.backbone.blocks[0], vit.backbone.heads
    tokens = block.norm1(vit.backbone.embed(images))  # [B, N, D]
    q, k, v = block.attn.qkv(tokens).chunk(3, dim=-1)  # [B, N, inner] each
    found = []
    for query, key, value in zip(*(part.chunk(heads, -1) for part in (q, k, v)), strict=True):
        weights = (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).softmax(-1)
        found.append(weights @ value)
    return torch.as_tensor(block.attn.proj(torch.cat(found, -1)).mean(-1))


def walked(vit: Any, images: Tensor, seed: int = 0) -> Tensor:
    """The mask [B, N] that the network was walked under."""
    vit.generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        return torch.as_tensor(vit.walk(images).alive[-1])


@pytest.fixture(scope="module")
def images(tiny_agent: Any) -> Tensor:
    """Twelve digits."""
    return torch.as_tensor(tiny_agent.digits(12)[0])


def test_the_state_is_the_mean_of_what_attention_gives(tiny_agent: Any, images: Tensor) -> None:
    vit = tiny_agent.network()
    walked(vit, images)
    with torch.no_grad():
        expected = naive_state(vit, images)
    torch.testing.assert_close(vit.selector.state_seen, expected, atol=1e-6, rtol=1e-5)
    assert not vit.selector.state_seen.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(vit.selector.scores, vit.selector.network(expected))


@pytest.mark.parametrize("select", ["mean-threshold", "topk"])
def test_a_mask_of_the_batch_is_the_same_for_all_images(
    tiny_agent: Any, images: Tensor, select: str
) -> None:
    vit = tiny_agent.network(select=select, mask_scope="batch")
    keep = walked(vit, images)
    assert (keep == keep[0]).all()
    mean = vit.selector.scores.mean(0)
    expected = mean >= mean.mean()
    if select == "topk":
        expected = torch.zeros(PATCHES, dtype=torch.bool)
        expected[mean.topk(COUNT).indices] = True
    assert torch.equal(keep[0], expected)


@pytest.mark.parametrize("select", ["mean-threshold", "topk"])
def test_a_mask_of_each_image_goes_by_its_own_scores(
    tiny_agent: Any, images: Tensor, select: str
) -> None:
    vit = tiny_agent.network(select=select, mask_scope="image", normalise_state=True)
    keep = walked(vit, images)
    assert len({tuple(row) for row in keep.tolist()}) > 1
    assert torch.equal(keep, choose(vit.selector.scores, select, COUNT))
    if select == "topk":
        assert (keep.sum(1) == COUNT).all()
    alone = walked(vit, images[3:4])  # does not depend on the batch it is in
    assert torch.equal(alone[0], keep[3])


def test_masks_are_greedy_whatever_the_generator(tiny_agent: Any, images: Tensor) -> None:
    vit = tiny_agent.network(mask_scope="image")
    assert torch.equal(walked(vit, images, 0), walked(vit, images, 1))


@pytest.mark.parametrize("scope", ["batch", "image"])
@pytest.mark.parametrize("select", ["mean-threshold", "topk"])
def test_random_masks_go_by_the_same_rule(
    tiny_agent: Any, images: Tensor, select: str, scope: str
) -> None:
    vit = tiny_agent.network(select=select, mask_scope=scope)
    vit.selector.mode = "random"
    keep = walked(vit, images, 5)
    rows = 1 if scope == "batch" else len(images)
    draws = torch.rand(rows, PATCHES, generator=torch.Generator().manual_seed(5))
    assert torch.equal(keep, choose(draws, select, COUNT).expand(len(images), PATCHES))
    assert not torch.equal(keep, walked(vit, images, 6))
    assert vit.selector.scores is None
    assert vit.selector.state_seen is None


def test_random_masks_by_the_mean_keep_about_half(tiny_agent: Any, images: Tensor) -> None:
    vit = tiny_agent.network(select="mean-threshold", mask_scope="image")
    vit.selector.mode = "random"
    keep = walked(vit, images.repeat(40, 1, 1, 1))
    assert keep.float().mean() == pytest.approx(0.5, abs=0.02)


def test_an_agent_may_look_under_a_random_mask(tiny_agent: Any, images: Tensor) -> None:
    vit = tiny_agent.network()
    walked(vit, images)
    seen = vit.selector.state_seen
    vit.selector.mode, vit.selector.looks = "random", True
    walked(vit, images)
    assert torch.equal(vit.selector.state_seen, seen)
    assert vit.selector.scores is None


def drawing(tiny_agent: Any, images: Tensor) -> tuple[Any, SelectorView]:
    """A selector that draws, and a view of the images."""
    vit = tiny_agent.network(normalise_state=True)
    vit.selector.mode = "draw"
    with torch.no_grad():
        state = naive_state(vit, images)
    alive = torch.ones(state.shape, dtype=torch.bool)
    draws = torch.Generator().manual_seed(9)
    return vit.selector, SelectorView({"attended": state.flatten()}, alive, 0, generator=draws)


def test_drawn_masks_are_bernoulli_and_say_how_likely_they_were(
    tiny_agent: Any, images: Tensor
) -> None:
    agent, view = drawing(tiny_agent, images)
    found = agent.select(view)
    chance = agent.scores.sigmoid()
    draws = torch.rand(chance.shape, generator=torch.Generator().manual_seed(9))
    assert torch.equal(found.keep, draws < chance)
    expected = torch.where(found.keep, chance, 1 - chance).log().flatten()  # [T]
    torch.testing.assert_close(found.log_prob, expected)


def test_a_drawn_mask_is_never_empty(tiny_agent: Any, images: Tensor) -> None:
    agent, view = drawing(tiny_agent, images)
    with torch.no_grad():
        agent.network.layers[-1].bias.sub_(100)
    keep = agent.select(view).keep
    assert (keep.sum(1) == 1).all()
    assert torch.equal(keep.float().argmax(1), agent.scores.argmax(1))


def test_only_what_was_done_is_charged(tiny_agent: Any, images: Tensor) -> None:
    """By hand: queries, keys and a value a head of 16 tokens, their scores, 2 heads of 12."""
    vit = tiny_agent.network()
    agent = vit.selector
    dim, inner, heads = 16, 24, 2
    look = PATCHES * dim * (2 * inner + heads) + PATCHES**2 * (inner + heads)
    network = PATCHES * 1024 + 1024 * 256 + 256 * PATCHES

    def charged() -> list[int]:
        with torch.no_grad():
            walk = vit.walk(images)
        kept = walk.alive[-1].sum(1)
        each = 4 * dim * inner + 2 * dim * 24
        blocks = 2 * (kept * each + 2 * kept**2 * inner)
        rest = walk.macs - blocks - PATCHES * 12 * dim - dim * 10
        return [int(value) for value in set(rest.tolist())]

    vit.generator = torch.Generator().manual_seed(0)
    assert charged() == [look + network]
    agent.mode = "random"
    assert charged() == [0]
    agent.looks = True
    assert charged() == [look]


def test_an_agent_is_restored_with_its_weights(tiny_agent: Any, images: Tensor) -> None:
    vit = tiny_agent.network()
    other = PatchAgent(vit.backbone, AgentvitConfig(n_patch_desired=COUNT))
    view = drawing(tiny_agent, images)[1]
    with pytest.raises(ValueError, match="no weights yet"):
        other.select(view)
    other.restore(vit.selector.state())
    assert torch.equal(other.select(view).keep, vit.selector.select(view).keep)
    assert torch.equal(other.scores, vit.selector.scores)  # type of both: Tensor


def test_creating_an_agent_leaves_the_global_generator_alone(tiny_agent: Any) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    tiny_agent.network()
    assert torch.equal(torch.rand(2), expected)


def test_another_methods_run_cannot_have_the_agent(tiny_agent: Any) -> None:
    with pytest.raises(UsageProblem, match="only the method agentvit trains it"):
        make(tiny_agent.network().backbone, object())
