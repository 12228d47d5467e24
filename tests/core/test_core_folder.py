"""Reading the streams of a run's folder: in pieces, with damaged and torn lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvit.runs import folder as module
from rlvit.runs.folder import RunFolder

LINES = [b'{"step":0,"a":1.5}', b'{"step":1,"a":null}', b'{"step":2,"b":"\xc3\xa9"}', b'{"step":3}']
ROWS = [
    (0, {"step": 0, "a": 1.5}),
    (1, {"step": 1, "a": None}),
    (2, {"step": 2, "b": "é"}),
    (3, {"step": 3}),
]


def written(path: Path, data: bytes) -> RunFolder:
    (path / "metrics.jsonl").write_bytes(data)
    return RunFolder(path)


@pytest.mark.parametrize("size", [1, 30, 2**18])
def test_pieces_give_the_rows_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(module, "READ_BYTES", size)
    found = written(tmp_path, b"".join(line + b"\n" for line in LINES))
    assert list(found.read("metrics")) == ROWS
    assert list(written(tmp_path, b"").read("metrics")) == []


@pytest.mark.parametrize("size", [1, 30, 2**18])
@pytest.mark.parametrize(
    "damage",
    [b"\0\0\0", b"", b'{"step":1},{"step":1}', b"{", b"}", b'{"a":"', b"\xff", b"1],[2"],
)
def test_a_damaged_line_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, damage: bytes
) -> None:
    monkeypatch.setattr(module, "READ_BYTES", size)
    lines = [LINES[0], damage, *LINES[2:]]
    found = written(tmp_path, b"".join(line + b"\n" for line in lines))
    assert list(found.read("metrics")) == [ROWS[0], *ROWS[2:]]
    assert "line 2 of metrics.jsonl is damaged" in (tmp_path / "log.txt").read_text()


def test_a_line_that_is_still_written_is_no_row(tmp_path: Path) -> None:
    found = written(tmp_path, LINES[0] + b"\n" + LINES[1])
    assert list(found.read("metrics")) == ROWS[:1]
    assert list(written(tmp_path, LINES[0]).read("metrics")) == []
    assert not (tmp_path / "log.txt").exists()
