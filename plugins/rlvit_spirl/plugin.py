"""What the SPIRL plugin offers; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvit.hookspecs import hookimpl
from rlvit.sections import ReportSection, SectionContent, SectionRequest
from rlvit.specs import BackboneSpec, MethodSpec, MetricDef, PublishedResult, SelectorSpec

RLVIT_API = ">=1.1,<2"  # the versions of the plugin API that this is written for
SMALLEST = {
    "frames": 64,
    "epochs": 2,
    "warmup_epochs": 1,
    "mae_batch_size": 16,
    "keep_ratio": 0.1,
    "steps": 40,
    "random_steps": 12,
    "learn_start": 12,
    "n_step": 3,
    "target_every": 7,
    "batch_size": 8,
    "checkpoint_every": 9,
    "mae_checkpoint_every": 2,
    "log_every": 5,
    "figures": False,
}
SMALLEST_PATCH = 2 * 2 * 3  # values of the smallest patch that has something to reconstruct
CITE = "SPIRL: efficient salient patch input reinforcement learning from masked auto-encoders"


@hookimpl
def rlvit_methods() -> Sequence[MethodSpec]:
    """Offer the method."""
    from rlvit_spirl.config import PRESETS, SpirlConfig, adapt
    from rlvit_spirl.experiments import EXPERIMENTS

    def train(context: Any, config: Any) -> None:
        from rlvit_spirl.experiment import train

        train(context, config)

    def estimate(config: Any, task: Any, protocol: Any, parts: Any) -> Any:
        from rlvit_spirl.cost import estimate

        return estimate(config, task, protocol)

    return [
        _rainbow(),
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
            progress={"eval/return": "train/return"},
            smallest=SMALLEST,
            experiments=EXPERIMENTS,
        ),
    ]


def _rainbow() -> MethodSpec:
    """Return the baseline on whole frames."""
    from rlvit_spirl.experiments import WHOLE_FRAMES
    from rlvit_spirl.whole_config import PRESETS, WholeFrameConfig

    def train(context: Any, config: Any) -> None:
        from rlvit_spirl.whole_experiment import train

        train(context, config)

    def estimate(config: Any, task: Any, protocol: Any, parts: Any) -> Any:
        from rlvit_spirl.cost import estimate_whole_frames

        return estimate_whole_frames(config, task, protocol)

    fields = WholeFrameConfig.model_fields
    return MethodSpec(
        name="de-rainbow",
        summary="data-efficient Rainbow plays Atari from whole frames: SPIRL's baseline",
        cite="van Hasselt et al. 2019; SPIRL, Tables 2 and 12",
        task_kind="game",
        config=WholeFrameConfig,
        presets=PRESETS,
        slots={"reward": "sign"},
        train=train,
        estimate=estimate,
        progress={"eval/return": "train/return"},
        smallest={name: value for name, value in SMALLEST.items() if name in fields},
        experiments=WHOLE_FRAMES,
    )


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
            provides=frozenset({"images", "reconstruction", "attention"}),
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
        # A method that trains on some of the images has no more for the autoencoder.
        return SalientImagePatches(backbone, getattr(config, "train_images", None))

    def fit_cost(config: Any, task: Any, parts: Any) -> Any:
        if parts["backbone"].shape is None:  # of games, whose autoencoder is SPIRL's own
            return ()
        from rlvit_spirl.image_mae import estimate_on_images

        return estimate_on_images(config, task, parts)

    def check(shape: Any) -> None:
        from rlvit.errors import UsageProblem

        if shape.patch_values < SMALLEST_PATCH:
            raise UsageProblem(
                f"--selector mae-salient: {shape.patches} patches of these images are single "
                "pixels; expected 2 or more a side. Choose a backbone with fewer patches."
            )

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
            fit_cost=fit_cost,
            check=check,
        )
    ]


@hookimpl
def rlvit_published() -> Sequence[PublishedResult]:
    """Offer what the paper prints of others and of itself."""
    from rlvit.published import load_published

    return load_published(Path(__file__).with_name("published.toml"))


@hookimpl
def rlvit_commands() -> Sequence[Any]:
    """Offer to look at finished runs, and to let their agents play."""
    from rlvit_spirl.replay_command import commands

    return commands()


@hookimpl
def rlvit_report_sections() -> Sequence[ReportSection]:
    """Offer the distribution of the patches that frames keep, and pictures of games."""

    def build(request: SectionRequest) -> SectionContent | None:
        from rlvit_spirl.sections import kept_patches

        return kept_patches(request)

    def look(request: SectionRequest) -> SectionContent | None:
        from rlvit_spirl.sections import looks

        return looks(request)

    return [
        ReportSection(
            name="spirl-kept-patches",
            title="Patches kept",
            summary="How many patches SPIRL keeps of a frame, against its cap.",
            build=build,
        ),
        ReportSection(
            name="spirl-looks",
            title="What the agents look at",
            summary="A game of each arm: what is kept of its frames, and what the policy reads.",
            build=look,
        ),
    ]


@hookimpl
def rlvit_metrics() -> Sequence[MetricDef]:
    """Declare what a SPIRL run logs."""
    loss = "mean squared error of the normalised patches"
    iterations = "iterations"
    return [
        MetricDef("pretrain/loss", "normalised pixels squared", "min", loss, axis=iterations),
        MetricDef("pretrain/lr", "-", "none", "AdamW's step size", axis=iterations),
        MetricDef(
            "refine/loss",
            "normalised pixels squared",
            "min",
            "mean loss of a round of --refine-every, in which the autoencoder goes on learning",
        ),
        MetricDef("train/return", "points", "max", "raw score of the game that just ended"),
        MetricDef("train/loss", "nats", "min", "weighted cross-entropy of return distributions"),
        MetricDef("train/gradient_norm", "-", "none", "before clipping"),
        MetricDef("train/priority", "nats", "none", "mean Kullback-Leibler divergence of a batch"),
        MetricDef("train/value", "discounted reward", "none", "mean expected return of a batch"),
        MetricDef("select/kept", "patches a frame", "none", "mean number of patches kept"),
        MetricDef("select/saturated", "of frames", "none", "frames that kept the largest number"),
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
