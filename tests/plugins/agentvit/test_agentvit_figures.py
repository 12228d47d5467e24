"""The figures show the patches, epochs and values that they were given."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from rlvit_agentvit import figures

WITHOUT_AGENT = ("score", "loss_term", "patch_term", "agent_accuracy")


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    """matplotlib warns when a layout does not fit, numpy when all is NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def make_history(epochs: int, rows: int = 8, columns: int = 8) -> dict[str, NDArray[Any]]:
    """Return a history whose epochs count from 1."""
    rng = np.random.default_rng(0)
    shape = (epochs, rows * columns)
    names = ("train_loss", "loss_term", "patch_term", "seconds", "gmacs")
    percents = ("train_accuracy", "val_accuracy", "agent_accuracy")
    return {
        "epoch": np.arange(1, epochs + 1),
        "kept": rng.random(shape),
        "score": rng.normal(size=shape),
        "grid": np.array([rows, columns]),
        **{name: 1 + rng.random(epochs) for name in names},
        **{name: 100 * rng.random(epochs) for name in percents},
    }


def check_picture(path: Path) -> None:
    """Assert that a file is a PNG with something on it that is not cut at the edges."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) >= 300
        assert max(picture.size) <= 4000
        assert picture.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        grey = np.asarray(picture.convert("L"))
    assert grey.std() > 10
    edges = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    assert (edges == 255).all()


def maps(figure: Figure) -> list[tuple[str, NDArray[np.float64]]]:
    """Return the title and the values of each heat map."""
    return [
        (panel.get_title(), np.asarray(panel.images[0].get_array()))
        for panel in figure.axes
        if panel.images
    ]


def labels(figure: Figure) -> list[str]:
    """Return the y labels of the panels that are shown."""
    return [panel.get_ylabel() for panel in figure.axes if panel.axison]


@pytest.mark.parametrize(("epochs", "rows", "columns"), [(1, 8, 8), (20, 3, 9), (5, 6, 2)])
def test_a_history_gives_three_pictures(
    tmp_path: Path, epochs: int, rows: int, columns: int
) -> None:
    title = "AgentViT on a task with a name so long that it cannot stand on a single line " * 2
    written = figures.draw_history(tmp_path, make_history(epochs, rows, columns), title)
    assert [path.name for path in written] == ["heatmaps.png", "scores.png", "curves.png"]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    for path in written:
        check_picture(path)


def test_without_an_agent_there_are_no_scores(tmp_path: Path) -> None:
    history = make_history(3)
    for name in WITHOUT_AGENT:
        history[name] = np.full_like(history[name], np.nan)
    written = figures.draw_history(tmp_path, history, "random")
    assert [path.name for path in written] == ["heatmaps.png", "curves.png"]
    figure = figures.curve_figure(history, "random")
    assert [label.split(" (")[0] for label in labels(figure)] == [
        "cross-entropy",
        "accuracy",
        "training an epoch\n(multiply-adds)",
        "training an epoch\n(wall-clock, seconds)",
    ]
    names = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert names == ["training, patches kept", "validation, all patches"]


def test_twenty_epochs_are_shown_by_eight_with_first_and_last() -> None:
    values = np.zeros((20, 4))
    # 19 steps in 7: 0, 2.7, 5.4, 8.1, 10.9, 13.6, 16.3, 19.
    assert figures.spread_rows(values, (2, 2)).tolist() == [0, 3, 5, 8, 11, 14, 16, 19]
    assert figures.spread_rows(values[:8], (2, 2)).tolist() == list(range(8))
    assert figures.spread_rows(values[:1], (2, 2)).tolist() == [0]
    values[:10] = np.nan  # before the agent began
    assert figures.spread_rows(values, (2, 2)).tolist() == [10, 11, 13, 14, 15, 16, 18, 19]


def test_heat_maps_show_the_kept_share_in_raster_order() -> None:
    kept = np.array([[0.0, 0.5, 1.0, 0.5, 0.25, 0.75], [1.0, 1.0, 0.0, 0.0, 0.0, 0.4]])
    figure = figures.kept_figure(np.array([1, 7]), kept, (2, 3), "t")
    assert figure is not None
    (first, values), (second, others) = maps(figure)
    assert (first, second) == ("epoch 1: 50%\n(0% to 100%)", "epoch 7: 40%\n(0% to 100%)")
    assert values.tolist() == [[0, 50, 100], [50, 25, 75]]
    assert others.tolist() == [[100, 100, 0], [0, 0, 40]]
    assert [panel.images[0].get_clim() for panel in figure.axes[:2]] == [(0, 100)] * 2
    assert figure.axes[2].get_ylabel() == "% of the images"


def test_scores_are_shown_against_the_mean_of_their_epoch() -> None:
    score = np.array([[-1.0, 1.0, 0.0, 0.0], [np.nan] * 4, [9.0, 11.0, 14.0, 6.0]])
    figure = figures.score_figure(np.array([1, 2, 3]), score, (2, 2), "t")
    assert figure is not None
    (first, values), (last, others) = maps(figure)
    assert first == "epoch 1: mean 0\n(\N{MINUS SIGN}1 to +1)"
    assert last == "epoch 3: mean 10\n(\N{MINUS SIGN}4 to +4)"
    assert values.tolist() == [[-1, 1], [0, 0]]
    assert others.tolist() == [[-1, 1], [4, -4]]
    assert [panel.images[0].get_clim() for panel in figure.axes[:2]] == [(-4, 4)] * 2


def test_equal_scores_can_be_drawn(tmp_path: Path) -> None:
    history = make_history(2)
    history["score"] = np.full((2, 64), 3.5)
    check_picture(figures.draw_history(tmp_path, history, "t")[1])


def test_curves_show_what_was_measured_and_pass_over_gaps() -> None:
    history = make_history(4)
    history["gmacs"] = np.array([1.0, 2.0, 4.0, 3.0])
    history["val_accuracy"] = np.array([40.0, np.nan, 60.0, np.nan])
    figure = figures.curve_figure(history, "t")
    assert len(labels(figure)) == 6
    accuracy, compute = figure.axes[1], figure.axes[4]
    assert accuracy.get_ylabel() == "accuracy (%)"
    assert accuracy.lines[1].get_xydata().tolist() == [[1, 40], [3, 60]]
    assert compute.get_ylabel() == "training an epoch\n(multiply-adds)"
    assert compute.lines[0].get_ydata().tolist() == [1e9, 2e9, 4e9, 3e9]
    assert compute.get_ylim() == (0, 1.08 * 4e9)
    assert {panel.get_xlabel() for panel in figure.axes} == {"epoch"}


def test_one_epoch_has_one_tick() -> None:
    figure = figures.curve_figure(make_history(1), "t")
    for panel in figure.axes:
        low, high = panel.get_xlim()
        assert [tick for tick in panel.get_xticks() if low <= tick <= high] == [1]
        assert panel.lines[0].get_marker() != "None"


def test_a_history_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without epochs"):
        figures.draw_history(tmp_path, make_history(0), "t")
    history = {**make_history(2), "grid": np.array([8, 7])}
    with pytest.raises(ValueError, match=r"\[2, 64\], expected \[epochs, 56\]"):
        figures.draw_history(tmp_path, history, "t")
    assert list(tmp_path.iterdir()) == []


def test_dropped_patches_are_dimmed_and_kept_ones_are_not() -> None:
    picture = np.zeros((2, 6, 3), dtype=np.uint8)
    picture[:, :, 1] = 100
    shown = figures.veiled(picture, np.array([[True, False, True], [False, True, True]]))
    dim = round(figures.VEIL * 255)  # 217
    assert shown[:, :, 0].tolist() == [[0, 0, dim, dim, 0, 0], [dim, dim, 0, 0, 0, 0]]
    dim = round(figures.VEIL * 255 + (1 - figures.VEIL) * 100)  # 232
    assert shown[:, :, 1].tolist() == [[100, 100, dim, dim, 100, 100], [dim, dim] + [100] * 4]


def test_overlays_show_the_masks_at_the_right_pixels() -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(100, size=(2, 3, 8, 12), dtype=np.uint8)
    keep = rng.random((2, 24)) < 0.5  # 4 rows, 6 columns: patches of 2 by 2
    masks = {"agent": keep, "nothing": np.zeros((2, 24), dtype=bool)}
    figure = figures.overlay_figure(images, ["one", "two"], masks, (4, 6), "t")
    panels = np.array(figure.axes).reshape(2, 3)
    assert [panel.get_title() for panel in panels[0]] == ["image", "agent", "nothing"]
    for row, caption in enumerate(["one", "two"]):
        counts = [f"{keep[row].sum()} of 24", "0 of 24"]
        assert [panel.get_xlabel() for panel in panels[row]] == [caption, *counts]
        whole, agent, nothing = (np.asarray(panel.images[0].get_array()) for panel in panels[row])
        assert (whole == images[row].transpose(1, 2, 0)).all()
        assert (nothing > 200).all()
        for y in range(8):
            for x in range(12):
                kept = keep[row, (y // 2) * 6 + x // 2]
                assert (agent[y, x] == (whole if kept else nothing)[y, x]).all()


def test_the_border_runs_between_kept_and_dropped() -> None:
    images = np.zeros((1, 3, 4, 4), dtype=np.uint8)
    keep = np.array([[True, False, True, True]])
    figure = figures.overlay_figure(images, ["c"], {"m": keep}, (2, 2), "t")
    (lines,) = figure.axes[1].collections
    # Patch (0, 1) of 2 by 2 pixels; its border is that to (1, 1) below and to (0, 0) on the left.
    found = [path.vertices.tolist() for path in lines.get_paths()]
    assert found == [[[1.5, 1.5], [3.5, 1.5]], [[1.5, -0.5], [1.5, 1.5]]]


@pytest.mark.parametrize(
    ("height", "width", "grid", "count"), [(32, 32, (8, 8), 4), (24, 72, (2, 6), 1)]
)
def test_overlays_are_a_picture(
    tmp_path: Path, height: int, width: int, grid: tuple[int, int], count: int
) -> None:
    rng = np.random.default_rng(2)
    images = rng.integers(256, size=(3, 3, height, width), dtype=np.uint8)
    patches = grid[0] * grid[1]
    masks = {f"a mask of a long name {n}": rng.random((3, patches)) < 0.5 for n in range(count)}
    captions = ["a class with a long name, taken for another class with a long name"] * 3
    path = figures.draw_overlays(tmp_path, images, captions, masks, grid, "AgentViT")
    assert path == tmp_path / "overlays.png"
    check_picture(path)


def test_the_pixels_of_the_file_are_dimmed(tmp_path: Path) -> None:
    images = np.zeros((1, 3, 8, 8), dtype=np.uint8)  # black
    masks = {"agent": np.arange(16)[None] < 8}  # the upper half of 4 by 4
    path = figures.draw_overlays(tmp_path, images, ["c"], masks, (4, 4), "t")
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    dim = round(figures.VEIL * 255)
    dimmed = (pixels == dim).all(2)
    rows = np.flatnonzero(dimmed.sum(1) > 50)  # letters have a few such pixels, too
    columns = np.flatnonzero(dimmed.sum(0) > 50)
    high, wide = np.ptp(rows), np.ptp(columns)
    assert 2 * high == pytest.approx(wide, abs=6)  # half a square
    middle = columns.min() + wide // 2
    lower, upper = rows.min() + high // 2, rows.min() - high // 2
    assert pixels[lower, middle].tolist() == [dim] * 3
    assert pixels[upper, middle].tolist() == [0] * 3
    assert columns.min() > pixels.shape[1] / 2  # the mask is on the right, the image on the left
    assert pixels[lower, pixels.shape[1] // 4].tolist() == [0] * 3


def test_the_same_figures_are_the_same_bytes(tmp_path: Path) -> None:
    history = make_history(2)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        figures.draw_history(tmp_path / name, history, "t")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_overlays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    images = np.zeros((2, 3, 8, 8), dtype=np.uint8)
    keep = np.ones((2, 4), dtype=bool)
    with pytest.raises(ValueError, match="2 images have 1 captions"):
        figures.draw_overlays(tmp_path, images, ["c"], {"m": keep}, (2, 2), "t")
    with pytest.raises(ValueError, match="0 images have 0 captions"):
        figures.draw_overlays(tmp_path, images[:0], [], {}, (2, 2), "t")
    with pytest.raises(ValueError, match=r"mask 'm' is \[2, 4\], expected \[2, 6\]"):
        figures.draw_overlays(tmp_path, images, ["c", "d"], {"m": keep}, (2, 3), "t")
    assert list(tmp_path.iterdir()) == []
