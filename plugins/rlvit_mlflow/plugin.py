"""Shows runs in MLflow: an ordinary plugin, written with the run events alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlvit.hookspecs import hookimpl

if TYPE_CHECKING:
    from rlvit.contracts import Diagnosis, LoggedRow, RunView
    from rlvit_mlflow.writer import Writer

RLVIT_API = ">=1.1,<2"  # the versions of the plugin API that this is written for


class MlflowTracker:
    """Has one background writer for each run that is under way."""

    def __init__(self) -> None:
        self._writers: dict[str, Writer] = {}

    @hookimpl
    def rlvit_run_started(self, run: RunView) -> None:
        """Begin to write; the run does not wait for MLflow."""
        from rlvit_mlflow.writer import Writer

        self._writers[run.id] = Writer(run)

    @hookimpl
    def rlvit_run_logged(self, run: RunView, rows: Sequence[LoggedRow]) -> None:
        """Pass rows on."""
        writer = self._writers.get(run.id)
        if writer is not None:
            writer.add(rows)

    @hookimpl
    def rlvit_run_ended(self, run: RunView) -> None:
        """Write the end; a run whose process died is ended by whoever noticed."""
        from rlvit_mlflow.store import store_exists
        from rlvit_mlflow.writer import Writer

        writer = self._writers.pop(run.id, None)
        if writer is None:
            # A run of another machine has its rows there: whoever has its folder writes it.
            if not store_exists(run.home) or not run.folder.is_dir():
                return
            writer = Writer(run)
        writer.finish(run)

    @hookimpl
    def rlvit_commands(self) -> Sequence[click.Command]:
        """Offer `rlvit ui` and `rlvit mlflow`."""
        return [ui, mlflow]

    @hookimpl
    def rlvit_doctor(self, home: Path) -> Sequence[Diagnosis]:
        """Look after MLflow's store."""
        from rlvit_mlflow.doctor import look

        return list(look(home))


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.pass_obj
def ui(home: Any, port: int) -> None:
    """Open the MLflow UI of this home, on this machine only."""
    import os
    import subprocess
    import sys

    from rlvit.errors import RlvitError, UsageProblem
    from rlvit_mlflow.store import (
        artifact_root,
        move_along,
        own_file,
        serves_artifacts,
        store_exists,
        tracking_uri,
        without_password,
    )

    root = Path(home.root)
    if serves_artifacts():
        click.echo(f"MLflow is at {without_password(tracking_uri(root))} (MLFLOW_TRACKING_URI)")
        return
    if not store_exists(root):
        runs = next((root / "runs").glob("*/run.json"), None) is not None
        how = "`rlvit mlflow sync` makes it of the runs" if runs else "`rlvit run` makes one"
        raise UsageProblem(f"there is no MLflow store under {root} yet; {how}.")
    if (file := own_file(root)) is not None:
        move_along(file, artifact_root(root))
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", tracking_uri(root)),
        *("--default-artifact-root", artifact_root(root).as_uri()),
    ]
    click.echo(f"MLflow is starting on http://127.0.0.1:{port} (Ctrl-C stops it)")
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    try:
        code = subprocess.call(command, env=environment)
    except KeyboardInterrupt:
        return
    if code:
        raise RlvitError(f"MLflow ended with code {code}; is port {port} taken? Try --port.")


@click.group()
def mlflow() -> None:
    """Keep MLflow in step with the registry."""


@mlflow.command()
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Say what is missing and write nothing.")
@click.option("--thorough", is_flag=True, help="Compare every point and file of every run.")
@click.pass_obj
def sync(home: Any, runs: tuple[str, ...], dry_run: bool, thorough: bool) -> None:
    """Write what MLflow missed of runs that have ended; what it has stays.

    RUN is an id, the start or end of one, a name, or `latest`; without any, all runs are looked at
    that are not archived. Runs that were deleted in MLflow come back only where they are named.
    """
    from rlvit import Registry
    from rlvit_mlflow.sync import sync as fill

    registry = Registry(home.root, home.registry_url)
    try:
        tally = fill(registry, runs, dry=dry_run, thorough=thorough, say=click.echo)
    finally:
        registry.close()
    click.echo(tally.summary(dry_run))


tracker = MlflowTracker()
