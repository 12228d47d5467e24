"""Games played to their end on real digits, by agents of every variant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rlvit_glimpse.networks import GlimpseNetwork
from rlvit_glimpse.policies import make_policy
from rlvit_glimpse.rollouts import Episodes, cut_off
from rlvit_glimpse.update import advantages

VARIANTS = ("multi-categorical", "greedy-map", "hybrid-vit", "ram")
LAST_STEP = ("multi-categorical", "greedy-map", "ram")
GAMES, STEPS = 12, 5
BY_STEP = ("log_prob", "value", "next_value", "reward", "alive", "terminated", "ended")


def agent(tiny_glimpse: Any, variant: str, **values: Any) -> tuple[Any, GlimpseNetwork]:
    config = tiny_glimpse.config(variant, **{"max_steps": STEPS, **values})
    return config, tiny_glimpse.network(config)


def tensors(episodes: Episodes) -> dict[str, Tensor]:
    """All of it by name."""
    found = {name: one for name, one in vars(episodes).items() if isinstance(one, Tensor)}
    if not isinstance(episodes.actions, Tensor):
        found |= {f"actions.{name}": one for name, one in vars(episodes.actions).items()}
    for step, memory in enumerate(episodes.memory):
        found |= {f"memory.{step}.{name}": one for name, one in memory.items()}
    return found


def retold(network: GlimpseNetwork, episodes: Episodes) -> list[Any]:
    """The heads of each step, by stepping over what was seen."""
    memory = network.begin(len(episodes.labels), "cpu")
    heads = []
    with torch.no_grad():
        for glimpse, place in zip(episodes.glimpses, episodes.places, strict=True):
            found, memory = network.step(glimpse, place, memory)
            heads.append(found)
    return [*heads, memory]


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_has_its_shape(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant)
    if variant == "hybrid-vit":
        tiny_glimpse.deciding(network, -20.0)
    found = tiny_glimpse.played(config, network, GAMES)
    channels = 6 if variant in ("multi-categorical", "greedy-map") else 3
    assert found.glimpses.shape == (STEPS, GAMES, channels, 4, 4)
    assert found.places.shape == found.boxes.shape == (STEPS, GAMES, 3)
    for name in BY_STEP:
        assert getattr(found, name).shape == (STEPS, GAMES), name
    assert found.classes.shape == (STEPS, GAMES, 10)
    for name in ("labels", "answer", "seen", "right", "lengths"):
        assert getattr(found, name).shape == (GAMES,), name
    assert torch.equal(found.labels, tiny_glimpse.digits(GAMES)[1])
    assert not any(one.requires_grad for one in tensors(found).values())
    assert found.memory == ()


@pytest.mark.parametrize("variant", VARIANTS)
def test_games_live_until_they_end(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant)
    found = tiny_glimpse.played(config, network, 48)
    assert found.alive[0].all()
    assert torch.equal(found.alive[1:], ~found.ended[:-1])
    assert found.ended[-1].all()
    assert (found.terminated <= found.ended).all()
    assert (found.reward[~found.alive] == 0).all()
    assert torch.equal(found.lengths, found.alive.sum(0))
    if variant in LAST_STEP:
        assert (found.lengths == STEPS).all()
        assert torch.equal(found.terminated, found.ended)
        assert torch.equal(found.ended.sum(0), torch.ones(48, dtype=torch.int64))
    else:
        assert found.lengths.unique().numel() >= 3
        decided = found.actions.decision & found.alive
        assert torch.equal(decided.any(0), found.terminated[-1])
        assert torch.equal(decided.any(0) | (found.lengths == STEPS), torch.ones(48) == 1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_answer_is_the_class_of_the_last_action(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant, novelty=0.0)
    found = tiny_glimpse.played(config, network, 200)
    games, last = torch.arange(200), found.lengths - 1
    if isinstance(found.actions, Tensor):
        given = found.actions[last, games, 6]
    else:
        given = found.actions.answer[last, games]
    likeliest = found.classes[last, games].argmax(-1)
    ended_itself = found.terminated[-1]
    assert torch.equal(found.answer, torch.where(ended_itself, given, likeliest))
    if variant == "ram":
        assert torch.equal(found.answer, likeliest)
    if variant == "hybrid-vit":
        assert 0 < (~ended_itself).sum() < 200
    paid = (found.right & ended_itself) * config.reward_right
    assert torch.equal(found.reward.sum(0), paid)
    assert 0 < paid.sum() < 100 * config.reward_right


def test_games_that_are_cut_off_are_bootstrapped(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "hybrid-vit")
    game = tiny_glimpse.game(config)
    tiny_glimpse.deciding(network, -20.0)
    found = tiny_glimpse.played(config, network, GAMES, games=game)
    assert found.ended[-1].all()
    assert not found.terminated.any()
    assert (found.reward == 0).all()
    *_, memory = retold(network, found)
    after = game.observe()
    with torch.no_grad():
        heads, _ = network.step(after.glimpse, after.place, memory)
    torch.testing.assert_close(found.next_value[-1], heads.value)
    assert torch.equal(found.next_value[:-1], found.value[1:])
    assert torch.equal(found.answer, found.classes[-1].argmax(-1))


def ready(network: GlimpseNetwork, bias: float) -> GlimpseNetwork:
    """Let a network that may answer at any time do so at once, or as late as it may."""
    with torch.no_grad():
        network.policy.bias[12:14] = torch.tensor([0.0, bias])
    return network


@pytest.mark.parametrize("variant", ["multi-categorical", "greedy-map"])
def test_who_may_answer_at_any_time_does(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant, answer="any-time", answer_chance=0.3)
    found = tiny_glimpse.played(config, network, 400)
    assert found.actions.shape == (STEPS, 400, 8)
    assert found.terminated[-1].all()  # nobody is cut off
    assert (found.alive[:, found.lengths == 2].sum(0) == 2).all()
    games, last = torch.arange(400), found.lengths - 1
    given = found.actions[last, games]
    assert (given[:, 7] == 1).all()
    assert torch.equal(found.answer, given[:, 6])
    before = found.alive & ~found.ended
    assert (found.actions[before][:, 7] == 0).all()
    # Random actions (a tenth of greedy-map's) answer half of the time.
    chance = 0.3 if variant == "multi-categorical" else 0.9 * 0.3 + 0.1 * 0.5
    expected = sum(step * chance * (1 - chance) ** (step - 1) for step in range(1, STEPS))
    expected += STEPS * (1 - chance) ** (STEPS - 1)
    assert found.lengths.float().mean().item() == pytest.approx(expected, abs=0.3)
    at_once = tiny_glimpse.played(config, ready(network, 30.0), GAMES, explores=False)
    assert at_once.alive.shape == (1, GAMES)
    late = tiny_glimpse.played(config, ready(network, -30.0), GAMES, explores=False)
    assert (late.lengths == STEPS).all()
    assert torch.equal(late.answer, late.actions[-1, :, 6])
    assert (late.next_value[-1] == 0).all()  # nothing follows, and nothing is computed


def test_rollouts_that_begin_anew_cut_off_each_environments_last_game(tiny_glimpse: Any) -> None:
    assert cut_off(16, 20).tolist() == ([20] * 6 + [8]) * 2 + [20, 20]  # 6 x 20 + 8 = 128
    assert cut_off(7, 30).tolist() == [30, 30, 30, 30, 8, 30, 30]  # 4 x 30 + 8
    assert cut_off(3, 32).tolist() == [32] * 3
    assert cut_off(2, 200).tolist() == [128, 128]
    config, network = agent(tiny_glimpse, "multi-categorical", fault_memory=True)
    limits = torch.tensor([STEPS, STEPS, 2] * 4)
    found = tiny_glimpse.played(config, network, GAMES, limits=limits)
    assert torch.equal(found.lengths, limits)
    cut = limits < STEPS
    assert torch.equal(found.terminated.any(0), ~cut)
    assert found.ended[-1].all()
    assert (found.reward[:, cut] == 0).all()
    whole = tiny_glimpse.played(config, network, GAMES)
    assert torch.equal(found.log_prob[:2], whole.log_prob[:2])
    assert torch.equal(found.next_value[:2], whole.value[1:3])  # it goes on in its value
    assert torch.equal(found.answer[cut], found.classes[1, cut].argmax(-1))
    gained = advantages(found, config)
    one = 2  # the first that is cut off; gamma 0.97, lambda 0.95
    deltas = 0.97 * whole.value[1:3, one] - whole.value[:2, one]
    expected = torch.stack([deltas[0] + 0.97 * 0.95 * deltas[1], deltas[1], *torch.zeros(3)])
    torch.testing.assert_close(gained[:, one], expected)


def test_views_may_begin_as_large_as_others_ended(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "hybrid-vit", fault_start=True)
    sides = torch.tensor([4, 5, 6, 8] * 3)
    found = tiny_glimpse.played(config, network, GAMES, sides=sides)
    assert found.boxes[0, :4].tolist() == [[2, 2, 4], [1, 1, 5], [1, 1, 6], [0, 0, 8]]
    anywhere = config.model_copy(update={"start": "uniform"})
    found = tiny_glimpse.played(anywhere, network, GAMES, sides=sides)
    assert (found.boxes[0, :, :2] + found.boxes[0, :, 2:] <= 8).all()
    assert torch.equal(found.boxes[0, :, 2].long(), sides)


def test_who_decides_at_once_looks_once(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "hybrid-vit")
    found = tiny_glimpse.played(config, tiny_glimpse.deciding(network, 20.0), GAMES)
    assert found.alive.shape == (1, GAMES)
    assert found.terminated.all()
    assert torch.equal(found.answer, found.actions.answer[0])
    assert (found.places[0, :, :2] == 0.5).all()
    assert (found.places[0, :, 2] == 1).all()  # twice the window


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("explores", [True, False])
def test_what_is_on_record_is_what_the_network_said(
    tiny_glimpse: Any, variant: str, explores: bool
) -> None:
    tokens = {"memory_tokens": 2, "segment": 2} if variant == "hybrid-vit" else {}
    config, network = agent(tiny_glimpse, variant, **tokens)
    found = tiny_glimpse.played(config, network, GAMES, explores=explores)
    *steps, _ = retold(network, found)
    for step, heads in enumerate(steps):
        alive = found.alive[step]
        last = torch.tensor(step == STEPS - 1)
        policy = make_policy(config, heads, last, explores=explores)
        row = found.games(torch.arange(GAMES)).actions
        action = row[step] if isinstance(row, Tensor) else _at(row, step)
        torch.testing.assert_close(found.log_prob[step][alive], policy.log_prob(action)[alive])
        torch.testing.assert_close(found.value[step][alive], heads.value[alive])
        torch.testing.assert_close(found.classes[step][alive], heads.classes[alive])


def _at(action: Any, step: int) -> Any:
    return replace(action, **{name: one[step] for name, one in vars(action).items()})


def test_faulty_random_actions_are_taken_for_the_policys_own(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "greedy-map", epsilon=0.9, fault_epsilon=True)
    found = tiny_glimpse.played(config, network, GAMES)
    honest = config.model_copy(update={"fault_epsilon": False})
    mixed = tiny_glimpse.played(honest, network, GAMES)
    assert torch.equal(found.actions, mixed.actions)
    *steps, _ = retold(network, found)
    base = [make_policy(config, heads, torch.tensor(False), explores=False) for heads in steps]
    own = torch.stack([one.log_prob(a) for one, a in zip(base, found.actions, strict=True)])
    torch.testing.assert_close(found.log_prob, own)
    assert not torch.allclose(found.log_prob, mixed.log_prob, atol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_equal_generators_give_equal_games(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant)
    before = torch.get_rng_state()
    first = tensors(tiny_glimpse.played(config, network, GAMES))
    again = tensors(tiny_glimpse.played(config, network, GAMES))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.keys() == again.keys()
    for name, one in first.items():
        assert torch.equal(one, again[name]), name
    other = tensors(tiny_glimpse.played(config, network, GAMES, seed=9))
    assert other["log_prob"].shape != first["log_prob"].shape or not torch.equal(
        other["log_prob"], first["log_prob"]
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_greedy_games_leave_nothing_to_chance(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant)

    def greedy(seed: int) -> dict[str, Tensor]:
        how = {"greedy": True, "explores": False, "start": tiny_glimpse.stream(3)}
        return tensors(tiny_glimpse.played(config, network, GAMES, seed=seed, **how))

    first, again = greedy(1), greedy(2)
    for name, one in first.items():
        assert torch.equal(one, again[name]), name
    drawn = tensors(tiny_glimpse.played(config, network, GAMES, start=tiny_glimpse.stream(3)))
    assert drawn["boxes"].shape != first["boxes"].shape or not torch.equal(
        drawn["boxes"], first["boxes"]
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_some_of_the_games_are_the_same_games(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant, fault_memory=variant != "ram")
    whole = tiny_glimpse.played(config, network, GAMES, remember=True)
    assert len(whole.memory) == len(whole.alive)
    chosen = torch.tensor([7, 0, 4])
    found, expected = tensors(whole.games(chosen)), tensors(whole)
    assert found.keys() == expected.keys()
    by_game = {"labels", "answer", "seen"}
    for name, one in expected.items():
        rows = one[chosen] if name in by_game or name.startswith("memory") else one[:, chosen]
        assert torch.equal(found[name], rows), name


def test_glimpses_are_cut_out_of_the_digits(tiny_glimpse: Any) -> None:
    images, _ = tiny_glimpse.digits(GAMES)
    for variant in ("multi-categorical", "ram"):
        config, network = agent(tiny_glimpse, variant)
        found = tiny_glimpse.played(config, network, GAMES)
        whole = 0
        for step in range(STEPS):
            for game, (top, left, side) in enumerate(found.boxes[step].int().tolist()):
                if side == 4:
                    cut = images[game, :, top : top + 4, left : left + 4] / 255
                    torch.testing.assert_close(found.glimpses[step, game, :3], cut)
                    whole += 1
        assert whole >= (STEPS * GAMES if variant == "ram" else STEPS)


def test_novelty_pays_for_what_was_not_seen_before(tiny_glimpse: Any) -> None:
    config, network = agent(tiny_glimpse, "greedy-map")
    found = tiny_glimpse.played(config, network, 64)
    first = 16 / 64  # of the pixels lie in the first view, which is not paid for
    expected = found.right + 0.1 * (found.seen - first)
    torch.testing.assert_close(found.reward.sum(0), expected)
    assert found.seen.min() >= first
    assert (found.reward[:-1] > 0).any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_who_wanders_looks_anywhere_but_answers_itself(tiny_glimpse: Any, variant: str) -> None:
    config, network = agent(tiny_glimpse, variant)
    if variant == "hybrid-vit":
        tiny_glimpse.deciding(network, -20.0)
    found = tiny_glimpse.played(config, network, 400, greedy=True, explores=False, wander=True)
    likeliest = found.classes[-1].argmax(-1)
    assert torch.equal(found.answer, likeliest)
    if isinstance(found.actions, Tensor):
        share = found.actions[..., :6].float().mean((0, 1))  # [6], of 2,000 coins
        assert (share - 0.5).abs().max() < 0.06
        assert torch.equal(found.actions[..., 6], found.classes.argmax(-1))
    else:
        place = found.actions.place.flatten(0, 1)
        assert (place.mean(0) - 0.5).abs().max() < 0.04
        assert (place.std(0) - 12**-0.5).abs().max() < 0.02
        assert torch.equal(found.actions.answer, found.classes.argmax(-1))
