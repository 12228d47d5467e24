"""What the controls plugin offers; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlvit.hookspecs import hookimpl
from rlvit.specs import Need, SelectorSpec

RLVIT_API = ">=1,<2"  # the versions of the plugin API that this is written for


@hookimpl
def rlvit_selectors() -> Sequence[SelectorSpec]:
    """Offer selections that learn nothing, to compare with those that do."""
    return [
        _spec("all", "every patch: the unpruned model", "the reference of every comparison", "All"),
        _spec(
            "random",
            "the same share of every image's patches, drawn uniformly",
            "RL4DViT, section 4: its random policy, here with exact counts",
            "Random",
        ),
        _spec(
            "uniform",
            "the same share of every image's patches, evenly spaced in raster order",
            "subsampling; no paper",
            "Uniform",
        ),
        _spec(
            "pixel-variance",
            "the patches whose pixels vary most",
            "no paper: the simplest guess at where something is to be seen",
            "PixelVariance",
            frozenset({"images"}),
        ),
        _spec(
            "cls-attention",
            "the patches that the class token attends to most in the layer before",
            "Liang et al. 2022, EViT, section 3, without the fusion of dropped tokens",
            "ClassAttention",
            frozenset({"attention"}),
        ),
        _spec(
            "received-attention",
            "the patches that receive most attention from all tokens in the layer that comes next",
            "the mean of an attention matrix over its queries; no paper",
            "ReceivedAttention",
            frozenset({"received"}),
        ),
    ]


def _spec(
    name: str, summary: str, cite: str, rule: str, needs: frozenset[Need] = frozenset()
) -> SelectorSpec:
    def make(backbone: Any, config: Any, task: Any) -> Any:
        from rlvit_controls import selectors

        return getattr(selectors, rule)(backbone)

    return SelectorSpec(name=name, summary=summary, cite=cite, needs=needs, make=make)
