"""Measure how much of the arithmetic that dropped patches save is saved as time."""

from collections.abc import Callable
from contextlib import nullcontext
from statistics import median
from time import perf_counter, process_time

import click
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from rlvit.nn.compute import VitShape, dense_macs, vit_macs
from rlvit.nn.packed_attention import ATTENTIONS
from rlvit.nn.patches import patchify
from rlvit.nn.ragged import Ragged, drop, whole
from rlvit.nn.transformer import Block
from rlvit.nn.walk import run_block

SIDE, PATCHES, DROP = 224, 196, 3  # pixels, patches, the block before which patches are dropped
SHAPES = {
    "deit_tiny": VitShape(12, 192, 768, PATCHES, 768, 1000),
    "deit_small": VitShape(12, 384, 1536, PATCHES, 768, 1000),
    "deit_base": VitShape(12, 768, 3072, PATCHES, 768, 1000),
}
Forward = Callable[[Tensor], Tensor]
Clock = Callable[[], float]


class Contenders(nn.Module):
    """A Vision Transformer with random weights, and the ways to run it on fewer patches."""

    def __init__(self, shape: VitShape, keep: Tensor) -> None:
        """Build it for images whose patches `keep` bool [B, N] stay after the drop."""
        super().__init__()
        self.embed = nn.Linear(shape.patch_values, shape.dim)
        self.prefix = nn.Parameter(torch.randn(1, 1, shape.dim))
        self.place = nn.Parameter(torch.randn(1, 1 + shape.patches, shape.dim))
        self.blocks = nn.ModuleList(Block(shape.dim, shape.dim // 64) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.dim, eps=1e-6)
        self.head = nn.Linear(shape.dim, shape.classes)
        self.register_buffer("keep", keep)
        self.mean = round(keep.sum().item() / len(keep))

    def tokens(self, images: Tensor) -> Tensor:
        """Turn images [B, 3, S, S] into tokens [B, 1 + N, D]."""
        x = self.embed(patchify(images, 16))
        return torch.cat([self.prefix.expand(len(x), -1, -1), x], dim=1) + self.place

    def logits(self, cls: Tensor) -> Tensor:
        """Classify class tokens [B, D]."""
        return self.head(self.norm(cls))

    def dense(self, images: Tensor) -> Tensor:
        """Run every block on every token, as timm does."""
        x = self.tokens(images)
        for block in self.blocks:
            x = block(x)
        return self.logits(x[:, 0])

    def first(self, images: Tensor) -> Tensor:
        """Run the blocks before the drop, as timm does: [B, 1 + N, D]."""
        x = self.tokens(images)
        for block in self.blocks[:DROP]:
            x = block(x)
        return x

    def masked(self, images: Tensor) -> Tensor:
        """Only hide dropped patches from attention."""
        x, mask = self.first(images), functional.pad(self.keep, (1, 0), value=True)
        for block in self.blocks[DROP:]:
            x = block(x, mask)
        return self.logits(x[:, 0])

    def static(self, images: Tensor) -> Tensor:
        """Keep the mean number of patches of every image: what would need no packing."""
        x = self.first(images)[:, : 1 + self.mean].contiguous()
        for block in self.blocks[DROP:]:
            x = block(x)
        return self.logits(x[:, 0])

    def gathered(self, images: Tensor) -> list[Tensor]:
        """Return each image's living tokens [1 + n, D] after the drop."""
        mask = functional.pad(self.keep, (1, 0), value=True)
        return [x[alive] for x, alive in zip(self.first(images), mask, strict=True)]

    def padded(self, images: Tensor) -> Tensor:
        """Gather what is left and pad it to the longest image."""
        parts = self.gathered(images)
        x = pad_sequence(parts, batch_first=True)  # [B, L, D]
        lengths = torch.tensor([len(part) for part in parts], device=x.device)
        mask = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        for block in self.blocks[DROP:]:
            x = block(x, mask)
        return self.logits(x[:, 0])

    def nested(self, images: Tensor) -> Tensor:
        """Gather what is left into torch's jagged tensors."""
        parts = self.gathered(images)
        x = torch.nested.as_nested_tensor(parts, layout=torch.jagged)
        for block in self.blocks[DROP:]:
            heads = (block.attn.num_heads, -1)
            qkv = block.attn.qkv(block.norm1(x)).chunk(3, dim=-1)
            q, k, v = (part.contiguous().unflatten(-1, heads).transpose(1, 2) for part in qkv)
            y = functional.scaled_dot_product_attention(q, k, v)
            x = x + block.attn.proj(y.transpose(1, 2).flatten(-2))
            x = x + block.mlp(block.norm2(x))
        return self.logits(torch.stack([image[0] for image in x.unbind()]))

    def ours(self, attention: str, dropping: bool = True) -> Forward:
        """Return our way with one kind of attention; without dropping, on all tokens."""

        def forward(images: Tensor) -> Tensor:
            ragged: Ragged = whole(self.tokens(images))
            for number, block in enumerate(self.blocks):
                if number == DROP and dropping:
                    ragged = drop(ragged, ragged.select(self.keep))
                ragged = run_block(block, ragged, attention)
            return self.logits(ragged.cls)

        return forward


def counts(batch: int, generator: torch.Generator) -> Tensor:
    """Draw how many patches each image keeps: wide, 23 to 169, with a mean near 98."""
    drawn = 98 + 38 * torch.randn(batch, generator=generator)
    return drawn.round().clamp(23, 169).long()


def contenders(network: Contenders, device: str, dtype: str, train: bool) -> dict[str, Forward]:
    """Return what is compared, by name; the first is what the others are measured against."""
    kernels = [a for a in ATTENTIONS if a != "varlen" or (device != "cpu" and dtype == "bf16")]
    chosen: dict[str, Forward] = {
        "dense": network.dense,
        "our dense": network.ours("auto", dropping=False),
        "masked": network.masked,
        "static gather": network.static,
        "gather + pad": network.padded,
    }
    if not train:
        chosen["NestedTensor"] = network.nested
    return chosen | {f"ours, {attention}": network.ours(attention) for attention in kernels}


def difference(network: Contenders, forwards: dict[str, Forward], images: Tensor) -> float:
    """Return how far our logits are from the masked ones, as a share of the largest logit."""
    expected = network.masked(images).float()
    found = [forward(images).float() for name, forward in forwards.items() if "ours" in name]
    worst = max(float((logits - expected).abs().max()) for logits in found)
    return worst / float(expected.abs().max())


def times(
    forwards: dict[str, Forward], images: Tensor, clock: Clock, repeats: int, train: bool
) -> dict[str, list[float]]:
    """Return the seconds of each in every turn; in turns, so that all meet the same machine."""
    taken: dict[str, list[float]] = {name: [] for name in forwards}
    for turn in range(repeats + 1):
        for name, forward in forwards.items():
            start = _now(images, clock)
            logits = forward(images)
            if train:
                logits.float().square().mean().backward()
            if turn:  # the first turn warms up
                taken[name].append(_now(images, clock) - start)
    return taken


def _now(images: Tensor, clock: Clock) -> float:
    if images.is_cuda:
        torch.cuda.synchronize()
    return clock()


def line(name: str, taken: dict[str, list[float]], batch: int, ideal: float) -> str:
    """Report one contender: its speed-ups are medians of the ratios within each turn."""

    def gains(base: str) -> list[float]:
        return sorted(x / y / ideal for x, y in zip(taken[base], taken[name], strict=True))

    seconds, usual, strict = median(taken[name]), gains("dense"), gains("our dense")
    return (
        f"  {name:14} {1e3 * seconds:8.1f} ms {batch / seconds:7.1f} images/s "
        f"{median(usual) * ideal:6.3f}x, {median(usual):5.3f} of ideal "
        f"({usual[0]:.2f}-{usual[-1]:.2f}); to our dense {median(strict):5.3f} "
        f"({strict[0]:.2f}-{strict[-1]:.2f})"
    )


@click.command()
@click.option("--shape", type=click.Choice(list(SHAPES)), default="deit_small", show_default=True)
@click.option("--batch", default=32, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--dtype", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--repeats", default=9, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--train", is_flag=True, help="Time a backward pass too.")
def main(
    shape: str,
    batch: int,
    device: str,
    dtype: str,
    threads: int,
    repeats: int,
    seed: int,
    train: bool,
) -> None:
    """Compare ways of computing fewer patches with the speed-up that their arithmetic allows."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    kept, vit = counts(batch, generator), SHAPES[shape]
    keep = torch.rand(batch, PATCHES, generator=generator).argsort(1) < kept[:, None]
    network = Contenders(vit, keep).eval().to(device)
    images = torch.randn(batch, 3, SIDE, SIDE, generator=generator).to(device)
    ideal = batch * dense_macs(vit) / vit_macs(vit, kept[:, None], [DROP]).sum().item()
    forwards = contenders(network, device, dtype, train)
    autocast = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=dtype == "bf16")
    # What other programs take is no time of ours; with more threads waiting would count as work.
    clock = process_time if device == "cpu" and threads == 1 else perf_counter
    with autocast, nullcontext() if train else torch.inference_mode():
        apart = difference(network, forwards, images)
        taken = times(forwards, images, clock, repeats, train)
    click.echo(
        f"{shape}, batch {batch}, {device}, {dtype}, {threads} thread(s), torch "
        f"{torch.__version__}, {'training step' if train else 'inference'}, {clock.__name__}; "
        f"{kept.min()} to {kept.max()} patches, mean {kept.float().mean():.1f}; "
        f"ideal {ideal:.3f}x; largest difference from masked logits {apart:.1e}"
    )
    for name in taken:
        click.echo(line(name, taken, batch, ideal))


if __name__ == "__main__":
    main()
