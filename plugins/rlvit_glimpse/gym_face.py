"""The game of glimpses as gymnasium environments, for anyone's own agent.

    import gymnasium  # it finds the ids of installed packages itself

    gymnasium.make("rlvit/Glimpse-v0")
    gymnasium.make_vec("rlvit/Glimpse-v0", num_envs=1024)

Observations with discrete actions are the glimpse alone, float32 [ch, w, w], since its planes say
where it is; with continuous actions a dictionary of "glimpse" and "place" (`game.Observation`).
Discrete actions are seven numbers, or eight with any-time answers. A continuous action is a box
of 4 + C numbers in 0..1: a decision (0.5 or more answers), C scores of which the largest is the
class, and the new centre's y, x and the zoom.

Rendered is the image (on its canvas, if it drifts) with a red frame around the view.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from rlvit.errors import UsageProblem
from rlvit_glimpse.game import Action, GlimpseGames, Observation, Rules

Seen = Any  # an array, or a dictionary of arrays
Info = dict[str, Any]
# Observations, rewards, whether each game terminated and was truncated, what else there is to say.
Stepped = tuple[Seen, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], Info]


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return scikit-learn's 1,797 digits, four times as wide, uint8 [N, 3, 32, 32], and labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    grey = np.round(data.images * (255 / 16)).astype(np.uint8)  # [N, 8, 8]
    wide = grey.repeat(4, 1).repeat(4, 2)
    return np.repeat(wide[:, None], 3, 1), data.target.astype(np.int64)


class _Table:
    """Images to play on, with the spaces that follow from them and the rules."""

    def __init__(self, images: Any, labels: Any, rules: Rules | None) -> None:
        if (images is None) != (labels is None):
            raise UsageProblem("images and labels: expected both, or neither for the digits.")
        if images is None:
            images, labels = digits()
        images, labels = np.asarray(images), np.asarray(labels)
        _check(images, labels)
        self.images = torch.from_numpy(np.ascontiguousarray(images))
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.classes = int(self.labels.max()) + 1
        if not isinstance(rules, Rules | None):
            raise UsageProblem(f"rules: expected rlvit_glimpse.rules.Rules, not {rules!r}.")
        self.rules = rules or Rules()
        answer = [2] if self.rules.answer == "any-time" else []
        self._choices = np.array([2] * 6 + [self.classes, *answer])  # of discrete actions
        moves = self.rules.variant == "discrete"
        self._action_shape = (len(self._choices) if moves else 4 + self.classes,)

    def games(self, device: str = "cpu") -> GlimpseGames:
        _check_device(device)
        return GlimpseGames(self.rules, self.images.shape[2], self.images.shape[1], device)

    def deal(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw images and their labels."""
        chosen = torch.randint(len(self.images), (count,), generator=generator)
        return self.images[chosen], self.labels[chosen]

    def observations(self, channels: int) -> spaces.Space[Any]:
        w, rules = self.rules.window, self.rules
        glimpse = spaces.Box(0.0, 1.0, (channels, w, w), np.float32)
        if rules.variant == "discrete":
            return glimpse
        widest = np.log2(self.images.shape[2] / w)
        high = np.array([1.0, 1.0, widest], np.float32)
        return spaces.Dict({"glimpse": glimpse, "place": spaces.Box(np.zeros_like(high), high)})

    def actions(self) -> spaces.Space[Any]:
        if self.rules.variant == "continuous":
            return spaces.Box(0.0, 1.0, self._action_shape, np.float32)
        return spaces.MultiDiscrete(self._choices)

    def read(self, actions: Any, count: int) -> Action:
        """Turn a batch of `count` elements of the action space into the game's.

        Raises:
            ValueError: they are none.
        """
        given = np.asarray(actions)
        wanted = (count, *self._action_shape)
        if given.shape != wanted:
            raise ValueError(f"actions of shape {list(wanted)} expected, not {list(given.shape)}")
        if self.rules.variant == "discrete":
            if given.dtype.kind not in "iub":
                raise ValueError(f"whole numbers expected as actions, not {given.dtype}")
            if (given < 0).any() or (given >= self._choices).any():
                raise ValueError(f"actions from 0 to below {self._choices.tolist()} expected")
            return Action(discrete=torch.as_tensor(given.astype(np.int64, copy=False)))
        if given.dtype.kind not in "iubf" or not ((given >= 0) & (given <= 1)).all():
            raise ValueError("actions of numbers from 0 to 1 expected")  # NaN is none
        numbers = torch.as_tensor(given.astype(np.float32, copy=False))  # [G, 4 + C]
        return Action(
            continuous=numbers[:, -3:],
            decision=numbers[:, 0] >= 0.5,
            answer=numbers[:, 1:-3].argmax(1),
        )

    def show(self, observation: Observation) -> Seen:
        """Turn the game's observation into a batch of the observation space's elements."""
        glimpse = observation.glimpse.clamp_(0, 1).cpu().numpy()  # nobody else reads it
        if self.rules.variant == "discrete":
            return glimpse
        return {"glimpse": glimpse, "place": observation.place.cpu().numpy()}


class GlimpseVectorEnv(VectorEnv[Any, Any, Any]):
    """Many games as one batched program; a game that has ended begins anew at the next step."""

    metadata: ClassVar[dict[str, Any]] = {
        "autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 4
    }  # fmt: skip

    def __init__(
        self,
        num_envs: int = 1,
        images: Any = None,
        labels: Any = None,
        rules: Rules | None = None,
        device: str = "cpu",
        render_mode: str | None = None,
    ) -> None:
        """Take images uint8 [N, ch, S, S] with labels [N]; without them, `digits`.

        Raises:
            UsageProblem: something that is given cannot be used.
        """
        if not isinstance(num_envs, Integral) or num_envs < 1:
            raise UsageProblem(f"num_envs {num_envs!r}: expected a whole number, 1 at least.")
        self.render_mode = _check_mode(render_mode)
        self._table = _Table(images, labels, rules)
        self._game = self._table.games(device)
        self._generator = torch.Generator()
        self._generator.seed()
        self._started = False
        self.num_envs = num_envs = int(num_envs)
        self.single_observation_space = self._table.observations(self._game.glimpse_channels)
        self.single_action_space = self._table.actions()
        batch = gymnasium.vector.utils.batch_space
        self.observation_space = batch(self.single_observation_space, num_envs)
        self.action_space = batch(self.single_action_space, num_envs)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Seen, Info]:
        """Begin all games, which draw from one generator.

        Raises:
            UsageProblem: the seed is not one number from 0.
        """
        del options
        number = _seed(seed)
        if number is not None:
            self._generator.manual_seed(number)
        images, labels = self._table.deal(self.num_envs, self._generator)
        self._over = torch.zeros(self.num_envs, dtype=torch.bool)
        self._started = True
        return self._table.show(self._game.begin(images, labels, self._generator)), {}

    def step(self, actions: Any) -> Stepped:
        """Step all games; those that had ended are reset instead, and their action is ignored.

        Raises:
            ResetNeeded: no game has begun.
            ValueError: these are no actions.
        """
        if not self._started:
            raise gymnasium.error.ResetNeeded("call reset before step")
        given = self._place(self._table.read(actions, self.num_envs))
        if self._over.all():
            return self._begin_anew()
        game = self._game
        reward = game.advance(given).float().cpu().numpy()
        ended, truncated = game.ended.cpu() & ~self._over, game.truncated.cpu() & ~self._over
        right = game.right.cpu() & ended
        if self._over.any():
            rows = self._over.nonzero()[:, 0]
            images, labels = self._table.deal(len(rows), self._generator)
            observation = game.renew(rows, images, labels, self._generator)
        else:
            observation = game.observe()
        self._over = ended
        info = {"right": right.numpy(), "_right": ended.numpy()} if ended.any() else {}
        done = (ended & ~truncated).numpy(), truncated.numpy()
        return self._table.show(observation), reward, *done, info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Return a picture uint8 [S, S, 3] of each game, if that was asked for.

        Raises:
            ResetNeeded: no game has begun.
        """
        if self.render_mode is None:
            return None
        if not self._started:
            raise gymnasium.error.ResetNeeded("call reset before render")
        return tuple(_picture(self._game, index) for index in range(self.num_envs))

    def _begin_anew(self) -> Stepped:
        """Step games that have all ended, which is usual where they last equally long."""
        begun, _ = self.reset()
        never = np.zeros(self.num_envs, bool)
        return begun, np.zeros(self.num_envs, np.float32), never, never.copy(), {}

    def _place(self, action: Action) -> Action:
        parts = {k: None if v is None else v.to(self._game.device) for k, v in vars(action).items()}
        return Action(**parts)


class GlimpseEnv(gymnasium.Env[Any, Any]):
    """One game at a time."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4}

    def __init__(
        self,
        images: Any = None,
        labels: Any = None,
        rules: Rules | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Take images uint8 [N, ch, S, S] with labels [N]; without them, `digits`.

        Raises:
            UsageProblem: something that is given cannot be used.
        """
        self.render_mode = _check_mode(render_mode)
        self._table = _Table(images, labels, rules)
        self._game = self._table.games()
        self._started = False
        self.observation_space = self._table.observations(self._game.glimpse_channels)
        self.action_space = self._table.actions()

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Seen, Info]:
        """Begin a game on an image drawn at random."""
        super().reset(seed=_seed(seed), options=options)
        self._started = True
        generator = torch.Generator().manual_seed(int(self.np_random.integers(2**62)))
        observation = self._game.begin(*self._table.deal(1, generator), generator)
        return _first(self._table.show(observation)), {}

    def step(self, action: Any) -> tuple[Seen, float, bool, bool, Info]:
        """Take one step.

        Raises:
            ResetNeeded: no game has begun.
            ValueError: this is no action.
        """
        if not self._started:
            raise gymnasium.error.ResetNeeded("call reset before step")
        taken = self._game.step(self._table.read(np.asarray(action)[None], 1))
        ended, truncated = bool(taken.ended[0]), bool(taken.truncated[0])
        info = {"right": bool(taken.right[0])} if ended else {}
        shown = _first(self._table.show(taken.observation))
        return shown, float(taken.reward[0]), ended and not truncated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture uint8 [S, S, 3], if that was asked for.

        Raises:
            ResetNeeded: no game has begun.
        """
        if self.render_mode is None:
            return None
        if not self._started:
            raise gymnasium.error.ResetNeeded("call reset before render")
        return _picture(self._game, 0)


def _picture(game: GlimpseGames, index: int) -> NDArray[np.uint8]:
    picture = np.zeros((game.extent, game.extent, 3), np.uint8)
    y, x = game.origin()[index].tolist()
    image = game.images[index].cpu().numpy().transpose(1, 2, 0)  # [S, S, ch]
    picture[y : y + game.size, x : x + game.size] = image[..., : picture.shape[2]]
    top, left, side = (int(number) for number in game.boxes()[index])
    rows, columns = slice(top, top + side), slice(left, left + side)
    for edge in (top, top + side - 1):
        picture[edge : edge + 1, columns] = (255, 0, 0)  # a view that is cut off has no such edge
    for edge in (left, left + side - 1):
        picture[rows, edge : edge + 1] = (255, 0, 0)
    return picture


def _seed(given: Any) -> int | None:
    if given is None:
        return None
    if not isinstance(given, Integral) or isinstance(given, bool) or not 0 <= given < 2**63:
        raise UsageProblem(f"seed {given!r}: expected one whole number from 0, for all games.")
    return int(given)


def _check_mode(render_mode: str | None) -> str | None:
    if render_mode not in (None, "rgb_array"):
        raise UsageProblem(f"render_mode {render_mode!r}: expected 'rgb_array' or None.")
    return render_mode


def _check_device(name: Any) -> None:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UsageProblem(f"device {name!r} cannot be used: {reason}") from None


def _check(images: NDArray[Any], labels: NDArray[Any]) -> None:
    square = images.ndim == 4 and images.shape[2] == images.shape[3] and images.shape[1] in (1, 3)
    if images.dtype != np.uint8 or not square or len(images) == 0:
        raise UsageProblem(
            f"images: expected uint8 [N, 3, S, S], not {images.dtype} {list(images.shape)}."
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise UsageProblem(
            f"labels: expected {len(images)} whole numbers from 0, not "
            f"{labels.dtype} {list(labels.shape)}."
        )


def _first(batch: Seen) -> Seen:
    if isinstance(batch, dict):
        return {name: values[0] for name, values in batch.items()}
    return batch[0]
