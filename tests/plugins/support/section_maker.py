"""Requests for sections of reports, made by hand; intervals and files are the report's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlvit.contracts import Measurement
from rlvit.report.sections import HOUSE, estimate, files_of
from rlvit.sections import SectionArm, SectionRequest, SectionTrial


def trial(
    seed: int, results: Mapping[str, float], artifacts: Mapping[str, Path] | None = None
) -> SectionTrial:
    """Return a run with these results, each of 100 images."""
    measured = {name: Measurement(name, value, 100) for name, value in results.items()}
    return SectionTrial(f"run-s{seed}", seed, measured, dict(artifacts or {}))


def arm(label: str, method: str, trials: Sequence[SectionTrial], **config: Any) -> SectionArm:
    """Return an arm of these runs."""
    style = {"color": "#0072B2", "linestyle": "-", "marker": "o"}
    known = {"task": "digits", "protocol": "quick", "preset": "quick", "slots": {}}
    return SectionArm(
        label=label, method=method, config=config, trials=tuple(trials), style=style, **known
    )


def request(*arms: SectionArm) -> SectionRequest:
    """Return what a section of a report on these arms is given."""

    def no_curve(of: SectionTrial, metric: str) -> Any:
        raise AssertionError(f"nobody logged {metric}")

    return SectionRequest(
        task="digits",
        protocol="quick",
        arms=arms,
        metrics={},
        seed=0,
        curve=no_curve,
        files=files_of,
        interval=lambda values: estimate(values, 0),
        house=HOUSE,
    )
