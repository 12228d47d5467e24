"""Artifacts are built once, found again, and never half there."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from toy_program import Program, in_processes
from toy_writers import build_artifact, get_artifact

from rlvit.home import Home
from rlvit.registry import queries
from rlvit.registry.database import open_database
from rlvit.runs.artifacts import copy_artifact, hash_files, own_copy, read_artifact

INPUTS = {"frames": 3, "name": "Alpha"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a home that exists."""
    Home.locate(tmp_path / "home").create()
    return tmp_path / "home"


def _builds(root: Path) -> list[str]:
    path = root / "builds"
    return path.read_text().split() if path.exists() else []


def _said(root: Path) -> list[str]:
    path = root / "said"
    return path.read_text().splitlines() if path.exists() else []


def test_an_artifact_is_built_once_and_found_again(root: Path) -> None:
    first = get_artifact(root, "one", INPUTS)
    again = get_artifact(root, "two", dict(reversed(INPUTS.items())))
    other = get_artifact(root, "three", INPUTS | {"frames": 4})
    assert _builds(root) == ["one", "three"]
    assert first == again
    assert first.made_by == "one"
    assert first.inputs == INPUTS
    assert first.size == len("data") + len("more")
    assert first.sha256 == other.sha256
    assert first.key != other.key
    assert _said(root) == []
    assert not [path for path in (root / "runs" / "shared").iterdir() if path.name[0] == "."]


def test_of_several_processes_one_builds(root: Path) -> None:
    start = time.time() + 0.3
    given = [(root, f"run{i}", start, INPUTS, 0.8, False) for i in range(4)]
    assert in_processes(build_artifact, given) == [0] * 4
    assert len(_builds(root)) == 1
    waited = [line for line in _said(root) if "waiting for another run" in line]
    assert len(waited) == 3


def test_a_builder_that_dies_leaves_nothing_half_there(root: Path) -> None:
    dies = (root, "dies", 0.0, INPUTS, 0.0, True)
    assert in_processes(build_artifact, [dies]) == [-signal.SIGKILL]
    shared = root / "runs" / "shared"
    assert not [path for path in shared.iterdir() if not path.name.startswith(".")]
    found = get_artifact(root, "lives", INPUTS)
    assert found.made_by == "lives"
    assert found.sha256 == hash_files(found.folder)
    assert [path.name for path in shared.iterdir()] == [found.folder.name]


def test_a_builder_that_fails_leaves_nothing_half_there(root: Path) -> None:
    from rlvit.runs.artifacts import ArtifactShelf

    def build(folder: Path) -> None:
        (folder / "data.txt").write_text("half")
        raise ValueError("no luck")

    def get(build: Any) -> Any:
        shelf = ArtifactShelf(Home.locate(root))
        return shelf.get(
            "thing", INPUTS, build, run_id="r", say=pytest.fail, check_stop=lambda: None
        )

    with pytest.raises(ValueError, match="no luck"):
        get(build)
    found = get(lambda folder: (folder / "data.txt").write_text("whole"))
    assert (found.folder / "data.txt").read_text() == "whole"


def test_waiting_for_a_builder_can_be_stopped(root: Path) -> None:
    from filelock import FileLock

    from rlvit.runs.artifacts import ArtifactShelf
    from rlvit.specs import digest

    said: list[str] = []

    def stop() -> None:
        raise InterruptedError

    key = digest({"kind": "thing", **INPUTS})
    with FileLock(root / "runs" / ".locks" / f"thing-{key[:16]}.lock"):
        shelf = ArtifactShelf(Home.locate(root))
        with pytest.raises(InterruptedError):
            shelf.get("thing", INPUTS, pytest.fail, run_id="r", say=said.append, check_stop=stop)
    assert said == ["waiting for another run that is building the same thing"]


def _change(folder: Path) -> None:
    (folder / "data.txt").write_text("tada")


def _lose(folder: Path) -> None:
    (folder / "more.txt").unlink()


def _add(folder: Path) -> None:
    (folder / "extra.txt").touch()


def _forget(folder: Path) -> None:
    (folder / "artifact.json").unlink()


def _tear(folder: Path) -> None:
    path = folder / "artifact.json"
    path.write_text(path.read_text()[:-20])


def _empty(folder: Path) -> None:
    (folder / "artifact.json").write_text("{}")


def _list(folder: Path) -> None:
    (folder / "artifact.json").write_text("[]")


def _other_key(folder: Path) -> None:
    path = folder / "artifact.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"key": "0" * 64}))


@pytest.mark.parametrize(
    "damage", [_change, _lose, _add, _forget, _tear, _empty, _list, _other_key]
)
def test_a_damaged_artifact_is_set_aside_and_built_again(root: Path, damage: Any) -> None:
    folder = get_artifact(root, "one", INPUTS).folder
    damage(folder)
    found = get_artifact(root, "two", INPUTS)
    assert found.folder == folder
    assert found.made_by == "two"
    assert _builds(root) == ["one", "two"]
    assert found.sha256 == hash_files(folder)
    (aside,) = folder.parent.glob("*damaged*")
    (said,) = _said(root)
    assert "is damaged" in said
    assert aside.name in said
    assert get_artifact(root, "three", INPUTS) == found


def test_damage_twice_in_a_moment_is_repaired_twice(root: Path) -> None:
    folder = get_artifact(root, "one", INPUTS).folder
    now = int(time.time())
    for second in range(now, now + 30):  # as if it had been damaged before in each second
        shutil.copytree(folder, folder.with_name(f"{folder.name}.damaged-{second}"))
    _change(folder)
    found = get_artifact(root, "two", INPUTS)
    assert found.made_by == "two"


def test_a_copy_belongs_to_the_run(root: Path, tmp_path: Path) -> None:
    found = get_artifact(root, "one", INPUTS)
    own = tmp_path / "own"
    own.mkdir()
    assert own_copy(own / "thing") is None
    copy_artifact(found, own)
    shutil.rmtree(found.folder)
    copied = own_copy(own / "thing")
    assert copied is not None
    assert (copied.key, copied.sha256, copied.made_by) == (found.key, found.sha256, "one")
    assert read_artifact(own / "thing") == copied
    _change(own / "thing")
    assert own_copy(own / "thing") is None


def _artifacts(program: Program) -> list[Any]:
    engine = open_database(f"sqlite:///{program.home / 'registry.db'}")
    try:
        return queries.artifacts(engine, queries.find_run(engine, "latest").id)
    finally:
        engine.dispose()


def test_a_resumed_run_goes_on_with_its_own_copy(program: Program) -> None:
    builds = program.folder / "builds"
    assert program.run(TOY_AT="13:SIGTERM", TOY_BUILDS=str(builds)).code == 130
    (before,) = _artifacts(program)
    for path in (program.home / "runs" / "shared").iterdir():
        shutil.rmtree(path)
    assert program("resume", "latest", TOY_BUILDS=str(builds)).code == 0
    assert builds.read_text().split() == ["built"]
    (after,) = _artifacts(program)
    assert (after.key, after.sha256, after.role) == (before.key, before.sha256, "made")


def test_a_resume_does_not_take_the_shared_artifact_from_others(program: Program) -> None:
    """The registry's path must not point into one run's folder, which may be deleted."""
    assert program.run(TOY_AT="13:SIGTERM").code == 130
    (before,) = _artifacts(program)
    assert program("resume", "latest").code == 0
    (after,) = _artifacts(program)
    assert after.path == before.path


def test_a_damaged_own_copy_is_replaced(program: Program) -> None:
    assert program.run(TOY_AT="13:SIGTERM").code == 130
    (own,) = program.home.glob("runs/toy-*/artifacts/table")
    (own / "table.json").write_text('{"scale": 99}')
    done = program("resume", "latest")
    assert done.code == 0, done.err
    assert json.loads((own / "table.json").read_text()) == {"scale": 0.5}
