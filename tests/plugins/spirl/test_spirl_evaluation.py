"""Games played side by side go as each of them goes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rlvit.contracts import Episode, Examination, VectorPolicy
from rlvit.specs import TaskSpec
from rlvit_spirl.agent import GreedyPolicy, PatchFeatures, RainbowAgent
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.selector import SalientPatches
from rlvit_spirl.whole_config import WholeFrameConfig
from rlvit_spirl.whole_frames import GreedyFrames, WholeFrames, frame_network
from rlvit_tasks.evaluation import play_games
from rlvit_tasks.plugin import QUICK, rlvit_tasks

CPU = torch.device("cpu")
TASKS: dict[str, TaskSpec] = {task.name: task for task in rlvit_tasks() if task.kind == "game"}


class Recording:
    """A policy whose actions and frames are kept, game by game."""

    def __init__(self, policy: Any) -> None:
        self.policy, self.places, self.view = policy, policy.places, getattr(policy, "view", {})
        self.now: dict[int, list[Any]] = {}
        self.games: list[list[Any]] = []

    def begin_game(self, place: int) -> None:
        self.policy.begin_game(place)
        self.now[place] = []
        self.games.append(self.now[place])

    def act_in_games(self, places: Sequence[int], frames: NDArray[np.uint8]) -> Sequence[int]:
        actions: Sequence[int] = self.policy.act_in_games(places, frames)
        for place, frame, action in zip(places, frames, actions, strict=True):
            self.now[place].append((action, frame.tobytes()))
        return actions


class Alone:
    """The same policy, which is given one game after another."""

    def __init__(self, policy: Any) -> None:
        self.policy, self.view = policy, getattr(policy, "view", {})
        self.games: list[list[Any]] = []

    def begin(self) -> None:
        self.policy.begin_game(0)
        self.games.append([])

    def act(self, frame: NDArray[np.uint8]) -> int:
        action: int = self.policy.act_in_games([0], frame[None])[0]
        self.games[-1].append((action, frame.tobytes()))
        return action


class Unseen:
    """Progress that nobody looks at."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def update(self, done: int, **shown: float) -> None:
        self.done.append(done)


def refused() -> Any:
    """What games have no use for."""
    raise AssertionError("a game asked for images")


def play(policy: Any, games: int = 5) -> tuple[list[Episode], Any, list[int]]:
    how = replace(
        QUICK,
        settings={
            **QUICK.settings,
            "frame_skip": 60,
            "epsilon": 0.5,
            "episodes": games,
            "evaluation_horizon": 60,
        },
    )
    episodes: list[Episode] = []
    shown = Unseen()
    found = play_games(
        Examination(
            subject=policy,
            task=TASKS["Breakout"],
            protocol=how,
            seed=3,
            episode=episodes.append,
            table=lambda table: None,
            progress=lambda unit, total: shown,
            check_stop=lambda: None,
            data=refused,
        )
    )
    return episodes, found, shown.done


def stirred(agent: RainbowAgent) -> RainbowAgent:
    """Return the agent with weights under which its choices vary."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in agent.online.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return agent


def patches(places: int) -> GreedyPolicy:
    config = SpirlConfig(keep_ratio=0.1)
    mae = MaskedAutoencoder(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    features = PatchFeatures(SalientPatches(mae, config, TASKS["Breakout"]), mae, PATCHES, CPU)
    agent = RainbowAgent(4, config, CPU, torch.Generator().manual_seed(1))
    return GreedyPolicy(stirred(agent), features, features.prime(), places)


def frames(places: int) -> GreedyFrames:
    config = WholeFrameConfig()
    agent = RainbowAgent(4, config, CPU, torch.Generator().manual_seed(1), frame_network)
    return GreedyFrames(stirred(agent), WholeFrames(84), places)


@pytest.mark.parametrize("make", [patches, frames])
def test_games_side_by_side_are_those_of_one_after_another(make: Any) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        together, alone = Recording(make(3)), Alone(make(3))
        assert isinstance(together, VectorPolicy)
        assert not isinstance(alone, VectorPolicy)
        ours, theirs = play(together), play(alone)
    finally:
        torch.set_num_threads(threads)
    assert ours[:2] == theirs[:2]  # episodes in the order of their numbers, and measurements
    assert together.games == alone.games  # every frame and every action
    assert len({len(game) for game in together.games}) > 1  # else no place was ever left early
    assert len({action for game in together.games for action, _ in game}) > 1
    assert ours[2][-1] == 5
    assert sorted(ours[2]) == ours[2]


def test_frames_that_only_fill_up_the_shape_are_not_counted() -> None:
    policy = patches(3)
    episodes, _, _ = play(policy, games=2)
    assert policy.features.frames == sum(episode.length for episode in episodes)
    assert policy.features.by_count.sum() == policy.features.frames
