"""Reports of odd registries: nothing finished, numbers of others alone, several protocols."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from evidence_maker import arm, evidence, reference, scored, trial

import rlvit
from rlvit.cli.main import invoke
from rlvit.errors import UnknownName
from rlvit.report import drawing, page, render
from rlvit.report.canvas import make_canvas
from rlvit.report.cells import slug
from rlvit.report.tables import ANY, mixed_tasks, tables

FRAME = page.Frame(title="x", scope=(), command="x", check="x", versions="x")
QUICK = {"puzzle": "Alpha", "preset": "quick", "device": "cpu", "threads": 1}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "DPI", 40)


def report(home: Path, *words: str) -> int:
    return invoke(["report", "--home", str(home), *words])


def test_failed_runs_alone() -> None:
    found = evidence(unfinished={"failed": 3, "interrupted": 1})
    html = page.html(FRAME, found, tables(found), ())
    assert "There is no completed run to report on." in html
    assert "Runs left out because they did not complete: 3 failed, 1 interrupted." in html
    (left_out,) = tables(found)
    assert left_out.kind == "unfinished"


def test_imported_numbers_of_a_task_without_an_arm_are_shown() -> None:
    known = {"status": "imported", "where": "scores.csv", "n": 2, "scores": (1.0, 3.0)}
    others = [
        reference("Mine", 2.0, task="Qbert", **known),
        reference("Printed", 5.0, task="Qbert"),
        reference("Printed", 6.0, task="Breakout"),  # nothing was imported there
        reference("Mine", 7.0, protocol="", **known),  # of Pong, under no protocol of ours
        reference("Mine", 8.0, **known),  # beside the arm
    ]
    found = evidence([scored("a", [1.0, 2.0])], others)
    imported = [table for table in tables(found) if table.kind == "imported"]
    assert [table.title for table in imported] == [
        "Pong under no protocol of rlvit",
        "Qbert under full",
    ]
    assert [[cell.text for cell in row[:2]] for row in imported[1].rows] == [
        ["Mine", "2"],
        ["Printed", "?"],
    ]
    mine = imported[1].rows[0][2]
    assert (mine.value, mine.n) == (2.0, 2)
    assert mine.low is not None
    html = page.html(FRAME, found, tables(found), ())
    assert "Imported numbers that nothing was run beside" in html
    alone = tables(evidence(references=others[:1]))
    assert [table.kind for table in alone] == ["imported"]


def test_every_number_of_a_joint_table_says_its_protocol() -> None:
    arms = [scored("a", [1.0, 2.0, 3.0]), scored("a", [5.0], protocol="quick")]
    found = evidence(arms, [reference("Paper", 4.0), reference("File", 6.0, protocol="")])
    assert mixed_tasks(found) == {"Pong": ("full", "quick")}
    (joint,) = [table for table in tables(found, mixed=True) if table.kind == "comparison"]
    assert joint.protocol == ANY
    texts = {note.mark: note.text for note in joint.footnotes if note.mark}
    place = [column.key for column in joint.columns].index("eval/return")
    marked = [{texts[mark] for mark in row[place].marks} for row in joint.rows]
    assert [("under full" in m, "under quick" in m) for m in marked] == [
        (True, False), (False, True), (True, False), (False, False),
    ]  # fmt: skip
    assert "under none of rlvit's" in marked[3]
    assert not any(row[place].bold for row in joint.rows)
    html = page.html(FRAME, found, tables(found, mixed=True), ())
    assert "Tables over several protocols were asked for" in html
    assert html.count("Pong, several protocols") == 1
    # The last column of CSV has the footnotes of each row.
    rows = list(csv.DictReader(render.csv(joint).splitlines()))
    assert rows[1]["notes"].endswith("under quick")
    apart = [table.protocol for table in tables(found) if table.kind == "comparison"]
    assert apart == ["full", "quick"]


@pytest.mark.usefixtures("toy_alone")
def test_mixed_protocols_are_refused_unless_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    rlvit.run("toy", home=home, seed=0, **QUICK)
    assert report(home, "--mixed", "--format", "csv") == 0  # one protocol: nothing is mixed
    rlvit.run("toy", home=home, seed=1, protocol="official", **QUICK)
    capsys.readouterr()
    assert report(home, "--mixed", "--format", "csv") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "Alpha was measured under brief, official" in line
    assert "--allow-mixed" in line
    assert report(home, "--check") == 3  # what was asked for can no longer be had
    assert report(home, "--mixed", "--protocol", "brief", "--format", "csv") == 0
    assert report(home, "--allow-mixed") == 0
    folder = home / "reports" / "report"
    order = json.loads((folder / "report.json").read_text())["order"]
    assert (order["mixed"], order["allow_mixed"]) == (False, True)
    text = (folder / "index.html").read_text()
    assert "rlvit report --allow-mixed" in text
    rows = list(csv.DictReader((folder / "tables" / "alpha--several-protocols.csv").open()))
    assert [row["protocol"] for row in rows] == ["brief", "official"]
    assert [row["notes"] for row in rows] == ["under brief", "under official"]
    assert report(home, "--check") == 0


def test_long_and_foreign_names_do_not_collide(tmp_path: Path) -> None:
    games = [f"A game with a long name, number {n}" for n in range(40)]
    slugs = {slug("aggregate", "full", *games[:-1]), slug("aggregate", "full", *games)}
    assert len(slugs) == 2
    canvas = make_canvas(evidence(), None, tmp_path, 0)  # type: ignore[arg-type]
    long = "x" * 100
    names = [canvas.name(*words) for words in ((long, "a"), (long, "b"), ("手", "a"), ("足", "a"))]
    assert len(set(names)) == 4
    assert all(len(name) <= 80 and name.isascii() for name in names)
    again = make_canvas(evidence(), None, tmp_path, 0)  # type: ignore[arg-type]
    assert again.name(long, "b") == names[1]  # whatever was named before


def test_one_run_of_an_unknown_metric_with_a_note() -> None:
    note = "<b onclick=x>bold</b> & 'Größe' \u202eevil"
    runs = [trial(0, {"their/score": 3.0, "eval/return": float("nan")}, note=note)]
    found = evidence([arm("手法 <i>", runs, task="Tâche")], headlines={"Tâche": ("their/score",)})
    html = page.html(FRAME, found, tables(found), ())
    assert "<b onclick" not in html
    assert "&lt;b onclick=x&gt;" in html
    assert "手法 &lt;i&gt;" in html
    assert "not declared by any plugin" in html
    assert "Not a finite number in one run or more: eval/return" in html
    with pytest.raises(UnknownName, match="unknown baseline 'nobody'"):
        tables(found, baseline="nobody")
