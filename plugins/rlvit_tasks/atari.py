"""One Atari game whose whole state can be saved, because a resumed run must replay bit for bit."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from rlvit.contracts import Transition
from rlvit.rl.streams import stream_from, stream_state

# Emulator code of the idle action, the same in every game (ALE action enumeration).
NOOP = 0
# Emulator code of the fire button; many games only start once it is pressed (ALE enumeration).
FIRE = 1
# The emulator takes its seed as a signed 32-bit integer and reads negative ones as "use the clock".
SEED_LIMIT = 2**31


@dataclass(frozen=True, kw_only=True)
class AtariSettings:
    """How the emulator is wrapped; the defaults are those of SPIRL, Table 9 and its code.

    Raises:
        ValueError: a value is out of its range.
    """

    # Whether a lost life ends the episode. SPIRL Table 9: yes to train, no to evaluate (B.3).
    terminal_on_life_loss: bool
    # Emulator frames per agent step. SPIRL Table 9; at least 2, for the maximum of two frames.
    frame_skip: int = 4
    # Most single-frame no-ops after a new game, drawn from 1 to here; 0 is none. SPIRL Table 9.
    max_noops: int = 30
    # Probability per emulator frame that the previous action is repeated. SPIRL's code: none.
    sticky_probability: float = 0.0
    # Agent steps after which a game is cut off. SPIRL Table 9: 108K frames at frame skip 4.
    horizon: int = 27_000
    # Side of the square observation in pixels. SPIRL Table 9.
    size: int = 96
    # Whether all 18 actions are offered, also where some do the same. SPIRL's code: no.
    full_actions: bool = False
    # Whether frames are grey, as the emulator's palette says, not in three colours.
    grey: bool = False
    # Whether FIRE is pressed after a new game, in games that have it. SPIRL's code.
    fire_on_reset: bool = True

    def __post_init__(self) -> None:
        """Refuse values that would only fail, or silently mislead, much later."""
        if self.frame_skip < 2:
            raise ValueError(f"frame_skip must be at least 2, got {self.frame_skip}")
        if self.max_noops < 0:
            raise ValueError(f"max_noops must not be negative, got {self.max_noops}")
        if not 0.0 <= self.sticky_probability < 1.0:
            raise ValueError(f"sticky_probability must be in [0, 1), got {self.sticky_probability}")
        if self.horizon < 1 or self.size < 1:
            raise ValueError(f"horizon and size must be positive: {self.horizon}, {self.size}")


class AtariGame:
    """One game on the emulator itself, wrapped as in SPIRL's published code.

    The minimal action set, no gymnasium. A life counts as lost when the emulator's counter falls
    below its value at the start of the game or after the last lost life, so that losing a bonus
    life earned in between does not count: the published code's rule, kept for its pixels.

    Sticky actions are drawn here and not in the emulator, which does not save the action that it
    would repeat.

    Args:
        rom: ROM id of ale-py, such as `ms_pacman`.
        settings: how the emulator is wrapped.
        seed: seeds the no-op counts, the sticky actions and the emulator; not negative.

    Raises:
        ValueError: no such ROM, or a negative seed.
    """

    def __init__(self, rom: str, settings: AtariSettings, seed: int) -> None:
        path = _rom_path(rom)
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        import ale_py

        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self._ale: Any = ale_py.ALEInterface()
        self._ale.setInt("random_seed", seed % SEED_LIMIT)
        self._ale.setFloat("repeat_action_probability", 0.0)
        self._ale.loadROM(path)
        offered = (
            self._ale.getLegalActionSet()
            if settings.full_actions
            else self._ale.getMinimalActionSet()
        )
        self._actions = [int(action.value) for action in offered]
        height, width = self._ale.getScreenDims()
        shape = (2, height, width) if settings.grey else (2, height, width, 3)
        self._screens = np.zeros(shape, dtype=np.uint8)  # third and fourth frame
        self._rom = rom
        self._settings = settings
        self._generator = np.random.default_rng(seed)
        self._fires = settings.fire_on_reset and FIRE in self._actions[1:2]
        self._last_action = NOOP
        self._lives = 0
        self._steps = 0
        self._awaits_reset = True
        self._life_frame: np.ndarray | None = None  # set while only a life was lost

    @property
    def action_count(self) -> int:
        """Number of actions: those of the game's minimal set, or all."""
        return len(self._actions)

    def reset(self, full: bool = False) -> np.ndarray:
        """Begin an episode and return its first frame, uint8 [3, size, size], RGB, or grey.

        After a terminal lost life the game goes on: its one no-op (and FIRE) was already played by
        `step`, so this is the frame that `step` returned. Otherwise, and always with `full`, a new
        game starts.
        """
        carried, self._life_frame = self._life_frame, None
        if full or carried is None:
            carried = self._new_game()
        self._awaits_reset = False
        return carried

    def step(self, action: int) -> Transition:
        """Hold one action for `frame_skip` emulator frames; a game that ends in between stops.

        The frame is the pixelwise maximum of the last two emulator frames. When a life was lost,
        the second of them is the one after a no-op; when that is terminal, after the no-op and
        FIRE, and it is the only one. What the no-op and FIRE score is not counted, as published.

        Args:
            action: index into the set of actions, 0 to `action_count` - 1.

        Raises:
            ValueError: no such action.
            RuntimeError: the episode has ended, or none has begun.
        """
        if self._awaits_reset:
            raise RuntimeError("the episode has ended or not begun: call reset() before step()")
        if not 0 <= action < len(self._actions):
            raise ValueError(f"{self._rom} has actions 0..{len(self._actions) - 1}, got {action}")
        reward = self._hold(self._actions[action])
        life_lost = self._advance_lost_life()
        self._look(1)
        frame = self._frame()
        self._steps += 1
        ended = bool(self._ale.game_over())
        truncated = not ended and self._steps >= self._settings.horizon
        game_over = ended or truncated
        done = game_over or (life_lost and self._settings.terminal_on_life_loss)
        self._awaits_reset = done
        self._life_frame = frame.copy() if done and not game_over else None
        return Transition(frame, reward, done, life_lost, game_over, truncated)

    def state(self) -> dict[str, Any]:
        """Everything that the future depends on: numpy arrays, numbers, strings, None, dicts.

        The generator's 128-bit integers are decimal strings. The emulator's own random stream is
        included; its screen is not, since every step takes its two screens anew.
        """
        emulator = self._ale.cloneState(include_rng=True).serialize()
        return {
            "rom": self._rom,
            "settings": asdict(self._settings),
            "emulator": np.frombuffer(emulator, dtype=np.uint8).copy(),
            "generator": stream_state(self._generator),
            "last_action": self._last_action,
            "lives": self._lives,
            "steps": self._steps,
            "awaits_reset": self._awaits_reset,
            "life_frame": None if self._life_frame is None else self._life_frame.copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state()` was taken, in this or in any other object of the game.

        Raises:
            ValueError: the state is of another game or of other settings.
        """
        import ale_py

        for key, here in (("rom", self._rom), ("settings", asdict(self._settings))):
            if state[key] != here:
                raise ValueError(f"the state's {key} is {state[key]!r}, this game's is {here!r}")
        emulator: Any = ale_py.ALEState.__new__(ale_py.ALEState)
        emulator.__setstate__(np.asarray(state["emulator"], dtype=np.uint8).tobytes())
        self._ale.restoreState(emulator)
        self._generator = stream_from(state["generator"])
        self._last_action = int(state["last_action"])
        self._lives = int(state["lives"])
        self._steps = int(state["steps"])
        self._awaits_reset = bool(state["awaits_reset"])
        frame = state["life_frame"]
        self._life_frame = None if frame is None else np.array(frame, dtype=np.uint8)

    def _new_game(self) -> np.ndarray:
        """Start a game: one no-op, then 1 to `max_noops` more, then FIRE; return its frame."""
        self._ale.reset_game()
        self._last_action = NOOP
        noops = 1
        if self._settings.max_noops:
            noops += int(self._generator.integers(1, self._settings.max_noops + 1))
        for _ in range(noops):
            self._act(NOOP)
            if self._ale.game_over():
                self._ale.reset_game()
        if self._fires:
            self._act(FIRE)
        self._lives = self._ale.lives()
        self._steps = 0
        self._screens[0] = 0
        self._look(1)
        return self._frame()

    def _hold(self, code: int) -> float:
        """Play an emulator action for `frame_skip` frames; keep the last screen but one."""
        reward = 0.0
        for frame in range(self._settings.frame_skip):
            if frame == self._settings.frame_skip - 1:
                self._look(0)
            # An ended game neither moves nor changes its screen, so both screens are its last one.
            if not self._ale.game_over():
                reward += self._act(code)
        return reward

    def _advance_lost_life(self) -> bool:
        """Say whether a life, not the last, was lost, and if so play on past its loss."""
        if not 0 < self._ale.lives() < self._lives:
            return False
        self._act(NOOP)
        self._lives = self._ale.lives()
        if self._settings.terminal_on_life_loss:
            self._screens[0] = 0
            if self._fires:
                self._act(FIRE)
        return True

    def _act(self, code: int) -> float:
        """Play one emulator frame and return its score in game points."""
        sticky = self._settings.sticky_probability
        if not sticky or self._generator.random() >= sticky:
            self._last_action = code
        return float(self._ale.act(self._last_action))

    def _look(self, number: int) -> None:
        """Take the emulator's screen."""
        if self._settings.grey:
            self._ale.getScreenGrayscale(self._screens[number])
        else:
            self._ale.getScreenRGB(self._screens[number])

    def _frame(self) -> np.ndarray:
        """Maximum of the two screens as uint8 [3, size, size], or [1, size, size] if grey."""
        import cv2

        size = self._settings.size
        brightest = np.maximum(self._screens[0], self._screens[1])
        image = cv2.resize(brightest, (size, size), interpolation=cv2.INTER_LINEAR)
        channels = image[None] if self._settings.grey else image.transpose(2, 0, 1)
        return np.ascontiguousarray(channels, dtype=np.uint8)


def make_game(rom: str, settings: Mapping[str, Any], seed: int) -> AtariGame:
    """Return a game under a protocol's settings; keys that are not the wrapper's are ignored.

    Lost lives end an episode only where `settings` says `terminal_on_life_loss`.
    """
    names = {field.name for field in fields(AtariSettings)}
    chosen = {name: value for name, value in settings.items() if name in names}
    return AtariGame(rom, AtariSettings(**{"terminal_on_life_loss": False, **chosen}), seed)


def _rom_path(rom: str) -> str:
    """Path of a ROM in ale-py's own package.

    Raises:
        ValueError: no such ROM; the text lists the nearest names.
    """
    from ale_py import roms

    known = roms.get_all_rom_ids()
    if rom not in known:
        nearest = difflib.get_close_matches(rom.lower(), known, n=5, cutoff=0.4)
        hint = ", ".join(nearest) if nearest else "none"
        raise ValueError(f"no Atari ROM {rom!r} in ale-py; nearest names: {hint}")
    return str(roms.get_rom_path(rom))
