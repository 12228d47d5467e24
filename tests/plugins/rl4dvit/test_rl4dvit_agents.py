"""Actor and critic: published sizes, and the same function as one layer on a concatenation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rlvit_rl4dvit.agents import Actor, AgentNetwork, Critic, decide

WIDTH, PATCHES, IMAGES, AGENTS = 12, 9, 4, 25


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def inputs(seed: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tokens [T, D] with a scale and an offset, class tokens [B, D], positions and images [T]."""
    random = seeded(seed)
    return (
        3 + 5 * torch.randn(AGENTS, WIDTH, generator=random),
        torch.randn(IMAGES, WIDTH, generator=random),
        torch.randint(0, PATCHES, (AGENTS,), generator=random),
        torch.randint(0, IMAGES, (AGENTS,), generator=random),
    )


def literally(
    network: AgentNetwork, tokens: Tensor, cls: Tensor, position: Tensor, image: Tensor
) -> Tensor:
    """The papers' form: concat(token, class token, one-hot), then four linear layers."""
    parts, weights = [tokens], [network.of_token.weight]
    if network.of_cls is not None:
        parts.append(cls[image])
        weights.append(network.of_cls.weight)
    parts.append(functional.one_hot(position, PATCHES).float())
    weights.append(network.of_position.weight.T)
    x = torch.cat(parts, 1) @ torch.cat(weights, 1).T + network.of_token.bias
    return torch.as_tensor(network.head(network.hidden(x)))


def test_published_parameter_counts() -> None:
    assert parameters(Actor(768, 196, generator=seeded())) == 94_978
    assert parameters(Actor(768, 196, agent_specific=True, generator=seeded())) == 144_130
    assert parameters(Critic(768, 196, generator=seeded())) == 144_065


@pytest.mark.parametrize("agent_specific", [False, True])
def test_actor_equals_the_literal_form(agent_specific: bool) -> None:
    actor = Actor(WIDTH, PATCHES, agent_specific=agent_specific, generator=seeded())
    given = inputs()
    torch.testing.assert_close(actor.outputs(*given), literally(actor, *given))
    logits = literally(actor, *given)
    torch.testing.assert_close(actor(*given).sigmoid(), logits.softmax(-1)[:, 1])


def test_critic_equals_the_literal_form_with_its_gradients() -> None:
    critic = Critic(WIDTH, PATCHES, generator=seeded())
    given = inputs()
    torch.testing.assert_close(critic(*given), literally(critic, *given)[:, 0])
    ours = torch.autograd.grad(critic(*given).square().sum(), list(critic.parameters()))
    reference = literally(critic, *given).square().sum()
    for own, other in zip(
        ours, torch.autograd.grad(reference, list(critic.parameters())), strict=True
    ):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


def test_the_joint_first_layer_is_orthogonal() -> None:
    critic = Critic(64, 16, generator=seeded())
    assert critic.of_cls is not None
    weights = (critic.of_token.weight, critic.of_cls.weight, critic.of_position.weight.T)
    joint = torch.cat(weights, 1)
    torch.testing.assert_close(joint @ joint.T, torch.eye(64), rtol=0, atol=1e-5)


def test_initial_weights_depend_on_the_generator_alone() -> None:
    first = Actor(WIDTH, PATCHES, generator=seeded(3)).state_dict()
    torch.rand(7)
    second = Actor(WIDTH, PATCHES, generator=seeded(3)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("init_keep", [0.5, 0.9])
def test_the_first_probability_of_keeping(init_keep: float) -> None:
    actor = Actor(768, 196, normalise_tokens=True, init_keep=init_keep, generator=seeded())
    random = seeded(1)
    tokens = 20 * torch.randn(500, 768, generator=random)
    position = torch.randint(0, 196, (500,), generator=random)
    keep = actor(tokens, tokens[:1], position, torch.zeros_like(position)).sigmoid()
    assert keep.mean().item() == pytest.approx(init_keep, abs=0.01)
    assert (keep - init_keep).abs().max().item() < 0.05


def test_an_impossible_first_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="init_keep"):
        Actor(WIDTH, PATCHES, init_keep=1.0, generator=seeded())


def test_normalised_tokens_have_no_scale() -> None:
    critic = Critic(WIDTH, PATCHES, normalise_tokens=True, generator=seeded())
    tokens, cls, position, image = inputs()
    torch.testing.assert_close(
        critic(tokens, cls, position, image), critic(7 * tokens + 3, cls - 2, position, image)
    )


def test_half_precision_tokens_are_read_in_single_precision() -> None:
    actor = Actor(WIDTH, PATCHES, generator=seeded())
    tokens, cls, position, image = inputs()
    got = actor(tokens.bfloat16(), cls, position, image)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, actor(tokens.bfloat16().float(), cls, position, image))


def test_multiply_adds() -> None:
    actor = Actor(768, 196, generator=seeded())
    assert actor.macs_per_token == 768 * 64 + 64 * 256 + 256 * 64 + 64 * 2 == 82_048
    assert actor.macs_per_image == 0
    seeing = Actor(768, 196, agent_specific=True, generator=seeded())
    assert (seeing.macs_per_token, seeing.macs_per_image) == (82_048, 768 * 64)
    # With the one-hot's product, which nothing computes here: 55.6 M for three times 196 agents.
    assert round(3 * 196 * (actor.macs_per_token + 196 * 64) / 1e6, 1) == 55.6


def test_decisions() -> None:
    logit = torch.tensor([-1.0, 0.0, 1.0])
    assert decide(logit, None).tolist() == [False, False, True]
    many = torch.full((20_000,), 1.0986123)  # log 3
    drawn = decide(many, seeded())
    assert drawn.float().mean().item() == pytest.approx(0.75, abs=0.01)
    assert torch.equal(drawn, decide(many, seeded()))
    sure = torch.tensor([-1e4, 1e4])
    assert decide(sure, seeded()).tolist() == [False, True]
