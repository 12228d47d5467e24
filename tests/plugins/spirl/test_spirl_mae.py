"""The masked autoencoder computes what the published one does, and its loss as by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rlvit_spirl.mae import MaskedAutoencoder

DATA = Path(__file__).parents[4] / "shared" / "data" / "spirl_reference"


@pytest.fixture
def mae() -> MaskedAutoencoder:
    return MaskedAutoencoder(torch.Generator().manual_seed(0))


@pytest.fixture
def frames() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8, generator=generator)


def _order(rows: list[list[int]], length: int) -> torch.Tensor:
    return torch.tensor([row + [-1] * (length - len(row)) for row in rows])


def test_has_as_many_parameters_as_published(mae: MaskedAutoencoder) -> None:
    assert sum(p.numel() for p in mae.parameters() if p.requires_grad) == 790_784


def test_weights_come_from_the_given_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (
        MaskedAutoencoder(torch.Generator().manual_seed(seed)).state_dict() for seed in (5, 5, 6)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["decoder_pred.weight"], other["decoder_pred.weight"])


def test_initialisation_follows_the_published_rule(mae: MaskedAutoencoder) -> None:
    state = mae.state_dict()
    for name, value in state.items():
        if name.endswith("bias"):
            assert not value.any(), name
        elif "norm" in name:
            assert (value == 1).all(), name
        elif name.endswith("weight"):
            bound = (6 / sum(value.flatten(1).shape)) ** 0.5
            assert 0.97 * bound < value.abs().max() <= bound, name
    assert state["mask_token"].std() == pytest.approx(0.02, rel=0.2)


def test_loss_equals_a_float64_calculation_by_hand(
    mae: MaskedAutoencoder, frames: torch.Tensor
) -> None:
    noise = torch.rand(2, 144, generator=torch.Generator().manual_seed(2))
    loss = mae(frames, noise).item()
    exact = MaskedAutoencoder(torch.Generator().manual_seed(0)).double()
    total = 0.0
    for frame, values in zip(frames.double() / 255, noise, strict=True):
        patches = frame.reshape(3, 12, 8, 12, 8).permute(1, 3, 2, 4, 0).reshape(144, 192)
        kernel = exact.patch_embed.proj
        embedded = torch.nn.functional.conv2d(frame[None], kernel.weight, kernel.bias, stride=8)
        embedded = embedded[0].flatten(1).T + exact.pos_embed[0, 1:]
        visible = sorted(range(144), key=lambda patch: float(values[patch]))[:36]
        x = torch.cat([exact.cls_token[0], embedded[visible]])[None]
        for block in exact.blocks:
            x = block(x)
        x = exact.decoder_embed(exact.norm(x))[0]
        tokens = exact.mask_token[0].repeat(145, 1)
        tokens[0] = x[0]
        for place, patch in enumerate(visible):
            tokens[1 + patch] = x[1 + place]
        x = (tokens + exact.decoder_pos_embed[0])[None]
        for block in exact.decoder_blocks:
            x = block(x)
        prediction = exact.decoder_pred(exact.decoder_norm(x))[0, 1:]
        for patch in range(144):
            pixels = patches[patch]
            variance = ((pixels - pixels.mean()) ** 2).sum() / 191
            target = (pixels - pixels.mean()) / (variance + 1e-6).sqrt()
            total += ((prediction[patch] - target) ** 2).sum().item()
    assert loss == pytest.approx(total / (2 * 144 * 192), rel=1e-5)


def test_loss_takes_float_frames_of_the_same_scale(
    mae: MaskedAutoencoder, frames: torch.Tensor
) -> None:
    noise = torch.rand(2, 144, generator=torch.Generator().manual_seed(2))
    assert torch.equal(mae(frames, noise), mae(frames.float(), noise))


def test_loss_reaches_every_parameter(mae: MaskedAutoencoder, frames: torch.Tensor) -> None:
    mae(frames, torch.rand(2, 144, generator=torch.Generator().manual_seed(2))).backward()
    assert all(p.grad is not None and p.grad.any() for p in mae.parameters())


def test_targets_of_a_flat_patch_are_zero(mae: MaskedAutoencoder) -> None:
    targets = mae.normalised_targets(torch.full((1, 3, 96, 96), 7, dtype=torch.uint8))
    torch.testing.assert_close(targets, torch.zeros(1, 144, 192), atol=1e-4, rtol=0)


def test_embedding_ignores_padding(mae: MaskedAutoencoder, frames: torch.Tensor) -> None:
    rows = [[3, 70, 143], [9]]
    padded = mae.embed_selected(frames, _order(rows, 6))
    assert padded.shape == (2, 6, 64)
    assert not padded[0, 3:].any()
    assert not padded[1, 1:].any()
    for index, row in enumerate(rows):
        alone = mae.embed_selected(frames[index : index + 1], torch.tensor([row]))
        torch.testing.assert_close(padded[index, : len(row)], alone[0])


def test_embedding_depends_on_what_else_is_selected(
    mae: MaskedAutoencoder, frames: torch.Tensor
) -> None:
    one = mae.embed_selected(frames[:1], _order([[5, 6]], 2))
    other = mae.embed_selected(frames[:1], _order([[5, 7]], 2))
    assert not torch.allclose(one[0, 0], other[0, 0])


def test_embeddings_agree_with_the_published_code(mae: MaskedAutoencoder) -> None:
    if not DATA.is_dir():
        pytest.skip(f"no reference data in {DATA}")
    weights, reference = np.load(DATA / "mae_weights.npz"), np.load(DATA / "seaquest.npz")
    buffers = {name: value.clone() for name, value in mae.named_buffers()}
    mae.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    for name, value in mae.named_buffers():
        torch.testing.assert_close(value, buffers[name], atol=1e-7, rtol=0)
    for rule in ("slope_half", "slope_one"):
        order = torch.from_numpy(reference[f"keep_{rule}"])
        embedded = mae.embed_selected(torch.from_numpy(reference["frames"]), order)
        expected = torch.from_numpy(reference[f"embeddings_{rule}"])
        torch.testing.assert_close(embedded, expected, atol=1e-4, rtol=0)
