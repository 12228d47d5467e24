"""What the PPO glimpse plugin offers; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvit.hookspecs import hookimpl
from rlvit.sections import ReportSection, SectionContent, SectionRequest
from rlvit.specs import DATASET, MethodSpec, MetricDef, PublishedResult

RLVIT_API = ">=1.1,<2"  # the versions of the plugin API that this is written for
CITE = "PPO glimpse: an agent moves and zooms a window over an image until it can name it"
STEPS = "environment steps"
MEASURED = "updates"


@hookimpl
def rlvit_methods() -> Sequence[MethodSpec]:
    """Offer the method."""
    from rlvit_glimpse.config import GlimpseConfig
    from rlvit_glimpse.experiments import EXPERIMENTS
    from rlvit_glimpse.presets import PRESETS

    def train(context: Any, config: Any) -> None:
        from rlvit_glimpse.experiment import train

        train(context, config)

    def estimate(config: Any, task: Any, protocol: Any, parts: Any) -> Any:
        from rlvit_glimpse.cost import estimate

        return estimate(config, task, protocol)

    def adapt(config: Any, task: Any, parts: Any) -> Any:
        from rlvit_glimpse.adapt import adapt

        return adapt(config, task, parts)

    return [
        MethodSpec(
            name="glimpse",
            summary="PPO moves and zooms a small window over an image until the agent can name it",
            cite=CITE,
            task_kind=DATASET,
            config=GlimpseConfig,
            presets=PRESETS,
            slots={},
            train=train,
            estimate=estimate,
            adapt=adapt,
            progress={"eval/top1": "val/accuracy"},
            experiments=EXPERIMENTS,
        )
    ]


@hookimpl
def rlvit_published() -> Sequence[PublishedResult]:
    """Offer what the sources print."""
    from rlvit.published import load_published

    return load_published(Path(__file__).with_name("published.toml"))


@hookimpl
def rlvit_report_sections() -> Sequence[ReportSection]:
    """Offer the agent against its controls."""

    def build(request: SectionRequest) -> SectionContent | None:
        from rlvit_glimpse.sections import looking

        return looking(request)

    return [
        ReportSection(
            name="glimpse-looking",
            title="Looking",
            summary="What the glimpse agent's looking brings against looking otherwise.",
            build=build,
        )
    ]


@hookimpl
def rlvit_metrics() -> Sequence[MetricDef]:
    """Declare what a glimpse run logs and measures."""
    return [*_learning(), *_looking()]


def _learning() -> list[MetricDef]:
    rollout = "of a rollout's games"
    asked = "at a game's last glimpse or at every one (--supervised-at)"
    per_step = "mean over a rollout's minibatches"
    return [
        MetricDef("play/return", "reward", "max", f"mean {rollout}", STEPS),
        MetricDef("play/accuracy", "%", "max", f"answers right {rollout}", STEPS),
        MetricDef("play/glimpses", "glimpses", "none", f"mean {rollout}", STEPS),
        MetricDef("play/seen", "% of pixels", "none", f"lay in a glimpse, mean {rollout}", STEPS),
        MetricDef("ppo/policy_loss", "-", "none", f"clipped, {per_step}", STEPS),
        MetricDef("ppo/value_loss", "reward squared", "min", per_step, STEPS),
        MetricDef("ppo/entropy", "nats", "none", f"of an action, all heads, {per_step}", STEPS),
        MetricDef("ppo/approx_kl", "nats", "none", f"from the rollout's policy, {per_step}", STEPS),
        MetricDef("ppo/clip_fraction", "of actions", "none", per_step, STEPS),
        MetricDef("ppo/gradient_norm", "-", "none", f"before clipping, {per_step}", STEPS),
        MetricDef("ppo/supervised", "nats", "min", f"cross-entropy of the class, {asked}", STEPS),
        MetricDef("ppo/reconstruction", "grey levels squared", "min", per_step, STEPS),
        MetricDef("ppo/lr", "-", "none", "Adam's step size", STEPS),
        MetricDef("val/accuracy", "%", "max", "answers right on validation images, greedy", STEPS),
        MetricDef("val/glimpses", "glimpses", "none", "of these games, mean", STEPS),
        MetricDef("speed/play_steps", "steps/s", "max", "since the row before", STEPS, timing=True),
    ]


def _looking() -> list[MetricDef]:
    found = []
    for mode, how in (("greedy", "nothing left to chance"), ("sampled", "actions drawn")):
        found += [
            MetricDef(f"look/{mode}", "%", "max", f"answers right, {how}", MEASURED),
            MetricDef(f"look/{mode}_glimpses", "glimpses", "min", f"mean, {how}", MEASURED),
            MetricDef(f"look/{mode}_seen", "% of pixels", "min", f"in a glimpse, {how}", MEASURED),
            MetricDef(f"look/{mode}_ece", "%", "min", f"calibration error, {how}", MEASURED),
            MetricDef(f"look/{mode}_undecided", "%", "min", f"cut off unanswered, {how}", MEASURED),
        ]
    controls = {
        "random": "places drawn at random, the agent's own class",
        "central": "one glimpse in the middle, not with drift",
        "whole": "one glimpse of the whole image, not with rings or drift",
    }
    for name, meaning in controls.items():
        found.append(MetricDef(f"look/{name}", "%", "max", f"answers right: {meaning}", MEASURED))
    found.append(
        MetricDef("look/after_half", "%", "max", "class head, after half the glimpses", MEASURED)
    )
    return found
