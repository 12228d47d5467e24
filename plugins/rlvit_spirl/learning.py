"""The loop in which a data-efficient Rainbow plays and learns, whatever it sees of a frame."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rlvit.contracts import Environment, Examined, Measurement, RunContext, State
from rlvit.errors import RlvitError
from rlvit.rl.replay import SequenceReplay
from rlvit.rl.schedules import linear
from rlvit.rl.streams import stream_from, stream_state
from rlvit_spirl.agent import RainbowAgent
from rlvit_spirl.network import STACK
from rlvit_spirl.rainbow_config import RainbowConfig
from rlvit_spirl.weights import save_weights

GAMES_AT_ONCE = 16  # of an evaluation: more would share errors, but few are left at its end


class Observer(Protocol):
    """Turns a frame into what the agent sees of it and the replay keeps."""

    dtype: type[np.float32] | type[np.uint8]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what is seen."""

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[Any] | Tensor:
        """Look at a frame [C, H, W]; what is seen may be a tensor that is on a GPU already."""

    def newest(self) -> Mapping[str, float]:
        """Return metrics of the frame looked at last, of which means are logged."""

    def report(self) -> Mapping[str, float]:
        """Return metrics of all frames so far."""

    def state(self) -> State:
        """Return everything that the future depends on."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state."""


# Called before a step with the number of steps taken, the replay and what a checkpoint would hold.
# It may change how frames are seen, if it rewrites the replay; it tells whether it did.
Between = Callable[[int, SequenceReplay, Callable[[], State]], bool]


def nothing(step: int, replay: SequenceReplay, state: Callable[[], State]) -> bool:
    """Let frames be seen as ever."""
    return False


def learn(
    context: RunContext,
    config: RainbowConfig,
    environment: Environment,
    observe: Observer,
    agent: RainbowAgent,
    evaluate: Callable[[int], Examined],
    saved: State | None,
    between: Between = nothing,
) -> Learnt:
    """Play `config.steps` steps and learn from them (section 4.3, Tables 9 and 10).

    Under a protocol that says so the policy is evaluated every so many steps on the way.
    """
    now = Standing(context, config, environment, observe, agent)
    now.begin(saved)
    replay, means = now.replay, now.means
    shape_reward = context.part("reward").shape
    evaluations = int(context.protocol.settings.get("evaluate_every", 0))  # steps between them
    progress, shown = context.stage("learn", config.steps, "steps"), dict[str, float]()
    since, whole = Stopwatch(now.steps), Stopwatch(now.steps)
    for step in range(now.steps + 1, config.steps + 1):
        evaluated = now.lacks_evaluation(evaluations)
        if evaluated:
            now.medians.append(median_of(evaluate(now.steps)))
        changed = between(now.steps, replay, now.state)
        seen = observe(now.frame)
        if step <= config.random_steps:
            action = int(now.actions.integers(environment.action_count))
        else:
            action = agent.act(replay.latest_stack(seen))
        replay.begin(seen, action)  # with n-step returns no update needs the step that follows
        batch = None
        if step > config.learn_start and step % config.steps_per_update == 0:
            beta = linear(step, config.learn_start, config.steps, config.importance_exponent, 1.0)
            batch = replay.sample(now.samples.random(config.batch_size), beta)
            priorities, logged = agent.update(batch)  # a GPU is still at it while the game goes on
        taken = environment.step(action)
        replay.end(shape_reward(taken.reward), taken.done)
        means.add(observe.newest())
        now.score += taken.reward
        now.frame = environment.reset() if taken.done else taken.frame
        if taken.game_over:
            context.log(step, {"train/return": now.score})
            now.score, shown = 0.0, {"return": now.score}
        if batch is not None:
            replay.update_priorities(batch.indices, priorities)
            means.add(logged)

        if step % config.log_every == 0:
            speed = {"speed/steps": since.speed(step)}
            context.log(step, {**means.take(), **observe.report(), **speed})
        now.steps = step
        progress.update(step, **shown)
        # An evaluation that is stopped must not take steps with it, nor a kill what was costly.
        keep = changed or evaluated or now.lacks_evaluation(evaluations)
        context.checkpoint("learn", step, now.state, 1 if keep else config.checkpoint_every)
    return Learnt(whole.speed(config.steps), now.medians)


class Standing:
    """Where a run stands between two steps: all that the next ones depend on."""

    def __init__(
        self,
        context: RunContext,
        config: RainbowConfig,
        environment: Environment,
        observe: Observer,
        agent: RainbowAgent,
    ) -> None:
        self.environment, self.observe, self.agent = environment, observe, agent
        self.replay = empty_replay(context, config, observe)
        self.actions, self.samples = context.generator("actions"), context.generator("samples")
        self.means, self.medians = Means(), list[float]()
        self.steps, self.score = 0, 0.0
        self.frame = np.zeros(0, dtype=np.uint8)  # the newest, [C, H, W]; there is none yet

    def begin(self, saved: State | None) -> None:
        """Begin the first game, or go on from a saved state; the caller restores the others."""
        if saved is None:
            self.frame = self.environment.reset()
            return
        self.steps, self.score, self.frame = saved["step"], saved["score"], saved["frame"]
        self.environment.restore(saved["environment"])
        self.replay.restore(saved["replay"])
        self.actions, self.samples = stream_from(saved["actions"]), stream_from(saved["samples"])
        self.means.sums, self.medians = saved["means"], list(saved["medians"])

    def state(self) -> State:
        """Return what a checkpoint holds."""
        return {
            "step": self.steps,
            "score": self.score,
            "frame": self.frame,
            "environment": self.environment.state(),
            "replay": self.replay.state(),
            "actions": stream_state(self.actions),
            "samples": stream_state(self.samples),
            "means": self.means.sums,
            "medians": self.medians,
            "features": self.observe.state(),
            "agent": self.agent.state(),
        }

    def lacks_evaluation(self, every: int) -> bool:
        """Tell whether an evaluation is due: it was not begun yet, or was stopped on the way.

        Args:
            every: steps between evaluations; 0: there are none.
        """
        return every > 0 and len(self.medians) < self.steps // every


def empty_replay(context: RunContext, config: RainbowConfig, observe: Observer) -> SequenceReplay:
    """Return a replay for all steps of the run, whose file lies in the run's folder.

    A GPU keeps the observations in its memory, too.

    Raises:
        RlvitError: the disk or the GPU has less room than it needs.
    """
    require_space(context, replay_bytes(config, observe))
    return SequenceReplay(
        context.folder / "replay",
        config.steps,
        observe.shape,
        STACK,
        config.n_step,
        config.gamma,
        config.priority_exponent,
        observe.dtype,
        context.device if context.device.type == "cuda" else None,
    )


def replay_bytes(config: RainbowConfig, observe: Observer) -> int:
    """Return the size of the replay's file."""
    return config.steps * prod(observe.shape) * np.dtype(observe.dtype).itemsize


@dataclass(frozen=True)
class Learnt:
    """What is left of learning but the agent."""

    speed: float  # of this attempt, in steps a second
    medians: Sequence[float]  # of the scores in each evaluation on the way


def median_of(found: Examined) -> float:
    """Return the median score of an evaluation."""
    return next(one.value for one in found.measurements if one.metric == "eval/return_median")


def best_median(context: RunContext, medians: Sequence[float], last: Examined) -> list[Measurement]:
    """Return the best of all evaluations, where the protocol asks for several (section 5)."""
    if "evaluate_every" not in context.protocol.settings:
        return []
    best = max([*medians, median_of(last)])
    return [Measurement("eval/best_median", best, int(context.protocol.settings["episodes"]))]


def keep_agent(context: RunContext, agent: RainbowAgent, made_from: Mapping[str, Any]) -> None:
    """Keep the trained network: the last link from frames to agent."""

    def build(folder: Path) -> None:
        save_weights(agent.online, folder / "agent.safetensors")

    inputs = {**made_from, "seed": context.seed, "updates": agent.updates}
    context.keep("agent", inputs, build)


def at_once(context: RunContext) -> int:
    """Return how many games of the protocol are played side by side."""
    return min(GAMES_AT_ONCE, int(context.protocol.settings["episodes"]))


def require_space(
    context: RunContext, size: int, what: str = "replay", files: str = "observations.*"
) -> None:
    """Refuse to begin when files of the replay could not be written to their end.

    Args:
        context: of the run.
        size: bytes of the files when they are whole.
        what: they are, for the error.
        files: pattern of their names; what an attempt before has written needs no more room.

    Raises:
        RlvitError: the disk has less room than they still need.
    """
    free = shutil.disk_usage(context.folder).free
    written = (path.stat().st_blocks * 512 for path in (context.folder / "replay").glob(files))
    if free < size - sum(written):
        raise RlvitError(
            f"the {what} needs {size / 1e9:.1f} GB, {context.folder} has {free / 1e9:.1f} GB free."
        )


class Means:
    """Sums that stay on the device until they are logged."""

    def __init__(self) -> None:
        self.sums: dict[str, list[Any]] = {}

    def add(self, values: Mapping[str, Any]) -> None:
        """Add a value to each of some metrics."""
        for name, value in values.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = [total + value, count + 1]

    def take(self) -> dict[str, float]:
        """Return the means since the last call and begin anew."""
        means = {name: float(total) / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        return means


class Stopwatch:
    """Measures steps a second between looks."""

    def __init__(self, step: int) -> None:
        self.step, self.at = step, time.perf_counter()

    def speed(self, step: int) -> float:
        """Return the speed since the last look."""
        now = time.perf_counter()
        speed = (step - self.step) / (now - self.at)
        self.step, self.at = step, now
        return speed
