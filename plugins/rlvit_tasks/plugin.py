"""What the built-in tasks plugin offers: the Atari-100k games, their protocols and evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlvit.hookspecs import hookimpl
from rlvit.specs import EvaluatorSpec, MetricDef, Protocol, RewardSpec, Setting, TaskSpec

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
QUICK = Protocol(
    name="quick",
    summary="mean raw score of 3 games of at most 1,000 agent steps; compares with nothing else",
    source="rlvit",
    settings={**WRAPPER, "episodes": 3, "epsilon": 0.001, "evaluation_horizon": 1_000},
)


@hookimpl
def rlvit_tasks() -> Sequence[TaskSpec]:
    """Offer the 26 games of the Atari-100k benchmark."""
    from rlvit_tasks.games import ATARI_100K

    return [_game_task(game) for game in ATARI_100K]


def _game_task(game: Any) -> TaskSpec:
    def make(settings: Mapping[str, Setting], seed: int) -> Any:
        from rlvit_tasks.atari import make_game

        return make_game(game.rom, settings, seed)

    return TaskSpec(
        name=game.name,
        kind="game",
        summary=f"the Atari 2600 game {game.name} on ale-py's emulator",
        source="Bellemare et al. 2013; Kaiser et al. 2020 for the selection of 26 games",
        protocols=(ATARI_100K_SPIRL, QUICK),
        evaluator="full-games",
        facts={"random_score": game.random_score, "human_score": game.human_score},
        make=make,
    )


@hookimpl
def rlvit_evaluators() -> Sequence[EvaluatorSpec]:
    """Offer the evaluator of games."""

    def measure(*arguments: Any) -> Any:
        from rlvit_tasks.evaluation import play_games

        return play_games(*arguments)

    return [
        EvaluatorSpec(
            name="full-games",
            summary="plays whole games, each with its own random stream; scores are raw",
            measure=measure,
        )
    ]


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
    """Declare what the evaluator measures."""
    return [
        MetricDef("eval/return", "points", "max", "mean raw score of the evaluation games"),
        MetricDef("eval/return_median", "points", "max", "median raw score of the games"),
        MetricDef("eval/length", "agent steps", "none", "mean length of the evaluation games"),
        MetricDef(
            "eval/human_normalised",
            "human - random = 1",
            "max",
            "(mean score - random) / (human - random)",
        ),
    ]
