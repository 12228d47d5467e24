"""Pictures and films: what is drawn is where it belongs, and is what the agent computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rlvit.errors import RlvitError, UsageProblem
from rlvit_spirl.attention import class_shares, heaviest
from rlvit_spirl.film import Film, read_film, save_gif
from rlvit_spirl.mae import MaskedAutoencoder, to_patches
from rlvit_spirl.network import PatchAttention
from rlvit_spirl.overlay import DIM, ORANGE, RED, TINT, YELLOW, Reel, with_patches, write_film
from rlvit_spirl.pictures import FIG_8, binned, lorenz, moments_of
from rlvit_spirl.reconstruct import _picture, backgrounds, from_surroundings
from rlvit_spirl.saliency import Saliency
from rlvit_spirl.sections import looks


def random_frame(seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(60, 200, (3, 96, 96), dtype=np.uint8)


def mae() -> MaskedAutoencoder:
    return MaskedAutoencoder(torch.Generator().manual_seed(0)).eval().requires_grad_(False)


def film(steps: int = 5) -> Film:
    draws = np.random.default_rng(1)
    kept = list(draws.random((steps, 144)) < 0.2)
    attended = [mask & (draws.random(144) < 0.5) for mask in kept]
    frames = [random_frame(seed) for seed in range(steps)]
    return Film(0, frames, kept, attended, [0.25] * steps, 30.0, steps)


@pytest.mark.parametrize("padding", ["zero", "token", "masked"])
def test_shares_are_those_that_the_block_mixes_values_with(padding: Any) -> None:
    draws = torch.Generator().manual_seed(3)
    block = PatchAttention(16, 1, residual=False, generator=draws, padding=padding)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=draws)
    patches = torch.randn(2, 6, 64, generator=draws)
    patches[:, 4:] = 0.0  # two are missing
    shares = class_shares(block, patches)
    assert shares is not None
    found: list[torch.Tensor] = []
    block.attended.register_forward_hook(lambda module, given, out: found.append(given[0]))
    tokens: list[torch.Tensor] = []
    block.norm1.register_forward_hook(lambda module, given, out: tokens.append(out))
    with torch.inference_mode():
        block(patches)
        values = torch.nn.functional.linear(tokens[0], block.qkv.weight[32:], block.qkv.bias[32:])
        assert torch.allclose(shares[:, None] @ values, found[0], atol=1e-5)
    assert torch.allclose(shares.sum(1), torch.ones(2)) == (padding != "masked")
    assert bool((shares[:, 5:] == 0).all()) == (padding == "masked")


def test_without_a_class_token_nothing_is_attended_by_it() -> None:
    draws = torch.Generator().manual_seed(0)
    block = PatchAttention(16, 1, residual=False, generator=draws, pooling="average")
    assert class_shares(block, torch.ones(1, 3, 64)) is None


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.5, 0.125, 0.25, 0.125], [True, False, True, False]),  # .5 is less than .6, .75 is not
        ([0.75, 0.25], [True, False]),
        ([0.25, 0.25, 0.25, 0.25], [True, True, True, False]),  # of equal ones the first
        ([0.0, 0.0], [False, False]),
        ([0.125, 0.0625], [True, False]),  # of their sum, not of one
    ],
)
def test_heaviest_by_hand(shares: list[float], expected: list[bool]) -> None:
    assert heaviest(torch.tensor(shares)).tolist() == expected


def test_a_patch_is_drawn_where_its_pixels_are() -> None:
    frame = np.full((3, 96, 96), 100, dtype=np.uint8)
    frame[0, 8:16, 16:24] = 200  # patch 14: second row, third column
    kept, attended = np.zeros(144, dtype=bool), np.zeros(144, dtype=bool)
    kept[[14, 143]] = attended[[143]] = True
    drawn = with_patches(frame, kept, attended, 3)
    assert drawn.shape == (288, 288, 3)
    assert (drawn[24, 48:72] == RED).all()
    assert (drawn[47, 48:72] == RED).all()
    assert (drawn[24:48, [48, 71]] == RED).all()
    assert (drawn[25:47, 49:71] == (200, 100, 100)).all()  # the patch itself as it is
    assert (drawn[:24] == round(DIM * 100)).all()  # all around is dark and grey
    assert (drawn[287, 264:] == ORANGE).all()
    tinted = [round((1 - TINT) * 100 + TINT * part) for part in YELLOW]
    assert (drawn[265:287, 265:287] == tinted).all()
    plain = with_patches(frame, kept, None, 3, dim=False)
    assert (plain[0, 0] == 100).all()
    assert (plain[287, 264:] == RED).all()  # nobody said what is attended to


def test_a_film_is_read_back_and_drawn_without_a_model(tmp_path: Path) -> None:
    taken, path = film(), tmp_path / "film.npz"
    taken.save(path)
    with np.load(path) as file:
        assert file["kept"].shape == file["attended"].shape == (5, 18)  # a bit a patch
        assert file["kept"].dtype == np.uint8
    again = read_film(path)
    assert np.array_equal(again.kept, taken.kept)
    assert np.array_equal(again.attended, taken.attended)
    assert (again.index, again.score, again.length) == (0, 30.0, 5)
    for number in range(5):
        ours, theirs = Reel(taken, "a title").page(number), Reel(again, "a title").page(number)
        assert np.array_equal(ours, theirs)
    path.write_bytes(b"PK")
    with pytest.raises(RlvitError, match="is no film"):
        read_film(path)


def test_a_gif_keeps_the_time(tmp_path: Path) -> None:
    pages = [np.full((8, 8, 3), 20 * number, dtype=np.uint8) for number in range(7)]
    save_gif(iter(pages), np.array(pages), tmp_path / "film.gif", 4 / 60)
    times = []
    with Image.open(tmp_path / "film.gif") as found:
        assert found.n_frames == 7
        for number in range(7):
            found.seek(number)
            times.append(found.info["duration"])
            assert found.convert("RGB").getpixel((4, 4)) == (20 * number,) * 3
    assert times == [70, 60, 70, 70, 60, 70, 1500]  # hundredths that add up to steps of 1/15 s


def test_a_film_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"expected a name that ends in \.gif or \.mp4"):
        write_film(film(), "", tmp_path / "film.avi", 0.1)
    assert not list(tmp_path.iterdir())


def test_moments_lie_within_a_game() -> None:
    assert moments_of(film(5)) == [1, 2, 3]
    assert moments_of(film(1)) == [0]


def test_bins_are_those_of_the_figure() -> None:
    counts = np.zeros(145, dtype=np.int64)
    for number, patches in enumerate((0, 7, 8, 14, 15, 28, 29, 144), start=1):
        counts[patches] = 10**number  # 0, 4.9, 5.6, 9.7, 10.4, 19.4, 20.1 and 100 %
    assert binned(counts).tolist() == [
        *(110, 11_000, 100_000, 1_000_000, 10_000_000),
        *([0] * 14),
        100_000_000,
    ]
    # Every frame of the pre-training data (Table 6) is in the figure, but where curves overlap.
    assert {game: sum(counts) for game, counts in FIG_8.items()} == {
        "MsPacman": 50_000,
        "Frostbite": 5_000,
        "Seaquest": 50_000,
        "BattleZone": 50_000,
    }


def test_the_lorenz_curve_by_hand() -> None:
    assert lorenz(np.array([4.0, 1.0, 3.0])).tolist() == [0.0, 0.125, 0.5, 1.0]
    assert lorenz(np.zeros(2)).tolist() == [0.0, 0.5, 1.0]


def test_patches_put_together_are_the_frame() -> None:
    frame = random_frame()
    picture = _picture(to_patches(torch.from_numpy(frame[None]))[0])
    assert np.allclose(picture, frame.transpose(1, 2, 0) / 255)


def test_the_rebuilt_frame_has_the_errors_of_the_error_map() -> None:
    frame, model = 100 + random_frame() // 4, mae()
    rebuilt = from_surroundings(model, frame)
    assert 0 < rebuilt.min() < rebuilt.max() < 1  # nothing was cut off
    squares = (rebuilt - frame.transpose(1, 2, 0) / 255) ** 2
    errors = squares.reshape(12, 8, 12, 8, 3).mean(axis=(1, 3, 4)).reshape(144)
    (expected,) = Saliency(model, error_space="pixels").error_maps(frame[None])
    assert np.allclose(errors, expected, rtol=1e-4)


def test_without_positions_all_patches_are_alike() -> None:
    cells = [picture.reshape(12, 8, 12, 8, 3).swapaxes(1, 2) for picture in backgrounds(mae())]
    assert not np.allclose(cells[0], cells[1], atol=1e-4)
    for placed in cells[:2]:
        assert not np.allclose(placed, placed[0, 0], atol=1e-4)
    assert np.allclose(cells[2], cells[2][0, 0], atol=1e-5)


def test_a_report_shows_the_pictures_of_an_arms_last_run(
    section_maker: Any, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in ("attention.png", "episode.gif", "episode.npz"):
            (tmp_path / name / file).touch()
    trials = [
        section_maker.trial(seed, {}, {"figures": tmp_path / name} if name else {})
        for seed, name in enumerate(("one", "two", ""))
    ]
    content = looks(section_maker.request(section_maker.arm("ours", "spirl", trials)))
    assert content is not None
    found = [figure.path.relative_to(tmp_path) for figure in content.figures]
    assert found == [Path("two/attention.png"), Path("two/episode.gif")]
    nothing = section_maker.arm("ours", "spirl", trials[2:])
    assert looks(section_maker.request(nothing)) is None
