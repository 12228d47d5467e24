"""The public names and signatures are those that were promised; a change needs to be said."""

from __future__ import annotations

from pathlib import Path

from public_api import lines

import rlvit
from rlvit.compatibility import API_CHANGES, API_VERSION

SNAPSHOT = Path(__file__).with_name("public_api.txt")
ADVICE = """
The public API changed. If that is meant: raise API_VERSION in core/rlvit/compatibility.py (minor
for what is new, major for what is changed or gone), say what changed in API_CHANGES, in the table
of docs/plugins/api.md and in CHANGELOG.md, and write the snapshot again:

    python tests/core/support/public_api.py > tests/core/public_api.txt
"""


def test_public_names_and_signatures_are_those_of_the_snapshot() -> None:
    promised, found = set(SNAPSHOT.read_text().splitlines()), set(lines())
    gone, new = sorted(promised - found), sorted(found - promised)
    changes = [*(f"- {line}" for line in gone), *(f"+ {line}" for line in new)]
    assert not changes, "\n".join([*changes, ADVICE])


def test_the_snapshot_holds_what_plugins_are_written_with() -> None:
    promised = SNAPSHOT.read_text()
    for name in (
        "rlvit.run(",
        "rlvit.hookspecs.rlvit_methods(",
        "rlvit.specs.SelectorSpec: class(",
    ):
        assert f"\n{name}" in promised
    for name in rlvit.__all__:
        assert f"rlvit.{name}" in promised


def test_the_newest_change_is_the_version() -> None:
    assert max(API_CHANGES) == API_VERSION == rlvit.API_VERSION
    assert list(API_CHANGES) == sorted(API_CHANGES)
