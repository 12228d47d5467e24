"""What the drawers of figures share: the evidence, the folder, names and looks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rlvit.report import cells, drawing
from rlvit.report.drawing import Look
from rlvit.report.model import Arm, Evidence, Value
from rlvit.specs import MetricDef

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from sqlalchemy import Engine


PictureKind = Literal[
    "intervals", "compute", "curve", "efficiency", "aggregate", "profile", "section", "gallery"
]
LONGEST = 80  # characters of a file name without its ending


@dataclass(frozen=True)
class Picture:
    """A figure on disk."""

    kind: PictureKind
    task: str  # "" where it shows several
    protocol: str
    title: str
    caption: str
    files: tuple[Path, ...]  # the best of them first: SVG or film, then PNG; none: caption alone


@dataclass
class Canvas:
    """Where figures are drawn, and what all of them need to know."""

    evidence: Evidence
    engine: Engine
    out: Path
    seed: int
    looks: Mapping[tuple[str, str], Look]
    names: set[str] = field(default_factory=set)

    def look(self, arm: Arm) -> Look:
        """Return how an arm is drawn, the same in every figure."""
        return self.looks[arm.method, arm.label]

    def name(self, *words: str) -> str:
        """Return a new file name of these words."""
        plain = "-".join(re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words)
        plain = re.sub(r"-{2,}", "-", plain).strip("-")
        whole = all(re.fullmatch(r"[A-Za-z0-9 /_.@,-]*", word) for word in words)
        if len(plain) > LONGEST or not whole or not plain:  # what is lost is told apart by a digest
            mark = hashlib.sha256("|".join(words).encode()).hexdigest()[:8]
            plain = f"{plain[: LONGEST - 9].rstrip('-') or 'figure'}-{mark}"
        number = 1
        while (name := plain if number == 1 else f"{plain}-{number}") in self.names:
            number += 1
        self.names.add(name)
        return name

    def save(self, figure: Figure, *words: str) -> tuple[Path, ...]:
        """Write a figure under a new name of these words."""
        return drawing.save(figure, self.out / self.name(*words))


def make_canvas(evidence: Evidence, engine: Engine, out: Path, seed: int) -> Canvas:
    """Return where the figures of a report are drawn; the folder is made."""
    out.mkdir(parents=True, exist_ok=True)
    return Canvas(evidence, engine, out, seed, looks_of(evidence))


def looks_of(evidence: Evidence) -> dict[tuple[str, str], Look]:
    """Return the look of each arm by its method and label."""
    keys = dict.fromkeys((arm.method, arm.label) for arm in evidence.arms)
    return {key: drawing.look(place) for place, key in enumerate(keys)}


def groups(evidence: Evidence) -> dict[tuple[str, str], list[Arm]]:
    """Return the arms of each task and protocol: what may stand in one figure."""
    found: dict[tuple[str, str], list[Arm]] = {}
    for arm in evidence.arms:
        found.setdefault((arm.task, arm.protocol), []).append(arm)
    return found


def places(evidence: Evidence) -> dict[tuple[str, str], list[Arm]]:
    """Return what `groups` does, and without arms the tasks and protocols of studies alone."""
    found = groups(evidence)
    return found | {key: [] for key in evidence.studied if key not in found}


def headline(evidence: Evidence, task: str, arms: Sequence[Arm]) -> MetricDef | None:
    """Return the first of a task's headline metrics that an arm has; None if there is none."""
    for name in evidence.headlines.get(task, ()):
        if name in evidence.metrics and any(measured(arm, name) for arm in arms):
            return evidence.metrics[name]
    return None


def measured(arm: Arm, metric: str) -> list[Value]:
    """Return an arm's measurements of a metric, one a seed."""
    return [trial.results[metric] for trial in arm.trials if metric in trial.results]


def axis_label(metric: MetricDef) -> str:
    """Return a metric with its unit and the better direction."""
    arrow = cells.ARROWS[metric.direction]
    unit = "" if metric.unit in ("", "-") else f" ({metric.unit})"
    return f"{metric.name}{unit} {arrow}".rstrip()


def sentences(*parts: str) -> str:
    """Return the sentences of a caption, those that say something."""
    return " ".join(part for part in parts if part)


def left_out(count: int) -> str:
    """Return the sentence about arms that a figure has no room for."""
    return f"{count} more arms are left out; the tables have them." if count > 0 else ""


def written(value: float, low: float, high: float) -> str:
    """Return a number and its interval as the tables write them."""
    places = cells.decimals(value, low, high)
    known = low == low and high == high
    return cells.number(value, places) + (f" {cells.between(low, high, places)}" if known else "")
