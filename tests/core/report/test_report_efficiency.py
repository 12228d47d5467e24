"""Steps to a share of the best final score, by hand."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evidence_maker import arm, evidence, game_arm, trial

from rlvit.report import collect, drawing, render
from rlvit.report.canvas import make_canvas
from rlvit.report.cells import Table
from rlvit.report.efficiency import efficiency_figure, efficiency_tables, steps_to
from rlvit.report.readings import Readings
from rlvit.specs import MetricDef

ENGINE: Any = None
STEPS = np.arange(0, 110, 10)  # the last tenth is 90 and 100: nine tenths of the way, by 10
# run -> the metric that it logged, and its values at STEPS
CURVES: dict[str, tuple[str, Any]] = {
    "fast-0": ("train/return", np.minimum(STEPS, 40) - 20.0),  # -20 to 20, at 40 steps
    "fast-1": ("train/return", np.minimum(STEPS / 2, 40) - 20.0),  # at 80 steps
    "slow-0": ("train/return", STEPS / 5 - 20.0),  # -20 to 0
    "slow-1": ("train/return", np.full(11, -20.0)),
    "loss-a-0": ("train/loss", 5.0 - STEPS / 25),  # 5 to 1
    "loss-b-0": ("train/loss", 5.0 - STEPS / 50),
}


@pytest.fixture(autouse=True)
def _curves(monkeypatch: pytest.MonkeyPatch) -> None:
    def curve(engine: object, run_id: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        name, values = CURVES.get(run_id, ("", np.array([])))
        return (STEPS, values) if name == metric else (np.array([]), np.array([]))

    monkeypatch.setattr(collect, "curve", curve)
    monkeypatch.setattr(drawing, "DPI", 40)


def arms(*names: str, seeds: int = 2, headline: str = "eval/return") -> list[Any]:
    return [
        arm(name, [trial(s, {headline: 1.0}, name) for s in range(seeds)], preset=name)
        for name in names
    ]


def table_of(*of: Any) -> list[Table]:
    return list(efficiency_tables(Readings(evidence(of), ENGINE)))


def test_steps_to_a_threshold() -> None:
    steps, values = np.array([0.0, 10.0, 20.0]), np.array([1.0, 3.0, 2.0])
    assert steps_to((steps, values), 2.0) == 10.0  # the first time, though it falls again
    assert steps_to((steps, values), 3.5) == inf
    assert steps_to((steps, -values), -1.0, sign=-1.0) == 0.0
    assert steps_to((steps, -values), -3.0, sign=-1.0) == 10.0


def test_medians_and_seeds_that_never_get_there() -> None:
    (table,) = table_of(*arms("fast", "slow"))
    assert table.title == "Steps to train/return on Pong under full"
    assert [column.title for column in table.columns[2:]] == [
        "25% (\N{MINUS SIGN}10)", "50% (0)", "75% (10)", "90% (16)", "100% (20)",
    ]  # fmt: skip
    fast, slow = table.rows
    assert [cell.value for cell in fast[2:]] == [15, 30, 45, 60, 60]  # (10+20)/2, (20+40)/2, ..
    assert [(cell.low, cell.high) for cell in fast[2:4]] == [(10, 20), (20, 40)]
    assert fast[1].value == 2
    # One of two seeds comes half of the way: the median of 50 and never is never.
    assert [cell.text for cell in slow[2:]] == ["not reached"] * 5
    assert [cell.remark for cell in slow[2:]] == ["1 of 2 seeds", "1 of 2 seeds", "", "", ""]
    text = render.csv(table).splitlines()
    assert text[0].startswith("arm,runs,steps_to_25,steps_to_25:low,steps_to_25:high")
    assert text[2].startswith("slow,2,,,,,1,not reached 1 of 2 seeds,")


def test_each_group_that_shares_a_curve_has_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    length = MetricDef("val/score", "points", "max", "in training")
    monkeypatch.setitem(CURVES, "third-0", ("val/score", STEPS / 10))
    monkeypatch.setitem(CURVES, "fourth-0", ("val/score", STEPS / 20))
    names = ("fast", "slow", "third", "fourth", "none")
    found = evidence(arms(*names, seeds=1))
    found = replace(found, metrics={**found.metrics, length.name: length})
    first, second = efficiency_tables(Readings(found, ENGINE))
    assert (first.metric, second.metric) == ("train/return", "val/score")
    assert [[row[0].text for row in t.rows] for t in (first, second)] == [
        *(["fast", "slow"], ["third", "fourth"])
    ]
    assert "val/score, a curve of these arms, stands for the headline metric eval/return." in (
        second.caption
    )
    assert second.footnotes[0].text == (
        "Not compared here, for want of this curve: fast, slow, none."
    )


def test_less_is_better() -> None:
    (table,) = table_of(*arms("loss-a", "loss-b", seeds=1, headline="eval/nll"))
    assert table.metric == "train/loss"
    best, other = table.rows
    # 5 to 1.2, the mean of the last tenth: thresholds 4.05, 3.1, 2.15, 1.58 and 1.2.
    assert [cell.value for cell in best[2:]] == [30, 50, 80, 90, 100]
    assert [cell.value for cell in other[2:]] == [50, 100, None, None, None]
    assert best[2].remark == "n=1"
    assert best[2].muted


def test_curves_of_another_kind_say_nothing_about_the_headline() -> None:
    assert table_of(*arms("loss-a", "loss-b", seeds=1)) == []  # points and nats


def test_one_arm_or_no_progress_has_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert table_of(*arms("fast")) == []
    assert table_of(*arms("none", "nothing")) == []
    for run in ("flat-0", "still-0"):
        monkeypatch.setitem(CURVES, run, ("train/return", np.full(11, 3.0)))
    assert table_of(*arms("flat", "still", seeds=1)) == []
    assert table_of() == []


def test_values_that_are_no_numbers_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = np.where(STEPS == 10, nan, CURVES["fast-0"][1])
    monkeypatch.setitem(CURVES, "odd-0", ("train/return", odd))
    (table,) = table_of(*arms("odd", "slow", seeds=1))
    assert [cell.value for cell in table.rows[0][2:4]] == [20, 20]


def test_a_range_without_width_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CURVES, "fast-1", CURVES["fast-0"])
    (table,) = table_of(*arms("fast", "slow"))
    first = table.rows[0][2]
    assert (first.shown, first.low, first.high) == ("10", 10, 10)


def test_the_figure_is_logarithmic_and_the_same_each_time(tmp_path: Path) -> None:
    found = evidence(arms("fast", "slow"))
    (table,) = efficiency_tables(Readings(found, ENGINE))
    texts = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        with drawing.style():
            picture = efficiency_figure(make_canvas(found, ENGINE, folder, 0), table)
        texts.append(picture.files[0].read_text())
    assert texts[0] == texts[1]
    assert "agent steps ↓" in texts[0]
    assert ">20<" in texts[0]  # a tick without markup, since a name may hold a dollar sign
    assert "mathdefault" not in texts[0]
    assert picture.kind == "efficiency"


def test_protocols_stay_apart() -> None:
    quick = game_arm("fast", "Pong", [1, 2], protocol="quick")
    assert table_of(*arms("fast"), quick) == []  # each has one arm
