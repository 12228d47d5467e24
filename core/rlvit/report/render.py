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

from rlvit.report.cells import Cell, Column, Footnote, Table, clean

PARTS = {  # of a cell, that a column of a kind has in CSV
    "text": ("text",),
    "count": ("value",),
    "result": ("value", "low", "high", "spread", "n", "remark"),
    "difference": ("value", "low", "high", "p", "remark"),
}
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

    A table wider than the line is scaled down to it. `\input` it, or see `latex_document`.
    """
    lines = [
        rf"% \usepackage{{{PACKAGES}}}",
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{_latex_text(table.caption)}}}",
        rf"\label{{tab:{table.slug}}}",
        r"\resizebox{\ifdim\width>\linewidth \linewidth\else \width\fi}{!}{%",
        rf"\begin{{tabular}}{{{''.join(_latex_column(column) for column in table.columns)}}}",
        r"\toprule",
        _latex_row(_latex_text(column.heading) for column in table.columns),
        r"\midrule",
    ]
    for place, row in enumerate(table.rows):
        lines += [r"\midrule"] if place in table.breaks and place else []
        lines.append(_latex_row(_latex_cell(cell) for cell in row))
    lines += [r"\bottomrule", r"\end{tabular}%", "}"]
    if table.footnotes:
        lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}", r"\footnotesize"]
        lines += [_latex_note(note) + r"\par" for note in table.footnotes]
        lines.append(r"\end{minipage}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def latex_document(tables: Iterable[Table], title: str = "") -> str:
    """Return a whole document with the tables, for pdfLaTeX, XeLaTeX or LuaLaTeX."""
    lines = [
        r"\documentclass{article}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage[margin=2cm]{geometry}",
        rf"\usepackage{{{PACKAGES}}}",
        r"\begin{document}",
        *([rf"\section*{{{_latex_text(title)}}}"] if title else []),
        *(latex(table) + r"\clearpage" for table in tables),
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def _latex_text(text: str) -> str:
    return "".join(map(_latex_letter, clean(text)))


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

    The last column has the footnotes of the row. A text that a spreadsheet would take for a
    formula begins with an apostrophe.
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
