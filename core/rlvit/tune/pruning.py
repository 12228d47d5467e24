"""Ends hopeless trials early, by what their runs log: by its steps, not by the clock."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import optuna

from rlvit.contracts import LoggedRow
from rlvit.registry import queries, studies
from rlvit.runs.context import StopFlag
from rlvit.tune.objectives import dominates
from rlvit.tune.study import OpenStudy

SHARE = 0.5  # of the finished trials that dominate a vector: then it is hopeless
STARTUP = 5  # finished trials with which it is compared at least
DOMINATED = "dominated"  # the name of rlvit's own rule
Curve = Sequence[tuple[int, float | None]]  # (step, value) in the order of logging


class Rule(Protocol):
    """Decides whether a trial is hopeless, row by row."""

    def hopeless(self, row: LoggedRow) -> bool:
        """Look at the next row that a run logged."""


def every_tenth(index: int) -> bool:
    """Return whether the row of this index counts: all up to 100, then every 10th, 100th, ...

    Each value that is reported costs a write to Optuna's database; a metric of every game or batch
    would bring thousands.
    """
    return index < 100 or index % 10 ** (len(str(index)) - 2) == 0


class OptunaRule:
    """Asks Optuna's pruner; of one objective, the values of one metric."""

    def __init__(self, trial: optuna.Trial, metric: str) -> None:
        self._trial, self._metric = trial, metric
        self._index = 0
        number = trial.number
        frozen = next(t for t in trial.study.get_trials(deepcopy=False) if t.number == number)
        self._known = set(frozen.intermediate_values)  # reported before this trial was resumed

    def hopeless(self, row: LoggedRow) -> bool:
        """Report the row's value, if it has one, and ask."""
        value = row.values.get(self._metric)
        if value is None or not math.isfinite(value):
            return False
        counts = every_tenth(self._index)
        self._index += 1
        if not counts:
            return False
        if row.step not in self._known:
            self._trial.report(value, row.step)
            self._known.add(row.step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a pruner finds too little to decide
            return self._trial.should_prune()


class DominatedRule:
    """rlvit's own rule for several objectives, for which Optuna has none.

    At each step the vector of the latest values is compared with those of the finished trials at
    the same step. A trial is hopeless once at least half of them dominate it: are nowhere worse and
    somewhere better. Trials that ended before that step are not compared, and there have to be
    `startup` that are.
    """

    def __init__(
        self,
        metrics: Sequence[str],
        directions: Sequence[str],
        others: Callable[[], Sequence[Mapping[str, Curve]]],
        *,
        start: int = 0,
        startup: int = STARTUP,
    ) -> None:
        self._metrics, self._directions = metrics, directions
        self._others, self._start, self._startup = others, start, startup
        self._latest: dict[str, float] = {}
        self._index = 0

    def hopeless(self, row: LoggedRow) -> bool:
        """Compare the latest values."""
        fresh = {m: row.values[m] for m in self._metrics if m in row.values}
        self._latest.update({m: value for m, value in fresh.items() if math.isfinite(value)})
        if not fresh or len(self._latest) < len(self._metrics):
            return False
        counts = every_tenth(self._index)
        self._index += 1
        if not counts or row.step < self._start:
            return False
        share = dominated_share(
            [self._latest[m] for m in self._metrics],
            [v for curves in self._others() if (v := self._vector(curves, row.step)) is not None],
            self._directions,
            self._startup,
        )
        return share >= SHARE

    def _vector(self, curves: Mapping[str, Curve], step: int) -> list[float] | None:
        """Return a finished trial's values at a step, None if it had ended before or has none."""
        found = [value_at(curves.get(metric, ()), step) for metric in self._metrics]
        known = [value for value in found if value is not None]
        return known if len(known) == len(found) else None


def dominated_share(
    vector: Sequence[float],
    others: Sequence[Sequence[float]],
    directions: Sequence[str],
    startup: int = STARTUP,
) -> float:
    """Return the share of the others that dominate a vector; 0 while they are too few."""
    if len(others) < max(1, startup):
        return 0.0
    return sum(dominates(other, vector, directions) for other in others) / len(others)


def value_at(curve: Curve, step: int) -> float | None:
    """Return the value logged last at or before a step; None where the curve ended before it."""
    if not curve or curve[-1][0] < step:
        return None
    position = bisect_right([at for at, _ in curve], step)
    return curve[position - 1][1] if position else None


def make_rule(opened: OpenStudy, trial: optuna.Trial) -> Rule | None:
    """Return the rule by which a study ends this trial's run early, None if it has none."""
    settings = opened.record.pruner
    if settings["name"] in ("none", "wilcoxon"):  # the latter decides between the runs of a trial
        return None
    if settings["name"] != DOMINATED:
        return OptunaRule(trial, settings["on"][0])
    known: dict[str, Mapping[str, Curve]] = {}

    def others() -> list[Mapping[str, Curve]]:
        finished = [
            one
            for one in studies.list_trials(opened.store.engine, opened.record.name)
            if one.state in ("completed", "pruned") and one.runs and one.number != trial.number
        ]
        for one in finished:
            run = next(iter(one.runs.values()))
            if run not in known:
                known[run] = {m: _curve(opened, run, m) for m in settings["on"]}
        return [known[next(iter(one.runs.values()))] for one in finished]

    return DominatedRule(
        settings["on"],
        list(opened.record.objectives.values()),
        others,
        start=settings.get("start") or 0,
        startup=STARTUP if settings.get("startup") is None else settings["startup"],
    )


def _curve(opened: OpenStudy, run: str, metric: str) -> Curve:
    return sorted(queries.curve(opened.store.engine, run, metric), key=lambda point: point[0])


class Watcher:
    """Watches a run of a trial: ends it if the trial is hopeless, or its study is to stop now."""

    def __init__(
        self,
        opened: OpenStudy,
        number: int,
        rule: Rule | None,
        say: Callable[[str], None],
        told: Callable[[], bool] = lambda: False,
    ) -> None:
        """Watch trial `number` by a rule; `told` says whether its worker is to stop."""
        self._opened, self._number, self._rule, self._say = opened, number, rule, say
        self._told = told
        self.pruned_at: int | None = None
        self.asked_to_stop = False

    @property
    def reason(self) -> str:
        """Why a pruned run ended."""
        return f"pruned by study {self._opened.record.name}"

    def __call__(self, rows: Sequence[LoggedRow], stop: StopFlag) -> None:
        """Take the rows of a few seconds."""
        try:
            self._look(rows, stop)
        except Exception as problem:  # in the thread of the recorder, which has to go on
            if self._rule is not None:
                reason = str(problem).partition("\n")[0]
                self._say(f"trial {self._number} is no longer watched: {reason}")
            self._rule = None

    def _look(self, rows: Sequence[LoggedRow], stop: StopFlag) -> None:
        for row in rows:
            if self._rule is None or self.pruned_at is not None:
                break
            if self._rule.hopeless(row):
                self.pruned_at = row.step
                stop.set(self.reason)
        if self._told():
            stop.set()
        name, store = self._opened.record.name, self._opened.store
        store.beat_trial(name, self._number)
        if studies.find_study(store.engine, name).stop == "now":
            self.asked_to_stop = True
            stop.set(f"study {name} was asked to stop")
