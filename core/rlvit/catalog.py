"""Every name that plugins offer, with its owner; a name that is taken is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rlvit.errors import UnknownName, UsageProblem
from rlvit.manager import PluginInfo, Plugins, refuse_if_strict
from rlvit.sections import ReportSection
from rlvit.specs import (
    BackboneSpec,
    EvaluatorSpec,
    MethodSpec,
    MetricDef,
    Protocol,
    PublishedResult,
    RewardSpec,
    SelectorSpec,
    TaskSpec,
)

T = TypeVar("T")

KINDS: Mapping[str, tuple[str, type]] = {
    "method": ("rlvit_methods", MethodSpec),
    "task": ("rlvit_tasks", TaskSpec),
    "backbone": ("rlvit_backbones", BackboneSpec),
    "selector": ("rlvit_selectors", SelectorSpec),
    "reward": ("rlvit_rewards", RewardSpec),
    "evaluator": ("rlvit_evaluators", EvaluatorSpec),
    "metric": ("rlvit_metrics", MetricDef),
    "section": ("rlvit_report_sections", ReportSection),
}
PUBLISHED = ("rlvit_published", PublishedResult)  # these have no names of their own


def match(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` means: itself, or else one that differs in case only."""
    names = list(known)
    if name in names:
        return name
    return next((one for one in names if one.lower() == name.lower()), None)


def _called(name: str, entries: Mapping[str, Entry]) -> str | None:
    """Return the name of the part that has `name` as an alias."""
    for entry in entries.values():
        if match(name, _names(entry.spec)) is not None:
            return str(entry.spec.name)
    return None


def _refuse_untrained(method: MethodSpec, selector: SelectorSpec) -> None:
    """Refuse a selector that nobody would train; raises UsageProblem."""
    if selector.trained is not None and selector.trained.method != method.name:
        raise UsageProblem(
            f"selector {selector.name!r} is trained by {selector.trained.method}, not by "
            f"{method.name}: take it from a completed run, --selector-from RUN."
        )


@dataclass(frozen=True)
class Entry:
    """A specification and the plugin that owns it."""

    spec: Any
    owner: PluginInfo


@dataclass(frozen=True)
class Catalog:
    """What the plugins of this process offer."""

    plugins: Plugins
    entries: Mapping[str, Mapping[str, Entry]]
    problems: Mapping[str, str] = field(default_factory=dict)  # plugin -> why it is quarantined
    published: tuple[Entry, ...] = ()  # in the order of the plugins

    def entry(self, kind: str, name: str) -> Entry:
        """Return the entry of that kind and name, compared without regard to case.

        Raises:
            UnknownName: nothing has that name; the nearest one is suggested.
        """
        entries = self.entries[kind]
        found = match(name, entries) or _called(name, entries)
        if found is None:
            what = "plugin" if kind == "method" else kind
            raise UnknownName(what, name, entries, self._out_of_use(name))
        return entries[found]

    def _out_of_use(self, name: str) -> str:
        """Say which plugins offer nothing: a name that is unknown may be one of theirs."""
        blocked = [info.name for info in self.plugins.found if info.blocked]
        if name in blocked:
            return f" The plugin {name!r} is left out by RLVIT_BLOCK."
        if name in self.problems:
            return f" The plugin {name!r} is quarantined: {self.problems[name]}."
        said = f" Left out by RLVIT_BLOCK: {', '.join(blocked)}." if blocked else ""
        return said + (f" Quarantined: {', '.join(self.problems)}." if self.problems else "")

    def method(self, name: str) -> MethodSpec:
        """Return a method; raises UnknownName."""
        spec = self.entry("method", name).spec
        assert isinstance(spec, MethodSpec)
        return spec

    def task(self, name: str, kind: str) -> TaskSpec:
        """Return a task of a kind ("game"); raises UnknownName."""
        tasks = {n: e.spec for n, e in self.entries["task"].items() if e.spec.kind == kind}
        found = match(name, tasks)
        if found is None:
            raise UnknownName(kind, name, tasks, self._out_of_use(name))
        spec = tasks[found]
        assert isinstance(spec, TaskSpec)
        return spec

    @property
    def metrics(self) -> dict[str, MetricDef]:
        """The declared metrics by name."""
        return {name: entry.spec for name, entry in self.entries["metric"].items()}

    def parts(
        self, method: MethodSpec, chosen: Mapping[str, str], *, untrained: bool = True
    ) -> dict[str, Any]:
        """Return the part for each of a method's slots and check that they fit together.

        Args:
            method: whose slots they are.
            chosen: names of parts other than the method's defaults, by slot.
            untrained: a selector with weights begins without them.

        Raises:
            UnknownName: a slot or a part does not exist.
            UsageProblem: the selector needs what the backbone and task do not provide, or to be
                trained by another method first.
        """
        for slot in chosen:
            if slot not in method.slots:
                raise UnknownName(f"slot of {method.name}", slot, method.slots)
        names = {**method.slots, **chosen}
        parts = {slot: self.entry(slot, name).spec for slot, name in names.items()}
        if "selector" in parts and "backbone" in parts:
            missing = parts["selector"].needs - parts["backbone"].provides
            if missing:
                raise UsageProblem(
                    f"selector {names['selector']!r} needs {', '.join(sorted(missing))}, which "
                    f"backbone {names['backbone']!r} does not provide."
                )
        if untrained and "selector" in parts:
            _refuse_untrained(method, parts["selector"])
        return parts

    def protocols(self) -> Iterator[Protocol]:
        """Yield every protocol once."""
        seen = set()
        for entry in self.entries["task"].values():
            for protocol in entry.spec.protocols:
                if protocol.name not in seen:
                    seen.add(protocol.name)
                    yield protocol


def build_catalog(plugins: Plugins) -> Catalog:
    """Ask each plugin in turn what it offers; one that fails is quarantined whole.

    Raises:
        RlvitError: one failed, and `RLVIT_STRICT_PLUGINS` is set.
    """
    entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    published: list[Entry] = []
    problems = {info.name: info.error for info in plugins.found if info.error is not None}
    for info in plugins.active:
        try:
            offered = _ask(plugins, info)
            _refuse_taken_names(offered, entries)
            printed = _answers(plugins, info, *PUBLISHED)
        except (Exception, SystemExit) as problem:
            problems[info.name] = f"{type(problem).__name__}: {problem}".splitlines()[0]
            plugins.manager.unregister(name=info.name)
            continue
        for kind, specs in offered.items():
            entries[kind].update({spec.name: Entry(spec, info) for spec in specs})
        published += [Entry(result, info) for result in printed]
    refuse_if_strict(problems)
    return Catalog(plugins, entries, problems, tuple(published))


def _ask(plugins: Plugins, info: PluginInfo) -> dict[str, list[Any]]:
    """Call one plugin's hooks that register names."""
    return {kind: _answers(plugins, info, *asked) for kind, asked in KINDS.items()}


def _answers(plugins: Plugins, info: PluginInfo, hook: str, expected: type) -> list[Any]:
    """Call one of a plugin's registration hooks; raises TypeError."""
    answers = [spec for specs in plugins.ask(info.name, hook) for spec in specs]
    for spec in answers:
        if not isinstance(spec, expected):
            raise TypeError(f"{hook} returned {spec!r}, which is no {expected.__name__}")
    return answers


def _refuse_taken_names(
    offered: Mapping[str, list[Any]], entries: Mapping[str, Mapping[str, Entry]]
) -> None:
    """Raise ValueError when a name is offered twice."""
    for kind, specs in offered.items():
        taken = {name: e for e in entries[kind].values() for name in _names(e.spec)}
        seen: set[str] = set()
        for name in (name for spec in specs for name in _names(spec)):
            if name in seen:
                raise ValueError(f"offers the {kind} {name!r} twice")
            if name in taken:
                owner = taken[name].owner.name
                raise ValueError(f"the {kind} {name!r} is already offered by plugin {owner!r}")
            seen.add(name)


def _names(spec: Any) -> tuple[str, ...]:
    """Return a specification's name and its aliases."""
    return (spec.name, *getattr(spec, "aliases", ()))
