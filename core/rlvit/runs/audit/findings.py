"""What a check can find. Every kind has one meaning; docs/registry.md lists them."""

from __future__ import annotations

from dataclasses import dataclass

REBUILD = "`rlvit registry rebuild` makes it again from the folders"
GC = "`rlvit runs gc` removes it"

KINDS = {
    "database": "the database file is damaged",
    "reference": "rows refer to rows that are not there",
    "no-folder": "a run has no folder",
    "no-row": "a folder holds a run that the registry lacks",
    "folder": "a run's folder is damaged",
    "record": "run.json and the registry disagree",
    "rows": "the registry's points, results or episodes are not those of the folder",
    "artifact": "an artifact is missing, or not what was recorded",
    "checkpoint": "a checkpoint of an unfinished run cannot be read",
    "process": "a run is called running, and its process is gone",
    "study": "a study lacks a run or its file",
    "imported": "a study came by import: it is read here, and goes on in the home that made it",
    "mirror": "what is kept on disk of a study or of imported scores is not what the registry has",
    "unused": "a shared artifact that no run made or used",
    "leftover": "what a killed process left behind, or is needed no more",
}
HARMLESS = ("imported", "unused", "leftover")  # worth knowing: nothing is lost


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    kind: str  # one of KINDS
    subject: str  # a run's id, or a path
    text: str
    remedy: str

    @property
    def wrong(self) -> bool:
        """Whether something is lost, damaged or contradicts itself."""
        return self.kind not in HARMLESS

    def shown(self, program: str = "rlvit") -> str:
        """Return it as a line; `program` is how to call rlvit for this home."""
        remedy = self.remedy.replace("`rlvit ", f"`{program} ")
        return f"{self.kind:<10} {self.subject}: {self.text}; {remedy}"

    def __str__(self) -> str:
        return self.shown()
