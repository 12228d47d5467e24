"""Runs the `rlvit` program in processes of its own, forked from one that has imported torch."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds until a test gives up waiting

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(
    [
        "pytest",
        "torch",
        "alembic.command",
        "sqlalchemy.dialects.sqlite",
        "rlvit.cli.run",
        "rlvit.cli.runs",
        "rlvit.cli.plugins",
        "rlvit.cli.progress",
        "rlvit.runs.execute",
    ]
)


@dataclass(frozen=True)
class Done:
    """How a command ended; a negative code is a signal."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()


class Running:
    """A command under way."""

    def __init__(self, process: Any, output: Path) -> None:
        self._process, self._output = process, output
        self.pid: int = process.pid

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> Done:
        """Wait for the end."""
        self._process.join(PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(self._output.with_suffix(".err").read_text())
        texts = [self._output.with_suffix(end).read_text() for end in (".out", ".err")]
        return Done(self._process.exitcode, *texts)


@dataclass
class Program:
    """The program with a home, a set of plugins and an environment."""

    folder: Path
    sites: Sequence[Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)

    @property
    def home(self) -> Path:
        """The home of every command."""
        return self.folder / "home"

    def start(self, *arguments: str, home: Path | None = None, **environment: str) -> Running:
        """Begin a command."""
        output = self.folder / f"output-{next(self._numbers)}"
        process = FORK.Process(
            target=_enter,
            args=(
                ["--home", str(home or self.home), *arguments],
                {**os.environ, **self.environment, **environment},
                [str(site) for site in self.sites],
                str(self.folder),
                str(output),
            ),
        )
        process.start()
        return Running(process, output)

    def __call__(self, *arguments: str, home: Path | None = None, **environment: str) -> Done:
        """Carry a command to its end."""
        return self.start(*arguments, home=home, **environment).wait()

    def run(self, *options: str, home: Path | None = None, **environment: str) -> Done:
        """Run the toy method."""
        return self(*self.command(*options), home=home, **environment)

    @staticmethod
    def command(*options: str) -> list[str]:
        """Return the arguments of a run of the toy method."""
        known = ("--plugin", "toy", "--puzzle", "Alpha", "--preset", "quick", "--threads", "1")
        return ["run", *known, "--device", "cpu", *options]


def _enter(
    arguments: list[str],
    environment: dict[str, str],
    sites: list[str],
    folder: str,
    output: str,
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have taken it away
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for descriptor, end in ((1, ".out"), (2, ".err")):
        file = os.open(output + end, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
    sys.path[:0] = sites
    sys.argv = ["rlvit", *arguments]
    from rlvit.cli.main import main

    main(arguments)


def in_processes(target: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[int]:
    """Call a function once for each tuple, all at once in processes, and return their codes."""
    processes = [FORK.Process(target=target, args=given) for given in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    return [process.exitcode for process in processes]


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition holds and return what it returned."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise TimeoutError(what)


def add_distribution(
    site: Path, name: str, points: Mapping[str, str], version: str = "1.0"
) -> None:
    """Make a distribution with entry points visible to whoever has `site` in its path."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = ["[rlvit.plugins]", *(f"{key} = {value}" for key, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def add_plugin(site: Path, name: str, source: str, *, module: str | None = None) -> None:
    """Write a plugin of one module, with its distribution."""
    module = module or f"toy_module_{name.replace('-', '_')}"
    site.mkdir(parents=True, exist_ok=True)
    (site / f"{module}.py").write_text(source)
    add_distribution(site, f"dist-{name}", {name: module})
