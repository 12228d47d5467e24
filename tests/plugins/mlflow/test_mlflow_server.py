"""The tracker and `rlvit mlflow sync` with a real MLflow server, which keeps the files itself."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rlvit.cli.main import invoke
from rlvit_mlflow import content

PATIENCE = 120.0  # seconds until a server has started


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server as docs/team.md starts it, on a store of its own: its URL, process and files."""
    folder, port = tmp_path_factory.mktemp("server"), _free_port()
    shutil.copy(empty_store, folder / "mlflow.db")
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")),
    ]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | settings
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process, folder / "log")
            yield f"127.0.0.1:{port}", folder / "artifacts"
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(log.read_text())


def _shown() -> dict[str, Any]:
    """What the server shows of each run, the same for a live and a synced one."""
    from mlflow import MlflowClient

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiments = [e for e in client.search_experiments() if e.name != "Default"]
    for experiment in experiments:
        assert experiment.artifact_location.startswith("mlflow-artifacts:")  # not a member's path
    found = {}
    for run in client.search_runs([e.experiment_id for e in experiments]):
        history = {
            name: [
                (p.step, p.timestamp, p.value)
                for p in client.get_metric_history(run.info.run_id, name)
            ]
            for name in run.data.metrics
        }
        files = {f.path: f.file_size for f in client.list_artifacts(run.info.run_id)}
        found[run.data.tags[content.ID]] = {
            "points": {name: sorted(points) for name, points in history.items()},
            "times": (run.info.start_time, run.info.end_time, run.info.status),
            "tags": run.data.tags,
            "params": run.data.params,
            "files": {path: size for path, size in files.items() if path != "run.json"},
        }
    return found


def test_runs_reach_a_server_live_and_by_sync(
    server: Any,
    make_run: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address, files = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cr3t@{address}")
    home = tmp_path / "home"
    live = make_run(home, 0, tags={"a": "b"}, note="why")
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cr3t@127.0.0.1:9")  # nobody is there
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        missed = make_run(home, 1)
    said = (home / "runs" / missed / "log.txt").read_text()
    wrong = "MLflow cannot be written (the server does not answer); the run goes on without it"
    assert said.count(wrong) == 1

    assert _shown().keys() == {live}
    capsys.readouterr()
    assert invoke(["--home", str(home), "mlflow", "sync"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [missed]
    assert lines[-1] == "2 runs looked at, 1 written, 1 was whole"
    both = _shown()
    assert both.keys() == {live, missed}
    assert both[live].keys() == both[missed].keys()
    assert len(both[missed]["points"]["toy/weight"]) == 24
    assert both[missed]["times"][2] == "FINISHED"
    assert {"metrics.jsonl", "log.txt", "artifacts"} <= both[missed]["files"].keys()
    assert [path for path in files.rglob("run.json")] != []

    assert invoke(["--home", str(home), "mlflow", "sync", "--thorough"]) == 0
    assert capsys.readouterr().out == "2 runs looked at, 0 written, 2 were whole: nothing to do\n"
    assert _shown() == both
    assert not (home / "runs" / "mlflow.db").exists()
    assert not (home / "runs" / "mlartifacts").exists()
    kept = [path for path in [*home.rglob("*"), *files.rglob("*")] if path.is_file()]
    assert not [path for path in kept if b"s3cr3t" in path.read_bytes()]
    assert invoke(["--home", str(home), "ui"]) == 0
    assert capsys.readouterr().out == f"MLflow is at http://{address} (MLFLOW_TRACKING_URI)\n"
