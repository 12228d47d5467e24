"""Measure a training rollout that leaves dropped patches out beside one that only masks them."""

from __future__ import annotations

import time
from functools import partial
from statistics import median
from typing import Any

import click
import torch

from rlvit.contracts import ImageShape
from rlvit.nn.pruning import PrunedVit
from rlvit_rl4dvit.agents import Critic
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.mappo import MappoSettings, make_optimiser, pack, update
from rlvit_rl4dvit.rewards import gated_reward
from rlvit_rl4dvit.selector import TokenAgents
from rlvit_timm.models import make

BLOCKS = (3, 6, 9)


class Arm:
    """Backbone, agents and critic; `masks_only` hides dropped patches from attention only."""

    def __init__(self, shape: str, keep: float, device: torch.device, masks_only: bool) -> None:
        seed = torch.Generator().manual_seed(0)
        backbone = make(shape, seed, ImageShape(224, 1000), None)
        backbone.module.to(device)
        self.agents = TokenAgents(backbone, Rl4dvitConfig(init_keep=keep, normalise_tokens=True))
        actor = self.agents.create(torch.Generator().manual_seed(1))
        sizes = backbone.shape
        self.critic = Critic(
            sizes.dim,
            sizes.patches,
            normalise_tokens=True,
            generator=torch.Generator().manual_seed(2),
        ).to(device)
        # A step size of 0 keeps both arms alike for as many turns as are asked for.
        self.optimisers = [make_optimiser(n.parameters(), 0.0, 1e-5) for n in (actor, self.critic)]
        self.vit = PrunedVit(
            backbone,
            self.agents,
            frozenset({"tokens", "cls"}),
            BLOCKS,
            targets=torch.arange(1000, device=device),
            masks_only=masks_only,
        )

    def rollout(self, images: torch.Tensor, turn: int) -> Any:
        """Walk the images with drawn actions."""
        self.vit.generator = torch.Generator(images.device).manual_seed(turn)
        self.agents.explore, self.agents.decisions = True, []
        with torch.no_grad():
            return self.vit.walk(images)

    def learn(self, walk: Any) -> None:
        """Update actor and critic from the walk."""
        correct = torch.ones(len(walk.logits), dtype=torch.bool, device=walk.logits.device)
        rewards = gated_reward(correct, walk.alive, 0.1, 1.0, 24.0)
        actor, order = self.agents.actor, torch.Generator().manual_seed(3)
        update(
            actor, self.critic, *self.optimisers, pack(self.agents.decisions), rewards,
            MappoSettings(), order,
        )  # fmt: skip


def timed(device: torch.device, work: Any) -> tuple[float, Any]:
    """Return the seconds that some work takes, and what it returns."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    begun = clock()
    value = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - begun, value


@click.command()
@click.option("--shape", default="deit_small_patch16_224", show_default=True)
@click.option("--images", "count", default=32, show_default=True)
@click.option("--turns", default=5, show_default=True)
@click.option("--keep", default=0.7, show_default=True, help="At each of three decisions.")
@click.option("--device", "place", default="cpu", show_default=True)
def main(shape: str, count: int, turns: int, keep: float, place: str) -> None:
    """Compare the walk through the network alone, and the walk with its PPO update.

    Random weights; agents that keep a share of the patches at each of three decisions. Both arms
    draw the same actions. Medians of paired turns. One CPU thread is timed by processor time, which
    other tenants of the machine do not disturb; a GPU by wall time.
    """
    torch.set_num_threads(1)
    device = torch.device(place)
    arms = [Arm(shape, keep, device, masks_only) for masks_only in (False, True)]
    draws = torch.Generator().manual_seed(4)
    images = torch.randint(0, 256, (count, 3, 224, 224), dtype=torch.uint8, generator=draws)
    images = images.to(device)
    times: list[list[tuple[float, float]]] = [[], []]
    for turn in range(turns + 1):  # the first warms up
        walks = []
        for arm, seconds in zip(arms, times, strict=True):
            walked, walk = timed(device, partial(arm.rollout, images, turn))
            learnt, _ = timed(device, partial(arm.learn, walk))
            seconds.append((walked, walked + learnt))
            walks.append(walk)
        assert torch.equal(walks[0].alive, walks[1].alive), "the arms drew other actions"
    kept = [round(k) for k in walks[0].alive.sum(2).float().mean(1).tolist()]
    gmacs = float(walks[0].macs.mean()) / 1e9
    click.echo(f"{shape}, {count} images, patches alive {kept} of 196, {gmacs:.3f} GMACs an image")
    for part, name in enumerate(("walk", "walk and update")):
        ours, masked = ([t[part] for t in arm[1:]] for arm in times)
        ratios = sorted(b / a for a, b in zip(ours, masked, strict=True))
        click.echo(
            f"{name}: gathered {median(ours):.2f} s, masked {median(masked):.2f} s: "
            f"{median(ratios):.2f} times ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
