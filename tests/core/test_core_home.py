"""Where registry.db and runs/ are, and what is said when they cannot be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvit.errors import RlvitError, UsageProblem
from rlvit.home import Home
from rlvit.registry.database import open_database

ODD = ["a?b", "a%20b", "a%b", "a#b", "a b", "grün ☃", "a+b&c=d;e@f:g"]


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


@pytest.mark.parametrize("name", ODD)
def test_a_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    """Nothing in it is read as part of a URL: each home has its own registry."""
    home = Home.locate(tmp_path / name)
    with pytest.raises(UsageProblem, match="there is no registry") as caught:
        home.require_registry()
    assert str(tmp_path / name / "registry.db") in str(caught.value)
    home.create()
    open_database(home.registry_url).dispose()
    home.require_registry()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "registry.db").stat().st_size > 0
    for other in {"a", "a b"} - {name}:
        with pytest.raises(UsageProblem, match="there is no registry"):
            Home.locate(tmp_path / other).require_registry()


@pytest.mark.parametrize("name", ODD)
def test_the_file_of_a_registry_may_have_any_name(name: str, tmp_path: Path) -> None:
    home = Home.locate(tmp_path / "home", str(tmp_path / f"{name}.db"))
    open_database(home.registry_url).dispose()
    home.require_registry()
    assert (tmp_path / f"{name}.db").exists()
    assert Home.locate(None, tmp_path / f"{name}.db").registry_url == home.registry_url


def test_a_url_with_options_means_its_file(tmp_path: Path) -> None:
    home = Home.locate(tmp_path, f"sqlite:///{tmp_path}/a%20b.db?timeout=5")
    with pytest.raises(UsageProblem, match=r"there is no registry at .*/a b\.db yet"):
        home.require_registry()
    open_database(home.registry_url).dispose()
    home.require_registry()
    assert (tmp_path / "a b.db").exists()


@pytest.mark.parametrize("wanted", [5, b"x", "a\0b", "~nobody-of-this-name/x"])
def test_what_is_no_path_is_refused(wanted: object) -> None:
    with pytest.raises(UsageProblem, match="home"):
        Home.locate(wanted)  # type: ignore[arg-type]
    with pytest.raises(UsageProblem, match="registry"):
        Home.locate(None, wanted)  # type: ignore[arg-type]
