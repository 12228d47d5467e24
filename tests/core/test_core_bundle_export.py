"""What goes into a bundle, and what keeps it from being written."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest
from bundle_lab import Origin, export, members, take

from rlvit.catalog import Catalog
from rlvit.errors import UsageProblem
from rlvit.home import Home
from rlvit.runs.bundle.names import LIMITS


def test_the_same_runs_give_the_same_bytes_but_the_date(origin: Origin, tmp_path: Path) -> None:
    source, bundles, runs = origin
    again, moved = tmp_path / "again.rlvit", tmp_path / "moved.rlvit"
    export(source, again, runs["second"], runs["first"])
    shutil.copytree(source.root, tmp_path / "copy")
    export(Home.locate(tmp_path / "copy"), moved, runs["first"], runs["second"])
    known = members(bundles["two"])
    for path in (again, moved):
        found = members(path)
        assert list(found) == list(known)
        dates = [json.loads(one.pop("manifest.json")) for one in (found, dict(known))]
        assert found == {k: v for k, v in known.items() if k != "manifest.json"}
        assert dates[0] | {"created": 0} == dates[1] | {"created": 0}
    with zipfile.ZipFile(again) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_equal_large_files_are_there_once(origin: Origin, toy: Catalog, tmp_path: Path) -> None:
    source, _, runs = origin
    shutil.copytree(source.root, tmp_path / "home")
    home, target = Home.locate(tmp_path / "home"), tmp_path / "new.rlvit"
    same, other = ("".join(f"{n:08x}" for n in range(start, start + 9000)) for start in (0, 1))
    texts = {runs["first"]: (same, "small"), runs["second"]: (same, "small")}
    texts[runs["third"]] = (other, "small")  # of the same size
    for run_id, (large, small) in texts.items():
        (home.runs / run_id / "large.txt").write_text(large)
        (home.runs / run_id / "small.txt").write_text(small)
    done = export(home, target)
    found = members(target)
    kept = [name for name in found if name.endswith("large.txt")]
    assert len(kept) == 2
    assert len([name for name in found if name.endswith("small.txt")]) == 3
    assert done.unpacked > sum(map(len, found.values())) - len(found["manifest.json"])
    first, second = sorted((runs["first"], runs["second"]))
    said = {one["name"]: one for one in json.loads(found["manifest.json"])["members"]}
    assert said[f"runs/{second}/large.txt"]["same_as"] == f"runs/{first}/large.txt"
    assert said[f"runs/{first}/large.txt"]["same_as"] is None

    there = Home.locate(tmp_path / "there")
    take(toy, there, target)
    for run_id, (large, small) in texts.items():
        assert (there.runs / run_id / "large.txt").read_text() == large
        assert (there.runs / run_id / "small.txt").read_text() == small
    export(there, tmp_path / "again.rlvit")
    again = members(tmp_path / "again.rlvit")
    assert {k: v for k, v in again.items() if k != "manifest.json"} == {
        k: v for k, v in found.items() if k != "manifest.json"
    }


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("metrics.jsonl", "metrics.jsonl is missing"),
        ("results.jsonl", "results.jsonl is missing"),
        ("artifacts/table/table.json", "artifacts/table is damaged or lacks files"),
    ],
)
def test_a_run_that_lacks_files_is_not_exported(
    origin: Origin, tmp_path: Path, path: str, what: str
) -> None:
    source, _, runs = origin
    shutil.copytree(source.root, tmp_path / "home")
    home, target = Home.locate(tmp_path / "home"), tmp_path / "new.rlvit"
    (home.runs / runs["first"] / path).unlink()
    with pytest.raises(UsageProblem, match=what) as refusal:
        export(home, target)
    assert runs["first"] in str(refusal.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home"]


def test_a_cut_stream_and_a_lost_shared_artifact_are_told(origin: Origin, tmp_path: Path) -> None:
    source, _, runs = origin
    shutil.copytree(source.root, tmp_path / "home")
    home = Home.locate(tmp_path / "home")
    stream = home.runs / runs["first"] / "metrics.jsonl"
    stream.write_bytes(b"".join(stream.read_bytes().splitlines(keepends=True)[:5]))
    with pytest.raises(UsageProblem, match=r"metrics.jsonl has 5 lines, the registry knows 24"):
        export(home, tmp_path / "new.rlvit", runs["first"])
    with sqlite3.connect(home.root / "registry.db") as database:  # nor is it where it was made
        database.execute("UPDATE artifact SET path = replace(path, '/runs/', '/no/runs/')")
    shutil.rmtree(home.shared)
    shutil.rmtree(home.runs / runs["second"] / "artifacts" / "table")
    with pytest.raises(UsageProblem, match=r"the shared artifact table-.* is missing"):
        export(home, tmp_path / "new.rlvit", runs["second"])


def test_a_running_run_is_not_exported(origin: Origin, tmp_path: Path) -> None:
    source, _, runs = origin
    shutil.copytree(source.root, tmp_path / "home")
    home = Home.locate(tmp_path / "home")
    with sqlite3.connect(home.root / "registry.db") as database:
        database.execute("UPDATE run SET state = 'running' WHERE id = ?", (runs["first"],))
    with pytest.raises(UsageProblem, match=f"run {runs['first']} is running: stop it first"):
        export(home, tmp_path / "new.rlvit", runs["first"])


def test_a_full_disk_leaves_nothing(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _, runs = origin

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        export(source, tmp_path / "new.rlvit", runs["first"])
    assert list(tmp_path.iterdir()) == []


def test_a_replay_stays_behind_unless_it_is_asked_for(
    toy: Catalog, origin: Origin, home: Home, tmp_path: Path
) -> None:
    _, bundles, runs = origin
    third = runs["third"]
    take(toy, home, bundles["early"])
    replay = home.runs / third / "replay"
    replay.mkdir()
    (replay / "observations.f32").write_bytes(bytes(4000))
    (replay / "frames.u8").write_bytes(bytes(96))
    left = export(home, tmp_path / "left.rlvit", third)
    assert left.left_out["replay"] == 4096
    assert left.left_out["checkpoints that need the replay"] > 0
    assert "without its replay a resume begins from the start" in left.remarks[0]
    assert not [n for n in members(left.path) if "/replay/" in n or "/checkpoint/" in n]
    whole = export(home, tmp_path / "whole.rlvit", third, replay=True)
    assert (whole.left_out, whole.remarks) == ({}, [])
    other = Home.locate(tmp_path / "other")
    take(toy, other, left.path)
    assert take(toy, other, whole.path).completed == [third]
    assert (other.runs / third / "replay" / "observations.f32").read_bytes() == bytes(4000)
    assert (other.runs / third / "replay" / "frames.u8").read_bytes() == bytes(96)


@pytest.mark.parametrize("suffix", [".f32", ".u8"])
def test_a_replay_that_is_hardly_filled_is_taken_back(
    suffix: str, toy: Catalog, origin: Origin, home: Home, tmp_path: Path
) -> None:
    _, bundles, runs = origin
    third, size = runs["third"], LIMITS.small + 4096
    take(toy, home, bundles["early"])
    (home.runs / third / "replay").mkdir()
    with open(home.runs / third / "replay" / f"observations{suffix}", "wb") as file:
        file.write(b"\x01\x02\x03")
        file.truncate(size)
    done = export(home, tmp_path / "whole.rlvit", third, replay=True)
    other = Home.locate(tmp_path / "other")
    take(toy, other, done.path)
    found = (other.runs / third / "replay" / f"observations{suffix}").read_bytes()
    assert found == b"\x01\x02\x03" + bytes(size - 3)


def test_shared_artifacts_can_be_left_out(
    toy: Catalog, origin: Origin, home: Home, tmp_path: Path
) -> None:
    source, _, runs = origin
    done = export(source, tmp_path / "thin.rlvit", runs["first"], shared=False)
    assert done.left_out["shared artifacts"] > 0
    take(toy, home, done.path)
    assert list(home.shared.iterdir()) == []
    assert (home.runs / runs["first"] / "artifacts" / "table" / "table.json").exists()


def test_without_weights_a_resume_begins_from_the_start(
    toy: Catalog, origin: Origin, home: Home, tmp_path: Path
) -> None:
    _, bundles, runs = origin
    take(toy, home, bundles["early"])
    done = export(home, tmp_path / "light.rlvit", runs["third"], weights=False)
    assert done.left_out["weights"] > 0
    assert "without its weights a resume begins from the start" in done.remarks[0]
    assert not [name for name in members(done.path) if "/checkpoint/" in name]
    assert [name for name in members(done.path) if "/artifacts/table/" in name]  # no network
    assert take(toy, Home.locate(tmp_path / "other"), done.path).light == [runs["third"]]


def test_files_that_bundles_do_not_carry_are_told(origin: Origin, tmp_path: Path) -> None:
    source, _, runs = origin
    shutil.copytree(source.root, tmp_path / "home")
    home = Home.locate(tmp_path / "home")
    (home.runs / runs["first"] / "mine.pickle").write_bytes(b"\x80\x04K\x01.")
    done = export(home, tmp_path / "new.rlvit", runs["first"])
    assert done.left_out == {"files of kinds that bundles do not carry": 5}
    (home.runs / runs["first"] / "artifacts" / "table" / "more.bin").write_bytes(b"1")
    with pytest.raises(UsageProblem, match="artifacts/table is damaged"):
        export(home, tmp_path / "other.rlvit", runs["first"])
