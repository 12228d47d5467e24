"""Measure the batched game of glimpses, and PPO on it, beside one image at a time.

Both are compared with what would first be written down: a gymnasium environment of one image
(`plain_glimpse.py`), stepped in a loop or as a gymnasium vector of many.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import click
import gymnasium
import numpy as np
import torch
from plain_glimpse import CLASSES, PlainGlimpse, PlainHybrid, in_a_loop
from torch import Tensor
from torch.distributions import Categorical

from rlvit.config import resolve
from rlvit_glimpse.actions import MultiCategorical
from rlvit_glimpse.agents import make_network, make_rules
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.game import Action, GlimpseGames, Rules
from rlvit_glimpse.gym_face import GlimpseVectorEnv
from rlvit_glimpse.networks import GlimpseNetwork
from rlvit_glimpse.presets import PRESETS, VARIANTS
from rlvit_glimpse.rollouts import Episodes, play
from rlvit_glimpse.update import update

SIDE, IMAGES, STEPS = 32, 4096, 20
ALONE = 64  # games of the loop over one image at a time; more take as long each
FEW = 64  # environments of the smaller gymnasium vector
PLAIN = "plain, a loop"
# Share of the games that answer at each step, by variant (env).
ANSWERING = {"multi-categorical": 0.0, "hybrid": 0.0, "hybrid-answering": 0.1}
WANTED, AIM = 10.0, 18.0  # how many times as fast as the plain loop
LEARNT = {"one at a time", "the same, lean"}  # contenders of part ppo that the aim is about
Work = Callable[[], float]  # does something, and returns how many environment steps that were


@dataclass(frozen=True)
class Data:
    """Random images, as each side likes them."""

    images: np.ndarray  # uint8 [N, 3, S, S]
    labels: np.ndarray  # [N]

    @classmethod
    def random(cls) -> Data:
        """Draw them."""
        draws = np.random.default_rng(0)
        images = draws.integers(256, size=(IMAGES, 3, SIDE, SIDE), dtype=np.uint8)
        return cls(images, draws.integers(CLASSES, size=IMAGES))

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the images in rows of pixels [N, S, S, 3], and the labels."""
        return np.ascontiguousarray(self.images.transpose(0, 2, 3, 1)), self.labels

    def batch(self, games: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the first images and labels on a device."""
        chosen = np.arange(games) % IMAGES
        images, labels = (
            torch.from_numpy(self.images[chosen]),
            torch.from_numpy(self.labels[chosen]),
        )
        return images.to(device), labels.to(device)


@dataclass(frozen=True)
class Draws:
    """Random actions of T steps of G games."""

    switches: np.ndarray  # int64 [T, G, 7]
    places: np.ndarray  # float32 [T, G, 3]
    decisions: np.ndarray  # int64 [T, G]

    @classmethod
    def random(cls, games: int, share: float) -> Draws:
        """Draw them; `share` of the hybrid's steps answer."""
        draws = np.random.default_rng(1)
        shape = (STEPS + 1, games)  # one more, which autoreset ignores
        coins, answers = draws.integers(2, size=(*shape, 6)), draws.integers(CLASSES, size=shape)
        switches = np.concatenate([coins, answers[..., None]], 2)
        decisions = (draws.random(shape) < share).astype(np.int64)
        return cls(switches, draws.random((*shape, 3), np.float32), decisions)

    def plain(self, step: int, hybrid: bool) -> Any:
        """Return the actions of a step for a vector of plain environments."""
        if not hybrid:
            return self.switches[step]
        answer, decision = self.switches[step, :, 6], self.decisions[step]
        return {"decision": decision, "answer": answer, "place": self.places[step]}

    def face(self, step: int, hybrid: bool) -> np.ndarray:
        """Return the same for rlvit's gymnasium face."""
        if not hybrid:
            return self.switches[step]
        scores = np.eye(CLASSES)[self.switches[step, :, 6]]
        parts = self.decisions[step][:, None], scores, self.places[step]
        return np.concatenate(parts, 1).astype(np.float32)

    def game(self, step: int, hybrid: bool, device: torch.device) -> Action:
        """Return the same for rlvit's game."""
        switches = torch.from_numpy(self.switches[step]).to(device)
        if not hybrid:
            return Action(discrete=switches)
        place, decision = (
            torch.from_numpy(self.places[step]),
            torch.from_numpy(self.decisions[step]),
        )
        return Action(None, place.to(device), decision.to(device), switches[:, 6].contiguous())


def rules(hybrid: bool) -> Rules:
    """Return the rules that the plain environments have."""
    if hybrid:
        return Rules(variant="continuous", answer="decision", start="centre", max_steps=STEPS)
    return Rules(max_steps=STEPS)


def plain_class(hybrid: bool) -> type[PlainGlimpse]:
    """Return the plain environment's class."""
    return PlainHybrid if hybrid else PlainGlimpse


def whole_games(game: GlimpseGames, batch: Any, actions: list[Action], draws: Any) -> float:
    """Begin games and play them to their end."""
    game.begin(*batch, draws)
    taken = torch.zeros((), dtype=torch.int64, device=game.device)
    for action in actions:
        taken += (~game.ended).sum()
        game.step(action)
    return float(taken)


def as_vector(env: Any, actions: list[Any]) -> float:
    """Step a gymnasium vector; the steps that only reset a game are not counted."""
    taken, over = 0, np.zeros(env.num_envs, bool)
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        taken += int((~over).sum())
        over = terminated | truncated
    return float(taken)


def plain_vector(hybrid: bool, data: Data, count: int, **given: Any) -> Any:
    """Return so many plain environments in a gymnasium vector, as `make_vec` makes it."""
    name = f"bench/{plain_class(hybrid).__name__}-v0"
    if name not in gymnasium.registry:
        gymnasium.register(name, entry_point=plain_class(hybrid))
    images, labels = data.rows()
    kept = {"images": images, "labels": labels, **given}
    vector = gymnasium.make_vec(name, count, vectorization_mode="sync", **kept)
    vector.reset(seed=0)
    return vector


def env_works(
    hybrid: bool, share: float, data: Data, games: int, device: torch.device
) -> dict[str, Work]:
    """Return every way to step the game, by name."""
    draws = Draws.random(games, share)
    ours = GlimpseGames(rules(hybrid), SIDE, 3, device)
    face = GlimpseVectorEnv(games, data.images, data.labels, rules(hybrid), str(device))
    face.reset(seed=0)
    told = [draws.game(step, hybrid, device) for step in range(STEPS)]
    begin = partial(whole_games, ours, data.batch(games, device), told, torch.Generator())
    shown = [draws.face(step, hybrid) for step in range(STEPS + 1)]
    works = {
        "rlvit, the game": begin,
        "rlvit, gymnasium vector": partial(as_vector, face, shown),
    }
    alone = Draws.random(ALONE, share)
    listed = [[one(alone.plain(t, hybrid), g) for t in range(STEPS)] for g in range(ALONE)]
    works[PLAIN] = partial(in_a_loop, plain_class(hybrid)(*data.rows()), listed)
    for count in (FEW, games):
        some = Draws.random(count, share)
        actions = [some.plain(step, hybrid) for step in range(STEPS + 1)]
        vector = plain_vector(hybrid, data, count)
        works[f"plain, make_vec of {count:,}"] = partial(as_vector, vector, actions)
    return works


def one(actions: Any, number: int) -> Any:
    """Return one game's action out of a step's."""
    if isinstance(actions, dict):
        return {name: values[number] for name, values in actions.items()}
    return actions[number]


def difference(hybrid: bool, data: Data, device: torch.device) -> float:
    """Return how far both games' windows are apart at most, of 1, in the same games."""
    draws, count = Draws.random(ALONE, 0.0), ALONE
    ours, largest = GlimpseGames(rules(hybrid), SIDE, 3, device), 0.0
    ours.begin(*data.batch(count, device), torch.Generator())
    corners = ours.corner.tolist()
    shown = [ours.step(draws.game(t, hybrid, device)).observation.glimpse for t in range(STEPS)]
    windows = torch.stack(shown).cpu().numpy()  # [T, G, ch, w, w]
    for game, corner in enumerate(corners):
        images, labels = data.rows()
        env = plain_class(hybrid)(images[game : game + 1], labels[game : game + 1])
        env.reset()
        env.y, env.x = corner
        for step in range(STEPS):
            seen = env.step(one(draws.plain(step, hybrid), game))[0]
            seen = seen["glimpse"] if hybrid else seen
            largest = max(largest, float(np.abs(seen - windows[step, game]).max()))
    return largest


def seconds(device: torch.device, work: Callable[[], Any], clock: Callable[[], float]) -> Any:
    """Return what work returns, and the seconds that it takes."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    begun = clock()
    found = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return found, clock() - begun


def spread(numbers: list[float], form: str) -> str:
    """Return the median with the lowest and highest."""
    return f"{median(numbers):{form}} ({min(numbers):{form}}-{max(numbers):{form}})"


def measure_env(
    works: Mapping[str, Work], repeats: int, device: torch.device, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Return steps a second of each contender in each repeat, in turns."""
    rows: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()  # not timed
    for _ in range(repeats):
        for name, work in works.items():
            taken, passed = seconds(device, work, clock)
            rows[name].append(taken / passed)
    return rows


def report(rows: Mapping[str, list[float]], ours: list[str], judged: set[str]) -> None:
    """Print steps a second, and how many times as fast ours are as each of the others."""
    for name, rates in rows.items():
        click.echo(f"  {name:26} {spread(rates, '11,.0f')} steps a second")
    for mine in ours:
        for name in rows:
            if name in ours:
                continue
            ratios = [a / b for a, b in zip(rows[mine], rows[name], strict=True)]
            line = f"  {mine} / {name}: {spread(ratios, '.1f')}x"
            if name in judged:
                reached = "reached" if median(ratios) >= WANTED else "NOT reached"
                line += f", wanted {WANTED:g}x: {reached}"
                if median(ratios) >= AIM:
                    line += f", and the aim of {AIM:g}x"
            click.echo(line)


def part_env(
    variant: str, games: int, repeats: int, device: torch.device, clock: Callable[[], float]
) -> None:
    """Compare environment steps a second."""
    data, share = Data.random(), ANSWERING[variant]
    hybrid = variant != "multi-categorical"
    apart = difference(hybrid, data, device)
    click.echo(
        f"{variant}: {games:,} games, {SIDE} px, {share:.0%} of them answer at a step; windows "
        f"differ by at most {apart:.1e}"
    )
    works = env_works(hybrid, share, data, games, device)
    rows = measure_env(works, repeats, device, clock)
    judged = {name for name in rows if name.startswith("plain")}
    report(rows, [name for name in rows if name.startswith("rlvit")], judged)


def ppo_config(width: int, preset: str, games: int | None) -> GlimpseConfig:
    """Return a run's configuration, with what its variant decides filled in."""
    values = next(one.values for one in PRESETS if one.name == preset)
    given = {"width": width, **({"games": games} if games else {})}
    config = resolve(GlimpseConfig, values, given)
    usual = VARIANTS[config.variant]
    found = {name: value for name, value in usual.items() if getattr(config, name) is None}
    return config.model_copy(update={**found, "window": 8, "place": None})


class Learner:
    """rlvit's network and update, and three ways to act."""

    def __init__(self, config: GlimpseConfig, data: Data, device: torch.device) -> None:
        self.config, self.device = config, device
        self.rules = make_rules(config, SIDE)
        self.games, self.steps = config.games or 1, self.rules.max_steps
        self.network: GlimpseNetwork = make_network(config, SIDE, CLASSES, torch.Generator())
        self.network.to(device)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=config.lr)
        self.game = GlimpseGames(self.rules, SIDE, 3, device)
        self.batch = data.batch(self.games, device)
        self.draws = torch.Generator(device).manual_seed(0)
        self.host = torch.Generator().manual_seed(0)
        given = {"max_steps": self.steps, "step_pixels": self.rules.step_pixels}
        self.env = PlainGlimpse(*data.rows(), **given)
        self.vector = plain_vector(False, data, self.games, **given)

    def ours(self) -> Episodes:
        """Play all games at once."""
        game, network, config = self.game, self.network, self.config
        parts = self.batch, self.draws
        return play(game, network, config, *parts[0], parts[1], start=self.host, explores=True)

    def learn(self, episodes: Episodes) -> None:
        """Take all passes over a rollout."""
        nothing = partial(int)
        update(self.network, self.optimiser, episodes, self.config, self.host, nothing)

    @torch.no_grad()
    def alone(self, games: int, act: Callable[[Tensor], tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Play one game after the other, the network on one glimpse; return what PPO needs."""
        rows: list[tuple[Any, ...]] = []
        for _ in range(games):
            seen, _ = self.env.reset()
            memory = self.network.begin(1, self.device)
            for _ in range(self.steps):
                glimpse = torch.from_numpy(seen)[None].to(self.device)
                heads, memory = self.network.step(glimpse, glimpse, memory)
                action, log_prob = act(heads.policy)
                seen, reward, over, _, _ = self.env.step(action[0].cpu().numpy())
                rows.append((glimpse, action, log_prob, heads.value, reward, over))
        *tensors, rewards, over = zip(*rows, strict=True)
        given = torch.tensor(rewards), torch.tensor(over)
        return [*(torch.cat(column) for column in tensors), *(one.to(self.device) for one in given)]

    @torch.no_grad()
    def vectorised(self) -> list[Tensor]:
        """Play all games as a gymnasium vector, the network on all their glimpses."""
        seen, _ = self.vector.reset()
        memory = self.network.begin(self.games, self.device)
        rows: list[tuple[Tensor, ...]] = []
        for _ in range(self.steps):
            glimpse = torch.from_numpy(seen.copy()).to(self.device)
            heads, memory = self.network.step(glimpse, glimpse, memory)
            action, log_prob = seven(heads.policy)
            seen, reward, over, _, _ = self.vector.step(action.cpu().numpy())
            rest = torch.from_numpy(reward), torch.from_numpy(over)
            rows.append((glimpse, action, log_prob, heads.value, *rest))
        return [torch.stack(column) for column in zip(*rows, strict=True)]

    def lean(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Draw an action [1, 7] as rlvit does; return it with its log-probability."""
        policy = MultiCategorical(logits, CLASSES)
        action = policy.sample(self.draws)
        return action, policy.log_prob(action)


def seven(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Draw actions [G, 7] by torch's distributions; return them and their log-probabilities."""
    heads = [Categorical(logits=part) for part in logits.split([2] * 6 + [CLASSES], -1)]
    actions = [head.sample() for head in heads]
    each = [head.log_prob(action) for head, action in zip(heads, actions, strict=True)]
    return torch.stack(actions, -1), torch.stack(each).sum(0)


def part_ppo(
    config: GlimpseConfig, alone: int, repeats: int, device: torch.device, clock: Any
) -> None:
    """Compare learning steps a second: acting and the update, which all contenders share."""
    learner = Learner(config, Data.random(), device)
    every = learner.games * learner.steps
    acts: dict[str, tuple[Callable[[], Any], int]] = {
        "rlvit": (learner.ours, every),
        "one at a time": (partial(learner.alone, alone, seven), alone * learner.steps),
        "the same, lean": (partial(learner.alone, alone, learner.lean), alone * learner.steps),
        "make_vec, one batch": (learner.vectorised, every),
    }
    learner.learn(learner.ours())  # not timed
    acting: dict[str, list[float]] = {name: [] for name in acts}
    updates: list[float] = []
    for _ in range(repeats):
        for name, (act, taken) in acts.items():
            _, passed = seconds(device, act, clock)
            acting[name].append(passed / taken)
        work = partial(learner.learn, learner.ours())
        updates.append(seconds(device, work, clock)[1] / every)
    size = min(config.minibatch or 1, learner.games)
    click.echo(
        f"width {config.width}, {learner.games:,} games of {learner.steps} steps, minibatches of "
        f"{size} games, {config.ppo_epochs} passes: the update takes "
        f"{spread([1e6 * t for t in updates], '.0f')} us a step"
    )
    for name, times in acting.items():
        click.echo(f"  {name:22} acting {spread([1e6 * t for t in times], '.1f')} us a step")
    total = {
        name: [1 / (act + learn) for act, learn in zip(times, updates, strict=True)]
        for name, times in acting.items()
    }
    report(total, ["rlvit"], LEARNT)
    slow = acting["one at a time"]
    bound = median((act + learn) / learn for act, learn in zip(slow, updates, strict=True))
    click.echo(f"  if acting took no time at all: {bound:.1f}x 'one at a time'")


@click.command()
@click.option("--part", type=click.Choice(["env", "ppo"]), default="env", show_default=True)
@click.option("--variant", type=click.Choice(list(ANSWERING)), default="multi-categorical")
@click.option("--games", type=int, help="At once. Default: 1,024 (env), the preset's (ppo).")
@click.option("--repeats", default=7, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--width", default=64, show_default=True, help="Of the network (ppo).")
@click.option("--preset", default="recommended", show_default=True, help="Of the plugin (ppo).")
@click.option("--alone", default=64, show_default=True, help="Games one at a time (ppo).")
@click.option("--device", "place", default="cpu", show_default=True)
def main(
    part: str,
    variant: str,
    games: int | None,
    repeats: int,
    threads: int,
    width: int,
    preset: str,
    alone: int,
    place: str,
) -> None:
    """Compare games of glimpses in one batch of tensors with one image at a time.

    Random images, all contenders in turns. One CPU thread is compared by processor time, which
    other programs disturb less than wall time; several, or a GPU, by wall time. Part ppo times
    acting and the update apart; the update is the same code on the same rollout for all.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    device = torch.device(place)
    processor = device.type == "cpu" and threads == 1
    clock = time.process_time if processor else time.perf_counter
    click.echo(
        f"{place}, {threads} thread(s), torch {torch.__version__}, gymnasium "
        f"{gymnasium.__version__}, {repeats} repeats, by {'processor' if processor else 'wall'} "
        "time; median (lowest-highest)"
    )
    if part == "env":
        part_env(variant, games or 1024, repeats, device, clock)
    else:
        part_ppo(ppo_config(width, preset, games), alone, repeats, device, clock)


if __name__ == "__main__":
    main()
