"""What reports say about looking, and which pictures they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlvit_glimpse.sections import WAYS, looking


def test_ways_to_look_and_pictures(section_maker: Any, tmp_path: Path) -> None:
    for name in ("gaze.png", "accuracy.png", "curves.png", "episode.gif"):
        (tmp_path / name).write_bytes(b"picture")
    first = {"look/greedy": 70.0, "look/greedy_glimpses": 4.0, "look/central": 40.0}
    second = {"look/greedy": 74.0, "look/greedy_glimpses": 5.0, "look/central": 42.0}
    runs = [
        section_maker.trial(0, first, {"figures": tmp_path}),
        section_maker.trial(1, second, {"figures": tmp_path / "gone"}),
    ]
    other = section_maker.arm("other", "other", runs)
    content = looking(section_maker.request(section_maker.arm("ours", "glimpse", runs), other))
    assert content is not None
    (table,) = content.tables
    greedy, central = table.rows
    assert (greedy[0], greedy[1], greedy[2].value, greedy[3].value) == (
        "ours", WAYS["greedy"], 72.0, 4.5,
    )  # fmt: skip
    assert (central[1], central[2].value, central[3]) == (WAYS["central"], 41.0, None)
    assert [one.path.name for one in content.figures] == ["accuracy.png", "gaze.png", "episode.gif"]
    assert all("run-s0" in one.caption for one in content.figures)


def test_nothing_measured_no_section(section_maker: Any) -> None:
    bare = section_maker.arm("ours", "glimpse", [section_maker.trial(0, {"eval/top1": 1.0})])
    assert looking(section_maker.request(bare)) is None
