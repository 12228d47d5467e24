"""Reports of more arms than a figure has room for, as after a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evidence_maker import arm, evidence, trial

from rlvit.report import collect, drawing
from rlvit.report.canvas import make_canvas
from rlvit.report.model import Arm, Evidence
from rlvit.report.plots import figures
from rlvit.report.summary import compared
from rlvit.report.tables import tables

ARMS = 30
ENGINE: Any = None  # nothing here reads a registry


def searched(number: int) -> Arm:
    """Return an arm; those with a higher number are better, number 3 costs the least."""
    results = [
        {"eval/top1": 50.0 + number + seed, "eval/gmacs": 0.5 if number == 3 else 1.0}
        for seed in range(2)
    ]
    runs = [trial(seed, found) for seed, found in enumerate(results)]
    return arm(f"arm {number:02d}", runs, task="imagenette", method="m")


@pytest.fixture(scope="module")
def many() -> Evidence:
    return evidence([searched(number) for number in range(ARMS)])


@pytest.fixture(scope="module")
def drawn(many: Evidence, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the pictures by title."""
    nothing = (np.array([]), np.array([]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "DPI", 40)
        patch.setattr(collect, "curve", lambda *given: nothing)
        folder = tmp_path_factory.mktemp("many")
        return {one.title: one for one in figures(make_canvas(many, ENGINE, folder, 0))}


def named(picture: Any) -> list[int]:
    """Return the arms that a figure names."""
    text = Path(picture.files[0]).read_text()
    return [number for number in range(ARMS) if f"arm {number:02d}" in text]


def test_intervals_are_of_the_best_arms(drawn: dict[str, Any]) -> None:
    picture = drawn["eval/top1 by arm"]
    assert named(picture) == list(range(18, 30))
    assert picture.caption.endswith("18 more arms are left out; the tables have them.")


def test_the_plane_has_the_best_arms_and_the_front(drawn: dict[str, Any]) -> None:
    picture = drawn["eval/top1 against compute"]
    assert named(picture) == [3, *range(18, 30)]  # 3 is beaten by none as cheap
    assert picture.caption.endswith("17 more arms are left out; the tables have them.")
    assert "The line joins the arms that none beats in both." in picture.caption


def test_tables_have_every_arm(many: Evidence) -> None:
    table = tables(many)[0]
    assert [row[0].text for row in table.rows] == [f"arm {number:02d}" for number in range(ARMS)]


def test_the_summary_counts_many_arms(many: Evidence) -> None:
    (text,) = compared(many).values()
    assert text == "30 arms of 2 seeds; figures show the best, tables all"
    uneven = evidence([*many.arms[1:], arm("lone", [trial(0, {})], task="imagenette")])
    (text,) = compared(uneven).values()
    assert text == "30 arms of 1 to 2 seeds; figures show the best, tables all"
