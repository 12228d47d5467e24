"""The page of a report: self-contained, in the order of reading, and safe against any name."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from evidence_maker import arm, evidence, game_arm, trial

from rlvit.report import page, stats
from rlvit.report.canvas import Picture
from rlvit.report.cells import Table
from rlvit.report.model import Evidence, Reference
from rlvit.report.sections import Extra
from rlvit.report.summary import compared, listed, summary, warnings
from rlvit.report.tables import tables
from rlvit.sections import ReportSection

FRAME = page.Frame(
    title="rlvit report",
    scope=(),
    command="rlvit report --task 'Ms. Pac-Man'",
    check="rlvit report --check",
    versions="rlvit 0",
)
VECTOR = """<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="331pt" height="90pt" viewBox="0 0 331 90"
 xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata>made by somebody</metadata>
 <defs><path id="m1" style="stroke: #24292f"/></defs>
 <g clip-path="url(#c1)"><use xlink:href="#m1" style="fill: #ffffff; stroke: #0072b2"/></g>
</svg>
"""
VOID = {"meta", "img", "br", "link", "path", "use"}


class Balance(HTMLParser):
    """Checks that tags are closed in the order in which they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture
def found() -> Evidence:
    """Return two arms on a game, one of them with a single run, and a number from a paper."""
    reference = Reference(
        "Paper", "Pong", "full", "eval/return", 30.0, None, 5, "Table 1", "x", "secondary"
    )
    return evidence(
        [game_arm("fast", "Pong", [10, 20, 30]), game_arm("slow", "Pong", [5])],
        [reference],
        unfinished={"failed": 2, "running": 0},
    )


def picture(tmp_path: Path, name: str = "one", kind: str = "intervals") -> Picture:
    vector, bitmap = tmp_path / f"{name}.svg", tmp_path / f"{name}.png"
    vector.write_text(VECTOR)
    bitmap.write_bytes(b"\x89PNG")
    files = (bitmap,) if kind == "gallery" else (vector, bitmap)
    return Picture(kind, "Pong", "full", "A <title>", "What it shows.", files)  # type: ignore[arg-type]


def text_of(found: Evidence, *pictures: Picture) -> str:
    return page.html(FRAME, found, tables(found), pictures)


def test_the_page_needs_no_other_file(found: Evidence, tmp_path: Path) -> None:
    text = text_of(found, picture(tmp_path), picture(tmp_path, "masks", "gallery"))
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", text)
    assert links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert "@import" not in text
    assert "<script" not in text
    assert "http" not in re.sub(r'xmlns:xlink="[^"]+"', "", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert 'name="viewport"' in text


def test_the_page_is_well_formed_and_in_order(found: Evidence, tmp_path: Path) -> None:
    balance = Balance(text_of(found, picture(tmp_path)))
    assert balance.open == []
    assert balance.seen.count("h1") == 1
    assert balance.seen.count("table") == 4  # comparison, budget, provenance, unfinished
    text = text_of(found, picture(tmp_path))
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == [
        "Summary",
        "Pong, full",
        "What it cost",
        "Where the numbers come from",
        "To make this report again",
    ]
    for anchor in re.findall(r'<a href="#([^"]+)"', text):
        assert text.count(f'id="{anchor}"') == 1


def test_names_of_arms_do_not_break_at_dashes() -> None:
    label = "glimpse quick variant=hybrid-vit"
    text = text_of(evidence([game_arm(label, "Pong", [1, 2])]))
    assert 'class="text">glimpse quick <span class="word">variant=hybrid-vit</span></th>' in text


def test_all_tables_are_in_the_order_of_the_page(found: Evidence) -> None:
    section = ReportSection("own", "Own", "Of a plugin.", lambda request: None)
    own = Table("section", "own", "Own table", "", (), (), task="Pong", protocol="full")
    every = tables(found)
    ordered = page.in_order(found, every, [Extra(section, "mine", "Pong", "full", tables=(own,))])
    assert [table.kind for table in ordered[:3]] == ["comparison", "section", "budget"]
    assert {table.slug for table in ordered} == {table.slug for table in [*every, own]}


def test_every_number_has_its_interval_its_n_and_its_source(found: Evidence) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text_of(found)))
    assert "20 [\N{MINUS SIGN}5, 45]" in text  # 20 +- 4.303 * 10 / sqrt(3), by Student's t
    assert "n=1" in text
    assert "Table 1" in text
    assert "fast-Pong-0, fast-Pong-1, fast-Pong-2" in text
    assert "01234567" in text  # the commit
    assert "rlvit report --task" in text


def test_nothing_that_a_user_wrote_becomes_markup() -> None:
    evil = "<script>alert(1)</script>\"'&"
    runs = [trial(seed, {"eval/return": 1.0 + seed}, "x", note=evil) for seed in range(2)]
    found = evidence([arm(evil, runs, task=f"Task {evil}", method=evil)])
    text = text_of(found)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert Balance(text).open == []
    plain = page.markdown(FRAME, found, tables(found), [])
    assert "<script" not in plain


def test_figures_share_a_page(found: Evidence, tmp_path: Path) -> None:
    first = page.inline(picture(tmp_path, "one").files[0], "One <b>")
    second = page.inline(picture(tmp_path, "two").files[0], "Two")
    assert first.startswith("<svg ")
    assert 'viewBox="0 0 331 90"' in first
    assert 'width="' not in first.split(">")[0]
    assert "metadata" not in first
    assert 'aria-label="One &lt;b&gt;"' in first
    assert 'id="one-m1"' in first
    assert 'href="#one-m1"' in first
    assert "url(#one-c1)" in first
    assert "one-" not in second
    for colour in ("var(--ink)", "var(--paper)", "var(--blue)"):
        assert colour in first


def test_markdown_links_the_files(found: Evidence, tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    text = page.markdown(FRAME, found, tables(found), [picture(folder)])
    assert "(figures/one.png)" in text
    assert "\n\n\n" not in text
    assert "| fast" in text
    assert "    rlvit report --task 'Ms. Pac-Man'" in text


def test_pictures_without_a_file_are_their_caption(found: Evidence) -> None:
    absent = Picture("gallery", "", "", "Pictures left out", "Left out: huge.png.", ())
    text = page.html(FRAME, found, tables(found), [absent])
    assert "<figcaption>Left out: huge.png.</figcaption>" in text
    assert Balance(text).open == []
    plain = page.markdown(FRAME, found, tables(found), [absent])
    assert "\nLeft out: huge.png.\n" in plain
    assert "]()" not in plain


def test_no_runs_yet() -> None:
    nothing = evidence(unfinished={"failed": 2})
    frame = replace(FRAME, first_runs=("rlvit run --plugin toy --puzzle Alpha --preset quick",))
    text = page.html(frame, nothing, tables(nothing), [])
    assert "There is no completed run to report on." in text
    assert "did not complete: 2 failed" in text
    assert "rlvit run --plugin toy" in text
    assert Balance(text).open == []


def test_the_summary_counts(found: Evidence) -> None:
    first, second = summary(found)
    assert first.startswith(
        "2 arms of 2 methods on 1 task under 1 protocol, from 4 completed runs."
    )
    assert second == (
        "Of 1 number from papers or files, 1 were measured under a protocol that was run here."
    )
    assert compared(found) == {("Pong", "full"): "fast (3 seeds), slow (1 seed)"}


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "FEWEST", 10)
    runs = [
        trial(0, {"eval/return": float("nan")}, "odd", commit="a" * 40, dirty=True),
        trial(0, {}, "odd again", commit="b" * 40),
    ]
    silent = [trial(seed, {"eval/other": 1.0}, "mute") for seed in range(5)]
    found = evidence(
        [
            game_arm("fast", "Pong", [1] * 5),
            game_arm("fast", "Qbert", [1]),
            arm("odd", runs, method="odd"),
            arm("mute", silent, method="mute"),
        ],
        unfinished={"interrupted": 1},
        unquoted=12,
    )
    assert warnings(found) == [
        "One run only (n=1), which may be chance: fast on Qbert.",
        "Fewer than 10 runs, too few for a firm interval: fast on Pong; odd on Pong; mute on Pong.",
        "A seed was run more than once, and each run counts: odd on Pong.",
        "No completed run where another arm of the protocol has one: odd on Qbert; mute on Qbert.",
        "Not a finite number in one run or more: eval/return of odd on Pong.",
        "Never measured: eval/return of mute on Pong.",
        "Runs of several commits in one arm: odd on Pong.",
        "Runs of code with uncommitted changes: 1 of 13.",
        "Runs left out because they did not complete: 1 interrupted.",
        "Numbers from papers or files left out by `--published`: 12. Bold does not look at them.",
    ]
    assert warnings(evidence([game_arm("fast", "Pong", range(10))])) == []


def test_long_lists_are_cut() -> None:
    assert listed("abcdefgh") == "a, b, c, d, e, f and 2 more"


def test_a_method_for_games_lacks_no_dataset() -> None:
    arms = [game_arm("fast", "Pong", [1] * 5), game_arm("seer", "digits", [1] * 5)]
    kinds = {"Pong": "game", "digits": "dataset"}
    gap = "No completed run where another arm"
    assert not [line for line in warnings(evidence(arms, kinds=kinds)) if line.startswith(gap)]
    alike = {"Pong": "game", "digits": "game"}
    assert [line for line in warnings(evidence(arms, kinds=alike)) if line.startswith(gap)] == [
        f"{gap} of the protocol has one: fast on digits; seer on Pong."
    ]
