"""Imports that are stopped or refused: a run has folder and rows, or is not there at all."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from bundle_lab import Origin, export, take
from whole_registry import rows_of

from rlvit.catalog import Catalog
from rlvit.home import Home
from rlvit.registry.store import Store
from rlvit.runs.bundle import importing
from rlvit.runs.bundle.names import LIMITS, Refused
from rlvit.runs.bundle.place import without_interruption


def test_ctrl_c_waits_for_the_run_in_hand(
    toy: Catalog, origin: Origin, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bundles, _ = origin
    whole, said = Home.locate(tmp_path / "whole"), list[str]()
    take(toy, whole, bundles["two"])
    restore = importing.restore

    def pressed(*given: Any, **more: Any) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return restore(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(importing, "restore", pressed)
        with pytest.raises(KeyboardInterrupt):
            importing.import_bundle(
                toy, home, bundles["two"], said.append, lambda done, total: None
            )
    assert said == ["1 of 2 runs are in; the same import completes it"]
    (folder,) = home.runs.glob("toy-*")
    with contextlib.closing(sqlite3.connect(home.root / "registry.db")) as connection:
        assert connection.execute("SELECT id FROM run").fetchall() == [(folder.name,)]
    again = take(toy, home, bundles["two"])
    assert (again.same, len(again.new)) == ([folder.name], 1)
    assert {name: len(rows) for name, rows in rows_of(home.registry_url).items()} == {
        name: len(rows) for name, rows in rows_of(whole.registry_url).items()
    }


def test_ctrl_c_is_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with without_interruption():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_a_refused_bundle_makes_no_home(
    toy: Catalog, origin: Origin, home: Home, tmp_path: Path
) -> None:
    damaged = bytearray(origin[1]["two"].read_bytes())
    damaged[len(damaged) // 3] ^= 255
    (tmp_path / "bad.rlvit").write_bytes(damaged)
    with pytest.raises(Refused):
        take(toy, home, tmp_path / "bad.rlvit")
    assert not home.root.exists()
    (home.root / "reports").mkdir(parents=True)
    (home.root / "mine").touch()
    with pytest.raises(Refused):
        take(toy, home, tmp_path / "bad.rlvit", LIMITS)
    assert sorted(path.name for path in home.root.rglob("*")) == ["mine", "reports"]


def test_what_becomes_of_annotations_is_told(
    toy: Catalog, origin: Origin, home: Home, tmp_path: Path
) -> None:
    _, bundles, runs = origin
    first = runs["first"]
    new = take(toy, home, bundles["two"])
    assert (new.annotated, new.own_notes) == ([], [])
    second = Home.locate(tmp_path / "second")
    take(toy, second, bundles["two"])
    _note(second, first, "read once more")
    export(second, tmp_path / "noted.rlvit", first)
    taken = take(toy, home, tmp_path / "noted.rlvit")
    assert (taken.annotated, taken.own_notes) == ([first], [])
    _note(home, first, "my own")
    kept = take(toy, home, tmp_path / "noted.rlvit")
    assert (kept.annotated, kept.own_notes) == ([], [first])


def _note(home: Home, run_id: str, note: str) -> None:
    store = Store(home.registry_url)
    store.annotate(run_id, note=note)
    store.close()
