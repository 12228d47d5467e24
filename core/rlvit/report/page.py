"""The page of a report: one HTML file that needs no other, and the same as Markdown."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from rlvit.report import render
from rlvit.report.canvas import Picture, groups
from rlvit.report.cells import Table, slug
from rlvit.report.drawing import COLOURS, GRID, INK, PAPER
from rlvit.report.model import Evidence
from rlvit.report.summary import compared, summary, warnings

TEMPLATES = Path(__file__).parent / "templates"
# Colours that a figure shares with the page, where they may be others; the rest suits both.
SHADES = {INK: "ink", GRID: "grid", PAPER: "paper", COLOURS[0].lower(): "blue"}


@dataclass(frozen=True)
class Frame:
    """What stands around the numbers of a report."""

    title: str
    scope: tuple[str, ...]  # which runs were asked for
    command: str  # that makes the report again
    check: str  # that tells whether it still matches
    versions: str  # of what made it
    first_runs: tuple[str, ...] = ()  # commands for those who have no run yet


@dataclass(frozen=True)
class Shown:
    """A figure as a page shows it."""

    kind: str
    title: str
    caption: str
    image: str  # HTML; "" where the caption is all
    link: str  # of the file, for Markdown


@dataclass(frozen=True)
class Section:
    """A part of a page."""

    anchor: str
    title: str
    tables: tuple[Table, ...]
    figures: tuple[Shown, ...]


def html(
    frame: Frame, evidence: Evidence, tables: Sequence[Table], pictures: Sequence[Picture]
) -> str:
    """Return the report as one HTML file: style, tables and figures are all in it."""
    from markupsafe import Markup

    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
    page = _page(frame, evidence, sections(evidence, tables, pictures))
    return str(_template("report.html.j2", escaping=True).render(page=page, style=style))


def markdown(
    frame: Frame, evidence: Evidence, tables: Sequence[Table], pictures: Sequence[Picture]
) -> str:
    """Return the report as Markdown; its figures are the PNG files beside it."""
    page = _page(frame, evidence, sections(evidence, tables, pictures))
    text = _template("report.md.j2", escaping=False).render(page=page)
    return re.sub(r"\n{3,}", "\n\n", text)


def _template(name: str, *, escaping: bool) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=escaping,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = render.markdown_line
    environment.globals["markdown"] = render.markdown
    return environment.get_template(name)


def _page(frame: Frame, evidence: Evidence, parts: Sequence[Section]) -> dict[str, Any]:
    trials = [trial for arm in evidence.arms for trial in arm.trials]
    return {
        **vars(frame),
        "summary": summary(evidence),
        "compared": [
            {"anchor": _anchor(task, protocol), "title": _heading(task, protocol), "text": text}
            for (task, protocol), text in compared(evidence).items()
        ],
        "warnings": warnings(evidence),
        "sections": parts,
        "notes": [{"run": trial.id, "text": trial.note} for trial in trials if trial.note.strip()],
    }


def sections(
    evidence: Evidence, tables: Sequence[Table], pictures: Sequence[Picture]
) -> list[Section]:
    """Return tables and figures in the order of reading: tasks, all games, costs, origins."""
    found = []
    for task, protocol in groups(evidence):
        of_task = [
            t for t in tables if t.kind == "comparison" and (t.task, t.protocol) == (task, protocol)
        ]
        drawn = [p for p in pictures if (p.task, p.protocol) == (task, protocol)]
        drawn = [picture for picture in drawn if picture.kind != "gallery"]
        found.append(_section(_anchor(task, protocol), _heading(task, protocol), of_task, drawn))
    rest = [
        ("aggregate", "part-games", "Over several games"),
        ("budget", "part-cost", "What it cost"),
    ]
    for kind, anchor, title in rest:
        over_tasks = [p for p in pictures if kind == "aggregate" and not p.task]
        found.append(_section(anchor, title, [t for t in tables if t.kind == kind], over_tasks))
    gallery = [picture for picture in pictures if picture.kind == "gallery"]
    found.append(_section("part-gallery", "Pictures from the runs", [], gallery))
    origins = [table for table in tables if table.kind in ("provenance", "unfinished")]
    found.append(_section("part-origins", "Where the numbers come from", origins, []))
    return [section for section in found if section.tables or section.figures]


def _anchor(task: str, protocol: str) -> str:
    return f"part-{slug(task, protocol)}"  # the table is called by the slug alone


def _heading(task: str, protocol: str) -> str:
    return f"{task}, {protocol}"


def _section(
    anchor: str, title: str, tables: Sequence[Table], pictures: Sequence[Picture]
) -> Section:
    return Section(anchor, title, tuple(tables), tuple(map(_shown, pictures)))


def _shown(picture: Picture) -> Shown:
    from markupsafe import Markup

    if not picture.files:
        return Shown(picture.kind, picture.title, picture.caption, "", "")
    last = picture.files[-1]
    vector = next((path for path in picture.files if path.suffix == ".svg"), None)
    image = inline(vector, picture.title) if vector else embedded(last, picture.title)
    link = f"{last.parent.name}/{last.name}"
    return Shown(picture.kind, picture.title, picture.caption, Markup(image), link)


def inline(path: Path, title: str) -> str:
    """Return an SVG for a page: it scales, takes the page's colours, and its ids are its own."""
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, count=1, flags=re.DOTALL)
    opening, rest = text.split(">", 1)
    opening = re.sub(r' (width|height|version|xmlns)="[^"]*"', "", opening)
    prefix = f"{path.stem}-"
    rest = re.sub(r'\bid="', f'id="{prefix}', rest)
    rest = rest.replace("url(#", f"url(#{prefix}").replace('href="#', f'href="#{prefix}')
    for colour, variable in SHADES.items():
        rest = rest.replace(colour, f"var(--{variable})")
    return f'{opening} role="img" aria-label="{escape(title)}">{rest.rstrip()}'


def embedded(path: Path, title: str) -> str:
    """Return a PNG with its bytes in the page."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img src="data:image/png;base64,{data}" alt="{escape(title)}">'
