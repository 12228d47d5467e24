"""Finds what MLflow lacks of a run, and nothing that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvit.contracts import RunView
from rlvit_mlflow import content, shown

NOT_FINITE = "rlvit.values_not_finite"


@dataclass(frozen=True)
class Gap:
    """What MLflow lacks of a run."""

    new: bool = False
    end: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    points: Sequence[Any] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    stale: Sequence[str] = ()  # tags that the run no longer has
    inputs: Sequence[Any] = ()
    files: Mapping[str, Path] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.words())

    def words(self) -> str:
        """Say what is missing; nothing if nothing is."""
        counts = {
            "param": len(self.params),
            "point": len(self.points),
            "tag": len(self.tags),
            "old tag": len(self.stale),
            "dataset": len(self.inputs),
            "file": len(self.files),
        }
        start = ["the whole run"] * self.new or ["its end"] * self.end
        counted = (f"{n:,} {name}{'s' * (n > 1)}" for name, n in counts.items() if n)
        return ", ".join([*start, *counted])


def whole(run: RunView) -> Gap:
    """Return what is missing where MLflow has nothing of a run."""
    curves = content.Curves()
    points = [*curves.points(run.history()), *content.results(run)]
    return Gap(
        new=True,
        end=True,
        params=content.params(run),
        points=points,
        tags=content.last_tags(run, curves.not_finite),
        inputs=content.inputs(run),
        files=content.files(run),
    )


def is_marked(found: Any, run: RunView) -> bool:
    """Return whether all of a run was written: tags may have changed since."""
    mark = str(found.data.tags.get(content.MARK, "")).split()
    return mark[:3] == content.mark(run).split()[:3]


def of_marked(found: Any, run: RunView) -> Gap:
    """Return what changed of a run since all of it was written: tags, and the note."""
    wanted = content.last_tags(run, 0)
    tags, stale = _tags(found, run, wanted)
    files = {"run.json": run.folder / "run.json"} if tags or stale else {}
    ended = found.info.status == content.STATUS[run.state]
    return Gap(tags=tags, stale=stale, files=files, end=not ended)


def of_unmarked(client: Any, found: Any, run: RunView) -> Gap:
    """Return what is missing of a run of which MLflow may have anything."""
    run_id, curves = found.info.run_id, content.Curves()
    rows = list(curves.points(run.history()))
    results = content.results(run)
    names = {point.key for point in [*rows, *results]} & found.data.metrics.keys()
    known = shown.known(client, run_id, sorted(names))
    points = [*known.lacking(rows), *known.lacking(results, same_value=True)]
    tags, stale = _tags(found, run, content.last_tags(run, curves.not_finite))
    if not curves.not_finite and NOT_FINITE in found.data.tags:
        stale = [*stale, NOT_FINITE]
    params = content.params(run)
    stored = dict(shown.stored(client, run_id))
    return Gap(
        end=found.info.status != content.STATUS[run.state] or found.info.end_time is None,
        params={key: params[key] for key in params.keys() - found.data.params.keys()},
        points=points,
        tags=tags,
        stale=stale,
        inputs=_inputs(found, run),
        files={
            place: path
            for place, path in content.files(run).items()
            if stored.get(place) != path.stat().st_size
        },
    )


def _inputs(found: Any, run: RunView) -> list[Any]:
    """Return the datasets that MLflow does not show of a run."""
    there = found.inputs.dataset_inputs if found.inputs else []
    has = {(one.dataset.name, one.dataset.digest) for one in there}
    return [one for one in content.inputs(run) if (one.dataset.name, one.dataset.digest) not in has]


def _tags(found: Any, run: RunView, wanted: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the tags to write and those to take away.

    A description that was written in MLflow stays: only rlvit's own note is replaced.
    """
    has = found.data.tags
    mark = str(has.get(content.MARK, "")).split()
    note = has.get(content.NOTE)
    theirs = note is not None and content.note_digest(note) not in mark[3:]
    tags = {
        key: value
        for key, value in wanted.items()
        if has.get(key) != value and not (theirs and key == content.NOTE)
    }
    stale = [key for key in has if key.startswith("tag.") and key not in wanted]
    if note is not None and not run.note and not theirs:
        stale.append(content.NOTE)
    return tags, stale


def fill(client: Any, run_id: str, run: RunView, gap: Gap) -> None:
    """Write what is missing; the mark is last, so that a fill that was stopped is done again."""
    from mlflow.entities import RunTag

    shown.log(client, run_id, gap.params, gap.points)
    shown.log_inputs(client, run_id, gap.inputs)
    shown.upload(client, run_id, gap.files)
    for key in gap.stale:
        client.delete_tag(run_id, key)
    tags = [RunTag(key, value) for key, value in gap.tags.items()]
    if tags:
        client.log_batch(run_id, tags=tags)
    if gap.end:
        client.set_terminated(run_id, content.STATUS[run.state], content.ended(run))
    client.set_tag(run_id, content.MARK, content.mark(run))
