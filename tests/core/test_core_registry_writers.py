"""Many processes write one registry at once: nothing is refused, lost or doubled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgresql_server import postgresql_url
from sqlalchemy import create_engine, text
from toy_program import in_processes
from toy_writers import CYCLE, begin_mix, check_mix, open_at, write_mix

from rlvit.registry.database import open_database
from rlvit.registry.schema import VERSION_TABLE

WRITERS, TRANSACTIONS = 8, 300
server = pytest.fixture(scope="module")(postgresql_url)


@pytest.fixture
def own_schema(server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of an empty schema, as several stores in one database have one each."""
    name = request.node.name.partition("[")[0][-40:]
    engine = create_engine(server)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return f"{server}?options=-csearch_path%3D{name}"


def _write_and_count(url: str) -> None:
    begin_mix(url)
    runs, start = TRANSACTIONS // CYCLE, time.time() + 1.0
    codes = in_processes(write_mix, [(url, number, runs, start) for number in range(WRITERS)])
    assert codes == [0] * WRITERS
    engine = open_database(url)
    check_mix(engine, WRITERS, runs)
    engine.dispose()


def _open_at_once(url: str) -> None:
    start = time.time() + 0.5
    assert in_processes(open_at, [(url, start)] * 8) == [0] * 8
    engine = open_database(url)
    with engine.connect() as connection:
        for table in ("metric", VERSION_TABLE):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 1
    engine.dispose()


def test_eight_writers_of_sqlite_lose_and_double_nothing(tmp_path: Path) -> None:
    _write_and_count(f"sqlite:///{tmp_path / 'registry.db'}")


@pytest.mark.postgresql
def test_eight_writers_of_postgresql_lose_and_double_nothing(own_schema: str) -> None:
    _write_and_count(own_schema)


@pytest.mark.postgresql
def test_eight_processes_may_make_a_registry_in_postgresql_at_once(own_schema: str) -> None:
    _open_at_once(own_schema)
