"""The few errors a user can meet; the command line prints them in one line, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RlvitError(Exception):
    """Something went wrong that the message explains. Exit code 1."""

    exit_code = 1


class BrokenPart(RlvitError):
    """A part of a plugin does not do what its contract says; the message names part and rule."""


class UsageProblem(RlvitError):
    """What the user asked for cannot be: an unknown name, a contradiction. Exit code 2."""

    exit_code = 2


class UnknownName(UsageProblem):
    """A name that nothing has; the message suggests the nearest one that exists."""

    def __init__(self, what: str, name: str, known: Iterable[str], remark: str = "") -> None:
        names = sorted(known)
        super().__init__(f"unknown {what} {name!r}.{suggestion(name, names)}{remark}")


class Refused(RlvitError):
    """A comparison was asked for that would mislead. Exit code 3."""

    exit_code = 3


class Interrupted(RlvitError):
    """The run was asked to stop and has written its checkpoint. Exit code 130."""

    exit_code = 130


def suggestion(name: str, names: list[str]) -> str:
    """Return `` Did you mean 'X'?`` for a near miss, else at most 12 of the valid names."""
    lowered = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.5)
    if near:
        return f" Did you mean {lowered[near[0]]!r}?"
    if not names:
        return " There are none."
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f" Known: {listed}."
