"""What a study optimises: declared metrics with a direction, read from finished runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

from sqlalchemy import Engine

from rlvit.catalog import Catalog
from rlvit.errors import UnknownName, UsageProblem
from rlvit.registry import queries
from rlvit.runs.plan import Plan
from rlvit.specs import EvaluatorSpec, MetricDef

Direction = Literal["max", "min"]


def parse_objectives(catalog: Catalog, plan: Plan, texts: Sequence[str]) -> dict[str, str]:
    """Read `--objective` options: METRIC, METRIC:max or METRIC:min; metric -> direction, in order.

    Without any it is the first metric that tables show of the task.

    Raises:
        UsageProblem: a run does not measure it, it has no direction, or is there twice.
    """
    measured = producible(catalog, plan)
    found: dict[str, str] = {}
    for text in texts or _headline(plan):
        name, colon, direction = text.partition(":")
        if colon and direction not in ("max", "min"):
            raise UsageProblem(f"--objective {text}: expected METRIC:max or METRIC:min.")
        metric = find_metric(catalog, plan, name, measured)
        if not direction and metric.direction == "none":
            raise UsageProblem(
                f"--objective {text}: more of {metric.name} is neither better nor worse; say "
                f"which, as in {metric.name}:max."
            )
        if metric.name in found:
            raise UsageProblem(f"--objective {text}: {metric.name} is an objective already.")
        found[metric.name] = direction or metric.direction
    return found


def _headline(plan: Plan) -> tuple[str, ...]:
    if not plan.evaluator.headline:
        raise UsageProblem(
            f"the task {plan.task.name} has no metric that stands for it; give --objective."
        )
    return plan.evaluator.headline[:1]


def producible(catalog: Catalog, plan: Plan) -> dict[str, MetricDef]:
    """Return the metrics that runs of a plan may log or measure.

    They are what the plugins of the method and its parts declare, and what the evaluator measures.
    """
    makers = {plan.owner.name}
    for slot, name in plan.slots.items():
        makers.add(catalog.entry(slot, name).owner.name)
    evaluators = catalog.entries["evaluator"]
    measurer = catalog.entry("evaluator", plan.evaluator.name).owner.name
    own = set(measured(plan.evaluator))
    others = {metric for entry in evaluators.values() for metric in measured(entry.spec)} - own
    found = {}
    for name, entry in catalog.entries["metric"].items():
        by_evaluator = name in own or (
            not plan.evaluator.measures and entry.owner.name == measurer and name not in others
        )
        if by_evaluator or (entry.owner.name in makers and name not in others):
            found[name] = entry.spec
    return found


def measured(evaluator: EvaluatorSpec) -> tuple[str, ...]:
    """Return the metrics that an evaluator is known to measure."""
    return tuple(dict.fromkeys((*evaluator.measures, *evaluator.headline, *evaluator.items)))


def find_metric(
    catalog: Catalog, plan: Plan, name: str, among: Mapping[str, MetricDef]
) -> MetricDef:
    """Return the metric of a name, or of a short one: `top1` is the task's own `eval/top1`.

    Args:
        catalog: knows all metrics.
        plan: of a run.
        name: of the metric.
        among: those that will do.

    Raises:
        UsageProblem: no metric fits, or several, or the one that does is not among those.
    """
    if name in among:
        return among[name]
    for choice in (plan.evaluator.headline, among):
        short = [one for one in choice if one.rpartition("/")[2] == name and one in among]
        if len(short) == 1:
            return among[short[0]]
        if short:
            raise UsageProblem(f"{name!r} may be {', '.join(sorted(short))}; say which.")
    if name in catalog.metrics:
        first = (*plan.evaluator.headline, *plan.method.progress.values(), *sorted(among))
        known = ", ".join([one for one in dict.fromkeys(first) if one in among][:8])
        raise UsageProblem(
            f"{name}: runs of {plan.method.name} on {plan.task.name} do not make this metric here. "
            f"Some that will do: {known}."
        )
    raise UnknownName("metric", name, among)


def value_of(engine: Engine, run_id: str, metric: str) -> float:
    """Return what a run measured last, else logged last; NaN where there is no finite number."""
    measured = [r for r in queries.results(engine, run_id) if r.metric == metric]
    live = [result.value for result in measured if not result.superseded]
    if not measured:
        live = [value for _, value in queries.curve(engine, run_id, metric)]
    return math.nan if not live or live[-1] is None else live[-1]


def is_recorded(engine: Engine, run_id: str, metric: str) -> bool:
    """Return whether a run logged or measured a metric at all, be it a number or not."""
    if any(one.metric == metric for one in queries.results(engine, run_id)):
        return True
    return bool(queries.curve(engine, run_id, metric))


def values_of(
    engine: Engine, runs: Sequence[str], objectives: Mapping[str, str]
) -> dict[str, float]:
    """Return the mean over runs of each objective."""
    return {m: fmean(value_of(engine, run, m) for run in runs) for m in objectives}


def problem_with(values: Mapping[str, float]) -> str:
    """Return why values are no result, or ""."""
    bad = [metric for metric, value in values.items() if not math.isfinite(value)]
    return f"{', '.join(bad)}: no finite number was measured" if bad else ""


def dominates(one: Sequence[float], other: Sequence[float], directions: Sequence[str]) -> bool:
    """Return whether `one` is nowhere worse than `other` and somewhere better."""
    signs = [1.0 if direction == "max" else -1.0 for direction in directions]
    differences = [s * (a - b) for s, a, b in zip(signs, one, other, strict=True)]
    return min(differences) >= 0 and max(differences) > 0


def pareto(points: Sequence[Sequence[float]], directions: Sequence[str]) -> list[int]:
    """Return the numbers of the points that no other one dominates."""
    return [
        number
        for number, point in enumerate(points)
        if not any(dominates(other, point, directions) for other in points)
    ]
