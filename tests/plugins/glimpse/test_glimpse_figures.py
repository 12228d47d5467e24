"""The figures show the glimpses, numbers and colours that they were given, at the right pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from rlvit_glimpse import figures, trajectories

INSIDE = (-0.5, 31.5, 31.5, -0.5)  # left, right, bottom, top of axes for 32 x 32 pixels


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    """matplotlib warns when a layout does not fit, numpy when all is NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def make_boxes(count: int, steps: int) -> NDArray[np.float64]:
    """Return squares of sides 8, 16 and 32 within 32 pixels, [count, steps, 3]."""
    rng = np.random.default_rng(0)
    side = rng.choice([8, 16, 32], (count, steps, 1))
    return np.concatenate([rng.integers(0, 33 - side.repeat(2, 2)), side], 2).astype(np.float64)


def make_images(*shape: int) -> NDArray[np.uint8]:
    """Return random pixels."""
    return np.random.default_rng(1).integers(256, size=shape, dtype=np.uint8)


def make_columns(rows: int) -> dict[str, NDArray[Any]]:
    """Return a history of so many updates."""
    rng = np.random.default_rng(2)
    names = ("return", "accuracy_training", "entropy_up", "entropy_zoom_in", "glimpses")
    return {
        "steps": 4096 * np.arange(1, rows + 1),
        **{name: rng.random(rows) for name in names},
    }


def check_picture(path: Path) -> None:
    """Assert that a file is a PNG with something on it that is not cut at the edges."""
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) >= 300
        assert max(picture.size) <= 4000
        grey = np.asarray(picture.convert("L"))
    assert grey.std() > 10
    edges = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    assert (edges == 255).all()


@pytest.mark.parametrize(("count", "steps"), [(1, 1), (1, 20), (5, 7)])
def test_trajectories_are_a_picture(tmp_path: Path, count: int, steps: int) -> None:
    captions = ["a class with a long name, taken for another class with a long name"] * count
    path = figures.draw_trajectories(
        tmp_path,
        make_images(count, 3, 32, 32),
        make_boxes(count, steps),
        np.full(count, steps),
        captions,
        "A title so long that it cannot stand on a single line " * 2,
    )
    assert path == tmp_path / "trajectories.png"
    check_picture(path)


def test_squares_are_those_of_the_glimpses_that_were_taken() -> None:
    boxes = np.array([[0, 24, 8], [4, 0, 16], [4, 0, 16]], dtype=np.float64)
    images = make_images(2, 3, 32, 32)
    figure = trajectories.trajectory_figure(images, [boxes, boxes[:1]], ["cat", "dog"], "t")
    first, second = figure.axes[:2]
    assert [panel.get_xlabel() for panel in (first, second)] == [
        "cat\n3 glimpses",
        "dog\n1 glimpse",
    ]
    squares = [patch for patch in first.patches if isinstance(patch, Rectangle)]
    assert [square.get_bbox().bounds for square in squares] == [
        (23.5, -0.5, 8, 8),  # left, top, width, height, on axes where pixel 0 is at 0
        (-0.5, 3.5, 16, 16),
    ]
    assert {text.get_text() for text in first.texts} == {"1", "2\N{EN DASH}3"}
    assert first.collections[0].get_offsets().tolist() == [[27.5, 3.5], [7.5, 11.5]]
    assert [text.get_text() for text in second.texts] == ["1"]


def test_a_colour_bar_is_drawn_for_more_than_one_glimpse_only() -> None:
    images, boxes = make_images(1, 3, 32, 32), make_boxes(1, 5)[0]
    several = trajectories.trajectory_figure(images, [boxes], ["c"], "t")
    assert [tick.get_text() for tick in several.axes[1].get_yticklabels()] == ["first", "last"]
    assert len(trajectories.trajectory_figure(images, [boxes[:1]], ["c"], "t").axes) == 1


def test_shades_get_brighter_so_that_their_order_shows_in_grey() -> None:
    luma = trajectories.shades(20) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luma) > 0.01).all()
    assert trajectories.against(trajectories.shades(2)[0]) == "white"
    assert trajectories.against(trajectories.shades(2)[1]) == "black"


def test_equal_glimpses_in_a_row_share_a_label() -> None:
    boxes = np.array([[0, 0, 8], [0, 0, 8], [0, 1, 8], [0, 0, 8], [0, 0, 16]], dtype=np.float64)
    found = trajectories.together(boxes)
    assert [label for label, _ in found] == ["1\N{EN DASH}2", "3", "4", "5"]
    assert [tuple(map(float, box)) for _, box in found][1:3] == [(0, 1, 8), (0, 0, 8)]


def test_seen_pixels_are_those_within_a_square() -> None:
    boxes = np.array([[0, 2, 2], [2, -1, 2]], dtype=np.float64)
    seen = trajectories.seen_pixels(boxes, (4, 5))
    assert seen.astype(int).tolist() == [
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 0],
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
    ]
    picture = np.full((4, 5, 3), 100, dtype=np.uint8)
    pale = round(255 * 0.45 + 100 * 0.55)
    assert trajectories.veiled(picture, boxes)[:, :, 0].tolist() == [
        [pale, pale, 100, 100, pale],
        [pale, pale, 100, 100, pale],
        [100, pale, pale, pale, pale],
        [100, pale, pale, pale, pale],
    ]


def test_numbers_lie_at_corners_of_their_squares_and_do_not_cover_each_other() -> None:
    boxes = make_boxes(1, 20)[0]
    boxes[:, :2] = np.clip(boxes[:, :2], 2, 12)
    boxes[:, 2] = np.clip(boxes[:, 2], 8, 16)
    shown = trajectories.together(boxes)
    inch = 32 / 2.7
    places = trajectories.place_numbers(shown, INSIDE, inch)
    assert len(shown) >= len(places) >= 10
    assert {0, len(shown) - 1} <= set(places)
    for number, (x, y) in places.items():
        top, left, side = shown[number][1]
        assert x in (left - 0.5, left + side - 0.5)
        assert y in (top - 0.5, top + side - 0.5)
        for other, (u, v) in places.items():
            wide = (0.07 * (len(shown[number][0]) + len(shown[other][0])) / 2 + 0.09) * inch
            high = 0.16 * inch
            assert number == other or abs(x - u) >= wide - 1e-9 or abs(y - v) >= high - 1e-9


def test_the_first_and_the_last_number_are_written_without_room() -> None:
    shown = [(str(number), (0.0, 0.0, 0.5 + number / 10)) for number in range(9)]
    assert set(trajectories.place_numbers(shown, INSIDE, 20.0)) == {0, 8}


def test_limits_hold_squares_beyond_the_frame() -> None:
    boxes = [np.array([[-4.0, 10, 8]]), np.array([[20.0, 28, 16]])]
    left, right, bottom, top = trajectories.common_limits(boxes, (32, 32))
    edge = 0.012 * 44
    assert (left, right) == pytest.approx((-0.5 - edge, 43.5 + edge))
    assert (bottom, top) == pytest.approx((35.5 + edge, -4.5 - edge))


def test_trajectories_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    images, boxes = make_images(2, 3, 8, 8), make_boxes(2, 3)
    with pytest.raises(ValueError, match="0 images have 0 captions"):
        figures.draw_trajectories(tmp_path, images[:0], boxes[:0], np.array([]), [])
    with pytest.raises(ValueError, match=r"boxes are \[1, 3, 3\], expected \[2, glimpses, 3\]"):
        figures.draw_trajectories(tmp_path, images, boxes[:1], np.array([1, 1]), ["a", "b"])
    with pytest.raises(ValueError, match=r"counts are \[0, 4\], expected 2 of 1 to 3"):
        figures.draw_trajectories(tmp_path, images, boxes, np.array([0, 4]), ["a", "b"])
    assert list(tmp_path.iterdir()) == []


def test_gaze_has_a_map_for_each_class_with_one_scale(tmp_path: Path) -> None:
    heat = np.stack([np.full((4, 4), np.nan), np.eye(4), 5 * np.eye(4)[::-1]])
    figure = figures.gaze_figure(heat, ["none", "cat", "a dog"], "t")
    first, second = figure.axes[:2]
    assert [first.get_title(), second.get_title()] == ["cat\n(0 to 1)", "a dog\n(0 to 5)"]
    assert (np.asarray(second.images[0].get_array()) == heat[2]).all()
    assert [panel.images[0].get_clim() for panel in (first, second)] == [(0, 5)] * 2
    assert "(2 of 3 classes)" in figure.get_suptitle().replace("\n", " ")
    check_picture(figures.draw_gaze(tmp_path, heat, ["none", "cat", "a dog"], "t"))


def test_of_many_classes_twenty_are_shown_with_first_and_last() -> None:
    names = [f"class {number}" for number in range(100)]
    figure = figures.gaze_figure(np.ones((100, 2, 2)), names, "t")
    titles = [panel.get_title().split("\n")[0] for panel in figure.axes if panel.images]
    assert len(titles) == 20
    assert (titles[0], titles[-1]) == ("class 0", "class 99")


def test_gaze_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"heat is \[2, 4, 4\], expected \[1, height, width\]"):
        figures.draw_gaze(tmp_path, np.zeros((2, 4, 4)), ["cat"])
    with pytest.raises(ValueError, match="no class has games"):
        figures.draw_gaze(tmp_path, np.full((1, 4, 4), np.nan), ["cat"])


def test_accuracy_is_shown_by_glimpses_beside_the_controls(tmp_path: Path) -> None:
    accuracy, share = np.array([0.2, np.nan, 0.5]), np.array([1.0, 0.75, 0.25])
    interval = (accuracy - 0.1, accuracy + 0.05)
    figure = figures.glimpse_figure(accuracy, share, interval, {"whole image": 0.8}, "t")
    above, below = figure.axes
    assert above.containers[0].lines[0].get_xydata().tolist() == [[1, 20], [3, 50]]
    bars = above.containers[0].lines[2][0].get_segments()
    assert np.asarray(bars).tolist() == [
        [[1, pytest.approx(10)], [1, pytest.approx(25)]],
        [[3, pytest.approx(40)], [3, pytest.approx(55)]],
    ]
    assert above.lines[-1].get_ydata() == [80, 80]
    assert [bar.get_height() for bar in below.patches] == [100, 75, 25]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["agent, 95 % interval", "whole image: 80.0 %"]
    path = figures.draw_by_glimpses(tmp_path, accuracy, share, interval, {"whole image": 0.8})
    assert path == tmp_path / "accuracy.png"
    check_picture(path)


def test_one_glimpse_and_no_control_can_be_drawn(tmp_path: Path) -> None:
    one = np.array([0.0])
    check_picture(figures.draw_by_glimpses(tmp_path, one, one + 1, (one, one), {}, "t"))


def test_accuracies_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    two, three = np.array([0.2, 0.3]), np.array([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="share has 3 values, expected 2"):
        figures.draw_by_glimpses(tmp_path, two, three, (two, two), {})
    with pytest.raises(ValueError, match=r"'whole image' has values outside 0\.\.1"):
        figures.draw_by_glimpses(tmp_path, two, two, (two, two), {"whole image": 74.0})
    with pytest.raises(ValueError, match="accuracy has 0 values"):
        figures.draw_by_glimpses(tmp_path, two[:0], two[:0], (two[:0], two[:0]), {})


@pytest.mark.parametrize("rows", [1, 60])
def test_curves_are_a_picture(tmp_path: Path, rows: int) -> None:
    path = figures.draw_curves(tmp_path, make_columns(rows), "t")
    assert path == tmp_path / "curves.png"
    check_picture(path)


def test_curves_go_into_the_panel_that_their_name_begins_with() -> None:
    columns = make_columns(3)
    columns["accuracy_validation"] = np.array([0.25, np.nan, 0.5])
    columns["glimpses"] = np.full(3, np.nan)
    figure = figures.curve_figure(columns, "t")
    shown = [panel for panel in figure.axes if panel.axison]
    assert [panel.get_ylabel().split(" (")[0] for panel in shown] == [
        "return of a game",
        "accuracy",
        "entropy",
    ]
    assert shown[0].get_legend() is None
    assert [line.get_label() for line in shown[1].lines] == ["training", "validation"]
    assert shown[1].lines[1].get_xydata().tolist() == [[4096, 25], [12288, 50]]
    assert [line.get_label() for line in shown[2].lines] == ["up", "zoom in"]
    assert len({line.get_linestyle() for line in shown[2].lines}) == 2


def test_columns_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="column 'loss' begins with none of return, accuracy"):
        figures.draw_curves(tmp_path, {**make_columns(2), "loss": np.zeros(2)})
    with pytest.raises(ValueError, match="column 'return' has 1 rows, expected 2"):
        figures.draw_curves(tmp_path, {**make_columns(2), "return": np.zeros(1)})
    with pytest.raises(ValueError, match="column 'steps' has 0 rows"):
        figures.draw_curves(tmp_path, make_columns(0))


def film(folder: Path, steps: int, image: NDArray[np.uint8]) -> Path:
    """Draw a film whose window of glimpse t is all of grey 10 t."""
    windows = np.broadcast_to(np.arange(steps)[:, None, None, None] * 10, (steps, 3, 8, 8))
    captions = [f"answer {step}" for step in range(steps)]
    return figures.draw_film(
        folder, image, make_boxes(1, steps)[0], windows.astype(np.uint8), captions
    )


def test_a_film_has_a_frame_a_glimpse_and_starts_again(tmp_path: Path) -> None:
    path = film(tmp_path, 4, np.full((3, 32, 32), 200, dtype=np.uint8))
    assert path == tmp_path / "episode.gif"
    with Image.open(path) as picture:
        assert (picture.format, picture.n_frames, picture.info["loop"]) == ("GIF", 4, 0)
        times, frames = [], []
        for number in range(4):
            picture.seek(number)
            times.append(picture.info["duration"])
            frames.append(np.asarray(picture.convert("RGB")).astype(int))
    assert times == [700, 700, 700, 2500]
    for number, frame in enumerate(frames):
        high, wide = frame.shape[:2]
        assert (frame[0, 0] == 255).all()  # paper
        assert abs(frame[high // 2, wide * 3 // 4] - 10 * number).max() <= 3  # the window


def test_the_square_of_a_film_is_around_what_is_looked_at() -> None:
    images = np.zeros((2, 3, 32, 32), dtype=np.uint8)
    boxes = np.array([[0, 16, 16], [16, 0, 16]], dtype=np.float64)
    windows = np.zeros((2, 3, 8, 8), dtype=np.uint8)
    frames = trajectories.film_frames(images, boxes, windows, ["a", "b"])
    middles = []
    for frame in frames:
        yellow = (frame == [255, 214, 0]).all(2)
        rows, columns = np.flatnonzero(yellow.any(1)), np.flatnonzero(yellow.any(0))
        assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2)
        middles.append((rows.mean(), columns.mean()))
    (upper, right), (lower, left) = middles
    assert lower - upper == pytest.approx(right - left, abs=2)
    assert lower - upper == pytest.approx(np.ptp(rows), rel=0.05)  # half a frame is a side


def test_a_film_of_a_moving_image_has_a_frame_a_glimpse(tmp_path: Path) -> None:
    images = np.zeros((2, 3, 32, 32), dtype=np.uint8)
    images[1] = 250
    with Image.open(film(tmp_path, 2, images)) as picture:
        means = []
        for number in range(2):
            picture.seek(number)
            means.append(np.asarray(picture.convert("L"))[100:300, 60:300].mean())
    assert means[1] - means[0] > 150


def test_one_glimpse_is_a_film(tmp_path: Path) -> None:
    with Image.open(film(tmp_path, 1, make_images(3, 32, 32))) as picture:
        assert picture.n_frames == 1


def test_windows_may_be_fractions() -> None:
    pixels = np.array([-0.1, 0.0, 0.5, 1.0, 1.5])
    assert trajectories.whole(pixels).tolist() == [0, 0, 128, 255, 255]
    assert trajectories.whole(np.array([7], dtype=np.uint8)).tolist() == [7]


def test_films_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    image, boxes, windows = make_images(3, 8, 8), make_boxes(1, 2)[0], make_images(2, 3, 8, 8)
    with pytest.raises(ValueError, match="2 boxes, 2 windows, 1 captions"):
        figures.draw_film(tmp_path, image, boxes, windows, ["a"])
    with pytest.raises(ValueError, match="0 boxes"):
        figures.draw_film(tmp_path, image, boxes[:0], windows[:0], [])
    with pytest.raises(ValueError, match="3 frames have 2 boxes"):
        figures.draw_film(tmp_path, make_images(3, 3, 8, 8), boxes, windows, ["a", "b"])


def test_the_same_pictures_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        film(tmp_path / name, 2, make_images(3, 32, 32))
        figures.draw_trajectories(
            tmp_path / name, make_images(1, 3, 32, 32), make_boxes(1, 3), np.array([2]), ["c"]
        )
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["episode.gif", "trajectories.png"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
