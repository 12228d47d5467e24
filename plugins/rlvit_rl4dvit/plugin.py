"""What the RL4DViT plugin offers; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvit.hookspecs import hookimpl
from rlvit.sections import ReportSection, SectionContent, SectionRequest
from rlvit.specs import (
    DATASET,
    MethodSpec,
    MetricDef,
    PublishedResult,
    SelectorSpec,
    TrainedForm,
)

RLVIT_API = ">=1.1,<2"  # the versions of the plugin API that this is written for
SMALLEST = {
    "backbone_epochs": 1,
    "backbone_batch": 64,
    "rollouts": 4,
    "rollout_images": 12,
    "minibatch_images": 4,
    "finetune_epochs": 0.1,
    "checkpoint_every": 2,
    "log_every": 1,
    "figures": False,
}
CITE = "RL4DViT: multi-agent reinforcement learning drops tokens of Vision Transformers"


@hookimpl
def rlvit_methods() -> Sequence[MethodSpec]:
    """Offer the method."""
    from rlvit_rl4dvit.config import Rl4dvitConfig
    from rlvit_rl4dvit.experiments import EXPERIMENTS
    from rlvit_rl4dvit.presets import PRESETS

    def train(context: Any, config: Any) -> None:
        from rlvit_rl4dvit.experiment import train

        train(context, config)

    def estimate(config: Any, task: Any, protocol: Any, parts: Any) -> Any:
        from rlvit_rl4dvit.cost import estimate

        return estimate(config, task, protocol, parts)

    def adapt(config: Any, task: Any, parts: Any) -> Any:
        from rlvit_rl4dvit.adapt import adapt

        return adapt(config, task, parts)

    def export(request: Any) -> None:
        from rlvit_rl4dvit.export import export

        export(request)

    return [
        MethodSpec(
            name="rl4dvit",
            summary="agents drop tokens inside a pretrained ViT; what they drop is not computed",
            cite=CITE,
            task_kind=DATASET,
            config=Rl4dvitConfig,
            presets=PRESETS,
            slots={"backbone": "deit_base_patch16_224", "selector": "token-agents"},
            train=train,
            estimate=estimate,
            adapt=adapt,
            progress={"eval/top1": "rl/accuracy", "eval/gmacs": "rl/gmacs"},
            export=export,
            smallest=SMALLEST,
            experiments=EXPERIMENTS,
        )
    ]


@hookimpl
def rlvit_selectors() -> Sequence[SelectorSpec]:
    """Offer the agents that the method trains."""

    def make(backbone: Any, config: Any, task: Any) -> Any:
        from rlvit_rl4dvit.selector import TokenAgents

        return TokenAgents(backbone, config)

    def check(folder: Path, shape: Any) -> None:
        from rlvit_rl4dvit.frozen import check

        check(folder, shape)

    def load(folder: Path, backbone: Any, task: Any) -> Any:
        from rlvit_rl4dvit.frozen import load

        return load(folder, backbone)

    return [
        SelectorSpec(
            name="token-agents",
            summary="every token decides whether it stays, by an actor that multi-agent PPO trains",
            cite=CITE + ", section 3.1",
            needs=frozenset({"tokens", "cls"}),
            make=make,
            trained=TrainedForm("rl4dvit", "model", check, load),
            aliases=("mappo",),
        )
    ]


@hookimpl
def rlvit_commands() -> Sequence[Any]:
    """Offer the comparison of runs by accuracy and compute."""
    from rlvit_rl4dvit.curve import command

    return [command()]


@hookimpl
def rlvit_published() -> Sequence[PublishedResult]:
    """Offer what the paper's tables print."""
    from rlvit.published import load_published

    return load_published(Path(__file__).with_name("published.toml"))


@hookimpl
def rlvit_report_sections() -> Sequence[ReportSection]:
    """Offer tokens by decision and accuracy by stage."""

    def build(request: SectionRequest) -> SectionContent | None:
        from rlvit_rl4dvit.sections import tokens

        return tokens(request)

    return [
        ReportSection(
            name="rl4dvit-tokens",
            title="Tokens by decision",
            summary="What RL4DViT leaves alive at each decision, and what accuracy costs.",
            build=build,
        )
    ]


@hookimpl
def rlvit_metrics() -> Sequence[MetricDef]:
    """Declare what an RL4DViT run logs and measures."""
    return [*_baseline(), *_comparison(), *_rollouts(), *_training()]


def _baseline() -> list[MetricDef]:
    axis = "updates"
    return [
        MetricDef("dense/top1", "%", "max", "eval/top1 of the backbone with all patches", axis),
        MetricDef("dense/top1_task", "%", "max", "eval/top1_task of the same", axis),
        MetricDef("dense/top1_unseen", "%", "max", "eval/top1_unseen of the same", axis),
        MetricDef("dense/top1_task_unseen", "%", "max", "eval/top1_task_unseen of the same", axis),
        MetricDef("dense/nll", "nats", "min", "eval/nll of the same", axis),
        MetricDef("dense/gmacs", "10^9 multiply-adds", "min", "eval/gmacs of the same", axis),
    ]


def _comparison() -> list[MetricDef]:
    axis = "updates"
    paired = "minus that of all patches, paired by image; spread is of the differences"
    return [
        MetricDef("eval/gain", "points", "max", f"eval/top1 {paired}", axis),
        MetricDef("eval/gain_task", "points", "max", f"eval/top1_task {paired}", axis),
        MetricDef("eval/macs_saved", "%", "max", "multiply-adds not spent, of all patches'", axis),
        MetricDef(
            "eval/kept_by_confidence",
            "-",
            "none",
            "rank correlation of patches kept with the confidence of the whole backbone",
            axis,
        ),
        MetricDef("rl/threshold", "-", "none", "probability above which a patch stays", axis),
    ]


def _rollouts() -> list[MetricDef]:
    axis = "rollouts"
    per_step = "mean over an update's minibatches"
    return [
        MetricDef("rl/accuracy", "%", "max", "answers right while actions are drawn", axis),
        MetricDef("rl/kept", "patches", "none", "alive after the last decision", axis),
        MetricDef("rl/gmacs", "10^9 multiply-adds", "min", "an image of the rollout", axis),
        MetricDef("rl/reward", "reward", "max", "of all agents of an image together", axis),
        MetricDef("rl/alpha", "reward", "none", "cost of staying alive at a decision", axis),
        MetricDef("rl/policy_loss", "-", "none", f"clipped, {per_step}", axis),
        MetricDef("rl/value_loss", "reward squared", "min", per_step, axis),
        MetricDef("rl/entropy", "nats", "none", f"of an agent's decision, {per_step}", axis),
        MetricDef("rl/approx_kl", "nats", "none", f"from the rollout's policy, {per_step}", axis),
        MetricDef("rl/clip_fraction", "of decisions", "none", per_step, axis),
        MetricDef("rl/actor_gradient_norm", "-", "none", f"before clipping, {per_step}", axis),
        MetricDef("rl/critic_gradient_norm", "-", "none", f"before clipping, {per_step}", axis),
        MetricDef("rl/value", "reward", "none", "mean value of the rollout's states", axis),
        MetricDef("rl/advantage_std", "reward", "none", "before normalisation", axis),
        _speed("speed/rollout_images", axis),
    ]


def _training() -> list[MetricDef]:
    before, after = "steps", "updates"
    return [
        MetricDef("backbone/loss", "nats", "min", "cross-entropy of a batch", before),
        MetricDef("backbone/accuracy", "%", "max", "of a training batch", before),
        _speed("speed/backbone_images", before),
        MetricDef("finetune/loss", "nats", "min", "cross-entropy of a batch", after),
        MetricDef("finetune/accuracy", "%", "max", "of a training batch", after),
        MetricDef("finetune/gmacs", "10^9 multiply-adds", "min", "an image of the batch", after),
        _speed("speed/finetune_images", after),
    ]


def _speed(name: str, axis: str) -> MetricDef:
    meaning = "speed since the row before"
    return MetricDef(name, "images/s", "max", meaning, axis=axis, timing=True)
