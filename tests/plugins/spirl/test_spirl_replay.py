"""`rlvit replay` and `rlvit play`: a finished run is looked at again, exactly as it was scored."""

from __future__ import annotations

import importlib.util
import shutil
import sqlite3
import statistics
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rlvit import Registry
from rlvit.cli.main import invoke
from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.runs import execute
from rlvit.runs.plan import Request, make_plan
from rlvit_spirl import loading
from rlvit_spirl.film import read_film
from rlvit_spirl.loading import load
from rlvit_spirl.overlay import Reel

PICTURES = {"attention.png", "patches_kept.png", "reconstructions.png", "selection.png"}
NO_FFMPEG = importlib.util.find_spec("imageio_ffmpeg") is None


@pytest.fixture
def mine(unbroken: Any, tmp_path: Path) -> tuple[Path, str]:
    """A copy of a home with a completed run, and the run."""
    return shutil.copytree(unbroken.home, tmp_path / "home"), unbroken.id


def episodes_of(home: Path, run: str) -> list[tuple[float, int]]:
    """Scores and lengths of a run's evaluation, in order."""
    registry = Registry(home)
    rows = registry.episodes(run)
    registry.close()
    return [(float(one.score), int(one.length)) for one in rows.itertuples()]


def told(score: float, length: int) -> str:
    """How a game is told."""
    return f"{score:,.0f} points in {length:,} steps"


def test_a_replay_shows_the_very_games_that_were_scored(
    mine: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, run = mine
    out = tmp_path / "out"
    given = ["--home", str(home), "replay", run, "--episodes", "3", "--out", str(out)]
    assert invoke(given) == 0
    lines = capsys.readouterr().out.splitlines()
    scored = episodes_of(home, run)
    assert len(scored) == 2
    assert lines[:2] == [
        f"game {index}: {told(*one)}, as it was scored" for index, one in enumerate(scored)
    ]
    assert lines[2].startswith("game 2: ")
    assert lines[2].endswith("(a game beyond those that were scored)")
    names = {f"game-{number}.{form}" for number in range(3) for form in ("gif", "npz")}
    assert {path.name for path in out.iterdir()} == PICTURES | names
    assert lines[3].startswith(f"written to {out}: ")
    for name in PICTURES:
        with Image.open(out / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 10  # something is drawn
    for index, (score, length) in enumerate(scored):
        film = read_film(out / f"game-{index}.npz")
        assert (film.score, film.length, len(film.frames)) == (score, length, length)
        assert {int(mask.sum()) for mask in film.kept} <= set(range(2, 15))  # at most the cap
        assert all(
            (kept >= seen).all() for kept, seen in zip(film.kept, film.attended, strict=True)
        )
        assert all(0 < share < 1 for share in film.on_patches)
    reel = Reel(film, "a title")
    with Image.open(out / "game-1.gif") as gif:
        assert gif.size == reel.page(0).shape[1::-1]

    assert invoke(["--home", str(home), "replay", run, "--film", "none", "--seed", "5"]) == 0
    assert "scored" not in capsys.readouterr().out
    (other,) = (home / "reports").iterdir()
    assert other.name == f"replay-{run}"
    assert {path.name for path in other.iterdir()} == {*PICTURES, "game-0.npz"}
    first, another = read_film(out / "game-0.npz"), read_film(other / "game-0.npz")
    assert not np.array_equal(first.frames, another.frames)


def test_figures_are_an_artifact_and_change_nothing(tiny: Any, unbroken: Any, home: Path) -> None:
    outcome = tiny.start(home, figures=True)
    assert outcome.state == "completed", outcome.error
    story = tiny.outcome_of(home, outcome.id)
    for part in ("results", "episodes", "agent", "agent.safetensors"):
        assert story[part] == unbroken.story[part]
    registry = Registry(home)
    (figures,) = (one for one in registry.view(outcome.id).artifacts if one.kind == "figures")
    registry.close()
    names = {path.name for path in figures.folder.iterdir()} - {"artifact.json"}
    assert names == PICTURES | {"episode.gif", "episode.npz"}
    film = read_film(figures.folder / "episode.npz")
    assert film.length == episodes_of(home, outcome.id)[0][1]


def test_what_a_run_found_and_drew_is_known(mine: tuple[Path, str], tiny: Any) -> None:
    home, run = mine
    registry = Registry(home)
    found = registry.revive(run)
    registry.close()
    assert [(one.score, one.length) for one in found.episodes] == episodes_of(home, run)
    config = found.config.model_copy(update={"keep_ratio": None})  # Breakout has no published one
    player = load(replace(found, config=config))
    assert player.features is not None
    assert player.features.shape == (14, 64)  # the cap is read from what the run kept
    assert not player.has_drawn()
    drawing = tiny.make_catalog().entry("selector", "random").spec
    assert load(replace(found, parts={**found.parts, "selector": drawing})).has_drawn()
    (home / "runs" / run / "artifacts" / "kept" / "kept.npz").unlink()
    with pytest.raises(RlvitError, match="made by an older rlvit"):
        load(replace(found, config=config))


@pytest.mark.parametrize(
    ("recorded", "devices", "used"),
    [
        ("cpu", 1, "cpu"),
        ("cuda", 0, "cpu"),
        ("cuda", 1, "cuda"),
        ("cuda:1", 2, "cuda:1"),
        ("cuda:1", 1, "cuda"),
    ],
)
def test_a_run_computes_on_its_device_or_the_nearest(
    recorded: str, devices: int, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: devices > 0)
    assert str(loading._device(torch.device(recorded))) == used


def test_an_agent_plays_and_is_recorded(
    mine: tuple[Path, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home, run = mine
    film = tmp_path / "film.gif"
    given = ["--home", str(home), "play", run, "--episodes", "2", "--seed", "4"]
    assert invoke([*given, "--record", str(film)]) == 0
    *games, mean, written = capsys.readouterr().out.splitlines()
    words = [line.split() for line in games]
    assert [" ".join(line[:2]) for line in words] == ["game 0:", "game 1:"]
    score = statistics.fmean(float(line[2]) for line in words)
    length = statistics.fmean(float(line[5]) for line in words)
    assert mean == f"mean of 2: {score:,.1f} points in {length:,.1f} steps"
    assert written == f"written: {film}"
    with Image.open(film) as found:
        assert found.format == "GIF"
    at_once: list[int] = []

    def play(found: Any, policy: Any, *rest: Any) -> None:
        at_once.append(policy.places)
        as_ever(found, policy, *rest)

    as_ever = loading.games
    monkeypatch.setattr(loading, "games", play)
    assert invoke(given) == 0
    assert at_once == [1]  # one after another
    again = capsys.readouterr()
    assert again.out.splitlines()[:2] == games  # the same seed, the same games
    assert again.err == ""


def test_a_terminal_shows_how_far_the_games_are(
    mine: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, run = mine
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes what it writes to for a terminal
    assert invoke(["--home", str(home), "play", run, "--episodes", "2"]) == 0
    said = capsys.readouterr()
    assert "0 of 2 games ended, step " in said.err
    assert [line.split()[0] for line in said.out.splitlines()] == ["game", "game", "mean"]
    assert "points" not in said.err


def test_de_rainbow_is_replayed_too(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, catalog = tmp_path / "home", tiny.make_catalog()
    fields = catalog.method("de-rainbow").config.model_fields
    values = {name: value for name, value in tiny.VALUES.items() if name in fields}
    request = Request(
        plugin="de-rainbow",
        task=tiny.GAME,
        protocol="tiny",
        preset="paper",
        values={**values, "figures": True},
        device="cpu",
        threads=1,
    )
    plan = make_plan(catalog, request)
    outcome = execute.start(catalog, Home.locate(home), plan, tiny.Rehearsal())
    assert outcome.state == "completed", outcome.error
    figures = outcome.folder / "artifacts" / "figures"
    kept = {path.name for path in figures.iterdir()} - {"artifact.json"}
    assert kept == {"frames.png", "episode.gif"}
    out = tmp_path / "out"
    assert invoke(["--home", str(home), "replay", "latest", "--out", str(out)]) == 0
    (score, length), _ = episodes_of(home, outcome.id)
    assert capsys.readouterr().out.startswith(f"game 0: {told(score, length)}, as it was scored")
    assert {path.name for path in out.iterdir()} == {"frames.png", "game-0.gif"}


def refusal(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    """The one line with which a command is refused."""
    assert invoke(list(given)) in (1, 2)
    found = capsys.readouterr()
    assert found.out == ""
    (line,) = found.err.splitlines()
    return line


def test_what_cannot_be_is_refused_in_one_line(
    mine: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, run = mine

    def refused(*given: str) -> str:
        return refusal(capsys, "--home", str(home), *given)

    assert "no run 'nobody'" in refused("replay", "nobody") or "nobody" in refused("play", "nobody")
    assert "--episodes" in refused("replay", run, "--episodes", "0")
    assert "'avi' is not one of" in refused("replay", run, "--film", "avi")
    assert "ending in .gif or .mp4" in refused("play", run, "--record", "film.avi")
    assert "there is no folder" in refused("play", run, "--record", str(tmp_path / "no" / "a.gif"))
    wrong = refused("play", run, "--game", "Pong")
    assert "--game Pong: it has 6 actions, Breakout has 4" in wrong
    assert "Breakout" in refused("play", run, "--game", "Brakeout")  # the nearest
    blocked = tmp_path / "file"
    blocked.touch()
    assert "cannot be written" in refused("replay", run, "--out", str(blocked))


@pytest.mark.skipif(not NO_FFMPEG, reason="imageio-ffmpeg is installed: MP4s can be written")
def test_without_ffmpeg_an_mp4_is_refused_before_a_game_is_played(
    mine: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    home, run = mine
    for given in (("replay", run, "--film", "mp4"), ("play", run, "--record", "film.mp4")):
        assert "imageio-ffmpeg" in refusal(capsys, "--home", str(home), *given)


@pytest.mark.skipif(NO_FFMPEG, reason="imageio-ffmpeg is not installed: no MP4 can be written")
def test_an_mp4_has_a_page_for_every_step(mine: tuple[Path, str], tmp_path: Path) -> None:
    import cv2

    home, run = mine
    given = ["--home", str(home), "replay", run, "--film", "mp4", "--out", str(tmp_path / "out")]
    assert invoke(given) == 0
    found, pages = cv2.VideoCapture(str(tmp_path / "out" / "game-0.mp4")), 0
    while found.grab():
        pages += 1
    assert pages == episodes_of(home, run)[0][1]


@pytest.mark.parametrize("kind", ["mae", "agent"])
def test_a_run_that_is_not_whole_is_refused(
    mine: tuple[Path, str], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home, run = mine
    weights = home / "runs" / run / "artifacts" / kind / f"{kind}.safetensors"
    whole = weights.read_bytes()
    other = bytes([whole[-1] ^ 1])  # a last bit: every reader of safetensors would take it
    for bad in (whole[:1000], whole[:-1] + other):
        weights.write_bytes(bad)
        line = refusal(capsys, "--home", str(home), "replay", run)
        assert f"run {run} has no sound {kind!r}" in line
    shutil.rmtree(weights.parent)
    line = refusal(capsys, "--home", str(home), "play", run)
    assert f"run {run} has no {kind!r}" in line


@pytest.mark.parametrize("command", ["play", "replay"])
@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("run SET state", "interrupted", "is interrupted; expected a completed one."),
        ("experiment SET method", "glimpse", "is of glimpse; expected one of spirl or de-rainbow."),
    ],
)
def test_runs_of_others_and_unfinished_ones_are_refused(
    mine: tuple[Path, str],
    command: str,
    place: str,
    value: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home, run = mine
    with closing(sqlite3.connect(home / "registry.db")) as database, database:
        database.execute(f"UPDATE {place} = ?", (value,))
    line = refusal(capsys, "--home", str(home), command, "latest")
    assert line == f"Error: run {run} {said}"
    assert not list((home / "reports").glob("replay*"))
