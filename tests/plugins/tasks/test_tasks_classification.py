"""Holds the evaluator of classifiers to numbers computed by hand, and datasets to their specs."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlvit.contracts import Examination, Measurement, Prediction
from rlvit.errors import Interrupted, RlvitError, UnknownName, UsageProblem
from rlvit.specs import DataRequest, Protocol, TaskSpec, digest
from rlvit_tasks.classification import classify_images
from rlvit_tasks.images import LoadedImages
from rlvit_tasks.plugin import rlvit_evaluators, rlvit_metrics, rlvit_tasks

DATASETS = {task.name: task for task in rlvit_tasks() if task.kind == "dataset"}


@dataclass
class Numbered:
    """Images whose pixels are their own number."""

    labels: np.ndarray
    subsets: dict[str, np.ndarray] = field(default_factory=dict)
    asked: list[list[int]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [f"image-{number}" for number in range(len(self.labels))]

    def batches(self, order: Sequence[np.ndarray], size: int) -> Iterator[torch.Tensor]:
        for numbers in order:
            self.asked.append(numbers.tolist())
            images = torch.from_numpy(numbers.astype(np.uint8))
            yield images[:, None, None, None].expand(-1, 3, size, size)


@dataclass
class Scripted:
    """Answers with the logits, kept patches and multiply-adds of each image's number."""

    logits: torch.Tensor  # [S, K]
    targets: torch.Tensor
    kept: torch.Tensor  # [S, L]
    macs: torch.Tensor  # [S]
    gathers: bool = True
    image_size: int = 2

    def classify(self, images: torch.Tensor) -> Prediction:
        assert images.dtype == torch.uint8
        assert images.shape[1:] == (3, 2, 2)
        assert not torch.is_grad_enabled()
        numbers = images[:, 0, 0, 0].long()
        return Prediction(self.logits[numbers], self.kept[numbers], self.macs[numbers])


@dataclass
class Examined:
    """An examination and what it was told."""

    subject: Any
    split: Numbered
    settings: dict[str, Any]
    classes: tuple[str, ...] = ("cat", "dog")
    table: dict[str, Any] = field(default_factory=dict)
    shown: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    begun: list[tuple[str, int]] = field(default_factory=list)
    stops_after: int = 1000

    def update(self, done: int, **shown: float) -> None:
        self.shown.append((done, shown))

    def progress(self, unit: str, total: int) -> Examined:
        self.begun.append((unit, total))
        return self

    def check_stop(self) -> None:
        if len(self.shown) >= self.stops_after:
            raise Interrupted("stopped as asked")

    def measure(self) -> dict[str, Measurement]:
        def no_episode(episode: Any) -> None:
            raise AssertionError("images have no episodes")

        found = classify_images(
            Examination(
                subject=self.subject,
                task=DATASETS["digits"],
                protocol=Protocol("test", "-", "-", {"images": 0, "batch": 2, **self.settings}),
                seed=0,
                episode=no_episode,
                table=self.table.update,
                progress=self.progress,
                check_stop=self.check_stop,
                data=lambda: LoadedImages(self.classes, "0", {"test": self.split}),
            )
        )
        assert len({measured.metric for measured in found}) == len(found)
        return {measured.metric: measured for measured in found}


def examined(**settings: Any) -> Examined:
    """Five images of two classes, seen by a head of four of which 2 is cat and 0 is dog."""
    # softmax of log-odds: the numbers are e to the logits
    odds = torch.tensor(
        [
            [1.0, 1.0, 6.0, 2.0],  # cat: right, p 0.6
            [2.0, 5.0, 1.0, 2.0],  # cat: wrong in both (dog before cat), p(cat) 0.1, top 0.5
            [4.0, 5.0, 0.5, 0.5],  # dog: wrong of all, right of its own; p(dog) 0.4, top 0.5
            [7.0, 1.0, 1.0, 1.0],  # dog: right, p 0.7
            [1.0, 1.0, 7.0, 1.0],  # dog: wrong in both, p(dog) 0.1, top 0.7
        ]
    )
    subject = Scripted(
        logits=odds.log() + 3,
        targets=torch.tensor([2, 0]),
        kept=torch.tensor([[9, 4], [8, 4], [9, 2], [9, 5], [9, 5]]),
        macs=torch.tensor([1_000_000_001, 2_000_000_000, 3_000_000_000, 10**9, 3 * 10**9]),
    )
    subsets = {
        "official": np.array([True, True, True, False, False]),
        "unseen": np.array([False, False, False, False, True]),
        "other": np.array([True, False, True, False, True]),
    }
    split = Numbered(np.array([0, 0, 1, 1, 1]), subsets)
    return Examined(subject, split, {"split": "test", **settings})


def test_measurements_are_those_computed_by_hand() -> None:
    case = examined()
    found = case.measure()
    assert set(found) == {
        *("eval/top1", "eval/top1_task", "eval/top1_official", "eval/top1_task_official"),
        *("eval/top1_unseen", "eval/top1_task_unseen", "eval/nll", "eval/gmacs", "eval/gflops"),
        *("eval/kept", "eval/masked", "eval/precision", "eval/recall", "eval/f1"),
    }
    assert found["eval/top1"].value == pytest.approx(40)
    assert found["eval/top1"].spread == pytest.approx(100 * math.sqrt(0.3))  # of 1, 0, 0, 1, 0
    assert found["eval/top1_task"].value == pytest.approx(60)
    assert found["eval/top1_official"].value == pytest.approx(100 / 3)
    assert found["eval/top1_official"].samples == 3
    assert found["eval/top1_task_official"].value == pytest.approx(200 / 3)
    assert found["eval/top1_unseen"] == Measurement("eval/top1_unseen", 0.0, 1, None)
    nll = -np.log([0.6, 0.1, 0.4, 0.7, 0.1])
    assert found["eval/nll"].value == pytest.approx(nll.mean(), rel=1e-5)
    assert found["eval/nll"].spread == pytest.approx(nll.std(ddof=1), rel=1e-5)
    assert found["eval/gmacs"].value == pytest.approx(2.0000000002, rel=1e-12)
    assert found["eval/gmacs"].spread == pytest.approx(1.0, rel=1e-6)
    assert found["eval/gflops"].value == pytest.approx(4.0000000004, rel=1e-12)
    assert found["eval/kept"].value == pytest.approx(4)
    assert found["eval/kept"].spread == pytest.approx(math.sqrt(6 / 4))
    assert found["eval/masked"] == Measurement("eval/masked", 0.0, 5, None)
    # Answers 0 1 1 1 0 to 0 0 1 1 1: cat 1 of 2 answers and 1 of 2 images, dog 2 of 3 and 2 of 3.
    assert found["eval/precision"].value == pytest.approx(100 * (2 * 1 / 2 + 3 * 2 / 3) / 5)
    assert found["eval/recall"].value == pytest.approx(found["eval/top1_task"].value)
    assert found["eval/f1"].value == pytest.approx(60)
    assert {found[f"eval/{name}"].spread for name in ("precision", "recall", "f1")} == {None}
    whole = {m.samples for name, m in found.items() if not name.endswith(("official", "unseen"))}
    assert whole == {5}


def test_the_table_has_a_row_for_each_image() -> None:
    case = examined()
    case.measure()
    table = {name: column.tolist() for name, column in case.table.items()}
    assert table["name"] == [f"image-{number}" for number in range(5)]
    assert table["label"] == [0, 0, 1, 1, 1]
    assert table["prediction"] == [2, 1, 1, 0, 2]  # in the head
    assert table["prediction_task"] == [0, 1, 1, 1, 0]  # in the dataset
    assert table["correct"] == [True, False, False, True, False]
    assert table["correct_task"] == [True, False, True, True, False]
    assert table["kept"] == [[9, 4], [8, 4], [9, 2], [9, 5], [9, 5]]
    assert table["macs"][0] == 1_000_000_001
    assert table["confidence"] == pytest.approx([0.6, 0.5, 0.5, 0.7, 0.7], rel=1e-5)
    assert table["unseen"] == [False, False, False, False, True]
    assert {len(column) for column in case.table.values()} == {5}


@pytest.mark.parametrize("batch", [1, 2, 5, 64])
def test_batches_change_nothing_and_come_in_file_order(batch: int) -> None:
    case = examined(batch=batch)
    assert case.measure() == examined().measure()
    assert [number for numbers in case.split.asked for number in numbers] == [0, 1, 2, 3, 4]
    assert {len(numbers) for numbers in case.split.asked[:-1]} <= {batch}
    assert case.begun == [("images", 5)]
    assert case.shown[-1] == (5, {"top1": 40.0})


def test_progress_shows_the_share_that_was_right_so_far() -> None:
    case = examined()
    case.measure()
    assert case.shown == [(2, {"top1": 50.0}), (4, {"top1": 50.0}), (5, {"top1": 40.0})]


def test_a_limit_takes_as_many_of_each_class() -> None:
    case = examined(images=2)
    found = case.measure()
    assert case.split.asked == [[1, 3]]
    assert found["eval/top1"].samples == 2
    assert found["eval/top1"].value == 50
    assert case.table["name"].tolist() == ["image-1", "image-3"]
    assert case.table["official"].tolist() == [True, False]
    assert "eval/top1_unseen" not in found  # none of them was chosen


def test_masking_is_said_and_no_decision_keeps_no_count() -> None:
    case = examined()
    case.subject.gathers = False
    case.subject.kept = case.subject.kept[:, :0]
    found = case.measure()
    assert found["eval/masked"].value == 1.0
    assert "eval/kept" not in found
    assert case.table["kept"].shape == (5, 0)


def test_half_precision_logits_are_read_as_single() -> None:
    case = examined()
    case.subject.logits = case.subject.logits.bfloat16()
    found = case.measure()
    exact = torch.nn.functional.cross_entropy(
        case.subject.logits.float(), torch.tensor([2, 2, 0, 0, 0])
    )
    assert found["eval/nll"].value == pytest.approx(float(exact), rel=1e-6)


def test_a_stop_is_heeded_between_batches() -> None:
    case = examined()
    case.stops_after = 1
    with pytest.raises(Interrupted):
        case.measure()
    assert len(case.shown) == 1
    assert not case.table


def test_nonsense_is_refused() -> None:
    case = examined()
    case.subject.logits[3, 1] = float("nan")
    with pytest.raises(RlvitError, match="not finite for 1 images, first image-3"):
        case.measure()
    case = examined()
    case.subject.targets = torch.tensor([2, 0, 1])
    with pytest.raises(RlvitError, match="knows 3 classes of digits, which has 2"):
        case.measure()
    with pytest.raises(UnknownName, match="'val'"):
        examined(split="val").measure()


def test_every_measured_metric_is_declared() -> None:
    declared = {metric.name: metric for metric in rlvit_metrics()}
    for metric in examined().measure():
        assert declared[metric].axis == "updates"
    assert declared["eval/top1_unseen"].direction == "max"
    assert declared["eval/gmacs"].direction == "min"
    for name in ("precision", "recall", "f1"):
        assert (declared[f"eval/{name}"].unit, declared[f"eval/{name}"].direction) == ("%", "max")
    assert len(declared) == 19


def test_every_dataset_is_measured_in_full_and_quickly() -> None:
    facts = {name: (task.facts["classes"], task.facts["size"]) for name, task in DATASETS.items()}
    assert facts == {
        "digits": (10, 8),
        "mnist": (10, 28),
        "cifar10": (10, 32),
        "imagenette": (10, 224),
        "imagenet": (1000, 224),
        "imagefolder": (0, 224),
    }
    evaluators = {spec.name for spec in rlvit_evaluators()}
    for task in DATASETS.values():
        own = ["notebook"] if task.name == "cifar10" else []
        assert [how.name for how in task.protocols] == ["full", "quick", *own]
        full, quick = (dict(how.settings) for how in task.protocols[:2])
        assert full == {**quick, "images": 0}
        assert quick == {"split": full["split"], "images": 256, "batch": 64}
        assert task.evaluator in evaluators
        assert task.make is None
    splits = {name: task.protocol("full").settings["split"] for name, task in DATASETS.items()}
    assert splits["imagenette"] == "val+unseen"
    assert splits["cifar10"] == splits["mnist"] == splits["digits"] == "test"


def test_the_notebooks_protocol_says_that_it_reports_on_test_images() -> None:
    task = DATASETS["cifar10"]
    notebook = task.protocol("notebook")
    settings = {"split": "notebook-val", "train": "all", "images": 0, "batch": 128}
    assert notebook.settings == settings
    for word in ("selection and report on test images", "compares with nothing else"):
        assert word in notebook.summary
    others = [how for how in task.protocols if how is not notebook]
    assert digest(settings) not in {digest(dict(how.settings)) for how in others}
    assert all("train" not in how.settings for how in others)  # their fingerprints are as before
    with pytest.raises(UnknownName, match="'notebook'"):
        DATASETS["mnist"].protocol("notebook")


def test_the_notebooks_protocol_reaches_the_reader(real_data: Path) -> None:
    task = DATASETS["cifar10"]
    whole = loaded(task, real_data, **task.protocol("notebook").settings)
    assert len(whole.split("train").labels) == 50_000
    assert len(whole.split("notebook-val").labels) == 9_500
    usual = loaded(task, real_data)
    assert len(usual.split("train").labels) == 45_000
    with pytest.raises(UnknownName, match="'notebook-val'"):
        usual.split("notebook-val")
    with pytest.raises(UnknownName, match="'al'"):
        loaded(task, real_data, train="al")


def loaded(task: TaskSpec, root: Path, **settings: Any) -> Any:
    """What a task loads under its quick protocol with other settings."""
    assert task.load is not None
    request = DataRequest(root, lambda text: None)
    return task.load({**task.protocol("quick").settings, **settings}, request)


def test_a_task_loads_its_data_and_checks_the_split_at_once(tmp_path: Path) -> None:
    data = loaded(DATASETS["digits"], tmp_path)
    assert len(data.split("test").labels) == 359
    with pytest.raises(UnknownName, match="'tst'"):
        loaded(DATASETS["digits"], tmp_path, split="tst")
    for name in ("imagenette", "imagenet", "imagefolder"):
        with pytest.raises(UsageProblem, match=f"{name} is not in"):
            loaded(DATASETS[name], tmp_path)


def test_describing_the_tasks_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rlvit_tasks.plugin import rlvit_tasks, rlvit_evaluators;"
        "assert len(rlvit_tasks()) == 32; rlvit_evaluators();"
        "print(sorted({'torch', 'numpy', 'PIL', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
