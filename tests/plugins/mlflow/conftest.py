"""What the tests of the tracker share: an empty store, and quick runs that were logged live."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import rlvit
from rlvit_mlflow.store import tracking_uri

TOY = Path(__file__).parents[2] / "core" / "support" / "rlvit_toy"
OTHERS = "agentvit,controls,glimpse,rl4dvit,spirl,tasks,timm"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated store without runs, since MLflow takes seconds to make one."""
    from mlflow import MlflowClient

    home = tmp_path_factory.mktemp("store")
    (home / "runs").mkdir()
    MlflowClient(tracking_uri(home)).search_experiments()
    return home / "runs" / "mlflow.db"


@pytest.fixture
def tracked_home(home: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with frames, an autoencoder and an empty MLflow store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, home / "runs" / "mlflow.db")
    return home


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the toy plugin of the core's tests is installed."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(TOY, site / "rlvit_toy", ignore=shutil.ignore_patterns("__pycache__"))
    info = site / "rlvit_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rlvit-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rlvit.plugins]\ntoy = rlvit_toy.plugin\n")
    return site


@pytest.fixture(scope="module")
def toy_alone(toy_site: Path) -> Iterator[None]:
    """Let the tests of a module see the toy method and the tracker alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RLVIT_HOME", "RLVIT_REGISTRY", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        patch.setenv("RLVIT_BLOCK", OTHERS)
        patch.syspath_prepend(toy_site)
        # The core's tests import the toy out of this repository, and a run would name its commit.
        for name in toy_modules():
            patch.delitem(sys.modules, name)
        yield
        for name in toy_modules():
            del sys.modules[name]


def toy_modules() -> list[str]:
    """Return which modules of the toy plugin are imported."""
    return [name for name in sys.modules if name.partition(".")[0] == "rlvit_toy"]


@pytest.fixture(scope="module")
def make_run(toy_alone: None) -> Callable[..., str]:
    """Run the toy method here and return the run's id, whatever came of it."""

    def make(home: Path, seed: int, **more: Any) -> str:
        options = {"puzzle": "Alpha", "preset": "quick", "threads": 1, "device": "cpu"}
        try:
            return rlvit.run("toy", seed=seed, home=home, **{**options, **more}).id
        except KeyboardInterrupt as stopped:
            return str(stopped).split()[1]

    return make


@dataclass(frozen=True)
class Tracked:
    """A home of runs that the tracker showed in MLflow as they ran."""

    home: Path
    plain: str  # with a note and tags
    trials: tuple[str, str]  # of a study
    failed: str
    resumed: str
    stopped: str

    @property
    def all(self) -> list[str]:
        """The ids of the runs, oldest first."""
        return [self.plain, *self.trials, self.failed, self.resumed, self.stopped]


@pytest.fixture(scope="module")
def tracked(
    make_run: Callable[..., str], empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Tracked:
    """Runs of every kind of end; the home must not be written to."""
    home = tmp_path_factory.mktemp("tracked") / "home"
    (home / "runs").mkdir(parents=True)
    shutil.copy(empty_store, home / "runs" / "mlflow.db")

    def stopping(seed: int, what: str) -> str:
        os.environ["TOY_AT"] = what
        try:
            return make_run(home, seed)
        finally:
            del os.environ["TOY_AT"]

    plain = make_run(home, 0, note="Why we ran it.", tags={"group": "a", "odd, key": ""})
    trials = [make_run(home, n, tags={"study": "toy-1a2b", "trial": str(n)}) for n in (1, 2)]
    failed = stopping(3, "9:fail")
    resumed = stopping(4, "15:SIGINT")
    rlvit.resume(resumed, home=home)
    stopped = stopping(5, "17:SIGTERM")
    return Tracked(home, plain, (trials[0], trials[1]), failed, resumed, stopped)


@pytest.fixture
def copied(tracked: Tracked, tmp_path: Path) -> Tracked:
    """The same runs without MLflow's store and files, in a home of another name."""
    ignored = shutil.ignore_patterns("mlflow.db*", "mlartifacts", ".locks")
    shutil.copytree(tracked.home, tmp_path / "elsewhere", ignore=ignored)
    return Tracked(tmp_path / "elsewhere", *list(vars(tracked).values())[1:])


@pytest.fixture
def unshown(copied: Tracked, empty_store: Path) -> Tracked:
    """The same runs beside an empty store."""
    shutil.copy(empty_store, copied.home / "runs" / "mlflow.db")
    return copied
