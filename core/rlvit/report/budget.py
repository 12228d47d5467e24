"""What a result cost: steps, frames seen before learning, computing time, multiply-adds, tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

from rlvit.report.cells import Cell, Column, Table, count_cell, slug, text_cell
from rlvit.report.model import Arm, Evidence

# Names that methods give to these in their configuration.
STEPS = ("steps", "environment_steps", "env_steps")
PRETRAINING = ("frames", "pretraining_frames", "pretrain_frames")
SKIP = "frame_skip"
# Metrics, the first that a run has.
GMACS = ("eval/gmacs", "select/gmacs")
WHOLE_GMACS = ("dense/gmacs",)
KEPT = ("eval/kept", "select/kept")
UPDATES = "updates"  # axis of metrics whose step counts training updates


@dataclass(frozen=True)
class Item:
    """A column of the budget."""

    column: Column
    read: Callable[[Arm, Evidence], float | None]  # one run's, None where nothing is known
    digits: int | None  # significant ones; None for whole numbers
    metrics: tuple[str, ...] = ()  # that it shows
    brief: bool = True  # beside every result, else in the budget's own table alone


def budget(
    arms: Sequence[Arm], evidence: Evidence, *, shown: Collection[str] = (), brief: bool = True
) -> list[tuple[Column, list[Cell]]]:
    """Return the columns of which at least one arm knows the value, with a cell for each arm.

    Args:
        shown: metrics that have a column already.
        brief: only what stands beside every result.
    """
    found = []
    for item in ITEMS:
        if (brief and not item.brief) or any(metric in shown for metric in item.metrics):
            continue
        values = [item.read(arm, evidence) for arm in arms]
        if any(value is not None for value in values):
            found.append((item.column, [count_cell(value, item.digits) for value in values]))
    return found


def budget_table(protocol: str, arms: Sequence[Arm], evidence: Evidence) -> Table:
    """Return what the arms under one protocol cost, over all tasks."""
    columns = [
        Column("arm", "arm", "text"),
        Column("task", "task", "text"),
        Column("runs", "runs", "count"),
    ]
    heads = [
        [text_cell(arm.label), text_cell(arm.task), count_cell(len(arm.trials))] for arm in arms
    ]
    spent = budget(arms, evidence, brief=False)
    devices = [sorted({trial.device for trial in arm.trials if trial.device}) for arm in arms]
    rows = [
        (*head, *(cells[i] for _, cells in spent), text_cell(", ".join(devices[i])))
        for i, head in enumerate(heads)
    ]
    return Table(
        kind="budget",
        slug=slug("budget", protocol),
        title=f"Budget under {protocol}",
        caption="What each arm cost, the mean of its runs. Environment steps are those of learning;"
        " frames seen in pre-training come on top of them. Emulator frames are environment steps"
        " times the frame skip. Tuning trials are all those of the studies that tried this very"
        " configuration. Hours are computing time of one run on"
        " the device named, without what went into shared artifacts that another run had made, such"
        " as pre-trained networks; GMACs are 10⁹ multiply-adds a decision, with what the selector"
        " costs.",
        columns=(*columns, *(c for c, _ in spent), Column("device", "device", "text", wide=True)),
        rows=tuple(rows),
        protocol=protocol,
    )


def _configured(names: Sequence[str]) -> Callable[[Arm, Evidence], float | None]:
    def read(arm: Arm, evidence: Evidence) -> float | None:
        for name in names:
            value = arm.config.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        return None

    return read


def _measured(names: Sequence[str]) -> Callable[[Arm, Evidence], float | None]:
    def read(arm: Arm, evidence: Evidence) -> float | None:
        for name in names:
            values = [t.results[name].value for t in arm.trials if name in t.results]
            finite = [value for value in values if math.isfinite(value)]
            if values:
                return fmean(finite) if finite else math.nan
        return None

    return read


def _emulator_frames(arm: Arm, evidence: Evidence) -> float | None:
    steps = _configured(STEPS)(arm, evidence)
    known = (arm.settings, evidence.facts.get(arm.task, {}), arm.config)
    skip = next((of[SKIP] for of in known if SKIP in of), None)
    if steps is None or not isinstance(skip, int | float):
        return None
    return steps * skip


def _updates(arm: Arm, evidence: Evidence) -> float | None:
    """Return the updates behind the finished model, where its results count them."""
    latest = []
    for trial in arm.trials:
        named = [(evidence.metrics.get(name), value) for name, value in trial.results.items()]
        steps = [value.step for metric, value in named if metric and metric.axis == UPDATES]
        latest += [max(steps)] if steps else []
    return fmean(latest) if latest else None


def _tuning_trials(arm: Arm, evidence: Evidence) -> float | None:
    """Return what was spent on tuning; None where no arm of the report was tuned in a study."""
    return float(evidence.tuning.get(arm.fingerprint, 0)) if evidence.tuning else None


def _hours(arm: Arm, evidence: Evidence) -> float | None:
    return fmean(trial.seconds for trial in arm.trials) / 3600 if arm.trials else None


def _all_hours(arm: Arm, evidence: Evidence) -> float | None:
    return sum(trial.seconds for trial in arm.trials) / 3600 if arm.trials else None


def _column(name: str, title: str, unit: str = "") -> Column:
    return Column(f"budget/{name}", title, "count", unit)


ITEMS = (
    Item(_column("steps", "environment steps"), _configured(STEPS), None),
    Item(_column("emulator_frames", "emulator frames"), _emulator_frames, None),
    Item(_column("pretraining_frames", "pre-training frames"), _configured(PRETRAINING), None),
    Item(_column("updates", "updates"), _updates, None),
    Item(_column("tuning_trials", "tuning trials"), _tuning_trials, None),
    Item(_column("hours", "hours a run"), _hours, 3),
    Item(_column("all_hours", "hours in all"), _all_hours, 3, brief=False),
    Item(_column("gmacs", "GMACs"), _measured(GMACS), 4, metrics=GMACS),
    Item(_column("whole_gmacs", "GMACs of all tokens"), _measured(WHOLE_GMACS), 4, brief=False),
    Item(_column("kept", "kept tokens"), _measured(KEPT), 4, metrics=KEPT),
)
