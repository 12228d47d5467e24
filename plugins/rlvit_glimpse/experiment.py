"""PPO glimpse from beginning to end: play, learn, validate; then measure how it looks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from rlvit.contracts import RunContext, State
from rlvit.errors import RlvitError, UnknownName
from rlvit.nn import augment
from rlvit.nn.randomness import on_device
from rlvit.nn.training_images import TrainingImages
from rlvit.nn.weights import plain
from rlvit_glimpse.agents import make_network, make_rules
from rlvit_glimpse.config import GlimpseConfig
from rlvit_glimpse.evaluation import measure, score
from rlvit_glimpse.game import GlimpseGames
from rlvit_glimpse.rollouts import Episodes, cut_off, play, steps_of_rollout
from rlvit_glimpse.update import update


def train(context: RunContext, config: GlimpseConfig) -> None:
    """Teach an agent where to look, and measure it."""
    agent = Agent(context, config)
    saved = context.restored("learn")
    if saved is not None:
        agent.restore(saved)
    agent.learn()
    agent.network.eval()
    save = agent.network.state_dict()
    context.keep(
        "model",
        {"variant": config.variant, "seed": context.seed, "step": agent.steps},
        lambda folder: save_file(plain(save), folder / "network.safetensors"),
    )
    looks = measure(context, config, agent.network, agent.size, agent.steps)
    if config.figures:
        from rlvit_glimpse.pictures import draw

        draw(context, config, looks, agent.rows)


class Agent:
    """The agent in training, and everything that a checkpoint must hold."""

    def __init__(self, context: RunContext, config: GlimpseConfig) -> None:
        self.context, self.config = context, config
        data, device = context.data(), context.device
        self.size = context.task.image_size
        self.images = TrainingImages(data.split("train"), self.size, device)
        self.network = make_network(
            config, self.size, len(data.classes), context.torch_generator("network")
        ).to(device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.lr, weight_decay=config.weight_decay or 0.0
        )
        self.game = GlimpseGames(make_rules(config, self.size), self.size, 3, device)
        self.sides = torch.full(
            (config.games or 1,), self.game.rules.start_side, device=device
        )  # [G] of first views, with --fault-start
        self.validation = self._validation()
        self.steps = self.rollouts = self.minibatches = 0
        self.rows: list[dict[str, float]] = []  # what was logged, for the figures
        context.say(
            f"{config.variant}: {sum(p.numel() for p in self.network.parameters()):,} parameters, "
            f"{self.network.macs(1) / 1e6:.3g} million multiply-adds a glimpse, "
            f"{self.images.count:,} training images"
        )

    def _validation(self) -> tuple[Tensor, Tensor] | None:
        """Return some validation images and their labels, if there are any."""
        try:
            split = self.context.data().split("val")
        except UnknownName:
            self.context.say(f"{self.context.task.name} has no split 'val': nothing is validated")
            return None
        count = min(self.config.validation_images, len(split.labels))
        chosen = self.context.generator("validation").permutation(len(split.labels))[:count]
        images = next(iter(split.batches([chosen], self.size))).to(self.context.device)
        return images, torch.from_numpy(split.labels[chosen]).to(self.context.device)

    def learn(self) -> None:
        """Play and learn until all steps are taken."""
        config = self.config
        progress = self.context.stage("learn", config.steps, "glimpses")
        progress.update(min(self.steps, config.steps))
        since, begun = time.perf_counter(), self.steps
        while self.steps < config.steps:
            draws = self.context.torch_generator(f"rollout/{self.rollouts}")
            with self.dropping(draws):
                episodes = self.roll_out(draws)
                found = update(
                    self.network, self.optimiser, episodes, config, draws, self.before_step
                )
            self.rollouts += 1
            self.steps += int(episodes.alive.sum())
            over = self.steps >= config.steps
            if self.rollouts % config.log_every == 0 or over:
                row = self.row(episodes, found)
                row["speed/play_steps"] = (self.steps - begun) / (time.perf_counter() - since)
                since, begun = time.perf_counter(), self.steps
                self.context.log(self.steps, row)
                progress.update(
                    min(self.steps, config.steps), accuracy=row["play/accuracy"],
                    glimpses=row["play/glimpses"],
                )  # fmt: skip
            if self.rollouts % config.validate_every == 0 or over:
                self.validate()
            every = 1 if over else config.checkpoint_every
            self.context.checkpoint("learn", self.rollouts, self.state, every)

    def roll_out(self, draws: torch.Generator) -> Episodes:
        """Play a game on each of the next training images."""
        config, games = self.config, self.config.games or 1
        images, labels = next(iter(self.images.batches([self.next_images(games)])))
        images = augment.small_images(images, draws, config.augment)
        remember = config.fault_memory and config.variant != "hybrid-vit"  # whose update has none
        begin = {}
        if config.fault_resets:
            begin["limits"] = cut_off(games, config.max_steps or 1)
        if config.fault_start:
            begin["sides"] = self.sides
        episodes = play(
            self.game, self.network, config, images, labels, on_device(draws, self.context.device),
            start=draws, explores=True, remember=remember, **begin,
        )  # fmt: skip
        self.sides = self.game.side
        return episodes

    @contextmanager
    def dropping(self, draws: torch.Generator) -> Iterator[None]:
        """Let dropout, if there is any, draw from torch's generators by a rollout's draws."""
        if not self.config.dropout:
            yield
            return
        device, seed = self.context.device, int(torch.randint(2**62, (), generator=draws))
        on_gpu = device.type == "cuda"
        with torch.random.fork_rng([device] if on_gpu else []):
            torch.default_generator.manual_seed(seed)
            if on_gpu:
                torch.cuda.manual_seed(seed)
            yield

    def next_images(self, games: int) -> Any:
        """Return the numbers of the rollout's images: one permutation of all after another."""
        import numpy as np

        count, first = self.images.count, self.rollouts * games
        epochs = range(first // count, (first + games - 1) // count + 1)
        orders = [self.context.generator(f"order/{epoch}").permutation(count) for epoch in epochs]
        begin = first - epochs[0] * count
        return np.concatenate(orders)[begin : begin + games]

    def before_step(self) -> None:
        """Set the step size of the next minibatch."""
        config, done = self.config, min(1.0, self.steps / self.config.steps)
        if config.fault_schedule:  # its period is meant for rollouts, so it oscillates
            period = max(1, config.steps // steps_of_rollout(config))
            done = self.minibatches / period
        self.minibatches += 1
        if config.schedule == "constant" and not config.fault_schedule:
            return
        for group in self.optimiser.param_groups:
            group["lr"] = config.lr * 0.5 * (1 + math.cos(math.pi * done))

    def row(self, episodes: Episodes, found: dict[str, Tensor]) -> dict[str, float]:
        """Return what is logged of a rollout."""
        row = {f"ppo/{name}": float(value) for name, value in found.items()}
        row["ppo/lr"] = self.optimiser.param_groups[0]["lr"]
        row["play/return"] = float((episodes.reward * episodes.alive).sum(0).mean())
        row["play/accuracy"] = 100 * float(episodes.right.float().mean())
        row["play/glimpses"] = float(episodes.lengths.float().mean())
        row["play/seen"] = 100 * float(episodes.seen.mean())
        self.rows.append({"steps": float(self.steps), **row})
        return row

    def validate(self) -> None:
        """Look at validation images, and log how many are named rightly."""
        if self.validation is None:
            return
        self.network.eval()
        found = score(self.context, self.config, self.network, self.size, *self.validation)
        self.network.train()
        row = {
            "val/accuracy": 100 * float(found.right.float().mean()),
            "val/glimpses": float(found.lengths.float().mean()),
        }
        self.context.log(self.steps, row)
        self.rows.append({"steps": float(self.steps), **row})

    def state(self) -> State:
        """Return what `restore` needs to go on bit for bit."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "rollouts": self.rollouts,
            "minibatches": self.minibatches,
            "sides": self.sides,
            "rows": self.rows,
        }

    def restore(self, state: State) -> None:
        """Go back to a saved state.

        Raises:
            RlvitError: it lacks something, as of an earlier version.
        """
        lacking = sorted(self.state().keys() - state.keys())
        if lacking:
            raise RlvitError(
                f"the checkpoint has no {', '.join(lacking)}: an earlier version wrote it; "
                "start the run anew."
            )
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.rollouts = state["steps"], state["rollouts"]
        self.minibatches, self.rows = state["minibatches"], state["rows"]
        self.sides = state["sides"].to(self.context.device)
