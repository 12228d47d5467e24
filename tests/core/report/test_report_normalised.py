"""Aggregates over games."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from evidence_maker import evidence, reference, scored

from rlvit.catalog import build_catalog
from rlvit.manager import create_plugin_manager
from rlvit.report import baselines, stats
from rlvit.report.model import Arm, Evidence, Reference
from rlvit.report.tables import Table, tables

NAN = float("nan")
DATA = Path(__file__).parents[4] / "shared" / "data"


def one(found: list[Table], kind: str) -> Table:
    """Return the only table of a kind."""
    (table,) = [table for table in found if table.kind == kind]
    return table


def games(label: str, pong: list[float], seaquest: list[float]) -> list[Arm]:
    """Return an arm's runs of two games, normalised."""
    name = "eval/human_normalised"
    return [
        scored(label, pong, name),
        scored(label, seaquest, name, task="Seaquest"),
    ]


def test_aggregates_over_games() -> None:
    arms = [*games("a", [0.2, 0.4, 0.6], [1.0, 2.0, 3.0]), *games("b", [0.5], [1.5])]
    table = one(tables(evidence(arms)), "aggregate")
    first = dict(zip([c.key for c in table.columns], table.rows[0], strict=True))
    assert first["runs"].text == "3"
    assert first["mean"].value == pytest.approx(1.2)
    assert first["median"].value == pytest.approx(1.2)
    assert first["iqm"].value == pytest.approx((0.4 + 0.6 + 1.0 + 2.0) / 4)  # 6 runs, one cut off
    assert first["optimality_gap"].value == pytest.approx((0.8 + 0.6 + 0.4) / 6)
    interval = stats.bootstrap([[0.2, 0.4, 0.6], [1.0, 2.0, 3.0]], stats.iqm)
    assert (first["iqm"].low, first["iqm"].high) == pytest.approx(interval[1:])
    single = table.rows[1]
    assert single[2].shown == "1.000 n=1"
    assert single[2].muted
    assert single[2].low is None


def test_aggregates_need_two_games_and_compare_the_same_ones() -> None:
    assert not [t for t in tables(evidence(games("a", [1.0], [2.0])[:1])) if t.kind == "aggregate"]
    more = scored("a", [3.0], "eval/human_normalised", task="Breakout")
    arms = [*games("a", [0.5], [1.5]), more, *games("b", [0.5], [1.5])]
    large, small = [t for t in tables(evidence(arms)) if t.kind == "aggregate"]
    assert ([r[0].text for r in large.rows], "3 games" in large.title) == (["a"], True)
    assert ([r[0].text for r in small.rows], "2 games" in small.title) == (["a", "b"], True)
    assert small.rows[0][2].value == pytest.approx(1.0)  # without the third game


def test_published_scores_are_normalised_and_aggregated() -> None:
    raw = [
        reference("IRIS", 0.0, scores=(0.0, 10.0), status="imported"),
        reference("IRIS", 0.0, scores=(500.0, 500.0), task="Seaquest", status="imported"),
        reference("SimPLe", 20.0),
        reference("SimPLe", 500.0, task="Seaquest"),
    ]
    table = one(tables(evidence([], raw)), "aggregate")
    iris, simple = table.rows
    assert iris[2].value == pytest.approx((0.625 + 0.5) / 2)  # (0 + 20) / 40 and (10 + 20) / 40
    assert simple[2].value == pytest.approx((1.0 + 0.5) / 2)
    assert (simple[1].text, simple[2].low, simple[4].shown) == ("?", None, "-")
    assert "needs the scores of single runs" in [note.text for note in table.footnotes]


def test_sources_without_a_protocol_share_no_table() -> None:
    raw = [
        reference(name, 1.0, protocol="", task=task)
        for name in ("A", "B")
        for task in ("Pong", "Seaquest")
    ]
    found = [t for t in tables(evidence([], raw)) if t.kind == "aggregate"]
    assert [[row[0].text for row in t.rows] for t in found] == [["A"], ["B"]]
    assert len({t.slug for t in found}) == 2
    assert all(re.fullmatch(r"aggregate--[a-z]+--2-games--[0-9a-f]{8}", t.slug) for t in found)


def test_published_numbers_alone_make_no_table_beside_an_arm() -> None:
    paper = [reference("SimPLe", 1.0, task=task) for task in ("Pong", "Seaquest")]
    nowhere = [replace(one, name="DER", protocol="") for one in paper]
    other = [scored("a", [1.0], task="digits")]
    mine = [replace(one, name="Mine", status="imported") for one in paper]

    def shown(*references: Reference) -> list[list[str]]:
        found = [t for t in tables(evidence(other, references)) if t.kind == "aggregate"]
        return [[row[0].text for row in table.rows] for table in found]

    assert shown(*paper, *nowhere) == []
    assert shown(*paper, *nowhere, *mine) == [["SimPLe", "Mine"]]
    assert shown(*(replace(one, protocol="") for one in mine), *nowhere) == [["Mine"]]


def test_aggregate_of_nan_is_nan() -> None:
    table = one(tables(evidence(games("a", [0.5, NAN], [1.0, 2.0]))), "aggregate")
    assert [cell.text for cell in table.rows[0][2:]] == ["NaN"] * 4


def test_same_evidence_and_seed_give_the_same_tables() -> None:
    def made(seed: int) -> list[Table]:
        scores = [0.1, 0.5, 0.9, 0.3, 0.8, 0.2, 0.4, 0.6, 0.7, 0.15, 0.25]
        found: Evidence = evidence([*games("a", scores, scores), *games("b", scores[:5], scores)])
        return tables(found, baseline="a", seed=seed)

    assert made(3) == made(3)


@pytest.mark.parametrize(
    ("file", "mean", "median", "iqm"),
    [
        ("iris/IRIS.json", "1.046", "0.289", "0.501"),
        ("iris/SPR.json", "0.616", "0.396", "0.337"),
        ("iris/DrQ(eps).json", "0.465", "0.313", "0.280"),
        ("iris/SimPLe.json", "0.332", "0.134", "0.130"),
        ("diamond/DIAMOND.json", "1.459", "0.373", "0.641"),
    ],
)
def test_published_aggregates_are_found_again(file: str, mean: str, median: str, iqm: str) -> None:
    """The means, medians and IQMs that the papers print, from their runs' raw scores."""
    path = DATA / "atari100k" / file
    if not path.is_file():
        pytest.skip(f"needs {path}")
    entries = build_catalog(create_plugin_manager()).entries["task"]
    facts = {name: entry.spec.facts for name, entry in entries.items()}
    found = evidence([], baselines.read(path, protocol="atari100k"), facts=facts)
    table = one(tables(found), "aggregate")
    assert [cell.text for cell in table.rows[0][2:5]] == [mean, median, iqm]
