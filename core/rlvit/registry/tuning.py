"""How much tuning stands behind a configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Engine, func, select

from rlvit.registry import schema

AFTERWARDS = ("best-of", "from-trial")  # tags of such runs: STUDY, and STUDY:NUMBER


def tuning_trials(engine: Engine, fingerprints: Collection[str]) -> Mapping[str, int]:
    """Return the trials of all studies that tried a configuration, by its fingerprint.

    All trials of a study count, however they ended, but those that it took from another one: what
    was spent to find the configuration, not its own trial alone. A configuration that no study
    tried is not among the keys. A run that was made of a trial afterwards, with a fresh seed or as
    it was, says the same as the trial's own, which may have been deleted.
    """
    run, experiment, tried = schema.Run, schema.Experiment, schema.TrialRun
    tag = schema.Tag
    studies = (
        select(experiment.fingerprint, tried.study)
        .join(run, run.experiment_id == experiment.id)
        .join(tried, tried.run_id == run.id)
        .distinct()
    )
    afterwards = (
        select(experiment.fingerprint, tag.value)
        .join(run, run.experiment_id == experiment.id)
        .join(tag, tag.run_id == run.id)
        .where(tag.key.in_(AFTERWARDS))
    )
    trials = (
        select(schema.Trial.study, func.count())
        .where(schema.Trial.source == "")
        .group_by(schema.Trial.study)
    )
    with engine.connect() as connection:
        pairs = {(row[0], row[1]) for row in connection.execute(studies)}
        sizes = {study: int(count) for study, count in connection.execute(trials)}
        named = ((row[0], row[1].partition(":")[0]) for row in connection.execute(afterwards))
        pairs |= {(fingerprint, study) for fingerprint, study in named if study in sizes}
    found: dict[str, int] = {}
    for fingerprint, study in pairs:
        if fingerprint in fingerprints:
            found[fingerprint] = found.get(fingerprint, 0) + sizes.get(study, 0)
    return found
