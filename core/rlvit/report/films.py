"""Pictures and films as they are copied into a report: a film comes with one still frame."""

from __future__ import annotations

import shutil
from pathlib import Path

from rlvit.errors import RlvitError

PICTURES, FILMS = (".png",), (".gif", ".mp4")
MOST_BYTES = 512_000  # a larger one is not copied: all of them are in one page
MEDIA = {".png": "image/png", ".gif": "image/gif", ".mp4": "video/mp4"}


def is_shown(path: Path) -> bool:
    """Tell whether a file is a picture or film that reports show, whatever its size."""
    return path.suffix.lower() in MEDIA and path.is_file()


def is_large(path: Path) -> bool:
    """Tell whether a file is too large for a page."""
    return path.stat().st_size > MOST_BYTES


def copied(path: Path, stem: Path) -> tuple[Path, ...]:
    """Copy a picture to `stem` with its ending; of a film also write its middle frame as a PNG.

    Returns:
        The copy, and after a film its still frame.

    Raises:
        RlvitError: the film cannot be read.
    """
    ending = path.suffix.lower()
    copy = stem.with_name(f"{stem.name}{ending}")
    shutil.copyfile(path, copy)
    if ending in PICTURES:
        return (copy,)
    still = stem.with_name(f"{stem.name}.png")
    (_gif_frame if ending == ".gif" else _video_frame)(path, still)
    return copy, still


def _gif_frame(path: Path, still: Path) -> None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as film:
            film.seek(getattr(film, "n_frames", 1) // 2)
            film.convert("RGB").save(still, format="PNG")
    except (OSError, EOFError, UnidentifiedImageError) as problem:
        raise RlvitError(f"{path.name} cannot be read as a film: {problem}") from None


def _video_frame(path: Path, still: Path) -> None:
    import cv2

    counting, film = cv2.VideoCapture(str(path)), cv2.VideoCapture(str(path))
    try:
        frames = 0  # as they can be decoded: what the file says of itself need not be so
        while counting.grab():
            frames += 1
        for _ in range(frames // 2):
            film.grab()
        there, frame = film.read()
    finally:
        counting.release()
        film.release()
    if not there:
        raise RlvitError(f"{path.name} cannot be read as a film")
    still.write_bytes(cv2.imencode(".png", frame)[1].tobytes())
