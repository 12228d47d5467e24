"""A run's `run.json` in a bundle: what the registry has of it, without a place or a machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rlvit.home import Home
from rlvit.registry.store import MOVES
from rlvit.runs.bundle import plain
from rlvit.runs.bundle.names import LIMITS, Limits, Refused
from rlvit.runs.views import FORMAT
from rlvit.specs import MetricDef, digest

Document = dict[str, Any]

ANNOTATIONS = ("note", "tags", "archived")  # a user's, and no part of what was run
LIFE = (  # what changes as a run goes on; all else is said before it starts
    *("state", "attempt", "started_at", "ended_at", "seconds", "heartbeat_at", "process", "error"),
)
Count = Annotated[int, Field(ge=0, lt=2**63)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Word = Annotated[str, Field(min_length=1, max_length=60)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Plain = Mapping[str, Any]


class Part(BaseModel):
    """Checked strictly; what a newer writer adds is passed over."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class TransitionPart(Part):
    """A move of the run's life."""

    attempt: Count
    from_state: str | None
    to_state: str
    at: float
    reason: str
    detail: Plain


class ArtifactPart(Part):
    """An artifact that the run made or used."""

    kind: Word
    key: Hash
    sha256: Hash
    path: Annotated[str, Field(pattern=r"^runs(/[^/\\:]+)+$", max_length=400)]
    size: Count
    inputs: Plain
    made_by: Annotated[str, Field(max_length=120)]
    role: Literal["made", "used"]


class MetricPart(Part):
    """A metric's declaration."""

    name: Annotated[str, Field(min_length=1, max_length=120)]
    unit: Annotated[str, Field(max_length=60)]
    direction: Literal["max", "min", "none"]
    meaning: str
    axis: Annotated[str, Field(max_length=60)]
    timing: bool


class RunPart(Part):
    """The whole of a run.json that a bundle may hold."""

    format: int
    id: Annotated[str, Field(max_length=120)]
    name: Annotated[str, Field(max_length=200)]
    seed: Seed
    preset: Word
    plugin: Word
    plugin_version: Annotated[str, Field(max_length=60)]
    state: Literal["completed", "failed", "interrupted"]
    attempt: Count
    note: str
    archived: bool
    git_commit: Annotated[str, Field(max_length=64)] | None
    git_dirty: bool | None
    provenance: Plain
    bookkeeping: Plain
    created_at: float
    started_at: float | None
    ended_at: float | None
    seconds: Annotated[float, Field(ge=0)]
    heartbeat_at: float | None
    process: Plain
    error: str | None
    fingerprint: Hash
    method: Word
    task: Word
    protocol: Word
    protocol_settings: Plain
    config: Plain
    slots: Mapping[str, str]
    tags: Mapping[Annotated[str, Field(min_length=1, max_length=120)], str]
    transitions: list[TransitionPart]
    artifacts: list[ArtifactPart]
    metrics: list[MetricPart]


def read_document(path: Path, run_id: str, limits: Limits = LIMITS) -> Document:
    """Return the run.json of a run from a bundle, after checking all of it.

    Raises:
        Refused: it is not what rlvit writes, or contradicts itself or the folder it is in.
    """
    what = f"run.json of {run_id}"
    document = plain.parse_object(path, what, limits)
    form = document.get("format")
    if isinstance(form, int) and form > FORMAT:
        raise Refused(f"{what} has format {form}, this rlvit reads up to {FORMAT}: upgrade rlvit")
    try:
        run = RunPart.model_validate(document)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{what} is wrong at {place!a}: {first['msg']}") from None
    _check_identity(run, run_id, what)
    _check_life(run, what)
    if any(".." in one.path.split("/") for one in run.artifacts):
        raise Refused(f"{what} has an artifact outside of the runs' folder")
    return document


def _check_identity(run: RunPart, folder: str, what: str) -> None:
    """Refuse a run whose id, seed and fingerprint are not those of its content."""
    if run.id != folder:
        raise Refused(f"{what} is that of another run, {run.id!a}")
    start = f"{run.method}-{run.task}-s{run.seed}-".lower()
    if not run.id.startswith(start) or len(run.id) != len(start) + 8:
        raise Refused(f"{what} is of {run.method} on {run.task} with seed {run.seed}, its id not")
    content = {
        "method": run.method,
        "task": run.task,
        "protocol": [run.protocol, dict(run.protocol_settings)],
        "config": dict(run.config),
        "slots": dict(run.slots),
    }
    if digest(content) != run.fingerprint:
        raise Refused(f"{what} has a fingerprint that is not that of its configuration")


def _check_life(run: RunPart, what: str) -> None:
    """Refuse a life that no run can have had: an illegal move, a state that is not its last."""
    state, attempt = None, 0
    for move in run.transitions:
        if move.from_state != state or move.to_state not in MOVES.get(state, ()):
            raise Refused(f"{what}: a run does not go from {state} to {move.to_state!a}")
        state, attempt = move.to_state, attempt + (move.to_state == "running")
        if move.attempt != attempt:
            raise Refused(f"{what}: a move says attempt {move.attempt}, it is of {attempt}")
    if (state, attempt) != (run.state, run.attempt):
        raise Refused(f"{what}: its last move does not lead to {run.state}, attempt {run.attempt}")


def declared(document: Document) -> dict[str, MetricDef]:
    """Return the metrics that a checked run.json declares, by name."""
    rows = [MetricPart.model_validate(row) for row in document["metrics"]]
    return {row.name: MetricDef(**row.model_dump()) for row in rows}


def at_home(document: Document, home: Home) -> Document:
    """Return a run.json of a bundle with the places that its parts have in a home."""
    artifacts = [{**one, "path": str(home.root / one["path"])} for one in document["artifacts"]]
    folder = str(home.runs / document["id"])
    return {**document, "folder": folder, "artifacts": artifacts}


def portable(known: Document, home: Home, streams: Mapping[str, int]) -> Document:
    """Return what the registry has of a run as a bundle holds it: the same from every home."""
    artifacts = [
        {**one, "path": inside(home, one["path"]), "number": number}
        for number, one in enumerate(known["artifacts"])
    ]
    return {
        **known,
        "folder": f"runs/{known['id']}",
        "artifacts": artifacts,
        "format": FORMAT,
        "written_at": known["ended_at"] or known["created_at"],
        "streams": dict(streams),
    }


def inside(home: Home, stored: str) -> str:
    """Return where something is below a home, for whoever has another home."""
    parts = PurePosixPath(stored.replace("\\", "/")).parts
    if home.runs.name not in parts[:-1]:
        return f"runs/elsewhere/{parts[-1] if parts else 'nothing'}"
    last = max(place for place, part in enumerate(parts) if part == home.runs.name)
    return "/".join(("runs", *parts[last + 1 :]))
