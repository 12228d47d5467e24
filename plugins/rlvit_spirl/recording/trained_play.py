"""Frames of the trained policy of another run, which the masked autoencoder learns from.

The paper takes a random policy's frames and expects better ones to help (appendix A.2, Table 7).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from rlvit.code import code_digest
from rlvit.contracts import Artifact, Environment, FinishedRun, OwnView, RunContext, VectorPolicy
from rlvit.errors import RlvitError
from rlvit.specs import Setting
from rlvit_spirl.agent import GreedyPolicy
from rlvit_spirl.learning import GAMES_AT_ONCE
from rlvit_spirl.loading import Player, artifact, load
from rlvit_spirl.mae import MaskedAutoencoder
from rlvit_spirl.mae_config import MaeConfig
from rlvit_spirl.network import SpirlNetwork
from rlvit_spirl.recording.frames import WRAPPER
from rlvit_spirl.selector import SalientPatches
from rlvit_spirl.whole_frames import GreedyFrames

# Frames that are recorded of each of several games side by side, at least: of fewer, most would
# show how games begin.
FRAMES_A_PLACE = 2_500


class Make(Protocol):
    """Makes the game under settings, with a seed."""

    def __call__(self, settings: Mapping[str, Setting], seed: int) -> Environment:
        """Return the game."""


class RecordedGame:
    """A game as it is recorded and, step by step beside it, as the policy sees it."""

    def __init__(
        self, make: Make, settings: Mapping[str, Setting], view: Mapping[str, Setting], seed: int
    ) -> None:
        """Make the game once or, for a policy with a view of its own, twice with one seed."""
        self.shown = make(settings, seed)
        self.seen = make({**settings, **view}, seed) if view else self.shown

    def reset(self, *, full: bool) -> None:
        """Begin the next episode."""
        self.frame = self.shown.reset(full=full)  # [3, 96, 96]
        self.view = self.frame if self.seen is self.shown else self.seen.reset(full=full)

    def step(self, action: int) -> bool:
        """Take an action; return whether the episode is over.

        Raises:
            RlvitError: what the policy sees is no longer what is recorded.
        """
        step = other = self.shown.step(action)
        if self.seen is not self.shown:
            other = self.seen.step(action)
        if (step.reward, step.done, step.life_lost) != (other.reward, other.done, other.life_lost):
            raise RlvitError("the game that is recorded went another way than the policy sees.")
        self.frame, self.view = step.frame, other.frame
        return step.done


def record(
    policy: VectorPolicy,
    games: Sequence[RecordedGame],
    streams: Sequence[np.random.Generator],
    count: int,
    *,
    epsilon: float,
    first_lives_only: bool,
    update: Callable[[int], None] = lambda done: None,
) -> NDArray[np.uint8]:
    """Let a policy play games side by side and return `count` frames [count, 3, 96, 96].

    Each game fills its own part of them, one episode after another.

    Args:
        policy: plays as many games at once.
        games: one for each of its places.
        streams: of each game, for random actions.
        count: frames in all.
        epsilon: share of uniformly random actions.
        first_lives_only: a new game starts after each lost life.
        update: is told how many frames are recorded.
    """
    starts = [count * place // len(games) for place in range(len(games) + 1)]
    for place, game in enumerate(games):
        game.reset(full=True)
        policy.begin_game(place)
    frames = np.empty((count, *games[0].frame.shape), dtype=np.uint8)
    done, step = 0, 0
    while done < count:
        playing = [p for p in range(len(games)) if starts[p] + step < starts[p + 1]]
        actions = policy.act_in_games(playing, np.stack([games[p].view for p in playing]))
        for place, action in zip(playing, actions, strict=True):
            game, stream = games[place], streams[place]
            frames[starts[place] + step] = game.frame
            if stream.random() < epsilon:
                action = int(stream.integers(game.shown.action_count))
            if game.step(action):
                game.reset(full=first_lives_only)
                policy.begin_game(place)
        done, step = done + len(playing), step + 1
        update(done)
    return frames


def recorded_frames(context: RunContext, config: MaeConfig, run_id: str, seed: int) -> Artifact:
    """Return the artifact with the frames of this game and seed while a run's policy plays.

    It is the same whatever the run is called: what counts is the policy.

    Raises:
        RlvitError: the policy cannot be brought back.
    """
    recording = Recording(context, config, context.finished(run_id), seed)
    return context.artifact("frames", recording.inputs, recording.build)


class Recording:
    """What is recorded of whom, and how."""

    def __init__(
        self, context: RunContext, config: MaeConfig, found: FinishedRun, seed: int
    ) -> None:
        """Decide how many games are played side by side, and by which rules."""
        self.context, self.config, self.found, self.seed = context, config, found, seed
        self.count = config.frames_of(context.task.name)
        self.places = min(GAMES_AT_ONCE, max(1, self.count // FRAMES_A_PLACE))
        self.rules: Mapping[str, Setting] = {
            **context.protocol.settings,
            "terminal_on_life_loss": config.first_lives_only,
            # Those that the policy has an output for; frames do not show what is on offer.
            "full_actions": bool(found.protocol.settings.get("full_actions", False)),
        }
        assert context.task.make is not None
        self.make: Make = context.task.make

    def inputs(self) -> dict[str, Any]:
        """Return all that decides the frames."""
        parts = (MaskedAutoencoder, SalientPatches, SpirlNetwork, GreedyPolicy, GreedyFrames)
        return {
            "game": self.context.task.name,
            "frames": self.count,
            "first_lives_only": self.config.first_lives_only,
            "wrapper": {name: self.rules[name] for name in WRAPPER if name in self.rules},
            "seed": self.seed,
            "policy": policy_of(self.found),
            "epsilon": self.config.frames_epsilon,
            "places": self.places,
            "device": self.context.device.type,  # these three change the last bits, so also actions
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "code": code_digest(record, type(self.make(self.rules, 0)), load, *parts),
        }

    def build(self, folder: Path) -> None:
        """Record the frames and write them into a folder."""
        context = self.context
        policy = load_here(context, self.found, self.places).policy
        view = dict(policy.view) if isinstance(policy, OwnView) else {}
        streams = [context.generator(f"frames/{place}", self.seed) for place in range(self.places)]
        games = [
            RecordedGame(self.make, self.rules, view, int(stream.integers(2**31)))
            for stream in streams
        ]
        progress = context.stage("frames", self.count, "frames")

        def update(done: int) -> None:
            progress.update(done)
            context.check_stop()

        frames = record(
            policy,
            games,
            streams,
            self.count,
            epsilon=self.config.frames_epsilon,
            first_lives_only=self.config.first_lives_only,
            update=update,
        )
        np.savez_compressed(folder / "frames.npz", frames=frames)


def policy_of(found: FinishedRun) -> dict[str, Any]:
    """Return what makes a run's policy what it is, whatever the run is called.

    The inputs of its agent have the hash of the autoencoder that it looks through.
    """
    kept = json.loads(artifact(found, "agent", "artifact.json").read_text())
    of = {"fingerprint": found.view.fingerprint}
    return {**of, "agent": kept["sha256"], "made_from": kept["inputs"]}


def load_here(context: RunContext, found: FinishedRun, places: int) -> Player:
    """Return a run's policy for so many games at once, on this run's device and threads."""
    here = {"device": str(context.device), "threads": torch.get_num_threads()}
    view = replace(found.view, provenance={**found.view.provenance, **here})
    return load(replace(found, view=view), places)
