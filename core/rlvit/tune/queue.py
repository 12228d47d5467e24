"""Trials to be made before the sampler draws others: those of the user, and failed ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from rlvit.catalog import Catalog
from rlvit.config import accepted_names
from rlvit.errors import UnknownName, UsageProblem
from rlvit.registry import studies
from rlvit.registry.records import StudyRecord
from rlvit.specs import digest
from rlvit.tune.space import parse_fixed, space_of
from rlvit.tune.study import OpenStudy


def parse_queued(
    catalog: Catalog, study: StudyRecord, texts: Sequence[str]
) -> list[dict[str, Any]]:
    """Read `--enqueue` options: `lr=1e-3,dim=64`; what is left out is drawn.

    Raises:
        UsageProblem: a setting is not searched, or its value is not in the range.
    """
    config, space = catalog.method(study.method).config, space_of(study)
    meant = accepted_names(config)
    found = []
    for text in texts:
        values = parse_fixed(config, [word for word in text.split(",") if word], "--enqueue")
        for name, value in values.items():
            if meant[name] not in space:
                raise UnknownName("searched setting", name, space)
            if not space[name].holds(value):
                raise UsageProblem(f"--enqueue {text}: {name} is searched in {space[name]}.")
        if study.sampler["name"] == "grid" and values.keys() != space.keys():
            raise UsageProblem(f"--enqueue {text}: of a grid give every searched setting.")
        found.append(values)
    return found


def enqueue(opened: OpenStudy, settings: Sequence[Mapping[str, Any]]) -> int:
    """Let the next trials have these values, but those that wait or were tried; return how many."""
    name, store = opened.record.name, opened.store
    with store.holding(name, opened.home):
        trials = studies.list_trials(store.engine, name)
        known = {digest(dict(one.params)) for one in trials} | _waiting(opened)
        fresh = {digest(dict(one)): dict(one) for one in settings}
        chosen = [values for key, values in fresh.items() if key not in known]
        for values in chosen:
            opened.optuna.enqueue_trial(values)
    return len(chosen)


def enqueue_failed(opened: OpenStudy) -> int:
    """Try the values of failed trials again, in new trials, of which so many more are wanted.

    A trial that was ended stays as it is. Values that are tried again already, or were since with
    another end, are left out.
    """
    name, store = opened.record.name, opened.store
    with store.holding(name, opened.home):
        trials = [one for one in studies.list_trials(store.engine, name) if not one.source]
        other = {digest(dict(one.params)) for one in trials if one.state != "failed"}
        failed = {digest(dict(o.params)): dict(o.params) for o in trials if o.state == "failed"}
        again = [failed[key] for key in failed if key not in other | _waiting(opened)]
        wanted = studies.find_study(store.engine, name).trials
        store.change_study(name, trials=wanted + len(again))  # first: a kill loses no trial
        for values in again:
            opened.optuna.enqueue_trial(values)
    return len(again)


def _waiting(opened: OpenStudy) -> set[str]:
    """Return the digests of the values that wait for a trial."""
    frozen = opened.optuna.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return {digest(dict(one.system_attrs["fixed_params"])) for one in frozen}
