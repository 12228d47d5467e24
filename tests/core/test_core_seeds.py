"""Several seeds of one command: side by side, each a run of its own, with one summary."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from study_program import heard, runs_of, waiting
from toy_program import Program, until

from rlvit.cli.seeds import summary
from rlvit.contracts import Measurement
from rlvit.runs.together import share

SEEDS = (
    *("run", "--plugin", "toy", "--puzzle", "Alpha", "--preset", "official-code", "--device"),
    *("cpu", "--steps", "40", "--print-every", "0"),
)


def test_threads_are_shared() -> None:
    assert [share(8, n) for n in (1, 3, 8, 20)] == [8, 2, 1, 1]


def test_the_summary_is_of_the_last_value_of_each_metric() -> None:
    def outcome(*values: float) -> Any:
        found = [Measurement("a", value, 1, step=step) for step, value in enumerate(values)]
        return SimpleNamespace(results=found)

    (row,) = summary([outcome(9.0, 1.0), outcome(9.0, 2.0), outcome(9.0, 3.0), outcome(9.0, 10.0)])
    # Mean 4, sd of (1, 2, 3, 10) = sqrt(50 / 3), the middle half is (2, 3); Student's t of 3
    # degrees of freedom is 3.182: 4 -+ 3.182 * sqrt(50 / 3) / 2 = -2.496 to 10.5.
    assert (row["over seeds"], row["mean"], row["IQM"], row["n"]) == ("a", 4.0, 2.5, 4)
    assert row["sd"] == pytest.approx((50 / 3) ** 0.5)
    assert row["95 %"] == "-2.496 to 10.5"
    assert summary([outcome(1.0)]) == []


def test_seeds_side_by_side_are_the_runs_of_one_after_another(program: Program) -> None:
    together = program(*SEEDS, "--threads", "2", "--seeds", "0-2")
    assert together.code == 0, together.err
    runs = runs_of(program.home)
    assert sorted(run.seed for run in runs.values()) == [0, 1, 2]
    assert {run.state for run in runs.values()} == {"completed"}
    assert {run.provenance["threads"] for run in runs.values()} == {1}
    (group,) = {run.tags["group"] for run in runs.values()}
    assert f"runs list --tag group={group}" in together.out
    assert "3 of 3 completed" in together.out
    assert "over seeds" in together.out
    assert "seed 2 learn 40/40" in together.err
    alone = program(*SEEDS, "--threads", "1", "--seeds", "0-2", "--name", "alone")
    assert alone.code == 0, alone.err
    lines = [line for line in together.out.splitlines() if line.startswith(" toy/score ")]
    assert lines
    assert lines[0] in alone.out  # the same numbers
    again = {run.seed: run.fingerprint for run in runs_of(program.home).values()}
    assert len(set(again.values())) == 1


def test_ctrl_c_stops_those_under_way_and_begins_no_other(program: Program, tmp_path: Path) -> None:
    command = program.start(
        *SEEDS, "--seeds", "0-2", "--jobs", "2", "--threads", "2", **waiting(tmp_path)
    )
    _under_way(program, 2)
    command.send(signal.SIGINT)
    heard(program.home, 2)
    (tmp_path / "go").touch()
    done = command.wait()
    assert done.code == 130, done.err
    runs = runs_of(program.home)
    assert [run.state for run in runs.values()] == ["interrupted"] * 2
    assert "0 of 3 completed" in done.out
    assert "seed 2: not begun: stopped before" in done.out
    for run in runs:
        assert f"resume {run.rpartition('-')[2]}" in done.out


def test_a_killed_seed_leaves_the_others_alone(program: Program, tmp_path: Path) -> None:
    command = program.start(
        *SEEDS, "--seeds", "4,5", "--jobs", "2", "--threads", "2", **waiting(tmp_path)
    )
    victim = next(run for run in _under_way(program, 2).values() if run.seed == 5)
    os.kill(victim.process["pid"], signal.SIGKILL)
    (tmp_path / "go").touch()
    done = command.wait()
    assert done.code == 1
    assert "seed 5: its process ended by SIGKILL" in done.out
    assert "1 of 2 completed" in done.out
    listed = program("runs", "list")
    assert f"{victim.id} is interrupted: its process is gone" in listed.err
    resumed = program("resume", victim.id)
    assert resumed.code == 0, resumed.err


def test_one_failed_seed_does_not_keep_the_next_from_running(program: Program) -> None:
    done = program(*SEEDS, "--threads", "1", "--seeds", "0,1", TOY_AT="5:fail")
    assert done.code == 1
    states = [run.state for run in runs_of(program.home).values()]
    assert states == ["failed", "failed"]
    assert sum(line.startswith("Error: ") for line in done.err.splitlines()) == 2


@pytest.mark.parametrize("jobs", ["0", "-1", "many"])
def test_a_wrong_number_of_jobs_is_refused(program: Program, jobs: str) -> None:
    done = program(*SEEDS, "--seeds", "0-1", "--jobs", jobs)
    assert done.code == 2
    assert "--jobs" in done.err
    assert not program.home.exists()


def _under_way(program: Program, count: int) -> dict[str, Any]:
    """Return the runs once so many of them wait at step 25, each with a checkpoint."""

    def look() -> dict[str, Any]:
        if not (program.home / "registry.db").exists():
            return {}
        found = {
            run_id: run
            for run_id, run in runs_of(program.home).items()
            if run.state == "running"
            and list((program.home / "runs" / run_id / "checkpoint").glob("000002.json"))
        }
        return found if len(found) == count else {}

    found: dict[str, Any] = until(look, "the runs to be under way")
    return found
