"""What a run is expected to cost, for the estimate that a run begins with."""

from __future__ import annotations

from rlvit.specs import Protocol, StageCost, TaskSpec
from rlvit_glimpse.config import GlimpseConfig

BACKWARD = 3.0  # forward and backward passes, in forward passes
ROLLOUT = 0.01  # seconds a step of all games that no device saves
SLOW = 3.0  # small products take so many times as long as their operations say
USUAL_IMAGES = 10_000
PASSES = 4  # over the measured images: greedy, drawn, and controls


def estimate(config: GlimpseConfig, task: TaskSpec, protocol: Protocol) -> list[StageCost]:
    """Return the cost of each stage."""
    from rlvit_glimpse.agents import make_network
    from rlvit_glimpse.rollouts import steps_of_rollout

    size, classes = task.image_size, int(task.facts.get("classes") or 10)
    network = make_network(config, size, classes, generator=None)
    steps = config.max_steps or 1
    a_step = 2.0 * network.macs(steps) / steps
    passes = 1 + BACKWARD * (config.ppo_epochs or 1)
    tested = int(protocol.settings["images"]) or int(task.facts.get("test_images") or USUAL_IMAGES)
    rollouts = config.steps / steps_of_rollout(config)
    return [
        StageCost(
            "learn",
            f"{config.steps:,} glimpses",
            SLOW * a_step * passes * config.steps,
            ROLLOUT * steps * rollouts,
        ),
        StageCost(
            "evaluate",
            f"{PASSES} passes over {tested:,} images",
            SLOW * PASSES * a_step * steps * tested,
            0.0,
        ),
    ]
