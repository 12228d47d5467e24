"""Multi-agent PPO on the decisions of a rollout; the vision transformer is not run again.

Source: Algorithm 1, and Yu et al. 2022, "The Surprising Effectiveness of PPO in Cooperative
Multi-Agent Games", whose active masks it uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rlvit.rl.gae import gae, normalise
from rlvit.rl.ppo import (
    bernoulli_entropy,
    bernoulli_log_prob,
    clipped_policy_loss,
    clipped_value_loss,
)

METRICS = (
    "policy_loss",
    "value_loss",
    "entropy",
    "approx_kl",
    "clip_fraction",
    "actor_gradient_norm",
    "critic_gradient_norm",
)


@dataclass(frozen=True)
class MappoSettings:
    """How a rollout is learnt from; the values are those of the published code, if not noted."""

    gamma: float = 0.99
    lam: float = 0.95  # 0 gives the published code's one-step advantage
    clip: float = 0.2
    value_clip: float | None = 0.2  # appendix A.3; the published code switches it off (None)
    huber: float | None = None  # error where the value loss becomes linear
    entropy: float = 0.01  # weight of the policy's entropy in nats
    gradient_clip: float = 10.0  # norm, of actor and critic each
    epochs: int = 4
    minibatch: int = 16  # images
    normalise_advantages: bool = True  # appendix A.3; not in the published code


@dataclass(frozen=True)
class Decision:
    """What one decision saw and did; T patches were alive before it."""

    tokens: Tensor  # [T, D] in the order of acting.nonzero()
    cls: Tensor  # [B, D]
    acting: Tensor  # [B, N] bool, alive before it
    alive: Tensor  # [B, N] bool, alive after it: a part of acting


@dataclass(frozen=True)
class Rollout:
    """All decisions about B images, their rows (one for each acting agent) laid end to end.

    An agent acts for the last time at the decision that discards it. That step is learnt from; its
    later steps do not exist. The published code has them too, with the log-probability of an action
    that was not executed, and so with ratios that mean nothing; that fault is not offered.
    """

    tokens: Tensor  # [T, D] of the acting agents, decision by decision
    cls: Tensor  # [L * B, D]
    index: Tensor  # [T] of each row in the flattened [L, B, N]
    acting: Tensor  # [L, B, N] bool
    alive: Tensor  # [L, B, N] bool

    @property
    def state(self) -> Tensor:
        """Return the row of `cls` that belongs to each row [T]."""
        return self.index // self.acting.shape[2]

    @property
    def image(self) -> Tensor:
        """Return the image of each row [T]."""
        return self.state % self.acting.shape[1]

    @property
    def position(self) -> Tensor:
        """Return the patch id of each row [T]."""
        return self.index % self.acting.shape[2]


def pack(decisions: Sequence[Decision]) -> Rollout:
    """Lay the decisions about a batch of images, first to last, end to end."""
    acting = torch.stack([decision.acting for decision in decisions])
    return Rollout(
        tokens=torch.cat([decision.tokens for decision in decisions]),
        cls=torch.cat([decision.cls for decision in decisions]),
        index=acting.flatten().nonzero()[:, 0],
        acting=acting,
        alive=torch.stack([decision.alive for decision in decisions]),
    )


def make_optimiser(parameters: Iterable[nn.Parameter], lr: float, eps: float) -> torch.optim.Adam:
    """Return the Adam that both networks use; eps is 1e-5 in the paper's text, 1e-8 in its code."""
    return torch.optim.Adam(parameters, lr=lr, eps=eps, fused=True)


def update(
    actor: nn.Module,
    critic: nn.Module,
    actor_optimiser: torch.optim.Optimizer,
    critic_optimiser: torch.optim.Optimizer,
    rollout: Rollout,
    rewards: Tensor,
    settings: MappoSettings,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Learn from a rollout that the present actor made.

    Old log-probabilities and values are computed here, from the rollout's tokens as they are
    stored, so that all ratios are 1 at the first minibatch even if tokens are stored in bfloat16.

    Args:
        actor: (tokens [T, D], cls [S, D], position [T], index into cls [T]) to log-odds of keeping.
        critic: the same arguments to values.
        actor_optimiser: of the actor's parameters.
        critic_optimiser: of the critic's parameters.
        rollout: on the networks' device.
        rewards: float32 [L, B, N].
        settings: how to learn.
        generator: on the CPU; orders the images.

    Returns:
        METRICS, means over the minibatches, with `value` and `advantage_std` of the rollout; on the
        networks' device. The losses are without weights.
    """
    learner = _Learner(actor, critic, actor_optimiser, critic_optimiser, rollout, settings)
    targets = learner.targets(rewards)
    counts = rollout.acting.sum((0, 2)).cpu()  # [B]; the only wait for the device
    steps = [
        learner.step(rows, targets)
        for _ in range(settings.epochs)
        for rows in _minibatches(rollout, counts, settings.minibatch, generator)
    ]
    means = torch.stack(steps).mean(0).unbind()
    return {
        **dict(zip(METRICS, means, strict=True)),
        "value": targets.value.mean(),
        "advantage_std": targets.advantage_std,
    }


def _minibatches(
    rollout: Rollout, counts: Tensor, size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield the rows of `size` images at a time, in a random order of the images.

    Args:
        rollout: on any device.
        counts: rows of each image, on the CPU [B], so that no minibatch waits for the device.
        size: images a minibatch; the last may have fewer.
        generator: on the CPU.
    """
    order = torch.randperm(len(counts), generator=generator)
    rank = order.argsort().to(rollout.index.device)  # [B] when each image's turn is
    rows = rank[rollout.image].argsort(stable=True)  # [T] image by image
    sizes = [int(part.sum()) for part in counts[order].split(size)]
    yield from (part for part in rows.split(sizes) if len(part))


@dataclass(frozen=True)
class _Targets:
    """What every row is taught, fixed for all epochs; [T] each."""

    action: Tensor  # bool
    log_prob: Tensor
    value: Tensor
    advantage: Tensor
    target: Tensor  # of the critic
    advantage_std: Tensor  # scalar, before normalisation


class _Learner:
    """The networks and the rollout of one update."""

    def __init__(
        self,
        actor: nn.Module,
        critic: nn.Module,
        actor_optimiser: torch.optim.Optimizer,
        critic_optimiser: torch.optim.Optimizer,
        rollout: Rollout,
        settings: MappoSettings,
    ) -> None:
        self.actor, self.actor_optimiser = actor, actor_optimiser
        self.critic, self.critic_optimiser = critic, critic_optimiser
        self.rollout, self.settings = rollout, settings
        self.position, self.state = rollout.position, rollout.state

    @torch.no_grad()
    def targets(self, rewards: Tensor) -> _Targets:
        """Return what the rows are taught, from rewards [L, B, N]."""
        rollout = self.rollout
        inputs = (rollout.tokens, rollout.cls, self.position, self.state)
        action = rollout.alive.flatten()[rollout.index]
        value = self.critic(*inputs)
        advantage = advantages(rollout, rewards, value, self.settings)
        target, std = value + advantage, advantage.std(correction=0)
        if self.settings.normalise_advantages:
            advantage = normalise(advantage)
        log_prob = bernoulli_log_prob(self.actor(*inputs), action)
        return _Targets(action, log_prob, value, advantage, target, std)

    def step(self, rows: Tensor, targets: _Targets) -> Tensor:
        """Take a step of both optimisers on a minibatch [M]; return METRICS as one tensor."""
        settings, rollout = self.settings, self.rollout
        inputs = (rollout.tokens[rows], rollout.cls, self.position[rows], self.state[rows])
        logit = self.actor(*inputs)
        policy = clipped_policy_loss(
            bernoulli_log_prob(logit, targets.action[rows]),
            targets.log_prob[rows],
            targets.advantage[rows],
            settings.clip,
        )
        entropy = bernoulli_entropy(logit).mean()
        actor_norm = self._descend(
            self.actor, self.actor_optimiser, policy.loss - settings.entropy * entropy
        )
        value_loss = clipped_value_loss(
            self.critic(*inputs),
            targets.value[rows],
            targets.target[rows],
            settings.value_clip,
            settings.huber,
        )
        critic_norm = self._descend(self.critic, self.critic_optimiser, value_loss)
        shown = (policy.loss, value_loss, entropy, policy.approx_kl, policy.clip_fraction)
        return torch.stack([x.detach() for x in (*shown, actor_norm, critic_norm)])

    def _descend(
        self, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor
    ) -> Tensor:
        """Take one step and return the norm of the gradient before clipping."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), self.settings.gradient_clip)
        optimiser.step()
        return norm


def advantages(rollout: Rollout, rewards: Tensor, value: Tensor, settings: MappoSettings) -> Tensor:
    """Return each row's advantage [T], an agent's decisions being its own episode.

    The state that a decision leads to is that of the next decision; the published code takes the
    tokens one block later instead. An episode terminates with the agent's death or with the last
    decision; the published code bootstraps past that one.

    Args:
        rollout: L decisions about B images.
        rewards: [L, B, N].
        value: of each row [T].
        settings: gamma and lam.
    """
    values = torch.zeros_like(rewards).flatten().scatter(0, rollout.index, value)
    values = values.view_as(rewards)  # [L, B, N], 0 where nobody acts
    following = torch.cat([values[1:], torch.zeros_like(values[:1])])
    over = ~rollout.alive  # [L, B, N]
    over = torch.cat([over[:-1], torch.ones_like(over[-1:])])
    dense = gae(
        rewards, values, following, over, over, settings.gamma, settings.lam, rollout.acting
    )
    return dense.flatten()[rollout.index]
