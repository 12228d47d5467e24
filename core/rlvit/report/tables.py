"""Tables of a report: results beside what they cost and what others published, and their origin."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from rlvit.errors import UnknownName
from rlvit.report import stats
from rlvit.report.budget import budget, budget_table
from rlvit.report.cells import (
    Cell,
    Column,
    Footnote,
    Notes,
    Table,
    count_cell,
    difference_unit,
    slug,
    text_cell,
)
from rlvit.report.differences import difference_cells, names_baseline
from rlvit.report.imported import imported_tables
from rlvit.report.measured import BOLD, embolden, reference_cell, result_cell
from rlvit.report.model import Arm, Evidence, Reference
from rlvit.report.normalised import aggregate_tables
from rlvit.specs import MetricDef

__all__ = ["Cell", "Column", "Footnote", "Table", "mixed_tasks", "own_slugs", "tables"]

ANY, NONE = "several protocols", "none of rlvit's"
Line = dict[str, Reference]  # metric -> published number, of one row


def tables(
    evidence: Evidence, *, baseline: str | None = None, mixed: bool = False, seed: int = 0
) -> list[Table]:
    """Return every table that the evidence gives, in the order of a report.

    Comparison tables by task and protocol; aggregates over games; what the arms cost, by
    protocol; where the numbers come from; the runs that were left out.

    Args:
        evidence: of the runs, and the published numbers.
        baseline: an arm's label, or SLOT=NAME (as selector=random) for the arm that differs in
            this part alone: adds each arm's difference from it.
        mixed: put what was measured under different protocols into one table, and say so.
        seed: of the bootstrap.

    Raises:
        UnknownName: no arm is called `baseline`.
    """
    arms = [arm for arm in evidence.arms if arm.trials]
    if baseline is not None and not any(names_baseline(arm, baseline) for arm in arms):
        raise UnknownName("baseline", baseline, {arm.label for arm in arms})
    evidence = replace(evidence, arms=tuple(arms))
    found = [
        _Comparison(*group, evidence, baseline, seed).table() for group in _groups(evidence, mixed)
    ]
    found += imported_tables(evidence, seed)
    found += aggregate_tables(evidence, seed=seed)
    for protocol in dict.fromkeys(arm.protocol for arm in arms):
        found.append(budget_table(protocol, [a for a in arms if a.protocol == protocol], evidence))
    found += [_provenance(arms)] if arms else []
    found += [_unfinished(evidence.unfinished)] if any(evidence.unfinished.values()) else []
    return list(own_slugs(found))


def mixed_tasks(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """Return the tasks that were measured under several protocols, with these."""
    found: dict[str, set[str]] = {}
    for arm in evidence.arms:
        if arm.trials:
            found.setdefault(arm.task, set()).add(arm.protocol)
    return {task: tuple(sorted(names)) for task, names in sorted(found.items()) if len(names) > 1}


def _groups(evidence: Evidence, mixed: bool) -> list[tuple[str, str, list[Arm]]]:
    """Return (task, protocol, arms), by task."""
    several: Collection[str] = mixed_tasks(evidence) if mixed else ()
    found: dict[tuple[str, str], list[Arm]] = {}
    for arm in evidence.arms:
        protocol = ANY if arm.task in several else arm.protocol
        found.setdefault((arm.task, protocol), []).append(arm)
    return [(*key, found[key]) for key in sorted(found)]


def own_slugs(found: Iterable[Table]) -> Iterator[Table]:
    """Return the tables, those with a slug that was there before with a number after it."""
    seen: set[str] = set()
    for table in found:
        names = (f"{table.slug}-{number}" for number in count(2))
        name = table.slug if table.slug not in seen else next(n for n in names if n not in seen)
        seen.add(name)
        yield replace(table, slug=name)


@dataclass
class _Comparison:
    """Makes the table of one task under one protocol."""

    task: str
    protocol: str
    arms: list[Arm]
    evidence: Evidence
    baseline: str | None
    seed: int

    def table(self) -> Table:
        notes = Notes()
        metrics = self._metrics()
        lines = self._lines({metric.name for metric in metrics}, notes)
        columns, cells = self._heads(lines, notes)
        for metric in metrics:
            columns.append(
                Column(metric.name, metric.name, "result", metric.unit, metric.direction)
            )
            cells.append(self._results(metric, lines, notes))
        self._add_differences(metrics, columns, cells, notes)
        for column, spent in budget(self.arms, self.evidence, shown={m.name for m in metrics}):
            columns.append(column)
            cells.append(spent)
        for metric in metrics:
            notes.say(f"{metric.name}: {metric.meaning}.")
        empty = [Cell()] * (len(self.arms) + len(lines))
        cells = [column + empty[len(column) :] for column in cells]
        return Table(
            kind="comparison",
            slug=slug(self.task, self.protocol),
            title=f"{self.task} under {self.protocol}",
            caption=self._caption(),
            columns=tuple(columns),
            rows=tuple(zip(*cells, strict=True)),
            footnotes=notes.footnotes(),
            breaks=(len(self.arms),) if lines else (),
            task=self.task,
            protocol=self.protocol,
            metric=metrics[0].name if metrics else "",
        )

    def _caption(self) -> str:
        text = (
            "Mean over runs with its 95 % interval, by Student's t below"
            f" {stats.STUDENT_BELOW} runs and by the bootstrap from there on."
        )
        if self.protocol == ANY:
            text += (
                " The protocols differ: differences between rows may come from the protocol alone,"
                " so nothing is bold."
            )
        return text

    def _metrics(self) -> list[MetricDef]:
        """Return the headline metrics that a row of this table has."""
        measured = {name for arm in self.arms for trial in arm.trials for name in trial.results}
        measured |= {one.metric for one in self._comparable()}
        known = self.evidence.metrics
        return [
            known.get(name) or MetricDef(name, "", "none", "not declared by any plugin")
            for name in self.evidence.headlines.get(self.task, ())
            if name in measured
        ]

    def _comparable(self) -> list[Reference]:
        of_task = [one for one in self.evidence.references if one.task == self.task]
        return [one for one in of_task if self.protocol in (ANY, one.protocol)]

    def _lines(self, metrics: set[str], notes: Notes) -> list[Line]:
        """Return the published numbers, those of one method and place in a row."""
        comparable = self._comparable()
        elsewhere = sum(one.task == self.task for one in self.evidence.references)
        elsewhere -= len(comparable)
        rows: dict[tuple[str, str, str, int], Line] = {}
        for one in comparable:
            if one.metric not in metrics:
                elsewhere += 1
                continue
            again = 0
            while one.metric in rows.setdefault((one.name, one.where, one.protocol, again), {}):
                again += 1
            rows[one.name, one.where, one.protocol, again][one.metric] = one
        if elsewhere:
            notes.say(
                f"Other numbers for {self.task}, measured otherwise or of other metrics, are not"
                f" in this table: {elsewhere}."
            )
        return list(rows.values())

    def _heads(self, lines: list[Line], notes: Notes) -> tuple[list[Column], list[list[Cell]]]:
        """Return the columns that say what a row is, and how many runs are behind it."""
        firsts = [next(iter(line.values())) for line in lines]
        columns = [Column("arm", "arm", "text")]
        cells = [[text_cell(row.label) for row in self.arms] + [text_cell(r.name) for r in firsts]]
        if self.protocol == ANY:
            columns.append(Column("protocol", "protocol", "text"))
            of_arms = [text_cell(row.protocol) for row in self.arms]
            cells.append(of_arms + [text_cell(row.protocol or NONE) for row in firsts])
        columns.append(Column("runs", "runs", "count"))
        counts = [count_cell(len(row.trials)) for row in self.arms]
        known = [{r.n or len(r.scores) or None for r in line.values()} for line in lines]
        several = [next(iter(n)) if len(n) == 1 else None for n in known]
        unknown = text_cell("?")
        cells.append([*counts, *(unknown if n is None else count_cell(n) for n in several)])
        return columns, cells

    def _results(self, metric: MetricDef, lines: list[Line], notes: Notes) -> list[Cell]:
        ours = [result_cell(arm, metric, notes, self.seed) for arm in self.arms]
        published = [
            reference_cell(line[metric.name], notes, self.seed) if metric.name in line else Cell()
            for line in lines
        ]
        if self.protocol == ANY:
            of_lines = [line[metric.name].protocol if metric.name in line else "" for line in lines]
            ours = _marked(ours, [arm.protocol for arm in self.arms], notes)
            published = _marked(published, of_lines, notes)
        else:
            ours = embolden(ours, published, metric.direction)
        if any(cell.bold for cell in ours):
            notes.say(BOLD)
        return ours + published

    def _add_differences(
        self,
        metrics: list[MetricDef],
        columns: list[Column],
        cells: list[list[Cell]],
        notes: Notes,
    ) -> None:
        """Put the differences of the main metric after its column."""
        named = [arm for arm in self.arms if self.baseline and names_baseline(arm, self.baseline)]
        if not self.baseline or not named or not metrics or len(self.arms) < 2:
            return
        main = metrics[0]
        place = next(i for i, column in enumerate(columns) if column.key == main.name) + 1
        title = f"minus {self.baseline}"
        unit = difference_unit(main.unit)
        column = Column(f"difference/{main.name}", title, "difference", unit, main.direction)
        columns.insert(place, column)
        cells.insert(place, difference_cells(self.arms, main, self.baseline, notes, self.seed))


def _marked(cells: Sequence[Cell], protocols: Sequence[str], notes: Notes) -> list[Cell]:
    """Return cells of a joint table, every number with the footnote of its protocol."""
    return [
        cell
        if cell.value is None
        else replace(cell, marks=(*cell.marks, notes.mark(f"under {name or NONE}")))
        for cell, name in zip(cells, protocols, strict=True)
    ]


def _provenance(arms: Sequence[Arm]) -> Table:
    """Return where the numbers come from: runs, seeds, code, machine."""
    wide = {"ids", "commits", "devices"}
    titles = {
        "arm": "arm",
        "task": "task",
        "protocol": "protocol",
        "preset": "preset",
        "seeds": "seeds",
        "ids": "run ids",
        "commits": "commits",
        "versions": "plugin",
        "devices": "device",
    }
    return Table(
        kind="provenance",
        slug="provenance",
        title="Runs behind the numbers",
        caption="Every run that a number of this report comes from. A commit with + had"
        " uncommitted changes, with ? nobody knows.",
        columns=tuple(Column(key, text, "text", wide=key in wide) for key, text in titles.items()),
        rows=tuple(tuple(map(text_cell, _origin(arm))) for arm in arms),
    )


def _origin(arm: Arm) -> tuple[str, ...]:
    trials = arm.trials
    return (
        arm.label,
        arm.task,
        arm.protocol,
        arm.preset,
        _ranges([trial.seed for trial in trials]),
        ", ".join(trial.id for trial in trials),
        _distinct(_commit(trial.commit, trial.dirty) for trial in trials),
        _distinct(trial.version for trial in trials),
        _distinct(trial.device for trial in trials),
    )


def _commit(commit: str | None, dirty: bool | None) -> str:
    if commit is None:
        return "no git"
    return commit[:8] + {True: "+", False: "", None: "?"}[dirty]


def _distinct(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(name for name in names if name))


def _ranges(seeds: Iterable[int]) -> str:
    """Return seeds as 0-4, 7; one that was run n times as 7 (n times)."""
    counts: dict[int, int] = {}
    for seed in seeds:
        counts[seed] = counts.get(seed, 0) + 1
    spans: list[tuple[int, int, int]] = []  # first, last, times
    for seed in sorted(counts):
        if spans and spans[-1][1:] == (seed - 1, counts[seed]):
            spans[-1] = (spans[-1][0], seed, counts[seed])
        else:
            spans.append((seed, seed, counts[seed]))
    texts = [(f"{a}" if a == b else f"{a}-{b}", n) for a, b, n in spans]
    return ", ".join(text if n == 1 else f"{text} ({n} times)" for text, n in texts)


def _unfinished(counts: Mapping[str, int]) -> Table:
    """Return how many runs no number comes from."""
    states = [(state, count) for state, count in sorted(counts.items()) if count]
    return Table(
        kind="unfinished",
        slug="unfinished",
        title="Runs left out",
        caption="Runs that did not complete: no number of this report comes from them.",
        columns=(Column("state", "state", "text"), Column("runs", "runs", "count")),
        rows=tuple((text_cell(state), count_cell(count)) for state, count in states),
    )
