"""Simulated coverage: how often a 95 % interval of a report holds the truth.

Each test allows what its own simulation can tell, three standard errors, and so would fail of
chance once in 370 times if the seeds were not fixed. `docs/reports.md` states the limits.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from scipy.stats import binom

from rlvit.report import stats
from rlvit.report.stats import Interval

EXPERIMENTS = 1000
DRAWN = {"replicates": 300}
Experiment = Callable[[np.random.Generator, int, int], Interval]


def coverage(experiment: Experiment, n: int, truth: float = 0.0) -> float:
    """Return the share of experiments whose interval holds the truth."""
    generator = np.random.default_rng(n)
    found = [experiment(generator, n, seed) for seed in range(EXPERIMENTS)]
    return float(np.mean([low <= truth <= high for _, low, high in found]))


def within(found: float, low: float = 0.93, high: float = 0.97) -> bool:
    """Tell whether a simulated coverage is what an interval between two coverages would give."""
    below, above = (3 * sqrt(p * (1 - p) / EXPERIMENTS) for p in (low, high))
    return low - below <= found <= high + above


def mean(generator: np.random.Generator, n: int, seed: int) -> Interval:
    return stats.mean_interval(generator.normal(size=n), seed=seed, **DRAWN)


def paired(generator: np.random.Generator, n: int, seed: int) -> Interval:
    items = generator.normal(size=n) * 5
    x, y = (items + generator.normal(size=n) for _ in range(2))
    return stats.paired(x, y, seed=seed, **DRAWN)


def difference(generator: np.random.Generator, n: int, seed: int) -> Interval:
    x, y = generator.normal(size=n), 3 * generator.normal(size=n)
    return stats.difference(x, y, seed=seed, **DRAWN)


def expanded_iqm(generator: np.random.Generator, n: int, seed: int) -> Interval:
    return iqm(generator, n, seed, expanded=True)


def iqm(generator: np.random.Generator, n: int, seed: int, expanded: bool = False) -> Interval:
    scores = np.linspace(0.3, 2.0, 8) * generator.normal(size=(n, 8))
    return stats.bootstrap(scores, stats.iqm, seed=seed, expanded=expanded, **DRAWN)


def improvement(generator: np.random.Generator, n: int, seed: int) -> Interval:
    x, y = generator.normal(size=(2, n, 8))
    return stats.probability_of_improvement(x, y, seed=seed, **DRAWN)


@pytest.mark.parametrize("n", [5, 10, 50])
@pytest.mark.parametrize("experiment", [mean, paired, difference, expanded_iqm])
def test_intervals_cover_in_95_of_100_cases(experiment: Experiment, n: int) -> None:
    assert within(coverage(experiment, n))


@pytest.mark.parametrize(("n", "low"), [(5, 0.89), (10, 0.92), (50, 0.93)])
def test_plain_intervals_of_few_runs_cover_as_documented(n: int, low: float) -> None:
    assert within(coverage(iqm, n), low)
    assert within(coverage(improvement, n, 0.5), low)


@pytest.mark.parametrize(("n", "documented"), [(5, 0.88), (10, 0.905), (50, 0.935)])
def test_means_of_skewed_runs_cover_as_documented(n: int, documented: float) -> None:
    def skewed(generator: np.random.Generator, n: int, seed: int) -> Interval:
        return stats.mean_interval(generator.exponential(size=n), seed=seed, **DRAWN)

    assert within(coverage(skewed, n, 1.0), documented - 0.01, documented + 0.01)


@pytest.mark.parametrize(("n", "lowest"), [(5, 0.89), (10, 0.91), (50, 0.93), (10_000, 0.948)])
def test_wilson_covers_as_documented(n: int, lowest: float) -> None:
    shares, right = np.linspace(0.1, 0.9, 161), np.arange(n + 1)
    ends = np.array([stats.wilson(int(k), n)[1:] for k in right])
    covered = np.zeros_like(shares)
    for place, share in enumerate(shares):  # exact: no simulation
        inside = (ends[:, 0] <= share) & (ends[:, 1] >= share)
        covered[place] = binom.pmf(right[inside], n, share).sum()
    assert covered.min() >= lowest
    assert 0.945 <= covered.mean() <= 0.96
