"""Shares real datasets among the tests, laid out once in a folder outside the repository."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock

from rlvit.specs import DataRequest

SOURCE = Path(__file__).parents[4] / "shared" / "data"
PARTS = ("cifar10", "mnist", "imagenette")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with CIFAR-10, MNIST and Imagenette as their publishers lay them out."""
    if not (SOURCE / "prepare.py").exists():
        pytest.skip(f"no real images in {SOURCE}")
    folder = Path(tempfile.gettempdir()) / "rlvit-test-data"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / ".lock"):
        if not (folder / ".ready").exists():
            command = [sys.executable, str(SOURCE / "prepare.py"), str(folder), *PARTS]
            subprocess.run(command, check=True)
            (folder / ".ready").touch()
    return folder


@dataclass
class Requests:
    """Makes data requests and keeps what was said."""

    said: list[str] = field(default_factory=list)

    def __call__(
        self, root: Path, *, skip_bad_images: bool = False, threads: int = 2
    ) -> DataRequest:
        return DataRequest(root, self.said.append, skip_bad_images, threads)


@pytest.fixture
def requests() -> Requests:
    """A maker of data requests: (root, skip_bad_images, threads)."""
    return Requests()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Every download fails; the result counts how many were tried."""
    import urllib.error
    import urllib.request

    tried = []

    def refuse(url: str, timeout: float) -> None:
        tried.append(url)
        raise urllib.error.URLError("Network is unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return lambda: len(tried)
