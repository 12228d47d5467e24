"""Goes through all suites for everything that an installed plugin offers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rlvit.catalog import Catalog
from rlvit.errors import RlvitError, UnknownName
from rlvit.testing.backbones import BackboneSuite
from rlvit.testing.evaluators import EvaluatorSuite
from rlvit.testing.methods import MINUTE, MethodSuite, within_a_minute
from rlvit.testing.plugins import EVENTS, PluginSuite, TrackerSuite
from rlvit.testing.rewards import RewardSuite
from rlvit.testing.sections import SectionSuite
from rlvit.testing.selectors import SelectorSuite
from rlvit.testing.suite import Finding, Suite, checked, findings
from rlvit.testing.tasks import TaskSuite

SUITES: tuple[type[Suite], ...] = (
    TaskSuite,
    BackboneSuite,
    SelectorSuite,
    RewardSuite,
    EvaluatorSuite,
    SectionSuite,
    MethodSuite,
)


def check_plugin(catalog: Catalog, name: str, data_root: Path | None = None) -> Iterator[Finding]:
    """Try every rule that applies to an installed plugin, and yield what came of each.

    Args:
        catalog: of all plugins: a part is tried together with those of others.
        name: of the plugin.
        data_root: where datasets are; by default as for `rlvit run`.

    Raises:
        UnknownName: it is not installed.
    """
    known = {info.name: info for info in catalog.plugins.found}
    if name not in known:
        raise UnknownName("plugin", name, known)
    watches = any(event in known[name].hooks for event in EVENTS)
    whole = TrackerSuite if watches else PluginSuite
    yield from findings(checked(whole, name, catalog, data_root))
    for suite in SUITES:
        for part, entry in catalog.entries.get(suite.kind, {}).items():
            if entry.owner.name == name:
                made = checked(suite, part, catalog, data_root)
                yield from findings(made)
                if issubclass(made, MethodSuite):
                    yield _timed(made)


def _timed(suite: type[MethodSuite]) -> Finding:
    """Say how long the smallest run took."""
    rule, part = "runs in under a minute", f"method {suite.name}"
    try:
        story = suite.unbroken()
    except RlvitError:
        return Finding(rule, part, "skipped", "the run could not begin", 0.0)
    if story.outcome is None or story.outcome.state != "completed":
        return Finding(rule, part, "skipped", "the run did not complete", 0.0)
    try:
        within_a_minute(story.seconds)
    except AssertionError as problem:
        return Finding(rule, part, "failed", str(problem), story.seconds)
    why = f"{story.seconds:.1f} s of {MINUTE:.0f}"
    return Finding(rule, part, "ok", why, story.seconds)
