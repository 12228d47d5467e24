"""The fields of runs that a query can ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, select

from rlvit.registry import schema

if TYPE_CHECKING:
    from rlvit.registry.expression import Expression

OF_RUN = (
    *("id", "name", "preset", "seed", "state", "attempt", "plugin", "plugin_version"),
    *("note", "archived", "seconds", "git_commit", "git_dirty"),
)
OF_EXPERIMENT = ("method", "task", "protocol", "fingerprint")
OF_MACHINE = ("device", "gpu", "host", "threads")
Described = dict[str, dict[str, Any]]  # run id -> field -> value


def described(engine: Engine) -> Described:
    """Return the fields of every run, archived ones too, by its id.

    They are those of the run itself, `config.*`, `slot.*`, `tag.*` (True where a tag has no value)
    and `result.*`, the newest measurement of each metric.
    """
    run, experiment, result = schema.Run, schema.Experiment, schema.Result
    runs = select(
        *(getattr(run, name) for name in OF_RUN),
        *(getattr(experiment, name) for name in OF_EXPERIMENT),
        *(experiment.config, experiment.slots, run.bookkeeping),
        *(run.provenance[name].label(name) for name in OF_MACHINE),
    ).join(experiment)
    measured = (
        select(result.run_id, result.metric, result.value)
        .where(result.superseded.is_(False))
        .order_by(result.run_id, result.metric, result.step, result.attempt, result.row)
    )
    with engine.connect() as connection:
        found = {row.id: _of_run(row) for row in connection.execute(runs)}
        for run_id, key, value in connection.execute(
            select(schema.Tag.run_id, schema.Tag.key, schema.Tag.value)
        ):
            found[run_id][f"tag.{key}"] = value or True
        for one in connection.execute(measured):
            found[one.run_id][f"result.{one.metric}"] = one.value
    return found


def _of_run(row: Any) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in (*OF_RUN, *OF_EXPERIMENT, *OF_MACHINE)},
        "name": None if row.name == row.id else row.name,  # it was given none
        **{f"config.{name}": value for name, value in (row.config | row.bookkeeping).items()},
        **{f"slot.{name}": value for name, value in row.slots.items()},
    }


def chosen(engine: Engine, expression: Expression, also: Iterable[str] = ()) -> set[str]:
    """Return the ids of the runs of which an expression is true.

    Args:
        engine: of the registry.
        expression: what is asked.
        also: fields that are known although no run has them, such as those of a plugin's options.

    Raises:
        UnknownName: no run can have a field of that name.
        UsageProblem: it compares what cannot be compared.
    """
    found = described(engine)
    known = {*OF_RUN, *OF_EXPERIMENT, *OF_MACHINE, *also}
    for fields in found.values():
        known.update(fields)
    with engine.connect() as connection:
        metrics = connection.scalars(select(schema.Metric.name))
        known.update(f"result.{name}" for name in metrics)
    expression.check(known)
    return {run_id for run_id, fields in found.items() if expression.matches(fields)}
