"""Whole games at once: an agent looks at a batch of images until each game has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlvit_glimpse.actions import CLASS_COLUMN, HybridAction
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.game import Action, GlimpseGames
from rlvit_glimpse.networks import GlimpseNetwork, Memory
from rlvit_glimpse.policies import make_policy, of_games, stacked

ROLLOUT = 128  # steps of an environment (multi-categorical and greedy-map files)


@dataclass(frozen=True)
class Episodes:
    """G games of T steps at most; what comes after a game's end means nothing."""

    glimpses: Tensor  # [T, G, ch, w, w]
    places: Tensor  # [T, G, 3]
    boxes: Tensor  # [T, G, 3], top, left and side of the view in pixels
    actions: Any  # [T, G, ...]
    log_prob: Tensor  # [T, G], nats, under the policy that acted
    value: Tensor  # [T, G]
    next_value: Tensor  # [T, G], of the state that a step led to
    reward: Tensor  # [T, G]
    alive: Tensor  # [T, G] bool, the step was taken
    terminated: Tensor  # [T, G] bool, the game came to its own end at this step
    ended: Tensor  # [T, G] bool, also where it was cut off
    classes: Tensor  # [T, G, C], logits of the class head
    labels: Tensor  # [G]
    answer: Tensor  # [G], the class that was given, or the likeliest where a game was cut off
    seen: Tensor  # [G], share of the image's pixels that lay in a view
    memory: tuple[Memory, ...] = ()  # before each step, if it was asked for

    @property
    def lengths(self) -> Tensor:
        """Glimpses of each game [G]."""
        return self.alive.sum(0)

    @property
    def right(self) -> Tensor:
        """Whether the answer is right, bool [G]."""
        return self.answer == self.labels

    def games(self, chosen: Tensor) -> Episodes:
        """Return some of the games."""
        by_game = {name: getattr(self, name)[chosen] for name in ("labels", "answer", "seen")}
        by_step = {
            name: value[:, chosen]
            for name, value in vars(self).items()
            if isinstance(value, Tensor) and name not in (*by_game, "actions")
        }
        memory = tuple({k: v[chosen] for k, v in one.items()} for one in self.memory)
        actions = of_games(self.actions, chosen)
        return Episodes(**by_game, **by_step, actions=actions, memory=memory)


@torch.no_grad()
def play(
    game: GlimpseGames,
    network: GlimpseNetwork,
    config: GlimpseConfig,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    start: torch.Generator,
    greedy: bool = False,
    explores: bool = False,
    wander: bool = False,
    remember: bool = False,
    bootstrap: bool = True,
    **begin: Tensor,
) -> Episodes:
    """Play one game on each image.

    Args:
        game: for so many games.
        network: of the agent.
        config: of the run.
        images: uint8 [G, 3, S, S].
        labels: int64 [G].
        generator: of actions, on the device.
        start: of first places, on the CPU.
        greedy: leave nothing to chance.
        explores: whether epsilon applies.
        wander: look at random places; the answer is still the network's.
        remember: keep the memory before each step.
        bootstrap: value where games that are cut off at the last step would go on.
        begin: first sides and limits of the games, see `GlimpseGames.begin`.
    """
    observation = game.begin(images, labels, start, **begin)
    count, steps = len(images), game.rules.max_steps
    memory = network.begin(count, images.device)
    alive = torch.ones(count, dtype=torch.bool, device=images.device)
    answer = torch.zeros_like(labels)
    rows: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    memories: list[Memory] = []
    for step in range(steps):
        if remember:
            memories.append(memory)
        last = torch.tensor(step == steps - 1, device=images.device)
        boxes = game.boxes()
        heads, memory = network.step(observation.glimpse, observation.place, memory)
        policy = make_policy(config, heads, last, explores=explores)
        action = policy.greedy() if greedy else policy.sample(generator)
        if config.fault_epsilon:  # what is random is taken for the policy's own
            policy = make_policy(config, heads, last, explores=False)
        if wander:
            action = wandering(action, generator)
        given = to_game(config, action)
        taken = game.step(given)
        answer = torch.where(alive, answers(given, heads.classes, taken.truncated), answer)
        row = (
            observation.glimpse, observation.place, boxes, action, policy.log_prob(action),
            heads.value, taken.reward, alive, taken.ended & ~taken.truncated, taken.ended,
            heads.classes,
        )  # fmt: skip
        for name, value in zip(COLUMNS, row, strict=True):
            rows[name].append(value)
        observation, alive = taken.observation, alive & ~taken.ended
        if game.rules.may_end_early and not alive.any():
            break  # otherwise all steps are taken, and the device need not be asked
    after = torch.zeros_like(heads.value)  # nothing follows a game's own end
    if bootstrap and game.rules.may_end_early and game.truncated.any():
        after = network.step(observation.glimpse, observation.place, memory)[0].value
    actions = stacked(rows.pop("actions"))
    columns = {name: torch.stack(values) for name, values in rows.items()}
    next_value = torch.cat([columns["value"][1:], after[None]])
    return Episodes(
        **columns, actions=actions, next_value=next_value, labels=labels, answer=answer,
        seen=game.seen_share(), memory=tuple(memories),
    )  # fmt: skip


def cut_off(games: int, max_steps: int) -> Tensor:
    """Return after how many steps games end [G] if rollouts begin anew every `ROLLOUT` steps.

    Each environment plays as many whole games as go into them, and a last one as far as it gets;
    where one fits exactly, none is cut off.
    """
    whole, left = divmod(ROLLOUT, max_steps)
    an_environments = [max_steps] * whole + [left] * (left > 0)
    return torch.tensor(an_environments).repeat(-(-games // len(an_environments)))[:games]


def steps_of_rollout(config: GlimpseConfig) -> int:
    """Return how many steps a rollout has whose games are answered at their end."""
    games, steps = config.games or 1, config.max_steps or 1
    return int(cut_off(games, steps).sum()) if config.fault_resets else games * steps


COLUMNS = (
    "glimpses", "places", "boxes", "actions", "log_prob", "value", "reward", "alive",
    "terminated", "ended", "classes",
)  # fmt: skip


def to_game(config: GlimpseConfig, action: Any) -> Action:
    """Return what the game is told."""
    if isinstance(action, Tensor):
        return Action(discrete=action)
    place = action.place.clamp(0, 1)
    if config.variant == "ram":  # its view always has the window's size
        place = torch.cat([place[..., :2], torch.ones_like(place[..., :1])], -1)
    return Action(continuous=place, decision=action.decision, answer=action.answer)


def answers(given: Action, classes: Tensor, truncated: Tensor) -> Tensor:
    """Return each game's class [G]: the action's, or the likeliest where time has run out."""
    own = given.answer if given.discrete is None else given.discrete[:, CLASS_COLUMN]
    assert own is not None
    return torch.where(truncated, classes.argmax(1), own)


def wandering(action: Any, generator: torch.Generator) -> Any:
    """Return the action with moves, zooms and places drawn at random; the answer stays."""
    if isinstance(action, Tensor):
        shape = (len(action), CLASS_COLUMN)
        coins = torch.randint(2, shape, generator=generator, device=action.device)
        return torch.cat([coins, action[:, CLASS_COLUMN:]], 1)
    place = torch.rand(action.place.shape, generator=generator, device=action.place.device)
    return HybridAction(action.decision, action.answer, place)
