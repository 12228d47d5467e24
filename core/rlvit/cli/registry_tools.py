"""`rlvit registry query`, `upgrade` and `check`: questions in SQL, the schema, what is damaged."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rlvit.cli.ranges import NumberRange
from rlvit.cli.tables import format_option, size
from rlvit.errors import UsageProblem


@click.command("query")
@click.argument("statement", required=False, metavar="[SELECT|-]")
@click.option("--file", "file", metavar="FILE", help="Read the statement from a file.")
@format_option
@click.option(
    "--limit",
    type=click.IntRange(1, 2**31 - 1),
    help="Print so many rows and count the rest. [table: 200, else all]",
)
@click.option(
    "--timeout",
    type=NumberRange(0.001, 10**6),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up after.",
)
@click.pass_context
def query(
    ctx: click.Context,
    statement: str | None,
    file: str | None,
    style: str,
    limit: int | None,
    timeout: float,
) -> None:
    """Ask the registry in SQL; `-` reads the statement from standard input.

    Nothing can be changed. Without a statement the views and their columns are listed;
    docs/registry.md says what they mean.
    """
    from rlvit.cli.answers import print_answer
    from rlvit.registry.asking import JSON_COLUMNS, ask

    ctx.obj.require_registry()
    if statement is None and file is None:
        _list_views(ctx.obj.registry_url, style)
        return
    text = _statement(statement, file)
    with ask(ctx.obj.registry_url, text, timeout) as answer:
        print_answer(answer.columns, answer.rows, style, limit, JSON_COLUMNS)


def _statement(given: str | None, file: str | None) -> str:
    """Return the statement that was given in one of three ways; raises UsageProblem."""
    if given is not None and file is not None:
        raise UsageProblem("give a statement or --file, not both.")
    if given not in (None, "-"):
        return str(given)
    try:
        return sys.stdin.read() if file is None else Path(file).read_text(encoding="utf-8")
    except OSError as problem:
        raise UsageProblem(f"--file {file}: {problem.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageProblem("the statement is not UTF-8 text.") from None


def _list_views(url: str, style: str) -> None:
    """Print the views and tables with their columns."""
    from rlvit.cli.tables import show
    from rlvit.registry.asking import tables_and_views
    from rlvit.registry.database import open_to_read

    engine = open_to_read(url)
    found = tables_and_views(engine)
    engine.dispose()
    rows = [{"view or table": name, "columns": ", ".join(found[name])} for name in found]
    show(rows, style)


@click.command("upgrade")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="PostgreSQL: a backup has been made, do not ask.")
@click.pass_context
def upgrade(ctx: click.Context, dry_run: bool, yes: bool) -> None:
    """Bring the registry to the schema of this version of rlvit.

    An SQLite registry is copied first. Of one in PostgreSQL make a copy with pg_dump.
    """
    from rlvit.registry.database import (
        open_to_read,
        schema_of,
        shown_url,
        upgrade_database,
    )
    from rlvit.registry.schema import REVISION

    ctx.obj.require_registry()
    url = ctx.obj.registry_url
    engine = open_to_read(url, any_schema=True)
    found, sqlite = schema_of(engine), engine.dialect.name == "sqlite"
    engine.dispose()
    if found == REVISION:
        click.echo(f"{shown_url(url)} has schema {found}, the newest that this rlvit knows.")
        return
    click.echo(f"{shown_url(url)}: schema {found} -> {REVISION}")
    if dry_run:
        click.echo("Nothing was changed." + (" It would be copied first." if sqlite else ""))
        return
    if not sqlite and not yes:
        _confirm_backup()
    engine, done = upgrade_database(url)
    engine.dispose()
    click.echo(_done(done, REVISION))


def _confirm_backup() -> None:
    """Ask whether there is a backup; raises UsageProblem where nobody can answer."""
    text = "rlvit cannot copy a PostgreSQL database: make a backup with pg_dump first."
    if not sys.stdin.isatty():
        raise UsageProblem(f"{text} Then give --yes.")
    click.confirm(f"{text} Is there one?", abort=True)


def _done(upgrade: Any, revision: str) -> str:
    if upgrade is None:
        return f"Another process was first: it has schema {revision}."
    copy = f"; as it was: {upgrade.copy}" if upgrade.copy else ""
    return f"Upgraded from {upgrade.before} to {revision}{copy}"


@click.command("check")
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@click.option("--quick", is_flag=True, help="Do not read artifacts and checkpoints to the end.")
@click.option(
    "--fix", is_flag=True, help="Store rows that only a folder has, write run.json again."
)
@click.pass_context
def check(ctx: click.Context, run_ids: tuple[str, ...], quick: bool, fix: bool) -> int:
    """Compare the registry with the folders of its runs, of all or of some RUN.

    Nothing is changed without --fix, and nothing is ever removed. Ends with code 1 if something is
    damaged, missing or contradicts itself.
    """
    from rlvit.cli.run import program
    from rlvit.registry import queries
    from rlvit.registry.database import open_to_read
    from rlvit.runs.audit.check import Audit

    ctx.obj.require_registry()
    engine = open_to_read(ctx.obj.registry_url)
    try:
        only = {queries.find_run(engine, text).id for text in run_ids} if run_ids else None
        audit = Audit(ctx.obj, engine, quick=quick, only=only, say=_progress)
        begun, found, called = time.monotonic(), [], program(ctx.obj)
        for finding in audit.findings():
            _progress("")
            click.echo(finding.shown(called))
            found.append(finding)
        _progress("")
        click.echo(_summary(audit, found, time.monotonic() - begun))
    finally:
        engine.dispose()
    if fix and found:
        _mend(ctx, found)
    return int(any(finding.wrong for finding in found))


def _progress(text: str) -> None:
    """Show on a terminal what is being done; nothing takes it away."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r{text[:width]:<{width}}\r", nl=False, err=True)


def _summary(audit: Any, found: Sequence[Any], seconds: float) -> str:
    """Say what was looked at and how much is wrong."""
    wrong = sum(finding.wrong for finding in found)
    parts = [f"{audit.runs:,} {'run' if audit.runs == 1 else 'runs'}"]
    if audit.shelves.read:
        speed = f" ({size(audit.shelves.read / seconds)}/s)" if seconds > 1 else ""
        parts.append(f"{size(audit.shelves.read)} of artifacts read{speed}")
    if audit.alive:
        parts.append(f"{audit.alive:,} under way, not looked into")
    if audit.elsewhere:
        parts.append(f"{audit.elsewhere:,} kept in other homes, not looked into")
    outcome = f"{wrong:,} wrong" if wrong else "nothing wrong"
    return f"{', '.join(parts)}: {outcome}, {len(found) - wrong:,} that could go."


def _mend(ctx: click.Context, found: Sequence[Any]) -> None:
    """Mend what can be mended, and say which runs that was."""
    from rlvit.registry.store import Store
    from rlvit.runs.audit.mend import mend

    store = Store(ctx.obj.registry_url)
    try:
        done = mend(store, ctx.obj, found)
    finally:
        store.close()
    for run_id in done:
        click.echo(f"{run_id}: mended")
    click.echo(f"{len(done):,} mended; check once more." if done else "Nothing could be mended.")
