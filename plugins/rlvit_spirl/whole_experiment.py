"""Data-efficient Rainbow on whole grey frames, from beginning to end (Table 2, DE-Rainbow)."""

from __future__ import annotations

import shutil

from rlvit.contracts import Examined, Measurement, RunContext, State
from rlvit_spirl.agent import RainbowAgent
from rlvit_spirl.film import Camera
from rlvit_spirl.learning import Learnt, at_once, best_median, keep_agent, learn
from rlvit_spirl.showing import show_run
from rlvit_spirl.whole_config import WholeFrameConfig
from rlvit_spirl.whole_frames import GreedyFrames, WholeFrames, frame_network


def train(context: RunContext, config: WholeFrameConfig) -> None:
    """Train and evaluate one agent."""
    config = config.filled(context.task.name)
    observe = WholeFrames(config.size)
    settings = {"terminal_on_life_loss": True, **context.protocol.settings, **observe.view}
    stream = context.generator("environment")
    environment = context.task.make(settings, int(stream.integers(2**31)))
    agent = RainbowAgent(
        environment.action_count,
        config,
        context.device,
        context.torch_generator("agent"),
        frame_network,
    )

    def evaluate(step: int) -> Examined:
        return context.evaluate(GreedyFrames(agent, observe, at_once(context)), step)

    evaluating = context.restored("evaluate")
    saved = context.restored("learn") or evaluating
    if saved is not None:
        agent.restore(saved["agent"])
    if evaluating is None:
        learnt = learn(context, config, environment, observe, agent, evaluate, saved)
    else:
        learnt = Learnt(evaluating["speed"], evaluating["medians"])

    def state() -> State:
        return {"agent": agent.state(), **vars(learnt)}

    context.checkpoint("evaluate", config.steps, state, every=1)
    keep_agent(context, agent, {"size": config.size})
    camera = Camera(GreedyFrames(agent, observe, at_once(context)), games=int(config.figures))
    measured = best_median(context, learnt.medians, context.evaluate(camera, config.steps))
    show_run(context, camera, None, f"{context.task.name}, seed {context.seed}, game 0")
    if learnt.speed > 0:  # unknown where an attempt had no step left to take
        measured.append(Measurement("speed/steps", learnt.speed, 1))
    context.record(config.steps, measured)
    shutil.rmtree(context.folder / "replay", ignore_errors=True)  # nothing reads it any more
    agent.forget()
