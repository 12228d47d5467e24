"""What every section of reports must do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvit.sections import Estimate, House, SectionContent, SectionRequest
from rlvit.testing.suite import Suite, require


class SectionSuite(Suite):
    """Rules for a section of `rlvit report`."""

    kind = "section"

    def test_accepts_no_runs(self) -> None:
        """It has nothing to show, or content, of a task on which no run was completed."""
        found = self.spec().build(empty_request(self.catalog().metrics))
        fine = found is None or isinstance(found, SectionContent)
        require(fine, f"build returned {found!r}, which is no SectionContent")

    def test_determinism(self) -> None:
        """The same request gives the same paragraphs and tables."""
        request = empty_request(self.catalog().metrics)
        one, other = (self.spec().build(request) for _ in range(2))
        require((one is None) == (other is None), "it has content at times")
        if one is not None and other is not None:
            same = repr((one.paragraphs, one.tables)) == repr((other.paragraphs, other.tables))
            require(same, "the same request gave other content")


def empty_request(metrics: Mapping[str, Any]) -> SectionRequest:
    """Return what a section is shown where there are no runs."""
    return SectionRequest(
        task="nothing",
        protocol="none",
        arms=(),
        metrics=metrics,
        seed=0,
        curve=_no_curve,
        files=lambda trial, kind, pattern: (),
        interval=_no_interval,
        house=House(colours=("#0072B2",), markers=("o",), ink="#222222", grid="#DDDDDD"),
    )


def _no_curve(*_: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return np.zeros(0, np.int64), np.zeros(0)


def _no_interval(values: Sequence[float]) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, len(values))
