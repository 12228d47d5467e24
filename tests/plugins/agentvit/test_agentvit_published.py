"""What the AgentViT notebook prints, as reports show it beside runs under its protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvit.published import load_published
from rlvit.specs import PublishedResult
from rlvit_agentvit.plugin import rlvit_published
from rlvit_tasks.plugin import rlvit_metrics, rlvit_tasks

FILE = Path(__file__).parents[3] / "plugins" / "rlvit_agentvit" / "published.toml"
# Accuracy in % and loss on the images called validation: 9,500 of the official test set.
PRINTED = {
    "all patches": (79.39, 0.6246),
    "agent's patches": (75.80, 0.7428),
    "random patches": (73.31, 0.8210),
}


@pytest.fixture(scope="module")
def found() -> list[PublishedResult]:
    """All of the file."""
    return list(load_published(FILE))


def test_the_printed_numbers_are_whole(found: list[PublishedResult]) -> None:
    assert len(found) == 2 * len(PRINTED)
    for variant, (top1, loss) in PRINTED.items():
        own = {one.metric: one.value for one in found if variant in one.name}
        assert own == {"eval/top1": top1, "eval/nll": loss}
    assert {(one.n, one.spread, one.status) for one in found} == {(1, None, "verified")}


def test_they_are_of_a_task_protocol_and_metrics_of_ours(found: list[PublishedResult]) -> None:
    (task,) = [task for task in rlvit_tasks() if task.name == "cifar10"]
    metrics = {metric.name for metric in rlvit_metrics()}
    for one in found:
        assert (one.task, one.protocol) == ("cifar10", task.protocol("notebook").name)
        assert one.metric in metrics


def test_what_the_outputs_leave_open_is_noted(found: list[PublishedResult]) -> None:
    assert all("32 of 64" in one.note for one in found if "random" in one.name)
    assert all("not printed" in one.note for one in found if "agent's" in one.name)


def test_the_plugin_offers_them(found: list[PublishedResult]) -> None:
    assert list(rlvit_published()) == found
