"""Agents learn on the frozen backbone: roll out, pay, update (Algorithm 1)."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor

from rlvit.contracts import RunContext, State
from rlvit.nn.pruning import PrunedVit, Walk
from rlvit.nn.randomness import on_device
from rlvit.rl.schedules import linear
from rlvit_rl4dvit.agents import Critic
from rlvit_rl4dvit.budget import equivalent_patches
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.images import training_batches, training_split
from rlvit_rl4dvit.mappo import MappoSettings, make_optimiser, pack, update
from rlvit_rl4dvit.rewards import gated_reward, keep_ratio_reward, team_reward, ungated_reward
from rlvit_rl4dvit.selector import TokenAgents
from rlvit_rl4dvit.target import TargetKeep

TEAM_SHARE, TEAM_GAIN = 0.1, 0.2  # see `steering`; found on ViT-Tiny and Imagenette
SUCCESSOR_TARGETS = (0.7, 0.49, 0.343)  # of RL4EViT, after each decision


def rollout_count(context: RunContext, config: Rl4dvitConfig) -> int:
    """Return the number of rollouts: those asked for, or as many as the epochs make."""
    if config.rollouts is not None:
        return config.rollouts
    images = len(training_split(context, config).labels)
    per_epoch = images // min(config.rollout_images, images)
    return math.ceil(config.rl_epochs * per_epoch)


def learn(
    context: RunContext,
    config: Rl4dvitConfig,
    vit: PrunedVit,
    rollouts: int,
    target: TargetKeep | None,
    saved: State | None,
) -> None:
    """Train the agents of `vit` for a number of rollouts.

    Args:
        context: of the run.
        config: of the run.
        vit: frozen backbone, with agents that have their first weights.
        rollouts: how many.
        target: what steers alpha; None leaves alpha alone.
        saved: the checkpoint to go on from.
    """
    agents = vit.selector
    assert isinstance(agents, TokenAgents)
    assert agents.actor is not None
    learner = Learner(context, config, agents, vit)
    begun = 0
    if saved is not None:
        begun = saved["rollout"]
        agents.restore(saved["agents"])
        learner.restore(saved["learner"])
        if target is not None:
            target.restore(saved["target"])

    def state() -> State:
        return {
            "rollout": done,
            "agents": agents.state(),
            "learner": learner.state(),
            "target": None if target is None else target.state(),
        }

    vit.backbone.module.eval().requires_grad_(False)
    progress = context.stage("rollouts", rollouts, "rollouts")
    progress.update(begun)
    batches = training_batches(
        context, config, vit.image_size, "rollouts", config.rollout_images, begun, rollouts
    )
    since, seen, done = time.perf_counter(), 0, begun
    for done, (images, labels, draws) in enumerate(batches, start=begun + 1):
        vit.generator = on_device(draws, context.device)
        alpha = config.alpha if target is None else target.alpha
        with torch.no_grad():
            walk = explore(agents, vit, images, config.samples_per_image)
        correct, answer = right(walk, vit.targets, labels, config)
        rewards = pay(config, walk, correct, answer, alpha)
        learner.decay(done - 1, rollouts)
        logged = learner.update(agents, rewards, draws)
        seen += len(images)
        kept, share = equivalent_patches(vit, walk.macs), float(correct.float().mean())
        if target is not None:
            target.observe(share, kept)

        if done % config.log_every == 0 or done == rollouts:
            now = time.perf_counter()
            speed = seen / (now - since)
            since, seen = now, 0
            paid = float(rewards.sum((0, 2)).mean())
            context.log(
                done,
                {
                    **{f"rl/{name}": float(value) for name, value in logged.items()},
                    "rl/accuracy": 100 * share,
                    "rl/kept": float(walk.alive[-1].sum(1).float().mean()),
                    "rl/gmacs": float(walk.macs.mean()) / 1e9,
                    "rl/reward": paid,
                    "rl/alpha": alpha,
                    "speed/rollout_images": speed,
                },
            )
        progress.update(done, accuracy=100 * share, kept=kept)
        every = 1 if done == rollouts else config.checkpoint_every
        context.checkpoint("rollouts", done, state, every)


def steering(config: Rl4dvitConfig, patches: float, accuracy: float) -> TargetKeep:
    """Return what moves alpha until so many patches stay.

    Under team credit the fixed point is not that of the gated reward: a patch is worth only what
    it adds to the answer. Alpha begins far lower, and its correction does the work.
    """
    if config.credit == "agent":
        return TargetKeep(patches, config.beta, config.reward_scale, accuracy=accuracy)
    bonus = TEAM_SHARE * config.reward_scale
    return TargetKeep(patches, config.beta, bonus, accuracy=accuracy, gain=TEAM_GAIN)


def explore(agents: TokenAgents, vit: PrunedVit, images: Tensor, samples: int) -> Walk:
    """Walk images with agents that draw their actions and remember what they saw."""
    agents.explore, agents.decisions = True, []
    try:
        return vit.walk(images, samples)
    finally:
        agents.explore = False


def right(
    walk: Walk, targets: Tensor, labels: Tensor, config: Rl4dvitConfig
) -> tuple[Tensor, Tensor]:
    """Return which samples [B] are answered with the likeliest class of their label [.., C], and
    the log-probability of that class in nats [B].
    """
    wanted = labels.argmax(1).repeat_interleave(config.samples_per_image)
    logits = walk.logits
    if config.classes == "dataset":
        logits = logits[:, targets]
    else:
        wanted = targets[wanted]
    answer = logits.log_softmax(1).gather(1, wanted[:, None])[:, 0]
    return logits.argmax(1) == wanted, answer


def pay(config: Rl4dvitConfig, walk: Walk, correct: Tensor, answer: Tensor, alpha: float) -> Tensor:
    """Return what each agent is paid after each decision [L, B, N] (section 3.2)."""
    alive, beta, scale = walk.alive, config.beta, config.reward_scale
    if config.credit == "team":
        outcome = correct.float() if config.outcome == "correct" else answer
        return team_reward(outcome, alive, alpha, beta, scale, config.samples_per_image)
    if config.reward == "ungated":
        return ungated_reward(correct, alive, alpha, beta, scale)
    paid = gated_reward(correct, alive, alpha, beta, scale)
    if config.reward == "rl4evit":
        paid = paid + keep_ratio_reward(alive, SUCCESSOR_TARGETS[: len(alive)])
    return paid


class Learner:
    """The critic and both optimisers."""

    def __init__(
        self, context: RunContext, config: Rl4dvitConfig, agents: TokenAgents, vit: PrunedVit
    ) -> None:
        shape = vit.backbone.shape
        self.critic = Critic(
            shape.dim,
            shape.patches,
            normalise_tokens=config.normalise_tokens,
            generator=context.torch_generator("critic"),
        ).to(context.device)
        assert agents.actor is not None
        self.actor_optimiser = make_optimiser(agents.actor.parameters(), config.lr, config.adam_eps)
        self.critic_optimiser = make_optimiser(self.critic.parameters(), config.lr, config.adam_eps)
        self.config = config
        self.settings = settings_of(config)

    def decay(self, done: int, rollouts: int) -> None:
        """Set the step size of the next rollout."""
        if not self.config.decay_lr:
            return
        lr = linear(done, 0, rollouts, self.config.lr, 0.0)
        for optimiser in (self.actor_optimiser, self.critic_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = lr

    def update(
        self, agents: TokenAgents, rewards: Tensor, draws: torch.Generator
    ) -> dict[str, Tensor]:
        """Learn from what the agents remember; it is forgotten afterwards."""
        assert agents.actor is not None
        rollout, agents.decisions = pack(agents.decisions), []
        return update(
            agents.actor,
            self.critic,
            self.actor_optimiser,
            self.critic_optimiser,
            rollout,
            rewards,
            self.settings,
            draws,
        )

    def state(self) -> dict[str, Any]:
        """Return critic and optimisers."""
        return {
            "critic": self.critic.state_dict(),
            "actor_optimiser": self.actor_optimiser.state_dict(),
            "critic_optimiser": self.critic_optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.critic.load_state_dict(state["critic"])
        self.actor_optimiser.load_state_dict(state["actor_optimiser"])
        self.critic_optimiser.load_state_dict(state["critic_optimiser"])


def settings_of(config: Rl4dvitConfig) -> MappoSettings:
    """Return how a rollout is learnt from."""
    return MappoSettings(
        gamma=config.gamma,
        lam=config.gae_lambda if config.advantage == "gae" else 0.0,
        clip=config.clip,
        value_clip=config.clip if config.clip_value else None,
        huber=config.huber,
        entropy=config.entropy,
        gradient_clip=config.grad_clip,
        epochs=config.ppo_epochs,
        minibatch=config.minibatch_images,
        normalise_advantages=config.normalise_advantages,
    )
