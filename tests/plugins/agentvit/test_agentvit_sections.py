"""What reports say about AgentViT's network under other masks."""

from __future__ import annotations

from typing import Any

import pytest

from rlvit_agentvit.sections import MASKS, masks


def test_masks_and_their_gain_over_random_ones(section_maker: Any) -> None:
    runs = [
        section_maker.trial(seed, {
            "masks/all": 80.0 + seed, "masks/random": 60.0 + 4 * seed, "masks/random_kept": 32.0,
            "masks/agent_image": 70.0 + 2 * seed, "masks/agent_image_kept": 31.5 + seed,
        })
        for seed in (0, 1)
    ]  # fmt: skip
    other = section_maker.arm("other", "other", runs)
    content = masks(section_maker.request(section_maker.arm("ours", "agentvit", runs), other))
    assert content is not None
    (table,) = content.tables
    rows = {row[1]: row for row in table.rows}
    assert {row[0] for row in table.rows} == {"ours"}
    assert set(rows) == {MASKS["all"], MASKS["random"], MASKS["agent_image"]}
    _, _, kept, accuracy, gain = rows[MASKS["agent_image"]]
    assert (kept.value, accuracy.value) == (32.0, 71.0)
    assert gain.value == 9.0  # 10 in the first run and 8 in the second, paired
    assert gain.low == pytest.approx(
        9 - 12.7062, abs=1e-3
    )  # Student's t with one degree: s = sqrt 2
    assert rows[MASKS["all"]][2] is None
    assert rows[MASKS["random"]][4] is None


def test_no_masks_no_section(section_maker: Any) -> None:
    bare = section_maker.arm("ours", "agentvit", [section_maker.trial(0, {"eval/top1": 1.0})])
    assert masks(section_maker.request(bare)) is None
