"""Tags, note and archive mark of an imported run: what was changed here stays.

They are a user's, not what was run. A new run brings its own. Of a run that is here, those of the
bundle that was written last count, unless they were changed here since the import: then, and of a
run that was made here, those of this home stay. So the order of imports does not matter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvit.registry.store import Store
from rlvit.runs.bundle.document import ANNOTATIONS, Document
from rlvit.runs.bundle.names import IMPORT_NOTE
from rlvit.runs.folder import write_json
from rlvit.specs import digest

Notes = dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """Where a run comes from."""

    bundle: str  # the file's name
    exported_at: float
    rlvit: str  # the version that wrote it
    left_out: tuple[str, ...] = ()  # of the run, such as "weights"


@dataclass(frozen=True)
class Merged:
    """What a run's annotations will be."""

    notes: Notes
    differ: bool  # from those that are here
    as_offered: bool  # they are the bundle's
    origin: Notes | None  # what is to be written down of the import; None: nothing new

    def write_origin(self, folder: Path) -> None:
        """Write down where the run comes from."""
        if self.origin is not None:
            write_json(folder / IMPORT_NOTE, self.origin)

    def store(self, store: Store, run_id: str, before: Document) -> None:
        """Put them into the registry."""
        gone = [key for key in before["tags"] if key not in self.notes["tags"]]
        store.annotate(run_id, note=self.notes["note"], archived=self.notes["archived"])
        store.tag(run_id, self.notes["tags"], gone)


def merge(here: Document | None, offered: Document, folder: Path, origin: Origin) -> Merged:
    """Return the annotations that a run will have.

    Args:
        here: the run as this home knows it, if it does.
        offered: the run as the bundle has it.
        folder: of the run here.
        origin: of the bundle.
    """
    theirs = _notes(offered)
    described = {**vars(origin), "annotations": theirs}
    if here is None:
        return Merged(theirs, False, True, described)
    mine, before = _notes(here), _origin_of(folder)
    if before is None or _rank(described) <= _rank(before):
        return Merged(mine, False, mine == theirs, None)
    if mine != before["annotations"]:  # changed here
        kept = {**described, "annotations": before["annotations"]}
        return Merged(mine, False, mine == theirs, kept)
    return Merged(theirs, theirs != mine, True, described)


def _notes(document: Document) -> Notes:
    return {name: document[name] for name in ANNOTATIONS}


def _rank(origin: Notes) -> tuple[float, str]:
    """Return what the later of two bundles has more of."""
    return origin["exported_at"], digest(origin["annotations"])


def _origin_of(folder: Path) -> Notes | None:
    """Return what was written down when the run was imported; None if it was made here."""
    try:
        found = json.loads((folder / IMPORT_NOTE).read_bytes())
    except (OSError, ValueError):
        return None
    sound = isinstance(found, dict) and isinstance(found.get("exported_at"), float)
    return found if sound and isinstance(found.get("annotations"), dict) else None
