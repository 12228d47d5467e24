"""The game of glimpses: a batch of images, a window on each, and an answer to give.

Everything is one program of tensors on one device, and nothing in it waits for that device.
Letters: G games, one image each; S side of an image in pixels; w side of the window.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlvit.errors import UsageProblem
from rlvit_glimpse.rules import Action, Observation, Rules, Step
from rlvit_glimpse.view import (
    PACKED,
    Detail,
    PixelTables,
    Seen,
    Views,
    ZoomTables,
    crop,
    foveate,
    ring_corner,
)

# Of each game; what `state` saves. Corners and origins: (top, left).
KEPT = ("images", "labels", "corner", "side", "level", "steps", "limit", "ended", "truncated",
        "right", "position", "velocity")  # fmt: skip
# Corner, side and position of each view, and whether anybody sees it.
Look = tuple[Tensor, Tensor, Tensor, Tensor]


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
        zooms = torch.tensor(rules.levels, device=self.device)  # [Z]
        self._sides, self._log_sides = zooms * rules.window, zooms.log2()  # [Z]
        self._zoom_plane = (zooms - 1) / max(1, (rules.plane_zoom or rules.levels[-1]) - 1)  # [Z]
        # Whole views inside images that stay where they are: colours can be looked up together.
        plain = rules.motion == "none" and not rules.foveation and not rules.cuts_views
        self._tabled = plain and channels <= PACKED
        self._detailed = rules.novelty > 0 and rules.novelty_of == "detail"
        self._games = -1

    @property
    def glimpse_channels(self) -> int:
        """Channels of an observation's glimpse."""
        planes = 3 if self.rules.variant == "discrete" else 0
        return self.channels * max(1, self.rules.foveation) + planes

    def begin(
        self,
        images: Tensor,
        labels: Tensor,
        generator: torch.Generator,
        *,
        sides: Tensor | None = None,
        limits: Tensor | None = None,
    ) -> Observation:
        """Start a game on each image, as many as there are.

        Args:
            images: uint8 [G, ch, S, S].
            labels: int64 [G].
            generator: on the CPU; of where views start, and of how images drift.
            sides: int64 [G], of the first views of continuous games instead of the rules'.
            limits: int64 [G], steps after which games are cut off without an answer.
        """
        self._allocate(len(images))
        self.images, self.labels = images.to(self.device), labels.to(self.device)
        self._borrowed = True  # the images may be the caller's
        fresh = self._fresh(len(images), generator)
        if sides is not None:
            fresh |= {"side": sides, "corner": self._inside(fresh["corner"], sides)}
        if limits is not None:
            fresh["limit"] = limits.to(self.device).clamp(max=self.rules.max_steps)
        for name, values in fresh.items():
            setattr(self, name, values)
        self._load(None)
        self._seen.bits.zero_()
        self._detail.forget()
        self._looks = [self._look()]
        return self.observe()

    def renew(
        self, rows: Tensor, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> Observation:
        """Start new games in place of `rows` int64 [R], on images [R, ...]; the others go on."""
        rows = rows.to(self.device)
        self._settle()
        fresh = self._fresh(len(rows), generator) | {"labels": labels.to(self.device)}
        for name, values in fresh.items():
            setattr(self, name, getattr(self, name).index_copy(0, rows, values))
        if self._borrowed:
            self.images, self._borrowed = self.images.clone(), False
        self.images.index_copy_(0, rows, images.to(self.device))  # the bulk of a game's state
        self._load(rows)
        self._seen.bits.index_fill_(0, rows, 0)
        self._detail.forget(rows)
        self._looks.append(self._look())
        return self.observe()

    def step(self, action: Action) -> Step:
        """Take one step; games that have ended stay as they are."""
        reward = self.advance(action)
        return Step(self.observe(), reward, self.ended, self.truncated, self.right)

    def advance(self, action: Action) -> Tensor:
        """Take one step without looking; return the rewards [G].

        A game that ends with the step keeps its view, which nobody will look at. That of a game
        that is cut off moves on, for its value may be asked there, but is neither counted nor paid.
        """
        alive = ~self.ended
        self.steps = self.steps + alive
        over = alive & (self.steps >= self.limit)
        answer, decided = self._answers(action, alive, over & (self.steps >= self.rules.max_steps))
        self.truncated = self.truncated | (over & ~decided)
        right = decided & (answer == self.labels)
        self.right = self.right | right
        self.ended = self.ended | over | decided
        moved = alive & ~decided
        self._drift(moved)
        if action.discrete is not None:
            self._shift(action.discrete, moved)
        else:
            assert action.continuous is not None
            self._jump(action.continuous, moved)
        reward = right * self.rules.reward_right
        if self.rules.novelty:
            return reward + self.rules.novelty * self._newly_seen()
        self._looks.append(self._look())
        return reward

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
            ends = self.extent - self.origin() if rules.cuts_views else None
            torch.div(crop(self.images, views, w, outside=outside, ends=ends), 255, out=window)
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
        self._borrowed = True
        self._load(None)
        self._seen.bits.copy_(state["seen"])
        self._detail.restore(state["detail"])
        self._looks = []

    def _allocate(self, games: int) -> None:
        if games == self._games:
            return
        self._games = games
        self._seen = Seen(games, self.size, self.size, self.device)
        zooms: tuple[int, ...] = ()  # nobody asks
        if self._detailed:
            rings = self.rules.foveation
            zooms = tuple(1 << ring for ring in range(rings)) if rings else self.rules.zooms
        self._detail = Detail(games, self.size, self.rules.window, zooms, self.device)
        if self._tabled:
            self._tables = self._make_tables(games)

    def _make_tables(self, games: int) -> PixelTables:
        sizes = games, self.channels, self.size, self.rules.window
        if self.rules.variant == "discrete":
            return ZoomTables(*sizes, self.rules.levels, self.device)
        return PixelTables(*sizes, self.device)

    def _load(self, rows: Tensor | None) -> None:
        if self._tabled:
            self._tables.load(self.images if rows is None else self.images[rows], rows)

    def _fresh(self, games: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return what games begin with; draws the same amount whatever the rules."""
        rules, size = self.rules, self.size
        side = rules.window * rules.levels[0] if rules.variant == "discrete" else rules.start_side
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
        fresh["limit"] = torch.full_like(whole, rules.max_steps)
        return fresh | {"ended": never, "truncated": never, "right": never}

    def _inside(self, corner: Tensor, side: Tensor) -> Tensor:
        """Return where games [G, 2] begin that were to begin at a corner with another side [G]."""
        room = (self.extent - side)[:, None]
        centred = self.rules.start == "centre"
        return (room // 2).expand(-1, 2) if centred else torch.minimum(corner, room)

    def _shift(self, chosen: Tensor, moved: Tensor) -> None:
        """Zoom and move as a discrete action [G, 7] says, where `moved` [G]."""
        wanted = chosen[:, :6] * moved[:, None]
        wanted = wanted[:, 1::2] - wanted[:, ::2]  # [G, 3]: down, right, out
        self.level = (self.level + wanted[:, 2]).clamp_(0, len(self._sides) - 1)
        side = self._sides.index_select(0, self.level)
        kept = self.corner + ((self.side - side) >> 1)[:, None]  # the same centre
        corner = torch.add(kept, wanted[:, :2], alpha=self.rules.step_pixels).clamp_(min=0)
        shown = self._sides[0] if self.rules.cuts_views else side[:, None]
        self.corner, self.side = torch.minimum(corner, self.extent - shown), side

    def _jump(self, place: Tensor, moved: Tensor) -> None:
        """Look where a continuous action [G, 3] says, where `moved` [G]."""
        zoom = 1 + (self.rules.zoom_max - 1) * place[:, 2]
        side = (self.size / zoom).round().clamp(self.rules.window, self.size)
        if self.rules.foveation:  # rings have sides of their own
            side = self.side.float()
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

    def _look(self) -> Look:
        """Return the views as they are, and which of them somebody sees."""
        return self.corner, self.side, self.position, ~self.ended

    def _shown(self, look: Look, rings: int) -> Views:
        """Return the squares that are shown, in pixels of the images, empty where nobody sees them.

        They are the views, or the outermost of so many `rings`.
        """
        corner, side, position, seen = look
        if not rings:
            views = self._views(corner, side, position)
            return Views(views.top, views.left, views.side * seen)
        widest = self.rules.window << (rings - 1)
        ring = ring_corner(corner + side[:, None] / 2, widest, self.extent) - _whole(position)
        return Views(ring[:, 0], ring[:, 1], widest * seen.float())

    def _newly_seen(self) -> Tensor:
        self._settle()
        look = self._look()
        fresh = self._seen.update(self._shown(look, self.rules.foveation))
        return self._refine(look) if self._detailed else fresh

    def _refine(self, look: Look) -> Tensor:
        """Note how finely views, or all rings of them, show the images; return the gain [G]."""
        rings = range(1, self.rules.foveation + 1) if self.rules.foveation else (0,)
        gains = [self._detail.update(self._shown(look, ring)) for ring in rings]
        return torch.stack(gains).sum(0)

    def _settle(self) -> None:
        """Note what was seen since; when nobody is paid for it, that waits until someone asks."""
        for look in self._looks:
            self._seen.mark(self._shown(look, self.rules.foveation))
            if self._detailed:
                self._refine(look)
        self._looks = []

    def _answers(self, action: Action, alive: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Return the classes [G], and which games they answer, bool [G].

        Unless it takes a decision, that is so in any case at a game's `last` step [G].
        """
        if action.discrete is not None:
            chosen = action.discrete
            at_will = self.rules.answer == "any-time"
            return chosen[:, 6], last | (alive & (chosen[:, 7] != 0)) if at_will else last
        assert action.answer is not None
        assert action.decision is not None
        decides = self.rules.answer == "decision"
        return action.answer, alive & action.decision.bool() if decides else last


def _whole(position: Tensor) -> Tensor:
    """Return where an image is drawn: the nearest whole pixel."""
    return position.round().long()
