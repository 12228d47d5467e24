"""How often the 95 % intervals of reports hold the truth, over simulated experiments.

    python bench/interval_coverage.py [--experiments 4000]

Runs are drawn from a distribution whose mean is known: normal, or exponential, as skewed as the
returns of a bad game. Wilson's coverage is summed exactly over all outcomes instead.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import click
import numpy as np
from scipy.stats import binom

from rlvit.report import stats
from rlvit.report.resampling import Array, Interval

GAMES = 26
COUNTS = (5, 10, 50)
REPLICATES = 1_000
SHARES = np.linspace(0.1, 0.9, 161)  # true accuracies

Draw = Callable[[tuple[int, ...]], Array]  # of a shape, with mean 0


def draws(generator: np.random.Generator) -> dict[str, Draw]:
    """Return the distributions of runs."""
    return {
        "normal": lambda shape: generator.normal(size=shape),
        "skewed": lambda shape: generator.exponential(size=shape) - 1,
    }


def mean(draw: Draw, n: int, seed: int) -> Interval:
    """Return the interval of a mean over seeds."""
    return stats.mean_interval(draw((n,)), replicates=REPLICATES, seed=seed)


def paired(draw: Draw, n: int, seed: int) -> Interval:
    """Return that of a difference over the same seeds, which differ much from each other."""
    shared = 3 * draw((n,))
    return stats.paired(shared + draw((n,)), shared + draw((n,)), replicates=REPLICATES, seed=seed)


def difference(draw: Draw, n: int, seed: int) -> Interval:
    """Return that of a difference between two arms, one spread twice as widely."""
    return stats.difference(draw((n,)), 2 * draw((n,)), replicates=REPLICATES, seed=seed)


def iqm(draw: Draw, n: int, seed: int) -> Interval:
    """Return that of the interquartile mean over games, as reports print it."""
    spread = np.linspace(0.3, 2.0, GAMES)
    return stats.bootstrap(spread * draw((n, GAMES)), stats.iqm, replicates=REPLICATES, seed=seed)


def improvement(draw: Draw, n: int, seed: int) -> Interval:
    """Return that of the probability of improvement between arms that do not differ."""
    x, y = draw((n, GAMES)), draw((n, GAMES))
    return stats.probability_of_improvement(x, y, replicates=REPLICATES, seed=seed)


KINDS: dict[str, Callable[[Draw, int, int], Interval]] = {
    "mean": mean,
    "paired difference": paired,
    "difference of arms": difference,
    f"IQM, {GAMES} games": iqm,
    f"improvement, {GAMES} games": improvement,
}


def truth(kind: str, shape: str) -> float:
    """Return what an interval should hold; that of a skewed IQM is simulated."""
    if kind.startswith("improvement"):
        return 0.5
    if kind.startswith("IQM") and shape == "skewed":
        generator = np.random.default_rng(99)
        pooled = np.linspace(0.3, 2.0, GAMES) * draws(generator)[shape]((200_000, GAMES))
        return float(stats.iqm(pooled.ravel()))
    return 0.0


def coverage(kind: str, shape: str, n: int, experiments: int) -> float:
    """Return the share of experiments whose interval holds the truth."""
    draw, hits = draws(np.random.default_rng(n))[shape], 0
    wanted = truth(kind, shape)
    for seed in range(experiments):
        _, low, high = KINDS[kind](draw, n, seed)
        hits += low <= wanted <= high
    return hits / experiments


def wilson(n: int) -> tuple[float, float]:
    """Return the mean and the lowest coverage over true accuracies of 10 to 90 %."""
    successes = np.arange(n + 1)
    ends = np.array([stats.wilson(int(k), n)[1:] for k in successes])
    inside = (ends[:, :1] <= SHARES) & (ends[:, 1:] >= SHARES)  # [outcomes, shares]
    found = (binom.pmf(successes[:, None], n, SHARES) * inside).sum(axis=0)
    return float(found.mean()), float(found.min())


@click.command()
@click.option("--experiments", default=4_000, show_default=True)
def main(experiments: int) -> None:
    """Print the coverage of each interval as a table."""
    error = sqrt(0.95 * 0.05 / experiments)
    click.echo(f"{experiments:,} experiments: standard error {error:.2%} at 95 %")
    click.echo("| interval | runs are | " + " | ".join(f"n = {n}" for n in COUNTS) + " |")
    click.echo("|---|---|" + "---|" * len(COUNTS))
    for kind in KINDS:
        for shape in ("normal", "skewed"):
            found = (f"{coverage(kind, shape, n, experiments):.1%}" for n in COUNTS)
            click.echo(f"| {kind} | {shape} | " + " | ".join(found) + " |")
    cells = (f"{average:.1%} ({lowest:.1%})" for average, lowest in map(wilson, COUNTS))
    click.echo("| Wilson, mean (lowest) | right or wrong | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
