"""Measure how much faster the exact error maps are than computing them as the paper describes."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import ale_py
import click
import cv2
import numpy as np
import torch
from ale_py import roms
from numpy.typing import NDArray
from torch import Tensor

from rlvit.nn.patches import patchify
from rlvit.nn.transformer import Block
from rlvit_spirl.mae import FRAME, GRID, PATCH, PATCHES, MaskedAutoencoder
from rlvit_spirl.saliency import Saliency
from rlvit_spirl.selection import cap, dynamic_k, keep_order

KEEP = 0.20  # Seaquest's keep ratio (SPIRL, Table 3)
ANGLES = {"45 degrees": 45.0, "slope 1/2": float(np.degrees(np.arctan(0.5)))}


def frames(game: str, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield uint8 [3, 96, 96] frames of random play, full games after 1..30 no-ops, forever."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(game.lower()))
    actions, draw = ale.getMinimalActionSet(), np.random.default_rng(seed)
    while True:
        ale.reset_game()
        for _ in range(draw.integers(1, 31)):
            ale.act(ale_py.Action.NOOP)
        screen = ale.getScreenRGB()
        while not ale.game_over():
            yield _resize(screen)
            action, shown = draw.choice(actions), []
            for _ in range(4):
                ale.act(action)
                shown.append(ale.getScreenRGB())
            screen = np.maximum(shown[-2], shown[-1])


def _resize(screen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink an RGB screen [210, 160, 3] to a frame [3, 96, 96]."""
    small = cv2.resize(screen, (FRAME, FRAME), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(small.transpose(2, 0, 1), dtype=np.uint8)


class Straightforward:
    """The error map computed as described: nothing is left out and nothing is remembered.

    Three batches a frame, for the 4 corners, the 40 other border patches and the 100 inside;
    attention is materialised and all 145 tokens are decoded and predicted, as in the published
    code.
    """

    def __init__(self, mae: MaskedAutoencoder) -> None:
        """Group the patches by their number of neighbours."""
        self.mae = mae
        groups: dict[int, list[tuple[int, list[int]]]] = {}
        for patch in range(PATCHES):
            row, column = divmod(patch, GRID)
            ring = [
                r * GRID + c
                for r in range(max(row - 1, 0), min(row + 2, GRID))
                for c in range(max(column - 1, 0), min(column + 2, GRID))
                if (r, c) != (row, column)
            ]
            groups.setdefault(len(ring), []).append((patch, ring))
        self.groups = [
            (torch.tensor([p for p, _ in group]), torch.tensor([r for _, r in group]))
            for _, group in sorted(groups.items())
        ]

    @torch.inference_mode()
    def error_map(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the error map [144] of `frame` uint8 [3, 96, 96]."""
        mae = self.mae
        image = torch.from_numpy(frame)[None]
        truth = mae.normalised_targets(image)[0]  # [144, 192]
        embedded = mae.patch_embed(patchify(image, PATCH)[0].float() / 255.0)
        embedded = embedded + mae.pos_embed[0, 1:]  # [144, 64]
        errors = truth.new_empty(PATCHES)
        for target, ring in self.groups:  # [G], [G, R]
            x = embedded[ring]  # [G, R, 64]
            x = torch.cat([mae.cls_token.expand(len(x), -1, -1), x], dim=1)
            for block in mae.blocks:
                x = _block(block, x)
            x = mae.decoder_embed(mae.norm(x))  # [G, 1 + R, 128]
            tokens = mae.mask_token.repeat(len(x), 1 + PATCHES, 1)  # [G, 145, 128]
            tokens[:, 0] = x[:, 0]
            tokens[torch.arange(len(x))[:, None], 1 + ring] = x[:, 1:]
            x = tokens + mae.decoder_pos_embed
            for block in mae.decoder_blocks:
                x = _block(block, x)
            prediction = mae.decoder_pred(mae.decoder_norm(x))[:, 1:]  # [G, 144, 192]
            chosen = prediction[torch.arange(len(x)), target]  # [G, 192]
            errors[target] = (chosen - truth[target]).square().mean(-1)
        return errors.numpy()


def _block(block: Block, x: Tensor) -> Tensor:
    """Run a pre-LN block on `x` [B, N, D] with materialised attention."""
    attention = block.attn
    qkv = attention.qkv(block.norm1(x)).view(*x.shape[:2], 3, attention.num_heads, -1)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 x [B, H, N, d]
    share = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)  # [B, H, N, N]
    x = x + attention.proj((share @ v).transpose(1, 2).reshape(x.shape))
    return x + block.mlp(block.norm2(x))


def _kept(error_map: NDArray[np.float32]) -> list[Tensor]:
    """Return the kept patches [1, 28] of an error map [144] by both slope rules."""
    errors, most = torch.from_numpy(error_map)[None], cap(KEEP)
    return [keep_order(errors, dynamic_k(errors, a, most), most) for a in ANGLES.values()]


def _window(
    stream: Iterator[NDArray[np.uint8]],
    length: int,
    sample: int,
    fast: Saliency,
    slow: Straightforward,
) -> str:
    """Run both over the next `length` frames, the slow one on `sample` of them; report a line."""
    sampled = set(np.linspace(0, length - 1, sample).astype(int).tolist())
    ours, theirs, worst, same = [], [], 0.0, 0
    hits, lookups = fast.hits, fast.lookups
    for index in range(length):
        frame = next(stream)
        start = perf_counter()
        mine = fast.error_maps(frame[None])[0]
        ours.append(1e3 * (perf_counter() - start))
        if index not in sampled:
            continue
        start = perf_counter()
        reference = slow.error_map(frame)
        theirs.append(1e3 * (perf_counter() - start))
        worst = max(worst, float((np.abs(mine - reference) / reference).max()))
        same += all(map(torch.equal, _kept(mine), _kept(reference)))
    hits, lookups = fast.hits - hits, fast.lookups - lookups
    mean, median, slow_median = np.mean(ours), np.median(ours), np.median(theirs)
    computed = (lookups - hits) / length
    return (
        f"ours {median:.1f} ms median, {mean:.1f} ms mean ({1e3 / median:.1f} frames/s); "
        f"straightforward {slow_median:.1f} ms median ({1e3 / slow_median:.2f} frames/s, "
        f"n = {len(theirs)}); ratio {slow_median / median:.1f}x of medians, "
        f"{np.mean(theirs) / mean:.1f}x of means; hits {hits / lookups:.1%}, "
        f"{computed:.1f} errors computed a frame, {mean / max(computed, 1e-9):.2f} ms each; "
        f"max relative difference {worst:.1e}; kept patches identical in {same}/{len(theirs)}"
    )


@click.command()
@click.option("--game", default="Seaquest", show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--cold", default=400, show_default=True, help="Frames timed from the first on.")
@click.option("--warm", nargs=2, default=(1500, 2500), show_default=True, help="Frames FROM TO.")
@click.option("--sample", default=20, show_default=True, help="Frames a window done both ways.")
@click.option("--weights", type=click.Path(exists=True, path_type=Path), help="npz of weights.")
@click.option("--seed", default=0, show_default=True)
def main(
    game: str,
    threads: int,
    cold: int,
    warm: tuple[int, int],
    sample: int,
    weights: Path | None,
    seed: int,
) -> None:
    """Compare both ways of computing error maps on consecutive frames of random play."""
    torch.set_num_threads(threads)
    mae = MaskedAutoencoder(torch.Generator().manual_seed(seed))
    if weights:
        arrays = np.load(weights)
        mae.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    fast, slow = Saliency(mae), Straightforward(mae)
    click.echo(
        f"{game}, {threads} thread(s), torch {torch.__version__}, batch {fast.batch}, "
        + (f"weights {weights.name}" if weights else f"random weights, seed {seed}")
    )
    stream = frames(game, seed)
    warm_up = next(stream)
    Saliency(mae).error_maps(warm_up[None])  # the first calls of a process are slower
    slow.error_map(warm_up)
    click.echo(f"frames 0-{cold}: " + _window(stream, cold, sample, fast, slow))
    if warm[1] > warm[0]:
        for _ in range(cold, warm[0]):
            fast.error_maps(next(stream)[None])
        line = _window(stream, warm[1] - warm[0], sample, fast, slow)
        click.echo(f"frames {warm[0]}-{warm[1]}: " + line)


if __name__ == "__main__":
    main()
