"""Pictures that runs made of what they do, copied beside the figures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from rlvit.report.canvas import Canvas, Picture, sentences
from rlvit.report.model import Arm, Trial

KIND = "figures"  # of the artifacts that are looked into
PICTURES = 12  # at most
MOST_BYTES = 512_000  # a larger one is left out: all of them are in one page


def gallery(canvas: Canvas) -> list[Picture]:
    """Copy the pictures of the newest run of each arm: the arms take turns until it is full."""
    turns = [_of_arm(canvas, arm) for arm in canvas.evidence.arms]
    found: list[Picture] = []
    while turns and len(found) < PICTURES:
        turn = turns.pop(0)
        picture = next(turn, None)
        if picture is not None:
            found.append(picture)
            turns.append(turn)
    return found


def _of_arm(canvas: Canvas, arm: Arm) -> Iterator[Picture]:
    trial = _newest(canvas, [trial for trial in arm.trials if KIND in trial.artifacts])
    if trial is None:
        return
    for path in sorted(Path(trial.artifacts[KIND]).glob("*.png")):
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            continue
        name = canvas.name("gallery", arm.task, arm.label, path.stem)
        copy = canvas.out / f"{name}.png"
        shutil.copyfile(path, copy)
        title = path.stem.replace("_", " ")
        where = f"{arm.label} on {arm.task}, {arm.protocol}"
        caption = sentences(f"{title[:1].upper()}{title[1:]}: {where}.", f"Run {trial.id}.")
        yield Picture("gallery", arm.task, arm.protocol, title, caption, (copy,))


def _newest(canvas: Canvas, trials: list[Trial]) -> Trial | None:
    """Return the trial whose run was made last; None if there is none."""
    from rlvit.registry import queries

    if len(trials) < 2:
        return trials[0] if trials else None
    return max(trials, key=lambda t: (queries.find_run(canvas.engine, t.id).created_at, t.id))
