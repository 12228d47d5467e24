"""`rlvit doctor` against a PostgreSQL server: an empty database, a wrong user, a wrong name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgresql_server import postgresql_url

from rlvit.contracts import Diagnosis
from rlvit.doctor import registry
from rlvit.doctor.patient import Patient
from rlvit.home import Home
from rlvit.registry.store import Store


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the URL of an empty database."""
    yield from postgresql_url()


def look(root: Path, url: str) -> Diagnosis:
    (only,) = registry.look(Patient(Home.locate(root, url), root))
    return only


def test_a_database_is_empty_until_the_first_run(server: str, tmp_path: Path) -> None:
    one = look(tmp_path, server)
    assert (one.state, one.advice) == ("note", "")
    assert one.text == f"{server} is empty; the first run makes the registry's tables"
    nobody = look(tmp_path, server.replace("rlvit@", "nobody@"))
    assert nobody.state == "problem"
    assert "does not let you in: " in nobody.text
    assert "~/.pgpass" in nobody.advice
    missing = look(tmp_path, server.replace("/postgres", "/elsewhere"))
    assert (missing.state, "createdb" in missing.advice) == ("problem", True)
    Store(server).close()
    one = look(tmp_path, server)
    assert (one.state, one.text.endswith(", 0 runs")) == ("ok", True)


@pytest.mark.parametrize(
    "said",
    [
        'FATAL:  password authentication failed for user "rlvit"',
        "fe_sendauth: no password supplied",
    ],
)
def test_a_wrong_password_is_called_so(tmp_path: Path, said: str) -> None:
    home = Home.locate(tmp_path, "postgresql://rlvit@localhost/lab")
    one = registry._no_answer(home, f"connection failed: {said}\nand more")
    assert one.text.endswith(f"does not let you in: connection failed: {said}")
    assert "~/.pgpass" in one.advice
