"""What every plugin must do as a whole: load lightly, import the public modules, answer hooks."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from rlvit.catalog import KINDS, PUBLISHED
from rlvit.contracts import Diagnosis, RunView
from rlvit.hookspecs import PROJECT
from rlvit.manager import PluginInfo, unmarked
from rlvit.testing.network import no_network
from rlvit.testing.suite import Suite, require, skip
from rlvit.testing.surroundings import temporary_home

# What a plugin may import of rlvit, beside the names of the package itself; docs/plugins/api.md.
PUBLIC = (
    "code",
    "config",
    "contracts",
    "errors",
    "hookspecs",
    "nn",
    "published",
    "rl",
    "scores",
    "sections",
    "specs",
    "testing",
)
HEAVY = ("torch", "torchvision", "timm", "numpy", "pandas", "matplotlib", "mlflow", "sqlalchemy")
EVENTS = ("rlvit_run_started", "rlvit_run_logged", "rlvit_run_ended")


class PluginSuite(Suite):
    """Rules for a plugin as a whole: `name` is that of its entry point."""

    kind = "plugin"

    @classmethod
    def info(cls) -> PluginInfo:
        """Return what is known of the plugin; raises AssertionError if it is not installed."""
        for info in cls.catalog().plugins.found:
            if info.name == cls.name:
                return info
        raise AssertionError(f"no plugin named {cls.name!r} is installed")

    def test_loads(self) -> None:
        """It is active: neither blocked nor quarantined."""
        info = self.info()
        require(not info.blocked, "it is blocked (RLVIT_BLOCK)")
        problem = self.catalog().problems.get(self.name)
        require(problem is None, str(problem))

    def test_states_its_api_range(self) -> None:
        """Its module says which versions of the plugin API it was written for."""
        if self.info().api is None:
            skip('its module has no RLVIT_API, such as ">=1,<2": any version is taken for right')

    def test_offers_something(self) -> None:
        """It has hooks, all of them marked, and they return something or watch something."""
        self.active()
        plugins, info = self.catalog().plugins, self.info()
        bare = unmarked(plugins.manager, plugins.manager.get_plugin(self.name))
        lacking = "; ".join(f"{name} lacks @hookimpl" for name in bare)
        require(not bare, f"{lacking}: it is never called, and no hook has that name")
        require(bool(info.hooks), f"{info.module} has no function marked with @hookimpl")
        asked = {hook for hook, _ in (*KINDS.values(), PUBLISHED)} | {f"{PROJECT}_commands"}
        if asked.issuperset(info.hooks):
            found = [answer for hook in info.hooks for answer in plugins.ask(self.name, hook)]
            require(any(found), "its hooks return nothing")

    def test_hooks_return_declared_types(self) -> None:
        """Registration hooks return lists of what they are for, and commands are click's."""
        self.active()
        plugins = self.catalog().plugins
        for hook, expected in (*KINDS.values(), PUBLISHED, ("rlvit_commands", click.Command)):
            for answer in plugins.ask(self.name, hook):
                require(isinstance(answer, list | tuple), f"{hook} returned {answer!r}")
                for one in answer:
                    fine = isinstance(one, expected)
                    require(fine, f"{hook} returned {one!r}, which is no {expected.__name__}")

    def test_commands_have_help(self) -> None:
        """Every command has a name and says what it does."""
        self.active()
        for commands in self.catalog().plugins.caller(self.name, "rlvit_commands")():
            for command in commands:
                fine = bool(command.name and command.get_short_help_str())
                require(fine, f"the command {command.name!r} has no help")

    def test_published_numbers_have_declared_metrics(self) -> None:
        """Numbers of papers are of metrics and protocols that exist, so that they can be shown."""
        catalog = self.catalog()
        protocols = {protocol.name for protocol in catalog.protocols()}
        own = [entry.spec for entry in catalog.published if entry.owner.name == self.name]
        if not own:
            skip("it has none")
        for one in own:
            where = f"{one.name}, {one.where}"
            known = one.metric in catalog.metrics
            require(known, f"{where}: no plugin declares the metric {one.metric!r}")
            known = one.protocol in protocols | {""}
            require(known, f"{where}: no task has the protocol {one.protocol!r}")

    def test_torch_is_not_imported(self) -> None:
        """Loading it, and asking what it offers, imports nothing heavy."""
        others = [i.name for i in self.catalog().plugins.found if i.name != self.name]
        program = (
            "import sys\n"
            "from rlvit.catalog import build_catalog\n"
            "from rlvit.manager import create_plugin_manager\n"
            "build_catalog(create_plugin_manager())\n"
            f"print(*(name for name in {HEAVY!r} if name in sys.modules))\n"
        )
        alone = {**os.environ, "RLVIT_BLOCK": ",".join(others), "RLVIT_STRICT_PLUGINS": ""}
        alone["PYTHONPATH"] = os.pathsep.join(sys.path)  # the same plugins are there
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=alone,
            capture_output=True,
            text=True,
            check=False,
        )
        require(done.returncode == 0, (done.stderr.splitlines() or ["it cannot be loaded"])[-1])
        heavy = done.stdout.split()
        why = f"loading it imports {', '.join(heavy)}: import these where they are used"
        require(not heavy, why)

    def test_imports_public_modules_only(self) -> None:
        """Of rlvit it imports what docs/plugins/api.md allows, and nothing of other plugins."""
        own = self.info()
        root = own.module.partition(":")[0].partition(".")[0]
        strangers = {
            info.module.partition(":")[0].partition(".")[0]: info.name
            for info in self.catalog().plugins.found
            if info.distribution != own.distribution
        }
        for path in sources(root):
            for name in imports(ast.parse(path.read_text(encoding="utf-8"))):
                first, _, rest = name.partition(".")
                where = f"{path.name} imports {name}"
                if first == "rlvit" and rest:
                    fine = rest.partition(".")[0] in PUBLIC
                    require(fine, f"{where}, which is not public (docs/plugins/api.md)")
                stranger = strangers.get(first) if first != root else None
                require(stranger is None, f"{where}, of the plugin {stranger!r}")

    def test_no_network(self) -> None:
        """Saying what it offers asks no other machine for anything."""
        self.active()
        with no_network() as asked:
            for hook in (*(hook for hook, _ in KINDS.values()), PUBLISHED[0], "rlvit_commands"):
                self.catalog().plugins.caller(self.name, hook)()
        require(not asked, f"it asked for {', '.join(dict.fromkeys(asked))}")

    def test_doctor_changes_nothing(self) -> None:
        """What it finds for `rlvit doctor` is lines of text, and looking changes nothing."""
        self.active()
        if "rlvit_doctor" not in self.info().hooks:
            skip("it has no rlvit_doctor")
        ask = self.catalog().plugins.caller(self.name, "rlvit_doctor")
        with temporary_home() as home:
            for folder in (home, home / "not-there"):
                for answer in ask(home=folder, data_root=folder):
                    for one in answer:
                        fine = isinstance(one, Diagnosis) and "\n" not in one.text
                        require(fine, f"rlvit_doctor returned {one!r}: expected a line of text")
            left = sorted(path.name for path in home.rglob("*"))
            require(not left, f"rlvit_doctor wrote {', '.join(left[:3])}")

    def active(self) -> None:
        """Skip the rule unless the plugin is active."""
        if self.name in self.catalog().problems or self.info().blocked:
            skip("it is not active")


class TrackerSuite(PluginSuite):
    """Rules for a plugin that watches runs, beside those for every plugin."""

    kind = "tracker"

    def test_accepts_an_empty_run(self) -> None:
        """It may be told of a run that begins, logs nothing and ends."""
        self.active()
        implemented = [event for event in EVENTS if event in self.info().hooks]
        if not implemented:
            skip("it watches no runs")
        plugins = self.catalog().plugins
        with temporary_home() as home, no_network() as asked:
            run = empty_run(home)
            plugins.caller(self.name, "rlvit_run_started")(run=run)
            plugins.caller(self.name, "rlvit_run_logged")(run=run, rows=[])
            plugins.caller(self.name, "rlvit_run_ended")(run=ended(run))
        require(not asked, f"it asked for {', '.join(dict.fromkeys(asked))}")


def empty_run(home: Path) -> RunView:
    """Return a run that has just begun."""
    folder = home / "runs" / "empty-run-s0-00000000"
    folder.mkdir(parents=True)
    return RunView(
        id=folder.name,
        name=folder.name,
        method="empty",
        plugin="empty",
        plugin_version="1.0",
        task="nothing",
        protocol="none",
        preset="quick",
        seed=0,
        state="running",
        attempt=1,
        note="",
        tags={},
        config={},
        protocol_settings={},
        slots={},
        fingerprint="0" * 64,
        provenance={},
        home=home,
        folder=folder,
        started_at=time.time(),
    )


def ended(run: RunView) -> RunView:
    """Return the run as it is after its end."""
    return replace(run, state="completed", ended_at=time.time())


def sources(root: str) -> list[Path]:
    """Return the Python files of a package or a module."""
    spec = importlib.util.find_spec(root)
    require(spec is not None, f"the package {root} is not there")
    assert spec is not None
    if spec.submodule_search_locations:
        folders = [Path(folder) for folder in spec.submodule_search_locations]
        return sorted(path for folder in folders for path in folder.rglob("*.py"))
    return [Path(str(spec.origin))]


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a file imports when it runs: not those for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module in ("rlvit", "rlvit.cli"):  # of the package: names, or modules
                yield from (f"{node.module}.{a.name}" for a in node.names if a.name not in ROOT)
            else:
                yield node.module
        else:
            yield from imports(node)


def _root_names() -> tuple[str, ...]:
    import rlvit

    return tuple(rlvit.__all__)


ROOT = _root_names()
