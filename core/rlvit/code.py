"""A hash of source code, for artifacts that must be rebuilt when what builds them changes."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path


def code_digest(*objects: object) -> str:
    """Return a SHA-256 over the files that define these modules, classes or functions.

    Raises:
        TypeError: one of them has no source file.
    """
    files = sorted({inspect.getfile(thing) for thing in objects})  # type: ignore[arg-type]
    total = hashlib.sha256()
    for file in files:
        total.update(Path(file).name.encode() + b"\0" + Path(file).read_bytes())
    return total.hexdigest()
