"""Tests of whether two arms differ, and what many of them together mean."""

from __future__ import annotations

from itertools import combinations, product
from math import comb, nan

import numpy as np
from numpy.typing import ArrayLike

from rlvit.report.resampling import Array, differences, replicated, runs_of, tasks_of


def permutation_test(
    x: ArrayLike, y: ArrayLike, *, replicates: int = 10_000, seed: int = 0
) -> float:
    """Return the two-sided p-value of independent runs `x` and `y` having the same mean.

    Runs are exchanged between the arms, in every way if that is at most `replicates` ways. The
    smallest p-value of n and m runs is 1 / C(n + m, n), or twice that if n = m: 0.1 of 3 and 3.
    """
    ours, theirs = tasks_of([runs_of(x), runs_of(y)])
    runs = np.concatenate([ours, theirs])
    runs = runs - runs.mean()  # the sum over one arm is then proportional to the difference
    total, n = len(runs), len(ours)
    exact = comb(total, n) <= replicates
    if exact:
        arms = np.array(list(combinations(range(total), n)))  # [ways, n]
    else:
        arms = np.random.default_rng(seed).random((replicates, total)).argsort(-1)[:, :n]
    return _p_value(runs[arms].sum(-1), float(runs[:n].sum()), runs, exact=exact)


def sign_flip_test(x: ArrayLike, y: ArrayLike, *, replicates: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p-value of x - y, over the same items, having a mean of 0.

    Signs are flipped, in every way if that is at most `replicates` ways. The smallest p-value of
    n items is 2 / 2^n: 0.0625 of 5.
    """
    values = np.sort(differences(x, y))
    exact = 2 ** len(values) <= replicates
    if exact:
        signs = np.array(list(product((1.0, -1.0), repeat=len(values))))  # [ways, n]
        return _p_value(signs @ values, float(values.sum()), values, exact=True)

    def block(generator: np.random.Generator, size: int) -> Array:
        flipped = generator.integers(0, 2, (size, len(values)), dtype=np.int8)
        return np.asarray((1.0 - 2.0 * flipped) @ values)

    sums = replicated(block, len(values), replicates, seed)
    return _p_value(sums, float(values.sum()), values, exact=False)


def _p_value(sums: Array, actual: float, values: Array, *, exact: bool) -> float:
    """Return the share of `sums` as far from 0 as `actual`, which counts among drawn ones."""
    if not np.isfinite(values).all():
        return nan
    rounding = 1e-12 * float(np.abs(values).sum())
    as_far = int((np.abs(sums) >= abs(actual) - rounding).sum())
    return as_far / len(sums) if exact else (1 + as_far) / (1 + len(sums))


def holm(p_values: ArrayLike) -> Array:
    """Return p-values adjusted for their number, in their order; NaN stays and is not counted.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    values = np.asarray(p_values, dtype=float)
    order = values.argsort(kind="stable")[: int((~np.isnan(values)).sum())]
    adjusted = np.full(values.shape, nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.maximum.accumulate(values[order] * factors).clip(max=1.0)
    return adjusted
