"""Shares tiny AgentViT runs among the tests of a process, and what makes such runs."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SUPPORT = Path(__file__).parents[1] / "support"


@dataclass(frozen=True)
class Finished:
    """A completed run and its home."""

    home: Path
    id: str
    story: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.home / "runs" / self.id


def load(name: str) -> ModuleType:
    """Return a module of the folder `support`."""
    spec = importlib.util.spec_from_file_location(name, SUPPORT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_agent() -> ModuleType:
    """The module `support/tiny_agentvit.py`; `.tiny` is what it shares with `tiny_rl4dvit`."""
    load("tiny_rl4dvit")
    return load("tiny_agentvit")


def unbroken(tiny_agent: Any, home: Path, options: dict[str, Any]) -> Finished:
    """Carry a tiny run to its end."""
    outcome = tiny_agent.start(home, **options)
    assert outcome.state == "completed", outcome.error
    return Finished(home, outcome.id, tiny_agent.outcome_of(home, outcome.id))


@pytest.fixture(scope="session")
def faithful_run(tiny_agent: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run with the notebook's credit that nothing interrupted."""
    return unbroken(tiny_agent, tmp_path_factory.mktemp("faithful"), tiny_agent.FAITHFUL)


@pytest.fixture(scope="session")
def bernoulli_run(tiny_agent: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same with rlvit's own credit."""
    return unbroken(tiny_agent, tmp_path_factory.mktemp("bernoulli"), tiny_agent.BERNOULLI)
