"""What may follow on a command line: options, and values that plugins and the registry have."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, _resolve_context, _resolve_incomplete

from rlvit.cli.group import COMMANDS, LazyGroup, hoist
from rlvit.cli.method_options import PREFIX, SLOT
from rlvit.home import Home, sqlite_path
from rlvit.specs import PRESET_NAMES

if TYPE_CHECKING:
    from rlvit.catalog import Catalog

Item = CompletionItem[str]
NEWEST = 50  # runs that are offered
BUSY_SECONDS = 0.05  # that a registry may keep a shell waiting
OF_PROGRAM = {"--home": "dir", "--registry": "file"}  # may be given anywhere
STATES = ("created", "running", "completed", "failed", "interrupted")
# What a command can do something with; of others, all.
ONLY = {
    "resume": ("interrupted", "failed"),
    "export-model": ("completed",),
    "selector_from": ("completed",),
}


def completions(cli: click.Command, args: list[str], incomplete: str) -> list[Item]:
    """Return what may follow whole words, where `incomplete` is begun.

    Of `--option=begun` the values alone are returned.
    """
    flag, equals, begun = incomplete.partition("=")
    if equals and flag in OF_PROGRAM:
        return [Item(begun, type=OF_PROGRAM[flag])]
    if args and args[-1] in OF_PROGRAM:
        return [Item(incomplete, type=OF_PROGRAM[args[-1]])]
    context = _resolve_context(cli, {}, "rlvit", hoist(list(args)))
    default = getattr(context.command, "with_default", None)
    if default is not None and incomplete.startswith("-"):  # `rlvit tune --plugin NAME`
        left_out = default([incomplete])[:-1]
        if left_out:
            context = _resolve_context(cli, {}, "rlvit", [*hoist(list(args)), *left_out])
    if incomplete.startswith("--"):
        incomplete = flag.replace("_", "-") + equals + begun
    subject, rest = _resolve_incomplete(context, list(args), incomplete)
    if isinstance(subject, click.Parameter):
        return values(context, subject, rest)
    return _words(context, subject, rest)


def _words(context: click.Context, command: click.Command, begun: str) -> list[Item]:
    """Return the commands of a group, or the options of a command."""
    if isinstance(command, LazyGroup) and not begun.startswith("-"):  # without importing each
        known = {name: summary for name, (_, _, summary) in COMMANDS.items()}
        offered = command.offered().items()
        known |= {name: one.get_short_help_str(80) for name, one in offered}
        return _starting(known.items(), begun)
    if not begun and not isinstance(command, click.Group):
        begun = "--"
    return command.shell_complete(context, begun)


def _starting(known: Iterable[tuple[str, str]], begun: str) -> list[Item]:
    """Return the names that start so, whatever their case, with what is said of them."""
    low = begun.lower()
    return [Item(name, help=about or None) for name, about in known if name.lower().startswith(low)]


def values(context: click.Context, param: click.Parameter, begun: str) -> list[Item]:
    """Return what an option or argument may be."""
    name = param.name or ""
    meant = _metavar(param)
    if meant in ("DIR", "FILE"):
        return [Item(begun, type="dir" if meant == "DIR" else "file")]
    several = meant == "RUNS" or context.command.name == "matrix"
    done, comma, last = begun.rpartition(",") if several else ("", "", begun)
    found = _named(context, param, name, last)
    if found is None:
        return param.shell_complete(context, begun)
    for item in found:
        item.value = f"{done}{comma}{item.value}"
    return found


def _metavar(param: click.Parameter) -> str:
    """Return what help calls a value: RUN of `[RUN]...`."""
    return (param.metavar or "").strip("[].")


def _named(
    context: click.Context, param: click.Parameter, name: str, begun: str
) -> list[Item] | None:
    """Return what goes by a name in plugins or registry; None if it is something else."""
    if _metavar(param) in ("RUN", "RUNS"):
        return runs(context, name, begun)
    if name.startswith(SLOT):
        return _starting(_parts(_catalog(context), name.removeprefix(SLOT)), begun)
    if name.startswith(PREFIX) and isinstance(param, click.Option) and not param.is_flag:
        is_file = param.type is click.STRING and "file" in (param.help or "")
        return [Item(begun, type="file")] if is_file else None
    if name == "name":
        finder = NAMES.get(context.command_path.removeprefix("rlvit ").split(" ")[0])
    else:
        finder = FINDERS.get(name)
    return None if finder is None else _starting(finder(context), begun)


Found = Iterable[tuple[str, str]]  # names, and what is said of each


def _catalog(context: click.Context) -> Catalog:
    if "catalog" in context.meta:  # a command that makes runs has loaded it
        known: Catalog = context.meta["catalog"]
        return known
    from rlvit.catalog import build_catalog
    from rlvit.manager import create_plugin_manager

    return build_catalog(create_plugin_manager())


def _parts(catalog: Catalog, kind: str) -> Found:
    """Return the names of a kind, with their summaries."""
    return [(n, str(e.spec.summary)) for n, e in catalog.entries.get(kind, {}).items()]


def _methods(context: click.Context) -> Found:
    return _parts(_catalog(context), "method")


def _tasks(context: click.Context) -> Found:
    """Return the tasks of the chosen method's kind, else all."""
    method = context.meta.get("method")
    entries = _catalog(context).entries["task"].values()
    return [
        (entry.spec.name, str(entry.spec.summary))
        for entry in entries
        if method is None or entry.spec.kind == method.task_kind
    ]


def _presets(context: click.Context) -> Found:
    method = context.meta.get("method")
    if method is None:
        return [(name, "") for name in PRESET_NAMES]
    return [(preset.name, str(preset.summary)) for preset in method.presets]


def _protocols(context: click.Context) -> Found:
    """Return the protocols of the chosen method's tasks, else all."""
    method, catalog = context.meta.get("method"), _catalog(context)
    specs = [entry.spec for entry in catalog.entries["task"].values()]
    fit = [task for task in specs if method is None or task.kind == method.task_kind]
    return {one.name: str(one.summary) for task in fit for one in task.protocols}.items()


def _metrics(context: click.Context) -> Found:
    return [
        (name, f"{one.meaning} [{one.unit}]") for name, one in _catalog(context).metrics.items()
    ]


def _settings(context: click.Context) -> Found:
    """Return NAME= for each setting of the chosen method."""
    from rlvit.config import options

    method = context.meta.get("method")
    known = [] if method is None else options(method.config)
    return [(f"{one.field}=", one.help) for one in known]


def _plugins(context: click.Context) -> Found:
    from rlvit.manager import create_plugin_manager

    return [(info.name, info.version) for info in create_plugin_manager().found]


def _devices(context: click.Context) -> Found:
    return [("auto", "a GPU if there is one"), ("cpu", ""), ("cuda", ""), ("cuda:0", "")]


def _studies(context: click.Context) -> Found:
    sql = "SELECT name, method || ' ' || task FROM study ORDER BY created_at DESC LIMIT ?"
    return [*asked(context, sql, (NEWEST,)), ("latest", "the newest")]


def _trials(context: click.Context) -> Found:
    """Return STUDY:NUMBER of completed trials."""
    sql = (
        "SELECT trial.study || ':' || trial.number, trial.state FROM trial JOIN study ON "
        "study.name = trial.study WHERE trial.state = 'completed' "
        "ORDER BY study.created_at DESC, trial.number LIMIT ?"
    )
    return asked(context, sql, (NEWEST,))


def _baselines(context: click.Context) -> Found:
    return asked(context, "SELECT DISTINCT name, metric FROM baseline ORDER BY name", ())


def _tags(context: click.Context) -> Found:
    sql = "SELECT key, count(*) || ' runs' FROM tag GROUP BY key ORDER BY count(*) DESC LIMIT ?"
    return asked(context, sql, (NEWEST,))


def _run_names(context: click.Context) -> Found:
    sql = "SELECT name, state FROM run WHERE name != id ORDER BY created_at DESC LIMIT ?"
    return dict(asked(context, sql, (NEWEST,))).items()


FINDERS: dict[str, Callable[[click.Context], Found]] = {
    "plugin": _methods,
    "method": _methods,
    "task": _tasks,
    "preset": _presets,
    "protocol": _protocols,
    "device": _devices,
    "state": lambda context: [(state, "") for state in STATES],
    "objectives": _metrics,
    "prune_on": _metrics,
    "space": _settings,
    "fixed": _settings,
    "study": _studies,
    "from_trial": _trials,
    "tag": _tags,
    "tags": _tags,
    "remove": _tags,
}
# What `name` is of a command.
NAMES: dict[str, Callable[[click.Context], Found]] = {
    "plugins": _plugins,
    "baselines": _baselines,
    "runs": _run_names,
}


def runs(context: click.Context, name: str, begun: str) -> list[Item]:
    """Return the newest runs whose id, end of id or name starts so; archived ones are left out.

    For a setting that names a run, completed ones of the methods that it may be of.
    """
    wanted = ONLY.get(name) or ONLY.get(context.command.name or "") or STATES
    methods = _methods_of(context, name)
    if methods:
        wanted = ("completed",)
    marks = ", ".join("?" * len(wanted))
    of = f"AND experiment.method IN ({', '.join('?' * len(methods))}) " if methods else ""
    like = begun.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    sql = (
        "SELECT run.id, run.name, run.state || ' ' || experiment.method FROM run "
        "JOIN experiment ON experiment.id = run.experiment_id WHERE NOT run.archived "
        f"AND run.state IN ({marks}) {of}AND (run.id LIKE ? ESCAPE '\\' "
        "OR run.id LIKE ? ESCAPE '\\' OR run.name LIKE ? ESCAPE '\\') "
        "ORDER BY run.created_at DESC LIMIT ?"
    )
    fits = (f"{like}%", f"%-{like}%", f"{like}%")
    rows = asked(context, sql, (*wanted, *methods, *fits, NEWEST))
    found: dict[str, str] = {}
    for run_id, own, about in rows:
        short = run_id.rpartition("-")[2]
        if own != run_id and own.startswith(begun):
            found.setdefault(own, f"{about} {run_id}")
        elif run_id.startswith(begun):
            found[run_id] = about
        elif short.startswith(begun):
            found[short] = f"{about} {run_id}"
    if rows and "latest".startswith(begun):
        found["latest"] = "the newest"
    return [Item(value, help=about) for value, about in found.items()]


def _methods_of(context: click.Context, name: str) -> tuple[str, ...]:
    """Return the methods of which the run may be that a setting names; none for other options."""
    from rlvit.config import accepted_names, run_fields

    method, word = context.meta.get("method"), name.removeprefix(PREFIX)
    if method is None or word == name:
        return ()
    field = accepted_names(method.config)[word]
    return run_fields(method.config)[field].methods


def asked(context: click.Context, sql: str, values: tuple[Any, ...]) -> list[Any]:
    """Ask the registry without SQLAlchemy; what is no SQLite file, or busy, has nothing to say."""
    given = context.find_root().params
    home = Home.locate(given.get("home"), given.get("registry"))
    file = sqlite_path(home.registry_url)
    if file is None or not file.exists():
        return []
    uri = f"{file.as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as connection:
            return connection.execute(sql, values).fetchall()
    except sqlite3.Error:
        return []
