"""What a study found, in numbers: history, importance of settings, leading trials, and its cost."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from rlvit.registry import queries, studies
from rlvit.registry.records import StudyRecord, TrialRecord
from rlvit.tune.space import space_of

ENOUGH = 4  # completed trials from which on importance says anything


@dataclass(frozen=True)
class Summary:
    """A study with its trials, as it stands."""

    study: StudyRecord
    trials: tuple[TrialRecord, ...]
    seconds: float  # of computing, all runs of its own trials that are still there
    deleted: frozenset[str] = frozenset()  # ids of runs of its trials that are not

    @property
    def completed(self) -> list[TrialRecord]:
        """The trials that have values."""
        return [trial for trial in self.trials if trial.state == "completed" and trial.values]

    @property
    def failure(self) -> str:
        """Why the last trial that failed did so."""
        failed = [trial.reason for trial in self.trials if trial.state == "failed"]
        return failed[-1] if failed else ""

    @property
    def states(self) -> dict[str, int]:
        """How many trials ended in each state."""
        return dict(Counter(trial.state for trial in self.trials))


def summarise(engine: Engine, study: StudyRecord) -> Summary:
    """Return a study as it stands."""
    trials = tuple(studies.list_trials(engine, study.name))
    own = {run for trial in trials if not trial.source for run in trial.runs.values()}
    every = {
        run for one in trials if one.state not in studies.OPEN for run in one.runs.values()
    }  # of one under way an id may be written before its run
    runs = queries.list_runs(engine, tag=f"study={study.name}", archived=None)
    seconds = sum(run.seconds for run in runs if run.id in own)
    lost = every - {run.id for run in runs}
    return Summary(
        study, trials, seconds, frozenset(run for run in lost if not queries.has_run(engine, run))
    )


def extreme(trials: Sequence[TrialRecord], metric: str, way: str) -> float | None:
    """Return the best value of an objective among completed trials, None if there is none."""
    known = [
        value(trial, metric) for trial in trials if trial.state == "completed" and trial.values
    ]
    return (max if way == "max" else min)(known) if known else None


def value(trial: TrialRecord, metric: str) -> float:
    """Return a completed trial's value of an objective."""
    return float((trial.values or {})[metric])


def history(summary: Summary, metric: str) -> list[tuple[int, float, float]]:
    """Return number, value and best value so far of each completed trial, by number."""
    way = summary.study.objectives[metric]
    pick = max if way == "max" else min
    rows: list[tuple[int, float, float]] = []
    for trial in summary.completed:
        found = value(trial, metric)
        best = found if not rows else pick(rows[-1][2], found)
        rows.append((trial.number, found, best))
    return rows


def importance(summary: Summary, metric: str) -> dict[str, float]:
    """Return the share of an objective's variance that each setting explains, the largest first.

    By functional ANOVA on a random forest (Hutter et al. 2014), as Optuna has it; nothing of fewer
    than `ENOUGH` completed trials, or where all of them have the same value.
    """
    import optuna

    trials, space = summary.completed, space_of(summary.study)
    values = {value(trial, metric) for trial in trials}
    if len(trials) < ENOUGH or len(values) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    distributions = {name: one.distribution for name, one in space.items()}
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(trial.params), distributions=distributions, value=value(trial, metric)
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Mapping[str, float] = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
        )
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def place(summary: Summary, name: str, found: object) -> float:
    """Return where a value of a setting lies in its range, 0 to 1; of choices, in their order."""
    one = space_of(summary.study)[name]
    if one.low is None or one.high is None:
        position = next((n for n, c in enumerate(one.choices) if c == found), 0)
        return position / max(1, len(one.choices) - 1)
    if not isinstance(found, int | float):
        return math.nan
    if one.log:
        return math.log(found / one.low) / math.log(one.high / one.low)
    return (found - one.low) / (one.high - one.low)


def relative(values: Sequence[float]) -> list[float]:
    """Return values from 0, the lowest, to 1, the highest; 0.5 where all are the same."""
    low, high = min(values), max(values)
    return [0.5 if high == low else (one - low) / (high - low) for one in values]
