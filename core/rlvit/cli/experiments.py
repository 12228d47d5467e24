"""How `rlvit plugins show` lists a method's experiments: each with a command to be copied."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlvit.specs import Experiment, MethodSpec

WIDEST = 24  # characters of the first column
UNSEEN = 160  # characters of a line where there is no terminal, as of other tables


def listing(method: MethodSpec) -> Iterator[str]:
    """Yield the lines of a method's experiments; none if it lists none.

    Text is folded to the terminal's width. Commands never are, since a line that the terminal
    breaks is still copied whole; they begin further to the left where one is too long to fit.
    """
    if not method.experiments:
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNSEEN
    first = min(WIDEST, max(len(one.reproduces) for one in method.experiments))
    second = max(20, width - first - 4)
    commands = [one.command(method) for one in method.experiments]
    indent = first + 6 if first + 6 + max(map(len, commands)) <= width else 4
    open_ended = any(one.preset and not one.task for one in method.experiments)
    yield ""
    yield "  experiments" + f" ({method.task_kind.upper()} is yours to choose)" * open_ended
    for one, command in zip(method.experiments, commands, strict=True):
        yield from _text(one, first, second)
        if command:
            yield " " * indent + command
            for line in textwrap.wrap(one.note, second):
                yield " " * (first + 4) + line


def _text(experiment: Experiment, first: int, second: int) -> Iterator[str]:
    """Yield what it reproduces, and beside it what it is, in columns of so many characters."""
    said = experiment.name
    if not experiment.preset:
        said += f"; published numbers only: {experiment.note}"
    left, right = textwrap.wrap(experiment.reproduces, first), textwrap.wrap(said, second)
    for where, what in zip_longest(left, right, fillvalue=""):
        yield f"  {where:<{first}}  {what}".rstrip()
