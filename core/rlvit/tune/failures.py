"""Tells failures of a trial's own values from those of its surroundings, which none can mend."""

from __future__ import annotations

from collections.abc import Sequence

from rlvit.errors import RlvitError, UsageProblem
from rlvit.registry.records import TrialRecord
from rlvit.runs.plan import Plan, make_plan
from rlvit.tune.study import OpenStudy

MOST = 3  # failures one after another before a worker ends, unless it is told otherwise


class Surroundings(RlvitError):
    """What every trial needs is not there: the worker ends, and its trial stays open."""


def check(opened: OpenStudy) -> None:
    """Look for what every run of a study needs, before a trial is begun.

    Raises:
        Surroundings: it is not there.
    """
    reason = refusal_of_all(opened)
    if reason is None:
        reason = missing(make_plan(opened.catalog, opened.request_without_values()))
    if reason is not None:
        raise Surroundings(f"no run of {opened.record.name} can begin here: {reason}")


def refusal_of_all(opened: OpenStudy) -> str | None:
    """Return why not even a run without a trial's values can be planned here; None if it can."""
    try:
        make_plan(opened.catalog, opened.request_without_values())
    except UsageProblem as problem:
        return str(problem)
    return None


def missing(plan: Plan) -> str | None:
    """Return why a task's images or its environment cannot be used here; None if they can."""
    settings = plan.protocol.settings
    try:
        if plan.task.load is not None:
            plan.task.load(settings, plan.data_request(lambda text: None))
        elif plan.task.make is not None:
            plan.task.make(settings, plan.seed)
    except RlvitError as problem:
        return str(problem)
    except Exception as problem:  # of any library that reads files or emulates a game
        return f"{type(problem).__name__}: {problem}".partition("\n")[0]
    return None


def in_a_row(trials: Sequence[TrialRecord], since: float) -> list[TrialRecord]:
    """Return the trials that failed one after another until now, the newest first.

    Args:
        trials: of a study, those taken from others left out.
        since: when, in seconds since 1970; what ended before does not count.

    Where any trial had an end that says something, settings that were refused without a run are
    no sign of trouble, and do not count.
    """
    ended = [one for one in trials if one.ended_at is not None and one.ended_at >= since]
    ended.sort(key=lambda one: one.ended_at or 0.0, reverse=True)
    some_went_well = any(one.state in ("completed", "pruned") for one in trials)
    found = []
    for one in ended:
        if one.state != "failed":
            break
        if one.runs or not some_went_well:
            found.append(one)
    return found
