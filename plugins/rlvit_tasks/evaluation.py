"""Evaluation on whole games: every method that plays is measured by this and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np

from rlvit.contracts import Environment, Episode, Examination, Measurement, Policy
from rlvit.rl.scores import human_normalised
from rlvit.specs import TaskSpec


def play_games(examination: Examination) -> list[Measurement]:
    """Play the protocol's number of games and return the statistics of their raw scores.

    Each game has an emulator and a random stream of its own, so none depends on another's length.
    Lost lives do not end a game, and the policy acts greedily but for epsilon.
    """
    task, settings = examination.task, examination.protocol.settings
    rules = {**settings, "horizon": settings["evaluation_horizon"]}
    epsilon = float(settings["epsilon"])
    games = int(settings["episodes"])
    progress = examination.progress("episodes", games)
    episodes: list[Episode] = []
    for index in range(games):
        streams = np.random.SeedSequence([examination.seed, index]).spawn(2)
        environment = task.make(rules, int(streams[0].generate_state(1)[0] >> 1))
        exploration = np.random.default_rng(streams[1])
        shown = {"score": episodes[-1].score} if episodes else {}

        def watch(step: int, index: int = index, shown: dict[str, float] = shown) -> None:
            examination.check_stop()
            progress.update(index, **shown, step=step)

        episode = _play_one(examination.subject, environment, index, epsilon, exploration, watch)
        examination.episode(episode)
        episodes.append(episode)
        progress.update(index + 1, score=episode.score)
    return _statistics(episodes, task)


def _play_one(
    policy: Policy,
    environment: Environment,
    index: int,
    epsilon: float,
    exploration: np.random.Generator,
    watch: Callable[[int], None],
) -> Episode:
    policy.begin()
    frame, score, length, over = environment.reset(full=True), 0.0, 0, False
    while not over:
        watch(length + 1)
        action = policy.act(frame)
        if exploration.random() < epsilon:
            action = int(exploration.integers(environment.action_count))
        step = environment.step(action)
        frame, over = step.frame, step.game_over
        score += step.reward
        length += 1
    return Episode(index, score, length)


def _statistics(episodes: list[Episode], task: TaskSpec) -> list[Measurement]:
    scores = [episode.score for episode in episodes]
    lengths = [float(episode.length) for episode in episodes]
    mean, n = statistics.fmean(scores), len(scores)
    random, human = task.facts["random_score"], task.facts["human_score"]
    return [
        Measurement("eval/return", mean, n, _spread(scores)),
        Measurement("eval/return_median", statistics.median(scores), n),
        Measurement("eval/length", statistics.fmean(lengths), n, _spread(lengths)),
        Measurement(
            "eval/human_normalised",
            human_normalised(mean, random, human),
            n,
            _spread([score / (human - random) for score in scores]),
        ),
    ]


def _spread(values: list[float]) -> float | None:
    """Return the sample standard deviation, None of a single value."""
    return statistics.stdev(values) if len(values) > 1 else None
