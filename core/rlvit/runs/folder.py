"""A run's folder: complete in itself, append-only, readable with any text tool."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlvit.contracts import LoggedRow
from rlvit.errors import RlvitError

STREAMS = ("metrics", "episodes", "results")
READ_BYTES = 2**18  # of a stream, read at a time
ENCODE = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make one each time


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees either the old content or the whole new one.

    Raises:
        OSError: it cannot be written; the old content stays, and nothing else.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file atomically, for people to read."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    write_atomically(path, text.encode() + b"\n")


def gone(path: Path) -> RlvitError:
    """Return the error of a run whose folder was removed or moved away."""
    return RlvitError(f"the folder {path} of this run is gone.")


class RunFolder:
    """The files of one run.

    A line of a stream is handed to the operating system before `append` returns, so a killed
    process loses none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, int] = {}
        self.rows = dict.fromkeys(STREAMS, 0)

    def create(self) -> None:
        """Make the folder."""
        (self.path / "artifacts").mkdir(parents=True)
        (self.path / "checkpoint").mkdir()

    def open(self) -> None:
        """Open the streams for appending and count their rows; a torn last line is cut off."""
        for stream in STREAMS:
            path = self.path / f"{stream}.jsonl"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            data = path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                os.ftruncate(descriptor, whole)
            self.rows[stream] = data.count(b"\n")
            self._files[stream] = descriptor

    def close(self) -> None:
        """Close the streams."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def append(self, stream: str, value: Mapping[str, Any]) -> int:
        """Add a line to a stream and return its row number.

        Raises:
            OSError: the disk did not take it; the stream is as it was before.
        """
        data = f"{ENCODE(value)}\n".encode()
        taken = os.write(self._files[stream], data)
        if taken < len(data):
            _write_rest(self._files[stream], data, taken)
        row = self.rows[stream]
        self.rows[stream] = row + 1
        return row

    def check(self) -> None:
        """Make sure that the open streams are still the files of this folder.

        Raises:
            RlvitError: the folder was removed or moved away.
        """
        for stream, descriptor in list(self._files.items()):
            try:
                there = os.stat(self.path / f"{stream}.jsonl")
            except OSError:
                raise gone(self.path) from None
            if not os.path.samestat(there, os.fstat(descriptor)):
                raise gone(self.path)

    def sync(self) -> None:
        """Have the streams on the disk itself, so that a checkpoint never outlives its rows."""
        for descriptor in self._files.values():
            os.fsync(descriptor)

    def read(self, stream: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows of a stream with their numbers."""
        path = self.path / f"{stream}.jsonl"
        if path.exists():
            with open(path, "rb") as file:
                start = 0
                while lines := file.readlines(READ_BYTES):
                    yield from self._parsed(path.name, start, lines)
                    start += len(lines)

    def _parsed(
        self, name: str, start: int, lines: list[bytes]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows of successive lines; all at once, which takes half the time, if it can."""
        if not lines[-1].endswith(b"\n"):  # still being written, or torn by a kill
            lines = lines[:-1]
        try:
            values = json.loads(b"[%b]" % b",".join(lines))
        except ValueError:
            values = []
        if len(values) == len(lines):
            yield from enumerate(values, start)
            return
        for row, line in enumerate(lines, start):
            try:
                value = json.loads(line)
            except ValueError:  # by a power cut: never silently
                self.log(f"line {row + 1} of {name} is damaged and left out")
            else:
                yield row, value

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each stream up to the end of its last whole line."""
        return {stream: _whole_bytes(self.path / f"{stream}.jsonl") for stream in STREAMS}

    def supersede(self, attempt: int, watermarks: Mapping[str, int]) -> None:
        """Mark the rows behind the watermarks as made again by `attempt`; nothing is removed."""
        line = {"attempt": attempt, "from": dict(watermarks), "to": dict(self.rows)}
        lines = [json.dumps(mark) for _, mark in self.read("superseded")] + [json.dumps(line)]
        write_atomically(self.path / "superseded.jsonl", ("\n".join(lines) + "\n").encode())

    def read_live(self, stream: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows of a stream that no later attempt made again."""
        marks = self.read("superseded")
        spans = [(mark["from"][stream], mark["to"][stream]) for _, mark in marks]
        for row, line in self.read(stream):
            if not spans or not any(start <= row < end for start, end in spans):
                yield row, line

    def logged_before(self, end: int) -> list[LoggedRow]:
        """Return the live rows of metrics.jsonl in front of row `end`."""
        rows = []
        for row, line in self.read_live("metrics"):
            if row < end:
                step, at = line.pop("step"), line.pop("time")
                del line["attempt"]
                values = {name: math.nan if v is None else v for name, v in line.items()}
                rows.append(LoggedRow(row, step, at, values))
        return rows

    def link(self, value: Mapping[str, Any]) -> None:
        """Write down an artifact that the run made or used, in artifacts.jsonl.

        Raises:
            OSError: the disk did not take it.
        """
        with open(self.path / "artifacts.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(value, default=str) + "\n")

    def log(self, text: str) -> None:
        """Add a line to log.txt with the time (UTC).

        A folder that is gone takes no more lines; that ends the run by `check`, not here, where
        the run's failure itself is written down.
        """
        stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        with (
            contextlib.suppress(FileNotFoundError),
            open(self.path / "log.txt", "a", encoding="utf-8") as file,
        ):
            file.write(f"{stamp} {text}\n")


def _whole_bytes(path: Path) -> int:
    """Return the bytes of a file in front of a line that is still being written or torn."""
    try:
        with open(path, "rb") as file:
            left = file.seek(0, os.SEEK_END)
            while left:
                start = max(0, left - READ_BYTES)
                file.seek(start)
                found = file.read(left - start).rfind(b"\n")
                if found >= 0:
                    return start + found + 1
                left = start
    except FileNotFoundError:
        pass
    return 0


def _write_rest(descriptor: int, data: bytes, taken: int) -> None:
    """Write what one `os.write` left over; raises OSError with nothing of `data` left behind."""
    try:
        while taken < len(data):
            taken += os.write(descriptor, data[taken:])
    except OSError:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - taken)
        raise
