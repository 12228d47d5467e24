"""Loads plugins one at a time, so that a broken one is quarantined while the rest works.

Two variables of the environment say more: `RLVIT_BLOCK=name,name` leaves plugins out, which are
then not even imported, and `RLVIT_STRICT_PLUGINS=1` makes an error of any plugin's problem.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from rlvit import hookspecs
from rlvit.compatibility import refusal
from rlvit.errors import RlvitError, UnknownName

GROUP = "rlvit.plugins"
RANGE = "RLVIT_API"  # what a plugin's module calls the range of API versions it was written for


@dataclass(frozen=True)
class PluginInfo:
    """An installed plugin and how it fares."""

    name: str
    distribution: str
    version: str
    module: str
    hooks: tuple[str, ...]
    error: str | None  # why it is quarantined
    api: str | None = None  # the range of API versions that it was written for, if it says so
    blocked: bool = False  # left out, as the user asked


@dataclass(frozen=True)
class Plugins:
    """The plugins of this process."""

    manager: pluggy.PluginManager
    found: tuple[PluginInfo, ...]

    @property
    def active(self) -> tuple[PluginInfo, ...]:
        """The plugins that loaded."""
        return tuple(info for info in self.found if info.error is None and not info.blocked)

    def caller(self, name: str, hook: str) -> pluggy.HookCaller:
        """Return the hook restricted to one plugin, so that every answer has an owner."""
        others = [p for n, p in self.manager.list_name_plugin() if n != name and p is not None]
        return self.manager.subset_hook_caller(hook, others)

    def ask(self, name: str, hook: str, **given: Any) -> list[Any]:
        """Return what one plugin's implementations of a hook answer.

        Raises:
            TypeError: one answers None, which pluggy would leave out without a word.
        """
        caller = self.caller(name, hook)
        answers = list(caller(**given))
        if len(answers) < len(caller.get_hookimpls()):
            raise TypeError(f"{hook} returned None, expected a list")
        return answers


def create_plugin_manager() -> Plugins:
    """Find and register the plugins of the entry-point group `rlvit.plugins`, each on its own.

    Raises:
        UnknownName: a name in `RLVIT_BLOCK` is no plugin's.
        RlvitError: a plugin is broken, and `RLVIT_STRICT_PLUGINS` is set.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    points = sorted(importlib.metadata.entry_points(group=GROUP), key=_built_in_first)
    blocked = [name.strip() for name in os.environ.get("RLVIT_BLOCK", "").split(",")]
    found: list[PluginInfo] = []
    for point in points:
        found.append(_register(manager, point, _own_name(point, found), blocked, found))
    names = [info.name for info in found]
    for name in blocked:
        if name and name not in names:
            raise UnknownName("plugin in RLVIT_BLOCK", name, names)
    refuse_if_strict({info.name: info.error for info in found if info.error is not None})
    return Plugins(manager, tuple(found))


def refuse_if_strict(problems: Mapping[str, str]) -> None:
    """Raise RlvitError for the first problem of a plugin if `RLVIT_STRICT_PLUGINS` is set."""
    if os.environ.get("RLVIT_STRICT_PLUGINS", "") in ("", "0"):
        return
    for name, problem in problems.items():
        raise RlvitError(f"plugin {name!r}: {problem} (RLVIT_STRICT_PLUGINS is set)")


def _own_name(point: importlib.metadata.EntryPoint, found: Sequence[PluginInfo]) -> str:
    """Return a plugin's name; one that is taken is told apart by its distribution."""
    taken = any(info.name == point.name for info in found)
    return f"{point.name}@{point.dist.name if point.dist else '?'}" if taken else point.name


def _built_in_first(point: importlib.metadata.EntryPoint) -> tuple[bool, str]:
    """Order plugins so that a stranger cannot take a name that rlvit's own distribution uses."""
    distribution = point.dist.name if point.dist else ""
    return (distribution != "rlvit", point.name)


def _register(
    manager: pluggy.PluginManager,
    point: importlib.metadata.EntryPoint,
    name: str,
    blocked: Sequence[str],
    found: Sequence[PluginInfo],
) -> PluginInfo:
    distribution = point.dist.name if point.dist else "?"
    version = point.dist.version if point.dist else "?"
    if name in blocked:
        return PluginInfo(name, distribution, version, point.value, (), None, blocked=True)
    error: str | None = None
    hooks: tuple[str, ...] = ()
    api: str | None = None
    try:
        plugin = point.load()
        api = _stated_range(plugin, point.module)
        _refuse_other_api(api)
        _refuse_twice(manager, plugin, point, found)
        _refuse_unmarked_hooks(manager, plugin)
        manager.register(plugin, name)
        hooks = tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))
        _refuse_unknown_hooks(manager, plugin)
    except BaseException as problem:  # a plugin may raise anything, SystemExit too
        if isinstance(problem, KeyboardInterrupt):
            raise
        if manager.has_plugin(name):
            manager.unregister(name=name)
        api = api or _range_in_source(point.module)
        error = _reason(problem, api)
    return PluginInfo(name, distribution, version, point.value, hooks, error, api)


def _reason(problem: BaseException, api: str | None) -> str:
    """Say in a line why a plugin is quarantined: another API may be what its own error is from."""
    try:
        _refuse_other_api(api)
    except ValueError as other:
        problem = other
    if isinstance(problem, pluggy.PluginValidationError):  # its last line names the argument
        problem = type(problem)(problem.plugin, " ".join(str(problem).splitlines()[1:]))
    return f"{type(problem).__name__}: {problem}".splitlines()[0]


def _stated_range(plugin: Any, module: str) -> str | None:
    """Return the range of API versions that a plugin, or else its module, states."""
    stated = getattr(plugin, RANGE, None)
    return stated if stated is not None else getattr(sys.modules.get(module), RANGE, None)


def _range_in_source(module: str) -> str | None:
    """Return the range that a module states which cannot be imported: it may be for another API."""
    try:
        spec = importlib.util.find_spec(module)
        text = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    except (ImportError, OSError, ValueError, SyntaxError):
        return None
    found = re.search(rf"^{RANGE}(?:\s*:\s*\w+)?\s*=\s*[\"']([^\"']*)[\"']", text, re.M)
    return found[1] if found else None


def _refuse_other_api(stated: str | None) -> None:
    """Raise ValueError if a plugin was written for other API versions than this one."""
    reason = None if stated is None else refusal(stated)
    if reason is not None:
        raise ValueError(reason)


def _refuse_twice(
    manager: pluggy.PluginManager,
    plugin: object,
    point: importlib.metadata.EntryPoint,
    found: Sequence[PluginInfo],
) -> None:
    """Raise ValueError for what another distribution's entry point has offered already."""
    taken = manager.get_name(plugin)
    for info in found:
        if info.name == taken:
            raise ValueError(
                f"{point.value} is offered by {info.distribution} already, as plugin "
                f"{info.name!r}: uninstall one"
            )


def unmarked(manager: pluggy.PluginManager, plugin: object) -> list[str]:
    """Return the names of a plugin's functions `rlvit_...` that lack the mark `@hookimpl`."""
    prefix = f"{hookspecs.PROJECT}_"
    return [
        name
        for name in dir(plugin)
        if name.startswith(prefix)
        and inspect.isroutine(found := getattr(plugin, name, None))
        and getattr(found, "__module__", "") != hookspecs.__name__
        and manager.parse_hookimpl_opts(plugin, name) is None
    ]


def _refuse_unmarked_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise ValueError for a function that has a hook's name and would never be called."""
    for name in unmarked(manager, plugin):
        if hasattr(hookspecs, name):
            raise ValueError(f"{name} lacks @hookimpl, so that it is never called")


def _refuse_unknown_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise when a plugin implements a hook that does not exist (a misspelling)."""
    for caller in manager.get_hookcallers(plugin) or ():
        if not caller.has_spec():
            raise ValueError(f"there is no hook named {caller.name!r}")
