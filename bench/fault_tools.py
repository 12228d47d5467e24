"""What `fault_matrix.py` works with: a home of its own, commands under way, a server."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

CLOCK = "FAULT_MATRIX_CLOCK"  # names the file that shifts the clock of a command
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(
    [
        *("torch", "mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store", "alembic.command"),
        *("sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql", "rlvit.cli.run"),
        *("rlvit.cli.runs", "rlvit.runs.execute", "rlvit_spirl.experiment", "rlvit_tasks.atari"),
    ]
)
LIMIT = 240.0  # seconds for a run, many times what it takes on one core
BRIEF_LIMIT = 60.0  # seconds for a command that only looks
IMAGE_SIZE = 160 * 2**20  # bytes of the file system that holds the home
PHASES = ("pre-training", "learning", "evaluation", "flush")
RUN = (
    *("run", "--plugin", "spirl", "--game", "SeaquestBrief", "--preset", "quick"),
    *("--frames", "64", "--epochs", "2", "--warmup-epochs", "1", "--mae-batch-size", "8"),
    *("--steps", "40", "--random-steps", "24", "--learn-start", "24", "--batch-size", "8"),
    *("--keep-ratio", "0.2", "--hidden", "32", "--threads", "1", "--device", "cpu"),
    *("--checkpoint-every", "8", "--mae-checkpoint-every", "3", "--log-every", "2"),
)
GAME = '''"""Seaquest with a short evaluation."""

from dataclasses import replace

from rlvit import hookimpl


@hookimpl
def rlvit_tasks():
    from rlvit_tasks.plugin import rlvit_tasks as games

    (game,) = [task for task in games() if task.name == "Seaquest"]
    (quick,) = [one for one in game.protocols if one.name == "quick"]
    brief = replace(quick, settings={**quick.settings, "episodes": 2, "evaluation_horizon": 10})
    return [replace(game, name="SeaquestBrief", protocols=(brief,))]
'''


class Wrong(Exception):
    """What a cell found that should not be."""


class Skipped(Exception):
    """Why a cell cannot be tried here."""


@dataclass
class Cell:
    """What became of a fault in a phase."""

    fault: str
    phase: str
    verdict: str = "ok"
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def check(self, holds: object, wrong: str) -> None:
        """Write down what is wrong, and go on looking."""
        if not holds:
            self.wrong.append(wrong)


def call(*words: str | Path, limit: float = BRIEF_LIMIT, **more: Any) -> str:
    """Run a tool of the system; raises CalledProcessError."""
    known: dict[str, Any] = {"check": True, "capture_output": True, "text": True, "timeout": limit}
    return str(subprocess.run([str(word) for word in words], **(known | more)).stdout)


def until(
    condition: Callable[[], Any], what: str, limit: float = LIMIT, pause: float = 0.005
) -> Any:
    """Wait for a condition and return what it returned; raises Wrong when it takes too long."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(pause)
    raise Wrong(f"{what}: not within {limit:.0f} s")


class Bench:
    """A home on a file system of its own, where there can be one, and the program."""

    def __init__(self, work: Path) -> None:
        self.work, self.home, self.site = work, work / "home", work / "site"
        self.image, self.template = work / "home.img", work / "template"
        self.clock = work / "clock"  # seconds that are added to the time of day
        self.registry: str | None = None  # a URL, for the faults of a server
        self.shifting = False  # whether commands look at the file `clock`
        self.server: Server | None = None
        self._number = 0
        self._commands: list[Command] = []
        self.on_image = os.getuid() == 0 and shutil.which("mkfs.ext4") is not None
        info = self.site / "fault_matrix_games-1.0.dist-info"
        info.mkdir(parents=True)
        (self.site / "fault_matrix_games.py").write_text(GAME)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: x\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[rlvit.plugins]\nbrief = fault_matrix_games\n")
        self.home.mkdir()
        sys.path.insert(0, str(self.site))  # the commands inherit it
        os.environ |= {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if self.on_image:
            with open(self.template, "wb") as file:
                file.truncate(IMAGE_SIZE)
            call("mkfs.ext4", "-q", "-F", "-m", "0", self.template)
        else:
            self.template.mkdir()

    @contextlib.contextmanager
    def fresh_home(self, *, keep: bool = False) -> Iterator[None]:
        """Put the home as it was left by the last one that was to be kept."""
        if not self.on_image:
            shutil.rmtree(self.home)
            shutil.copytree(self.template, self.home)
            yield
            if keep:
                shutil.rmtree(self.template)
                shutil.copytree(self.home, self.template)
            return
        call("cp", "--sparse=always", self.template, self.image)
        self.mount()
        try:
            yield
        finally:
            call("umount", self.home)
        if keep:
            os.replace(self.image, self.template)

    def mount(self) -> None:
        """Mount the home; an error in it makes it read-only, as on most machines."""
        call("mount", "-o", "loop,errors=remount-ro", self.image, self.home)

    def start(self, *words: str) -> Command:
        """Begin a command of the program."""
        self._number += 1
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RLVIT_")}
        if self.shifting:
            environment[CLOCK] = str(self.clock)
        where = ["--home", str(self.home)]
        where += ["--registry", self.registry] if self.registry else []
        said = self.work / f"{self._number}.txt"
        self._commands.append(Command([*where, *words], environment, said))
        return self._commands[-1]

    def end_all(self) -> None:
        """End the commands that are still under way."""
        for command in self._commands:
            command.process.kill()
            command.process.join()
        self._commands.clear()

    def runs(self) -> set[Path]:
        """Return the folders of the runs in the home."""
        return {path.parent for path in self.home.glob("runs/spirl-*/run.json")}

    def rows(self, query: str, **given: Any) -> list[tuple[Any, ...]]:
        """Ask the registry in SQL."""
        engine = create_engine(self.registry or f"sqlite:///{self.home / 'registry.db'}")
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query), given)]
        finally:
            engine.dispose()

    def shown(self, run_id: str) -> tuple[Any, ...]:
        """Return status, start and end of a run in MLflow's store, or ("absent", None, None)."""
        file = self.home / "runs" / "mlflow.db"
        if not file.exists() or not file.stat().st_size:
            return "absent", None, None
        query = (
            "SELECT status, start_time, end_time FROM runs JOIN tags USING (run_uuid) "
            "WHERE tags.key = 'rlvit.run_id' AND tags.value = ?"
        )
        with contextlib.closing(sqlite3.connect(file, timeout=10)) as connection:
            found = connection.execute(query, (run_id,)).fetchall()
        return tuple(found[0]) if found else ("absent", None, None)


class Command:
    """A command under way: a process of its own, forked from one that has the libraries."""

    def __init__(self, words: list[str], environment: Mapping[str, str], said: Path) -> None:
        self.said, self.output = said, said.with_suffix(".out")
        for path in (self.said, self.output):
            path.touch()
        arguments = (words, dict(environment), str(self.said), str(self.output))
        self.process = FORK.Process(target=_enter, args=arguments)
        self.process.start()

    def code(self) -> int | None:
        """Return the exit code, None while it is under way; a negative one is a signal."""
        found: int | None = self.process.exitcode
        return found

    def wait(self, limit: float = LIMIT) -> int:
        """Return the exit code; raises Wrong if it hangs."""
        self.process.join(limit)
        code = self.code()
        if code is None:
            self.process.kill()
            self.process.join()
            raise Wrong(f"it hung for {limit:.0f} s; it had said: {self.last()}")
        return code

    def send(self, number: int) -> None:
        """Send a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid or 0, number)

    def last(self) -> str:
        """Return the last line on standard error."""
        return (self.said.read_text().splitlines() or [""])[-1][:200]

    def traceback(self) -> bool:
        """Return whether the user was shown one."""
        return "Traceback" in self.said.read_text() + self.output.read_text()


def _enter(words: list[str], environment: dict[str, str], said: str, output: str) -> None:
    """Be the program, in the forked process."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(Path(said).parent)
    for descriptor, name in ((1, output), (2, said)):
        os.dup2(os.open(name, os.O_WRONLY), descriptor)
    if CLOCK in environment:
        _shift_clock(Path(environment[CLOCK]))
    sys.argv = ["rlvit", *words]
    from rlvit.cli.main import main

    main(words)


def _shift_clock(file: Path) -> None:
    """Have the time of day be off by as many seconds as a file says at the moment."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + int(file.read_text() or 0)
    time.time_ns = lambda: real_ns() + 10**9 * int(file.read_text() or 0)


class Hurt:
    """The run of a cell: what is seen of it from outside."""

    def __init__(self, bench: Bench, cell: Cell) -> None:
        self.bench, self.cell = bench, cell
        before = bench.runs()
        own = ("--mae-seed", "1") if cell.phase == "pre-training" else ()
        self.command = bench.start(*RUN, *own)
        (self.folder,) = self.wait(lambda: bench.runs() - before, "the run did not begin")
        self.before = b""

    def wait(self, condition: Callable[[], Any], what: str, pause: float = 0.005) -> Any:
        """Wait for a condition while the run is under way."""

        def looked() -> Any:
            found = condition()
            if not found and self.command.code() is not None:
                raise Wrong(f"{what}: the run ended before: {self.command.last()}")
            return found

        return until(looked, what, pause=pause)

    def recorded(self) -> bytes:
        """Return the whole lines of metrics.jsonl."""
        path = self.folder / "metrics.jsonl"
        data = path.read_bytes() if path.exists() else b""
        return data[: data.rfind(b"\n") + 1]

    def stage(self) -> str:
        """Return the stage of the newest checkpoint."""
        with contextlib.suppress(OSError, ValueError):
            newest = max((self.folder / "checkpoint").glob("0*.json"), default=None)
            return str(json.loads(newest.read_text())["stage"]) if newest else ""
        return ""

    def reach(self) -> None:
        """Wait for the phase of the cell, and note what is recorded by then."""
        phase, episodes = self.cell.phase, self.folder / "episodes.jsonl"
        wanted: dict[str, Callable[[], bool]] = {
            "pre-training": lambda: self.stage() == "pretrain" and b"\n" in self.recorded(),
            "evaluation": lambda: episodes.exists() and b"\n" in episodes.read_bytes(),
        }
        self.wait(wanted.get(phase, lambda: self.stage() == "learn"), f"phase {phase}")
        if phase == "flush":
            self._freeze_while_writing()
        self.before = self.recorded()

    def _freeze_while_writing(self) -> None:
        """Stop the process while the registry or MLflow's store is being written."""
        log = self.bench.home / "registry.db-wal"
        journal = self.bench.home / "runs" / "mlflow.db-journal"
        last = log.stat().st_mtime_ns if log.exists() else 0

        def writing() -> str:
            if journal.exists():
                return "MLflow's store"
            return "the registry" if log.exists() and log.stat().st_mtime_ns != last else ""

        what = self.wait(writing, "nothing was written", pause=0.0005)
        self.command.send(signal.SIGSTOP)
        self.cell.notes.append(f"frozen while {what} was written")

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self.command.send(signal.SIGCONT)

    def goes_on(self, rows: int) -> None:
        """Wait until so many more rows are recorded, or the run has ended."""
        begun = self.recorded().count(b"\n")
        code = self.command.code
        until(lambda: self.recorded().count(b"\n") >= begun + rows or code() is not None, "rows")


class Server:
    """A PostgreSQL server of this script's own."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not found:
            raise Skipped("PostgreSQL is not installed")
        self._as = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        self._control, self.data = found[-1] / "pg_ctl", folder / "data"
        folder.mkdir()
        folder.chmod(0o755)
        if self._as:
            shutil.chown(folder, "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        initdb = (found[-1] / "initdb", "-D", self.data, "-U", "rlvit", "--auth=trust")
        call(*self._as, *initdb, "--no-sync", cwd="/")
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        options = f"-p {self.port} -k {self.data.parent} -c listen_addresses=127.0.0.1"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        words = (self._control, "-D", self.data, "-o", options, "-l", self.data.parent / "log")
        call(*self._as, *words, "-w", "start", cwd="/", capture_output=False, **quiet)

    def stop(self) -> None:
        """Stop it in the middle of everything."""
        with contextlib.suppress(subprocess.CalledProcessError):
            call(*self._as, self._control, "-D", self.data, "-m", "immediate", "stop", cwd="/")

    def database(self, name: str) -> str:
        """Make a database and return its URL."""
        url = f"postgresql+psycopg://rlvit@127.0.0.1:{self.port}"
        engine = create_engine(f"{url}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        engine.dispose()
        return f"{url}/{name}"
