"""What the sources of PPO glimpse print, as reports show it beside runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvit.published import load_published
from rlvit.specs import PublishedResult
from rlvit_glimpse.plugin import rlvit_published
from rlvit_tasks.plugin import rlvit_metrics, rlvit_tasks

FILE = Path(__file__).parents[3] / "plugins" / "rlvit_glimpse" / "published.toml"
# Accuracy in %, by the name that tables show.
PRINTED = {
    "multi-categorical": 43.4,
    "greedy-map": 37.2,
    "rlcam 7x7, sampled": 49.5,
    "rlcam 7x7, greedy": 45.2,
    "RAM, 6 glimpses": 100 - 1.21,
}


@pytest.fixture(scope="module")
def found() -> list[PublishedResult]:
    """All of the file."""
    return list(load_published(FILE))


def test_the_printed_numbers_are_whole(found: list[PublishedResult]) -> None:
    assert {one.name: one.value for one in found} == pytest.approx(PRINTED)
    assert {(one.n, one.spread) for one in found} == {(1, None)}


def test_they_are_of_tasks_and_a_metric_of_ours(found: list[PublishedResult]) -> None:
    tasks, metrics = {one.name for one in rlvit_tasks()}, {one.name for one in rlvit_metrics()}
    for one in found:
        assert one.task == ("mnist" if "RAM" in one.name else "cifar10")
        assert one.task in tasks
        assert one.metric == "eval/top1"
        assert one.metric in metrics
        # 100 or 200 sampled games, or rules of another's: none compares with a protocol of ours.
        assert one.protocol == ""


def test_what_is_read_off_a_plot_or_quoted_is_said_so(found: list[PublishedResult]) -> None:
    by_name = {one.name: one for one in found}
    assert by_name["RAM, 6 glimpses"].status == "secondary"
    for name in ("multi-categorical", "greedy-map"):
        assert by_name[name].status == "verified"
        assert "read off the plot" in by_name[name].note
    assert "inferred" in by_name["greedy-map"].note


def test_the_plugin_offers_them(found: list[PublishedResult]) -> None:
    assert list(rlvit_published()) == found
