"""SPIRL from beginning to end: frames, autoencoder, selection, Rainbow, evaluation (Fig. 5)."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file

from rlvit.contracts import Environment, Measurement, RunContext, Selector, State
from rlvit.errors import RlvitError
from rlvit.rl.replay import SequenceReplay
from rlvit.rl.schedules import linear
from rlvit.rl.streams import stream_from, stream_state
from rlvit_spirl.agent import GreedyPolicy, PatchFeatures, RainbowAgent
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.frames import load_frames, recorded_frames
from rlvit_spirl.mae import PATCHES
from rlvit_spirl.network import EMBEDDING, STACK
from rlvit_spirl.pretrain import pretrained
from rlvit_spirl.selection import cap


def train(context: RunContext, config: SpirlConfig) -> None:
    """Train and evaluate one agent."""
    mae_seed = config.mae_seed if config.share_mae else context.seed
    mae = pretrained(context, config, mae_seed)
    selector: Selector = context.part("selector").make(mae, config, context.task)
    saved = context.restored("learn") or context.restored("evaluate")
    if saved is not None:
        selector.restore(saved["features"]["selector"])
    elif config.ratio_of(context.task.name) is None:
        recorded = load_frames(recorded_frames(context, config, mae_seed))
        sample = context.generator("ratio", mae_seed).permutation(len(recorded))
        decided = selector.prepare(recorded[sample[: config.ratio_frames]])
        context.log(0, decided)
        context.say(f"{context.task.name} has no published ratio; found {dict(decided)}")

    draws = context.torch_generator("selector")
    rate = cap(config.ratio_of(context.task.name) or 1.0) / PATCHES
    features = PatchFeatures(selector, mae, PATCHES, context.device, rate=rate, generator=draws)
    patches = features(np.zeros((3, 96, 96), dtype=np.uint8)).shape[0]  # L, fixed by the cap
    features.forget()
    stream = context.generator("environment")
    settings = {**context.protocol.settings, "terminal_on_life_loss": True}
    environment = context.task.make(settings, int(stream.integers(2**31)))
    agent = RainbowAgent(
        environment.action_count, config, context.device, context.torch_generator("agent")
    )
    if saved is not None:
        features.restore(saved["features"])
        agent.restore(saved["agent"])
    evaluating = context.restored("evaluate")
    if evaluating is None:
        speed = learn(context, config, environment, features, agent, patches, saved)
    else:
        speed = evaluating["speed"]

    def state() -> State:
        return {"features": features.state(), "agent": agent.state(), "speed": speed}

    context.checkpoint("evaluate", config.steps, state, every=1)
    keep_agent(context, agent)
    context.evaluate(GreedyPolicy(agent, features, patches), config.steps)
    measured = [Measurement("select/kept", features.kept / features.frames, features.frames)]
    keep_counts(context, features.by_count, patches)
    if speed > 0:  # unknown where an attempt had no step left to take
        measured.append(Measurement("speed/steps", speed, 1))
    context.record(config.steps, measured)
    shutil.rmtree(context.folder / "replay", ignore_errors=True)  # nothing reads it any more


def keep_agent(context: RunContext, agent: RainbowAgent) -> None:
    """Keep the trained network: the last link from frames to autoencoder to agent."""

    def build(folder: Path) -> None:
        weights = {name: t.detach().cpu() for name, t in agent.online.state_dict().items()}
        save_file(weights, folder / "agent.safetensors")

    mae = json.loads((context.folder / "artifacts" / "mae" / "artifact.json").read_text())
    inputs = {"mae": mae["sha256"], "seed": context.seed, "updates": agent.updates}
    context.keep("agent", inputs, build)


def keep_counts(context: RunContext, by_count: NDArray[np.int64], cap: int) -> None:
    """Keep how many frames of learning and evaluation kept 0, 1, .. patches, and the cap."""

    def build(folder: Path) -> None:
        np.savez(folder / "kept.npz", frames=by_count, cap=np.array(cap))

    context.keep("kept", {"cap": cap, "frames": int(by_count.sum())}, build)


def learn(
    context: RunContext,
    config: SpirlConfig,
    environment: Environment,
    features: PatchFeatures,
    agent: RainbowAgent,
    patches: int,
    saved: State | None,
) -> float:
    """Play `config.steps` steps and learn from them (section 4.3, Tables 9 and 10).

    Returns the speed of this attempt in steps a second.
    """
    require_space(context, config.steps * patches * EMBEDDING * 4)
    replay = SequenceReplay(
        context.folder / "replay",
        config.steps,
        (patches, EMBEDDING),
        STACK,
        config.n_step,
        config.gamma,
        config.priority_exponent,
    )
    shape_reward = context.part("reward").shape
    actions, samples = context.generator("actions"), context.generator("samples")
    means, score, begun = Means(), 0.0, 0
    if saved is None:
        frame = environment.reset()
    else:
        begun, score, frame = saved["step"], saved["score"], saved["frame"]
        environment.restore(saved["environment"])
        replay.restore(saved["replay"])
        actions, samples = stream_from(saved["actions"]), stream_from(saved["samples"])
        means.sums = saved["means"]

    def state() -> State:
        return {
            "step": step,
            "score": score,
            "frame": frame,
            "environment": environment.state(),
            "replay": replay.state(),
            "actions": stream_state(actions),
            "samples": stream_state(samples),
            "means": means.sums,
            "features": features.state(),
            "agent": agent.state(),
        }

    progress = context.stage("learn", config.steps, "steps")
    shown: dict[str, float] = {}
    since, whole = Stopwatch(begun), Stopwatch(begun)
    for step in range(begun + 1, config.steps + 1):
        embedded = features(frame)  # [L, 64]
        if step <= config.random_steps:
            action = int(actions.integers(environment.action_count))
        else:
            action = agent.act(replay.latest_stack(embedded))
        taken = environment.step(action)
        replay.append(embedded, action, shape_reward(taken.reward), taken.done)
        means.add("select/kept", features.latest)
        score += taken.reward
        frame = environment.reset() if taken.done else taken.frame
        if taken.game_over:
            context.log(step, {"train/return": score})
            score, shown = 0.0, {"return": score}

        if step > config.learn_start and step % config.steps_per_update == 0:
            beta = linear(step, config.learn_start, config.steps, config.importance_exponent, 1.0)
            batch = replay.sample(samples.random(config.batch_size), beta)
            priorities, logged = agent.update(batch)
            replay.update_priorities(batch.indices, priorities)
            for name, value in logged.items():
                means.add(name, value)

        if step % config.log_every == 0:
            saturated = features.full / max(features.frames, 1)
            speed = {"speed/steps": since.speed(step), "select/saturated": saturated}
            context.log(step, {**means.take(), **features.selector.report(), **speed})
        progress.update(step, **shown)
        context.checkpoint("learn", step, state, config.checkpoint_every)
    return whole.speed(config.steps)


def require_space(context: RunContext, size: int) -> None:
    """Refuse to begin when the replay's file could not be written to its end.

    Raises:
        RlvitError: the disk has less room than the replay needs.
    """
    free = shutil.disk_usage(context.folder).free
    if free < size:
        raise RlvitError(
            f"the replay needs {size / 1e9:.1f} GB, {context.folder} has {free / 1e9:.1f} GB free."
        )


class Means:
    """Sums that stay on the device until they are logged."""

    def __init__(self) -> None:
        self.sums: dict[str, list[Any]] = {}

    def add(self, name: str, value: Any) -> None:
        """Add one value."""
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
