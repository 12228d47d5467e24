"""Hurts real small runs in many ways and at many moments, and checks what became of each.

A cell is a fault in a phase: the run is hurt, the next command looks, `rlvit resume` goes on, and
the result is compared with that of a run that was left alone. Cells run one after another.

    python bench/fault_matrix.py                          # all of them, about half an hour
    python bench/fault_matrix.py --cell kill:learning     # one; may be given several times
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fault_tools import (
    BRIEF_LIMIT,
    PHASES,
    RUN,
    Bench,
    Cell,
    Hurt,
    Server,
    Skipped,
    call,
)

from rlvit.runs.checkpoint import Checkpoints
from rlvit.runs.folder import STREAMS, RunFolder

SHOWN = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}  # by MLflow
TRUNCATIONS = 10
MADE_BY = {"attempt", "time", "row", "run_id"}  # of a row: what an interruption may change
Story = dict[str, Any]


@contextmanager
def _signal(hurt: Hurt, number: int) -> Iterator[None]:
    hurt.command.send(number)
    hurt.thaw()
    yield


def kill(hurt: Hurt) -> AbstractContextManager[None]:
    """End the process at once."""
    return _signal(hurt, signal.SIGKILL)


def terminate(hurt: Hurt) -> AbstractContextManager[None]:
    """Ask the process to end, as a cluster does."""
    return _signal(hurt, signal.SIGTERM)


def interrupt(hurt: Hurt) -> AbstractContextManager[None]:
    """Press Ctrl-C."""
    return _signal(hurt, signal.SIGINT)


@contextmanager
def fill_disk(hurt: Hurt) -> Iterator[None]:
    """Leave not one byte on the file system of the home; make room once the run has ended."""
    if not hurt.bench.on_image:
        raise Skipped("needs root and mkfs.ext4, for a file system of its own")
    filler = hurt.bench.home / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    hurt.thaw()
    yield
    filler.unlink()


@contextmanager
def read_only(hurt: Hurt) -> Iterator[None]:
    """Let the file system find an error and become read-only; repair it once the run has ended."""
    bench, cell = hurt.bench, hurt.cell
    if not bench.on_image:
        raise Skipped("needs root and mkfs.ext4, for a file system of its own")
    device = Path(call("findmnt", "-no", "SOURCE", bench.home).strip()).name
    trigger = Path("/sys/fs/ext4") / device / "trigger_fs_error"
    if not trigger.exists():
        raise Skipped("the kernel cannot make an error in a file system of type ext4")
    call("sync", "-f", bench.home)  # a power cut is another fault
    trigger.write_text("fault_matrix")
    hurt.thaw()
    yield
    look = bench.start("runs", "list")  # while it is read-only
    code = look.wait(BRIEF_LIMIT)
    cell.check(not look.traceback(), "a traceback on a read-only home")
    cell.notes.append(f"runs list, read-only: {code}" + (f", {look.last()}" if code else ""))
    call("umount", bench.home)
    with contextlib.suppress(Exception):
        call("e2fsck", "-fy", bench.image)  # it returns 1 where it mended something
    bench.mount()


@contextmanager
def truncate(hurt: Hurt) -> Iterator[None]:
    """Kill the process; cut the newest checkpoint at ten places, of which the last one stays."""
    hurt.command.send(signal.SIGKILL)
    yield
    folder, cell = hurt.folder / "checkpoint", hurt.cell
    newest = max(folder.glob("0*.json")).with_suffix(".pt")
    whole, number = newest.read_bytes(), int(newest.stem)
    before = max((int(p.stem) for p in folder.glob("0*.json") if int(p.stem) < number), default=0)
    draws = random.Random(cell.phase)
    for size in draws.sample(range(len(whole)), TRUNCATIONS):
        newest.write_bytes(whole[:size])
        said: list[str] = []
        found = Checkpoints(folder).load(said.append)
        cell.check("is damaged" in "".join(said), f"cut at {size}: not said")
        cell.check((found[0].number if found else 0) == before, f"cut at {size}: {said}")


@contextmanager
def lose_mlflow(hurt: Hurt) -> Iterator[None]:
    """Delete MLflow's store."""
    for path in (hurt.bench.home / "runs").glob("mlflow.db*"):
        path.unlink()
    hurt.thaw()
    yield


@contextmanager
def lock_mlflow(hurt: Hurt) -> Iterator[None]:
    """Hold MLflow's store for a while; in an evaluation to its end, in a flush beyond it."""
    file, phase = hurt.bench.home / "runs" / "mlflow.db", hurt.cell.phase
    hurt.thaw()
    hurt.wait(lambda: file.exists() and file.stat().st_size, "no store")
    log = hurt.folder / "log.txt"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("BEGIN EXCLUSIVE")
        if phase in ("pre-training", "learning"):
            hurt.goes_on(8)
        elif phase == "evaluation":
            hurt.wait(lambda: "Z completed" in log.read_text(), "no end")
        else:
            hurt.command.wait()
    yield


@contextmanager
def stop_server(hurt: Hurt) -> Iterator[None]:
    """Stop the PostgreSQL server; start it again after some rows, or when the run has ended."""
    server = hurt.bench.server
    assert server is not None
    server.stop()
    hurt.thaw()
    early = hurt.cell.phase in ("pre-training", "learning")
    if early:
        hurt.goes_on(4)
        server.start()
    yield
    if not early:
        server.start()


@contextmanager
def clock_back(hurt: Hurt) -> Iterator[None]:
    """Set the clock back an hour; then kill in the later phases, and resume an hour ahead."""
    hurt.bench.clock.write_text("-3600")
    hurt.thaw()
    if hurt.cell.phase in ("evaluation", "flush"):
        time.sleep(0.5)
        hurt.command.send(signal.SIGKILL)
    yield


@dataclass(frozen=True)
class Fault:
    """A fault, and what may have become of the run after the next command."""

    hurt: Callable[[Hurt], AbstractContextManager[None]]
    meaning: str
    states: tuple[str, ...]
    codes: tuple[int, ...] = (0,)


STOPPED = ("interrupted",)
# What little a run has left to write may still fit; then it completes.
BROKEN = ("failed", "interrupted", "completed")
FAULTS = {
    "kill": Fault(kill, "SIGKILL", STOPPED, (-9,)),
    "term": Fault(terminate, "SIGTERM", STOPPED, (130,)),
    "ctrl-c": Fault(interrupt, "Ctrl-C", STOPPED, (130,)),
    "disk-full": Fault(fill_disk, "disk full", BROKEN, (0, 1)),
    "read-only": Fault(read_only, "read-only home", BROKEN, (1,)),
    "truncated": Fault(truncate, "checkpoint truncated", STOPPED, (-9,)),
    "mlflow-lost": Fault(lose_mlflow, "MLflow store deleted", ("completed",)),
    "mlflow-locked": Fault(lock_mlflow, "MLflow locked", ("completed",)),
    "server-down": Fault(stop_server, "PostgreSQL stopped", ("completed",), (0, 1)),
    "clock": Fault(clock_back, "clock set back", ("completed", "interrupted"), (0, -9)),
}


def story(bench: Bench, folder: Path) -> Story:
    """Return all of a run that must not depend on whether it was hurt."""
    timing = {name for (name,) in bench.rows("SELECT name FROM metric WHERE timing")}
    files = RunFolder(folder)
    told: Story = {}
    for stream in STREAMS:
        told[stream] = [
            {k: v for k, v in line.items() if k not in MADE_BY | timing}
            for _, line in files.read_live(stream)
            if line.get("metric") not in timing
        ]
    for name in ("agent/agent.safetensors", "mae/mae.safetensors", "kept/kept.npz"):
        told[name] = hashlib.sha256((folder / "artifacts" / name).read_bytes()).hexdigest()
    for table, columns in (
        ("point", "metric, step, value"),
        ("result", "metric, step, value, samples, spread"),
        ("episode", 'step, "index", score, length'),
    ):
        query = f"SELECT {columns} FROM {table} WHERE run_id = :run AND NOT superseded"
        found = bench.rows(query, run=folder.name)
        told[f"table {table}"] = sorted(row for row in found if row[0] not in timing)
    return told


def check_rows(hurt: Hurt, when: str) -> None:
    """Check that everything recorded before the fault is in the folder and the registry."""
    lines = hurt.before.count(b"\n")
    hurt.cell.check(hurt.recorded().startswith(hurt.before), f"{when}: rows of the folder changed")
    query = "SELECT row, metric FROM point WHERE run_id = :run AND attempt = 1"
    there = set(hurt.bench.rows(query.replace("row,", '"row",'), run=hurt.folder.name))
    logged = [json.loads(line) for line in hurt.before.splitlines()]
    wanted = {
        (row, name)
        for row, line in enumerate(logged)
        for name in line.keys() - {"attempt", "step", "time"}
    }
    lost = len(wanted - there)
    hurt.cell.check(not lost, f"{when}: the registry lacks {lost} values of {lines} rows")


def check_states(hurt: Hurt, states: tuple[str, ...], when: str) -> str:
    """Check that registry, run.json and MLflow agree on a state that is right; return it."""
    bench, cell, run_id = hurt.bench, hurt.cell, hurt.folder.name
    ((state,),) = bench.rows("SELECT state FROM run WHERE id = :run", run=run_id)
    cell.check(state in states, f"{when}: the registry says {state}")
    written = json.loads((hurt.folder / "run.json").read_text())["state"]
    cell.check(written == state, f"{when}: run.json says {written}, the registry {state}")
    cell.check(not list(hurt.folder.glob("ending*")), f"{when}: an ending was left behind")
    shown, began, over = bench.shown(run_id)
    if shown != SHOWN[state] and cell.fault.startswith("mlflow"):
        cell.notes.append(f"{when}: MLflow says {shown}, then `rlvit mlflow sync`")
        command(hurt, "mlflow", "sync")
        shown, began, over = bench.shown(run_id)
    cell.check(shown == SHOWN[state], f"{when}: MLflow says {shown}, the registry {state}")
    cell.check(not over or over >= began, f"{when}: it ended before it began in MLflow")
    return str(state)


def command(hurt: Hurt, *words: str, limit: float = BRIEF_LIMIT) -> None:
    """Carry out a command that has to work."""
    one = hurt.bench.start(*words)
    code, name = one.wait(limit), " ".join(words[:2])
    hurt.cell.check(code == 0, f"{name}: {code}, {one.last()}")
    hurt.cell.check(not one.traceback(), f"{name}: a traceback")


def try_cell(bench: Bench, cell: Cell, unhurt: Story) -> None:
    """Hurt a run, look, go on, and compare; what is wrong is written into the cell."""
    fault = FAULTS[cell.fault]
    hurt = Hurt(bench, cell)
    hurt.reach()
    with fault.hurt(hurt):
        code = hurt.command.wait()
    cell.check(code in fault.codes, f"the run ended with {code}: {hurt.command.last()}")
    cell.check(not hurt.command.traceback(), "the run showed a traceback")
    if code in (1, 2):
        cell.notes.append(f"it said: {hurt.command.last()}")
    command(hurt, "runs", "list")
    state = check_states(hurt, fault.states, "then")
    check_rows(hurt, "then")
    if cell.fault == "clock":
        bench.clock.write_text("3600")
    if state != "completed":
        command(hurt, "resume", hurt.folder.name, limit=240)
        check_states(hurt, ("completed",), "resumed")
        check_rows(hurt, "resumed")
    told = story(bench, hurt.folder)
    other = [name for name in unhurt if told[name] != unhurt[name]]
    cell.check(not other, f"not equal to the unhurt run: {', '.join(other)}")


@contextmanager
def circumstances(bench: Bench, cell: Cell) -> Iterator[None]:
    """Provide what a fault needs: a server, or a clock that can be set."""
    if cell.fault == "server-down":
        if bench.server is None:
            bench.server = Server(bench.work / "server")
        bench.registry = bench.server.database(cell.phase)
    if cell.fault == "clock":
        bench.shifting = True
        bench.clock.write_text("0")
    try:
        yield
    finally:
        bench.registry, bench.shifting = None, False


def attempt(bench: Bench, cell: Cell, unhurt: dict[bool, Story]) -> None:
    """Try a cell in a fresh home."""
    begun = time.monotonic()
    try:
        with circumstances(bench, cell), bench.fresh_home():
            try:
                try_cell(bench, cell, unhurt[cell.phase == "pre-training"])
            finally:
                bench.end_all()
    except Skipped as reason:
        cell.verdict, cell.notes = "skipped", [str(reason)]
        return
    except Exception as problem:
        cell.wrong.append(f"{type(problem).__name__}: {problem}")
    cell.verdict = "wrong" if cell.wrong else "ok"
    cell.seconds = time.monotonic() - begun


def leave_alone(bench: Bench) -> dict[bool, Story]:
    """Make the runs that are compared with, and the home that the cells begin with.

    Returns:
        The story of a run that trains its autoencoder (True), and of one that finds it (False).
    """
    told = {}
    with bench.fresh_home(keep=True):
        for _ in range(2):
            before = bench.runs()
            one = bench.start(*RUN)
            if one.wait():
                raise SystemExit(f"a run that nobody hurt failed: {one.last()}")
            (folder,) = bench.runs() - before
        told[False] = story(bench, folder)
    with bench.fresh_home():
        before = bench.runs()
        if bench.start(*RUN, "--mae-seed", "1").wait():
            raise SystemExit("a run that nobody hurt failed")
        (folder,) = bench.runs() - before
        told[True] = story(bench, folder)
    return told


def table(cells: list[Cell]) -> str:
    """Return the results as a Markdown table."""
    lines = ["| fault | " + " | ".join(PHASES) + " |", "|---|" + "---|" * len(PHASES)]
    found = {(cell.fault, cell.phase): cell for cell in cells}
    for name, fault in FAULTS.items():
        tried = [found.get((name, phase)) for phase in PHASES]
        if any(tried):
            shown = [f"{one.verdict}, {one.seconds:.0f} s" if one else "-" for one in tried]
            lines.append(f"| {fault.meaning} | " + " | ".join(shown) + " |")
    for cell in cells:
        details = [*cell.wrong, *cell.notes]
        lines += ["", f"- {cell.fault}:{cell.phase}: " + "; ".join(details)] if details else []
    return "\n".join(lines) + "\n"


def main() -> None:
    """Try the cells that were asked for."""
    known = [f"{fault}:{phase}" for fault in FAULTS for phase in PHASES]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cell", action="append", choices=known, metavar="FAULT:PHASE")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "fault-matrix")
    given = parser.parse_args()
    os.nice(10)
    given.out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="rlvit-faults-"))
    work.chmod(0o755)  # the server's user passes through
    bench = Bench(work)
    cells: list[Cell] = []
    try:
        unhurt = leave_alone(bench)
        for name in given.cell or known:
            cells.append(Cell(*name.split(":")))
            attempt(bench, cells[-1], unhurt)
            sys.stderr.write(f"{name}: {json.dumps(asdict(cells[-1]))}\n")
            (given.out / "cells.json").write_text(
                json.dumps([asdict(cell) for cell in cells], indent=1) + "\n"
            )
            (given.out / "table.md").write_text(table(cells))
    finally:
        if bench.server is not None:
            bench.server.stop()
        shutil.rmtree(work, ignore_errors=True)
    sys.stdout.write(table(cells))


if __name__ == "__main__":
    main()
