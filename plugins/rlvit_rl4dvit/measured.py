"""Runs as `prune-curve` compares them: one record for each stage at which a run was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHOD, AGENTS = "rl4dvit", "token-agents"
BEFORE, AFTER = "before", "after"  # fine-tuning
TOLERANCE = 0.03  # of the GMACs: a control run this near costs the same
REPLICATES = 10_000
METRICS = {"top1_task": "correct_task", "top1": "correct"}  # metric -> column
COLUMNS = ("name", "correct", "correct_task", "kept", "macs")
# What else must agree before two fine-tuned backbones are compared.
TUNING = (
    "augment", "mixup", "cutmix", "classes", "finetune_epochs", "finetune_batch", "finetune_lr",
    "finetune_warmup", "weight_decay", "label_smoothing",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A run as it was measured before or after fine-tuning."""

    run: str
    seed: int
    task: str
    protocol: str
    backbone: str
    weights: str  # hash of what the run began with
    selector: str
    stage: str
    config: Mapping[str, Any]
    same: str  # runs with this in common may be compared: task, images, protocol, backbone
    table: Mapping[str, NDArray[Any]]  # a row an image
    dense: Mapping[str, NDArray[Any]]  # of the backbone with all patches

    @property
    def gmacs(self) -> float:
        """10^9 multiply-adds, the mean of an image."""
        return float(self.table["macs"].mean()) / 1e9

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks before which is decided."""
        return tuple(int(block) for block in str(self.config["decision_blocks"]).split(","))

    @property
    def conditions(self) -> tuple[Any, ...]:
        """What must be equal in a control run."""
        tuning = [self.config.get(name) for name in TUNING] if self.stage == AFTER else []
        return (self.same, self.stage, self.blocks, *tuning)


@dataclass(frozen=True)
class Pair:
    """A run's accuracy minus another's on the same images, in points."""

    task: str
    run: str
    seed: int
    stage: str
    gmacs: float
    against: str  # dense, or a selector
    other: str  # that run; "-" for dense
    other_gmacs: float
    metric: str
    n: int
    difference: float
    low: float  # of the 95 % interval
    high: float
    only_run: int  # images that the run alone gets right
    only_other: int
