"""The Python API: what the command line does, in a few typed calls."""

from __future__ import annotations

import inspect
import math
import sys
import warnings
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvit.errors import UnknownName
from rlvit.home import Home
from rlvit.runs.execute import RunOutcome

if TYPE_CHECKING:
    import pandas as pd

    from rlvit.catalog import Catalog
    from rlvit.contracts import FinishedRun, RunView
    from rlvit.registry.records import RunRecord
    from rlvit.registry.store import Store
    from rlvit.runs.trained import TrainedSelector


def run(
    plugin: str,
    *,
    preset: str | None = None,
    protocol: str | None = None,
    seed: int = 0,
    home: str | Path | None = None,
    registry: str | None = None,
    name: str | None = None,
    note: str = "",
    tags: Mapping[str, str] | None = None,
    device: str = "auto",
    threads: int | None = None,
    data_root: str | Path | None = None,
    skip_bad_images: bool = False,
    slots: Mapping[str, str] | None = None,
    selector_from: str | None = None,
    **options: Any,
) -> RunOutcome:
    """Run a method on a task and remember everything about it.

    Args:
        plugin: name of the method.
        preset: a named set of values; by default `paper` on a GPU and `quick` on a CPU.
        protocol: how results are measured; by default the preset's.
        seed: the run's random seed.
        home: folder of registry.db and runs/; by default RLVIT_HOME, else the current folder.
        registry: SQLAlchemy URL; by default `<home>/registry.db`.
        name: a name for the run; by default its id.
        note: a note for later.
        tags: words to find the run by.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads; by default one for each processor.
        data_root: folder of datasets; by default RLVIT_DATA, else `data` here.
        skip_bad_images: leave images out that cannot be decoded.
        slots: parts to exchange, such as `{"reward": "raw"}`.
        selector_from: a completed run of this home whose trained selector to take, frozen.
        options: the task under its kind (`game="Seaquest"`) and the method's configuration; a
            setting that names a completed run of this home takes what `Registry.view` takes.

    Raises:
        UsageProblem: something in the request cannot be; nothing was written.
        RlvitError: the registry cannot be used, or a plugin refused the run.
        KeyboardInterrupt: the run was interrupted (Ctrl-C, SIGTERM), after it was recorded as
            such with a checkpoint: a loop over seeds stops too. `rlvit.resume` goes on with it.
    """
    from rlvit.runs import execute
    from rlvit.runs.display import Silent
    from rlvit.runs.named import settled
    from rlvit.runs.plan import Request, check_text, make_plan

    check_text("plugin", plugin)
    catalog, where = _catalog(), Home.locate(home, registry)
    kind = catalog.method(plugin).task_kind
    request = settled(
        catalog,
        where,
        Request(
            plugin=plugin,
            task=options.pop(kind, None),
            preset=preset,
            protocol=protocol,
            slots={} if slots is None else slots,
            values=options,
            seed=seed,
            name=name,
            note=note,
            tags={} if tags is None else tags,
            device=device,
            threads=threads,
            data_root=None if data_root is None else str(data_root),
            skip_bad_images=skip_bad_images,
            trained=_trained(catalog, where, selector_from),
        ),
    )
    plan = make_plan(catalog, request)
    return _unless_interrupted(execute.start(catalog, where, plan, Silent()))


def _trained(catalog: Catalog, home: Home, run_id: str | None) -> TrainedSelector | None:
    """Return the selector that a run trained, if one is asked for; raises UsageProblem."""
    from rlvit.runs.plan import check_text
    from rlvit.runs.trained import open_trained

    check_text("selector_from", run_id, optional=True)
    return None if run_id is None else open_trained(catalog, home, run_id)


def resume(
    run_id: str,
    *,
    home: str | Path | None = None,
    registry: str | None = None,
    threads: int | None = None,
    data_root: str | Path | None = None,
) -> RunOutcome:
    """Go on with an interrupted or failed run (an id, part of one, a name, or `latest`).

    Raises:
        RlvitError: there is no such run, or nothing to resume.
        KeyboardInterrupt: the run was interrupted again.
    """
    from rlvit.runs import execute
    from rlvit.runs.display import Silent
    from rlvit.runs.plan import check_text

    check_text("run_id", run_id)
    where = Home.locate(home, registry)
    root = None if data_root is None else str(data_root)
    return _unless_interrupted(execute.resume(_catalog(), where, run_id, Silent(), threads, root))


def _unless_interrupted(outcome: RunOutcome) -> RunOutcome:
    """Pass on the Ctrl-C that a run took for itself; raises KeyboardInterrupt."""
    if outcome.state == "interrupted":
        raise KeyboardInterrupt(f"run {outcome.id} is interrupted")
    return outcome


def _catalog() -> Catalog:
    from rlvit.catalog import build_catalog
    from rlvit.manager import create_plugin_manager

    return build_catalog(create_plugin_manager())


def sweep_if_needed(
    catalog: Callable[[], Catalog], home: Home, store: Store
) -> tuple[list[str], str | None]:
    """Mark runs whose process is gone as interrupted; the plugins are loaded only if some may be.

    Returns:
        Their ids, and what to tell the user where they could not be marked: reading goes on.
        A registry that was opened to be read alone is left as it is.
    """
    if store.read_only:
        return [], None
    from sqlalchemy.exc import SQLAlchemyError

    from rlvit.registry.queries import list_runs
    from rlvit.runs.ending import sweep, untold
    from rlvit.runs.provenance import ACTIVE, run_is_under_way

    active = [run for s in ACTIVE for run in list_runs(store.engine, state=s, archived=None)]
    if not untold(home) and all(map(run_is_under_way, active)):
        return [], None
    try:
        return sweep(catalog(), home, store), None
    except (OSError, SQLAlchemyError) as problem:
        reason = str(problem).partition("\n")[0]
        return [], f"runs whose process is gone could not be marked as interrupted: {reason}"


class Registry:
    """Reads a registry into pandas. Rows that a resumed run made again are left out."""

    def __init__(self, home: str | Path | None = None, registry: str | None = None) -> None:
        """Open the registry of a home, or the one of an SQLAlchemy URL.

        Raises:
            RlvitError: there is no registry yet, or the database cannot be used.
        """
        from rlvit.registry.store import Store

        self.home = Home.locate(home, registry)
        self.home.require_registry()
        self._store = Store(self.home.registry_url, to_read=True)
        self.engine = self._store.engine

    def runs(self, **filters: Any) -> pd.DataFrame:
        """Return one row a run, newest first; runs whose process is gone are marked before.

        Args:
            filters: `method`, `task`, `protocol`, `preset`, `state`, `seed`, `name`, `tag`,
                `archived` (False by default, None for both), `limit` and `offset`.

        Raises:
            UnknownName: there is no such filter.
        """
        import pandas as pd

        from rlvit.registry.records import RunRecord

        found = [vars(record) for record in self._list(filters)]
        columns = list(RunRecord.__dataclass_fields__)
        return pd.DataFrame(found, columns=columns).set_index("id")

    def views(self, **filters: Any) -> Iterator[RunView]:
        """Return runs as event hooks see them, the oldest first; each is read when its turn comes.

        `history` returns every row that counts, from the run's folder.

        Args:
            filters: those of `runs`.

        Raises:
            UnknownName: there is no such filter.
        """
        return map(self._view, [record.id for record in reversed(self._list(filters))])

    def view(self, run_id: str) -> RunView:
        """Return one run as `views` does: an id, part of one, a name, or `latest`.

        Raises:
            UsageProblem: no run fits, or several do.
        """
        self._sweep()
        return self._view(self._find(run_id))

    def revive(self, run_id: str) -> FinishedRun:
        """Return a completed run with what it was made of, so that its model can be used again.

        From then on this process computes in full float32 on a GPU, as the run began to.

        Raises:
            UsageProblem: no run fits, several do, or it is not completed.
            RlvitError: a part of it is no longer there.
        """
        from rlvit.runs.finished import revived
        from rlvit.runs.precision import use_full_float32

        view = self.view(run_id)
        use_full_float32()
        return revived(_catalog(), self._store, view)

    def hold(self, run_id: str) -> AbstractContextManager[None]:
        """Keep other processes from resuming or changing a run within a `with` block.

        Raises:
            RlvitError: another process works on it.
        """
        from rlvit.runs.ending import claim

        return claim(self.home, run_id)

    def close(self) -> None:
        """Give the connections to the database back."""
        self._store.close()

    def points(self, run_id: str, metric: str | None = None) -> pd.DataFrame:
        """Return the logged values of a run: at most 1,000 a metric, from the database.

        Raises:
            UnknownName: there is no such run or metric.
        """
        from rlvit.registry import queries

        run = self._find(run_id)
        found = queries.points(self.engine, run, metric)
        if metric is not None and not found:
            self._require_metric(run, metric)
        return _frame(found, "PointRecord")

    def curve(self, run_id: str, metric: str) -> pd.Series[float]:
        """Return every logged value of a metric by step, from the run's folder.

        Raises:
            UnknownName: there is no such run or metric.
        """
        import numpy as np
        import pandas as pd

        from rlvit.runs.folder import RunFolder

        run = self._find(run_id)
        folder = RunFolder(self.home.runs / run)
        steps, values = array("q"), array("d")  # a million dictionaries would take 800 MB
        for _, line in folder.read_live("metrics"):
            if metric in line:
                steps.append(line["step"])
                values.append(math.nan if line[metric] is None else line[metric])
        if not steps or metric in ("attempt", "step", "time"):
            self._require_metric(run, metric)
        index = pd.Index(np.array(steps, dtype=np.int64), name="step")
        return pd.Series(np.array(values), index=index, name=metric, dtype=float)

    def results(self, run_id: str) -> pd.DataFrame:
        """Return the measurements of a run."""
        from rlvit.registry import queries

        run = self._find(run_id)
        return _frame(queries.results(self.engine, run), "ResultRecord")

    def episodes(self, run_id: str) -> pd.DataFrame:
        """Return the evaluation episodes of a run, one by one."""
        from rlvit.registry import queries

        run = self._find(run_id)
        return _frame(queries.episodes(self.engine, run), "EpisodeRecord")

    def _list(self, filters: Mapping[str, Any]) -> list[RunRecord]:
        """Return the runs that filters mean, newest first; raises UnknownName."""
        from rlvit.registry import queries

        known = inspect.signature(queries.list_runs).parameters.keys() - {"engine"}
        for name in filters:
            if name not in known:
                raise UnknownName("filter", name, known)
        self._sweep()
        return queries.list_runs(self.engine, **filters)

    def _sweep(self) -> None:
        """Mark runs whose process is gone as interrupted; warn where that cannot be done."""
        _, problem = sweep_if_needed(_catalog, self.home, self._store)
        if problem is not None:
            warnings.warn(problem, stacklevel=4)

    def _view(self, run_id: str) -> RunView:
        """Return a run as event hooks see it, with all rows of its folder that count."""
        from rlvit.runs.folder import RunFolder
        from rlvit.runs.views import view_of

        history = partial(RunFolder(self.home.runs / run_id).logged_before, sys.maxsize)
        return view_of(self._store, self.home, run_id, history=history)

    def _find(self, run_id: str) -> str:
        """Return the id of the run that a text means; raises UsageProblem."""
        from rlvit.registry import queries
        from rlvit.runs.plan import check_text

        check_text("run_id", run_id)
        if queries.has_run(self.engine, run_id):  # without reading all that is known of it
            return run_id
        return queries.find_run(self.engine, run_id).id

    def _require_metric(self, run: str, metric: str) -> None:
        """Raise UnknownName unless the run has a metric, or a plugin declares it."""
        from rlvit.registry import queries
        from rlvit.runs.plan import check_text

        check_text("metric", metric)
        logged = {point.metric for point in queries.points(self.engine, run)}
        known = logged | _catalog().metrics.keys()
        if metric not in known:
            raise UnknownName("metric", metric, known)


def _frame(records: list[Any], kind: str) -> pd.DataFrame:
    """Return records as a table without the superseded ones."""
    import pandas as pd

    from rlvit.registry import records as kinds

    columns = [n for n in getattr(kinds, kind).__dataclass_fields__ if n != "superseded"]
    take = attrgetter(*columns)
    rows = [take(record) for record in records if not record.superseded]
    return pd.DataFrame(rows, columns=columns)
