"""The numbers that plugins quote from papers, as references of a report."""

from __future__ import annotations

from dataclasses import asdict

from rlvit.catalog import Catalog
from rlvit.report.model import Reference


def references(catalog: Catalog) -> list[Reference]:
    """Return what plugins offer, in their order."""
    return [Reference(**asdict(entry.spec)) for entry in catalog.published]
