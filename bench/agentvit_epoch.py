"""Measure an AgentViT epoch beside one with all patches and beside a straightforward agent."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from statistics import median
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, cast

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import rlvit_agentvit.plugin as agentvit
import rlvit_controls.plugin as controls
from rlvit.contracts import RunContext
from rlvit.nn import augment
from rlvit.nn.compute import VitShape, attended_macs, dense_macs, embed_macs, mlp_macs, vit_macs
from rlvit_agentvit.config import AgentvitConfig
from rlvit_agentvit.experiment import assemble, made_backbone
from rlvit_agentvit.learning import TdLearner
from rlvit_agentvit.network import HIDDEN
from rlvit_agentvit.simple_vit import MEAN, STD
from rlvit_agentvit.training import Trainer

BATCH, SIDE, CLASSES, KEPT = 128, 32, 10, 30
PATCHES, PATCH = 64, 4  # of an image; pixels a side
BATCHES = 4  # of random images, which the iterations take in turn
EPOCH = 391  # iterations on 50,000 images
WANTED = {"all patches": 1.5, "straightforward": 1.3}
SIZES: dict[str, dict[str, int]] = {
    "paper": {"dim": 128, "depth": 6, "heads": 16, "head_dim": 64, "mlp_dim": 512},
    "small": {"dim": 64, "depth": 4, "heads": 4, "head_dim": 16, "mlp_dim": 128},
}
DEFAULTS = AgentvitConfig()
# What an iteration can be: its mask random, from the agent, or that and the agent is paid and
# learns. Each is timed alone and an epoch is their mixture, so that few iterations are enough.
Kind = Literal["random", "greedy", "paid"]
KINDS: tuple[Kind, ...] = ("random", "greedy", "paid")
NEVER = 10**9
SWITCHES: dict[Kind, dict[str, Any]] = {
    "random": {"eps_start": 1.0, "eps_end": 1.0, "frequency": NEVER},
    "greedy": {"eps_start": 0.0, "eps_end": 0.0, "frequency": NEVER},
    "paid": {"eps_start": 0.0, "eps_end": 0.0, "frequency": 1},
}
Step = Callable[[Kind, Tensor, Tensor], Any]


class Images:
    """Random images as a dataset has them (`rlvit.contracts.ImageData` and `ImageSplit`)."""

    classes = tuple(map(str, range(CLASSES)))

    def __init__(self) -> None:
        draws = np.random.default_rng(0)
        self.labels = draws.integers(CLASSES, size=BATCHES * BATCH)
        shape = (len(self.labels), 3, SIDE, SIDE)
        self.images = torch.from_numpy(draws.integers(256, size=shape, dtype=np.uint8))

    def split(self, name: str) -> Images:
        """Return the only one."""
        return self

    def batches(self, order: Any, size: int) -> Any:
        """Yield the images of each index array."""
        return (self.images[numbers] for numbers in order)


class Context:
    """As much of a run as its training asks for."""

    seed = 0
    task = SimpleNamespace(name="random", facts={"size": SIDE, "classes": CLASSES})
    protocol = SimpleNamespace(settings={"split": "val"})  # measured there: epochs need no other

    def __init__(self, selector: str, device: torch.device) -> None:
        offered = [*agentvit.rlvit_selectors(), *controls.rlvit_selectors()]
        self.device, self.images = device, Images()
        self.parts: dict[str, Any] = {
            "backbone": agentvit.rlvit_backbones()[0],
            "selector": next(spec for spec in offered if spec.name == selector),
        }

    def part(self, slot: str) -> Any:
        """Return the specification of a part."""
        return self.parts[slot]

    def data(self) -> Images:
        """Return the images."""
        return self.images

    def torch_generator(self, name: str) -> torch.Generator:
        """Return a stream of random numbers."""
        return torch.Generator().manual_seed(abs(hash(name)))


def our_trainer(sizes: Mapping[str, int], selector: str, device: torch.device) -> Trainer:
    """Return rlvit's training as `rlvit run agentvit` sets it up, its replay ready to learn from."""
    config = DEFAULTS.model_copy(
        update={
            **sizes,
            "patch_size": PATCH,
            "n_patch_desired": KEPT,
            "select": "topk",
            "replay_from": 1,
        }
    )
    context = cast(RunContext, Context(selector, device))
    trainer = Trainer(context, config, *assemble(context, config, made_backbone(context, config)))
    if isinstance(trainer.learner, TdLearner):
        draws = torch.Generator().manual_seed(0)
        for _ in range(config.buffer_batch_size):
            state = torch.randn(BATCH, PATCHES, device=device)
            trainer.learner.replay.push(state, state, state[:, 0], draws)
    return trainer


def our_step(trainer: Trainer, kind: Kind, images: Tensor, labels: Tensor) -> None:
    """Train on a batch in an iteration of the given kind."""
    trainer.config = trainer.config.model_copy(update=SWITCHES[kind])
    trainer.train_on(images, labels)


class PlainAttention(nn.Module):
    """LN, one projection to queries, keys and values, attention, projection back."""

    def __init__(self, shape: VitShape, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.norm = nn.LayerNorm(shape.dim)
        self.qkv = nn.Linear(shape.dim, 3 * shape.width, bias=False)
        self.out = nn.Linear(shape.width, shape.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over tokens [B, N, D], with or without a matrix of attention in memory."""
        parts = self.qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        if self.fused:
            y = functional.scaled_dot_product_attention(q, k, v)
        else:
            scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5  # [B, H, N, N]
            y = scores.softmax(-1) @ v
        return self.out(y.transpose(1, 2).flatten(2))


class PlainVit(nn.Module):
    """SimpleViT of ordinary modules; its parameters come in the order of rlvit's."""

    def __init__(self, shape: VitShape, heads: int, positions: Tensor, fused: bool) -> None:
        super().__init__()
        dim, values = shape.dim, shape.patch_values
        self.embed = nn.Sequential(nn.LayerNorm(values), nn.Linear(values, dim), nn.LayerNorm(dim))
        self.blocks = nn.ModuleList(
            nn.ModuleList([PlainAttention(shape, heads, fused), plain_mlp(dim, shape.hidden)])
            for _ in range(shape.depth)
        )
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, shape.classes)
        self.register_buffer("positions", positions)  # [N, D]
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])

    def tokens(self, images: Tensor) -> Tensor:
        """Embed all patches of uint8 images [B, 3, S, S]: [B, N, D]."""
        pixels = (images.float() / 255 - self.mean) / self.std
        rows = SIDE // PATCH
        cut = pixels.view(len(images), 3, rows, PATCH, rows, PATCH).permute(0, 2, 4, 3, 5, 1)
        return self.embed(cut.reshape(len(images), PATCHES, -1)) + self.positions

    def forward(self, images: Tensor, kept: list[int]) -> Tensor:
        """Classify images by some of their patches: [B, K]."""
        x = self.tokens(images)[:, kept]
        for attention, mlp in self.blocks:
            x = x + attention(x)
            x = x + mlp(x)
        return self.head(self.norm(x.mean(1)))

    @torch.no_grad()
    def state(self, images: Tensor) -> Tensor:
        """Return the first attention's output of all patches, mean over features: [B, N]."""
        return self.blocks[0][0](self.tokens(images)).mean(-1)


def plain_mlp(dim: int, hidden: int) -> nn.Sequential:
    """Return a block's MLP with its norm."""
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim)
    )


class Straightforward:
    """What the notebook does in an iteration, as its description would first be written down.

    A pass through the first attention for the state in every iteration, another for the next state,
    patches compared one by one in Python. Only the threshold is not the mean of the scores but
    what keeps as many patches as rlvit does; images are augmented as rlvit does it.
    """

    def __init__(self, like: Trainer, fused: bool) -> None:
        """Begin with the weights of a trainer."""
        backbone, device = like.vit.backbone, like.context.device
        positions = cast(Tensor, backbone.module.positions).clone()
        self.vit = PlainVit(backbone.shape, backbone.heads, positions, fused).to(device)
        with torch.no_grad():
            pairs = zip(self.vit.parameters(), backbone.module.parameters(), strict=True)
            for own, given in pairs:
                own.copy_(given)
        self.optimiser = torch.optim.Adam(self.vit.parameters(), lr=DEFAULTS.lr)
        self.q = plain_agent().to(device)
        self.target = deepcopy(self.q)
        self.agent_optimiser = torch.optim.AdamW(
            self.q.parameters(), lr=DEFAULTS.agent_lr, amsgrad=True
        )
        state = torch.randn(BATCH, PATCHES, device=device)
        self.replay = [(state, state, state[:, 0])] * DEFAULTS.buffer_batch_size
        self.steps, self.first = 0, 0.0

    def step(self, kind: Kind, images: Tensor, labels: Tensor) -> None:
        """Train on a batch in an iteration of the given kind."""
        draws = torch.Generator().manual_seed(self.steps)
        images = augment.flip(augment.shifted(images, draws, SIDE // 8), draws)
        state = self.vit.state(images)  # [B, N]
        if kind == "random":
            scores = torch.rand(PATCHES, device=images.device)
        else:
            with torch.no_grad():
                scores = self.q(state).mean(0)
        loss = self.train(images, labels, listed(scores))
        after = self.vit.state(images)
        if kind == "paid":
            self.remember(state, after, loss)
            self.learn()

    def train(self, images: Tensor, labels: Tensor, kept: list[int]) -> float:
        """Take a step of the ViT on the patches kept; return the loss."""
        self.optimiser.zero_grad()
        chances = self.vit(images, kept).log_softmax(-1)
        loss = functional.nll_loss(chances, labels)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def remember(self, state: Tensor, after: Tensor, loss: float) -> None:
        """Put the batch's transition in the replay, at a random place once that is full."""
        self.first = self.first or loss
        ideal = PATCHES - KEPT
        paid = self.first / loss - 20 * abs((PATCHES - KEPT) - ideal) / ideal  # nb 36: 1 and 20
        new = (state, after, torch.full((len(state),), paid, device=state.device))
        if len(self.replay) < DEFAULTS.buffer_size:
            self.replay.append(new)
        else:
            self.replay[random.randrange(len(self.replay))] = new

    def learn(self) -> None:
        """Take a step of the agent, and now and then move its target network."""
        drawn = random.sample(self.replay, DEFAULTS.buffer_batch_size)
        state, after, paid = (torch.cat(column) for column in zip(*drawn, strict=True))
        with torch.no_grad():
            aim = paid[:, None] + DEFAULTS.gamma * self.target(after)
        loss = functional.smooth_l1_loss(self.q(state), aim)
        self.agent_optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(self.q.parameters(), DEFAULTS.grad_clip)
        self.agent_optimiser.step()
        self.steps += 1
        if self.steps % DEFAULTS.update_every == 0:
            tau, own = DEFAULTS.tau, self.q.state_dict()
            moved = {n: (1 - tau) * t + tau * own[n] for n, t in self.target.state_dict().items()}
            self.target.load_state_dict(moved)


def plain_agent() -> nn.Sequential:
    """Return the Q-network (nb 29)."""
    widths = (PATCHES, *HIDDEN, PATCHES)
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def listed(scores: Tensor) -> list[int]:
    """Return the patches whose score [N] is at least the 30th, compared one by one."""
    threshold = scores.sort(descending=True).values[KEPT - 1]
    return [place for place in range(PATCHES) if (scores[place] >= threshold).item()]


def difference(trainer: Trainer, plain: Straightforward, images: Tensor) -> tuple[float, float]:
    """Return how far both ViTs' logits of all patches and states are apart, of their largest."""
    from rlvit_agentvit.learning import state_of

    with torch.no_grad():
        pairs = (
            (trainer.dense.walk(images).logits, plain.vit(images, list(range(PATCHES)))),
            (state_of(trainer.vit, images), plain.vit.state(images)),
        )
    logits, states = (float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
    return logits, states


class Taken(NamedTuple):
    """Milliseconds an iteration."""

    processor: float  # of all threads of this process
    wall: float
    device: float  # between events on the GPU; 0 without one


def taken(device: torch.device, work: Callable[[], None], iterations: int) -> Taken:
    """Return what an iteration takes of some work that does so many."""
    events = []
    if device.type == "cuda":
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        torch.cuda.synchronize()
        events[0].record()
    processor, wall = time.process_time(), time.perf_counter()
    work()
    if events:
        events[1].record()
        torch.cuda.synchronize()
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    on_device = events[0].elapsed_time(events[1]) if events else 0.0
    return Taken(1e3 * processor / iterations, 1e3 * wall / iterations, on_device / iterations)


Rows = dict[tuple[str, Kind], list[Taken]]  # by contender and kind, one a repeat


def measure(steps: Mapping[str, Step], trainer: Trainer, iterations: int, repeats: int) -> Rows:
    """Time every contender in every repeat, in turns, so that all meet the same machine."""
    rows: Rows = {(name, kind): [] for name in steps for kind in KINDS if timed(name, kind)}
    order = [np.arange(start, start + BATCH) for start in range(0, BATCHES * BATCH, BATCH)]
    batches = list(trainer.images.batches(order))
    for repeat in range(repeats + 1):
        for (name, kind), times in rows.items():
            work = partial(several, partial(steps[name], kind), batches, iterations)
            found = taken(trainer.context.device, work, iterations)
            if repeat:  # the first warms up
                times.append(found)
    return rows


def several(step: Any, batches: list[tuple[Tensor, Tensor]], count: int) -> None:
    """Do so many iterations."""
    for number in range(count):
        step(*batches[number % len(batches)])


def timed(name: str, kind: Kind) -> bool:
    """Whether a contender has iterations of a kind: without an agent all are alike."""
    return name != "all patches" or kind == "random"


def mixed(cost: Mapping[Kind, float], epsilon: float) -> float:
    """Return what an iteration costs on average, when so many masks are random."""
    share = 1 / DEFAULTS.frequency
    usual = epsilon * cost["random"] + (1 - epsilon) * cost["greedy"]
    return (1 - share) * usual + share * cost["paid"]


def iteration(rows: Rows, name: str, clock: str, repeat: int, epsilon: float) -> float:
    """Return the milliseconds of a contender's average iteration in a repeat."""
    costs = {
        kind: getattr(rows[name, kind if timed(name, kind) else "random"][repeat], clock)
        for kind in KINDS
    }
    return mixed(costs, epsilon)


def work(shape: VitShape, heads: int) -> dict[str, dict[Kind, float]]:
    """Return the multiply-adds an image of each contender by kind, a backward pass being two."""
    agent = mlp_macs((PATCHES, *HIDDEN, PATCHES))
    kept = 3.0 * float(vit_macs(shape, torch.tensor([[KEPT]]), (0,)))
    look = attended_macs(shape, heads, PATCHES)
    first = 4 * PATCHES * shape.dim * shape.width + 2 * PATCHES**2 * shape.width
    passes = 2 * (embed_macs(shape) + first)
    learning = DEFAULTS.buffer_batch_size * 4 * agent  # its own three, and the target's pass
    ours, plain = kept + look + agent, kept + passes + agent
    after = embed_macs(shape) + look
    return {
        "all patches": dict.fromkeys(KINDS, 3.0 * dense_macs(shape)),
        "rlvit": {"random": kept, "greedy": ours, "paid": ours + after + learning},
        "straightforward": {"random": plain - agent, "greedy": plain, "paid": plain + learning},
    }


def report(rows: Rows, macs: Mapping[str, Mapping[Kind, float]], clock: str, share: float) -> None:
    """Print what an epoch takes when `share` of the masks are random, and what that is worth."""
    turns = range(len(rows["rlvit", "random"]))
    found = {name: [iteration(rows, name, clock, turn, share) for turn in turns] for name in macs}
    click.echo(f"epsilon {share:g}, an epoch of {EPOCH} iterations, a reward every 50:")
    for name, times in found.items():
        middle = median(times)
        click.echo(f"  {name:16} {middle:9.1f} ms an iteration, {EPOCH * middle / 1e3:8.1f} s")
    for name, wanted in WANTED.items():
        ratios = sorted(a / b for a, b in zip(found[name], found["rlvit"], strict=True))
        bound = mixed(macs[name], share) / mixed(macs["rlvit"], share)
        verdict = "reached" if median(ratios) >= wanted else "NOT reached"
        click.echo(
            f"  rlvit is {median(ratios):.2f} times as fast as {name} ({ratios[0]:.2f}-"
            f"{ratios[-1]:.2f}); the multiply-adds allow {bound:.2f}; wanted {wanted}: {verdict}"
        )


@click.command()
@click.option("--sizes", type=click.Choice(list(SIZES)), default="small", show_default=True)
@click.option("--iterations", default=2, show_default=True, help="Of each kind in a repeat.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option(
    "--epsilon", default=0.445, show_default=True, help="Share of random masks; the run's mean."
)
@click.option("--fused", is_flag=True, help="Give the straightforward ViT torch's own attention.")
@click.option("--device", "place", default="cpu", show_default=True)
def main(
    sizes: str,
    iterations: int,
    repeats: int,
    threads: int,
    epsilon: float,
    fused: bool,
    place: str,
) -> None:
    """Compare training on the patches that the agent keeps with training on all, and with plain code.

    Random images and labels, batch 128, 30 of 64 patches, fp32. Iterations with a random mask, with
    the agent's, and with its learning are timed apart, in turns, and mixed as in an epoch. One CPU
    thread is compared by processor time, which other programs do not disturb as much.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    device = torch.device(place)
    trainers = {name: our_trainer(SIZES[sizes], name, device) for name in ("all", "patch-agent")}
    ours = trainers["patch-agent"]
    plain = Straightforward(ours, fused)
    apart = difference(ours, plain, Images().images[:BATCH].to(device))
    steps: dict[str, Step] = {
        "all patches": partial(our_step, trainers["all"]),
        "rlvit": partial(our_step, ours),
        "straightforward": plain.step,
    }
    rows = measure(steps, ours, iterations, repeats)
    slow = "wall" if threads > 1 else "processor"
    clock = "device" if device.type == "cuda" else slow
    click.echo(
        f"{sizes} sizes, {place}, {threads} thread(s), torch {torch.__version__}, {iterations} x "
        f"{repeats} iterations of each kind, compared by {clock} time; largest difference of "
        f"logits {apart[0]:.1e}, of states {apart[1]:.1e}"
    )
    for (name, kind), times in rows.items():
        middle = [median(column) for column in zip(*times, strict=True)]
        shown = ", ".join(f"{t} {ms:8.1f} ms" for t, ms in zip(Taken._fields, middle, strict=True))
        click.echo(f"  {name:16} {kind:7} {shown}")
    macs = work(ours.vit.backbone.shape, ours.vit.backbone.heads)
    for share in dict.fromkeys((epsilon, 0.0)):  # 0: the agent is asked in every iteration
        report(rows, macs, clock, share)


if __name__ == "__main__":
    main()
