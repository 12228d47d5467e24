"""Shares one tiny RL4DViT run among the tests of a process, and what makes such runs."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


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


@pytest.fixture(scope="session")
def tiny_vit() -> ModuleType:
    """The module `support/tiny_rl4dvit.py`."""
    path = Path(__file__).parents[1] / "support" / "tiny_rl4dvit.py"
    spec = importlib.util.spec_from_file_location("tiny_rl4dvit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_rl4dvit"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def whole_run(tiny_vit: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A tiny run that nothing interrupted; its home may get further runs, but no other changes."""
    home = tmp_path_factory.mktemp("whole")
    outcome = tiny_vit.start(home)
    assert outcome.state == "completed", outcome.error
    return Finished(home, outcome.id, tiny_vit.outcome_of(home, outcome.id))
