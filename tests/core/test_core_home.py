"""Where registry.db and runs/ are, and what is said when they cannot be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.registry.database import open_database


def test_the_home_is_chosen_by_option_then_variable_then_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.locate().root == tmp_path
    monkeypatch.setenv("RLVIT_HOME", str(tmp_path / "variable"))
    assert Home.locate().root == tmp_path / "variable"
    assert Home.locate("option").root == tmp_path / "option"
    assert Home.locate(tmp_path / "other").root == tmp_path / "other"
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert Home.locate("~/x").root == tmp_path / "user" / "x"
    assert not list(tmp_path.iterdir())


def test_the_registry_is_chosen_by_option_then_variable_then_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.locate("h").registry_url == f"sqlite:///{tmp_path / 'h' / 'registry.db'}"
    monkeypatch.setenv("RLVIT_REGISTRY", "postgresql://host/team")
    assert Home.locate("h").registry_url == "postgresql://host/team"
    assert Home.locate("h", "x.db").registry_url == f"sqlite:///{tmp_path / 'x.db'}"
    assert Home.locate("h", "sqlite:////a/b.db").registry_url == "sqlite:////a/b.db"


def test_the_folders_are_made_when_they_are_needed(tmp_path: Path) -> None:
    home = Home.locate(tmp_path / "deep" / "home")
    assert not (tmp_path / "deep").exists()
    home.create()
    home.create()
    assert all(folder.is_dir() for folder in (home.runs, home.shared, home.locks))


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageProblem, match=r"--home .*file: a folder was expected"):
        Home.locate(tmp_path / "file")


@pytest.mark.parametrize("where", ["file/home", "/proc/none", "/dev/null/home"])
def test_a_home_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageProblem, match=r"cannot be written.*--home") as caught:
        Home.locate(tmp_path / where).create()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "nonsense://host/team",
        "sqlite+nothing:///x.db",
        "postgresql+nothing://host/team",
        "postgresql://host:port/team",
        "://",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://host/team",
    ],
)
def test_a_bad_url_of_a_registry_is_refused_in_one_line(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RlvitError) as caught:
        open_database(url)
    assert "\n" not in str(caught.value)
    assert url.partition("://")[0] in str(caught.value)


@pytest.mark.parametrize("where", ["file/registry.db", "/proc/none/registry.db", "folder"])
def test_a_registry_that_cannot_be_there_is_refused_in_one_line(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(RlvitError) as caught:
        open_database(f"sqlite:///{tmp_path / where}")
    assert "\n" not in str(caught.value)
    assert where in str(caught.value)
