"""A home with real runs of every kind, made once and copied by each test that damages it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from toy_program import Program

from rlvit.home import Home
from rlvit.registry.database import open_to_read
from rlvit.runs.audit.check import Audit

STUDY = (
    *("tune", "--plugin", "toy", "--puzzle", "Alpha", "--preset", "official-code", "--threads"),
    *("1", "--device", "cpu", "--objective", "score", "--space", "rate=0.01..0.5:log"),
    *("--fix", "steps=12", "--trials", "2", "--print-every", "0"),
)


def make(program: Program) -> None:
    """Make two runs that share an artifact, one interrupted, one by itself and two of a study."""
    assert program.run("--seed", "0", "--name", "first", "--tag", "kind=a").code == 0
    assert program.run("--seed", "1", "--name", "second").code == 0
    stopped = program.run("--seed", "2", "--name", "stopped", TOY_AT="15:SIGTERM")
    assert stopped.code == 130, stopped.err
    assert program.run("--seed", "3", "--name", "alone", "--mode", "sum").code == 0
    (program.folder / "DER.csv").write_text("task,score,seed\nAlpha,2.5,0\nAlpha,1.5,1\n")
    file = str(program.folder / "DER.csv")
    imported = program("baselines", "add", file, "--metric", "toy/score", "--protocol", "brief")
    assert imported.code == 0, imported.err
    studied = program(*STUDY)
    assert studied.code == 0, studied.err


def change(home: Home, *statements: str, foreign_keys: bool = True) -> None:
    """Change the registry behind rlvit's back."""
    with closing(sqlite3.connect(home.root / "registry.db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement


def ids(home: Home) -> dict[str, str]:
    """Return the ids of the runs by name; those of the study have none but their id."""
    with closing(sqlite3.connect(home.root / "registry.db")) as connection:
        return dict(connection.execute("SELECT name, id FROM run").fetchall())


def found(home: Home, **settings: Any) -> list[tuple[str, str]]:
    """Return kind and subject of what a check finds."""
    engine = open_to_read(home.registry_url)
    try:
        return [(one.kind, one.subject) for one in Audit(home, engine, **settings).findings()]
    finally:
        engine.dispose()


def age(path: Path) -> None:
    """Let a file or folder and what is in it be from long ago."""
    for one in [*path.rglob("*"), path] if path.is_dir() else [path]:
        os.utime(one, (1e9, 1e9))
