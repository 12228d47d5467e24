"""Lists of many runs, a page at a time: what is on a page, what is left, and how it is found."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import event

from rlvit import Registry
from rlvit.cli.main import cli
from rlvit.errors import UnknownName, UsageProblem
from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.store import NewRun, PointRow, Store
from rlvit.specs import MetricDef

RUNS = 7
SCORE = MetricDef("a/score", "points", "max", "a score")


def new_run(number: int) -> NewRun:
    """Return a run; those with odd numbers are of another task."""
    odd = number % 2
    return NewRun(
        id=f"m-s{number}",
        name=f"name {number}",
        method="m",
        plugin="p",
        plugin_version="1",
        task=("Alpha", "Beta")[odd],
        protocol="brief",
        protocol_settings={},
        config={},
        bookkeeping={},
        slots={},
        fingerprint=str(odd),
        seed=number,
        preset="quick",
        note="",
        folder="",
        provenance={"packages": {"torch": "2"}},
        tags={"all": ""},
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home for all tests here."""
    return Home.locate(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def store(home: Home) -> Iterator[Store]:
    """Return a registry with seven completed runs, number 6 the newest, that measured a score."""
    home.create()
    store, clock = Store(home.registry_url), iter(range(1, 1000))
    store.declare_metrics([SCORE])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rlvit.registry.store.time.time", lambda: float(next(clock)))
        for number in range(RUNS):
            add_run(store, number)
    yield store
    store.close()


def add_run(store: Store, number: int) -> None:
    """Add a run that measured its number, and one more later."""
    run_id = f"m-s{number}"
    store.create_run(new_run(number))
    store.move(run_id, "running")
    shared = {"metric": SCORE.name, "attempt": 1, "samples": 1, "spread": None}
    rows = [{**shared, "row": row, "step": row, "value": number + row} for row in (0, 1)]
    store.add_results(run_id, rows)
    store.move(run_id, "completed")


@pytest.mark.parametrize(
    ("asked", "seeds", "total"),
    [
        ({"limit": 3}, [6, 5, 4], 7),
        ({"limit": 3, "offset": 3}, [3, 2, 1], 7),
        ({"limit": 3, "offset": 6}, [0], 7),
        ({"limit": 3, "offset": 9}, [], 7),
        ({"limit": 7}, [6, 5, 4, 3, 2, 1, 0], 7),
        ({"limit": 2, "task": "Beta"}, [5, 3], 3),
        ({"limit": 2, "tag": "all", "state": "completed"}, [6, 5], 7),
        ({"limit": 2, "seed": 4}, [4], 1),
        ({"limit": 2, "task": "Gamma"}, [], 0),
    ],
)
def test_a_page_knows_how_many_there_are(
    store: Store, asked: dict[str, Any], seeds: list[int], total: int
) -> None:
    page = queries.page(store.engine, **asked)
    assert [record.seed for record in page.records] == seeds
    assert page.total == total


def test_a_page_of_chosen_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_VALUES", 2)
    chosen = {"m-s0", "m-s1", "m-s2", "m-s5", "m-s6", "gone"}
    page = queries.page(store.engine, limit=3, offset=1, chosen=chosen)
    assert [record.seed for record in page.records] == [5, 2, 1]
    assert (list(page.results), page.total) == (["m-s5", "m-s2", "m-s1"], 5)
    assert queries.page(store.engine, limit=3, chosen=chosen, task="Beta").total == 2
    assert queries.page(store.engine, limit=3, chosen=()).records == []


@pytest.mark.parametrize(("archived", "total"), [(True, 2), (False, 5), (None, 7)])
def test_archived_runs_are_counted_where_they_are_asked_for(
    store: Store, archived: bool | None, total: int
) -> None:
    for run in ("m-s2", "m-s4"):
        store.annotate(run, archived=True)
    assert queries.page(store.engine, limit=1, archived=archived).total == total
    for run in ("m-s2", "m-s4"):
        store.annotate(run, archived=False)


def test_a_page_has_the_results_of_its_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_VALUES", 2)  # three runs: two statements
    page = queries.page(store.engine, limit=3)
    found = {run: [one.value for one in of_run] for run, of_run in page.results.items()}
    assert found == {"m-s6": [6, 7], "m-s5": [5, 6], "m-s4": [4, 5]}
    assert page.records[0].tags == {"all": ""}
    assert page.results["m-s5"] == queries.results(store.engine, "m-s5")


def test_every_page_together_is_the_list(store: Store) -> None:
    whole = queries.list_runs(store.engine)
    pages = [queries.list_runs(store.engine, limit=2, offset=start) for start in range(0, 8, 2)]
    assert [record for page in pages for record in page] == whole
    assert len(whole) == RUNS


def test_the_frame_has_pages_too(store: Store, home: Home) -> None:
    found = Registry(home.root).runs(limit=2, offset=1)
    assert list(found.index) == ["m-s5", "m-s4"]
    assert found["provenance"].iloc[0] == {"packages": {"torch": "2"}}


def listed(home: Home, *words: str) -> Any:
    """Return what `rlvit runs list` printed."""
    done = CliRunner().invoke(cli, ["--home", str(home.root), "runs", "list", *words])
    assert done.exit_code == 0, done.output
    return done


def test_the_list_says_how_many_more_there_are(store: Store, home: Home) -> None:
    text = listed(home, "--limit", "3").stdout
    assert "5 more" not in text
    assert text.splitlines()[-1] == "4 more of 7 runs: --offset 3"
    assert listed(home, "--limit", "3", "--offset", "3").stdout.count("m-s") == 3
    assert "more of" not in listed(home, "--limit", "3", "--offset", "4").output
    assert "more of" not in listed(home).output


def test_what_programs_read_has_no_such_line(store: Store, home: Home) -> None:
    done = listed(home, "--limit", "2", "--format", "json")
    assert [row["run"] for row in json.loads(done.stdout)] == ["m-s6", "m-s5"]
    assert done.stderr == "5 more of 7 runs: --offset 2\n"


def test_an_ambiguous_name_counts_all_and_names_five(store: Store) -> None:
    with pytest.raises(UsageProblem, match="fits 7 runs") as caught:
        queries.find_run(store.engine, "m-s")
    assert re.findall(r"m-s\d", str(caught.value)) == [f"m-s{n}" for n in (6, 5, 4, 3, 2)]
    with pytest.raises(UnknownName):
        queries.find_run(store.engine, "other")


def test_points_are_read_in_their_order(store: Store, home: Home) -> None:
    store.add_points(
        "m-s0", [PointRow(SCORE.name, 1, row, 10 * row, value, 5.0) for row, value in VALUES]
    )
    found = Registry(home.root).points("m-s0", SCORE.name)
    assert found["step"].tolist() == [0, 10, 20]
    assert found["value"].isna().tolist() == [False, True, False]
    assert list(found.columns) == ["metric", "attempt", "row", "step", "value", "at"]


VALUES = ((2, 0.5), (0, 1.5), (1, float("nan")))


# With 100,000 runs, a plan that reads each of them takes 100 ms or more.


def plans(store: Store, call: Any) -> list[str]:
    """Return the plan of every SELECT that a call makes."""
    made: list[tuple[str, Any]] = []
    keep = lambda *given: made.append((given[2], given[3]))  # noqa: E731
    event.listen(store.engine, "before_cursor_execute", keep)
    call()
    event.remove(store.engine, "before_cursor_execute", keep)
    with store.engine.connect() as connection:
        return [
            " | ".join(
                row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)
            )
            for text, given in made
            if text.startswith("SELECT")
        ]


@pytest.mark.parametrize(
    "asked",
    [{}, {"state": "completed"}, {"task": "Beta"}, {"task": "Beta", "method": "m", "state": "x"}],
)
def test_a_page_reads_no_run_that_is_not_on_it(store: Store, asked: dict[str, Any]) -> None:
    found = plans(store, lambda: queries.page(store.engine, limit=1, **asked))
    assert len(found) >= 2
    assert not [p for p in found if re.search(r"SCAN run(?! USING (COVERING )?INDEX)", p)]
    scans = [plan for plan in found if "SCAN run" in plan]
    allowed = ("SCAN run USING INDEX ix_run_created_at", "SCAN run USING COVERING INDEX")
    assert all(any(way in plan for way in allowed) for plan in scans)


def test_a_report_reads_the_runs_of_its_task_alone(store: Store) -> None:
    scope = queries.Scope(task="Beta")
    found = plans(store, lambda: queries.finished(store.engine, scope))
    assert len(found) == 5
    assert not [plan for plan in found if "SCAN run" in plan]
    of_runs = [plan for plan in found if "SEARCH run" in plan]
    assert len(of_runs) == 4
    assert all("experiment_id=?" in plan for plan in of_runs)


def test_a_name_is_found_in_an_index(store: Store) -> None:
    found = plans(store, lambda: queries.find_run(store.engine, "name 3"))
    assert found
    assert not [plan for plan in found if "SCAN run" in plan]
