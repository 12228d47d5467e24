"""What a report says first: what was compared, and what is missing from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite

from rlvit.report import stats
from rlvit.report.canvas import groups
from rlvit.report.differences import names_baseline
from rlvit.report.model import Arm, Evidence

MOST_NAMES = 6  # that a sentence lists
MOST_ARMS = 24  # of a task that the summary names
APART = "Results under different protocols are never in one table."
JOINT = (
    "Tables over several protocols were asked for: each number there is marked with its protocol, "
    "and differences may come from the protocols alone."
)


def summary(evidence: Evidence, *, joint: bool = False) -> list[str]:
    """Return the sentences about what was compared; `joint`: over protocols, as was asked for."""
    arms = evidence.arms
    if not arms:
        return ["There is no completed run to report on."]
    runs = sum(len(arm.trials) for arm in arms)
    text = (
        f"{count(len(arms), 'arm')} of {count(len({a.method for a in arms}), 'method')} on "
        f"{count(len({a.task for a in arms}), 'task')} under "
        f"{count(len({a.protocol for a in arms}), 'protocol')}, from {count(runs, 'completed run')}"
        ". An arm is a configuration; its runs differ in their seed alone. "
    ) + (JOINT if joint else APART)
    if not evidence.references:
        return [text]
    measured = {(arm.task, arm.protocol) for arm in arms}
    beside = [one for one in evidence.references if (one.task, one.protocol) in measured]
    outside = f"Of {count(len(evidence.references), 'number')} from papers or files"
    return [text, f"{outside}, {len(beside)} were measured under a protocol that was run here."]


def compared(evidence: Evidence) -> dict[tuple[str, str], str]:
    """Return for each task and protocol the arms with their seeds, or how many they are."""
    return {key: _arms(arms) for key, arms in groups(evidence).items()}


def _arms(arms: Sequence[Arm]) -> str:
    """Return arms with their seeds; many of them, as of a search, are only counted."""
    if len(arms) <= MOST_ARMS:
        return ", ".join(f"{arm.label} ({seeds(arm)})" for arm in arms)
    numbers = [len({trial.seed for trial in arm.trials}) for arm in arms]
    fewest, most = min(numbers), max(numbers)
    each = count(most, "seed") if fewest == most else f"{fewest} to {most} seeds"
    return f"{len(arms):,} arms of {each}; figures show the best, tables all"


def seeds(arm: Arm) -> str:
    """Return how many seeds an arm has, and how many runs if these are more."""
    different = len({trial.seed for trial in arm.trials})
    runs = len(arm.trials)
    return count(different, "seed") + (f" in {runs} runs" if runs > different else "")


def warnings(evidence: Evidence) -> list[str]:
    """Return what a reader must know before believing the tables."""
    found = [
        *_few_runs(evidence.arms),
        *_gaps(evidence),
        *_broken(evidence),
        *_code(evidence.arms),
    ]
    left_out = [f"{n:,} {state}" for state, n in sorted(evidence.unfinished.items()) if n]
    if left_out:
        found.append(f"Runs left out because they did not complete: {', '.join(left_out)}.")
    found += _without_baseline(evidence)
    if evidence.lost:
        found.append(
            f"Artifacts are not there of {count(evidence.lost, 'run')}: pictures and what plugins "
            "read from them are missing."
        )
    if evidence.unquoted:
        found.append(
            f"Numbers from papers or files left out by `--published`: {evidence.unquoted:,}. Bold "
            "does not look at them."
        )
    if evidence.set_aside:
        found.append(
            f"Runs of studies' trials left out, being chosen among many: {evidence.set_aside:,}. "
            "`--trials` takes them as arms."
        )
    return found


def _few_runs(arms: Sequence[Arm]) -> Iterator[str]:
    single = [arm for arm in arms if len(arm.trials) == 1]
    few = [arm for arm in arms if 1 < len(arm.trials) < stats.FEWEST]
    again = [arm for arm in arms if len({t.seed for t in arm.trials}) < len(arm.trials)]
    if single:
        yield f"One run only (n=1), which may be chance: {places(single)}."
    if few:
        yield f"Fewer than {stats.FEWEST} runs, too few for a firm interval: {places(few)}."
    if again:
        yield f"A seed was run more than once, and each run counts: {places(again)}."


def _gaps(evidence: Evidence) -> Iterator[str]:
    """Yield the tasks that an arm lacks and another arm under its protocol has.

    Only tasks of a kind are compared: a method for games has no run on a dataset.
    """
    missing: dict[str, list[str]] = {}
    alike = [(arm.protocol, evidence.kinds.get(arm.task)) for arm in evidence.arms]
    for key in dict.fromkeys(alike):
        same = [arm for arm, own in zip(evidence.arms, alike, strict=True) if own == key]
        tasks = dict.fromkeys(arm.task for arm in same)
        for label in dict.fromkeys(arm.label for arm in same):
            done = {arm.task for arm in same if arm.label == label}
            missing.setdefault(label, []).extend(task for task in tasks if task not in done)
    absent = [f"{label} on {listed(tasks)}" for label, tasks in missing.items() if tasks]
    if absent:
        yield f"No completed run where another arm of the protocol has one: {listed(absent, '; ')}."


def _broken(evidence: Evidence) -> Iterator[str]:
    """Yield results that are no numbers, and arms without the headline."""
    bad, silent = [], []
    for arm in evidence.arms:
        results = [pair for trial in arm.trials for pair in trial.results.items()]
        wrong = sorted({metric for metric, value in results if not isfinite(value.value)})
        bad += [f"{metric} of {where(arm)}" for metric in wrong]
        headline = next(iter(evidence.headlines.get(arm.task, ())), None)
        if headline is not None and headline not in {metric for metric, _ in results}:
            silent.append(f"{headline} of {where(arm)}")
    if bad:
        yield f"Not a finite number in one run or more: {listed(bad)}."
    if silent:
        yield f"Never measured: {listed(silent)}."


def _without_baseline(evidence: Evidence) -> Iterator[str]:
    """Yield the tasks and protocols that have no arm to take differences from."""
    baseline = evidence.baseline
    if baseline is None:
        return
    slot, _, part = baseline.partition("=")
    there = any(arm.label == baseline for arm in evidence.arms)
    wanted = f"called {baseline}" if there else f"with {slot} {part}"
    lacking = [
        f"on {task} under {protocol}"
        for (task, protocol), arms in groups(evidence).items()
        if not any(names_baseline(arm, baseline) for arm in arms)
    ]
    if lacking:
        yield f"No arm {wanted} {listed(lacking, '; ')}: no differences there."


def _code(arms: Sequence[Arm]) -> Iterator[str]:
    mixed = [arm for arm in arms if len({trial.commit for trial in arm.trials}) > 1]
    trials = [trial for arm in arms for trial in arm.trials]
    dirty = sum(trial.dirty is True for trial in trials)
    if mixed:
        yield f"Runs of several commits in one arm: {places(mixed)}."
    if dirty:
        yield f"Runs of code with uncommitted changes: {dirty} of {len(trials)}."


def where(arm: Arm) -> str:
    """Return an arm and its task."""
    return f"{arm.label} on {arm.task}"


def places(arms: Iterable[Arm]) -> str:
    """Return arms with their tasks, each name once."""
    tasks: dict[str, list[str]] = {}
    for arm in arms:
        tasks.setdefault(arm.label, []).append(arm.task)
    return listed((f"{label} on {listed(on)}" for label, on in tasks.items()), "; ")


def listed(names: Iterable[str], between: str = ", ") -> str:
    """Return names in one line, the first few and how many more."""
    known = list(dict.fromkeys(names))
    more = len(known) - MOST_NAMES
    return between.join(known[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def count(number: int, noun: str) -> str:
    """Return `1 run` or `2 runs`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
