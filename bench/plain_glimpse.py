"""The game of glimpses as its sources describe it: a gymnasium environment for one image at a time.

Written down as one would first do it, in numpy and OpenCV, but without waste: an observation is one
allocation, and numbers leave numpy before they are reckoned with. It shares no code with rlvit;
`bench/glimpse.py` compares both.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import gymnasium
import numpy as np
from gymnasium import spaces

CLASSES, WINDOW, ZOOMS = 10, 8, (1, 2, 4)
Step = tuple[Any, float, bool, bool, dict[str, Any]]


class PlainGlimpse(gymnasium.Env[Any, Any]):
    """Six switches move and zoom a window; the last step's class is the answer."""

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, max_steps: int = 20, step_pixels: int = 1
    ) -> None:
        """Take images uint8 [N, S, S, 3] and labels [N]."""
        self.images, self.labels = images, labels
        self.max_steps, self.step_pixels = max_steps, step_pixels
        self.size = images.shape[1]
        self.observation_space = spaces.Box(0.0, 1.0, (6, WINDOW, WINDOW), np.float32)
        self.action_space = spaces.MultiDiscrete([2] * 6 + [CLASSES])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin on a random image."""
        super().reset(seed=seed, options=options)
        chosen = int(self.np_random.integers(len(self.images)))
        self.image = self.images[chosen].astype(np.float32) / 255
        self.label, self.steps = int(self.labels[chosen]), 0
        self.place()
        return self.observe(), {}

    def place(self) -> None:
        """Put the window somewhere."""
        self.y, self.x = self.np_random.integers(self.size - WINDOW, size=2).tolist()
        self.level, self.side = 0, WINDOW

    def step(self, action: Any) -> Step:
        """Zoom, move, look; the last class counts."""
        *switches, answer = action.tolist()
        self.steps += 1
        self.move(*switches)
        over = self.steps >= self.max_steps
        reward = float(over and answer == self.label)
        return self.observe(), reward, over, False, {}

    def move(self, up: int, down: int, left: int, right: int, closer: int, wider: int) -> None:
        """Zoom around the centre, then move, then come back inside."""
        self.level = min(max(self.level + wider - closer, 0), len(ZOOMS) - 1)
        side = WINDOW * ZOOMS[self.level]
        self.y += (self.side - side) // 2 + self.step_pixels * (down - up)
        self.x += (self.side - side) // 2 + self.step_pixels * (right - left)
        self.side = side
        self.y = min(max(self.y, 0), self.size - side)
        self.x = min(max(self.x, 0), self.size - side)

    def crop(self) -> np.ndarray:
        """Return the view, resized to the window [3, w, w]."""
        cut = self.image[self.y : self.y + self.side, self.x : self.x + self.side]
        if self.side != WINDOW:
            cut = cv2.resize(cut, (WINDOW, WINDOW), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(cut.transpose(2, 0, 1))

    def observe(self) -> Any:
        """Return the window and three constant planes, float32 [6, w, w]."""
        seen = np.empty((6, WINDOW, WINDOW), np.float32)
        seen[:3] = self.crop()
        room = self.size - WINDOW
        seen[3], seen[4] = self.x / room, self.y / room
        seen[5] = (ZOOMS[self.level] - 1) / (ZOOMS[-1] - 1)
        return seen


class PlainHybrid(PlainGlimpse):
    """The next place and zoom are named, and a decision gives the answer."""

    zoom_max, start_side = 4.0, 16

    def __init__(self, images: np.ndarray, labels: np.ndarray, max_steps: int = 20) -> None:
        """Take images uint8 [N, S, S, 3] and labels [N]."""
        super().__init__(images, labels, max_steps)
        high = np.array([1.0, 1.0, math.log2(self.size / WINDOW)], np.float32)
        glimpse = spaces.Box(0.0, 1.0, (3, WINDOW, WINDOW), np.float32)
        place = spaces.Box(np.zeros_like(high), high)
        self.observation_space = spaces.Dict({"glimpse": glimpse, "place": place})
        self.action_space = spaces.Dict(
            {
                "decision": spaces.Discrete(2),
                "answer": spaces.Discrete(CLASSES),
                "place": spaces.Box(0.0, 1.0, (3,), np.float32),
            }
        )

    def place(self) -> None:
        """Put the view in the middle."""
        self.side = self.start_side
        self.y = self.x = (self.size - self.side) // 2

    def step(self, action: Any) -> Step:
        """Answer, or look elsewhere."""
        self.steps += 1
        answers = bool(action["decision"])
        if not answers:
            self.jump(*action["place"].tolist())
        reward = float(answers and int(action["answer"]) == self.label)
        return self.observe(), reward, answers, not answers and self.steps >= self.max_steps, {}

    def jump(self, y: float, x: float, zoom: float) -> None:
        """Look at a place, all three in 0..1."""
        side = round(self.size / (1 + (self.zoom_max - 1) * zoom))
        self.side = min(max(side, WINDOW), self.size)
        room = self.size - self.side
        self.y = min(max(round(y * self.size - self.side / 2), 0), room)
        self.x = min(max(round(x * self.size - self.side / 2), 0), room)

    def observe(self) -> Any:
        """Return the window [3, w, w], and where it is."""
        middle = self.side / 2
        where = (self.y + middle) / self.size, (self.x + middle) / self.size
        place = np.array([*where, math.log2(self.side / WINDOW)], np.float32)
        return {"glimpse": self.crop(), "place": place}


def in_a_loop(env: PlainGlimpse, games: list[list[Any]]) -> float:
    """Play one game after the other; each is a list of actions."""
    taken = 0
    for actions in games:
        env.reset()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            taken += 1
            if terminated or truncated:
                break
    return float(taken)
