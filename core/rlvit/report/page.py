"""The page of a report: one HTML file that needs no other, and the same as Markdown."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from rlvit.report import films, render
from rlvit.report.canvas import Picture, places
from rlvit.report.cells import Table, slug
from rlvit.report.drawing import COLOURS, GRID, INK, PAPER
from rlvit.report.model import Evidence
from rlvit.report.sections import Extra
from rlvit.report.summary import compared, summary, warnings
from rlvit.report.tables import ANY

TEMPLATES = Path(__file__).parent / "templates"
OF_TASK = ("comparison", "efficiency")  # kinds of tables that stand in the part of their task
REST = (
    ("imported", "part-imported", "Imported numbers that nothing was run beside"),
    ("aggregate", "part-games", "Over several games"),
    ("budget", "part-cost", "What it cost"),
)
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
class Added:
    """A plugin's section within a part."""

    title: str
    summary: str
    failure: str  # "" if nothing went wrong
    paragraphs: tuple[str, ...]
    tables: tuple[Table, ...]
    figures: tuple[Shown, ...]


@dataclass(frozen=True)
class Section:
    """A part of a page."""

    anchor: str
    title: str
    tables: tuple[Table, ...]
    figures: tuple[Shown, ...]
    added: tuple[Added, ...] = ()


def html(
    frame: Frame,
    evidence: Evidence,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    extras: Sequence[Extra] = (),
) -> str:
    """Return the report as one HTML file: style, tables and figures are all in it."""
    from markupsafe import Markup

    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
    page = _page(frame, evidence, tables, sections(evidence, tables, pictures, extras))
    return str(_template("report.html.j2", escaping=True).render(page=page, style=style))


def markdown(
    frame: Frame,
    evidence: Evidence,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    extras: Sequence[Extra] = (),
) -> str:
    """Return the report as Markdown; its figures are the PNG files beside it."""
    page = _page(frame, evidence, tables, sections(evidence, tables, pictures, extras))
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


def _page(
    frame: Frame, evidence: Evidence, tables: Sequence[Table], parts: Sequence[Section]
) -> dict[str, Any]:
    trials = [trial for arm in evidence.arms for trial in arm.trials]
    return {
        **vars(frame),
        "summary": summary(evidence, joint=any(table.protocol == ANY for table in tables)),
        "compared": [
            {"anchor": _anchor(task, protocol), "title": _heading(task, protocol), "text": text}
            for (task, protocol), text in compared(evidence).items()
        ],
        "warnings": warnings(evidence),
        "sections": parts,
        "notes": [{"run": trial.id, "text": trial.note} for trial in trials if trial.note.strip()],
    }


def sections(
    evidence: Evidence,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    extras: Sequence[Extra] = (),
) -> list[Section]:
    """Return tables and figures in the order of reading: tasks, all games, costs, origins."""
    found = []
    for task, protocol in _parts(evidence, tables):
        of_task = [
            table
            for table in tables
            if table.kind in OF_TASK and (table.task, table.protocol) == (task, protocol)
        ]
        drawn = [p for p in pictures if (p.task, p.protocol) == (task, protocol)]
        drawn = [picture for picture in drawn if picture.kind != "gallery"]
        added = [extra for extra in extras if (extra.task, extra.protocol) == (task, protocol)]
        anchor, heading = _anchor(task, protocol), _heading(task, protocol)
        found.append(_section(anchor, heading, of_task, drawn, added))
    for kind, anchor, title in REST:
        over_tasks = [p for p in pictures if kind == "aggregate" and not p.task]
        found.append(_section(anchor, title, [t for t in tables if t.kind == kind], over_tasks))
    gallery = [picture for picture in pictures if picture.kind == "gallery"]
    found.append(_section("part-gallery", "Pictures from the runs", [], gallery))
    origins = [table for table in tables if table.kind in ("provenance", "unfinished")]
    found.append(_section("part-origins", "Where the numbers come from", origins, []))
    return [section for section in found if section.tables or section.figures or section.added]


def in_order(
    evidence: Evidence, tables: Sequence[Table], extras: Sequence[Extra] = ()
) -> list[Table]:
    """Return all tables, those of plugins' sections too, in the order of the page."""
    found = []
    for section in sections(evidence, tables, (), extras):
        found += [*section.tables, *(table for added in section.added for table in added.tables)]
    return found


def _parts(evidence: Evidence, tables: Sequence[Table]) -> list[tuple[str, str]]:
    """Return the task and protocol of each part: a joint table stands before its protocols'."""
    apart = list(places(evidence))
    joint = [(t.task, t.protocol) for t in tables if t.kind == "comparison"]
    joint = [key for key in joint if key not in apart]
    tasks = dict.fromkeys(task for task, _ in apart)
    return [key for task in tasks for key in [*joint, *apart] if key[0] == task]


def _anchor(task: str, protocol: str) -> str:
    return f"part-{slug(task, protocol)}"  # the table is called by the slug alone


def _heading(task: str, protocol: str) -> str:
    return f"{task}, {protocol}"


def _section(
    anchor: str,
    title: str,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    extras: Sequence[Extra] = (),
) -> Section:
    figures = tuple(map(_shown, pictures))
    return Section(anchor, title, tuple(tables), figures, tuple(map(_added, extras)))


def _added(extra: Extra) -> Added:
    section = extra.section
    return Added(
        title=section.title,
        summary=section.summary,
        failure=extra.failure if extra.problem else "",
        paragraphs=extra.paragraphs,
        tables=extra.tables,
        figures=tuple(map(_shown, extra.pictures)),
    )


def _shown(picture: Picture) -> Shown:
    from markupsafe import Markup

    if not picture.files:
        return Shown(picture.kind, picture.title, picture.caption, "", "")
    first, last = picture.files[0], picture.files[-1]
    show = inline if first.suffix == ".svg" else embedded
    image = show(first, picture.title)
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
    """Return a PNG, GIF or MP4 with its bytes in the page."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    source = f'src="data:{films.MEDIA[path.suffix]};base64,{data}"'
    if path.suffix == ".mp4":
        return f'<video {source} title="{escape(title)}" controls loop muted playsinline></video>'
    return f'<img {source} alt="{escape(title)}">'
