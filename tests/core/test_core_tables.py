"""What tables print: nothing is cut off, and what people copy stays in one piece."""

from __future__ import annotations

import pytest

from rlvit.cli.tables import show


def columns(text: str, names: list[str]) -> dict[str, list[str]]:
    """Return the lines of each column's cells below the head, left-aligned columns only."""
    lines = text.splitlines()
    head = next(line for line in lines if names[0] in line)
    starts = [head.index(name) for name in names] + [None]
    below = lines[lines.index(head) + 2 :]
    return {
        name: [part for line in below if (part := line[starts[i] : starts[i + 1]].strip())]
        for i, name in enumerate(names)
    }


def test_a_wide_table_is_narrowed_where_it_may_be_and_loses_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {
        "run": "a-method-of-a-long-name-on-a-game-s0-0123abcd",
        "parts": "first-part second-part third-part fourth-part",
        "protocol": "a-protocol-with-a-name",
        "result": "eval/return 123.4 (n=50)",
        "started": "2026-01-02 03:04:05Z",
        "tags": "experiment=one-that-goes-on-and-on group=another-0123abcd",
    }
    assert sum(map(len, row.values())) > 160
    show([row], "table")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 160
    found = columns(out, list(row))
    assert found["run"] == [row["run"]]
    for name, cell in row.items():
        assert "".join(found[name]).replace(" ", "") == cell.replace(" ", "")
