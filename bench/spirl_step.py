"""Time a SPIRL update, a whole training step and an evaluation against straightforward ones."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from saliency import Straightforward, frames
from torch import Tensor, nn
from torch.nn import functional

from rlvit.contracts import Examination
from rlvit.rl.categorical import cross_entropy, expected_value, kl_divergence, project
from rlvit.rl.replay import Batch, SequenceReplay
from rlvit_spirl.agent import GreedyPolicy, PatchFeatures, RainbowAgent
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.network import EMBEDDING, ENCODER_GRADIENT, STACK, PatchAttention
from rlvit_spirl.selection import cap, dynamic_k, keep_order
from rlvit_spirl.selector import SalientPatches
from rlvit_tasks.evaluation import play_games
from rlvit_tasks.plugin import ATARI_100K_SPIRL, rlvit_tasks

CPU = torch.device("cpu")
GAME = "Seaquest"
TASK = next(task for task in rlvit_tasks() if task.name == GAME)
ACTIONS = 18
PLAIN_FRAMES = 20  # enough where each takes a second


def make_agent(config: SpirlConfig) -> RainbowAgent:
    """Return an agent with fresh weights."""
    return RainbowAgent(ACTIONS, config, CPU, torch.Generator().manual_seed(1))


class Eager:
    """The same agent as one would write it down: every token a query, torch's default Adam.

    Each of the three forward passes is made for itself, and all steps from t to t + n are read.
    """

    def __init__(self, agent: RainbowAgent, replay: SequenceReplay) -> None:
        self.agent, self.replay = agent, replay
        config = agent.config
        self.optimiser = torch.optim.Adam(
            agent.online.parameters(), lr=config.lr, eps=config.adam_eps, foreach=False, fused=False
        )

    def summarise(self, attention: PatchAttention, patches: Tensor) -> Tensor:
        """Run the whole block over all tokens of frames [F, L, 64] and read the class token."""
        x = attention.project(patches)
        x = torch.cat([attention.cls_token.expand(len(x), 1, -1), x], dim=1)  # [F, 1 + L, dim]
        q, k, v = (attention._split(p) for p in attention.qkv(attention.norm1(x)).chunk(3, dim=-1))
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(dim=-1)
        mixed = attention.attended((weights @ v).transpose(1, 2).flatten(2))
        x = x + mixed if attention.residual else mixed
        out = attention.fc2(functional.gelu(attention.fc1(attention.norm2(x))))
        x = x + out if attention.residual else out
        return torch.as_tensor(x[:, 0])

    def values(self, network: Any, stacks: Tensor, *, noisy: bool = True) -> Tensor:
        """Return log-probabilities [B, A, Z]."""
        state = self.summarise(network.attention, stacks.flatten(0, 1))
        state = state.reshape(len(stacks), -1)
        if state.requires_grad:
            state.register_hook(lambda gradient: gradient * ENCODER_GRADIENT)
        return torch.as_tensor(network.head(state, noisy=noisy))

    def sample(self, uniforms: NDArray[np.float64]) -> Batch:
        """Read the stacks of all steps from t to t + n, and use the first and the last."""
        batch = self.replay.sample(uniforms, 0.4)
        steps = batch.indices[None] + np.arange(self.agent.config.n_step + 1)[:, None]  # [n+1, B]
        stacks = torch.from_numpy(self.replay._stacks(steps))
        return replace(batch, observations=stacks[0], next_observations=stacks[-1])

    def update(self, batch: Batch) -> Tensor:
        """Take one step of Adam and return the new priorities [B]."""
        agent = self.agent
        agent.online.head.place(agent.online.head.draw(agent.generator))
        rows = torch.arange(len(batch.actions), device=batch.actions.device)
        with torch.no_grad():
            best = self.values(agent.online, batch.next_observations).exp()
            chosen = expected_value(best, agent.support).argmax(dim=1)
            judged = self.values(agent.target, batch.next_observations).exp()[rows, chosen]
            wanted = project(batch.returns, batch.bootstrap_discounts, judged, agent.support)
        predicted = self.values(agent.online, batch.observations)[rows, batch.actions]
        loss = (cross_entropy(wanted, predicted) * batch.importance_weights).mean()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(agent.online.parameters(), agent.config.grad_clip)
        self.optimiser.step()
        return kl_divergence(wanted, predicted.detach()).clamp(1e-6, 1e6)


def filled(config: SpirlConfig, folder: Path, patches: int, steps: int) -> SequenceReplay:
    """Return a replay of random patches."""
    shape = (patches, EMBEDDING)
    replay = SequenceReplay(folder, steps, shape, STACK, config.n_step, config.gamma, 0.5)
    draw = np.random.default_rng(0)
    for step in range(steps):
        seen = draw.standard_normal(shape, dtype=np.float32)
        replay.append(
            seen, int(draw.integers(ACTIONS)), float(draw.integers(-1, 2)), step % 50 == 49
        )
    return replay


def paired(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> str:
    """Time two things in turn and describe the median of the ratios."""
    took: list[tuple[float, float]] = []
    for _ in range(pairs):
        pair = []
        for action in (ours, theirs):
            start = perf_counter()
            action()
            pair.append(1e3 * (perf_counter() - start))
        took.append((pair[0], pair[1]))
    ratio = statistics.median(slow / fast for fast, slow in took)
    fast, slow = (statistics.median(column) for column in zip(*took, strict=True))
    return f"{fast:.1f} ms against {slow:.1f} ms, {ratio:.2f} times (median of {pairs} pairs)"


def check_equal(agent: RainbowAgent, eager: Eager, batch: Batch) -> None:
    """Make sure that both networks say the same; raises AssertionError."""
    with torch.no_grad():
        ours = agent.online(batch.observations, noisy=False)
        theirs = eager.values(agent.online, batch.observations, noisy=False)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def time_updates(config: SpirlConfig, folder: Path, pairs: int) -> str:
    """Compare one update, the sampling of its batch included."""
    replay = filled(config, folder, cap(config.keep_ratio or 1.0), 2_000)
    agent, other = make_agent(config), make_agent(config)
    eager, draw = Eager(other, replay), np.random.default_rng(0)
    check_equal(agent, Eager(agent, replay), replay.sample(draw.random(32), 0.4))

    def ours() -> None:
        batch = replay.sample(draw.random(config.batch_size), 0.4)
        priorities, _ = agent.update(batch)
        replay.update_priorities(batch.indices, priorities)

    def theirs() -> None:
        batch = eager.sample(draw.random(config.batch_size))
        replay.update_priorities(batch.indices, eager.update(batch))

    for _ in range(5):  # the first ones allocate
        ours(), theirs()
    return paired(ours, theirs, pairs)


def time_steps(config: SpirlConfig, folder: Path, warm: int, pairs: int) -> str:
    """Compare a step of training but for the emulator: error map, embedding, acting, update."""
    mae = MaskedAutoencoder(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
    features = PatchFeatures(SalientPatches(mae, config, TASK), mae, PATCHES, CPU)
    most = features.prime()
    replay = filled(config, folder, most, 2_000)
    agent, other = make_agent(config), make_agent(config)
    eager, slow, draw = Eager(other, replay), Straightforward(mae), np.random.default_rng(0)
    stream = frames(GAME, 0)
    for frame in islice(stream, warm):
        features(frame)
    shown: dict[str, NDArray[np.uint8]] = {}

    def ours() -> None:
        shown["frame"] = next(stream)
        agent.act(replay.latest_stack(features(shown["frame"])))
        batch = replay.sample(draw.random(config.batch_size), 0.4)
        replay.update_priorities(batch.indices, agent.update(batch)[0])

    def theirs() -> None:
        errors = torch.from_numpy(slow.error_map(shown["frame"]))[None]
        order = keep_order(errors, dynamic_k(errors, config.angle, most), most)
        image = torch.from_numpy(shown["frame"][None])
        with torch.inference_mode():
            seen = mae.embed_selected(image, order)[0].numpy()
            stack = torch.from_numpy(replay.latest_stack(seen)[None])
            expected_value(eager.values(other.online, stack).exp(), other.support).argmax()
        batch = eager.sample(draw.random(config.batch_size))
        replay.update_priorities(batch.indices, eager.update(batch))

    ours(), theirs()
    return paired(ours, theirs, pairs)


class OneByOne:
    """A policy that is given one game after another."""

    def __init__(self, policy: GreedyPolicy) -> None:
        self.policy = policy

    def begin(self) -> None:
        """Begin the only game."""
        self.policy.begin_game(0)

    def act(self, frame: NDArray[np.uint8]) -> int:
        """Act in the only game."""
        return self.policy.act_in_games([0], frame[None])[0]


class Plain(OneByOne):
    """The same with error maps of which nothing is left out and nothing remembered."""

    def __init__(self, policy: GreedyPolicy, mae: MaskedAutoencoder) -> None:
        super().__init__(policy)
        selector: Any = policy.features.selector
        slow = Straightforward(mae)
        selector._errors = lambda images: torch.from_numpy(
            np.stack([slow.error_map(image) for image in np.asarray(images)])
        )


class Count:
    """Progress that nobody looks at."""

    def update(self, done: int, **shown: float) -> None:
        """Do nothing."""


def evaluate(policy: Any, games: int, horizon: int) -> tuple[float, Sequence[float]]:
    """Play games and return frames a second and the scores."""
    settings = {
        **ATARI_100K_SPIRL.settings,
        "episodes": games,
        "evaluation_horizon": horizon,
    }
    episodes: list[Any] = []
    examination: Any = Examination(
        subject=policy,
        task=TASK,
        protocol=replace(ATARI_100K_SPIRL, settings=settings),
        seed=0,
        episode=episodes.append,
        table=lambda table: None,
        progress=lambda unit, total: Count(),
        check_stop=lambda: None,
        data=lambda: _no_images(),
    )
    start = perf_counter()
    play_games(examination)
    played = sum(episode.length for episode in episodes)
    return played / (perf_counter() - start), [episode.score for episode in episodes]


def _no_images() -> Any:
    raise LookupError("a game has no images")


def time_evaluation(config: SpirlConfig, games: int, horizon: int) -> str:
    """Compare games side by side with one after another, each with a memory that begins empty."""
    mae = MaskedAutoencoder(torch.Generator().manual_seed(0)).eval().requires_grad_(False)

    def policy(places: int) -> GreedyPolicy:
        features = PatchFeatures(SalientPatches(mae, config, TASK), mae, PATCHES, CPU)
        return GreedyPolicy(make_agent(config), features, features.prime(), places)

    together, ours = evaluate(policy(16), games, horizon)
    alone, theirs = evaluate(OneByOne(policy(1)), games, horizon)
    plain, _ = evaluate(Plain(policy(1), mae), 1, PLAIN_FRAMES)
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    return (
        f"{together:.1f} frames/s side by side; one after another {alone:.1f}, "
        f"{together / alone:.2f} times, {same} of {games} scores equal; one after another with "
        f"straightforward error maps {plain:.2f}, {together / plain:.1f} times"
    )


@click.command()
@click.option("--pairs", default=30, show_default=True, help="Of timed updates.")
@click.option("--step-pairs", default=12, show_default=True, help="Of timed whole steps.")
@click.option("--warm", default=1500, show_default=True, help="Frames seen before whole steps.")
@click.option("--games", default=50, show_default=True, help="Of the evaluation; 0: leave it out.")
@click.option("--horizon", default=120, show_default=True, help="Agent steps of a game at most.")
def main(pairs: int, step_pairs: int, warm: int, games: int, horizon: int) -> None:
    """Run all on one thread and print a line each."""
    torch.set_num_threads(1)
    config = SpirlConfig(keep_ratio=0.2, residual=True, error_space="normalised")
    with tempfile.TemporaryDirectory() as folder:
        click.echo(f"update: {time_updates(config, Path(folder) / 'a', pairs)}")
        click.echo(f"step: {time_steps(config, Path(folder) / 'b', warm, step_pairs)}")
    if games:
        click.echo(f"evaluation: {time_evaluation(config, games, horizon)}")


if __name__ == "__main__":
    main()
