"""Adds a part to a catalogue, and says which rules of a suite it breaks."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace
from typing import Any

from rlvit.catalog import Catalog, Entry
from rlvit.manager import PluginInfo
from rlvit.testing import findings, no_network
from rlvit.testing.suite import Suite, checked

STRANGER = PluginInfo("stranger", "rlvit-stranger", "1.0", "json", (), None)


def with_part(catalog: Catalog, kind: str, spec: Any) -> Catalog:
    """Return the catalogue with one more part, or with another one of that name."""
    own = {**catalog.entries[kind], spec.name: Entry(spec, STRANGER)}
    return replace(catalog, entries={**catalog.entries, kind: own})


def broken_rules(suite: type[Suite], catalog: Catalog, spec: Any) -> dict[str, str]:
    """Return the rules that a part fails, with the reasons."""
    made = checked(suite, spec.name, with_part(catalog, suite.kind, spec), None)
    with no_network():  # nor may a bad part reach it between the rules
        found = list(findings(made))
    assert any(one.state == "ok" for one in found)
    return {one.rule: one.why for one in found if one.state == "failed"}


def call_home() -> None:
    """Ask another machine for something, and hide that it failed."""
    with contextlib.suppress(OSError):
        socket.create_connection(("rlvit.invalid", 80), timeout=1)
