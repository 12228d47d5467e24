"""The batched game against the plain one, and what it pays, step for step."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlvit.errors import UsageProblem
from rlvit_glimpse.game import Action, GlimpseGames, Rules

GAMES, SIZE, CLASSES = 24, 32, 3


def load_plain() -> ModuleType:
    """The module `plain_env.py` beside this one."""
    path = Path(__file__).parent / "plain_env.py"
    spec = importlib.util.spec_from_file_location("glimpse_plain_env", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


plain = load_plain()


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(games: int = GAMES, size: int = SIZE, seed: int = 0) -> tuple[Tensor, Tensor]:
    chance = draws(seed)
    pixels = torch.randint(256, (games, 3, size, size), generator=chance, dtype=torch.uint8)
    return pixels, torch.randint(CLASSES, (games,), generator=chance)


def switches(chance: torch.Generator, bias: Tensor, columns: int = 7) -> Tensor:
    """Random actions [G, columns] of games that lean towards some switches [G, 6]."""
    pressed = torch.rand(len(bias), 6, generator=chance) < bias
    answer = torch.randint(CLASSES, (len(bias), 1), generator=chance)
    ends = torch.rand(len(bias), columns - 7, generator=chance) < 0.03
    return torch.cat([pressed.long(), answer, ends.long()], 1)


def discrete(*pressed: int, answer: int = 0) -> Action:
    """One game's action: 0 up, 1 down, 2 left, 3 right, 4 in, 5 out."""
    action = torch.zeros(1, 7, dtype=torch.int64)
    action[0, list(pressed)] = 1
    action[0, 6] = answer
    return Action(discrete=action)


def placed(y: float, x: float, zoom: float, decision: int = 0, answer: int = 0) -> Action:
    place = torch.tensor([[y, x, zoom]])
    return Action(None, place, torch.tensor([decision]), torch.tensor([answer]))


def references(kind: Any, game: GlimpseGames, pixels: Tensor, labels: Tensor, **rules: Any) -> Any:
    """Plain games that begin as the batched ones did."""
    kept, envs = game.state(), []
    for index in range(len(labels)):
        env = kind(pixels.numpy(), labels.numpy(), **rules)
        begin = {k: kept[k][index].numpy().copy() for k in ("corner", "position", "velocity")}
        env.reset(index=index, **begin)
        envs.append(env)
    return envs


def same_steps(game: GlimpseGames, envs: list[Any], actions: list[Action], told: Any) -> None:
    """Step both and compare everything, until each game's end and beyond it."""
    over = [False] * len(envs)
    for action in actions:
        taken = game.step(action)
        for index, env in enumerate(envs):
            if over[index]:
                assert taken.reward[index] == 0
                continue
            seen, reward, terminated, truncated, _ = env.step(told(action, index))
            shown = seen["glimpse"] if isinstance(seen, dict) else seen
            np.testing.assert_allclose(taken.observation.glimpse[index], shown, atol=2e-6)
            if isinstance(seen, dict):
                np.testing.assert_allclose(taken.observation.place[index], seen["place"], atol=1e-6)
            assert game.boxes()[index].tolist() == [env.y, env.x, env.side]
            assert taken.reward[index].item() == pytest.approx(reward, abs=1e-6)
            assert bool(taken.truncated[index]) == truncated
            over[index] = terminated or truncated
            assert bool(taken.ended[index]) == over[index]
        shares = [float(env.visited.mean()) for env in envs]
        if envs[0].novelty:
            np.testing.assert_allclose(game.seen_share(), shares, atol=1e-6)
    assert all(over)


@pytest.mark.parametrize(
    ("rules", "size"),
    [
        ({}, 32),
        ({"answer": "any-time", "max_steps": 60, "start": "centre"}, 32),
        ({"novelty": 0.1, "step_pixels": 3}, 33),
        ({"drift": True, "novelty": 0.1, "max_steps": 60}, 32),
        ({"window": 5, "zooms": (1, 2, 3, 6)}, 37),
        ({"cuts_views": True, "novelty": 0.1, "step_pixels": 2}, 32),
        ({"cuts_views": True, "drift": True, "step_pixels": 5}, 32),
    ],
)
def test_discrete_games_are_those_of_the_plain_environment(
    rules: dict[str, Any], size: int
) -> None:
    rules = {"max_steps": 90} | rules
    ours = {k: v for k, v in rules.items() if k != "drift"}
    ours["motion"] = "drift" if "drift" in rules else "none"
    pixels, labels = images(size=size)
    game, chance = GlimpseGames(Rules(**ours), size, 3), draws(1)
    game.begin(pixels, labels, draws(2))
    envs = references(plain.PlainGlimpse, game, pixels, labels, **rules)
    bias = torch.rand(GAMES, 6, generator=chance)  # so that games run into all corners
    columns = 8 if rules.get("answer") == "any-time" else 7
    actions = [Action(switches(chance, bias, columns)) for _ in range(rules["max_steps"] + 2)]
    same_steps(game, envs, actions, lambda action, index: action.discrete[index].numpy())


@pytest.mark.parametrize(
    "rules",
    [
        {"max_steps": 25},
        {"max_steps": 25, "drift": True, "novelty": 0.1, "start": "uniform"},
        {"answer": "last-step", "max_steps": 12, "zoom_max": 2.5},
    ],
)
def test_continuous_games_are_those_of_the_plain_environment(rules: dict[str, Any]) -> None:
    rules = {"answer": "decision", "start": "centre"} | rules
    ours = {k: v for k, v in rules.items() if k != "drift"}
    ours["motion"] = "drift" if "drift" in rules else "none"
    pixels, labels = images()
    game, chance = GlimpseGames(Rules(variant="continuous", **ours), SIZE, 3), draws(1)
    game.begin(pixels, labels, draws(2))
    envs = references(plain.PlainHybrid, game, pixels, labels, **rules)
    actions = []
    for _ in range(rules["max_steps"] + 2):
        place = torch.rand(GAMES, 3, generator=chance) * 1.4 - 0.2
        decision = torch.rand(GAMES, generator=chance) < 0.05
        answer = torch.randint(CLASSES, (GAMES,), generator=chance)
        actions.append(Action(None, place.clamp(0, 1), decision, answer))

    def told(action: Action, index: int) -> dict[str, Any]:
        names = {"place": "continuous", "decision": "decision", "answer": "answer"}
        return {name: getattr(action, ours)[index].numpy() for name, ours in names.items()}

    same_steps(game, envs, actions, told)


def one(rules: Rules, corner: tuple[int, int] = (0, 0), label: int = 1) -> GlimpseGames:
    """One game on one image, begun at a corner."""
    game = GlimpseGames(rules, SIZE, 3)
    game.begin(images(1)[0], torch.tensor([label]), draws(0))
    game.corner = torch.tensor([corner])
    return game


def test_zoom_keeps_the_centre_and_comes_before_the_move() -> None:
    game = one(Rules(), (10, 12))
    game.step(discrete(5))  # out: side 16 around (14, 16)
    assert game.boxes().tolist() == [[6, 8, 16]]
    game.step(discrete(4, 1, 3))  # in again, then down and right
    assert game.boxes().tolist() == [[11, 13, 8]]
    game.step(discrete(0, 1, 2, 3, 4, 5))  # everything cancels
    assert game.boxes().tolist() == [[11, 13, 8]]
    game.step(discrete(4))  # there is no smaller zoom
    assert game.boxes().tolist() == [[11, 13, 8]]


def test_a_view_at_the_border_is_brought_back_inside() -> None:
    game = one(Rules(), (24, 0))
    game.step(discrete(1, 2))
    assert game.boxes().tolist() == [[24, 0, 8]]
    game.step(discrete(5))  # (20, -4) with side 16
    assert game.boxes().tolist() == [[16, 0, 16]]
    game.step(discrete(5))
    game.step(discrete(5))
    assert game.boxes().tolist() == [[0, 0, 32]]


def test_a_view_that_is_cut_off_is_stretched_to_the_window() -> None:
    """Clipped with 32 - 8 though 16 wide, it keeps 8 rows and 12 columns of the image."""
    game = one(Rules(cuts_views=True), (24, 20))
    across = torch.arange(32, dtype=torch.uint8).expand(3, 32, 32)
    game.images = across[None].contiguous()
    game.side, game.level = torch.tensor([16]), torch.tensor([1])
    seen = game.observe().glimpse[0, 0] * 255
    # Samples at the middles of 8 pieces of 1.5 columns; rows are copies.
    expected = [20 + 1.5 * (i + 0.5) - 0.5 for i in range(8)]
    torch.testing.assert_close(seen, torch.tensor(expected).expand(8, 8), atol=1e-4, rtol=0)
    game.images = across.transpose(1, 2)[None].contiguous()
    seen = game.observe().glimpse[0, 0] * 255
    torch.testing.assert_close(seen[:, 0], torch.arange(24.0, 32), atol=1e-4, rtol=0)
    assert game.step(discrete(1, 3)).observation.glimpse[0, 3:5, 0, 0].tolist() == [21 / 24, 1]
    assert game.boxes().tolist() == [[24, 21, 16]]
    mended = one(Rules(), (24, 20))
    mended.side, mended.level = torch.tensor([16]), torch.tensor([1])
    mended.step(discrete(1, 3))
    assert mended.boxes().tolist() == [[16, 16, 16]]


def test_planes_and_place_say_where_the_view_is() -> None:
    game = one(Rules(), (6, 18))
    seen = game.step(discrete(5)).observation  # (2, 14), side 16
    planes = seen.glimpse[0, 3:]
    assert (planes.flatten(1) == planes[:, :1, 0]).all()
    assert planes[:, 0, 0].tolist() == pytest.approx([14 / 24, 2 / 24, 1 / 3])
    assert seen.place[0].tolist() == pytest.approx([10 / 32, 22 / 32, 1.0])


def test_the_last_class_is_the_answer() -> None:
    for answer, reward in ((1, 1.0), (0, 0.0)):
        game = one(Rules(max_steps=3))
        for _ in range(2):
            taken = game.step(discrete(answer=1))  # not yet read
            assert (taken.reward.item(), taken.ended.item()) == (0, False)
        taken = game.step(discrete(answer=answer))
        assert taken.reward.item() == reward
        assert (taken.ended.item(), taken.truncated.item()) == (True, False)
        assert taken.right.item() == bool(reward)
        box = game.boxes()
        after = game.step(discrete(1, 3, answer=1))  # nothing goes on
        assert torch.equal(game.boxes(), box)
        assert after.reward.item() == 0
        assert after.right.item() == bool(reward)


def test_novelty_pays_a_pixel_once_and_the_first_view_nothing() -> None:
    game = one(Rules(novelty=0.1, max_steps=50))
    game.restore(game.state() | {"seen": torch.zeros(1, 32, 1, dtype=torch.int64)})
    rewards = [game.step(discrete(*pressed)).reward.item() for pressed in ([], [3], [2], [1, 3])]
    # 64 pixels; then a column of 8; what was seen; then 8 of a column's 9 and a row's 8 new ones
    assert rewards == pytest.approx([6.4 / 1024, 0.8 / 1024, 0, 0.1 * 8 / 1024])
    begun = one(Rules(novelty=0.1, start="centre"), (12, 12))
    assert begun.step(discrete()).reward.item() == 0
    assert begun.seen_share().item() == pytest.approx(64 / 1024)


def test_a_view_that_nobody_sees_is_neither_counted_nor_paid() -> None:
    """Three glimpses are two moves, each by 8 pixels to where nothing was seen: 3 x 64 of 1,024."""
    for answer, ending in (("last-step", {}), ("any-time", {7: 1})):
        game = one(Rules(novelty=1.0, max_steps=3, start="centre", answer=answer, step_pixels=8))
        if ending:  # the third action answers well before the limit
            game = one(replace(game.rules, max_steps=9))
        game.corner = torch.tensor([[12, 12]])
        action = torch.zeros(1, 8 if ending else 7, dtype=torch.int64)
        action[0, 0] = 1
        pays = [game.step(Action(action)).reward.item() * 1024]
        action[0, :2] = torch.tensor([0, 1])
        action[0, 3] = 1
        pays.append(game.step(Action(action)).reward.item() * 1024)
        for column, value in ending.items():
            action[0, column] = value
        box = game.boxes()
        taken = game.step(Action(action))
        assert (taken.ended.item(), taken.truncated.item()) == (True, False)
        assert torch.equal(game.boxes(), box)
        assert [*pays, taken.reward.item()] == [64, 64, 0]
        assert game.seen_share().item() == 3 * 64 / 1024
        assert int(game.seen_mask().sum()) == 3 * 64


def test_a_game_that_is_cut_off_moves_on_unpaid() -> None:
    """Two glimpses: the middle 16 x 16, then a corner of 8 x 8; the next is nobody's."""
    rules = Rules(variant="continuous", answer="decision", start="centre", max_steps=2, novelty=1.0)
    game = one(rules, (8, 8))
    assert game.step(placed(0.0, 0.0, 1.0)).reward.item() == 64 / 1024
    taken = game.step(placed(1.0, 1.0, 1.0))
    assert (taken.truncated.item(), taken.reward.item()) == (True, 0)
    assert game.boxes().tolist() == [[24, 24, 8]]  # where its value may be asked
    assert game.seen_share().item() == (256 + 64) / 1024
    assert game.step(placed(0.0, 1.0, 1.0)).reward.item() == 0
    assert game.seen_share().item() == (256 + 64) / 1024


def test_an_image_rests_when_its_game_has_been_answered() -> None:
    game = one(Rules(motion="drift", max_steps=1))
    game.velocity, before = torch.tensor([[0.5, 0.5]]), game.position
    game.step(discrete(3))
    assert torch.equal(game.position, before)


def test_at_the_limit_an_any_time_game_takes_the_class() -> None:
    for answer in (1, 0):
        game = one(Rules(answer="any-time", max_steps=2, reward_right=2.0))
        action = torch.tensor([[0, 0, 0, 0, 0, 0, answer, 0]])
        first, last = game.step(Action(action)), game.step(Action(action))
        assert (first.reward.item(), first.ended.item()) == (0, False)
        assert (last.ended.item(), last.truncated.item()) == (True, False)
        assert last.reward.item() == 2.0 * answer
        assert last.right.item() == bool(answer)


def test_detail_of_rings_is_that_of_each_ring() -> None:
    """At the start 64 pixels are sharp, 192 at a half and 768 at a quarter, for nothing."""
    rules = Rules(foveation=3, novelty=1.0, novelty_of="detail", start="centre", step_pixels=8)
    game = one(rules, (12, 12))
    moved = game.step(discrete(3)).reward.item() * 1024
    # 8 to the right: 8 x 8 pixels are sharp for the first time, each of which is worth 1 - 1/2, and
    # 16 x 8 are at a half or better for the first time, 1/2 - 1/4 each.
    sharp, half = 8 * 8, 16 * 8
    assert moved == sharp / 2 + half / 4
    assert game.step(discrete(2)).reward.item() == 0
    for zoom in (4, 5):  # which changes nothing
        before = game.observe().glimpse
        taken = game.step(discrete(zoom))
        assert torch.equal(taken.observation.glimpse, before)
        assert taken.reward.item() == 0
    assert game.observe().glimpse[0, -1].unique().tolist() == [0]
    assert game.boxes().tolist() == [[12, 12, 8]]


def test_rings_have_no_zoom_with_places_either() -> None:
    rules = Rules(variant="continuous", answer="decision", foveation=3, start_side=8)
    game = one(rules, (12, 12))
    shown = [game.step(placed(0.25, 0.5, zoom)).observation for zoom in (0.0, 1.0)]
    assert torch.equal(shown[0].glimpse, shown[1].glimpse)
    assert torch.equal(shown[0].place, torch.tensor([[0.25, 0.5, 0.0]]))
    assert torch.equal(shown[0].place, shown[1].place)


def test_detail_is_not_kept_where_nobody_is_paid_for_it() -> None:
    for rules in (Rules(novelty_of="detail"), Rules(novelty=0.1)):
        game = one(rules)
        game.step(discrete(5))
        assert game.state()["detail"] == []
    paid = one(Rules(novelty=0.1, novelty_of="detail"))
    paid.step(discrete(5))
    assert [int((bits != 0).sum()) for bits in paid.state()["detail"]][1] > 0


def test_a_zoom_of_no_level_has_its_own_plane() -> None:
    """A zoom of 3 where the largest known one is 2: twice as far from 1."""
    game = one(Rules(zooms=(3,), plane_zoom=2), (2, 2))
    assert game.observe().glimpse[0, 5].unique().tolist() == [2]
    assert game.observe().place[0, 2].item() == pytest.approx(np.log2(3))


def test_detail_pays_for_seeing_more_finely_and_once() -> None:
    game = one(Rules(novelty=1.0, novelty_of="detail", start="centre", step_pixels=16), (12, 12))
    pressed = ([5], [5], [4], [1, 3], [0], [4])
    rewards = [game.step(discrete(*keys)).reward.item() * 1024 for keys in pressed]
    # Out to a side of 16, at a half, of which 64 pixels were seen finely; the whole, at a quarter;
    # the middle again; a corner, of which the middle shares 8x8, twice; in, from a half to a whole.
    assert rewards == [(256 - 64) / 2, (1024 - 256) / 4, 0, 192 / 4, 192 / 4, 64 / 2]
    assert game.seen_share().item() == 1
    saved = game.state()
    again = one(game.rules)
    again.restore(saved)
    for chosen in ([1], [4], [6]):
        assert again.step(discrete(*chosen)).reward == game.step(discrete(*chosen)).reward


def test_a_decision_answers_and_leaves_the_view_where_it_was() -> None:
    rules = Rules(variant="continuous", answer="decision", start="centre", reward_right=3.0)
    game = one(rules, (8, 8))
    assert game.step(placed(0.0, 1.0, 1.0)).reward.item() == 0  # zoom 4: side 8 in a corner
    assert game.boxes().tolist() == [[0, 24, 8]]
    taken = game.step(placed(0.5, 0.5, 0.0, decision=1, answer=1))
    assert (taken.reward.item(), taken.ended.item(), taken.truncated.item()) == (3, True, False)
    assert game.boxes().tolist() == [[0, 24, 8]]


def test_indecision_is_cut_off_without_pay() -> None:
    game = one(Rules(variant="continuous", answer="decision", max_steps=2))
    game.step(placed(0.2, 0.2, 0.5, answer=1))
    taken = game.step(placed(0.2, 0.2, 0.5, answer=1))
    assert (taken.ended.item(), taken.truncated.item(), taken.reward.item()) == (True, True, 0)


def test_games_may_have_limits_of_their_own() -> None:
    game = GlimpseGames(Rules(max_steps=3), SIZE, 3)
    pixels, _ = images(3)
    game.begin(pixels, torch.tensor([1, 1, 1]), draws(0), limits=torch.tensor([1, 3, 9]))
    answers = Action(discrete(answer=1).discrete.expand(3, -1))
    found = [game.step(answers) for _ in range(3)]
    assert [one.ended.tolist() for one in found] == [
        [True, False, False], [True, False, False], [True, True, True]
    ]  # fmt: skip
    assert found[-1].truncated.tolist() == [True, False, False]
    assert sum(one.reward for one in found).tolist() == [0, 1, 1]
    again = GlimpseGames(Rules(max_steps=3), SIZE, 3)
    game.begin(pixels, torch.tensor([1, 1, 1]), draws(0), limits=torch.tensor([2, 3, 3]))
    again.restore(game.state())
    assert [again.step(answers).truncated.tolist() for _ in range(2)][1] == [True, False, False]


def test_drifting_images_bounce_and_stay_on_the_canvas() -> None:
    game = one(Rules(motion="drift", max_steps=400))
    game.position = torch.tensor([[0.5, 31.75]])
    game.velocity = torch.tensor([[-0.75, 0.5]])
    game.step(discrete())
    assert game.position.tolist() == [[0.25, 31.75]]  # from -0.25 and 32.25
    assert game.velocity.tolist() == [[0.75, -0.5]]
    for _ in range(200):
        game.step(discrete())
        assert 0 <= game.position.min() <= game.position.max() <= SIZE


def test_foveation_adds_a_ring_for_each_scale() -> None:
    game = GlimpseGames(Rules(foveation=3), SIZE, 3)
    pixels, labels = images(4)
    seen = game.begin(pixels, labels, draws(0)).glimpse
    assert seen.shape == (4, 12, 8, 8)
    means = (pixels.float() / 255).reshape(4, 3, 8, 4, 8, 4).mean((3, 5))
    torch.testing.assert_close(seen[:, 6:9], means)  # the widest ring is the whole image
    assert game.seen_share().tolist() == [1] * 4


def test_starts_are_the_files_and_depend_on_the_generator_alone() -> None:
    game = GlimpseGames(Rules(), SIZE, 3)
    pixels, labels = images(4000, seed=3)
    game.begin(pixels, labels, draws(5))
    corners = game.corner
    assert (corners.min(), corners.max()) == (0, 23)
    torch.manual_seed(1)
    game.begin(pixels, labels, draws(5))
    assert torch.equal(game.corner, corners)
    game.begin(pixels, labels, draws(6))
    assert not torch.equal(game.corner, corners)


@pytest.mark.parametrize("motion", ["none", "drift"])
def test_a_restored_game_goes_on_bit_for_bit(motion: Any) -> None:
    pixels, labels = images()
    rules, chance = Rules(motion=motion, novelty=0.1), draws(1)
    game, other = GlimpseGames(rules, SIZE, 3), GlimpseGames(rules, SIZE, 3)
    game.begin(pixels, labels, draws(2))
    actions = [Action(switches(chance, torch.full((GAMES, 6), 0.5))) for _ in range(20)]
    for action in actions[:9]:
        game.step(action)
    other.restore(game.state())
    for action in actions[9:]:
        ours, theirs = game.step(action), other.step(action)
        assert torch.equal(ours.observation.glimpse, theirs.observation.glimpse)
        assert torch.equal(ours.reward, theirs.reward)
        assert torch.equal(ours.right, theirs.right)
    assert torch.equal(game.seen_mask(), other.seen_mask())


def test_renewed_games_begin_while_the_others_go_on() -> None:
    pixels, labels = images()
    game = GlimpseGames(Rules(max_steps=4), SIZE, 3)
    before = game.begin(pixels, labels, draws(2)).glimpse
    for _ in range(2):
        game.step(Action(torch.zeros(GAMES, 7, dtype=torch.int64)))
    rows = torch.tensor([3, 17])
    new, answers = images(2, seed=9)
    shown = game.renew(rows, new, answers, draws(4)).glimpse
    others = [index for index in range(GAMES) if index not in (3, 17)]
    assert torch.equal(shown[others], before[others])
    top, left = game.corner[17].tolist()
    assert torch.equal(shown[17, :3], new[1, :, top : top + 8, left : left + 8] / 255)
    assert game.seen_share()[rows].tolist() == pytest.approx([64 / 1024] * 2)
    for _ in range(2):
        taken = game.step(Action(torch.zeros(GAMES, 7, dtype=torch.int64)))
    assert taken.ended.tolist() == [index not in (3, 17) for index in range(GAMES)]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"answer": "decision"}, "'decision' does not go with discrete"),
        ({"answer": "any-time", "variant": "continuous"}, "'any-time' does not go with continuous"),
        ({"zooms": (2, 1)}, "rising"),
        ({"max_steps": 0}, "max_steps 0: expected 1"),
        ({"window": 9}, "36 pixels a side does not fit into images of 32"),
        ({"foveation": 4}, "64 pixels a side does not fit"),
        ({"variant": "continuous", "start_side": 40}, "40 pixels a side does not fit"),
    ],
)
def test_contradicting_rules_say_so(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        GlimpseGames(Rules(**rules), SIZE, 3)
