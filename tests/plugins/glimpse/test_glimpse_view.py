"""Windows against torch's resizing of the cut-out, at every zoom and every border."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rlvit_glimpse.view import Seen, Views, ZoomTables, crop, foveate

CPU = torch.device("cpu")


def frames(games: int, size: int, seed: int = 0) -> Tensor:
    """Bytes that are all different from their neighbours, uint8 [G, 3, S, S]."""
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(256, (games, 3, size, size), generator=draws, dtype=torch.uint8)


def views(boxes: list[tuple[float, float, float]]) -> Views:
    """Squares from (top, left, side)."""
    return Views(*torch.tensor(boxes, dtype=torch.float32).T)


def resized(image: Tensor, top: int, left: int, side: int, w: int) -> Tensor:
    """The cut-out [ch, side, side], resized by torch."""
    cut = image[None, :, top : top + side, left : left + side]
    return functional.interpolate(
        cut, size=(w, w), mode="bilinear", align_corners=False, antialias=False
    )[0]


@pytest.mark.parametrize("side", [5, 8, 11, 16, 23, 32])
def test_a_window_is_the_resized_cut_out_at_every_corner(side: int) -> None:
    corners = [0, 1, (32 - side) // 2, 32 - side]
    places = list(itertools.product([min(c, 32 - side) for c in corners], repeat=2))
    images = frames(len(places), 32).float() / 255
    for outside in (None, 0.0):
        seen = crop(images, views([(t, x, side) for t, x in places]), 8, outside=outside)
        for game, (top, left) in enumerate(places):
            expected = resized(images[game], top, left, side, 8)
            torch.testing.assert_close(seen[game], expected, rtol=0, atol=1e-6)


def test_a_window_of_its_own_size_is_an_exact_copy() -> None:
    images = frames(4, 20).float()
    boxes = [(0, 0, 8), (12, 12, 8), (5, 0, 8), (3, 7, 8)]
    expected = torch.stack(
        [i[:, t : t + 8, x : x + 8] for i, (t, x, _) in zip(images, boxes, strict=True)]
    )
    assert torch.equal(crop(images, views(boxes), 8), expected)
    assert torch.equal(crop(images, views(boxes), 8, copies=True), expected)


def test_what_lies_around_the_frame_mixes_in_as_on_a_canvas() -> None:
    images = frames(5, 12).float() / 255
    canvas = torch.full((5, 3, 36, 36), 0.25)
    canvas[:, :, 12:24, 12:24] = images
    boxes = [(-3, -3, 8), (8, 5, 16), (-12, 0, 8), (-5, 9, 11), (-6, -6, 24)]
    seen = crop(images, views(boxes), 8, outside=0.25)
    for game, (top, left, side) in enumerate(boxes):
        expected = resized(canvas[game], top + 12, left + 12, side, 8)
        torch.testing.assert_close(seen[game], expected, rtol=0, atol=1e-6)
    assert (seen[2, :, :, :] == 0.25).all()  # it ends where the frame begins


def test_a_half_pixel_corner_is_the_mean_of_two() -> None:
    row = torch.arange(6.0).expand(1, 1, 6, 6)  # 0 1 2 3 4 5 in each row
    assert crop(row, views([(0.0, 1.5, 2.0)]), 2).tolist() == [[[[1.5, 2.5]] * 2]]


@pytest.mark.parametrize("size", [32, 40])
def test_tables_give_the_resized_cut_out_at_every_zoom_and_border(size: int) -> None:
    zooms = (1, 2, 3, 4)
    cases = [
        (level, top, left)
        for level, zoom in enumerate(zooms)
        for top in sorted({0, 1, (size - 8 * zoom) // 2, size - 8 * zoom})
        for left in range(0, size - 8 * zoom + 1, max(1, size - 8 * zoom))
        if top <= size - 8 * zoom
    ]
    images = frames(len(cases), size)
    tables = ZoomTables(len(cases), 3, size, 8, zooms, CPU)
    tables.load(images)
    level, top, left = torch.tensor(cases).T
    out = torch.empty(len(cases), 3 * 64)
    tables.look(level, torch.stack((top, left), 1), out)
    for game, (z, t, x) in enumerate(cases):
        expected = resized(images[game].float() / 255, t, x, 8 * zooms[z], 8)
        torch.testing.assert_close(out[game].view(3, 8, 8), expected, rtol=0, atol=1e-6)
        if z == 0:  # no arithmetic: the byte over 255, to the last bit
            assert torch.equal(out[game].view(3, 8, 8), expected)


def test_tables_of_some_games_can_be_replaced() -> None:
    old, new = frames(3, 32, 1), frames(1, 32, 2)
    tables, fresh = (ZoomTables(3, 3, 32, 8, (1, 2, 4), CPU) for _ in range(2))
    tables.load(old)
    tables.load(new, torch.tensor([1]))
    fresh.load(torch.stack((old[0], new[0], old[2])))
    level, corner = torch.tensor([1, 2, 0]), torch.tensor([[3, 4], [0, 0], [24, 24]])
    seen, expected = torch.empty(2, 3, 3 * 64)
    tables.look(level, corner, seen)
    fresh.look(level, corner, expected)
    assert torch.equal(seen, expected)


def test_rings_average_ever_larger_squares_and_slide_at_the_border() -> None:
    images = frames(2, 32).float()
    seen = foveate(images, torch.tensor([16.0, 1.0]), torch.tensor([15.0, 31.0]), 8, 3)
    corners = [[(12, 11), (8, 7), (0, 0)], [(0, 24), (0, 16), (0, 0)]]
    assert seen.shape == (2, 9, 8, 8)
    for game, ring in itertools.product(range(2), range(3)):
        top, left = corners[game][ring]
        side = 8 << ring
        cut = images[game, :, top : top + side, left : left + side]
        blocks = cut.reshape(3, 8, side // 8, 8, side // 8).mean((2, 4))
        torch.testing.assert_close(seen[game, 3 * ring : 3 * ring + 3], blocks)


def test_rings_on_a_canvas_show_black_around_the_image() -> None:
    images = frames(1, 16).float()
    origin = torch.tensor([[10, 3]])
    canvas = torch.zeros(1, 3, 32, 32)
    canvas[:, :, 10:26, 3:19] = images
    centre = torch.tensor([9.0]), torch.tensor([20.0])
    on_canvas = foveate(images, *centre, 8, 3, origin=origin, extent=32)
    torch.testing.assert_close(on_canvas, foveate(canvas, *centre, 8, 3))


@pytest.mark.parametrize("width", [10, 63, 64, 130])  # within, at and beyond a word's bits
def test_seen_pixels_are_whole_squares_clipped_to_the_frame(width: int) -> None:
    seen, mask = Seen(2, 9, width, CPU), torch.zeros(2, 9, width, dtype=torch.bool)
    steps = [[(0, 0, 4), (5, width - 3, 8)], [(2, 2, 4), (-3, -3, 5)], [(0, 0, 4), (20, 0, 4)]]
    steps += [[(0, width // 2, 9), (-9, 0, 9)]]
    for boxes in steps:
        before = mask.sum((1, 2))
        for game, (top, left, side) in enumerate(boxes):
            mask[game, max(top, 0) : max(top + side, 0), max(left, 0) : left + side] = True
        fresh = seen.update(views(boxes))
        torch.testing.assert_close(fresh, (mask.sum((1, 2)) - before) / (9 * width))
        assert torch.equal(seen.mask, mask)
    torch.testing.assert_close(seen.share(), mask.float().mean((1, 2)))


def test_a_pixel_is_seen_when_its_centre_is() -> None:
    seen = Seen(1, 4, 4, CPU)
    seen.mark(views([(0.4, 1.6, 2.0)]))
    assert seen.mask[0].int().tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [0] * 4, [0] * 4]
