"""The fast error maps are the slow ones: against the published code and a plain calculation."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from rlvit.nn.transformer import Block
from rlvit_spirl.mae import MaskedAutoencoder
from rlvit_spirl.saliency import Saliency
from rlvit_spirl.selection import dynamic_k, keep_order

DATA = Path(__file__).parents[4] / "shared" / "data" / "spirl_reference"
SOME = [0, 7, 11, 12, 30, 77, 95, 132, 138, 143]  # corners, edges and inside


@contextmanager
def _using(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads wait for each other busily, for minutes where the cores are shared."""
    with _using(1):
        yield


@pytest.fixture(scope="module")
def mae() -> MaskedAutoencoder:
    """Random weights, strong enough that attention is far from uniform."""
    mae = MaskedAutoencoder(torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in mae.named_parameters():
            if name.endswith("bias") or "token" in name:
                parameter.normal_(std=0.3, generator=generator)
            elif "norm" in name:
                parameter.add_(torch.empty_like(parameter).normal_(std=0.2, generator=generator))
            elif "qkv" in name:
                parameter.mul_(1.5)
    return mae


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Two frames that differ in one patch, the one of row 5 and column 6."""
    frame = np.random.default_rng(0).integers(0, 256, (3, 96, 96), dtype=np.uint8)
    other = frame.copy()
    other[:, 40:48, 48:56] = 17
    return np.stack([frame, other])


@pytest.fixture(scope="module")
def errors(mae: MaskedAutoencoder, frames: np.ndarray) -> np.ndarray:
    return Saliency(mae).error_maps(frames)


def _block(block: Block, x: torch.Tensor) -> torch.Tensor:
    """Attention as a matrix for each head, in float64."""
    q, k, v = block.attn.qkv(block.norm1(x)).chunk(3, dim=-1)
    size = x.shape[-1] // block.attn.num_heads
    heads = []
    for start in range(0, x.shape[-1], size):
        part = slice(start, start + size)
        heads.append((q[:, part] @ k[:, part].T / math.sqrt(size)).softmax(-1) @ v[:, part])
    x = x + block.attn.proj(torch.cat(heads, dim=-1))
    return x + block.mlp(block.norm2(x))


@torch.no_grad()
def _plain(mae: MaskedAutoencoder, frame: np.ndarray, patch: int, *, pixels: bool = False) -> float:
    """The error of one patch in float64, with nothing left out."""
    exact = MaskedAutoencoder(torch.Generator()).double()
    exact.load_state_dict(mae.state_dict())
    image = torch.from_numpy(frame).double() / 255
    conv = exact.patch_embed.proj
    embedded = torch.nn.functional.conv2d(image[None], conv.weight, conv.bias, stride=8)[0]
    row, column = divmod(patch, 12)
    ring = [
        r * 12 + c for r in range(12) for c in range(12) if max(abs(r - row), abs(c - column)) == 1
    ]
    x = embedded.flatten(1).T[ring] + exact.pos_embed[0][[1 + p for p in ring]]
    x = torch.cat([exact.cls_token[0], x])
    for block in exact.blocks:
        x = _block(block, x)
    x = exact.decoder_embed(exact.norm(x))
    tokens = exact.mask_token[0].repeat(145, 1)
    tokens[[0] + [1 + p for p in ring]] = x
    x = tokens + exact.decoder_pos_embed[0]
    for block in exact.decoder_blocks:
        x = _block(block, x)
    prediction = exact.decoder_pred(exact.decoder_norm(x))[1 + patch]
    cut = image[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
    truth = cut.permute(1, 2, 0).flatten()
    deviation = (truth.var(unbiased=True) + 1e-6).sqrt()
    if pixels:
        return float((prediction * deviation + truth.mean() - truth).square().mean())
    return float((prediction - (truth - truth.mean()) / deviation).square().mean())


def test_errors_equal_a_plain_calculation(
    mae: MaskedAutoencoder, frames: np.ndarray, errors: np.ndarray
) -> None:
    plain = [_plain(mae, frames[0], patch) for patch in SOME]
    np.testing.assert_allclose(errors[0, SOME], plain, rtol=1e-5)


def test_errors_in_pixels_equal_a_plain_calculation(
    mae: MaskedAutoencoder, frames: np.ndarray
) -> None:
    errors = Saliency(mae, error_space="pixels").error_maps(frames[:1])
    plain = [_plain(mae, frames[0], patch, pixels=True) for patch in SOME]
    np.testing.assert_allclose(errors[0, SOME], plain, rtol=1e-5)


def test_errors_follow_the_weights_given(frames: np.ndarray, errors: np.ndarray) -> None:
    other = MaskedAutoencoder(torch.Generator().manual_seed(3))
    found = Saliency(other).error_maps(frames[:1])
    assert found[0, 0] == pytest.approx(_plain(other, frames[0], 0), rel=1e-5)
    assert not np.allclose(found, errors[:1])


def test_a_changed_patch_changes_its_neighbourhood_only(errors: np.ndarray) -> None:
    changed = set(np.flatnonzero(errors[0] != errors[1]).tolist())
    assert changed == {r * 12 + c for r in (4, 5, 6) for c in (5, 6, 7)}


@pytest.mark.parametrize("threads", [1, 2])
def test_a_value_does_not_depend_on_what_shares_its_batch(
    mae: MaskedAutoencoder, frames: np.ndarray, threads: int
) -> None:
    saliency = Saliency(mae)
    patches = torch.from_numpy(frames[:1]).reshape(1, 3, 12, 8, 12, 8)
    patches = patches.permute(0, 2, 4, 3, 5, 1).reshape(1, 144, 192)
    draw = np.random.default_rng(0)
    ids = draw.permutation(144)[: saliency.batch + 3]
    with _using(threads):
        together = dict(zip(ids, saliency._compute(patches, ids), strict=True))
        for count in (1, 2, 5, saliency.batch, len(ids)):  # in any number and any place
            some = draw.permutation(ids)[:count]
            assert saliency._compute(patches, some) == [together[patch] for patch in some]


def test_a_memory_that_starts_cold_gives_the_same_bits(
    mae: MaskedAutoencoder, frames: np.ndarray, errors: np.ndarray
) -> None:
    saliency = Saliency(mae)
    second = saliency.error_maps(frames[1:])
    assert np.array_equal(second, errors[1:])
    assert np.array_equal(saliency.error_maps(frames), errors)


def test_counts_hits_and_computes_duplicates_once(
    mae: MaskedAutoencoder, frames: np.ndarray, errors: np.ndarray
) -> None:
    saliency = Saliency(mae)
    assert saliency.hit_rate == 0
    found = saliency.error_maps(np.concatenate([frames[:1], frames[:1]]))
    assert np.array_equal(found[0], found[1])
    assert (saliency.hits, saliency.lookups) == (144, 288)
    assert np.array_equal(saliency.error_maps(frames), errors)
    assert (saliency.hits, saliency.lookups) == (144 + 288 - 9, 576)
    assert saliency.hit_rate == pytest.approx(423 / 576)


def test_the_same_pixels_elsewhere_are_another_entry(mae: MaskedAutoencoder) -> None:
    saliency = Saliency(mae)
    found = saliency.error_maps(np.zeros((1, 3, 96, 96), dtype=np.uint8))
    assert saliency.hits == 0
    assert len(np.unique(found)) > 100


def test_memory_is_bounded_and_forgets_the_least_recently_used(
    mae: MaskedAutoencoder, frames: np.ndarray
) -> None:
    saliency = Saliency(mae, cache_entries=150)
    saliency.error_maps(frames[:1])  # 144 entries
    keys = list(saliency.memory)
    saliency.error_maps(frames[1:])  # 135 of them used again, 9 new ones: 3 too many
    assert len(saliency.memory) == 150
    unused = [r * 12 + c for r in (4, 5, 6) for c in (5, 6, 7)]
    assert [keys[p] in saliency.memory for p in unused] == [False] * 3 + [True] * 6
    assert all(key in saliency.memory for p, key in enumerate(keys) if p not in unused)


def test_a_memory_smaller_than_a_frame_still_gives_the_whole_map(
    mae: MaskedAutoencoder, frames: np.ndarray, errors: np.ndarray
) -> None:
    saliency = Saliency(mae, cache_entries=5)
    assert np.array_equal(saliency.error_maps(frames[:1]), errors[:1])
    assert len(saliency.memory) == 5


def test_state_restores_memory_order_and_counters(
    mae: MaskedAutoencoder, frames: np.ndarray, errors: np.ndarray
) -> None:
    saliency = Saliency(mae)
    saliency.error_maps(frames)
    saliency.error_maps(frames[:1])
    state = saliency.state()
    assert state["keys"].shape == (153, 16)
    assert state["keys"].dtype == torch.uint8
    assert state["values"].shape == (153,)
    assert state["values"].dtype == torch.float32
    other = Saliency(mae)
    other.restore(state)
    assert list(other.memory.items()) == list(saliency.memory.items())
    assert (other.hits, other.lookups) == (saliency.hits, saliency.lookups)
    assert np.array_equal(other.error_maps(frames), errors)
    assert other.hits == saliency.hits + 288
    smaller = Saliency(mae, cache_entries=10)
    smaller.restore(state)
    assert list(smaller.memory) == list(saliency.memory)[-10:]


def test_an_empty_state_restores(mae: MaskedAutoencoder) -> None:
    saliency = Saliency(mae)
    saliency.restore(Saliency(mae).state())
    assert len(saliency.memory) == 0
    assert saliency.error_maps(np.zeros((0, 3, 96, 96), dtype=np.uint8)).shape == (0, 144)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((1, 3, 96, 96), dtype=np.float32), np.zeros((3, 96, 96), dtype=np.uint8)],
)
def test_rejects_other_frames(mae: MaskedAutoencoder, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not uint8"):
        Saliency(mae).error_maps(frames)


@pytest.mark.parametrize("options", [{"batch": 6}, {"cache_entries": 0}, {"error_space": "grey"}])
def test_rejects_impossible_options(mae: MaskedAutoencoder, options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Saliency(mae, **options)


def test_agrees_with_the_published_code() -> None:
    if not DATA.is_dir():
        pytest.skip(f"no reference data in {DATA}")
    weights, reference = np.load(DATA / "mae_weights.npz"), np.load(DATA / "seaquest.npz")
    mae = MaskedAutoencoder(torch.Generator())
    mae.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    errors = Saliency(mae).error_maps(reference["frames"])
    np.testing.assert_allclose(errors, reference["errors"], rtol=1e-4)
    found, cap = torch.from_numpy(errors), int(reference["max_keep"])
    for rule, slope in (("half", 0.5), ("one", 1.0)):
        angle = math.degrees(math.atan(slope))
        assert dynamic_k(found, angle, None).tolist() == reference[f"k_slope_{rule}"].tolist()
        kept = keep_order(found, dynamic_k(found, angle, cap), cap)
        assert kept.tolist() == reference[f"keep_slope_{rule}"].tolist()
