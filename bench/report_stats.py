"""Measure how much faster aggregate intervals are than rliable's, or than a loop over replicates.

rliable 1.2.0 does not import beside pandas 3, so it runs in an environment of its own and times
itself there:

    python -m venv rl && rl/bin/pip install rliable==1.2.0 'pandas<3'
    python bench/report_stats.py --rliable rl/bin/python
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import process_time

import click
import numpy as np
from numpy.typing import NDArray

from rlvit.report import stats

Scores = dict[str, NDArray[np.float64]]  # algorithm -> [runs, games]
Ends = dict[str, tuple[float, float]]

RLIABLE = """
import json, sys
from time import process_time
import numpy as np
from rliable import library, metrics
replicates, scores = json.load(sys.stdin)
scores = {name: np.array(matrix) for name, matrix in scores.items()}
iqm = lambda matrix: np.array([metrics.aggregate_iqm(matrix)])
library.get_interval_estimates(scores, iqm, reps=10)
np.random.seed(0)
start = process_time()
_, ends = library.get_interval_estimates(scores, iqm, reps=replicates)
seconds = process_time() - start
print(json.dumps([seconds, {name: pair.ravel().tolist() for name, pair in ends.items()}]))
"""


def simulated(algorithms: int, runs: int, games: int) -> Scores:
    """Return scores [runs, games] of each algorithm, skewed and unlike from game to game."""
    generator = np.random.default_rng(0)
    level = np.exp(generator.normal(-1.0, 1.2, size=games))
    return {
        f"algorithm {i}": level * (1 + 0.1 * i) * generator.gamma(4.0, 0.25, size=(runs, games))
        for i in range(algorithms)
    }


def ours(scores: Scores, replicates: int) -> Ends:
    """Return the intervals that reports print."""
    found = {
        name: stats.bootstrap(matrix, stats.iqm, replicates=replicates)
        for name, matrix in scores.items()
    }
    return {name: (interval.low, interval.high) for name, interval in found.items()}


def loop(scores: Scores, replicates: int) -> Ends:
    """Return the same, one replicate at a time."""
    generator, ends = np.random.default_rng(0), {}
    for name, matrix in scores.items():
        cut = matrix.size // 4
        values = []
        for _ in range(replicates):
            drawn = generator.integers(0, len(matrix), matrix.shape)
            sample = np.sort(np.take_along_axis(matrix, drawn, axis=0), axis=None)
            values.append(sample[cut : sample.size - cut].mean())
        low, high = np.percentile(values, (2.5, 97.5))
        ends[name] = (float(low), float(high))
    return ends


def timed(
    function: Callable[[Scores, int], Ends], scores: Scores, count: int
) -> tuple[float, Ends]:
    """Return the processor seconds that a call takes, and its intervals."""
    start = process_time()
    ends = function(scores, count)
    return process_time() - start, ends


def rliable(python: Path, scores: Scores, replicates: int) -> tuple[float, Ends]:
    """Return the processor seconds that rliable itself counts, and its intervals."""
    lists = {name: matrix.tolist() for name, matrix in scores.items()}
    ran = subprocess.run(
        [python, "-c", RLIABLE],
        input=json.dumps([replicates, lists]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    seconds, ends = json.loads(ran.stdout)
    return seconds, ends


@click.command()
@click.option(
    "--rliable", "python", type=click.Path(exists=True, path_type=Path), help="Python with rliable."
)
@click.option("--baseline", is_flag=True, help="Compare with a loop, which is the default.")
@click.option("--replicates", default=50_000, show_default=True)
@click.option("--algorithms", default=6, show_default=True)
@click.option("--runs", default=10, show_default=True)
@click.option("--games", default=26, show_default=True)
@click.option("--turns", default=5, show_default=True, help="Of ours; the median counts.")
def main(
    python: Path | None,
    baseline: bool,
    replicates: int,
    algorithms: int,
    runs: int,
    games: int,
    turns: int,
) -> None:
    """Compare the processor time of interquartile means' intervals, and the intervals."""
    if python and baseline:
        raise click.UsageError("--rliable and --baseline exclude each other")
    scores = simulated(algorithms, runs, games)
    click.echo(
        f"{games} games x {runs} runs x {algorithms} algorithms, {replicates:,} replicates, "
        f"numpy {np.__version__}"
    )
    ours(scores, 100)
    times, mine = zip(*(timed(ours, scores, replicates) for _ in range(turns)), strict=True)
    fast = float(np.median(times))
    click.echo(f"ours     {fast:8.3f} s  ({min(times):.3f} to {max(times):.3f} in {turns} turns)")
    name = "rliable" if python else "loop"
    slow, theirs = (
        rliable(python, scores, replicates) if python else timed(loop, scores, replicates)
    )
    widths = [high - low for low, high in theirs.values()]
    gaps = np.abs(np.array(list(mine[0].values())) - np.array(list(theirs.values()))).max(1)
    click.echo(f"{name:8s} {slow:8.3f} s")
    click.echo(
        f"ratio    {slow / fast:8.1f} x; interval ends differ by at most "
        f"{(gaps / widths).max():.2%} of an interval's width"
    )


if __name__ == "__main__":
    main()
