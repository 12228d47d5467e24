"""Tells studies that came by import from those made here, which go on here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rlvit.runs.bundle.names import IMPORT_NOTE


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
