"""What the AgentViT plugin offers; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvit.hookspecs import hookimpl
from rlvit.sections import ReportSection, SectionContent, SectionRequest
from rlvit.specs import (
    DATASET,
    BackboneSpec,
    MethodSpec,
    MetricDef,
    PublishedResult,
    SelectorSpec,
    TrainedForm,
)

RLVIT_API = ">=1.1,<2"  # the versions of the plugin API that this is written for
CITE = "AgentViT: adaptive patch selection to improve Vision Transformers by reinforcement learning"
SIZES = {"patch_size": 4, "dim": 128, "depth": 6, "heads": 16, "head_dim": 64, "mlp_dim": 512}
SMALL = {"patch_size": 4, "dim": 48, "depth": 2, "heads": 4, "head_dim": 16, "mlp_dim": 96}
UPDATES = "updates"  # iterations of training


@hookimpl
def rlvit_methods() -> Sequence[MethodSpec]:
    """Offer the method."""
    from rlvit_agentvit.config import PRESETS, AgentvitConfig
    from rlvit_agentvit.experiments import EXPERIMENTS

    def train(context: Any, config: Any) -> None:
        from rlvit_agentvit.experiment import train

        train(context, config)

    def estimate(config: Any, task: Any, protocol: Any, parts: Any) -> Any:
        from rlvit_agentvit.cost import estimate

        return estimate(config, task, protocol, parts)

    def adapt(config: Any, task: Any, parts: Any) -> Any:
        from rlvit_agentvit.adapt import adapt

        return adapt(config, task, parts)

    return [
        MethodSpec(
            name="agentvit",
            summary="a Q-network chooses the patches while the ViT trains on what it leaves",
            cite=CITE,
            task_kind=DATASET,
            config=AgentvitConfig,
            presets=PRESETS,
            slots={"backbone": "simple-vit", "selector": "patch-agent"},
            train=train,
            estimate=estimate,
            adapt=adapt,
            progress={"eval/top1": "val/top1_masked", "eval/gmacs": "val/kept"},
            experiments=EXPERIMENTS,
        )
    ]


@hookimpl
def rlvit_backbones() -> Sequence[BackboneSpec]:
    """Offer the ViT without a class token, in the published size and in a small one."""
    what = "ViT without class token: fixed positions, mean pooling, wide heads, any size"
    return [
        _simple_vit("simple-vit", what, SIZES),
        _simple_vit(
            "simple-vit-small", "the same, narrow and shallow unless asked otherwise", SMALL
        ),
    ]


def _simple_vit(name: str, summary: str, sizes: Mapping[str, int]) -> BackboneSpec:
    def make(generator: Any, shape: Any, weights: str | None) -> Any:
        from rlvit_agentvit.simple_vit import make

        return make(dict(sizes), generator, shape, weights)

    def shape_of(shape: Any) -> Any:
        from rlvit_agentvit.simple_vit import shape_of

        return shape_of({**sizes, **shape.sizes}, shape)

    return BackboneSpec(
        name=name,
        summary=summary,
        cite="AgentViT, nb 9 and 37; Beyer et al. 2022",
        provides=frozenset({"images", "tokens", "attended", "received"}),
        make=make,
        shape=shape_of,
        sizes=sizes,
    )


@hookimpl
def rlvit_selectors() -> Sequence[SelectorSpec]:
    """Offer the agent that the method trains."""

    def make(backbone: Any, config: Any, task: Any) -> Any:
        from rlvit_agentvit.selector import make

        return make(backbone, config)

    def check(folder: Path, shape: Any) -> None:
        from rlvit_agentvit.frozen import check

        check(folder, shape)

    def load(folder: Path, backbone: Any, task: Any) -> Any:
        from rlvit_agentvit.frozen import load

        return load(folder, backbone)

    return [
        SelectorSpec(
            name="patch-agent",
            summary="a Q-network scores the patches from the first layer's attention output",
            cite=CITE + ", nb 24-31",
            needs=frozenset({"attended"}),
            make=make,
            trained=TrainedForm("agentvit", "model", check, load),
        )
    ]


@hookimpl
def rlvit_published() -> Sequence[PublishedResult]:
    """Offer what the notebook prints."""
    from rlvit.published import load_published

    return load_published(Path(__file__).with_name("published.toml"))


@hookimpl
def rlvit_report_sections() -> Sequence[ReportSection]:
    """Offer the accuracy under other masks."""

    def build(request: SectionRequest) -> SectionContent | None:
        from rlvit_agentvit.sections import masks

        return masks(request)

    return [
        ReportSection(
            name="agentvit-masks",
            title="Same network, other masks",
            summary="AgentViT's trained network under its own masks and under fixed rules.",
            build=build,
        )
    ]


@hookimpl
def rlvit_metrics() -> Sequence[MetricDef]:
    """Declare what an AgentViT run logs and measures."""
    return [*_training(), *_agent(), *_validation(), *_masks()]


def _training() -> list[MetricDef]:
    epoch = "of an epoch's training"
    passes = "10^9 multiply-adds"
    return [
        MetricDef("vit/loss", "nats", "min", "cross-entropy of a batch", UPDATES),
        MetricDef("vit/lr", "-", "none", "Adam's step size", UPDATES),
        MetricDef("epoch/loss", "nats", "min", f"mean cross-entropy {epoch}", UPDATES),
        MetricDef("epoch/accuracy", "%", "max", f"answers right {epoch}", UPDATES),
        MetricDef("epoch/kept", "patches", "none", f"kept of an image, mean {epoch}", UPDATES),
        MetricDef(
            "epoch/gmacs",
            passes,
            "min",
            "of an epoch's training: forward, backward, the agent's look and its learning",
            UPDATES,
        ),
        MetricDef("epoch/seconds", "s", "min", epoch.removeprefix("of "), UPDATES, timing=True),
        MetricDef("train/gmacs", passes, "min", "epoch/gmacs, mean over the epochs", UPDATES),
        MetricDef(
            "train/macs_saved", "%", "max", "multiply-adds not spent, of all patches'", UPDATES
        ),
        MetricDef("train/epoch_seconds", "s", "min", "mean over the epochs", UPDATES, timing=True),
        MetricDef(
            "train/seconds_to_target",
            "s",
            "min",
            "training until val/top1_masked first reached --target-accuracy",
            UPDATES,
            timing=True,
        ),
        MetricDef(
            "speed/train_images", "images/s", "max", "of the epoch so far", UPDATES, timing=True
        ),
    ]


def _agent() -> list[MetricDef]:
    return [
        MetricDef("agent/epsilon", "-", "none", "chance of a random mask", UPDATES),
        MetricDef("agent/reward", "reward", "max", "mean of the last batch paid", UPDATES),
        MetricDef("agent/loss_term", "-", "max", "of that reward, before its weight", UPDATES),
        MetricDef("agent/patch_term", "-", "max", "of that reward, before its weight", UPDATES),
        MetricDef("agent/loss", "-", "none", "of the agent's last step", UPDATES),
        MetricDef("agent/q", "reward", "none", "mean Q-value of the rows learnt from", UPDATES),
        MetricDef("agent/entropy", "nats", "none", "of a decision, of the last step", UPDATES),
        MetricDef("agent/drawn", "patches", "none", "kept by masks drawn to learn from", UPDATES),
    ]


def _validation() -> list[MetricDef]:
    every, own = "on validation images with all patches", "on validation images with own masks"
    weighted = "mean of the classes, by their images"
    return [
        MetricDef("val/loss", "nats", "min", f"cross-entropy {every}", UPDATES),
        MetricDef("val/top1", "%", "max", f"answers right {every}", UPDATES),
        MetricDef("val/precision", "%", "max", f"{every}, {weighted}", UPDATES),
        MetricDef("val/recall", "%", "max", f"{every}, {weighted}", UPDATES),
        MetricDef("val/f1", "%", "max", f"{every}, {weighted}", UPDATES),
        MetricDef("val/loss_masked", "nats", "min", f"cross-entropy {own}", UPDATES),
        MetricDef("val/top1_masked", "%", "max", f"answers right {own}", UPDATES),
        MetricDef("val/kept", "patches", "none", f"{own}, mean of an image", UPDATES),
    ]


def _masks() -> list[MetricDef]:
    masks = {
        "all": "with all patches",
        "agent_batch": "with one mask of the agent a batch",
        "agent_image": "with the agent's mask of each image",
        "random": "with random patches, as many as its own masks keep on average, rounded",
        "uniform": "with patches evenly spaced along the rows, as many",
        "received": "with the patches that receive most attention in the first block, as many",
    }
    saved = "multiply-adds of an image not spent, of all patches'; the selector's own count"
    found = [MetricDef("masks/macs_saved", "%", "max", saved, UPDATES)]
    for name, meaning in masks.items():
        found.append(MetricDef(f"masks/{name}", "%", "max", f"eval/top1 {meaning}", UPDATES))
        if name != "all":
            kept = f"kept {meaning}, mean of an image"
            found.append(MetricDef(f"masks/{name}_kept", "patches", "none", kept, UPDATES))
    return found
