"""Shows a run's progress: bars in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque

import click

from rlvit.contracts import StageProgress
from rlvit.runs.cost import words
from rlvit.runs.display import Display

WINDOW = 60.0  # seconds over which speed is counted, more where a unit takes longer


def make_display(every: float) -> Display:
    """Return bars for a terminal, else lines every `every` seconds."""
    return Bars() if sys.stderr.isatty() else Lines(every)


class Rate:
    """Speed of the last minute, since a stage may begin fast or beside other work."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._marks = deque[tuple[float, int]]()  # (time, units done), the first before the window
        self._latest = (0.0, 0)  # when the last unit was done, and how many were

    def at(self, done: int) -> tuple[float, float]:
        """Return units a second and the seconds left.

        Between two units the speed stands still, and the time left goes down. On resume a stage
        does not begin at zero.
        """
        now = time.monotonic()
        if not self._marks:
            self._marks.append((now, done))
            self._latest = (now, done)
        if done != self._latest[1]:
            self._latest = (now, done)
            if now - self._marks[-1][0] >= 1:
                self._marks.append((now, done))
        while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()
        (since, begun), (until, reached) = self._marks[0], self._latest
        if reached == begun or until <= since:
            return 0.0, float("inf")
        speed = (reached - begun) / (until - since)
        return speed, max(0.0, (self.total - reached) / speed - (now - until))


class Lines:
    """One plain line every few seconds, for logs."""

    def __init__(self, every: float) -> None:
        self._every = every

    def stage(self, name: str, total: int, unit: str) -> StageProgress:
        """Begin to show a stage."""
        return _StageLines(name, total, unit, self._every)

    def say(self, text: str) -> None:
        """Print a message."""
        click.echo(text, err=True)

    def close(self) -> None:
        """Nothing is open."""


class _StageLines:
    def __init__(self, name: str, total: int, unit: str, every: float) -> None:
        self._name, self._total, self._unit, self._every = name, total, unit, every
        self._rate = Rate(total)
        self._at = 0.0

    def update(self, done: int, **shown: float) -> None:
        now = time.monotonic()
        speed, left = self._rate.at(done)
        if now - self._at < self._every and done < self._total:
            return
        self._at = now
        click.echo(
            f"{self._name} {_figures(done, self._total, self._unit, speed, left, shown)}", err=True
        )


class Bars:
    """A bar for each stage, with the latest values beside it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True),
        )
        self._progress.start()

    def stage(self, name: str, total: int, unit: str) -> StageProgress:
        """Begin to show a stage."""
        return _StageBar(self._progress, name, total, unit)

    def remove(self, stage: StageProgress) -> None:
        """Take a stage's bar away."""
        if isinstance(stage, _StageBar):
            stage.remove()

    def say(self, text: str) -> None:
        """Print a message above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()


class _StageBar:
    def __init__(self, progress: object, name: str, total: int, unit: str) -> None:
        from rich.progress import Progress

        assert isinstance(progress, Progress)
        self._progress, self._unit, self._total = progress, unit, total
        self._rate = Rate(total)
        self._task = progress.add_task(name, total=total, figures="")
        self._at = 0.0

    def remove(self) -> None:
        """Take the bar away."""
        self._progress.remove_task(self._task)

    def update(self, done: int, **shown: float) -> None:
        now = time.monotonic()
        speed, left = self._rate.at(done)
        if now - self._at < 0.1 and done < self._total:
            return
        self._at = now
        figures = _figures(done, self._total, self._unit, speed, left, shown)
        self._progress.update(self._task, completed=done, figures=figures)


def _figures(
    done: int, total: int, unit: str, speed: float, left: float, shown: dict[str, float]
) -> str:
    values = "".join(f"  {name} {value:,.4g}" for name, value in shown.items())
    rate = f"  {speed:,.0f}/s" if speed >= 100 else f"  {speed:.2g}/s" if speed > 0 else ""
    rest = f"  {words(left)} left" if left < float("inf") and done < total else ""
    return f"{done:,}/{total:,} {unit}{rate}{rest}{values}"
