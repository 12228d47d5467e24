"""A matrix runs every cell that fits once, says why others do not, and goes on where it stopped."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Sequence

import pytest
from toy_program import Program

from rlvit.catalog import Catalog
from rlvit.errors import UnknownName, UsageProblem
from rlvit.runs.matrix import Cell, default_name, fitting, make_cells
from rlvit.runs.plan import Request

COMMAND = ("matrix", "--plugin", "toy", "--preset", "quick", "--threads", "1", "--device", "cpu")
GRID = ("--puzzle", "Alpha,Beta", "--selector", "toy-pick,toy-needy", "--reward", "toy-plain")


def runs(program: Program) -> list[tuple[str, int, str, str]]:
    """Task, seed, state and matrix of every run, in a settled order."""
    query = """SELECT task, seed, state, tag.value FROM run
        JOIN experiment ON run.experiment_id = experiment.id
        LEFT JOIN tag ON tag.run_id = run.id AND tag.key = 'matrix' ORDER BY 1, 2, 3"""
    with sqlite3.connect(program.home / "registry.db") as database:
        return database.execute(query).fetchall()


def cells(
    catalog: Catalog, *tasks: str, seeds: Sequence[int] = (0,), **choices: list[str]
) -> list[Cell]:
    request = Request("toy", preset="quick", device="cpu", threads=1)
    return make_cells(catalog, request, tasks, choices, seeds)


def test_every_combination_is_a_cell_and_what_does_not_fit_has_a_reason(toy: Catalog) -> None:
    found = cells(toy, "Alpha", "beta", selector=["toy-pick", "TOY-NEEDY"], seeds=(1, 2))
    assert [(c.task, c.parts["selector"], c.seed, c.plan is not None) for c in found] == [
        ("Alpha", "toy-pick", 1, True),
        ("Alpha", "toy-pick", 2, True),
        ("Alpha", "toy-needy", 1, False),
        ("Alpha", "toy-needy", 2, False),
        ("Beta", "toy-pick", 1, True),
        ("Beta", "toy-pick", 2, True),
        ("Beta", "toy-needy", 1, False),
        ("Beta", "toy-needy", 2, False),
    ]
    reasons = {c.problem for c in found if c.plan is None}
    assert reasons == {
        "selector 'toy-needy' needs reconstruction, which backbone 'toy-eye' does not provide."
    }


@pytest.mark.parametrize(
    ("tasks", "choices", "expected"),
    [
        (("Gamma",), {}, "unknown puzzle 'Gamma'"),
        (("Alpha",), {"selector": ["toy-pik"]}, "Did you mean 'toy-pick'"),
        (("Alpha", "ALPHA"), {}, "--puzzle: Alpha is named twice"),
        (("Alpha",), {"reward": ["toy-half", "toy-half"]}, "--reward: toy-half is named twice"),
    ],
)
def test_a_wrong_name_is_refused_before_any_cell(
    toy: Catalog, tasks: tuple[str, ...], choices: dict[str, list[str]], expected: str
) -> None:
    with pytest.raises((UnknownName, UsageProblem), match=expected.replace(".", r"\.")):
        cells(toy, *tasks, **choices)


def test_a_method_fits_if_each_part_fits_with_some_other(toy: Catalog) -> None:
    method = toy.method("toy")
    assert fitting(toy, method, {"selector": ["toy-pick"], "backbone": ["toy-eye"]})
    assert not fitting(toy, method, {"selector": ["toy-pick", "toy-needy"]})
    assert not fitting(toy, method, {"horizon": ["toy-pick"]})


def test_the_name_is_made_of_what_was_asked(toy: Catalog) -> None:
    one, two = cells(toy, "Alpha"), cells(toy, "Alpha", reward=["toy-half"])
    request = Request("toy", preset="quick", device="cpu", threads=1)
    names = [default_name(request, ["Alpha"], found) for found in (one, one, two)]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("toy-alpha-")


def test_cells_are_run_once_and_shown_side_by_side(program: Program) -> None:
    done = program(*COMMAND, *GRID, "--seeds", "0,1", "--name", "first")
    assert done.code == 0, done.err
    wanted = [(t, s, "completed", "first") for t in ("Alpha", "Beta") for s in (0, 1)]
    assert runs(program) == wanted
    assert "4 of 8 cells fit" in done.out
    assert "left out: selector 'toy-needy' needs reconstruction" in done.err
    assert "Alpha, protocol brief: toy/score (points)" in done.out
    assert "report --tag matrix=first" in done.out
    again = program(*COMMAND, *GRID, "--seeds", "0,1", "--name", "first")
    assert again.code == 0
    assert runs(program) == wanted
    assert again.err.count(": completed\n") == 4


def test_a_run_of_another_matrix_joins_and_keeps_its_tag(program: Program) -> None:
    assert program(*COMMAND, "--puzzle", "Alpha", "--name", "first").code == 0
    second = program(*COMMAND, "--puzzle", "Alpha,Beta", "--name", "second")
    assert runs(program) == [
        ("Alpha", 0, "completed", "first"),
        ("Beta", 0, "completed", "second"),
    ]
    words = shlex.split(second.out.splitlines()[-1].partition(" report ")[2])
    assert words[0] == "--query"
    assert program("report", *words, "--format", "json").code == 0
    written = "".join(f.read_text() for f in (program.home / "reports/report").rglob("*.json"))
    assert '"Alpha"' in written
    assert '"Beta"' in written


def test_an_interrupted_cell_goes_on_and_the_rest_follows(program: Program) -> None:
    stopped = program(*COMMAND, "--puzzle", "Alpha,Beta", "--name", "m", TOY_AT="7:SIGINT")
    assert stopped.code == 130
    assert "The same command again goes on from here." in stopped.err
    assert runs(program) == [("Alpha", 0, "interrupted", "m")]
    done = program(*COMMAND, "--puzzle", "Alpha,Beta", "--name", "m")
    assert done.code == 0, done.err
    assert "to resume" in done.out
    assert runs(program) == [("Alpha", 0, "completed", "m"), ("Beta", 0, "completed", "m")]


def test_a_failed_cell_does_not_keep_others_from_running(program: Program) -> None:
    done = program(*COMMAND, "--puzzle", "Alpha,Beta", "--name", "m", TOY_AT="7:fail")
    assert done.code == 1
    assert "2 of 2 cells failed" in done.err
    assert "Traceback" not in done.err
    again = program(*COMMAND, "--puzzle", "Alpha,Beta", "--name", "m")
    assert again.code == 0
    assert [state for _, _, state, _ in runs(program)] == ["completed", "failed"] * 2


def test_a_dry_run_writes_nothing(program: Program) -> None:
    done = program(*COMMAND, *GRID, "--dry-run")
    assert done.code == 0
    assert not program.home.exists()
    assert "to run" in done.out
    assert "left out" in done.out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((*COMMAND, "--puzzle", "Alpha", "--selector", "toy-needy"), "none of the 1 cells fits"),
        ((*COMMAND, "--puzzle", "Alpha,"), "--puzzle Alpha,: expected names with commas"),
        ((*COMMAND, "--puzzle", "Alpha", "--rate", "-1"), "--rate -1.0"),
        ((*COMMAND, "--puzzle", "Alpha", "--seeds", "a"), "--seeds a: expected a range"),
        ((*COMMAND,), "toy needs a puzzle: give --puzzle"),
        ((*COMMAND, "--puzzle", "Alpha", "--selector-from", "x"), "there is no registry"),
        (("matrix", "--puzzle", "Alpha", "--selector", "toy-needy"), "no method is known to fit"),
        (("matrix", "--puzzle", "Alpha", "--selector", "nope"), "unknown selector 'nope'"),
        (("matrix",), "no method is known to fit: give --plugin, one of toy"),
    ],
)
def test_bad_input_is_one_line(program: Program, options: tuple[str, ...], expected: str) -> None:
    done = program(*options)
    assert done.code == 2
    assert expected in done.errors[-1]
    assert "Traceback" not in done.err
    assert not program.home.exists()


def test_the_only_method_that_fits_is_found(program: Program) -> None:
    asked = ("--puzzle", "Alpha", "--selector", "toy-pick", "--preset", "quick", "--dry-run")
    done = program("matrix", *asked)
    assert done.code == 0, done.err
    assert "method toy: the only one that these options fit." in done.err
