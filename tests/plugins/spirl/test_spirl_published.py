"""What the SPIRL paper prints, as reports show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvit.published import load_published
from rlvit.specs import PublishedResult
from rlvit_tasks.plugin import rlvit_metrics, rlvit_tasks

FILE = Path(__file__).parents[3] / "plugins" / "rlvit_spirl" / "published.toml"
GAMES = ("Frostbite", "MsPacman", "Seaquest", "BattleZone")
# Table 2, 100K, average: mean and standard deviation of each game above.
TABLE_2 = {
    "SPIRL": ((669.5, 731.7), (904.1, 286.4), (557.9, 148.1), (11980.0, 3826.7)),
    "DE-Rainbow": ((341.4, 277.8), (1015.2, 124.3), (395.6, 124.4), (10602.2, 2299.6)),
    "DE-Rainbow-P": ((483.7, 710.7), (985.4, 129.6), (462.5, 187.8), (13992.0, 4713.5)),
    "Transporter": ((388.3, 142.1), (999.4, 145.4), (236.7, 22.2), None),
    "SimPLe": ((254.7, None), (762.8, None), (370.9, None), (5184.4, None)),
}
RUNS = {"SPIRL": 5, "DE-Rainbow": 10, "DE-Rainbow-P": 5, "Transporter": None, "SimPLe": None}
COPIED = ("Transporter", "SimPLe")  # from their own papers (appendix B.4)
# Table 2, 400K, median.
TABLE_2_400K = {
    "SPIRL": ((1194.0, 1283.8), (1186.0, 193.9), (534.0, 88.2), (13500.0, 1870.8)),
    "PermaKey": ((657.3, 556.8), (1038.5, 417.1), (520.0, 169.9), (12566.7, 3297.9)),
}
REGIME_400K = "atari400k-best-median"


@pytest.fixture(scope="module")
def whole() -> tuple[PublishedResult, ...]:
    """Return all results."""
    return load_published(FILE)


@pytest.fixture(scope="module")
def printed(whole: tuple[PublishedResult, ...]) -> dict[tuple[str, str], PublishedResult]:
    """Return the results of 100K steps by method and game."""
    found = [one for one in whole if one.protocol != REGIME_400K]
    results = {(one.name, one.task): one for one in found}
    assert len(results) == len(found)
    return results


@pytest.mark.parametrize("name", TABLE_2)
def test_table_2_is_whole(printed: dict[tuple[str, str], PublishedResult], name: str) -> None:
    for game, numbers in zip(GAMES, TABLE_2[name], strict=True):
        if numbers is None:
            assert (name, game) not in printed
            continue
        found = printed[name, game]
        assert (found.value, found.spread) == numbers
        assert found.n == RUNS[name]
        assert found.status == ("secondary" if name in COPIED else "verified")
        assert "Table" in found.where


def test_table_2_is_whole_for_400k_steps(whole: tuple[PublishedResult, ...]) -> None:
    found = {(one.name, one.task): one for one in whole if one.protocol == REGIME_400K}
    assert {key: (one.value, one.spread, one.metric) for key, one in found.items()} == {
        (name, game): (*numbers, "eval/best_median")
        for name, row in TABLE_2_400K.items()
        for game, numbers in zip(GAMES, row, strict=True)
    }
    assert {one.n for (name, _), one in found.items() if name == "SPIRL"} == {5}
    copied = {one.status for (name, _), one in found.items() if name == "PermaKey"}
    assert copied == {"secondary"}


def test_table_11_is_whole(printed: dict[tuple[str, str], PublishedResult]) -> None:
    found = [printed["DE-Rainbow, as first reported", game] for game in GAMES]
    assert [one.value for one in found] == [866.8, 1204.1, 354.1, 10124.6]
    assert {one.status for one in found} == {"secondary"}


def test_doubts_are_noted(printed: dict[tuple[str, str], PublishedResult]) -> None:
    assert "Table 11 prints 396.5" in printed["DE-Rainbow", "Seaquest"].note
    assert "1480.0" in printed["SimPLe", "MsPacman"].note
    assert "683.3" in printed["SimPLe", "Seaquest"].note
    doubtful = [key for key, one in printed.items() if "doubtful" in one.note]
    assert len(doubtful) == 3


def test_all_are_of_a_task_protocol_and_metric_of_ours(
    whole: tuple[PublishedResult, ...],
) -> None:
    tasks = {task.name: task for task in rlvit_tasks()}
    metrics = {metric.name for metric in rlvit_metrics()}
    for one in whole:
        assert tasks[one.task].protocol(one.protocol).settings["episodes"] == 50
        assert one.metric in metrics
