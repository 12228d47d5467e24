"""What a rollout teaches: PPO's clipped objective over whole games, or a step of REINFORCE.

L = L_policy + w_v L_value - beta H (text, "model update"), and, as terms of their own, a supervised
one (Mnih et al. 2014) and a reconstruction (vit_rl.py).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit.rl.gae import gae, normalise
from rlvit.rl.ppo import clipped_policy_loss, masked_mean
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.networks import GlimpseNetwork, Heads
from rlvit_glimpse.policies import entropy_weights, make_policy
from rlvit_glimpse.rollouts import Episodes


def advantages(episodes: Episodes, config: GlimpseConfig) -> Tensor:
    """Return GAE of every step [T, G]; a game that was cut off goes on in its last value."""
    assert config.gamma is not None
    assert config.gae_lambda is not None
    return gae(
        episodes.reward,
        episodes.value,
        episodes.next_value,
        episodes.terminated,
        episodes.ended,
        config.gamma,
        config.gae_lambda,
        episodes.alive,
    )


def update(
    network: GlimpseNetwork,
    optimiser: torch.optim.Optimizer,
    episodes: Episodes,
    config: GlimpseConfig,
    draws: torch.Generator,
    before_step: Callable[[], None],
) -> dict[str, Tensor]:
    """Learn from a rollout; return means over its minibatches, on the device.

    Args:
        network: of the agent.
        optimiser: of its parameters.
        episodes: the rollout.
        config: of the run.
        draws: of the minibatches, on the CPU.
        before_step: called before each step of the optimiser.
    """
    gained = advantages(episodes, config)  # [T, G]
    returns = gained + episodes.value
    passes = 1
    if config.algorithm == "ppo":
        gained = normalise(gained, episodes.alive)
        passes = config.ppo_epochs or 1
    games = len(episodes.labels)
    size = min(config.minibatch or games, games)
    logged: list[dict[str, Tensor]] = []
    for _ in range(passes):
        order = torch.randperm(games, generator=draws).to(gained.device)
        for chosen in order.split(size):
            part = episodes.games(chosen)
            found = losses(network, part, gained[:, chosen], returns[:, chosen], config)
            before_step()
            optimiser.zero_grad(set_to_none=True)
            found["total"].backward()
            assert config.grad_clip is not None
            norm = nn.utils.clip_grad_norm_(network.parameters(), config.grad_clip)
            optimiser.step()
            kept = {name: value.detach() for name, value in found.items() if name != "total"}
            logged.append({**kept, "gradient_norm": norm.detach()})
    return {name: torch.stack([row[name] for row in logged]).mean() for name in logged[0]}


def losses(
    network: GlimpseNetwork,
    part: Episodes,
    gained: Tensor,
    returns: Tensor,
    config: GlimpseConfig,
) -> dict[str, Tensor]:
    """Return the loss of a minibatch as "total", and its parts, scalars."""
    heads = heads_of(network, part, config)
    steps = torch.arange(len(part.alive), device=gained.device)
    last = (steps == (config.max_steps or 0) - 1)[:, None]  # [T, 1]
    policy = make_policy(config, heads, last, explores=not config.fault_epsilon)
    log_prob = policy.log_prob(part.actions)  # [T, G]
    clip = config.clip or 0.2
    clipped = clipped_policy_loss(log_prob, part.log_prob, gained, clip, part.alive)
    chosen = clipped.loss
    if config.algorithm == "reinforce":
        chosen = -masked_mean(log_prob * gained, part.alive)
    value = masked_mean((heads.value - returns).square(), part.alive)
    total = chosen + (config.value_weight or 0.0) * value
    found = {
        "policy_loss": chosen,
        "value_loss": value,
        "approx_kl": clipped.approx_kl,
        "clip_fraction": clipped.clip_fraction,
    }
    entropies, weights = policy.entropies(), entropy_weights(config)
    for name, entropy in entropies.items():
        mean = masked_mean(entropy, part.alive)
        total = total - weights[name] * mean
    found["entropy"] = sum(
        (masked_mean(one, part.alive) for one in entropies.values()), torch.zeros_like(value)
    )
    supervised = answer_loss(heads, part, at=config.supervised_at)
    if config.supervised:
        total = total + config.supervised * supervised
    found["supervised"] = supervised
    if config.reconstruction and "reconstruction" in heads.extra:
        error = (heads.extra["reconstruction"] - part.glimpses).square().flatten(2).mean(2)
        drawn = masked_mean(error, part.alive)
        total = total + config.reconstruction * drawn
        found["reconstruction"] = drawn
    return {**found, "total": total}


def answer_loss(heads: Heads, part: Episodes, at: str = "last") -> Tensor:
    """Return the cross-entropy of the class head with the label, nats.

    Args:
        heads: [T, G, ...].
        part: the games.
        at: "last": of each game's last step; "every": the mean of all steps that were taken.
    """
    if at == "every":
        labels = part.labels.expand(len(part.alive), -1)  # [T, G]
        each = functional.cross_entropy(heads.classes.movedim(2, 1), labels, reduction="none")
        return masked_mean(each, part.alive)
    last = part.lengths - 1  # [G]
    games = torch.arange(len(last), device=last.device)
    return functional.cross_entropy(heads.classes[last, games], part.labels)


def heads_of(network: GlimpseNetwork, part: Episodes, config: GlimpseConfig) -> Heads:
    """Return the network's heads [T, G, ...] on a rollout, learning through time.

    With `fault_memory` each step begins from the rollout's memory as from a constant; hybrid-vit
    even from nothing, as its published update sees the present glimpse alone.
    """
    if not config.fault_memory:
        return network.sequence(part.glimpses, part.places, part.alive)
    shape = part.alive.shape
    glimpses, places = part.glimpses.flatten(0, 1), part.places.flatten(0, 1)
    if config.variant == "hybrid-vit":  # games of one glimpse each
        heads = network.sequence(glimpses[None], places[None], part.alive.reshape(1, -1))
        return heads.map(lambda x: x[0].unflatten(0, shape))
    names = part.memory[0]
    memory = {name: torch.cat([one[name] for one in part.memory]) for name in names}
    heads, _ = network.step(glimpses, places, memory)
    return heads.map(lambda x: x.unflatten(0, shape))
