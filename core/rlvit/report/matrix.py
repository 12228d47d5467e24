"""The cells of a matrix side by side: one table a task, selectors by backbones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from sqlalchemy import Engine

from rlvit.catalog import Catalog
from rlvit.report.canvas import groups, headline, measured
from rlvit.report.cells import ABSENT, Notes, number, significant
from rlvit.report.collect import gather
from rlvit.report.measured import result_cell
from rlvit.report.model import Arm, Evidence
from rlvit.runs.matrix import Cell
from rlvit.specs import MetricDef

CLOSE = 0.05  # of the cheapest: costs that are nearer than this count as equal
KEPT, COST = "kept", "gmacs"  # <part>/kept and <part>/gmacs belong to <part>/<headline>


@dataclass(frozen=True)
class Sheet:
    """What the cells of a task measured."""

    task: str
    title: str
    rows: tuple[Mapping[str, str], ...]
    remarks: tuple[str, ...]


def sheets(engine: Engine, catalog: Catalog, cells: Sequence[Cell]) -> list[Sheet]:
    """Return one sheet for each task of which a cell of a matrix is completed."""
    plans = [cell.plan for cell in cells if cell.plan is not None]
    order = {plan.fingerprint: place for place, plan in enumerate(plans)}
    seeds = {plan.seed for plan in plans}
    method = plans[0].method.name if plans else None
    evidence = gather(engine, catalog, method=method, trials=True)  # a cell may be a trial's run
    found = []
    for (task, protocol), arms in groups(evidence).items():
        known = [_of_seeds(arm, seeds) for arm in arms if arm.fingerprint in order]
        own = sorted((a for a in known if a.trials), key=lambda arm: order[arm.fingerprint])
        metric = headline(evidence, task, own)
        if own and metric is not None:
            found.append(_sheet(evidence, task, protocol, own, metric))
    return found


def _of_seeds(arm: Arm, seeds: Collection[int]) -> Arm:
    """Return an arm without runs of other seeds, and with the newest of each seed."""
    by_seed = {trial.seed: trial for trial in arm.trials if trial.seed in seeds}
    return replace(arm, trials=tuple(by_seed.values()))


def _sheet(
    evidence: Evidence, task: str, protocol: str, arms: Sequence[Arm], metric: MetricDef
) -> Sheet:
    """Lay arms out by selector and backbone."""
    notes, part = Notes(), metric.name.rpartition("/")[0]
    columns = list(dict.fromkeys(_column(arm) for arm in arms))
    table: dict[str, dict[str, str]] = {}
    for arm in arms:
        texts = [result_cell(arm, metric, notes, 0).shown]
        texts += [_mean(arm, f"{part}/{name}") for name in (KEPT, COST)]
        row = table.setdefault(_row(arm), {"selector": _row(arm), **dict.fromkeys(columns, ABSENT)})
        row[_column(arm)] = " | ".join(texts)
    unit = "" if metric.unit == "-" else f" ({metric.unit})"
    title = f"{task}, protocol {protocol}: {metric.name}{unit} | patches kept | GMACs an image"
    remarks = (*(note.text for note in notes.footnotes()), *_unequal(task, arms, f"{part}/{COST}"))
    return Sheet(task, title, tuple(table.values()), remarks)


def _row(arm: Arm) -> str:
    """Name an arm's selector, and its other parts but the backbone."""
    others = [
        part for slot, part in sorted(arm.slots.items()) if slot not in ("backbone", "selector")
    ]
    return " + ".join([arm.slots.get("selector", arm.method), *others])


def _column(arm: Arm) -> str:
    return arm.slots.get("backbone", arm.method)


def _mean(arm: Arm, name: str) -> str:
    """Return the mean over seeds of a measurement, as text."""
    values = [value.value for value in measured(arm, name)]
    if not values:
        return ABSENT
    mean = fmean(values)
    return number(mean, significant(mean, 3))


def _unequal(task: str, arms: Sequence[Arm], cost: str) -> list[str]:
    """Say where arms spent different multiply-adds, so that accuracies alone mislead."""
    by_column: dict[str, dict[str, float]] = {}
    for arm in arms:
        if values := [value.value for value in measured(arm, cost)]:
            by_column.setdefault(_column(arm), {})[_row(arm)] = fmean(values)
    found = []
    for column, costs in by_column.items():
        least, most = min(costs, key=costs.__getitem__), max(costs, key=costs.__getitem__)
        if costs[most] > costs[least] * (1 + CLOSE):
            found.append(
                f"Not at equal compute on {task}, {column}: an image costs {costs[least]:.3g} "
                f"GMACs with {least}, {costs[most]:.3g} with {most}."
            )
    means = [fmean(costs.values()) for costs in by_column.values()]
    if means and max(means) > min(means) * (1 + CLOSE):
        found.append(f"The backbones do not cost the same on {task}: compare within a column.")
    return found
