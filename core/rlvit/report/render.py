"""Writes tables as Markdown, LaTeX, CSV and JSON; no name or note can break out of them."""

from __future__ import annotations

import io
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from csv import writer
from typing import Any

from rlvit.report.cells import ABSENT, Cell, Column, Footnote, Table, clean

PARTS = {  # of a cell, that a column of a kind has in CSV
    "text": ("text",),
    "count": ("value",),
    "result": ("value", "low", "high", "spread", "n", "remark"),
    "difference": ("value", "low", "high", "p", "remark"),
}
FLOATS = 9  # tables that wait for their place at a time: LaTeX holds 18 at least
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "`": r"\textasciigrave{}",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    "[": "{[}",  # after \\ it would begin an option
    "]": "{]}",
    "*": "{*}",  # likewise
    "-": "{-}",  # no ligature to a dash
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "·": r"$\cdot$",
    "∞": r"$\infty$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "µ": r"$\mu$",
    "°": r"$^{\circ}$",
    "⁹": r"$^{9}$",
    "λ": r"$\lambda$",  # whose name in Unicode is lamda
} | {
    letter: rf"$\{unicodedata.name(letter).split()[-1].lower()}$"
    for letter in "αβγδεζηθκμνξπρστφχψω"
}
DIGITS = 12  # for programs: beyond them, machines and versions of numpy may differ
LINE, WIDE = 120, 32  # letters in a line of LaTeX, and in a column that breaks its texts
TALLEST = 45  # rows on a page
PACKAGES = "booktabs,graphicx,array,xcolor"


def markdown(table: Table, *, level: int = 3) -> str:
    """Return a table in GitHub's Markdown, with its title as a heading of that level."""
    heads = [_markdown_text(column.heading) for column in table.columns]
    rows = [[_markdown_cell(cell) for cell in row] for row in table.rows]
    widths = [max(3, *map(_width, texts)) for texts in zip(heads, *rows, strict=True)]
    numeric = [column.kind != "text" for column in table.columns]

    def line(texts: Sequence[str]) -> str:
        padded = [_pad(*each) for each in zip(texts, widths, numeric, strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = [
        "-" * (w - 1) + ":" if right else "-" * w for w, right in zip(widths, numeric, strict=True)
    ]
    parts = [
        "#" * level + " " + _markdown_text(table.title),
        markdown_line(table.caption),
        "\n".join([line(heads), line(rule), *map(line, rows)]),
        "\n".join(f"- {_markdown_note(note)}" for note in table.footnotes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_text(text: str) -> str:
    escaped = re.sub(r"([\\`*_{}\[\]|~$#^])", r"\\\1", clean(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_line(text: str) -> str:
    """Escape a text that begins a line, where a list or an underline would begin likewise."""
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", _markdown_text(text))


def _markdown_cell(cell: Cell) -> str:
    parts = (_markdown_text(cell.text), cell.interval, _markdown_text(cell.remark))
    text = " ".join(part for part in parts if part)
    text = f"**{text}**" if cell.bold else text
    return text + (f"<sup>{','.join(cell.marks)}</sup>" if cell.marks else "")


def _markdown_note(note: Footnote) -> str:
    text = markdown_line(note.text)
    return f"<sup>{note.mark}</sup> {text}" if note.mark else text


def _width(text: str) -> int:
    """Return the columns that a text takes in a terminal."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def latex(table: Table) -> str:
    r"""Return a `table` environment; it needs the packages booktabs, graphicx, array and xcolor.

    What is wider than a line has its columns in several parts, one below the other, or where this
    would not fit on a page in several environments; what still is too wide is scaled down. `\input`
    it, or see `latex_document`.
    """
    parts = _latex_parts(table)
    tall = len(parts) > 1 and len(parts) * (len(table.rows) + 1) > TALLEST
    floats = [[part] for part in parts] if tall else [parts]
    lines = [rf"% \usepackage{{{PACKAGES}}}"]
    for number, group in enumerate(floats):
        lines += [r"\begin{table}[htbp]", *([r"\addtocounter{table}{-1}"] if number else [])]
        lines += [r"\centering", rf"\caption{{{_latex_caption(table, again=number > 0)}}}"]
        lines += [r"\par\medskip"] if number else [rf"\label{{tab:{table.slug}}}\par\medskip"]
        for place, part in enumerate(group):
            lines += [r"\par\bigskip", *_latex_tabular(table, part)][place == 0 :]
        lines += _latex_notes(table) if number == len(floats) - 1 else []
        lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def _latex_caption(table: Table, *, again: bool) -> str:
    """Return title, task and protocol in bold, then the caption; `again`: of a later part."""
    names = (name for name in (table.task, table.protocol) if name and name not in table.title)
    of = ", ".join(names)
    title = _latex_text(f"{table.title} ({of})" if of else table.title)
    if again:
        return rf"\textbf{{{title}, continued.}}"
    return rf"\textbf{{{title}.}} {_latex_text(table.caption)}".rstrip()


def _latex_parts(table: Table) -> list[list[int]]:
    """Return the columns of each part that fits in a line, which all begin with what a row is."""
    columns = table.columns
    numeric = [place for place, column in enumerate(columns) if column.kind != "text"]
    heads = list(range(numeric[0] if numeric else 1))
    widths = [_latex_width(table, place) for place in range(len(columns))]
    parts, room = [heads[:]], LINE - sum(widths[place] for place in heads)
    left = room
    for place in range(len(heads), len(columns)):
        if widths[place] > left and len(parts[-1]) > len(heads):
            parts.append(heads[:])
            left = room
        parts[-1].append(place)
        left -= widths[place]
    return parts


def _latex_width(table: Table, place: int) -> int:
    """Return about how many letters wide a column is, with the space beside it."""
    if table.columns[place].wide:
        return WIDE
    texts = [table.columns[place].heading, *(row[place].shown for row in table.rows)]
    return 2 + max(map(_width, texts))


def _latex_tabular(table: Table, part: Sequence[int]) -> list[str]:
    columns = [table.columns[place] for place in part]
    lines = [
        r"\resizebox{\ifdim\width>\linewidth \linewidth\else \width\fi}{!}{%",
        rf"\begin{{tabular}}{{{''.join(map(_latex_column, columns))}}}",
        r"\toprule",
        _latex_row(_latex_text(column.heading) for column in columns),
        r"\midrule",
    ]
    for number, row in enumerate(table.rows):
        lines += [r"\midrule"] if number in table.breaks and number else []
        lines.append(_latex_row(_latex_cell(row[place]) for place in part))
    return [*lines, r"\bottomrule", r"\end{tabular}%", "}"]


def _latex_notes(table: Table) -> list[str]:
    if not table.footnotes:
        return []
    notes = [_latex_note(note) + r"\par" for note in table.footnotes]
    begin = [r"\par\smallskip", r"\begin{minipage}{\linewidth}", r"\footnotesize"]
    return [*begin, *notes, r"\end{minipage}"]


def latex_document(tables: Iterable[Table], title: str = "") -> str:
    """Return a whole document with the tables, for pdfLaTeX, XeLaTeX or LuaLaTeX."""
    lines = [
        r"\documentclass{article}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage[margin=2cm]{geometry}",
        rf"\usepackage{{{PACKAGES}}}",
        # Tables one below the other, from the top of the page on.
        r"\setcounter{topnumber}{9}\setcounter{totalnumber}{9}",
        r"\renewcommand{\topfraction}{1}\renewcommand{\textfraction}{0}",
        r"\renewcommand{\floatpagefraction}{0.8}",
        r"\makeatletter\setlength{\@fptop}{0pt}\setlength{\@fpsep}{2em}\makeatother",
        r"\begin{document}",
        *([rf"\section*{{{_latex_text(title)}}}"] if title else []),
        *(
            latex(table) + (r"\clearpage" if place % FLOATS == 0 else "")
            for place, table in enumerate(tables, 1)
        ),
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def _latex_text(text: str) -> str:
    quoted = re.sub(
        r'"([^"]*)"',
        "\N{LEFT DOUBLE QUOTATION MARK}\\1\N{RIGHT DOUBLE QUOTATION MARK}",
        clean(text),
    )
    return "".join(map(_latex_letter, quoted))


def _latex_letter(letter: str) -> str:
    """Return a letter that any LaTeX takes: what lies beyond European letters by its code."""
    if letter in LATEX:
        return LATEX[letter]
    if " " <= letter <= "~" or "\u00c0" <= letter <= "\u017f":
        return letter
    return f"{{[}}U+{ord(letter):04X}{{]}}"


def _latex_column(column: Column) -> str:
    if column.wide:
        return r">{\raggedright\arraybackslash}p{5cm}"
    return "l" if column.kind == "text" else "r"


def _latex_row(texts: Iterable[str]) -> str:
    return " & ".join(texts) + r" \\"


def _latex_cell(cell: Cell) -> str:
    text = _latex_text(cell.shown)
    text = rf"\textbf{{{text}}}" if cell.bold else text
    text = rf"\textcolor{{gray}}{{{text}}}" if cell.muted else text
    return text + (rf"$^{{\mathrm{{{','.join(cell.marks)}}}}}$" if cell.marks else "")


def _latex_note(note: Footnote) -> str:
    text = _latex_text(note.text)
    return rf"$^{{\mathrm{{{note.mark}}}}}$ {text}" if note.mark else text


def csv(table: Table) -> str:
    """Return a table with its numbers unrounded: value, low, high, spread and n of each result.

    A text among numbers is a remark. The last column has the footnotes of the row. A text that a
    spreadsheet would take for a formula begins with an apostrophe.
    """
    stream = io.StringIO()
    out = writer(stream, lineterminator="\n")
    parts = [(column, part) for column in table.columns for part in PARTS[column.kind]]
    heads = [c.key if part in ("text", "value") else f"{c.key}:{part}" for c, part in parts]
    out.writerow([*heads, "notes"])
    texts = {note.mark: note.text for note in table.footnotes if note.mark}
    for row in table.rows:
        cells = dict(zip((column.key for column in table.columns), row, strict=True))
        marks = dict.fromkeys(mark for cell in row for mark in cell.marks)
        notes = " | ".join(texts[mark] for mark in marks)
        out.writerow([*(_csv_part(cells[c.key], part) for c, part in parts), _harmless(notes)])
    return stream.getvalue()


def _csv_part(cell: Cell, part: str) -> str:
    found = getattr(cell, part)
    if part == "remark" and cell.value is None and cell.text != ABSENT:
        found = " ".join(text for text in (cell.text, cell.remark) if text)  # in words: not reached
    if isinstance(found, float):
        return f"{found:.{DIGITS}g}"
    return "" if found is None else _harmless(str(found))


def _harmless(text: str) -> str:
    return f"'{text}" if len(text) > 1 and text[0] in "=+-@" else text


def to_json(table: Table) -> str:
    """Return a table as JSON: text as people read it, numbers unrounded, NaN as null."""
    whole = {
        "kind": table.kind,
        "slug": table.slug,
        "title": table.title,
        "caption": table.caption,
        "task": table.task,
        "protocol": table.protocol,
        "metric": table.metric,
        "columns": [
            {
                "key": column.key,
                "title": column.title,
                "kind": column.kind,
                "unit": column.unit,
                "direction": column.direction,
            }
            for column in table.columns
        ],
        "rows": [[_json_cell(cell) for cell in row] for row in table.rows],
        "footnotes": [note._asdict() for note in table.footnotes],
        "breaks": list(table.breaks),
    }
    return json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _json_cell(cell: Cell) -> dict[str, Any]:
    """Return the text, and what else the cell has."""
    found: dict[str, Any] = {"text": cell.shown}
    for name in ("value", "low", "high", "spread", "n", "p"):
        number = getattr(cell, name)
        if isinstance(number, int):
            found[name] = number
        elif number is not None:
            found[name] = float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None
    flags = {"bold": cell.bold, "one_run": cell.muted}
    found |= {name: True for name, is_so in flags.items() if is_so}
    return found | ({"marks": list(cell.marks)} if cell.marks else {})
