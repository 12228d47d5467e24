"""What studies found: numbers checked by hand, and the section of a report that shows them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from study_lab import Lab

from rlvit.registry import studies
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.report import sections
from rlvit.report import studies as drawing
from rlvit.report.build import Order, build
from rlvit.report.collect import gather
from rlvit.report.matrix import sheets
from rlvit.report.studies import studies_section
from rlvit.runs.matrix import make_cells, outstanding
from rlvit.sections import SectionFigure, SectionRequest
from rlvit.tune import fresh, summary
from rlvit.tune.space import Range
from rlvit.tune.study import request_of
from rlvit.tune.summary import Summary

SPACE = {
    "lr": Range("lr", low=1e-4, high=1e-2, log=True),
    "mode": Range("mode", choices=("a", "b", "c")),
    "dim": Range("dim", whole=True, low=10, high=20),
}
STUDY = StudyRecord(
    **{"name": "s-1", "stem": "s", "space_hash": "", "method": "m", "task": "t", "protocol": "p"},
    **{"preset": "quick", "request": {}, "objectives": {"top1": "max", "cost": "min"}},
    **{"sampler": {"name": "tpe"}, "pruner": {"name": "none"}, "seed": 0, "seeds": (0,)},
    **{"trials": 9, "stop": "", "storage": "", "created_at": 0.0},
    space={name: one.plain() for name, one in SPACE.items()},
)


def trial(number: int, top1: float, cost: float, state: str = "completed", **params: Any) -> Any:
    given = {"lr": 1e-3, "mode": "a", "dim": 10, **params}
    values = {"top1": top1, "cost": cost} if state == "completed" else None
    return TrialRecord("s-1", number, state, given, values, "", "", {}, 0.0, 0.0, 1.0, {})


def of(*trials: TrialRecord) -> Summary:
    return Summary(STUDY, trials, 60.0)


TRIALS = (
    trial(0, 50.0, 2.0),
    trial(1, 40.0, 3.0, dim=20),
    trial(2, 0.0, 0.0, state="failed"),
    trial(3, 70.0, 4.0, lr=1e-2),
    trial(4, 60.0, 1.0, mode="c"),
)


def test_history_and_states() -> None:
    assert summary.history(of(*TRIALS), "top1") == [
        *((0, 50.0, 50.0), (1, 40.0, 50.0), (3, 70.0, 70.0), (4, 60.0, 70.0))
    ]
    assert [best for _, _, best in summary.history(of(*TRIALS), "cost")] == [2.0, 2.0, 2.0, 1.0]
    assert of(*TRIALS).states == {"completed": 4, "failed": 1}
    assert summary.history(of(), "top1") == []


def test_leading_trials() -> None:
    assert [t.number for t in fresh.leaders(STUDY, TRIALS, 1)] == [3, 4]  # the front
    one = dataclasses.replace(STUDY, objectives={"cost": "min"})
    assert [t.number for t in fresh.leaders(one, TRIALS, 2)] == [4, 0]


def test_places_within_ranges() -> None:
    whole = of(*TRIALS)
    assert summary.place(whole, "lr", 1e-3) == pytest.approx(0.5)
    assert summary.place(whole, "mode", "b") == 0.5
    assert summary.place(whole, "dim", 20) == 1.0
    assert summary.relative([3.0, 1.0, 2.0]) == [1.0, 0.0, 0.5]
    assert summary.relative([3.0, 3.0]) == [0.5, 0.5]


def test_importance_finds_the_setting_that_matters() -> None:
    made = [
        trial(n, math.log10(lr) * 10, 1.0, lr=lr, dim=10 + n % 7)
        for n, lr in enumerate((1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 2e-4, 5e-4, 2e-3, 7e-3, 9e-4))
    ]
    found = summary.importance(of(*made), "top1")
    assert next(iter(found)) == "lr"
    assert found["lr"] > 0.8
    assert sum(found.values()) == pytest.approx(1.0)
    assert found == summary.importance(of(*made), "top1")
    assert summary.importance(of(*made), "cost") == {}  # it never changes
    assert summary.importance(of(*made[:3]), "top1") == {}


def labels(axes: Axes) -> list[str]:
    """Return the numbers and words at the axis across that are within its ends."""
    low, high = axes.get_xlim()
    axes.figure.draw_without_rendering()
    ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    return [label.get_text() for at, label in ticks if low <= at <= high]


def test_axes_of_slices_say_what_is_searched() -> None:
    whole, house = of(*TRIALS), sections.HOUSE
    words, numbers, logs = (Figure().add_subplot() for _ in range(3))
    drawing._draw_slice(whole, "top1", "%", "mode", house, words)
    assert labels(words) == ["a", "b", "c"]  # in their own order, and b, though none tried it
    assert words.get_ylabel() == "top1 [%], more is better"
    drawing._draw_slice(whole, "cost", "", "dim", house, numbers)
    assert all(float(label) % 1 == 0 for label in labels(numbers))
    assert numbers.get_ylabel() == "cost, less is better"
    drawing._draw_slice(whole, "top1", "%", "lr", house, logs)
    assert len(labels(logs)) >= 2


def test_history_shows_what_did_not_end_well_too() -> None:
    axes = Figure().add_subplot()
    drawing._draw_history(of(*TRIALS), "top1", "%", sections.HOUSE, axes)
    marks = {str(line.get_label()): list(line.get_xdata()) for line in axes.lines}
    assert marks["failed"] == [2]
    assert marks["trial"] == [0, 1, 3, 4]
    assert "pruned" not in marks


def test_parallel_coordinates_have_numbers() -> None:
    axes = Figure().add_subplot()
    drawing._draw_parallel(of(*TRIALS), "top1", "%", sections.HOUSE, axes)
    written = [text.get_text() for text in axes.texts]
    assert written == ["0.0001", "0.01", "a", "c", "10", "20", "40", "70"]


def test_the_section_of_a_report(lab: Lab, tmp_path: Path) -> None:
    aims = ("toy/score", "toy/weight:min")
    name, trials = lab.study(trials=5, objectives=aims, sampler={"name": "random"})
    record = studies.find_study(lab.store.engine, name)
    leading = fresh.leaders(record, trials, 1)[:1]
    fresh.run_fresh(lab.open(name), leading, 2, lambda: sections_display(), lab.said.append)
    section = studies_section(lab.store.engine)
    content = section.build(request("Alpha", "official"))
    assert content is not None
    overview, front = content.tables[:2]
    assert overview.rows[0][:2] == (name, "toy")
    assert overview.rows[0][5:9] == (5, 0, 0, 0)
    assert [row[0] for row in front.rows] == [t.number for t in fresh.leaders(record, trials, 1)]
    mine = next(row for row in front.rows if row[0] == leading[0].number)
    assert mine[2].n == 2
    assert mine[5] == 2
    titles = [figure.title for figure in content.figures]
    for begin in ("History of toy/score", "toy/score by ", "Settings and", "Pareto front"):
        assert any(title.startswith(begin) for title in titles), begin
    for figure in content.figures:
        assert isinstance(figure, SectionFigure)
        axes = Figure().add_subplot()
        figure.draw(axes)
        assert axes.lines
    assert section.build(request("Beta", "official")) is None


def sections_display() -> Any:
    from rlvit.runs.display import Silent

    return Silent()


def request(task: str, protocol: str) -> SectionRequest:
    return SectionRequest(
        task=task,
        protocol=protocol,
        arms=(),
        metrics={},
        seed=0,
        curve=lambda trial, metric: ([], []),
        files=lambda trial, kind, pattern: (),
        interval=lambda values: sections.estimate(values, 0),
        house=sections.HOUSE,
    )


def test_trials_are_no_arms_unless_asked_for(lab: Lab, tmp_path: Path) -> None:
    name, trials = lab.study(trials=3, sampler={"name": "random"})
    record = studies.find_study(lab.store.engine, name)
    (leader,) = fresh.leaders(record, trials, 1)
    fresh.run_fresh(lab.open(name), [leader], 2, lambda: sections_display(), lab.said.append)
    engine = lab.store.engine

    def runs(**asked: Any) -> set[str]:
        arms = gather(engine, lab.catalog, **asked).arms
        return {one.id for arm in arms for one in arm.trials}

    tried = {run for one in trials for run in one.runs.values()}
    evidence = gather(engine, lab.catalog)
    assert evidence.set_aside == len(tried) == 3
    assert len(runs()) == 2  # the fresh ones
    assert not runs() & tried
    assert runs(trials=True) == runs() | tried
    assert runs(tag=f"study={name}") == tried
    assert gather(engine, lab.catalog, trials=True).set_aside == 0
    assert gather(engine, lab.catalog, query="seed == 12345").set_aside == 0
    build(engine, lab.catalog, tmp_path / "report", Order(formats=("md",)))
    text = (tmp_path / "report" / "report.md").read_text()
    assert "Runs of studies' trials left out, being chosen among many: 3." in text
    assert "Studies and what they cost" in text


def test_a_study_alone_still_has_its_section(lab: Lab, tmp_path: Path) -> None:
    name, _ = lab.study(trials=2, sampler={"name": "random"})
    build(lab.store.engine, lab.catalog, tmp_path / "report", Order(formats=("md", "html")))
    for page in ("report.md", "index.html"):
        text = (tmp_path / "report" / page).read_text()
        assert "Studies and what they cost" in text
        assert name in text


def test_a_matrix_shows_a_cell_that_is_a_trials_run(lab: Lab) -> None:
    name, (tried,) = lab.study(trials=1, sampler={"name": "random"})
    record = studies.find_study(lab.store.engine, name)
    asked = request_of(record, tried.params, record.seeds[0])
    cells = make_cells(lab.catalog, asked, [record.task], {}, record.seeds)
    assert [outstanding(lab.store.engine, cell)[0] for cell in cells] == ["done"]
    (sheet,) = sheets(lab.store.engine, lab.catalog, cells)
    assert (sheet.task, len(sheet.rows)) == (record.task, 1)
