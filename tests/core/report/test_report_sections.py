"""Sections of plugins: what they are given, how they are written, and what happens if they fail."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from evidence_maker import arm, evidence, game_arm, trial
from toy_program import add_plugin

import rlvit
from rlvit.catalog import Entry
from rlvit.cli.main import invoke
from rlvit.report import collect, drawing, films, page, render, sections
from rlvit.report.canvas import make_canvas
from rlvit.report.sections import collect_sections, draw_sections, estimate, failures, own_names
from rlvit.report.stats import mean_interval
from rlvit.report.tables import tables
from rlvit.sections import (
    Estimate,
    ReportSection,
    SectionColumn,
    SectionContent,
    SectionFigure,
    SectionPicture,
    SectionRequest,
    SectionTable,
)

ENGINE: Any = None
EVIL = "</figure><script>alert(1)</script> & | $x$ \\input{a} \u202eéµ"
FRAME = page.Frame(title="x", scope=(), command="x", check="x", versions="x")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "DPI", 40)


def offering(*builds: Callable[[SectionRequest], Any]) -> Any:
    """Return a catalogue that offers these, as sections one, two, .. of the plugin `theirs`."""
    owner = SimpleNamespace(name="theirs")
    names = ("one", "two", "three")
    entries = {
        name: Entry(ReportSection(name, f"Section {name}", "What it is.", build), owner)  # type: ignore[arg-type]
        for name, build in zip(names, builds, strict=False)
    }
    return SimpleNamespace(entries={"section": entries})


def table(*rows: Any, title: str = "Numbers", note: str = "") -> SectionTable:
    columns = [SectionColumn("what"), SectionColumn("mean", "%", "max"), SectionColumn("n")]
    return SectionTable(title, columns, rows, note)


def test_a_section_sees_one_task_under_one_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[SectionRequest] = []
    monkeypatch.setattr(
        collect, "curve", lambda engine, run, metric: (np.arange(2), np.array([1.0, np.nan]))
    )
    quick = game_arm("fast", "Pong", [1, 2], protocol="quick")
    found = evidence([game_arm("fast", "Pong", [10, 20]), quick, game_arm("slow", "Qbert", [5])])
    assert collect_sections(found, ENGINE, offering(lambda r: seen.append(r))) == []
    assert [(r.task, r.protocol) for r in seen] == [
        ("Pong", "full"), ("Pong", "quick"), ("Qbert", "full"),
    ]  # fmt: skip
    request = seen[0]
    (one,) = request.arms
    assert (one.label, one.method, len(one.trials)) == ("fast", "fast", 2)
    assert request.values(one, "eval/return") == [10, 20]
    assert request.estimate(one, "eval/return") == (*mean_interval([10, 20]), 2)
    assert request.estimate(one, "eval/nothing") is None
    assert one.trials[0].results["eval/return"].samples == 100
    steps, values = request.curve(one.trials[0], "train/return")
    assert steps.tolist() == [0, 1]
    assert np.isnan(values[1])
    assert one.style["color"] == drawing.COLOURS[0]
    with pytest.raises(FrozenInstanceError):
        one.label = "x"  # type: ignore[misc]
    for mapping in (one.config, one.trials[0].results, request.metrics):
        with pytest.raises(TypeError):
            mapping["x"] = 1  # type: ignore[index]


def test_files_of_artifacts(tmp_path: Path) -> None:
    for name in ("b.npz", "a.npz", "c.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "d.npz").mkdir()
    runs = [
        trial(0, {"eval/return": 1.0}, artifacts={"figures": str(tmp_path), "lost": "/nowhere"})
    ]
    found: list[Any] = []

    def build(request: SectionRequest) -> None:
        (run,) = request.arms[0].trials
        for kind in ("figures", "lost", "other"):
            found.append([path.name for path in request.files(run, kind, "*.npz")])

    collect_sections(evidence([arm("x", runs)]), ENGINE, offering(build))
    assert found == [["a.npz", "b.npz"], [], []]


def test_an_interval_is_that_of_the_reports_tables() -> None:
    assert estimate([1.0, 2.0, 4.0], 0) == (*mean_interval([1.0, 2.0, 4.0]), 3)
    alone = estimate([3.0], 0)
    assert (alone.value, alone.n) == (3.0, 1)
    assert np.isnan(alone.low)
    broken = estimate([1.0, float("nan")], 0)
    assert np.isnan(broken.value)
    assert broken.n == 1
    assert estimate([], 0).n == 0


def test_tables_are_written_like_the_reports_own() -> None:
    rows = [("a", Estimate(61.25, 60.0, 62.5, 5), 3), ("b", estimate([7.0], 0), 2.345678)]
    content = SectionContent(tables=[table(*rows, note="Paired."), table(("c", None, 1))])
    found = evidence([game_arm("fast", "Pong", [1, 2])])
    (extra,) = own_names(collect_sections(found, ENGINE, offering(lambda request: content)), [])
    first, second = extra.tables
    assert (first.slug, second.slug) == ("pong--full--one--numbers", "pong--full--one--numbers-2")
    assert first.caption == "Paired. Means over runs with their 95 % intervals."
    assert second.caption == ""
    told = SectionContent(tables=[table(*rows, note=sections.MEANS)])
    (extra,) = collect_sections(found, ENGINE, offering(lambda request: told))
    assert extra.tables[0].caption == sections.MEANS  # once
    (line, alone) = csv.DictReader(render.csv(first).splitlines())
    assert (line["what"], line["mean"], line["mean:low"], line["n"]) == ("a", "61.25", "60", "3")
    assert (alone["mean"], alone["mean:low"], alone["mean:remark"]) == ("7", "", "n=1")
    text = render.markdown(first)
    assert "61.2 [60.0, 62.5]" in text
    assert "2.346" in text
    assert "n=1: one run only" in text
    assert json.loads(render.to_json(first))["rows"][0][1]["high"] == 62.5
    assert "mean (% ↑)" in text


def test_a_text_among_numbers_rounds_nothing() -> None:
    rows = [
        ("a", Estimate(1.23456789, 1.0, 1.5, 5), 2.3456789),
        ("b", "not reached", "never"),
        ("c", 3, None),
    ]
    content = SectionContent(tables=[table(*rows)])
    found = evidence([game_arm("fast", "Pong", [1, 2])])
    (extra,) = collect_sections(found, ENGINE, offering(lambda request: content))
    lines = list(csv.DictReader(render.csv(extra.tables[0]).splitlines()))
    assert [line["mean"] for line in lines] == ["1.23456789", "", "3"]
    assert (lines[0]["mean:low"], lines[0]["mean:high"], lines[0]["mean:n"]) == ("1", "1.5", "5")
    assert [line["mean:remark"] for line in lines] == ["", "not reached", ""]
    assert [(line["n"], line["n:remark"]) for line in lines] == [
        *(("2.3456789", ""), ("", "never"), ("", ""))
    ]


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda request: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda request: {}["x\ny"], "KeyError: 'x\\ny'"),
        (lambda request: exec("raise SystemExit(3)"), "SystemExit: 3"),
        (lambda request: [table()], "TypeError: build returned list, no SectionContent"),
        (
            lambda request: SectionContent(tables=[table(("a", 1.0))]),
            "ValueError: row 1 of 'Numbers' has 2 of 3 cells",
        ),
        (
            lambda request: SectionContent(tables=[table(("a", {}, 1))]),
            "TypeError: a cell is {}: expected text, a number, an Estimate or None",
        ),
        (lambda request: SectionContent(tables=[3]), "AttributeError"),  # type: ignore[list-item]
    ],
)
def test_a_section_that_fails_is_a_line(build: Any, problem: str) -> None:
    found = evidence([game_arm("fast", "Pong", [1, 2])])
    good = SectionContent(paragraphs=["It works."])
    extras = collect_sections(found, ENGINE, offering(build, lambda request: good))
    failed, works = extras
    assert failed.failure.startswith(f"section one of plugin theirs failed: {problem}")
    assert list(failures(extras)) == [f"{failed.failure} (Pong, full)"]
    assert works.paragraphs == ("It works.",)
    for text in (
        page.html(FRAME, found, tables(found), (), extras),
        page.markdown(FRAME, found, tables(found), (), extras),
    ):
        assert "section one of plugin theirs failed" in text
        assert "It works." in text


def test_addresses_do_not_make_reports_differ() -> None:
    def build(request: SectionRequest) -> Any:
        raise ValueError(f"bad {object()}")

    found = evidence([game_arm("fast", "Pong", [1, 2])])
    (extra,) = collect_sections(found, ENGINE, offering(build))
    assert extra.problem == "ValueError: bad <object object at 0x…>"


def test_figures_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tmp_path / "Grüße.png"
    picture.write_bytes(b"\x89PNG of a run")
    huge = tmp_path / "huge.png"
    huge.write_bytes(bytes(films.MOST_BYTES + 1))

    def draw(axes: Any) -> None:
        axes.plot([1, 2], [3, 4], label="up")
        axes.set_xlabel("$not markup$")

    content = SectionContent(
        paragraphs=["Text."],
        figures=[
            SectionFigure("Rising", "It rises.", draw),
            SectionPicture("Grüße", "A picture.", picture),
            SectionPicture("Huge", "Another.", huge),
        ],
    )
    found = evidence([game_arm("fast", "Pong", [1, 2])])
    texts = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        extras = collect_sections(found, ENGINE, offering(lambda request: content))
        (extra,) = draw_sections(make_canvas(found, ENGINE, folder, 0), extras)
        assert extra.problem == ""
        rising, copied, left_out = extra.pictures
        assert [path.suffix for path in rising.files] == [".svg", ".png"]
        assert copied.files[0].read_bytes() == picture.read_bytes()
        assert left_out.files == ()
        assert "larger than 512 kB" in left_out.caption
        files = sorted(folder.iterdir())
        texts.append([path.read_bytes() for path in files])
        assert all(path.name.isascii() for path in files)
        html = page.html(FRAME, found, (), (), [extra])
    assert texts[0] == texts[1]
    assert "$not markup$" in rising.files[0].read_text()
    assert ">up<" in rising.files[0].read_text()
    assert html.index("Section one") < html.index("Text.") < html.index("It rises.")
    assert "<figcaption>A picture.</figcaption>" in html


def test_a_figure_that_fails_leaves_the_tables(tmp_path: Path) -> None:
    def draw(axes: Any) -> None:
        raise ValueError("no data")

    content = SectionContent(tables=[table(("a", 1, 2))], figures=[SectionFigure("x", "x", draw)])
    found = evidence([game_arm("fast", "Pong", [1, 2])])
    extras = collect_sections(found, ENGINE, offering(lambda request: content))
    (extra,) = draw_sections(make_canvas(found, ENGINE, tmp_path, 0), extras)
    assert extra.problem == "ValueError: no data"
    text = page.markdown(FRAME, found, (), (), [extra])
    assert "#### Numbers" in text
    assert "failed: ValueError: no data" in text


def test_no_text_of_a_section_breaks_out(tmp_path: Path) -> None:
    content = SectionContent(
        paragraphs=[EVIL],
        tables=[SectionTable(EVIL, [SectionColumn(EVIL, EVIL)], [[EVIL]], EVIL)],
        figures=[SectionFigure(EVIL, EVIL, lambda axes: axes.plot([1], [1], label=EVIL))],
    )
    catalog = offering(lambda request: content)
    entry = catalog.entries["section"]["one"]
    spec = replace(entry.spec, title=EVIL, summary=EVIL)
    catalog.entries["section"]["one"] = Entry(spec, entry.owner)
    found = evidence([game_arm("fast", "Pong", [1, 2])])
    extras = collect_sections(found, ENGINE, catalog)
    extras = draw_sections(make_canvas(found, ENGINE, tmp_path, 0), extras)
    assert extras[0].problem == ""
    html = page.html(FRAME, found, (), (), extras)
    markdown = page.markdown(FRAME, found, (), (), extras)
    assert "<script" not in html + markdown
    (written,) = extras[0].tables
    assert "<script" not in render.markdown(written)
    assert "\\input{a}" not in render.latex(written)
    assert written.slug.isascii()


SECTIONS = """
from rlvit import hookimpl
from rlvit.sections import *

def good(request):
    arm = request.arms[0]
    mean = request.estimate(arm, "eval/return")
    return SectionContent(
        paragraphs=[f"{len(request.arms)} arms on {request.task}."],
        tables=[SectionTable("Mine", [SectionColumn("arm"), SectionColumn("mean")],
                             [[arm.label, mean]])],
        figures=[SectionFigure("Line", "A line.", lambda axes: axes.plot([0, 1], [0, 1]))],
    )

def bad(request):
    raise RuntimeError("no luck\\nat all")

@hookimpl
def rlvit_report_sections():
    return [
        ReportSection("good", "Theirs", "A section.", good),
        ReportSection("none", "Nothing", "Nothing to show.", lambda request: None),
        ReportSection("bad", "Bad", "It fails.", bad),
    ]
"""


@pytest.mark.usefixtures("toy_alone")
def test_a_strangers_sections_are_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_plugin(tmp_path / "site", "stranger", SECTIONS)
    monkeypatch.syspath_prepend(tmp_path / "site")
    home = tmp_path / "home"
    for seed in (0, 1):
        known = {"puzzle": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}
        rlvit.run("toy", home=home, seed=seed, **known)
    capsys.readouterr()
    line = "section bad of plugin stranger failed: RuntimeError: no luck at all"
    assert invoke(["report", "--home", str(home)]) == 0
    assert capsys.readouterr().err == f"{line} (Alpha, brief)\n"
    folder = home / "reports" / "report"
    for name in ("index.html", "report.md"):
        text = (folder / name).read_text()
        assert "1 arms on Alpha." in text
        assert line in text
        assert "Nothing to show" not in text
    for ending in ("csv", "json", "tex"):
        assert (folder / "tables" / f"alpha--brief--good--mine.{ending}").is_file()
    assert r"\label{tab:alpha--brief--good--mine}" in (folder / "report.tex").read_text()
    assert {path.name for path in (folder / "figures").glob("alpha-brief-good-line.*")} == {
        "alpha-brief-good-line.svg",
        "alpha-brief-good-line.png",
    }
    assert invoke(["report", "--home", str(home), "--check"]) == 0
    (folder / "tables" / "alpha--brief--good--mine.csv").write_text("arm\n")
    capsys.readouterr()
    assert invoke(["report", "--home", str(home), "--check"]) == 1
    assert "alpha--brief--good--mine.csv" in capsys.readouterr().out
    assert invoke(["plugins", "show", "stranger"]) == 0
    assert "section good: A section." in capsys.readouterr().out


def test_the_section_in_the_documentation_works() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reports.md").read_text()
    (code,) = re.findall(r"```python\n(.*?ReportSection.*?)```", text, re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    (section,) = names["rlvit_report_sections"]()
    found = evidence([game_arm("fast", "Pong", [1, 2, 3])])
    (extra,) = collect_sections(found, ENGINE, offering(section.build))
    (written,) = extra.tables
    assert [cell.text for cell in written.rows[0][:2]] == ["fast", "3"]
    assert written.rows[0][2].value == 2.0
    assert (
        collect_sections(evidence([arm("x", [trial(0, {})])]), ENGINE, offering(section.build))
        == []
    )


@pytest.mark.usefixtures("toy_alone")
def test_a_section_of_a_name_that_is_taken_sets_the_plugin_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_plugin(tmp_path / "site", "a-first", SECTIONS)
    add_plugin(tmp_path / "site", "b-second", SECTIONS)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert invoke(["plugins", "show", "b-second"]) == 0
    assert "the section 'good' is already offered by plugin 'a-first'" in capsys.readouterr().out
