"""Films of runs: shown on the page, with one still frame for what cannot move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from evidence_maker import arm, evidence, trial
from PIL import Image

from rlvit.errors import RlvitError
from rlvit.report import films, page
from rlvit.report.canvas import Canvas, make_canvas
from rlvit.report.gallery import gallery
from rlvit.report.tables import tables

ENGINE: Any = None
FRAME = page.Frame(title="x", scope=(), command="x", check="x", versions="x")
GREYS = (20, 120, 220)  # of the frames


def write_gif(path: Path) -> Path:
    frames = [Image.new("L", (16, 16), grey) for grey in GREYS]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, loop=0)
    return path


def write_mp4(path: Path) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 5.0, (64, 64))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MP4 files")
    for grey in GREYS:
        writer.write(np.full((64, 64, 3), grey, dtype=np.uint8))
    writer.release()
    return path


def canvas_with(folder: Path, out: Path) -> Canvas:
    run = trial(0, {"eval/return": 1.0}, artifacts={"figures": str(folder)})
    return make_canvas(evidence([arm("x", [run])]), ENGINE, out, 0)


@pytest.mark.parametrize(("name", "write"), [("a.gif", write_gif), ("a.mp4", write_mp4)])
def test_a_film_has_its_middle_frame_as_a_still(tmp_path: Path, name: str, write: Any) -> None:
    film = write(tmp_path / name)
    copy, still = films.copied(film, tmp_path / "copy")
    assert copy.read_bytes() == film.read_bytes()
    with Image.open(still) as picture:
        assert picture.format == "PNG"
        grey = np.asarray(picture.convert("L"), dtype=float).mean()
    assert grey == pytest.approx(GREYS[1], abs=4)  # a codec is not exact
    again = films.copied(film, tmp_path / "again")[1]
    assert again.read_bytes() == still.read_bytes()


def test_films_stand_on_the_page_and_stills_in_markdown(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    write_gif(folder / "episode.gif")
    write_mp4(folder / "walk.mp4")
    canvas = canvas_with(folder, tmp_path / "out")
    found = gallery(canvas)
    assert [[path.suffix for path in one.files] for one in found] == [
        [".gif", ".png"], [".mp4", ".png"],
    ]  # fmt: skip
    html = page.html(FRAME, canvas.evidence, tables(canvas.evidence), found)
    assert '<img src="data:image/gif;base64,' in html
    assert '<video src="data:video/mp4;base64,' in html
    text = page.markdown(FRAME, canvas.evidence, tables(canvas.evidence), found)
    assert "(out/gallery-pong-x-episode.png)" in text
    assert ".gif)" not in text
    assert ".mp4)" not in text


def test_large_and_broken_films_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "broken.gif").write_bytes(b"no film")
    (folder / "broken.mp4").write_bytes(b"no film")
    (folder / "huge.mp4").write_bytes(bytes(films.MOST_BYTES + 1))
    (left_out,) = gallery(canvas_with(folder, tmp_path / "out"))
    assert left_out.files == ()
    for name in ("broken.gif cannot be read", "broken.mp4 cannot be read", "huge.mp4 of run-0"):
        assert name in left_out.caption
    with pytest.raises(RlvitError, match=r"broken\.gif cannot be read as a film"):
        films.copied(folder / "broken.gif", tmp_path / "x")


def test_what_another_place_shows_is_not_shown_twice(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    shown = write_gif(folder / "a.gif")
    write_gif(folder / "b.gif")
    found = gallery(canvas_with(folder, tmp_path / "out"), {shown})
    assert [one.title for one in found] == ["b"]
