"""The resampling under the statistics: drawing runs, in blocks, and reading intervals off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan, sqrt
from statistics import NormalDist
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Array: TypeAlias = NDArray[np.float64]

BLOCK = 2**16  # values drawn at a time: half a MiB, which stays in the processor's cache


class Interval(NamedTuple):
    """A number and the interval around it; NaN where there is none."""

    value: float
    low: float
    high: float


class Band(NamedTuple):
    """Numbers [K] and the pointwise intervals around them."""

    value: Array
    low: Array
    high: Array


def each_task(scores: ArrayLike) -> list[Array] | None:
    """Return the arrays of a sequence of arrays, None if `scores` is a single array."""
    if isinstance(scores, list | tuple) and len(scores) and all(map(np.ndim, scores)):
        return [np.asarray(task, dtype=float) for task in scores]
    return None


def runs_of(values: ArrayLike) -> Array:
    """Return the runs of one task, sorted, so that their order cannot matter.

    Raises:
        ValueError: if they are not one-dimensional.
    """
    runs = np.sort(np.asarray(values, dtype=float))
    if runs.ndim != 1:
        raise ValueError(f"the runs of a task have the shape {runs.shape}: expected one dimension")
    return runs


def tasks_of(scores: ArrayLike) -> list[Array]:
    """Return the sorted runs of each task of an array, a matrix or a sequence of arrays.

    Raises:
        ValueError: if a task has no runs, or the shape is none of these.
    """
    tasks = each_task(scores)
    if tasks is None:
        matrix = np.asarray(scores, dtype=float)  # [runs] or [runs, tasks]
        if matrix.ndim not in (1, 2):
            raise ValueError(f"scores have the shape {matrix.shape}: expected [runs, tasks]")
        tasks = list(matrix.T) if matrix.ndim == 2 else [matrix]
    if not tasks or not all(map(len, tasks)):
        raise ValueError("a task without runs: expected one score or more")
    return [runs_of(task) for task in tasks]


def differences(x: ArrayLike, y: ArrayLike) -> Array:
    """Return x - y, item by item.

    Raises:
        ValueError: if `x` and `y` are not one-dimensional and equally long.
    """
    ours, theirs = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if ours.ndim != 1 or ours.shape != theirs.shape:
        raise ValueError(f"{ours.shape} and {theirs.shape}: expected values of the same items")
    return np.asarray(ours - theirs)


def counts(tasks: Sequence[Array]) -> list[int]:
    """Return how many runs each task has."""
    return [task.shape[-1] for task in tasks]


def resamples(tasks: Sequence[Array]) -> bool:
    """Say whether resampling can tell anything: finite numbers, two runs or more of each task."""
    return min(counts(tasks)) >= 2 and all(bool(np.isfinite(task).all()) for task in tasks)


def replicated(
    block: Callable[[np.random.Generator, int], Array], width: int, replicates: int, seed: int
) -> Array:
    """Return `replicates` results of `block(generator, size)`, `width` values drawn for each.

    Raises:
        ValueError: if no replicates are asked for.
    """
    if replicates < 1:
        raise ValueError(f"{replicates} replicates: expected 1 or more")
    generator, step = np.random.default_rng(seed), max(1, BLOCK // width)
    sizes = [min(step, replicates - start) for start in range(0, replicates, step)]
    return np.concatenate([block(generator, size) for size in sizes])


def drawn(generator: np.random.Generator, size: int, tasks: Sequence[Array]) -> list[Array]:
    """Return `size` resamples [size, n] of the n runs of each task."""
    if len(set(counts(tasks))) > 1:
        return [task[generator.integers(0, len(task), (size, len(task)))] for task in tasks]
    runs = len(tasks[0])
    places = generator.integers(0, runs, (len(tasks), size, runs))  # at once: fewer calls
    return [task.take(chosen) for task, chosen in zip(tasks, places, strict=True)]


def drawn_counts(generator: np.random.Generator, size: int, n: int) -> Array:
    """Return how often each of `n` runs is in each of `size` resamples: [size, n]."""
    places = generator.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
    return np.bincount(places.ravel(), minlength=size * n).reshape(size, n).astype(float)


def tail(level: float) -> float:
    """Return the probability below an interval of this level.

    Raises:
        ValueError: if the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level of {level}: expected one between 0 and 1, such as 0.95")
    return (1 - level) / 2


def expanded_tail(level: float, runs: Sequence[int]) -> float:
    """Return the smaller probability that makes up for few runs of each task.

    A resample spreads (n - 1) / n as widely as the runs' population, and its spread is itself an
    estimate; both are undone as if the statistic were normal.

    Source: Hesterberg 2015, "What Teachers Should Know About the Bootstrap", section 5.3.
    """
    freedom = sum(runs) - len(runs)
    reach = stdtrit(freedom, tail(level)) * sqrt(sum(runs) / freedom)
    return NormalDist().cdf(float(reach))


def percentiles(value: float, replicates: Array, below: float) -> Interval:
    """Return the interval that leaves out a share `below` of the replicates at each end."""
    low, high = np.quantile(replicates, (below, 1 - below)).tolist()
    return Interval(value, low, high)


def student(value: float, error: float, freedom: float, level: float) -> Interval:
    """Return the interval of Student's t around a value with this standard error."""
    reach = -float(stdtrit(freedom, tail(level))) * error
    return Interval(value, value - reach, value + reach)


def no_interval(value: float) -> Interval:
    """Return a value of which nothing more is known."""
    return Interval(value, nan, nan)
