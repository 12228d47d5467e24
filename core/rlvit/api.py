"""The Python API: what the command line does, in a few typed calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvit.home import Home
from rlvit.runs.execute import RunOutcome

if TYPE_CHECKING:
    import pandas as pd

    from rlvit.catalog import Catalog


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
    slots: Mapping[str, str] | None = None,
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
        slots: parts to exchange, such as `{"reward": "raw"}`.
        options: the task under its kind (`game="Seaquest"`) and the method's configuration.

    Raises:
        UsageProblem: something in the request cannot be; nothing was written.
        RlvitError: the registry cannot be used, or a plugin refused the run.
    """
    from rlvit.runs import execute
    from rlvit.runs.display import Silent
    from rlvit.runs.plan import Request, make_plan

    catalog = _catalog()
    kind = catalog.method(plugin).task_kind
    plan = make_plan(
        catalog,
        Request(
            plugin=plugin,
            task=options.pop(kind, None),
            preset=preset,
            protocol=protocol,
            slots=slots or {},
            values=options,
            seed=seed,
            name=name,
            note=note,
            tags=tags or {},
            device=device,
            threads=threads,
        ),
    )
    return execute.start(catalog, Home.locate(home, registry), plan, Silent())


def resume(
    run_id: str,
    *,
    home: str | Path | None = None,
    registry: str | None = None,
    threads: int | None = None,
) -> RunOutcome:
    """Go on with an interrupted or failed run (an id, part of one, a name, or `latest`).

    Raises:
        RlvitError: there is no such run, or nothing to resume.
    """
    from rlvit.runs import execute
    from rlvit.runs.display import Silent

    return execute.resume(_catalog(), Home.locate(home, registry), run_id, Silent(), threads)


def _catalog() -> Catalog:
    from rlvit.catalog import build_catalog
    from rlvit.manager import create_plugin_manager

    return build_catalog(create_plugin_manager())


class Registry:
    """Reads a registry into pandas. Rows that a resumed run made again are left out."""

    def __init__(self, home: str | Path | None = None, registry: str | None = None) -> None:
        """Open the registry of a home, or the one of an SQLAlchemy URL.

        Raises:
            RlvitError: there is no registry yet, or the database cannot be used.
        """
        from rlvit.registry.database import open_database

        self.home = Home.locate(home, registry)
        self.home.require_registry()
        self.engine = open_database(self.home.registry_url)

    def runs(self, **filters: Any) -> pd.DataFrame:
        """Return one row a run, newest first.

        Args:
            filters: `method`, `task`, `protocol`, `preset`, `state`, `seed`, `name`, `tag`,
                `archived` (False by default, None for both) and `limit`.
        """
        import pandas as pd

        from rlvit.registry import queries
        from rlvit.registry.records import RunRecord

        found = [asdict(record) for record in queries.list_runs(self.engine, **filters)]
        columns = list(RunRecord.__dataclass_fields__)
        return pd.DataFrame(found, columns=columns).set_index("id")

    def points(self, run_id: str, metric: str | None = None) -> pd.DataFrame:
        """Return the logged values of a run: at most 1,000 a metric, from the database."""
        from rlvit.registry import queries

        run = queries.find_run(self.engine, run_id).id
        return _frame(queries.points(self.engine, run, metric), "PointRecord")

    def curve(self, run_id: str, metric: str) -> pd.Series[float]:
        """Return every logged value of a metric by step, from the run's folder."""
        import pandas as pd

        from rlvit.registry import queries
        from rlvit.runs.folder import RunFolder

        folder = RunFolder(self.home.runs / queries.find_run(self.engine, run_id).id)
        rows = [line for _, line in folder.read_live("metrics") if metric in line]
        steps = pd.Index([line["step"] for line in rows], name="step")
        return pd.Series([line[metric] for line in rows], index=steps, name=metric, dtype=float)

    def results(self, run_id: str) -> pd.DataFrame:
        """Return the measurements of a run."""
        from rlvit.registry import queries

        run = queries.find_run(self.engine, run_id).id
        return _frame(queries.results(self.engine, run), "ResultRecord")

    def episodes(self, run_id: str) -> pd.DataFrame:
        """Return the evaluation episodes of a run, one by one."""
        from rlvit.registry import queries

        run = queries.find_run(self.engine, run_id).id
        return _frame(queries.episodes(self.engine, run), "EpisodeRecord")


def _frame(records: list[Any], kind: str) -> pd.DataFrame:
    """Return records as a table without the superseded ones."""
    import pandas as pd

    from rlvit.registry import records as kinds

    columns = [n for n in getattr(kinds, kind).__dataclass_fields__ if n != "superseded"]
    rows = [asdict(record) for record in records if not record.superseded]
    return pd.DataFrame(rows, columns=columns)
