"""Frames of films: what the game shows beside what the agent is given of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rlvit.errors import UsageProblem
from rlvit_spirl.film import Film, save_gif, save_mp4
from rlvit_spirl.mae import GRID, PATCH

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

SIDE = 288  # screen pixels of a frame's side at least: each of 96 pixels is a square of 3
MARGIN, HEAD, FOOT = 12, 50, 52  # screen pixels around the frames
DIM = 0.45  # brightness of what the agent is not given
TINT = 0.45  # share of the colour that marks attended patches
PAPER, INK = (255, 255, 255), (40, 40, 40)
RED, YELLOW, ORANGE = (232, 40, 40), (255, 225, 30), (255, 150, 0)  # the colours of Fig. 6
SAMPLED = 12  # frames that a palette is made of
ENDINGS = (".gif", ".mp4")


def with_patches(
    frame: NDArray[np.uint8],
    kept: NDArray[np.bool_],
    attended: NDArray[np.bool_] | None,
    scale: int,
    *,
    dim: bool = True,
) -> NDArray[np.uint8]:
    """Return a frame [3, 96, 96] with its patches drawn in: uint8 [96 scale, 96 scale, 3].

    Kept patches [144] have a red frame; attended ones [144] are tinted yellow, and the frame of
    one that is both is orange. With `dim` all that is not kept is dark and grey.
    """
    picture = enlarged(frame, scale).astype(np.float64)
    side = PATCH * scale
    if dim:
        dark = np.repeat(DIM * picture.mean(axis=2, keepdims=True), 3, axis=2)
        shown = np.kron(kept.reshape(GRID, GRID), np.ones((side, side), dtype=bool))
        picture = np.where(shown[..., None], picture, dark)
    both = np.zeros_like(kept) if attended is None else attended
    for patch in np.flatnonzero(kept | both):
        top, left = (side * int(place) for place in divmod(patch, GRID))
        area = picture[top : top + side, left : left + side]
        if both[patch]:
            area[:] = (1 - TINT) * area + TINT * np.array(YELLOW)
        if kept[patch]:
            _frame(area, ORANGE if both[patch] else RED, max(1, scale // 2))
    return picture.round().astype(np.uint8)


def _frame(area: NDArray[np.float64], colour: tuple[int, int, int], width: int) -> None:
    """Draw lines along the inner edges of an area [H, W, 3]."""
    for edge in (area[:width], area[-width:], area[:, :width], area[:, -width:]):
        edge[:] = colour


def enlarged(frame: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Return a frame [C, H, W], grey or in colours, with squares for pixels: [H s, W s, 3]."""
    colours = np.broadcast_to(frame, (3, *frame.shape[1:])).transpose(1, 2, 0)
    return np.ascontiguousarray(colours.repeat(scale, axis=0).repeat(scale, axis=1))


class Reel:
    """The pages of a film, drawn when they are asked for."""

    def __init__(self, film: Film, title: str) -> None:
        """Take a film and what stands above all of its pages."""
        self.film, self.title = film, title
        self.both = bool(film.kept)  # two frames side by side, or one of an agent that sees all
        self.size = film.frames[0].shape[-1]
        self.side = self.size * -(-SIDE // self.size)  # a whole number of screen pixels a pixel
        self.large: FreeTypeFont = _font(15)
        self.small: FreeTypeFont = _font(13)

    def __len__(self) -> int:
        return len(self.film.frames)

    def pages(self, numbers: range | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yield pages uint8 [H, W, 3], all of them if not told which."""
        for number in range(len(self)) if numbers is None else numbers:
            yield self.page(number)

    def page(self, number: int) -> NDArray[np.uint8]:
        """Draw one page; its sides are even, as films want them."""
        from PIL import Image, ImageDraw

        film, side, scale = self.film, self.side, self.side // self.size
        panels = (1 + self.both) * (side + MARGIN) + MARGIN
        width = max(panels, 2 * MARGIN + int(self.large.getlength(self.title)))
        height = HEAD + side + FOOT
        page = Image.new("RGB", (width + width % 2, height + height % 2), PAPER)
        draw = ImageDraw.Draw(page)
        draw.text((MARGIN, 8), self.title, INK, self.large)
        shows = "the game shows" if self.both else "the agent sees"
        whole = enlarged(film.frames[number], scale)
        self._panel(page, MARGIN, f"what {shows}, {self.size} x {self.size}", whole)
        if self.both:
            attended = film.attended[number] if film.attended else None
            given = with_patches(film.frames[number], film.kept[number], attended, scale)
            self._panel(page, side + 2 * MARGIN, "what the agent is given", given)
        self._foot(draw, number, HEAD + side + 7)
        return np.asarray(page)

    def _panel(self, page: Picture, left: int, title: str, picture: NDArray[np.uint8]) -> None:
        from PIL import Image, ImageDraw

        ImageDraw.Draw(page).text((left, HEAD - 20), title, INK, self.small)
        page.paste(Image.fromarray(picture), (left, HEAD))

    def _foot(self, draw: ImageDraw, number: int, top: int) -> None:
        """Write what is to be known of the frame, and what the colours mean."""
        film = self.film
        step = f"step {number + 1:,} of {film.length:,}"
        if not self.both:
            draw.text((MARGIN, top), step, INK, self.small)
            return
        kept = f"{int(film.kept[number].sum())} of {film.kept[number].size} patches kept"
        draw.text((MARGIN, top), f"{step}:  {kept}", INK, self.small)
        legend = [(RED, "kept")]
        if film.attended:
            share = f"{film.on_patches[number]:.0%} of the attention is on them"
            draw.text((self.side + 2 * MARGIN, top), share, INK, self.small)
            legend.append((ORANGE, "kept, and among those with 60 % of that attention"))
        x = MARGIN
        for colour, text in legend:
            fill = None if colour == RED else tuple(round(0.5 * (c + 255)) for c in YELLOW)
            draw.rectangle((x, top + 23, x + 11, top + 34), fill, colour, 2)
            draw.text((x + 18, top + 20), text, INK, self.small)
            x += 36 + int(draw.textlength(text, self.small))


def _font(size: int) -> FreeTypeFont:
    """Return the sans-serif font that matplotlib brings, so that films look alike everywhere."""
    from matplotlib import font_manager
    from PIL import ImageFont

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def write_film(film: Film, title: str, path: Path, seconds: float, every: int = 1) -> None:
    """Write a film as a .gif or an .mp4; what is there is replaced.

    Args:
        film: with at least one frame.
        title: what stands above each page.
        path: its ending says which.
        seconds: that a page is shown.
        every: only every so many steps have a page.

    Raises:
        UsageProblem: the ending is another.
        RlvitError: an MP4 is asked for and cannot be written here.
    """
    reel = Reel(film, title)
    numbers = range(0, len(reel), every)
    if path.suffix.lower() == ".mp4":
        save_mp4(reel.pages(numbers), path, seconds)
    elif path.suffix.lower() == ".gif":
        sample = range(0, len(reel), max(1, len(reel) // SAMPLED))
        some = np.array(list(reel.pages(sample)))
        save_gif(reel.pages(numbers), some, path, seconds)
    else:
        raise UsageProblem(f"{path}: expected a name that ends in {' or '.join(ENDINGS)}.")
