"""What the figures of a glimpse run are made of: intervals, maps of the gaze, columns of curves."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rlvit.scores import wilson_interval
from rlvit_glimpse import pictures, trajectories
from rlvit_glimpse.pictures import columns_of, gaze, ring_boxes


def test_wilsons_interval_is_that_by_hand() -> None:
    low, high = wilson_interval(np.array([0.0, 0.5, 1.0]), 10)
    z2 = 1.959964**2
    assert low[0] == pytest.approx(0, abs=1e-12)
    assert high[0] == pytest.approx(z2 / (10 + z2))
    assert (low[2], high[2]) == pytest.approx((1 - high[0], 1))
    half = math.sqrt(z2) * math.sqrt(0.25 / 10 + z2 / 400) / (1 + z2 / 10)
    assert (low[1], high[1]) == pytest.approx((0.5 - half, 0.5 + half))


def test_the_gaze_counts_glimpses_of_each_pixel_by_class() -> None:
    boxes = np.array(
        [
            [[0, 0, 2], [1, 1, 2], [0, 0, 4]],  # of class 0: two glimpses, the third was not taken
            [[0, 0, 4], [0, 0, 4], [0, 0, 4]],  # of class 0: one of them all
            [[2, 3, 1], [2, 3, 1], [2, 3, 1]],  # of class 2: thrice one pixel
        ],
        dtype=np.float64,
    )
    heat = gaze(boxes, np.array([2, 1, 3]), np.array([0, 0, 2]), 3, 4)
    first = np.array([[1, 1, 0, 0], [1, 2, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(heat[0], (first + 1) / 2)
    assert np.isnan(heat[1]).all()
    assert heat[2, 2, 3] == 3
    assert heat[2].sum() == 3


def test_the_gaze_of_real_games_is_what_they_saw(tiny_glimpse: Any) -> None:
    config = tiny_glimpse.config("multi-categorical")
    found = tiny_glimpse.played(config, tiny_glimpse.network(config), 30)
    boxes = found.boxes.transpose(0, 1).numpy()
    heat = gaze(boxes, found.lengths.numpy(), np.zeros(30, np.int64), 1, 8)
    assert heat[0].sum() == pytest.approx((boxes[..., 2] ** 2).sum() / 30, rel=1e-5)
    for game in range(30):
        alone = gaze(boxes[game : game + 1], np.array([3]), np.zeros(1, np.int64), 1, 8)
        assert (alone > 0).mean() == pytest.approx(found.seen[game].item())


def test_curves_have_a_column_for_each_metric_and_gaps_where_there_is_none() -> None:
    rows = [
        {"steps": 10.0, "play/return": 0.5, "play/accuracy": 25.0, "ppo/entropy": 4.0},
        {"steps": 10.0, "val/accuracy": 50.0, "val/glimpses": 3.0},
        {"steps": 20.0, "play/return": 0.75, "play/accuracy": 75.0, "play/glimpses": 2.0},
    ]
    found = columns_of(rows)
    assert found["steps"].tolist() == [10, 20]
    assert found["return"].tolist() == [0.5, 0.75]
    assert found["accuracy_training"].tolist() == [0.25, 0.75]
    np.testing.assert_array_equal(found["accuracy_validation"], [0.5, np.nan])
    np.testing.assert_array_equal(found["entropy"], [4, np.nan])
    np.testing.assert_array_equal(found["glimpses"], [np.nan, 2])


def test_a_hybrids_games_are_drawn(
    whole_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its measured images, with the length and the answer of each game."""
    run = whole_run("hybrid-vit")
    given: dict[str, Any] = {}

    def keep(kind: str, inputs: Any, build: Any) -> None:
        build(tmp_path)

    draw_trajectories = pictures.draw_trajectories

    def watched(folder: Path, *shown: Any) -> Any:
        names = ("images", "boxes", "counts", "captions", "title", "colours")
        given.update(zip(names, shown, strict=True))
        return draw_trajectories(folder, *shown)

    context, config, looks = (run.measured[key] for key in ("context", "config", "looks"))
    monkeypatch.setattr(context, "keep", keep)
    monkeypatch.setattr(pictures, "draw_trajectories", watched)
    rows = [{"steps": 34.0, "play/return": 0.3, "play/accuracy": 10.0, "ppo/entropy": 3.0}]
    pictures.draw(context, config, looks, rows)
    assert len(given["images"]) == len(given["captions"]) == 8
    labels, right = looks.labels[::5][:8].tolist(), looks.greedy.right[::5][:8].tolist()
    for caption, label, named in zip(given["captions"], labels, right, strict=True):
        truth, answer, mark = re.fullmatch(r"(\d), says (\d) (.)", caption).groups()
        assert int(truth) == label
        assert (answer == truth, mark) == (named, "\u2713" if named else "\u2717")
    assert given["colours"] == ["#009E73" if named else "#D55E00" for named in right]
    assert given["counts"].tolist() == looks.greedy.lengths[::5][:8].tolist()
    assert (given["boxes"][:, 0] == [0, 0, 8]).all()  # the first view is all of a digit
    names = {"curves.png", "accuracy.png", "trajectories.png", "gaze.png", "episode.gif"}
    assert {path.name for path in tmp_path.iterdir()} == names
    with Image.open(tmp_path / "episode.gif") as film:
        assert film.n_frames >= looks.greedy.lengths[0]


def test_rings_are_squares_around_the_view_that_stay_on_the_image() -> None:
    """A window of 4 on an image of 16: around (2, 2), and around (15, 8), pushed back."""
    boxes = torch.tensor([[0.0, 0, 4], [12, 6, 4]])
    assert ring_boxes(boxes, 4, 3, 16).tolist() == [
        [[0, 0, 8], [0, 0, 16]],
        [[8, 4, 8], [0, 0, 16]],
    ]
    assert ring_boxes(boxes, 4, 0, 16).shape == (2, 0, 3)


def test_a_film_of_rings_has_all_of_them(
    tiny_glimpse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_glimpse.config("multi-categorical", foveation=2)
    found = tiny_glimpse.played(config, tiny_glimpse.network(config), 3)
    given: list[Any] = []
    frames = trajectories.film_frames

    def watched(*shown: Any) -> Any:
        given.extend(shown)
        return frames(*shown)

    monkeypatch.setattr(trajectories, "film_frames", watched)
    image = tiny_glimpse.digits(3)[0][0].numpy()
    pictures.draw_game(tmp_path, image, found, 2, "7, says 7")
    _, boxes, windows, captions, around = given
    assert windows.shape == (3, 3, 4, 8)
    top, left, _ = boxes[0].astype(int)
    np.testing.assert_array_equal(windows[0, :, :, :4], image[:, top : top + 4, left : left + 4])
    assert around.tolist() == [[[0, 0, 8]]] * 3  # all of a digit
    assert captions[-1] == "glimpse 3 of 3: 7, says 7"
    with Image.open(tmp_path / "episode.gif") as film:
        assert film.n_frames == 3
