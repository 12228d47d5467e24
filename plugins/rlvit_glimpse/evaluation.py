"""How an agent looks, on every image it is measured on: greedy and drawn, and against controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvit.contracts import Measurement, Prediction, RunContext
from rlvit.errors import RlvitError
from rlvit.nn.named_images import numbers_of
from rlvit.nn.randomness import on_device
from rlvit_glimpse.agents import make_rules
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.game import GlimpseGames, Rules
from rlvit_glimpse.networks import GlimpseNetwork
from rlvit_glimpse.rollouts import Episodes, play

BATCH = 512  # games at a time
BINS = 15  # of the calibration error (Guo et al. 2017)


class GlimpseClassifier:
    """The agent as something that names images, greedily (`rlvit.contracts.Classifier`)."""

    gathers = True  # what is not looked at is not computed

    def __init__(
        self, context: RunContext, config: GlimpseConfig, network: GlimpseNetwork, size: int
    ) -> None:
        self.image_size = size
        self.targets = torch.arange(len(context.data().classes), device=context.device)
        self._context, self._config, self._network = context, config, network
        self._games: list[Games] = []  # one for each batch; first places differ between batches
        macs = [0] + [network.macs(count) for count in range(1, (config.max_steps or 1) + 1)]
        self._macs = torch.tensor(macs, dtype=torch.float64, device=context.device)

    def classify(self, images: Tensor) -> Prediction:
        """Play a game on each of uint8 images [B, 3, S, S]; logits are those of its answer."""
        images = images.to(self._context.device)
        labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        game = game_of(self._context, self._config, self.image_size)
        generator = self._context.torch_generator(f"classify/{len(self._games)}")
        episodes = play(
            game, self._network, self._config, images, labels, on_device(generator, images.device),
            start=generator, greedy=True, bootstrap=False,
        )  # fmt: skip
        self._games.append(_told(episodes, game.rules.max_steps))
        nothing = labels.new_zeros(len(images), 0)  # no patches are dropped
        return Prediction(final(episodes), nothing, self._macs[episodes.lengths])

    def score(self, labels: Tensor) -> Score:
        """Return what came of all images so far, given their labels [S] in the same order."""
        return _judged(self._games, labels)


@dataclass(frozen=True)
class Score:
    """What looking at images came to; S images, T steps."""

    right: Tensor  # [S] bool
    lengths: Tensor  # [S] glimpses
    seen: Tensor  # [S] share of pixels
    confidence: Tensor  # [S] probability of the likeliest class at the end
    undecided: Tensor  # [S] bool, cut off before it answered
    by_step: Tensor  # [S, T] bool: the class head is right after so many glimpses (or at the end)

    @property
    def calibration_error(self) -> float:
        """Return the expected calibration error, 0 to 1: Guo et al. 2017, eq. 3, 15 equal bins.

        It is that of the class head at the end: an answer that was drawn need not be its likeliest.
        """
        likeliest = self.by_step[:, -1].double()
        bins = (self.confidence * BINS).long().clamp(0, BINS - 1)
        gap = torch.zeros(BINS, dtype=torch.float64)
        gap.index_add_(0, bins.cpu(), (likeliest - self.confidence.double()).cpu())
        return float(gap.abs().sum() / len(self.right))


def score(
    context: RunContext,
    config: GlimpseConfig,
    network: GlimpseNetwork,
    size: int,
    images: Tensor,
    labels: Tensor,
    *,
    greedy: bool = True,
    wander: bool = False,
    change: Callable[[Rules], Rules] = lambda rules: rules,
) -> Score:
    """Play a game on each of images [S, 3, S, S] and say what came of it.

    Args:
        context: of the run.
        config: of the run.
        network: of the agent.
        size: pixels a side.
        images: uint8, on the device.
        labels: int64 [S].
        greedy: leave nothing to chance.
        wander: look at random places instead.
        change: makes the game's rules into others.
    """
    rules = change(make_rules(config, size))
    game = GlimpseGames(rules, size, 3, context.device)
    parts = []
    for number, (some, wanted) in enumerate(
        zip(images.split(BATCH), labels.split(BATCH), strict=True)
    ):
        generator = context.torch_generator(f"look/{number}")
        episodes = play(
            game, network, config, some, wanted, on_device(generator, context.device),
            start=generator, greedy=greedy, wander=wander, explores=config.fault_epsilon,
            bootstrap=False,
        )  # fmt: skip
        parts.append(_told(episodes, rules.max_steps))
    return _judged(parts, labels)


# Of G games: answer [G], glimpses [G], share of pixels seen [G], confidence [G], whether it was cut
# off [G], the likeliest class after so many glimpses [G, T].
Games = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def _told(episodes: Episodes, steps: int) -> Games:
    logits = final(episodes)
    # All T steps that games may have, though these may all have ended before.
    step = torch.arange(steps, device=logits.device)[:, None]
    upto = torch.minimum(step, episodes.lengths - 1)  # [T, G]
    named = episodes.classes.argmax(2).gather(0, upto)  # [T, G]
    cut = episodes.ended & ~episodes.terminated
    return (
        episodes.answer, episodes.lengths, episodes.seen, logits.softmax(1).amax(1),
        (cut & episodes.alive).any(0), named.T,
    )  # fmt: skip


def _judged(parts: Sequence[Games], labels: Tensor) -> Score:
    answer, *columns, named = (torch.cat(column) for column in zip(*parts, strict=True))
    return Score(answer == labels, *columns, named == labels[:, None])


def final(episodes: Episodes) -> Tensor:
    """Return the class head's logits at each game's last step [G, C]."""
    games = torch.arange(len(episodes.labels), device=episodes.labels.device)
    return episodes.classes[episodes.lengths - 1, games]


@dataclass(frozen=True)
class Looks:
    """What pictures are made of."""

    images: Tensor  # uint8 [S, 3, H, H]
    labels: Tensor  # [S]
    greedy: Score
    controls: dict[str, float]  # % right
    play: Callable[[Tensor, Tensor], Episodes]  # plays greedily on images with labels


def measure(
    context: RunContext,
    config: GlimpseConfig,
    network: GlimpseNetwork,
    size: int,
    step: int,
) -> Looks:
    """Measure the agent under the run's protocol, then how it looks, and record both."""
    agent = GlimpseClassifier(context, config, network, size)
    found = context.evaluate(agent, step)
    images, labels = measured_images(context, size, found.table["name"])

    def look(**how: Any) -> Score:
        return score(context, config, network, size, images, labels, **how)

    greedy = agent.score(labels)  # of the games that were just measured
    if not np.array_equal(greedy.by_step[:, -1].cpu().numpy(), found.table["correct_task"]):
        raise RlvitError("the evaluator did not show each image once, in the order of its table.")
    context.record(step, _results("greedy", greedy))
    context.record(step, _results("sampled", look(greedy=False)))
    half = greedy.by_step[:, max(0, greedy.by_step.shape[1] // 2 - 1)]
    context.record(step, [_share("look/after_half", half)])
    others = {"random": look(wander=True)}
    if config.motion == "none":  # else views are of a canvas, in whose middle need be no image
        others["central"] = look(change=once)
        if not config.foveation:  # else the widest ring is what can be seen at once
            others["whole"] = look(change=lambda rules: once_whole(rules, size))
    for name, control in others.items():
        context.record(step, [_share(f"look/{name}", control.right)])

    def again(some: Tensor, wanted: Tensor) -> Episodes:
        game, generator = game_of(context, config, size), context.torch_generator("pictures")
        on = on_device(generator, context.device)
        return play(
            game, network, config, some, wanted, on, start=generator, greedy=True, bootstrap=False
        )

    shares = {name: 100 * float(one.right.float().mean()) for name, one in others.items()}
    return Looks(images, labels, greedy, shares, again)


def once(rules: Rules) -> Rules:
    """Return rules of a game of one glimpse, in the middle."""
    return replace(rules, max_steps=1, start="centre", novelty=0.0)


def once_whole(rules: Rules, size: int) -> Rules:
    """Return rules of a game of one glimpse, of the whole image of `size` pixels a side.

    A discrete view's side is a multiple of the window's: of MNIST 24 of 28 pixels are seen. It is
    the agent's own largest view where that is as large (digits, CIFAR-10); else the agent has never
    seen such a zoom (MNIST, imagenette), and its plane says so by a number above 1.
    """
    zoom, largest = size // rules.window, rules.zooms[-1]
    return replace(once(rules), zooms=(zoom,), plane_zoom=largest, start_side=size)


def measured_images(context: RunContext, size: int, names: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """Return the images of the protocol's split that were measured, by their names."""
    split = context.data().split(str(context.protocol.settings["split"]))
    numbers = numbers_of(split, names)
    order = np.array_split(numbers, -(-len(numbers) // BATCH))
    images = torch.cat([batch.to(context.device) for batch in split.batches(order, size)])
    return images, torch.from_numpy(split.labels[numbers]).to(context.device)


def game_of(context: RunContext, config: GlimpseConfig, size: int) -> GlimpseGames:
    """Return the run's game."""
    return GlimpseGames(make_rules(config, size), size, 3, context.device)


def _results(mode: str, found: Score) -> list[Measurement]:
    count = len(found.right)
    return [
        _share(f"look/{mode}", found.right),
        _mean(f"look/{mode}_glimpses", found.lengths),
        _mean(f"look/{mode}_seen", 100 * found.seen),
        Measurement(f"look/{mode}_ece", 100 * found.calibration_error, count),
        _share(f"look/{mode}_undecided", found.undecided),
    ]


def _share(metric: str, of: Tensor) -> Measurement:
    return _mean(metric, 100 * of.double())


def _mean(metric: str, of: Tensor) -> Measurement:
    return Measurement.of(metric, of.double().cpu().numpy())
