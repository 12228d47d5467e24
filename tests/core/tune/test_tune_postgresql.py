"""Three workers on one study in PostgreSQL, as on three machines; one of them is killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from study_program import STUDY, check_whole, held, waiting
from toy_program import Program

BINARIES = "/usr/lib/postgresql/*/bin"
USER = "postgres"  # Debian's: the server refuses to run as root


def _program(name: str) -> str | None:
    found = shutil.which(name)
    debian = sorted(Path("/").glob(f"{BINARIES[1:]}/{name}"))
    return found or (str(debian[-1]) if debian else None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Start a PostgreSQL server and return the URL of an empty database."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    as_user = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="rlvit-pg-"))
    port, data = _free_port(), folder / "data"
    if as_user:
        shutil.chown(folder, USER)
    folder.chmod(0o755)

    def call(*words: str) -> None:
        subprocess.run([*as_user, *words], check=True, capture_output=True, cwd="/", timeout=60)

    try:
        call(initdb, "-D", str(data), "-U", "rlvit", "--auth=trust", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        call(pg_ctl, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
        yield f"postgresql+psycopg://rlvit@127.0.0.1:{port}/postgres"
        call(pg_ctl, "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.postgresql
def test_three_workers_of_which_one_is_killed(
    server: str, program: Program, tmp_path: Path
) -> None:
    words = ("--registry", server, *STUDY, "--trials", "6", "--threads", "1")
    commands = [program.start(*words, **waiting(tmp_path)) for _ in range(3)]
    under_way = held(program.home, 3, server)
    pids = {command.pid for command in commands}
    assert {trial.process["pid"] for trial in under_way} == pids
    os.kill(under_way[1].process["pid"], signal.SIGKILL)
    (tmp_path / "go").touch()
    ended = {command.pid: command.wait() for command in commands}
    killed = ended.pop(under_way[1].process["pid"])
    assert killed.code == -signal.SIGKILL
    assert [done.code for done in ended.values()] == [0, 0], [d.err for d in ended.values()]
    check_whole(program.home, 6, under_way[1].number, server)
    engine = create_engine(server)
    with engine.connect() as connection:
        schemas = connection.execute(
            text("SELECT table_schema FROM information_schema.tables WHERE table_name = 'trials'")
        ).scalars()
        assert list(schemas) == ["rlvit_optuna"]  # Optuna's tables are apart from the registry's
    engine.dispose()
    assert not (program.home / "runs" / "optuna.db").exists()
