"""Takes a study away. Its runs stay, archived: as arms they would hide that they were a search.

Stopped anywhere, the study is still in the registry, and a second call ends what the first began.
"""

from __future__ import annotations

import optuna

from rlvit.errors import RlvitError
from rlvit.home import Home, sqlite_path
from rlvit.registry import studies
from rlvit.registry.records import StudyRecord
from rlvit.registry.studies import StudyStore
from rlvit.runs.mirrors import STUDIES
from rlvit.runs.views import mirror
from rlvit.tune.storage import found_again, open_storage
from rlvit.tune.study import is_worked_on


def remove_study(
    home: Home, store: StudyStore, study: StudyRecord, where: str | None = None
) -> list[str]:
    """Archive a study's own runs, and delete it from Optuna's database, disk and registry.

    Args:
        home: where its file is.
        store: of the registry.
        study: what goes.
        where: URL of Optuna's database, if the one that was kept lacks a password.

    Returns:
        The runs that are archived now.

    Raises:
        RlvitError: a process works on a trial, or Optuna's database cannot be used.
        UsageProblem: `where` is another database.
    """
    with store.holding(study.name, home):
        for trial in studies.list_trials(store.engine, study.name):
            if is_worked_on(store, trial):
                raise RlvitError(
                    f"trial {trial.number} of {study.name} is worked on: `rlvit tune stop "
                    f"{study.name}` ends its workers. Nothing was changed."
                )
        runs = studies.own_runs(store.engine, study.name)
        for run in runs:
            store.annotate(run, archived=True)
            mirror(store, home, run)
        _remove_from_optuna(home, study, where)
        (home.runs / STUDIES / f"{study.name}.json").unlink(missing_ok=True)
        store.delete_study(study.name)
    return runs


def _remove_from_optuna(home: Home, study: StudyRecord, where: str | None) -> None:
    """Delete a study from Optuna's database, if that is here and has it."""
    url = found_again(home, study.storage, where)
    file = sqlite_path(url)
    if file is not None and not file.exists():
        return  # an imported study was never in it
    try:
        optuna.delete_study(study_name=study.name, storage=open_storage(home, url))
    except KeyError:
        return
