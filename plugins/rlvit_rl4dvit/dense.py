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

from rlvit.contracts import Measurement, RunContext, TokenBackbone
from rlvit.nn.pruning import PrunedVit
from rlvit_rl4dvit.backbone import targets_of
from rlvit_rl4dvit.config import Rl4dvitConfig

Table = Mapping[str, NDArray[Any]]
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
    vit = PrunedVit(
        backbone,
        KeepAll(),  # type-checked as a selector nowhere: it is never asked
        frozenset(),
        (),
        targets=targets_of(context, backbone),
        bf16=config.precision == "bf16",
    )

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


def dense_accuracy(dense: Table) -> float:
    """Return the share of images that the dense backbone gets right among the task's classes."""
    return max(float(dense["correct_task"].mean()), 0.01)


def compared(pruned: Table, dense: Table) -> list[Measurement]:
    """Return the differences from the dense backbone, image by image, in points.

    The spread is the standard deviation of the paired differences, so that value +- 1.96 spread /
    sqrt(n) is a 95 % interval.
    """
    measured = []
    for column, metric in (("correct", "eval/gain"), ("correct_task", "eval/gain_task")):
        gain = 100 * (pruned[column].astype(float) - dense[column].astype(float))
        measured.append(Measurement(metric, gain.mean(), len(gain), gain.std(ddof=1)))
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
