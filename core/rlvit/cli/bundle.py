"""`rlvit export` and `rlvit import`: runs as one file, for another home."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlvit.cli.filters import page_of_runs, run_filters
from rlvit.cli.session import load_catalog, open_registry, warn_of_lost_registry
from rlvit.errors import RlvitError, UsageProblem

if TYPE_CHECKING:
    from rlvit.runs.bundle.importing import Imported

SUFFIX = ".rlvit"
UNDER_WAY = ("created", "running")
EVERY = 2.0  # seconds between lines of progress where no person watches


@click.command("export")
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@click.option("--out", "-o", metavar="FILE", help="A new file.  [default: ./RUN.rlvit]")
@click.option("--study", metavar="NAME", help="The runs of a study's trials.")
@run_filters
@click.option("--all", "everything", is_flag=True, help="All runs but those under way.")
@click.option("--with-replay", "replay", is_flag=True, help="Also what unfinished runs remember.")
@click.option("--without-shared", is_flag=True, help="Not the artifacts that runs share.")
@click.option(
    "--without-weights",
    is_flag=True,
    help="Not the weights of networks: numbers, pictures and tables alone.",
)
@click.pass_context
def export_command(
    ctx: click.Context,
    /,
    run_ids: tuple[str, ...],
    out: str | None,
    study: str | None,
    everything: bool,
    replay: bool,
    without_shared: bool,
    without_weights: bool,
    **filters: Any,
) -> int:
    """Write runs into one file that `rlvit import` reads in another home.

    RUN is an id, the start or end of one, a name, or `latest`. Filters choose among all runs that
    are not archived; --all takes the archived ones too, and leaves out those under way.
    """
    from rlvit.runs.bundle.export import export_bundle
    from rlvit.runs.bundle.gather import Wanted

    if replay and without_weights:
        raise UsageProblem("--with-replay is for a resume, which needs the weights as well.")
    wanted = Wanted(replay, not without_shared, not without_weights)
    with open_registry(ctx.obj) as store:
        chosen = _chosen(store, run_ids, study, everything, filters)
        path = _target(out, chosen)
        began = time.monotonic()
        with _Progress("packing") as progress:
            done = export_bundle(store, ctx.obj, chosen, path, wanted, progress)
    for remark in done.remarks:
        click.echo(remark, err=True)
    for what, size in sorted(done.left_out.items()):
        click.echo(f"left out: {what}, {megabytes(size)}", err=True)
    if without_shared and "shared artifacts" in done.left_out:
        click.echo("a resume in a home without them builds them again", err=True)
    parts = [_count(done.runs, "run"), *([_count(done.studies, "study")] if done.studies else [])]
    click.echo(
        f"{done.path}: {' and '.join(parts)}, {megabytes(done.size)} "
        f"({megabytes(done.unpacked)} unpacked), in {time.monotonic() - began:.1f} s"
    )
    return 0


def _chosen(
    store: Any,
    run_ids: tuple[str, ...],
    study: str | None,
    everything: bool,
    filters: Mapping[str, Any],
) -> list[str]:
    """Return the ids of the runs that are meant; raises UsageProblem if there are none."""
    from rlvit.registry import queries
    from rlvit.runs.bundle.study import runs_of

    given = any(value not in (None, False) for value in filters.values())
    if sum((bool(run_ids), study is not None, everything, given)) != 1:
        raise UsageProblem(
            "give RUNs, or --study, or filters such as --tag, or --all: one of the four."
        )
    if everything:
        return _all_ended(store)
    if run_ids:
        return list(dict.fromkeys(queries.find_run(store.engine, text).id for text in run_ids))
    if study is not None:
        known = [one for one in runs_of(store, study) if queries.has_run(store.engine, one)]
        if not known:
            raise UsageProblem(f"study {study} has no run yet.")
        return known
    page = page_of_runs(store.engine, limit=2**31 - 1, offset=0, **filters)
    if not page.records:
        raise UsageProblem("no run fits these filters; `rlvit runs list` takes the same.")
    if busy := [record for record in page.records if record.state in UNDER_WAY]:
        raise UsageProblem(
            f"run {busy[0].id} is {busy[0].state}: --state completed leaves it out, or wait for "
            "its end."
        )
    return [record.id for record in page.records]


def _all_ended(store: Any) -> list[str]:
    """Return the ids of all runs, archived or not, and name those under way, which stay.

    Raises:
        UsageProblem: there is none.
    """
    from rlvit.registry import queries

    records = queries.list_runs(store.engine, archived=None)
    for record in records:
        if record.state in UNDER_WAY:
            _say(f"left out: {record.id} is {record.state}")
    ended = [record.id for record in records if record.state not in UNDER_WAY]
    if not ended:
        raise UsageProblem("there is no run to export.")
    return ended


def _target(out: str | None, chosen: list[str]) -> Path:
    """Return where the bundle goes; raises UsageProblem if that must be said."""
    if out is None and len(chosen) > 1:
        raise UsageProblem(f"--out FILE: say where the {len(chosen)} runs are to be written.")
    path = Path(out or f"{chosen[0]}{SUFFIX}").expanduser()
    if path.is_dir():
        raise UsageProblem(f"--out {path}: a file was expected, this is a folder.")
    return path


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--no-tell", is_flag=True, help="Do not tell plugins of the runs.")
@click.pass_context
def import_command(ctx: click.Context, files: tuple[str, ...], no_tell: bool) -> int:
    """Take the runs of files that `rlvit export` wrote into this home.

    A file is taken as a whole or not at all; what is here already stays as it is.
    """
    from rlvit.runs.bundle.importing import announce, import_bundle

    ctx.obj.require_writable()
    warn_of_lost_registry(ctx.obj)
    catalog, changed = load_catalog(), list[str]()
    problem: RlvitError | None = None
    for file in dict.fromkeys(files):
        began = time.monotonic()
        try:
            with _Progress("unpacking") as progress:
                done = import_bundle(catalog, ctx.obj, Path(file).expanduser(), _say, progress)
        except RlvitError as refusal:
            _say(f"Error: {refusal}")
            problem = problem if problem and problem.exit_code < 2 else refusal
            continue
        for remark in done.remarks:
            _say(remark)
        _show(file, done, time.monotonic() - began)
        changed += done.changed
    if changed and not no_tell:
        announce(catalog, ctx.obj, list(dict.fromkeys(changed)), _say)
    return 0 if problem is None else problem.exit_code


def _show(file: str, done: Imported, seconds: float) -> None:
    """Say what became of a bundle's runs."""
    words = {
        "new": "new",
        "later": "went on since they were here",
        "completed": "already here, files that were missing or damaged brought back",
        "same": "already here",
        "earlier": "already here in a later state",
    }
    parts = [f"{_count(getattr(done, key), 'run')} {text}" for key, text in words.items()]
    shown = [part for part, key in zip(parts, words, strict=True) if getattr(done, key)]
    if done.studies:
        shown.append(_count(done.studies, "study"))
    if done.shared:
        shown.append(_count(done.shared, "shared artifact"))
    click.echo(f"{file}: {', '.join(shown)} ({megabytes(done.unpacked)} in {seconds:.1f} s)")
    if done.light:
        runs = _count(done.light, "run")
        click.echo(f"without weights, so nothing can be computed with their networks here: {runs}")
    if done.annotated:
        click.echo(f"tags, note or archive mark taken over: {_count(done.annotated, 'run')}")
    if done.own_notes:
        kept = _count(done.own_notes, "run")
        click.echo(f"tags, note or archive mark differ from the bundle's and are kept: {kept}")


def _say(text: str) -> None:
    click.echo(text, err=True)


def _count(things: Any, name: str) -> str:
    number = len(things)
    plural = name[:-1] + "ies" if name.endswith("y") else name + "s"
    return f"{number:,} {name if number == 1 else plural}"


def megabytes(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size / 1e6:,.1f} MB"


class _Progress:
    """Shows how far a bundle is: in one place of a terminal, or a line every few seconds."""

    def __init__(self, verb: str) -> None:
        self._verb, self._at = verb, time.monotonic()
        self._watched = sys.stderr.isatty()
        self._every = 0.1 if self._watched else EVERY
        self._shown = False

    def __enter__(self) -> Callable[[int, int], None]:
        return self._update

    def __exit__(self, *_: object) -> None:
        if self._shown and self._watched:
            click.echo("\r\x1b[K", nl=False, err=True)

    def _update(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._at < self._every or not total:
            return
        self._at, self._shown = now, True
        text = f"{self._verb} {megabytes(done)} of {megabytes(total)} ({done / total:.0%})"
        click.echo(f"\r{text}\x1b[K" if self._watched else text, nl=not self._watched, err=True)
