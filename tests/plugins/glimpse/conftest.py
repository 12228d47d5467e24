"""Shares tiny glimpse runs among the tests of a process, and what makes such runs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SUPPORT = Path(__file__).parents[1] / "support"


@dataclass(frozen=True)
class Finished:
    """A completed run, its home, and what its measuring was given and gave."""

    home: Path
    id: str
    story: dict[str, Any]
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.home / "runs" / self.id


def load(name: str) -> ModuleType:
    """Return a module of the folder `support`."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, SUPPORT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_glimpse() -> ModuleType:
    """The module `support/tiny_glimpse.py`; `.tiny` is what it shares with `tiny_rl4dvit`."""
    load("tiny_rl4dvit")
    return load("tiny_glimpse")


@pytest.fixture(scope="session")
def whole_run(
    tiny_glimpse: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Finished]:
    """A tiny run of a variant that nothing interrupted, made once."""
    from rlvit_glimpse import experiment

    found: dict[str, Finished] = {}

    def make(variant: str) -> Finished:
        home, measured = tmp_path_factory.mktemp(variant), {}
        measure = experiment.measure

        def watched(*given: Any) -> Any:
            looks = measure(*given)
            names = ("context", "config", "network", "size", "step")
            measured.update(zip(names, given, strict=True), looks=looks)
            return looks

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(experiment, "measure", watched)
            outcome = tiny_glimpse.start(home, **tiny_glimpse.OPTIONS[variant])
        assert outcome.state == "completed", outcome.error
        story = tiny_glimpse.tiny.outcome_of(home, outcome.id)
        return Finished(home, outcome.id, story, measured)

    def run(variant: str) -> Finished:
        if variant not in found:
            found[variant] = make(variant)
        return found[variant]

    return run
