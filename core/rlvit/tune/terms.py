"""The terms of a study beyond its space: what ends trials early, and what cannot be asked of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from rlvit.catalog import Catalog
from rlvit.errors import UsageProblem
from rlvit.registry.records import StudyRecord
from rlvit.runs.plan import Plan, Request, make_plan
from rlvit.specs import DATASET
from rlvit.tune import objectives
from rlvit.tune.space import Range, Value

# Which of the options each heeds: any other would be ignored without a word.
SAMPLERS = {"startup": ("tpe", "gp", "cmaes"), "population": ("nsga2", "cmaes")}
PRUNERS = {
    "on": ("median", "asha", "hyperband", "dominated"),
    "start": ("median", "asha", "hyperband", "dominated"),
    "startup": ("median", "dominated"),
}
OPTIONS = {"startup": "--prune-startup", "start": "--prune-from", "on": "--prune-on"}


def refuse_idle(sampler: Mapping[str, Any], pruner: Mapping[str, Any]) -> None:
    """Refuse options that the sampler or the pruner does not look at; raises UsageProblem."""
    for key, heeded in SAMPLERS.items():
        if sampler.get(key) is not None and sampler["name"] not in heeded:
            option = "--startup-trials" if key == "startup" else "--population"
            raise UsageProblem(
                f"{option}: the sampler {sampler['name']} has none; it is for {', '.join(heeded)}."
            )
    for key, heeded in PRUNERS.items():
        if pruner.get(key) not in (None, []) and pruner["name"] not in heeded:
            raise UsageProblem(
                f"{OPTIONS[key]} does nothing with --pruner {pruner['name']}; it is for "
                f"{', '.join(heeded)}."
            )


def pruner_of(
    catalog: Catalog,
    plan: Plan,
    given: Mapping[str, Any],
    aims: Mapping[str, str],
    seeds: int,
) -> dict[str, Any]:
    """Return a pruner's settings with the metrics it looks at; raises UsageProblem."""
    name = given["name"]
    if name == "none" and "over" not in given:
        return {"name": name}
    if name != "dominated" and len(aims) > 1:
        raise UsageProblem(
            f"--pruner {name} has one objective; with several take --pruner dominated."
        )
    if "over" in given and name != "wilcoxon":
        raise UsageProblem("--prune-over images belongs to --pruner wilcoxon.")
    if "over" in given:
        return _over_images(plan, next(iter(aims)), seeds)
    if name == "wilcoxon":
        if seeds < 5:
            raise UsageProblem(
                "--pruner wilcoxon compares seeds: it can decide after 4 of them (p = 1/16), so "
                "give --seeds-per-trial 5 or more."
            )
        return {"name": name}
    if name == "hyperband" and not given.get("start"):
        raise UsageProblem("--pruner hyperband needs --prune-from, the step of its first decision.")
    return {**given, "on": _looked_at(catalog, plan, list(given.get("on") or ()), aims)}


def _looked_at(
    catalog: Catalog, plan: Plan, asked: list[str], aims: Mapping[str, str]
) -> list[str]:
    """Return the metrics of training that a pruner looks at, one for each objective."""
    late = objectives.measured(plan.evaluator)
    known = objectives.producible(catalog, plan)
    training = {name: metric for name, metric in known.items() if name not in late}
    found = []
    for one in asked:
        if one in late:
            raise UsageProblem(
                f"--prune-on {one}: it is measured at the end of a run; give what is logged in "
                "training."
            )
        found.append(objectives.find_metric(catalog, plan, one, training).name)
    found = found or [_foretells(plan, metric) for metric in aims]
    if len(found) != len(aims):
        raise UsageProblem(f"--prune-on: expected {len(aims)}, one for each objective in order.")
    return found


def _over_images(plan: Plan, metric: str, seeds: int) -> dict[str, Any]:
    """Return the settings of Wilcoxon's test over images; raises UsageProblem."""
    column = plan.evaluator.items.get(metric)
    if column is None:
        known = ", ".join(plan.evaluator.items) or "nothing"
        raise UsageProblem(
            f"--prune-over images: the evaluator {plan.evaluator.name} measures {known} item by "
            f"item, not {metric}."
        )
    if seeds < 2:
        raise UsageProblem(
            "--prune-over images decides between the runs of a trial; give --seeds-per-trial 2 or "
            "more."
        )
    return {"name": "wilcoxon", "over": "images", "column": column}


def _foretells(plan: Plan, metric: str) -> str:
    """Return what a method logs in training that corresponds to an objective."""
    found = plan.method.progress.get(metric)
    if found is None:
        raise UsageProblem(
            f"{plan.method.name} names no metric of its training that corresponds to {metric}: "
            "give --prune-on METRIC once for each objective, in their order, or --pruner none."
        )
    return found


def refuse_other(known: StudyRecord, wanted: StudyRecord) -> None:
    """Refuse to go on with a study under other terms; raises UsageProblem."""

    def aims(study: StudyRecord) -> str:
        return ", ".join(f"{metric}:{way}" for metric, way in study.objectives.items())

    if list(known.objectives.items()) != list(wanted.objectives.items()):
        raise UsageProblem(
            f"study {known.name} optimises {aims(known)}, not {aims(wanted)}. Give another --name "
            "for a new study."
        )
    for what in ("sampler", "pruner", "storage"):
        before, now = getattr(known, what), getattr(wanted, what)
        if before != now:
            raise UsageProblem(
                f"study {known.name} was begun with the {what} {_brief(before)}, not "
                f"{_brief(now)}. Give the same, or another --name for a new study."
            )


def _brief(settings: Any) -> str:
    if not isinstance(settings, Mapping):
        return str(settings)
    more = [f"{k} {v}" for k, v in settings.items() if k != "name" and v is not None]
    return f"{settings['name']} ({', '.join(more)})" if more else str(settings["name"])


def refuse_ends(catalog: Catalog, base: Request, space: Mapping[str, Range]) -> None:
    """Refuse a range of which an end can never be, whatever the other settings are.

    An end that is refused beside the usual values of the others is tried beside each of their ends.

    Raises:
        UsageProblem: the message names the end, and why it is refused.
    """
    for name, one in space.items():
        for end in one.ends:
            reason = _refused(catalog, base, {name: end})
            if reason and all(
                _refused(catalog, base, {name: end, other: value})
                for other, value in _ends_of_others(space, name)
            ):
                raise UsageProblem(f"--space {name}={one}: {name} {end} cannot be: {reason}")


def _ends_of_others(space: Mapping[str, Range], name: str) -> Iterator[tuple[str, Value]]:
    for other, one in space.items():
        if other != name:
            for end in one.ends:
                yield other, end


def _refused(catalog: Catalog, base: Request, values: Mapping[str, Any]) -> str:
    """Return why a run with these values is refused, "" if it is not."""
    try:
        make_plan(catalog, dataclasses.replace(base, values={**base.values, **values}))
    except UsageProblem as problem:
        return str(problem)
    return ""


def chosen_on_the_test(plan: Plan, aims: Mapping[str, str]) -> str:
    """Return a warning if a study optimises what is reported of evaluated images, "" if not."""
    late = [metric for metric in aims if metric in objectives.measured(plan.evaluator)]
    instead = [plan.method.progress[metric] for metric in late if metric in plan.method.progress]
    split = str(plan.protocol.settings.get("split", ""))
    if plan.task.kind != DATASET or not late:
        return ""
    images = f"its {split} images" if split else "the images that are evaluated"
    text = f"note: tuned on {late[0]} of {images}, which results are reported on; those found so"
    text = f"{text} are too good, also with fresh seeds"
    kept = [metric for metric in instead if metric.startswith("val/")]
    return f"{text}. --objective {kept[0]} leaves these images alone." if kept else f"{text}."
