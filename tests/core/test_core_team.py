"""A registry that several people share: passwords stay with whoever typed them."""

from __future__ import annotations

from pathlib import Path

import pytest
from postgresql_server import postgresql_url
from sqlalchemy import create_engine, inspect, text
from toy_program import Program

from rlvit.runs.provenance import without_passwords

server = pytest.fixture(scope="module")(postgresql_url)
SECRET = "pa55-w0rd"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (
            "--registry postgresql+psycopg://me:p@ss@h:5/db run",
            "postgresql+psycopg://me:***@h:5/db",
        ),
        (
            "x 'postgresql://h/d?user=me&password=p&a=b'",
            "'postgresql://h/d?user=me&password=***&a=b'",
        ),
        ("x http://:p@h/", "http://:***@h/"),
        ("git@h:a/b http://h:80/a --note a:b@c", "git@h:a/b http://h:80/a --note a:b@c"),
    ],
)
def test_a_password_in_a_command_is_not_kept(command: str, shown: str) -> None:
    assert shown in without_passwords(command)
    assert without_passwords(command).count("***") == (0 if command.startswith("git") else 1)


@pytest.mark.postgresql
def test_a_password_is_neither_in_files_nor_in_rows_nor_said(server: str, program: Program) -> None:
    url = server.replace("rlvit@", f"rlvit:{SECRET}@")
    done = program.run("--registry", url)
    assert done.code == 0, done.err
    listed = program("runs", "list", "--registry", url)
    assert SECRET not in done.out + done.err + listed.out + listed.err
    files = [path for path in program.home.rglob("*") if path.is_file()]
    assert {"run.json", "log.txt", "metrics.jsonl"} <= {path.name for path in files}
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert [path.name for path in program.home.glob("*.db*")] == []
    engine = create_engine(server)
    with engine.connect() as connection:
        rows = {
            table: repr(
                [tuple(row) for row in connection.execute(text(f'SELECT * FROM "{table}"'))]
            )
            for table in inspect(engine).get_table_names()
        }
    engine.dispose()
    assert "rlvit:***@127.0.0.1" in rows["run"]  # the command that it was begun with
    assert not [table for table, content in rows.items() if SECRET in content]


@pytest.mark.postgresql
def test_runs_of_two_homes_are_in_one_list(server: str, program: Program, tmp_path: Path) -> None:
    homes = [tmp_path / "alice", tmp_path / "bob"]
    for seed, home in enumerate(homes):
        done = program.run("--registry", server, "--seed", str(seed + 10), home=home)
        assert done.code == 0, done.err
        assert [p.name for p in (home / "runs").glob("toy-*")] != []
    csv = program("runs", "list", "--registry", server, "--format", "csv", home=homes[0]).out
    assert {"toy-alpha-s10", "toy-alpha-s11"} <= {line[:13] for line in csv.splitlines()}
