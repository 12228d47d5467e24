"""Bundles from strangers: the damaged and the hostile are refused in one line; nothing changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bad_bundles import BAD
from bundle_forge import Forge, add_line, change_line, change_run
from bundle_lab import export, take, tree
from whole_registry import Maker, rows_of

from rlvit.catalog import Catalog, build_catalog
from rlvit.cli.main import invoke
from rlvit.home import Home
from rlvit.manager import create_plugin_manager
from rlvit.runs.bundle.names import LIMITS, Refused

Known = tuple[Path, str, Home, Catalog]


@pytest.fixture(scope="module")
def known(
    bare_site: Path, toy_site: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str, Home, Catalog]]:
    """Return a bundle, the run in it, and a home that has another run."""
    folder = tmp_path_factory.mktemp("refusals")
    source, target = Home.locate(folder / "source"), Home.locate(folder / "target")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(toy_site)
        patch.syspath_prepend(bare_site)
        catalog = build_catalog(create_plugin_manager())
        run_id = Maker(catalog, source, patch).run("13:SIGTERM", tags={"of": "source"}).id
        Maker(catalog, target, patch).run(seed=5)
        export(source, folder / "good.rlvit")
        yield folder / "good.rlvit", run_id, target, catalog


@pytest.fixture(scope="module")
def before(known: Known) -> tuple[Any, dict[str, str]]:
    """Return the rows and the files of the home that must not change."""
    return rows_of(known[2].registry_url), tree(known[2].root)


@pytest.mark.parametrize("name", list(BAD))
def test_it_is_refused_and_nothing_changes(
    known: Known, before: tuple[Any, dict[str, str]], tmp_path: Path, name: str
) -> None:
    good, run_id, home, catalog = known
    make, text = BAD[name]
    bad = tmp_path / "bad.rlvit"
    make(good, bad, run_id)
    with pytest.raises(Refused) as refusal:
        take(catalog, home, bad)
    said = str(refusal.value)
    assert refusal.value.exit_code == 2
    assert said.startswith(f"{bad}: ")
    assert said.endswith(". Nothing of it was imported.")
    assert "\n" not in said
    assert text.replace("{id}", run_id[-8:]) in said
    assert (rows_of(home.registry_url), tree(home.root)) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.rlvit"]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (replace(LIMITS, members=3), "in a list of .* bytes: too many"),
        (replace(LIMITS, directory=100), "in a list of .* bytes: too many"),
        (replace(LIMITS, member=1000), "would unpack to .* bytes, more than a bundle may hold"),
        (replace(LIMITS, total=5000), "would unpack to .* bytes, more than a bundle may hold"),
        (replace(LIMITS, manifest=100), r"its manifest.json has [\d,]+ bytes"),
        (replace(LIMITS, document=100), r"run.json of .* has [\d,]+ bytes, more than 100"),
    ],
)
def test_the_limits_hold(
    known: Known, before: tuple[Any, dict[str, str]], limits: Any, text: str
) -> None:
    good, _, home, catalog = known
    with pytest.raises(Refused, match=text):
        take(catalog, home, good, limits)
    assert (rows_of(home.registry_url), tree(home.root)) == before


def test_what_is_no_file_is_refused(
    known: Known, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = known[2]
    os.mkfifo(tmp_path / "pipe")  # opening one would wait for ever
    for name, text in (("no", "No such file"), ("", "it is no file"), ("pipe", "it is no file")):
        assert invoke(["--home", str(home.root), "import", str(tmp_path / name)]) == 2
        assert text in capsys.readouterr().err


def test_another_run_of_the_same_id_is_refused(known: Known, tmp_path: Path) -> None:
    good, run_id, _, catalog = known
    home, other = Home.locate(tmp_path / "home"), tmp_path / "other.rlvit"
    take(catalog, home, good)
    rows, files = rows_of(home.registry_url), tree(home.root)
    changes: dict[str, Forge] = {
        "its created_at is": change_run(lambda run: run.update(created_at=1.0)),
        "its provenance has python": change_run(lambda run: run["provenance"].update(python="2.7")),
        "its metrics.jsonl is another one": change_line(
            "metrics", lambda row: row.update({"toy/weight": 77.0})
        ),
        "went on in two ways": change_run(lambda run: run["transitions"][1].update(at=1.0)),
    }
    for text, change in changes.items():
        change(good, other, run_id)
        with pytest.raises(Refused, match=text):
            take(catalog, home, other)
        assert rows_of(home.registry_url) == rows
        assert tree(home.root) == files


def test_lines_that_a_power_cut_damaged_are_told_and_carried(known: Known, tmp_path: Path) -> None:
    good, run_id, _, catalog = known
    other, home = tmp_path / "other.rlvit", Home.locate(tmp_path / "home")
    add_line(bytes(40))(good, other, run_id)
    done = take(catalog, home, other)
    assert done.new == [run_id]
    assert f"line 14 of metrics.jsonl of {run_id} is damaged and passed over" in done.remarks
