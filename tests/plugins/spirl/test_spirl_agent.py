"""Holds SPIRL's update to a float64 reference written from the specification, and its policies."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlvit.rl.replay import Batch, SequenceReplay
from rlvit_spirl.agent import GreedyPolicy, PatchFeatures, RainbowAgent
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.selector import SalientPatches
from rlvit_tasks.atari import make_game

ACTIONS, LENGTH = 6, 5  # actions, patches a frame
SMALL = {"dim": 16, "heads": 4, "hidden": 24, "atoms": 11, "v_max": 3.0, "noise": 0.7}
CPU = torch.device("cpu")


def make_agent(seed: int = 0, **options: Any) -> RainbowAgent:
    """A small agent; its biases and tokens are made non-zero so that each of them matters."""
    config = SpirlConfig(**{**SMALL, **options})
    agent = RainbowAgent(ACTIONS, config, CPU, torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in agent.online.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    agent.target.load_state_dict(agent.online.state_dict())
    with torch.no_grad():
        for parameter in agent.target.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    agent.target.head.place(agent.target.head.draw(generator))
    return agent


def make_batch(seed: int = 0, size: int = 7) -> Batch:
    """Transitions with padded patches, starts of episodes, ends and rewards in both directions."""
    random = np.random.default_rng(seed)

    def stacks() -> Tensor:
        values = torch.from_numpy(random.normal(size=(size, 4, LENGTH, 64)).astype(np.float32))
        values[0, :3] = 0  # the first frame of an episode
        values[1:3, :, -2:] = 0  # padded patches
        return values

    discounts = np.where(random.random(size) < 0.4, 0.0, 0.9).astype(np.float32)
    return Batch(
        observations=stacks(),
        next_observations=stacks(),
        actions=torch.from_numpy(random.integers(ACTIONS, size=size)),
        returns=torch.from_numpy(random.normal(scale=2.0, size=size).astype(np.float32)),
        bootstrap_discounts=torch.from_numpy(discounts),
        importance_weights=torch.from_numpy(random.uniform(0.2, 1, size).astype(np.float32)),
        indices=np.arange(size),
    )


class Reference:
    """The network of SPIRL's specification in float64, with all tokens of the block computed."""

    def __init__(self, weights: Mapping[str, Tensor], residual: bool) -> None:
        self.w = {name: value.double() for name, value in weights.items()}
        for name in self.w:
            if "eps_" not in name:
                self.w[name].requires_grad_()
        self.residual = residual

    def norm(self, name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def summary(self, frames: Tensor) -> Tensor:
        x = self.linear("attention.project", frames)
        x = torch.cat([self.w["attention.cls_token"].expand(len(x), 1, -1), x], 1)
        q, k, v = self.linear("attention.qkv", self.norm("attention.norm1", x)).chunk(3, -1)
        mixed = []
        width = q.shape[-1] // SMALL["heads"]
        for head in range(SMALL["heads"]):
            part = slice(head * width, (head + 1) * width)
            scores = q[..., part] @ k[..., part].transpose(1, 2) / width**0.5
            mixed.append(scores.softmax(-1) @ v[..., part])
        attended = self.linear("attention.attended", torch.cat(mixed, -1))
        x = x + attended if self.residual else attended
        hidden = self.linear("attention.fc1", self.norm("attention.norm2", x))
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        out = self.linear("attention.fc2", hidden)
        return (x + out if self.residual else out)[:, 0]

    def noisy(self, name: str, x: Tensor) -> Tensor:
        w = {key: self.w[f"head.{name}.{key}"] for key in ("weight_mu", "weight_sigma")}
        b = {key: self.w[f"head.{name}.{key}"] for key in ("bias_mu", "bias_sigma")}
        e_in, e_out = self.w[f"head.{name}.eps_in"], self.w[f"head.{name}.eps_out"]
        weight = w["weight_mu"] + w["weight_sigma"] * e_out[:, None] * e_in[None]
        return x @ weight.T + b["bias_mu"] + b["bias_sigma"] * e_out

    def log_probabilities(self, stacks: Tensor) -> Tensor:
        batch = len(stacks)
        state = torch.cat([self.summary(stacks[:, i].double()) for i in range(4)], -1)
        # Half a gradient step back: the values are the state's, the gradient is scaled.
        state = state * 2**-0.5 + (state * (1 - 2**-0.5)).detach()
        advantage = self.noisy("advantage2", self.noisy("advantage1", state).clamp_min(0))
        advantage = advantage.view(batch, ACTIONS, -1) + self.w["head.advantage_bias"]
        value = self.noisy("value2", self.noisy("value1", state).clamp_min(0))
        logits = value[:, None] + advantage - advantage.mean(1, keepdim=True)
        return logits - logits.exp().sum(-1, keepdim=True).log()


def project_one(reward: float, discount: float, source: Tensor, atoms: list[float]) -> Tensor:
    """One distribution after Bellemare 2017, Algorithm 1, atom by atom."""
    width = atoms[1] - atoms[0]
    target = torch.zeros(len(atoms), dtype=torch.float64)
    for mass, atom in zip(source.tolist(), atoms, strict=True):
        place = (min(max(reward + discount * atom, atoms[0]), atoms[-1]) - atoms[0]) / width
        low = min(int(place), len(atoms) - 2)
        target[low] += mass * (1 - (place - low))
        target[low + 1] += mass * (place - low)
    return target


def reference_update(agent: RainbowAgent, batch: Batch) -> tuple[Tensor, Tensor, Reference]:
    """Loss, priorities and the online network of an update under the agent's present noise."""
    residual = agent.config.residual
    online = Reference(copy.deepcopy(agent.online.state_dict()), residual)
    target = Reference(copy.deepcopy(agent.target.state_dict()), residual)
    atoms = torch.linspace(-3.0, 3.0, SMALL["atoms"], dtype=torch.float64)
    with torch.no_grad():
        values = (online.log_probabilities(batch.next_observations).exp() * atoms).sum(-1)
        judged = target.log_probabilities(batch.next_observations).exp()
        chosen = torch.stack([judged[i, action] for i, action in enumerate(values.argmax(1))])
        assert (values.argmax(1) != (judged * atoms).sum(-1).argmax(1)).any()  # double Q matters
        wanted = torch.stack(
            [
                project_one(float(r), float(d), p, atoms.tolist())
                for r, d, p in zip(batch.returns, batch.bootstrap_discounts, chosen, strict=True)
            ]
        )
    log_p = online.log_probabilities(batch.observations)
    log_p = torch.stack([log_p[i, action] for i, action in enumerate(batch.actions)])
    loss = (-(wanted * log_p).sum(-1) * batch.importance_weights.double()).mean()
    loss.backward()
    own = torch.where(wanted > 0, wanted * wanted.clamp_min(1e-300).log(), 0.0).sum(-1)
    divergence = own - (wanted * log_p.detach()).sum(-1)
    return loss.detach(), divergence.clamp(1e-6, 1e6), online


@pytest.mark.parametrize("residual", [False, True])
def test_an_update_agrees_with_an_independent_float64_reference(residual: bool) -> None:
    agent, batch = make_agent(residual=residual, grad_clip=0.05, lr=1e-3), make_batch()
    ahead = copy.deepcopy(agent)
    ahead.generator = torch.Generator()
    ahead.generator.set_state(agent.generator.get_state())
    noise = ahead.online.head.draw(ahead.generator)  # that the update will draw
    ahead.online.head.place(noise)
    loss, priorities, reference = reference_update(ahead, batch)
    before = {name: value.clone() for name, value in agent.online.named_parameters()}

    found, logged = agent.update(batch)

    torch.testing.assert_close(logged["train/loss"].double(), loss, rtol=1e-5, atol=0)
    torch.testing.assert_close(found.double(), priorities, rtol=2e-4, atol=1e-6)
    torch.testing.assert_close(logged["train/priority"], found.mean())
    gradients = {
        name: torch.zeros_like(value) if reference.w[name].grad is None else reference.w[name].grad
        for name, value in before.items()
    }
    norm = torch.stack([g.double().square().sum() for g in gradients.values()]).sum().sqrt()
    torch.testing.assert_close(logged["train/gradient_norm"].double(), norm, rtol=1e-4, atol=0)
    assert norm > 0.05  # it is clipped
    for name, value in agent.online.named_parameters():
        clipped = gradients[name].double() * (0.05 / (norm + 1e-6))
        # Adam's first step: m / (1 - b1) = g and sqrt(v / (1 - b2)) = |g|.
        step = 1e-3 * clipped / (clipped.abs() + agent.config.adam_eps)
        moved = value.detach().double() - before[name].double()
        torch.testing.assert_close(moved, -step, rtol=2e-3, atol=1e-6, msg=name)


def test_an_update_draws_new_noise_for_the_online_network_only() -> None:
    agent = make_agent()
    online, target = agent.online.head.value1.eps_in.clone(), agent.target.head.value1.eps_in
    kept = target.clone()
    agent.update(make_batch())
    assert not torch.equal(agent.online.head.value1.eps_in, online)
    assert torch.equal(agent.target.head.value1.eps_in, kept)


def test_priorities_are_clamped_on_both_sides() -> None:
    # A sharp distribution: atoms far from the target have log-probabilities below -1e6.
    agent, batch = make_agent(), make_batch()
    with torch.no_grad():
        agent.online.head.value2.bias_mu += torch.linspace(0, 4e7, SMALL["atoms"])
    priorities, _ = agent.update(batch)
    assert priorities.max() == 1e6

    same = make_agent(atoms=2, noise=0.0)
    with torch.no_grad():
        for parameter in (*same.online.parameters(), *same.target.parameters()):
            parameter.zero_()
    even = Batch(**{**vars(batch), "returns": torch.zeros(7), "bootstrap_discounts": torch.ones(7)})
    assert same.update(even)[0].tolist() == pytest.approx([1e-6] * 7, rel=1e-6)


def test_the_target_is_copied_with_its_noise_after_every_so_many_updates_and_not_before() -> None:
    agent, batch = make_agent(target_every=3), make_batch()
    for update in range(1, 8):
        earlier = copy.deepcopy(agent.target.state_dict())
        agent.update(batch)
        expected = agent.online.state_dict() if update % 3 == 0 else earlier
        for name, value in agent.target.state_dict().items():
            assert torch.equal(value, expected[name]), (update, name)


def test_acting_keeps_the_noise_of_the_last_update_or_draws_its_own_each_step() -> None:
    stack = make_batch().observations[3].numpy()
    kept, fresh = make_agent(acting_noise="update"), make_agent(acting_noise="step")
    before = kept.online.head.advantage1.eps_in.clone()
    stream = kept.generator.get_state()
    assert len({kept.act(stack) for _ in range(20)}) == 1
    assert torch.equal(kept.online.head.advantage1.eps_in, before)
    assert torch.equal(kept.generator.get_state(), stream)
    seen = [fresh.act(stack) for _ in range(20)]
    assert not torch.equal(fresh.online.head.advantage1.eps_in, before)
    assert len(set(seen)) > 1


def test_acting_is_greedy_in_the_mean_of_the_noisy_distribution() -> None:
    agent = make_agent()
    atoms = torch.linspace(-3.0, 3.0, SMALL["atoms"], dtype=torch.float64)
    reference = Reference(copy.deepcopy(agent.online.state_dict()), agent.config.residual)
    for stack in make_batch(seed=5, size=12).observations:
        values = (reference.log_probabilities(stack[None])[0].exp() * atoms).sum(-1)
        assert agent.act(stack.numpy()) == int(values.argmax())


def test_a_restored_agent_goes_on_bit_for_bit(tmp_path: Path) -> None:
    agent = make_agent(target_every=2, acting_noise="step")
    for seed in range(3):
        agent.update(make_batch(seed))
    torch.save(agent.state(), tmp_path / "agent.pt")
    other = RainbowAgent(ACTIONS, agent.config, CPU, torch.Generator().manual_seed(99))
    other.restore(torch.load(tmp_path / "agent.pt", weights_only=True))

    for seed in range(3, 7):
        batch = make_batch(seed)
        left, right = agent.update(batch), other.update(batch)
        assert torch.equal(left[0], right[0])
        assert agent.act(batch.observations[0].numpy()) == other.act(batch.observations[0].numpy())
    for part in ("online", "target"):
        ours, theirs = agent.state()[part], other.state()[part]
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(agent.generator.get_state(), other.generator.get_state())
    assert agent.updates == other.updates == 7


def real_features(config: SpirlConfig, length: int) -> PatchFeatures:
    """Patches of an untrained autoencoder, at most `length` a frame."""
    from rlvit.catalog import build_catalog
    from rlvit.manager import create_plugin_manager

    mae = MaskedAutoencoder(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    task = build_catalog(create_plugin_manager()).task("Breakout", "game")
    selector = SalientPatches(mae, config, task)
    assert selector.max_keep == length
    return PatchFeatures(selector, mae, PATCHES, CPU)


def test_what_sees_goes_with_its_last_user() -> None:
    gc.disable()  # on a GPU a cycle would keep the memory of its graphs
    try:
        features = real_features(SpirlConfig(keep_ratio=0.1), 14)
        features.prime()
        known = weakref.ref(features)
        del features
        assert known() is None
    finally:
        gc.enable()


def test_a_fixed_number_of_patches_is_the_cap_in_every_frame() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 96, 96), dtype=np.uint8)
    few = real_features(SpirlConfig(keep_ratio=0.9), 129)
    fixed = real_features(SpirlConfig(keep_ratio=0.9, k="fixed"), 129)
    for frame in frames:
        few(frame)
        fixed(frame)
    assert few.by_count[129] == 0  # the errors of noise do not all lie below the slope
    assert fixed.by_count[129] == 2


def test_the_evaluated_policy_acts_like_the_plain_network_on_stacked_frames(
    tmp_path: Path,
) -> None:
    config = SpirlConfig(keep_ratio=0.1)
    game = make_game("breakout", {"frame_skip": 16, "horizon": 13}, 5)
    features = real_features(config, 14)
    agent = RainbowAgent(game.action_count, config, CPU, torch.Generator().manual_seed(1))
    policy = GreedyPolicy(agent, features, 14)
    random = np.random.default_rng(0)
    # The replay stacks frames in an independent way: zeros before a game and never across games.
    replay = SequenceReplay(tmp_path, 30, (14, 64), 4, 1, 0.99, 0.5)

    actions, stacks = [], []
    for _ in range(2):
        policy.begin_game(0)
        frame, over = game.reset(full=True), False
        while not over:
            with torch.no_grad():  # not the greedy action: the game stays varied
                for parameter in agent.online.head.parameters():
                    parameter.normal_(generator=torch.Generator().manual_seed(len(actions)))
            actions.append(policy.act_in_games([0], frame[None])[0])
            embedded = features(frame)
            stack = torch.from_numpy(replay.latest_stack(embedded))
            stacks.append(stack)
            with torch.no_grad():
                values = (agent.online(stack[None], noisy=False).exp() * agent.support).sum(-1)
            top = values[0].sort(descending=True).values
            assert actions[-1] == int(values.argmax()) or top[0] - top[1] < 1e-5
            step = game.step(int(random.integers(game.action_count)))
            frame, over = step.frame, step.game_over
            replay.append(embedded, 0, 0.0, over)
    assert len(actions) >= 20
    assert len(set(actions)) > 1
    assert not stacks[0][:3].any()
    assert not stacks[2][:1].any()
    assert stacks[3].flatten(1).any(1).all()


def test_features_of_a_frame_count_kept_patches_and_survive_a_restore() -> None:
    config = SpirlConfig(keep_ratio=0.1)
    game = make_game("breakout", {"frame_skip": 8}, 0)
    features = real_features(config, 14)
    frame = game.reset()
    first = features(frame)
    assert first.shape == (14, 64)
    assert first.dtype == np.float32
    assert (features.frames, features.kept) == (1, features.latest)
    assert features.full == (features.latest == 14)
    assert features.latest == int(first.any(1).sum())

    other = real_features(config, 14)
    other.restore(features.state())
    following = game.step(1).frame
    np.testing.assert_array_equal(other(following), features(following))
    assert other.state()["counts"] == features.state()["counts"] == [2, features.kept, 2]
    assert other.selector.report() == features.selector.report()
