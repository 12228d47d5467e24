"""What the built-in tasks plugin offers: games, image datasets, their protocols and evaluators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlvit.hookspecs import hookimpl
from rlvit.specs import (
    DataRequest,
    EvaluatorSpec,
    MetricDef,
    Protocol,
    RewardSpec,
    Setting,
    TaskSpec,
)

if TYPE_CHECKING:
    from pathlib import Path

    from rlvit.contracts import Diagnosis, Examination, Measurement
    from rlvit_tasks.datasets import Dataset

RLVIT_API = ">=1.1,<2"  # the versions of the plugin API that this is written for
# What a classifier's training is counted in: the rollouts and fine-tuning iterations behind it.
UPDATES = "updates"

# Settings of the environment wrapper, SPIRL Table 9 and its published code; frames and steps.
WRAPPER: Mapping[str, Setting] = {
    "frame_skip": 4,  # emulator frames an agent step (Table 9)
    "max_noops": 30,  # emulator frames at the start of a game (Table 9)
    "sticky_probability": 0.0,  # (published code)
    "horizon": 27_000,  # agent steps a game while training: 108K frames (Table 9)
    "size": 96,  # pixels a side (Table 9)
}

ATARI_100K_SPIRL = Protocol(
    name="atari100k-spirl",
    summary="mean raw score of 50 full games with the final policy",
    source="SPIRL, appendix B.3 and Table 2 (100K, average); epsilon from its published code",
    settings={**WRAPPER, "episodes": 50, "epsilon": 0.001, "evaluation_horizon": 27_000},
)
ATARI_100K = Protocol(
    name="atari100k",
    summary="mean raw score of 100 full games with the final policy",
    source="100 games as in Agarwal et al. 2021; else as atari100k-spirl",
    settings={**ATARI_100K_SPIRL.settings, "episodes": 100},
)
ATARI_400K_BEST_MEDIAN = Protocol(
    name="atari400k-best-median",
    summary="largest median of 50 full games among evaluations every 50,000 steps",
    source="SPIRL, section 5 and Table 2 (400K, median); 8 evaluations in its published code",
    settings={**ATARI_100K_SPIRL.settings, "evaluate_every": 50_000},
)
MACHADO_18 = Protocol(
    name="machado18",
    summary="sticky actions, 18 actions, no lives: mean raw score of 100 games of the final policy",
    source="Machado et al. 2018, section 5; there the last 100 games of training are measured",
    settings={
        **ATARI_100K_SPIRL.settings,
        "max_noops": 0,
        "fire_on_reset": False,
        "full_actions": True,
        "sticky_probability": 0.25,
        "terminal_on_life_loss": False,
        "horizon": 4_500,  # 18,000 frames
        "evaluation_horizon": 4_500,
        "episodes": 100,
    },
)
QUICK = Protocol(
    name="quick",
    summary="mean raw score of 3 games of at most 1,000 agent steps; compares with nothing else",
    source="rlvit",
    settings={**WRAPPER, "episodes": 3, "epsilon": 0.001, "evaluation_horizon": 1_000},
)


@hookimpl
def rlvit_tasks() -> Sequence[TaskSpec]:
    """Offer the 26 games of the Atari-100k benchmark, and the image datasets."""
    from rlvit_tasks.datasets import DATASETS
    from rlvit_tasks.games import ATARI_100K

    games = [_game_task(game) for game in ATARI_100K]
    return games + [_dataset_task(dataset) for dataset in DATASETS]


def _game_task(game: Any) -> TaskSpec:
    def make(settings: Mapping[str, Setting], seed: int) -> Any:
        from rlvit_tasks.atari import make_game

        return make_game(game.rom, settings, seed)

    return TaskSpec(
        name=game.name,
        kind="game",
        summary=f"the Atari 2600 game {game.name} on ale-py's emulator",
        source="Bellemare et al. 2013; Kaiser et al. 2020 for the selection of 26 games",
        protocols=(ATARI_100K_SPIRL, ATARI_100K, ATARI_400K_BEST_MEDIAN, MACHADO_18, QUICK),
        evaluator="full-games",
        facts={"random_score": game.random_score, "human_score": game.human_score},
        make=make,
    )


def _dataset_task(dataset: Dataset) -> TaskSpec:
    def load(settings: Mapping[str, Setting], request: DataRequest) -> Any:
        from rlvit_tasks.datasets import load_dataset

        return load_dataset(dataset, settings, request)

    return TaskSpec(
        name=dataset.name,
        kind="dataset",
        summary=dataset.summary,
        source=dataset.source,
        protocols=dataset.protocols,
        evaluator="classification",
        facts={
            "classes": dataset.classes,
            "size": dataset.size,
            "train_images": dataset.images[0],
            "test_images": dataset.images[1],
            "mirrored": dataset.mirrored,
        },
        load=load,
    )


@hookimpl
def rlvit_evaluators() -> Sequence[EvaluatorSpec]:
    """Offer the evaluators of games and of classifiers."""

    def play(examination: Examination) -> list[Measurement]:
        from rlvit_tasks.evaluation import play_games

        return play_games(examination)

    def classify(examination: Examination) -> list[Measurement]:
        from rlvit_tasks.classification import classify_images

        return classify_images(examination)

    return [
        EvaluatorSpec(
            name="full-games",
            summary="plays whole games, each with its own random stream; scores are raw",
            measure=play,
            headline=("eval/return", "eval/best_median", "eval/human_normalised"),
            measures=tuple(metric.name for metric in _game_metrics()),
        ),
        EvaluatorSpec(
            name="classification",
            summary="classifies images once each, in a fixed order, and counts what it cost",
            measure=classify,
            headline=("eval/top1", "eval/top1_task", "eval/gmacs"),
            items={
                "eval/top1": "correct",
                "eval/top1_task": "correct_task",
                "eval/nll": "nll",
                "eval/gmacs": "macs",
            },
            measures=tuple(metric.name for metric in _classification_metrics()),
        ),
    ]


@hookimpl
def rlvit_doctor(data_root: Path) -> Sequence[Diagnosis]:
    """Look after the games' ROMs and the datasets."""
    from rlvit_tasks.doctor import look

    return list(look(data_root))


@hookimpl
def rlvit_rewards() -> Sequence[RewardSpec]:
    """Offer the usual shapings of game scores."""
    return [
        RewardSpec(
            name="sign",
            summary="the sign of the score: clips whole-numbered scores to [-1, 1]",
            cite="Mnih et al. 2015; SPIRL, Table 9",
            shape=lambda reward: float((reward > 0) - (reward < 0)),
        ),
        RewardSpec(
            name="raw", summary="the score as it is", cite="-", shape=lambda reward: float(reward)
        ),
    ]


@hookimpl
def rlvit_metrics() -> Sequence[MetricDef]:
    """Declare what the evaluators measure."""
    return [*_game_metrics(), *_classification_metrics()]


def _game_metrics() -> list[MetricDef]:
    """Declare what is measured of whole games."""
    return [
        MetricDef("eval/return", "points", "max", "mean raw score of the evaluation games"),
        MetricDef(
            "eval/best_median",
            "points",
            "max",
            "largest median of raw scores among the evaluations during training",
        ),
        MetricDef("eval/return_median", "points", "max", "median raw score of the games"),
        MetricDef("eval/length", "agent steps", "none", "mean length of the evaluation games"),
        MetricDef(
            "eval/human_normalised",
            "human - random = 1",
            "max",
            "(mean score - random) / (human - random)",
        ),
    ]


def _classification_metrics() -> list[MetricDef]:
    """Declare what is measured of a classifier, over its training."""
    parts = {
        "": "images",
        "_official": "images of the published validation folder",
        "_unseen": "images of ImageNet's validation set, unseen by pretrained weights,",
    }
    found = []
    for suffix, images in parts.items():
        whole = f"{images} named rightly, out of all classes of the head"
        own = f"{images} named rightly, out of the dataset's classes alone"
        found += [
            MetricDef(f"eval/top1{suffix}", "%", "max", whole, UPDATES),
            MetricDef(f"eval/top1_task{suffix}", "%", "max", own, UPDATES),
        ]
    mean = "mean over the dataset's classes, weighted by their images"
    for name, unit, direction, meaning in (
        (
            "precision",
            "%",
            "max",
            f"right among a class's answers: {mean}; 0 of a class never given",
        ),
        ("recall", "%", "max", f"right among a class's images: {mean}, which is eval/top1_task"),
        ("f1", "%", "max", f"harmonic mean of a class's precision and recall: {mean}"),
        ("nll", "nats", "min", "mean cross-entropy over all classes of the head"),
        ("gmacs", "10^9 multiply-adds", "min", 'mean of an image; what papers call "GFLOPs"'),
        ("gflops", "10^9 operations", "min", "twice eval/gmacs"),
        ("kept", "patches", "none", "mean number alive after the last decision"),
        ("masked", "0 or 1", "none", "1 if dropped patches were masked only, which saves no time"),
    ):
        found.append(MetricDef(f"eval/{name}", unit, direction, meaning, UPDATES))
    return found
