"""Starts, resumes and ends runs; every ending is recorded, whatever caused it."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from rlvit.catalog import Catalog
from rlvit.config import bookkeeping, identity, omitted_defaults
from rlvit.contracts import Artifact, LoggedRow, Measurement, RunView
from rlvit.errors import Interrupted, RlvitError
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.records import RunRecord
from rlvit.registry.store import NewRun, Store
from rlvit.runs import provenance
from rlvit.runs.artifacts import ArtifactShelf
from rlvit.runs.checkpoint import Checkpoints
from rlvit.runs.context import StopFlag, TrainingContext
from rlvit.runs.display import Display
from rlvit.runs.ending import Ending, claim, keep, settle, sweep
from rlvit.runs.events import hear_signals, tell, tell_strictly
from rlvit.runs.finished import revived_by_id
from rlvit.runs.folder import RunFolder
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.runs.recorder import Recorder, absorb
from rlvit.runs.trained import of_run
from rlvit.runs.views import mirror, view_of
from rlvit.specs import digest


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended."""

    id: str
    name: str
    state: str
    folder: Path
    seconds: float  # from the start of this attempt to its end
    computed: float  # seconds, over all attempts
    attempt: int
    results: tuple[Measurement, ...]
    error: str | None = None
    outside: bool = False  # it failed for a reason of its surroundings, such as a full disk


# Sees what a run logs, a few seconds later, and may ask it to stop. Of a resumed run it is first
# given the rows that still count of the attempts before.
Watch = Callable[[Sequence[LoggedRow], StopFlag], None]


def start(
    catalog: Catalog,
    home: Home,
    plan: Plan,
    display: Display,
    *,
    run_id: str | None = None,
    watch: Watch | None = None,
    stop: StopFlag | None = None,
) -> RunOutcome:
    """Make a run of a plan and carry it to its end.

    Args:
        catalog: what the plugins offer.
        home: where the run is kept.
        plan: of the run.
        display: shows its progress.
        run_id: the run's id, if it was written down before; else a new one.
        watch: sees what the run logs, and may stop it.
        stop: a flag that ends the run with a checkpoint, also if it is set before the run begins.

    Raises:
        RlvitError: the registry cannot be used, or a plugin refused the run.
    """
    store = Store(home.registry_url)  # first: a bad URL must leave nothing behind
    home.create()
    try:
        sweep(catalog, home, store)
        new, diff = _describe(home, plan, run_id or plan.new_id())
        folder = RunFolder(Path(new.folder))
        folder.create()
        given, plan = plan.trained, plan.keeping_parts(folder.path)
        if diff:
            (folder.path / "source.diff").write_text(diff)
        store.declare_metrics(catalog.metrics.values())
        with claim(home, new.id):
            store.create_run(new)
            if given is not None:
                store.add_artifact(new.id, given.artifact, "used")
            mirror(store, home, new.id)
            detail = {**new.provenance, "git_diff": digest(diff)}  # looked up once, for both
            seen = (watch, stop or StopFlag())
            return _carry_out(
                catalog, home, store, plan, new.id, folder, display, detail, *seen, fresh=True
            )
    finally:
        store.close()


def resume(
    catalog: Catalog,
    home: Home,
    text: str,
    display: Display,
    threads: int | None = None,
    data_root: str | None = None,
    *,
    watch: Watch | None = None,
    stop: StopFlag | None = None,
) -> RunOutcome:
    """Go on with an interrupted or failed run from its last checkpoint.

    Raises:
        RlvitError: the run is completed, or is running elsewhere.
    """
    home.require_registry()
    store = Store(home.registry_url)
    try:
        sweep(catalog, home, store)
        record = queries.find_run(store.engine, text)
        if record.state in ("completed", "running"):
            raise RlvitError(f"run {record.id} is {record.state}: there is nothing to resume.")
        folder = RunFolder(home.runs / record.id)
        if not folder.path.is_dir():
            raise RlvitError(f"run {record.id} has no folder {folder.path}: it cannot be resumed.")
        plan = _plan_again(catalog, home, record, threads, data_root)
        store.declare_metrics(catalog.metrics.values())
        with claim(home, record.id):
            store.relocate(record.id, str(folder.path))  # the home may have been moved
            detail = _circumstances(plan)
            seen = (watch, stop or StopFlag())
            return _carry_out(
                catalog, home, store, plan, record.id, folder, display, detail, *seen, fresh=False
            )
    finally:
        store.close()


def _describe(home: Home, plan: Plan, run_id: str) -> tuple[NewRun, str]:
    """Return the registry's first row of a run, and the difference of its code from the commit."""
    code, diff = provenance.code_state(_source(plan))
    new = NewRun(
        id=run_id,
        name=plan.name or run_id,
        method=plan.method.name,
        plugin=plan.owner.name,
        plugin_version=f"{plan.owner.distribution} {plan.owner.version}",
        task=plan.task.name,
        protocol=plan.protocol.name,
        protocol_settings=dict(plan.protocol.settings),
        config=identity(plan.config),
        bookkeeping=bookkeeping(plan.config),
        slots=plan.slots,
        fingerprint=plan.fingerprint,
        seed=plan.seed,
        preset=plan.preset.name,
        note=plan.note,
        folder=str(home.runs / run_id),
        provenance={**code, **provenance.machine(plan.device, plan.threads), **_images(plan)},
        tags=dict(plan.tags),
    )
    return new, diff


def _circumstances(plan: Plan) -> dict[str, Any]:
    """Return what an attempt runs with: its command, code, versions and machine."""
    code, diff = provenance.code_state(_source(plan))
    machine = provenance.machine(plan.device, plan.threads)
    return {**code, "git_diff": digest(diff), **machine, **_images(plan)}


def _images(plan: Plan) -> dict[str, Any]:
    """Return where a dataset's images come from; nothing for other tasks."""
    if plan.task.load is None:
        return {}
    return {"data_root": str(plan.data_root), "skip_bad_images": plan.skip_bad_images}


def _note_changes(
    store: Store, run_id: str, now: Mapping[str, Any], say: Callable[[str], None]
) -> None:
    """Say what may keep the rest of a run from being what it would have been."""
    begun = [t for t in queries.transitions(store.engine, run_id) if t.to_state == "running"]
    before = begun[-2].detail if len(begun) > 1 else {}  # the last one is this attempt
    for name in ("git_commit", "git_diff", "python", "packages", "cpu", "gpu", "threads"):
        if name in before and before[name] != now[name]:
            short = name in ("packages", "git_diff")
            change = "" if short else f" ({before[name]} before, {now[name]} now)"
            say(f"note: {name} changed since the last attempt{change}: results may differ by it")


def _source(plan: Plan) -> Path | None:
    """Return the git work tree that the method's plugin comes from, if any."""
    module = __import__(plan.owner.module.partition(":")[0], fromlist=["_"])
    return provenance.source_tree(module.__file__)


def _plan_again(
    catalog: Catalog, home: Home, record: RunRecord, threads: int | None, data_root: str | None
) -> Plan:
    """Return the plan of a run that exists already."""
    trained, slots = of_run(catalog, record.slots, home.runs / record.id)
    request = Request(
        plugin=record.method,
        task=record.task,
        preset=record.preset,
        protocol=record.protocol,
        slots=slots,
        values={**omitted_defaults(catalog.method(record.method).config), **record.config},
        seed=record.seed,
        device=record.provenance["device"],
        threads=threads or record.provenance["threads"],
        data_root=data_root,
        skip_bad_images=record.provenance.get("skip_bad_images", False),
        trained=trained,
    )
    plan = make_plan(catalog, request)
    if data_root is None and record.provenance.get("data_root"):  # not every task looks there
        plan = replace(plan, data_root=Path(record.provenance["data_root"]))
    if plan.fingerprint != record.fingerprint:
        raise RlvitError(
            f"run {record.id} was made by {record.plugin_version}, whose protocol or options "
            "differ from today's: it cannot be resumed with the same meaning."
        )
    return plan


def _carry_out(
    catalog: Catalog,
    home: Home,
    store: Store,
    plan: Plan,
    run_id: str,
    folder: RunFolder,
    display: Display,
    detail: Mapping[str, Any],
    watch: Watch | None,
    stop: StopFlag,
    *,
    fresh: bool,
) -> RunOutcome:
    """Take a run through one attempt, under the circumstances `detail`.

    The registry row and the folder exist already.
    """
    begun, say = time.monotonic(), partial(_say, folder, display)
    identity = provenance.process_identity()
    attempt = store.move(run_id, "running", process=identity, detail=detail)
    if not fresh:
        _note_changes(store, run_id, detail, say)
    mirror(store, home, run_id)
    folder.open()
    history = partial(folder.logged_before, folder.rows["metrics"])
    view = view_of(store, home, run_id, metrics=catalog.metrics, say=say, history=history)

    def logged(rows: Sequence[LoggedRow]) -> None:
        tell(catalog, "rlvit_run_logged", say, run=view, rows=rows)
        if watch is not None:
            watch(rows, stop)

    recorder = Recorder(run_id, attempt, folder, store, catalog.metrics, logged, say)
    checkpoints = Checkpoints(folder.path / "checkpoint")

    def use(artifact: Artifact) -> None:
        recorder.artifact(artifact, "made" if artifact.made_by == run_id else "used")
        with contextlib.suppress(SQLAlchemyError):  # said by the recorder; written at the end
            mirror(store, home, run_id)

    def train() -> None:
        found = None if fresh else checkpoints.load(say)
        if not fresh:
            say(f"attempt {attempt}: " + _where(found))
        recorder.start(None if fresh else _watermarks(folder, found))
        tell_strictly(catalog, "rlvit_run_started", run=view)
        if watch is not None and not fresh:
            watch(folder.logged_before(folder.rows["metrics"]), stop)
        context = TrainingContext(
            run_id=run_id,
            plan=plan,
            folder=folder,
            recorder=recorder,
            checkpoints=checkpoints,
            shelf=ArtifactShelf(home),
            display=display,
            stop=stop,
            found=None if found is None else (found[0].stage, found[1]),
            used=use,
            revive=partial(revived_by_id, catalog, home, store),
        )
        plan.method.train(context, plan.config)
        recorder.check()  # a folder that vanished must not end as a success

    try:
        with hear_signals(stop, say, "the end of the run is being recorded"):
            outcome = _outcome_of(train, plan, stop, folder, say)
            recorder.close()
            ending = Ending(
                attempt, outcome.state, outcome.reason, time.time(), recorder.uncounted()
            )
            more = {"metrics": catalog.metrics, "say": say}
            ended = _end(catalog, home, store, folder, recorder, ending, outcome.error, more)
            return _report(store, ended, outcome, time.monotonic() - begun)
    finally:
        folder.close()
        display.close()


def _say(folder: RunFolder, display: Display, text: str) -> None:
    """Say something to whoever looks now, and to whoever looks into the run's folder later."""
    with contextlib.suppress(OSError):  # a full disk must not end what can go on
        folder.log(text)
    display.say(text)


def _end(
    catalog: Catalog,
    home: Home,
    store: Store,
    folder: RunFolder,
    recorder: Recorder,
    ending: Ending,
    error: str | None,
    more: Mapping[str, Any],
) -> RunView:
    """Record the end of an attempt: in its folder first, where it outlives a registry's outage.

    Raises:
        RlvitError: the registry or the folder could not be written.
    """
    run_id, kept = recorder.run_id, False
    with contextlib.suppress(OSError):  # a full disk: the registry may be on another one
        keep(home, run_id, ending)
        kept = True
    with contextlib.suppress(OSError):
        folder.log(f"{ending.state} {ending.reason}".strip())
    try:
        if not recorder.complete:
            absorb(run_id, folder, store)
        return settle(catalog, home, store, run_id, ending, **more)
    except (SQLAlchemyError, OSError) as problem:
        cause = f"{error}; then " if error else ""
        reason = str(problem).partition("\n")[0]
        missed = f"its end could not be recorded: {reason}"
        if kept:
            only = f"it is {ending.state}, but so far only its folder knows ({reason})"
            missed = f"{only}; the next command records it."
        raise RlvitError(f"run {run_id}: {cause}{missed}") from problem


def _report(store: Store, ended: RunView, ending: _Outcome, seconds: float) -> RunOutcome:
    """Return what the caller of a run is told."""
    return RunOutcome(
        id=ended.id,
        name=ended.name,
        state=ending.state,
        folder=ended.folder,
        seconds=seconds,
        computed=queries.find_run(store.engine, ended.id).seconds,
        attempt=ended.attempt,
        results=ended.results,
        error=ending.error,
        outside=ending.outside,
    )


@dataclass(frozen=True)
class _Outcome:
    """How training ended: the state, why, and what to tell the user if it failed."""

    state: str
    reason: str = ""
    error: str | None = None
    outside: bool = False


def _from_outside(problem: BaseException | None) -> bool:
    """Return whether the system caused an error: a disk, a network, a file that cannot be read."""
    while problem is not None:
        if isinstance(problem, OSError):
            return True
        problem = problem.__cause__
    return False


def _outcome_of(
    train: Callable[[], None],
    plan: Plan,
    stop: StopFlag,
    folder: RunFolder,
    say: Callable[[str], None],
) -> _Outcome:
    """Train with the plan's threads in full float32, and turn whatever happens into an ending.

    Signals are heard meanwhile.
    """
    import torch

    from rlvit.runs.precision import full_float32

    threads_before = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        with hear_signals(stop, say), full_float32():
            train()
        return _Outcome("completed")
    except (Interrupted, KeyboardInterrupt) as problem:
        return _Outcome("interrupted", str(problem) or "stopped at once")
    except RlvitError as problem:
        return _Outcome("failed", str(problem), str(problem), _from_outside(problem))
    except (Exception, SystemExit) as problem:
        reason, where = f"{type(problem).__name__}: {problem}".partition("\n")[0], ""
        with contextlib.suppress(OSError, RlvitError):  # a full disk, or a folder that is gone
            folder.log(traceback.format_exc())
            where = f" (the traceback is in {folder.path / 'log.txt'})"
        return _Outcome("failed", reason, reason + where, _from_outside(problem))
    finally:
        torch.set_num_threads(threads_before)


def _watermarks(folder: RunFolder, found: Any) -> Mapping[str, int]:
    """Return how many rows of each stream a checkpoint includes: none, if there is none."""
    known: Mapping[str, int] = found[0].watermarks if found else dict.fromkeys(folder.rows, 0)
    return known


def _where(found: Any) -> str:
    if found is None:
        return "there is no checkpoint yet; starting from the beginning"
    return f"going on from {found[0].stage} {found[0].step:,}"
