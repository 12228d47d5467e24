"""How much tuning stands behind a configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Engine, func, select

from rlvit.registry import schema


def tuning_trials(engine: Engine, fingerprints: Collection[str]) -> Mapping[str, int]:
    """Return the trials of all studies that tried a configuration, by its fingerprint.

    All trials of a study count, however they ended, but those that it took from another one: what
    was spent to find the configuration, not its own trial alone. A configuration that no study
    tried is not among the keys.
    """
    run, experiment, tried = schema.Run, schema.Experiment, schema.TrialRun
    studies = (
        select(experiment.fingerprint, tried.study)
        .join(run, run.experiment_id == experiment.id)
        .join(tried, tried.run_id == run.id)
        .distinct()
    )
    trials = (
        select(schema.Trial.study, func.count())
        .where(schema.Trial.source == "")
        .group_by(schema.Trial.study)
    )
    with engine.connect() as connection:
        pairs = connection.execute(studies).all()
        sizes = {study: int(count) for study, count in connection.execute(trials)}
    found: dict[str, int] = {}
    for fingerprint, study in pairs:
        if fingerprint in fingerprints:
            found[fingerprint] = found.get(fingerprint, 0) + sizes.get(study, 0)
    return found
