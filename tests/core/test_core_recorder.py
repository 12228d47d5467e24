"""What a run logs is in its folder at once, and in the registry soon after, thinned."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_writers import LOSS, SCORE, new_run

from rlvit.contracts import Episode, LoggedRow, Measurement
from rlvit.errors import RlvitError, UnknownName
from rlvit.registry import queries
from rlvit.registry.store import Store
from rlvit.runs.folder import RunFolder, write_atomically
from rlvit.runs.recorder import POINTS_A_METRIC, Recorder, Thinner, absorb

METRICS = {LOSS.name: LOSS, SCORE.name: SCORE}


class Desk:
    """A run that nothing carries out, with its folder and its recorder."""

    def __init__(self, path: Path) -> None:
        self.store = Store(f"sqlite:///{path / 'registry.db'}")
        self.store.declare_metrics(METRICS.values())
        self.path = path / "run"
        self.store.create_run(new_run("r", self.path))
        RunFolder(self.path).create()
        self.said: list[str] = []
        self.watched: list[LoggedRow] = []
        self._open: list[tuple[RunFolder, Recorder]] = []

    def recorder(self, attempt: int = 1) -> Recorder:
        """Return the recorder of an attempt; it does not flush unless it is told to."""
        folder = RunFolder(self.path)
        folder.open()
        recorder = Recorder(
            "r", attempt, folder, self.store, METRICS, self.watched.extend, self.said.append
        )
        self._open.append((folder, recorder))
        return recorder

    def live(self) -> list[int]:
        """Return the rows of a/loss that are live in the database."""
        found = queries.points(self.store.engine, "r", LOSS.name)
        return [point.row for point in found if not point.superseded]

    def close(self) -> None:
        """Close everything."""
        for folder, recorder in self._open:
            recorder._stop.set()
            folder.close()
        self.store.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a run that nothing carries out."""
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def _thin(rows: int, limit: int) -> list[int]:
    thinner, kept = Thinner(limit), []
    for row in range(rows):
        keep, drop = thinner.add("m", 1, row)
        kept = [other for other in kept if (1, other) not in drop]
        if keep:
            kept.append(row)
        assert len(kept) <= limit
    return kept


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(0, 700), limit=st.integers(2, 40))
def test_few_rows_are_kept_evenly_with_the_first(rows: int, limit: int) -> None:
    kept = _thin(rows, limit)
    assert kept == _thin(rows, limit)
    assert kept[:1] == [0][:rows]
    assert len(kept) >= min(rows, limit // 2)
    strides = {after - before for before, after in itertools.pairwise(kept)}
    assert len(strides) <= 1
    assert all(stride & (stride - 1) == 0 for stride in strides)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_each_metric_is_thinned_on_its_own(sizes: list[int]) -> None:
    thinner, kept = Thinner(10), {str(name): [] for name in range(len(sizes))}
    for row in range(max(sizes)):
        for name, size in zip(kept, sizes, strict=True):
            if row < size:
                keep, drop = thinner.add(name, 1, row)
                kept[name] = [other for other in kept[name] if (1, other) not in drop]
                if keep:
                    kept[name].append(row)
    assert kept == {name: _thin(size, 10) for name, size in zip(kept, sizes, strict=True)}


@pytest.mark.parametrize("between", [1000, 333, 2500])
def test_the_registry_has_few_points_and_the_folder_all(desk: Desk, between: int) -> None:
    """What is stored does not depend on when it was flushed."""
    recorder = desk.recorder()
    for step in range(2500):
        recorder.log(step, {"a/loss": step / 2, **({"a/score": 1.0} if step % 100 == 0 else {})})
        if step % between == between - 1:
            recorder.flush()
            assert len(desk.live()) <= POINTS_A_METRIC
    recorder.close()
    assert desk.live() == _thin(2500, POINTS_A_METRIC)
    assert len(queries.points(desk.store.engine, "r", "a/score")) == 25
    assert len(list(recorder.folder.read("metrics"))) == 2500
    assert [row.row for row in desk.watched] == list(range(2500))


def test_a_row_is_on_disk_when_log_returns(desk: Desk) -> None:
    recorder = desk.recorder()
    recorder.log(7, {"a/loss": 0.5, "a/score": math.nan})
    read = f"print(open({str(desk.path / 'metrics.jsonl')!r}).read())"
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, timeout=60)
    line = json.loads(done.stdout)
    assert line.pop("time") > 1.7e9
    assert line == {"attempt": 1, "step": 7, "a/loss": 0.5, "a/score": None}
    assert desk.live() == []


def test_an_undeclared_metric_is_refused(desk: Desk) -> None:
    recorder = desk.recorder()
    with pytest.raises(UnknownName, match=r"unknown metric 'a/los'\. Did you mean 'a/loss'"):
        recorder.log(0, {"a/loss": 1.0, "a/los": 1.0})
    with pytest.raises(UnknownName, match=r"unknown metric 'b/score'\. Did you mean 'a/score'"):
        recorder.result(0, Measurement("b/score", 1.0, 1))
    assert not list(recorder.folder.read("metrics"))
    assert not list(recorder.folder.read("results"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_spoils_nothing(desk: Desk, value: float) -> None:
    """The files stay JSON for every reader, and the rows after it arrive."""
    recorder = desk.recorder()
    recorder.log(0, {"a/loss": value, "a/score": 2.0})
    recorder.result(0, Measurement("a/score", value, 3, value))
    recorder.close()
    for stream in ("metrics", "results"):
        for line in (desk.path / f"{stream}.jsonl").read_text().splitlines():
            json.loads(line, parse_constant=pytest.fail)
    assert desk.said == []
    (result,) = queries.results(desk.store.engine, "r")
    assert (result.value, result.spread) == (None, None)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_not_a_number_does_not_keep_the_others_out(
    desk: Desk, value: float
) -> None:
    recorder = desk.recorder()
    recorder.episode(0, Episode(0, value, 5))
    recorder.episode(0, Episode(1, 2.0, 5))
    recorder.close()
    for line in (desk.path / "episodes.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    assert desk.said == []
    assert 2.0 in [e.score for e in queries.episodes(desk.store.engine, "r")]
    assert queries.find_run(desk.store.engine, "r").heartbeat_at is not None


def test_rows_logged_while_others_are_flushed_are_not_lost(desk: Desk) -> None:
    recorder, stop = desk.recorder(), threading.Event()

    def flush() -> None:
        while not stop.is_set():
            recorder.flush()

    thread, before = threading.Thread(target=flush), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for step in range(900):
            recorder.log(step, {"a/loss": 1.0})
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)
    recorder.close()
    assert desk.live() == list(range(900))
    assert [row.row for row in desk.watched] == list(range(900))


def test_a_registry_that_is_away_is_said_once_and_gets_its_rows_later(
    desk: Desk, tmp_path: Path
) -> None:
    recorder = desk.recorder()

    def sql(text: str) -> None:
        with sqlite3.connect(tmp_path / "registry.db") as connection:
            connection.execute(text)

    recorder.log(0, {"a/loss": 0.0})
    recorder.flush()
    sql("ALTER TABLE point RENAME TO away")
    for step in range(1, 4):
        recorder.log(step, {"a/loss": float(step)})
        recorder.result(step, Measurement("a/score", 1.0, 1))
        recorder.episode(step, Episode(step, 1.0, 2))
        recorder.flush()
    (text,) = desk.said
    assert "the registry cannot be written, the folder goes on" in text
    assert "\n" not in text
    assert len(list(recorder.folder.read("metrics"))) == 4
    assert len(desk.watched) == 4
    sql("ALTER TABLE away RENAME TO point")
    recorder.flush()
    assert desk.live() == [0, 1, 2, 3]
    assert len(queries.results(desk.store.engine, "r")) == 3
    assert len(queries.episodes(desk.store.engine, "r")) == 3
    sql("ALTER TABLE point RENAME TO away")
    recorder.log(4, {"a/loss": 4.0})
    recorder.flush()
    assert len(desk.said) == 2
    sql("ALTER TABLE away RENAME TO point")
    recorder.close()
    assert desk.live() == [0, 1, 2, 3, 4]


def test_thinning_while_the_registry_is_away_ends_with_the_right_rows(
    desk: Desk, tmp_path: Path
) -> None:
    recorder = desk.recorder()
    for step in range(1500):
        recorder.log(step, {"a/loss": 1.0})
        if step == 700:
            recorder.flush()
            with sqlite3.connect(tmp_path / "registry.db") as connection:
                connection.execute("ALTER TABLE point RENAME TO away")
        if step == 1200:
            recorder.flush()
            with sqlite3.connect(tmp_path / "registry.db") as connection:
                connection.execute("ALTER TABLE away RENAME TO point")
    recorder.close()
    assert desk.live() == _thin(1500, POINTS_A_METRIC)


@pytest.mark.parametrize("way", ["swept", "resumed"])
def test_rows_that_a_killed_process_did_not_store_are_added_and_thinned(
    desk: Desk, way: str
) -> None:
    """Half of what was stored before has to go: the run logged on without another flush."""
    killed = desk.recorder()
    for step in range(2000):
        killed.log(step, {"a/loss": 1.0})
        if step == 999:
            killed.flush()
    assert len(desk.live()) == 1000
    if way == "swept":
        absorb("r", RunFolder(desk.path), desk.store)
    else:
        again = desk.recorder(attempt=2)
        again.start({"metrics": 2000, "results": 0, "episodes": 0})
        again.close()
    assert desk.live() == _thin(2000, POINTS_A_METRIC)


def test_a_resumed_attempt_marks_the_rows_behind_its_checkpoint(desk: Desk) -> None:
    first = desk.recorder()
    for step in range(1, 11):
        first.log(step, {"a/loss": float(step)})
        first.episode(step, Episode(step, 1.0, 1))
    first.close()
    second = desk.recorder(attempt=2)
    second.start({"metrics": 6, "results": 0, "episodes": 10})
    for step in range(7, 13):
        second.log(step, {"a/loss": float(-step)})
    second.close()
    points = queries.points(desk.store.engine, "r")
    assert [(p.attempt, p.step) for p in points if p.superseded] == [(1, s) for s in range(7, 11)]
    assert [p.step for p in points if not p.superseded] == list(range(1, 13))
    live = [line["step"] for _, line in second.folder.read_live("metrics")]
    assert live == list(range(1, 13))
    assert len(list(second.folder.read("metrics"))) == 16
    assert not any(e.superseded for e in queries.episodes(desk.store.engine, "r"))


def _folder(path: Path) -> RunFolder:
    folder = RunFolder(path / "run")
    folder.create()
    folder.open()
    return folder


@pytest.mark.parametrize("torn", [b"{", b'{"step": 3, "a', b'{"step": 3}'])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    folder = _folder(tmp_path)
    for step in range(3):
        folder.append("metrics", {"step": step})
    folder.close()
    path = folder.path / "metrics.jsonl"
    with open(path, "ab") as file:
        file.write(torn)
    assert len(list(RunFolder(folder.path).read("metrics"))) == 3
    again = RunFolder(folder.path)
    again.open()
    assert again.rows["metrics"] == 3
    assert again.append("metrics", {"step": 3}) == 3
    again.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2, 3]


def test_nested_spans_of_superseded_rows_are_left_out(tmp_path: Path) -> None:
    """Attempt 2 goes back to row 6 of 10, attempt 3 to row 8 of 14, attempt 4 to row 2 of 16."""
    folder = _folder(tmp_path)
    lived: list[tuple[int, int]] = []
    for attempt, (back, rows) in enumerate([(0, 10), (6, 8), (8, 8), (2, 3)], start=1):
        if attempt > 1:
            folder.supersede(attempt, {"metrics": back, "episodes": 0, "results": 0})
            lived = [(a, row) for a, row in lived if row < back]
        for _ in range(rows):
            row = folder.append("metrics", {"attempt": attempt})
            lived.append((attempt, row))
        found = [(line["attempt"], row) for row, line in folder.read_live("metrics")]
        assert found == lived
    folder.close()


@settings(max_examples=40, deadline=None)
@given(attempts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12)), max_size=6))
def test_whatever_was_superseded_the_newest_attempt_is_live(
    attempts: list[tuple[float, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = _folder(tmp_path_factory.mktemp("folder"))
    lived: list[int] = []
    for share, rows in attempts:
        back = int(share * folder.rows["metrics"])
        folder.supersede(1, {"metrics": back, "episodes": 0, "results": 0})
        lived = [row for row in lived if row < back]
        lived += [folder.append("metrics", {}) for _ in range(rows)]
    assert [row for row, _ in folder.read_live("metrics")] == lived
    folder.close()


def test_writing_the_description_never_shows_half_of_it(tmp_path: Path) -> None:
    from rlvit.runs.folder import write_json

    path, stop = tmp_path / "run.json", threading.Event()
    write_json(path, {"n": "x" * 10_000})
    sizes: set[int] = set()

    def read() -> None:
        while not stop.is_set():
            sizes.add(len(json.loads(path.read_text())["n"]))

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(50):
        write_json(path, {"n": "x" * (number % 2 * 50_000)})
    stop.set()
    thread.join()
    assert sizes <= {0, 10_000, 50_000}
    assert os.listdir(tmp_path) == ["run.json"]


def test_the_recorder_flushes_by_itself(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from toy_program import until

    monkeypatch.setattr("rlvit.runs.recorder.FLUSH_SECONDS", 0.01)
    recorder = desk.recorder()
    recorder.start()
    recorder.log(1, {"a/loss": 1.0})
    check: Callable[[], Any] = desk.live
    assert until(check, "nothing was flushed") == [0]
    recorder.close()
    assert not recorder._thread.is_alive()


def test_a_line_that_the_system_takes_in_pieces_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = _folder(tmp_path), os.write
    monkeypatch.setattr(os, "write", lambda to, data: write(to, bytes(data)[:3]))
    for step in range(3):
        folder.append("metrics", {"step": step, "text": "ä" * 20})
    monkeypatch.undo()
    folder.close()
    assert [line["step"] for _, line in folder.read("metrics")] == [0, 1, 2]


def test_a_line_that_the_disk_does_not_take_leaves_the_stream_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = _folder(tmp_path), os.write
    folder.append("metrics", {"step": 0})

    def full(to: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(28, "No space left on device")
        return write(to, data[: len(data) - 5])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        folder.append("metrics", {"step": 1})
    monkeypatch.undo()
    assert folder.append("metrics", {"step": 2}) == 1
    folder.close()
    assert list(folder.read("metrics")) == [(0, {"step": 0}), (1, {"step": 2})]
    assert not (folder.path / "log.txt").exists()


@pytest.mark.parametrize("torn", ["{", '{"attempt": 3, "from": {"metr', '{"attempt": 3}'])
def test_a_torn_mark_of_superseded_rows_counts_for_nothing(tmp_path: Path, torn: str) -> None:
    """The attempt that wrote it was killed before its first row."""
    folder = _folder(tmp_path)
    for step in range(4):
        folder.append("metrics", {"step": step})
    folder.supersede(2, {"metrics": 3, "episodes": 0, "results": 0})
    with open(folder.path / "superseded.jsonl", "a") as file:
        file.write(torn)
    assert [row for row, _ in folder.read_live("metrics")] == [0, 1, 2]
    folder.supersede(3, {"metrics": 1, "episodes": 0, "results": 0})
    assert [row for row, _ in folder.read_live("metrics")] == [0]
    marks = [json.loads(line) for line in (folder.path / "superseded.jsonl").open()]
    assert [mark["attempt"] for mark in marks] == [2, 3]
    folder.close()


def test_a_file_that_cannot_be_written_leaves_no_other_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("way", ["removed", "moved", "made again"])
def test_a_folder_that_is_gone_ends_the_run(desk: Desk, way: str) -> None:
    recorder = desk.recorder()
    recorder.log(0, {"a/loss": 1.0})
    recorder.flush()
    if way == "moved":
        desk.path.rename(desk.path.with_name("elsewhere"))
    else:
        shutil.rmtree(desk.path)
    if way == "made again":
        RunFolder(desk.path).create()
    gone = r"the folder .*/run of this run is gone"
    with pytest.raises(RlvitError, match=gone):
        recorder.result(1, Measurement("a/score", 1.0, 1))
    with pytest.raises(RlvitError, match=gone):
        recorder.episode(1, Episode(0, 1.0, 1))
    recorder.flush()
    with pytest.raises(RlvitError, match=gone):
        recorder.log(1, {"a/loss": 1.0})
    recorder.folder.log("nobody reads this")
    recorder.close()
    assert desk.live() == [0]
