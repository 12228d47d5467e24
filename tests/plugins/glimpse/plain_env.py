"""The game of glimpses as the sources describe it: one image at a time, in numpy and OpenCV.

An independent reference for the tests, and the plain environment that benchmarks compare with. Its
methods are those of a `gymnasium.Env`. It imports nothing of rlvit.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

Step = tuple[Any, float, bool, bool, dict[str, Any]]
NOTHING: dict[str, Any] = {}


class PlainGlimpse:
    """A window on one image at a time, moved and zoomed (multi-categorical file)."""

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        window: int = 8,
        zooms: tuple[int, ...] = (1, 2, 4),
        max_steps: int = 20,
        answer: str = "last-step",
        start: str = "uniform",
        reward_right: float = 1.0,
        novelty: float = 0.0,
        step_pixels: int = 1,
        drift: bool = False,
        cuts_views: bool = False,
        seed: int = 0,
    ) -> None:
        """Take images uint8 [N, 3, S, S] and labels [N]."""
        self.cuts_views = cuts_views  # corners go as far as the smallest view's (greedy-map file)
        self.images = images.transpose(0, 2, 3, 1)  # [N, S, S, 3]
        self.labels = labels
        self.window, self.zooms, self.max_steps = window, zooms, max_steps
        self.answer, self.start, self.reward_right = answer, start, reward_right
        self.novelty, self.step_pixels, self.drift = novelty, step_pixels, drift
        self.size = images.shape[2]
        self.extent = 2 * self.size if drift else self.size
        self.random = np.random.default_rng(seed)
        self.position = self.velocity = np.zeros(2, np.float32)

    def reset(self, *, index: int | None = None, **begin: Any) -> tuple[Any, dict[str, Any]]:
        """Start on an image; `corner`, `position` and `velocity` are drawn unless given."""
        index = int(self.random.integers(len(self.images))) if index is None else index
        self.image = self.images[index].astype(np.float32) / 255
        self.label = int(self.labels[index])
        self.begin_view(begin.get("corner"))
        if self.drift:
            at = self.random.random(2) * self.size
            speed = self.random.random(2) * 2 - 1
            self.position = np.asarray(begin.get("position", at), np.float32)
            self.velocity = np.asarray(begin.get("velocity", speed), np.float32)
        self.steps = 0
        self.visited = np.zeros((self.size, self.size), bool)
        if self.novelty:
            self.visit()
        return self.observe(), NOTHING

    def begin_view(self, corner: Any) -> None:
        """Put the window somewhere."""
        room = self.extent - self.window
        if corner is not None:
            self.y, self.x = int(corner[0]), int(corner[1])
        elif self.start == "centre":
            self.y = self.x = room // 2
        else:
            self.y = int(self.random.integers(max(1, room)))
            self.x = int(self.random.integers(max(1, room)))
        self.level, self.side = 0, self.window * self.zooms[0]

    def step(self, action: Any) -> Step:
        """Answer, or else zoom, move, clip and look."""
        self.steps += 1
        answers = self.steps >= self.max_steps
        if self.answer == "any-time":
            answers = answers or bool(action[7])
        if answers:  # nobody will look again
            reward = self.reward_right if int(action[6]) == self.label else 0.0
            return self.observe(), reward, True, False, NOTHING
        if self.drift:
            self.float_on()
        self.move(action)
        reward = self.visit() if self.novelty else 0.0
        return self.observe(), reward, False, False, NOTHING

    def move(self, action: Any) -> None:
        """Zoom around the centre, then move, then come back inside."""
        if action[4] and not action[5]:
            self.zoom_to(max(self.level - 1, 0))
        elif action[5] and not action[4]:
            self.zoom_to(min(self.level + 1, len(self.zooms) - 1))
        if action[0]:
            self.y -= self.step_pixels
        if action[1]:
            self.y += self.step_pixels
        if action[2]:
            self.x -= self.step_pixels
        if action[3]:
            self.x += self.step_pixels
        side = self.window * self.zooms[0] if self.cuts_views else self.side
        self.y = min(max(self.y, 0), self.extent - side)
        self.x = min(max(self.x, 0), self.extent - side)

    def zoom_to(self, level: int) -> None:
        """Change the side around the same centre."""
        side = self.window * self.zooms[level]
        self.y += math.floor((self.side - side) / 2)
        self.x += math.floor((self.side - side) / 2)
        self.level, self.side = level, side

    def float_on(self) -> None:
        """Move the image over the canvas; it bounces."""
        for axis in range(2):
            ahead = self.position[axis] + self.velocity[axis]
            if ahead < 0:
                ahead, self.velocity[axis] = -ahead, -self.velocity[axis]
            elif ahead > self.size:
                ahead, self.velocity[axis] = 2 * self.size - ahead, -self.velocity[axis]
            self.position[axis] = ahead

    def origin(self) -> tuple[int, int]:
        """Top and left of the image on the canvas."""
        return int(np.round(self.position[0])), int(np.round(self.position[1]))

    def cut(self) -> np.ndarray:
        """Cut the view out of the image, or of the black canvas that it drifts over."""
        if not self.drift:
            return self.image[self.y : self.y + self.side, self.x : self.x + self.side]
        canvas = np.zeros((self.extent, self.extent, 3), np.float32)
        top, left = self.origin()
        canvas[top : top + self.size, left : left + self.size] = self.image
        return canvas[self.y : self.y + self.side, self.x : self.x + self.side]

    def crop(self) -> np.ndarray:
        """Return the window, float32 [3, w, w]."""
        cut = self.cut()
        if cut.shape[:2] != (self.window, self.window):
            cut = cv2.resize(cut, (self.window, self.window), interpolation=cv2.INTER_LINEAR)
        return cut.transpose(2, 0, 1)

    def visit(self) -> float:
        """Mark what is in view and return what that pays."""
        top, left = self.origin()
        before = self.visited.sum()
        y, x = self.y - top, self.x - left
        rows = slice(max(y, 0), max(y + self.side, 0))
        self.visited[rows, max(x, 0) : max(x + self.side, 0)] = True
        return self.novelty * float(self.visited.sum() - before) / self.visited.size

    def observe(self) -> Any:
        """Return the window and three constant planes, float32 [6, w, w]."""
        w = self.window
        room = max(1, self.extent - w)
        zoom = (self.zooms[self.level] - 1) / max(1, self.zooms[-1] - 1)
        planes = np.empty((3, w, w), np.float32)
        planes[0], planes[1], planes[2] = self.x / room, self.y / room, zoom
        return np.concatenate([self.crop(), planes])


class PlainHybrid(PlainGlimpse):
    """The same with a place to look at, a zoom, and a decision to answer (vit_rl.py)."""

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        zoom_max: float = 4.0,
        start_side: int = 16,
        answer: str = "decision",
        start: str = "centre",
        **rules: Any,
    ) -> None:
        """Take images uint8 [N, 3, S, S] and labels [N]."""
        super().__init__(images, labels, answer=answer, start=start, **rules)
        self.zoom_max, self.start_side = zoom_max, start_side

    def begin_view(self, corner: Any) -> None:
        """Put a view of the first size somewhere."""
        self.side, room = self.start_side, self.extent - self.start_side
        if corner is not None:
            self.y, self.x = int(corner[0]), int(corner[1])
        elif self.start == "centre":
            self.y = self.x = room // 2
        else:
            self.y = int(self.random.integers(max(1, room)))
            self.x = int(self.random.integers(max(1, room)))

    def step(self, action: dict[str, Any]) -> Step:
        """Answer, or look elsewhere."""
        self.steps += 1
        last = self.steps >= self.max_steps
        answers = bool(action["decision"]) if self.answer == "decision" else last
        if answers:
            reward = self.reward_right if int(action["answer"]) == self.label else 0.0
            return self.observe(), reward, True, False, NOTHING
        if self.drift:
            self.float_on()
        self.move(action["place"])
        # A game that is cut off goes on in its value, but nobody sees this view.
        reward = self.visit() if self.novelty and not last else 0.0
        return self.observe(), reward, False, last, NOTHING

    def move(self, action: Any) -> None:
        """Look at a place, [3] float32 in 0..1."""
        zoom = np.float32(1) + np.float32(self.zoom_max - 1) * action[2]
        side = int(np.round(np.float32(self.size) / zoom))
        self.side = min(max(side, self.window), self.size)
        room = self.extent - self.side
        self.y = min(max(int(np.round(action[0] * self.extent - self.side / 2)), 0), room)
        self.x = min(max(int(np.round(action[1] * self.extent - self.side / 2)), 0), room)

    def observe(self) -> Any:
        """Return the window [3, w, w], and where it is."""
        centre = (self.y + self.side / 2) / self.extent, (self.x + self.side / 2) / self.extent
        place = np.array([*centre, math.log2(self.side / self.window)], np.float32)
        return {"glimpse": self.crop(), "place": place}
