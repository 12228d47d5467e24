"""Fills MLflow with what it missed: runs of other machines, of an outage, of a deleted store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import Timeout

from rlvit import Registry
from rlvit.contracts import RunView
from rlvit.errors import RlvitError
from rlvit_mlflow import content, shown
from rlvit_mlflow.gap import fill, is_marked, of_marked, of_unmarked, whole
from rlvit_mlflow.store import (
    lock,
    opened,
    reason,
    serves_artifacts,
    store_exists,
    tracking_uri,
    without_password,
)

PAGE = 1000  # runs that MLflow is asked for at once
UNDER_WAY = "under way, left to its process"


@dataclass
class Tally:
    """What came of the runs that were looked at."""

    looked: int = 0
    whole: int = 0
    written: int = 0
    left: dict[str, int] = field(default_factory=dict)  # why -> how many

    def leave(self, why: str) -> None:
        """Count a run that is left as it is."""
        self.left[why] = self.left.get(why, 0) + 1

    def summary(self, dry: bool) -> str:
        """Return the last line that the user is told."""
        missing = f"{self.written} {'would be ' if dry else ''}written"
        were = f"{self.whole} {'was' if self.whole == 1 else 'were'} whole"
        runs = f"{self.looked} run{'' if self.looked == 1 else 's'} looked at"
        if not self.written and not self.left:
            were += ": nothing to do"
        rest = [f"{count} {why}" for why, count in self.left.items()]
        return ", ".join([runs, missing, were, *rest])


class Shelf:
    """MLflow's runs by the runs that they show, searched once for each experiment."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._found: dict[str, dict[str, Any]] = {}
        self._removed: set[str] = set()  # experiments that were deleted in MLflow

    def find(self, run: RunView) -> Any:
        """Return MLflow's run of a run, or None."""
        return self._runs(content.name_of(run)).get(run.id)

    def removed(self, run: RunView) -> bool:
        """Return whether the run was deleted in MLflow, by itself or with its experiment."""
        found = self.find(run)
        alone = found is not None and found.info.lifecycle_stage == "deleted"
        return alone or content.name_of(run) in self._removed

    def _runs(self, name: str) -> dict[str, Any]:
        if name not in self._found:
            experiment = None if self._client is None else self._client.get_experiment_by_name(name)
            if experiment is not None and experiment.lifecycle_stage == "deleted":
                self._removed.add(name)
            found: dict[str, Any] = {}
            for one in self._search(experiment):
                run_id = one.data.tags.get(content.ID, "")
                if run_id not in found or found[run_id].info.lifecycle_stage == "deleted":
                    found[run_id] = one
            self._found[name] = found
        return self._found[name]

    def _search(self, experiment: Any) -> Iterator[Any]:
        from mlflow.entities import ViewType

        token: str | None = None if experiment is None else ""
        while token is not None:
            page = self._client.search_runs(
                [experiment.experiment_id],
                run_view_type=ViewType.ALL,
                max_results=PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token or None,
            )
            yield from page
            token = page.token or None


def sync(
    registry: Registry,
    chosen: Sequence[str],
    *,
    dry: bool,
    thorough: bool,
    say: Callable[[str], None],
) -> Tally:
    """Write what MLflow lacks of runs that have ended; what it has stays.

    Args:
        registry: the runs.
        chosen: ids of the runs to look at; none means all that are not archived.
        dry: say what is missing and write nothing.
        thorough: compare every point and file also of runs that are marked as whole.
        say: takes a line for each run of which something is missing.

    Raises:
        RlvitError: MLflow cannot be reached or written; what was written before is there.
    """
    home, tally = registry.home.root, Tally()
    try:
        with _alone(home, say):
            if dry and not store_exists(home):
                client = None
            else:
                with opened(home) as client:
                    client.search_experiments(max_results=1)  # it answers at all
            worker = _Worker(registry, client, tally, bool(chosen), dry, thorough, say)
            for run in _views(registry, chosen):
                worker.look(run)
    except ImportError as problem:
        raise RlvitError(f"MLflow cannot be written ({problem}).") from None
    except RlvitError:
        raise
    except Exception as problem:
        if serves_artifacts() and type(problem).__module__.startswith("sqlalchemy"):
            raise  # of the registry: a server's own problems come as MLflow's
        where = without_password(tracking_uri(home))
        done = f" {tally.written} runs were written before; run it again." if tally.written else ""
        raise RlvitError(f"MLflow at {where} cannot be used: {reason(problem)}.{done}") from problem
    return tally


def _views(registry: Registry, chosen: Sequence[str]) -> Iterable[RunView]:
    """Return the runs to look at, each once; raises UsageProblem where a name fits none."""
    if not chosen:
        return registry.views()
    return {run.id: run for run in map(registry.view, chosen)}.values()


@contextlib.contextmanager
def _alone(home: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Let one process of this home fill MLflow at a time; the others wait."""
    one = lock(home, "mlflow-sync")
    try:
        one.acquire(timeout=0)
    except Timeout:
        say("waiting for another `rlvit mlflow sync` of this home")
        one.acquire()
    try:
        yield
    finally:
        one.release()


@dataclass
class _Worker:
    """Looks at one run after the other."""

    registry: Registry
    client: Any  # None: there is no store yet, and none is to be made
    tally: Tally
    asked: bool  # the runs were named one by one
    dry: bool
    thorough: bool
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self._shelf = Shelf(self.client)

    def look(self, run: RunView) -> None:
        """Write what MLflow lacks of a run, unless it is left as it is."""
        self.tally.looked += 1
        why = self._left(run)
        if why:
            self.tally.leave(why)
            return
        found = self._shelf.find(run)
        if self._marked(found, run) and not of_marked(found, run):
            self.tally.whole += 1
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.registry.hold(run.id))
            except RlvitError:
                self.tally.leave(UNDER_WAY)
                return
            run = self.registry.view(run.id)  # as it is now that nobody can change it
            if run.state not in content.STATUS:
                self.tally.leave(UNDER_WAY)
            else:
                self._complete(run)

    def _left(self, run: RunView) -> str:
        """Return why a run is left as it is, or ""."""
        if run.state not in content.STATUS:
            return UNDER_WAY
        if not run.folder.is_dir():
            return "without a folder in this home"
        if self._shelf.removed(run) and not self.asked:
            return "deleted in MLflow"
        return ""

    def _marked(self, found: Any, run: RunView) -> bool:
        gone = found is None or found.info.lifecycle_stage == "deleted"
        return not gone and not self.thorough and is_marked(found, run)

    def _complete(self, run: RunView) -> None:
        """Find what is missing and write it."""
        found = self._shelf.find(run)
        if found is None:
            gap = whole(run)
        elif self._marked(found, run):
            gap = of_marked(found, run)
        else:
            gap = of_unmarked(self.client, found, run)
        if not self.dry:
            fill(self.client, self._shown(run, found), run, gap)
        if gap:
            self.tally.written += 1
            self.say(f"{run.id}: {gap.words()}")
        else:
            self.tally.whole += 1

    def _shown(self, run: RunView, found: Any) -> str:
        """Return the id of MLflow's run, made or restored if need be."""
        if self._shelf.removed(run):
            self._restore(run, found)
        if found is not None:
            return str(found.info.run_id)
        with lock(run.home, "mlflow"):
            where = shown.experiment(self.client, run)
            parent = shown.heading(self.client, where, run)
        return shown.create(self.client, where, run, parent)

    def _restore(self, run: RunView, found: Any) -> None:
        """Take back what was deleted in MLflow: the run, or its experiment."""
        where = self.client.get_experiment_by_name(content.name_of(run))
        if where.lifecycle_stage == "deleted":
            self.client.restore_experiment(where.experiment_id)
        if found is not None:
            again = self.client.get_run(found.info.run_id)
            if again.info.lifecycle_stage == "deleted":
                self.client.restore_run(found.info.run_id)
