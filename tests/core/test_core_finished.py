"""A completed run is brought back with what it was made of, as the run recorded it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

import rlvit
from rlvit.catalog import Catalog
from rlvit.errors import UnknownName, UsageProblem
from rlvit.home import Home
from rlvit.runs.finished import revived

OPTIONS = {"puzzle": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}


@pytest.fixture
def registry(toy: Catalog, home: Home) -> rlvit.Registry:
    """Return the registry of a completed run."""
    rlvit.run("toy", seed=7, steps=3, home=home.root, **OPTIONS)
    return rlvit.Registry(home.root)


def test_a_run_comes_back_as_it_was(registry: rlvit.Registry, toy: Catalog) -> None:
    found, view = registry.revive("latest"), registry.view("latest")
    assert (found.view.id, found.task.name) == (view.id, "Alpha")
    assert found.config.model_dump()["steps"] == 3
    assert {slot: part.name for slot, part in found.parts.items()} == dict(view.slots)
    assert found.protocol.name == view.protocol
    assert found.protocol.settings == view.protocol_settings
    assert found.evaluator.name == found.task.evaluator
    rows = registry.episodes(view.id)
    last = rows[rows.step == rows.step.max()]
    assert [(one.index, one.score, one.length) for one in found.episodes] == [
        (row.index_, row.score, row.length)
        for row in last.rename(columns={"index": "index_"}).sort_values("index_").itertuples()
    ]
    assert found.another(found.task.name).name == "Alpha"
    with pytest.raises(UnknownName, match="Alhpa"):
        found.another("Alhpa")
    registry.close()


def test_streams_are_those_of_the_run(registry: rlvit.Registry) -> None:
    stream = registry.revive("latest").stream

    def expected(text: str) -> int:
        return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) >> 1

    assert stream("evaluate", None) == expected("7/evaluate")
    assert stream("evaluate", 3) == expected("3/evaluate")
    assert stream("play", None) == expected("7/play")
    registry.close()


def test_only_a_completed_run_comes_back(registry: rlvit.Registry, toy: Catalog) -> None:
    view = replace(registry.view("latest"), state="failed")
    with pytest.raises(UsageProblem, match="is failed; expected a completed one"):
        revived(toy, registry._store, view)
    with pytest.raises(UnknownName, match="nobody"):
        registry.revive("nobody")
    registry.close()
