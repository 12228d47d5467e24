"""Salient patches of images: against plain calculations, on scikit-learn's digits."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rlvit.contracts import Artifact, SelectorView
from rlvit.errors import Interrupted, RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.rl.schedules import warmup_cosine
from rlvit.runs.artifacts import ArtifactShelf
from rlvit.runs.context import TrainingContext
from rlvit.runs.display import Silent
from rlvit.specs import DataRequest
from rlvit_spirl import image_mae
from rlvit_spirl.config import SpirlConfig
from rlvit_spirl.cost import ERROR
from rlvit_spirl.errors import PatchErrors
from rlvit_spirl.images import SalientImagePatches, fit
from rlvit_spirl.mae import MaskedAutoencoder
from rlvit_spirl.plugin import rlvit_selectors
from rlvit_spirl.pretrain import make_optimiser
from rlvit_spirl.selector import SalientPatches
from rlvit_tasks.arrays import load_digits


class Bench:
    """A run's context without a run: real digits, streams and artifacts."""

    _stream = TrainingContext._stream
    generator = TrainingContext.generator
    torch_generator = TrainingContext.torch_generator
    device = torch.device("cpu")

    def __init__(self, folder: Path, seed: int = 0, stop_at: int = -1) -> None:
        self.home, self.seed = Home.locate(folder), seed
        self.home.create()
        self.stages: list[tuple[str, int]] = []
        self.looks, self.stop_at = 0, stop_at
        self.artifacts: list[Artifact] = []

    def data(self) -> Any:
        return load_digits(DataRequest(Path(), print))

    def stage(self, name: str, total: int, unit: str) -> Silent:
        self.stages.append((name, total))
        return Silent()

    def say(self, text: str) -> None:
        """Nobody listens."""

    def check_stop(self) -> None:
        self.looks += 1
        if self.looks == self.stop_at:
            raise Interrupted("stopped as asked")

    def artifact(
        self,
        kind: str,
        inputs: Callable[[], Mapping[str, Any]],
        build: Callable[[Path], None],
        *,
        copy: bool = False,
    ) -> Artifact:
        assert copy  # a resumed run must find the weights that it began with
        self.artifacts.append(
            ArtifactShelf(self.home).get(
                kind, inputs(), build, run_id="bench", say=print, check_stop=lambda: None
            )
        )
        return self.artifacts[-1]


def backbone(rows: int = 4, columns: int = 4, size: int = 8) -> Any:
    """All that the selector asks of a backbone."""
    return SimpleNamespace(grid=(rows, columns), image_size=size)


def made(rows: int = 4, columns: int = 4, size: int = 8) -> SalientImagePatches:
    """A selector whose autoencoder has random weights, strong enough to tell patches apart."""
    selector = SalientImagePatches(backbone(rows, columns, size))
    generator = torch.Generator().manual_seed(0)
    mae = MaskedAutoencoder(generator, rows=rows, columns=columns, side=selector.side)
    with torch.no_grad():
        for name, parameter in mae.named_parameters():
            if name.endswith("bias") or "token" in name:
                parameter.normal_(std=0.3, generator=generator)
    selector.adopt(mae.eval().requires_grad_(False), "random")
    return selector


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_mae, "MOST_ITERATIONS", 4)


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    """The first 6 test digits, uint8 [6, 3, 8, 8]."""
    split = load_digits(DataRequest(Path(), print)).split("test")
    (images,) = split.batches([np.arange(6)], 8)
    return images


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SalientImagePatches:
    """A selector after 60 iterations on the training digits."""
    selector = SalientImagePatches(backbone())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_mae, "MOST_ITERATIONS", 60)
        fit(Bench(tmp_path_factory.mktemp("trained")), selector)
    return selector


def view(images: torch.Tensor, *, rate: float = 1.0, layer: int = 3, alive: Any = None) -> Any:
    """What a decision sees on a 4x4 grid."""
    living = torch.ones(len(images), 16, dtype=torch.bool) if alive is None else alive
    return SelectorView({"images": images}, living, layer, (4, 4), rate)


# The autoencoder


def test_the_published_sizes_are_the_defaults() -> None:
    mae = MaskedAutoencoder(torch.Generator().manual_seed(0))
    same = MaskedAutoencoder(torch.Generator().manual_seed(0), rows=12, columns=12, side=8)
    assert sum(p.numel() for p in mae.parameters()) == 790_784
    assert (mae.patches, mae.visible, mae.pixels) == (144, 36, 192)
    for name, value in mae.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])


def test_a_quarter_of_another_grid_is_visible() -> None:
    sizes = {(4, 4): 4, (8, 8): 16, (1, 3): 1}
    for (rows, columns), visible in sizes.items():
        mae = MaskedAutoencoder(torch.Generator(), rows=rows, columns=columns, side=2)
        assert (mae.visible, mae.pixels) == (visible, 12)
        loss = mae(torch.zeros(2, 3, 2 * rows, 2 * columns), torch.rand(2, rows * columns))
        assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("grid", "size", "side"), [((4, 4), 8, 2), ((8, 8), 32, 4), ((14, 14), 224, 8), ((2, 4), 32, 8)]
)
def test_patches_are_at_most_8_pixels_wide(grid: tuple[int, int], size: int, side: int) -> None:
    assert SalientImagePatches(backbone(*grid, size)).side == side


def test_single_pixels_are_refused() -> None:
    with pytest.raises(UsageProblem, match=r"8x8 patches of images 8 pixels wide are single pix"):
        SalientImagePatches(backbone(8, 8, 8))


def test_images_are_averaged_over_areas() -> None:
    images = torch.randint(0, 256, (2, 3, 12, 12), dtype=torch.uint8)
    found = image_mae.reduced(images, 2, 3, 2)  # to 4 x 6: areas of 3 x 2 pixels
    assert found.shape == (2, 3, 4, 6)
    expected = images[1, 2, 9:12, 4:6].double().mean()
    assert float(found[1, 2, 3, 2]) == pytest.approx(float(expected))
    assert torch.equal(image_mae.reduced(images, 3, 3, 4), images.float())


# Pre-training


@pytest.mark.usefixtures("short")
def test_fitting_again_finds_the_autoencoder_whatever_the_runs_seed(tmp_path: Path) -> None:
    first, second = Bench(tmp_path), Bench(tmp_path, seed=5)
    one, two = SalientImagePatches(backbone()), SalientImagePatches(backbone())
    fit(first, one)
    fit(second, two)
    assert (first.stages, second.stages) == ([("pretrain", 4)], [])
    assert one.state() == two.state() == {"sha256": first.artifacts[0].sha256}
    elsewhere = SalientImagePatches(backbone())
    fit(Bench(tmp_path / "elsewhere"), elsewhere)
    assert elsewhere.sha256 == one.sha256  # it is decided by its inputs alone


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("sizes", [(2, 2, 8), (4, 4, 16)])
def test_another_grid_or_size_means_another_autoencoder(
    tmp_path: Path, sizes: tuple[int, int, int]
) -> None:
    bench = Bench(tmp_path)
    fit(bench, SalientImagePatches(backbone()))
    fit(bench, SalientImagePatches(backbone(*sizes)))
    assert len(bench.stages) == 2
    assert len({found.key for found in bench.artifacts}) == 2


@pytest.mark.usefixtures("short")
def test_fewer_training_images_mean_another_autoencoder(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    count = len(bench.data().split("train").labels)
    for most in (None, count, count + 1, count // 2):
        fit(bench, SalientImagePatches(backbone(), most))
    assert len(bench.stages) == 2
    assert [one.inputs.get("train_images") for one in bench.artifacts][-1] == count // 2
    assert "train_images" not in bench.artifacts[0].inputs


@pytest.mark.usefixtures("short")
def test_a_stop_is_heard_and_leaves_nothing_half_trained(tmp_path: Path) -> None:
    selector = SalientImagePatches(backbone())
    with pytest.raises(Interrupted):
        fit(Bench(tmp_path, stop_at=3), selector)
    again = Bench(tmp_path)
    fit(again, selector)
    assert again.stages == [("pretrain", 4)]
    assert again.looks == 4


def test_training_lowers_the_error_of_other_images(
    trained: SalientImagePatches, digits: torch.Tensor, tmp_path: Path
) -> None:
    weights = Bench(tmp_path).torch_generator("mae/weights", 0)
    untrained = SalientImagePatches(backbone())
    mae = MaskedAutoencoder(weights, rows=4, columns=4, side=2)
    untrained.adopt(mae.requires_grad_(False), "untrained")
    before, after = untrained.error_maps(digits).mean(), trained.error_maps(digits).mean()
    assert after < 0.6 * before


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (2, 3)])  # digits as they are, averaged
def test_the_training_is_the_plain_one_bit_for_bit(
    rows: int, columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_mae, "MOST_ITERATIONS", 22)  # an epoch is 19
    found, plain = (
        MaskedAutoencoder(torch.Generator().manual_seed(0), rows=rows, columns=columns, side=2)
        for _ in range(2)
    )
    bench, split = Bench(tmp_path), load_digits(DataRequest(Path(), print)).split("train")
    image_mae.train_on_images(bench, found, 8, split)

    optimiser = make_optimiser(plain, SpirlConfig())
    noise = bench.torch_generator("mae/masks", 0)
    size, taken = (2 * rows, 2 * columns), 0
    for images in split.batches(image_mae.orders(bench, len(split.labels)), 8):
        for group in optimiser.param_groups:  # a tenth is warm-up; Table 5's step size for 64
            group["lr"] = warmup_cosine(taken, 2.2, 22, 1e-3 * 64 / 256)
        pixels = torch.nn.functional.adaptive_avg_pool2d(images.float(), size)
        optimiser.zero_grad()
        plain(pixels, torch.rand(64, rows * columns, generator=noise)).backward()
        optimiser.step()
        taken += 1
    assert taken == 22
    for name, value in plain.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


def test_an_epoch_has_each_image_once_and_there_are_as_many_as_the_limits_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    chosen = image_mae.orders(bench, 1_259)  # the digits: 19 whole batches
    assert len(chosen) == image_mae.MOST_EPOCHS * 19
    assert {len(order) for order in chosen} == {64}
    epoch = np.concatenate(chosen[:19])
    assert len(set(epoch.tolist())) == 19 * 64
    assert not np.array_equal(epoch, np.concatenate(chosen[19:38]))
    assert len(image_mae.orders(bench, 50_000)) == image_mae.MOST_ITERATIONS
    monkeypatch.setattr(image_mae, "MOST_EPOCHS", 3)
    (a, _, _) = image_mae.orders(bench, 10)
    assert sorted(a) == list(range(10))


# Error maps


@torch.no_grad()
def plain(mae: MaskedAutoencoder, image: torch.Tensor, patch: int) -> float:
    """The error of one patch of an image [3, H, W] in 0..255, in float64, nothing left out."""
    rows, columns, side = mae.rows, mae.columns, mae.side
    exact = MaskedAutoencoder(torch.Generator(), rows=rows, columns=columns, side=side).double()
    exact.load_state_dict(mae.state_dict())
    row, column = divmod(patch, columns)
    ring = [
        r * columns + c
        for r in range(rows)
        for c in range(columns)
        if max(abs(r - row), abs(c - column)) == 1
    ]
    scaled = image.double() / 255
    conv = exact.patch_embed.proj
    embedded = torch.nn.functional.conv2d(scaled[None], conv.weight, conv.bias, stride=side)[0]
    x = embedded.flatten(1).T[ring] + exact.pos_embed[0][[1 + p for p in ring]]
    x = torch.cat([exact.cls_token[0], x])[None]
    for block in exact.blocks:
        x = block(x)
    x = exact.decoder_embed(exact.norm(x))[0]
    tokens = exact.mask_token[0].repeat(1 + rows * columns, 1)
    tokens[[0] + [1 + p for p in ring]] = x
    x = (tokens + exact.decoder_pos_embed[0])[None]
    for block in exact.decoder_blocks:
        x = block(x)
    prediction = exact.decoder_pred(exact.decoder_norm(x))[0, 1 + patch]
    cut = scaled[:, side * row : side * (row + 1), side * column : side * (column + 1)]
    truth = cut.permute(1, 2, 0).flatten()
    deviation = (truth.var(unbiased=True) + 1e-6).sqrt()
    return float((prediction * deviation + truth.mean() - truth).square().mean())


def test_error_maps_of_digits_equal_a_plain_calculation(
    trained: SalientImagePatches, digits: torch.Tensor
) -> None:
    found = trained.error_maps(digits)
    assert trained._errors is not None
    mae = trained._errors.mae
    expected = [[plain(mae, image, patch) for patch in range(16)] for image in digits[:2]]
    np.testing.assert_allclose(found[:2].numpy(), expected, rtol=1e-4, atol=1e-8)


def test_error_maps_of_another_grid_and_of_averaged_images_too() -> None:
    selector = made(3, 5, 80)  # side 8: areas of 80/24 x 2 pixels
    images = torch.randint(
        0, 256, (2, 3, 80, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)
    )
    found = selector.error_maps(images)
    assert found.shape == (2, 15)
    assert selector._errors is not None
    small = image_mae.reduced(images, 3, 5, 8)
    assert small.shape == (2, 3, 24, 40)
    mae = selector._errors.mae
    expected = [plain(mae, small[1], patch) for patch in range(15)]
    np.testing.assert_allclose(found[1].numpy(), expected, rtol=1e-4)


def test_a_value_does_not_depend_on_what_shares_its_batch(digits: torch.Tensor) -> None:
    selector = made()
    together = selector.error_maps(digits)
    for number in range(len(digits)):
        assert torch.equal(selector.error_maps(digits[number : number + 1])[0], together[number])
    assert selector.error_maps(digits[:0]).shape == (0, 16)


def test_values_are_ordinary_tensors_and_the_same_under_autocast_and_inference(
    digits: torch.Tensor,
) -> None:
    selector = made()
    expected = selector.error_maps(digits)
    assert not expected.is_inference()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(selector.error_maps(digits), expected)
    with torch.inference_mode():
        assert torch.equal(selector.error_maps(digits), expected)
    weight = torch.ones(6, 16, requires_grad=True)
    (weight * selector.error_maps(digits)).sum().backward()
    torch.testing.assert_close(weight.grad, expected)


def test_a_textured_patch_of_a_flat_image_is_the_salient_one(trained: SalientImagePatches) -> None:
    image = torch.full((1, 3, 8, 8), 120, dtype=torch.uint8)
    image[0, :, 4:6, 2:4] = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8)  # row 2, column 1
    keep = trained.select(view(image, rate=1 / 16)).keep
    assert keep.nonzero().tolist() == [[0, 2 * 4 + 1]]


# Selection


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 0.97])
def test_a_rate_keeps_an_exact_number_of_the_living_those_with_the_largest_errors(
    digits: torch.Tensor, rate: float
) -> None:
    selector = made()
    alive = torch.rand(6, 16, generator=torch.Generator().manual_seed(1)) < 0.7
    keep = selector.select(view(digits, rate=rate, alive=alive)).keep
    errors = selector.error_maps(digits)
    for row in range(6):
        living = alive[row].nonzero().flatten().tolist()
        ranked = sorted(living, key=lambda patch: (-float(errors[row, patch]), patch))
        wanted = set(ranked[: round(rate * len(living))])
        assert set(keep[row].nonzero().flatten().tolist()) == wanted


def test_of_equal_errors_the_first_in_raster_order_stay() -> None:
    flat = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    selector = made()
    selector.error_maps = lambda images: torch.ones(len(images), 16)  # type: ignore[method-assign]
    alive = torch.ones(2, 16, dtype=torch.bool)
    alive[1, :4] = False
    keep = selector.select(view(flat, rate=0.25, alive=alive)).keep
    assert [row.nonzero().flatten().tolist() for row in keep] == [[0, 1, 2, 3], [4, 5, 6]]


def test_without_a_rate_the_lorenz_curve_says_how_many(
    trained: SalientImagePatches, digits: torch.Tensor
) -> None:
    everything = torch.ones(6, 16, dtype=torch.bool)
    keep = trained.select(view(digits)).keep
    for kept, errors in zip(keep, trained.error_maps(digits).double(), strict=True):
        shares = (errors / errors.sum()).sort().values
        slope = shares[1:-1] + shares[2:]  # over two steps, for patches 1 .. 14
        count = 16 - 1 - int((slope - 2 * math.tan(math.radians(45)) / 16).abs().argmin())
        assert set(kept.nonzero().flatten().tolist()) == set(errors.argsort()[-count:].tolist())
    assert 2 <= int(keep.sum(1).min()) <= int(keep.sum(1).max()) < 16
    # A later decision finds nothing more to leave out, and brings nothing back.
    assert torch.equal(trained.select(view(digits, layer=6, alive=keep)).keep, keep)
    alive = everything.clone()
    alive[:, ::2] = False
    again = trained.select(view(digits, alive=alive)).keep
    assert not (again & ~alive).any()
    assert torch.equal(again.sum(1), keep.sum(1).clamp(max=8))


def test_later_decisions_of_a_pass_look_no_second_time(digits: torch.Tensor) -> None:
    selector, looks = made(), 0
    compute = selector.error_maps

    def counted(images: torch.Tensor) -> torch.Tensor:
        nonlocal looks
        looks += 1
        return compute(images)

    selector.error_maps = counted  # type: ignore[method-assign]
    other, whole = digits.clone(), 16 * selector._errors.macs  # type: ignore[union-attr]
    asked = [(digits, 3), (digits, 6), (digits, 9), (digits, 3), (other, 6), (other, 6)]
    spent = []
    for images, layer in asked:
        now = view(images, rate=0.5, layer=layer)
        selector.select(now)
        spent.append(selector.macs(now).tolist())
    assert looks == 4
    assert spent == [[each] * 6 for each in (whole, 0, 0, whole, whole, whole)]


def test_what_an_error_costs_is_counted_by_hand() -> None:
    # 4x4 patches of 2x2x3 values; widths 64 and 128; 9 variable tokens, 17 in all.
    block = {
        width: lambda tokens, width=width: 12 * tokens * width**2 + 2 * tokens**2 * width
        for width in (64, 128)
    }
    encoder = 8 * 12 * 64 + 3 * block[64](9) + 9 * 64 * 128
    variable = 9 * 3 * 128**2  # queries, keys and values
    first = variable + 2 * 10 * 16 * 128 + 2 * 9 * 17 * 128 + 17 * (1 + 8) * 128**2
    last = (2 + 1 + 1 + 8) * 128**2 + 2 * 8 * 17 * 128 + 128 * 12
    selector = made()
    assert selector._errors is not None
    assert selector._errors.macs == encoder + first + block[128](17) + last
    with torch.inference_mode():
        atari = PatchErrors(MaskedAutoencoder(torch.Generator().manual_seed(0)), 4, "pixels")
    assert 2 * atari.macs == pytest.approx(ERROR, rel=0.05)  # what SPIRL's runs are said to cost


def test_nothing_is_selected_without_an_autoencoder_nor_with_another_after_a_resume(
    digits: torch.Tensor,
) -> None:
    selector = made()
    with pytest.raises(ValueError, match="call fit first"):
        SalientImagePatches(backbone()).select(view(digits))
    selector.restore(selector.state())
    with pytest.raises(RlvitError, match="began with the autoencoder other"):
        selector.restore({"sha256": "other"})


def test_one_name_serves_games_and_images() -> None:
    (spec,) = rlvit_selectors()
    assert (spec.name, spec.needs) == ("mae-salient", {"images"})
    mae = MaskedAutoencoder(torch.Generator().manual_seed(0)).requires_grad_(False)
    game = spec.make(mae, SpirlConfig(), SimpleNamespace(name="Seaquest"))
    assert isinstance(game, SalientPatches)
    assert isinstance(spec.make(backbone(), None, None), SalientImagePatches)
    assert spec.fit is not None
    spec.fit(None, game)  # it has its autoencoder from SPIRL


# A whole run


@pytest.fixture(scope="module")
def tiny_images() -> ModuleType:
    """The module `support/tiny_rl4dvit.py`: runs on few digits."""
    path = Path(__file__).parents[1] / "support" / "tiny_rl4dvit.py"
    spec = importlib.util.spec_from_file_location("tiny_images", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_images"] = module
    spec.loader.exec_module(module)
    return module


OPTIONS = {"selector": "mae-salient", "figures": False}


@pytest.fixture(scope="module")
def unbroken_arm(tiny_images: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The home and the folder of a run that nothing interrupted."""
    home = tmp_path_factory.mktemp("unbroken")
    outcome = tiny_images.start(home, **OPTIONS)
    assert outcome.state == "completed", outcome.error
    return home, outcome.folder


def facts_of(folder: Path, kind: str) -> Any:
    """The description of one of a run's artifacts."""
    return json.loads((folder / "artifacts" / kind / "artifact.json").read_text())


def test_arms_of_a_run_on_digits_share_an_autoencoder_and_cost_what_they_say(
    tiny_images: Any, unbroken_arm: tuple[Path, Path]
) -> None:
    home, folder = unbroken_arm
    second = tiny_images.start(home, seed=1, finetune_epochs=0, **OPTIONS)
    assert second.state == "completed", second.error
    assert facts_of(second.folder, "mae")["sha256"] == facts_of(folder, "mae")["sha256"]
    assert facts_of(second.folder, "mae")["made_by"] == folder.name
    kept, expected = 16, []
    for rate in facts_of(second.folder, "model")["inputs"]["rates"]:
        kept = round(kept * rate)
        expected.append(kept)
    own = 16 * made()._errors.macs  # type: ignore[union-attr]
    with np.load(second.folder / "artifacts" / "predictions-0" / "predictions.npz") as table:
        assert table["kept"].shape == (40, 3)
        assert (table["kept"] == expected).all()
        assert 0 < expected[-1] < expected[0] < 16
        assert (table["macs"] == table["macs"][0]).all()
        spent = table["macs"][0]
    dense = 1e9 * tiny_images.results_of(home, second.id)["dense/gmacs", 0]
    assert own < spent < own + dense  # once for all decisions; the rest is less than all patches'


def stopping_at(tiny: Any, wanted: str, number: int) -> Any:
    """A display that breaks a run off at a sign of progress of a stage."""
    seen = 0

    def heard(stage: str) -> None:
        nonlocal seen
        seen += stage == wanted
        if seen == number:
            raise KeyboardInterrupt

    return tiny.Rehearsal(heard)


def test_a_run_stopped_while_pretraining_and_while_measured_ends_like_an_unbroken_one(
    tiny_images: Any, unbroken_arm: tuple[Path, Path], tmp_path: Path
) -> None:
    whole, folder = unbroken_arm
    home = tmp_path / "home"
    stopped = tiny_images.start(home, stopping_at(tiny_images, "pretrain", 3), **OPTIONS)
    assert stopped.state == "interrupted"
    stopped = tiny_images.resume(home, stopping_at(tiny_images, "finetune", 2))
    assert stopped.state == "interrupted"
    stopped = tiny_images.resume(home, stopping_at(tiny_images, "evaluate", 1))  # the last
    assert stopped.state == "interrupted"
    outcome = tiny_images.resume(home)
    assert outcome.state == "completed", outcome.error
    story = tiny_images.outcome_of(whole, folder.name)
    assert tiny_images.outcome_of(home, outcome.id) == story
    assert "mae" in story["artifacts"]
