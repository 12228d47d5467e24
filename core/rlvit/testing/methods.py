"""What every method must do: a short run completes, and a killed one ends as if it never was."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from rlvit.config import options, resolve
from rlvit.contracts import Measurement, State
from rlvit.errors import Interrupted, UsageProblem
from rlvit.runs.execute import RunOutcome
from rlvit.runs.folder import RunFolder
from rlvit.runs.plan import Plan
from rlvit.specs import MethodSpec
from rlvit.testing import probe
from rlvit.testing.network import no_network
from rlvit.testing.suite import Suite, checked, require, skip
from rlvit.testing.surroundings import (
    PRESET,
    plan_experiment,
    plan_for,
    resume,
    small_task,
    start,
    tasks_of,
    temporary_home,
)

MINUTE = 60.0  # seconds that the smallest run may take


@dataclass
class Story:
    """What is known of a run that was watched."""

    undeclared: set[str] = field(default_factory=set)
    saves: int = 0  # checkpoints written
    asked: Sequence[str] = ()  # for the network
    outcome: RunOutcome | None = None
    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)  # (step, values)
    seconds: float = 0.0


class Watched:
    """A run's context, seen through: it counts checkpoints and may stop the run after one.

    The run is then stopped at what it does next, so that rows which the checkpoint does not know
    are there, as when a process is killed.
    """

    def __init__(self, context: Any, story: Story, known: Mapping[str, Any], stop: int) -> None:
        """Watch a context.

        Args:
            context: of the run.
            story: is filled in.
            known: the declared metrics; others are noted and left out.
            stop: the checkpoint after which the run is stopped; 0: it is not.
        """
        self._context, self._story, self._known, self._stop = context, story, known, stop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record the declared metrics."""
        declared = {name: value for name, value in values.items() if self._declared(name)}
        if declared:
            self._context.log(step, declared)
        self._end()

    def record(self, step: int, measurements: Sequence[Measurement]) -> None:
        """Record the declared results."""
        self._context.record(step, [one for one in measurements if self._declared(one.metric)])

    def checkpoint(self, stage: str, step: int, state: Callable[[], State], every: int) -> None:
        """Pass on what is saved, and count it."""
        self._end()

        def counted() -> State:
            self._story.saves += 1
            return state()

        self._context.checkpoint(stage, step, counted, every)

    def check_stop(self) -> None:
        """Stop if it is time."""
        self._end()
        self._context.check_stop()

    def evaluate(self, subject: Any, step: int) -> Any:
        """Stop, or evaluate."""
        self._end()
        return self._context.evaluate(subject, step)

    def _declared(self, metric: str) -> bool:
        if metric not in self._known:
            self._story.undeclared.add(metric)
        return metric in self._known

    def _end(self) -> None:
        if self._stop and self._story.saves >= self._stop:
            raise Interrupted("the check stops it here")


class MethodSuite(Suite):
    """Rules for a method: `name` is what `--plugin` calls it.

    The smallest run is that of the preset `quick` with the values of `MethodSpec.smallest`, on the
    smallest task of its kind.
    """

    kind = "method"
    slots: ClassVar[Mapping[str, str]] = {}  # parts other than those of the preset

    @classmethod
    def plan(cls, device: str = "cpu") -> Plan:
        """Return the plan of the smallest run."""
        method: MethodSpec = cls.spec()
        task = cls.once("task", lambda: small_task(cls.catalog(), method.task_kind, cls.data_root))
        return plan_for(cls.catalog(), method, task, cls.data_root, slots=cls.slots, device=device)

    @classmethod
    def run(cls, home: Path, *, stop: int = 0, device: str = "cpu", seed: int = 0) -> Story:
        """Make the smallest run, watched, without a network.

        Args:
            home: where to.
            stop: as in `Watched`.
            device: where it trains.
            seed: of what torch draws without a generator, which must not matter.
        """
        story, plan = Story(), cls.plan(device)
        train = plan.method.train

        def watched(context: Any, config: Any) -> None:
            seen_through: Any = Watched(context, story, cls.catalog().metrics, stop)
            train(seen_through, config)

        seen = replace(plan, method=replace(plan.method, train=watched))
        begun = time.perf_counter()
        with torch.random.fork_rng(devices=[]), no_network() as asked:
            torch.manual_seed(seed)
            story.outcome = start(cls.catalog(), seen, home)
        story.asked, story.seconds = asked, time.perf_counter() - begun
        story.rows = cls.rows_of(story.outcome)
        return story

    @classmethod
    def rows_of(cls, outcome: RunOutcome) -> list[tuple[int, dict[str, float]]]:
        """Return what a run logged that does not depend on the machine's speed."""
        metrics = cls.catalog().metrics
        timing = {name for name, metric in metrics.items() if metric.timing}
        left_out = timing | {"attempt", "step", "time"}
        lines = [line for _, line in RunFolder(outcome.folder).read_live("metrics")]
        return [
            (line["step"], {name: value for name, value in line.items() if name not in left_out})
            for line in lines
        ]

    @classmethod
    def unbroken(cls) -> Story:
        """Return the smallest run, made once."""

        def make() -> Story:
            with temporary_home() as home:
                return cls.run(home)

        return cls.once("unbroken", make)

    @classmethod
    def completed(cls) -> Story:
        """Return the smallest run; skips if it did not complete, which is a rule of its own."""
        story = cls.unbroken()
        if story.outcome is None or story.outcome.state != "completed":
            skip("the run did not complete")
        return story

    def test_presets(self) -> None:
        """Every preset gives a configuration, and names a protocol and parts that exist."""
        method: MethodSpec = self.spec()
        options(method.config)
        tasks = tasks_of(self.catalog(), method.task_kind)
        protocols = {protocol.name for task in tasks for protocol in task.protocols}
        for preset in (method.preset(PRESET), *method.presets):
            resolve(method.config, preset.values, {})
            known = not tasks or preset.protocol in protocols
            require(known, f"preset {preset.name}: no {method.task_kind} has {preset.protocol!r}")
            for slot, part in {**method.slots, **preset.slots}.items():
                require(slot in method.slots, f"preset {preset.name}: there is no slot {slot!r}")
                self.catalog().entry(slot, part)
        resolve(method.config, method.preset(PRESET).values, method.smallest)

    def test_experiments(self) -> None:
        """Each listed experiment is a command that can run: it makes a plan with a cost."""
        method: MethodSpec = self.spec()
        if not method.experiments:
            skip("it lists none")
        for one in method.experiments:
            if not one.preset:
                continue
            try:
                list(plan_experiment(self.catalog(), method, one, self.data_root).costs())
            except UsageProblem as problem:
                raise AssertionError(f"{one.command(method)}: {problem}") from None

    def test_estimate(self) -> None:
        """It says what its stages will cost, in finite numbers."""
        costs = list(self.plan().costs())
        require(bool(costs), "it estimates no stage")
        for cost in costs:
            for number in (cost.flops, cost.host_seconds):
                require(math.isfinite(number) and number >= 0, f"{cost.stage}: {number}")

    def test_short_run_completes(self) -> None:
        """The smallest run ends well, with results."""
        outcome = self.unbroken().outcome
        assert outcome is not None
        require(outcome.state == "completed", outcome.error or outcome.state)
        require(bool(outcome.results), "it completed without any result: call context.evaluate")
        self.remarks()["short_run_completes"] = f"on {self.plan().task.name}"

    def test_metrics_are_declared(self) -> None:
        """What it logs and records is declared by a plugin."""
        names = sorted(self.completed().undeclared)
        require(not names, f"no plugin declares {', '.join(names)} (rlvit_metrics)")

    def test_resume_is_exact(self) -> None:
        """Killed after a checkpoint and resumed, on the CPU, it logs and measures the same."""
        self.completed()
        problem = self.once("resume", self._resume_problem)
        require(problem is None, str(problem))

    def _resume_problem(self) -> str | None:
        """Stop a run and resume it; return how it differs from the unbroken one, if it does."""
        try:
            self._stop_and_resume()
        except AssertionError as problem:
            return str(problem)
        return None

    def _stop_and_resume(self) -> None:
        """Stop a run and resume it; raises AssertionError where it differs from the unbroken."""
        whole = self.completed()
        require(whole.saves > 0, "it writes no checkpoint: a killed run would begin again")
        with temporary_home() as home:
            stopped = self.run(home, stop=(whole.saves + 1) // 2, seed=1)
            assert stopped.outcome is not None
            if stopped.outcome.state != "interrupted":
                raise AssertionError(stopped.outcome.error or "it could not be stopped")
            with no_network():
                outcome = self.resumed(home)
            rows = self.rows_of(outcome)
        require(outcome.state == "completed", f"resumed: {outcome.error or outcome.state}")
        self.compare(whole, rows, outcome)

    def test_resume_is_exact_with_a_selector_that_draws(self) -> None:
        """It fits any selector, and its checkpoints hold what one draws and remembers."""
        method: MethodSpec = self.spec()
        if "selector" not in method.slots:
            skip("it has no slot for selectors")
        self.completed()
        if self.once("resume", self._resume_problem) is not None:
            skip("resuming is not exact with its own selector")
        catalog = probe.with_probe(self.catalog(), method)
        made = checked(type(self), self.name, catalog, self.data_root)
        made.slots = {**self.slots, "selector": probe.NAME}
        made.once("task", lambda: self.plan().task)
        try:
            outcome = made.unbroken().outcome
        except UsageProblem as problem:
            skip(f"it refuses other selectors: {problem}")
        assert outcome is not None
        require(outcome.state == "completed", outcome.error or outcome.state)
        if not made.unbroken().saves:
            skip("with a selector that learns nothing it writes no checkpoint")
        made().test_resume_is_exact()

    @classmethod
    def resumed(cls, home: Path) -> RunOutcome:
        """Go on with a run that was stopped; what is not declared is left out as before."""
        from rlvit.catalog import Entry

        catalog, method = cls.catalog(), cls.spec()

        def watched(context: Any, config: Any) -> None:
            seen_through: Any = Watched(context, Story(), catalog.metrics, 0)
            method.train(seen_through, config)

        entries = dict(catalog.entries["method"])
        entries[cls.name] = Entry(replace(method, train=watched), entries[cls.name].owner)
        return resume(replace(catalog, entries={**catalog.entries, "method": entries}), home)

    def compare(
        self, whole: Story, rows: list[tuple[int, dict[str, float]]], outcome: RunOutcome
    ) -> None:
        """Raise AssertionError where a resumed run differs from the unbroken one."""
        assert whole.outcome is not None
        for ours, theirs in zip(whole.rows, rows, strict=False):
            same = repr(ours) == repr(theirs)
            require(same, f"at step {ours[0]} it logged {difference(ours, theirs)}")
        require(len(whole.rows) == len(rows), f"{len(rows)} rows instead of {len(whole.rows)}")
        metrics = self.catalog().metrics
        one, other = (
            [r for r in o.results if not metrics[r.metric].timing] for o in (whole.outcome, outcome)
        )
        for left, right in zip(one, other, strict=False):
            same = repr(left) == repr(right)
            require(same, f"{left.metric} is {right.value!r}, unbroken {left.value!r}")
        require(len(one) == len(other), f"{len(other)} results instead of {len(one)}")

    def test_no_network(self) -> None:
        """It trains and measures without asking another machine for anything."""
        asked = self.unbroken().asked
        require(not asked, f"it asked for {', '.join(dict.fromkeys(asked))}")

    def test_gpu(self) -> None:
        """The smallest run completes on a CUDA device, too."""
        if not torch.cuda.is_available():
            skip("there is no CUDA device here")
        self.completed()
        with temporary_home() as home:
            outcome = self.run(home, device="cuda").outcome
        assert outcome is not None
        require(outcome.state == "completed", outcome.error or outcome.state)


def difference(ours: tuple[int, dict[str, float]], theirs: tuple[int, dict[str, float]]) -> str:
    """Say where two rows differ first."""
    if ours[0] != theirs[0]:
        return f"step {theirs[0]}"
    for name in dict.fromkeys((*ours[1], *theirs[1])):
        before, after = ours[1].get(name), theirs[1].get(name)
        if repr(before) != repr(after):
            return f"{name} {after!r}, unbroken {before!r}"
    return "the same"


def within_a_minute(seconds: float) -> None:
    """Raise AssertionError if the smallest run takes longer than a minute."""
    require(
        seconds <= MINUTE,
        f"the smallest run takes {seconds:.0f} s: give MethodSpec.smallest values for a short one",
    )
