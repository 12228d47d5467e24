"""The policies' distributions: log-probs that sum to 1, and agreement with torch's own."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    AffineTransform,
    Bernoulli,
    Beta,
    Categorical,
    Normal,
    TransformedDistribution,
)
from torch.distributions.transforms import TanhTransform

from rlvit_glimpse.actions import (
    EDGE,
    SWITCHES,
    BetaPlace,
    Hybrid,
    HybridAction,
    MultiCategorical,
    TanhNormalPlace,
    WithEpsilon,
)

CLASSES = 5


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=stream(seed), dtype=torch.float64)


def every_action() -> Tensor:
    """All 64 C actions [64 C, 7]."""
    ranges = [range(2)] * len(SWITCHES) + [range(CLASSES)]
    return torch.tensor(list(itertools.product(*ranges)))


def policy(*shape: int, seed: int = 0) -> MultiCategorical:
    return MultiCategorical(normal(*shape, 12 + CLASSES, seed=seed), CLASSES)


def hybrid(kind: str, *shape: int, **options: object) -> Hybrid:
    spread = (
        None if kind == "deterministic" else normal(*shape, 3, seed=4, scale=0.5).clamp_max(0.4)
    )
    logits = normal(*shape, CLASSES, seed=2, scale=0.3)
    return Hybrid(
        normal(*shape, seed=1), logits, normal(*shape, 3, seed=3), spread, kind, **options
    )


# --- six switches and a class


def test_multi_categorical_agrees_with_torch() -> None:
    game = policy(3, 4)
    action = game.sample(stream(1))
    assert action.shape == (3, 4, 7)
    assert action.dtype == torch.int64
    expected, entropies = torch.zeros(3, 4, dtype=torch.float64), game.entropies()
    assert list(entropies) == ["up", "down", "left", "right", "zoom_in", "zoom_out", "class"]
    for column, name in enumerate(entropies):
        first, width = 2 * column, CLASSES if name == "class" else 2
        head = Categorical(logits=game.logits[..., first : first + width])
        expected += head.log_prob(action[..., column])
        torch.testing.assert_close(entropies[name], head.entropy())
    torch.testing.assert_close(game.log_prob(action), expected)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.9])
def test_all_actions_sum_to_one(epsilon: float) -> None:
    actions = every_action()
    game = MultiCategorical(policy().logits.expand(len(actions), -1), CLASSES)
    total = WithEpsilon(game, epsilon).log_prob(actions).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-12)


def test_epsilon_mixes_exactly() -> None:
    game, action = policy(6), policy(6, seed=1).sample(stream(2))
    mixed = 0.75 * game.log_prob(action).exp() + 0.25 / (64 * CLASSES)
    torch.testing.assert_close(WithEpsilon(game, 0.25).log_prob(action), mixed.log())


def test_epsilon_zero_is_the_base() -> None:
    game = policy(50)
    mixture = WithEpsilon(game, 0.0)
    action = game.sample(stream(3))
    assert torch.equal(mixture.sample(stream(3)), action)
    assert torch.equal(mixture.log_prob(action), game.log_prob(action))
    assert torch.equal(WithEpsilon(game, 0.5).greedy(), game.greedy())
    assert torch.equal(WithEpsilon(game, 0.5).entropies()["class"], game.entropies()["class"])


@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_frequencies_are_the_probabilities(epsilon: float) -> None:
    draws = 200_000
    logits = policy(seed=5).logits
    game = WithEpsilon(MultiCategorical(logits.expand(draws, -1), CLASSES), epsilon)
    action = game.sample(stream(6))
    places = torch.tensor([32, 16, 8, 4, 2, 1, 64])  # every action has its own number
    count = torch.bincount((action * places).sum(-1), minlength=64 * CLASSES)
    actions = every_action()
    one = WithEpsilon(MultiCategorical(logits.expand(len(actions), -1), CLASSES), epsilon)
    expected = torch.zeros(64 * CLASSES, dtype=torch.float64)
    expected[(actions * places).sum(-1)] = draws * one.log_prob(actions).exp()
    # Chi-squared with 319 degrees of freedom: mean 319, standard deviation 25.
    assert ((count - expected).square() / expected).sum().item() < 319 + 4 * 25.3


def test_sampling_is_reproducible_and_uses_its_generator_only() -> None:
    game = WithEpsilon(policy(100), 0.3)
    before = torch.get_rng_state()
    assert torch.equal(game.sample(stream(7)), game.sample(stream(7)))
    assert not torch.equal(game.sample(stream(7)), game.sample(stream(8)))
    for kind in ("deterministic", "beta", "tanh-normal"):
        first, second = (hybrid(kind, 100).sample(stream(9)) for _ in range(2))
        assert torch.equal(first.place, second.place)
        assert torch.equal(first.decision, second.decision)
        assert torch.equal(first.answer, second.answer)
    assert torch.equal(torch.get_rng_state(), before)


def test_greedy_takes_the_likeliest_action() -> None:
    game, actions = policy(4), every_action()
    for row, best in zip(game.logits, game.greedy(), strict=True):
        alone = MultiCategorical(row.expand(len(actions), -1), CLASSES)
        assert torch.equal(actions[alone.log_prob(actions).argmax()], best)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_extreme_logits_stay_finite(epsilon: float) -> None:
    logits = torch.full((1, 12 + CLASSES), 200.0)
    logits[:, ::2] = -200.0
    logits.requires_grad_()
    game = WithEpsilon(MultiCategorical(logits, CLASSES), epsilon)
    unlikely = torch.tensor([[0, 0, 0, 0, 0, 0, 0]])
    log_prob = game.log_prob(unlikely)
    (log_prob + sum(game.entropies().values())).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    if epsilon:  # only the uniform part is left
        assert log_prob.item() == pytest.approx(math.log(0.1 / (64 * CLASSES)))
    else:  # each switch 400 nats, the class 400 and the logarithm of its two equal rivals
        assert log_prob.item() == pytest.approx(-7 * 400 - math.log(2))


def test_gradient_by_hand() -> None:
    logits = normal(12 + CLASSES, seed=9).requires_grad_()
    game, action = MultiCategorical(logits, CLASSES), torch.tensor([1, 0, 1, 0, 0, 1, 3])
    game.log_prob(action).backward()
    # d log softmax(x)_a / dx = onehot(a) - softmax(x), head by head
    pairs, answer = logits.detach()[:12].reshape(6, 2), logits.detach()[12:]
    expected = torch.cat(
        [
            (torch.eye(2, dtype=torch.float64)[action[:6]] - pairs.softmax(-1)).flatten(),
            torch.eye(CLASSES, dtype=torch.float64)[3] - answer.softmax(-1),
        ]
    )
    torch.testing.assert_close(logits.grad, expected)


def test_epsilon_shrinks_the_gradient_to_the_base_share() -> None:
    logits = normal(1, 12 + CLASSES, seed=10).requires_grad_()
    game, action = MultiCategorical(logits, CLASSES), torch.tensor([[1, 1, 0, 0, 1, 0, 2]])
    (alone,) = torch.autograd.grad(game.log_prob(action), logits)
    mixture = WithEpsilon(game, 0.2).log_prob(action)
    (mixed,) = torch.autograd.grad(mixture, logits)
    share = 0.8 * (game.log_prob(action) - mixture).exp()
    torch.testing.assert_close(mixed, share.detach() * alone)


def test_wrong_shapes_and_epsilons_are_refused() -> None:
    with pytest.raises(ValueError, match="17 logits expected, not 16"):
        MultiCategorical(torch.zeros(2, 16), 5)
    for epsilon in (-0.1, 1.0):
        with pytest.raises(ValueError, match="at least 0 and below 1"):
            WithEpsilon(policy(2), epsilon)


# --- a decision, a class and a place


def test_hybrid_counts_what_matters() -> None:
    decision_logit = torch.tensor([0.5, 0.5])
    logits = torch.tensor([[0.3, 0.0, -0.3]] * 2)
    game = Hybrid(decision_logit, logits, torch.zeros(2, 3), torch.zeros(2, 3), "tanh-normal")
    place = torch.tensor([[0.5, 0.6, 0.4]] * 2)
    action = HybridAction(torch.tensor([True, False]), torch.tensor([0, 2]), place)
    # At temperature 0.3 the logits are 1, 0, -1.
    scale = math.log(math.e + 1 + 1 / math.e)
    yes, no = -math.log1p(math.exp(-0.5)), -math.log1p(math.exp(0.5))
    # u = atanh(2 y - 1) = 0 and +-atanh(0.2); dy/du = (1 - tanh(u)^2) / 2
    density = -1.5 * math.log(2 * math.pi) - math.atanh(0.2) ** 2
    density -= math.log(0.5) + 2 * math.log(0.48)
    assert game.log_prob(action).tolist() == pytest.approx([yes + 1 - scale, no + density])
    always = dataclasses.replace(game, class_always=True)
    expected = [yes + 1 - scale, no + density - 1 - scale]
    assert always.log_prob(action).tolist() == pytest.approx(expected)


def test_deterministic_place_of_vit_rl() -> None:
    raw = torch.tensor([[-0.5, 0.0, 30.0]])
    game = Hybrid(torch.zeros(1), torch.zeros(1, CLASSES), raw, None, "deterministic")
    expected = [(1 - math.tanh(0.5) ** 0.8) / 2, 0.5, 1.0]
    assert game.greedy().place[0].tolist() == pytest.approx(expected)
    assert torch.equal(game.sample(stream(0)).place, game.greedy().place)
    assert game.entropies()["place"].item() == 0


def test_deterministic_place_gets_no_gradient() -> None:
    game = hybrid("deterministic", 8)
    leaves = [leaf.requires_grad_() for leaf in (game.decision_logit, game.class_logits)]
    place = game.place.requires_grad_()
    total = game.log_prob(game.sample(stream(1))).sum() + game.entropies()["place"].sum()
    *heads, none = torch.autograd.grad(total, [*leaves, place], allow_unused=True)
    assert none is None
    assert all(gradient.abs().sum() > 0 for gradient in heads)


@pytest.mark.parametrize("always", [False, True])
def test_discrete_part_sums_to_one(always: bool) -> None:
    game = hybrid("deterministic", class_always=always)
    answers = torch.arange(CLASSES)
    count = (
        2 * CLASSES if always else CLASSES + 1
    )  # where it does not count, one class stands for all
    decision = torch.arange(count) < CLASSES
    wide = Hybrid(
        game.decision_logit.expand(count),
        game.class_logits.expand(count, -1),
        game.place.expand(count, -1),
        None,
        "deterministic",
        class_always=always,
    )
    action = HybridAction(decision, answers.repeat(2)[:count], wide.greedy().place)
    assert wide.log_prob(action).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("kind", ["beta", "tanh-normal"])
def test_hybrid_gradients_reach_only_what_counts(kind: str) -> None:
    game = hybrid(kind, 2)
    assert game.place_std is not None
    leaves = [game.decision_logit, game.class_logits, game.place, game.place_std]
    for leaf in leaves:
        leaf.requires_grad_()
    drawn = game.sample(stream(2))
    assert not drawn.place.requires_grad
    action = HybridAction(torch.tensor([True, False]), drawn.answer, drawn.place)
    game.log_prob(action).sum().backward()
    moved = [[bool(row.any()) for row in leaf.grad] for leaf in leaves if leaf.grad is not None]
    assert moved == [[True, True], [True, False], [False, True], [False, True]]


def test_hybrid_frequencies_and_entropies() -> None:
    draws, game = 100_000, hybrid("beta")
    wide = Hybrid(
        game.decision_logit.expand(draws),
        game.class_logits.expand(draws, -1),
        game.place.expand(draws, -1),
        game.place_std.expand(draws, -1) if game.place_std is not None else None,
        "beta",
    )
    action = wide.sample(stream(3))
    answer = Categorical(logits=game.class_logits / 0.3)
    share = action.decision.double().mean().item()
    assert share == pytest.approx(game.decision_logit.sigmoid().item(), abs=0.007)
    seen = torch.bincount(action.answer, minlength=CLASSES) / draws
    torch.testing.assert_close(seen.double(), answer.probs, atol=0.007, rtol=0)
    entropies = game.entropies()
    assert list(entropies) == ["decision", "class", "place"]
    torch.testing.assert_close(entropies["class"], answer.entropy())
    decision = Bernoulli(logits=game.decision_logit).entropy()
    torch.testing.assert_close(entropies["decision"], decision)


def test_hybrid_refuses_a_spread_that_does_not_fit() -> None:
    parts = torch.zeros(2), torch.zeros(2, CLASSES), torch.zeros(2, 3)
    with pytest.raises(ValueError, match="no place distribution 'normal'"):
        Hybrid(*parts, torch.zeros(2, 3), "normal")
    with pytest.raises(ValueError, match="'beta' does not go with"):
        Hybrid(*parts, None, "beta")
    with pytest.raises(ValueError, match="'deterministic' does not go with"):
        Hybrid(*parts, torch.zeros(2, 3), "deterministic")


# --- places


def references(game: Hybrid) -> Beta | TransformedDistribution:
    """torch's own distribution of the place, from the raw outputs."""
    assert game.place_std is not None
    if game.kind == "beta":
        return Beta(1 + game.place.exp().log1p(), 1 + game.place_std.exp().log1p())
    # The cached u is not used: a transform without a cache inverts, as the policy must.
    steps = [TanhTransform(), AffineTransform(0.5, 0.5)]
    return TransformedDistribution(Normal(game.place, game.place_std.exp()), steps)


@pytest.mark.parametrize("kind", ["beta", "tanh-normal"])
def test_place_densities_agree_with_torch(kind: str) -> None:
    game = hybrid(kind, 200)
    place = torch.rand(200, 3, generator=stream(4), dtype=torch.float64)
    action = HybridAction(torch.zeros(200, dtype=torch.bool), torch.zeros(200).long(), place)
    decided = Bernoulli(logits=game.decision_logit).log_prob(torch.zeros(200))
    expected = decided + references(game).log_prob(place).sum(-1)
    torch.testing.assert_close(game.log_prob(action), expected)


@pytest.mark.parametrize(
    "place",
    [
        BetaPlace(torch.tensor([[1.0, 1.2, 9.0]]), torch.tensor([[1.0, 3.0, 1.5]])),
        TanhNormalPlace(torch.tensor([[0.0, 1.0, -1.0]]), torch.tensor([[-2.0, 0.0, 0.2]])),
    ],
)
def test_densities_integrate_to_one_and_entropies_are_theirs(
    place: BetaPlace | TanhNormalPlace,
) -> None:
    # Summed over evenly spaced log-odds, which are denser where the density is steep.
    odds = torch.linspace(-13.8, 13.8, 20_001, dtype=torch.float64)[:, None]
    middle = odds.sigmoid()
    width = (middle * (1 - middle))[:, 0] * (odds[1] - odds[0])
    total = 0.0
    for column in range(3):
        names = ("alpha", "beta") if isinstance(place, BetaPlace) else ("mean", "log_std")
        one = type(place)(
            *(getattr(place, name)[:, column : column + 1].double() for name in names)
        )
        log_density = one.log_prob(middle)
        density = log_density.exp() * width
        assert density.sum().item() == pytest.approx(1, abs=1e-5)
        entropy = -(density * log_density).sum()
        assert one.entropy().item() == pytest.approx(entropy.item(), abs=1e-4)
        total += one.entropy().item()
    assert place.entropy().item() == pytest.approx(total, abs=1e-5)


def test_beta_entropy_agrees_with_torch() -> None:
    game = hybrid("beta", 50)
    torch.testing.assert_close(game.entropies()["place"], references(game).entropy().sum(-1))


@pytest.mark.parametrize("kind", ["beta", "tanh-normal"])
def test_places_are_drawn_from_their_density(kind: str) -> None:
    draws, game = 50_000, hybrid(kind)
    assert game.place_std is not None
    wide = Hybrid(
        game.decision_logit.expand(draws),
        game.class_logits.expand(draws, -1),
        game.place.expand(draws, -1),
        game.place_std.expand(draws, -1),
        kind,
    )
    place = wide.sample(stream(5)).place.double().sort(0).values  # [draws, 3]
    reference = references(game)
    if isinstance(reference, Beta):  # torch has no incomplete beta: sum the density instead
        cells = 100_000
        middle = ((torch.arange(cells, dtype=torch.float64) + 0.5) / cells)[:, None]
        mass = (reference.log_prob(middle).exp() / cells).cumsum(0)  # [cells, 3]
        below = mass.gather(0, (place * cells).long().clamp_max(cells - 1))
    else:
        below = reference.cdf(place)
    ranks = ((torch.arange(draws, dtype=torch.float64) + 0.5) / draws)[:, None]
    # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded with probability 0.001.
    assert (below - ranks).abs().max().item() < 1.95 / math.sqrt(draws)


def test_greedy_places() -> None:
    beta = BetaPlace(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([[1.0, 1.0, 6.0]]))
    assert beta.greedy()[0].tolist() == pytest.approx([0.5, 0.75, 0.25])
    tanh = TanhNormalPlace(torch.tensor([[0.0, 1.0, -1.0]]), torch.zeros(1, 3))
    expected = [0.5, (1 + math.tanh(1)) / 2, (1 - math.tanh(1)) / 2]
    assert tanh.greedy()[0].tolist() == pytest.approx(expected)


def test_greedy_hybrid() -> None:
    logits = torch.tensor([[0.0, 1.0], [2.0, 1.0]])
    parts = torch.tensor([-0.1, 0.1]), logits, torch.zeros(2, 3), torch.zeros(2, 3)
    action = Hybrid(*parts, "beta").greedy()
    assert action.decision.tolist() == [False, True]
    assert action.answer.tolist() == [1, 0]
    assert action.place.tolist() == [[0.5] * 3] * 2


@pytest.mark.parametrize("kind", ["beta", "tanh-normal"])
@pytest.mark.parametrize("size", [-60.0, 60.0])
def test_extreme_places_stay_finite(kind: str, size: float) -> None:
    raw = torch.full((4, 3), size).requires_grad_()
    spread = torch.full((4, 3), size).requires_grad_()
    game = Hybrid(torch.zeros(4), torch.zeros(4, CLASSES), raw, spread, kind)
    place = game.sample(stream(6)).place
    assert ((place >= EDGE) & (place <= 1 - EDGE)).all()
    place[0], place[1] = 0.0, 1.0
    action = HybridAction(torch.zeros(4, dtype=torch.bool), torch.zeros(4).long(), place)
    log_prob = game.log_prob(action)
    (log_prob + game.entropies()["place"]).sum().backward()
    assert log_prob.isfinite().all()
    assert raw.grad is not None
    assert raw.grad.isfinite().all()
    assert spread.grad is not None
    assert spread.grad.isfinite().all()
