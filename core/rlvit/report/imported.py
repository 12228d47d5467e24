"""Numbers of the user's files that no arm stands beside: of other tasks or other protocols."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rlvit.report.cells import Cell, Column, Notes, Table, count_cell, slug, text_cell
from rlvit.report.measured import reference_cell
from rlvit.report.model import Evidence, Reference
from rlvit.specs import MetricDef


def imported_tables(evidence: Evidence, seed: int) -> Iterator[Table]:
    """Yield a table for each task and protocol that was imported and not run.

    Numbers from papers for the same task and protocol stand in it, too; where nothing was imported
    there is no table, for papers print numbers of many tasks.
    """
    run = {(arm.task, arm.protocol) for arm in evidence.arms if arm.trials}
    found: dict[tuple[str, str], list[Reference]] = {}
    for one in evidence.references:
        if (one.task, one.protocol) not in run:
            found.setdefault((one.task, one.protocol), []).append(one)
    for (task, protocol), references in sorted(found.items()):
        if any(one.status == "imported" for one in references):
            yield _table(evidence, task, protocol, references, seed)


def _table(
    evidence: Evidence, task: str, protocol: str, references: Sequence[Reference], seed: int
) -> Table:
    notes = Notes()
    names = list(dict.fromkeys(one.metric for one in references))
    metrics = [
        evidence.metrics.get(name) or MetricDef(name, "", "none", "not declared by any plugin")
        for name in names
    ]
    for metric in metrics:
        notes.say(f"{metric.name}: {metric.meaning}.")
    if not protocol:
        notes.say("Nothing says that any two of these numbers were measured alike.")
    under = f"under {protocol}" if protocol else "under no protocol of rlvit"
    return Table(
        kind="imported",
        slug=slug("imported", task, protocol or "no protocol"),
        title=f"{task} {under}",
        caption="Nothing was run here. Numbers as their sources have them, with the 95 % interval"
        " of the mean where the scores of single runs are known.",
        columns=(
            Column("name", "name", "text"),
            Column("runs", "runs", "count"),
            *(Column(m.name, m.name, "result", m.unit, m.direction) for m in metrics),
        ),
        rows=tuple(_row(one, names, notes, seed) for one in references),
        footnotes=notes.footnotes(),
        task=task,
        protocol=protocol,
    )


def _row(one: Reference, metrics: Sequence[str], notes: Notes, seed: int) -> tuple[Cell, ...]:
    n = one.n or len(one.scores) or None
    runs = text_cell("?") if n is None else count_cell(n)
    cells = (reference_cell(one, notes, seed) if one.metric == m else Cell() for m in metrics)
    return (text_cell(one.name), runs, *cells)
