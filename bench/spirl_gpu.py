"""Time SPIRL on a GPU: an update, a step, pre-training, and what a whole run would take."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from saliency import frames
from spirl_step import ACTIONS, GAME, TASK, Eager, evaluate, paired
from torch import Tensor

from rlvit.rl.replay import Batch, SequenceReplay
from rlvit.runs.precision import full_float32
from rlvit_spirl.agent import GreedyPolicy, PatchFeatures, RainbowAgent
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.mae import PATCHES, MaskedAutoencoder
from rlvit_spirl.network import EMBEDDING, STACK
from rlvit_spirl.pretrain import Training
from rlvit_spirl.selection import cap
from rlvit_spirl.selector import SalientPatches
from rlvit_tasks.plugin import ATARI_100K_SPIRL

RECORDED, EPOCHS, STEPS = 50_000, 50, 100_000  # of the paper's run
EVALUATED = 25_000  # frames in its one evaluation: 50 games of about 500
GAMES_AT_ONCE = 16
ENOUGH = 2_048  # frames to learn from while pre-training is timed


class EagerOnGpu(Eager):
    """The straightforward agent on a GPU: torch's default Adam, batches uploaded each time."""

    def __init__(self, agent: RainbowAgent, replay: SequenceReplay) -> None:
        super().__init__(agent, replay)
        config = agent.config
        self.optimiser = torch.optim.Adam(
            agent.online.parameters(), lr=config.lr, eps=config.adam_eps
        )

    def sample(self, uniforms: NDArray[np.float64]) -> Batch:
        """Read the stacks of all steps from t to t + n, and upload the first and the last."""
        batch = super().sample(uniforms)
        there = {field.name: getattr(batch, field.name) for field in fields(batch)}
        moved = {n: t.to(self.agent.device) for n, t in there.items() if isinstance(t, Tensor)}
        return replace(batch, **moved)


def filled(config: SpirlConfig, folder: Path, device: torch.device | None) -> SequenceReplay:
    """Return a replay of random patches, with room for more."""
    shape = (cap(config.keep_ratio or 1.0), EMBEDDING)
    replay = SequenceReplay(
        folder, 20_000, shape, STACK, config.n_step, config.gamma, 0.5, np.float32, device
    )
    draw = np.random.default_rng(0)
    for step in range(2_000):
        seen, action = draw.standard_normal(shape, dtype=np.float32), int(draw.integers(ACTIONS))
        replay.append(seen, action, float(draw.integers(-1, 2)), step % 50 == 49)
    return replay


def make_agent(config: SpirlConfig, device: torch.device, actions: int = ACTIONS) -> RainbowAgent:
    """Return an agent with fresh weights."""
    return RainbowAgent(actions, config, device, torch.Generator().manual_seed(1))


def wait(device: torch.device) -> None:
    """Wait for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_updates(config: SpirlConfig, folder: Path, device: torch.device, pairs: int) -> str:
    """Compare one update, the sampling of its batch and its priorities included."""
    replay, plain = filled(config, folder / "a", device), filled(config, folder / "b", None)
    agent, eager = make_agent(config, device), EagerOnGpu(make_agent(config, device), plain)
    draw = np.random.default_rng(0)

    def ours() -> None:
        batch = replay.sample(draw.random(config.batch_size), 0.4)
        replay.update_priorities(batch.indices, agent.update(batch)[0])
        wait(device)

    def theirs() -> None:
        batch = eager.sample(draw.random(config.batch_size))
        plain.update_priorities(batch.indices, eager.update(batch))
        wait(device)

    for _ in range(10):  # the first ones allocate and are captured
        ours(), theirs()
    return paired(ours, theirs, pairs)


class Play:
    """Learning while a game goes on, as in a run, in whole steps or in halves."""

    def __init__(self, config: SpirlConfig, folder: Path, device: torch.device) -> None:
        mae = MaskedAutoencoder(torch.Generator().manual_seed(0)).eval().requires_grad_(False)
        mae = mae.to(device)
        self.config, self.device = config, device
        self.features = PatchFeatures(SalientPatches(mae, config, TASK), mae, PATCHES, device)
        self.most = self.features.prime()
        self.replay = filled(config, folder, device)
        settings = {**ATARI_100K_SPIRL.settings, "terminal_on_life_loss": True}
        self.game: Any = TASK.make(settings, 0)
        self.agent = make_agent(config, device, self.game.action_count)
        self.frame, self.draw = self.game.reset(), np.random.default_rng(0)

    def look(self) -> int:
        """See the frame, act, and begin the step."""
        seen = self.features(self.frame)
        action = self.agent.act(self.replay.latest_stack(seen))
        self.replay.begin(seen, action)
        return action

    def launch(self) -> tuple[Batch, Tensor]:
        """Sample, and set the update going."""
        batch = self.replay.sample(self.draw.random(self.config.batch_size), 0.4)
        return batch, self.agent.update(batch)[0]

    def emulate(self, action: int) -> None:
        """Let the game take the action."""
        taken = self.game.step(action)
        self.replay.end(float(np.sign(taken.reward)), taken.done)
        self.frame = self.game.reset() if taken.done else taken.frame

    def whole(self) -> float:
        """Take a step as a run does; return its seconds."""
        start = perf_counter()
        action = self.look()
        batch, priorities = self.launch()
        self.emulate(action)  # while the GPU is at the update
        self.replay.update_priorities(batch.indices, priorities)
        return perf_counter() - start

    def halves(self) -> tuple[float, float]:
        """Take a step in two halves, and wait for each; return their seconds."""
        start = perf_counter()
        action = self.look()
        self.emulate(action)
        wait(self.device)
        middle = perf_counter()
        batch, priorities = self.launch()
        self.replay.update_priorities(batch.indices, priorities)
        wait(self.device)
        return middle - start, perf_counter() - middle


def time_steps(play: Play, warm: int, pairs: int) -> tuple[float, str]:
    """Compare whole steps with the larger of their halves; return a step's seconds, too."""
    for _ in range(warm):
        play.whole()
    measured = [(play.whole(), *play.halves()) for _ in range(pairs)]
    whole, playing, learning = (statistics.fmean(column) for column in zip(*measured, strict=True))
    return whole, (
        f"{1e3 * whole:.2f} ms; emulator, error map and acting {1e3 * playing:.2f} ms, update "
        f"{1e3 * learning:.2f} ms: {whole / max(playing, learning):.2f} times the larger "
        f"(means of {pairs})"
    )


def time_training(config: SpirlConfig, device: torch.device, iterations: int) -> float:
    """Return the seconds of one iteration of pre-training."""
    stream = frames(GAME, 0)
    some = np.stack([next(stream) for _ in range(ENOUGH)])
    model = MaskedAutoencoder(torch.Generator().manual_seed(0)).to(device)
    training, noise = Training(model, config, some, device), torch.Generator().manual_seed(0)
    batch = config.mae_batch_size

    def iterate(count: int) -> None:
        for _ in range(count):
            chosen = torch.randint(ENOUGH, (batch,), generator=noise)
            training.step(chosen, torch.rand(batch, PATCHES, generator=noise), 1e-4)
        wait(device)

    iterate(10)
    start = perf_counter()
    iterate(iterations)
    return (perf_counter() - start) / iterations


def time_game(play: Play, steps: int) -> float:
    """Return the seconds of a step of the emulator alone."""
    play.game.reset(full=True)
    start = perf_counter()
    for _ in range(steps):
        if play.game.step(int(play.draw.integers(play.game.action_count))).done:
            play.game.reset()
    return (perf_counter() - start) / steps


def report(
    config: SpirlConfig, device: torch.device, pairs: int, warm: int, say: Callable[[str], None]
) -> None:
    """Time everything on a device and pass on a line each."""
    with tempfile.TemporaryDirectory() as folder:
        say(f"update: {time_updates(config, Path(folder) / 'a', device, pairs)}")
        play = Play(config, Path(folder) / "b", device)
        step, text = time_steps(play, warm, pairs)
        say(f"step: {text}")
        iteration = time_training(config, device, 10 * pairs)
        iterations = EPOCHS * (RECORDED // config.mae_batch_size)
        say(
            f"pre-training in {config.mae_precision}: {1 / iteration:,.0f} iterations/s, "
            f"{iterations * iteration:.0f} s for {iterations:,}"
        )
        policy = GreedyPolicy(play.agent, play.features, play.most, GAMES_AT_ONCE)
        speed, _ = evaluate(policy, GAMES_AT_ONCE, pairs)
        parts = {
            "frames": RECORDED * time_game(play, 10 * pairs),
            "pre-training": iterations * iteration,
            "learning": STEPS * step,
            "evaluation": EVALUATED / speed,
        }
    told = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in parts.items())
    say(f"a run of {STEPS:,} steps: {sum(parts.values()) / 60:.1f} minutes: {told}")


@click.command()
@click.option("--pairs", default=200, show_default=True, help="Of timed updates and steps.")
@click.option("--warm", default=1500, show_default=True, help="Steps before steps are timed.")
@click.option("--mae-precision", default="float32", type=click.Choice(["float32", "bfloat16"]))
def main(pairs: int, warm: int, mae_precision: str) -> None:
    """Run all and print a line each."""
    if not torch.cuda.is_available():
        raise click.ClickException("bench/spirl_gpu.py needs a CUDA device; here is none.")
    torch.set_num_threads(1)
    device = torch.device("cuda")
    values = {"keep_ratio": 0.2, "residual": True, "error_space": "normalised"}
    config = SpirlConfig(**values, acting_noise="step", mae_precision=mae_precision)
    click.echo(torch.cuda.get_device_name(device))
    with full_float32():  # as in a run
        report(config, device, pairs, warm, click.echo)


if __name__ == "__main__":
    main()
