"""Statistics of runs: point values with intervals, as pure functions of arrays.

Everywhere `scores` is one of

- an array of one dimension: the runs of one task;
- a matrix [runs, tasks];
- a sequence of one-dimensional arrays, the runs of each task, whose lengths may differ.

A score that is not a number is never dropped: the value is then NaN and has no interval. An
interval that cannot be had, as of a single run, is NaN on both sides. No result depends on the
order of the runs, and the same seed gives the same result.

Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical
Precipice", for the interquartile mean, the optimality gap, the bootstrap stratified by task,
the probability of improvement and performance profiles.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan, sqrt
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from rlvit.report.resampling import (
    Array,
    Band,
    Interval,
    counts,
    differences,
    drawn,
    drawn_counts,
    each_task,
    expanded_tail,
    no_interval,
    percentiles,
    replicated,
    resamples,
    runs_of,
    student,
    tail,
    tasks_of,
)
from rlvit.report.significance import holm, permutation_test, sign_flip_test
from rlvit.scores import wilson_interval

__all__ = [
    "FEWEST",
    "STUDENT_BELOW",
    "Array",
    "Band",
    "Interval",
    "Statistic",
    "bootstrap",
    "difference",
    "holm",
    "iqm",
    "mean",
    "mean_interval",
    "median",
    "optimality_gap",
    "paired",
    "performance_profile",
    "permutation_test",
    "probability_of_improvement",
    "samples_interval",
    "sign_flip_test",
    "wilson",
]

# Is given runs [..., runs] of one task, or a list of such arrays, one of each task.
Statistic: TypeAlias = Callable[[Any], Any]

FEWEST = 5  # runs below which an interval is a rough guess if scores are skewed, as returns are
STUDENT_BELOW = 10  # runs below which resampling understates the spread of a mean


def mean(scores: ArrayLike, axis: int = -1) -> Array:
    """Return the mean along `axis`; of a sequence of tasks, the mean of the tasks' means."""
    tasks = each_task(scores)
    if tasks is None:
        return np.asarray(np.mean(np.asarray(scores, dtype=float), axis=axis))
    return np.asarray(np.mean([task.mean(-1) for task in tasks], axis=0))


def median(scores: ArrayLike, axis: int = -1) -> Array:
    """Return the median along `axis`; of a sequence of tasks, the median of the tasks' means."""
    tasks = each_task(scores)
    if tasks is None:
        return np.asarray(np.median(np.asarray(scores, dtype=float), axis=axis))
    return np.asarray(np.median([task.mean(-1) for task in tasks], axis=0))


def optimality_gap(scores: ArrayLike, target: float = 1.0, axis: int = -1) -> Array:
    """Return by how much scores miss `target` on average; what exceeds it counts as `target`."""
    tasks = each_task(scores)
    if tasks is None:
        return target - mean(np.minimum(np.asarray(scores, dtype=float), target), axis)
    return target - mean([np.minimum(task, target) for task in tasks])


def iqm(scores: ArrayLike, axis: int = -1) -> Array:
    """Return the mean of the middle half of the scores along `axis`, or of all tasks together.

    A quarter of the runs is cut off at each end, rounded down to whole runs. Tasks with unequal
    numbers of runs are weighed equally, and the cut is then exact.
    """
    tasks = each_task(scores)
    if tasks is None:
        values = np.moveaxis(np.asarray(scores, dtype=float), axis, -1).copy()
    elif len(set(counts(tasks))) > 1:
        return _weighted_iqm(tasks)
    else:
        values = np.concatenate(tasks, axis=-1)
    count = values.shape[-1]
    values.sort(axis=-1)  # with vector instructions 6 times as fast as partitioning
    middle = values[..., count // 4 : count - count // 4].mean(-1)
    return np.where(np.isnan(values[..., -1]), nan, middle)  # NaN is sorted last


def _weighted_iqm(tasks: list[Array]) -> Array:
    """Return the mean of the middle half of the weight, which the tasks share equally."""
    pooled = np.concatenate(tasks, axis=-1)
    weight = np.concatenate([np.full(n, 1 / (n * len(tasks))) for n in counts(tasks)])
    order = pooled.argsort(axis=-1)
    values = np.take_along_axis(pooled, order, axis=-1)
    inside = weight[order].cumsum(-1).clip(0.25, 0.75)
    kept = np.diff(inside, prepend=0.25, axis=-1)
    middle = (np.where(kept > 0, values, 0.0) * kept).sum(-1) / kept.sum(-1)
    return np.where(np.isnan(values[..., -1]), nan, middle)


def bootstrap(
    scores: ArrayLike,
    statistic: Statistic,
    *,
    replicates: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    expanded: bool = False,
) -> Interval:
    """Return a statistic and its percentile bootstrap interval, runs resampled within each task.

    `statistic` is `iqm`, `mean`, `median`, `optimality_gap` or the like. For scores of one
    dimension it is given an array, [runs] and [replicates, runs], otherwise a list with such an
    array of each task, and it returns one number a replicate. `expanded` takes more extreme
    percentiles, which make up for few runs (`resampling.expanded_tail`).

    Measured coverage of 95 % intervals, plain and expanded, over 26 games whose levels spread as
    Atari's do, 750 to 1,000 experiments (standard error 0.7 to 1.5 points):

    | runs a game    | 3           | 5           | 10          | 50          |
    |----------------|-------------|-------------|-------------|-------------|
    | IQM, normal    | 87.5, 92.8  | 90.7, 93.3  | 93.3, 95.4  | 94.2, 94.3  |
    | IQM, skewed    | 86.8, 94.0  | 91.6, 94.9  | 92.5, 93.6  | 93.9, 94.4  |
    | mean, skewed   |             | 88.4, 92.0  | 90.7, 92.7  |             |
    | gap, skewed    |             | 91.3, 95.1  | 92.3, 93.6  |             |
    | median, skewed |             | 77.6, 83.5  | 88.8, 90.4  |             |

    (Normal: a standard deviation of 0.4 of the level; skewed: exponential.) So a plain interval of
    fewer than 10 runs a game promises too much, and that of a median is not to be relied on.

    Raises:
        ValueError: if there are no runs, or `statistic` does not return one number a replicate.
    """
    tasks = tasks_of(scores)
    single = each_task(scores) is None and np.ndim(scores) == 1

    def block(generator: np.random.Generator, size: int) -> Array:
        sample = drawn(generator, size, tasks)
        values = np.asarray(statistic(sample[0] if single else sample))
        if values.shape != (size,):
            raise ValueError(f"the statistic of {size} resamples has the shape {values.shape}")
        return values

    with np.errstate(invalid="ignore"):
        value = float(statistic(tasks[0] if single else tasks))
    if not resamples(tasks):
        return no_interval(value)
    values = replicated(block, sum(counts(tasks)), replicates, seed)
    return percentiles(
        value, values, expanded_tail(level, counts(tasks)) if expanded else tail(level)
    )


def mean_interval(
    values: ArrayLike, *, replicates: int = 10_000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the mean of one task's runs and its interval.

    By the expanded percentile bootstrap, or by Student's t of fewer than `STUDENT_BELOW` runs: no
    resampled mean lies outside the runs themselves, which hold the true mean in only 50, 75 and
    88 % of cases if they are 2, 3 and 4.

    Measured coverage of 95 % intervals (2,000 experiments): normal runs 94.9, 93.8 and 95.0 % for
    5, 10 and 50; exponential ones, as skewed as a bad game's returns, 88.8, 90.7 and 93.5 %.
    """
    runs = runs_of(values)
    value = float(runs.mean()) if len(runs) else nan
    if not resamples([runs]):
        return no_interval(value)
    if len(runs) < STUDENT_BELOW:
        return student(value, float(runs.std(ddof=1)) / sqrt(len(runs)), len(runs) - 1, level)
    distinct, times = np.unique(runs, return_counts=True)
    if 8 * len(distinct) > len(runs):
        return bootstrap(runs, mean, replicates=replicates, level=level, seed=seed, expanded=True)

    def block(generator: np.random.Generator, size: int) -> Array:
        often = generator.multinomial(len(runs), times / len(runs), size)  # [size, distinct]
        return np.asarray(often @ distinct / len(runs))

    # Many ties, as of right and wrong answers: how often each value is drawn is drawn at once.
    means = replicated(block, len(distinct), replicates, seed)
    return percentiles(value, means, expanded_tail(level, [len(runs)]))


def paired(
    x: ArrayLike,
    y: ArrayLike,
    *,
    replicates: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean of x - y over the same items (images, seeds) and its interval.

    The items are resampled, as in `mean_interval`.

    Raises:
        ValueError: if `x` and `y` do not have as many items.
    """
    return mean_interval(differences(x, y), replicates=replicates, level=level, seed=seed)


def difference(
    x: ArrayLike,
    y: ArrayLike,
    *,
    replicates: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return mean(x) - mean(y) of independent runs of one task and its interval.

    By the expanded percentile bootstrap, or by Welch's t if either has fewer than
    `STUDENT_BELOW` runs.
    """
    ours, theirs = groups = tasks_of([runs_of(x), runs_of(y)])
    value = float(ours.mean() - theirs.mean())
    if not resamples(groups):
        return no_interval(value)
    if min(counts(groups)) >= STUDENT_BELOW:
        return bootstrap(
            groups,
            lambda sample: mean(sample[0]) - mean(sample[1]),
            replicates=replicates,
            level=level,
            seed=seed,
            expanded=True,
        )
    a, b = (float(group.var(ddof=1)) / len(group) for group in groups)
    shares = a * a / (len(ours) - 1) + b * b / (len(theirs) - 1)
    freedom = (a + b) ** 2 / shares if shares else 1.0  # Welch 1947
    return student(value, sqrt(a + b), freedom, level)


def samples_interval(value: float, spread: float | None, n: int, level: float = 0.95) -> Interval:
    """Return the interval of the mean of the `n` episodes or images of one run.

    By the normal distribution. It says nothing about what another seed would give.

    Args:
        value: their mean.
        spread: their sample standard deviation, if it is known.
        n: how many they are.
        level: how often the interval holds the true mean.
    """
    if spread is None or n < 2:
        return no_interval(value)
    reach = -NormalDist().inv_cdf(tail(level)) * spread / sqrt(n)
    return Interval(value, value - reach, value + reach)


def wilson(successes: float, n: int, level: float = 0.95) -> Interval:
    """Return the share of successes among `n` trials, such as an accuracy, and its interval.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".

    Raises:
        ValueError: if there are not between 0 and `n` successes.
    """
    if n == 0:
        return no_interval(nan)
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} trials: expected 0 to {n}")
    share, z = successes / n, -NormalDist().inv_cdf(tail(level))
    low, high = wilson_interval(share, n, z)
    return Interval(share, float(low), float(high))


def probability_of_improvement(
    x: ArrayLike,
    y: ArrayLike,
    *,
    replicates: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return how probable it is that a run of `x` beats a run of `y`, averaged over tasks.

    A tie counts half. Runs of both arms are resampled within each task. Where every run of `x`
    beats every run of `y` the interval has no width, however few they are: between arms that do
    not differ that happens once in 20 times with 3 runs each.

    Measured coverage of 95 % intervals (1,500 experiments, normal runs, apart by 0 and 0.8
    standard deviations): one task 80 and 77 % for 3 runs, 89 and 89 % for 5, 95 and 93 % for 10,
    94 and 94 % for 50; 26 tasks 92 and 93 % for 3, 93 and 93 % for 5, 94 and 94 % for 10.

    Raises:
        ValueError: if `x` and `y` do not have as many tasks.
    """
    ours, theirs = tasks_of(x), tasks_of(y)
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} tasks: expected the same tasks")
    wins = [_wins(a, b) for a, b in zip(ours, theirs, strict=True)]  # each [n, m]
    value = float(np.mean([win.mean() for win in wins]))
    if np.isnan(value) or min(counts(ours + theirs)) < 2:
        return no_interval(value)

    def block(generator: np.random.Generator, size: int) -> Array:
        total = np.zeros(size)
        for win in wins:
            rows, columns = (drawn_counts(generator, size, n) for n in win.shape)
            total += ((rows @ win) * columns).sum(-1) / win.size
        return total / len(wins)

    values = replicated(block, max(counts(ours + theirs)), replicates, seed)
    return percentiles(value, values, tail(level))


def _wins(x: Array, y: Array) -> Array:
    """Return [n, m]: 1 where a run of `x` [n] beats one of `y` [m], 0.5 for a tie, or NaN."""
    wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    return np.where(np.isnan(x)[:, None] | np.isnan(y), nan, wins)


def performance_profile(
    scores: ArrayLike,
    taus: ArrayLike,
    *,
    replicates: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Band:
    """Return the share of runs that score above each of `taus` [K], averaged over tasks.

    The band is pointwise. Measured coverage of 95 % intervals over 26 games, exponential runs, 500
    experiments: 92 to 94 % for 5 runs a game, 89 to 92 % for 10.
    """
    tasks, limits = tasks_of(scores), np.asarray(taus, dtype=float)
    nothing = np.full(limits.shape, nan)
    if any(bool(np.isnan(task).any()) for task in tasks):
        return Band(nothing, nothing, nothing)
    above = [(task[:, None] > limits).astype(float) for task in tasks]  # each [n, K]
    value = np.asarray(np.mean([task.mean(0) for task in above], axis=0))
    if min(counts(tasks)) < 2:
        return Band(value, nothing, nothing)

    def block(generator: np.random.Generator, size: int) -> Array:
        shares = [drawn_counts(generator, size, len(task)) @ task / len(task) for task in above]
        return np.asarray(np.mean(shares, axis=0))  # [size, K]

    values = replicated(block, sum(counts(tasks)) + limits.size * len(tasks), replicates, seed)
    low, high = np.quantile(values, (tail(level), 1 - tail(level)), axis=0)
    return Band(value, low, high)
