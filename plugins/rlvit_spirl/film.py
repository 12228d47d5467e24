"""Films of games: what a trained policy saw, which patches it kept and which it attended to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvit.errors import RlvitError
from rlvit_spirl.attention import class_shares, heaviest
from rlvit_spirl.mae import PATCHES

FRAMES_A_SECOND = 60  # of the emulator
MOST_STEPS = 3_000  # whose frames are kept, 83 MB: the film of a longer game ends there
PACKED = PATCHES // 8  # bytes of a frame's selection


@dataclass
class Film:
    """A game as a policy saw it, T of its S steps with frames."""

    index: int  # of the game
    frames: list[NDArray[np.uint8]] = field(default_factory=list)  # T x [C, H, W]
    kept: list[NDArray[np.bool_]] = field(default_factory=list)  # S x [144]; none of whole frames
    attended: list[NDArray[np.bool_]] = field(default_factory=list)  # S x [144], or none
    on_patches: list[float] = field(default_factory=list)  # S, of the attention, or none
    score: float | None = None  # None: nobody said
    length: int = 0  # S

    def save(self, path: Path) -> None:
        """Write an .npz from which overlays are drawn without a model; see `read_film`."""

        def packed(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8]:
            return np.packbits(np.array(masks, dtype=bool).reshape(-1, PATCHES), axis=1)

        np.savez_compressed(
            path,
            allow_pickle=False,
            index=np.array(self.index),
            frames=np.array(self.frames),
            kept=packed(self.kept),  # [S, 18]: a bit a patch, in raster order
            attended=packed(self.attended),
            on_patches=np.array(self.on_patches, dtype=np.float32),
            score=np.array(np.nan if self.score is None else self.score),
            length=np.array(self.length),
        )


def read_film(path: Path) -> Film:
    """Read what `Film.save` wrote.

    Raises:
        RlvitError: it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            masks = {
                name: list(np.unpackbits(file[name], axis=1).astype(bool))
                for name in ("kept", "attended")
            }
            return Film(
                index=int(file["index"]),
                frames=list(file["frames"]),
                **masks,
                on_patches=[float(share) for share in file["on_patches"]],
                score=None if np.isnan(file["score"]) else float(file["score"]),
                length=int(file["length"]),
            )
    except (OSError, ValueError, KeyError) as problem:
        raise RlvitError(f"{path} is no film of a game: {problem}") from None


class Camera:
    """A policy that keeps what it sees and looks at in the first games of an evaluation.

    The policy decides as it would without; games begin in the order of their numbers.
    """

    def __init__(self, policy: Any, games: int = 1, most: int = MOST_STEPS) -> None:
        """Watch a `GreedyPolicy` or a `GreedyFrames`.

        Args:
            policy: what plays.
            games: that are filmed.
            most: steps of a game whose frames are kept.
        """
        self.policy, self.places, self.games, self.most = policy, policy.places, games, most
        self.view = getattr(policy, "view", {})  # how it sees its games, if not as the protocol
        self.films: list[Film] = []
        self._begun = 0
        self._filming: dict[int, Film] = {}  # place -> film

    def begin_game(self, place: int) -> None:
        """Forget the past of a place, and take a new film if the game is one of those wanted."""
        self._filming.pop(place, None)
        if self._begun < self.games:
            self._filming[place] = Film(self._begun)
            self.films.append(self._filming[place])
        self._begun += 1
        self.policy.begin_game(place)

    def act_in_games(self, places: Sequence[int], frames: NDArray[np.uint8]) -> Sequence[int]:
        """Let the policy choose, and look over its shoulder."""
        actions: Sequence[int] = self.policy.act_in_games(places, frames)
        for place, frame in zip(places, frames, strict=True):
            film = self._filming.get(place)
            if film is not None:
                film.length += 1
                if len(film.frames) < self.most:
                    film.frames.append(frame.copy())
                self._look(place, film)
        return actions

    def scored(self, index: int, score: float) -> None:
        """Note the score of a game that has ended."""
        if index < len(self.films):
            self.films[index].score = score

    def _look(self, place: int, film: Film) -> None:
        """Note the patches that were kept of the newest frame of a place, and the attended ones."""
        looked = getattr(getattr(self.policy, "features", None), "looked", None)
        if looked is None:
            return
        order, embedded = (part[place] for part in looked)
        ids = order[order >= 0].cpu().numpy()
        kept = np.zeros(PATCHES, dtype=bool)
        kept[ids] = True
        film.kept.append(kept)
        shares = class_shares(self.policy.agent.online.attention, embedded[None])
        if shares is not None:
            on_kept = shares[0, 1:][(order >= 0).to(shares.device)].cpu()  # [K]
            attended = np.zeros(PATCHES, dtype=bool)
            attended[ids] = heaviest(on_kept).numpy()
            film.attended.append(attended)
            film.on_patches.append(float(on_kept.sum()))


def seconds_of(frame_skip: int) -> float:
    """Return how long a step takes on the screen of a console."""
    return frame_skip / FRAMES_A_SECOND


def save_gif(
    frames: Iterator[NDArray[np.uint8]], some: NDArray[np.uint8], path: Path, seconds: float
) -> None:
    """Write frames [H, W, 3] as a GIF that starts again, with one palette so nothing flickers.

    Args:
        frames: all of them.
        some: of them, [N, H, W, 3], for the palette.
        path: of the file.
        seconds: that each is shown; a GIF knows hundredths, so durations vary by one.
    """
    from PIL import Image

    dither = Image.Dither.NONE
    palette = Image.fromarray(np.concatenate(some)).quantize(256, dither=dither)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[colours.min(axis=1) >= 248] = 255  # paper is to stay white
    palette.putpalette([int(part) for part in colours.flat])

    def page(frame: NDArray[np.uint8]) -> Image.Image:
        return Image.fromarray(frame).quantize(palette=palette, dither=dither)

    pages = [page(frame) for frame in frames]
    ends = [round(100 * seconds * number) for number in range(len(pages) + 1)]
    times = [10 * (end - start) for start, end in pairwise(ends)]
    times[-1] = max(times[-1], 1_500)  # ms: the end of a game is to be seen
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=times, loop=0)


def save_mp4(frames: Iterator[NDArray[np.uint8]], path: Path, seconds: float) -> None:
    """Write frames [H, W, 3], sides even, as an MP4 that every browser plays.

    Raises:
        RlvitError: the package imageio-ffmpeg is not installed.
    """
    if not has_ffmpeg():
        raise RlvitError("an MP4 needs: pip install imageio-ffmpeg (a GIF needs nothing)")
    import imageio_ffmpeg

    first = next(frames)
    size = (first.shape[1], first.shape[0])
    settings = {"fps": 1 / seconds, "macro_block_size": 2, "ffmpeg_log_level": "error"}
    writer = imageio_ffmpeg.write_frames(str(path), size, **settings)
    writer.send(None)
    try:
        writer.send(np.ascontiguousarray(first))
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def has_ffmpeg() -> bool:
    """Tell whether MP4s can be written."""
    from importlib.util import find_spec

    return find_spec("imageio_ffmpeg") is not None
