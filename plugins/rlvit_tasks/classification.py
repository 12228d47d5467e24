"""Evaluation on labelled images: every method that classifies is measured by this and no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rlvit.contracts import Examination, ImageSplit, Measurement, Prediction
from rlvit.errors import RlvitError
from rlvit.scores import weighted_scores
from rlvit_tasks.images import balanced

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SUBSETS = ("official", "unseen")  # named parts of a split that have metrics of their own
COLUMNS = ("prediction", "prediction_task", "confidence", "nll", "macs")  # then kept, [L]


def classify_images(examination: Examination) -> list[Measurement]:
    """Classify the protocol's images, in a fixed order, and return what was right and its cost.

    Settings of the protocol: `split`; `images`, how many at most, as many of each class (0: all);
    `batch`, how many at a time. Each image counts once; spreads are those of the images. Precision,
    recall and F1 are means over the dataset's classes, and so have no spread. The table has a row
    for each image: `prediction` is a class of the classifier's head, `prediction_task` and
    `label` are classes of the dataset, `kept` [S, L] counts the patches after each decision.

    Raises:
        RlvitError: the classifier has other classes than the dataset, or answers nonsense.
    """
    settings, data = examination.protocol.settings, examination.data()
    split = data.split(str(settings["split"]))
    targets = examination.subject.targets
    if len(targets) != len(data.classes):
        raise RlvitError(
            f"the classifier knows {len(targets)} classes of {examination.task.name}, which has "
            f"{len(data.classes)}."
        )
    numbers = balanced(split.labels, int(settings["images"]))
    rows = _classify_all(examination, split, numbers, int(settings["batch"]))
    table = _table(split, numbers, rows, targets.cpu().numpy())
    examination.table(table)
    return [
        *_measurements(table, gathers=bool(examination.subject.gathers)),
        *_class_means(table, len(data.classes)),
    ]


def _classify_all(
    examination: Examination, split: ImageSplit, numbers: NDArray[np.int64], batch: int
) -> NDArray[np.float64]:
    """Return a row [len(COLUMNS) + L] for each of the images."""
    subject = examination.subject
    targets = subject.targets.cpu()
    order = [numbers[start : start + batch] for start in range(0, len(numbers), batch)]
    shown = examination.progress("images", len(numbers))
    rows: list[Tensor] = []
    correct = done = 0
    with torch.no_grad():
        for chosen, images in zip(order, split.batches(order, subject.image_size), strict=True):
            examination.check_stop()
            wanted = targets[torch.from_numpy(split.labels[chosen])]  # [B] in the head
            found = _summary(subject.classify(images), subject.targets, wanted)
            rows.append(found)
            done += len(chosen)
            correct += int((found[:, 0] == wanted).sum())
            shown.update(done, top1=100 * correct / done)
    return torch.cat(rows).numpy()


def _summary(prediction: Prediction, targets: Tensor, wanted: Tensor) -> Tensor:
    """Return a prediction's columns [B, len(COLUMNS) + L] in one transfer from the device."""
    logits = prediction.logits.float()  # [B, K]
    device = logits.device
    log_probability = logits.log_softmax(dim=1)
    wanted = wanted.to(device, non_blocking=True)
    parts = [
        logits.argmax(dim=1),
        logits[:, targets.to(device)].argmax(dim=1),
        log_probability.amax(dim=1).exp(),
        -log_probability.gather(1, wanted[:, None])[:, 0],
        prediction.macs,
    ]
    # Doubles hold multiply-adds exactly.
    columns = torch.stack([part.double() for part in parts], dim=1)
    return torch.cat([columns, prediction.kept.double()], dim=1).cpu()


def _table(
    split: ImageSplit,
    numbers: NDArray[np.int64],
    rows: NDArray[np.float64],
    targets: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:
    """Return one row an image, by column.

    Raises:
        RlvitError: an image's logits were not finite.
    """
    found = dict(zip(COLUMNS, rows.T, strict=False))
    names, labels = np.array([split.names[n] for n in numbers]), split.labels[numbers]
    bad = np.flatnonzero(~np.isfinite(found["nll"]))
    if len(bad):
        raise RlvitError(
            f"the classifier's logits are not finite for {len(bad)} images, first {names[bad[0]]}."
        )
    prediction = found["prediction"].astype(np.int64)
    prediction_task = found["prediction_task"].astype(np.int64)
    table: dict[str, NDArray[Any]] = {
        "name": names,
        "label": labels,
        "prediction": prediction,
        "prediction_task": prediction_task,
        "correct": prediction == targets[labels],
        "correct_task": prediction_task == labels,
        "kept": np.rint(rows[:, len(COLUMNS) :]).astype(np.int64),  # [S, L]
        "macs": found["macs"],
        "confidence": found["confidence"],
        "nll": found["nll"],
    }
    return table | {name: mask[numbers] for name, mask in split.subsets.items()}


def _measurements(table: Mapping[str, NDArray[Any]], *, gathers: bool) -> list[Measurement]:
    every = np.ones(len(table["label"]), dtype=np.bool_)
    parts = {"": every} | {f"_{name}": table[name] for name in SUBSETS if name in table}
    values: dict[str, NDArray[np.float64]] = {}
    for suffix, mask in parts.items():
        values[f"eval/top1{suffix}"] = 100.0 * table["correct"][mask]
        values[f"eval/top1_task{suffix}"] = 100.0 * table["correct_task"][mask]
    values["eval/nll"] = table["nll"]
    values["eval/gmacs"] = table["macs"] / 1e9
    values["eval/gflops"] = table["macs"] * 2 / 1e9
    if table["kept"].shape[1]:  # else there was no decision
        values["eval/kept"] = table["kept"][:, -1].astype(np.float64)
    found = [
        Measurement.of(metric, of_images) for metric, of_images in values.items() if len(of_images)
    ]
    return [*found, Measurement("eval/masked", 0.0 if gathers else 1.0, len(every))]


def _class_means(table: Mapping[str, NDArray[Any]], classes: int) -> list[Measurement]:
    scores = weighted_scores(table["prediction_task"], table["label"], classes)
    names = ("eval/precision", "eval/recall", "eval/f1")
    count = len(table["label"])
    return [Measurement(name, score, count) for name, score in zip(names, scores, strict=True)]
