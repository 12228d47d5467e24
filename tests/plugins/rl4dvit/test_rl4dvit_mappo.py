"""MAPPO's update: which steps count, their advantages, minibatches, and determinism."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rlvit_rl4dvit.agents import Actor, Critic
from rlvit_rl4dvit.mappo import (
    METRICS,
    Decision,
    MappoSettings,
    Rollout,
    _minibatches,
    advantages,
    make_optimiser,
    pack,
    update,
)

WIDTH, PATCHES, IMAGES, DECISIONS = 8, 6, 5, 3


def played(seed: int = 0, keep: float = 0.6) -> Rollout:
    """Random decisions about random tokens; at the first everybody acts."""
    random = torch.Generator().manual_seed(seed)
    acting = torch.ones(IMAGES, PATCHES, dtype=torch.bool)
    decisions = []
    for _ in range(DECISIONS):
        alive = acting & (torch.rand(IMAGES, PATCHES, generator=random) < keep)
        tokens = torch.randn(int(acting.sum()), WIDTH, generator=random)
        cls = torch.randn(IMAGES, WIDTH, generator=random)
        decisions.append(Decision(tokens, cls, acting, alive))
        acting = alive
    return pack(decisions)


def learnt(
    rollout: Rollout, rewards: Tensor, settings: MappoSettings, seed: int = 0
) -> tuple[Actor, Critic, dict[str, Tensor]]:
    """Update fresh networks once."""
    random = torch.Generator().manual_seed(seed)
    actor = Actor(WIDTH, PATCHES, generator=random)
    critic = Critic(WIDTH, PATCHES, generator=random)
    shown = update(
        actor,
        critic,
        make_optimiser(actor.parameters(), 1e-3, 1e-5),
        make_optimiser(critic.parameters(), 1e-3, 1e-5),
        rollout,
        rewards,
        settings,
        random,
    )
    return actor, critic, shown


def test_rows_know_their_agent() -> None:
    rollout = played()
    decision, image, position = rollout.acting.nonzero().unbind(1)
    assert torch.equal(rollout.image, image)
    assert torch.equal(rollout.position, position)
    assert torch.equal(rollout.state, decision * IMAGES + image)
    assert len(rollout.tokens) == len(rollout.index) == int(rollout.acting.sum())
    assert rollout.cls.shape == (DECISIONS * IMAGES, WIDTH)


def one_image(acting: list[list[bool]], alive: list[list[bool]]) -> Rollout:
    """An image whose tokens do not matter."""
    mask = torch.tensor(acting)[:, None]  # [L, 1, N]
    return Rollout(
        tokens=torch.zeros(int(mask.sum()), 1),
        cls=torch.zeros(len(acting), 1),
        index=mask.flatten().nonzero()[:, 0],
        acting=mask,
        alive=torch.tensor(alive)[:, None],
    )


def test_advantages_by_hand() -> None:
    # Agent 0 stays throughout, agent 1 leaves at the second decision, agent 2 at once.
    rollout = one_image(
        acting=[[True, True, True], [True, True, False], [True, False, False]],
        alive=[[True, True, False], [True, False, False], [True, False, False]],
    )
    rewards = torch.tensor([[[1.0, 1.0, 0.0]], [[2.0, 0.0, 9.0]], [[3.0, 9.0, 9.0]]])
    value = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])  # rows: agents 012, 01, 0
    got = advantages(rollout, rewards, value, MappoSettings(gamma=0.5, lam=0.5))
    last = 3.0 - 6.0
    middle = (2.0 + 3.0 - 4.0) + 0.25 * last
    leaves = 0.0 - 5.0  # its death step counts, with reward 0 and nothing after it
    expected = [1 + 2 - 1 + 0.25 * middle, 1 + 2.5 - 2 + 0.25 * leaves, -3.0, middle, leaves, last]
    assert got.tolist() == pytest.approx(expected)


def test_lambda_zero_is_the_one_step_advantage() -> None:
    rollout = one_image(acting=[[True], [True]], alive=[[True], [True]])
    rewards = torch.tensor([[[1.0]], [[2.0]]])
    got = advantages(rollout, rewards, torch.tensor([3.0, 4.0]), MappoSettings(gamma=0.5, lam=0.0))
    assert got.tolist() == [1 + 2 - 3, 2 - 4]


def test_rewards_of_steps_that_nobody_took_change_nothing() -> None:
    rollout = played()
    rewards = torch.randn(rollout.acting.shape, generator=torch.Generator().manual_seed(1))
    poisoned = torch.where(rollout.acting, rewards, 1e6)
    first, _, shown = learnt(rollout, rewards, MappoSettings(minibatch=2))
    second, _, other = learnt(rollout, poisoned, MappoSettings(minibatch=2))
    for own, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(own, theirs)
    assert all(torch.equal(shown[name], other[name]) for name in shown)


def test_the_death_step_is_learnt_from() -> None:
    # Everybody leaves at once: without death steps there would be nothing to learn.
    rollout = played(keep=0.0)
    rewards = torch.randn(rollout.acting.shape, generator=torch.Generator().manual_seed(1))
    *_, shown = learnt(rollout, rewards, MappoSettings(epochs=1))
    assert shown["actor_gradient_norm"].item() > 0


def test_a_first_step_has_ratio_one() -> None:
    rollout = played()
    rewards = torch.randn(rollout.acting.shape, generator=torch.Generator().manual_seed(1))
    settings = MappoSettings(epochs=1, minibatch=IMAGES)
    *_, shown = learnt(rollout, rewards, settings)
    assert shown["approx_kl"].item() == pytest.approx(0.0, abs=1e-7)
    assert shown["clip_fraction"].item() == 0.0
    assert shown["policy_loss"].item() == pytest.approx(0.0, abs=1e-6)  # normalised advantages
    stored = replace(rollout, tokens=rollout.tokens.bfloat16(), cls=rollout.cls.bfloat16())
    *_, shown = learnt(stored, rewards, settings)
    assert shown["approx_kl"].item() == pytest.approx(0.0, abs=1e-7)


def test_the_whole_first_step_equals_a_naive_one() -> None:
    """Agent by agent, in Python numbers where possible, against the packed update."""
    rollout = played(3)
    rewards = torch.randn(rollout.acting.shape, generator=torch.Generator().manual_seed(1))
    settings = MappoSettings(epochs=1, minibatch=IMAGES, normalise_advantages=False, entropy=0.05)
    random = torch.Generator().manual_seed(0)
    actor = Actor(WIDTH, PATCHES, generator=random)
    critic = Critic(WIDTH, PATCHES, generator=random)
    rows = {
        tuple(where): row for row, where in enumerate(rollout.acting.nonzero().tolist())
    }  # (l, b, n)
    inputs = (rollout.tokens, rollout.cls, rollout.position, rollout.state)
    value, logit = critic(*inputs), actor(*inputs)
    policy, entropy, squared = [], [], []
    for (step, image, patch), row in rows.items():
        advantage, weight = 0.0, 1.0
        for later in range(step, DECISIONS):
            here = rows.get((later, image, patch))
            if here is None:
                break
            after = rows.get((later + 1, image, patch))
            following = 0.0 if after is None else value[after].item()
            delta = rewards[later, image, patch].item() + 0.99 * following - value[here].item()
            advantage += weight * delta
            weight *= 0.99 * 0.95
        keep = logit[row].sigmoid()
        taken = keep if rollout.alive[step, image, patch] else 1 - keep
        policy.append(-advantage * taken / taken.detach())
        entropy.append(-(keep * keep.log() + (1 - keep) * (1 - keep).log()))
        squared.append((value[row] - (value[row].item() + advantage)) ** 2)
    loss = torch.stack(policy).mean() - 0.05 * torch.stack(entropy).mean()
    value_loss = torch.stack(squared).mean()
    *_, shown = learnt(rollout, rewards, settings)
    assert shown["policy_loss"].item() == pytest.approx(torch.stack(policy).mean().item(), abs=1e-5)
    assert shown["value_loss"].item() == pytest.approx(value_loss.item(), rel=1e-4)
    for name, total, network in (
        ("actor_gradient_norm", loss, actor),
        ("critic_gradient_norm", value_loss, critic),
    ):
        gradients = torch.autograd.grad(total, list(network.parameters()), allow_unused=True)
        norm = sum(g.square().sum() for g in gradients if g is not None) ** 0.5
        assert shown[name].item() == pytest.approx(float(norm), rel=1e-3)


def test_minibatches_hold_whole_images_once() -> None:
    rollout = played()
    counts = rollout.acting.sum((0, 2))
    parts = list(_minibatches(rollout, counts, 2, torch.Generator().manual_seed(0)))
    assert len(parts) == 3  # 2 + 2 + 1 images
    assert sorted(torch.cat(parts).tolist()) == list(range(len(rollout.index)))
    images = [set(rollout.image[part].tolist()) for part in parts]
    assert sum(len(some) for some in images) == IMAGES == len(set().union(*images))


def test_the_same_seed_gives_the_same_networks() -> None:
    rollout = played()
    rewards = torch.randn(rollout.acting.shape, generator=torch.Generator().manual_seed(1))
    results = [learnt(rollout, rewards, MappoSettings(minibatch=2)) for _ in range(2)]
    for own, theirs in zip(results[0][0].parameters(), results[1][0].parameters(), strict=True):
        assert torch.equal(own, theirs)
    for own, theirs in zip(results[0][1].parameters(), results[1][1].parameters(), strict=True):
        assert torch.equal(own, theirs)


def test_what_is_reported() -> None:
    rollout = played()
    *_, shown = learnt(rollout, torch.ones(rollout.acting.shape), MappoSettings(minibatch=2))
    assert set(shown) == {*METRICS, "value", "advantage_std"}
    assert all(value.shape == () and value.isfinite() for value in shown.values())
    assert not any(value.requires_grad for value in shown.values())


def test_the_critic_learns_the_values() -> None:
    rollout = played(keep=1.0)
    rewards = torch.ones(rollout.acting.shape)
    settings = MappoSettings(epochs=150, gamma=0.5, lam=1.0, value_clip=None, minibatch=IMAGES)
    _, critic, _ = learnt(rollout, rewards, settings)
    value = critic(rollout.tokens, rollout.cls, rollout.position, rollout.state)
    means = value.detach().view(DECISIONS, -1).mean(1)
    assert means.tolist() == pytest.approx([1.75, 1.5, 1.0], abs=0.1)
