"""Commands of plugins are given recorded runs as event hooks see them, and may hold one."""

from __future__ import annotations

import pytest

import rlvit
from rlvit.catalog import Catalog
from rlvit.errors import RlvitError, UnknownName
from rlvit.home import Home


@pytest.fixture
def registry(toy: Catalog, home: Home) -> rlvit.Registry:
    """Return the registry of two runs, of which the first is archived."""
    for seed, steps in enumerate((3, 5)):
        options = {"puzzle": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}
        rlvit.run("toy", seed=seed, steps=steps, home=home.root, tags={"n": str(seed)}, **options)
    registry = rlvit.Registry(home.root)
    registry._store.annotate(registry.view("latest").id, note="the newest")
    registry._store.annotate(next(registry.views()).id, archived=True)
    return registry


def test_views_are_whole_runs_oldest_first(registry: rlvit.Registry) -> None:
    first, second = registry.views(archived=None)
    assert [view.id for view in registry.views()] == [second.id]
    assert (first.seed, second.seed, second.note) == (0, 1, "the newest")
    assert (second.tags, second.state, second.attempt) == ({"n": "1"}, "completed", 1)
    assert [len(view.history()) for view in (first, second)] == [3, 5]
    assert [row.step for row in second.history()] == [1, 2, 3, 4, 5]
    assert {result.metric for result in first.results} == {"toy/score", "toy/length"}
    assert first.folder == registry.home.runs / first.id
    (artifact,) = first.artifacts
    assert (artifact.folder / "table.json").is_file()
    assert registry.view(first.id[-8:]).id == first.id
    registry.close()


def test_a_wrong_filter_or_name_is_refused(registry: rlvit.Registry) -> None:
    with pytest.raises(UnknownName, match="unknown filter 'sead'"):
        registry.views(sead=1)
    with pytest.raises(UnknownName, match="unknown run 'nobody'"):
        registry.view("nobody")
    registry.close()


def test_a_held_run_is_in_one_hand(registry: rlvit.Registry) -> None:
    run = registry.view("latest").id
    again = registry.hold(run)
    with registry.hold(run), pytest.raises(RlvitError, match="in the hands of another process"):
        again.__enter__()
    with registry.hold(run):
        pass
    registry.close()
