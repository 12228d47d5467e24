"""Tables as text: the golden files, and names that try to break out.

After a wanted change, `python tests/core/report/test_report_render.py` writes the files anew.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "support"))

from evidence_maker import arm, evidence, reference, scored, trial

from rlvit.report import render
from rlvit.report.cells import MINUS, Cell, Column, Footnote, Table
from rlvit.report.model import Value
from rlvit.report.tables import tables

GOLDEN = Path(__file__).parent / "golden"
WRITERS = {
    "md": render.markdown,
    "tex": render.latex,
    "csv": render.csv,
    "json": render.to_json,
}
NASTY = r"<b>|&%_$#{x}^~\"`*[y](z) -- ü 数 \input{/etc/passwd}"


def golden_tables() -> dict[str, Table]:
    """Return tables with something of everything, no number of which is drawn at random."""
    config = {"steps": 100_000, "frames": 50_000}
    ours = [
        scored("m salient", [557.5, 610.0, 480.0, 590.0], config=config),
        scored("m random", [300.0, 310.0, 290.0, 305.5], config=config),
        arm("m quick", [trial(0, {"eval/return": Value(120.0, 50, 30.0, 1500)})]),
        scored("m broken", [float("nan"), 3.0]),
    ]
    published = [
        reference("DE-Rainbow", 395.6, spread=124.4, n=10, note="Table 11 says 396.5."),
        reference("SimPLe", 370.9, status="secondary"),
        reference("Elsewhere", 1.0, protocol=""),
    ]
    found = tables(evidence(ours, published, unfinished={"failed": 2}), baseline="m random")
    settled = tables(evidence(ours[:2]))
    return {
        "comparison": found[0],
        "bold": settled[0],
        "budget": next(table for table in found if table.kind == "budget"),
        "provenance": next(table for table in found if table.kind == "provenance"),
        "nasty": nasty_table(),
    }


def nasty_table() -> Table:
    """Return a table whose every text is hostile."""
    return Table(
        kind="comparison",
        slug="nasty",
        title=NASTY,
        caption="- " + NASTY,
        columns=(Column("a", NASTY, "text"), Column("r", "r", "result", "%", "max")),
        rows=(
            (Cell(text="[x]" + NASTY), Cell("1.5", "[1.0, 2.0]", value=1.5, n=2, bold=True)),
            (Cell(text="=1+1"), Cell("NaN", value=float("nan"), n=0, marks=("a",))),
            (Cell(text="* star"), Cell()),
        ),
        footnotes=(Footnote("", NASTY), Footnote("a", "1. " + NASTY)),
        breaks=(1,),
    )


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("name", ["comparison", "bold", "budget", "provenance", "nasty"])
def test_golden(name: str, ending: str) -> None:
    wanted = (GOLDEN / f"{name}.{ending}").read_text(encoding="utf-8")
    assert WRITERS[ending](golden_tables()[name]) == wanted


def test_no_golden_file_is_forgotten() -> None:
    names = {f"{name}.{ending}" for name in golden_tables() for ending in WRITERS}
    assert {path.name for path in GOLDEN.iterdir()} == names


# Markdown


def test_markdown_rows_keep_their_columns_and_line_up() -> None:
    lines = [line for line in render.markdown(nasty_table()).splitlines() if line.startswith("|")]
    assert len(lines) == 5
    cells = [re.split(r"(?<!\\)\|", line) for line in lines]
    assert {len(row) for row in cells} == {4}
    assert len({render._width(line) for line in lines}) == 1


def test_markdown_shows_nasty_names_as_they_are() -> None:
    text = render.markdown(nasty_table())
    assert "<b>" not in text
    assert not re.search(r"(?<!\\)[`$~{}]", text)
    assert not re.search(r"(?<!\\)\]\(", text)  # no link
    rows = [line for line in text.splitlines() if line.startswith("|")]
    plain = re.sub(r"\\(.)", r"\1", rows[0])
    assert NASTY in plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def test_markdown_caption_and_notes_begin_no_list() -> None:
    lines = render.markdown(nasty_table()).splitlines()
    assert sum(line.startswith("- ") for line in lines) == 2  # the two footnotes
    assert any(line.startswith("\\- ") for line in lines)
    assert any(line.startswith("- <sup>a</sup> 1\\. ") for line in lines)


def test_markdown_bold_covers_the_whole_number() -> None:
    assert "**1.5 [1.0, 2.0]**" in render.markdown(nasty_table())


# LaTeX


def unescaped(text: str) -> str:
    """Return LaTeX without what is written with a backslash, and without comments."""
    return re.sub(r"\\([a-zA-Z]+|.)", "", text)


def test_latex_is_a_whole_booktabs_table() -> None:
    text = render.latex(nasty_table())
    body = text.split("\n", 1)[1]
    for name in ("table", "tabular", "minipage"):
        assert body.count(rf"\begin{{{name}}}") == body.count(rf"\end{{{name}}}") == 1
    rules = [line for line in body.splitlines() if line.endswith("rule")]
    assert rules == [r"\toprule", r"\midrule", r"\midrule", r"\bottomrule"]
    bare = unescaped("\n".join(line for line in body.splitlines() if "resizebox" not in line))
    assert bare.count("{") == bare.count("}") - 1  # of the line left out
    assert bare.count("$") % 2 == 0
    assert not re.search(r"[#~`<>|\"]", bare)
    assert "%" not in bare.replace("{tabular}%", "")
    assert r"\input" not in body
    assert body.isascii() or set(re.findall(r"[^\x00-\x7f]", body)) == {"ü"}


def test_latex_says_what_a_table_is_of() -> None:
    table = replace(nasty_table(), title="Patches", caption="Means.", task="digits")
    text = render.latex(replace(table, protocol="quick"))
    assert r"\caption{\textbf{Patches (digits, quick).} Means.}" in text
    named = replace(table, title="digits under quick", protocol="quick")
    assert r"\caption{\textbf{digits under quick.} Means.}" in render.latex(named)


def test_latex_breaks_a_wide_table_into_parts() -> None:
    columns = (Column("a", "arm", "text"), *(Column(f"c{i}", "x" * 34, "count") for i in range(5)))
    row = (Cell(text="one"), *(Cell(text=str(i)) for i in range(5)))
    table = replace(nasty_table(), columns=columns, rows=(row,), breaks=())
    text = render.latex(table)
    assert [line for line in text.splitlines() if line.endswith(r" \\") and "one" in line] == [
        r"one & 0 & 1 & 2 \\",
        r"one & 3 & 4 \\",
    ]
    assert text.count(r"\begin{table}") == text.count(r"\label") == 1
    tall = render.latex(replace(table, title="Wide", rows=(row,) * 30))  # not on one page
    assert tall.count(r"\begin{table}") == tall.count(r"\caption") == 2
    assert r"\caption{\textbf{Wide, continued.}}" in tall
    assert tall.count(r"\label") == tall.count(r"\begin{minipage}") == 1


def test_latex_rows_have_as_many_cells_as_columns() -> None:
    rows = [line for line in render.latex(nasty_table()).splitlines() if line.endswith(r" \\")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {1}


def test_latex_cell_after_a_line_end_is_no_option() -> None:
    rows = render.latex(nasty_table()).splitlines()
    assert not [row for row in rows if row.startswith(("[", "*"))]


def test_latex_letters_beyond_europe_are_named_by_their_code() -> None:
    assert render._latex_text(f"é数λ{MINUS}±😀") == r"é{[}U+6570{]}$\lambda$$-$$\pm${[}U+1F600{]}"


def test_latex_document_has_every_table() -> None:
    text = render.latex_document([nasty_table(), golden_tables()["bold"]], "A & B")
    assert text.startswith(r"\documentclass{article}")
    assert text.endswith("\\end{document}\n")
    assert text.count(r"\begin{table}") == 2
    assert r"\section*{A \& B}" in text
    for package in ("booktabs", "graphicx", "array", "xcolor"):
        assert package in text.partition(r"\begin{document}")[0]


def test_latex_grey_of_one_run_and_wide_columns() -> None:
    found = golden_tables()
    assert r"\textcolor{gray}{120.0 {[}" in render.latex(found["comparison"])
    assert "p{5cm}" in render.latex(found["provenance"])


# CSV and JSON


def test_csv_reads_back() -> None:
    rows = list(csv.DictReader(io.StringIO(render.csv(nasty_table()))))
    assert [row["a"] for row in rows] == ["[x]" + NASTY, "'=1+1", "* star"]
    assert [row["r"] for row in rows] == ["1.5", "nan", ""]
    assert [row["notes"] for row in rows] == ["", "1. " + NASTY, ""]


def test_csv_has_every_part_of_a_result() -> None:
    rows = list(csv.DictReader(io.StringIO(render.csv(golden_tables()["comparison"]))))
    first, _, single = rows[:3]
    assert float(first["eval/return"]) == 559.375
    assert float(first["eval/return:low"]) < 559.375 < float(first["eval/return:high"])
    assert first["eval/return:n"] == "4"
    assert (single["eval/return:n"], single["eval/return:remark"]) == ("1", "n=1")
    assert first["difference/eval/return:remark"].startswith("better, p=")


def test_json_reads_back_and_knows_no_nan() -> None:
    whole = json.loads(render.to_json(nasty_table()))
    assert whole["rows"][0][0]["text"] == "[x]" + NASTY
    assert whole["rows"][0][1]["bold"] is True
    assert whole["rows"][1][1] == {"text": "NaN", "value": None, "n": 0, "marks": ["a"]}
    assert whole["columns"][1] == {
        "key": "r",
        "title": "r",
        "kind": "result",
        "unit": "%",
        "direction": "max",
    }


def test_table_without_rows_or_notes() -> None:
    empty = Table("unfinished", "x", "x", "x", (Column("a", "a", "text"),), ())
    assert render.markdown(empty).count("\n|") == 2
    assert render.csv(empty) == "a,notes\n"
    assert json.loads(render.to_json(empty))["rows"] == []
    assert r"\begin{minipage}" not in render.latex(empty)


if __name__ == "__main__":
    for kind, table in golden_tables().items():
        for suffix, write in WRITERS.items():
            (GOLDEN / f"{kind}.{suffix}").write_text(write(table), encoding="utf-8")
