"""Loads plugins one at a time, so that a broken one is named and set aside while the rest works."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass

import pluggy

from rlvit import hookspecs

GROUP = "rlvit.plugins"


@dataclass(frozen=True)
class PluginInfo:
    """An installed plugin and how it fares."""

    name: str
    distribution: str
    version: str
    module: str
    hooks: tuple[str, ...]
    error: str | None  # why it was set aside


@dataclass(frozen=True)
class Plugins:
    """The plugins of this process."""

    manager: pluggy.PluginManager
    found: tuple[PluginInfo, ...]

    @property
    def active(self) -> tuple[PluginInfo, ...]:
        """The plugins that loaded."""
        return tuple(info for info in self.found if info.error is None)

    def caller(self, name: str, hook: str) -> pluggy.HookCaller:
        """Return the hook restricted to one plugin, so that every answer has an owner."""
        others = [p for n, p in self.manager.list_name_plugin() if n != name and p is not None]
        return self.manager.subset_hook_caller(hook, others)


def create_plugin_manager() -> Plugins:
    """Find and register the plugins of the entry-point group `rlvit.plugins`, each on its own."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    points = sorted(importlib.metadata.entry_points(group=GROUP), key=_built_in_first)
    found: list[PluginInfo] = []
    for point in points:
        found.append(_register(manager, point, _own_name(point, found)))
    return Plugins(manager, tuple(found))


def _own_name(point: importlib.metadata.EntryPoint, found: Sequence[PluginInfo]) -> str:
    """Return a plugin's name; one that is taken is told apart by its distribution."""
    taken = any(info.name == point.name for info in found)
    return f"{point.name}@{point.dist.name if point.dist else '?'}" if taken else point.name


def _built_in_first(point: importlib.metadata.EntryPoint) -> tuple[bool, str]:
    """Order plugins so that a stranger cannot take a name that rlvit's own distribution uses."""
    distribution = point.dist.name if point.dist else ""
    return (distribution != "rlvit", point.name)


def _register(
    manager: pluggy.PluginManager, point: importlib.metadata.EntryPoint, name: str
) -> PluginInfo:
    distribution = point.dist.name if point.dist else "?"
    version = point.dist.version if point.dist else "?"
    error: str | None = None
    hooks: tuple[str, ...] = ()
    try:
        plugin = point.load()
        if manager.register(plugin, name) is None:
            raise ValueError("the name is blocked")
        hooks = tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))
        _refuse_unknown_hooks(manager, plugin)
    except BaseException as problem:  # a plugin may raise anything, SystemExit too
        if isinstance(problem, KeyboardInterrupt):
            raise
        if manager.has_plugin(name):
            manager.unregister(name=name)
        error = f"{type(problem).__name__}: {problem}".splitlines()[0]
    return PluginInfo(name, distribution, version, point.value, hooks, error)


def _refuse_unknown_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise when a plugin implements a hook that does not exist (a misspelling)."""
    for caller in manager.get_hookcallers(plugin) or ():
        if not caller.has_spec():
            raise ValueError(f"there is no hook named {caller.name!r}")
