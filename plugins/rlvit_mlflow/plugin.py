"""Shows runs in MLflow: an ordinary plugin, written with the run events alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlvit.hookspecs import hookimpl

if TYPE_CHECKING:
    from rlvit.contracts import LoggedRow, RunView
    from rlvit_mlflow.writer import Writer

RLVIT_API = ">=1,<2"  # the versions of the plugin API that this is written for


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
        from rlvit_mlflow.writer import Writer, store_exists

        writer = self._writers.pop(run.id, None)
        if writer is None:
            if not store_exists(run.home):
                return
            writer = Writer(run)
        writer.finish(run)

    @hookimpl
    def rlvit_commands(self) -> Sequence[click.Command]:
        """Offer `rlvit ui`."""
        return [ui]


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.pass_obj
def ui(home: Any, port: int) -> None:
    """Open the MLflow UI of this home, on this machine only."""
    import os
    import subprocess
    import sys

    from rlvit.errors import RlvitError, UsageProblem
    from rlvit_mlflow.writer import artifact_root, store_exists, tracking_uri

    root = Path(home.root)
    if not store_exists(root):
        raise UsageProblem(f"there is no MLflow store under {root} yet; `rlvit run` makes one.")
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


tracker = MlflowTracker()
