"""Everything that there is to see of a trained agent, written into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rlvit.contracts import FinishedRun, RunContext
from rlvit_spirl.film import Camera, Film, seconds_of
from rlvit_spirl.loading import Player
from rlvit_spirl.mae import PATCHES
from rlvit_spirl.overlay import write_film
from rlvit_spirl.pictures import Subject, draw, draw_frames

PAGES = 100  # of the film that a run makes by itself: the whole game, quickly
FEWEST_PAGES = 25
PAGE_SECONDS = 0.12  # that each is shown
MOST_BYTES = 500_000  # of that film; reports leave larger ones out


def show_run(context: RunContext, camera: Camera, subject: Subject | None, title: str) -> None:
    """Keep pictures and a film of the game that a run filmed, its first evaluation game.

    Args:
        context: of the run.
        camera: which filmed at most one game.
        subject: what to draw of the selection; None of an agent that sees whole frames.
        title: what stands on the film.
    """
    for film in camera.films:

        def build(folder: Path, film: Film = film) -> None:
            pictures(folder, film, subject, title)
            hasten(folder / "episode.gif", film, title)
            if film.kept:
                film.save(folder / "episode.npz")

        context.keep("figures", {"seed": context.seed, "game": film.index}, build)


def pictures(folder: Path, film: Film, subject: Subject | None, title: str) -> list[Path]:
    """Draw what does not move; return the files."""
    return draw_frames(folder, title, film) if subject is None else draw(folder, subject, film)


def hasten(path: Path, film: Film, title: str) -> None:
    """Write a whole game as a small GIF, by leaving out as many steps as it takes."""
    pages = PAGES
    while True:
        every = -(-len(film.frames) // pages)
        told = f", 1 step in {every}" if every > 1 else ""
        write_film(film, title + told, path, PAGE_SECONDS, every)
        pages //= 2
        if path.stat().st_size <= MOST_BYTES or pages < FEWEST_PAGES:
            return


def subject_of(found: FinishedRun, player: Player, title: str, films: Sequence[Film]) -> Subject:
    """Return what to draw of a finished run: with the frames that it counted, or those filmed."""
    assert player.features is not None
    path = found.view.folder / "artifacts" / "kept" / "kept.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as table:
            counts, counted = table["frames"], "learning and evaluation"
    else:  # an older run
        kept = np.concatenate([np.array(film.kept).sum(axis=1) for film in films])
        counts, counted = np.bincount(kept, minlength=PATCHES + 1), "these games"
    cap = player.features.shape[0]
    config = player.agent.config
    return Subject(found.task.name, title, player.features, config, cap, counts, counted)


def step_seconds(found: FinishedRun) -> float:
    """Return how long a step of a run's game takes on the screen."""
    return seconds_of(int(found.protocol.settings["frame_skip"]))
