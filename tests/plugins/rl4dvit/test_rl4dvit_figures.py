"""A run's figures show what its selector does with a fixed, balanced sample of the images."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rlvit.contracts import ImageShape, RunContext, Selection, SelectorView
from rlvit.errors import RlvitError
from rlvit.nn.pruning import PrunedVit
from rlvit_rl4dvit import figures
from rlvit_timm.models import make

CLASSES = 10
IMAGES = 300  # of which every third is of class 0
PICTURES = ("masks.png", "kept_histogram.png", "keep_map.png", "kept_by_confidence.png")


class Bright:
    """Keeps each living patch with a chance that grows with the first feature of its token."""

    def select(self, view: SelectorView) -> Selection:
        tokens = view.data["tokens"]  # [T, D]
        drawn = torch.rand(len(tokens), generator=view.generator)
        keep = torch.zeros_like(view.alive)
        keep[view.alive] = drawn < (8 * tokens[:, 0]).sigmoid()
        return Selection(keep)

    def macs(self, view: SelectorView) -> Tensor:
        return torch.zeros(len(view.alive))


@dataclass
class Split:
    """Random images."""

    labels: NDArray[np.int64]
    names: Sequence[str]
    images: Tensor
    subsets: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def batches(self, order: Sequence[NDArray[np.int64]], size: int) -> Iterator[Tensor]:
        for numbers in order:
            yield self.images[torch.from_numpy(numbers)]


@dataclass
class Context:
    """What figures ask of a run."""

    folder: Path
    split: Split
    seed: int = 3
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    protocol: Any = field(
        default_factory=lambda: SimpleNamespace(name="full", settings={"split": "val"})
    )
    kept: dict[str, Any] = field(default_factory=dict)

    def data(self) -> Any:
        names = [f"kind {number}" for number in range(CLASSES)]
        return SimpleNamespace(classes=names, split={"val": self.split}.__getitem__)

    def part(self, slot: str) -> Any:
        return SimpleNamespace(name={"selector": "bright"}[slot])

    def check_stop(self) -> None:
        pass

    def keep(self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], None]) -> None:
        folder = self.folder / "artifacts" / kind
        folder.mkdir()
        build(folder)
        assert kind not in self.kept
        self.kept[kind] = dict(inputs)


@pytest.fixture(scope="module")
def vit() -> PrunedVit:
    backbone = make("vit_pico_grid8", torch.Generator().manual_seed(1), ImageShape(8, 10), None)
    return PrunedVit(
        backbone,
        Bright(),
        frozenset({"tokens"}),
        (1, 2),
        targets=torch.arange(CLASSES),
        generator=torch.Generator().manual_seed(9),
    )


def make_context(folder: Path, evaluated: int = IMAGES) -> Context:
    """Return a run of which the last `evaluated` images were evaluated, and no others."""
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(IMAGES) % 3 == 0, 0, np.arange(IMAGES) % CLASSES)
    names = [f"val/{number:03d}" for number in range(IMAGES)]
    images = torch.from_numpy(rng.integers(256, size=(IMAGES, 3, 8, 8), dtype=np.uint8))
    chosen = np.array(names)[-evaluated:]
    sure = rng.random(evaluated)
    for kind, columns in {
        "dense": {"name": chosen, "confidence": sure},
        "predictions-20": {"name": chosen, "kept": np.zeros((evaluated, 2), dtype=np.int64)},
        "predictions-100": {
            "name": chosen[::-1],
            "kept": np.stack([sure[::-1] * 64, sure[::-1] * 50], 1).astype(np.int64),
        },
    }.items():
        (folder / "artifacts" / kind).mkdir(parents=True)
        np.savez(folder / "artifacts" / kind / "predictions.npz", **columns)
    return Context(folder, Split(labels.astype(np.int64), names, images))


def draw(context: Context, vit: PrunedVit) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns when a layout does not fit
        figures.draw(cast(RunContext, context), vit)
    return context.folder / "artifacts" / "figures"


@pytest.fixture(scope="module")
def drawn(vit: PrunedVit, tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A run whose figures are drawn."""
    context, generator = make_context(tmp_path_factory.mktemp("run")), vit.generator
    draw(context, vit)
    assert vit.generator is generator
    return context


def test_a_run_keeps_one_artifact_of_pictures_and_selections(drawn: Context) -> None:
    folder = drawn.folder / "artifacts" / "figures"
    assert list(drawn.kept) == ["figures"]
    assert drawn.kept["figures"]["step"] == 100
    assert {path.name for path in folder.iterdir()} == {*PICTURES, "selections.npz"}
    for name in PICTURES:
        assert (folder / name).stat().st_size < 400_000
        with Image.open(folder / name) as picture:
            assert min(picture.size) >= 250
            assert np.asarray(picture.convert("L")).std() > 10


def test_selections_are_those_of_the_network(drawn: Context, vit: PrunedVit) -> None:
    selections = drawn.folder / "artifacts" / "figures" / "selections.npz"
    with np.load(selections, allow_pickle=False) as file:
        found = dict(file)
    alive = np.unpackbits(found["kept"], axis=2, count=int(found["patches"])).astype(bool)
    assert alive.shape == (2, figures.SAMPLE, 64)
    assert not (alive[1] & ~alive[0]).any()
    assert 0.05 < alive.mean() < 0.95
    numbers = [int(name.removeprefix("val/")) for name in found["name"]]
    assert (drawn.split.labels[numbers] == found["label"]).all()
    first = drawn.split.images[numbers[:64]]
    vit.generator = torch.Generator().manual_seed(drawn.seed)
    walk = vit.walk(first)
    assert (walk.alive.numpy() == alive[:, :64]).all()
    right = walk.logits.argmax(1).numpy() == found["label"][:64]
    assert (right == found["correct_task"][:64]).all()


def test_the_same_run_gives_the_same_bytes(drawn: Context, tmp_path: Path, vit: PrunedVit) -> None:
    again = draw(make_context(tmp_path), vit)
    for name in (*PICTURES, "selections.npz"):
        first = drawn.folder / "artifacts" / "figures" / name
        assert (again / name).read_bytes() == first.read_bytes(), name


def test_only_evaluated_images_are_sampled(tmp_path: Path, vit: PrunedVit) -> None:
    context = make_context(tmp_path, evaluated=50)
    names = np.array([f"val/{number}" for number in range(250, 300)])
    sample = figures.walk_sample(cast(RunContext, context), vit, names)
    assert sorted(sample.names) == names.tolist()


def test_a_run_without_evaluation_is_refused(tmp_path: Path, vit: PrunedVit) -> None:
    (tmp_path / "artifacts").mkdir()
    context = Context(tmp_path, make_context(tmp_path / "other").split)
    with pytest.raises(RlvitError, match="no table of predictions"):
        figures.draw(cast(RunContext, context), vit)


def test_a_sample_has_as_many_of_each_class() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    assert figures.balanced(labels, 6).tolist() == [0, 4, 6, 1, 5, 7]
    assert figures.balanced(labels, 100).tolist() == [0, 4, 6, 1, 5, 7, 2, 8, 3]
    # Ten classes, four images: classes 0, 2, 5 and 7.
    assert figures.balanced(np.arange(10), 4).tolist() == [0, 2, 5, 7]


def test_dropped_patches_are_nearly_white() -> None:
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    keep = np.array([[True, False], [False, True]])
    shown = figures.veiled(picture, keep)
    dropped = round(figures.VEIL * 255)
    assert shown[:, :, 0].tolist() == [
        [0, 0, dropped, dropped],
        [0, 0, dropped, dropped],
        [dropped, dropped, 0, 0],
        [dropped, dropped, 0, 0],
    ]


def test_tied_ranks_share_their_mean() -> None:
    assert figures.ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_rank_correlation_has_its_interval() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    left = rng.integers(5, size=103).astype(float)
    right = left + rng.normal(0, 2, 103)
    words = figures.correlation_words(left, right)
    rank = spearmanr(left, right).statistic
    # Fieller, Hartley and Pearson: the variance of z is 1.06 / (n - 3).
    low, high = np.tanh(np.arctanh(rank) + np.array([-1.96, 1.96]) * np.sqrt(1.06 / 100))
    assert words == f"rank correlation {rank:+.2f} ({low:+.2f} to {high:+.2f})"
    assert figures.correlation_words(np.ones(9), right[:9]).startswith("no rank correlation")


def test_images_are_matched_by_name_and_tenths_have_their_mean() -> None:
    pruned = {"name": np.array(["b", "c", "a"]), "kept": np.array([[9, 2], [9, 3], [9, 1]])}
    dense = {"name": np.array(["a", "b", "d"]), "confidence": np.array([0.1, 0.2, 0.4])}
    kept, sure = figures.by_name(pruned, dense)
    assert kept.tolist() == [1, 2]
    assert sure.tolist() == [0.1, 0.2]
    by = np.arange(20.0)[::-1].copy()
    centres, means, halves = figures.deciles(by, 2 * by)
    assert centres.tolist() == [0.5 + 2 * tenth for tenth in range(10)]
    assert means.tolist() == [1.0 + 4 * tenth for tenth in range(10)]
    # Two values 2 apart deviate by sqrt 2.
    assert halves == pytest.approx(np.full(10, 1.96 * 2**0.5 / 2**0.5))


def test_wordnet_ids_become_words() -> None:
    assert figures.readable(["cat", "n01440764"]) == ["cat", "n01440764"]
    assert figures.readable(["n01440764", "n02102040"]) == ["tench", "English springer"]


@pytest.mark.parametrize("blocks", [(0,), (1, 3, 5, 7, 9, 11)])
def test_any_number_of_decisions_can_be_shown(blocks: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    alive = rng.random((len(blocks), 4, 64)) < 0.5
    alive[:, 0] = True
    alive[:, 1] = False  # all gone is legal
    sample = figures.Sample(
        names=np.array(list("abcd")),
        labels=np.arange(4),
        correct=np.array([True, False, True, False]),
        alive=alive,
        shown=np.array([0, 1, 3]),
        pictures=rng.integers(256, size=(3, 32, 32, 3), dtype=np.uint8),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = ["a name that is much too long for its place"] * 4
        figures.save(figures.mask_figure(sample, names, blocks, (8, 8)), tmp_path / "a.png", 256)
        figures.save(figures.kept_figure(alive, blocks), tmp_path / "b.png")
        figures.save(figures.map_figure(alive, blocks, (8, 8)), tmp_path / "c.png")
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png", "c.png"}
