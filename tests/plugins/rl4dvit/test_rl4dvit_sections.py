"""What reports say about RL4DViT's tokens, from tables of evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rlvit_rl4dvit.sections import AFTER, BEFORE, ONLY, tokens


def evaluated(folder: Path, right: list[bool], kept: list[list[int]], macs: float) -> Path:
    """Write the table of an evaluation."""
    folder.mkdir(parents=True)
    columns = {
        "correct": np.array(right),
        "kept": np.array(kept),
        "macs": np.full(len(right), macs),
    }
    np.savez(folder / "predictions.npz", **columns)
    return folder


def test_stages_and_decisions_by_hand(section_maker: Any, tmp_path: Path) -> None:
    early = evaluated(tmp_path / "early", [True, False], [[8, 4], [6, 2]], 2e9)
    late = evaluated(tmp_path / "late", [True, True], [[8, 3], [6, 1]], 1e9)
    # Step 60 comes before step 100, which their names do not tell.
    artifacts = {"predictions-100": late, "predictions-60": early, "predictions-x": tmp_path}
    run = section_maker.trial(0, {}, artifacts)
    ours = section_maker.arm("ours", "rl4dvit", [run], decision_blocks="3,6")
    content = tokens(section_maker.request(ours))
    assert content is not None
    stages, alive = content.tables
    values = [(row[1], row[2].value, row[3].value, row[4].value) for row in stages.rows]
    assert values == [(BEFORE, 50.0, 2.0, 3.0), (AFTER, 100.0, 1.0, 2.0)]
    assert [(row[1], row[2].value) for row in alive.rows] == [("3", 7.0), ("6", 2.0)]
    axes = Figure().add_subplot()
    content.figures[0].draw(axes)
    (line,) = axes.get_lines()
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([3, 6], [7.0, 2.0])


def test_one_evaluation_is_no_before_and_after(section_maker: Any, tmp_path: Path) -> None:
    only = evaluated(tmp_path / "only", [True, False], [[], []], 2e9)  # no decision at all
    run = section_maker.trial(0, {}, {"predictions-0": only})
    content = tokens(section_maker.request(section_maker.arm("dense", "rl4dvit", [run])))
    assert content is not None
    (stages,) = content.tables
    assert [(row[1], row[4]) for row in stages.rows] == [(ONLY, None)]
    assert content.figures == []
    lost = section_maker.trial(0, {}, {"predictions-0": tmp_path / "gone"})
    assert tokens(section_maker.request(section_maker.arm("x", "rl4dvit", [lost]))) is None
