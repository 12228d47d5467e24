"""Artifacts: folders of files built once for their inputs under a lock, and found by hash."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rlvit.contracts import Artifact
from rlvit.home import Home
from rlvit.runs.folder import write_json
from rlvit.specs import digest

POLL = 0.5  # seconds between looks at a lock, so that Ctrl-C is heard while waiting


class ArtifactShelf:
    """The artifacts that the runs of a home share."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def get(
        self,
        kind: str,
        inputs: Mapping[str, Any],
        build: Callable[[Path], None],
        *,
        run_id: str,
        say: Callable[[str], None],
        check_stop: Callable[[], None],
    ) -> Artifact:
        """Return the artifact of these inputs; of several processes one builds, the others wait."""
        key = digest({"kind": kind, **inputs})
        lock = FileLock(self.home.locks / f"{kind}-{key[:16]}.lock")
        self._acquire(lock, kind, say, check_stop)
        try:
            return self._find(kind, key, say) or build_artifact(
                self._folder(kind, key), kind, inputs, build, run_id
            )
        finally:
            lock.release()

    def _acquire(
        self, lock: FileLock, kind: str, say: Callable[[str], None], check_stop: Callable[[], None]
    ) -> None:
        said = False
        while True:
            try:
                lock.acquire(timeout=POLL)
                return
            except Timeout:
                if not said:
                    say(f"waiting for another run that is building the same {kind}")
                said = True
                check_stop()

    def _folder(self, kind: str, key: str) -> Path:
        return self.home.shared / f"{kind}-{key[:16]}"

    def _find(self, kind: str, key: str, say: Callable[[str], None]) -> Artifact | None:
        folder = self._folder(kind, key)
        if not folder.exists():
            return None
        try:
            found = read_artifact(folder)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            found, reason = None, str(problem)
        else:
            reason = "its files do not have the recorded hash"
        if found is not None and found.key == key and found.sha256 == hash_files(folder):
            return found
        aside = folder.with_name(f"{folder.name}.damaged-{time.time_ns()}")
        os.replace(folder, aside)
        say(f"the shared {kind} is damaged ({reason}); moved to {aside.name} and built again")
        return None


def build_artifact(
    folder: Path,
    kind: str,
    inputs: Mapping[str, Any],
    build: Callable[[Path], None],
    run_id: str,
) -> Artifact:
    """Build an artifact beside its place and put it there whole; what was there is replaced."""
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a killed process
    temporary.mkdir()
    build(temporary)
    for path in temporary.iterdir():
        path.chmod(0o644)  # some writers make private files; a home may be shared
    record = {
        "kind": kind,
        "key": digest({"kind": kind, **inputs}),
        "sha256": hash_files(temporary),
        "size": sum(path.stat().st_size for path in temporary.iterdir()),
        "made_by": run_id,
        "made_at": time.time(),
        "inputs": dict(inputs),
    }
    write_json(temporary / "artifact.json", record)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)
    return read_artifact(folder)


def own_copy(folder: Path) -> Artifact | None:
    """Return the artifact whose sound copy is in a run's own folder, if there is one."""
    try:
        found = read_artifact(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.sha256 == hash_files(folder) else None


def read_artifact(folder: Path) -> Artifact:
    """Read an artifact's description.

    Raises:
        OSError, ValueError, KeyError, TypeError: it is missing or not whole.
    """
    record = json.loads((folder / "artifact.json").read_text())
    return Artifact(
        kind=record["kind"],
        key=record["key"],
        sha256=record["sha256"],
        folder=folder,
        made_by=record["made_by"],
        inputs=record["inputs"],
        size=record["size"],
    )


def hash_files(folder: Path) -> str:
    """Return one SHA-256 over names and contents of a folder's files, artifact.json left out."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name != "artifact.json":
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{path.name} {content}\n".encode())
    return total.hexdigest()


def copy_artifact(artifact: Artifact, into: Path) -> None:
    """Put a copy of an artifact into a run's folder, so that the folder is complete in itself."""
    target, temporary = into / artifact.kind, into / f".{artifact.kind}"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(artifact.folder, temporary)
    shutil.rmtree(target, ignore_errors=True)  # a damaged one
    os.replace(temporary, target)
