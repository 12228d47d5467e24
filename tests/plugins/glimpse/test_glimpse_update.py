"""What a rollout teaches: ratios, advantages, gradients and entropies against hand-made ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Normal

from rlvit_glimpse.networks import GlimpseNetwork
from rlvit_glimpse.rollouts import Episodes
from rlvit_glimpse.update import advantages, answer_loss, heads_of, losses, update

AGENTS: list[tuple[str, dict[str, Any]]] = [
    ("multi-categorical", {}),
    ("multi-categorical", {"class_counts": "when-read", "encoder": "linear"}),
    ("greedy-map", {}),  # epsilon 0.1
    ("greedy-map", {"class_counts": "when-read", "epsilon": 0.4}),
    ("multi-categorical", {"answer": "any-time"}),
    ("greedy-map", {"answer": "any-time", "epsilon": 0.4}),
    ("greedy-map", {"answer": "any-time", "epsilon": 0.4, "class_counts": "when-read"}),
    ("hybrid-vit", {}),
    ("hybrid-vit", {"place": "beta"}),
    ("hybrid-vit", {"place": "tanh-normal", "memory_tokens": 2, "segment": 2}),
    ("ram", {}),
    ("ram", {"foveation": 2}),
]
NO_ENTROPY = {"entropy_move": 0.0, "entropy_zoom": 0.0, "entropy_class": 0.0}
# The policy's loss alone.
BARE = {**NO_ENTROPY, "value_weight": 0.0, "grad_clip": 1e9}
ONE_PASS = {"ppo_epochs": 1, "minibatch": 1000}


def agent(tiny_glimpse: Any, variant: str, **values: Any) -> tuple[Any, GlimpseNetwork]:
    config = tiny_glimpse.config(variant, **{"max_steps": 5, **values})
    return config, tiny_glimpse.network(config)


def gains(episodes: Episodes, config: Any) -> tuple[Tensor, Tensor]:
    gained = advantages(episodes, config)
    return gained, gained + episodes.value


def told(network: GlimpseNetwork, episodes: Episodes, config: Any) -> dict[str, Tensor]:
    return losses(network, episodes, *gains(episodes, config), config)


def run(network: GlimpseNetwork, episodes: Episodes, config: Any, lr: float = 0.0) -> Any:
    optimiser = torch.optim.SGD(network.parameters(), lr=lr)
    draws = torch.Generator().manual_seed(0)
    return update(network, optimiser, episodes, config, draws, lambda: None)


def gradient(loss: Tensor, network: GlimpseNetwork) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    return [
        torch.zeros_like(parameter) if one is None else one
        for parameter, one in zip(network.parameters(), found, strict=True)
    ]


# --- the policy that acted is the one that is updated


@pytest.mark.parametrize(("variant", "values"), AGENTS)
def test_the_ratio_is_one_at_first(tiny_glimpse: Any, variant: str, values: dict[str, Any]) -> None:
    config, network = agent(tiny_glimpse, variant, **values)
    episodes = tiny_glimpse.played(config, network, 32)
    found = run(network, episodes, config.model_copy(update=ONE_PASS))
    assert abs(found["approx_kl"]) < 1e-5
    assert found["clip_fraction"] == 0
    # With ratios of 1 the loss is minus the mean of the normalised advantages: 0.
    assert abs(found["policy_loss"]) < 1e-5
    assert found["gradient_norm"] > 0


def test_all_minibatches_of_a_pass_have_a_ratio_of_one_if_nothing_is_learnt(
    tiny_glimpse: Any,
) -> None:
    config, network = agent(tiny_glimpse, "multi-categorical", minibatch=5, ppo_epochs=3)
    calls: list[int] = []
    episodes = tiny_glimpse.played(config, network, 12)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
    draws = torch.Generator().manual_seed(0)
    found = update(network, optimiser, episodes, config, draws, lambda: calls.append(1))
    assert len(calls) == 3 * 3  # minibatches of 5, 5 and 2 games
    assert abs(found["approx_kl"]) < 1e-6
    moved = run(network, episodes, config, lr=0.5)
    assert moved["approx_kl"] > 1e-4


@pytest.mark.parametrize("variant", ["multi-categorical", "greedy-map"])
def test_from_stored_memories_the_ratio_is_one_too(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant, fault_memory=True)
    episodes = tiny_glimpse.played(config, network, 32)
    found = run(network, episodes, config.model_copy(update=ONE_PASS))
    assert abs(found["approx_kl"]) < 1e-5
    assert found["clip_fraction"] == 0


def test_the_published_update_of_hybrid_vit_has_no_ratio_of_one(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "hybrid-vit", fault_memory=True)
    with torch.no_grad():
        network.policy.weight.mul_(4)
    episodes = tiny_glimpse.played(config, network, 64)
    faulty = run(network, episodes, config.model_copy(update=ONE_PASS))
    assert faulty["approx_kl"] > 1e-3
    assert faulty["clip_fraction"] > 0.02
    mended = config.model_copy(update={**ONE_PASS, "fault_memory": False})
    episodes = tiny_glimpse.played(mended, network, 64)
    found = run(network, episodes, mended)
    assert abs(found["approx_kl"]) < 1e-5
    assert found["clip_fraction"] == 0


def test_faulty_random_actions_are_learnt_from_as_the_policys_own(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "greedy-map", epsilon=0.9, fault_epsilon=True)
    episodes = tiny_glimpse.played(config, network, 16)
    found = told(network, episodes, config)
    assert abs(found["approx_kl"]) < 1e-5
    mended = config.model_copy(update={"fault_epsilon": False})
    assert told(network, episodes, mended)["approx_kl"] > 1e-3


def test_without_memory_no_gradient_goes_through_time(tiny_glimpse: Any) -> None:
    """The last step's value, as a function of the LSTM's weights on its memory."""
    slopes = {}
    for fault in (False, True):
        config, network = agent(tiny_glimpse, "multi-categorical", fault_memory=fault)
        episodes = tiny_glimpse.played(config, network, 4)
        heads = heads_of(network, episodes, config)
        torch.testing.assert_close(heads.value, episodes.value)
        first = episodes.glimpses.clone().requires_grad_()
        again = replace(episodes, glimpses=first)
        heads_of(network, again, config).value[-1].sum().backward()
        slopes[fault] = first.grad.flatten(1).abs().amax(1)
    assert (slopes[False] > 0).all()
    assert (slopes[True] > 0).tolist() == [False] * 4 + [True]


def test_the_published_update_of_hybrid_vit_still_draws_the_glimpse(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "hybrid-vit", fault_memory=True, reconstruction=0.5)
    episodes = tiny_glimpse.played(config, network, 8)
    found = told(network, episodes, config)
    with torch.no_grad():
        alone = network.sequence(episodes.glimpses[:1], episodes.places[:1])
    error = (alone.extra["reconstruction"] - episodes.glimpses[:1]).square().mean((2, 3, 4))
    whole = heads_of(network, episodes, config)
    torch.testing.assert_close(whole.value[0], alone.value[0])
    drawn = (whole.extra["reconstruction"] - episodes.glimpses).square().mean((2, 3, 4))
    torch.testing.assert_close(drawn[0], error[0])
    torch.testing.assert_close(found["reconstruction"], drawn[episodes.alive].mean())


# --- advantages


def by_hand(episodes: Episodes, gamma: float, lam: float) -> list[list[float]]:
    """GAE [T, G] game by game, in plain numbers."""
    steps, games = episodes.alive.shape
    found = [[0.0] * games for _ in range(steps)]
    for game in range(games):
        following = 0.0
        for step in reversed(range(int(episodes.lengths[game]))):
            after = 0.0 if episodes.terminated[step, game] else episodes.next_value[step, game]
            delta = episodes.reward[step, game] + gamma * after - episodes.value[step, game]
            following = float(delta) + gamma * lam * following
            found[step][game] = following
    return found


@pytest.mark.parametrize("variant", ["multi-categorical", "greedy-map", "hybrid-vit", "ram"])
def test_advantages_are_those_by_hand(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant)
    episodes = tiny_glimpse.played(config, network, 48)
    gained = advantages(episodes, config)
    expected = torch.tensor(by_hand(episodes, config.gamma, config.gae_lambda))
    torch.testing.assert_close(gained, expected, rtol=1e-4, atol=1e-5)
    if variant == "ram":  # gamma and lambda are 1: what was won, less the baseline
        won = episodes.reward.sum(0) - episodes.value
        torch.testing.assert_close(gained, won, rtol=1e-4, atol=1e-5)


def test_who_is_cut_off_goes_on_in_the_last_value(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "hybrid-vit")
    tiny_glimpse.deciding(network, -20.0)
    with torch.no_grad():
        network.value.bias.fill_(2.0)
    episodes = tiny_glimpse.played(config, network, 8)
    last = advantages(episodes, config)[-1]
    torch.testing.assert_close(last, 0.99 * episodes.next_value[-1] - episodes.value[-1])
    assert (last > -0.9).all()
    tiny_glimpse.deciding(network, 20.0)
    episodes = tiny_glimpse.played(config, network, 8)
    only = advantages(episodes, config)[0]
    torch.testing.assert_close(only, 3.0 * episodes.right - episodes.value[0])


# --- the loss


def test_the_value_learns_the_discounted_return(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "multi-categorical", gae_lambda=1.0, gamma=0.9)
    episodes = tiny_glimpse.played(config, network, 32)
    found = told(network, episodes, config)
    powers = 0.9 ** torch.arange(4.0, -1.0, -1.0)[:, None]  # until the answer is paid
    expected = (episodes.value - powers * episodes.right).square().mean()
    torch.testing.assert_close(found["value_loss"], expected)


def test_reinforces_gradient_is_that_by_hand(tiny_glimpse: Any) -> None:
    """-mean of A grad log p over all steps, RAM's A being the reward less its baseline.

    The last step chooses a place that nobody looks at: its log p is 0.
    """
    config, network = agent(
        tiny_glimpse, "ram", algorithm="reinforce", supervised=0.0, **BARE, **ONE_PASS
    )
    episodes = tiny_glimpse.played(config, network, 32)
    heads = network.sequence(episodes.glimpses, episodes.places)
    spot = 2 * episodes.actions.place[..., :2] - 1
    log_prob = Normal(heads.policy, config.place_std).log_prob(spot).sum(-1)
    won = episodes.reward.sum(0) - episodes.value
    log_prob = torch.cat([log_prob[:-1], torch.zeros_like(log_prob[-1:])])
    expected = gradient(-(won * log_prob).mean(), network)
    before = [one.detach().clone() for one in network.parameters()]
    found = run(network, episodes, config, lr=1.0)
    assert sum(one.abs().sum() for one in expected) > 0
    for old, new, slope in zip(before, network.parameters(), expected, strict=True):
        torch.testing.assert_close(old - new.detach(), slope, rtol=1e-3, atol=1e-5)
    norm = math.sqrt(sum(one.square().sum().item() for one in expected))
    assert float(found["gradient_norm"]) == pytest.approx(norm, rel=1e-4)


def test_reinforce_takes_each_game_once(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "ram", algorithm="reinforce", ppo_epochs=7, minibatch=4)
    calls: list[int] = []
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
    draws, episodes = torch.Generator(), tiny_glimpse.played(config, network, 12)
    update(network, optimiser, episodes, config, draws, lambda: calls.append(1))
    assert len(calls) == 3


def test_ppos_gradient_at_a_ratio_of_one_is_reinforces(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "multi-categorical", **BARE)
    episodes = tiny_glimpse.played(config, network, 16)
    first = gradient(told(network, episodes, config)["total"], network)
    plain = config.model_copy(update={"algorithm": "reinforce"})
    second = gradient(told(network, episodes, plain)["total"], network)
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("field", "touched"),
    [
        ("entropy_move", slice(0, 8)),
        ("entropy_zoom", slice(8, 12)),
        ("entropy_class", slice(12, 22)),
    ],
)
def test_entropy_acts_on_its_own_heads(tiny_glimpse: Any, field: str, touched: slice) -> None:
    config, network = agent(tiny_glimpse, "multi-categorical", **BARE)
    episodes = tiny_glimpse.played(config, network, 16)
    with_it = config.model_copy(update={field: 0.7})
    bare, full = told(network, episodes, config), told(network, episodes, with_it)
    heads = network.sequence(episodes.glimpses, episodes.places)
    pairs = heads.policy[..., :12].unflatten(-1, (6, 2))
    entropies = [Categorical(logits=pairs[..., switch, :]).entropy() for switch in range(6)]
    entropies = [*entropies, Categorical(logits=heads.classes).entropy()]
    chosen = {"entropy_move": slice(0, 4), "entropy_zoom": slice(4, 6)}.get(field, slice(6, 7))
    expected = -0.7 * sum(one.mean() for one in entropies[chosen])
    torch.testing.assert_close(full["total"] - bare["total"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(full["entropy"], sum(one.mean() for one in entropies))
    (slope,) = torch.autograd.grad(full["total"] - bare["total"], network.policy.bias)
    outside = torch.ones(22, dtype=torch.bool)
    outside[touched] = False
    assert slope[~outside].abs().max() > 1e-4
    assert slope[outside].abs().max() < 1e-7


@pytest.mark.parametrize(
    ("field", "touched"),
    [
        ("entropy_zoom", slice(0, 1)),  # the decision
        ("entropy_class", slice(1, 11)),
        ("entropy_move", slice(11, 17)),  # the place
    ],
)
def test_entropy_of_a_hybrid_acts_on_its_own_heads(
    tiny_glimpse: Any, field: str, touched: slice
) -> None:
    config, network = agent(tiny_glimpse, "hybrid-vit", place="tanh-normal", **BARE)
    episodes = tiny_glimpse.played(config, network, 16)
    with_it = config.model_copy(update={field: 0.7})
    bare, full = told(network, episodes, config), told(network, episodes, with_it)
    (slope,) = torch.autograd.grad(full["total"] - bare["total"], network.policy.bias)
    outside = torch.ones(17, dtype=torch.bool)
    outside[touched] = False
    assert slope[~outside].abs().max() > 1e-4
    assert slope[outside].abs().max() < 1e-7


def test_a_deterministic_place_has_no_gradient_and_others_have(tiny_glimpse: Any) -> None:
    for kind, reached in (("deterministic", False), ("beta", True), ("tanh-normal", True)):
        config, network = agent(tiny_glimpse, "hybrid-vit", place=kind, **BARE)
        episodes = tiny_glimpse.played(config, network, 16)
        (slope,) = torch.autograd.grad(
            told(network, episodes, config)["total"], network.policy.bias
        )
        assert (slope[11:].abs().max() > 1e-6).item() == reached
        assert slope[:11].abs().max() > 1e-6


@pytest.mark.parametrize("variant", ["multi-categorical", "hybrid-vit", "ram"])
def test_the_supervised_term_is_of_the_last_glimpse(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant, supervised=0.0)
    episodes = tiny_glimpse.played(config, network, 16)
    heads = network.sequence(episodes.glimpses, episodes.places, episodes.alive)
    rows = [
        -heads.classes[int(length) - 1, game].log_softmax(0)[label]
        for game, (length, label) in enumerate(zip(episodes.lengths, episodes.labels, strict=True))
    ]
    expected = torch.stack(rows).mean()
    torch.testing.assert_close(answer_loss(heads, episodes), expected)
    taught = config.model_copy(update={"supervised": 2.0})
    without, given = told(network, episodes, config), told(network, episodes, taught)
    torch.testing.assert_close(given["total"] - without["total"], 2 * expected)
    torch.testing.assert_close(without["supervised"], expected)


@pytest.mark.parametrize("variant", ["multi-categorical", "hybrid-vit", "ram"])
def test_the_supervised_term_may_be_of_every_glimpse(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant, supervised=2.0, supervised_at="every")
    episodes = tiny_glimpse.played(config, network, 16)
    heads = network.sequence(episodes.glimpses, episodes.places, episodes.alive)
    rows = [
        -heads.classes[step, game].log_softmax(0)[label]
        for game, (length, label) in enumerate(zip(episodes.lengths, episodes.labels, strict=True))
        for step in range(int(length))
    ]
    if variant == "hybrid-vit":
        assert 16 < len(rows) < 16 * 5  # games of different lengths
    expected = torch.stack(rows).mean()
    torch.testing.assert_close(answer_loss(heads, episodes, "every"), expected)
    given = told(network, episodes, config)
    without = told(network, episodes, config.model_copy(update={"supervised": 0.0}))
    torch.testing.assert_close(given["total"] - without["total"], 2 * expected)


@pytest.mark.parametrize("variant", ["multi-categorical", "hybrid-vit", "ram"])
def test_a_tiny_network_learns_32_digits_by_heart(tiny_glimpse: Any, variant: str) -> None:
    """By the supervised term alone: REINFORCE on rewards of next to nothing, and no value."""
    values = {"supervised": 1.0, "algorithm": "reinforce", "reward_right": 1e-9, **BARE}
    values |= {"width": 64, "max_steps": 2, "window": 8, "minibatch": 32, "start": "centre"}
    config, network = agent(tiny_glimpse, variant, **values, class_counts="when-read")
    with torch.no_grad():
        head = network.baseline if variant == "ram" else network.value
        head.weight.zero_()
        head.bias.zero_()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    draws, game = torch.Generator().manual_seed(0), tiny_glimpse.game(config)
    found: list[float] = []
    for _ in range(60):
        episodes = tiny_glimpse.played(config, network, 32, games=game)
        learnt = update(network, optimiser, episodes, config, draws, lambda: None)
        found.append(float(learnt["supervised"]))
    assert found[0] > 2
    assert found[-1] < 0.2
    greedy = tiny_glimpse.played(config, network, 32, greedy=True, explores=False)
    assert greedy.right.float().mean() >= 31 / 32
    assert network.value.bias == 0 if variant != "ram" else network.baseline.bias == 0


def test_gradients_are_clipped(tiny_glimpse: Any) -> None:
    values = {"grad_clip": 1e-3, "supervised": 10.0}
    config, network = agent(tiny_glimpse, "multi-categorical", **values, **ONE_PASS)
    episodes = tiny_glimpse.played(config, network, 8)
    before = [one.detach().clone() for one in network.parameters()]
    found = run(network, episodes, config, lr=1.0)
    assert found["gradient_norm"] > 0.1
    moved = [old - new.detach() for old, new in zip(before, network.parameters(), strict=True)]
    norm = math.sqrt(sum(one.square().sum().item() for one in moved))
    assert norm == pytest.approx(1e-3, rel=1e-2)


def test_what_comes_after_the_end_means_nothing(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "hybrid-vit", supervised=1.0, place="tanh-normal")
    episodes = tiny_glimpse.played(config, network, 32)
    dead = ~episodes.alive
    assert dead.any()
    spoilt = {}
    for name in ("glimpses", "places", "log_prob", "value", "classes"):
        one = getattr(episodes, name).clone()
        one[dead] = math.nan
        spoilt[name] = one
    gained, returns = gains(episodes, config)
    first = losses(network, episodes, gained, returns, config)
    second = losses(network, replace(episodes, **spoilt), gained, returns, config)
    for name, one in first.items():
        torch.testing.assert_close(second[name], one)
    slopes = [gradient(found["total"], network) for found in (first, second)]
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other)
