"""Studies of the toy as a program, and what their registry and folders then have to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toy_program import until

from rlvit.home import Home
from rlvit.registry import queries, studies
from rlvit.registry.database import open_database

STUDY = (
    *("tune", "--plugin", "toy", "--puzzle", "Alpha", "--preset", "official-code"),
    *("--device", "cpu", "--objective", "score", "--space", "rate=0.01..0.5:log"),
    *("--fix", "steps=40", "--print-every", "0"),
)


def trials_of(home: Path, registry: str | None = None) -> list[Any]:
    """Return the trials of the only study; none if there is no study yet."""
    where = Home.locate(home, registry)
    if registry is None and not (home / "registry.db").exists():
        return []
    engine = open_database(where.registry_url)
    try:
        found = studies.list_studies(engine)
        return studies.list_trials(engine, found[0].name) if found else []
    finally:
        engine.dispose()


def runs_of(home: Path, registry: str | None = None) -> dict[str, Any]:
    """Return all runs by id."""
    engine = open_database(Home.locate(home, registry).registry_url)
    try:
        return {run.id: run for run in queries.list_runs(engine, archived=None)}
    finally:
        engine.dispose()


def held(home: Path, count: int, registry: str | None = None) -> list[Any]:
    """Return the trials under way once there are `count`, each with a checkpoint of its run."""

    def look() -> list[Any]:
        found = [t for t in trials_of(home, registry) if t.state == "running" and t.runs]
        ready = [
            trial
            for trial in found
            if list((home / "runs" / trial.runs[0] / "checkpoint").glob("000002.json"))
        ]
        return ready if len(ready) == count else []

    found: list[Any] = until(look, "the trials to be under way")
    return found


def heard(home: Path, count: int) -> None:
    """Wait until so many runs know that they are to stop."""

    def look() -> bool:
        logs = [path.read_text() for path in (home / "runs").glob("*/log.txt")]
        return sum("SIGINT: stopping with a checkpoint" in log for log in logs) == count

    until(look, "the signal to be heard")


def check_whole(home: Path, count: int, killed: int, registry: str | None = None) -> None:
    """Make sure that no trial was lost or doubled, and that the killed one went on."""
    trials, runs = trials_of(home, registry), runs_of(home, registry)
    assert [t.number for t in trials] == list(range(count))
    assert {t.state for t in trials} == {"completed"}
    assert sorted(run for t in trials for run in t.runs.values()) == sorted(runs)
    assert {run.state for run in runs.values()} == {"completed"}
    attempts = {t.number: runs[t.runs[0]].attempt for t in trials}
    assert attempts == {number: 2 if number == killed else 1 for number in range(count)}
    log = (home / "runs" / trials[killed].runs[0] / "log.txt").read_text()
    assert "going on from learn 20" in log


def waiting(tmp_path: Path) -> dict[str, str]:
    """Return the environment in which every run waits at step 25 until GO is there."""
    return {
        "TOY_AT": "25:wait",
        "TOY_READY": str(tmp_path / "ready"),
        "TOY_GO": str(tmp_path / "go"),
    }
