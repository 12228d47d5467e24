"""Random changes to batches of training images on any device, drawn from one CPU generator."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

SHIFT = 8  # small images are moved by up to this part of their side


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each of `images` [B, C, H, W] left to right with probability 1/2."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    mirrored = mirrored.to(images.device)[:, None, None, None]
    return torch.where(mirrored, images.flip(3), images)


def shifted(images: Tensor, generator: torch.Generator, padding: int) -> Tensor:
    """Move each of `images` [B, C, H, W] by -padding..padding pixels in both directions, at random.

    What comes in from outside is black (0). The same as padding on all sides and cutting out a
    random window of the old size (He et al. 2016, section 4.2). Any dtype, one gather.
    """
    batch, channels, height, width = images.shape
    offset = torch.randint(2 * padding + 1, (2, batch), generator=generator).to(images.device)
    padded = functional.pad(images, (padding,) * 4)
    rows = offset[0, :, None] + torch.arange(height, device=images.device)  # [B, H]
    columns = offset[1, :, None] + torch.arange(width, device=images.device)  # [B, W]
    flat = (rows[:, :, None] * (width + 2 * padding) + columns[:, None]).view(batch, 1, -1)
    chosen = padded.flatten(2).gather(2, flat.expand(batch, channels, -1))
    return chosen.view(images.shape)


def small_images(images: Tensor, generator: torch.Generator, how: str) -> Tensor:
    """Change `images` [B, C, H, W] as small ones usually are.

    `how` is "none", "shift" (by up to an eighth of the side, 4 of 32 pixels) or "shift-flip"
    (mirrored at even odds, too).
    """
    if how == "none":
        return images
    images = shifted(images, generator, images.shape[-1] // SHIFT)
    return flip(images, generator) if how == "shift-flip" else images


def resized_crop(
    images: Tensor,
    generator: torch.Generator,
    area: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """Cut a random window from each of `images` [B, C, H, W] and stretch it to the full size.

    Source: Szegedy et al. 2015, section 6, with the ranges that DeiT trains with: the window has
    a uniform share of the area, and an aspect ratio that is uniform in its logarithm. A window that
    is too long is cut to the image's side. Bilinear. Returns float32.
    """
    batch = len(images)
    draws = torch.rand(4, batch, generator=generator)
    share = area[0] + (area[1] - area[0]) * draws[0]
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * draws[1])
    width = (share * aspect).sqrt().clamp(max=1.0)
    height = (share / aspect).sqrt().clamp(max=1.0)
    x = (2 * draws[2] - 1) * (1 - width)  # centre, in -1..1
    y = (2 * draws[3] - 1) * (1 - height)
    zero = torch.zeros(batch)
    rows = torch.stack([torch.stack([width, zero, x]), torch.stack([zero, height, y])])  # [2, 3, B]
    theta = rows.permute(2, 0, 1).to(images.device)  # [B, 2, 3]
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(
        images.float(), grid, padding_mode="reflection", align_corners=False
    )


def erase(images: Tensor, generator: torch.Generator, probability: float = 0.25) -> Tensor:
    """Replace a random rectangle of some of `images` [B, C, H, W] by noise in 0..255.

    Source: Zhong et al. 2020 with DeiT's values: of a quarter of the images, 2 to 33 % of the area
    with an aspect ratio of 0.3 to 3.3; noise a pixel.
    """
    batch, _, height, width = images.shape
    draws = torch.rand(5, batch, generator=generator)
    share, aspect = 0.02 + 0.31 * draws[0], torch.exp(math.log(0.3) * (1 - 2 * draws[1]))
    tall, wide = (share * aspect).sqrt().clamp(max=1.0), (share / aspect).sqrt().clamp(max=1.0)
    top, left = draws[2] * (1 - tall), draws[3] * (1 - wide)
    chosen = draws[4] < probability
    y = (torch.arange(height) + 0.5) / height
    x = (torch.arange(width) + 0.5) / width
    rows = (y >= top[:, None]) & (y < (top + tall)[:, None]) & chosen[:, None]  # [B, H]
    columns = (x >= left[:, None]) & (x < (left + wide)[:, None])  # [B, W]
    hole = (rows[:, :, None] & columns[:, None]).to(images.device)[:, None]  # [B, 1, H, W]
    noise = 255 * torch.rand(images.shape, generator=generator)
    return torch.where(hole, noise.to(images.device), images.float())


def mix(
    images: Tensor, targets: Tensor, generator: torch.Generator, mixup: float, cutmix: float
) -> tuple[Tensor, Tensor]:
    """Blend a batch [B, C, H, W] with itself reversed, or paste a window of that into it.

    Source: Zhang et al. 2018 (mixup), Yun et al. 2019 (cutmix); one of the two at even odds where
    both have a positive alpha, one strength a batch, as DeiT trains. `targets` [B, K] are mixed in
    the same proportion. An alpha of 0 switches that one off.
    """
    if mixup <= 0 and cutmix <= 0:
        return images, targets
    draws = torch.rand(3, generator=generator).tolist()
    pastes = cutmix > 0 and (mixup <= 0 or draws[0] < 0.5)
    share = _beta(cutmix if pastes else mixup, generator)
    images, other = images.float(), images.flip(0).float()
    if not pastes:
        return share * images + (1 - share) * other, share * targets + (1 - share) * targets.flip(0)
    height, width = images.shape[2:]
    side = math.sqrt(1 - share)
    centre_y, centre_x = int(draws[1] * height), int(draws[2] * width)
    half_y, half_x = int(side * height) // 2, int(side * width) // 2
    top, bottom = max(0, centre_y - half_y), min(height, centre_y + half_y)
    left, right = max(0, centre_x - half_x), min(width, centre_x + half_x)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (height * width)  # what is left after cutting
    return mixed, share * targets + (1 - share) * targets.flip(0)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """Draw from Beta(alpha, alpha), the share of one of two gamma variates."""
    shape = torch.full((2,), alpha, dtype=torch.float64)
    first, second = torch._standard_gamma(shape, generator=generator).tolist()
    total = first + second
    return 0.5 if total == 0 else first / total
