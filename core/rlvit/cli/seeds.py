"""Several seeds of one run: side by side, with one display and one summary."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from rlvit.cli.progress import Bars, Lines

if TYPE_CHECKING:
    from rlvit.contracts import StageProgress
    from rlvit.home import Home
    from rlvit.runs.display import Display
    from rlvit.runs.execute import RunOutcome
    from rlvit.runs.plan import Request
    from rlvit.runs.together import Ended, Message

GROUP = "group"  # the tag that the runs of one command share


class Board:
    """Shows runs side by side: the stage that each is at."""

    def __init__(self, labels: Sequence[str], every: float) -> None:
        bars = Bars() if sys.stderr.isatty() else None
        self._display: Display = bars or Lines(every)
        self._labels, self._bars = labels, bars
        self._stages: dict[int, StageProgress] = {}
        self.ended: dict[int, Ended] = {}

    def hear(self, number: int, message: Message) -> None:
        """Show what is new of a run."""
        from rlvit.runs.together import Begun, Reached, Said

        if isinstance(message, Said):
            self.say(number, message.text)
        elif isinstance(message, Begun):
            self._forget(number)
            name = f"{self._labels[number]} {message.name}"
            self._stages[number] = self._display.stage(name, message.total, message.unit)
        elif isinstance(message, Reached):
            self._stages[number].update(message.done, **message.shown)
        else:
            self._forget(number)
            self.ended[number] = message
            state = message.outcome.state if message.outcome else "not completed"
            self.say(number, f"{state}: {message.error}" if message.error else state)

    def say(self, number: int, text: str) -> None:
        """Show a message of a run."""
        self._display.say(f"{self._labels[number]}: {text}")

    def _forget(self, number: int) -> None:
        """Take the bar of a run's last stage away: a terminal has room for one a run."""
        stage = self._stages.pop(number, None)
        if self._bars is not None and stage is not None:
            self._bars.remove(stage)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._display.close()


def side_by_side(
    home: Home,
    request: Request,
    seeds: Sequence[int],
    at_once: int,
    every: float,
    selector_from: str | None,
) -> list[Ended]:
    """Run seeds at once, each with its share of the threads; return how they ended, in order."""
    from rlvit.runs.plan import resolve_threads
    from rlvit.runs.together import Job, carry_out, share

    threads = share(resolve_threads(request.threads), at_once)
    asked = replace(request, threads=threads, trained=None)
    jobs = [Job(home, replace(asked, seed=seed), selector_from) for seed in seeds]
    board = Board([f"seed {seed}" for seed in seeds], every)
    try:
        carry_out(jobs, at_once, board.hear)
    finally:
        board.close()
    return [board.ended[number] for number in range(len(jobs))]


def summary(outcomes: Sequence[RunOutcome]) -> list[dict[str, Any]]:
    """Return a row a metric: mean, sample sd and interquartile mean over runs, with intervals.

    The mean has the interval that reports give it, the interquartile mean that of the bootstrap.
    """
    import numpy as np

    from rlvit.report.stats import bootstrap, iqm, mean_interval

    values: dict[str, list[float]] = {}
    for outcome in outcomes:
        last = {one.metric: one.value for one in outcome.results}
        for metric, value in last.items():
            values.setdefault(metric, []).append(value)
    rows = []
    for metric, found in values.items():
        if len(found) < 2:
            continue
        mean, middle = mean_interval(found), bootstrap(found, iqm, expanded=True)
        rows.append(
            {
                "over seeds": metric,
                "mean": mean.value,
                "95 %": _interval(mean.low, mean.high),
                "sd": float(np.std(found, ddof=1)),
                "IQM": middle.value,
                "its 95 %": _interval(middle.low, middle.high),
                "n": len(found),
            }
        )
    return rows


def _interval(low: float, high: float) -> str:
    return f"{low:,.4g} to {high:,.4g}"


def conclude(ended: Sequence[Ended], seeds: Sequence[int], group: str, called: str) -> int:
    """Print what the runs measured together and what is left to do; return the exit code."""
    from rlvit.cli.tables import show

    outcomes = [one.outcome for one in ended if one.outcome is not None]
    completed = [one for one in outcomes if one.state == "completed"]
    rows = summary(completed)
    if rows:
        show(rows, "table")
    for seed, one in zip(seeds, ended, strict=True):
        if one.outcome is None:
            click.echo(f"seed {seed}: {one.error}")
            continue
        short = one.outcome.id.rpartition("-")[2]
        then = "runs show" if one.outcome.state == "completed" else "resume"
        click.echo(f"seed {seed}: {one.outcome.state:<11}  {called} {then} {short}")
    click.echo(
        f"{len(completed)} of {len(seeds)} completed; {called} runs list --tag group={group}"
    )
    codes = [one.code for one in ended]
    return 130 if 130 in codes else max(codes)
