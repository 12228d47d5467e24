"""What the tests of the core share: a home, and a small real plugin installed beside rlvit."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent / "support"
sys.path.append(str(SUPPORT))

from toy_program import Program, add_distribution  # noqa: E402

from rlvit.catalog import Catalog, build_catalog  # noqa: E402
from rlvit.home import Home  # noqa: E402
from rlvit.manager import create_plugin_manager  # noqa: E402


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's home out of the tests."""
    for name in ("RLVIT_HOME", "RLVIT_REGISTRY", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def bare_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that, first in the path, hides rlvit's built-in plugins."""
    site = tmp_path_factory.mktemp("bare")
    add_distribution(site, "rlvit", {}, importlib.metadata.version("rlvit"))
    return site


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the toy plugin is installed."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(
        SUPPORT / "rlvit_toy", site / "rlvit_toy", ignore=shutil.ignore_patterns("__pycache__")
    )
    add_distribution(site, "rlvit-toy", {"toy": "rlvit_toy.plugin"})
    return site


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home that does not exist yet."""
    return Home.locate(tmp_path / "home")


@pytest.fixture
def program(tmp_path: Path, bare_site: Path, toy_site: Path) -> Program:
    """Return the `rlvit` program with the toy plugin alone, each command a process."""
    return Program(tmp_path, [bare_site, toy_site])


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory, bare_site: Path, toy_site: Path) -> Path:
    """Return a home with real runs of every kind, to be copied and damaged."""
    import kept_home

    folder = tmp_path_factory.mktemp("kept")
    kept_home.make(Program(folder, [bare_site, toy_site]))
    return folder / "home"


@pytest.fixture
def toy_alone(monkeypatch: pytest.MonkeyPatch, bare_site: Path, toy_site: Path) -> None:
    """Let this process see the toy plugin alone."""
    monkeypatch.syspath_prepend(toy_site)
    monkeypatch.syspath_prepend(bare_site)


@pytest.fixture
def toy(toy_alone: None) -> Catalog:
    """Return the catalogue of the toy plugin alone."""
    return build_catalog(create_plugin_manager())


@pytest.fixture(scope="session")
def origin(
    tmp_path_factory: pytest.TempPathFactory, bare_site: Path, toy_site: Path
) -> tuple[Home, dict[str, Path], dict[str, str]]:
    """Return a home, bundles of its runs by name, and the runs' ids by name."""
    import bundle_lab

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(toy_site)
        patch.syspath_prepend(bare_site)
        catalog = build_catalog(create_plugin_manager())
        return bundle_lab.make_origin(catalog, tmp_path_factory.mktemp("origin"))
