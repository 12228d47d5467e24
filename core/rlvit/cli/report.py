"""`rlvit report`: comparison tables and figures from the registry, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlvit.cli.session import load_catalog, open_registry
from rlvit.errors import UsageProblem

if TYPE_CHECKING:
    from rlvit.home import Home

FORMATS = (
    "html",
    "md",
    "latex",
    "csv",
    "json",
)  # of rlvit.report.build, which is not imported here
DEFAULT_NAME = "report"


@click.command()
@click.option("--method", "--plugin", "method", help="Only this method.")
@click.option("--task", "--game", "--dataset", "task", help="Only this task.")
@click.option("--protocol", help="Only this protocol.")
@click.option("--tag", metavar="KEY[=VALUE]", help="Only runs with this tag.")
@click.option(
    "--query", metavar="EXPR", help="Only runs where it is true: preset == 'paper' and seed < 3."
)
@click.option(
    "--baseline",
    metavar="ARM|SLOT=PART",
    help="Add each arm's difference from this arm, or from the arm with this part.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    help="Only this format; repeatable.",
)
@click.option("--name", help="Name of the report and its folder.  [default: report]")
@click.option("--out", metavar="DIR", help="Its folder.  [default: HOME/reports/NAME]")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Of the bootstrap.",
)
@click.option("--mixed", is_flag=True, help="One table a task; refused where protocols differ.")
@click.option("--allow-mixed", is_flag=True, help="The same, each number marked with its protocol.")
@click.option("--trials", is_flag=True, help="Also the runs of studies' trials, as arms.")
@click.option(
    "--published",
    metavar="NAME",
    multiple=True,
    help="Only these numbers from papers or files: a name, * for any text (repeatable), or none.",
)
@click.option("--check", is_flag=True, help="Exit 1 if the report no longer matches the registry.")
@click.pass_context
def report(
    ctx: click.Context, /, check: bool, name: str | None, out: str | None, **wanted: Any
) -> int:
    """Write tables and figures that compare the runs of the registry.

    Every completed run that is not archived counts. The page is `index.html` in the folder.
    """
    folder, place = _folder(ctx.obj, name, out)
    if check:
        if any(wanted.values()):
            raise UsageProblem("--check asks for what the report was asked: give --name or --out.")
        return _check(ctx.obj, folder)
    return _build(ctx.obj, folder, place, wanted)


def _folder(home: Home, name: str | None, out: str | None) -> tuple[Path, tuple[str, ...]]:
    """Return the report's folder, and the words of the command line that name it."""
    if name is not None and out is not None:
        raise UsageProblem("--name and --out both say where the report goes; give one.")
    if out is not None:
        return Path(out).expanduser().resolve(), ("--out", out)
    if name is not None and (not name.strip() or name.startswith(".") or set(name) & set("/\\\0")):
        raise UsageProblem(f"--name {name!r}: expected the name of a folder.")
    return home.root / "reports" / (name or DEFAULT_NAME), () if name is None else ("--name", name)


def _build(home: Home, folder: Path, place: tuple[str, ...], wanted: dict[str, Any]) -> int:
    from rlvit.report.build import FILTERS, Order, build

    order = Order(
        filters={key: wanted[key] for key in FILTERS if wanted[key] is not None},
        baseline=wanted["baseline"],
        formats=tuple(form for form in FORMATS if form in wanted["formats"]) or FORMATS,
        seed=wanted["seed"],
        mixed=wanted["mixed"],
        allow_mixed=wanted["allow_mixed"],
        trials=wanted["trials"],
        published=tuple(wanted["published"]),
        place=place,
    )
    with open_registry(home) as store:
        files = build(
            store.engine,
            load_catalog(),
            folder,
            order,
            lambda line: click.echo(line, err=True),
            home,
        )
    page = folder / "index.html"
    click.echo(f"{len(files)} files in {folder}" if page not in files else f"{page}")
    return 0


def _check(home: Home, folder: Path) -> int:
    from rlvit.report.build import check

    with open_registry(home) as store:
        stale, skipped = check(store.engine, load_catalog(), folder, home)
    if skipped:
        click.echo(
            f"{len(skipped)} files were not compared: other versions drew page and figures",
            err=True,
        )
    for name in stale:
        click.echo(f"stale: {folder / name}")
    if not stale:
        click.echo(f"{folder} matches the registry")
    return 1 if stale else 0
