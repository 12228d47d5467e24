"""Measure an AgentViT epoch beside one with all patches and beside a straightforward agent."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from itertools import pairwise
from statistics import median
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, cast
from zlib import crc32

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
from rlvit_agentvit.learning import TdLearner, state_of
from rlvit_agentvit.network import HIDDEN
from rlvit_agentvit.simple_vit import MEAN, STD
from rlvit_agentvit.training import Trainer

BATCH, SIDE, CLASSES, KEPT = 128, 32, 10, 30
PATCHES, PATCH = 64, 4  # of an image; pixels a side
EPOCH = 391  # iterations on 50,000 images
OURS, ALL, PLAIN, FUSED = "rlvit", "all patches", "straightforward", "the same, fused"
WANTED = {ALL: 1.5, PLAIN: 1.3, FUSED: 1.3}  # how many times as fast ours should be
SIZES: dict[str, dict[str, int]] = {
    "paper": {"dim": 128, "depth": 6, "heads": 16, "head_dim": 64, "mlp_dim": 512},
    "small": {"dim": 64, "depth": 4, "heads": 4, "head_dim": 16, "mlp_dim": 128},
}
DEFAULTS = AgentvitConfig()
# What an iteration can be: its mask random, from the agent, or that and the agent is paid and
# learns. Each is timed alone and an epoch is their mixture, so that few iterations are enough.
Kind = Literal["random", "greedy", "paid"]
KINDS: tuple[Kind, ...] = ("random", "greedy", "paid")
FIXED = {"patch_size": PATCH, "n_patch_desired": KEPT, "select": "topk", "replay_from": 1}
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
        self.labels = draws.integers(CLASSES, size=BATCH)
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
        return torch.Generator().manual_seed(crc32(name.encode()))


def our_trainer(sizes: Mapping[str, int], selector: str, device: torch.device) -> Trainer:
    """Return rlvit's training as a run sets it up, its replay ready to learn from."""
    config = DEFAULTS.model_copy(update={**sizes, **FIXED})
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
        images = augment.small_images(images, draws, "shift-flip")
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
        if len(self.replay) == DEFAULTS.buffer_size:
            self.replay.pop(random.randrange(len(self.replay)))
        self.replay.append(new)

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
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def listed(scores: Tensor) -> list[int]:
    """Return the patches whose score [N] is at least the 30th, compared one by one."""
    threshold = scores.sort(descending=True).values[KEPT - 1]
    return [place for place in range(PATCHES) if (scores[place] >= threshold).item()]


def difference(trainer: Trainer, plain: Straightforward, images: Tensor) -> tuple[float, float]:
    """Return how far both ViTs' logits of all patches and states are apart, of their largest."""
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


def taken(device: torch.device, work: Callable[[], Any], iterations: int) -> Taken:
    """Return what an iteration takes if `work` is done so many times in a row."""
    events = []
    if device.type == "cuda":
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        torch.cuda.synchronize()
        events[0].record()
    processor, wall = time.process_time(), time.perf_counter()
    for _ in range(iterations):
        work()
    if events:
        events[1].record()
        torch.cuda.synchronize()
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    on_device = events[0].elapsed_time(events[1]) if events else 0.0
    return Taken(1e3 * processor / iterations, 1e3 * wall / iterations, on_device / iterations)


Rows = dict[str, dict[Kind, list[Taken]]]  # by contender and kind of iteration, one a repeat


def measure(steps: Mapping[str, Step], trainer: Trainer, iterations: int, repeats: int) -> Rows:
    """Time every contender in every repeat, in turns, so that all meet the same machine."""
    (images, labels), *_ = trainer.images.batches([np.arange(BATCH)])
    rows: Rows = {name: {kind: [] for kind in KINDS} for name in steps}
    alike: list[Taken] = []  # without an agent all iterations are
    rows[ALL] = {kind: alike for kind in KINDS}
    for _ in range(repeats):
        for name, step in steps.items():
            # Not timed: other contenders have changed the memory that the C library has at hand.
            step("paid", images, labels)
            for kind in KINDS[: 1 if name == ALL else None]:
                work = partial(step, kind, images, labels)
                rows[name][kind].append(taken(trainer.context.device, work, iterations))
    return rows


def mixed(cost: Mapping[Kind, float], epsilon: float) -> float:
    """Return what an iteration costs on average, when so many masks are random."""
    share = 1 / DEFAULTS.frequency
    usual = epsilon * cost["random"] + (1 - epsilon) * cost["greedy"]
    return (1 - share) * usual + share * cost["paid"]


def multiply_adds(shape: VitShape, heads: int) -> dict[str, dict[Kind, float]]:
    """Return the multiply-adds an image of each contender by kind, a backward pass being two."""
    agent = mlp_macs((PATCHES, *HIDDEN, PATCHES))
    kept = 3.0 * float(vit_macs(shape, torch.tensor([[KEPT]]), (0,)))
    look = attended_macs(shape, heads, PATCHES)
    first = 4 * PATCHES * shape.dim * shape.width + 2 * PATCHES**2 * shape.width
    passes = 2 * (embed_macs(shape) + first)
    learning = DEFAULTS.buffer_batch_size * 4 * agent  # its own three, and the target's pass
    ours, plain = kept + look + agent, kept + passes + agent
    after = embed_macs(shape) + look
    by_hand: dict[Kind, float]
    by_hand = {"random": plain - agent, "greedy": plain, "paid": plain + learning}
    return {
        ALL: dict.fromkeys(KINDS, 3.0 * dense_macs(shape)),
        OURS: {"random": kept, "greedy": ours, "paid": ours + after + learning},
        **dict.fromkeys((PLAIN, FUSED), by_hand),
    }


def averages(rows: Rows, name: str, clock: str, epsilon: float) -> list[float]:
    """Return the milliseconds of a contender's average iteration in each repeat."""
    repeats = zip(*(rows[name][kind] for kind in KINDS), strict=True)
    return [
        mixed({kind: getattr(t, clock) for kind, t in zip(KINDS, times, strict=True)}, epsilon)
        for times in repeats
    ]


def report(rows: Rows, macs: Mapping[str, Mapping[Kind, float]], clock: str, share: float) -> None:
    """Print what an epoch takes when `share` of the masks are random, and how ours compares."""
    found = {name: averages(rows, name, clock, share) for name in rows}
    click.echo(f"epsilon {share:g}, a reward every {DEFAULTS.frequency} of {EPOCH} iterations:")
    for name, times in found.items():
        middle = median(times)
        line = f"  {name:16} {middle:8.1f} ms an iteration, {EPOCH * middle / 1e3:7.1f} s an epoch"
        if name != OURS:
            ratios = sorted(a / b for a, b in zip(times, found[OURS], strict=True))
            bound = mixed(macs[name], share) / mixed(macs[OURS], share)
            line += f"; ours {median(ratios):.2f}x ({ratios[0]:.2f}-{ratios[-1]:.2f})"
            line += f", by multiply-adds {bound:.2f}x"
            verdict = "reached" if median(ratios) >= WANTED[name] else "NOT reached"
            line += f", wanted {WANTED[name]}x: {verdict}"
        click.echo(line)


def show(rows: Rows) -> None:
    """Print what each kind of iteration takes by every clock."""
    for name, kinds in rows.items():
        for kind in KINDS[: 1 if name == ALL else None]:
            middle = [median(column) for column in zip(*kinds[kind], strict=True)]
            clocks = zip(Taken._fields, middle, strict=True)
            shown = ", ".join(f"{clock} {ms:8.1f} ms" for clock, ms in clocks if ms)
            click.echo(f"  {name:16} {'any' if name == ALL else kind:7} {shown}")


@click.command()
@click.option("--sizes", type=click.Choice(list(SIZES)), default="small", show_default=True)
@click.option("--iterations", default=2, show_default=True, help="Of each kind in a repeat.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option(
    "--epsilon", default=0.445, show_default=True, help="Share of random masks; the run's mean."
)
@click.option("--device", "place", default="cpu", show_default=True)
def main(
    sizes: str, iterations: int, repeats: int, threads: int, epsilon: float, place: str
) -> None:
    """Compare training on the patches that an agent keeps with all patches, and with plain code.

    Random images and labels, batch 128, 30 of 64 patches, fp32. Iterations with a random mask, with
    the agent's, and with its learning are timed apart, in turns, and mixed as in an epoch. One CPU
    thread is compared by processor time, which other programs disturb less than wall time; a GPU
    by the time between events, in which it waits for the host, too.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    device = torch.device(place)
    dense, ours = (our_trainer(SIZES[sizes], name, device) for name in ("all", "patch-agent"))
    plain, fused = (Straightforward(ours, fused) for fused in (False, True))
    apart = difference(ours, plain, Images().images[:BATCH].to(device))
    steps: dict[str, Step] = {
        ALL: partial(our_step, dense),
        OURS: partial(our_step, ours),
        PLAIN: plain.step,
        FUSED: fused.step,
    }
    rows = measure(steps, ours, iterations, repeats)
    clock = "device" if device.type == "cuda" else "wall" if threads > 1 else "processor"
    click.echo(
        f"{sizes} sizes, {place}, {threads} thread(s), torch {torch.__version__}, {iterations} x "
        f"{repeats} iterations of each kind, compared by {clock} time; largest difference of "
        f"logits {apart[0]:.1e}, of states {apart[1]:.1e}"
    )
    show(rows)
    macs = multiply_adds(ours.vit.backbone.shape, ours.vit.backbone.heads)
    for share in dict.fromkeys((epsilon, 0.0)):  # 0: the agent is asked in every iteration
        report(rows, macs, clock, share)


if __name__ == "__main__":
    main()
