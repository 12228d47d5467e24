"""What logging ten scalars each step costs the caller, as a share of a 5 ms step.

    python bench/logging_cost.py [--steps 2000]

Runs the real recorder (run folder on disk, SQLite registry, background flush) around a step of 5 ms
of numpy work, in turn with and without the call, and prints the time inside `log` and of the step.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from rlvit.registry.store import NewRun, Store
from rlvit.runs.folder import RunFolder
from rlvit.runs.recorder import Recorder
from rlvit.specs import MetricDef

SCALARS = 10
STEP = 5e-3  # seconds


def make_recorder(root: Path) -> Recorder:
    """Return a recorder of a fresh run in a fresh registry."""
    metrics = {f"m/{i}": MetricDef(f"m/{i}", "-", "none", "a number") for i in range(SCALARS)}
    store = Store(f"sqlite:///{root / 'registry.db'}")
    store.declare_metrics(metrics.values())
    folder = RunFolder(root / "run")
    folder.create()
    new = NewRun(
        id="bench",
        name="bench",
        method="bench",
        plugin="bench",
        plugin_version="0",
        task="bench",
        protocol="bench",
        protocol_settings={},
        config={},
        bookkeeping={},
        slots={},
        fingerprint="f" * 64,
        seed=0,
        preset="bench",
        note="",
        folder=str(folder.path),
        provenance={},
        tags={},
    )
    store.create_run(new)
    attempt = store.move("bench", "running")
    folder.open()
    recorder = Recorder("bench", attempt, folder, store, metrics, lambda rows: None, click.echo)
    recorder.start()
    return recorder


def work(matrix: np.ndarray) -> float:
    """Compute for about 5 ms, as a training step would."""
    end = time.perf_counter() + STEP
    total = 0.0
    while time.perf_counter() < end:
        total += float((matrix @ matrix)[0, 0])
    return total


@click.command()
@click.option("--steps", default=2000, show_default=True, help="Steps of each kind.")
def main(steps: int) -> None:
    """Measure and print."""
    matrix = np.ones((64, 64), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        recorder = make_recorder(Path(folder))
        inside, plain, logged = [], [], []
        for step in range(steps):
            start = time.perf_counter()
            work(matrix)
            plain.append(time.perf_counter() - start)
            start = time.perf_counter()
            value = work(matrix)
            before = time.perf_counter()
            recorder.log(step, {f"m/{i}": value + i for i in range(SCALARS)})
            after = time.perf_counter()
            inside.append(after - before)
            logged.append(after - start)
        recorder.close()
        rows = sum(1 for _ in recorder.folder.read("metrics"))
    call = statistics.median(inside)
    worst = statistics.quantiles(inside, n=100)[98]
    click.echo(f"{SCALARS} scalars a step, {steps} steps, {rows} rows in the folder")
    click.echo(f"log(): median {call * 1e6:.1f} us, 99th percentile {worst * 1e6:.1f} us")
    click.echo(f"mean {statistics.fmean(inside) * 1e6:.1f} us")
    click.echo(f"share of a {STEP * 1e3:.0f} ms step: median {call / STEP:.2%}, mean ", nl=False)
    click.echo(f"{statistics.fmean(inside) / STEP:.2%}")
    ratio = statistics.fmean(logged) / statistics.fmean(plain)
    click.echo(f"step with logging / step without: {ratio:.4f} (mean of {steps} each, interleaved)")


if __name__ == "__main__":
    main()
