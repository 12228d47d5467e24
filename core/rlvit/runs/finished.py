"""A completed run as something to use again: its parts are looked up as they were when it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlvit.catalog import Catalog
from rlvit.config import resolve
from rlvit.contracts import Episode, FinishedRun, RunView
from rlvit.errors import RlvitError, UsageProblem
from rlvit.registry import queries
from rlvit.runs.artifacts import own_copy
from rlvit.runs.context import stream_seed
from rlvit.runs.trained import SLOT, of_run
from rlvit.runs.views import view_of
from rlvit.specs import Protocol, TaskSpec

if TYPE_CHECKING:
    from rlvit.home import Home
    from rlvit.registry.store import Store


def revived(catalog: Catalog, store: Store, view: RunView) -> FinishedRun:
    """Return a completed run with what it was made of.

    The protocol is as the run recorded it, whatever a protocol of that name is today.

    Raises:
        UsageProblem: the run is not completed, or a name of it means nothing today.
        RlvitError: the trained selector that it began with is gone, or a network of it is damaged.
    """
    if view.state != queries.COMPLETED:
        raise UsageProblem(f"run {view.id} is {view.state}; expected a completed one.")
    _require_sound_networks(view)
    method = catalog.method(view.method)
    trained, slots = of_run(catalog, view.slots, view.folder)
    parts = catalog.parts(method, slots, untrained=trained is None)
    if trained is not None:
        parts[SLOT] = trained.frozen
    task = catalog.task(view.task, method.task_kind)

    def another(name: str) -> TaskSpec:
        return catalog.task(name, method.task_kind)

    return FinishedRun(
        view=view,
        config=resolve(method.config, {}, dict(view.config)),
        task=task,
        protocol=Protocol(view.protocol, "as the run recorded it", "", view.protocol_settings),
        evaluator=catalog.entry("evaluator", task.evaluator).spec,
        parts=parts,
        episodes=_episodes(store, view.id),
        stream=lambda name, seed: stream_seed(view.seed if seed is None else seed, name),
        another=another,
    )


def _require_sound_networks(view: RunView) -> None:
    """Refuse weights other than those that the run kept; raises RlvitError."""
    own = view.folder / "artifacts"
    for kind in sorted({file.parent.name for file in own.glob("*/*.safetensors")}):
        if own_copy(own / kind) is None:
            raise RlvitError(
                f"run {view.id} has no sound {kind!r}: the files in {own / kind} are not those "
                "that it kept; bring them back from a copy or a bundle."
            )


def revived_by_id(catalog: Catalog, home: Home, store: Store, run_id: str) -> FinishedRun:
    """Return the completed run that has this whole id, as `revived` does; raises RlvitError."""
    if not queries.has_run(store.engine, run_id):
        raise RlvitError(f"run {run_id} is not in the registry any more.")
    return revived(catalog, store, view_of(store, home, run_id))


def _episodes(store: Store, run_id: str) -> tuple[Episode, ...]:
    """Return the episodes of a run's last evaluation, by index."""
    found = [row for row in queries.episodes(store.engine, run_id) if not row.superseded]
    last = max((row.step for row in found), default=0)
    kept = [
        Episode(r.index, r.score, r.length) for r in found if r.step == last and r.score is not None
    ]
    return tuple(sorted(kept, key=lambda episode: episode.index))
