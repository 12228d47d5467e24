"""The agent learns from what the network's training pays it, now and then (nb 31; rlvit's own)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit.contracts import RunContext
from rlvit.nn.compute import attended_macs, embed_macs
from rlvit.nn.lookahead import attended
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.ragged import whole
from rlvit_agentvit.config import AgentvitConfig
from rlvit_agentvit.credit import (
    batch_baseline,
    leave_one_out,
    policy_gradient,
    td_loss,
    td_target,
)
from rlvit_agentvit.network import QNetwork, soft_update
from rlvit_agentvit.replay import TransitionReplay
from rlvit_agentvit.rewards import log_likelihood, loss_ratio, patch_term, reward
from rlvit_agentvit.selector import PatchAgent

EMA = 0.99  # share of the old mean of losses that each iteration keeps
FLOOR = 1e-6  # of a spread of rewards
FORWARD_BACKWARD = 3  # what both passes cost, in forward passes


@dataclass(frozen=True)
class Moment:
    """An iteration that is paid, after the network's step."""

    images: Tensor  # uint8 [B, 3, S, S], as they were trained on
    labels: Tensor  # int64 [B]
    loss: Tensor  # of the step, a scalar without gradient
    state: Tensor | None  # [B, N], what the agent saw before the step, if it looked
    kept: Tensor  # [B], patches
    draws: torch.Generator  # of the iteration, on the CPU


class Losses:
    """What a loss is compared with."""

    def __init__(self) -> None:
        self.first: Tensor | None = None  # of the run
        self.mean: Tensor | None = None  # exponential, of the iterations so far

    def observe(self, loss: Tensor) -> None:
        """Take the loss of an iteration, a scalar; nothing waits for the device."""
        if self.first is None or self.mean is None:
            self.first, self.mean = loss.clone(), loss.clone()
        self.mean = EMA * self.mean + (1 - EMA) * loss

    def term(self, loss: Tensor, kind: str) -> Tensor:
        """Return the loss term of the reward of a loss, any shape."""
        assert self.first is not None
        assert self.mean is not None
        if kind == "log-likelihood":
            return log_likelihood(self.first, loss)
        return loss_ratio(self.first if kind == "ratio" else self.mean, loss)

    def state(self) -> dict[str, Any]:
        """Return both."""
        return {"first": self.first, "mean": self.mean}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Go back to a saved state."""
        self.first, self.mean = (
            None if x is None else x.to(device) for x in (state["first"], state["mean"])
        )


class Learner(Protocol):
    """Teaches the agent of a network in training."""

    def learn(self, moment: Moment, losses: Losses) -> dict[str, Tensor]:
        """Take a step, and return what is worth logging, as scalars on the device.

        Among them are always `loss_term`, `patch_term` and `macs`, the multiply-adds that it took.
        """

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold, the agent's own weights apart."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""


def make_learner(context: RunContext, config: AgentvitConfig, vit: PrunedVit) -> Learner:
    """Return what teaches the agent of `vit`, which has its first weights."""
    if config.credit == "faithful":
        return TdLearner(context, config, vit)
    return MaskLearner(config, vit)


class _Optimised:
    """The agent's optimiser (nb 31)."""

    def __init__(self, config: AgentvitConfig, vit: PrunedVit) -> None:
        assert isinstance(vit.selector, PatchAgent)
        assert vit.selector.network is not None
        self.config, self.vit, self.agent = config, vit, vit.selector
        self.network: QNetwork = vit.selector.network
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.agent_lr, amsgrad=True, fused=True
        )

    def step(self, loss: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_value_(self.network.parameters(), self.config.grad_clip)
        self.optimiser.step()

    def paid(self, loss_term: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reward and its patch term for loss terms and patches kept, alike in shape."""
        patches = self.vit.backbone.shape.patches
        term = patch_term(kept, patches, self.agent.count)
        return reward(loss_term, term, self.config.alpha), term


class TdLearner(_Optimised):
    """The notebook's Q-learning: every output moves to r + gamma Q_target(s'), action or not."""

    def __init__(self, context: RunContext, config: AgentvitConfig, vit: PrunedVit) -> None:
        super().__init__(config, vit)
        self.device = context.device
        self.target = deepcopy(self.network).requires_grad_(False)
        self.replay = TransitionReplay(config.buffer_size)
        self.steps = 0

    def learn(self, moment: Moment, losses: Losses) -> dict[str, Tensor]:
        """Remember the moment; once there are enough of them, learn from some."""
        loss_term = losses.term(moment.loss, self.config.loss_reward).expand(len(moment.images))
        paid, term = self.paid(loss_term, moment.kept)  # [B]
        assert moment.state is not None
        after = state_of(self.vit, moment.images)  # [B, N]
        self.replay.push(moment.state, after, paid, moment.draws)
        shape = self.vit.backbone.shape
        look = attended_macs(shape, self.vit.backbone.heads, shape.prefix + shape.patches)
        look += embed_macs(shape)  # the images are embedded anew, by the network after its step
        found = {
            "reward": paid.mean(),
            "loss_term": loss_term.mean(),
            "patch_term": term.mean(),
            "macs": torch.tensor(float(look * len(after))),
        }
        if len(self.replay) < self.config.buffer_batch_size:
            return found
        batch = self.replay.sample(self.config.buffer_batch_size, moment.draws)
        with torch.no_grad():
            target = td_target(batch.reward, self.target(batch.next_state), self.config.gamma)
        q = self.network(batch.state)  # [R, N]
        loss = td_loss(q, target)
        self.step(loss)
        self.steps += 1
        if self.steps % self.config.update_every == 0:
            soft_update(self.target, self.network, self.config.tau)
        passes = (FORWARD_BACKWARD + 1) * len(q) * self.network.macs  # one of the target network
        macs = found["macs"] + passes
        return {**found, "macs": macs, "loss": loss.detach(), "q": q.detach().mean()}

    def state(self) -> dict[str, Any]:
        """Return optimiser, target network, replay and the number of steps."""
        return {
            "optimiser": self.optimiser.state_dict(),
            "target": self.target.state_dict(),
            "replay": self.replay.state(),
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.target.load_state_dict(state["target"])
        self.replay.restore(state["replay"], self.device)
        self.steps = state["steps"]


class MaskLearner(_Optimised):
    """rlvit's own: several masks of each image are drawn, tried, and compared with each other."""

    def learn(self, moment: Moment, losses: Losses) -> dict[str, Tensor]:
        """Draw masks of the moment's images, pay each by its own loss, and follow the gradient."""
        images, samples = len(moment.images), self.config.samples
        self.agent.mode = "draw"
        with torch.no_grad():
            walk = self.vit.walk(moment.images, samples)
        self.agent.mode = "greedy"
        labels = moment.labels.repeat_interleave(samples)
        nll = functional.cross_entropy(walk.logits, labels, reduction="none")  # [B * S]
        keep = walk.alive[-1]  # [B * S, N]
        loss_term = losses.term(nll, self.config.loss_reward)
        paid, term = self.paid(loss_term, keep.sum(1))
        baseline = leave_one_out if self.config.baseline == "image" else batch_baseline
        rewards = paid.double().view(images, samples)
        # A last batch of a single image with a single mask has nothing to be compared with.
        advantage = torch.zeros_like(rewards)
        if rewards.numel() > 1:
            advantage = baseline(rewards)
            # Rewards shrink as the network learns; what is below the floor is rounding.
            advantage = advantage / (advantage.std() + FLOOR)
        assert self.agent.state_seen is not None
        logit = self.network(self.agent.state_seen)  # [B * S, N]
        advantage = advantage.float().flatten()
        found = policy_gradient(logit, keep, advantage, self.config.entropy)
        self.step(found.loss)
        return {
            "reward": paid.mean(),
            "loss_term": loss_term.mean(),
            "patch_term": term.mean(),
            "loss": found.loss.detach(),
            "entropy": found.entropy,
            "drawn": keep.sum(1).float().mean(),
            # The network's forward pass is among the walk's own.
            "macs": walk.macs.sum() + FORWARD_BACKWARD * len(logit) * self.network.macs,
        }

    def state(self) -> dict[str, Any]:
        """Return the optimiser."""
        return {"optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.optimiser.load_state_dict(state["optimiser"])


@torch.no_grad()
def state_of(vit: PrunedVit, images: Tensor) -> Tensor:
    """Return what the agent would see of images [B, 3, S, S] now: [B, N]."""
    backbone = vit.backbone
    with torch.autocast(images.device.type, torch.bfloat16, enabled=vit.bf16):
        ragged = whole(backbone.embed(images), backbone.shape.prefix)
        return attended(backbone.blocks[0], ragged).float().view(len(images), -1)
