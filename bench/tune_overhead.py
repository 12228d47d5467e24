"""What a trial of a study costs beyond its training: rlvit's bookkeeping, Optuna's and MLflow's.

    python bench/tune_overhead.py [--trials 12] [--sampler tpe] [--storage URL]

Carries out a real study of AgentViT on the digits, small, in a home that is made for it. The time
inside the method's training function is one part of a trial's, the rest is overhead: plan, git and
package versions, folder, registry, MLflow's end, Optuna's ask and tell. The first trial, which also
imports MLflow and makes the stores, is shown apart. On a busy machine the processor time of the
whole process, training taken off, says more than the clock.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rlvit.catalog import Catalog, Entry, build_catalog
from rlvit.home import Home
from rlvit.manager import create_plugin_manager
from rlvit.registry import studies
from rlvit.registry.studies import StudyStore
from rlvit.runs.display import Silent
from rlvit.runs.plan import Request
from rlvit.tune.study import Wanted, open_study, prepare
from rlvit.tune.worker import Worker

VALUES = {
    **{"patch_size": 2, "dim": 16, "depth": 2, "heads": 2, "head_dim": 12, "mlp_dim": 24},
    **{"epochs": 1, "figures": False, "compare_masks": False},
}


def now() -> tuple[float, float]:
    """Return the time by the clock and the processor time of all threads, seconds."""
    return time.perf_counter(), time.process_time()


def since(begun: tuple[float, float]) -> tuple[float, float]:
    """Return how long ago that was, by both."""
    clock, processor = now()
    return clock - begun[0], processor - begun[1]


def timed(catalog: Catalog, spent: list[tuple[float, float]]) -> Catalog:
    """Return the catalogue with a method that notes how long its training takes."""
    entry = catalog.entries["method"]["agentvit"]
    train: Callable[[Any, Any], None] = entry.spec.train

    def training(context: Any, config: Any) -> None:
        begun = now()
        try:
            train(context, config)
        finally:
            spent.append(since(begun))

    methods = {
        **catalog.entries["method"],
        "agentvit": Entry(replace(entry.spec, train=training), entry.owner),
    }
    return replace(catalog, entries={**catalog.entries, "method": methods})


@click.command()
@click.option("--trials", default=12, show_default=True)
@click.option("--sampler", default="tpe", show_default=True)
@click.option("--storage", help="Optuna's database.  [default: SQLite in the home]")
def main(trials: int, sampler: str, storage: str | None) -> None:
    """Measure."""
    spent: list[tuple[float, float]] = []
    catalog = timed(build_catalog(create_plugin_manager()), spent)
    with tempfile.TemporaryDirectory(prefix="rlvit-bench-") as folder:
        home = Home.locate(folder)
        base = Request(
            plugin="agentvit",
            task="digits",
            preset="quick",
            device="cpu",
            threads=1,
            values=VALUES,
            data_root=folder,
        )
        wanted = Wanted(
            base=base, trials=trials, storage=storage, sampler={"name": sampler, "startup": 4}
        )
        store = StudyStore(home.registry_url)
        name = prepare(catalog, home, store, wanted, click.echo).name
        opened = open_study(catalog, home, store, name, where=storage)
        begun = [now()]

        def say(text: str) -> None:
            if " is completed" in text:
                begun.append(now())

        Worker(opened, say, Silent).work()
        whole = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(begun)]
        states = [trial.state for trial in studies.list_trials(store.engine, name)]
        store.close()
        has_mlflow = (Path(folder) / "runs" / "mlflow.db").exists()
    click.echo(f"{states.count('completed')} of {trials} trials completed, MLflow {has_mlflow}")
    for what, part in (("clock", 0), ("processor", 1)):
        training = [one[part] for one in spent]
        over = [all_[part] - own for all_, own in zip(whole, training, strict=True)]
        usual, worst = statistics.median(over[1:]), max(over[1:])
        click.echo(
            f"{what:<10} training {statistics.median(training[1:]):.2f} s a trial; overhead median "
            f"{usual:.2f} s, {worst:.2f} s at most; of the first trial {over[0]:.2f} s"
        )


if __name__ == "__main__":
    main()
