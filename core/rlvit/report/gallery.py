"""Pictures and films that runs made of what they do, copied beside the figures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from rlvit.errors import RlvitError
from rlvit.report import films
from rlvit.report.canvas import Canvas, Picture, sentences
from rlvit.report.model import Arm, Trial
from rlvit.report.summary import listed

KIND = "figures"  # of the artifacts that are looked into
PICTURES = 12  # at most


class _Found(NamedTuple):
    """A picture or film in an artifact."""

    arm: Arm
    trial: Trial
    path: Path


def gallery(canvas: Canvas, elsewhere: Collection[Path] = ()) -> list[Picture]:
    """Copy the pictures and films of the newest run of each arm: they take turns until it is full.

    Those that the report shows `elsewhere` are left alone. The last picture has no file where some
    were left out: its caption names them.
    """
    found = [_of_arm(canvas, arm) for arm in canvas.evidence.arms]
    found = [[one for one in of_arm if one.path not in elsewhere] for of_arm in found]
    large = [one for of_arm in found for one in of_arm if films.is_large(one.path)]
    turns = zip_longest(*([one for one in of_arm if one not in large] for of_arm in found))
    small = [one for turn in turns for one in turn if one is not None]
    shown, unreadable = [], []
    for one in small[:PICTURES]:
        try:
            shown.append(_copy(canvas, one))
        except RlvitError as problem:
            unreadable.append(f"{problem} ({one.trial.id})")
    return shown + _left_out(large, unreadable)


def _of_arm(canvas: Canvas, arm: Arm) -> list[_Found]:
    trial = _newest(canvas, [trial for trial in arm.trials if KIND in trial.artifacts])
    if trial is None:
        return []
    folder = Path(trial.artifacts[KIND])
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [_Found(arm, trial, path) for path in paths if films.is_shown(path)]


def _copy(canvas: Canvas, found: _Found) -> Picture:
    arm, trial, path = found
    stem = canvas.out / canvas.name("gallery", arm.task, arm.label, path.stem)
    files = films.copied(path, stem)
    title = path.stem.replace("_", " ")
    where = f"{arm.label} on {arm.task}, {arm.protocol}"
    caption = sentences(f"{title[:1].upper()}{title[1:]}: {where}.", f"Run {trial.id}.")
    return Picture("gallery", arm.task, arm.protocol, title, caption, files)


def _left_out(large: Sequence[_Found], unreadable: Sequence[str]) -> list[Picture]:
    """Return a picture without a file that names those that are too large or broken."""
    if not large and not unreadable:
        return []
    names = listed(f"{path.name} of {trial.id}" for _, trial, path in large)
    caption = sentences(
        f"Left out, being larger than {films.MOST_BYTES // 1000} kB: {names}." if large else "",
        f"Left out: {listed(unreadable, '; ')}." if unreadable else "",
    )
    return [Picture("gallery", "", "", "Pictures left out", caption, ())]


def _newest(canvas: Canvas, trials: list[Trial]) -> Trial | None:
    """Return the trial whose run was made last; None if there is none."""
    from rlvit.registry import queries

    if len(trials) < 2:
        return trials[0] if trials else None
    return max(trials, key=lambda t: (queries.find_run(canvas.engine, t.id).created_at, t.id))
