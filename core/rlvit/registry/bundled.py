"""Writes what a bundle brings of a study that is known already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import delete, insert, update

from rlvit.registry import schema
from rlvit.registry.records import TrialRecord
from rlvit.registry.restore import RestoreStore


class BundleStore(RestoreStore):
    """Writes studies that went on elsewhere. Each method is one transaction."""

    def put_trials(self, study: str, wanted: int, trials: Sequence[TrialRecord]) -> None:
        """Replace these trials of a study, or add them, and say how many trials it wants."""
        table = schema.Trial
        with self._transaction() as session:
            session.execute(
                update(schema.Study).where(schema.Study.name == study).values(trials=wanted)
            )
            for trial in trials:
                row = asdict(trial)
                runs = row.pop("runs")
                key = {"study": study, "number": trial.number}
                session.execute(
                    delete(table).where(table.study == study, table.number == trial.number)
                )
                session.execute(insert(table), [row])
                if runs:
                    rows = [
                        {**key, "seed": seed, "run_id": run_id} for seed, run_id in runs.items()
                    ]
                    session.execute(insert(schema.TrialRun), rows)
