"""Works on a study: takes the next trial, or one that was abandoned, and carries out its runs."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from rlvit.errors import RlvitError, UsageProblem
from rlvit.registry import queries, studies
from rlvit.registry.records import TrialRecord
from rlvit.registry.studies import OPEN
from rlvit.runs import execute, provenance
from rlvit.runs.display import Display
from rlvit.runs.mirrors import mirror_study
from rlvit.runs.plan import Plan, make_plan
from rlvit.tune import failures, images, objectives, pruning
from rlvit.tune.failures import Surroundings
from rlvit.tune.hearing import Hearing
from rlvit.tune.study import OpenStudy, is_abandoned, whole_grid

STATES = {
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
POLL_SECONDS = 1.0  # between looks at the trials of others
Ending = Literal["done", "stopped", "interrupted"]


@dataclass(frozen=True)
class _Verdict:
    """How a trial ended; `state` interrupted leaves it to whoever goes on."""

    state: str
    values: dict[str, float] | None = None
    reason: str = ""
    for_all: bool = False  # every other trial would fail likewise


class Worker:
    """Works on a study until all of its trials are finished."""

    def __init__(
        self,
        opened: OpenStudy,
        say: Callable[[str], None],
        display: Callable[[], Display],
        go_on: Callable[[], bool] = lambda: True,
        *,
        hearing: Hearing | None = None,
        max_failures: int = failures.MOST,
        until: float | None = None,
    ) -> None:
        """Prepare to work.

        Args:
            opened: the study.
            say: says what happens.
            display: makes the display of a run.
            go_on: whether another trial may be begun.
            hearing: hears signals, and is entered by the caller.
            max_failures: trials that may fail one after another; 0: any number.
            until: when, by the monotonic clock, no further trial is begun.
        """
        self._hearing = hearing or Hearing(say)
        self._max_failures, self._since, self._until = max_failures, time.time(), until
        self._opened, self._say, self._display, self._go_on = opened, say, display, go_on
        self._store, self._name = opened.store, opened.record.name
        self._process = provenance.process_identity()
        self._waiting = False

    def work(self) -> Ending:
        """Carry out trials until none is left, the study is asked to stop, or Ctrl-C.

        Raises:
            Surroundings: no trial can be carried out here.
            RlvitError: the registry, Optuna's database or a run's end cannot be written, or too
                many trials failed one after another.
        """
        if not self._asked_to_stop() and self._anything_left():
            failures.check(self._opened)
        while True:
            if self._hearing.heard:
                return "interrupted"
            if self._asked_to_stop() or not self._go_on() or self._is_late():
                return "stopped"
            with self._store.holding(self._name, self._opened.home):
                trial = self._next()
            if trial is not None:
                self._waiting = False
                ending = self._carry_out(trial)
                if ending is not None:
                    return ending
            elif not self._others_work():
                return "done"
            else:
                self._wait()

    def _is_late(self) -> bool:
        return self._until is not None and time.monotonic() >= self._until

    def _anything_left(self) -> bool:
        trials = studies.list_trials(self._store.engine, self._name)
        own = [trial for trial in trials if not trial.source]
        open_ones = any(trial.state in OPEN for trial in own)
        wanted = studies.find_study(self._store.engine, self._name).trials
        return open_ones or (len(own) < wanted and not self._exhausted(trials))

    def _asked_to_stop(self) -> bool:
        return bool(studies.find_study(self._store.engine, self._name).stop)

    def _wait(self) -> None:
        """Wait for the trials of others: should one be abandoned, it is taken over."""
        if not self._waiting:
            self._say("waiting for the trials of other workers (Ctrl-C leaves them alone)")
        self._waiting = True
        time.sleep(POLL_SECONDS)

    def _others_work(self) -> bool:
        trials = studies.list_trials(self._store.engine, self._name)
        return any(trial.state in OPEN for trial in trials)

    def _next(self) -> TrialRecord | None:
        """Return an abandoned trial, taken over, or a new one; the caller holds the study."""
        self._adopt_unknown(studies.list_trials(self._store.engine, self._name))
        trials = studies.list_trials(self._store.engine, self._name)
        for trial in trials:
            if is_abandoned(self._store, trial):
                if self._settled(trial):
                    continue
                params = self._suggest(self._trial(trial.number))
                if self._store.claim_trial(trial, self._process, params):
                    self._mirror()
                    self._say(f"trial {trial.number} goes on: nobody worked on it any more")
                    return studies.trial_of(self._store.engine, self._name, trial.number)
        wanted = studies.find_study(self._store.engine, self._name).trials
        own = [trial for trial in trials if not trial.source]
        if len(own) >= wanted or self._exhausted(trials):
            return None
        asked = self._ask()
        return self._write_down(asked.number, self._suggest(asked))

    def _ask(self) -> optuna.Trial:
        """Return a new trial, or one that Optuna knows and whose maker was killed before us."""
        known = {t.number for t in studies.list_trials(self._store.engine, self._name)}
        for frozen in self._frozen():
            if frozen.state == TrialState.RUNNING and frozen.number not in known:
                return self._trial(frozen.number)
        return self._opened.optuna.ask()

    def _adopt_unknown(self, trials: list[TrialRecord]) -> None:
        """Write down finished trials that Optuna has and the registry lacks: none is lost."""
        known = {trial.number for trial in trials}
        for frozen in self._frozen():
            if frozen.number not in known and frozen.state in STATES:
                self._write_down(frozen.number, frozen.params)
                self._copy_end(frozen)

    def _exhausted(self, trials: list[TrialRecord]) -> bool:
        """Return whether a grid has been tried as a whole, and nothing waits to be tried again."""
        return whole_grid(self._opened.record, trials) and not any(
            frozen.state == TrialState.WAITING for frozen in self._frozen()
        )

    def _frozen(self) -> list[FrozenTrial]:
        return self._opened.optuna.get_trials(deepcopy=False)

    def _trial(self, number: int) -> optuna.Trial:
        """Return Optuna's trial of a number, to go on with."""
        found = next(t for t in self._frozen() if t.number == number)
        return optuna.Trial(self._opened.optuna, found._trial_id)

    def _suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return a trial's values; those that it has stay, those it lacks are drawn."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {
                name: trial._suggest(name, one.distribution)
                for name, one in self._opened.space.items()
            }

    def _write_down(self, number: int, params: dict[str, Any]) -> TrialRecord:
        """Make a trial known to the registry, with the runs that it will have."""
        now = time.time()
        trial = TrialRecord(
            study=self._name,
            number=number,
            state="running",
            params=params,
            values=None,
            reason="",
            source="",
            process=self._process,
            heartbeat_at=now,
            started_at=now,
            ended_at=None,
            runs={},
        )
        self._store.add_trial(trial)
        self._mirror()
        return trial

    def _settled(self, trial: TrialRecord) -> bool:
        """Copy the end of a trial whose worker was killed after it had told Optuna of it."""
        frozen = next((t for t in self._frozen() if t.number == trial.number), None)
        if frozen is None:
            self._end(trial, _Verdict("failed", reason="Optuna's database has lost it"))
            self._mirror()
        elif frozen.state in STATES:
            self._copy_end(frozen)
        else:
            return False
        return True

    def _mirror(self) -> None:
        """Write what the registry knows of the study to its file."""
        mirror_study(self._store, self._opened.home, self._name)

    def _copy_end(self, frozen: FrozenTrial) -> None:
        values = None
        if frozen.state == TrialState.COMPLETE:
            values = dict(zip(self._opened.record.objectives, frozen.values, strict=True))
        self._store.end_trial(self._name, frozen.number, STATES[frozen.state], values)
        self._mirror()

    def _carry_out(self, trial: TrialRecord) -> Ending | None:
        """Carry a trial to its end; return why the worker has to end, None if it has not."""
        shown = ", ".join(f"{k}={_brief(v)}" for k, v in trial.params.items())
        self._say(f"trial {trial.number}: {shown}")
        begun = time.monotonic()
        try:
            verdict, ending = self._runs(trial)
        except KeyboardInterrupt:
            verdict, ending = _Verdict("interrupted", reason="stopped at once"), "interrupted"
        except RlvitError as problem:
            self._store.leave_trial(self._name, trial.number, str(problem))
            self._mirror()
            raise
        if verdict.state == "interrupted":
            self._store.leave_trial(self._name, trial.number, verdict.reason)
        else:
            self._tell(trial, verdict)
        self._mirror()
        self._announce(trial.number, verdict, time.monotonic() - begun)
        if verdict.state == "failed":
            self._refuse_to_burn_more(verdict)
        return ending

    def _refuse_to_burn_more(self, verdict: _Verdict) -> None:
        """End the worker where further trials would only fail; raises RlvitError."""
        again = "`rlvit tune resume STUDY --retry-failed` tries their settings again."
        if verdict.for_all:
            raise RlvitError(f"no further trial is begun: {verdict.reason}.")
        trials = studies.list_trials(self._store.engine, self._name)
        row = failures.in_a_row([t for t in trials if not t.source], self._since)
        if 0 < self._max_failures <= len(row):
            raise RlvitError(
                f"{len(row)} trials failed one after another (--max-failures), and no further one "
                f"is begun; the last: {verdict.reason.rstrip('.')}. {again}"
            )

    def _announce(self, number: int, verdict: _Verdict, seconds: float) -> None:
        found = ", ".join(f"{m} {v:.6g}" for m, v in (verdict.values or {}).items())
        why = f": {found or verdict.reason}" if found or verdict.reason else ""
        self._say(f"trial {number} is {verdict.state} after {seconds:,.1f} s{why}")

    def _tell(self, trial: TrialRecord, verdict: _Verdict) -> None:
        """Tell Optuna, then the registry: a kill between the two is found by `_settled`."""
        states = {word: state for state, word in STATES.items()}
        values = None if verdict.values is None else list(verdict.values.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._opened.optuna.tell(trial.number, values, state=states[verdict.state])
        self._end(trial, verdict)

    def _end(self, trial: TrialRecord, verdict: _Verdict) -> None:
        self._store.end_trial(
            self._name, trial.number, verdict.state, verdict.values, verdict.reason
        )

    def _runs(self, trial: TrialRecord) -> tuple[_Verdict, Ending | None]:
        """Carry out a trial's runs, one for each seed, and judge them."""
        aims, done = self._opened.record.objectives, []
        asked = self._trial(trial.number)
        for position, seed in enumerate(self._opened.record.seeds):
            if self._hearing.heard:
                return _Verdict("interrupted", reason="stopped as asked"), "interrupted"
            try:
                plan = make_plan(self._opened.catalog, self._opened.request(trial, seed))
            except UsageProblem as problem:
                if general := failures.refusal_of_all(self._opened):
                    raise Surroundings(_stays_open(trial, general)) from None
                return _Verdict("failed", reason=str(problem)), None
            rule = pruning.make_rule(self._opened, asked) if position == 0 else None
            told = partial(getattr, self._hearing, "heard")
            watcher = pruning.Watcher(self._opened, trial.number, rule, self._say, told)
            run_id, state, error = self._run(trial, seed, plan, watcher)
            if watcher.pruned_at is not None or state == "pruned":
                at = "" if watcher.pruned_at is None else f" at step {watcher.pruned_at:,}"
                return _Verdict("pruned", reason=watcher.reason + at), None
            if state == "interrupted":
                ending: Ending = "stopped" if watcher.asked_to_stop else "interrupted"
                return _Verdict(state, reason=error or "stopped as asked"), ending
            if state == "failed":
                if reason := failures.missing(plan):
                    raise Surroundings(_stays_open(trial, reason))
                return _Verdict("failed", reason=error or "its run failed"), None
            done.append(run_id)
            if worse := self._worse(asked, done):
                return _Verdict("pruned", reason=worse), None
        values = objectives.values_of(self._store.engine, done, aims)
        problem_found = objectives.problem_with(values)
        if problem_found:
            return self._without_values(problem_found, done), None
        return _Verdict("completed", values), None

    def _without_values(self, reason: str, done: list[str]) -> _Verdict:
        """Return the end of a trial without a value of every objective.

        If its runs never mention one, and no trial ever had one, further trials will not either.
        """
        engine, aims = self._store.engine, self._opened.record.objectives
        never = [m for m in aims if not any(objectives.is_recorded(engine, r, m) for r in done)]
        trials = studies.list_trials(engine, self._name)
        if not never or any(trial.state == "completed" for trial in trials):
            return _Verdict("failed", reason=reason)
        reason = f"{', '.join(never)}: a completed run neither measured nor logged it"
        return _Verdict("failed", reason=reason, for_all=True)

    def _worse(self, asked: optuna.Trial, done: list[str]) -> str:
        """Return why Wilcoxon's test gives a trial up before its last seed, "" if it does not."""
        record = self._opened.record
        if record.pruner["name"] != "wilcoxon":
            return ""
        early = len(done) < len(record.seeds)
        if "column" in record.pruner:
            return self._worse_by_items(done) if early else ""
        (metric,) = record.objectives
        value = objectives.value_of(self._store.engine, done[-1], metric)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asked.report(value, len(done) - 1)
            worse = early and asked.should_prune()
        seeds = f"after {len(done)} of {len(record.seeds)} seeds"
        return f"worse than the best trial, seed by seed (p < 0.1, {seeds})" if worse else ""

    def _worse_by_items(self, done: list[str]) -> str:
        """Return why the test over items gives a trial up, "" if it does not or cannot judge."""
        try:
            best = images.worse_by_items(self._opened, done)
        except RlvitError as problem:
            self._say(f"it is not compared image by image: {problem}")
            return ""
        if best is None:
            return ""
        seeds = f"after {len(done)} of {len(self._opened.record.seeds)} seeds"
        return f"worse than trial {best[0]}, image by image (p = {best[1]:.2g}, {seeds})"

    def _run(
        self, trial: TrialRecord, seed: int, plan: Plan, watcher: pruning.Watcher
    ) -> tuple[str, str, str | None]:
        """Carry out a run of a trial, or go on with it; return its id, state and error."""
        opened = self._opened
        run_id = trial.runs.get(seed)
        state = None if run_id is None else self._run_state(run_id)
        # A run that failed and whose trial was left open goes on.
        ended = ("completed", "pruned") if trial.reason else ("completed", "pruned", "failed")
        if run_id is not None and state is not None and state in ended:
            return run_id, state, queries.find_run(self._store.engine, run_id).error
        there = run_id is not None and (opened.home.runs / run_id).is_dir()
        if run_id is not None and state is not None and there:
            outcome = execute.resume(
                opened.catalog,
                opened.home,
                run_id,
                self._display(),
                plan.threads,
                opened.data_root,
                watch=watcher,
                stop=self._hearing.flag(),
            )
            return run_id, *self._judged(trial, outcome)
        if state is not None:
            self._say(f"run {run_id} has no folder here: trial {trial.number} begins again")
        if run_id is None or state is not None or there:  # a folder alone: of a run never begun
            run_id = plan.new_id()
            self._store.set_trial_run(self._name, trial.number, seed, run_id)
            self._mirror()
        outcome = execute.start(
            opened.catalog,
            opened.home,
            plan,
            self._display(),
            run_id=run_id,
            watch=watcher,
            stop=self._hearing.flag(),
        )
        return run_id, *self._judged(trial, outcome)

    def _judged(self, trial: TrialRecord, outcome: execute.RunOutcome) -> tuple[str, str | None]:
        """Return a run's state and error.

        Raises:
            Surroundings: it failed for a reason that is not its own, such as a full disk.
        """
        if outcome.outside:
            raise Surroundings(_stays_open(trial, outcome.error or "its run failed"))
        return outcome.state, outcome.error

    def _run_state(self, run_id: str) -> str | None:
        """Return a run's state, `pruned` if a study ended it so; None if there is no such run."""
        try:
            found = queries.find_run(self._store.engine, run_id)
        except UsageProblem:
            return None
        last = queries.transitions(self._store.engine, found.id)[-1]
        pruned = found.state == "interrupted" and last.reason == f"pruned by study {self._name}"
        return "pruned" if pruned else found.state


def _stays_open(trial: TrialRecord, reason: str) -> str:
    return f"trial {trial.number} stays open, for its settings are not the reason: {reason}"


def _brief(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
