"""Writes a report into a folder, and tells whether one still matches the registry."""

from __future__ import annotations

import filecmp
import importlib.metadata
import json
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rlvit.catalog import Catalog
from rlvit.errors import Refused, UsageProblem
from rlvit.report import place

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from rlvit.home import Home
    from rlvit.report.cells import Table
    from rlvit.report.model import Evidence
    from rlvit.report.page import Frame

FORMATS = ("html", "md", "latex", "csv", "json")
FILTERS = ("method", "task", "protocol", "tag", "query")
RECORD = "report.json"  # what a report was asked to be, and the files it has
# Packages that page and figures depend on.
DRAWN_WITH = ("rlvit", "numpy", "matplotlib", "pillow", "opencv-python-headless")


@dataclass(frozen=True)
class Order:
    """What a report is asked to be."""

    filters: Mapping[str, str] = field(default_factory=dict)  # of FILTERS
    baseline: str | None = None
    formats: tuple[str, ...] = FORMATS
    seed: int = 0  # of the bootstrap
    mixed: bool = False  # one table a task over its protocols, refused where there are several
    allow_mixed: bool = False  # the same, with a footnote at each number
    trials: bool = False  # also runs of studies' trials
    published: tuple[str, ...] = ()  # names of the references to stand beside; empty: all
    place: tuple[str, ...] = ()  # words of the command line that say where, such as --name x

    @property
    def command(self) -> str:
        """Return the command that makes the report again."""
        words = ["rlvit", "report"]
        words += [word for key, value in self.filters.items() for word in (f"--{key}", value)]
        words += ["--baseline", self.baseline] if self.baseline is not None else []
        words += (
            [] if self.formats == FORMATS else [w for f in self.formats for w in ("--format", f)]
        )
        words += ["--seed", str(self.seed)] if self.seed else []
        words += ["--mixed"] if self.mixed else []
        words += ["--allow-mixed"] if self.allow_mixed else []
        words += ["--trials"] if self.trials else []
        words += [word for name in self.published for word in ("--published", name)]
        return shlex.join([*words, *self.place])

    @property
    def check(self) -> str:
        """Return the command that tells whether the report still matches."""
        return shlex.join(["rlvit", "report", *self.place, "--check"])


def build(
    engine: Engine,
    catalog: Catalog,
    out: Path,
    order: Order,
    warn: Callable[[str], None] = lambda text: None,
    home: Home | None = None,
) -> list[Path]:
    """Write a report; files of an earlier one in the same folder that are no more are removed.

    Args:
        engine: of the registry.
        catalog: of the plugins.
        out: the report's folder; it is made.
        order: what to write.
        warn: is told of each section of a plugin that failed.
        home: where artifacts are looked for first, and then where the registry says.

    Returns:
        The files, by name.

    Raises:
        Refused: one table over several protocols is asked for, and not allowed.
        UnknownName: nothing has a name that was asked for.
        UsageProblem: `out` holds something else than a report, cannot be written, or another
            process is writing it.
    """
    _require_report(out)
    with place.held(out):
        before = _before(out)
        with place.beside(out) as fresh:
            for line in _write(engine, catalog, fresh, order, home):
                warn(line)
            names = _files(fresh)
            with place.undisturbed():
                _exchange(fresh, out, before, names)
    return [out / name for name in names]


def _require_report(out: Path) -> None:
    """Raise UsageProblem where a folder holds something else than a report."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / RECORD).exists())):
        raise UsageProblem(f"{out} exists and is no report; name another folder.")


def _before(out: Path) -> list[str]:
    """Return the files of the report that a folder holds."""
    _require_report(out)
    return recorded(out)[1] if (out / RECORD).exists() else []


def _exchange(fresh: Path, out: Path, before: Sequence[str], names: Sequence[str]) -> None:
    """Move a report to its place and remove what the earlier one had more.

    The record comes last. Until then it names the files of both, so that of a process that is
    killed meanwhile none is left behind by the next report.
    """
    out.mkdir(exist_ok=True)
    known = json.loads((fresh / RECORD).read_text(encoding="utf-8"))
    whole = sorted({*before, *names} - {RECORD})
    _put(fresh / "both.json", _text(known | {"files": whole}))
    os.replace(fresh / "both.json", out / RECORD)
    for name in names:
        if name != RECORD:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(fresh / name, out / name)
    for name in set(before) - set(names):
        (out / name).unlink(missing_ok=True)
    for folder in ("figures", "tables"):
        if (out / folder).is_dir() and not any((out / folder).iterdir()):
            (out / folder).rmdir()
    os.replace(fresh / RECORD, out / RECORD)


def check(
    engine: Engine, catalog: Catalog, out: Path, home: Home | None = None
) -> tuple[list[str], list[str]]:
    """Return the files of a report that no longer match the registry, and those not compared.

    Page and figures are compared only if the packages that drew them are still the same.

    Raises:
        UsageProblem: there is no report in `out`.
    """
    order, known = recorded(out)
    with tempfile.TemporaryDirectory(prefix="rlvit-report-") as folder:  # `out` may be read-only
        fresh = Path(folder)
        _write(engine, catalog, fresh, order, home)
        names = sorted({*known, *_files(fresh)})
        same_tools = json.loads((out / RECORD).read_text(encoding="utf-8"))["made_with"] == _tools()
        compared = names if same_tools else [n for n in names if n.startswith("tables/")]
        stale = [n for n in compared if not _same(fresh / n, out / n)]
    return stale, [name for name in names if name not in compared]


def recorded(out: Path) -> tuple[Order, list[str]]:
    """Return what the report in a folder was asked to be, and its files.

    Raises:
        UsageProblem: there is none, or its record cannot be read.
    """
    path = out / RECORD
    if not path.is_file():
        raise UsageProblem(f"there is no report in {out}; `rlvit report` makes one.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        order = found["order"]
        wanted = Order(
            filters={key: str(order["filters"][key]) for key in FILTERS if key in order["filters"]},
            baseline=order["baseline"],
            formats=tuple(form for form in FORMATS if form in order["formats"]),
            seed=int(order["seed"]),
            mixed=bool(order.get("mixed")),
            allow_mixed=bool(order.get("allow_mixed")),
            trials=bool(order.get("trials")),
            published=tuple(map(str, order.get("published", ()))),
            place=tuple(map(str, order["place"])),
        )
        names = [str(name) for name in found["files"]]
    except (KeyError, TypeError, ValueError) as problem:
        raise UsageProblem(f"{path} cannot be read ({problem}); make the report anew.") from None
    inside = [
        name for name in names if ".." not in Path(name).parts and not Path(name).is_absolute()
    ]
    return wanted, [*inside, RECORD]


def _files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _write(
    engine: Engine, catalog: Catalog, folder: Path, order: Order, home: Home | None
) -> list[str]:
    """Write the files of a report; return a line for each section that failed."""
    from rlvit.report import collect, page
    from rlvit.report.canvas import make_canvas
    from rlvit.report.efficiency import efficiency_tables
    from rlvit.report.plots import figures
    from rlvit.report.readings import Readings
    from rlvit.report.sections import (
        collect_sections,
        draw_sections,
        failures,
        own_names,
        pictures_of,
    )
    from rlvit.report.studies import with_studies
    from rlvit.report.tables import mixed_tasks, tables

    evidence = collect.gather(
        engine, catalog, **order.filters, trials=order.trials, quoted=order.published, home=home
    )
    evidence = replace(evidence, baseline=order.baseline)
    if order.mixed and not order.allow_mixed:
        _refuse_mixed(mixed_tasks(evidence))
    joint = order.mixed or order.allow_mixed
    found = tables(evidence, baseline=order.baseline, mixed=joint, seed=order.seed)
    readings = Readings(evidence, engine)
    found += efficiency_tables(readings)
    offered = with_studies(catalog, engine)
    extras = own_names(collect_sections(evidence, engine, offered, seed=order.seed), found)
    pages: dict[str, tuple[str, Callable[..., str]]] = {
        "html": ("index.html", page.html),
        "md": ("report.md", page.markdown),
    }
    wanted = [pages[form] for form in order.formats if form in pages]
    if wanted:
        canvas = make_canvas(evidence, engine, folder / "figures", order.seed)
        extras = draw_sections(canvas, extras)
        pictures = figures(canvas, found, readings, pictures_of(extras))
        frame = _frame(catalog, evidence, order)
        for name, write in wanted:
            _put(folder / name, write(frame, evidence, found, pictures, extras))
    _write_tables(page.in_order(evidence, found, extras), folder, order)
    record = {"order": asdict(order), "made_with": _tools(), "files": _files(folder)}
    _put(folder / RECORD, _text(record))
    return list(failures(extras))


def _refuse_mixed(mixed: Mapping[str, Sequence[str]]) -> None:
    """Raise Refused where a task was measured under several protocols."""
    from rlvit.report.summary import listed

    if mixed:
        several = [f"{task} was measured under {', '.join(mixed[task])}" for task in mixed]
        raise Refused(
            f"{listed(several, '; ')}: one table would compare what does not compare. Choose one "
            "with --protocol, or give --allow-mixed."
        )


def _write_tables(found: Sequence[Table], folder: Path, order: Order) -> None:
    from rlvit.report import render

    writers = {
        "latex": (render.latex, "tex"),
        "csv": (render.csv, "csv"),
        "json": (render.to_json, "json"),
    }
    for form in order.formats:
        if form in writers:
            write, ending = writers[form]
            for table in found:
                _put(folder / "tables" / f"{table.slug}.{ending}", write(table))
    if "latex" in order.formats and found:
        _put(folder / "report.tex", render.latex_document(found, _title(order)))


def _text(record: Mapping[str, object]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "backslashreplace"))


def _frame(catalog: Catalog, evidence: Evidence, order: Order) -> Frame:
    from rlvit.report.page import Frame

    scope = [f"{key} {value}" for key, value in order.filters.items()]
    return Frame(
        title=_title(order),
        scope=(f"Only runs with {', '.join(scope)}.",) if scope else (),
        command=order.command,
        check=order.check,
        versions=", ".join(f"{name} {version}" for name, version in _tools().items()),
        first_runs=() if evidence.arms or scope else tuple(_first_runs(catalog)),
    )


def _title(order: Order) -> str:
    name = order.place[1] if order.place[:1] == ("--name",) else ""
    return f"rlvit report: {name}" if name else "rlvit report"


def _first_runs(catalog: Catalog) -> Iterator[str]:
    """Yield a quick run of each method, on the first task of its kind."""
    for entry in catalog.entries["method"].values():
        kind = entry.spec.task_kind
        tasks = [e.spec.name for e in catalog.entries["task"].values() if e.spec.kind == kind]
        if tasks:
            words = ["rlvit", "run", "--plugin", entry.spec.name, f"--{kind}", tasks[0]]
            yield shlex.join([*words, "--preset", "quick"])


def _tools() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in DRAWN_WITH}
