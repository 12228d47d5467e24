"""Bad command lines of MLflow's commands: one line, exit 2, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvit.cli.main import invoke

BAD = [
    (("ui",), "there is no MLflow store under "),
    (("ui", "--port", "0"), "'--port': 0 is not in the range 1<=x<=65535"),
    (("ui", "--port", "65536"), "'--port': 65536 is not in the range 1<=x<=65535"),
    (("ui", "--port", "http"), "'http' is not a valid integer"),
    (("ui", "me"), "unexpected extra argument (me)"),
    (("mlflow", "sync"), "there is no registry at "),
    (("mlflow", "sync", "nobody"), "there is no registry at "),
    (("mlflow", "sync", "-x"), "No such option '-x'"),
    (("mlflow", "snc"), "No such command 'snc'"),
    (("mlfow", "sync"), "unknown command 'mlfow'. Did you mean 'mlflow'?"),
]


def test_a_home_with_runs_and_no_store_is_told_of_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "run.json").write_text("{}")
    assert invoke(["--home", str(tmp_path), "ui"]) == 2
    assert "`rlvit mlflow sync` makes it of the runs" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: " ".join(value)[:40])
def test_a_bad_command_line_is_told_in_one_line(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("RLVIT_HOME", str(tmp_path))
    assert invoke(list(arguments)) == 2
    written = capsys.readouterr()
    assert len(written.err.splitlines()) == 1, written.err
    assert written.err.startswith("Error: ")
    assert message in written.err
    assert written.out == ""
    assert list(tmp_path.iterdir()) == []
