"""What a small window shows of an image: bilinear windows, foveation, and what has been seen.

Squares are given in pixels of a frame, pixel i reaching from i to i + 1. Letters: G games, one
frame each; ch channels; H, W rows and columns of a frame; w side of the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

WORD = 63  # columns of a frame in one int64 of `Seen`; the sign is left alone
BLOCK = 1 << 17  # pixels packed at once on a CPU, so that they stay in its cache
TALLIES = 4 * 255  # the tables of `ZoomTables` hold sums of four bytes
BITS = 10  # of each colour in a packed pixel: enough for such a sum
PACKED = 3  # of a packed pixel at most, in 32 bits


@dataclass(frozen=True)
class Views:
    """The squares that are looked at, one a game."""

    top: Tensor  # [G] float32, pixels
    left: Tensor  # [G] float32
    side: Tensor  # [G] float32


def crop(
    frames: Tensor,
    views: Views,
    w: int,
    *,
    outside: float | None = 0.0,
    copies: bool = False,
    ends: Tensor | None = None,
) -> Tensor:
    """Sample each view at the centres of a w x w grid, bilinearly and without antialiasing.

    It is what cutting the view out and resizing it gives: samples near its border repeat the
    border's pixels. A view of side w with a whole corner is copied exactly.

    Args:
        frames: float32 or uint8 [G, ch, H, W].
        views: the squares.
        w: samples a side.
        outside: what lies around the frame; None promises that no view leaves it, which is faster.
        copies: promises that every side is w and every corner whole: one gather instead of four.
        ends: [G, 2], row and column at which views are cut off; what is left is stretched.

    Returns:
        float32 [G, ch, w, w], on the frames' scale.
    """
    height = width = views.side
    if ends is not None:
        height = torch.minimum(height, ends[:, 0] - views.top)
        width = torch.minimum(width, ends[:, 1] - views.left)
    rows, row_share = _samples(views.top, height, w)  # [2, G, w], [G, w]
    columns, column_share = _samples(views.left, width, w)
    if copies:
        return _pixels(frames, rows[0], columns[0], outside)
    corners = [[_pixels(frames, y, x, outside) for x in columns] for y in rows]
    across = column_share[:, None, None, :]
    upper = torch.lerp(corners[0][0], corners[0][1], across)  # [G, ch, w, w]
    lower = torch.lerp(corners[1][0], corners[1][1], across)
    return torch.lerp(upper, lower, row_share[:, None, :, None])


def foveate(
    frames: Tensor,
    centre_y: Tensor,
    centre_x: Tensor,
    w: int,
    rings: int,
    *,
    origin: Tensor | None = None,
    extent: int | None = None,
) -> Tensor:
    """Show a surrounding that grows coarser away from the centre, as an eye does.

    Ring r covers a square of w * 2^r pixels a side around the centre, slid to stay on the frame,
    and averages it over areas of 2^r x 2^r pixels. Corners are rounded down to whole pixels.

    Args:
        frames: float32 or uint8 [G, ch, H, W].
        centre_y: of the gaze in pixels, [G].
        centre_x: likewise.
        w: pixels a side of each ring.
        rings: how many; w * 2^(rings - 1) must fit.
        origin: int64 [G, 2]: top and left of each frame on a larger black canvas, on which the
            centres then are and on which the rings stay; None: the frame is all there is.
        extent: side of that canvas.

    Returns:
        float32 [G, ch * rings, w, w] on the frames' scale, the sharpest ring first.
    """
    room = extent if extent is not None else min(frames.shape[2:])
    shown = []
    for ring in range(rings):
        side = w << ring
        corner = ring_corner(torch.stack((centre_y, centre_x), 1), side, room)  # [G, 2]
        if origin is not None:
            corner = corner - origin
        sides = torch.full_like(corner[:, 0], side)
        whole = Views(corner[:, 0], corner[:, 1], sides)
        cut = crop(frames, whole, side, outside=None if origin is None else 0.0, copies=True)
        shown.append(torch.nn.functional.avg_pool2d(cut, side // w))  # [G, ch, w, w]
    return torch.cat(shown, 1)


def ring_corner(centre: Tensor, side: int, room: int) -> Tensor:
    """Return the whole corner of a square around a centre, slid into a room [..., 2] float32."""
    return (centre - side / 2).floor().clamp(0, room - side)


class PixelTables:
    """Windows of whole sides and corners, anything from the window's side to the image's.

    All colours of a pixel are packed into one number, so that a sample is looked up at once. Where
    the samples lie in a view, and between which pixels, depends on its side alone.
    """

    tables = 1

    def __init__(
        self, games: int, channels: int, size: int, w: int, device: torch.device | str
    ) -> None:
        """Make room for images of `size` pixels a side and `PACKED` channels at most."""
        self._size, self._window, self._channels = size, w, channels
        self._area = size * size
        # The pixels after a sample's may lie behind the last image, if they have no weight.
        room = games * self.tables * self._area
        self._packed = torch.zeros(room + size + 1, dtype=torch.int32, device=device)
        self._games = self._packed[:room].view(games, self.tables, self._area)
        self._first = torch.arange(games, device=device)[:, None] * self.tables * self._area
        self._place_samples(device)

    def _place_samples(self, device: torch.device | str) -> None:
        sides = torch.arange(self._window, self._size + 1, device=device).float()
        before, share = _samples(torch.zeros_like(sides), sides, self._window)
        rows, columns = before[0][:, :, None] * self._size, before[0][:, None, :]
        self._offsets = (rows + columns).flatten(1)  # [sides, w * w] int64
        square = share[:, :, None].expand(-1, -1, self._window)  # [sides, w, w]
        self._down = square.flatten(1)
        self._across = square.transpose(1, 2).flatten(1)

    def load(self, images: Tensor, rows: Tensor | None = None) -> None:
        """Take uint8 images [G, ch, S, S], or [R, ch, S, S] for the games `rows` [R]."""
        tables = self._games if rows is None else self._games.new_empty(len(images), *self._shape())
        at_once = len(images)
        if images.device.type == "cpu":
            at_once = max(1, BLOCK // self._area)
        for block, part in zip(tables.split(at_once), images.split(at_once), strict=True):
            self._fill(block, part.flatten(2))
        if rows is not None:
            self._games.index_copy_(0, rows, tables)

    def look(self, side: Tensor, corner: Tensor, out: Tensor) -> None:
        """Write the windows, in 0..1.

        Args:
            side: of the views, int64 [G].
            corner: whole top and left of views inside the images, int64 [G, 2].
            out: float32 [G, ch * w * w].
        """
        chosen = side - self._window
        index = self._index(chosen, corner)
        after = 0, 1, self._size, self._size + 1  # the pixels around each sample
        around = [self._packed[shift:].index_select(0, index) for shift in after]
        across = self._across.index_select(0, chosen).flatten()  # [G * w * w]
        down = self._down.index_select(0, chosen).flatten()
        for channel, colour in enumerate(out.chunk(self._channels, 1)):
            corners = [_colour(pixels, channel).float() for pixels in around]
            upper = torch.lerp(corners[0], corners[1], across)
            lower = torch.lerp(corners[2], corners[3], across)
            seen = upper.lerp_(lower, down).view(colour.shape)
            torch.div(seen, 255 << BITS * channel, out=colour)

    def _shape(self) -> tuple[int, int]:
        return self.tables, self._area

    def _fill(self, tables: Tensor, images: Tensor) -> None:
        """Pack uint8 images [R, ch, S * S] into tables [R, tables, S * S]."""
        pixels = tables[:, 0].copy_(images[:, 0])
        for channel in range(1, self._channels):
            pixels.add_(images[:, channel].int(), alpha=1 << BITS * channel)

    def _index(self, chosen: Tensor, corner: Tensor) -> Tensor:
        """Return where the first pixels of the samples are, int64 [G * w * w]."""
        corners = torch.add(corner[:, 1:], corner[:, :1], alpha=self._size)
        return (self._offsets.index_select(0, chosen) + corners.add_(self._first)).flatten()


class ZoomTables(PixelTables):
    """Windows of whole zooms by one look-up, whatever the zooms of the games are.

    A bilinear sample of a cut-out that is z times as wide as the window lies on a pixel when z is
    odd and between four pixels when it is even. So two tables suffice: the pixels, and the means
    of each 2 x 2 pixels; they hold sums of four bytes, which ten bits represent exactly.
    """

    tables = 2

    def __init__(
        self,
        games: int,
        channels: int,
        size: int,
        w: int,
        zooms: Sequence[int],
        device: torch.device | str,
    ) -> None:
        """Make room for images of `size` pixels a side and `PACKED` channels at most."""
        self._zooms = zooms
        super().__init__(games, channels, size, w, device)

    def _place_samples(self, device: torch.device | str) -> None:
        grid = torch.arange(self._window, device=device)
        square = (self._size * grid[:, None] + grid).flatten()  # [w * w]
        offsets = []
        for zoom in self._zooms:
            inner = (zoom - 1) // 2 * (self._size + 1)  # of the first sample from the view's corner
            table = 0 if zoom % 2 else self._area
            offsets.append(table + inner + zoom * square)
        self._offsets = torch.stack(offsets)  # [Z, w * w] int64

    def look(self, level: Tensor, corner: Tensor, out: Tensor) -> None:
        """Write the windows, in 0..1.

        Args:
            level: which zoom, int64 [G].
            corner: whole top and left of views inside the images, int64 [G, 2].
            out: float32 [G, ch * w * w].
        """
        found = self._packed.index_select(0, self._index(level, corner)).view(len(level), -1)
        for channel, colour in enumerate(out.chunk(self._channels, 1)):
            torch.div(_colour(found, channel), TALLIES << BITS * channel, out=colour)

    def _fill(self, tables: Tensor, images: Tensor) -> None:
        super()._fill(tables, images)
        pixels, sums = tables.unbind(1)  # [R, S * S]
        # Sums that wrap around the end of a row are never read.
        pairs = pixels[:, :-1] + pixels[:, 1:]
        below = pairs[:, self._size :]
        torch.add(pairs[:, : below.shape[1]], below, out=sums[:, : below.shape[1]])
        pixels.mul_(4)


class Seen:
    """Which pixels of each frame have lain inside a view, in one bit each.

    The whole square counts, not the points that were sampled, clipped to the frame; a pixel is in a
    square when its centre is.
    """

    def __init__(self, games: int, height: int, width: int, device: torch.device) -> None:
        """Begin with nothing seen."""
        self._height, self._width = height, width
        words = -(-width // WORD)
        self.bits = torch.zeros(games, height, words, dtype=torch.int64, device=device)
        counts = torch.arange(width + 1)[:, None] - WORD * torch.arange(words)  # [W + 1, words]
        filled = [[(1 << max(0, min(WORD, k))) - 1 for k in row] for row in counts.tolist()]
        self._columns = torch.tensor(filled, device=device)  # bits of all columns before the k-th
        before = torch.arange(height) < torch.arange(height + 1)[:, None]
        self._rows = -before.long().to(device)  # [H + 1, H]: all bits set in the rows before

    @property
    def mask(self) -> Tensor:
        """Bool [G, H, W]."""
        places = torch.arange(WORD, device=self.bits.device)
        spread = (self.bits[..., None] >> places) & 1  # [G, H, words, WORD]
        return spread.flatten(2)[..., : self._width].bool()

    def mark(self, views: Views) -> None:
        """Note that these views were seen."""
        self.bits |= self._inside(views)

    def update(self, views: Views) -> Tensor:
        """Note that these views were seen; return the newly seen share of each frame [G]."""
        inside = self._inside(views)
        fresh = inside & ~self.bits
        self.bits |= inside
        return self._share_of(fresh)

    def share(self) -> Tensor:
        """Return the seen share of each frame, float32 [G]."""
        return self._share_of(self.bits)

    def _inside(self, views: Views) -> Tensor:
        edges = (views.top, views.top + views.side), (views.left, views.left + views.side)
        top, bottom = (_first(edge, self._height) for edge in edges[0])
        left, right = (_first(edge, self._width) for edge in edges[1])
        rows = self._rows.index_select(0, bottom) & ~self._rows.index_select(0, top)  # [G, H]
        columns = self._columns.index_select(0, right) & ~self._columns.index_select(0, left)
        return rows[:, :, None] & columns[:, None, :]  # [G, H, words]

    def _share_of(self, bits: Tensor) -> Tensor:
        return _ones(bits).sum((1, 2)) / (self._height * self._width)


class Detail:
    """How finely each pixel of a frame has been seen, and what a view adds to that.

    A view of side w z shows its pixels at 1 / z of the frame's resolution; a pixel keeps the finest
    that it was seen at. Sides between two zooms count as the wider one, wider than all as unseen.
    """

    def __init__(
        self, games: int, size: int, window: int, zooms: tuple[int, ...], device: torch.device
    ) -> None:
        """Begin with nothing seen, for frames of `size` pixels a side."""
        self._sides = [window * zoom for zoom in zooms]
        finest = [*(1 / zoom for zoom in zooms), 0.0]
        self._shares = [here - wider for here, wider in pairwise(finest)]
        self._seen = [Seen(games, size, size, device) for _ in zooms]  # at that zoom or finer

    @property
    def bits(self) -> list[Tensor]:
        """What was seen, for each zoom [G, H, words]; `restore` takes it back."""
        return [seen.bits.clone() for seen in self._seen]

    def restore(self, bits: list[Tensor]) -> None:
        """Go back to what `bits` was."""
        for seen, saved in zip(self._seen, bits, strict=True):
            seen.bits.copy_(saved)

    def forget(self, rows: Tensor | None = None) -> None:
        """Forget all of the games `rows` int64 [R], or of all games."""
        for seen in self._seen:
            if rows is None:
                seen.bits.zero_()
            else:
                seen.bits.index_fill_(0, rows, 0)

    def update(self, views: Views) -> Tensor:
        """Note that these views were seen; return the gain of the frame's mean resolution [G]."""
        gained = torch.zeros_like(views.side)
        for side, share, seen in zip(self._sides, self._shares, self._seen, strict=True):
            counted = torch.where(views.side <= side, views.side, 0.0)
            gained = gained + share * seen.update(Views(views.top, views.left, counted))
        return gained


def _samples(start: Tensor, side: Tensor, w: int) -> tuple[Tensor, Tensor]:
    """Return the pixels [2, G, w] around the samples, and the share [G, w] of the second.

    Both pixels belong to the view, at least in part.
    """
    centres = torch.arange(w, device=start.device) + 0.5
    first, last = start.floor()[:, None], (start + side).ceil()[:, None] - 1
    at = start[:, None] + centres * (side / w)[:, None] - 0.5  # [G, w]
    at = torch.maximum(torch.minimum(at, last), first)
    before = at.floor()
    after = torch.minimum(before + 1, last)
    return torch.stack((before, after)).long(), at - before


def _colour(packed: Tensor, channel: int) -> Tensor:
    """Return one colour of packed pixels, int32 of any shape, times 2^(BITS * channel).

    That factor is exact in float32, too; undoing it together with the scale saves a pass.
    """
    return packed & (((1 << BITS) - 1) << BITS * channel)


def _pixels(frames: Tensor, rows: Tensor, columns: Tensor, outside: float | None) -> Tensor:
    """Return the pixels [G, ch, w, w] where rows [G, w] and columns [G, w] of the frames cross."""
    games, channels, height, width = frames.shape
    y, x = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    index = (y[:, :, None] * width + x[:, None, :]).flatten(1)  # [G, w * w]
    taken = frames.flatten(2).gather(2, index[:, None].expand(-1, channels, -1))
    taken = taken.view(games, channels, rows.shape[1], columns.shape[1]).float()
    if outside is None:
        return taken
    within = (y == rows)[:, None, :, None] & (x == columns)[:, None, None, :]
    return torch.where(within, taken, outside)


def _first(edge: Tensor, limit: int) -> Tensor:
    """Return the first pixel [G] whose centre lies at or beyond an edge, 0..limit."""
    return (edge - 0.5).ceil().clamp(0, limit).long()


def _ones(bits: Tensor) -> Tensor:
    """Count the ones of non-negative int64 numbers, by adding neighbours in ever wider fields."""
    bits = bits - ((bits >> 1) & 0x5555555555555555)
    bits = (bits & 0x3333333333333333) + ((bits >> 2) & 0x3333333333333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F
    return (bits * 0x0101010101010101) >> 56  # at most 63, so the sign stays clear
