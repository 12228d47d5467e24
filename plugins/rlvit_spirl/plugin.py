"""What the SPIRL plugin offers; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvit.hookspecs import hookimpl
from rlvit.specs import BackboneSpec, MethodSpec, MetricDef, PublishedResult, SelectorSpec

CITE = "SPIRL: efficient salient patch input reinforcement learning from masked auto-encoders"


@hookimpl
def rlvit_methods() -> Sequence[MethodSpec]:
    """Offer the method."""
    from rlvit_spirl.config import PRESETS, SpirlConfig, adapt

    def train(context: Any, config: Any) -> None:
        from rlvit_spirl.experiment import train

        train(context, config)

    def estimate(config: Any, task: Any, protocol: Any, parts: Any) -> Any:
        from rlvit_spirl.cost import estimate

        return estimate(config, task, protocol)

    return [
        MethodSpec(
            name="spirl",
            summary="an MAE finds salient patches, data-efficient Rainbow plays Atari from them",
            cite=CITE,
            task_kind="game",
            config=SpirlConfig,
            presets=PRESETS,
            slots={"backbone": "mae-96", "selector": "mae-salient", "reward": "sign"},
            train=train,
            estimate=estimate,
            adapt=adapt,
        )
    ]


@hookimpl
def rlvit_backbones() -> Sequence[BackboneSpec]:
    """Offer the small masked autoencoder."""

    def make(generator: Any) -> Any:
        from rlvit_spirl.mae import MaskedAutoencoder

        return MaskedAutoencoder(generator)

    return [
        BackboneSpec(
            name="mae-96",
            summary="masked autoencoder for 96x96 frames, 8x8 patches, 790,784 parameters",
            cite="SPIRL, Table 4; He et al. 2022",
            provides=frozenset({"images", "reconstruction"}),
            make=make,
        )
    ]


@hookimpl
def rlvit_selectors() -> Sequence[SelectorSpec]:
    """Offer the selection of patches that are hard to reconstruct from their neighbours."""

    def make(backbone: Any, config: Any, task: Any) -> Any:
        from rlvit_spirl.images import SalientImagePatches
        from rlvit_spirl.mae import MaskedAutoencoder
        from rlvit_spirl.selector import SalientPatches

        if isinstance(backbone, MaskedAutoencoder):
            return SalientPatches(backbone, config, task)
        return SalientImagePatches(backbone)

    def fit(context: Any, selector: Any) -> None:
        from rlvit_spirl.images import fit

        fit(context, selector)

    return [
        SelectorSpec(
            name="mae-salient",
            summary="patches that an MAE cannot reconstruct from their neighbours",
            cite="SPIRL, section 4.2",
            needs=frozenset({"images"}),
            make=make,
            fit=fit,
        )
    ]


@hookimpl
def rlvit_published() -> Sequence[PublishedResult]:
    """Offer what the paper prints for 100K steps."""
    from rlvit.published import load_published

    return load_published(Path(__file__).with_name("published.toml"))


@hookimpl
def rlvit_metrics() -> Sequence[MetricDef]:
    """Declare what a SPIRL run logs."""
    loss = "mean squared error of the normalised patches"
    iterations = "iterations"
    return [
        MetricDef("pretrain/loss", "normalised pixels squared", "min", loss, axis=iterations),
        MetricDef("pretrain/lr", "-", "none", "AdamW's step size", axis=iterations),
        MetricDef("train/return", "points", "max", "raw score of the game that just ended"),
        MetricDef("train/loss", "nats", "min", "weighted cross-entropy of return distributions"),
        MetricDef("train/gradient_norm", "-", "none", "before clipping"),
        MetricDef("train/priority", "nats", "none", "mean Kullback-Leibler divergence of a batch"),
        MetricDef("train/value", "discounted reward", "none", "mean expected return of a batch"),
        MetricDef("select/kept", "patches a frame", "none", "mean number of patches kept"),
        MetricDef("select/saturated", "of frames", "none", "frames cut at the largest number"),
        MetricDef("select/hit_rate", "of patches", "max", "errors remembered, not computed"),
        MetricDef("select/ratio", "of patches", "none", "the largest share of patches kept"),
        MetricDef("speed/steps", "agent steps/s", "max", "speed since the row before", timing=True),
        MetricDef(
            "speed/iterations",
            "iterations/s",
            "max",
            "speed since the row before",
            axis=iterations,
            timing=True,
        ),
    ]
