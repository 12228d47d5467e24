"""SimpleViT is the formula written out here; dropping its patches equals never having had them."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rlvit.contracts import ImageShape, Selection, SelectorView
from rlvit.errors import UsageProblem
from rlvit.nn.compute import attended_macs, dense_macs, vit_macs
from rlvit.nn.lookahead import attended, can_be_attended, received
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.ragged import whole
from rlvit_agentvit.plugin import SIZES, rlvit_backbones
from rlvit_agentvit.simple_vit import SimpleBackbone, make, shape_of

SMALL = {"patch_size": 4, "dim": 24, "depth": 3, "heads": 3, "head_dim": 20, "mlp_dim": 40}
CIFAR = ImageShape(32, 10)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_of(size: int = 32, count: int = 6) -> Tensor:
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=seeded(9))


def small(shape: ImageShape = CIFAR) -> SimpleBackbone:
    """A small network in which no bias or norm is left 0 or 1."""
    backbone = make(SMALL, seeded(1), shape, None)
    with torch.no_grad():
        for parameter in backbone.module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=seeded(parameter.numel()))
    return backbone


def norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    y = x @ weights[f"{name}.weight"].T
    return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y


def patches_of(image: Tensor, side: int) -> Tensor:
    """Normalised patches [N, side * side * 3]; in a patch row by row, channels last."""
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    image = torch.stack([(image[c] / 255 - mean[c]) / std[c] for c in range(3)])
    steps = range(0, image.shape[1], side)
    return torch.stack(
        [
            image[:, row : row + side, column : column + side].permute(1, 2, 0).flatten()
            for row in steps
            for column in steps
        ]
    )


def codes(dim: int, rows: int) -> Tensor:
    """Positions [N, dim]: sines and cosines of the column, then of the row."""
    omega = [1 / 10000 ** (i / (dim / 4 - 1)) for i in range(dim // 4)]
    return torch.tensor(
        [
            [f(z * o) for z in (x, y) for f in (math.sin, math.cos) for o in omega]
            for y in range(rows)
            for x in range(rows)
        ],
        dtype=torch.float64,
    )


def naive(
    weights: dict[str, Tensor], sizes: dict[str, int], image: Tensor, keep: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits [K] of an image of which some patches alone exist, and its first attention's mean."""
    rows = image.shape[1] // sizes["patch_size"]
    x = norm(patches_of(image, sizes["patch_size"]), weights, "to_patch_embedding.0")
    x = norm(linear(x, weights, "to_patch_embedding.1"), weights, "to_patch_embedding.2")
    x = (x + codes(sizes["dim"], rows))[keep]
    first = None
    for number in range(sizes["depth"]):
        block = f"blocks.{number}"
        normed = norm(x, weights, f"{block}.norm1")
        qkv = normed @ weights[f"{block}.attn.qkv.weight"].T  # no bias
        q, k, v = qkv.chunk(3, -1)
        heads = []
        for head in range(sizes["heads"]):
            part = slice(head * sizes["head_dim"], (head + 1) * sizes["head_dim"])
            scores = q[:, part] @ k[:, part].T / math.sqrt(sizes["head_dim"])
            heads.append(scores.softmax(-1) @ v[:, part])
        y = torch.cat(heads, -1) @ weights[f"{block}.attn.proj.weight"].T  # no bias
        first = y.mean(-1) if first is None else first
        x = x + y
        hidden = linear(norm(x, weights, f"{block}.norm2"), weights, f"{block}.mlp.fc1")
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + linear(hidden, weights, f"{block}.mlp.fc2")
    assert first is not None
    return linear(norm(x.mean(0), weights, "norm"), weights, "head"), first


def weights_of(backbone: SimpleBackbone) -> dict[str, Tensor]:
    return {name: value.double() for name, value in backbone.module.state_dict().items()}


class Chosen:
    """Keeps the patches it is told."""

    def __init__(self, keep: Tensor) -> None:
        self.keep = keep
        self.views: list[SelectorView] = []

    def select(self, view: SelectorView) -> Selection:
        self.views.append(view)
        return Selection(self.keep)

    def macs(self, view: SelectorView) -> Tensor:
        return torch.zeros(len(view.alive))


def different() -> Tensor:
    """A mask that keeps 1, 64 and other numbers of patches of six images."""
    counts = torch.tensor([1, 64, 31, 17, 50, 2])
    ranks = torch.rand(6, 64, generator=seeded(4)).argsort(1).argsort(1)
    return ranks < counts[:, None]


def pruned(backbone: Any, selector: Any, **more: Any) -> PrunedVit:
    needs = frozenset({"attended"})
    return PrunedVit(backbone, selector, needs, (0,), targets=torch.arange(10), **more)


def dense(backbone: Any, images: Tensor) -> Tensor:
    vit = PrunedVit(backbone, Chosen(different()), frozenset(), (), targets=torch.arange(10))
    return vit.classify(images).logits


def test_the_published_size_has_3_947_242_parameters() -> None:
    backbone = make(SIZES, seeded(), CIFAR, None)
    dim, inner, hidden, values = 128, 16 * 64, 512, 3 * 4 * 4
    attention = dim * 3 * inner + inner * dim  # no biases
    mlp = dim * hidden + hidden + hidden * dim + dim
    block = 2 * dim + attention + 2 * dim + mlp
    assert block == 656_512
    blocks = sum(p.numel() for b in backbone.blocks for p in b.parameters())
    assert blocks == 6 * block == 3_939_072
    embedding = 2 * values + values * dim + dim + 2 * dim
    head = 2 * dim + dim * 10 + 10
    assert embedding + head == 8_170
    total = sum(p.numel() for p in backbone.module.parameters())
    assert total == 6 * block + embedding + head == 3_947_242
    names = set(backbone.module.state_dict())
    assert not any("positions" in name or "pixel" in name for name in names)  # no weights


def test_the_published_size_by_hand() -> None:
    backbone = make(SIZES, seeded(), CIFAR, None)
    shape = backbone.shape
    assert (shape.depth, shape.dim, shape.hidden, shape.patches) == (6, 128, 512, 64)
    assert (shape.patch_values, shape.classes, shape.prefix, shape.width) == (48, 10, 0, 1024)
    assert (backbone.grid, backbone.heads, backbone.image_size) == ((8, 8), 16, 32)
    assert (tuple(backbone.class_names), backbone.sha256) == ((), "")
    each = 128 * 3072 + 1024 * 128 + 2 * 128 * 512  # MACs of a token's linear layers
    block = 64 * each + 2 * 64 * 64 * 1024
    assert dense_macs(shape) == 64 * 48 * 128 + 6 * block + 1280 == 302_384_384
    kept = torch.tensor([[64], [30]])
    pruned_block = 30 * each + 2 * 30 * 30 * 1024
    by_hand = [dense_macs(shape), 64 * 48 * 128 + 6 * pruned_block + 1280]
    assert vit_macs(shape, kept, [0]).tolist() == by_hand
    # What the agent sees: queries, keys, a value a head; scores, and a weighted sum a head.
    state = 64 * 128 * (2 * 1024 + 16) + 64 * 64 * (1024 + 16)
    assert attended_macs(shape, backbone.heads, 64) == state == 21_168_128


def test_an_operator_count_of_the_network_is_the_ledgers() -> None:
    backbone = make(SMALL, seeded(), CIFAR, None)
    backbone.module.to("meta")
    with FlopCounterMode(display=False) as counter:
        tokens = backbone.embed(torch.empty(2, 3, 32, 32, device="meta"))
        for block in backbone.blocks:
            tokens = block(tokens)
        backbone.readout(tokens.mean(1))
    assert counter.get_total_flops() == 2 * 2 * dense_macs(backbone.shape)


@pytest.mark.parametrize(("size", "side"), [(32, 4), (20, 5)])
def test_the_forward_pass_is_the_formula(size: int, side: int) -> None:
    sizes = {**SMALL, "patch_size": side}
    backbone = small(ImageShape(size, 10, {"patch_size": side}))
    images, rows = images_of(size), size // side
    everything = torch.ones(rows * rows, dtype=torch.bool)
    weights = weights_of(backbone)
    expected = torch.stack([naive(weights, sizes, one, everything)[0] for one in images.double()])
    assert expected.std(0).min() > 0.01  # images are told apart
    found = dense(backbone, images)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_the_published_size_computes_the_formula_too() -> None:
    backbone = make(SIZES, seeded(3), CIFAR, None)
    images = images_of(count=1)
    keep = torch.ones(64, dtype=torch.bool)
    expected, state = naive(weights_of(backbone), SIZES, images[0].double(), keep)
    selector = Chosen(torch.ones(1, 64, dtype=torch.bool))
    found = pruned(backbone, selector).classify(images).logits[0]
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    seen = selector.views[0].data["attended"]
    assert (seen - state).abs().max() <= 1e-5 * state.abs().max()


@pytest.mark.parametrize("masks_only", [False, True])
def test_dropped_patches_might_as_well_never_have_been(masks_only: bool) -> None:
    backbone, images, keep = small(), images_of(), different()
    selector = Chosen(keep)
    found = pruned(backbone, selector, masks_only=masks_only).classify(images)
    weights = weights_of(backbone)
    each = [naive(weights, SMALL, *one)[0] for one in zip(images.double(), keep, strict=True)]
    expected = torch.stack(each)
    assert (found.logits - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert found.kept[:, 0].tolist() == [1, 64, 31, 17, 50, 2]
    assert torch.equal(found.macs, vit_macs(backbone.shape, found.kept, [0]).double())
    assert (dense(backbone, images) - expected).abs().amax(1)[[0, 2, 3, 4, 5]].min() > 1e-3
    # The agent sees all patches, before any is dropped.
    everything = torch.ones(64, dtype=torch.bool)
    states = [naive(weights, SMALL, one, everything)[1] for one in images.double()]
    seen, state = selector.views[0].data["attended"], torch.cat(states)
    assert (seen - state).abs().max() <= 1e-5 * state.abs().max()


def test_gathered_equals_masked_and_so_do_the_gradients() -> None:
    images, weight = images_of(), torch.randn(6, 10, generator=seeded(8))
    gradients, logits = [], []
    for masks_only in (False, True):
        backbone = small()
        vit = pruned(backbone, Chosen(different()), masks_only=masks_only)
        found = vit.walk(images).logits
        (found * weight).sum().backward()
        logits.append(found.detach())
        gradients.append({n: p.grad for n, p in backbone.module.named_parameters()})
    assert (logits[0] - logits[1]).abs().max() <= 1e-5 * logits[1].abs().max()
    assert gradients[0].keys() == gradients[1].keys()
    for name, masked in gradients[1].items():
        gathered = gradients[0][name]
        assert masked is not None
        assert gathered is not None
        assert masked.abs().max() > 0, name
        assert (gathered - masked).abs().max() <= 2e-5 * masked.abs().max(), name


def test_a_block_can_be_foreseen() -> None:
    backbone, images = small(), images_of()
    with torch.no_grad():
        tokens = backbone.embed(images)
        for block in backbone.blocks:
            assert can_be_attended(block)
            module: Any = block
            output = module.attn(module.norm1(tokens)).mean(2).flatten()
            found = attended(block, whole(tokens, 0))
            assert (found - output).abs().max() <= 1e-5 * output.abs().max()
            sums = received(block, whole(tokens, 0)).view(6, 64).sum(1)
            torch.testing.assert_close(sums, torch.ones(6))
            tokens = block(tokens)


def test_weights_follow_the_generator_and_leave_torchs_own_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = make(SMALL, seeded(1), CIFAR, None)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)  # other users of torch's generator do not matter
    again, other = (make(SMALL, seeded(seed), CIFAR, "none") for seed in (1, 2))
    mine, same, others = (weights_of(one) for one in (first, again, other))
    assert all(torch.equal(mine[name], same[name]) for name in mine)
    assert not torch.equal(mine["head.weight"], others["head.weight"])
    generator = seeded(1)
    make(SMALL, generator, CIFAR, None)
    third = make(SMALL, generator, CIFAR, None)  # the generator went on
    assert not torch.equal(mine["head.weight"], weights_of(third)["head.weight"])


def test_weights_are_torchs_defaults() -> None:
    weights = weights_of(make(SIZES, seeded(), CIFAR, None))
    for name, fan_in in (("blocks.2.attn.qkv", 128), ("blocks.5.mlp.fc2", 512), ("head", 128)):
        bound = 1 / math.sqrt(fan_in)
        largest = float(weights[f"{name}.weight"].abs().max())
        assert 0.95 * bound < largest <= bound * (1 + 1e-6)


def test_weights_come_back_from_a_file(tmp_path: Path) -> None:
    first, path = small(), tmp_path / "weights.safetensors"
    save_file(first.module.state_dict(), path)
    again = make(SMALL, seeded(77), CIFAR, str(path))
    assert torch.equal(dense(again, images_of()), dense(first, images_of()))
    mine, theirs = weights_of(first), weights_of(again)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(UsageProblem, match=f"weights {path}: there is no such file"):
        make(SMALL, seeded(), CIFAR, str(path))
    with pytest.raises(UsageProblem, match="there is no such file"):
        make(SMALL, seeded(), CIFAR, str(tmp_path))
    path.write_bytes(b"no weights")
    with pytest.raises(UsageProblem, match=r"^weights \S+: no safetensors file: [^\n]+$"):
        make(SMALL, seeded(), CIFAR, str(path))
    state = small().module.state_dict()
    short = {name: value for name, value in state.items() if name != "norm.bias"}
    three = small(ImageShape(32, 3)).module.state_dict()  # classes
    wrong = [
        (short, "norm.bias is missing, expected [24]."),
        ({**state, "extra": torch.zeros(1)}, "extra is [1], expected nothing of that name."),
        ({**state, "head.bias": torch.zeros(7)}, "head.bias is [7], expected [10]."),
        (three, "head.weight is [3, 24], expected [10, 24]."),
    ]
    for weights, reason in wrong:
        save_file(weights, path)
        with pytest.raises(UsageProblem) as caught:
            make(SMALL, seeded(), CIFAR, str(path))
        assert str(caught.value) == f"weights {path}: no weights of this simple-vit: {reason}"


@pytest.mark.parametrize(
    ("sizes", "size", "message"),
    [
        ({"patch_size": 5}, 32, "--patch-size 5: images of 32 pixels a side"),
        ({"patch_size": 32}, 32, "--patch-size 32: images of 32 pixels a side"),
        ({"patch_size": 64}, 32, "--patch-size 64: images of 32 pixels a side"),
        ({}, 30, "--patch-size 4: images of 30 pixels a side"),
        ({"dim": 26}, 32, "--dim 26: expected a multiple of 4, 8 at least."),
        ({"dim": 4}, 32, "--dim 4: expected a multiple of 4, 8 at least."),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes: dict[str, int], size: int, message: str) -> None:
    spec, small = rlvit_backbones()
    assert dict(small.sizes).keys() == SIZES.keys()
    assert spec.shape is not None
    shape = ImageShape(size, 10, sizes)
    for build in (
        lambda: shape_of({**SMALL, **sizes}, shape),
        lambda: make(SMALL, seeded(), shape, None),
        lambda: spec.shape(shape),
    ):
        with pytest.raises(UsageProblem) as caught:
            build()
        assert str(caught.value).startswith(message)


def test_the_spec_offers_what_the_network_can_show() -> None:
    spec, small = rlvit_backbones()
    assert dict(small.sizes).keys() == SIZES.keys()
    sizes = {"dim": 16, "depth": 2, "heads": 2, "head_dim": 8, "mlp_dim": 24}
    assert spec.shape is not None
    shape = ImageShape(28, 3, sizes)
    backbone: Any = spec.make(seeded(), shape, None)
    assert backbone.shape == spec.shape(shape) == shape_of({"patch_size": 4, **sizes}, shape)
    assert backbone.shape.patches == 49
    assert backbone.embed(images_of(28)).shape == (6, 49, 16)
    assert dict(spec.sizes) == SIZES
    assert spec.provides == {"images", "tokens", "attended", "received"}  # no class token


def test_a_copy_and_a_cast_keep_to_their_own_module() -> None:
    backbone = small()
    twin = copy.deepcopy(backbone)
    twin.module.double()
    assert twin.embed(images_of()).dtype == torch.float64
    assert backbone.embed(images_of()).dtype == torch.float32
    assert twin.blocks[0] is not backbone.blocks[0]
    torch.testing.assert_close(twin.embed(images_of()).float(), backbone.embed(images_of()))
