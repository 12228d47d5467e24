"""What a bundle says it holds: read before anything else, and believed only where it is true."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rlvit.runs.bundle import plain
from rlvit.runs.bundle.names import (
    FORMAT,
    KIND,
    LIMITS,
    MANIFEST,
    Limits,
    Refused,
    check_distinct,
    check_name,
    check_place,
    check_run_id,
)

Size = Annotated[int, Field(ge=0)]


class Entry(BaseModel):
    """Everything in a manifest is checked strictly and never changes."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class MemberEntry(Entry):
    """A file of the bundle."""

    name: str
    size: Size  # bytes, unpacked
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    same_as: str | None = None  # the member that has these bytes, if they are there once for both


class RunEntry(Entry):
    """A run of the bundle, so that the manifest alone tells what there is."""

    id: str
    name: str
    state: Literal["completed", "failed", "interrupted"]
    attempt: Size
    left_out: list[str] = []  # such as "replay"


class Manifest(Entry):
    """The contents of a bundle."""

    kind: str = KIND
    format: int = FORMAT
    rlvit: str
    created: Annotated[float, Field(ge=0)]  # seconds since 1970, UTC
    runs: list[RunEntry]
    studies: list[str] = []
    members: list[MemberEntry]

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each member, unpacked."""
        return {member.name: member.size for member in self.members}

    @property
    def stored(self) -> set[str]:
        """Names of the members that have bytes of their own."""
        return {member.name for member in self.members if member.same_as is None}

    def of_run(self, run_id: str) -> dict[str, MemberEntry]:
        """Return a run's members by their path in its folder."""
        start = f"runs/{run_id}/"
        found = [member for member in self.members if member.name.startswith(start)]
        return {member.name.removeprefix(start): member for member in found}


def read_manifest(data: bytes, limits: Limits = LIMITS) -> Manifest:
    """Return the manifest of a bundle.

    Raises:
        Refused: it is none, of a newer format, or contradicts itself.
    """
    value = plain.parse(data, MANIFEST, limits)
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise Refused(f"its {MANIFEST} is not that of a bundle")
    form = value.get("format")
    if isinstance(form, int) and form > FORMAT:
        by = f" (by rlvit {value['rlvit']})" if isinstance(value.get("rlvit"), str) else ""
        raise Refused(
            f"it is written in format {form}{by}, this rlvit reads up to {FORMAT}: upgrade rlvit"
        )
    try:
        found = Manifest.model_validate(value)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refused(f"its {MANIFEST} is wrong at {place!a}: {first['msg']}") from None
    _check(found, limits)
    return found


def _check(manifest: Manifest, limits: Limits) -> None:
    """Refuse names that cannot be, and sizes over the limits."""
    ids = [check_run_id(run.id) for run in manifest.runs]
    if not ids and not manifest.studies:
        raise Refused("it holds no run")
    if len(set(ids)) < len(ids) or len(set(manifest.studies)) < len(manifest.studies):
        raise Refused(f"its {MANIFEST} names a run twice")
    names = [member.name for member in manifest.members]
    if len(set(names)) < len(names):
        raise Refused(f"its {MANIFEST} names a member twice")
    known = frozenset(ids), frozenset(manifest.studies)
    for name in names:
        check_place(check_name(name), *known)
    check_distinct([MANIFEST, *names])
    _check_same(manifest.members)
    for run_id in ids:
        if f"runs/{run_id}/run.json" not in names:
            raise Refused(f"it lacks the run.json of {run_id}")
    for name in manifest.studies:
        if f"studies/{name}.json" not in names:
            raise Refused(f"it lacks its study {name!a}")
    check_sizes([member.size for member in manifest.members], limits)


def _check_same(members: list[MemberEntry]) -> None:
    """Refuse a member that is said to be the same as one that it is not, or that has no bytes."""
    stored = {member.name: member for member in members if member.same_as is None}
    for member in members:
        if member.same_as is not None:
            first = stored.get(member.same_as)
            if first is None or (first.size, first.sha256) != (member.size, member.sha256):
                raise Refused(f"its member {member.name!a} is not the same as {member.same_as!a}")


def check_sizes(sizes: list[int], limits: Limits) -> None:
    """Raise Refused if files of these sizes are more than a bundle may hold."""
    if len(sizes) > limits.members:
        raise Refused(f"it has {len(sizes):,} members, more than {limits.members:,}")
    if max(sizes, default=0) > limits.member or sum(sizes) > limits.total:
        raise Refused(f"it would unpack to {sum(sizes):,} bytes, more than a bundle may hold")
