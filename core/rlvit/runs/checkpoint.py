"""Checkpoints: whole or not at all, verified before use, read without running anybody's code."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlvit.contracts import State
from rlvit.runs.folder import gone, write_json

KEPT = 2  # the newest, and the one before it should the newest be damaged


@dataclass(frozen=True)
class CheckpointInfo:
    """What is known of a checkpoint without reading it."""

    number: int
    stage: str
    step: int
    sha256: str
    size: int  # bytes
    watermarks: Mapping[str, int]  # rows of each stream that it includes


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._damaged: set[int] = set()

    def save(self, stage: str, step: int, watermarks: Mapping[str, int], state: State) -> None:
        """Write a checkpoint; it exists once its JSON file does.

        Raises:
            OSError: it cannot be written, such as on a full disk; nothing of it stays.
            RlvitError: the run's folder is gone.
        """
        if not self.folder.is_dir():
            raise gone(self.folder.parent)
        number = max(self._numbers(), default=0) + 1
        temporary, path = self.folder / f".{number:06d}.pt", self.folder / f"{number:06d}.pt"
        try:
            _write_state(temporary, state)
            sha256, size = _sha256(temporary), temporary.stat().st_size
            info = CheckpointInfo(number, stage, step, sha256, size, dict(watermarks))
            os.replace(temporary, path)
            write_json(path.with_suffix(".json"), asdict(info))
        except BaseException:
            temporary.unlink(missing_ok=True)
            if not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)
            raise
        self._remove_old()

    def _remove_old(self) -> None:
        sound = sorted(set(self._numbers()) - self._damaged)
        for old in set(self._numbers()) - set(sound[-KEPT:]):
            (self.folder / f"{old:06d}.json").unlink(missing_ok=True)
            (self.folder / f"{old:06d}.pt").unlink(missing_ok=True)

    def load(self, say: Callable[[str], None]) -> tuple[CheckpointInfo, State] | None:
        """Return the newest sound checkpoint, saying which damaged ones were passed over."""
        import torch

        numbers = sorted(self._numbers(), reverse=True)
        for number in numbers:
            path = self.folder / f"{number:06d}.pt"
            try:
                info = CheckpointInfo(**json.loads(path.with_suffix(".json").read_text()))
                if _sha256(path) != info.sha256:
                    raise ValueError(f"{path.stat().st_size} of {info.size} bytes, or changed")
                state = torch.load(path, map_location="cpu", weights_only=True)
                return info, _from_plain(state)
            except (OSError, ValueError, TypeError, RuntimeError, pickle.PickleError) as problem:
                reason = str(problem).partition("\n")[0]
                instead = (
                    "there is no other" if number == numbers[-1] else "using the one before it"
                )
                say(f"checkpoint {path.name} is damaged ({reason}); {instead}")
                self._damaged.add(number)
        return None

    def remove(self) -> None:
        """Delete all checkpoints."""
        for path in self.folder.iterdir():
            path.unlink()

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self.folder.glob("[0-9]*.json")]


def _write_state(path: Path, state: State) -> None:
    """Write a state to the disk itself; raises OSError."""
    import torch

    with open(path, "wb") as file:
        try:
            torch.save(_to_plain(state), file)
        except RuntimeError as problem:
            if isinstance(problem.__context__, OSError):  # what the disk said; torch hides it
                raise problem.__context__ from None
            raise
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_plain(value: Any) -> Any:
    """Write arrays as tensors: a checkpoint then holds nothing that needs unpickling of classes."""
    import numpy as np
    import torch

    if isinstance(value, np.ndarray):
        return {"__array__": torch.from_numpy(np.array(value, order="C"))}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    return value


def _from_plain(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__array__"}:
            return value["__array__"].numpy()
        return {key: _from_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_plain(item) for item in value]
    return value
