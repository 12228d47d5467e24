"""Pictures that runs made of what they do, copied beside the figures."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from rlvit.report.canvas import Canvas, Picture, sentences
from rlvit.report.model import Arm, Trial
from rlvit.report.summary import listed

KIND = "figures"  # of the artifacts that are looked into
PICTURES = 12  # at most
MOST_BYTES = 512_000  # a larger one is left out: all of them are in one page


class _Found(NamedTuple):
    """A picture in an artifact."""

    arm: Arm
    trial: Trial
    path: Path


def gallery(canvas: Canvas) -> list[Picture]:
    """Copy the pictures of the newest run of each arm: the arms take turns until it is full.

    The last picture has no file where some were too large: its caption names them.
    """
    found = [_of_arm(canvas, arm) for arm in canvas.evidence.arms]
    large = [one for of_arm in found for one in of_arm if one.path.stat().st_size > MOST_BYTES]
    turns = zip_longest(*([one for one in of_arm if one not in large] for of_arm in found))
    small = [one for turn in turns for one in turn if one is not None]
    return [_copy(canvas, one) for one in small[:PICTURES]] + _left_out(large)


def _of_arm(canvas: Canvas, arm: Arm) -> list[_Found]:
    trial = _newest(canvas, [trial for trial in arm.trials if KIND in trial.artifacts])
    if trial is None:
        return []
    paths = sorted(Path(trial.artifacts[KIND]).glob("*.png"))
    return [_Found(arm, trial, path) for path in paths if path.is_file()]


def _copy(canvas: Canvas, found: _Found) -> Picture:
    arm, trial, path = found
    name = canvas.name("gallery", arm.task, arm.label, path.stem)
    copy = canvas.out / f"{name}.png"
    shutil.copyfile(path, copy)
    title = path.stem.replace("_", " ")
    where = f"{arm.label} on {arm.task}, {arm.protocol}"
    caption = sentences(f"{title[:1].upper()}{title[1:]}: {where}.", f"Run {trial.id}.")
    return Picture("gallery", arm.task, arm.protocol, title, caption, (copy,))


def _left_out(large: Sequence[_Found]) -> list[Picture]:
    """Return a picture without a file that names those that are too large."""
    if not large:
        return []
    names = listed(f"{path.name} of {trial.id}" for _, trial, path in large)
    caption = f"Left out, being larger than {MOST_BYTES // 1000} kB: {names}."
    return [Picture("gallery", "", "", "Pictures left out", caption, ())]


def _newest(canvas: Canvas, trials: list[Trial]) -> Trial | None:
    """Return the trial whose run was made last; None if there is none."""
    from rlvit.registry import queries

    if len(trials) < 2:
        return trials[0] if trials else None
    return max(trials, key=lambda t: (queries.find_run(canvas.engine, t.id).created_at, t.id))
