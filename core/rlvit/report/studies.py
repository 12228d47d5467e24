"""The section on studies: what was tuned, what it cost, and which settings mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from rlvit.catalog import Catalog, Entry
from rlvit.manager import PluginInfo
from rlvit.registry import studies
from rlvit.registry.records import TrialRecord
from rlvit.sections import (
    House,
    ReportSection,
    SectionCell,
    SectionColumn,
    SectionContent,
    SectionFigure,
    SectionRequest,
    SectionTable,
)
from rlvit.tune import fresh, summary
from rlvit.tune.space import Range, space_of
from rlvit.tune.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from sqlalchemy import Engine

LEADING = 5  # trials of one objective that are listed; of several it is the whole front
SLICES = 4  # settings that have a figure, the most important ones
CURSE = (
    "A value found while tuning was chosen among many, and so is too good on average. Only means "
    "of runs with fresh seeds, which the study did not use, say how good a configuration is."
)


def with_studies(catalog: Catalog, engine: Engine) -> Catalog:
    """Return the catalogue with the section on the studies of a registry, which the core offers."""
    section = studies_section(engine)
    core = PluginInfo("rlvit", "rlvit", "", "rlvit", (), None)
    sections = {**catalog.entries["section"], section.name: Entry(section, core)}
    return replace(catalog, entries={**catalog.entries, "section": sections})


def studies_section(engine: Engine) -> ReportSection:
    """Return the section on the studies of a registry."""
    return ReportSection(
        name="studies",
        title="Studies",
        summary="What was tuned, what that cost, and which settings mattered.",
        build=partial(_build, engine),
    )


def _build(engine: Engine, request: SectionRequest) -> SectionContent | None:
    here = studies.list_studies(engine, task=request.task, protocol=request.protocol)
    found = [summary.summarise(engine, study) for study in sorted(here, key=lambda s: s.name)]
    shown = [one for one in found if one.completed]
    if not found:
        return None
    tables = [_overview(found)]
    figures: list[SectionFigure] = []
    for one in shown:
        tables += [_leading(engine, one, request), *_importances(one)]
        units = {name: metric.unit for name, metric in request.metrics.items()}
        figures += _figures(one, units, request.house)
    return SectionContent((CURSE,), tables, figures)


def _overview(found: list[Summary]) -> SectionTable:
    """Return a row a study: its size, its states and its cost."""
    titles = ("study", "method", "optimises", "sampler", "pruner")
    columns = [
        *(SectionColumn(title) for title in titles),
        *(SectionColumn(title) for title in ("completed", "pruned", "failed", "open")),
        SectionColumn("tuning cost", "min"),
        SectionColumn("last failure"),
    ]
    rows: list[Sequence[SectionCell]] = [
        (
            one.study.name,
            one.study.method,
            ", ".join(f"{metric} ({way})" for metric, way in one.study.objectives.items()),
            str(one.study.sampler["name"]),
            str(one.study.pruner["name"]),
            *(one.states.get(state, 0) for state in ("completed", "pruned", "failed")),
            one.states.get("running", 0) + one.states.get("interrupted", 0),
            one.seconds / 60,
            one.failure.replace("`", "") or None,  # it is a cell, and no text with markup
        )
        for one in found
    ]
    note = "Computing time of all runs of a study's own trials, also of those that were given up."
    lost = sum(len(one.deleted) for one in found)
    if lost:
        note += f" {lost} of these runs were deleted, and their time is not known any more."
    return SectionTable("Studies and what they cost", columns, rows, note)


def _leading(engine: Engine, one: Summary, request: SectionRequest) -> SectionTable:
    """Return the leading trials: as tuned, and with fresh seeds."""
    study = one.study
    columns = [SectionColumn("trial")]
    for metric, way in study.objectives.items():
        unit = request.metrics[metric].unit if metric in request.metrics else ""
        direction: Literal["max", "min"] = "max" if way == "max" else "min"
        columns += [
            SectionColumn(f"{metric}, tuned", unit),
            SectionColumn(f"{metric}, fresh seeds", unit, direction),
        ]
    columns += [SectionColumn("fresh seeds"), *(SectionColumn(name) for name in study.space)]
    rows: list[Sequence[SectionCell]] = []
    for trial in fresh.leaders(study, one.trials, LEADING):
        standing = fresh.standing(engine, study, trial)
        pairs = [
            (
                summary.value(trial, metric),
                request.interval(standing.values[metric]) if standing.values[metric] else None,
            )
            for metric in study.objectives
        ]
        rows.append(
            (
                trial.number,
                *(cell for pair in pairs for cell in pair),
                len(standing.seeds),
                *(_text(trial.params.get(name)) for name in study.space),
            )
        )
    several = len(study.objectives) > 1
    note = (
        "No other trial is better in one objective and no worse in all others." if several else ""
    )
    return SectionTable(
        f"{'Pareto front' if several else 'Leading trials'} of {study.name}", columns, rows, note
    )


def _text(found: object) -> str | float | int | None:
    return found if isinstance(found, int | float) and not isinstance(found, bool) else str(found)


def _importances(one: Summary) -> list[SectionTable]:
    """Return the importance of each setting for each objective; none of few trials."""
    shares = {metric: summary.importance(one, metric) for metric in one.study.objectives}
    known = {metric: share for metric, share in shares.items() if share}
    if not known:
        return []
    columns = [SectionColumn("setting"), *(SectionColumn(metric) for metric in known)]
    columns.append(SectionColumn("searched"))
    first = next(iter(known.values()))
    space = one.study.space
    ranges = {name: str(space_of(one.study)[name]) for name in space}
    rows: list[Sequence[SectionCell]] = [
        (name, *(s.get(name, 0.0) for s in known.values()), ranges[name]) for name in first
    ]
    note = (
        f"Share of the variance that a setting explains by functional ANOVA (Hutter et al. 2014), "
        f"from {len(one.completed)} completed trials: a hint, no test."
    )
    return [SectionTable(f"Importance of settings in {one.study.name}", columns, rows, note)]


def _figures(one: Summary, units: Mapping[str, str], house: House) -> list[SectionFigure]:
    name, found = one.study.name, []
    for metric in one.study.objectives:
        found.append(
            SectionFigure(
                f"History of {metric} in {name}",
                "A dot is a completed trial; the line is the best value so far. At the bottom a "
                "pruned trial has a tick, a failed one a cross.",
                partial(_draw_history, one, metric, units.get(metric, ""), house),
            )
        )
        important = list(summary.importance(one, metric)) or list(one.study.space)
        for setting in important[:SLICES]:
            found.append(
                SectionFigure(
                    f"{metric} by {setting} in {name}",
                    "A dot is a completed trial, whatever its other settings; later ones are dark.",
                    partial(_draw_slice, one, metric, units.get(metric, ""), setting, house),
                )
            )
    metrics = list(one.study.objectives)
    found.append(
        SectionFigure(
            f"Settings and {metrics[0]} in {name}",
            "A line is a completed trial across its settings, each from one end of its range to "
            f"the other, and its {metrics[0]} at the right, from the lowest to the highest. "
            "Leading trials are bold.",
            partial(_draw_parallel, one, metrics[0], units.get(metrics[0], ""), house),
        )
    )
    if len(metrics) > 1:
        found.append(
            SectionFigure(
                f"Pareto front of {name}",
                "A dot is a completed trial; squares are dominated by no other.",
                partial(_draw_front, one, metrics[0], metrics[1], units, house),
            )
        )
    return found


def _title(one: Summary, metric: str, unit: str) -> str:
    """Return what an axis of an objective is called: with unit, and which way is better."""
    better = "more" if one.study.objectives[metric] == "max" else "less"
    return f"{metric}{f' [{unit}]' if unit not in ('', '-') else ''}, {better} is better"


def _whole_ticks(axis: Axis) -> None:
    """Let an axis of whole numbers have no others."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def _draw_history(one: Summary, metric: str, unit: str, house: House, axes: Axes) -> None:
    rows = summary.history(one, metric)
    numbers = [number for number, _, _ in rows]
    axes.plot(numbers, [found for _, found, _ in rows], "o", color=house.colours[0], label="trial")
    best = [best for _, _, best in rows]
    axes.step(numbers, best, where="post", color=house.ink, label="best so far")
    bottom = axes.get_xaxis_transform()  # trials across, the height of the axes up
    for state, mark in (("pruned", "|"), ("failed", "x")):
        there = [trial.number for trial in one.trials if trial.state == state]
        if there:
            axes.plot(
                there, [0.02] * len(there), mark, color=house.ink, transform=bottom, label=state
            )
    _whole_ticks(axes.xaxis)
    axes.set_xlabel("trial")
    axes.set_ylabel(_title(one, metric, unit))


def _draw_slice(
    one: Summary, metric: str, unit: str, setting: str, house: House, axes: Axes
) -> None:
    searched = space_of(one.study)[setting]
    trials = one.completed
    last = max(1, trials[-1].number)
    places = {choice: number for number, choice in enumerate(searched.choices)}
    for trial in trials:
        found = trial.params[setting]
        axes.plot(
            places.get(found, 0) if searched.low is None else found,
            summary.value(trial, metric),
            "o",
            color=house.colours[0],
            alpha=0.3 + 0.7 * trial.number / last,
        )
    if searched.low is None:
        axes.set_xticks(range(len(places)), [str(choice) for choice in places])
    elif searched.log:
        _log_axis(axes)
    elif searched.whole:
        _whole_ticks(axes.xaxis)
    axes.set_xlabel(setting)
    axes.set_ylabel(_title(one, metric, unit))


def _log_axis(axes: Axes) -> None:
    """Count the axis across by logarithm, with at least two numbers written at it."""
    from matplotlib.ticker import LogLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    marks = (1.0,) if high / low > 200 else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=marks))
    axes.xaxis.set_major_formatter(lambda at, _: f"{at:g}")  # powers would be mathematics
    axes.xaxis.set_minor_formatter(lambda at, _: "")


def _draw_parallel(one: Summary, metric: str, unit: str, house: House, axes: Axes) -> None:
    names = list(one.study.space)
    trials = one.completed
    heights = summary.relative([summary.value(trial, metric) for trial in trials])
    leading = {trial.number for trial in fresh.leaders(one.study, trials, LEADING)}
    for trial, height in zip(trials, heights, strict=True):
        places = [summary.place(one, name, trial.params[name]) for name in names]
        bold = trial.number in leading
        axes.plot(
            range(len(names) + 1),
            [*places, height],
            color=house.colours[1] if bold else house.grid,
            linewidth=2.0 if bold else 1.0,
            zorder=3 if bold else 2,
        )
    for number, name in enumerate(names):
        for height, text in zip((0.0, 1.0), _border(space_of(one.study)[name]), strict=True):
            _write(axes, number, height, text, house)
    values = [summary.value(trial, metric) for trial in trials]
    for height, found in ((0.0, min(values)), (1.0, max(values))):
        _write(axes, len(names), height, f"{found:.4g}", house)
    last = f"{metric} [{unit}]" if unit not in ("", "-") else metric
    axes.set_xticks(range(len(names) + 1), [*names, last], rotation=30, ha="right")
    axes.set_yticks([0, 1], ["lowest", "highest"])
    axes.set_ylim(-0.14, 1.14)  # with room for the numbers


def _border(searched: Range) -> tuple[str, str]:
    """Return the first and the last value of a range."""
    ends = searched.ends
    first, last = (f"{e:.4g}" if isinstance(e, float) else str(e) for e in (ends[0], ends[-1]))
    return first, last


def _write(axes: Axes, number: int, height: float, text: str, house: House) -> None:
    side = "top" if height == 0.0 else "bottom"
    axes.annotate(
        text,
        (number, height),
        xytext=(0, -3 if height == 0.0 else 3),
        textcoords="offset points",
        ha="center",
        va=side,
        color=house.ink,
        fontsize="small",
    )


def _draw_front(
    one: Summary, first: str, second: str, units: Mapping[str, str], house: House, axes: Axes
) -> None:
    def points(trials: list[TrialRecord]) -> list[tuple[float, float]]:
        return [(summary.value(t, first), summary.value(t, second)) for t in trials]

    every = points(one.completed)
    front = sorted(points(fresh.leaders(one.study, one.trials, LEADING)))
    axes.plot(*zip(*every, strict=True), "o", color=house.colours[0], label="trial")
    axes.plot(*zip(*front, strict=True), "s--", color=house.colours[1], label="Pareto front")
    axes.set_xlabel(_title(one, first, units.get(first, "")))
    axes.set_ylabel(_title(one, second, units.get(second, "")))
