"""Evaluation on whole games: every method that plays is measured by this and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlvit.contracts import (
    Environment,
    Episode,
    Examination,
    Measurement,
    OwnView,
    Policy,
    VectorPolicy,
)
from rlvit.errors import RlvitError
from rlvit.rl.scores import human_normalised
from rlvit.specs import Setting, TaskSpec

VIEW = ("grey", "size")  # settings of a game that say how it looks, not how it goes


def play_games(examination: Examination) -> list[Measurement]:
    """Play the protocol's number of games and return the statistics of their raw scores.

    Each game has an emulator and a random stream of its own, so none depends on another's length.
    Lost lives do not end a game, and the policy acts greedily but for epsilon. A policy that can
    plays several games at once; episodes are recorded in the order of their numbers all the same.
    """
    settings = examination.protocol.settings
    games = int(settings["episodes"])
    policy, view = _vector(examination.subject), _view_of(examination.subject)
    rules = {**settings, **view, "horizon": settings["evaluation_horizon"]}
    progress = examination.progress("episodes", games)
    waiting, playing = iter(range(games)), dict[int, _Game]()
    ended, recorded, shown = dict[int, Episode](), list[Episode](), dict[str, float]()
    while True:
        for place in range(policy.places):
            index = None if place in playing else next(waiting, None)
            if index is not None:
                policy.begin_game(place)
                playing[place] = _begin(examination, index, rules)
        if not playing:
            return _statistics(recorded, examination.task)
        examination.check_stop()
        progress.update(len(ended), **shown, step=max(g.length for g in playing.values()) + 1)
        places = sorted(playing)
        actions = policy.act_in_games(places, np.stack([playing[p].frame for p in places]))
        for place, action in zip(places, actions, strict=True):
            if playing[place].over_after(action, float(settings["epsilon"])):
                game = playing.pop(place)
                ended[game.index] = Episode(game.index, game.score, game.length)
                shown = {"score": game.score}
                progress.update(len(ended), **shown)
        while len(recorded) in ended:
            examination.episode(ended[len(recorded)])
            recorded.append(ended[len(recorded)])


@dataclass
class _Game:
    """A game that is being played."""

    index: int
    environment: Environment
    exploration: np.random.Generator
    frame: NDArray[np.uint8]
    score: float = 0.0
    length: int = 0

    def over_after(self, action: int, epsilon: float) -> bool:
        """Play an action, or with a chance of `epsilon` a random one; return whether it is over."""
        if self.exploration.random() < epsilon:
            action = int(self.exploration.integers(self.environment.action_count))
        step = self.environment.step(action)
        self.frame = step.frame
        self.score += step.reward
        self.length += 1
        return step.game_over


def _begin(examination: Examination, index: int, rules: Mapping[str, Setting]) -> _Game:
    """Begin the game of a number."""
    streams = np.random.SeedSequence([examination.seed, index]).spawn(2)
    environment = examination.task.make(rules, int(streams[0].generate_state(1)[0] >> 1))
    exploration = np.random.default_rng(streams[1])
    return _Game(index, environment, exploration, environment.reset(full=True))


class _OneByOne:
    """A policy that plays one game after another."""

    places = 1

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def begin_game(self, place: int) -> None:
        """Begin a game."""
        self._policy.begin()

    def act_in_games(self, places: Sequence[int], frames: NDArray[np.uint8]) -> Sequence[int]:
        """Choose the action in the only game."""
        return [self._policy.act(frames[0])]


def _vector(policy: Policy | VectorPolicy) -> VectorPolicy:
    return policy if isinstance(policy, VectorPolicy) else _OneByOne(policy)


def _view_of(policy: object) -> dict[str, Setting]:
    """Return how a policy sees its games, if not as the protocol says.

    Raises:
        RlvitError: it would change more than that.
    """
    view = dict(policy.view) if isinstance(policy, OwnView) else {}
    beyond = sorted(view.keys() - VIEW)
    if beyond:
        raise RlvitError(f"a policy decides {', '.join(VIEW)} of its games, not {beyond[0]}.")
    return view


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
