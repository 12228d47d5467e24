"""What the RL4DViT paper prints, as reports and the figures of `prune-curve` show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvit.published import load_published
from rlvit.specs import PublishedResult
from rlvit_rl4dvit.curve_figures import PUBLISHED, published
from rlvit_tasks.plugin import rlvit_evaluators, rlvit_metrics, rlvit_tasks

FILE = Path(__file__).parents[3] / "plugins" / "rlvit_rl4dvit" / "published.toml"
# (gmacs, top-1) of Table 1, then those of Table 2, which are fine-tuned.
AGENTS = (
    *((10.0, 81.136), (10.8, 81.308), (11.6, 81.386), (11.8, 81.618), (13.1, 81.638)),
    *((14.7, 81.670), (16.1, 81.768), (16.6, 81.838), (17.2, 81.876)),
)
TUNED = ((10.8, 81.570), (11.6, 81.662))


@pytest.fixture(scope="module")
def pairs() -> dict[str, tuple[PublishedResult, PublishedResult]]:
    """Return compute and accuracy by name."""
    found = load_published(FILE)
    by_metric = [
        {one.name: one for one in found if one.metric == metric}
        for metric in ("eval/gmacs", "eval/top1")
    ]
    assert len(found) == 2 * len(by_metric[0])
    assert by_metric[0].keys() == by_metric[1].keys()
    return {name: (by_metric[0][name], by_metric[1][name]) for name in by_metric[0]}


@pytest.mark.parametrize(("start", "printed"), [("", AGENTS), (", fine-tuned", TUNED)])
def test_the_tables_are_whole_and_pair_up(
    pairs: dict[str, tuple[PublishedResult, PublishedResult]],
    start: str,
    printed: tuple[tuple[float, float], ...],
) -> None:
    for gmacs, top1 in printed:
        cost, accuracy = pairs[f"MAPPO-DeiT-B{start}, {gmacs} GMACs"]
        assert (cost.value, accuracy.value) == (gmacs, top1)
        assert f"eval/gmacs {gmacs}" in accuracy.note
        assert (accuracy.status, accuracy.n, accuracy.spread) == ("verified", None, None)
    assert len([name for name in pairs if name.startswith("MAPPO")]) == len(AGENTS) + len(TUNED)


def test_what_the_paper_copies_is_marked_and_misquotes_are_noted(
    pairs: dict[str, tuple[PublishedResult, PublishedResult]],
) -> None:
    copied = {name for name, (_, accuracy) in pairs.items() if accuracy.status == "secondary"}
    assert copied == {
        *("DeiT-T", "DeiT-S", "DynamicViT-T", "DynamicViT-S", "DynamicViT-B"),
        *("A-ViT-T", "A-ViT-T, distilled"),
    }
    noted = {name for name in copied if "misquoted" in pairs[name][1].note}
    assert noted == {"DeiT-T", "DynamicViT-T", "DynamicViT-B"}


def test_all_are_of_a_task_protocol_and_metric_of_ours(
    pairs: dict[str, tuple[PublishedResult, PublishedResult]],
) -> None:
    (task,) = [task for task in rlvit_tasks() if task.name == "imagenet"]
    metrics = {metric.name for metric in rlvit_metrics()}
    for one in (result for pair in pairs.values() for result in pair):
        assert (one.task, one.protocol) == (task.name, task.protocol("full").name)
        assert one.metric in metrics


def test_the_figures_read_the_same_points(
    pairs: dict[str, tuple[PublishedResult, PublishedResult]],
) -> None:
    points = published()
    drawn = [(point["gmacs"], point["top1"]) for point in points]
    assert drawn == [(cost.value, accuracy.value) for cost, accuracy in pairs.values()]
    assert {point["family"] for point in points} == set(PUBLISHED)


def test_evaluators_name_their_headlines() -> None:
    metrics = {metric.name: metric for metric in rlvit_metrics()}
    headlines = {one.name: one.headline for one in rlvit_evaluators()}
    assert headlines == {
        "full-games": ("eval/return", "eval/best_median", "eval/human_normalised"),
        "classification": ("eval/top1", "eval/top1_task", "eval/gmacs"),
    }
    assert all(metrics[n].direction != "none" for names in headlines.values() for n in names)
