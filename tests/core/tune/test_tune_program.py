"""`rlvit tune` as people run it: in processes, some of which are killed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from study_program import STUDY, check_whole, heard, held, runs_of, trials_of, waiting
from toy_program import Program


def test_two_workers_of_which_one_is_killed(program: Program, tmp_path: Path) -> None:
    command = program.start(*STUDY, "--trials", "5", "--workers", "2", **waiting(tmp_path))
    under_way = held(program.home, 2)
    assert len({trial.process["pid"] for trial in under_way}) == 2
    os.kill(under_way[0].process["pid"], signal.SIGKILL)
    (tmp_path / "go").touch()
    done = command.wait()
    assert done.code == 0, done.err
    assert "was ended by SIGKILL; another takes its trial over" in done.err
    assert f"trial {under_way[0].number} goes on: nobody worked on it any more" in done.err
    check_whole(program.home, 5, under_way[0].number)
    assert "5 completed, 5 wanted" in done.out


def test_ctrl_c_in_the_middle_and_on_again(program: Program, tmp_path: Path) -> None:
    command = program.start(*STUDY, "--trials", "2", **waiting(tmp_path))
    held(program.home, 1)
    command.send(signal.SIGINT)
    heard(program.home, 1)
    (tmp_path / "go").touch()
    done = command.wait()
    assert done.code == 130
    assert "1 interrupted, 2 wanted" in done.out
    assert "tune resume toy-alpha-" in done.out
    assert [t.state for t in trials_of(program.home)] == ["interrupted"]
    again = program("tune", "resume", "toy-alpha")
    assert again.code == 0, again.err
    assert [t.state for t in trials_of(program.home)] == ["completed", "completed"]
    assert sorted(run.attempt for run in runs_of(program.home).values()) == [1, 2]


def test_ctrl_c_ends_all_workers(program: Program, tmp_path: Path) -> None:
    command = program.start(*STUDY, "--trials", "4", "--workers", "2", **waiting(tmp_path))
    held(program.home, 2)
    command.send(signal.SIGINT)
    heard(program.home, 2)
    (tmp_path / "go").touch()
    done = command.wait()
    assert done.code == 130
    assert [t.state for t in trials_of(program.home)] == ["interrupted"] * 2


def test_a_study_tells_how_it_stands(program: Program) -> None:
    nothing = program("tune", "list")
    assert nothing.code == 2
    assert "there is no registry" in nothing.err
    dry = program(*STUDY, "--dry-run")
    assert dry.code == 0
    assert "rate = 0.01..0.5:log" in dry.out
    assert not program.home.exists()
    done = program(*STUDY, "--trials", "2")
    assert done.code == 0, done.err
    assert "is new" in done.err
    assert "so not yet best" in done.out
    (row,) = json.loads(program("tune", "list", "--format", "json").out)
    assert (row["finished"], row["objectives"]) == ("2/2", "toy/score:max")
    rows = json.loads(program("tune", "export", "latest", "--format", "json").out)
    assert [one["state"] for one in rows] == ["completed", "completed"]
    shown = program("tune", "show", row["study"][:11])
    assert "optimises toy/score (max)" in shown.out
    assert "Not confirmed" in program("tune", "best", "latest").out
    best = program("tune", "best", "latest", "--fresh-seeds", "2", "--top", "1")
    assert best.code == 0
    assert "95 % interval" in best.out
    assert "By fresh seeds trial" in best.out
    again = program("run", "--from-trial", f"{row['study']}:1")
    assert again.code == 0, again.err
    assert "completed" in again.out


def test_mistakes_end_in_one_line(program: Program) -> None:
    for words, message in (
        ((*STUDY, "--space", "rat=1,2"), "unknown setting 'rat'. Did you mean 'rate'?"),
        ((*STUDY, "--objective", "scor"), "unknown metric 'scor'."),
        ((*STUDY, "--storage", "mysql://x"), "--storage: expected postgresql+psycopg://"),
        (("run", "--from-trial", "a:1", "--plugin", "toy"), "--from-trial decides --plugin"),
        (("run", "--from-trial", "a:1"), "there is no registry"),
    ):
        done = program(*words)
        assert (done.code, len(done.errors)) == (2, 1), done.err
        assert message in done.err
        assert not program.home.exists()


def test_every_trial_failed(program: Program) -> None:
    done = program(*STUDY, "--trials", "2", TOY_AT="3:fail")
    assert done.code == 1
    assert "2 failed, 2 wanted" in done.out
    assert "every trial failed; the last: ValueError: the toy broke" in done.out
    best = program("tune", "best", "latest")
    assert best.code == 1
    assert "has no completed trial to compare yet" in best.err
