"""Questions in SQL: answered as they are asked, and nothing else is done."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from postgresql_server import postgresql_url
from sqlalchemy import create_engine, inspect, text
from toy_program import FORK, Running

from rlvit.cli.main import invoke
from rlvit.contracts import Artifact
from rlvit.home import sqlite_url
from rlvit.registry.database import open_to_read
from rlvit.registry.store import NewRun, PointRow, Store
from rlvit.specs import MetricDef

ROOT = Path(__file__).parents[2]
SCORE = MetricDef("a/score", "points", "max", "how well it went", "steps", False)
server = pytest.fixture(scope="module")(postgresql_url)


def fill(url: str) -> None:
    """Write two runs into a registry."""
    store = Store(url)
    store.declare_metrics([SCORE])
    for seed, run_id in enumerate(["r0", "r1"]):
        store.create_run(
            NewRun(
                **{"id": run_id, "name": "Zoë" if seed else run_id, "method": "toy"},
                **{"plugin": "toy", "plugin_version": "1", "task": "Alpha", "protocol": "brief"},
                **{"protocol_settings": {"a": 1}, "config": {"rate": 0.5}, "bookkeeping": {}},
                **{"slots": {"reward": "plain"}, "fingerprint": "f", "seed": seed},
                **{"preset": "quick", "note": "", "folder": f"/h/runs/{run_id}"},
                **{"provenance": {"device": "cpu", "host": "h", "gpu": None}, "tags": {"k": "v"}},
            )
        )
        store.move(run_id, "running", process={})
        store.add_points(
            run_id, [PointRow("a/score", 1, row, row * 10, row / 2, 5.0) for row in range(4)]
        )
        row = {"metric": "a/score", "attempt": 1, "samples": 2, "spread": None}
        store.add_results(
            run_id,
            [
                row | {"row": 0, "step": 10, "value": 1.0 + seed},
                row | {"row": 1, "step": 20, "value": 3.0 + seed},
            ],
        )
        store.add_episodes(
            run_id, [{"attempt": 1, "row": 0, "step": 20, "index": 7, "score": 2.5, "length": 9}]
        )
        store.supersede(run_id, {"metrics": 3, "results": 2, "episodes": 1})
        made = Artifact("model", "k", "s", Path("/h/m"), run_id, {"x": 1}, 12)
        store.add_artifact(run_id, made, "made")
    store.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("filled")
    fill(sqlite_url(home / "registry.db"))
    return home


@pytest.fixture
def ask(filled: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what asks, in this process, and gives code, output and messages."""

    def asked(*words: str) -> tuple[int, str, str]:
        code = invoke(["--home", str(filled), "registry", "query", *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return asked


def content(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        return list(connection.iterdump())


def test_the_views_say_what_the_runs_were(ask: Any) -> None:
    code, out, err = ask(
        "SELECT run, name, method, preset, seed, state, config, gpu FROM runs_all ORDER BY run",
        "--format",
        "json",
    )
    assert (code, err) == (0, "")
    shared = {"method": "toy", "preset": "quick", "state": "running", "config": {"rate": 0.5}}
    assert json.loads(out) == [
        {"run": "r0", "name": None, "seed": 0, "gpu": None, **shared},
        {"run": "r1", "name": "Zoë", "seed": 1, "gpu": None, **shared},
    ]


def test_results_know_which_is_the_latest(ask: Any) -> None:
    words = "SELECT run, task, unit, step, value FROM results_live WHERE latest ORDER BY run"
    _, out, _ = ask(words, "--format", "csv")
    assert out.splitlines()[1:] == ["r0,Alpha,points,20,3.0", "r1,Alpha,points,20,4.0"]


def test_rows_that_were_made_again_are_left_out(ask: Any) -> None:
    _, out, _ = ask("SELECT run, step FROM points_live", "--format", "csv")
    assert sorted(out.splitlines()[1:]) == [
        f"{run},{s}" for run in ("r0", "r1") for s in (0, 10, 20)
    ]


@pytest.mark.parametrize(
    ("view", "row"),
    [
        ("episodes_live", ["r0", "20", "7", "2.5", "9", "1"]),
        ("tags_of_runs", ["r0", "k", "v"]),
        ("artifacts_of_runs", ["r0", "model", "made", "r0", "s", "12", "/h/m", '{"x": 1}']),
        ("metrics_all", ["a/score", "points", "max", "how well it went", "steps", "0"]),
    ],
)
def test_a_view_has_its_rows(view: str, row: list[str], ask: Any) -> None:
    _, out, _ = ask(f"SELECT * FROM {view} ORDER BY 1", "--format", "csv")
    assert list(csv.reader(io.StringIO(out)))[1] == row


def test_every_view_is_described_with_all_its_columns(filled: Path) -> None:
    page = (ROOT / "docs/registry.md").read_text()
    described = {
        name: re.findall(r"^\| `(\w+)` \| .+ \|$", part, re.M)
        for name, part in re.findall(r"^### `(\w+)`$(.*?)(?=^##|\Z)", page, re.M | re.S)
    }
    engine = open_to_read(sqlite_url(filled / "registry.db"))
    found = inspect(engine)
    there = {
        name: [column["name"] for column in found.get_columns(name)]
        for name in found.get_view_names()
    }
    engine.dispose()
    assert described == there


def test_every_example_of_the_page_is_answered(filled: Path, ask: Any) -> None:
    page = (ROOT / "docs/registry.md").read_text()
    examples = re.findall(r"^```sql\n(.*?)```", page, re.M | re.S)
    assert len(examples) >= 4
    for example in examples:
        code, _, err = ask(f"\n{example}")
        assert (code, err) == (0, ""), example


def test_a_table_is_cut_and_says_what_it_left(ask: Any) -> None:
    many = (
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000) SELECT x FROM c"
    )
    code, out, err = ask(many)
    assert code == 0
    assert re.findall(r"\d+", out) == [str(n) for n in range(1, 201)]
    assert err == "800 more rows: --limit 1000\n"
    _, out, err = ask(many, "--format", "csv")
    assert (len(out.splitlines()), err) == (1001, "")
    _, out, err = ask(many, "--format", "json", "--limit", "3")
    assert json.loads(out) == [{"x": 1}, {"x": 2}, {"x": 3}]
    assert err == "997 more rows: --limit 1000\n"


def test_values_without_a_number_are_printed_sensibly(ask: Any) -> None:
    words = "SELECT NULL AS a, 1e999 AS b, x'00ff' AS c, 'x,y' AS d, config FROM runs_all LIMIT 1"
    _, out, _ = ask(words, "--format", "json")
    assert json.loads(out) == [
        {"a": None, "b": None, "c": "00ff", "d": "x,y", "config": {"rate": 0.5}}
    ]
    _, out, _ = ask(words, "--format", "csv")
    assert list(csv.reader(io.StringIO(out)))[1] == ["", "inf", "00ff", "x,y", '{"rate": 0.5}']
    _, out, _ = ask(words)
    assert out.split()[-6:] == ["-", "inf", "00ff", "x,y", '{"rate":', "0.5}"]


def test_a_table_shows_numbers_as_they_are(ask: Any) -> None:
    _, out, _ = ask("SELECT 1795290408.25 AS t, 0.123456789012 AS x, 12345678 AS n, 2.0 AS y")
    assert out.split()[-4:] == ["1795290408", "0.123456789", "12345678", "2"]


def test_columns_of_one_name_are_told_apart(ask: Any) -> None:
    _, out, _ = ask("SELECT a.run, b.run FROM runs_all a, runs_all b", "--format", "csv")
    assert out.splitlines()[0] == "run,run_2"
    _, out, _ = ask("SELECT 1 AS x WHERE 0", "--format", "json")
    assert json.loads(out) == []


def test_a_statement_may_come_from_a_file_or_standard_input(
    ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "q.sql"
    file.write_text("-- how many\n/* runs; all */ SELECT count(*) AS n FROM runs_all;\n")
    assert ask("--file", str(file), "--format", "csv")[1] == "n\n2\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("VALUES (7)"))
    assert ask("-", "--format", "csv")[1].splitlines()[1] == "7"
    code, _, err = ask("--file", str(tmp_path / "none.sql"))
    assert (code, err.count("\n")) == (2, 1)
    assert "No such file" in err


def test_without_a_statement_the_views_are_listed(ask: Any) -> None:
    _, out, _ = ask("--format", "csv")
    rows = dict(csv.reader(io.StringIO(out)))
    assert rows["tags_of_runs"] == "run, tag, value"
    assert {"runs_all", "points_live", "run", "metric"} <= set(rows)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT * FROM run_all", "'run_all'. Did you mean 'runs_all'"),
        ("SELECT metod FROM runs_all", "'metod'. Did you mean 'method'"),
        ("SELECT r.sed FROM runs_all r", "'r.sed'. Did you mean 'r.seed'"),
        ("SELECT 1 FROM runs_all WHERE frob(1)", "no such function: frob"),
        ("SELECT FROM", "syntax error"),
        ("DELETE FROM run", "only SELECT"),
        ("UPDATE run SET note = 'x'", "only SELECT"),
        ("INSERT INTO tag VALUES ('r0', 'a', 'b')", "only SELECT"),
        ("DROP TABLE run", "only SELECT"),
        ("ATTACH 'x.db' AS x", "only SELECT"),
        ("PRAGMA journal_mode=DELETE", "only SELECT"),
        ("VACUUM INTO 'x.db'", "only SELECT"),
        ("COMMIT", "only SELECT"),
        ("SELECT 1; DELETE FROM run", "one statement"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("WITH a AS (SELECT 1) DELETE FROM run", "only a SELECT"),
        ("WITH a AS (SELECT 1) INSERT INTO tag SELECT 'r0', 'a', 'b'", "only a SELECT"),
        ("SELECT load_extension('x')", "only a SELECT"),
        ("", "there is no statement"),
        ("/* nothing", "there is no statement"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_changes_nothing(
    statement: str, said: str, ask: Any, filled: Path
) -> None:
    before = content(filled)
    code, out, err = ask(statement)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert content(filled) == before
    assert not list(filled.glob("x.db"))


def test_the_file_itself_is_opened_for_reading_only(filled: Path) -> None:
    engine = open_to_read(sqlite_url(filled / "registry.db"))
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        raw.execute("PRAGMA query_only=OFF")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            raw.execute("DELETE FROM tag")
    engine.dispose()


def test_a_statement_that_takes_too_long_is_given_up(ask: Any) -> None:
    endless = (
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    )
    code, out, err = ask(endless, "--timeout", "0.05")
    assert (code, out) == (1, "")
    assert "given up after 0.05 s" in err


def _ask_endlessly(home: Path, ready: Path, output: Path) -> None:
    for descriptor, end in ((1, ".out"), (2, ".err")):
        file = os.open(output.with_suffix(end), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ready.touch()
    endless = (
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    )
    os._exit(invoke(["--home", str(home), "registry", "query", endless]))


def test_ctrl_c_ends_a_long_statement(filled: Path, tmp_path: Path) -> None:
    ready, output = tmp_path / "ready", tmp_path / "output"
    process = FORK.Process(target=_ask_endlessly, args=(filled, ready, output))
    process.start()
    while not ready.exists():
        time.sleep(0.01)
    time.sleep(1.0)  # so that it is under way; sooner would be heard as well
    os.kill(process.pid or 0, signal.SIGINT)
    done = Running(process, output).wait()
    assert (done.code, done.errors[-1]) == (130, "Stopped.")


@pytest.mark.postgresql
def test_postgresql_answers_the_same_and_refuses_the_same(
    server: str, filled: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fill(server)

    def asked(url: str, *words: str) -> tuple[int, str, str]:
        code = invoke(["--home", str(tmp_path), "--registry", url, "registry", "query", *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    same = (
        "SELECT run, name, config, seed, gpu FROM runs_all ORDER BY run",
        "SELECT run, step, value FROM results_live WHERE latest AND NOT archived ORDER BY run",
        "SELECT run, config ->> 'rate' AS lr FROM runs_all WHERE note NOT LIKE '%x%' ORDER BY run",
        "SELECT run, episode, score FROM episodes_live ORDER BY run",
    )
    for statement in same:
        answers = [
            asked(url, statement, "--format", "json")
            for url in (server, sqlite_url(filled / "registry.db"))
        ]
        found = [[{k: str(v) for k, v in row.items()} for row in json.loads(a[1])] for a in answers]
        assert found[0] == found[1], statement
    refused = {
        "SELECT * FROM run_all": "Did you mean 'runs_all'",
        "SELECT metod FROM runs_all": "Did you mean 'method'",
        "DELETE FROM run": "only SELECT",
        "SELECT 1; DELETE FROM tag": "one statement",
        "SELECT 1; COMMIT; DELETE FROM tag": "one statement",
        "WITH a AS (DELETE FROM tag RETURNING 1) SELECT * FROM a": "cannot be answered",
        "SELECT nextval('transition_id_seq')": "cannot be answered",
        "SELECT set_config('transaction_read_only', 'off', false)": "cannot be answered",
    }
    for statement, said in refused.items():
        code, out, err = asked(server, statement)
        assert (code, out, err.count("\n")) == (2, "", 1), (statement, err)
        assert said in err
    code, _, err = asked(server, "SELECT pg_sleep(60)", "--timeout", "0.1")
    assert code == 1
    assert "--timeout" in err
    engine = create_engine(server)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM tag")).scalar_one() == 2
    engine.dispose()
