"""After an epoch: the network on validation images, with all patches and with the run's masks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from rlvit.contracts import RunContext
from rlvit.errors import UnknownName
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.training_images import TrainingImages, in_order, some_of
from rlvit.scores import weighted_scores

SPLIT = "val"


class Validation:
    """The dataset's validation images, if it has any that are not those it is measured on."""

    def __init__(self, context: RunContext, size: int, batch: int, most: int | None = None) -> None:
        """Read them, at most so many."""
        data = context.data()
        self.classes, self.batch = len(data.classes), batch
        self.images: TrainingImages | None = None
        measured = context.protocol.settings["split"]
        # The notebook chooses and reports on one split: that is what its protocol is for.
        if measured != SPLIT:
            try:
                self.images = TrainingImages(some_of(data.split(SPLIT), most), size, context.device)
            except UnknownName:
                context.say(f"{context.task.name} has no split {SPLIT!r}: epochs are not validated")

    def measure(self, whole: PrunedVit, pruned: PrunedVit) -> dict[str, float]:
        """Return the metrics of an epoch: of all patches as the notebook does, and of the masks."""
        if self.images is None:
            return {}
        found = self._classified(self.images, whole)
        label, prediction = found["label"].numpy(), found["prediction"].numpy()
        precision, recall, f1 = weighted_scores(prediction, label, self.classes)
        row = {
            "val/loss": float(found["loss"].mean()),
            "val/top1": 100 * float((prediction == label).mean()),
            "val/precision": precision,
            "val/recall": recall,
            "val/f1": f1,
        }
        masked = self._classified(self.images, pruned)
        row["val/loss_masked"] = float(masked["loss"].mean())
        row["val/top1_masked"] = 100 * float(
            (masked["prediction"] == masked["label"]).double().mean()
        )
        row["val/kept"] = float(masked["kept"].double().mean())
        return row

    def _classified(self, images: TrainingImages, vit: PrunedVit) -> Mapping[str, Tensor]:
        """Return a row [S] an image, by column, on the CPU."""
        columns: dict[str, list[Tensor]] = {"label": [], "prediction": [], "loss": [], "kept": []}
        for pixels, labels in images.batches(in_order(images.count, self.batch)):
            prediction = vit.classify(pixels)
            logits = prediction.logits[:, vit.targets]
            kept = prediction.kept[:, -1] if prediction.kept.shape[1] else torch.zeros_like(labels)
            columns["label"].append(labels)
            columns["prediction"].append(logits.argmax(1))
            columns["loss"].append(functional.cross_entropy(logits, labels, reduction="none"))
            columns["kept"].append(kept)
        return {name: torch.cat(parts).cpu() for name, parts in columns.items()}
