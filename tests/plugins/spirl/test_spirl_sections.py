"""What reports say about the patches that SPIRL keeps."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from rlvit.cli.main import invoke
from rlvit_spirl.sections import kept_patches


def counted(folder: Path, frames: list[int], cap: int) -> Path:
    """Write how many frames kept 0, 1, .. patches."""
    folder.mkdir()
    np.savez(folder / "kept.npz", frames=np.array(frames), cap=np.array(cap))
    return folder


def test_kept_patches_by_hand(section_maker: Any, tmp_path: Path) -> None:
    one = counted(tmp_path / "one", [0, 0, 6, 4], 3)  # mean 2.4, 40 % at the cap
    two = counted(tmp_path / "two", [0, 0, 2, 8], 3)  # mean 2.8, 80 %
    runs = [section_maker.trial(i, {}, {"kept": folder}) for i, folder in enumerate((one, two))]
    ours = section_maker.arm("spirl", "spirl", runs, epochs=50, frames=130, mae_batch_size=64)
    other = section_maker.arm("other", "other", [section_maker.trial(0, {}, {"kept": one})])
    content = kept_patches(section_maker.request(ours, other))
    assert content is not None
    (table,) = content.tables
    (row,) = table.rows
    label, count, frames, kept, cap, at_cap, iterations = row
    assert (label, count, frames, cap) == ("spirl", 2, "10", "3")
    assert kept.value == pytest.approx(2.6)
    assert at_cap.value == 60.0
    assert iterations == 100  # 50 epochs of two whole batches
    axes = Figure().add_subplot()
    content.figures[0].draw(axes)
    (line,) = axes.get_lines()
    assert line.get_xdata().tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]
    assert line.get_ydata().tolist() == [0, 0, 40, 60, 0]  # % of the 20 frames


def test_runs_that_counted_nothing_give_no_section(section_maker: Any, tmp_path: Path) -> None:
    gone = section_maker.trial(0, {}, {"kept": tmp_path / "gone"})
    request = section_maker.request(section_maker.arm("spirl", "spirl", [gone]))
    assert kept_patches(request) is None


def test_a_real_run_counts_every_frame(unbroken: Any, tmp_path: Path) -> None:
    home = shutil.copytree(unbroken.home, tmp_path / "home")
    with np.load(home / "runs" / unbroken.id / "artifacts" / "kept" / "kept.npz") as found:
        frames, cap = found["frames"], int(found["cap"])
    results = json.loads((home / "runs" / unbroken.id / "run.json").read_text())["results"]
    kept = next(one["value"] for one in results if one["metric"] == "select/kept")
    assert kept == frames @ np.arange(len(frames)) / frames.sum()
    assert cap == 14  # a tenth of 144 patches
    assert not frames[cap + 1 :].any()
    report = ["report", "--home", str(home), "--out", str(tmp_path / "out"), "--format", "csv"]
    assert invoke(report) == 0
    (path,) = (tmp_path / "out" / "tables").glob("*patches-kept-by-spirl*.csv")
    (row,) = csv.DictReader(path.open())
    assert row["cap"] == "14"
    assert row["frames_a_run"] == f"{frames.sum():,}"
    assert row["iterations_of_the_autoencoder"] == "8"
