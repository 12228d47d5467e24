"""What results cost, and where they come from."""

from __future__ import annotations

from evidence_maker import arm, evidence, trial

from rlvit.report.model import Value
from rlvit.report.tables import Table, tables

NAN = float("nan")


def one(found: list[Table], kind: str) -> Table:
    """Return the only table of a kind."""
    (table,) = [table for table in found if table.kind == kind]
    return table


def test_budget_reads_what_is_there() -> None:
    runs = [
        trial(s, {"eval/return": 1.0, "select/kept": kept}, seconds=seconds)
        for s, kept, seconds in ((0, 40.0, 3600.0), (1, 44.0, 7200.0))
    ]
    config = {"steps": 100_000, "frames": 50_000, "lr": 1e-4}
    image = arm(
        "image",
        [
            trial(
                0, {"eval/top1": Value(90.0, 9, 1.0, 300), "eval/gmacs": Value(0.8123, 9, 0.1, 300)}
            )
        ],
        task="digits",
        config={"steps": True},
    )
    found = tables(evidence([arm("game", runs, config=config), image]))
    table = one(found, "budget")
    rows = [dict(zip([c.key for c in table.columns], row, strict=True)) for row in table.rows]
    game = {key: cell.text for key, cell in rows[0].items()}
    assert game["budget/steps"] == "100,000"
    assert game["budget/emulator_frames"] == "400,000"  # the task's frame skip is 4
    assert game["budget/pretraining_frames"] == "50,000"
    assert game["budget/hours"] == "1.50"
    assert game["budget/all_hours"] == "3.00"
    assert game["budget/kept"] == "42.00"
    assert game["budget/gmacs"] == "-"
    assert game["budget/updates"] == "-"
    assert game["device"] == "NVIDIA H200"
    images = {key: cell.text for key, cell in rows[1].items()}
    assert images["budget/steps"] == "-"  # a truth value is no number of steps
    assert (images["budget/gmacs"], images["budget/updates"]) == ("0.8123", "300")
    beside = next(t for t in found if t.kind == "comparison")
    assert [c.key for c in beside.columns if c.key.startswith("budget/")] == [
        "budget/steps",
        "budget/emulator_frames",
        "budget/pretraining_frames",
        "budget/hours",
        "budget/kept",
    ]


def test_emulator_frames_follow_the_protocol() -> None:
    config = {"steps": 100_000}
    slow = arm("slow", [trial(0, {"eval/return": 1.0})], config=config, settings={"frame_skip": 16})
    table = one(tables(evidence([slow])), "budget")
    row = dict(zip([c.key for c in table.columns], table.rows[0], strict=True))
    assert row["budget/emulator_frames"].value == 1_600_000  # not the task's usual 4 a step


def test_tuning_is_counted_where_a_study_tried_an_arm() -> None:
    tuned = arm("tuned", [trial(0, {"eval/return": 1.0})])
    plain = arm("plain", [trial(0, {"eval/return": 2.0})])
    found = tables(evidence([tuned, plain], tuning={"tuned": 40}))  # by fingerprint
    for table in (one(found, "budget"), one(found, "comparison")):
        place = [column.key for column in table.columns].index("budget/tuning_trials")
        assert [row[place].value for row in table.rows] == [40, 0]
    without = one(tables(evidence([tuned, plain])), "budget")
    assert "budget/tuning_trials" not in [column.key for column in without.columns]


def test_budget_does_not_repeat_a_headline() -> None:
    runs = [trial(0, {"eval/gmacs": 0.8, "eval/kept": NAN})]
    shown = evidence([arm("a", runs)], headlines={"Pong": ("eval/gmacs",)})
    table = one(tables(shown), "comparison")
    assert [c.key for c in table.columns] == [
        "arm",
        "runs",
        "eval/gmacs",
        "budget/updates",
        "budget/hours",
        "budget/kept",
    ]
    assert table.rows[0][-1].text == "NaN"


def test_provenance_names_runs_seeds_and_code() -> None:
    runs = [
        trial(0, {}),
        trial(1, {}, dirty=True),
        trial(2, {}, dirty=None, commit="f" * 40),
        trial(7, {}, commit=None, dirty=None, version="0.2.0", device="cpu"),
        trial(7, {}, id="again"),
    ]
    (row,) = one(tables(evidence([arm("a", runs)])), "provenance").rows
    assert [cell.text for cell in row] == [
        "a",
        "Pong",
        "full",
        "paper",
        "0-2, 7 (2 times)",
        "run-0, run-1, run-2, run-7, again",
        "01234567, 01234567+, ffffffff?, no git",
        "0.1.0, 0.2.0",
        "NVIDIA H200, cpu",
    ]
