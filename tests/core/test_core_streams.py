"""What a registry has of a run's streams comes out of the streams alone, whatever happened."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from toy_writers import LOSS, SCORE, new_run

from rlvit.contracts import Episode, Measurement
from rlvit.errors import RlvitError
from rlvit.registry import schema
from rlvit.registry.store import Store
from rlvit.runs.folder import RunFolder
from rlvit.runs.recorder import Recorder, absorb
from rlvit.runs.streams import read_streams

METRICS = {LOSS.name: LOSS, SCORE.name: SCORE}
TABLES: dict[str, Any] = {
    "points": schema.Point,
    "results": schema.Result,
    "episodes": schema.EpisodeRow,
}
VALUES = (0.5, -3.0, math.nan, math.inf, 1e300)


@dataclass(frozen=True)
class Attempt:
    """What one attempt does: it logs, saves and flushes, and ends or is killed."""

    rows: int
    checkpoint_every: int  # 0: never
    flush_every: int
    killed: bool
    back: int  # how many checkpoints before the last one the next attempt goes on from
    begun: bool = True  # False: killed before it went on from a checkpoint


ATTEMPTS = st.lists(
    st.builds(
        Attempt,
        rows=st.one_of(st.integers(0, 20), st.integers(900, 2100)),
        checkpoint_every=st.sampled_from([0, 1, 7, 300, 1000]),
        flush_every=st.sampled_from([40, 400, 10_000]),
        killed=st.booleans(),
        back=st.integers(0, 2),
        begun=st.sampled_from([True, True, True, False]),
    ),
    min_size=1,
    max_size=5,
)


class Life:
    """A run whose attempts are carried out with the real recorder, into a real registry."""

    def __init__(self, root: Path) -> None:
        self.store = Store(f"sqlite:///{root / 'registry.db'}")
        self.store.declare_metrics(METRICS.values())
        self.path = root / "r"
        self.store.create_run(new_run("r", self.path))
        RunFolder(self.path).create()
        self._saved: list[dict[str, int]] = []

    def live(self, attempt: Attempt) -> None:
        """Carry out an attempt, and what the next command makes of its end."""
        number = self.store.move("r", "running")
        folder = RunFolder(self.path)
        if number == 1 or attempt.begun:
            folder.open()
            recorder = Recorder(
                "r", number, folder, self.store, METRICS, lambda rows: None, lambda text: None
            )
            known = self._saved[-1] if self._saved else dict.fromkeys(folder.rows, 0)
            recorder.start(None if number == 1 else known)
            self._log(recorder, folder, attempt)
            if attempt.killed:  # what was not flushed is lost; the folder is not
                recorder._stop.set()
                recorder._thread.join()
            else:
                recorder.close()
            folder.close()
        self.store.move("r", "interrupted")
        if attempt.killed or not attempt.begun:
            absorb("r", RunFolder(self.path), self.store)
        self._saved = self._saved[: max(1, len(self._saved) - attempt.back)]

    def _log(self, recorder: Recorder, folder: RunFolder, attempt: Attempt) -> None:
        for step in range(1, attempt.rows + 1):
            value = VALUES[step // 50 % 5] if step % 50 == 0 else float(step)
            row = {LOSS.name: value}
            recorder.log(step, row if step % 3 else {**row, SCORE.name: -value})
            if step % 250 == 0:
                recorder.episode(step, Episode(step // 250, value, step))
                recorder.result(step, Measurement(SCORE.name, value, 2, value, step))
            if step % attempt.flush_every == 0:
                recorder.flush()
            if attempt.checkpoint_every and step % attempt.checkpoint_every == 0:
                self._saved.append(dict(folder.rows))

    def stored(self) -> dict[str, list[str]]:
        """Return the rows of the registry."""
        found = {}
        with self.store.engine.connect() as connection:
            for name, table in TABLES.items():
                columns = [c for c in table.__table__.columns if c.name != "run_id"]
                rows = connection.execute(select(*columns))
                found[name] = sorted(_text(dict(row._mapping)) for row in rows)
        return found


def _text(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an empty registry, to be copied."""
    root = tmp_path_factory.mktemp("made")
    Store(f"sqlite:///{root / 'registry.db'}").close()
    return root


def _replayed(folder: Path) -> dict[str, list[str]]:
    said: list[str] = []
    streams = read_streams(folder, said.append)
    assert said == []
    return {name: sorted(map(_text, getattr(streams, name))) for name in TABLES}


def _carry_out(made: Path, attempts: Sequence[Attempt]) -> dict[str, list[str]]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        shutil.copy(made / "registry.db", root)
        life = Life(root)
        try:
            for attempt in attempts:
                life.live(attempt)
                assert _replayed(life.path) == life.stored()
            return life.stored()
        finally:
            life.store.close()


@settings(max_examples=12, deadline=None)
@given(attempts=ATTEMPTS)
def test_the_rows_of_any_life_come_out_of_its_folder(made: Path, attempts: list[Attempt]) -> None:
    _carry_out(made, attempts)


def test_what_was_thinned_away_comes_back_where_fewer_rows_are_live(made: Path) -> None:
    first = Attempt(2100, 900, 400, killed=False, back=1)  # every 4th row is kept, goes on from 900
    second = Attempt(50, 0, 10_000, killed=True, back=0)
    rows = [json.loads(row) for row in _carry_out(made, [first, second])["points"]]
    losses = [row for row in rows if row["metric"] == LOSS.name]
    live = [row["row"] for row in losses if not row["superseded"]]
    assert live == [*range(900), *range(2100, 2150)]
    assert [row["row"] for row in losses if row["superseded"]] == list(range(900, 2100, 4))


def test_values_that_are_no_numbers_are_none(made: Path) -> None:
    rows = [json.loads(r) for r in _carry_out(made, [Attempt(250, 0, 9, True, 0)])["points"]]
    values = {row["step"]: row["value"] for row in rows if row["metric"] == LOSS.name}
    found = [values[step] for step in (49, 50, 100, 150, 200, 250)]
    assert found == [49.0, -3.0, None, None, 1e300, 0.5]


@pytest.mark.parametrize(
    ("stream", "line", "why"),
    [
        ("metrics", "7", "line 1 is not a run's"),
        ("metrics", '{"attempt":1,"step":1.5,"time":1.0}', "step is 1.5"),
        ("metrics", '{"attempt":1,"time":1.0}', "'step' is missing"),
        ("metrics", '{"attempt":1,"step":1,"time":1.0,"a/loss":"x"}', "a/loss is 'x'"),
        ("results", '{"attempt":1,"step":1,"metric":"m","samples":true}', "samples is True"),
        ("episodes", "[]", "line 1 is not a run's"),
        ("superseded", '{"attempt":2,"from":{"metrics":4},"to":{}}', "a line is not a run's"),
    ],
)
def test_what_no_run_writes_is_refused(tmp_path: Path, stream: str, line: str, why: str) -> None:
    (tmp_path / f"{stream}.jsonl").write_text(f"{line}\n")
    with pytest.raises(RlvitError, match=why):
        read_streams(tmp_path, lambda text: None)


def test_a_line_that_is_being_written_is_no_damage(tmp_path: Path) -> None:
    line = '{"attempt":1,"step":1,"time":1.0,"a/loss":2.0}\n'
    (tmp_path / "metrics.jsonl").write_text(line + line[:20])
    said: list[str] = []
    assert len(read_streams(tmp_path, said.append).points) == 1
    assert said == []
    (tmp_path / "metrics.jsonl").write_text(line[:20] + "\n" + line)
    assert [point["row"] for point in read_streams(tmp_path, said.append).points] == [1]
    assert said == ["line 1 of metrics.jsonl is damaged and left out"]


def test_folders_know_how_long_their_streams_are(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.sizes() == {"metrics": 0, "episodes": 0, "results": 0}
    (tmp_path / "metrics.jsonl").write_bytes(b"a\nbb\nccc")
    (tmp_path / "results.jsonl").write_bytes(b"x" * 300_000 + b"\n" + b"y" * 600_000)
    (tmp_path / "episodes.jsonl").write_bytes(b"torn")
    assert folder.sizes() == {"metrics": 5, "episodes": 0, "results": 300_001}
