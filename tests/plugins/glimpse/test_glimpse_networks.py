"""A sequence is what its steps are, whatever follows a game's end; outputs by hand; costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rlvit_glimpse.history_vit import HistoryVit, fourier
from rlvit_glimpse.networks import GlimpseNetwork, Heads, RamNet, RecurrentNet, Rows

STEPS, GAMES, WINDOW, CLASSES = 7, 5, 4, 3
LENGTHS = (4, 7, 1, 4, 2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def recurrent(seed: int = 0) -> RecurrentNet:
    sizes: dict[str, Any] = {"conv": (5, 7), "features": 11, "hidden": 13}
    return RecurrentNet(2, WINDOW, CLASSES, **sizes, generator=seeded(seed))


def ram(seed: int = 0, **options: Any) -> RamNet:
    sizes = {"glimpse_hidden": 9, "hidden": 13}
    return RamNet(2, WINDOW, CLASSES, **sizes, **options, generator=seeded(seed))


def history(seed: int = 0, **options: Any) -> HistoryVit:
    sizes: dict[str, Any] = {"dim": 16, "depth": 2, "heads": 4, "hidden": 24, **options}
    return HistoryVit(2, WINDOW, CLASSES, **sizes, generator=seeded(seed))


def memory_vit(seed: int = 0) -> HistoryVit:
    return history(seed, memory_tokens=2, segment=3)


NETWORKS = [recurrent, ram, history, memory_vit]
every_network = pytest.mark.parametrize("make", NETWORKS)


def episodes(window: int = WINDOW, channels: int = 2) -> tuple[Tensor, Tensor]:
    """Glimpses [T, G, ch, w, w] and places [T, G, 3]."""
    random = seeded(5)
    glimpses = torch.rand(STEPS, GAMES, channels, window, window, generator=random)
    return glimpses, torch.rand(STEPS, GAMES, 3, generator=random)


def alive_of(lengths: tuple[int, ...] = LENGTHS, steps: int = STEPS) -> Tensor:
    return torch.arange(steps)[:, None] < torch.tensor(lengths)


def stepped(network: GlimpseNetwork, glimpses: Tensor, places: Tensor) -> list[Heads]:
    memory, heads = network.begin(glimpses.shape[1], "cpu"), []
    for glimpse, place in zip(glimpses, places, strict=True):
        out, memory = network.step(glimpse, place, memory)
        heads.append(out)
    return heads


def parts(heads: Heads) -> dict[str, Tensor]:
    everything = {"policy": heads.policy, "value": heads.value, "classes": heads.classes}
    return everything | {k: v for k, v in heads.extra.items() if k != "reconstruction"}


def stacked(heads: list[Heads]) -> dict[str, Tensor]:
    each = [parts(out) for out in heads]
    return {name: torch.stack([out[name] for out in each]) for name in each[0]}


def loss_of(heads: dict[str, Tensor], alive: Tensor) -> Tensor:
    """A loss in which every number of what is alive counts differently."""
    total = torch.zeros(())
    for value in heads.values():
        kept = value[alive]
        weights = torch.randn(kept.shape, generator=seeded(3))
        total = total + (weights * kept.square() + kept).sum()
    return total


def gradients(network: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    network.zero_grad(set_to_none=True)
    loss.backward()
    return {k: p.grad for k, p in network.named_parameters() if p.grad is not None}


@every_network
@pytest.mark.parametrize("lengths", [LENGTHS, (7,) * GAMES, (2, 3, 3, 1, 1), (6, 0, 5, 0, 1)])
def test_a_sequence_is_its_steps_with_the_same_gradients(
    make: Callable[[], GlimpseNetwork], lengths: tuple[int, ...]
) -> None:
    network, alive = make(), alive_of(lengths)
    at_once = parts(network.sequence(*episodes(), alive))
    one_by_one = stacked(stepped(network, *episodes()))
    assert at_once.keys() == one_by_one.keys()
    for name, value in at_once.items():
        assert value.shape[:2] == (STEPS, GAMES)
        torch.testing.assert_close(value[alive], one_by_one[name][alive], rtol=1e-5, atol=1e-5)
        assert not value[~alive].any()
    ours = gradients(network, loss_of(at_once, alive))
    theirs = gradients(network, loss_of(one_by_one, alive))
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-5, msg=name)


@every_network
def test_without_a_mask_everything_is_alive(make: Callable[[], GlimpseNetwork]) -> None:
    network = make()
    masked, plain = (network.sequence(*episodes(), mask) for mask in (alive_of((7,) * 5), None))
    for name, value in parts(plain).items():
        assert torch.equal(value, parts(masked)[name])


@every_network
def test_what_follows_an_end_reaches_neither_outputs_nor_gradients(
    make: Callable[[], GlimpseNetwork],
) -> None:
    network, alive = make(), alive_of()
    clean = network.sequence(*episodes(), alive)
    clean_gradients = gradients(network, loss_of(parts(clean), alive))
    glimpses, places = episodes()
    glimpses[~alive], places[~alive] = math.nan, math.inf
    dirty = network.sequence(glimpses, places, alive)
    for name, value in {**parts(dirty), **dirty.extra}.items():
        assert value.isfinite().all()
        assert torch.equal(value, {**parts(clean), **clean.extra}[name])
    dirty_gradients = gradients(network, loss_of(parts(dirty), alive))
    for name, gradient in dirty_gradients.items():
        assert torch.equal(gradient, clean_gradients[name])


@every_network
def test_games_do_not_see_each_other_nor_the_future(make: Callable[[], GlimpseNetwork]) -> None:
    network = make()
    glimpses, places = episodes()
    before = parts(network.sequence(glimpses, places, alive_of()))
    glimpses[2:, 1] += 1  # from the third step of game 1 on
    after = parts(network.sequence(glimpses, places, alive_of()))
    for name, value in before.items():
        same = (value == after[name]).flatten(2).all(2) if value.ndim > 2 else value == after[name]
        unchanged = torch.ones(STEPS, GAMES, dtype=torch.bool)
        unchanged[2:, 1] = False
        assert same[unchanged].all()
        if name in ("policy", "value"):
            assert not same[~unchanged].any()


@every_network
def test_the_past_matters(make: Callable[[], GlimpseNetwork]) -> None:
    network = make()
    glimpses, places = episodes()
    glimpses.requires_grad_()
    network.sequence(glimpses, places).classes[-1, 2].sum().backward()
    assert glimpses.grad is not None
    reached = glimpses.grad.flatten(2).abs().amax(2)  # [T, G]
    assert (reached[:, 2] > 0).all()
    reached[:, 2] = 0
    assert not reached.any()


@every_network
def test_some_games_can_go_on_without_the_others(make: Callable[[], GlimpseNetwork]) -> None:
    network = make()
    glimpses, places = episodes()
    rows, memory = torch.tensor([3, 1]), network.begin(GAMES, "cpu")
    for step in range(2):
        _, memory = network.step(glimpses[step], places[step], memory)
    memory = {name: value[rows] for name, value in memory.items()}
    heads, _ = network.step(glimpses[2, rows], places[2, rows], memory)
    expected = stepped(network, glimpses, places)[2]
    torch.testing.assert_close(heads.policy, expected.policy[rows], rtol=1e-5, atol=1e-6)


@every_network
def test_a_step_leaves_its_memory_as_it_was(make: Callable[[], GlimpseNetwork]) -> None:
    network, (glimpses, places) = make(), episodes()
    _, memory = network.step(glimpses[0], places[0], network.begin(GAMES, "cpu"))
    kept = {name: value.clone() for name, value in memory.items()}
    network.step(glimpses[1], places[1], memory)
    assert all(torch.equal(value, kept[name]) for name, value in memory.items())


@every_network
def test_weights_come_from_the_generator_alone(make: Callable[[int], GlimpseNetwork]) -> None:
    before = torch.random.get_rng_state()
    one, same, other = make(1), make(1), make(2)
    assert torch.equal(torch.random.get_rng_state(), before)
    values = zip(one.parameters(), same.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in values)
    values = zip(one.parameters(), other.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in values)


@every_network
@pytest.mark.parametrize("glimpses", [0, 4, 7])
def test_cost_is_what_torch_counts(make: Callable[[], GlimpseNetwork], glimpses: int) -> None:
    network = make().to("meta")
    images, places = (x.to("meta") for x in episodes())
    memory = network.begin(GAMES, "meta")
    with FlopCounterMode(display=False) as counter:
        for step in range(glimpses):
            _, memory = network.step(images[step], places[step], memory)
    assert counter.get_total_flops() == 2 * GAMES * network.macs(glimpses)


def test_published_sizes() -> None:
    network = RecurrentNet(generator=seeded())
    convolutions, linear = 6 * 9 * 32 + 32 + 32 * 9 * 64 + 64, 4096 * 256 + 256
    lstm, heads = 2 * 256 * 1024 + 2 * 1024, 256 * 22 + 22 + 257
    assert sum(p.numel() for p in network.parameters()) == convolutions + linear + lstm + heads
    assert convolutions + linear + lstm + heads == 1_601_335  # 1.60 million
    macs = 64 * (6 * 9 * 32 + 32 * 9 * 64) + 4096 * 256 + 512 * 1024 + 256 * 23
    assert network.macs(20) == 20 * macs


# RecurrentNet


def test_recurrent_net_by_hand() -> None:
    """One pixel, one filter: all gates and heads written out."""
    network = RecurrentNet(1, 1, 2, conv=(1,), features=1, hidden=1, switches=1, generator=seeded())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.5)
    h = c = 0.0
    for pixel, heads in zip(
        (0.2, 0.8),
        stepped(network, torch.tensor([0.2, 0.8]).view(2, 1, 1, 1, 1), torch.zeros(2, 1, 3)),
        strict=True,
    ):
        embedding = 0.5 * (0.5 * pixel + 0.5) + 0.5
        gate = 0.5 * embedding + 0.5 * h + 1.0
        sigmoid = 1 / (1 + math.exp(-gate))
        c = sigmoid * c + sigmoid * math.tanh(gate)
        h = sigmoid * math.tanh(c)
        assert heads.policy.tolist() == [pytest.approx([0.5 * h + 0.5] * 4)]
        assert heads.value.tolist() == pytest.approx([0.5 * h + 0.5])


def test_recurrent_net_has_two_logits_a_switch_then_the_classes() -> None:
    heads = recurrent().sequence(*episodes())
    assert heads.policy.shape == (STEPS, GAMES, 2 * 6 + CLASSES)
    assert torch.equal(heads.classes, heads.policy[..., 12:])
    assert RecurrentNet(switches=7, generator=seeded()).policy.out_features == 24


# RamNet


def test_ram_by_hand() -> None:
    network, (glimpses, places) = ram(), episodes()
    w = {name: value.detach() for name, value in network.named_parameters()}

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    h = torch.zeros(GAMES, 13)
    for glimpse, place, heads in zip(
        glimpses, places, stepped(network, glimpses, places), strict=True
    ):
        where = torch.stack([2 * place[:, 0] - 1, 2 * place[:, 1] - 1, place[:, 2]], 1)
        what = linear("what.2", linear("what.0", glimpse.flatten(1)).clamp_min(0))
        g = (what + linear("where.2", linear("where.0", where).clamp_min(0))).clamp_min(0)
        h = (linear("remember", h) + linear("take", g)).clamp_min(0)
        torch.testing.assert_close(heads.policy, linear("location", h).tanh())
        torch.testing.assert_close(heads.classes, linear("classify", h))
        torch.testing.assert_close(heads.value, linear("baseline", h)[:, 0])


def names_reached(network: GlimpseNetwork, pick: Callable[[Heads], Tensor]) -> set[str]:
    found = gradients(network, pick(network.sequence(*episodes())).sum())
    return {name.partition(".")[0] for name, value in found.items() if value.any()}


def test_rams_baseline_trains_nothing_but_itself() -> None:
    core = {"what", "where", "remember", "take"}
    assert names_reached(ram(), lambda heads: heads.value) == {"baseline"}
    assert names_reached(ram(), lambda heads: heads.classes) == core | {"classify"}
    assert names_reached(ram(), lambda heads: heads.policy) == core | {"location"}


def test_rams_own_size() -> None:
    network = RamNet(3, 8, 10, generator=seeded())  # three rings of 8 x 8
    glimpse = 192 * 128 + 128 * 256 + 3 * 128 + 128 * 256
    assert network.macs(6) == 6 * (glimpse + 2 * 256 * 256 + 256 * (2 + 10 + 1))
    assert network.std == 0.17


# HistoryVit


def test_fourier_by_hand() -> None:
    found = fourier(torch.tensor([0.5, 0.25, 2.0]), torch.tensor([1.0, 2.0]))
    half, root = math.pi / 2, math.sqrt(0.5)
    angles = [half, math.pi, half / 2, half, half, math.pi]  # y, x, zoom: 2 octaves of 4
    expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    torch.testing.assert_close(found, torch.tensor(expected))
    assert expected[2] == pytest.approx(root)


def test_fourier_tells_opposite_borders_and_whole_octaves_apart() -> None:
    k = torch.tensor([1.0, 2.0, 4.0, 8.0])
    places = torch.tensor([[0.0, 0.5, 0], [1, 0.5, 0], [0, 0.5, 1], [0, 0.5, 2], [0, 0.5, 4]])
    distances = torch.cdist(fourier(places, k), fourier(places, k))
    assert (distances + 9 * torch.eye(5)).min() > 0.5


def attend(block: Any, x: Tensor) -> Tensor:
    """One block on tokens [N, D], head by head."""
    count, dim = x.shape
    heads = block.attn.num_heads
    q, k, v = block.attn.qkv(block.norm1(x)).view(count, 3, heads, dim // heads).unbind(1)
    outs = []
    for head in range(heads):
        scores = q[:, head] @ k[:, head].T / math.sqrt(dim // heads)
        outs.append(scores.softmax(1) @ v[:, head])
    x = x + block.attn.proj(torch.cat(outs, 1))
    hidden = block.mlp.fc1(block.norm2(x))
    return x + block.mlp.fc2(hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2))))


def encoded(network: HistoryVit, tokens: list[Tensor]) -> Tensor:
    """Outputs [N, D] for the class token and others [n, D]; the last is the newest glimpse."""
    x = torch.cat([network.cls, *tokens[:-1], tokens[-1] + network.newest])
    for block in network.blocks:
        x = attend(block, x)
    return network.norm(x)


def tokens_of(network: HistoryVit, game: int) -> list[Tensor]:
    """The token [1, D] of each glimpse of a game."""
    glimpses, places = episodes()
    k = torch.tensor([1.0, 2.0, 4.0, 8.0])
    windows = network.window(glimpses[:, game].flatten(1))
    return list((windows + network.place(fourier(places[:, game], k))).split(1))


def test_every_step_reads_the_class_token_of_all_that_was_seen() -> None:
    network = history()
    heads = network.sequence(*episodes(), alive_of())
    for game, length in enumerate(LENGTHS):
        tokens = tokens_of(network, game)
        for step in range(length):
            features = encoded(network, tokens[: step + 1])[0]
            close = {"rtol": 1e-4, "atol": 1e-5}
            torch.testing.assert_close(heads.policy[step, game], network.policy(features), **close)
            torch.testing.assert_close(heads.value[step, game], network.value(features)[0], **close)
            window = network.decoder(features).view(2, WINDOW, WINDOW)
            torch.testing.assert_close(heads.extra["reconstruction"][step, game], window, **close)


def test_memory_is_carried_between_segments_by_hand() -> None:
    network = memory_vit()  # segments of 3: glimpses 0-2, 3-5, 6
    heads = network.sequence(*episodes())
    for game in range(GAMES):
        tokens = tokens_of(network, game)
        memory = network.memory
        for first in (0, 3, 6):
            for last in range(first, min(first + 3, STEPS)):
                out = encoded(network, [memory, *tokens[first : last + 1]])
                expected = network.policy(out[0])
                torch.testing.assert_close(heads.policy[last, game], expected, rtol=1e-4, atol=1e-5)
            memory = out[1:3]


def test_a_memory_has_as_many_tokens_as_asked_and_no_older_glimpse() -> None:
    network, (glimpses, places) = memory_vit(), episodes()
    memory, lengths = network.begin(GAMES, "cpu"), []
    for glimpse, place in zip(glimpses, places, strict=True):
        _, memory = network.step(glimpse, place, memory)
        lengths.append(memory["history"].shape[1])
        assert memory["carried"].shape == (GAMES, 2, 16)
    assert lengths == [1, 2, 0, 1, 2, 0, 1]


def test_order_counts_for_the_newest_glimpse_only() -> None:
    network, (glimpses, places) = history(), episodes()
    nn.init.normal_(network.newest, generator=seeded())
    before = network.sequence(glimpses, places).value[-1]
    older, newest = torch.tensor([4, 2, 0, 3, 5, 1, 6]), torch.tensor([6, 1, 2, 3, 4, 5, 0])
    after = network.sequence(glimpses[older], places[older]).value[-1]
    torch.testing.assert_close(after, before)
    other = network.sequence(glimpses[newest], places[newest]).value[-1]
    assert ((other - before).abs() > 1e-4).all()


def test_a_policy_begins_as_it_is_told() -> None:
    """The chance of answering, and the spread of places, before a weight is learnt."""
    network = history(answer_chance=0.2, place_std=0.3)
    with torch.no_grad():
        network.policy.weight.zero_()
    heads = network.sequence(*episodes())
    expected = torch.full_like(heads.extra["decision"], 0.2)
    torch.testing.assert_close(heads.extra["decision"].sigmoid(), expected)
    torch.testing.assert_close(
        heads.extra["spread"].exp(), torch.full_like(heads.extra["spread"], 0.3)
    )
    usual = history()
    assert not torch.equal(usual.policy.bias[-3:], network.policy.bias[-3:])
    assert torch.equal(usual.policy.bias[1:-3], network.policy.bias[1:-3])


def test_policy_is_decision_classes_place_and_spread() -> None:
    heads = history().sequence(*episodes())
    assert heads.policy.shape == (STEPS, GAMES, 1 + CLASSES + 6)
    assert torch.equal(heads.extra["decision"], heads.policy[..., 0])
    assert torch.equal(heads.classes, heads.policy[..., 1:4])
    assert torch.equal(heads.extra["place"], heads.policy[..., 4:7])
    assert torch.equal(heads.extra["spread"], heads.policy[..., 7:])
    fixed = history(spread=False).sequence(*episodes())
    assert fixed.policy.shape == (STEPS, GAMES, 1 + CLASSES + 3)
    assert "spread" not in fixed.extra


def test_dropout_only_in_training_and_only_if_asked() -> None:
    dropping, plain = history(dropout=0.5), history()
    seen = episodes()
    expected = plain.sequence(*seen).policy
    assert torch.equal(plain.train().sequence(*seen).policy, expected)
    assert torch.equal(dropping.eval().sequence(*seen).policy, expected)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dropped = dropping.train().sequence(*seen).policy
    assert ((dropped - expected).abs() > 1e-3).float().mean() > 0.9


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="segment of 0"):
        history(memory_tokens=1, segment=0)
    with pytest.raises(ValueError, match="heads do not divide"):
        history(heads=5)


# Rows


def test_rows_by_hand() -> None:
    rows = Rows.of(4, 3, alive_of((1, 3, 2), 4))
    assert rows.sizes == (3, 2, 1)  # the fourth step has no game
    assert rows.index is not None
    assert rows.index.tolist() == [1, 2, 0, 3 + 1, 3 + 2, 6 + 1]  # longest game first
    packed = rows.pack(torch.arange(12.0).view(4, 3))
    assert packed.tolist() == [1, 2, 0, 4, 5, 7]
    assert rows.unpack(packed).tolist() == [[0, 1, 2], [0, 4, 5], [0, 7, 0], [0, 0, 0]]


def test_masks_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="alive after a step"):
        Rows.of(3, 1, torch.tensor([[True], [False], [True]]))
    with pytest.raises(ValueError, match="no game is alive"):
        Rows.of(2, 2, torch.zeros(2, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"bool \[2, 3\]"):
        Rows.of(2, 3, torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"torch.float32 \[2, 3\], not bool"):
        Rows.of(2, 3, torch.ones(2, 3))
