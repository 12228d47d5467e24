"""Tells what came by import from what was made here, and what of it stayed behind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from rlvit.runs.bundle.names import IMPORT_NOTE


def stayed_behind(folder: Path) -> frozenset[str]:
    """Return what a run was imported without, such as "weights"; nothing of a run made here."""
    try:
        found = json.loads((folder / IMPORT_NOTE).read_bytes())
        return frozenset(map(str, found["left_out"]))
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def came_by_import(runs: Path, run_ids: Iterable[str]) -> bool:
    """Say whether a study is here to be read alone, and goes on in the home where it was made.

    So it is if those of its runs that are here were all imported: one that was made here has no
    note of an import.

    Args:
        runs: the home's folder of runs.
        run_ids: of the study's trials.
    """
    here = [runs / run_id for run_id in run_ids if (runs / run_id).is_dir()]
    return bool(here) and all((folder / IMPORT_NOTE).is_file() for folder in here)
