"""The table of an evaluation, one row an item, as a run left it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.registry import queries

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND = "predictions-"  # and the step it was made at
FILE = "predictions.npz"


def item_table(engine: Engine, home: Home, run_id: str) -> Mapping[str, NDArray[Any]]:
    """Return the columns of a run's last table.

    Raises:
        RlvitError: the run has none, or its file is gone or damaged.
    """
    import numpy as np

    found = [a for a in queries.artifacts(engine, run_id) if a.kind.startswith(KIND)]
    if not found:
        raise RlvitError(f"run {run_id} has no table of what it measured item by item.")
    last = max(found, key=lambda artifact: int(artifact.kind.removeprefix(KIND)))
    path = home.located(Path(last.path)) / FILE
    try:
        with np.load(path, allow_pickle=False) as table:
            return dict(table)
    except (OSError, ValueError) as problem:
        raise RlvitError(f"the table {path} of run {run_id} cannot be read: {problem}") from None
