"""Holds the evaluator to its protocol, on real games: streams, epsilon, horizon and statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from rlvit.contracts import Episode, Examination, Measurement
from rlvit.specs import Protocol, TaskSpec
from rlvit_tasks.evaluation import play_games
from rlvit_tasks.plugin import QUICK, rlvit_tasks

NOOP, FIRE = 0, 1
TASKS: Mapping[str, TaskSpec] = {task.name: task for task in rlvit_tasks() if task.kind == "game"}


def protocol(**settings: Any) -> Protocol:
    """The quick protocol with other settings; games are fast-forwarded."""
    return replace(QUICK, settings={**QUICK.settings, "frame_skip": 12, "epsilon": 0.0, **settings})


class Watching:
    """Progress that nobody looks at."""

    def update(self, done: int, **shown: float) -> None:
        assert done >= 0


@dataclass
class Plan:
    """A policy that plays one fixed action a game, by the number of the game."""

    actions: Mapping[int, int] = field(default_factory=dict)
    game: int = -1
    seen: int = 0

    def begin(self) -> None:
        self.game += 1

    def act(self, frame: np.ndarray) -> int:
        assert frame.shape == (3, 96, 96)
        self.seen += 1
        return self.actions.get(self.game, FIRE)


@dataclass
class Watched:
    """A task whose real games are watched."""

    task: TaskSpec
    games: list[list[tuple[int, Any]]] = field(default_factory=list)
    settings: list[Mapping[str, Any]] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)

    def spec(self) -> TaskSpec:
        """The watched task."""
        return replace(self.task, make=self._make)

    def _make(self, settings: Mapping[str, Any], seed: int) -> Any:
        game, steps = self.task.make(settings, seed), []
        self.games.append(steps)
        self.settings.append(settings)
        self.seeds.append(seed)
        step = game.step

        def watched(action: int) -> Any:
            taken = step(action)
            steps.append((action, taken))
            return taken

        game.step = watched
        return game


def refused(*arguments: Any) -> Any:
    """What games have no use for."""
    raise AssertionError(f"called with {arguments}")


def play(
    task: TaskSpec, how: Protocol, policy: Plan | None = None, seed: int = 5
) -> tuple[list[Episode], dict[str, Measurement]]:
    """The episodes and the measurements of an evaluation."""
    episodes: list[Episode] = []
    found = play_games(
        Examination(
            subject=policy or Plan(),
            task=task,
            protocol=how,
            seed=seed,
            episode=episodes.append,
            table=refused,
            progress=lambda unit, total: Watching(),
            check_stop=lambda: None,
            data=refused,
        )
    )
    return episodes, {measured.metric: measured for measured in found}


def test_a_game_does_not_depend_on_the_length_of_the_games_before_it() -> None:
    how = protocol(episodes=3, evaluation_horizon=60, epsilon=0.5)
    short, _ = play(TASKS["Breakout"], how)
    long, _ = play(TASKS["Breakout"], how, Plan({0: NOOP}))  # waits and does not lose the ball
    assert short[0] != long[0]
    assert short[1:] == long[1:]


def test_further_games_leave_the_first_ones_as_they_were() -> None:
    few, _ = play(TASKS["Breakout"], protocol(episodes=2, evaluation_horizon=60, epsilon=0.3))
    more, _ = play(TASKS["Breakout"], protocol(episodes=4, evaluation_horizon=60, epsilon=0.3))
    assert more[:2] == few
    assert [episode.index for episode in more] == [0, 1, 2, 3]


def test_games_differ_from_each_other_and_between_seeds_but_not_between_repetitions() -> None:
    how = protocol(episodes=4, evaluation_horizon=40, epsilon=0.5)

    def actions(seed: int) -> tuple[list[list[int]], list[int]]:
        watched = Watched(TASKS["Seaquest"])
        play(watched.spec(), how, seed=seed)
        return [[action for action, _ in game] for game in watched.games], watched.seeds

    first = actions(1)
    assert first == actions(1)
    assert len({tuple(game) for game in first[0]}) == 4
    assert len(set(first[1])) == 4
    assert not set(first[1]) & set(actions(2)[1])


@pytest.mark.parametrize("epsilon", [0.0, 0.25, 1.0])
def test_epsilon_is_the_share_of_uniformly_random_actions(epsilon: float) -> None:
    watched = Watched(TASKS["Seaquest"])
    policy = Plan({0: NOOP, 1: NOOP, 2: NOOP})
    how = protocol(episodes=3, evaluation_horizon=500, frame_skip=2, epsilon=epsilon)
    play(watched.spec(), how, policy)
    actions = np.array([action for game in watched.games for action, _ in game])
    assert policy.seen == len(actions)  # asked at every step, also where chance overrules it
    assert len(actions) > 900
    # A random action is the policy's own in 1 of 18 cases.
    share = (actions != NOOP).mean() * 18 / 17
    assert abs(share - epsilon) <= (0.05 if epsilon else 0)
    if epsilon == 1:
        counts = np.bincount(actions, minlength=18)
        expected = len(actions) / 18
        assert ((counts - expected) ** 2 / expected).sum() < 40.8  # chi-squared, 17, p = 0.001


def test_the_policy_decides_where_chance_does_not() -> None:
    watched = Watched(TASKS["Seaquest"])
    play(watched.spec(), protocol(episodes=2, evaluation_horizon=30), Plan({0: 3, 1: 7}))
    assert [{action for action, _ in game} for game in watched.games] == [{3}, {7}]


def test_a_game_ends_at_the_horizon_of_the_evaluation_not_at_that_of_training() -> None:
    watched = Watched(TASKS["Seaquest"])
    how = protocol(episodes=2, evaluation_horizon=9, horizon=4)
    episodes, found = play(watched.spec(), how, Plan({0: NOOP, 1: NOOP}))
    assert [episode.length for episode in episodes] == [9, 9]
    assert found["eval/length"] == Measurement("eval/length", 9.0, 2, 0.0)
    assert all(game[-1][1].truncated for game in watched.games)


def test_scores_are_raw_and_a_lost_life_does_not_end_a_game() -> None:
    watched = Watched(TASKS["Breakout"])
    episodes, _ = play(
        watched.spec(), protocol(episodes=3, evaluation_horizon=500, epsilon=0.3, frame_skip=4)
    )
    for episode, game in zip(episodes, watched.games, strict=True):
        steps = [taken for _, taken in game]
        assert episode.score == sum(taken.reward for taken in steps)
        assert episode.length == len(steps)
        assert [taken.game_over for taken in steps] == [False] * (len(steps) - 1) + [True]
        assert not steps[-1].truncated
        assert sum(taken.life_lost for taken in steps) == 4  # the fifth is the end of the game
    assert sum(episode.score for episode in episodes) > 0

    watched = Watched(TASKS["Seaquest"])
    episodes, _ = play(watched.spec(), protocol(episodes=2, evaluation_horizon=150, epsilon=1.0))
    assert max(taken.reward for game in watched.games for _, taken in game) >= 20  # not clipped
    assert max(episode.score for episode in episodes) >= 20


def test_measurements_are_the_statistics_of_the_episodes() -> None:
    task = TASKS["Breakout"]
    episodes, found = play(
        task, protocol(episodes=5, evaluation_horizon=300, epsilon=0.4, frame_skip=4)
    )
    scores = np.array([episode.score for episode in episodes])
    lengths = np.array([episode.length for episode in episodes])
    assert len(set(scores)) > 1  # else the test would show little
    assert set(found) == {
        "eval/return",
        "eval/return_median",
        "eval/length",
        "eval/human_normalised",
    }
    assert {measured.samples for measured in found.values()} == {5}
    assert found["eval/return"].value == pytest.approx(scores.mean())
    assert found["eval/return"].spread == pytest.approx(scores.std(ddof=1))
    assert found["eval/return_median"].value == np.median(scores)
    assert found["eval/return_median"].spread is None
    assert found["eval/length"].value == pytest.approx(lengths.mean())
    assert found["eval/length"].spread == pytest.approx(lengths.std(ddof=1))
    normalised = (scores - 1.7) / (30.5 - 1.7)  # Breakout's random and human score
    assert found["eval/human_normalised"].value == pytest.approx(normalised.mean())
    assert found["eval/human_normalised"].spread == pytest.approx(normalised.std(ddof=1))


def test_random_and_human_play_are_zero_and_one() -> None:
    task = TASKS["Seaquest"]
    short = protocol(episodes=1, evaluation_horizon=3)
    for score, expected in ((68.4, 0.0), (42054.7, 1.0)):
        facts = {name: value - score for name, value in task.facts.items()}  # a game scores 0 here
        _, found = play(replace(task, facts=facts), short, Plan({0: NOOP}))
        assert found["eval/return"].value == 0.0
        assert found["eval/human_normalised"].value == pytest.approx(expected)


def test_one_game_has_no_spread() -> None:
    _, found = play(TASKS["Seaquest"], protocol(episodes=1, evaluation_horizon=5))
    assert [measured.spread for measured in found.values()] == [None] * 4
    assert {measured.samples for measured in found.values()} == {1}


def test_every_game_has_the_protocols_and_reference_scores() -> None:
    assert len(TASKS) == 26
    for task in TASKS.values():
        names = ["atari100k-spirl", "atari100k", "atari400k-best-median", "machado18", "quick"]
        assert [how.name for how in task.protocols] == names
        assert task.facts["human_score"] > task.facts["random_score"]
        assert task.evaluator == "full-games"
    full = TASKS["Seaquest"].protocol("atari100k-spirl").settings
    assert (full["episodes"], full["epsilon"], full["evaluation_horizon"]) == (50, 0.001, 27_000)
