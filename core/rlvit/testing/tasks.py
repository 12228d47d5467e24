"""What every task must do: a game that can be saved, or images that keep their contract."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rlvit.contracts import Environment, ImageData, ImageSplit
from rlvit.errors import RlvitError
from rlvit.specs import Setting, TaskSpec
from rlvit.testing.network import no_network
from rlvit.testing.suite import Suite, one_line, require, skip
from rlvit.testing.surroundings import load, temporary_home

STEPS = 40
CHECKED = 64  # images of a split that are decoded


class TaskSuite(Suite):
    """Rules for a task: `name` is what its option, such as `--dataset`, calls it."""

    kind = "task"

    @classmethod
    def settings(cls) -> Mapping[str, Setting]:
        """Return the settings of its last protocol, the quick one by custom."""
        task: TaskSpec = cls.spec()
        settings: Mapping[str, Setting] = task.protocols[-1].settings
        return settings

    @classmethod
    def data(cls) -> ImageData:
        """Return its images; skips if they are not there, which one clear line must say."""
        task: TaskSpec = cls.spec()
        if task.load is None:
            skip("it has no images")

        def read() -> ImageData | RlvitError:
            try:
                with no_network():
                    return load(task, cls.data_root)
            except RlvitError as problem:
                return problem

        found = cls.once("data", read)
        if isinstance(found, RlvitError):
            skip(one_line(found))
        return found

    def game(self, seed: int = 3) -> Environment:
        """Return the game, at its beginning; skips if it is none."""
        make = self.spec().make
        if make is None:
            skip("it is no game")
        game: Environment = make(self.settings(), seed)
        return game

    def test_protocols(self) -> None:
        """It has protocols of different names, and an evaluator that exists."""
        task: TaskSpec = self.spec()
        names = [protocol.name for protocol in task.protocols]
        require(bool(names), "it has no protocol")
        require(len(set(names)) == len(names), f"two protocols have one name: {', '.join(names)}")
        known = self.catalog().entries["evaluator"]
        require(task.evaluator in known, f"no plugin offers its evaluator {task.evaluator!r}")
        require((task.make is None) != (task.load is None), "it needs either make or load")

    def test_missing_data_is_said(self) -> None:
        """Where its files are not there, one clear line says so, and nothing else happens."""
        task: TaskSpec = self.spec()
        if task.load is None:
            skip("it has no images")
        with temporary_home() as folder:
            try:
                with no_network():
                    load(task, folder)
            except RlvitError as problem:
                lines = str(problem).splitlines()
                require(len(lines) == 1 and len(lines[0]) > 20, f"it says {str(problem)!r}")
                return
        skip("it needs no files")

    def test_images(self) -> None:
        """Splits have labels within the classes, names, and images uint8 [B, 3, S, S]."""
        data = self.data()
        require(len(data.classes) > 1, f"it has {len(data.classes)} classes")
        require(len(data.sha256) == 64, f"sha256 is {data.sha256!r}, expected 64 hex digits")
        for name in dict.fromkeys(("train", str(self.settings().get("split", "train")))):
            check_split(name, data.split(name), len(data.classes))

    def test_images_again(self) -> None:
        """Reading it again gives the same images in the same order."""
        first, again = self.data(), load(self.spec(), self.data_root)
        require(first.sha256 == again.sha256, "sha256 is another when it is read again")
        order = [np.arange(min(8, len(first.split("train").labels)))]
        one, other = (next(iter(d.split("train").batches(order, 16))) for d in (first, again))
        require(torch.equal(one, other), "the images are others when it is read again")

    def test_game(self) -> None:
        """Frames are uint8 [C, H, W], rewards numbers, and a game can be played."""
        game = self.game()
        frame = game.reset(full=True)
        shape = frame.shape
        require(frame.dtype == np.uint8 and frame.ndim == 3, f"a frame is {frame.dtype} {shape}")
        require(game.action_count > 1, f"there are {game.action_count} actions")
        for action in range(STEPS):
            moved = game.step(action % game.action_count)
            require(moved.frame.shape == shape, f"frames change from {shape}")
            require(bool(np.isfinite(moved.reward)), f"a reward is {moved.reward}")
            if moved.game_over or moved.truncated:
                game.reset()

    def test_determinism_under_a_seed(self) -> None:
        """The same seed and actions give the same game."""
        one, other = play(self.game(), STEPS), play(self.game(), STEPS)
        require(one == other, "two games of one seed and the same actions differ")

    def test_resume_is_exact(self) -> None:
        """A game goes on from a saved state as it would have."""
        game = self.game()
        play(game, STEPS)
        saved = copy.deepcopy(game.state())
        one = play(game, STEPS, begin=False)
        other = self.game(seed=4)
        other.reset(full=True)
        other.restore(saved)
        require(play(other, STEPS, begin=False) == one, "a restored game goes on otherwise")

    def test_no_network(self) -> None:
        """What is there already is read, or played, without asking another machine."""
        task: TaskSpec = self.spec()
        if task.load is not None:
            self.data()  # skips if it is not there
        with no_network() as asked:
            if task.load is not None:
                load(task, self.data_root)
            else:
                play(self.game(), STEPS)
        require(not asked, f"it asked for {', '.join(dict.fromkeys(asked))}")


def check_split(name: str, split: ImageSplit, classes: int) -> None:
    """Raise AssertionError unless a split keeps the contract."""
    labels = np.asarray(split.labels)
    require(len(labels) > 0, f"the split {name!r} is empty")
    fine = labels.min() >= 0 and labels.max() < classes
    require(
        bool(fine), f"labels of {name!r} are {labels.min()} to {labels.max()}: {classes} classes"
    )
    require(len(split.names) == len(labels), f"{name!r}: {len(split.names)} names")
    for subset, mask in split.subsets.items():
        require(len(mask) == len(labels), f"{name!r}: the subset {subset!r} has {len(mask)} marks")
    order = [np.arange(min(CHECKED, len(labels)))[start::2] for start in (0, 1)]
    for wanted, images in zip(order, split.batches(order, 16), strict=True):
        shape = [len(wanted), 3, 16, 16]
        fine = images.dtype == torch.uint8 and list(images.shape) == shape
        require(fine, f"images of {name!r} are {images.dtype} {list(images.shape)}, not {shape}")


def play(game: Environment, steps: int, *, begin: bool = True) -> list[Any]:
    """Return what a number of steps bring: frames as bytes, rewards and ends."""
    found: list[Any] = [game.reset(full=True).tobytes()] if begin else []
    for step in range(steps):
        moved = game.step(step * 7 % game.action_count)
        found.append((moved.frame.tobytes(), *moved[1:]))
        if moved.game_over or moved.truncated:
            found.append(game.reset().tobytes())
    return found
