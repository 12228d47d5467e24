"""The gymnasium faces, by gymnasium's and stable-baselines3's own checkers and by hand."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from rlvit.errors import UsageProblem
from rlvit_glimpse.game import Rules

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed")

from rlvit_glimpse.gym_face import (  # noqa: E402
    GlimpseEnv,
    GlimpseVectorEnv,
    digits,
)
from rlvit_glimpse.gym_registration import ID, register  # noqa: E402

HYBRID = Rules(variant="continuous", answer="decision", start="centre", reward_right=3.0)
ALL_RULES = [
    Rules(),
    Rules(answer="any-time", novelty=0.1),
    HYBRID,
    Rules(motion="drift", foveation=3),
    Rules(variant="continuous", motion="drift"),
]


def pictures(count: int = 40) -> dict[str, Any]:
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return {"images": pixels, "labels": np.arange(count) % 5}


@pytest.mark.parametrize("rules", ALL_RULES)
def test_gymnasium_accepts_it(rules: Rules) -> None:
    from gymnasium.utils.env_checker import check_env

    register()
    env = gymnasium.make(ID, rules=rules, render_mode="rgb_array", **pictures())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=False)


@pytest.mark.parametrize("rules", ALL_RULES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # advice for its own CNN, on whole images
def test_stable_baselines_accepts_it(rules: Rules) -> None:
    checker = pytest.importorskip(
        "stable_baselines3.common.env_checker", reason="stable-baselines3 is not installed"
    )
    checker.check_env(GlimpseEnv(**pictures(), rules=rules), warn=True)


def test_both_ids_can_be_made() -> None:
    register()
    register()  # a second time does no harm
    env = gymnasium.make(ID)
    assert env.reset(seed=1)[0].shape == (6, 8, 8)
    many = gymnasium.make_vec(ID, num_envs=3, rules=HYBRID)
    seen, _ = many.reset(seed=1)
    assert seen in many.observation_space
    assert seen["glimpse"].shape == (3, 3, 8, 8)


def test_the_digits_are_enlarged() -> None:
    images, labels = digits()
    assert images.shape == (1797, 3, 32, 32)
    assert labels[:10].tolist() == list(range(10))
    assert images.max() == 255
    assert (images[:, :, ::4, ::4] == images[:, :, 3::4, 3::4]).all()


def test_one_game_of_the_vector_is_the_single_environment() -> None:
    single, many = GlimpseEnv(**pictures(1)), GlimpseVectorEnv(1, **pictures(1))
    single.reset(seed=0)
    many.reset(seed=0)
    many._game.restore(single._game.state())
    chance = np.random.default_rng(1)
    for _ in range(20):
        action = np.append(chance.integers(0, 2, 6), 0)
        alone, together = single.step(action), many.step(action[None])
        np.testing.assert_array_equal(alone[0], together[0][0])
        assert alone[1:4] == tuple(value[0] for value in together[1:4])
    assert alone[2]
    assert alone[4]["right"]
    assert together[4]["right"].tolist() == [True]


def test_a_game_that_ended_begins_anew_at_the_next_step() -> None:
    many = GlimpseVectorEnv(4, **pictures(), rules=HYBRID)
    many.reset(seed=3)
    actions = np.full((4, 9), 0.2, np.float32)
    actions[2, 0] = 1.0  # the third game answers with class 1, the others look elsewhere
    actions[:, 2] = 0.9
    _, reward, terminated, truncated, info = many.step(actions)
    assert terminated.tolist() == [False, False, True, False]
    assert not truncated.any()
    assert info["_right"].tolist() == terminated.tolist()
    assert reward.tolist() == [0, 0, 3.0 * info["right"][2], 0]
    seen, reward, terminated, truncated, info = many.step(actions)
    assert not terminated.any()  # its action was not taken
    assert reward[2] == 0
    np.testing.assert_allclose(seen["place"][2], [0.5, 0.5, 1.0])
    assert many._game.steps.tolist() == [2, 2, 0, 2]
    assert many.step(actions)[2].tolist() == [False, False, True, False]


def test_images_of_the_caller_stay_as_they_were() -> None:
    from rlvit_glimpse.game import GlimpseGames
    from rlvit_glimpse.gym_face import torch

    pixels = torch.from_numpy(pictures(3)["images"])
    before, draws = pixels.clone(), torch.Generator().manual_seed(0)
    game = GlimpseGames(HYBRID, 32, 3)
    game.begin(pixels, torch.arange(3), draws)
    saved = game.state()
    for _ in range(2):
        game.renew(torch.tensor([1]), 255 - pixels[:1], torch.tensor([4]), draws)
    assert torch.equal(pixels, before)
    assert torch.equal(saved["images"], before)
    assert torch.equal(game.images, torch.stack([pixels[0], 255 - pixels[0], pixels[2]]))
    game.restore(saved)
    game.renew(torch.tensor([0]), 255 - pixels[:1], torch.tensor([4]), draws)
    assert torch.equal(saved["images"], before)


def test_games_cut_off_are_truncated_once() -> None:
    rules = Rules(variant="continuous", answer="decision", max_steps=2)
    many = GlimpseVectorEnv(2, **pictures(), rules=rules)
    many.reset(seed=0)
    ends = [many.step(np.zeros((2, 9), np.float32))[2:4] for _ in range(6)]
    assert [bool(truncated.all()) for _, truncated in ends] == [False, True, False] * 2
    assert not any(terminated.any() for terminated, _ in ends)


def test_seeds_decide_everything() -> None:
    def play(seed: int) -> list[Any]:
        many = GlimpseVectorEnv(8, **pictures(), rules=Rules(max_steps=3))
        many.action_space.seed(0)
        shown = [many.reset(seed=seed)[0]]
        return shown + [many.step(many.action_space.sample())[0] for _ in range(9)]

    np.testing.assert_array_equal(play(1), play(1))
    assert not np.array_equal(play(1), play(2))


def test_stepping_before_a_reset_is_an_error() -> None:
    with pytest.raises(gymnasium.error.ResetNeeded):
        GlimpseVectorEnv(2, **pictures()).step(np.zeros((2, 7), np.int64))
    with pytest.raises(gymnasium.error.ResetNeeded):
        GlimpseEnv(**pictures()).step(np.zeros(7, np.int64))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": np.zeros((2, 3, 32, 32), np.uint8)}, "expected both"),
        ({"images": np.zeros((2, 32, 32), np.uint8), "labels": np.zeros(2, int)}, "uint8 .N, 3, S"),
        ({"images": np.zeros((2, 3, 32, 32)), "labels": np.zeros(2, int)}, "not float64"),
        ({"images": pictures()["images"], "labels": np.zeros(2, int)}, "expected 40 whole numbers"),
    ],
)
def test_images_that_cannot_be_used_say_so(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        GlimpseEnv(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"variant": "hybrid"}, "variant 'hybrid': expected discrete or continuous"),
        ({"motion": "float"}, "motion 'float': expected none or drift"),
        ({"start": "corner"}, "start 'corner': expected uniform or centre"),
        ({"answer": "always"}, "answer 'always': expected last-step or any-time or decision"),
        ({"novelty_of": "area"}, "novelty_of 'area': expected pixels or detail"),
        ({"novelty": -0.1}, "novelty -0.1: expected a number, 0 at least"),
        ({"novelty": float("nan")}, "novelty nan: expected a number, 0 at least"),
        ({"reward_right": "1"}, "reward_right '1': expected a number"),
        ({"zoom_max": 0.5}, "zoom_max 0.5: expected a number, 1 at least"),
        ({"max_steps": 2.5}, "max_steps 2.5: expected 1 at least, a whole number"),
        ({"window": True}, "window True: expected 1 at least, a whole number"),
        ({"foveation": -1}, "foveation -1: expected 0 at least"),
        ({"zooms": (1, 1.5)}, "zooms .1, 1.5.: expected a tuple of whole numbers from 1, rising"),
        ({"zooms": 2}, "zooms 2: expected a tuple"),
    ],
)
def test_rules_that_cannot_be_say_so_in_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageProblem, match=message) as caught:
        Rules(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_envs": 0}, "num_envs 0: expected a whole number, 1 at least"),
        ({"num_envs": 1.5}, "num_envs 1.5: expected"),
        ({"device": "tpu9"}, "device 'tpu9' cannot be used"),
        ({"render_mode": "human"}, "render_mode 'human': expected 'rgb_array'"),
        ({"rules": {"window": 8}}, "rules: expected rlvit_glimpse.rules.Rules"),
    ],
)
def test_what_a_vector_cannot_be_says_so(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        GlimpseVectorEnv(**pictures(), **given)


def changed(action: Any, place: Any, value: float) -> Any:
    other = np.array(action, np.float64 if isinstance(value, float) else np.int64)
    other[place] = value
    return other


@pytest.mark.parametrize(
    ("rules", "action", "message"),
    [
        (Rules(), np.zeros(8, int), r"shape \[1, 7\] expected, not \[1, 8\]"),
        (Rules(answer="any-time"), np.zeros(7, int), r"shape \[1, 8\] expected"),
        (Rules(), np.zeros(7), "whole numbers expected as actions, not float64"),
        (Rules(), changed(np.zeros(7), 6, 5), r"below \[2, 2, 2, 2, 2, 2, 5\] expected"),
        (Rules(), changed(np.zeros(7), 0, -1), "from 0 to below"),
        (HYBRID, np.zeros(8), r"shape \[1, 9\] expected"),
        (HYBRID, changed(np.zeros(9), 0, float("nan")), "numbers from 0 to 1 expected"),
        (HYBRID, changed(np.zeros(9), 8, 1.5), "numbers from 0 to 1 expected"),
    ],
)
def test_actions_that_are_none_say_so(rules: Rules, action: Any, message: str) -> None:
    for env, given in (
        (GlimpseEnv(**pictures(), rules=rules), action),
        (GlimpseVectorEnv(1, **pictures(), rules=rules), action[None]),
    ):
        env.reset(seed=0)
        with pytest.raises(ValueError, match=message):
            env.step(given)


def test_seeds_may_be_numpys_but_not_several() -> None:
    for env in (GlimpseEnv(**pictures()), GlimpseVectorEnv(2, **pictures())):
        first = env.reset(seed=7)[0]
        np.testing.assert_array_equal(env.reset(seed=np.int64(7))[0], first)
        for seed in ([1, 2], -1, 1.5):
            with pytest.raises(UsageProblem, match="expected one whole number from 0"):
                env.reset(seed=seed)


def test_a_vector_draws_each_of_its_games() -> None:
    register()
    many = gymnasium.make_vec(ID, num_envs=2, render_mode="rgb_array", **pictures())
    with pytest.raises(gymnasium.error.ResetNeeded):
        many.render()
    many.reset(seed=1)
    frames = many.render()
    game = many.unwrapped._game
    for frame, image, (top, left, side) in zip(
        frames, game.images.numpy(), game.boxes().int().tolist(), strict=True
    ):
        assert frame.shape == (32, 32, 3)
        expected = image.transpose(1, 2, 0).copy()
        expected[[top, top + side - 1], left : left + side] = (255, 0, 0)
        expected[top : top + side, [left, left + side - 1]] = (255, 0, 0)
        np.testing.assert_array_equal(frame, expected)
    assert GlimpseVectorEnv(2, **pictures()).render() is None
