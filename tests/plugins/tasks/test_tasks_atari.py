"""Holds the Atari game to its published wrapper's pixels and to bit-exact resumption."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import ale_py
import cv2
import numpy as np
import pytest
from ale_py import roms

from rlvit.contracts import Transition
from rlvit_tasks.atari import FIRE, NOOP, AtariGame, AtariSettings
from rlvit_tasks.games import ATARI_100K, Game

TRAIN = AtariSettings(terminal_on_life_loss=True)
EVALUATE = AtariSettings(terminal_on_life_loss=False)


def same(left: Transition, right: Transition) -> bool:
    """Whether two steps agree in every bit."""
    return np.array_equal(left.frame, right.frame) and left[1:] == right[1:]


def play(game: AtariGame, actions: np.random.Generator, steps: int) -> list[Transition]:
    """Random steps, with a reset after each end; a reset's frame is kept as a step."""
    trace = []
    for _ in range(steps):
        step = game.step(int(actions.integers(game.action_count)))
        trace.append(step)
        if step.done:
            trace.append(Transition(game.reset(), 0.0, False, False, False, False))
    return trace


def play_until(game: AtariGame, actions: np.random.Generator, field: str) -> Transition:
    """Random steps until one has the named flag; the game is left there, not reset."""
    for _ in range(5_000):
        step = game.step(int(actions.integers(game.action_count)))
        if getattr(step, field):
            return step
        if step.done:
            game.reset()
    raise AssertionError(f"no {field} in 5,000 steps")


def emulator(rom: str) -> Any:
    """A second emulator, to recompute from its raw screens what the game shows."""
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 0)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(rom))
    return ale


def resized(screen: np.ndarray) -> np.ndarray:
    """A raw screen [210, 160, 3] as the observation [3, 96, 96]."""
    return cv2.resize(screen, (96, 96), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)


def bilinear(screen: np.ndarray, size: int) -> np.ndarray:
    """Half-pixel bilinear resize in float64, [height, width, 3] to [3, size, size], no OpenCV."""
    result = screen.astype(np.float64)
    for axis in (0, 1):
        length = screen.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, length - 1)
        weight = (place - low).reshape([-1, 1, 1] if axis == 0 else [1, -1, 1])
        result = result.take(low, axis) * (1 - weight) + result.take(high, axis) * weight
    return result.transpose(2, 0, 1)


def plain(value: Any) -> bool:
    """Whether a state holds nothing but arrays, numbers, strings, None and dicts."""
    if isinstance(value, dict):
        return all(type(key) is str and plain(entry) for key, entry in value.items())
    return value is None or type(value) in (int, float, str, bool, np.ndarray)


def assert_resumes(rom: str, settings: AtariSettings, game: AtariGame, steps: int) -> None:
    """A fresh object with another seed, given the state, goes on as the game itself does."""
    state = game.state()
    assert plain(state)
    twin = AtariGame(rom, settings, seed=991)
    twin.reset()
    twin.step(0)
    twin.restore(state)
    if state["awaits_reset"]:
        assert np.array_equal(game.reset(), twin.reset())
    for left, right in zip(
        play(game, np.random.default_rng(5), steps),
        play(twin, np.random.default_rng(5), steps),
        strict=True,
    ):
        assert same(left, right)
    left_state, right_state = game.state(), twin.state()
    assert np.array_equal(left_state.pop("emulator"), right_state.pop("emulator"))
    assert str(left_state) == str(right_state)


def test_a_seed_fixes_everything() -> None:
    """The same seed twice gives the same trace."""
    games = [AtariGame("seaquest", TRAIN, seed=3) for _ in range(2)]
    assert np.array_equal(games[0].reset(), games[1].reset())
    traces = [play(game, np.random.default_rng(0), 150) for game in games]
    assert all(same(left, right) for left, right in zip(*traces, strict=True))


def test_seeds_start_games_at_different_frames() -> None:
    """Seeds differ by their no-op counts."""
    starts = set()
    for seed in range(6):
        game = AtariGame("seaquest", TRAIN, seed=seed)
        starts.add(b"".join(game.reset(full=True).tobytes() for _ in range(2)))
    assert len(starts) >= 5


@pytest.mark.parametrize("rom", ["seaquest", "breakout", "ms_pacman"])
def test_a_restored_game_goes_on_bit_for_bit(rom: str) -> None:
    """Mid-life, right after a lost life, after its reset, and at a game over."""
    game = AtariGame(rom, TRAIN, seed=7)
    actions = np.random.default_rng(1)
    game.reset()
    play(game, actions, 37)
    assert_resumes(rom, TRAIN, game, 25)
    step = play_until(game, actions, "life_lost")
    assert game.state()["life_frame"] is not None
    assert step.done
    assert_resumes(rom, TRAIN, game, 25)
    play_until(game, actions, "life_lost")
    game.reset()
    assert_resumes(rom, TRAIN, game, 25)
    play_until(game, actions, "game_over")
    assert_resumes(rom, TRAIN, game, 60)


def test_a_restored_game_crosses_a_game_over() -> None:
    """The no-op generator goes on too: the games after the present one start alike."""
    game = AtariGame("breakout", EVALUATE, seed=2)
    game.reset()
    play(game, np.random.default_rng(0), 20)
    assert_resumes("breakout", EVALUATE, game, 300)
    assert game.state()["steps"] < 300  # so a game ended on the way


def test_a_restored_game_repeats_the_same_sticky_actions() -> None:
    """Sticky actions belong to the state, the action that would be repeated included."""
    sticky = AtariSettings(terminal_on_life_loss=True, sticky_probability=0.9)
    game = AtariGame("breakout", sticky, seed=4)
    game.reset()
    for action, code in ((2, 3), (3, 4), (2, 3)):  # paddle right, left, right
        while game.state()["last_action"] != code:
            if game.step(action).done:
                game.reset()
        assert_resumes("breakout", sticky, game, 4)


def test_sticky_actions_change_the_game() -> None:
    """With equal actions, a sticky game leaves the plain one."""
    screens = []
    for probability in (0.0, 0.5):
        settings = AtariSettings(
            terminal_on_life_loss=True, max_noops=0, sticky_probability=probability
        )
        game = AtariGame("ms_pacman", settings, seed=0)
        game.reset()
        for _ in range(90):  # past the opening tune, in which nothing moves
            game.step(0)
        screens.append(play(game, np.random.default_rng(0), 30)[-1].frame)
    assert not np.array_equal(*screens)


def test_a_state_is_a_snapshot() -> None:
    """Playing on changes no state taken before, and a state can be restored twice."""
    game = AtariGame("breakout", TRAIN, seed=0)
    game.reset()
    state = game.state()
    first = play(game, np.random.default_rng(0), 50)
    game.restore(state)
    second = play(game, np.random.default_rng(0), 50)
    assert all(same(left, right) for left, right in zip(first, second, strict=True))


def test_a_state_of_another_game_or_setting_is_refused() -> None:
    """Neither fits the emulator's state."""
    game = AtariGame("breakout", TRAIN, seed=0)
    with pytest.raises(ValueError, match="rom"):
        AtariGame("seaquest", TRAIN, seed=0).restore(game.state())
    with pytest.raises(ValueError, match="settings"):
        AtariGame("breakout", EVALUATE, seed=0).restore(game.state())


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("rom", ["seaquest", "breakout"])
def test_frames_follow_from_the_raw_screens(rom: str, terminal: bool) -> None:
    """A second emulator in lockstep, through lost lives, gives the same pixels and scores."""
    settings = AtariSettings(terminal_on_life_loss=terminal, max_noops=1)
    game, ale = AtariGame(rom, settings, seed=0), emulator(rom)
    codes = [action.value for action in ale.getMinimalActionSet()]
    fires = codes[1] == FIRE
    actions = np.random.default_rng(3)
    ale.reset_game()
    for code in [NOOP, NOOP] + [FIRE] * fires:
        ale.act(code)
    frame = game.reset()
    assert frame.shape == (3, 96, 96)
    assert frame.dtype == np.uint8
    assert np.array_equal(frame, resized(ale.getScreenRGB()))
    losses = 0
    for _ in range(1_500):
        index, lives, reward, raw = int(actions.integers(len(codes))), ale.lives(), 0, []
        for _ in range(4):
            reward += ale.act(codes[index])
            raw.append(ale.getScreenRGB())
        expected = np.maximum(raw[2], raw[3])
        lost = 0 < ale.lives() < lives
        if lost:
            for code in [NOOP] + [FIRE] * (fires and terminal):
                ale.act(code)
            expected = ale.getScreenRGB() if terminal else np.maximum(raw[2], ale.getScreenRGB())
        step = game.step(index)
        assert np.array_equal(step.frame, resized(expected))
        assert (step.reward, step.life_lost, step.game_over) == (reward, lost, ale.game_over())
        assert step.done == ((lost and terminal) or step.game_over)
        losses += lost
        if losses == 2 or step.game_over:
            break
        if step.done:
            assert np.array_equal(game.reset(), step.frame)
    assert losses == 2
    exact = bilinear(expected, 96)
    assert np.abs(step.frame - exact).max() <= 1.0


def test_frames_are_red_green_blue() -> None:
    """Breakout's top row of bricks is red (200, 72, 72), Seaquest's sea blue."""
    frame = AtariGame("breakout", TRAIN, seed=0).reset()
    red, _, blue = frame[:, 27, 48]  # row 27 of 96 is raw row 59 or 60, in the red bricks
    assert red > blue + 50
    red, _, blue = AtariGame("seaquest", TRAIN, seed=0).reset()[:, 60, 48]
    assert blue > red + 50


def test_a_terminal_lost_life_does_not_end_the_game() -> None:
    """reset() goes on with the score and lives as they are, and plays nothing itself."""
    game = AtariGame("seaquest", TRAIN, seed=0)
    game.reset()
    step = play_until(game, np.random.default_rng(0), "life_lost")
    assert step.done
    assert not step.game_over
    before = game.state()
    assert np.array_equal(game.reset(), step.frame)
    after = game.state()
    assert np.array_equal(before["emulator"], after["emulator"])
    assert after["lives"] == 3  # of Seaquest's four
    assert after["steps"] == before["steps"] > 0


def test_a_full_reset_starts_a_new_game_after_a_lost_life() -> None:
    """As the collection of frames for pre-training does."""
    game = AtariGame("seaquest", TRAIN, seed=0)
    game.reset()
    play_until(game, np.random.default_rng(0), "life_lost")
    game.reset(full=True)
    assert game.state()["lives"] == 4
    assert game.state()["steps"] == 0


def test_without_terminal_lives_only_the_game_over_ends_an_episode() -> None:
    """Lost lives are still told; the last one is the game over."""
    game = AtariGame("seaquest", EVALUATE, seed=0)
    game.reset()
    actions = np.random.default_rng(0)
    losses = 0
    for _ in range(5_000):
        step = game.step(int(actions.integers(game.action_count)))
        losses += step.life_lost
        assert step.done == step.game_over
        if step.done:
            break
    assert step.game_over
    assert not step.truncated
    assert losses >= 3
    game.reset()
    assert game.state()["lives"] == 4


def test_fire_is_pressed_only_in_games_that_have_it_and_if_wanted() -> None:
    """Breakout's ball is served by FIRE: without it the ball never moves."""
    frames = {}
    for fire in (True, False):
        settings = AtariSettings(terminal_on_life_loss=True, max_noops=1, fire_on_reset=fire)
        game = AtariGame("breakout", settings, seed=0)
        game.reset()
        frames[fire] = [game.step(0).frame for _ in range(8)]
    assert np.array_equal(frames[False][0], frames[False][-1])
    assert not np.array_equal(frames[True][0], frames[True][-1])


def test_the_horizon_cuts_a_game_off() -> None:
    """The horizon counts agent steps across lives, ends the game and starts anew."""
    settings = AtariSettings(terminal_on_life_loss=False, horizon=7)
    game = AtariGame("seaquest", settings, seed=0)
    for _ in range(2):
        game.reset()
        steps = [game.step(0) for _ in range(7)]
        assert [step.done for step in steps] == [False] * 6 + [True]
        assert steps[-1].truncated
        assert steps[-1].game_over
        assert not steps[-1].life_lost


def test_rewards_are_game_points() -> None:
    """Nothing is clipped: Seaquest pays 20 a shark, MsPacman 10 a pellet."""
    for rom, points in (("seaquest", 20.0), ("ms_pacman", 10.0)):
        game = AtariGame(rom, TRAIN, seed=0)
        game.reset()
        rewards = {step.reward for step in play(game, np.random.default_rng(0), 300)}
        assert points in rewards
        assert all(type(reward) is float for reward in rewards)


def test_a_game_that_ends_within_a_step_stops_there() -> None:
    """The last frame is the ended game's own screen, and no more steps are taken."""
    game = AtariGame("breakout", TRAIN, seed=0)
    game.reset()
    step = play_until(game, np.random.default_rng(0), "game_over")
    assert step.done
    assert step.frame.any()
    with pytest.raises(RuntimeError, match="reset"):
        game.step(0)


def test_wrong_calls_are_explained() -> None:
    """Each error says what is wrong and what would be right."""
    with pytest.raises(ValueError, match=r"nearest names: .*ms_pacman"):
        AtariGame("MsPacman", TRAIN, seed=0)
    with pytest.raises(ValueError, match="seed"):
        AtariGame("breakout", TRAIN, seed=-1)
    game = AtariGame("breakout", TRAIN, seed=0)
    with pytest.raises(RuntimeError, match="reset"):
        game.step(0)
    game.reset()
    for action in (-1, game.action_count):
        with pytest.raises(ValueError, match=r"breakout has actions 0\.\.3"):
            game.step(action)


@pytest.mark.parametrize(
    ("field", "value"),
    [("frame_skip", 1), ("max_noops", -1), ("sticky_probability", 1.0), ("horizon", 0)],
)
def test_wrong_settings_are_refused(field: str, value: float) -> None:
    """At the start, and by name."""
    with pytest.raises(ValueError, match=field):
        AtariSettings(terminal_on_life_loss=True, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("entry", ATARI_100K, ids=lambda entry: entry.name)
def test_every_game_plays_and_resumes(entry: Game) -> None:
    """All 26 load, step and go on from a saved state."""
    game = AtariGame(entry.rom, TRAIN, seed=1)
    assert game.reset().shape == (3, 96, 96)
    assert 3 <= game.action_count <= 18
    play(game, np.random.default_rng(0), 10)
    assert_resumes(entry.rom, TRAIN, game, 5)


def test_the_reference_scores_are_the_published_ones() -> None:
    """26 distinct games; four of them against SPIRL's own tables."""
    games = {game.name: (game.rom, game.random_score, game.human_score) for game in ATARI_100K}
    assert len(games) == 26
    assert len({game.rom for game in ATARI_100K}) == 26
    assert games["Seaquest"] == ("seaquest", 68.4, 42054.7)
    assert games["Frostbite"] == ("frostbite", 65.2, 4334.7)
    assert games["MsPacman"] == ("ms_pacman", 307.3, 6951.6)
    assert games["BattleZone"] == ("battle_zone", 2360.0, 37187.5)
    assert all(game.human_score > game.random_score for game in ATARI_100K)


def test_the_modules_load_nothing_heavy() -> None:
    """The list of games needs no numpy; the game class loads the emulator when first built."""
    for module, heavy in (
        ("games", ("torch", "numpy", "ale_py", "cv2")),
        ("atari", ("torch", "ale_py", "cv2")),
    ):
        code = (
            f"import sys, rlvit_tasks.{module}\n"
            f"found = [name for name in {heavy!r} if name in sys.modules]\n"
            "sys.exit(' '.join(found) or 0)"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
