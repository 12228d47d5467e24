"""`rlvit replay` and `rlvit play`: finished runs of SPIRL and DE-Rainbow to look at.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlvit.errors import RlvitError, UsageProblem

if TYPE_CHECKING:
    from rlvit.contracts import Episode, FinishedRun

METHODS = ("spirl", "de-rainbow")
ENDINGS = (".gif", ".mp4")
SEEDS = click.IntRange(0, 2**31 - 1)


def commands() -> list[click.Command]:
    """Return the commands, for `rlvit_commands`."""
    return [_replay(), _play()]


def _replay() -> click.Command:
    @click.command("replay")
    @click.argument("run_id", metavar="RUN")
    @click.option("--episodes", metavar="N", type=click.IntRange(1), default=1, show_default=True)
    @click.option(
        "--out", metavar="DIR", help="Where to write.  [default: HOME/reports/replay-RUN]"
    )
    @click.option("--seed", metavar="S", type=SEEDS, help="Of other games than those scored.")
    @click.option(
        "--film", type=click.Choice(["gif", "mp4", "none"]), default="gif", show_default=True
    )
    @click.pass_obj
    def replay(
        home: Any, run_id: str, episodes: int, out: str | None, seed: int | None, film: str
    ) -> None:
        """Draw and film the games that an agent was scored on.

        RUN is a completed run of spirl or de-rainbow: an id, the start or end of one, a name, or
        `latest`. Games are played again as they were evaluated; beside each film is an .npz with
        the selection in every frame.
        """
        if film == "mp4":
            _require_ffmpeg()
        found = find(home, run_id)
        target = (
            Path(out).expanduser() if out else home.root / "reports" / f"replay-{found.view.id}"
        )
        try:
            target.mkdir(parents=True, exist_ok=True)
            _show(found, target, episodes, seed, film)
        except OSError as problem:
            raise RlvitError(f"--out {target}: cannot be written ({problem.strerror}).") from None

    return replay


def _play() -> click.Command:
    @click.command("play")
    @click.argument("run_id", metavar="RUN")
    @click.option("--game", metavar="NAME", help="Another game with as many actions.")
    @click.option("--episodes", metavar="N", type=click.IntRange(1), default=3, show_default=True)
    @click.option("--seed", metavar="S", type=SEEDS, help="Of the games.  [default: the run's]")
    @click.option("--record", metavar="FILE", help="Film the first game as a .gif or .mp4.")
    @click.pass_obj
    def play(
        home: Any,
        run_id: str,
        game: str | None,
        episodes: int,
        seed: int | None,
        record: str | None,
    ) -> None:
        """Let a trained agent play, and print its scores.

        RUN is a completed run of spirl or de-rainbow: an id, the start or end of one, a name, or
        `latest`. The games are not those that it was scored on, but go by the same protocol. They
        are played one after another.
        """
        path = None if record is None else _recording(record)
        _play_games(find(home, run_id), game, episodes, seed, path)

    return play


def find(home: Any, run_id: str) -> FinishedRun:
    """Return the completed run that a text means.

    Raises:
        UsageProblem: there is none, it is not completed, or its method is another.
    """
    from rlvit import Registry

    registry = Registry(home.root, home.registry_url)
    try:
        view = registry.view(run_id)
        if view.method not in METHODS:
            expected = " or ".join(METHODS)
            raise UsageProblem(f"run {view.id} is of {view.method}; expected one of {expected}.")
        return registry.revive(view.id)
    finally:
        registry.close()


def _show(found: FinishedRun, out: Path, episodes: int, seed: int | None, form: str) -> None:
    """Play, and write pictures of the first game and a film of each."""
    from rlvit_spirl import film as films
    from rlvit_spirl import loading, overlay, showing

    player = loading.load(found)
    camera = films.Camera(player.policy, episodes)
    scored = {} if seed is not None else {one.index: one for one in found.episodes}

    def ended(episode: Episode) -> None:
        camera.scored(episode.index, episode.score)
        draws = player.has_drawn()
        click.echo(_line(episode) + _compared(episode, scored.get(episode.index), seed, draws))

    loading.games(found, camera, ("evaluate", seed), episodes, ended)
    written, seconds = list[Path](), showing.step_seconds(found)
    for film in camera.films:
        title = f"{found.task.name}, game {film.index}: {film.score:,.0f} points"
        if film is camera.films[0]:
            named = f"{title}, {found.view.id}"
            whole = player.features is None
            subject = None if whole else showing.subject_of(found, player, named, camera.films)
            written += showing.pictures(out, film, subject, named)
        if film.length > len(film.frames):
            click.echo(f"game {film.index}: only its first {len(film.frames):,} steps are filmed")
        path = out / f"game-{film.index}.{form}"
        if form != "none":
            overlay.write_film(film, title, path, seconds)
            written.append(path)
        if film.kept:
            film.save(path.with_suffix(".npz"))
            written.append(path.with_suffix(".npz"))
    click.echo(f"written to {out}: {', '.join(path.name for path in written)}")


def _play_games(
    found: FinishedRun, game: str | None, episodes: int, seed: int | None, record: Path | None
) -> None:
    """Play, print, and write the film of the first game if it is wanted."""
    from rlvit_spirl import film as films
    from rlvit_spirl import loading, overlay, showing

    task = found.task if game is None else found.another(game)
    if task.name != found.task.name:
        _require_actions(found, task)
    player = loading.load(found, places=1)
    camera = films.Camera(player.policy, int(record is not None))
    ended = list[Any]()

    def tell(episode: Episode) -> None:
        camera.scored(episode.index, episode.score)
        ended.append(episode)
        click.echo(_line(episode))

    loading.games(found, camera, ("play", seed), episodes, tell, task)
    score = statistics.fmean(one.score for one in ended)
    length = statistics.fmean(one.length for one in ended)
    click.echo(f"mean of {len(ended)}: {score:,.1f} points in {length:,.1f} steps")
    if record is not None:
        title = f"{task.name}, game 0: {camera.films[0].score:,.0f} points"
        try:
            overlay.write_film(camera.films[0], title, record, showing.step_seconds(found))
        except OSError as problem:
            raise RlvitError(f"--record {record}: {problem.strerror or problem}.") from None
        click.echo(f"written: {record}")


def _require_actions(found: FinishedRun, task: Any) -> None:
    """Raise UsageProblem unless another game has as many actions as the run's own."""
    from rlvit_spirl.loading import action_count

    own, other = action_count(found, found.task, {}), action_count(found, task, {})
    if own != other:
        raise UsageProblem(
            f"--game {task.name}: it has {other} actions, {found.task.name} has {own}: the agent "
            "has one output for each action of the game that it learnt."
        )
    click.echo(f"{task.name} is not the game that the agent learnt ({found.task.name}).")


def _line(episode: Episode) -> str:
    return f"game {episode.index}: {episode.score:,.0f} points in {episode.length:,} steps"


def _compared(episode: Episode, scored: Episode | None, seed: int | None, draws: bool) -> str:
    """Say whether a game is the very one that was scored."""
    if seed is not None:
        return ""
    if draws:
        return " (other draws of the selector's than when it was scored)"
    if scored is None:
        return " (a game beyond those that were scored)"
    if (scored.score, scored.length) == (episode.score, episode.length):
        return ", as it was scored"
    return (
        f"; it was scored with {scored.score:,.0f} in {scored.length:,}: games repeat exactly on "
        "the same kind of machine with the same versions"
    )


def _recording(record: str) -> Path:
    """Return where a film goes; raises UsageProblem if it cannot be written there."""
    path = Path(record).expanduser()
    if path.suffix.lower() not in ENDINGS:
        raise UsageProblem(f"--record {record}: expected a name ending in {' or '.join(ENDINGS)}.")
    if not path.absolute().parent.is_dir():
        raise UsageProblem(f"--record {record}: there is no folder {path.absolute().parent}.")
    if path.exists():
        raise UsageProblem(f"--record {record}: it is there already; choose another name.")
    if path.suffix.lower() == ".mp4":
        _require_ffmpeg()
    return path


def _require_ffmpeg() -> None:
    """Raise UsageProblem unless MP4s can be written."""
    from importlib.util import find_spec

    if find_spec("imageio_ffmpeg") is None:
        raise UsageProblem("an MP4 needs: pip install imageio-ffmpeg; a GIF needs nothing more.")
