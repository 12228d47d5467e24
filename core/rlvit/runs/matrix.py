"""A matrix of runs: every combination of tasks, parts and seeds that fits, each an ordinary run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Engine

from rlvit.catalog import Catalog
from rlvit.config import resolve
from rlvit.errors import RlvitError, UsageProblem
from rlvit.registry import queries
from rlvit.registry.records import RunRecord
from rlvit.runs.plan import Plan, Request, default_preset, make_plan, resolve_device
from rlvit.runs.trained import SLOT, TrainedSelector
from rlvit.runs.views import mirror
from rlvit.specs import MethodSpec, digest

if TYPE_CHECKING:
    from rlvit.home import Home
    from rlvit.registry.store import Store

TAG = "matrix"  # the key under which a run has the name of its matrix
Choice = str | TrainedSelector

# run: no run of it yet, or only failed ones; resume: one was interrupted; done: one is completed;
# busy: another process works on it; unfit: left out
Outstanding = Literal["run", "resume", "done", "busy", "unfit"]
# What the runs of a cell leave to do, by their state; the first that there is counts.
LEFT: Mapping[str, Outstanding] = {
    "completed": "done",
    "running": "busy",
    "created": "busy",
    "interrupted": "resume",
}


@dataclass(frozen=True)
class Cell:
    """One combination: a plan, or the reason why there is none."""

    task: str
    parts: Mapping[str, str]  # slot -> name, of all slots
    seed: int
    plan: Plan | None
    problem: str = ""


def make_cells(
    catalog: Catalog,
    request: Request,
    tasks: Sequence[str],
    choices: Mapping[str, Sequence[Choice]],
    seeds: Sequence[int],
) -> list[Cell]:
    """Plan every combination; nothing is written.

    Args:
        catalog: what the plugins offer.
        request: all that the cells share.
        tasks: names.
        choices: of slots, names of parts; among selectors also trained ones.
        seeds: one run each.

    Raises:
        UsageProblem: an option is wrong whatever the cell, or a list names something twice.
    """
    method = catalog.method(request.plugin)
    _check_shared(method, request)
    known = _refuse_twice(method.task_kind, [catalog.task(t, method.task_kind).name for t in tasks])
    found = {slot: _known(catalog, slot, parts) for slot, parts in choices.items()}
    cells = []
    for task in known:
        for chosen in itertools.product(*found.values()):
            parts = dict(zip(found, chosen, strict=True))
            shared = replace(request, task=task)
            cells += [_cell(catalog, method, replace(shared, seed=s), parts) for s in seeds]
    return cells


def _check_shared(method: MethodSpec, request: Request) -> None:
    """Refuse what is wrong in every cell; raises UsageProblem."""
    preset = method.preset(request.preset or default_preset(resolve_device(request.device)))
    resolve(method.config, preset.values, request.values)


def _known(catalog: Catalog, slot: str, parts: Sequence[Choice]) -> list[Choice]:
    """Return the choices under their own names; raises UsageProblem."""
    found = [
        p if isinstance(p, TrainedSelector) else catalog.entry(slot, p).spec.name for p in parts
    ]
    _refuse_twice(slot, [_label(choice) for choice in found])
    return found


def _label(choice: Choice) -> str:
    return choice.frozen.name if isinstance(choice, TrainedSelector) else choice


def _refuse_twice(option: str, names: list[str]) -> list[str]:
    """Return the names if each is there once; raises UsageProblem."""
    for name in names:
        if names.count(name) > 1:
            raise UsageProblem(f"--{option}: {name} is named twice.")
    return names


def _cell(
    catalog: Catalog, method: MethodSpec, request: Request, chosen: Mapping[str, Choice]
) -> Cell:
    """Plan one combination."""
    trained = chosen.get(SLOT)
    own = trained if isinstance(trained, TrainedSelector) else None
    names = {slot: part for slot, part in chosen.items() if isinstance(part, str)}
    labels = {slot: _label(part) for slot, part in chosen.items()}
    assert request.task is not None
    try:
        plan = make_plan(catalog, replace(request, slots=names, trained=own))
    except RlvitError as problem:
        parts = {**method.slots, **labels}
        return Cell(request.task, parts, request.seed, None, str(problem))
    return Cell(plan.task.name, plan.slots, request.seed, plan)


def fitting(catalog: Catalog, method: MethodSpec, choices: Mapping[str, Sequence[str]]) -> bool:
    """Whether each of these parts fits into the method together with some of the others."""
    if not set(choices) <= set(method.slots):
        return False
    fit: set[tuple[str, str]] = set()
    for chosen in itertools.product(*choices.values()):
        named = dict(zip(choices, chosen, strict=True))
        try:
            catalog.parts(method, named)
        except UsageProblem:
            continue
        fit |= set(named.items())
    return all((slot, part) in fit for slot, parts in choices.items() for part in parts)


def default_name(request: Request, tasks: Sequence[str], cells: Sequence[Cell]) -> str:
    """Return a name that the same command gets again, and another one does not."""
    values = {name: str(value) for name, value in request.values.items()}
    what = [[cell.task, dict(cell.parts), cell.seed] for cell in cells]
    asked = {"cells": what, "preset": request.preset, "protocol": request.protocol}
    return f"{request.plugin}-{'-'.join(tasks)}-{digest({**asked, 'values': values})[:6]}".lower()


def outstanding(engine: Engine | None, cell: Cell) -> tuple[Outstanding, RunRecord | None]:
    """Return what is left to do for a cell, and the run that this is known from."""
    if cell.plan is None:
        return "unfit", None
    by_state = {record.state: record for record in _runs_of(engine, cell.plan)}
    for state, left in LEFT.items():
        if state in by_state:
            return left, by_state[state]
    return "run", None


def _runs_of(engine: Engine | None, plan: Plan) -> Iterator[RunRecord]:
    """Yield the runs of a plan's experiment and seed, oldest first, but for archived ones."""
    if engine is None:
        return
    found = queries.list_runs(
        engine,
        method=plan.method.name,
        task=plan.task.name,
        protocol=plan.protocol.name,
        seed=plan.seed,
    )
    yield from (run for run in reversed(found) if run.fingerprint == plan.fingerprint)


def claim(
    store: Store | None, home: Home, cell: Cell, name: str
) -> tuple[Outstanding, RunRecord | None]:
    """Return what is left to do for a cell now; a run that is there joins the matrix.

    One that was made by another matrix keeps the tag of that, and gets a tag with a key of its own.
    """
    if store is None:
        return outstanding(None, cell)
    state, record = outstanding(store.engine, cell)
    if record is not None and name not in (record.tags.get(TAG), record.tags.get(f"{TAG}.{name}")):
        key = TAG if TAG not in record.tags else f"{TAG}.{name}"
        store.tag(record.id, {key: name})
        mirror(store, home, record.id)
    return state, record


def report_options(engine: Engine, cells: Sequence[Cell], name: str) -> list[str]:
    """Return the options of `rlvit report` that choose the runs of a matrix."""
    records = [outstanding(engine, cell)[1] for cell in cells]
    if all(record is None or record.tags.get(TAG) == name for record in records):
        return ["--tag", f"{TAG}={name}"]
    return ["--query", f"tag.{TAG} == {name!r} or tag[{f'{TAG}.{name}'!r}] == {name!r}"]
