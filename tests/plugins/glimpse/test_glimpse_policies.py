"""From heads to policies: what counts in a log-prob, RAM's density, hybrids, weights of entropy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Beta, Categorical, Normal

from rlvit_glimpse.actions import EDGE, SWITCHES, HybridAction, MultiCategorical, WithEpsilon
from rlvit_glimpse.networks import Heads
from rlvit_glimpse.policies import (
    LastClass,
    RamPolicy,
    entropy_weights,
    make_policy,
    of_games,
    stacked,
)

CLASSES = 5
NAMES = [*SWITCHES, "class"]
MOVES, LAST = torch.tensor(False), torch.tensor(True)


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=stream(seed), dtype=torch.float64)


def every_action() -> Tensor:
    """All 64 C actions [64 C, 7]."""
    return torch.tensor(list(itertools.product(*[range(2)] * 6, range(CLASSES))))


def base(count: int, seed: int = 0) -> MultiCategorical:
    """The same policy so many times."""
    return MultiCategorical(normal(12 + CLASSES, seed=seed).expand(count, -1), CLASSES)


def parts(policy: MultiCategorical, action: Tensor) -> tuple[Tensor, Tensor]:
    """The log-probs of the switches and of the class, by torch."""
    heads = [Categorical(logits=policy.logits[..., 2 * i : 2 * i + 2]) for i in range(6)]
    switches = sum(head.log_prob(action[..., i]) for i, head in enumerate(heads))
    return switches, Categorical(logits=policy.logits[..., 12:]).log_prob(action[..., 6])


# --- the class where it is read


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_switches_count_before_the_end_and_the_class_at_it(epsilon: float) -> None:
    actions = every_action()
    policy = base(len(actions))
    switches, answer = parts(policy, actions)
    moving = LastClass(policy, MOVES, epsilon).log_prob(actions)
    ending = LastClass(policy, LAST, epsilon).log_prob(actions)
    mixed = ((1 - epsilon) * switches.exp() + epsilon / 64).log()
    torch.testing.assert_close(moving, mixed, rtol=1e-6, atol=1e-6)
    mixed = ((1 - epsilon) * answer.exp() + epsilon / CLASSES).log()
    torch.testing.assert_close(ending, mixed, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_the_part_that_counts_sums_to_one(epsilon: float) -> None:
    actions = every_action()
    policy = base(len(actions), seed=3)
    moving = LastClass(policy, MOVES, epsilon).log_prob(actions).exp()
    assert moving.sum().item() == pytest.approx(CLASSES, abs=1e-5)  # of 64 switches, C times
    torch.testing.assert_close(moving.view(64, CLASSES).std(1), torch.zeros(64).double())
    ending = LastClass(policy, LAST, epsilon).log_prob(actions).exp()
    assert ending.view(64, CLASSES)[7].sum().item() == pytest.approx(1, abs=1e-6)
    assert ending.view(64, CLASSES)[0].tolist() == ending.view(64, CLASSES)[63].tolist()


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_the_part_that_counts_is_the_marginal_of_the_whole(epsilon: float) -> None:
    actions = every_action()
    policy = base(len(actions), seed=4)
    whole = WithEpsilon(policy, epsilon).log_prob(actions).exp().view(64, CLASSES)
    moving = LastClass(policy, MOVES, epsilon).log_prob(actions).exp().view(64, CLASSES)
    torch.testing.assert_close(moving[:, 0], whole.sum(1), rtol=1e-6, atol=1e-9)
    ending = LastClass(policy, LAST, epsilon).log_prob(actions).exp().view(64, CLASSES)
    torch.testing.assert_close(ending[0], whole.sum(0), rtol=1e-6, atol=1e-9)


def test_one_mask_serves_all_games_of_a_step() -> None:
    policy = MultiCategorical(normal(3, 4, 12 + CLASSES), CLASSES)
    action = policy.sample(stream(1))
    last = torch.tensor([[False], [False], [True]])
    found = LastClass(policy, last).log_prob(action)
    switches, answer = parts(policy, action)
    torch.testing.assert_close(found[:2], switches[:2])
    torch.testing.assert_close(found[2], answer[2])
    entropies = LastClass(policy, last).entropies()
    assert list(entropies) == NAMES
    assert (entropies["class"][:2] == 0).all()
    assert (entropies["class"][2] > 0).all()
    assert (entropies["up"][:2] > 0).all()
    assert (entropies["up"][2] == 0).all()


def test_all_heads_are_drawn_as_by_the_base() -> None:
    policy = base(40)
    drawn = LastClass(policy, LAST, 0.4).sample(stream(5))
    assert torch.equal(drawn, WithEpsilon(policy, 0.4).sample(stream(5)))
    assert torch.equal(LastClass(policy, MOVES).greedy(), policy.greedy())


# --- RAM


def ram(std: float = 0.15) -> RamPolicy:
    return RamPolicy(normal(6, 2, seed=1).tanh(), normal(6, CLASSES, seed=2), std)


def test_rams_density_is_torchs() -> None:
    policy = ram()
    action = policy.sample(stream(3))
    assert action.place.shape == (6, 3)
    assert (action.place[:, 2] == 0).all()
    spot = 2 * action.place[:, :2] - 1
    expected = Normal(policy.mean, policy.std).log_prob(spot).sum(-1)
    torch.testing.assert_close(policy.log_prob(action), expected)
    middle = policy.greedy()
    torch.testing.assert_close(2 * middle.place[:, :2] - 1, policy.mean)
    peak = -2 * math.log(0.15 * math.sqrt(2 * math.pi))
    torch.testing.assert_close(policy.log_prob(middle), torch.full_like(expected, peak))


def test_rams_places_spread_as_they_should() -> None:
    policy = RamPolicy(torch.full((20_000, 2), 0.9), torch.zeros(20_000, 3), 0.25)
    spot = 2 * policy.sample(stream(0)).place[:, :2] - 1
    assert spot.mean().item() == pytest.approx(0.9, abs=0.01)
    assert spot.std().item() == pytest.approx(0.25, abs=0.005)
    assert spot.max() > 1  # nothing is cut off before the game gets it


def test_rams_answer_is_the_likeliest_and_leaves_nothing_to_chance() -> None:
    policy = ram()
    for action in (policy.sample(stream(1)), policy.greedy()):
        assert torch.equal(action.answer, policy.class_logits.argmax(-1))
        assert not action.decision.any()
    (name,) = policy.entropies()
    assert name == "class"
    expected = Categorical(logits=policy.class_logits).entropy()
    torch.testing.assert_close(policy.entropies()["class"], expected)


def test_rams_score_is_that_of_a_normal() -> None:
    mean = normal(4, 2).requires_grad_()
    policy = RamPolicy(mean, normal(4, CLASSES), 0.2)
    action = policy.sample(stream(0))
    policy.log_prob(action).sum().backward()
    distance = (2 * action.place[:, :2] - 1 - mean.detach()) / 0.2**2
    torch.testing.assert_close(mean.grad, distance)


def test_a_place_that_nobody_looks_at_has_no_share(tiny_glimpse: Any) -> None:
    config = tiny_glimpse.config("ram")
    mean = normal(3, 4, 2).tanh().requires_grad_()
    heads = Heads(mean, torch.zeros(3, 4), normal(3, 4, CLASSES))
    last = torch.tensor([[False], [False], [True]])
    policy = make_policy(config, heads, last, explores=True)
    action = policy.sample(stream(1))
    found = policy.log_prob(action)
    plain = RamPolicy(mean, heads.classes, config.place_std).log_prob(action)
    assert torch.equal(found[:2], plain[:2])
    assert (found[2] == 0).all()
    found.sum().backward()
    assert mean.grad is not None
    assert (mean.grad[2] == 0).all()
    assert (mean.grad[:2] != 0).all()


# --- answers at any time


def every_answer() -> Tensor:
    """All 128 C actions [128 C, 8]: six switches, the class, whether it is the answer."""
    return torch.tensor(list(itertools.product(*[range(2)] * 6, range(CLASSES), range(2))))


def anytime(count: int, forced: Tensor = MOVES, seed: int = 0) -> MultiCategorical:
    return MultiCategorical(normal(14 + CLASSES, seed=seed).expand(count, -1), CLASSES, forced)


def shares(policy: MultiCategorical, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The probabilities of the switches, of answering or not, and of the class, by torch."""
    columns = [0, 1, 2, 3, 4, 5, 7]
    heads = [Categorical(logits=policy.logits[..., 2 * i : 2 * i + 2]) for i in range(7)]
    each = [head.log_prob(action[..., at]) for head, at in zip(heads, columns, strict=True)]
    answer = Categorical(logits=policy.logits[..., 14:]).log_prob(action[..., 6])
    return sum(each[:6]).exp(), each[6].exp(), answer.exp()


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_an_eighth_head_answers_and_all_actions_sum_to_one(epsilon: float) -> None:
    actions = every_answer()
    policy = anytime(len(actions))
    switches, answering, answer = shares(policy, actions)
    found = WithEpsilon(policy, epsilon).log_prob(actions)
    mixed = (1 - epsilon) * switches * answering * answer + epsilon * 2**-7 / CLASSES
    torch.testing.assert_close(found, mixed.log())
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)
    drawn = WithEpsilon(policy, epsilon).sample(stream(1))
    assert drawn.shape == (len(actions), 8)
    assert drawn[:, 6].max() == CLASSES - 1
    assert drawn[:, 7].unique().tolist() == [0, 1]
    greedy = policy.greedy()[0].tolist()
    pairs = policy.logits[0, :14].view(7, 2).argmax(1).tolist()
    assert greedy == [*pairs[:6], policy.logits[0, 14:].argmax().item(), pairs[6]]


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_at_the_limit_the_answer_is_given_and_its_head_has_no_share(epsilon: float) -> None:
    actions = every_answer()[1::2]  # those that answer
    policy = anytime(len(actions), LAST)
    assert (policy.greedy()[:, 7] == 1).all()
    assert (WithEpsilon(policy, 0.9).sample(stream(2))[:, 7] == 1).all()
    found = WithEpsilon(policy, epsilon).log_prob(actions)
    switches, _, answer = shares(policy, actions)
    mixed = (1 - epsilon) * switches * answer + epsilon * 2**-6 / CLASSES
    torch.testing.assert_close(found, mixed.log())
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert policy.entropies()["answer"].abs().max() == 0


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_what_counts_is_the_class_where_it_is_the_answer(epsilon: float) -> None:
    actions = every_answer()
    policy = anytime(len(actions), seed=5)
    switches, answering, answer = shares(policy, actions)
    found = LastClass(policy, MOVES, epsilon).log_prob(actions).exp()
    asked = actions[:, 7] == 1
    uniform = torch.where(asked, 0.5 / CLASSES, 0.5 / 64)
    counted = answering * torch.where(asked, answer, switches)
    torch.testing.assert_close(found, (1 - epsilon) * counted + epsilon * uniform,
                               rtol=1e-6, atol=1e-9)  # fmt: skip
    # Of each answer there are 64 actions, of each way to move C: what counts sums to 1.
    assert (found[asked].sum() / 64 + found[~asked].sum() / CLASSES).item() == pytest.approx(1)
    ending = LastClass(anytime(len(actions), LAST, seed=5), LAST, epsilon).log_prob(actions).exp()
    expected = (1 - epsilon) * answer + epsilon / CLASSES
    torch.testing.assert_close(ending[asked], expected[asked], rtol=1e-6, atol=1e-9)


def test_entropies_of_what_counts_add_up_to_its_entropy() -> None:
    actions = every_answer()
    policy = anytime(len(actions), seed=6)
    log_prob, asked = LastClass(policy, MOVES).log_prob(actions), actions[:, 7] == 1
    often = torch.where(asked, 1 / 64, 1 / CLASSES)  # each of what counts stands for so many
    expected = -(often * log_prob.exp() * log_prob).sum()
    entropies = LastClass(policy, MOVES).entropies()
    assert set(entropies) == {*NAMES, "answer"}
    torch.testing.assert_close(sum(one[0] for one in entropies.values()), expected)
    at_end = LastClass(anytime(1, LAST, seed=6), LAST).entropies()
    torch.testing.assert_close(at_end["class"], policy.entropies()["class"][:1])
    assert all(at_end[name] == 0 for name in (*SWITCHES, "answer"))


def test_nobody_answers_for_the_sake_of_a_heads_entropy() -> None:
    logits = normal(2, 14 + CLASSES).requires_grad_()
    entropies = LastClass(MultiCategorical(logits, CLASSES, MOVES), MOVES).entropies()
    (slope,) = torch.autograd.grad(entropies["class"].sum() + entropies["up"].sum(), logits)
    assert (slope[:, 12:14] == 0).all()
    assert (slope[:, :2] != 0).all()


# --- hybrid-vit, from the heads of its network


@pytest.mark.parametrize("kind", ["deterministic", "beta", "tanh-normal"])
def test_a_hybrid_is_made_of_its_networks_heads(tiny_glimpse: Any, kind: str) -> None:
    config = tiny_glimpse.config("hybrid-vit", place=kind)
    network = tiny_glimpse.network(config).double()
    glimpse, place = normal(6, 3, 4, 4).abs(), normal(6, 3).sigmoid()
    memory = {name: one.double() for name, one in network.begin(6, "cpu").items()}
    heads, _ = network.step(glimpse, place, memory)
    policy = make_policy(config, heads, MOVES, explores=True)
    decision, classes = heads.policy[:, 0], heads.policy[:, 1:11]
    action = policy.sample(stream(2))
    asked = torch.tensor([True, False] * 3)
    action = HybridAction(asked, action.answer, action.place)
    expected = Bernoulli(logits=decision).log_prob(asked.double())
    answer = Categorical(logits=classes / 0.3).log_prob(action.answer)
    raw, spread = heads.policy[:, 11:14], heads.policy[:, 14:]
    if kind == "deterministic":
        assert spread.shape[1] == 0
        where = torch.zeros_like(expected)
        squashed = raw.tanh()
        torch.testing.assert_close(action.place, (squashed.sign() * squashed.abs() ** 0.8 + 1) / 2)
    elif kind == "beta":
        softplus = torch.nn.functional.softplus
        where = Beta(1 + softplus(raw), 1 + softplus(spread)).log_prob(action.place).sum(-1)
    else:
        u = action.place.logit() / 2
        slope = (2 * action.place * (1 - action.place)).log()
        where = (Normal(raw, spread.clamp(-5, 0.5).exp()).log_prob(u) - slope).sum(-1)
    assert action.place.min() >= EDGE
    expected = expected + torch.where(asked, answer, where)
    torch.testing.assert_close(policy.log_prob(action), expected)
    assert set(policy.entropies()) == {"decision", "class", "place"}


def test_the_last_glimpse_may_have_to_answer(tiny_glimpse: Any) -> None:
    """The decision made for the agent has no share in the log-probability, nor a gradient."""
    config = tiny_glimpse.config("hybrid-vit", place="beta", at_limit="answer")
    network = tiny_glimpse.network(config)
    heads, _ = network.step(torch.rand(64, 3, 4, 4), torch.rand(64, 3), network.begin(64, "cpu"))
    last = torch.arange(64) < 32
    policy = make_policy(config, heads, last, explores=True)
    action = policy.sample(stream(1))
    assert action.decision[last].all()
    assert policy.greedy().decision[last].all()
    assert not action.decision[~last].all()
    answer = Categorical(logits=heads.classes / 0.3).log_prob(action.answer)
    torch.testing.assert_close(policy.log_prob(action)[last], answer[last])
    (slope,) = torch.autograd.grad(policy.entropies()["decision"].sum(), heads.policy)
    assert slope[last].abs().max() < 1e-10
    assert slope[~last, 0].abs().min() > 0
    before = make_policy(config.model_copy(update={"at_limit": "cut"}), heads, last, explores=True)
    torch.testing.assert_close(
        policy.log_prob(action)[~last], before.log_prob(action)[~last], rtol=0, atol=0
    )


def test_the_published_sum_counts_the_class_always(tiny_glimpse: Any) -> None:
    values = {"fault_memory": True, "class_counts": "always"}
    fault = tiny_glimpse.config("hybrid-vit", **values)
    heads, _ = (network := tiny_glimpse.network(fault)).step(
        torch.rand(4, 3, 4, 4), torch.rand(4, 3), network.begin(4, "cpu")
    )
    policy = make_policy(fault, heads, MOVES, explores=False)
    action = policy.sample(stream(0))
    expected = Bernoulli(logits=heads.policy[:, 0]).log_prob(action.decision.float())
    expected = expected + Categorical(logits=heads.classes / 0.3).log_prob(action.answer)
    torch.testing.assert_close(policy.log_prob(action), expected)


# --- which policy a configuration means


def heads_of(logits: Tensor) -> Heads:
    return Heads(logits, torch.zeros(logits.shape[:-1]), logits[..., 12:])


@pytest.mark.parametrize("variant", ["multi-categorical", "greedy-map"])
def test_epsilon_applies_only_where_the_agent_explores(tiny_glimpse: Any, variant: str) -> None:
    heads = heads_of(normal(3, 22))
    for counts, kind in (("always", WithEpsilon), ("when-read", LastClass)):
        config = tiny_glimpse.config(variant, epsilon=0.2, class_counts=counts)
        explorer = make_policy(config, heads, LAST, explores=True)
        assert isinstance(explorer, kind)
        assert explorer.epsilon == 0.2
        plain = make_policy(config, heads, LAST, explores=False)
        assert getattr(plain, "epsilon", 0.0) == 0
    config = tiny_glimpse.config(variant, epsilon=0.0)
    assert isinstance(make_policy(config, heads, LAST, explores=True), MultiCategorical)


def test_entropy_has_the_published_weights(tiny_glimpse: Any) -> None:
    def weights(variant: str) -> list[float]:
        found = entropy_weights(tiny_glimpse.config(variant))
        return [found[name] for name in NAMES]

    assert weights("multi-categorical") == [0.05] * 4 + [0.005] * 2 + [0.1]
    assert weights("greedy-map") == [0.05] * 6 + [0.01]
    hybrid = entropy_weights(tiny_glimpse.config("hybrid-vit", entropy_move=0.3))
    assert [hybrid[name] for name in ("decision", "class", "place")] == [0.02, 0.005, 0.3]
    assert entropy_weights(tiny_glimpse.config("ram"))["class"] == 0


@pytest.mark.parametrize("variant", ["multi-categorical", "hybrid-vit", "ram"])
def test_every_entropy_has_a_weight(tiny_glimpse: Any, variant: str) -> None:
    config = tiny_glimpse.config(variant)
    network = tiny_glimpse.network(config)
    view = tiny_glimpse.game(config).begin(*tiny_glimpse.digits(3), stream(0))
    heads, _ = network.step(view.glimpse, view.place, network.begin(3, "cpu"))
    entropies = make_policy(config, heads, MOVES, explores=True).entropies()
    assert entropies.keys() <= entropy_weights(config).keys()


# --- actions of many steps


def test_actions_are_stacked_by_step_and_chosen_by_game() -> None:
    rows = [torch.arange(14).view(2, 7) + 100 * step for step in range(3)]
    whole = stacked(rows)
    assert whole.shape == (3, 2, 7)
    assert of_games(whole, torch.tensor([1]))[2, 0].tolist() == list(range(207, 214))
    hybrids = [
        HybridAction(torch.tensor([True, False]), torch.tensor([step, 9]), torch.rand(2, 3))
        for step in range(3)
    ]
    joined = stacked(hybrids)
    assert joined.answer.tolist() == [[0, 9], [1, 9], [2, 9]]
    chosen = of_games(joined, torch.tensor([0]))
    assert chosen.answer.tolist() == [[0], [1], [2]]
    assert chosen.decision.all()
    assert torch.equal(chosen.place[2, 0], hybrids[2].place[0])
