"""The toy method's loop; TOY_* variables let a test stop it where it wants, by real signals."""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlvit.contracts import Episode, Measurement, Transition


def train(context: Any, config: Any) -> None:
    """Add random numbers to weights, with checkpoints, and evaluate them."""
    table = context.artifact("table", lambda: {"mode": config.mode}, _build, copy=True)
    scale = float(json.loads((table.folder / "table.json").read_text())["scale"])
    noise, targets = context.generator("noise"), context.torch_generator("targets")
    weights, trace, begun = torch.zeros(4), np.zeros(4), 0
    saved = context.restored("learn") or context.restored("evaluate")
    if config.start_from is not None and saved is None:
        before = np.load(context.finished(config.start_from).view.folder / "weights.npy")
        weights = torch.from_numpy(before[:4]).float() * config.share
    if saved is not None:
        begun, weights, trace = saved["step"], saved["weights"], saved["trace"]
        targets.set_state(saved["targets"])
        words = {name: int(word) for name, word in saved["noise"]["state"].items()}
        noise.bit_generator.state = {**saved["noise"], "state": words}

    def state() -> dict[str, Any]:
        position = noise.bit_generator.state
        words = {name: str(word) for name, word in position["state"].items()}
        return {
            "step": step,
            "weights": weights,
            "trace": trace,
            "targets": targets.get_state(),
            "noise": {**position, "state": words},
        }

    step, stage = begun, context.stage("learn", config.steps, "steps")
    for step in range(begun + 1, config.steps + 1):
        draw = float(noise.normal()) if config.noisy else 0.0
        target = torch.randn(4, generator=targets) * scale + draw
        weights = weights + config.rate * (target - weights)
        if config.bound is not None:
            weights = weights.clamp(-config.bound, config.bound)
        trace = trace + weights.numpy().astype(np.float64)
        if step % config.log_every == 0:
            row = {"toy/weight": float(weights.sum()), "toy/noise": draw, "toy/speed": time.time()}
            context.log(step, row)
            _count(context, step)
        _disturb(step)
        stage.update(step, weight=float(weights.sum()))
        context.checkpoint("learn", step, state, config.checkpoint_every)
    context.checkpoint("evaluate", config.steps, state, every=1)
    _disturb(config.steps + 1)
    context.evaluate(Guess(weights), config.steps)
    np.save(context.folder / "weights.npy", np.concatenate([weights.numpy(), trace]))


def _build(folder: Path) -> None:
    if "TOY_BUILDS" in os.environ:
        with open(os.environ["TOY_BUILDS"], "a") as file:
            file.write("built\n")
    (folder / "table.json").write_text(json.dumps({"scale": 0.5}))


def _count(context: Any, step: int) -> None:
    """Say, outside of the run's folder, that the row of a step was logged."""
    if "TOY_COUNT" in os.environ:
        with open(os.environ["TOY_COUNT"], "a") as file:
            file.write(f"{step}\n")


def _disturb(step: int) -> None:
    """Do at a step what the tests ask for: TOY_AT=step:what."""
    at, _, what = os.environ.get("TOY_AT", "").partition(":")
    if at != str(step):
        return
    if what == "fail":
        raise ValueError("the toy broke\nin two lines")
    if what == "exit":
        raise SystemExit(0)
    if what == "wait":
        Path(os.environ["TOY_READY"]).touch()
        while not Path(os.environ["TOY_GO"]).exists():
            time.sleep(0.005)
        return
    for name in what.split("+"):
        os.kill(os.getpid(), getattr(signal, name))


class Puzzle:
    """Guess the coin of each move."""

    action_count = 2

    def __init__(self, size: int, seed: int) -> None:
        self._coins = np.random.default_rng(seed).integers(2, size=size)
        self._at = 0

    def reset(self, full: bool = False) -> np.ndarray:
        """Begin again."""
        self._at = 0
        return self._frame()

    def step(self, action: int) -> Transition:
        """Guess once."""
        reward = float(action == self._coins[self._at])
        self._at += 1
        over = self._at == len(self._coins)
        return Transition(self._frame(), reward, over, False, over, False)

    def _frame(self) -> np.ndarray:
        return np.full((1, 2, 2), self._at, dtype=np.uint8)


class Guess:
    """Guesses by the sign of a weight."""

    def __init__(self, weights: torch.Tensor) -> None:
        self._weights = weights

    def begin(self) -> None:
        """Nothing is remembered."""

    def act(self, frame: np.ndarray) -> int:
        """Guess."""
        return int(self._weights[int(frame[0, 0, 0]) % 4] > 0)


def measure(examination: Any) -> list[Measurement]:
    """Play each puzzle once."""
    policy, settings = examination.subject, examination.protocol.settings
    progress = examination.progress("episodes", int(settings["episodes"]))
    episodes = []
    for index in range(int(settings["episodes"])):
        puzzle = examination.task.make(settings, examination.seed + index)
        policy.begin()
        frame, score, length, over = puzzle.reset(full=True), 0.0, 0, False
        while not over:
            examination.check_stop()
            moved = puzzle.step(policy.act(frame))
            frame, over = moved.frame, moved.game_over
            score, length = score + moved.reward, length + 1
        episodes.append(Episode(index, score, length))
        examination.episode(episodes[-1])
        progress.update(index + 1, score=score)
    scores = [episode.score for episode in episodes]
    return [
        Measurement("toy/score", statistics.fmean(scores), len(scores), statistics.stdev(scores)),
        Measurement("toy/length", float(episodes[0].length), len(episodes)),
    ]
