"""`rlvit tune`: studies that search for good values, each trial of which is made of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rlvit.cli.method_options import (
    SLOT,
    RunCommand,
    device_option,
    pick,
    print_every_option,
    request_of,
    threads_option,
)
from rlvit.cli.ranges import NumberRange
from rlvit.cli.tune_best import best
from rlvit.cli.tune_show import (
    conclude,
    export,
    list_,
    say,
    show_,
    show_cost,
    show_study,
)
from rlvit.errors import RlvitError, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from rlvit.catalog import Catalog
    from rlvit.home import Home
    from rlvit.registry.studies import StudyStore

SAMPLERS = ("tpe", "gp", "nsga2", "cmaes", "random", "grid", "qmc")
PRUNERS = ("none", "median", "asha", "hyperband", "wilcoxon", "dominated")
DEFAULT = "start"  # what `rlvit tune --plugin NAME` means


class TuneGroup(click.Group):
    """Runs `start` where options come first: `rlvit tune --plugin NAME`."""

    def with_default(self, words: list[str]) -> list[str]:
        """Return the words with the command that they leave out."""
        own = ("--help", "-h")
        return [DEFAULT, *words] if words and words[0][:1] == "-" and words[0] not in own else words

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Add what is left out."""
        return super().parse_args(ctx, self.with_default(args))


@click.group(cls=TuneGroup)
def tune() -> None:
    """Search for good settings of a method; every trial is made of ordinary runs.

    `rlvit tune --plugin NAME ...` starts a study, or goes on with it if it is there:
    `rlvit tune start --help` shows how. STUDY is a study's name, the start of one, or `latest`.
    """


for command in (list_, show_, export, best):
    tune.add_command(command)


def _trials_option(default: str) -> Callable[[Any], Any]:
    text = "Trials of its own in all; those taken from older studies do not count."
    return click.option(
        "--trials", type=click.IntRange(min=1), help=f"{text}  [default: {default}]"
    )


def _worker_options(command: Any) -> Any:
    """Add the options that say how a study is worked on, not what it is."""
    options = (
        click.option(
            "--workers",
            type=click.IntRange(min=1, max=1000),
            default=1,
            show_default=True,
            help="Processes on this machine; they share the threads.",
        ),
        threads_option,
        click.option(
            "--storage",
            metavar="URL",
            help="Optuna's database.  [default: runs/optuna.db, or the registry's PostgreSQL]",
        ),
        click.option(
            "--max-failures",
            type=click.IntRange(min=0),
            default=3,
            show_default=True,
            metavar="N",
            help="End after so many trials that failed one after another; 0: never.",
        ),
        click.option(
            "--timeout",
            type=NumberRange(min=0),
            metavar="MINUTES",
            help="Begin no further trial after so long; the one under way is finished.",
        ),
        click.option(
            "--enqueue",
            multiple=True,
            metavar="NAME=VALUE,...",
            help="Try these values next; what is left out is drawn. Repeatable.",
        ),
        print_every_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@tune.command(cls=RunCommand)
@click.option("--plugin", required=True, metavar="NAME", help="The method.")
@click.option("--preset", metavar="NAME", help="Values of what is not searched.")
@click.option("--protocol", metavar="NAME", help="How results are measured.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sampler and the runs.")
@device_option
@click.option("--name", help="The study's name; a hash is added.  [default: method-task]")
@click.option(
    "--space",
    multiple=True,
    metavar="NAME=RANGE",
    help="Where to search: lr=1e-5..1e-3:log, dim=32..128:32 or keep=0.15,0.2; repeatable.",
)
@click.option("--only", is_flag=True, help="Search what --space names, and nothing else.")
@click.option(
    "--fix", "fixed", multiple=True, metavar="NAME=VALUE", help="Do not search this; repeatable."
)
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    metavar="METRIC[:max|min]",
    help="What to optimise; repeatable.  [default: the task's first metric]",
)
@click.option("--sampler", type=click.Choice(SAMPLERS), default="tpe", show_default=True)
@click.option(
    "--startup-trials",
    type=click.IntRange(min=1),
    help="Trials drawn at random before tpe, gp or cmaes learns.  [default: 10; cmaes 1]",
)
@click.option(
    "--population",
    type=click.IntRange(min=2),
    help="Of nsga2 and cmaes.  [default: 50; cmaes by the number of settings]",
)
@click.option(
    "--pruner",
    type=click.Choice(PRUNERS),
    default="none",
    show_default=True,
    help="How hopeless trials end early; `dominated` is the one for several objectives.",
)
@click.option(
    "--prune-on",
    multiple=True,
    metavar="METRIC",
    help="What it looks at, one for each objective.  [default: what the method names]",
)
@click.option(
    "--prune-from",
    type=click.IntRange(min=0),
    help="Step of its first decision.  [default: 0; hyperband needs one]",
)
@click.option(
    "--prune-startup",
    type=click.IntRange(min=0),
    help="Finished trials before median or dominated decides.  [default: 5]",
)
@click.option(
    "--prune-over",
    type=click.Choice(("seeds", "images")),
    default="seeds",
    show_default=True,
    help="What wilcoxon pairs with those of the best trial.",
)
@click.option(
    "--seeds-per-trial",
    type=click.IntRange(min=1, max=1000),
    default=1,
    show_default=True,
    help="Runs of a trial; its value is their mean.",
)
@click.option("--dry-run", is_flag=True, help="Show the space, objectives and cost; write nothing.")
@_trials_option("20")
@_worker_options
@click.pass_context
def start(ctx: click.Context, /, dry_run: bool, **given: Any) -> int:
    """Start a study, or go on with it if it is there.

    Several of these commands may work on one study, on one machine or, with a PostgreSQL
    registry, on many.
    """
    from rlvit.cli.session import warn_of_lost_registry
    from rlvit.registry.studies import StudyStore
    from rlvit.tune import storage, study
    from rlvit.tune.queue import parse_queued

    catalog: Catalog = ctx.meta["catalog"]
    wanted = _wanted(given)
    storage.check(ctx.obj, given["storage"])  # what is refused leaves nothing behind
    record, base = study.describe(catalog, ctx.obj, wanted)
    parse_queued(catalog, record, given["enqueue"])
    if dry_run:
        show_study(record, [])
        show_cost(catalog, record, base)
        return 0
    warn_of_lost_registry(ctx.obj)
    store = StudyStore(ctx.obj.registry_url)
    try:
        record = study.prepare(catalog, ctx.obj, store, wanted, say)
        return _work(ctx.obj, catalog, store, record.name, given)
    finally:
        store.close()


def _wanted(given: dict[str, Any]) -> Any:
    """Return what the options of `start` ask for."""
    from rlvit.tune.study import Wanted

    base = request_of(given, task=given["task"], slots=pick(given, SLOT), seed=given["seed"])
    sampler = {"startup": given["startup_trials"], "population": given["population"]}
    pruner = {
        "startup": given["prune_startup"],
        "start": given["prune_from"],
        "on": list(given["prune_on"]),
    }
    if given["prune_over"] == "images":
        pruner["over"] = "images"
    return Wanted(
        base=base,
        space=given["space"],
        fixed=given["fixed"],
        only=given["only"],
        objectives=given["objectives"],
        sampler={"name": given["sampler"], **sampler},
        pruner={"name": given["pruner"], **pruner},
        name=given["name"],
        trials=given["trials"],
        seeds_per_trial=given["seeds_per_trial"],
        storage=given["storage"],
    )


@tune.command()
@click.argument("study")
@_trials_option("as it was")
@_worker_options
@click.option("--data-root", metavar="DIR", help="Where the images are now, if they were moved.")
@click.option(
    "--retry-failed", is_flag=True, help="Try the values of failed trials again, in new trials."
)
@click.pass_obj
def resume(home: Home, /, study: str, **given: Any) -> int:
    """Go on with a study as it was asked for."""
    from rlvit.cli.session import load_catalog, open_studies
    from rlvit.registry import studies
    from rlvit.runs.mirrors import mirror_study
    from rlvit.tune.study import go_on

    with open_studies(home) as store:
        name = studies.find_study(store.engine, study).name
        go_on(store, name, given["trials"])
        mirror_study(store, home, name)
        return _work(home, load_catalog(), store, name, given)


def _work(home: Home, catalog: Catalog, store: StudyStore, name: str, given: dict[str, Any]) -> int:
    """Work on a study, with one process or several, and say how it stands; return the exit code."""
    from rlvit.registry import studies
    from rlvit.tune import pool

    _queue(home, catalog, store, name, given)
    problem, code = None, 0
    try:
        if given["workers"] == 1:
            code = _work_here(home, catalog, store, name, given)
        else:
            code = pool.run_pool(_jobs(home, store, name, given), say)
    except RlvitError as found:
        problem = found
    record = studies.find_study(store.engine, name)
    trials = studies.list_trials(store.engine, name)
    conclude(home, record, trials)
    if problem is not None:
        raise problem
    finished = sum(trial.state in ("completed", "pruned") for trial in trials)
    return code or (0 if finished or not trials else 1)


def _queue(
    home: Home, catalog: Catalog, store: StudyStore, name: str, given: dict[str, Any]
) -> None:
    """Let the next trials have the values that are asked for, and those of failed trials."""
    from rlvit.registry import studies
    from rlvit.runs.mirrors import mirror_study
    from rlvit.tune import queue
    from rlvit.tune.study import open_study

    retry = given.get("retry_failed", False)
    if not given["enqueue"] and not retry:
        return
    opened = open_study(catalog, home, store, name, where=given["storage"])
    queued = queue.enqueue(opened, queue.parse_queued(catalog, opened.record, given["enqueue"]))
    if given["enqueue"]:
        say(f"{queued} of {len(given['enqueue'])} settings are new, and are tried next")
    if retry:
        again = queue.enqueue_failed(opened)
        wanted = studies.find_study(store.engine, name).trials
        say(f"{again} failed trials are tried again under new numbers: {wanted} trials are wanted")
        mirror_study(store, home, name)


def _jobs(home: Home, store: StudyStore, name: str, given: dict[str, Any]) -> list[Any]:
    import os

    from rlvit.registry import studies
    from rlvit.runs.plan import resolve_threads
    from rlvit.runs.together import share
    from rlvit.tune.pool import Job

    record = studies.find_study(store.engine, name)
    threads = resolve_threads(given["threads"] or record.request["threads"])
    each, root = share(threads, given["workers"]), given.get("data_root")
    rest = (given["storage"], root, given["max_failures"], _until(given))
    return [Job(home, name, number, os.getpid(), each, *rest) for number in range(given["workers"])]


def _until(given: dict[str, Any]) -> float | None:
    """Return when, by the machine's monotonic clock, no further trial is begun; None: never."""
    import time

    minutes = given["timeout"]
    return None if minutes is None else time.monotonic() + 60.0 * minutes


def _work_here(
    home: Home, catalog: Catalog, store: StudyStore, name: str, given: dict[str, Any]
) -> int:
    from rlvit.cli.progress import make_display
    from rlvit.tune.hearing import Hearing
    from rlvit.tune.pool import CODES
    from rlvit.tune.study import open_study
    from rlvit.tune.worker import Worker

    opened = open_study(
        catalog,
        home,
        store,
        name,
        where=given["storage"],
        threads=given["threads"],
        data_root=given.get("data_root"),
    )
    try:
        with Hearing(say) as hearing:
            worker = Worker(
                opened,
                say,
                lambda: make_display(given["print_every"]),
                hearing=hearing,
                max_failures=given["max_failures"],
                until=_until(given),
            )
            return CODES[worker.work()]
    except KeyboardInterrupt:
        return CODES["interrupted"]


@tune.command()
@click.argument("study")
@click.option("--now", is_flag=True, help="Stop the trials under way, too, each with a checkpoint.")
@click.pass_obj
def stop(home: Home, study: str, now: bool) -> None:
    """Ask the workers of a study to end, wherever they run."""
    from rlvit.cli.session import open_studies
    from rlvit.registry import studies
    from rlvit.runs.mirrors import mirror_study
    from rlvit.tune.study import is_worked_on

    with open_studies(home) as store:
        name = studies.find_study(store.engine, study).name
        trials = studies.list_trials(store.engine, name)
        if not any(is_worked_on(store, trial) for trial in trials):
            say(f"nobody works on a trial of {name} now; a worker that waits for one ends")
        store.change_study(name, stop="now" if now else "after")
        mirror_study(store, home, name)
    when = "within seconds" if now else "after the trials they are at"
    from rlvit.cli.run import program

    click.echo(f"{name}: its workers end {when}; `{program(home)} tune resume {name}` goes on")


@tune.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--storage", metavar="URL", help="Optuna's database.  [default: this home's]")
@click.pass_obj
def dashboard(home: Home, port: int, storage: str | None) -> int:
    """Open optuna-dashboard on this home's studies, on this machine only."""
    import importlib.util
    import subprocess
    import sys

    from rlvit.home import sqlite_path
    from rlvit.tune.storage import choose

    if importlib.util.find_spec("optuna_dashboard") is None:
        raise UsageProblem(
            "optuna-dashboard is not installed; `pip install 'rlvit[dashboard]'` brings it."
        )
    url = choose(home, storage)
    file = sqlite_path(url)
    if file is not None and not file.exists():
        raise UsageProblem(f"there is no study under {home.root} yet; `rlvit tune` makes one.")
    program = "from optuna_dashboard import run_server; import sys; "
    program += "run_server(sys.argv[1], host='127.0.0.1', port=int(sys.argv[2]))"
    click.echo(f"optuna-dashboard is starting on http://127.0.0.1:{port} (Ctrl-C stops it)")
    try:
        return subprocess.call([sys.executable, "-c", program, url, str(port)])
    except KeyboardInterrupt:
        return 0
