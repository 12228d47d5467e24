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
