"""A run's folder: complete in itself, append-only, readable with any text tool."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlvit.contracts import LoggedRow

STREAMS = ("metrics", "episodes", "results")
ENCODE = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make one each time


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees either the old content or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file atomically, for people to read."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    write_atomically(path, text.encode() + b"\n")


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
        """Add a line to a stream and return its row number."""
        os.write(self._files[stream], f"{ENCODE(value)}\n".encode())
        row = self.rows[stream]
        self.rows[stream] = row + 1
        return row

    def sync(self) -> None:
        """Have the streams on the disk itself, so that a checkpoint never outlives its rows."""
        for descriptor in self._files.values():
            os.fsync(descriptor)

    def read(self, stream: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows of a stream with their numbers."""
        path = self.path / f"{stream}.jsonl"
        if path.exists():
            with open(path, "rb") as file:
                for row, line in enumerate(file):
                    if not line.endswith(b"\n"):  # still being written, or torn by a kill
                        continue
                    try:
                        value = json.loads(line)
                    except ValueError:  # by a power cut: never silently
                        self.log(f"line {row + 1} of {path.name} is damaged and left out")
                    else:
                        yield row, value

    def supersede(self, attempt: int, watermarks: Mapping[str, int]) -> None:
        """Mark the rows behind the watermarks as made again by `attempt`; nothing is removed."""
        line = {"attempt": attempt, "from": dict(watermarks), "to": dict(self.rows)}
        with open(self.path / "superseded.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def read_live(self, stream: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows of a stream that no later attempt made again."""
        path = self.path / "superseded.jsonl"
        marks = [json.loads(line) for line in path.open()] if path.exists() else []
        spans = [(mark["from"][stream], mark["to"][stream]) for mark in marks]
        for row, line in self.read(stream):
            if not any(start <= row < end for start, end in spans):
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

    def log(self, text: str) -> None:
        """Add a line to log.txt with the time (UTC)."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        with open(self.path / "log.txt", "a", encoding="utf-8") as file:
            file.write(f"{stamp} {text}\n")
