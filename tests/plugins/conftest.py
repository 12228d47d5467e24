"""Shares one tiny SPIRL run among the tests of a process, since its autoencoder takes seconds."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rlvit.cli import session
from rlvit.cli.main import invoke


@dataclass(frozen=True)
class Finished:
    """A completed run and its home."""

    home: Path
    id: str
    story: dict[str, Any]


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module `support/tiny_spirl.py`."""
    return _support("tiny_spirl")


@pytest.fixture(scope="session")
def section_maker() -> ModuleType:
    """The module `support/section_maker.py`."""
    return _support("section_maker")


def _support(name: str) -> ModuleType:
    path = Path(__file__).parent / "support" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def unbroken(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A tiny run that nothing interrupted; its home must not be written to."""
    home = tmp_path_factory.mktemp("unbroken")
    outcome = tiny.start(home)
    assert outcome.state == "completed", outcome.error
    return Finished(home, outcome.id, tiny.outcome_of(home, outcome.id))


@pytest.fixture
def home(unbroken: Finished, tmp_path: Path) -> Path:
    """A home without runs that has the frames and the autoencoder of the tiny options."""
    shutil.copytree(unbroken.home / "runs" / "shared", tmp_path / "home" / "runs" / "shared")
    return tmp_path / "home"


@pytest.fixture
def dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Any, str], Callable[..., tuple[int, str, str]]]:
    """Of a catalogue and a method: `rlvit run --plugin METHOD ... --dry-run` as a function.

    It returns the exit code, what was printed, and the errors.
    """

    def of(catalog: Any, method: str) -> Callable[..., tuple[int, str, str]]:
        monkeypatch.setattr(session, "load_catalog", lambda: catalog)
        monkeypatch.chdir(tmp_path)

        def run(*given: str) -> tuple[int, str, str]:
            home = tmp_path / "home"
            usual = ("--home", str(home), "run", "--plugin", method, "--device", "cpu")
            code = invoke([*usual, *given, "--dry-run"])
            found = capsys.readouterr()
            assert not home.exists()
            return code, found.out, found.err

        return run

    return of
