"""The game of glimpses: a batch of images, a window on each, and an answer to give.

Everything is one program of tensors on one device, and nothing in it waits for that device.
Letters: G games, one image each; S side of an image in pixels; w side of the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from rlvit.errors import UsageProblem
from rlvit_glimpse.view import (
    COLOURS,
    Detail,
    PixelTables,
    Seen,
    Views,
    ZoomTables,
    crop,
    foveate,
    ring_corner,
)


@dataclass(frozen=True)
class Rules:
    """What may be done, what is seen, what is paid.

    Raises:
        UsageProblem: they contradict each other.
    """

    variant: Literal["discrete", "continuous"] = "discrete"
    window: int = 8  # w
    zooms: tuple[int, ...] = (1, 2, 4)  # discrete: the view's side is w * zoom
    max_steps: int = 20
    # last-step: the class of the action that reaches max_steps; any-time: an eighth column of a
    # discrete action gives the answer (an older discrete file); decision: a continuous one's does
    answer: Literal["last-step", "any-time", "decision"] = "last-step"
    start: Literal["uniform", "centre"] = "uniform"
    reward_right: float = 1.0
    novelty: float = 0.0  # paid times what is new, each step:
    # pixels: the newly seen share of the image; detail: the gain of its mean resolution, where a
    # pixel in a view z times as wide as the window counts 1 / z
    novelty_of: Literal["pixels", "detail"] = "pixels"
    step_pixels: int = 1  # of a discrete move
    zoom_max: float = 4.0  # continuous: the side is S / z, z = 1 + (zoom_max - 1) * zoom
    start_side: int = 16  # continuous
    foveation: int = 0  # rings; 0: a plain window
    motion: Literal["none", "drift"] = "none"  # drift: over a black canvas of twice the side

    def __post_init__(self) -> None:
        wrong = {"any-time": "continuous", "decision": "discrete"}.get(self.answer)
        if self.variant == wrong:
            raise UsageProblem(f"answer {self.answer!r} does not go with {wrong} actions.")
        if list(self.zooms) != sorted(set(self.zooms)) or not self.zooms or self.zooms[0] < 1:
            raise UsageProblem(f"zooms {self.zooms}: expected whole numbers from 1, rising.")
        for name in ("window", "max_steps", "step_pixels"):
            if getattr(self, name) < 1:
                raise UsageProblem(f"{name} {getattr(self, name)}: expected 1 at least.")
        if self.zoom_max < 1 or self.foveation < 0:
            raise UsageProblem("expected zoom_max 1 at least, and foveation 0 at least.")

    def largest(self) -> int:
        """Return the side of the largest square that must fit: a view's at zoom, or a ring's."""
        views = self.zooms[-1] * self.window if self.variant == "discrete" else self.start_side
        return max(views, self.window << max(0, self.foveation - 1))


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
            (zoom - 1) / (largest zoom - 1), where max is the room that the window has.
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


# Of each game; what `state` saves. Corners and origins: (top, left).
KEPT = ("images", "labels", "corner", "side", "level", "steps", "ended", "truncated", "right",
        "position", "velocity")  # fmt: skip


class GlimpseGames:
    """G games at once, on one device.

    A discrete step zooms first, then moves, then is brought back inside: zoom in takes the next
    smaller of the rules' zooms, zoom out the next larger, and the view's centre stays (to the whole
    pixel below); a move shifts the view by `step_pixels`; opposite ones cancel. A continuous step
    puts the centre where it says, to the nearest whole corner, at a whole side.
    """

    def __init__(
        self, rules: Rules, size: int, channels: int, device: torch.device | str = "cpu"
    ) -> None:
        """Make games for images of `size` pixels a side.

        Raises:
            UsageProblem: a view or a ring does not fit into such images.
        """
        if rules.largest() > size or rules.window > size:
            wanted = max(rules.largest(), rules.window)
            raise UsageProblem(
                f"a view of {wanted} pixels a side does not fit into images of {size}; "
                "take a smaller window, fewer rings or smaller zooms."
            )
        self.rules, self.size, self.channels = rules, size, channels
        self.device = torch.device(device)
        self.extent = 2 * size if rules.motion == "drift" else size  # where views may lie
        self._sides = torch.tensor(rules.zooms, device=self.device) * rules.window  # [Z]
        self._log_sides = torch.tensor(rules.zooms, device=self.device).log2()  # [Z]
        span = max(1, rules.zooms[-1] - 1)
        self._zoom_plane = (torch.tensor(rules.zooms, device=self.device) - 1) / span  # [Z]
        # Whole views inside images that stay where they are: colours can be looked up together.
        plain = rules.motion == "none" and not rules.foveation
        self._tabled = plain and channels <= COLOURS
        self._games = -1

    @property
    def glimpse_channels(self) -> int:
        """Channels of an observation's glimpse."""
        planes = 3 if self.rules.variant == "discrete" else 0
        return self.channels * max(1, self.rules.foveation) + planes

    def begin(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Observation:
        """Start a game on each image, as many as there are.

        Args:
            images: uint8 [G, ch, S, S].
            labels: int64 [G].
            generator: on the CPU; of where views start, and of how images drift.
        """
        self._allocate(len(images))
        self.images, self.labels = images.to(self.device), labels.to(self.device)
        for name, values in self._fresh(len(images), generator).items():
            setattr(self, name, values)
        self._load(None)
        self._seen.bits.zero_()
        self._detail.forget()
        self._looks = [(self.corner, self.side, self.position)]
        return self.observe()

    def renew(
        self, rows: Tensor, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> Observation:
        """Start new games in place of `rows` int64 [R], on images [R, ...]; the others go on."""
        rows = rows.to(self.device)
        self._settle()
        fresh = self._fresh(len(rows), generator)
        fresh |= {"images": images.to(self.device), "labels": labels.to(self.device)}
        for name, values in fresh.items():
            setattr(self, name, getattr(self, name).index_copy(0, rows, values))
        self._load(rows)
        self._seen.bits.index_fill_(0, rows, 0)
        self._detail.forget(rows)
        self._looks.append((self.corner, self.side, self.position))
        return self.observe()

    def step(self, action: Action) -> Step:
        """Take one step; games that have ended stay as they are."""
        alive = ~self.ended
        self.steps = self.steps + alive
        full = alive & (self.steps >= self.rules.max_steps)
        answer, decided = self._answers(action, alive)
        self._drift(alive)
        if action.discrete is not None:
            self._shift(action.discrete, alive)
        else:
            assert action.continuous is not None
            self._jump(action.continuous, alive if decided is None else alive & ~decided)
        if decided is None:
            decided = full  # the last step's class is the answer
        else:
            self.truncated = self.truncated | (full & ~decided)
        right = decided & (answer == self.labels)
        self.right = self.right | right
        self.ended = self.ended | full | decided
        reward = right * self.rules.reward_right
        if self.rules.novelty:
            reward = reward + self.rules.novelty * self._newly_seen()
        else:
            self._looks.append((self.corner, self.side, self.position))
        return Step(self.observe(), reward, self.ended, self.truncated, self.right)

    def observe(self) -> Observation:
        """Return what the agents see now."""
        rules, w = self.rules, self.rules.window
        games, colours = len(self.corner), self.channels * max(1, rules.foveation)
        glimpse = torch.empty(games, self.glimpse_channels, w, w, device=self.device)
        window = glimpse[:, :colours]
        if self._tabled:
            kind = self.level if rules.variant == "discrete" else self.side
            self._tables.look(kind, self.corner, glimpse.flatten(1)[:, : colours * w * w])
        elif rules.foveation:
            middle = self.corner + self.side[:, None] / 2
            origin = self.origin() if rules.motion == "drift" else None
            shown = foveate(
                self.images, middle[:, 0], middle[:, 1], w, rules.foveation,
                origin=origin, extent=self.extent,
            )  # fmt: skip
            torch.div(shown, 255, out=window)
        else:
            outside = None if rules.motion == "none" else 0.0
            views = self._views(self.corner, self.side, self.position)
            torch.div(crop(self.images, views, w, outside=outside), 255, out=window)
        if rules.variant == "discrete":
            where = self.corner.flip(1) / max(1, self.extent - w)  # [G, 2]: left, top
            glimpse[:, colours : colours + 2] = where[:, :, None, None]
            glimpse[:, colours + 2] = self._zoom_plane[self.level][:, None, None]
        return Observation(glimpse, self._place())

    def boxes(self) -> Tensor:
        """Return top, left and side of each view, in pixels of the frame (or canvas) [G, 3]."""
        return torch.cat((self.corner, self.side[:, None]), 1).float()

    def origin(self) -> Tensor:
        """Return the top and left of each image on the canvas, int64 [G, 2]; 0 without motion."""
        return _whole(self.position)

    def seen_share(self) -> Tensor:
        """Return the share of each image's pixels that lay in a view, or in a ring, so far [G]."""
        self._settle()
        return self._seen.share()

    def seen_mask(self) -> Tensor:
        """Return which pixels of each image those are, bool [G, S, S]."""
        self._settle()
        return self._seen.mask

    def state(self) -> dict[str, Any]:
        """Return everything that `restore` needs to go on bit for bit."""
        self._settle()
        kept = {name: getattr(self, name).clone() for name in KEPT}
        return kept | {"seen": self._seen.bits.clone(), "detail": self._detail.bits}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self._allocate(len(state["labels"]))
        for name in KEPT:
            setattr(self, name, state[name].to(self.device))
        self._load(None)
        self._seen.bits.copy_(state["seen"])
        self._detail.restore(state["detail"])
        self._looks = []

    def _allocate(self, games: int) -> None:
        if games == self._games:
            return
        self._games = games
        self._seen = Seen(games, self.size, self.size, self.device)
        zooms = self.rules.zooms if self.rules.novelty_of == "detail" else ()
        self._detail = Detail(games, self.size, self.rules.window, zooms, self.device)
        if self._tabled:
            self._tables = self._make_tables(games)

    def _make_tables(self, games: int) -> PixelTables:
        sizes = games, self.channels, self.size, self.rules.window
        if self.rules.variant == "discrete":
            return ZoomTables(*sizes, self.rules.zooms, self.device)
        return PixelTables(*sizes, self.device)

    def _load(self, rows: Tensor | None) -> None:
        if self._tabled:
            self._tables.load(self.images if rows is None else self.images[rows], rows)

    def _fresh(self, games: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return what games begin with; draws the same amount whatever the rules."""
        rules, size = self.rules, self.size
        side = rules.window * rules.zooms[0] if rules.variant == "discrete" else rules.start_side
        side = max(side, rules.window)
        # The files draw x and y from [0, 24) for images of 32: the last place is left out.
        corner = torch.randint(max(1, self.extent - side), (games, 2), generator=generator)
        position, velocity = torch.rand(2, games, 2, generator=generator)  # [G, 2] each
        if rules.start == "centre":
            corner = torch.full_like(corner, (self.extent - side) // 2)
        if rules.motion == "none":
            position, velocity = torch.zeros(2, games, 2)
        else:
            position, velocity = position * size, velocity * 2 - 1
        drawn = {"corner": corner, "position": position, "velocity": velocity}
        whole = torch.zeros(games, dtype=torch.int64, device=self.device)
        never = torch.zeros(games, dtype=torch.bool, device=self.device)
        fresh = {name: values.to(self.device) for name, values in drawn.items()}
        fresh |= {"side": torch.full_like(whole, side), "level": whole, "steps": whole}
        return fresh | {"ended": never, "truncated": never, "right": never}

    def _shift(self, chosen: Tensor, moved: Tensor) -> None:
        """Zoom and move as a discrete action [G, 7] says, where `moved` [G]."""
        wanted = chosen[:, :6] * moved[:, None]
        wanted = wanted[:, 1::2] - wanted[:, ::2]  # [G, 3]: down, right, out
        self.level = (self.level + wanted[:, 2]).clamp_(0, len(self.rules.zooms) - 1)
        side = self._sides.index_select(0, self.level)
        kept = self.corner + ((self.side - side) >> 1)[:, None]  # the same centre
        corner = torch.add(kept, wanted[:, :2], alpha=self.rules.step_pixels).clamp_(min=0)
        self.corner, self.side = torch.minimum(corner, (self.extent - side)[:, None]), side

    def _jump(self, place: Tensor, moved: Tensor) -> None:
        """Look where a continuous action [G, 3] says, where `moved` [G]."""
        zoom = 1 + (self.rules.zoom_max - 1) * place[:, 2]
        side = (self.size / zoom).round().clamp(self.rules.window, self.size)
        corner = (place[:, :2] * self.extent - side[:, None] / 2).round().clamp(min=0)
        corner = torch.minimum(corner, self.extent - side[:, None]).long()
        self.side = torch.where(moved, side.long(), self.side)
        self.corner = torch.where(moved[:, None], corner, self.corner)

    def _drift(self, alive: Tensor) -> None:
        """Move the images on by their velocities; they bounce off the canvas's borders."""
        if self.rules.motion == "none":
            return
        room = self.extent - self.size
        ahead = self.position + self.velocity
        inside = torch.where(ahead < 0, -ahead, torch.where(ahead > room, 2 * room - ahead, ahead))
        turned = torch.where(ahead == inside, self.velocity, -self.velocity)
        self.position = torch.where(alive[:, None], inside, self.position)
        self.velocity = torch.where(alive[:, None], turned, self.velocity)

    def _place(self) -> Tensor:
        place = torch.empty(len(self.side), 3, device=self.device)
        doubled = torch.add(self.side[:, None], self.corner, alpha=2)
        torch.div(doubled, 2 * self.extent, out=place[:, :2])
        if self.rules.variant == "discrete":
            place[:, 2] = self._log_sides.index_select(0, self.level)
        else:
            place[:, 2] = (self.side / self.rules.window).log2()
        return place

    def _views(self, corner: Tensor, side: Tensor, position: Tensor) -> Views:
        """Return the views in pixels of the images, wherever those are."""
        if self.rules.motion == "drift":
            corner = corner - _whole(position)
        return Views(corner[:, 0].float(), corner[:, 1].float(), side.float())

    def _shown(self, corner: Tensor, side: Tensor, position: Tensor) -> Views:
        """Return the squares that are shown, in pixels of the images: views or outermost rings."""
        if not self.rules.foveation:
            return self._views(corner, side, position)
        widest = self.rules.window << (self.rules.foveation - 1)
        ring = ring_corner(corner + side[:, None] / 2, widest, self.extent) - _whole(position)
        return Views(ring[:, 0], ring[:, 1], torch.full_like(ring[:, 0], widest))

    def _newly_seen(self) -> Tensor:
        self._settle()
        # Nothing is new where a game has ended.
        shown = self._shown(self.corner, self.side, self.position)
        fresh = self._seen.update(shown)
        return self._detail.update(shown) if self.rules.novelty_of == "detail" else fresh

    def _settle(self) -> None:
        """Note what was seen since; when nobody is paid for it, that waits until someone asks."""
        for look in self._looks:
            shown = self._shown(*look)
            self._seen.mark(shown)
            self._detail.update(shown)
        self._looks = []

    def _answers(self, action: Action, alive: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the classes [G], and which games they answer [G] (None: those at their end)."""
        if action.discrete is not None:
            at_will = self.rules.answer == "any-time"
            chosen = action.discrete
            return chosen[:, 6], alive & (chosen[:, 7] != 0) if at_will else None
        assert action.answer is not None
        assert action.decision is not None
        decides = self.rules.answer == "decision"
        return action.answer, alive & action.decision.bool() if decides else None


def _whole(position: Tensor) -> Tensor:
    """Return where an image is drawn: the nearest whole pixel."""
    return position.round().long()
