"""What the tests of studies share: labs in which studies are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from study_lab import Lab

from rlvit.catalog import Catalog
from rlvit.home import Home
from rlvit.registry.studies import StudyStore


@pytest.fixture
def make_lab(toy: Catalog, tmp_path: Path) -> Iterator[Callable[[str], Lab]]:
    """Make labs by name, each with a home of its own."""
    stores: list[StudyStore] = []

    def make(name: str) -> Lab:
        home = Home.locate(tmp_path / name)
        home.create()
        stores.append(StudyStore(home.registry_url))
        return Lab(toy, home, stores[-1])

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def lab(make_lab: Callable[[str], Lab]) -> Lab:
    """Return a lab."""
    return make_lab("home")
