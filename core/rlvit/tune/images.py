"""Wilcoxon's test over items, such as images: is a trial worse than the best one on the same?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlvit.errors import RlvitError
from rlvit.registry import studies
from rlvit.registry.records import TrialRecord
from rlvit.runs.items import item_table
from rlvit.tune.study import OpenStudy

P_VALUE = 0.1  # below it a trial is given up, as in Optuna's test over seeds
NAME = "name"  # the column that says which item a row is of


def worse_by(ours: ArrayLike, theirs: ArrayLike, direction: str) -> float:
    """Return p of the one-sided signed-rank test that paired values are worse.

    It is 1 where the mean is no worse, or there is nothing to compare.

    Args:
        ours, theirs: [items], of the same items in the same order.
        direction: "max" or "min".

    Source: Wilcoxon 1945; items without a difference count half for either side (`zsplit`).
    """
    from scipy.stats import wilcoxon

    sign = 1.0 if direction == "max" else -1.0
    gain = sign * (np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float))  # [items]
    if not np.isfinite(gain).all() or not gain.any() or gain.mean() >= 0:
        return 1.0
    return float(wilcoxon(gain, alternative="less", zero_method="zsplit").pvalue)


def worse_by_items(opened: OpenStudy, done: Sequence[str]) -> tuple[int, float] | None:
    """Compare a trial's runs, those of its first seeds, with the best trial's of the same seeds.

    Returns:
        The number of the best trial and p if this one is worse, None if not, or if there is none
        to compare with.

    Raises:
        RlvitError: a table is missing, or the two are not of the same items.
    """
    record = opened.record
    ((metric, direction),) = record.objectives.items()
    best = _best(opened, metric, direction)
    if best is None:
        return None
    pairs = [(run, best.runs[seed]) for seed, run in zip(record.seeds, done, strict=False)]
    column = str(record.pruner["column"])
    ours, theirs = (
        _mean([item_table(opened.store.engine, opened.home, pair[side]) for pair in pairs], column)
        for side in (0, 1)
    )
    if not np.array_equal(ours[0], theirs[0]):
        raise RlvitError(f"trial {best.number} was measured on other items.")
    p_value = worse_by(ours[1], theirs[1], direction)
    return (best.number, p_value) if p_value < P_VALUE else None


def _best(opened: OpenStudy, metric: str, direction: str) -> TrialRecord | None:
    """Return the completed trial with the best value that has a run for each seed."""
    record, sign = opened.record, 1.0 if direction == "max" else -1.0
    finished = [
        trial
        for trial in studies.list_trials(opened.store.engine, record.name)
        if trial.state == "completed" and trial.values and set(record.seeds) <= set(trial.runs)
    ]
    return max(finished, key=lambda t: sign * (t.values or {})[metric], default=None)


def _mean(
    tables: Sequence[Mapping[str, NDArray[Any]]], column: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the items' names and the mean over tables of each item's value."""
    names = tables[0][NAME]
    for table in tables:
        if column not in table or not np.array_equal(table[NAME], names):
            raise RlvitError(f"the tables of a trial's runs have no column {column} in common.")
    return names, np.mean([table[column].astype(float) for table in tables], axis=0)
