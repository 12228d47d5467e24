"""What `rlvit registry check` and `rlvit runs gc` have to know of a registry's rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, select, text

from rlvit.registry import schema

Keyed = dict[tuple[Any, ...], tuple[Any, ...]]  # what a row is of -> its values
ROWS: dict[str, tuple[Any, tuple[str, ...], tuple[str, ...]]] = {
    "points": (schema.Point, ("metric", "attempt", "row"), ("step", "value", "at")),
    "results": (
        schema.Result,
        ("metric", "attempt", "row"),
        ("step", "value", "samples", "spread"),
    ),
    "episodes": (
        schema.EpisodeRow,
        ("attempt", "row"),
        ("step", "index", "score", "length"),
    ),
}


@dataclass(frozen=True)
class Link:
    """An artifact that a run made or used."""

    run: str
    role: str  # "made" or "used"
    id: int  # of the artifact
    kind: str
    key: str
    sha256: str
    path: str
    made_by: str


def rows_of(engine: Engine, run_id: str, what: str) -> tuple[Keyed, Keyed]:
    """Return the live and the superseded rows of a run's points, results or episodes."""
    table, keys, values = ROWS[what]
    columns = [getattr(table, name) for name in (*keys, *values)]
    query = select(table.superseded, *columns).where(table.run_id == run_id)
    found: tuple[Keyed, Keyed] = ({}, {})
    with engine.connect() as connection:
        for superseded, *row in connection.execute(query):
            found[bool(superseded)][tuple(row[: len(keys)])] = tuple(row[len(keys) :])
    return found


def keyed(rows: Sequence[dict[str, Any]], what: str) -> tuple[Keyed, Keyed]:
    """Return rows that are the folder's in the form of `rows_of`."""
    _, keys, values = ROWS[what]
    found: tuple[Keyed, Keyed] = ({}, {})
    for row in rows:
        key = tuple(row[name] for name in keys)
        found[row["superseded"]][key] = tuple(row[name] for name in values)
    return found


def links(engine: Engine) -> list[Link]:
    """Return which run made or used which artifact, in the order of the artifacts."""
    artifact, lineage = schema.ArtifactRow, schema.Lineage
    columns = [getattr(artifact, name) for name in list(Link.__dataclass_fields__)[2:]]
    query = select(lineage.run_id, lineage.role, *columns).join(
        artifact, artifact.id == lineage.artifact_id
    )
    with engine.connect() as connection:
        found = connection.execute(query.order_by(artifact.id, lineage.run_id))
        return [Link(*row) for row in found]


def unlinked(engine: Engine) -> list[tuple[int, str]]:
    """Return number and path of the artifacts that no run made or used, as far as is known."""
    artifact, used = schema.ArtifactRow, select(schema.Lineage.artifact_id)
    query = select(artifact.id, artifact.path).where(artifact.id.not_in(used))
    with engine.connect() as connection:
        return [(number, path) for number, path in connection.execute(query.order_by(artifact.id))]


def runs_of_trials(engine: Engine) -> dict[str, tuple[str, int, str]]:
    """Return study, number and state of the trial that a run belongs to, by the run's id."""
    tried, trial = schema.TrialRun, schema.Trial
    same = (trial.study == tried.study) & (trial.number == tried.number)
    query = select(tried.run_id, tried.study, tried.number, trial.state).join(trial, same)
    with engine.connect() as connection:
        return {row[0]: (row[1], row[2], row[3]) for row in connection.execute(query)}


def broken_pages(engine: Engine) -> list[str]:
    """Return what SQLite finds wrong with its file; PostgreSQL looks after its own."""
    if engine.dialect.name != "sqlite":
        return []
    with engine.connect() as connection:
        found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
    return [] if found == ["ok"] else found


def broken_references(engine: Engine) -> dict[tuple[str, str], int]:
    """Return how many rows of a table refer to a row of another that is not there.

    PostgreSQL does not let that happen. SQLite does where another program wrote.
    """
    if engine.dialect.name != "sqlite":
        return {}
    found: dict[tuple[str, str], int] = {}
    with engine.connect() as connection:
        for table, _, parent, _ in connection.execute(text("PRAGMA foreign_key_check")):
            found[table, parent] = found.get((table, parent), 0) + 1
    return found


def study_names(file: Path) -> set[str]:
    """Return the studies of Optuna's database in a file; raises sqlite3.Error."""
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as connection:
        return {str(row[0]) for row in connection.execute("SELECT study_name FROM studies")}
