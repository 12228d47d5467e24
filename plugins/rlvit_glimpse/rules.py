"""What the game of glimpses is about: its rules, what is done in it, seen in it and brought by it.

Letters as in `game`: G games, one image each; S side of an image in pixels; w side of the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal

from torch import Tensor

from rlvit.errors import UsageProblem

CHOICES = {
    "variant": ("discrete", "continuous"),
    "answer": ("last-step", "any-time", "decision"),
    "start": ("uniform", "centre"),
    "novelty_of": ("pixels", "detail"),
    "motion": ("none", "drift"),
}
# What is the least, of whole numbers and of any.
WHOLE = {"window": 1, "max_steps": 1, "step_pixels": 1, "start_side": 1, "foveation": 0}
LEAST = {"reward_right": -math.inf, "novelty": 0.0, "zoom_max": 1.0}


@dataclass(frozen=True)
class Rules:
    """What may be done, what is seen, what is paid.

    Raises:
        UsageProblem: a value cannot be, or two contradict each other.
    """

    variant: Literal["discrete", "continuous"] = "discrete"
    window: int = 8  # w
    zooms: tuple[int, ...] = (1, 2, 4)  # discrete: the view's side is w * zoom
    max_steps: int = 20
    # last-step: the class of the action that reaches max_steps; any-time: the same, and before it
    # an eighth column of a discrete action gives the answer (an older discrete file); decision: a
    # continuous one's does, and without one a game is cut off at max_steps
    answer: Literal["last-step", "any-time", "decision"] = "last-step"
    start: Literal["uniform", "centre"] = "uniform"
    reward_right: float = 1.0
    novelty: float = 0.0  # paid times what is new, each step:
    # pixels: the newly seen share of the image; detail: the gain of its mean resolution, where a
    # pixel in a view, or a ring, z times as wide as the window counts 1 / z. Nothing is paid for
    # the view that a game ends with, which nobody sees
    novelty_of: Literal["pixels", "detail"] = "pixels"
    step_pixels: int = 1  # of a discrete move
    zoom_max: float = 4.0  # continuous: the side is S / z, z = 1 + (zoom_max - 1) * zoom
    start_side: int = 16  # continuous
    foveation: int = 0  # rings, whose sides no zoom changes; 0: a plain window
    motion: Literal["none", "drift"] = "none"  # drift: over a black canvas of twice the side
    # discrete: corners go as far as those of the smallest view, so that larger ones are cut off at
    # the border and what is left is stretched to the window (greedy-map file)
    cuts_views: bool = False
    plane_zoom: int | None = None  # discrete: the zoom whose plane is 1; None: the largest

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UsageProblem(
                    f"{name} {getattr(self, name)!r}: expected {' or '.join(known)}."
                )
        for name, least in WHOLE.items():
            if not _whole(getattr(self, name), least):
                raise UsageProblem(
                    f"{name} {getattr(self, name)}: expected {least} at least, a whole number."
                )
        for name, lowest in LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, Real) or not math.isfinite(value) or value < lowest:
                at_least = "" if lowest == -math.inf else f", {lowest:g} at least"
                raise UsageProblem(f"{name} {value!r}: expected a number{at_least}.")
        self._check_zooms()
        wrong = {"any-time": "continuous", "decision": "discrete"}.get(self.answer)
        if self.variant == wrong:
            raise UsageProblem(f"answer {self.answer!r} does not go with {wrong} actions.")

    def _check_zooms(self) -> None:
        zooms = self.zooms
        rising = isinstance(zooms, tuple) and all(_whole(zoom, 1) for zoom in zooms)
        if not zooms or not rising or list(zooms) != sorted(set(zooms)):
            raise UsageProblem(f"zooms {zooms}: expected a tuple of whole numbers from 1, rising.")
        if self.plane_zoom is not None and not _whole(self.plane_zoom, 1):
            raise UsageProblem(f"plane_zoom {self.plane_zoom}: expected a whole number from 1.")

    @property
    def levels(self) -> tuple[int, ...]:
        """The zooms of a discrete view: with rings it has one."""
        return (1,) if self.foveation else self.zooms

    @property
    def may_end_early(self) -> bool:
        """Whether games may end at different times."""
        return self.answer != "last-step"

    def largest(self) -> int:
        """Return the side of the largest square that must fit: a view's at zoom, or a ring's."""
        views = self.levels[-1] * self.window if self.variant == "discrete" else self.start_side
        return max(views, self.window << max(0, self.foveation - 1))


def _whole(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


@dataclass(frozen=True)
class Action:
    """What each of G games does; either `discrete`, or the other three.

    Attributes:
        discrete: int64 [G, 7]: up, down, left, right, zoom in, zoom out, each 0 or 1; class. With
            any-time answers [G, 8]: 1 in the last column gives the class as the answer.
        continuous: float [G, 3] in 0..1: the new centre's y and x, as shares of the frame; zoom.
        decision: bool or 0/1 [G]: give the answer; the view then stays.
        answer: int64 [G], a class.
    """

    discrete: Tensor | None = None
    continuous: Tensor | None = None
    decision: Tensor | None = None
    answer: Tensor | None = None


@dataclass(frozen=True)
class Observation:
    """What the agents see.

    Attributes:
        glimpse: float32 [G, ch, w, w] in 0..1. Channels: RGB of the window, or of each ring; with
            discrete actions then three constant planes: left / max, top / max, and
            (zoom - 1) / (largest zoom - 1), where max is the room that the window has; with rings
            the zoom is always 1.
        place: float32 [G, 3]: the view's centre y and x, as shares of the frame (or of the canvas),
            and log2(side / w).
    """

    glimpse: Tensor
    place: Tensor


@dataclass(frozen=True)
class Step:
    """What a step brought; all but the reward stays so after a game's end.

    Attributes:
        observation: after it.
        reward: [G]; 0 after the end.
        ended: bool [G]: the game is over, answered or cut off.
        truncated: bool [G]: it was cut off at max_steps without an answer.
        right: bool [G]: its answer was given and is right.
    """

    observation: Observation
    reward: Tensor
    ended: Tensor
    truncated: Tensor
    right: Tensor
