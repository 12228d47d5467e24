"""A backbone walked part by part is timm's model, and random weights follow the generator."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rlvit.contracts import ImageShape
from rlvit.nn.vision import import_timm
from rlvit_timm.backbone import TimmBackbone
from rlvit_timm.models import make
from rlvit_timm.plugin import rlvit_backbones

DATA = Path(__file__).parents[4] / "shared" / "data" / "vit_tiny"
TINY = DATA / "vit_tiny_patch16_224.safetensors"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_of(size: int, count: int = 2) -> Tensor:
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator(9))


def stirred(model: Any) -> Any:
    """A model in whose initialisation no bias, norm, scale or token is left 0 or 1."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator(parameter.numel()))
    return model


def walk(backbone: TimmBackbone, images: Tensor) -> Tensor:
    tokens = backbone.embed(images)
    assert tokens.shape == (len(images), 1 + backbone.shape.patches, backbone.shape.dim)
    for block in backbone.blocks:
        tokens = block(tokens)
    return backbone.readout(tokens[:, 0])


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("vit_tiny_patch16_224", HALF, HALF),
        ("deit_tiny_patch16_224", IMAGENET_MEAN, IMAGENET_STD),
        ("deit3_small_patch16_224", IMAGENET_MEAN, IMAGENET_STD),  # layer scale, no_embed_class
        ("vit_xsmall_patch16_clip_224", (0.48145466, 0.4578275, 0.40821073), None),  # norm_pre
    ],
)
@torch.no_grad()
def test_the_walk_is_timms_forward_pass(name: str, mean: Any, std: Any) -> None:
    timm = import_timm()
    model = stirred(timm.create_model(name, depth=2, num_classes=7))
    std = std or model.pretrained_cfg["std"]
    backbone = TimmBackbone(copy.deepcopy(model), mean, std, (), "")
    assert model.pretrained_cfg["mean"] == pytest.approx(mean)
    images = images_of(224)
    pixels = images.double() / 255
    normalised = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    # In doubles: the order of a processor's float sums is not what is compared.
    expected = model.double().eval()(normalised)
    assert expected.std() > 0.1  # there is something to tell apart
    backbone.module.double()
    torch.testing.assert_close(walk(backbone, images), expected, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize(("size", "side"), [(8, 8), (28, 32), (32, 32), (33, 40), (224, 224)])
def test_the_small_models_cut_any_image_into_64_patches(size: int, side: int) -> None:
    backbone = make("vit_pico_grid8", generator(), ImageShape(size, 10), None)
    assert backbone.image_size == side
    assert backbone.grid == (8, 8)
    assert walk(backbone, images_of(side, 1)).shape == (1, 10)
    shape = backbone.shape
    assert (shape.depth, shape.dim, shape.hidden, shape.patches) == (12, 64, 256, 64)
    assert (shape.patch_values, shape.classes, shape.prefix) == (3 * (side // 8) ** 2, 10, 1)
    assert backbone.class_names == ()


@torch.no_grad()
def test_a_small_model_is_timms_forward_pass_on_pixels_from_minus_one_to_one() -> None:
    backbone = make("vit_tiny_grid8", generator(), ImageShape(32, 10), "none")
    stirred(backbone.module)
    images = images_of(32)
    expected = backbone.module.double()(images.double() / 127.5 - 1)
    torch.testing.assert_close(walk(backbone, images), expected, atol=2e-6, rtol=2e-6)
    # Patches 48*192+192, positions 65*192, class token, 12 blocks, norm and head.
    block = 4 * 192 + 192 * 576 + 576 + 192 * 192 + 192 + 2 * 192 * 768 + 768 + 192
    total = 49 * 192 + 65 * 192 + 192 + 12 * block + 2 * 192 + 193 * 10
    assert sum(p.numel() for p in backbone.module.parameters()) == total == 5_362_762


def test_random_weights_follow_the_generator_and_leave_torchs_own_alone() -> None:
    shape = ImageShape(28, 10)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = make("vit_pico_grid8", generator(1), shape, None)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(3)  # other users of torch's generator do not matter
    again, other = (make("vit_pico_grid8", generator(seed), shape, None) for seed in (1, 2))
    assert first.sha256 == again.sha256 != other.sha256
    assert len(first.sha256) == 64
    for mine, theirs in zip(first.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    weight = first.module.state_dict()["blocks.3.mlp.fc1.weight"]
    assert float(weight.std()) == pytest.approx(0.02, rel=0.05)


def test_a_listed_architecture_gets_a_head_for_the_dataset() -> None:
    spec = next(s for s in rlvit_backbones() if s.name == "deit_tiny_patch16_224")
    backbone: Any = spec.make(generator(), ImageShape(32, 10), None)
    assert (backbone.image_size, backbone.grid) == (224, (14, 14))
    assert backbone.shape.classes == 10
    assert backbone.class_names == ()
    assert not backbone.module.training
    # DeiT-Ti has 5,717,416 parameters with 1,000 classes of 192 + 1 weights each.
    count = sum(p.numel() for p in backbone.module.parameters())
    assert count == 5_717_416 - 990 * 193


def test_a_copy_and_a_cast_keep_to_their_own_module() -> None:
    backbone = make("vit_pico_grid8", generator(), ImageShape(8, 3), None)
    names = set(backbone.module.state_dict())
    assert not {name for name in names if "pixel" in name}  # normalisation is no weight
    twin = copy.deepcopy(backbone)
    twin.module.double()
    assert twin.embed(images_of(8)).dtype == torch.float64
    assert backbone.embed(images_of(8)).dtype == torch.float32
    assert twin.blocks[0] is not backbone.blocks[0]
    torch.testing.assert_close(twin.embed(images_of(8)).float(), backbone.embed(images_of(8)))


@pytest.mark.skipif(not TINY.exists(), reason="the weights of vit_tiny are not here")
def test_published_weights_load_and_name_imagenets_classes() -> None:
    backbone = make("vit_tiny_patch16_224", generator(), ImageShape(224, 10), str(TINY))
    assert sum(p.numel() for p in backbone.module.parameters()) == 5_717_416
    assert backbone.shape.classes == 1000
    assert len(backbone.class_names) == 1000
    assert backbone.class_names[:2] == ("n01440764", "n01443537")  # tench, goldfish
    assert backbone.class_names[999] == "n15075141"  # toilet tissue
    model: Any = backbone.module
    images = images_of(224, 1)
    with torch.no_grad():
        expected = model(images.float() / 127.5 - 1)
        torch.testing.assert_close(walk(backbone, images), expected, atol=1e-4, rtol=1e-4)
    assert len(backbone.sha256) == 64
