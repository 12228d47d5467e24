"""Random changes to training images: what each may do, how often, and that draws repeat."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rlvit.nn.augment import erase, flip, mix, resized_crop, shifted


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 7) -> Tensor:
    """Random pixels, uint8."""
    return torch.randint(256, shape, dtype=torch.uint8, generator=seeded(seed))


def mixed(images: Tensor, generator: torch.Generator) -> Tensor:
    return mix(images, torch.eye(len(images)), generator, 0.8, 1.0)[0]


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    return shifted(images, generator, 3)


CHANGES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "flip": flip,
    "shifted": moved,
    "resized_crop": resized_crop,
    "erase": erase,
    "mix": mixed,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_depends_on_its_generator_alone_and_leaves_its_input(name: str) -> None:
    images = noise(16, 3, 8, 8)
    before = images.clone()
    torch.manual_seed(1)
    first = CHANGES[name](images, seeded(3))
    torch.manual_seed(2)
    again = CHANGES[name](images, seeded(3))
    assert torch.equal(first, again)
    assert not torch.equal(first, CHANGES[name](images, seeded(4)))
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", CHANGES)
def test_bytes_and_floats_of_the_same_value_give_the_same(name: str) -> None:
    images = noise(16, 3, 8, 8)
    of_bytes = CHANGES[name](images, seeded(3))
    of_floats = CHANGES[name](images.float(), seeded(3))
    assert of_floats.dtype == torch.float32
    assert torch.equal(of_bytes.float(), of_floats)
    assert of_bytes.shape == images.shape
    assert float(of_floats.min()) >= 0
    assert float(of_floats.max()) <= 255


def test_flip_mirrors_half_of_the_images_left_to_right() -> None:
    images = torch.arange(1000)[:, None, None, None] + torch.tensor([[0, 1], [2, 3]]) * 1000
    found = flip(images, seeded())
    mirrored = (found == images.flip(3)).all((1, 2, 3))
    assert ((found == images).all((1, 2, 3)) ^ mirrored).all()
    assert abs(int(mirrored.sum()) - 500) < 4 * math.sqrt(250)  # four standard deviations


def test_a_crop_of_the_whole_area_is_the_identity() -> None:
    images = noise(5, 3, 9, 9)
    found = resized_crop(images, seeded(), area=(1, 1), ratio=(1, 1))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, images.float(), rtol=0, atol=1e-2)


def ramps(batch: int, side: int) -> Tensor:
    """Images whose first channel is the column and whose second is the row."""
    steps = torch.arange(side, dtype=torch.float32)
    grid = torch.stack([steps.expand(side, side), steps[:, None].expand(side, side)])
    return grid.expand(batch, 2, side, side)


def test_a_quarter_of_the_area_is_stretched_twofold_from_a_window_within() -> None:
    side = 64
    found = resized_crop(ramps(200, side), seeded(), area=(0.25, 0.25), ratio=(1, 1))
    inner = found[:, :, 2:-2, 2:-2]  # beyond the border, where the outermost pixels reflect
    across = inner[:, 0].diff(dim=2)  # of the columns
    down = inner[:, 1].diff(dim=1)
    torch.testing.assert_close(across, torch.full_like(across, 0.5), rtol=0, atol=1e-3)
    torch.testing.assert_close(down, torch.full_like(down, 0.5), rtol=0, atol=1e-3)
    assert float(inner[:, 0].diff(dim=1).abs().max()) < 1e-3  # nothing is turned
    centres = found.mean((2, 3))  # [B, 2] within side/4 .. 3 side/4, less half a pixel
    assert float(centres.min()) >= side / 4 - 0.6
    assert float(centres.max()) <= 3 * side / 4 - 0.4
    spread = centres.amax(0) - centres.amin(0)
    assert float(spread.min()) > 0.9 * side / 2  # windows lie everywhere


def test_a_crops_area_and_aspect_ratio_have_their_distributions() -> None:
    side = 64
    # Below a share of 3/4 no window is cut to the image's side.
    found = resized_crop(ramps(2000, side), seeded(), area=(0.3, 0.7))[:, :, 8:-8, 8:-8]
    width = found[:, 0].diff(dim=2).mean((1, 2))  # [B] share of the side
    height = found[:, 1].diff(dim=1).mean((1, 2))
    area, ratio = width * height, width / height
    assert 0.299 < float(area.min()) < 0.31
    assert 0.69 < float(area.max()) < 0.701
    assert float(area.mean()) == pytest.approx(0.5, abs=4 * 0.4 / math.sqrt(12 * 2000))
    assert 0.7499 < float(ratio.min()) < 0.76
    assert 1.32 < float(ratio.max()) < 1.3335
    deviation = math.log(16 / 9) / math.sqrt(12 * 2000)
    assert float(ratio.log().mean()) == pytest.approx(0, abs=4 * deviation)


def test_a_window_that_is_too_long_is_cut_to_the_images_side() -> None:
    found = resized_crop(ramps(50, 64), seeded(), area=(1, 1), ratio=(4 / 3, 4 / 3))
    width = found[:, 0, 8:-8, 8:-8].diff(dim=2)
    height = found[:, 1, 8:-8, 8:-8].diff(dim=1)
    torch.testing.assert_close(width, torch.ones_like(width), rtol=0, atol=1e-3)
    wanted = torch.full_like(height, math.sqrt(3 / 4))
    torch.testing.assert_close(height, wanted, rtol=0, atol=1e-3)


def test_erase_puts_noise_into_one_rectangle_of_a_quarter_of_the_images() -> None:
    images = torch.full((2000, 2, 40, 40), -1.0)  # no noise is negative
    found = erase(images, seeded())
    holes = found[:, 0] >= 0  # [B, H, W]
    assert torch.equal(holes, found[:, 1] >= 0)
    touched = holes.any(2).any(1)
    assert abs(int(touched.sum()) - 500) < 4 * math.sqrt(2000 * 0.25 * 0.75)
    rows, columns = holes.any(2).sum(1)[touched], holes.any(1).sum(1)[touched]
    assert torch.equal(rows * columns, holes.sum((1, 2))[touched])  # a whole rectangle
    # A side of s covers floor(40 s) or one more of 40 pixels.
    least, most = (rows - 1) * (columns - 1) / 1600, (rows + 1) * (columns + 1) / 1600
    assert bool((most > 0.02).all())
    assert bool((least < 0.33).all())
    area = (rows * columns / 1600).mean()
    assert float(area) == pytest.approx(0.175, abs=0.02)
    pixels = found[found >= 0]
    assert float(pixels.max()) <= 255
    assert float(pixels.mean()) == pytest.approx(127.5, abs=1)


@pytest.mark.parametrize(("probability", "wanted"), [(0.0, 0), (1.0, 64)])
def test_erase_touches_none_or_all(probability: float, wanted: int) -> None:
    images = torch.full((64, 1, 16, 16), -1.0)
    found = erase(images, seeded(), probability)
    assert int((found >= 0).flatten(1).any(1).sum()) == wanted
    assert torch.equal(found[found < 0], images[found < 0])


def test_without_an_alpha_nothing_is_mixed_or_drawn() -> None:
    images, targets, generator = noise(4, 3, 8, 8), torch.eye(4), seeded()
    before = generator.get_state()
    found, labels = mix(images, targets, generator, 0.0, 0.0)
    assert torch.equal(found, images)
    assert torch.equal(labels, targets)
    assert torch.equal(generator.get_state(), before)


def halves(batch: int) -> tuple[Tensor, Tensor]:
    """Images that are all 0 in the first half of a batch and all 1 in the second; their targets."""
    kind = (torch.arange(batch) >= batch // 2).float()
    return kind[:, None, None, None].expand(batch, 1, 12, 12), torch.stack([1 - kind, kind], 1)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_targets_are_mixed_in_proportion_to_the_pixels(mixup: float, cutmix: float) -> None:
    images, targets = halves(6)
    for seed in range(50):
        found, labels = mix(images, targets, seeded(seed), mixup, cutmix)
        torch.testing.assert_close(labels.sum(1), torch.ones(6))
        # The mean of an image of zeros and ones is the share of the second kind.
        torch.testing.assert_close(found.mean((1, 2, 3)), labels[:, 1], rtol=0, atol=1e-6)
        pasted = bool(((found == 0) | (found == 1)).all())
        assert pasted or mixup > 0
        if mixup == 0:
            share = float(labels[0, 1])
            assert share * 144 == pytest.approx(round(share * 144), abs=1e-4)


def test_a_pasted_window_is_a_rectangle_of_the_reversed_batch() -> None:
    images = noise(4, 3, 20, 20)
    sizes = set()
    for seed in range(20):
        found, labels = mix(images, torch.eye(4), seeded(seed), 0.0, 1.0)
        share = float(labels[0, 3])
        own = (found == images.float()).all(1)  # [B, H, W]
        other = (found == images.flip(0).float()).all(1)
        assert bool((own | other).all())
        window = (~own).any(0)
        assert int(window.sum()) == int(window.any(1).sum() * window.any(0).sum())
        assert share == pytest.approx(int(window.sum()) / 400, abs=1e-6)
        sizes.add(int(window.sum()))
    assert len(sizes) > 10


def test_mixup_and_cutmix_take_turns_with_strengths_of_their_beta() -> None:
    images, targets = halves(2)
    shares, pasted = [], 0
    for seed in range(600):
        found, labels = mix(images, targets, seeded(seed), 0.8, 1.0)
        blended = bool(((found > 0) & (found < 1)).any())
        pasted += not blended
        if blended:
            shares.append(float(labels[0, 0]))
    assert abs(pasted - 300) < 4 * math.sqrt(150)
    # Beta(0.8, 0.8) has mean 1/2 and variance 1 / (4 (2 * 0.8 + 1)).
    strength = torch.tensor(shares)
    variance = 1 / (4 * 2.6)
    deviation = math.sqrt(variance / len(shares))
    assert float(strength.mean()) == pytest.approx(0.5, abs=4 * deviation)
    assert float(strength.var()) == pytest.approx(variance, rel=0.2)


def test_an_odd_batch_keeps_its_middle_image() -> None:
    images = noise(3, 3, 8, 8)
    found, labels = mix(images, torch.eye(3), seeded(1), 0.8, 0.0)
    torch.testing.assert_close(found[1], images[1].float(), rtol=0, atol=1e-4)
    assert float(labels[1, 1]) == pytest.approx(1, abs=1e-6)


def windows(image: Tensor, padding: int) -> list[Tensor]:
    """All windows of the size of an image [C, H, W] in that image with a black border."""
    channels, height, width = image.shape
    padded = image.new_zeros(channels, height + 2 * padding, width + 2 * padding)
    padded[:, padding : padding + height, padding : padding + width] = image
    steps = range(2 * padding + 1)
    return [padded[:, y : y + height, x : x + width] for y in steps for x in steps]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.int64])
@pytest.mark.parametrize("padding", [0, 1, 4])
def test_a_shifted_image_is_a_window_of_the_padded_one(padding: int, dtype: torch.dtype) -> None:
    images = noise(12, 3, 9, 7).to(dtype) + 1  # wraps to 0 here and there, in bytes
    found = shifted(images, seeded(5), padding)
    assert found.dtype == dtype
    assert found.shape == images.shape
    for image, one in zip(images, found, strict=True):
        equal = [torch.equal(window, one) for window in windows(image, padding)]
        assert sum(equal) == 1  # this very image's, all channels alike


def test_without_padding_nothing_is_shifted() -> None:
    images = noise(5, 1, 6, 6)
    assert torch.equal(shifted(images, seeded(), 0), images)


def test_all_shifts_are_equally_likely_and_independent() -> None:
    padding, count = 2, 10_000
    image = torch.zeros(1, 5, 5, dtype=torch.uint8)
    image[0, 2, 2] = 1  # wherever it goes it stays within
    found = shifted(image.expand(count, 1, 5, 5), seeded(11), padding)
    assert torch.equal(found.sum((1, 2, 3)), torch.ones(count, dtype=torch.int64))
    seen = found.sum((0, 1)).flatten().double()  # [25], of each shift
    wanted = count / 25
    chi_square = float(((seen - wanted) ** 2 / wanted).sum())
    assert chi_square < 51.2  # the 0.999 quantile with 24 degrees of freedom
