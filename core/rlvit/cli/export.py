"""`rlvit export-model`: a trained model as files that need no rlvit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from rlvit.cli.session import load_catalog, open_registry
from rlvit.config import resolve
from rlvit.errors import RlvitError, UsageProblem
from rlvit.specs import ExportRequest


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--out", "-o", metavar="DIR", help="A new folder.  [default: ./RUN-model]")
@click.option(
    "--form",
    default="python",
    show_default=True,
    help="python, or another form that the method names.",
)
@click.pass_context
def export_model(ctx: click.Context, run_id: str, out: str | None, form: str) -> int:
    """Write the trained model of a completed run as plain files.

    RUN is an id, the start or end of one, a name, or `latest`.
    """
    from rlvit.registry import queries

    with open_registry(ctx.obj) as store:
        record = queries.find_run(store.engine, run_id)
    catalog = load_catalog()
    method = catalog.method(record.method)
    if method.export is None:
        raise UsageProblem(f"{record.method} has no model to export.")
    if record.state != "completed":
        raise RlvitError(f"run {record.id} is {record.state}: only a completed run has a model.")
    target = Path(out or f"{record.id}-model").expanduser()
    if target.exists():
        raise UsageProblem(f"--out {target}: it exists already; name a new folder.")
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        method.export(
            ExportRequest(
                folder=ctx.obj.runs / record.id,
                config=resolve(method.config, {}, dict(record.config)),
                task=catalog.task(record.task, method.task_kind),
                slots=dict(record.slots),
                out=temporary,
                form=form,
                say=click.echo,
            )
        )
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for path in sorted(target.iterdir()):
        click.echo(f"{path}  {path.stat().st_size:,} bytes")
    return 0
