"""The figures of a report: what is drawn, and that it is the same each time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from evidence_maker import arm, curve_of, evidence, game_arm, trial

from rlvit.registry import queries
from rlvit.report import collect, drawing
from rlvit.report.canvas import make_canvas
from rlvit.report.curves import BINS, aligned, band
from rlvit.report.gallery import gallery
from rlvit.report.model import Evidence, Reference, Value
from rlvit.report.plots import figures, pareto
from rlvit.report.tables import tables

ENGINE: Any = None  # nothing here reads a registry


@pytest.fixture(autouse=True)
def _curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "DPI", 40)  # small figures are quicker
    monkeypatch.setattr(collect, "curve", curve_of)


def no_curve(engine: object, run_id: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    return np.array([]), np.array([])


@pytest.fixture
def _no_curves(monkeypatch: pytest.MonkeyPatch, _curves: None) -> None:
    monkeypatch.setattr(collect, "curve", no_curve)


def draw(found: Evidence, out: Path) -> dict[str, Any]:
    """Return the pictures by title."""
    drawn = figures(make_canvas(found, ENGINE, out, 0), tables(found))
    return {picture.title: picture for picture in drawn}


def image_arm(label: str, top1: list[float], gmacs: float) -> Any:
    trials = [
        trial(seed, {
            "eval/top1": value, "eval/gmacs": gmacs, "dense/top1": 75.0, "dense/gmacs": 1.25,
        })
        for seed, value in enumerate(top1)
    ]  # fmt: skip
    return arm(label, trials, task="imagenette", method=label)


def test_a_game_has_an_interval_plot_and_two_curves(tmp_path: Path) -> None:
    found = evidence([game_arm("fast", "Pong", [10, 20]), game_arm("slow", "Pong", [5])])
    drawn = draw(found, tmp_path)
    assert list(drawn) == ["eval/return by arm", "train/return", "train/loss"]
    for picture in drawn.values():
        assert [path.suffix for path in picture.files] == [".svg", ".png"]
        assert all(path.stat().st_size > 1_000 for path in picture.files)
    # train/lr has no better side, speed/steps is a timing: neither is drawn.
    vector = drawn["eval/return by arm"].files[0].read_text()
    assert "fast" in vector
    assert "15" in vector  # the mean
    assert "n=1" in vector
    assert "Hollow marks" in drawn["eval/return by arm"].caption
    assert "6 values" not in drawn["train/return"].caption
    assert "3 values were no finite numbers" in drawn["train/loss"].caption


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path) -> None:
    found = evidence([game_arm("fast", "Pong", [10, 20, 30]), image_arm("keep", [70, 71], 0.8)])
    first, second = draw(found, tmp_path / "a"), draw(found, tmp_path / "b")
    for title, picture in first.items():
        for one, other in zip(picture.files, second[title].files, strict=True):
            assert one.read_bytes() == other.read_bytes(), one.name
    assert b"<dc:date>" not in first["train/return"].files[0].read_bytes()


@pytest.mark.usefixtures("_no_curves")
def test_names_of_any_kind_are_drawn_as_they_are(tmp_path: Path) -> None:
    label = "spirl β=$x$ <script>alert(1)</script> 漢字"
    drawn = draw(evidence([game_arm(label, "Ms. Pac-Man/<b>", [1, 2])]), tmp_path)
    vector = drawn["eval/return by arm"].files[0].read_text()
    assert "<script>" not in vector
    assert "β=$x$" in vector
    assert {path.parent for p in drawn.values() for path in p.files} == {tmp_path}


@pytest.mark.usefixtures("_no_curves")
def test_a_result_that_is_no_number_has_no_mark(tmp_path: Path) -> None:
    broken = game_arm("broken", "Pong", [float("nan"), 3.0])
    drawn = draw(evidence([broken, game_arm("sound", "Pong", [1, 2])]), tmp_path)
    assert "NaN (1 of 2 runs)" in drawn["eval/return by arm"].files[0].read_text()


@pytest.mark.usefixtures("_no_curves")
def test_references_stand_beside_under_the_same_protocol_only(tmp_path: Path) -> None:
    known = Reference(
        "Paper", "Pong", "full", "eval/return", 7.0, None, 5, "Table 1", "x", "verified"
    )
    other = replace(known, name="Elsewhere", protocol="quick")
    drawn = draw(evidence([game_arm("fast", "Pong", [1, 2])], [known, other]), tmp_path)
    vector = drawn["eval/return by arm"].files[0].read_text()
    assert "Paper, verified: Table 1" in vector
    assert "Elsewhere" not in vector


@pytest.mark.usefixtures("_no_curves")
def test_protocols_never_share_a_figure(tmp_path: Path) -> None:
    quick = replace(game_arm("fast", "Pong", [1, 2]), protocol="quick")
    found = evidence([game_arm("fast", "Pong", [10, 20]), quick])
    drawn = figures(make_canvas(found, ENGINE, tmp_path, 0))
    kinds = [(picture.kind, picture.protocol) for picture in drawn]
    assert kinds.count(("intervals", "full")) == 1
    assert kinds.count(("intervals", "quick")) == 1


@pytest.mark.usefixtures("_no_curves")
def test_accuracy_against_compute(tmp_path: Path) -> None:
    found = evidence([image_arm("keep", [70, 71], 0.8), image_arm("drop", [60, 61], 0.9)])
    picture = draw(found, tmp_path)["eval/top1 against compute"]
    vector = picture.files[0].read_text()
    assert "dense of keep, drop" in vector  # measured in the same runs, whose
    legend = vector[vector.index('id="legend_1"') :]
    assert "LineCollection" not in legend  # marks without errors
    assert "n=1" not in picture.caption
    one = evidence([image_arm("keep", [70], 0.8), image_arm("drop", [60, 61], 0.9)])
    alone = draw(one, tmp_path / "one")["eval/top1 against compute"]
    assert "Hollow marks: one run (n=1)." in alone.caption
    assert "Pareto front" not in vector  # one arm is better in both


@pytest.mark.parametrize(
    ("direction", "front"),
    [("max", [(1.0, 5.0), (2.0, 7.0), (4.0, 9.0)]), ("min", [(1.0, 5.0), (3.0, 4.0)])],
)
def test_the_pareto_front(direction: str, front: list[tuple[float, float]]) -> None:
    points = [(3.0, 4.0), (2.0, 7.0), (1.0, 5.0), (4.0, 9.0), (3.0, 6.0), (2.0, 6.5)]
    assert pareto(points, direction) == front


@pytest.mark.usefixtures("_no_curves")
def test_aggregates_over_two_games(tmp_path: Path) -> None:
    arms = [
        game_arm(label, task, [base, base + 10])
        for label, base in (("fast", 60), ("slow", 20))
        for task in ("Pong", "Qbert")
    ]
    drawn = draw(evidence(arms), tmp_path)
    expected = ["Interquartile mean", "Median", "Mean", "Optimality gap", "Performance profile"]
    assert list(drawn)[-5:] == expected
    assert "0.65" in drawn["Mean"].files[0].read_text()
    assert "fast (n=2)" in drawn["Performance profile"].files[0].read_text()
    one_game = draw(evidence(arms[:1]), tmp_path / "one")
    assert "Mean" not in one_game


def test_curves_meet_on_the_steps_that_all_runs_have() -> None:
    short = (np.array([0.0, 10.0, 20.0]), np.array([0.0, 1.0, 2.0]))
    long = (np.array([10.0, 30.0]), np.array([5.0, 7.0]))
    steps, values = aligned([short, long])
    np.testing.assert_allclose(steps, [10, 20])
    np.testing.assert_allclose(values, [[1, 2], [5, 6]])


def test_long_curves_are_averaged_in_bins() -> None:
    steps = np.arange(1_000.0)
    grid, values = aligned([(steps, steps), (steps, 2 * steps)])
    assert len(grid) <= BINS
    np.testing.assert_allclose(values[0], grid, atol=1)
    np.testing.assert_allclose(values[1], 2 * grid, atol=2)


def test_runs_without_common_steps_have_no_curve() -> None:
    early, late = (np.array([0.0, 1.0]), np.zeros(2)), (np.array([5.0, 6.0]), np.zeros(2))
    assert len(aligned([early, late])[0]) == 0
    assert len(aligned([])[0]) == 0


def test_bands() -> None:
    assert np.isnan(band(np.array([[1.0, 2.0]]))).all()
    low, high = band(np.array([[1.0, 2.0], [3.0, 0.0]]))  # too few for more than their range
    assert (low.tolist(), high.tolist()) == ([1.0, 0.0], [3.0, 2.0])
    low, high = band(np.array([[1.0], [2.0], [3.0], [4.0], [5.0]]))
    # Student's t of 4 degrees of freedom: 3 +- 2.776 * sqrt(2.5 / 5)
    assert (low[0], high[0]) == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-3)


def test_a_figure_has_room_for_twelve_arms(tmp_path: Path) -> None:
    arms = [game_arm(f"arm {n:02d}", "Pong", [n, n + 1]) for n in range(14)]
    picture = draw(evidence(arms), tmp_path)["train/loss"]
    vector = picture.files[0].read_text()
    assert "arm 13" in vector
    assert "arm 01 " not in vector  # of the worst headline
    assert "2 more arms are left out" in picture.caption


def test_looks_differ_in_more_than_colour() -> None:
    looks = [drawing.look(number) for number in range(28)]
    assert len({(one.colour, str(one.line)) for one in looks}) == 28
    for one, two in pairwise(looks):
        assert one.marker != two.marker
        assert one.line != two.line


@pytest.mark.usefixtures("_no_curves")
def test_the_gallery_takes_turns_and_leaves_large_pictures_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {name: tmp_path / name for name in ("old", "new", "other")}
    for folder in folders.values():
        folder.mkdir()
        for number in range(8):
            (folder / f"{number}_picture.png").write_bytes(folder.name.encode())
        (folder / "0_huge.png").write_bytes(bytes(512_001))
        (folder / "selections.npz").write_bytes(b"no picture")
    moments = {"a-0": 2.0, "a-1": 1.0}
    monkeypatch.setattr(
        queries, "find_run", lambda engine, name: SimpleNamespace(created_at=moments[name])
    )
    digits = {"task": "digits"}
    first = arm("a", [
        trial(0, {}, "a", artifacts={"figures": str(folders["new"])}),
        trial(1, {}, "a", artifacts={"figures": str(folders["old"])}),
    ], **digits)  # fmt: skip
    second = arm("b", [trial(0, {}, "b", artifacts={"figures": str(folders["other"])})], **digits)
    gone = arm("c", [trial(0, {}, "c", artifacts={"figures": str(tmp_path / "gone")})], **digits)
    found = [
        picture
        for picture in gallery(
            make_canvas(evidence([first, second, gone]), ENGINE, tmp_path / "out", 0)
        )
        if picture.kind == "gallery"
    ]
    *found, left_out = found
    assert len(found) == 12
    assert left_out.files == ()
    assert left_out.caption.endswith("larger than 512 kB: 0_huge.png of a-0, 0_huge.png of b-0.")
    contents = [picture.files[0].read_bytes() for picture in found]
    assert contents[:4] == [b"new", b"other", b"new", b"other"]
    assert set(contents) == {b"new", b"other"}
    assert "Run a-0." in found[0].caption


@pytest.mark.usefixtures("_no_curves")
def test_single_runs_have_intervals_over_their_episodes(tmp_path: Path) -> None:
    only = arm("one", [trial(0, {"eval/return": Value(10.0, 100, 5.0, 1000)})])
    vector = draw(evidence([only]), tmp_path)["eval/return by arm"].files[0].read_text()
    assert "10.00 [9.02, 10.98] n=1" in vector  # 10 +- 1.96 * 5 / sqrt(100)
