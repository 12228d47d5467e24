"""The backbone with all its patches: measured once for its weights and images, then compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlvit.code import code_digest
from rlvit.contracts import Measurement, RunContext, TokenBackbone
from rlvit.nn.pruning import PrunedVit
from rlvit.nn.walk import run_block
from rlvit_rl4dvit.backbone import targets_of
from rlvit_rl4dvit.config import Rl4dvitConfig
from rlvit_rl4dvit.images import training_split

Table = Mapping[str, NDArray[Any]]
STEERING_IMAGES = 256
DENSE = (  # what is recorded of it
    "eval/top1",
    "eval/top1_task",
    "eval/top1_unseen",
    "eval/top1_task_unseen",
    "eval/gmacs",
    "eval/nll",
)


class KeepAll:
    """Selects nothing away: there is no decision at which it is asked."""

    def report(self) -> Mapping[str, float]:
        """Return nothing."""
        return {}


def dense_baseline(
    context: RunContext, config: Rl4dvitConfig, backbone: TokenBackbone, *, fresh: bool
) -> Table:
    """Measure the whole backbone under the run's protocol; return one row an image, by column.

    Runs with the same weights, images and protocol share the measurement. `fresh`: the results
    are not on record yet.
    """
    vit = _whole(context, config, backbone)

    def build(folder: Path) -> None:
        found = context.examine(vit)
        measured = [asdict(one) for one in found.measurements]
        (folder / "measurements.json").write_text(json.dumps(measured))
        np.savez_compressed(folder / "predictions.npz", **found.table)

    def inputs() -> dict[str, Any]:
        return {
            "backbone": context.part("backbone").name,
            "weights": backbone.sha256,
            "data": context.data().sha256,
            "protocol": dict(context.protocol.settings),
            "precision": config.precision,
            "device": context.device.type,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "code": code_digest(PrunedVit, run_block, type(backbone)),
        }

    artifact = context.artifact("dense", inputs, build, copy=True)
    if fresh:
        rows = json.loads((artifact.folder / "measurements.json").read_text())
        renamed = [
            Measurement(**{**row, "metric": row["metric"].replace("eval/", "dense/")})
            for row in rows
            if row["metric"] in DENSE
        ]
        context.record(0, renamed)
    with np.load(artifact.folder / "predictions.npz") as table:
        return dict(table)


@torch.inference_mode()
def training_accuracy(context: RunContext, config: Rl4dvitConfig, backbone: TokenBackbone) -> float:
    """Return the share of some training images that the dense backbone gets right: where the
    steering of alpha begins. The evaluated images decide nothing.
    """
    split = training_split(context, config)
    count = min(STEERING_IMAGES, len(split.labels))
    chosen = context.generator("steering").permutation(len(split.labels))[:count]
    batches = [part for part in np.array_split(chosen, -(-count // 64)) if len(part)]
    vit = _whole(context, config, backbone)
    right = 0.0
    for images, part in zip(split.batches(batches, vit.image_size), batches, strict=True):
        labels = torch.from_numpy(split.labels[part]).to(context.device)
        logits = vit.classify(images).logits
        if config.classes == "dataset":
            right += float((logits[:, vit.targets].argmax(1) == labels).sum())
        else:
            right += float((logits.argmax(1) == vit.targets[labels]).sum())
    return max(right / count, 1 / count)


def _whole(context: RunContext, config: Rl4dvitConfig, backbone: TokenBackbone) -> PrunedVit:
    """Return the backbone with all its patches."""
    return PrunedVit(
        backbone,
        KeepAll(),  # it is never asked
        frozenset(),
        (),
        targets=targets_of(context, backbone),
        bf16=config.precision == "bf16",
    )


def compared(pruned: Table, dense: Table) -> list[Measurement]:
    """Return the differences from the dense backbone, image by image, in points.

    The spread is the standard deviation of the paired differences, so that value +- 1.96 spread /
    sqrt(n) is a 95 % interval.
    """
    measured = []
    for column, metric in (("correct", "eval/gain"), ("correct_task", "eval/gain_task")):
        gain = 100 * (pruned[column].astype(float) - dense[column].astype(float))
        measured.append(Measurement.of(metric, gain))
    saved = 100 * (1 - pruned["macs"].mean() / dense["macs"].mean())
    measured.append(Measurement("eval/macs_saved", saved, len(pruned["macs"])))
    kept, sure = pruned["kept"][:, -1].astype(float), dense["confidence"].astype(float)
    if kept.std() > 0 and sure.std() > 0:  # does an image that the backbone is sure of keep more?
        rank = np.corrcoef(_ranks(kept), _ranks(sure))[0, 1]
        measured.append(Measurement("eval/kept_by_confidence", float(rank), len(kept)))
    return measured


def _ranks(values: NDArray[Any]) -> NDArray[Any]:
    """Return ranks, ties sharing their mean."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values))
