"""What this plugin offers. Nothing here imports torch: listing plugins stays fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlvit.hookspecs import hookimpl
from rlvit.specs import SelectorSpec

RLVIT_API = ">=1,<2"  # the versions of the plugin API that this is written for


@hookimpl
def rlvit_selectors() -> Sequence[SelectorSpec]:
    """Offer the selector."""

    def make(backbone: Any, config: Any, task: Any) -> Any:
        from rlvit_highest_variance.selector import HighestVariance

        return HighestVariance(backbone)

    return [
        SelectorSpec(
            name="highest-variance",
            summary="the patches whose pixels vary most",
            cite="no paper: flat patches say little",
            needs=frozenset({"images"}),
            make=make,
        )
    ]
