"""Tables: what stands in them, what may be bold, and what is said of every number."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from evidence_maker import arm, evidence, reference, scored, trial

from rlvit.errors import UnknownName
from rlvit.report import stats
from rlvit.report.cells import MINUS, Cell
from rlvit.report.measured import embolden, interval_cell
from rlvit.report.model import Arm, Value
from rlvit.report.tables import Table, tables
from rlvit.specs import MetricDef

NAN, INF = float("nan"), float("inf")


def one(found: list[Table], kind: str = "comparison") -> Table:
    """Return the only table of a kind."""
    (table,) = [table for table in found if table.kind == kind]
    return table


def column(table: Table, key: str) -> list[Cell]:
    """Return the cells of a column."""
    place = [each.key for each in table.columns].index(key)
    return [row[place] for row in table.rows]


def said(table: Table) -> str:
    """Return the footnotes."""
    return "\n".join(f"{note.mark} {note.text}" for note in table.footnotes)


# Comparisons


def test_mean_over_seeds_has_student_interval() -> None:
    table = one(tables(evidence([scored("a", [1.0, 2.0, 6.0])])))
    (cell,) = column(table, "eval/return")
    # t(0.975, 2) = 4.30265; sd = sqrt(7) = 2.64575
    reach = 4.30265 * math.sqrt(7 / 3)
    assert (cell.value, cell.n) == (3.0, 3)
    assert cell.low == pytest.approx(3 - reach, abs=1e-4)
    assert cell.high == pytest.approx(3 + reach, abs=1e-4)
    assert cell.spread == pytest.approx(math.sqrt(7))
    assert (cell.text, cell.interval, cell.remark) == ("3.0", f"[{MINUS}3.6, 9.6]", "")
    assert [row[1].text for row in table.rows] == ["3"]


def test_one_run_is_plain_and_shows_that_it_is_one() -> None:
    ours = arm("a", [trial(0, {"eval/return": Value(100.0, 25, 10.0, 5)})])
    table = one(tables(evidence([ours, scored("b", [1.0, 1.1, 0.9])])))
    cell = column(table, "eval/return")[0]
    assert cell.remark == "n=1"
    assert cell.muted
    assert not cell.bold
    assert cell.low == pytest.approx(100 - 1.959964 * 2)  # over its 25 episodes
    assert cell.high == pytest.approx(100 + 1.959964 * 2)
    assert "n=1: one run only. Its interval is over its own 25 episodes" in said(table)


def test_one_run_without_spread_has_no_interval() -> None:
    table = one(tables(evidence([scored("a", [3.25])])))
    (cell,) = column(table, "eval/return")
    assert (cell.shown, cell.low, cell.muted) == ("3.250 n=1", None, True)
    assert "nothing is known about other seeds" in said(table)


def test_accuracy_of_one_run_has_wilson_interval() -> None:
    right = np.array([100.0] * 18 + [0.0] * 2)
    value = Value(right.mean(), 20, float(right.std(ddof=1)), 5)
    table = one(tables(evidence([arm("a", [trial(0, {"eval/top1": value})])])))
    (cell,) = column(table, "eval/top1")
    # Wilson's interval of 18 in 20, computed by hand: (0.69896, 0.97213)
    assert cell.low == pytest.approx(69.896, abs=1e-2)
    assert cell.high == pytest.approx(97.213, abs=1e-2)


def test_all_right_is_an_accuracy_too() -> None:
    value = Value(100.0, 20, 0.0, 5)
    table = one(tables(evidence([arm("a", [trial(0, {"eval/top1": value})])])))
    (cell,) = column(table, "eval/top1")
    assert cell.low == pytest.approx(100 / (1 + 1.959964**2 / 20))
    assert cell.high == 100.0


def test_gain_of_one_run_keeps_the_spread_of_paired_differences() -> None:
    value = Value(-1.0, 400, 20.0, 5)
    table = one(tables(evidence([arm("a", [trial(0, {"eval/gain": value})])])))
    (cell,) = column(table, "eval/gain")
    assert (cell.low, cell.high) == (pytest.approx(-2.959964), pytest.approx(0.959964))


def test_protocols_and_tasks_have_their_own_tables() -> None:
    arms = [
        scored("a", [1.0]),
        scored("a", [2.0], protocol="quick"),
        scored("a", [3.0], task="Seaquest"),
    ]
    found = [t for t in tables(evidence(arms)) if t.kind == "comparison"]
    assert [(t.task, t.protocol) for t in found] == [
        ("Pong", "full"),
        ("Pong", "quick"),
        ("Seaquest", "full"),
    ]
    assert [len(t.rows) for t in found] == [1, 1, 1]
    assert len({t.slug for t in tables(evidence(arms))}) == len(tables(evidence(arms)))


def test_mixed_protocols_are_said_and_never_bold() -> None:
    arms = [scored("a", [1.0, 1.1, 1.2]), scored("b", [9.0, 9.1, 9.2], protocol="quick")]
    other = reference("X", 5.0, protocol="")
    table = one(tables(evidence(arms, [other]), mixed=True))
    assert [cell.text for cell in column(table, "protocol")] == ["full", "quick", "none of rlvit's"]
    assert "come from the protocol alone" in table.caption
    assert not any(cell.bold for row in table.rows for cell in row)


def test_names_that_differ_in_case_alone_have_their_own_files() -> None:
    arms = [scored("a", [1.0], task=task, protocol="") for task in ("Pong", "pong", "pong-2")]
    slugs = [t.slug for t in tables(evidence(arms))]
    assert len(set(slugs)) == len(slugs)


# Bold


def test_bold_is_better_beyond_the_intervals() -> None:
    arms = [scored("a", [10.0, 10.1, 10.2]), scored("b", [5.0, 5.1, 5.2]), scored("c", [1.0, 1.2])]
    cells = column(one(tables(evidence(arms))), "eval/return")
    assert [cell.bold for cell in cells] == [True, False, False]


def test_small_is_better_where_the_metric_says_so() -> None:
    arms = [scored("a", [10.0, 10.1, 10.2], "eval/nll"), scored("b", [5.0, 5.1, 5.2], "eval/nll")]
    cells = column(one(tables(evidence(arms))), "eval/nll")
    assert [cell.bold for cell in cells] == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        scored("b", [9.0, 10.0, 11.0]),  # its interval reaches ours
        scored("b", [1.0]),  # one run: nothing is known of its other seeds
        scored("b", [1.0, NAN, 1.2]),
    ],
)
def test_nothing_is_bold_where_it_is_not_settled(other: Arm) -> None:
    found = tables(evidence([scored("a", [10.0, 10.1, 10.2]), other]))
    assert not any(cell.bold for cell in column(one(found), "eval/return"))


def test_runs_that_agree_by_chance_have_no_interval() -> None:
    def agreeing(label: str, value: float, spread: float) -> Arm:
        runs = [trial(seed, {"eval/top1": Value(value, 100, spread, 1)}) for seed in range(3)]
        return arm(label, runs)

    chance = one(tables(evidence([agreeing("a", 60.0, 49.0), agreeing("b", 50.0, 0.0)])))
    cell, certain = column(chance, "eval/top1")
    assert (cell.shown, cell.low, cell.n, cell.bold) == ("60", None, 3, False)
    assert any(note.mark in cell.marks and "no interval" in note.text for note in chance.footnotes)
    assert (certain.low, certain.high, certain.marks) == (50.0, 50.0, ())
    sure = one(tables(evidence([agreeing("a", 60.0, 1e-15), agreeing("b", 50.0, 0.0)])))
    assert column(sure, "eval/top1")[0].bold


def test_an_arm_without_its_counterpart_is_told_why() -> None:
    arms = [
        scored("m random", [1.0, 2.0], slots={"selector": "random"}),
        scored("m agents", [3.0, 4.0], slots={"selector": "agents"}, config={"decide": "other"}),
    ]
    table = one(tables(evidence(arms), baseline="selector=random"))
    cell = column(table, "difference/eval/return")[1]
    assert (cell.text, len(cell.marks)) == ("-", 1)
    assert any("selector=random" in note.text for note in table.footnotes if note.mark)


def test_the_only_arm_is_not_bold() -> None:
    found = one(tables(evidence([scored("a", [1.0, 2.0, 3.0])], [reference("X", 0.0)])))
    assert not any(cell.bold for cell in column(found, "eval/return"))


def test_one_seed_is_never_bold_even_with_an_interval() -> None:
    ours = Cell(value=9.0, low=8.9, high=9.1, n=1)
    assert not embolden([ours, Cell(value=1.0, low=0.9, high=1.1, n=5)], [], "max")[0].bold


def test_published_number_within_reach_stops_bold() -> None:
    arms = [scored("a", [10.0, 10.1, 10.2]), scored("b", [5.0, 5.1, 5.2])]
    for value, bold in ((9.0, True), (10.05, False)):
        found = one(tables(evidence(arms, [reference("X", value)])))
        cells = column(found, "eval/return")
        assert cells[0].bold is bold
        assert not cells[2].bold


# NaN, missing, failed, empty


def test_nan_is_shown_and_counted() -> None:
    table = one(tables(evidence([scored("a", [1.0, NAN, 3.0]), scored("b", [NAN])])))
    first, second = column(table, "eval/return")
    assert first.shown == "NaN (1 of 3 runs)"
    assert math.isnan(first.value or 0.0)
    assert "1 of 3 runs measured no finite number; the mean of the other 2 runs is 2" in said(table)
    assert second.shown == "NaN (1 of 1 runs)"


def test_infinity_is_shown() -> None:
    table = one(tables(evidence([scored("a", [1.0, INF]), scored("b", [INF, -INF])])))
    assert [c.text for c in column(table, "eval/return")] == ["∞", "NaN"]


def test_metric_that_some_runs_lack_shows_its_own_n() -> None:
    runs = [trial(0, {"eval/return": 1.0, "eval/nll": 0.5}), trial(1, {"eval/return": 2.0})]
    runs.append(trial(2, {"eval/return": 2.5, "eval/nll": 0.25}))
    table = one(tables(evidence([arm("a", runs), scored("b", [1.0])])))
    nll = column(table, "eval/nll")
    assert (nll[0].remark, nll[0].n) == ("n=2", 2)
    assert nll[1].shown == "-"


@pytest.mark.parametrize("arms", [[], [arm("a", [])]])
def test_nothing_measured_makes_no_table(arms: list[Arm]) -> None:
    assert tables(evidence(arms)) == []


def test_failed_runs_only_are_counted() -> None:
    found = tables(evidence([], unfinished={"running": 0, "failed": 3, "interrupted": 1}))
    table = one(found, "unfinished")
    assert len(found) == 1
    assert [[c.text for c in row] for row in table.rows] == [["failed", "3"], ["interrupted", "1"]]


def test_arm_that_measured_nothing_has_a_row() -> None:
    table = one(tables(evidence([arm("a", [trial(0, {})])])))
    assert [c.key for c in table.columns] == ["arm", "runs", "budget/hours"]
    assert table.metric == ""


def test_undeclared_metric_is_shown_as_such() -> None:
    shown = evidence([scored("a", [1.0], "my/metric")], headlines={"Pong": ("my/metric",)})
    table = one(tables(shown))
    assert column(table, "my/metric")[0].text == "1"
    assert "my/metric: not declared by any plugin" in said(table)


# Published numbers


def test_published_number_has_its_spread_source_and_status() -> None:
    found = reference("DER", 395.6, spread=124.4, n=10, note="Table 11 says 396.5.")
    table = one(tables(evidence([scored("a", [1.0, 2.0])], [found])))
    cell = column(table, "eval/return")[1]
    assert cell.shown == "395.6 ± 124.4"
    assert (cell.value, cell.spread, cell.n, cell.marks) == (395.6, 124.4, 10, ("a",))
    assert table.breaks == (1,)
    assert table.rows[1][:2] == (Cell(text="DER"), Cell(text="10", value=10))
    assert (
        "a Table 2; Somebody 2020; under full; n=10; checked against the source."
        " Table 11 says 396.5." in said(table)
    )


def test_published_number_of_unknown_or_one_run() -> None:
    published = [reference("X", 5184.4), reference("Y", 7.0, n=1, where="Table 3")]
    table = one(tables(evidence([scored("a", [1.0])], published)))
    _, unknown, single = column(table, "eval/return")
    assert (unknown.shown, table.rows[1][1].text) == ("5,184.4", "?")
    assert (single.shown, single.muted) == ("7 n=1", True)


def test_imported_scores_have_an_interval_like_ours() -> None:
    scores = (1.0, 2.0, 6.0)
    found = reference("IRIS", 3.0, scores=scores, status="imported", n=3)
    table = one(tables(evidence([scored("a", list(scores))], [found])))
    ours, theirs = column(table, "eval/return")
    assert theirs.shown == ours.shown


def test_numbers_of_other_protocols_and_metrics_are_counted_only() -> None:
    found = [
        reference("A", 1.0, protocol=""),
        reference("B", 2.0, protocol="quick"),
        reference("C", 3.0, metric="eval/kept"),
        reference("D", 4.0, task="Seaquest"),
    ]
    table = one(tables(evidence([scored("a", [1.0])], found)))
    assert len(table.rows) == 1
    assert "are not in this table: 3." in said(table)


def test_two_numbers_of_one_source_share_a_row_unless_they_clash() -> None:
    found = [
        reference("A", 1.0),
        reference("A", 0.5, metric="eval/nll"),
        reference("A", 2.0),
        reference("A", 3.0, where="Table 11"),
    ]
    table = one(tables(evidence([scored("a", [1.0])], found)))
    rows = [[c.text for c in row[2:4]] for row in table.rows[1:]]
    assert rows == [["1", "0.5"], ["2", "-"], ["3", "-"]]


# Against a baseline


def test_difference_from_the_baseline_with_holm_over_the_arms() -> None:
    base = [1.0, 1.1, 1.2, 0.9, 0.8]
    arms = [
        scored("base", base),
        scored("better", [2.0, 2.1, 2.2, 1.9, 1.85]),
        scored("worse", [0.1, 0.2, 0.15, 0.12, 0.11]),
        scored("same", [1.0, 1.1, 1.2, 0.9, 0.8]),
    ]
    table = one(tables(evidence(arms), baseline="base"))
    baseline, better, worse, same = column(table, "difference/eval/return")
    assert baseline.shown == "baseline"
    # 5 against 5 wholly apart: p = 2 / 252, times 3 and 2 after Holm, never falling.
    assert better.p == pytest.approx(6 / 252)
    assert worse.p == pytest.approx(6 / 252)
    assert same.p == 1.0
    assert better.remark == "better, p=0.024"
    assert worse.remark == "worse, p=0.024"
    assert same.remark == "undecided, p=1.000"
    assert better.value == pytest.approx(1.01)
    assert better.text.startswith("+1.0")
    assert "Holm for the 3 comparisons" in said(table)
    # Seeds are the same, so the interval is that of the paired differences.
    x, y = np.array([2.0, 2.1, 2.2, 1.9, 1.85]), np.array(base)
    assert (better.value, better.low, better.high) == pytest.approx(stats.paired(x, y))


def test_a_difference_of_percentages_is_in_points() -> None:
    metric = MetricDef("eval/return", "%", "max", "share")
    arms = [scored("base", [1.0, 2.0]), scored("other", [3.0, 4.5])]
    found = evidence(arms)
    found = replace(found, metrics={**found.metrics, "eval/return": metric})
    units = {each.key: each.unit for each in one(tables(found, baseline="base")).columns}
    assert (units["eval/return"], units["difference/eval/return"]) == ("%", "points")


def test_an_interval_without_width_is_not_shown() -> None:
    table = one(tables(evidence([scored("base", [8.0, 8.0, 8.0])])))
    (cell,) = column(table, "eval/return")
    assert (cell.shown, cell.value, cell.low, cell.high) == ("8", 8.0, 8.0, 8.0)
    assert interval_cell(stats.Interval(3.04e-4, 3.04e-4, 3.04e-4), 3).shown == "0.000304"


def test_a_footnote_is_made_of_sentences() -> None:
    table = one(
        tables(evidence([scored("m", [1.0, 2.0])], [reference("X", 1.0, note="one value")]))
    )
    assert said(table).endswith(". One value.")


def test_other_seeds_are_not_paired() -> None:
    base = arm("base", [trial(s, {"eval/return": v}) for s, v in ((7, 1.0), (8, 2.0), (9, 4.0))])
    table = one(tables(evidence([base, scored("a", [5.0, 6.0, 9.0])]), baseline="base"))
    cell = column(table, "difference/eval/return")[1]
    expected = stats.difference(np.array([5.0, 6.0, 9.0]), np.array([1.0, 2.0, 4.0]))
    assert (cell.value, cell.low, cell.high) == pytest.approx(expected)
    assert "whatever they measure" in said(table)  # 3 against 3: p is 0.1 at least


def test_difference_of_one_run_has_no_verdict() -> None:
    arms = [scored("base", [1.0, 2.0, 3.0]), scored("a", [5.0]), scored("b", [NAN, 1.0])]
    cells = column(one(tables(evidence(arms), baseline="base")), "difference/eval/return")
    assert (cells[1].shown, cells[1].p, cells[1].muted) == ("+3 n=1", None, True)
    assert (cells[2].shown, cells[2].p) == ("NaN", None)


def test_smaller_is_better_in_differences_too() -> None:
    arms = [scored("base", [5.0, 5.1, 5.2, 5.3], "eval/nll")]
    arms.append(scored("a", [1.0, 1.1, 1.2, 1.3], "eval/nll"))
    cells = column(one(tables(evidence(arms), baseline="base")), "difference/eval/nll")
    assert cells[1].remark == "better, p=0.029"  # 2 / 70


def test_baseline_by_part_is_the_arm_that_differs_in_it_alone() -> None:
    def made(label: str, selector: str, keep: float, score: float) -> Arm:
        parts = {"slots": {"selector": selector, "backbone": "vit"}, "config": {"keep": keep}}
        return scored(label, [score, score + 0.1, score - 0.1, score + 0.2], **parts)

    arms = [
        made("agents 0.5", "agents", 0.5, 5.0),
        made("agents 0.7", "agents", 0.7, 8.0),
        made("random 0.5", "random", 0.5, 4.0),
        made("random 0.7", "random", 0.7, 6.0),
        made("agents 0.9", "agents", 0.9, 9.0),
    ]
    table = one(tables(evidence(arms), baseline="selector=random"))
    cells = column(table, "difference/eval/return")
    assert [cells[i].value for i in (0, 1)] == pytest.approx([1.0, 2.0])
    assert [cell.shown for cell in cells[2:]] == ["baseline", "baseline", "-"]


def test_unknown_baseline_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'spirl paper'"):
        tables(evidence([scored("spirl paper", [1.0])]), baseline="spirl papr")


def test_table_without_the_baseline_has_no_differences() -> None:
    arms = [scored("base", [1.0, 2.0]), scored("a", [1.0, 2.0])]
    arms += [scored("a", [1.0, 2.0], task="Seaquest"), scored("b", [1.0, 2.0], task="Seaquest")]
    _, other = [t for t in tables(evidence(arms), baseline="base") if t.kind == "comparison"]
    assert not any(c.kind == "difference" for c in other.columns)
