"""What a bundle may be called inside, and how much may be in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rlvit.errors import UsageProblem

FORMAT = 2  # of bundles that this code writes, and the newest that it reads
KIND = "rlvit bundle"
MANIFEST = "manifest.json"
BASELINES = "baselines.json"
IMPORT_NOTE = "import.json"  # in an imported run's folder: where it came from

# What may stay behind; an imported run's IMPORT_NOTE remembers it under "left_out".
WEIGHTS, SHARED, REPLAY = "weights", "shared artifacts", "replay"

STREAMS = ("metrics.jsonl", "episodes.jsonl", "results.jsonl", "superseded.jsonl")

# One part of a path. No leading or trailing dot or space, no letter that a file system may change.
PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._+=@ ()-]{0,118}[A-Za-z0-9_+=@()-])?")
RUN_ID = re.compile(r"[a-z0-9][a-z0-9._+-]{0,100}-s(?:0|[1-9][0-9]{0,9})-[0-9a-z]{8}")
RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)  # Windows
CHECKPOINT = re.compile(r"[0-9]{6}\.(?:pt|json)")


@dataclass(frozen=True)
class Limits:
    """More than this no bundle may have; what `rlvit export` writes stays below it."""

    members: int = 200_000
    directory: int = 2**26  # bytes of the ZIP's list of members
    manifest: int = 2**26  # bytes, unpacked
    document: int = 2**28  # bytes of one JSON file
    line: int = 2**22  # bytes of a line of a stream
    member: int = 2**37  # bytes, unpacked
    total: int = 2**39  # bytes, unpacked
    ratio: int = 200  # unpacked to packed, of members larger than `small`
    small: int = 2**22  # bytes
    depth: int = 60  # of JSON inside JSON


LIMITS = Limits()


class Refused(UsageProblem):
    """A bundle is damaged, is none, or asks for what cannot be; nothing of it was taken."""


def check_name(name: str) -> PurePosixPath:
    """Return a member's name as a path below the bundle's root.

    Raises:
        Refused: it could mean another place, on any system, or cannot be on all of them.
    """
    parts = name.split("/")
    bad = [part for part in parts if not PART.fullmatch(part) or RESERVED.fullmatch(part)]
    if bad or len(name) > 400 or len(parts) > 12:
        raise Refused(f"it has a member called {name!a}, which is no name of a file in a bundle")
    return PurePosixPath(name)


def check_run_id(text: str) -> str:
    """Return a run's id; raises Refused if none of rlvit's runs could have it."""
    if not RUN_ID.fullmatch(text):
        raise Refused(f"{text!a} is no id of a run")
    return text


def check_distinct(names: list[str]) -> None:
    """Refuse names that are one file on some system, and files that others have as a folder.

    Raises:
        Refused: there are such.
    """
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.casefold(), name)) != name:
            raise Refused(f"its members {other!r} and {name!r} differ in capital letters only")
    for name in seen:
        for folder in PurePosixPath(name).parents:
            if str(folder) in seen:
                raise Refused(f"its member {seen[str(folder)]!r} is a file and a folder")


def check_place(path: PurePosixPath, runs: frozenset[str], studies: frozenset[str]) -> None:
    """Refuse a member that is not where a file of these runs and studies can be.

    Raises:
        Refused: it belongs to nothing that the manifest names.
    """
    top, rest = path.parts[0], path.parts[1:]
    fits = {
        "runs": len(rest) >= 2 and rest[0] in runs and _in_run(rest[1:]),
        "shared": len(rest) == 2,
        "studies": len(rest) == 1 and path.suffix == ".json" and path.stem in studies,
        BASELINES: not rest,
    }
    if not fits.get(top):
        raise Refused(f"its member {str(path)!r} belongs to no run that it says it has")


def _in_run(parts: tuple[str, ...]) -> bool:
    """Say whether a file may be there in a run's folder."""
    folder, *rest = parts
    if not rest:
        return folder != IMPORT_NOTE
    if folder == "checkpoint":
        return len(rest) == 1 and bool(CHECKPOINT.fullmatch(rest[0]))
    if folder == "replay":
        return len(rest) == 1
    return folder == "artifacts" and len(rest) == 2


def shown(path: Path) -> str:
    """Return a file's name for a message."""
    return str(path).encode("utf-8", "backslashreplace").decode()
