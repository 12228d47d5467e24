"""JSON from a stranger: strict, bounded, and nothing in it that a database could not hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlvit.runs.bundle.names import LIMITS, Limits, Refused

WHOLE = 2**63  # integers from here on fit no column


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODE = json.JSONDecoder(parse_constant=_no_constant).decode


def parse(data: bytes, what: str, limits: Limits = LIMITS) -> Any:
    """Return the value of a JSON text; raises Refused unless it is sound and plain."""
    try:
        value = _DECODE(data.decode())
        _check(value, limits.depth)
    except RecursionError:
        raise Refused(f"{what} is nested too deeply") from None
    except ValueError as problem:  # UnicodeDecodeError and JSONDecodeError are such, too
        raise Refused(f"{what} is not sound JSON ({problem})") from None
    return value


def parse_file(path: Path, what: str, limits: Limits = LIMITS) -> Any:
    """Return the value of a JSON file; raises Refused unless it is sound, plain and small."""
    if path.stat().st_size > limits.document:
        raise Refused(f"{what} has {path.stat().st_size:,} bytes, more than {limits.document:,}")
    return parse(path.read_bytes(), what, limits)


def parse_object(path: Path, what: str, limits: Limits = LIMITS) -> dict[str, Any]:
    """Return the object in a JSON file; raises Refused if it holds something else."""
    value = parse_file(path, what, limits)
    if not isinstance(value, dict):
        raise Refused(f"{what} holds no object")
    return value


def parse_line(line: bytes) -> Any:
    """Return the value of one line; raises ValueError or RecursionError."""
    return _DECODE(line.decode())


def lines(path: Path, what: str, limits: Limits = LIMITS) -> Iterator[tuple[int, bytes]]:
    """Yield the whole lines of a file from number 1; raises Refused where one is too long."""
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(limits.line + 1):
            number += 1
            if len(line) > limits.line:
                raise Refused(f"line {number} of {what} is longer than {limits.line:,} bytes")
            if line.endswith(b"\n"):  # else torn by a kill: no reader takes it
                yield number, line


def _check(value: Any, depth: int) -> None:
    """Refuse what is nested too deeply or fits no column; raises ValueError."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        if not -WHOLE <= value < WHOLE:
            raise ValueError(f"an integer of {len(str(value))} digits")
    elif isinstance(value, float):
        if value - value != 0:  # 1e999 is read as infinity
            raise ValueError("a number that is not finite")
    elif depth == 0:
        raise RecursionError
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check(item, depth - 1)
    else:
        for item in value:
            _check(item, depth - 1)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("a NUL in a text")
    if not text.isascii():
        text.encode()  # half a character is no UTF-8: a UnicodeEncodeError is a ValueError
