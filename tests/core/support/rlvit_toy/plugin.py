"""A complete plugin with nothing to learn: it tests the core and stands in for no real method."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import model_validator

from rlvit.config import MethodConfig, RunOf, setting
from rlvit.hookspecs import hookimpl
from rlvit.specs import (
    BackboneSpec,
    EvaluatorSpec,
    MethodSpec,
    MetricDef,
    Preset,
    Protocol,
    RewardSpec,
    SelectorSpec,
    Setting,
    StageCost,
    TaskSpec,
)

WORK, KEEPING = "Work", "Book-keeping"
OFFICIAL = Protocol("official", "five puzzles", "rlvit's tests", {"episodes": 5, "size": 6})
BRIEF = Protocol("brief", "two puzzles", "rlvit's tests", {"episodes": 2, "size": 3})


class ToyConfig(MethodConfig):
    """One field of each kind that a configuration may have."""

    steps: int = setting(60, help="How long to go on.", unit="steps", source="T1", group=WORK, ge=1)
    rate: float = setting(
        0.1,
        help="How far to step.",
        unit="weights",
        source="T2",
        group=WORK,
        aliases=("eta", "step_size"),
        gt=0,
        le=1,
    )
    noisy: bool = setting(
        True, help="Add noise.", unit="-", source="T3", group=WORK, aliases=("with_noise",)
    )
    mode: Literal["mean", "sum"] = setting(
        "mean", help="How to add up.", unit="-", source="T4", group=WORK
    )
    bound: float | None = setting(
        None, help="Largest weight.", unit="weights", source="T5", group=WORK, gt=0
    )
    start_from: str | None = setting(
        None,
        help="Start with the weights of this run.",
        unit="-",
        source="none",
        group=WORK,
        aliases=("begin_with",),
        run=RunOf(what="table", methods=("toy",), artifacts=("table",)),
    )
    share: float = setting(
        0.5,
        help="Of those weights.",
        unit="-",
        source="none",
        group=WORK,
        only_with="start_from",
        ge=0,
        le=1,
    )
    log_every: int = setting(
        1, help="Steps between rows.", unit="steps", source="none", group=KEEPING, ge=1
    )
    checkpoint_every: int = setting(
        10, help="Steps between checkpoints.", unit="steps", source="none", group=KEEPING, ge=1
    )

    @model_validator(mode="after")
    def _bound_fits_the_rate(self) -> ToyConfig:
        if self.bound is not None and self.bound < self.rate:
            raise ValueError("--bound is smaller than --rate, so that no step fits")
        return self


PRESETS = (
    Preset("paper", "as nobody published it", "official", {}),
    Preset("official-code", "as nobody coded it", "official", {"noisy": False}),
    Preset("recommended", "shorter steps", "official", {"rate": 0.05}),
    Preset("quick", "a look", "brief", {"steps": 24}),
)


def _train(context: Any, config: Any) -> None:
    from rlvit_toy.training import train

    train(context, config)


def _estimate(config: Any, task: TaskSpec, protocol: Protocol, parts: Any) -> Sequence[StageCost]:
    return [StageCost("learn", f"{config.steps} steps", 1e3 * config.steps, 1e-3)]


@hookimpl
def rlvit_methods() -> Sequence[MethodSpec]:
    """Offer the method."""
    return [
        MethodSpec(
            name="toy",
            summary="adds random numbers",
            cite="nobody",
            task_kind="puzzle",
            config=ToyConfig,
            presets=PRESETS,
            slots={"backbone": "toy-eye", "selector": "toy-pick", "reward": "toy-plain"},
            train=_train,
            estimate=_estimate,
        )
    ]


@hookimpl
def rlvit_tasks() -> Sequence[TaskSpec]:
    """Offer two puzzles."""

    def make(settings: Mapping[str, Setting], seed: int) -> Any:
        from rlvit_toy.training import Puzzle

        return Puzzle(int(settings["size"]), seed)

    return [
        TaskSpec(
            name=name,
            kind="puzzle",
            summary="guess a coin",
            source="rlvit's tests",
            protocols=(OFFICIAL, BRIEF),
            evaluator="toy-exam",
            facts={},
            make=make,
        )
        for name in ("Alpha", "Beta")
    ]


@hookimpl
def rlvit_evaluators() -> Sequence[EvaluatorSpec]:
    """Offer the evaluator of puzzles."""

    def measure(*arguments: Any) -> Any:
        from rlvit_toy.training import measure

        return measure(*arguments)

    return [EvaluatorSpec("toy-exam", "plays each puzzle once", measure)]


@hookimpl
def rlvit_backbones() -> Sequence[BackboneSpec]:
    """Offer an eye that sees images only."""
    return [BackboneSpec("toy-eye", "sees", "-", frozenset({"images"}), lambda generator: None)]


@hookimpl
def rlvit_selectors() -> Sequence[SelectorSpec]:
    """Offer a selector that fits the eye and one that does not."""

    def make(*arguments: Any) -> Any:
        return None

    return [
        SelectorSpec("toy-pick", "picks", "-", frozenset({"images"}), make),
        SelectorSpec("toy-needy", "asks", "-", frozenset({"images", "reconstruction"}), make),
    ]


@hookimpl
def rlvit_rewards() -> Sequence[RewardSpec]:
    """Offer two shapings."""
    return [
        RewardSpec("toy-plain", "as it is", "-", lambda reward: reward),
        RewardSpec("toy-half", "half of it", "-", lambda reward: reward / 2),
    ]


@hookimpl
def rlvit_metrics() -> Sequence[MetricDef]:
    """Declare what a run logs."""
    return [
        MetricDef("toy/weight", "weights", "none", "sum of the weights", axis="steps"),
        MetricDef("toy/noise", "weights", "none", "the newest noise", axis="steps"),
        MetricDef("toy/speed", "steps/s", "max", "how fast", axis="steps", timing=True),
        MetricDef("toy/score", "points", "max", "mean score of the puzzles"),
        MetricDef("toy/length", "moves", "none", "mean length of the puzzles"),
    ]


@hookimpl
def rlvit_run_started(run: Any) -> None:
    """Refuse where the tests ask for it."""
    if "TOY_REFUSE" in os.environ:
        raise ValueError(os.environ["TOY_REFUSE"])


@hookimpl
def rlvit_run_logged(run: Any, rows: Sequence[Any]) -> None:
    """Fail where the tests ask for it."""
    if "TOY_DEAF" in os.environ:
        raise ValueError(os.environ["TOY_DEAF"])
