"""Imports that are killed anywhere, or run at once: the same import again completes them."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bundle_lab import export, import_and_die, import_whole, take, tree
from toy_program import in_processes
from whole_registry import Maker, rows_of

from rlvit.catalog import build_catalog
from rlvit.home import Home
from rlvit.manager import create_plugin_manager
from rlvit.registry import queries
from rlvit.registry.store import Store

POINTS = [
    ("fsync", 12),  # of the files that are unpacked
    *(("rename", number) for number in (1, 2, 3, 4)),  # shared, new; replaced: aside, and put
    *(("restore", number) for number in (1, 2)),
    ("mirror", 1),
    ("delete", 1),
    ("put_studies", 1),
]


@pytest.fixture(scope="module")
def made(
    bare_site: Path, toy_site: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Return a home with a run, a bundle in which it went on beside a new one, and the outcome."""
    folder = tmp_path_factory.mktemp("kill")
    source, before, after = (Home.locate(folder / name) for name in ("source", "before", "after"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(toy_site)
        patch.syspath_prepend(bare_site)
        catalog = build_catalog(create_plugin_manager())
        maker = Maker(catalog, source, patch)
        old = maker.run("13:SIGTERM").id
        export(source, folder / "early.rlvit")
        maker.resume(old)
        new = maker.run(seed=1, values={"mode": "sum"}).id
        export(source, folder / "late.rlvit")
        take(catalog, before, folder / "early.rlvit")
        shutil.copytree(before.root, after.root)
        take(catalog, after, folder / "late.rlvit")
        yield {
            "catalog": catalog,
            "sites": [str(bare_site), str(toy_site)],
            "bundle": folder / "late.rlvit",
            "before": before,
            "after": after,
            "runs": (old, new),
        }


def _rows(home: Home) -> dict[str, Any]:
    """Return the rows of a registry with places left out."""
    return {
        name: sorted((re.sub(r'"/[^"]*/runs/', '"HOME/runs/', row), n) for row, n in rows.items())
        for name, rows in rows_of(home.registry_url).items()
    }


def _files(home: Home) -> dict[str, str]:
    """Return the hashes of what is among the runs; a run.json has its home's place in it."""
    found = tree(home.runs)
    return {name: "" if name.endswith("run.json") else value for name, value in found.items()}


@pytest.mark.parametrize(("point", "number"), POINTS)
def test_the_same_import_again_completes_what_was_killed(
    made: dict[str, Any], tmp_path: Path, point: str, number: int
) -> None:
    shutil.copytree(made["before"].root, tmp_path / "home")
    home = Home.locate(tmp_path / "home")
    arguments = (made["sites"], str(home.root), str(made["bundle"]), point, number)
    assert in_processes(import_and_die, [arguments]) == [-signal.SIGKILL]
    _each_visible_run_is_whole(home, made)
    done = take(made["catalog"], home, made["bundle"])
    assert (done.earlier, done.remarks) == ([], [])
    assert _rows(home) == _rows(made["after"])
    assert _files(home) == _files(made["after"])
    assert not list(home.runs.glob(".importing-*"))


def _each_visible_run_is_whole(home: Home, made: dict[str, Any]) -> None:
    """A run that the registry shows is as it was before, or as it is in the bundle."""
    found = _rows(home)
    states = [_rows(made[name]) for name in ("before", "after")]
    store = Store(home.registry_url)
    try:
        seen = [run.id for run in queries.list_runs(store.engine)]
    finally:
        store.close()
    assert set(seen) <= set(made["runs"])
    for run_id in seen:
        for table in ("point", "result", "episode", "transition", "tag"):
            mine = [row for row in found[table] if run_id in row[0]]
            assert mine in [[row for row in one[table] if run_id in row[0]] for one in states]


def test_imports_at_once_take_turns(made: dict[str, Any], tmp_path: Path) -> None:
    home = Home.locate(tmp_path / "home")
    arguments = (made["sites"], str(home.root), str(made["bundle"]))
    assert in_processes(import_whole, [arguments] * 3) == [0, 0, 0]
    done = take(made["catalog"], home, made["bundle"])
    assert sorted(done.same) == sorted(made["runs"])
    assert not list(home.runs.glob(".importing-*"))
    assert _rows(home) == _rows(made["after"])
