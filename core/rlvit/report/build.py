"""Writes a report into a folder, and tells whether one still matches the registry."""

from __future__ import annotations

import filecmp
import importlib.metadata
import json
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rlvit.catalog import Catalog
from rlvit.errors import UsageProblem

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from rlvit.report.cells import Table
    from rlvit.report.model import Evidence
    from rlvit.report.page import Frame

FORMATS = ("html", "md", "latex", "csv", "json")
FILTERS = ("method", "task", "protocol", "tag")
RECORD = "report.json"  # what a report was asked to be, and the files it has
DRAWN_WITH = ("rlvit", "numpy", "matplotlib")  # packages that page and figures depend on


@dataclass(frozen=True)
class Order:
    """What a report is asked to be."""

    filters: Mapping[str, str] = field(default_factory=dict)  # of FILTERS
    baseline: str | None = None
    formats: tuple[str, ...] = FORMATS
    seed: int = 0  # of the bootstrap
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
        return shlex.join([*words, *self.place])

    @property
    def check(self) -> str:
        """Return the command that tells whether the report still matches."""
        return shlex.join(["rlvit", "report", *self.place, "--check"])


def build(engine: Engine, catalog: Catalog, out: Path, order: Order) -> list[Path]:
    """Write a report; files of an earlier one in the same folder that are no more are removed.

    Args:
        engine: of the registry.
        catalog: of the plugins.
        out: the report's folder; it is made.
        order: what to write.

    Returns:
        The files, by name.

    Raises:
        UnknownName: nothing has a name that was asked for.
        UsageProblem: `out` holds something else than a report.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / RECORD).exists())):
        raise UsageProblem(f"{out} exists and is no report; name another folder.")
    before = recorded(out)[1] if (out / RECORD).exists() else []
    with _fresh(engine, catalog, out, order) as fresh:
        names = _files(fresh)
        for name in names:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(fresh / name, out / name)
    for name in set(before) - set(names):
        (out / name).unlink(missing_ok=True)
    for folder in ("figures", "tables"):
        if (out / folder).is_dir() and not any((out / folder).iterdir()):
            (out / folder).rmdir()
    return [out / name for name in names]


def check(engine: Engine, catalog: Catalog, out: Path) -> tuple[list[str], list[str]]:
    """Return the files of a report that no longer match the registry, and those not compared.

    Page and figures are compared only if the packages that drew them are still the same.

    Raises:
        UsageProblem: there is no report in `out`.
    """
    order, known = recorded(out)
    with _fresh(engine, catalog, out, order) as fresh:
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
            place=tuple(map(str, order["place"])),
        )
        names = [str(name) for name in found["files"]]
    except (KeyError, TypeError, ValueError) as problem:
        raise UsageProblem(f"{path} cannot be read ({problem}); make the report anew.") from None
    inside = [
        name for name in names if ".." not in Path(name).parts and not Path(name).is_absolute()
    ]
    return wanted, [*inside, RECORD]


@contextmanager
def _fresh(engine: Engine, catalog: Catalog, out: Path, order: Order) -> Iterator[Path]:
    """Write a report into a temporary folder beside `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        fresh = Path(folder)
        _write(engine, catalog, fresh, order)
        yield fresh


def _files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _write(engine: Engine, catalog: Catalog, folder: Path, order: Order) -> None:
    from rlvit.report import collect, page, plots
    from rlvit.report.tables import tables

    evidence = collect.gather(engine, catalog, **order.filters)
    found = tables(evidence, baseline=order.baseline, seed=order.seed)
    _write_tables(found, folder, order)
    pages: dict[str, tuple[str, Callable[..., str]]] = {
        "html": ("index.html", page.html),
        "md": ("report.md", page.markdown),
    }
    wanted = [pages[form] for form in order.formats if form in pages]
    if wanted:
        pictures = plots.figures(
            evidence, engine, folder / "figures", seed=order.seed, tables=found
        )
        frame = _frame(catalog, evidence, order)
        for name, write in wanted:
            _put(folder / name, write(frame, evidence, found, pictures))
    record = {"order": asdict(order), "made_with": _tools(), "files": _files(folder)}
    _put(folder / RECORD, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


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
