"""What `rlvit doctor` says of games and datasets."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from rlvit_tasks.doctor import CIFAR10, MNIST, datasets, look


def told(root: Path) -> list[tuple[str, str]]:
    return [(one.about, one.state) for one in look(root)]


def fill(folder: Path, names: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")


def test_a_data_root_that_is_not_there_is_noted(tmp_path: Path) -> None:
    assert told(tmp_path / "none") == [("games", "ok"), ("datasets", "note")]


def test_whole_datasets_are_named(tmp_path: Path) -> None:
    fill(tmp_path / "MNIST" / "raw", (*MNIST[:2], f"{MNIST[2]}.gz", MNIST[3]))
    fill(tmp_path / "cifar-10-batches-py", CIFAR10)
    for part in ("train", "val"):
        (tmp_path / "imagenette2-160" / part).mkdir(parents=True)
        (tmp_path / part).mkdir()
    assert datasets(tmp_path) == (["mnist", "cifar10", "imagenette", "imagefolder"], [])


@pytest.mark.parametrize(
    ("folder", "names", "text"),
    [
        ("MNIST/raw", MNIST[:3], "mnist is half there: 3 of 4 files"),
        ("cifar-10-batches-bin", ("test_batch.bin",), "cifar10 is half there: 1 of 6 files"),
        ("imagenet/train/n01", (), "imagenet is half there: 1 of 2 folders (train, val)"),
        ("cifar-10-batches-py", (), "cifar10 is half there: 0 of 6 files"),
    ],
)
def test_half_a_dataset_is_told(
    folder: str, names: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    fill(tmp_path / folder, names)
    found, (half,) = datasets(tmp_path)
    assert found == []
    assert half.state == "note"
    assert half.text.startswith(text)


def test_an_empty_file_is_not_there(tmp_path: Path) -> None:
    fill(tmp_path / "MNIST" / "raw", MNIST)
    (tmp_path / "MNIST" / "raw" / MNIST[0]).write_bytes(b"")
    assert datasets(tmp_path)[0] == []


def test_stopped_downloads_are_removed_and_those_under_way_stay(tmp_path: Path) -> None:
    fill(tmp_path, (".part-old", ".part-young", ".gitignore"))
    (tmp_path / ".unpack-x" / "deep").mkdir(parents=True)
    for name in (".part-old", ".unpack-x", ".gitignore"):
        os.utime(tmp_path / name, (time.time() - 4000,) * 2)
    left = [one for one in look(tmp_path) if one.mend is not None]
    assert [one.text for one in left] == ["2 downloads were stopped halfway, 0 MiB"]
    assert left[0].mend is not None
    assert left[0].mend() == "removed what 2 stopped downloads left"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", ".part-young"]
    assert told(tmp_path) == [("games", "ok"), ("datasets", "ok")]


def test_a_lost_emulator_or_rom_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ale_py import roms

    known = roms.get_all_rom_ids()
    with monkeypatch.context() as patch:
        patch.setattr(roms, "get_all_rom_ids", lambda: [name for name in known if name != "pong"])
        (games, _) = look(tmp_path / "none")
        assert games.state == "problem"
        assert games.text == "ale-py lacks the ROMs of 1 games: Pong"
    monkeypatch.setitem(sys.modules, "ale_py", None)
    assert told(tmp_path / "none")[0] == ("games", "problem")
