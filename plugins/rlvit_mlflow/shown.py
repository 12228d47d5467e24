"""Makes and fills MLflow's runs; each step looks at what is there, so that it may be done again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvit.contracts import RunView
from rlvit_mlflow import content
from rlvit_mlflow.store import artifact_root, serves_artifacts

PARAMS_A_CALL = 100  # MLflow's limit
METRICS_A_CALL = 900  # MLflow takes 1,000 metrics, params and tags together


def experiment(client: Any, run: RunView) -> str:
    """Return the experiment of a run, made if need be; the caller holds the store's lock."""
    name = content.name_of(run)
    found = client.get_experiment_by_name(name)
    if found is None:
        # A server says itself where files go; any other store would take the current folder.
        root = artifact_root(run.home) / run.method / run.task
        place = None if serves_artifacts() else root.as_uri()
        kind = {"mlflow.experimentKind": "custom_model_development"}  # else a page on GenAI opens
        try:
            return str(client.create_experiment(name, artifact_location=place, tags=kind))
        except Exception:  # another machine was first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def heading(client: Any, where: str, run: RunView) -> dict[str, str]:
    """Return the tag that shows a trial under its study, whose own run is made if need be.

    The study's run is a heading: it is over from the start, for nobody could end it in time. The
    caller holds the store's lock.
    """
    study = study_of(run)
    if not study:
        return {}
    found = client.search_runs([where], f"tags.`{content.STUDY}` = '{study}'", max_results=1)
    if found:
        return {"mlflow.parentRunId": found[0].info.run_id}
    tags = {content.STUDY: study, "rlvit.method": run.method}
    made = client.create_run(where, start_time=content.began(run), tags=tags, run_name=study)
    client.set_terminated(made.info.run_id, content.STATUS["completed"], content.began(run))
    return {"mlflow.parentRunId": made.info.run_id}


def study_of(run: RunView) -> str:
    """Return the study that a run is a trial of, or ""."""
    study = run.tags.get("study", "")
    return "" if "trial" not in run.tags or set(study) & set("'`\\") else study


def find(client: Any, where: str, run: RunView) -> Any:
    """Return MLflow's run of a run, or None."""
    found = client.search_runs([where], f"tags.`{content.ID}` = '{run.id}'", max_results=1)
    return found[0] if found else None


def create(client: Any, where: str, run: RunView, parent: Mapping[str, str]) -> str:
    """Make MLflow's run of a run and return its id."""
    made = client.create_run(
        where,
        start_time=content.began(run),
        tags=content.tags(run) | dict(parent),
        run_name=run.name,
    )
    return str(made.info.run_id)


def known(client: Any, run_id: str, metrics: Iterable[str]) -> content.Known:
    """Return the points that MLflow has of metrics of a run."""
    return content.Known(
        point for name in metrics for point in client.get_metric_history(run_id, name)
    )


def log(client: Any, run_id: str, params: Mapping[str, str], points: Sequence[Any]) -> None:
    """Write parameters and points in as few calls as MLflow allows."""
    from mlflow.entities import Param

    every = [Param(key, value) for key, value in params.items()]
    for start in range(0, max(len(points), len(every), 1), METRICS_A_CALL):
        chunk, every = every[:PARAMS_A_CALL], every[PARAMS_A_CALL:]
        some = points[start : start + METRICS_A_CALL]
        if chunk or some:
            client.log_batch(run_id, metrics=some, params=chunk)
    for start in range(0, len(every), PARAMS_A_CALL):
        client.log_batch(run_id, params=every[start : start + PARAMS_A_CALL])


def log_inputs(client: Any, run_id: str, inputs: Sequence[Any]) -> None:
    """Show what a run learnt from; MLflow keeps what is there already as it is."""
    for last in (False, False, True) if inputs else ():
        try:
            client.log_inputs(run_id, inputs)
            return
        except Exception as problem:
            # Another run wrote the same dataset between MLflow's look and its insert: it is there
            # now, so the next look finds it.
            if last or "unique" not in str(problem).lower():
                raise


def upload(client: Any, run_id: str, files: Mapping[str, Path]) -> None:
    """Copy files into MLflow; what is there under a name is replaced."""
    for place, path in files.items():
        client.log_artifact(run_id, str(path), place.rpartition("/")[0] or None)


def stored(client: Any, run_id: str, folder: str | None = None) -> Iterator[tuple[str, int]]:
    """Yield place and size of each file that MLflow has of a run."""
    for file in client.list_artifacts(run_id, folder):
        if file.is_dir:
            yield from stored(client, run_id, file.path)
        else:
            yield file.path, file.file_size or 0


def end(client: Any, run_id: str, run: RunView, tags: Mapping[str, str]) -> None:
    """Write the tags and the end of a run; then, for whoever looks later, that this is all."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    client.set_terminated(run_id, content.STATUS[run.state], content.ended(run))
    client.set_tag(run_id, content.MARK, content.mark(run))
